//! Access tokens that no longer count although their time is not over: those of sessions that were
//! revoked, and those made before something was taken back of what their subject may do. Every
//! process keeps both in memory and learns of others' within about a second.
//!
//! What is taken back is counted by a version for each user and API client. A token bears the version
//! that was read before its grants were, so a token with the present version has the present grants
//! or better ones that were given since.

mod repo;

pub(crate) use repo::{outdate_holders_in_tx, outdate_in_tx, version};

use kernel::{Clock, Timestamp, UserId};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock, Weak};
use std::time::Duration;
use store::{Store, StoreError};
use tokio::time::MissedTickBehavior;
use uuid::Uuid;

/// A subject whose earlier tokens do not count, and the version that its tokens need to have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Outdated {
    pub(crate) subject: UserId,
    pub(crate) version: i64,
    pub(crate) at: Timestamp,
}

/// What was revoked within the lifetime of an access token.
pub(crate) struct Revocations {
    store: Store,
    clock: Arc<dyn Clock>,
    /// For how long a revoked session's tokens can still be around.
    window: Duration,
    revoked: RwLock<HashMap<Uuid, Timestamp>>,
    outdated: RwLock<HashMap<UserId, Outdated>>,
    read_until: Mutex<Timestamp>,
}

const INTERVAL: Duration = Duration::from_secs(1);
/// A revocation is seen when its transaction ends, later than the instant it bears, which also
/// comes from another machine's clock. So each reading goes back by this.
const OVERLAP: Duration = Duration::from_secs(60);

impl Revocations {
    /// Reads what was revoked lately and keeps reading until the value is dropped.
    pub(crate) async fn init(
        store: Store,
        clock: Arc<dyn Clock>,
        access_token_lifetime: Duration,
    ) -> Result<Arc<Self>, StoreError> {
        let window = access_token_lifetime.saturating_add(OVERLAP);
        let (revoked, outdated) = (RwLock::default(), RwLock::default());
        let read_until = Mutex::new(clock.now().minus(window));
        let revocations = Arc::new(Self { store, clock, window, revoked, outdated, read_until });
        revocations.read().await?;
        tokio::spawn(keep_reading(Arc::downgrade(&revocations)));
        Ok(revocations)
    }

    pub(crate) fn contains(&self, session_id: Uuid) -> bool {
        self.revoked.read().unwrap_or_else(PoisonError::into_inner).contains_key(&session_id)
    }

    /// For what this process revoked itself.
    pub(crate) fn add(&self, session_id: Uuid, at: Timestamp) {
        self.revoked.write().unwrap_or_else(PoisonError::into_inner).insert(session_id, at);
    }

    /// Whether something was taken back of what a subject may do since a token of this version.
    pub(crate) fn is_outdated(&self, subject: UserId, version: i64) -> bool {
        let outdated = self.outdated.read().unwrap_or_else(PoisonError::into_inner);
        outdated.get(&subject).is_some_and(|needed| version < needed.version)
    }

    /// For what this process took back itself.
    pub(crate) fn add_outdated(&self, found: impl IntoIterator<Item = Outdated>) {
        let mut outdated = self.outdated.write().unwrap_or_else(PoisonError::into_inner);
        for one in found {
            let known = outdated.entry(one.subject).or_insert(one);
            if known.version < one.version {
                *known = one;
            }
        }
    }

    async fn read(&self) -> Result<(), StoreError> {
        let now = self.clock.now();
        let after = self.read_until.lock().unwrap_or_else(PoisonError::into_inner).minus(OVERLAP);
        let found = repo::revoked_after(&self.store, after).await?;
        self.add_outdated(repo::outdated_after(&self.store, after).await?);
        let forgotten = now.minus(self.window);
        let mut outdated = self.outdated.write().unwrap_or_else(PoisonError::into_inner);
        outdated.retain(|_, one| one.at > forgotten);
        drop(outdated);
        let mut revoked = self.revoked.write().unwrap_or_else(PoisonError::into_inner);
        revoked.extend(found);
        revoked.retain(|_, at| *at > forgotten);
        *self.read_until.lock().unwrap_or_else(PoisonError::into_inner) = now;
        Ok(())
    }
}

async fn keep_reading(revocations: Weak<Revocations>) {
    let mut interval = tokio::time::interval(INTERVAL);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut failing = false;
    loop {
        interval.tick().await;
        let Some(revocations) = revocations.upgrade() else {
            return;
        };
        let read = revocations.read().await;
        if let Err(error) = &read
            && !failing
        {
            tracing::warn!(%error, "revocations cannot be read; trying on each second");
        }
        failing = read.is_err();
    }
}
