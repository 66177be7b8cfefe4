//! Asking until there is an answer.

use crate::wire::{Answer, NoAnswer, Wire};
use anyhow::bail;
use serde_json::Value;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

/// Before the next attempt when a server went away, or said that it cannot now.
const PAUSE: Duration = Duration::from_millis(25);

/// The longest that an answer may be owed, whatever was killed meanwhile.
const PATIENCE: Duration = Duration::from_secs(120);

/// Whom the clients can ask, and what they have in common.
#[derive(Debug)]
pub(crate) struct Fleet {
    begun: Instant,
    /// The addresses of the servers; none where one is down.
    bases: RwLock<Vec<Option<String>>>,
    token: RwLock<String>,
    /// One of all that find a token too old fetches the next.
    signing_in: tokio::sync::Mutex<()>,
    ends: AtomicBool,
    unavailable: Mutex<(u64, u64)>,
}

/// An answer and its times.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    /// When the first attempt was sent.
    pub(crate) begun: u64,
    /// When the attempt was sent that was answered.
    pub(crate) last_begun: u64,
    pub(crate) ended: u64,
    /// Whether an attempt had been sent before of which the outcome was not known.
    pub(crate) was_unknown: bool,
    pub(crate) answer: Answer,
}

impl Fleet {
    pub(crate) fn new(servers: usize) -> Self {
        Self {
            begun: Instant::now(),
            bases: RwLock::new(vec![None; servers]),
            token: RwLock::default(),
            signing_in: tokio::sync::Mutex::default(),
            ends: AtomicBool::new(false),
            unavailable: Mutex::default(),
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

    /// How many answers were 503, and how many connections broke or were refused.
    pub(crate) fn unavailable(&self) -> (u64, u64) {
        *self.unavailable.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn unavailable_answers(&self) -> u64 {
        self.unavailable().0
    }

    /// Of a server that is up.
    pub(crate) fn any_base(&self) -> Option<String> {
        self.base(0)
    }

    fn base(&self, choice: usize) -> Option<String> {
        let bases = self.bases.read().unwrap_or_else(PoisonError::into_inner);
        let up: Vec<&String> = bases.iter().flatten().collect();
        let at = choice.checked_rem(up.len())?;
        up.get(at).map(|base| (*base).clone())
    }

    fn token(&self) -> String {
        self.token.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn sign_in(&self, wire: &Wire, base: &str, old: &str) {
        let _turn = self.signing_in.lock().await;
        if self.token() != old {
            return;
        }
        // If it fails, the next attempt finds the same token too old.
        if let Ok(token) = wire.sign_in(base).await {
            *self.token.write().unwrap_or_else(PoisonError::into_inner) = token;
        }
    }

    fn count(&self, is_answer: bool) {
        let mut counts = self.unavailable.lock().unwrap_or_else(PoisonError::into_inner);
        let count = if is_answer { &mut counts.0 } else { &mut counts.1 };
        *count = count.saturating_add(1);
    }
}

/// One client's way to the servers.
#[derive(Debug)]
pub(crate) struct Caller<'a> {
    pub(crate) fleet: &'a Fleet,
    wire: Wire,
    /// Moves on with every attempt, so that a retry goes to another server.
    next: usize,
}

impl<'a> Caller<'a> {
    pub(crate) fn new(fleet: &'a Fleet, first: usize) -> Self {
        Self { fleet, wire: Wire::new(), next: first }
    }

    /// Asks until there is an answer for good, each time another server.
    pub(crate) async fn ask(&mut self, path: &str, body: Option<&Value>) -> anyhow::Result<Asked> {
        let begun = self.fleet.now();
        let asked = Instant::now();
        let mut was_unknown = false;
        loop {
            if asked.elapsed() > PATIENCE {
                bail!("no answer for good in {} s: {path} {body:?}", PATIENCE.as_secs());
            }
            self.next = self.next.wrapping_add(1);
            let Some(base) = self.fleet.base(self.next) else {
                tokio::time::sleep(PAUSE).await;
                continue;
            };
            let token = self.fleet.token();
            let last_begun = self.fleet.now();
            let answer = self.wire.send(&base, Some(&token), path, body).await;
            let ended = self.fleet.now();
            match answer {
                Ok(answer) if answer.status == 401 => {
                    self.fleet.sign_in(&self.wire, &base, &token).await;
                }
                Ok(answer) if answer.is_unavailable() => {
                    was_unknown = true;
                    self.fleet.count(true);
                    tokio::time::sleep(PAUSE).await;
                }
                Ok(answer) if answer.status >= 500 => {
                    bail!("an unclear answer: {answer:?} to {path} {body:?}");
                }
                Ok(answer) => {
                    return Ok(Asked { begun, last_begun, ended, was_unknown, answer });
                }
                Err(NoAnswer::Lost) => {
                    was_unknown = true;
                    self.fleet.count(false);
                    tokio::time::sleep(PAUSE).await;
                }
                Err(NoAnswer::Silence) => bail!("a server keeps silent: {path} {body:?}"),
            }
        }
    }
}
