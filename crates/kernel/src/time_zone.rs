//! Time zones: where a bank's days and months begin.

use crate::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::ops::Range;
use std::str::FromStr;

/// A time zone of the IANA database: `Africa/Casablanca`. The database is part of the program, so
/// that every machine agrees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimeZone(jiff::tz::TimeZone);

/// There is no such time zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("write the time zone as in the IANA database, such as Africa/Casablanca or UTC")]
pub struct UnknownTimeZone;

impl TimeZone {
    /// Universal time.
    pub const UTC: Self = Self(jiff::tz::TimeZone::UTC);

    /// The day in which an instant lies: from its first instant to that of the next.
    pub fn day_of(&self, instant: Timestamp) -> Range<Timestamp> {
        self.around(instant, |here| Ok((here.start_of_day()?, here.tomorrow()?.start_of_day()?)))
    }

    /// The calendar month in which an instant lies.
    pub fn month_of(&self, instant: Timestamp) -> Range<Timestamp> {
        self.around(instant, |here| {
            let next = here.last_of_month()?.tomorrow()?;
            Ok((here.first_of_month()?.start_of_day()?, next.start_of_day()?))
        })
    }

    fn around(
        &self,
        instant: Timestamp,
        bounds: impl FnOnce(&jiff::Zoned) -> Result<(jiff::Zoned, jiff::Zoned), jiff::Error>,
    ) -> Range<Timestamp> {
        let here = jiff::Timestamp::from_microsecond(instant.as_micros())
            .map(|instant| instant.to_zoned(self.0.clone()));
        let micros =
            |zoned: jiff::Zoned| Timestamp::from_micros(zoned.timestamp().as_microsecond());
        match here.and_then(|here| bounds(&here)) {
            Ok((start, end)) => micros(start)..micros(end),
            // Only in the last hours of the year 9999, where the next day cannot be written.
            Err(_) => instant..Timestamp::from_micros(i64::MAX),
        }
    }
}

impl Default for TimeZone {
    fn default() -> Self {
        Self::UTC
    }
}

impl fmt::Display for TimeZone {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.0.iana_name().unwrap_or("UTC"))
    }
}

impl FromStr for TimeZone {
    type Err = UnknownTimeZone;

    fn from_str(name: &str) -> Result<Self, UnknownTimeZone> {
        let zone = jiff::tz::TimeZone::get(name).map_err(|_| UnknownTimeZone)?;
        // A name without an entry of its own would not come back the same.
        zone.iana_name().ok_or(UnknownTimeZone)?;
        Ok(Self(zone))
    }
}

impl Serialize for TimeZone {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for TimeZone {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        name.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(zone: &str, of: fn(&TimeZone, Timestamp) -> Range<Timestamp>, at: &str) -> String {
        let range = of(&zone.parse().unwrap(), at.parse().unwrap());
        format!("{} {}", range.start, range.end)
    }

    #[test]
    fn days_begin_at_midnight_of_the_zone() {
        let day = TimeZone::day_of;
        assert_eq!(
            range("UTC", day, "2026-11-23T12:00:00Z"),
            "2026-11-23T00:00:00Z 2026-11-24T00:00:00Z"
        );
        assert_eq!(
            range("Asia/Tokyo", day, "2026-11-23T15:30:00Z"),
            "2026-11-23T15:00:00Z 2026-11-24T15:00:00Z"
        );
        // The day on which the clocks go back has 25 hours.
        assert_eq!(
            range("Europe/Paris", day, "2026-10-25T12:00:00Z"),
            "2026-10-24T22:00:00Z 2026-10-25T23:00:00Z"
        );
    }

    #[test]
    fn months_begin_at_midnight_of_their_first_day() {
        let month = TimeZone::month_of;
        assert_eq!(
            range("Europe/Paris", month, "2026-10-31T23:30:00Z"),
            "2026-10-31T23:00:00Z 2026-11-30T23:00:00Z"
        );
        assert_eq!(
            range("UTC", month, "2024-02-29T00:00:00Z"),
            "2024-02-01T00:00:00Z 2024-03-01T00:00:00Z"
        );
    }

    #[test]
    fn the_edges_of_time_have_days_too() {
        for micros in [i64::MIN, i64::MAX] {
            let instant = Timestamp::from_micros(micros);
            let day = TimeZone::UTC.day_of(instant);
            assert!(day.start <= instant && instant <= day.end);
        }
    }

    #[test]
    fn names_go_there_and_back_and_others_are_refused() {
        for name in ["Africa/Casablanca", "UTC", "Europe/Paris"] {
            assert_eq!(name.parse::<TimeZone>().unwrap().to_string(), name);
        }
        for name in ["", "Mars/Olympus", "+01:00"] {
            assert_eq!(name.parse::<TimeZone>(), Err(UnknownTimeZone), "{name}");
        }
    }
}
