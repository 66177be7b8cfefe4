//! Limits as the journal stores them.

use crate::engine::Usage;
use ledger_api::{Direction, Limit, Limits, Period};
use serde::{Deserialize, Serialize};
use store::StoreError;

/// Which way the money goes.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
enum DirectionWord {
    Incoming,
    Outgoing,
}

/// The time over which a limit sums up.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
enum PeriodWord {
    Transaction,
    Day,
    Month,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct LimitDocument {
    direction: DirectionWord,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    kind: Option<String>,
    period: PeriodWord,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    minor_units: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    count: Option<i64>,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct LimitsDocument {
    time_zone: kernel::TimeZone,
    limits: Vec<LimitDocument>,
}

/// The document of an account's limits.
pub(crate) fn limits_text(limits: &Limits) -> String {
    let document = LimitsDocument {
        time_zone: limits.time_zone.clone(),
        limits: limits
            .limits
            .iter()
            .map(|limit| LimitDocument {
                direction: limit.direction.into(),
                kind: limit.kind.clone(),
                period: limit.period.into(),
                minor_units: limit.minor_units,
                count: limit.count,
            })
            .collect(),
    };
    // Plain structs always serialise.
    serde_json::to_string(&document).unwrap_or_default()
}

pub(crate) fn limits_from(text: &str, account_sequence: i64) -> Result<Limits, StoreError> {
    let document: LimitsDocument = serde_json::from_str(text)
        .map_err(|_| StoreError::inconsistent("account_states", "limits", account_sequence))?;
    let limit = |limit: LimitDocument| Limit {
        direction: limit.direction.into(),
        kind: limit.kind,
        period: limit.period.into(),
        minor_units: limit.minor_units,
        count: limit.count,
    };
    Ok(Limits {
        time_zone: document.time_zone,
        limits: document.limits.into_iter().map(limit).collect(),
    })
}

/// What a usage counts, such as `outgoing day wallet.transfer`; without a kind, all of them.
pub(crate) fn counter_text(usage: &Usage) -> String {
    let direction = match usage.direction {
        Direction::Incoming => "incoming",
        Direction::Outgoing => "outgoing",
    };
    let period = match usage.period {
        Period::Transaction => "transaction",
        Period::Day => "day",
        Period::Month => "month",
    };
    match &usage.kind {
        Some(kind) => format!("{direction} {period} {kind}"),
        None => format!("{direction} {period}"),
    }
}

/// A stored usage: the counter, when its period began, minor units, uses and from where it counts.
pub(crate) fn usage_from(
    counter: &str,
    (period_start, minor_units, uses, counts_from): (i64, i64, i64, i64),
    account_sequence: i64,
) -> Result<Usage, StoreError> {
    let mut words = counter.splitn(3, ' ');
    let direction = match words.next() {
        Some("incoming") => Direction::Incoming,
        Some("outgoing") => Direction::Outgoing,
        _ => return Err(StoreError::inconsistent("limit_usages", "counter", account_sequence)),
    };
    let period = match words.next() {
        Some("day") => Period::Day,
        Some("month") => Period::Month,
        _ => return Err(StoreError::inconsistent("limit_usages", "counter", account_sequence)),
    };
    Ok(Usage {
        direction,
        kind: words.next().map(str::to_owned),
        period,
        period_start: kernel::Timestamp::from_micros(period_start),
        minor_units,
        uses,
        counts_from,
        changed: false,
    })
}

impl From<Direction> for DirectionWord {
    fn from(direction: Direction) -> Self {
        match direction {
            Direction::Incoming => Self::Incoming,
            Direction::Outgoing => Self::Outgoing,
        }
    }
}

impl From<DirectionWord> for Direction {
    fn from(word: DirectionWord) -> Self {
        match word {
            DirectionWord::Incoming => Self::Incoming,
            DirectionWord::Outgoing => Self::Outgoing,
        }
    }
}

impl From<Period> for PeriodWord {
    fn from(period: Period) -> Self {
        match period {
            Period::Transaction => Self::Transaction,
            Period::Day => Self::Day,
            Period::Month => Self::Month,
        }
    }
}

impl From<PeriodWord> for Period {
    fn from(word: PeriodWord) -> Self {
        match word {
            PeriodWord::Transaction => Self::Transaction,
            PeriodWord::Day => Self::Day,
            PeriodWord::Month => Self::Month,
        }
    }
}
