//! When another code may be sent.

use kernel::Timestamp;
use std::time::Duration;

/// A contact of a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contact {
    /// The e-mail address.
    Email,
    /// The phone number.
    Phone,
}

impl Contact {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::Phone => "phone",
        }
    }
}

/// How soon after one code another may be sent.
pub(super) const INTERVAL: Duration = Duration::from_mins(1);
/// So many codes may be sent in one [`WINDOW`], because text messages cost money.
const SENT_IN_WINDOW_MAX: i64 = 5;
const WINDOW: Duration = Duration::from_hours(1);

/// How often codes were sent to a contact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sendings {
    pub(super) last_at: Timestamp,
    pub(super) window_began_at: Timestamp,
    pub(super) in_window: i64,
}

impl Sendings {
    /// These and one more now, or how long to wait for it.
    pub(super) fn and_one_more(earlier: Option<Self>, now: Timestamp) -> Result<Self, Duration> {
        let first = Self { last_at: now, window_began_at: now, in_window: 1 };
        let Some(earlier) = earlier else {
            return Ok(first);
        };
        let next_at = earlier.last_at.plus(INTERVAL);
        if now < next_at {
            return Err(next_at.since(now));
        }
        let window_ends_at = earlier.window_began_at.plus(WINDOW);
        if now >= window_ends_at {
            return Ok(first);
        }
        if earlier.in_window >= SENT_IN_WINDOW_MAX {
            return Err(window_ends_at.since(now));
        }
        Ok(Self { last_at: now, in_window: earlier.in_window.saturating_add(1), ..earlier })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_sent_once_a_minute_and_five_times_an_hour() {
        let start = Timestamp::EPOCH;
        let at = |minutes: u64| start.plus(Duration::from_mins(minutes));
        let mut sendings = Sendings::and_one_more(None, start).unwrap();
        let too_soon = Sendings::and_one_more(Some(sendings), at(1).minus(Duration::from_secs(20)));
        assert_eq!(too_soon, Err(Duration::from_secs(20)));
        for minute in 1..5 {
            sendings = Sendings::and_one_more(Some(sendings), at(minute)).unwrap();
        }
        let too_many = Sendings::and_one_more(Some(sendings), at(5));
        assert_eq!(too_many, Err(Duration::from_mins(55)));
        let next = Sendings::and_one_more(Some(sendings), at(60)).unwrap();
        assert_eq!(next, Sendings::and_one_more(None, at(60)).unwrap());
    }
}
