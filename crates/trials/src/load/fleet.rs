//! Whom the clients can ask, and what they were told.

use super::caller::PAUSE;
use crate::wire::{Answer, NoAnswer, Wire, session};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

/// How long before its end, by the server's word, a session may already be refused.
const SESSION_MARGIN: Duration = Duration::from_secs(5);

/// What the clients have in common.
#[derive(Debug)]
pub(crate) struct Fleet {
    begun: Instant,
    /// The addresses of the servers; none where one is down.
    bases: RwLock<Vec<Option<String>>>,
    session: RwLock<Session>,
    /// Whether servers may believe at any time that a session has ended.
    clock_jumps: AtomicBool,
    /// One of all that find a session at its end begins the next.
    signing_in: tokio::sync::Mutex<()>,
    ends: AtomicBool,
    unanswered: Mutex<Unanswered>,
    /// Since when all was well, the last time that somebody looked.
    well_since: AtomicU64,
    /// When the last answer came that said that an outcome is unknown, to an attempt that was sent when all
    /// had been well.
    unavailable_at: Mutex<Option<u64>>,
    /// For each server, when the newest attempt was sent that it recorded something for.
    recording_since: Mutex<Vec<Option<u64>>>,
}

/// How often clients had no answer for good.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Unanswered {
    /// Answers 503.
    pub(crate) unavailable: u64,
    /// Connections that broke.
    pub(crate) broken: u64,
    /// Connections that there were none of.
    pub(crate) refused: u64,
}

/// A server that is up.
#[derive(Clone, Debug)]
pub(crate) struct Server {
    pub(crate) number: usize,
    pub(crate) base: String,
}

/// Signed in; not yet when the token is empty.
#[derive(Clone, Debug, Default)]
pub(crate) struct Session {
    pub(crate) token: String,
    ends_at: Option<Instant>,
}

impl Fleet {
    pub(crate) fn new(servers: usize) -> Self {
        Self {
            begun: Instant::now(),
            bases: RwLock::new(vec![None; servers]),
            session: RwLock::default(),
            clock_jumps: AtomicBool::new(false),
            signing_in: tokio::sync::Mutex::default(),
            ends: AtomicBool::new(false),
            unanswered: Mutex::default(),
            well_since: AtomicU64::new(0),
            unavailable_at: Mutex::default(),
            recording_since: Mutex::new(vec![None; servers]),
        }
    }

    /// Nanoseconds of a clock that never jumps.
    pub(crate) fn now(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    pub(crate) fn set(&self, server: usize, base: Option<String>) {
        let mut bases = self.bases.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(slot) = bases.get_mut(server) {
            *slot = base;
        }
    }

    /// Nothing new is begun from now on.
    pub(crate) fn end(&self) {
        self.ends.store(true, Ordering::SeqCst);
    }

    pub(crate) fn goes_on(&self) -> bool {
        !self.ends.load(Ordering::SeqCst)
    }

    /// From now on servers may refuse any session.
    pub(crate) fn let_sessions_end(&self) {
        self.clock_jumps.store(true, Ordering::SeqCst);
    }

    pub(crate) fn unanswered(&self) -> Unanswered {
        *lock(&self.unanswered)
    }

    /// All is well now: what is still answered to earlier attempts tells nothing of later faults.
    pub(crate) fn all_is_well(&self) {
        self.well_since.store(self.now(), Ordering::SeqCst);
    }

    /// Whether a client was told since then that an outcome is unknown.
    pub(crate) fn is_unavailable_since(&self, since: u64) -> bool {
        lock(&self.unavailable_at).is_some_and(|at| at >= since)
    }

    /// Whether each server that is up has recorded something that was asked for since.
    pub(crate) fn is_recording_since(&self, since: u64) -> bool {
        let bases = self.bases.read().unwrap_or_else(PoisonError::into_inner);
        let recording = lock(&self.recording_since);
        let mut all = bases.iter().zip(recording.iter()).filter(|(base, _)| base.is_some());
        all.all(|(_, at)| at.is_some_and(|at| at >= since))
    }

    /// A server recorded something for an attempt that was sent then.
    pub(super) fn was_recorded(&self, server: usize, begun: u64) {
        if let Some(newest) = lock(&self.recording_since).get_mut(server) {
            *newest = (*newest).max(Some(begun));
        }
    }

    /// An attempt that was sent then got this answer, which is not for good.
    pub(super) fn was_unavailable(&self, answer: &Answer, begun: u64) {
        let mut unanswered = lock(&self.unanswered);
        unanswered.unavailable = unanswered.unavailable.saturating_add(1);
        if !answer.is_busy() && begun >= self.well_since.load(Ordering::SeqCst) {
            *lock(&self.unavailable_at) = Some(self.now());
        }
    }

    pub(super) fn had_no_answer(&self, none: &NoAnswer) {
        let mut unanswered = lock(&self.unanswered);
        let count = match none {
            NoAnswer::Refused => &mut unanswered.refused,
            NoAnswer::Lost | NoAnswer::Silence => &mut unanswered.broken,
        };
        *count = count.saturating_add(1);
    }

    /// One of those that are up, by turns.
    pub(super) fn server(&self, choice: usize) -> Option<Server> {
        let bases = self.bases.read().unwrap_or_else(PoisonError::into_inner);
        let up =
            bases.iter().enumerate().filter_map(|(number, base)| Some((number, base.as_ref()?)));
        let at = choice.checked_rem(up.clone().count())?;
        up.clone().nth(at).map(|(number, base)| Server { number, base: base.clone() })
    }

    pub(super) fn session(&self) -> Session {
        self.session.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether a server may answer 401 to it.
    pub(super) fn may_refuse(&self, session: &Session) -> bool {
        let has_ended =
            |at: Instant| at.saturating_duration_since(Instant::now()) <= SESSION_MARGIN;
        session.ends_at.is_none_or(has_ended) || self.clock_jumps.load(Ordering::SeqCst)
    }

    /// Begins another session, unless somebody else has meanwhile. One that cannot be begun now is begun by the
    /// next attempt; any other answer is a fault.
    pub(super) async fn sign_in(
        &self,
        wire: &Wire,
        base: &str,
        old: &Session,
    ) -> anyhow::Result<()> {
        let _turn = self.signing_in.lock().await;
        if self.session().token != old.token {
            return Ok(());
        }
        let begun = self.now();
        let asked = Instant::now();
        match wire.sign_in(base).await {
            Ok(answer) if answer.is_unavailable() => self.was_unavailable(&answer, begun),
            Ok(answer) => {
                let (token, counts) = session(&answer)?;
                let new = Session { token, ends_at: asked.checked_add(counts) };
                *self.session.write().unwrap_or_else(PoisonError::into_inner) = new;
            }
            Err(NoAnswer::Silence) => anyhow::bail!("a server keeps silent when signing in"),
            Err(none) => self.had_no_answer(&none),
        }
        tokio::time::sleep(PAUSE).await;
        Ok(())
    }
}

fn lock<T>(what: &Mutex<T>) -> MutexGuard<'_, T> {
    what.lock().unwrap_or_else(PoisonError::into_inner)
}
