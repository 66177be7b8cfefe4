//! When wrong passwords lock somebody out.

use kernel::Timestamp;
use std::time::Duration;

/// So many wrong passwords, none of them later than [`LOCKED_FOR`] after the one before, lock out.
pub(super) const FAILURES_MAX: i64 = 5;
/// How long a lock-out lasts, and how long a wrong password is remembered.
pub(super) const LOCKED_FOR: Duration = Duration::from_mins(30);

/// The wrong passwords or codes of one user, or the wrong passwords of one e-mail address or phone number that nobody has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Failures {
    pub(super) count: i64,
    pub(super) last_at: Timestamp,
}

impl Failures {
    /// Until when nothing counts; `None` when it does now.
    pub(super) fn locked_until(self, now: Timestamp) -> Option<Timestamp> {
        let until = self.last_at.plus(LOCKED_FOR);
        (self.count >= FAILURES_MAX && now < until).then_some(until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fifth_failure_locks_out_for_half_an_hour() {
        let last_at = Timestamp::EPOCH;
        let end = last_at.plus(Duration::from_mins(30));
        for (count, now, locked) in [
            (4, last_at, false),
            (5, last_at, true),
            (5, end.minus(Duration::from_micros(1)), true),
            (5, end, false),
            (6, last_at, true),
        ] {
            let until = Failures { count, last_at }.locked_until(now);
            assert_eq!(until, locked.then_some(end), "{count} at {now:?}");
        }
    }
}
