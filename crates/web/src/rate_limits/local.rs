//! Requests counted in this process alone.

use super::{Count, Counted};
use kernel::Timestamp;
use std::collections::HashMap;
use std::time::Duration;

/// The windows of everybody who made a request lately.
pub(super) struct LocalCounts {
    windows: HashMap<Counted, Window>,
    /// When those that are over are thrown away next.
    clean_at: Timestamp,
}

struct Window {
    requests: u32,
    ends_at: Timestamp,
}

/// About 10 MB. More callers than this are counted together.
pub(super) const WINDOWS_MAX: usize = 100_000;
/// Looking through all of them takes milliseconds, so it is not done for each request.
const CLEAN_EVERY: Duration = Duration::from_secs(10);
/// Everybody else when there are too many to tell apart.
const OTHERS: [u8; 16] = [0; 16];

impl LocalCounts {
    pub(super) fn new() -> Self {
        Self { windows: HashMap::new(), clean_at: Timestamp::EPOCH }
    }

    /// Counts a request.
    pub(super) fn add(&mut self, counted: Counted, now: Timestamp) -> Count {
        if now >= self.clean_at {
            self.windows.retain(|_, window| now < window.ends_at);
            self.clean_at = now.plus(CLEAN_EVERY);
        }
        let is_known = self.windows.contains_key(&counted);
        let has_room = is_known || self.windows.len() < WINDOWS_MAX;
        let counted = if has_room { counted } else { Counted { caller: OTHERS, ..counted } };
        let fresh = || Window { requests: 0, ends_at: now.plus(counted.window) };
        let window = self.windows.entry(counted).or_insert_with(fresh);
        if now >= window.ends_at {
            *window = fresh();
        }
        window.requests = window.requests.saturating_add(1);
        Count { requests: window.requests, left: window.ends_at.since(now) }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.windows.len()
    }
}
