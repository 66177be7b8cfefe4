//! Refused requests in the audit trail. A flood of them must neither fill the trail nor slow the answers, so
//! they are counted in memory and written beside the requests: one entry for each window, caller, route and
//! reason, and for a bounded number of these. What a crash takes with it is the count of one window.

use super::{NewEntry, ORIGIN, USER_AGENT_LENGTH_MAX, append_in_tx};
use crate::{Error, Identity};
use identity_api::RequestOrigin;
use kernel::{Clock, Timestamp, UserId};
use serde_json::json;
use std::collections::HashMap;
use std::mem::discriminant;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use store::{Store, StoreError};
use web::{RefusalLog, RefusedAccess};

/// How long refusals are counted before they are written.
const WINDOW: Duration = Duration::from_mins(1);
/// So many callers, routes and reasons are told apart: of those who are known, and as many of those who are
/// not, so that strangers cannot hide what somebody does who is signed in.
const NAMED_MAX: usize = 100;
/// So many routes and reasons of one caller are told apart, so that nobody hides what others do by trying
/// everything.
const NAMED_OF_CALLER_MAX: usize = 8;

/// Counts refused requests.
pub(crate) struct Refusals {
    store: Store,
    clock: Arc<dyn Clock>,
    windows: Mutex<Windows>,
}

/// Refusals that are counted together.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    who: Who,
    route: String,
    code: &'static str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Who {
    /// A user or an API client.
    Known(UserId),
    /// Somebody without a good token.
    From(Option<IpAddr>),
    /// Too many to tell apart.
    Others,
}

#[derive(Clone, Debug)]
struct Window {
    count: u64,
    first_at: Timestamp,
    last_at: Timestamp,
    /// Where the first came from.
    origin: RequestOrigin,
}

#[derive(Default)]
struct Windows(HashMap<Key, Window>);

impl Windows {
    fn add(&mut self, mut key: Key, more: Window) {
        let of_caller = self.0.keys().filter(|known| known.who == key.who).count();
        if !self.0.contains_key(&key) && of_caller >= NAMED_OF_CALLER_MAX {
            key.route = String::new();
        }
        if let Some(window) = self.0.get_mut(&key) {
            return window.add(&more);
        }
        let others = Key { who: Who::Others, route: String::new(), code: key.code };
        let is_alike = |known: &&Key| discriminant(&known.who) == discriminant(&key.who);
        if key != others && self.0.keys().filter(is_alike).count() >= NAMED_MAX {
            // Codes are constants of the program: of these there are few.
            return self.add(others, Window { origin: RequestOrigin::default(), ..more });
        }
        self.0.insert(key, more);
    }

    /// Takes those that began before this instant, or all, the oldest first.
    fn take(&mut self, before: Option<Timestamp>) -> Vec<(Key, Window)> {
        let mut due: Vec<_> =
            self.0.extract_if(|_, one| before.is_none_or(|before| one.first_at < before)).collect();
        due.sort_by_key(|(_, window)| window.first_at);
        due
    }
}

impl Window {
    fn add(&mut self, more: &Self) {
        self.count = self.count.saturating_add(more.count);
        self.first_at = self.first_at.min(more.first_at);
        self.last_at = self.last_at.max(more.last_at);
    }
}

impl RefusalLog for Refusals {
    fn note(&self, refused: RefusedAccess) {
        let now = self.clock.now();
        let network = refused.from.map(web::ClientAddress::network);
        let key = Key {
            who: refused.actor.map_or(Who::From(network), Who::Known),
            route: refused.route,
            code: refused.code,
        };
        let origin = RequestOrigin {
            client_address: refused.from.map(|from| from.0.to_string()).unwrap_or_default(),
            user_agent: refused.user_agent.chars().take(USER_AGENT_LENGTH_MAX).collect(),
        };
        self.windows().add(key, Window { count: 1, first_at: now, last_at: now, origin });
    }
}

impl Refusals {
    pub(crate) fn new(store: Store, clock: Arc<dyn Clock>) -> Self {
        Self { store, clock, windows: Mutex::default() }
    }

