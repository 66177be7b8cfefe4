//! Where requests are counted: in this process, or in a place that all processes share and, while that does
//! not answer, in this process.

use super::local::LocalCounts;
use super::{Count, Counted};
use async_trait::async_trait;
use kernel::{Clock, Timestamp};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// A place where all processes count together.
#[async_trait]
pub trait SharedCounter: Send + Sync {
    /// Counts a request in each of these windows, all or none, and tells how far each has come, in the same
    /// order. Answers soon or fails: requests wait for it.
    async fn count(&self, windows: &[Counted]) -> Result<Vec<Count>, SharedCounterError>;
}

/// Requests could not be counted where all processes do.
#[derive(Debug, thiserror::Error)]
#[error("the shared counter of requests does not answer")]
pub struct SharedCounterError(#[source] pub Box<dyn std::error::Error + Send + Sync>);

/// Counts requests.
pub struct RequestCounts {
    local: Mutex<LocalCounts>,
    shared: Option<Shared>,
    clock: Arc<dyn Clock>,
}

/// Where requests are counted now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CountingPlace {
    /// In each process for itself.
    Process,
    /// Together.
    Shared,
    /// In each process for itself, because the shared counter did not answer.
    ProcessForNow,
}

struct Shared {
    counter: Arc<dyn SharedCounter>,
    /// When it was asked last, while it does not answer.
    asked_in_vain_at: Mutex<Option<Timestamp>>,
}

/// How often a counter that does not answer is asked whether it does again. One request waits for it.
const ASK_EVERY: Duration = Duration::from_secs(1);

impl RequestCounts {
    /// Counted in this process.
    pub fn in_process(clock: Arc<dyn Clock>) -> Self {
        Self { local: Mutex::new(LocalCounts::new()), shared: None, clock }
    }

    /// Counted by `counter` as long as it answers. Asks it at once, so that it is known from the beginning.
    pub async fn shared(counter: Arc<dyn SharedCounter>, clock: Arc<dyn Clock>) -> Self {
        let shared = Some(Shared { counter, asked_in_vain_at: Mutex::new(None) });
        let counts = Self { shared, ..Self::in_process(clock) };
        counts.count(&[]).await;
        counts
    }

    /// Where requests are counted now.
    pub fn place(&self) -> CountingPlace {
        match &self.shared {
            None => CountingPlace::Process,
            Some(shared) if shared.asked_in_vain_at().is_some() => CountingPlace::ProcessForNow,
            Some(_) => CountingPlace::Shared,
        }
    }

    /// Counts a request in each of these windows.
    pub(super) async fn count(&self, windows: &[Counted]) -> Vec<Count> {
        if let Some(shared) = &self.shared
            && let Some(counts) = shared.count(windows, self.clock.as_ref()).await
        {
            return counts;
        }
        let now = self.clock.now();
        let mut local = self.local.lock().unwrap_or_else(PoisonError::into_inner);
        windows.iter().map(|&window| local.add(window, now)).collect()
    }
}

impl Shared {
    async fn count(&self, windows: &[Counted], clock: &dyn Clock) -> Option<Vec<Count>> {
        let trial = self.whether_to_ask(clock.now())?;
        match (self.counter.count(windows).await, trial) {
            (Ok(counts), Trial(is_trial)) => {
                // What was asked before it was found not to answer does not show that it answers again.
                if is_trial && self.asked_in_vain_at().take().is_some() {
                    tracing::info!("rate limits are counted by all processes together again");
                }
                Some(counts)
            }
            (Err(error), _) => {
                if self.asked_in_vain_at().replace(clock.now()).is_none() {
                    let error: &dyn std::error::Error = &error;
                    tracing::warn!(error, "rate limits are counted in this process alone for now");
                }
                None
            }
        }
    }

    /// Yes, as long as it answers, as far as is known; else one request finds out from time to time.
    fn whether_to_ask(&self, now: Timestamp) -> Option<Trial> {
        let mut asked_in_vain_at = self.asked_in_vain_at();
        let Some(asked_at) = *asked_in_vain_at else { return Some(Trial(false)) };
        // A clock that was put back must not keep it from being asked.
        let is_time = now < asked_at || now.since(asked_at) >= ASK_EVERY;
        is_time.then(|| {
            *asked_in_vain_at = Some(now);
            Trial(true)
        })
    }

    fn asked_in_vain_at(&self) -> MutexGuard<'_, Option<Timestamp>> {
        self.asked_in_vain_at.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a request is to find out if the counter answers again.
#[derive(Clone, Copy)]
struct Trial(bool);