    fn windows(&self) -> MutexGuard<'_, Windows> {
        self.windows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes the windows that began before this instant, or all; if that fails, none.
    async fn write(&self, before: Option<Timestamp>) -> Result<usize, StoreError> {
        let due = self.windows().take(before);
        if due.is_empty() {
            return Ok(0);
        }
        let written = self.append(&due).await;
        if written.is_err() {
            // If the commit failed on its way back, these will be there twice, which is better than never.
            let mut windows = self.windows();
            due.into_iter().for_each(|(key, window)| windows.add(key, window));
            return written.map(|()| 0);
        }
        Ok(due.len())
    }

    async fn append(&self, due: &[(Key, Window)]) -> Result<(), StoreError> {
        let at = self.clock.now();
        let tx = self.store.begin().await?;
        for (Key { who, route, code }, window) in due {
            let actor = match who {
                Who::Known(id) => Some(*id),
                Who::From(_) | Who::Others => None,
            };
            let details = json!({
                "route": route,
                "code": code,
                "count": window.count,
                "firstAt": window.first_at,
                "lastAt": window.last_at,
                "manyCallers": *who == Who::Others,
            });
            let entry = NewEntry { actor, action: "access_refused", object: None, details, at };
            let append = append_in_tx(&self.store, &tx, entry);
            ORIGIN.scope(window.origin.clone(), append).await?;
        }
        Ok(tx.commit().await?)
    }
}

impl Identity {
    /// Counts refused requests for the audit trail.
    pub fn refusals(&self) -> Arc<dyn RefusalLog> {
        self.0.refusals.clone()
    }

    /// Writes the counts of refused requests into the audit trail whose minute is over, and tells how many.
    pub async fn write_refusals(&self) -> Result<usize, Error> {
        let refusals = &self.0.refusals;
        Ok(refusals.write(Some(refusals.clock.now().minus(WINDOW))).await?)
    }

    /// Writes all of them, for the end of the program.
    pub async fn write_all_refusals(&self) -> Result<usize, Error> {
        Ok(self.0.refusals.write(None).await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    const AT: Timestamp = Timestamp::EPOCH;

    fn window() -> Window {
        Window { count: 1, first_at: AT, last_at: AT, origin: RequestOrigin::default() }
    }

    fn key(who: Who, route: &str) -> Key {
        Key { who, route: route.to_owned(), code: "forbidden" }
    }

    fn known(number: usize) -> Who {
        Who::Known(UserId(Uuid::from_u128(number.try_into().unwrap())))
    }

    fn from(number: u32) -> Who {
        Who::From(Some(std::net::Ipv4Addr::from_bits(number).into()))
    }

    #[test]
    fn a_flood_of_strangers_takes_bounded_room_and_hides_nobody_who_is_known() {
        let mut windows = Windows::default();
        for number in 0..10_000 {
            windows.add(key(from(number), "GET /a"), window());
        }
        assert_eq!(windows.0.len(), NAMED_MAX + 1);
        assert_eq!(windows.0[&key(Who::Others, "")].count, 9_900);
        windows.add(key(known(1), "GET /b"), window());
        assert_eq!(windows.0[&key(known(1), "GET /b")].count, 1);
        for number in 0..10_000 {
            windows.add(key(known(number), "GET /b"), window());
        }
        assert_eq!(windows.0.len(), 2 * NAMED_MAX + 1);
        let all = windows.take(None);
        assert_eq!(all.iter().map(|(_, one)| one.count).sum::<u64>(), 20_001, "all are counted");
        assert!(windows.0.is_empty());
    }

    #[test]
    fn one_window_is_one_entry_however_often_somebody_tries() {
        let mut windows = Windows::default();
        for second in 0..1_000 {
            let at = AT.plus(Duration::from_secs(second));
            windows.add(key(known(1), "GET /a"), Window { first_at: at, last_at: at, ..window() });
        }
        let [(_, one)] = &windows.take(None)[..] else { panic!("one entry") };
        assert_eq!((one.count, one.first_at), (1_000, AT));
        assert_eq!(one.last_at, AT.plus(Duration::from_secs(999)));
    }

    #[test]
    fn windows_are_taken_when_they_are_over() {
        let mut windows = Windows::default();
        windows.add(key(known(1), "GET /a"), window());
        assert!(windows.take(Some(AT)).is_empty());
        assert_eq!(windows.take(Some(AT.plus(Duration::from_micros(1)))).len(), 1);
    }
}
