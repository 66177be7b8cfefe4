//! What is asked of both ledgers, as chance has it: about few accounts, transactions and holds, so that
//! they meet.

use crate::reference::PostedEach;
use kernel::{Currency, Money, TimeZone, Timestamp, UserId};
use ledger_api::{
    Account, AccountId, AccountStatus, Basis, Constraint, Direction, Hold, HoldId, HoldRelease,
    Leg, Limit, LimitChange, Limits, LimitsInUse, NewAccount, NewCapture, NewHold, NewReversal,
    NewTransaction, Period, Recorded, Refusal, ReleaseCause, Side, StatusChange, Transaction,
    TransactionId,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::time::Duration;
use uuid::Uuid;

/// What can be asked of a ledger.
#[derive(Clone, Debug)]
pub(crate) enum Command {
    Open(NewAccount),
    ChangeStatus(StatusChange),
    SetLimits(LimitChange),
    Post(NewTransaction),
    Reverse(NewReversal),
    Hold(NewHold),
    Capture(NewCapture),
    Release(HoldRelease),
    PostAll(Vec<NewTransaction>),
    PostEach(Vec<Vec<NewTransaction>>),
    DryRun(Box<Command>),
}

/// What comes of it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Answer {
    Account(Recorded<Account>),
    Limits(LimitsInUse),
    Posted(Recorded<Transaction>),
    Held(Recorded<Hold>),
    PostedAll(Vec<Recorded<Transaction>>),
    PostedEach(PostedEach),
    Refused(Refusal),
}

/// One step of a case.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// One command to one of the ledgers of the database.
    Ask(usize, Command),
    /// The command so many commands ago, as it was, to another ledger where there is one.
    Again(usize),
    /// Several at once to one ledger, which takes them on in this order, in groups as they fall.
    Burst(usize, Vec<Command>),
    /// Several at once to each of two ledgers: each takes its own on in order; how they mix is chance.
    Race(Vec<Command>, Vec<Command>),
    Clock(ClockMove),
    /// The job that ends the hold whose time is over.
    Expire,
    /// Every ledger stops, and others go on with the database.
    Restart,
    /// Compares all there is to see, with balances and statements about an instant near the present.
    Look {
        account: u128,
        offset_seconds: i64,
        basis: Basis,
    },
}

/// Where the clock goes.
#[derive(Clone, Debug)]
pub(crate) enum ClockMove {
    Seconds(i64),
    /// So many microseconds from the end of the present day of a zone.
    DayEnd(&'static str, i64),
    /// So many microseconds from the end of the present month of a zone.
    MonthEnd(&'static str, i64),
}

/// Where a case may begin: on the evening before the last day of a month, not far from the ends of days and
/// months everywhere; and on the evenings before a day of 25 and one of 23 hours, in New York.
const STARTS: [&str; 3] =
    ["2026-11-29T21:30:00.000001Z", "2026-10-31T21:30:00.000001Z", "2027-03-13T22:30:00.000001Z"];

impl ClockMove {
    pub(crate) fn apply(&self, now: Timestamp) -> Timestamp {
        let moved =
            |from: Timestamp, micros: i64| Timestamp::from_micros(from.as_micros() + micros);
        match self {
            Self::Seconds(seconds) => moved(now, seconds * 1_000_000),
            Self::DayEnd(zone, micros) => moved(zone_of(zone).day_of(now).end, *micros),
            Self::MonthEnd(zone, micros) => moved(zone_of(zone).month_of(now).end, *micros),
        }
    }
}

impl Command {
    /// Whether the routes let it through to the ledger as it stands; otherwise they refuse what the ledger
    /// would refuse, but in their own words. Only so can a command be tried without doing it.
    fn is_for_http(&self) -> bool {
        let is_amount = |amount: i64| (1..1 << 53).contains(&amount);
        let are_legs = |legs: &[Leg]| {
            legs.len() >= 2 && legs.iter().all(|leg| is_amount(leg.amount.minor_units()))
        };
        let is_new = |new: &NewTransaction| {
            !new.kind.is_empty() && new.not_after.is_none() && are_legs(&new.legs)
        };
        match self {
            Self::Post(new) => is_new(new),
            Self::PostAll(batch) => !batch.is_empty() && batch.iter().all(is_new),
            Self::PostEach(chains) => !chains.is_empty() && chains.iter().flatten().all(is_new),
            Self::Reverse(new) => !new.reason.is_empty() && new.minor_units.is_none_or(is_amount),
            Self::Capture(new) => new.minor_units.is_none_or(is_amount),
            Self::Hold(new) => {
                !new.kind.is_empty()
                    && are_legs(&new.legs)
                    && (new.tolerance == 0 || is_amount(new.tolerance))
            }
            Self::Open(_)
            | Self::ChangeStatus(_)
            | Self::SetLimits(_)
            | Self::Release(_)
            | Self::DryRun(_) => false,
        }
    }

    /// The same, all of it asked for by one: whose token an HTTP request has.
    fn asked_by(self, user: UserId) -> Self {
        let initiated_by = Some(user);
        let of_user = |new: NewTransaction| NewTransaction { initiated_by, ..new };
        let all_of_user = |all: Vec<NewTransaction>| all.into_iter().map(of_user).collect();
        match self {
            Self::Post(new) => Self::Post(of_user(new)),
            Self::PostAll(batch) => Self::PostAll(all_of_user(batch)),
            Self::PostEach(chains) => Self::PostEach(chains.into_iter().map(all_of_user).collect()),
            Self::Reverse(new) => Self::Reverse(NewReversal { initiated_by, ..new }),
            Self::Hold(new) => Self::Hold(NewHold { initiated_by, ..new }),
            Self::Capture(new) => Self::Capture(NewCapture { initiated_by, ..new }),
            other => other,
        }
    }

    /// Who asks for it, or for the first of it.
    pub(crate) fn initiator(&self) -> Option<UserId> {
        match self {
            Self::Post(new) => new.initiated_by,
            Self::PostAll(batch) => batch.first()?.initiated_by,
            Self::PostEach(chains) => chains.iter().flatten().next()?.initiated_by,
            Self::Reverse(new) => new.initiated_by,
            Self::Hold(new) => new.initiated_by,
            Self::Capture(new) => new.initiated_by,
            Self::Release(release) => release.initiated_by,
            Self::DryRun(command) => command.initiator(),
            Self::Open(_) | Self::ChangeStatus(_) | Self::SetLimits(_) => None,
        }
    }
}

fn zone_of(name: &str) -> TimeZone {
    name.parse().unwrap()
}

const ZONES: [&str; 4] = ["UTC", "Africa/Casablanca", "Asia/Tokyo", "America/New_York"];

/// 0 and 1 are ours, in dirhams and euros; 2 to 7 customers'; 8 and 9 are for the largest amounts; there
/// is no 10.
pub(crate) const ACCOUNTS: std::ops::Range<u128> = 0..11;

pub(crate) fn account_id(number: u128) -> AccountId {
    AccountId(Uuid::from_u128(number))
}

fn transaction_id(number: u128) -> TransactionId {
    TransactionId(Uuid::from_u128(number))
}

fn hold_id(number: u128) -> HoldId {
    HoldId(Uuid::from_u128(number))
}

fn currency_of(number: u128) -> Currency {
    match number {
        1 | 6 | 7 => Currency::EUR,
        8 | 9 => Currency::USD,
        _ => Currency::MAD,
    }
}

fn ours(number: u128) -> Command {
    Command::Open(NewAccount {
        id: account_id(number),
        name: "Ours".into(),
        currency: currency_of(number),
        normal_side: Side::Debit,
        constraint: Constraint::Unlimited,
    })
}

fn any_open() -> impl Strategy<Value = Command> {
    let constraint = prop_oneof![
        6 => Just(Constraint::NonNegative),
        3 => (0..200_i64).prop_map(Constraint::CreditLimit),
        2 => Just(Constraint::Unlimited),
        1 => prop_oneof![Just(Constraint::CreditLimit(-1)), Just(Constraint::CreditLimit(i64::MAX))],
    ];
    let name = prop_oneof![30 => Just("Customer"), 1 => Just(""), 1 => Just("a\0b")];
    (2..8_u128, prop::bool::weighted(0.2), constraint, name).prop_map(
        |(number, is_debit, constraint, name)| {
            Command::Open(NewAccount {
                id: account_id(number),
                name: name.into(),
                currency: currency_of(number),
                normal_side: if is_debit { Side::Debit } else { Side::Credit },
                constraint,
            })
        },
    )
}

/// A debit and a credit of the same amount, in the currency of the first account.
fn any_pair() -> impl Strategy<Value = Vec<Leg>> {
    let amount = prop_oneof![12 => 1..60_i64, 6 => 60..400_i64, 1 => -1..1_i64];
    let account = || prop_oneof![3 => Just(0_u128), 1 => Just(1), 12 => 2..8_u128, 1 => Just(10)];
    let ordinary = (account(), account(), amount).boxed();
    let largest = prop_oneof![Just(i64::MAX), Just(i64::MAX - 5), 1..10_i64];
    let large = (8..10_u128, 8..10_u128, largest).boxed();
    prop_oneof![24 => ordinary, 1 => large].prop_map(|(from, to, amount)| {
        let leg = |number, direction| {
            let amount = Money::new(amount, currency_of(from));
            Leg { account_id: account_id(number), direction, amount }
        };
        vec![leg(from, Side::Debit), leg(to, Side::Credit)]
    })
}

/// Mostly one pair; at times several, in two currencies perhaps, and at times a leg is lost.
fn any_legs() -> impl Strategy<Value = Vec<Leg>> {
    let pairs = prop_oneof![5 => vec(any_pair(), 1), 1 => vec(any_pair(), 2..4)];
    (pairs, 0..25_u8).prop_map(|(pairs, odd)| {
        let mut legs = pairs.concat();
        if odd == 0 {
            legs.pop();
        }
        legs
    })
}

fn any_kind() -> impl Strategy<Value = String> {
    prop_oneof![8 => Just("transfer"), 4 => Just("card"), 1 => Just("")].prop_map(Into::into)
}

fn any_text() -> impl Strategy<Value = Option<String>> {
    prop_oneof![8 => Just(None), 2 => Just(Some("x")), 1 => Just(Some("é \u{202e}\u{301}"))]
        .prop_map(|text| text.map(Into::into))
}

fn any_metadata() -> impl Strategy<Value = BTreeMap<String, String>> {
    prop_oneof![
        6 => Just(BTreeMap::new()),
        1 => any_text().prop_map(|text| [("k".into(), text.unwrap_or_default())].into()),
    ]
}

fn any_user() -> impl Strategy<Value = UserId> {
    (1..4_u128).prop_map(|number| UserId(Uuid::from_u128(number)))
}

/// The facade is also asked by nobody.
fn any_initiator() -> impl Strategy<Value = Option<UserId>> {
    option::weighted(0.8, any_user())
}

/// Around the start, mostly close to it.
fn any_instant(start: Timestamp) -> impl Strategy<Value = Timestamp> {
    let day: i64 = 86_400;
    prop_oneof![3 => -day..day, 1 => -40 * day..40 * day]
        .prop_map(move |seconds| Timestamp::from_micros(start.as_micros() + seconds * 1_000_000))
}

fn any_transaction(start: Timestamp) -> impl Strategy<Value = NewTransaction> {
    let deadline = prop_oneof![12 => Just(None), 1 => any_instant(start).prop_map(Some)];
    let value_date = prop_oneof![4 => Just(None), 1 => any_instant(start).prop_map(Some)];
    let texts = (any_kind(), any_text(), any_text(), any_metadata());
    (0..90_u128, texts, any_legs(), value_date, deadline, any_initiator()).prop_map(
        |(id, texts, legs, effective_at, not_after, initiated_by)| {
            let (kind, description, reference, metadata) = texts;
            NewTransaction {
                id: transaction_id(id),
                kind,
                description,
                reference,
                effective_at,
                metadata,
                legs,
                not_after,
                initiated_by,
            }
        },
    )
}

/// Money for customers, so that there is something to move.
fn any_funding() -> impl Strategy<Value = Command> {
    (90..100_u128, 2..8_u128, 50..900_i64).prop_map(|(id, to, amount)| {
        let amount = Money::new(amount, currency_of(to));
        let from = if amount.currency() == Currency::EUR { 1 } else { 0 };
        let leg = |number, direction| Leg { account_id: account_id(number), direction, amount };
        Command::Post(NewTransaction {
            id: transaction_id(id),
            kind: "funding".into(),
            description: None,
            reference: None,
            effective_at: None,
            metadata: BTreeMap::new(),
            legs: vec![leg(from, Side::Debit), leg(to, Side::Credit)],
            not_after: None,
            initiated_by: None,
        })
    })
}

fn any_asked() -> impl Strategy<Value = Option<i64>> {
    option::weighted(0.6, prop_oneof![10 => 1..80_i64, 2 => -1..1_i64, 1 => Just(i64::MAX)])
}

/// Mostly of what can be a transaction, by ids that are rarely another's.
fn any_reversal() -> impl Strategy<Value = Command> {
    let id = prop_oneof![8 => 100..130_u128, 1 => 0..100_u128];
    let reason = prop_oneof![15 => Just("wrong"), 1 => Just("")];
    (id, 0..110_u128, any_asked(), reason, any_initiator()).prop_map(
        |(id, original, minor_units, reason, initiated_by)| {
            Command::Reverse(NewReversal {
                id: transaction_id(id),
                original: transaction_id(original),
                minor_units,
                reason: reason.into(),
                initiated_by,
            })
        },
    )
}

fn any_status() -> impl Strategy<Value = Command> {
    let to = prop_oneof![
        3 => Just(AccountStatus::Frozen),
        7 => Just(AccountStatus::Open),
        1 => Just(AccountStatus::Closed),
    ];
    let reason = prop_oneof![15 => Just("asked for"), 1 => Just("")];
    (2..11_u128, to, reason).prop_map(|(number, to, reason)| {
        let reason = reason.into();
        Command::ChangeStatus(StatusChange { account: account_id(number), to, reason })
    })
}

fn any_hold(start: Timestamp) -> impl Strategy<Value = Command> {
    let expires_at = prop_oneof![2 => Just(None), 3 => any_instant(start).prop_map(Some)];
    let tolerance = prop_oneof![4 => Just(0), 3 => 1..40_i64, 1 => Just(i64::MAX), 1 => Just(-1)];
    let terms = (any_legs(), expires_at, tolerance);
    (200..216_u128, any_kind(), terms, any_text(), any_initiator()).prop_map(
        |(id, kind, (legs, expires_at, tolerance), description, initiated_by)| {
            Command::Hold(NewHold {
                id: hold_id(id),
                kind,
                description,
                reference: None,
                metadata: BTreeMap::new(),
                legs,
                expires_at,
                tolerance,
                initiated_by,
            })
        },
    )
}

fn any_capture() -> impl Strategy<Value = Command> {
    let id = prop_oneof![8 => 130..170_u128, 1 => 0..130_u128];
    (id, 200..217_u128, any_asked(), prop::bool::weighted(0.25), any_initiator()).prop_map(
        |(id, hold, minor_units, is_final, initiated_by)| {
            let (id, hold) = (transaction_id(id), hold_id(hold));
            Command::Capture(NewCapture { id, hold, minor_units, is_final, initiated_by })
        },
    )
}

fn any_release() -> impl Strategy<Value = Command> {
    let cause = prop_oneof![
        3 => Just(ReleaseCause::Voided(None)),
        1 => Just(ReleaseCause::Voided(Some("cancelled".into()))),
        2 => Just(ReleaseCause::Expired),
    ];
    (200..217_u128, cause, any_initiator()).prop_map(|(hold, cause, initiated_by)| {
        Command::Release(HoldRelease { hold: hold_id(hold), cause, initiated_by })
    })
}

fn any_limit() -> impl Strategy<Value = Limit> {
    let direction = prop_oneof![1 => Just(Direction::Incoming), 2 => Just(Direction::Outgoing)];
    let kind = prop_oneof![
        5 => Just(None), 2 => Just(Some("card")), 2 => Just(Some("transfer")), 1 => Just(Some("")),
    ];
    let period = prop_oneof![1 => Just(Period::Transaction), 3 => Just(Period::Day), 2 => Just(Period::Month)];
    let minor_units = option::weighted(0.8, prop_oneof![15 => 0..600_i64, 1 => Just(-1)]);
    (direction, kind, period, minor_units, option::weighted(0.3, 0..6_i64)).prop_map(
        |(direction, kind, period, minor_units, count)| Limit {
            direction,
            kind: kind.map(Into::into),
            period,
            minor_units,
            // Most of what would be refused anyway is left out.
            count: count.filter(|count| period != Period::Transaction || *count == 5),
        },
    )
}

fn any_limits() -> impl Strategy<Value = Command> {
    let zone = prop::sample::select(ZONES.to_vec());
    (2..8_u128, zone, vec(any_limit(), 0..4)).prop_map(|(number, zone, limits)| {
        let limits = Limits { time_zone: zone_of(zone), limits };
        Command::SetLimits(LimitChange { account: account_id(number), limits })
    })
}

fn any_command(start: Timestamp) -> impl Strategy<Value = Command> {
    let chains = vec(vec(any_transaction(start), 1..4), 1..4);
    let command = prop_oneof![
        2 => any_open(),
        12 => any_transaction(start).prop_map(Command::Post),
        4 => any_funding(),
        5 => any_reversal(),
        3 => any_status(),
        8 => any_hold(start),
        8 => any_capture(),
        3 => any_release(),
        4 => any_limits(),
        3 => vec(any_transaction(start), 0..5).prop_map(Command::PostAll),
        3 => chains.prop_map(Command::PostEach),
    ];
    // One in six is only tried, where it can be.
    (command, 0..6_u8, any_user()).prop_map(|(command, dry, user)| match command {
        Command::PostEach(chains) if !Command::PostEach(chains.clone()).is_for_http() => {
            Command::PostAll(chains.concat())
        }
        command if dry == 0 && command.is_for_http() => {
            Command::DryRun(command.asked_by(user).into())
        }
        Command::PostEach(_) => command.asked_by(user),
        command => command,
    })
}

/// What the facade takes on the moment it is asked.
fn any_prompt_command(start: Timestamp) -> impl Strategy<Value = Command> {
    any_command(start).prop_map(|command| match command {
        Command::DryRun(inner) => match *inner {
            Command::PostEach(chains) => Command::PostAll(chains.concat()),
            inner => inner,
        },
        Command::PostEach(chains) => Command::PostAll(chains.concat()),
        command => command,
    })
}

fn any_move() -> impl Strategy<Value = ClockMove> {
    let zone = || prop::sample::select(ZONES.to_vec());
    prop_oneof![
        6 => (1..7_200_i64).prop_map(ClockMove::Seconds),
        2 => (3_600..172_800_i64).prop_map(ClockMove::Seconds),
        2 => (-100_000..0_i64).prop_map(ClockMove::Seconds),
        3 => (zone(), -1..2_i64).prop_map(|(zone, micros)| ClockMove::DayEnd(zone, micros)),
        1 => (zone(), -1..2_i64).prop_map(|(zone, micros)| ClockMove::MonthEnd(zone, micros)),
    ]
}

fn any_step(start: Timestamp) -> impl Strategy<Value = Step> {
    let basis = prop_oneof![Just(Basis::Effective), Just(Basis::Recorded)];
    let look = (2..11_u128, -200_000..100_000_i64, basis);
    let race = || vec(any_prompt_command(start), 1..4);
    prop_oneof![
        40 => (0..2_usize, any_command(start)).prop_map(|(ledger, command)| Step::Ask(ledger, command)),
        4 => (1..30_usize).prop_map(Step::Again),
        4 => (0..2_usize, vec(any_prompt_command(start), 2..8))
            .prop_map(|(ledger, commands)| Step::Burst(ledger, commands)),
        4 => (race(), race()).prop_map(|(left, right)| Step::Race(left, right)),
        7 => any_move().prop_map(Step::Clock),
        2 => Just(Step::Expire),
        1 => Just(Step::Restart),
        3 => look.prop_map(|(account, offset_seconds, basis)| {
            Step::Look { account, offset_seconds, basis }
        }),
    ]
}

/// When it begins, how many commands a group may have, and what happens.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) start: Timestamp,
    pub(crate) group_max: usize,
    pub(crate) steps: Vec<Step>,
}

pub(crate) fn any_case() -> impl Strategy<Value = Case> {
    prop::sample::select(STARTS.to_vec())
        .prop_flat_map(|start| any_case_from(start.parse().unwrap()))
}

fn any_case_from(start: Timestamp) -> impl Strategy<Value = Case> {
    let first = [0, 1, 8, 9].map(|number| Step::Ask(0, ours(number))).to_vec();
    let ask = |command| Step::Ask(0, command);
    let opened = vec(any_open().prop_map(ask), 0..12);
    let funded = vec(any_funding().prop_map(ask), 0..8);
    let limited = vec(any_limits().prop_map(ask), 0..3);
    let steps = (Just(first), opened, funded, limited, vec(any_step(start), 0..80));
    let steps = steps.prop_map(|(first, opened, funded, limited, rest)| {
        [first, opened, funded, limited, rest].concat()
    });
    (prop::sample::select(vec![1, 3, 4_096]), steps).prop_map(move |(group_max, steps)| Case {
        start,
        group_max,
        steps,
    })
}

/// The instant so many seconds from another.
pub(crate) fn seconds_from(instant: Timestamp, seconds: i64) -> Timestamp {
    match seconds < 0 {
        true => instant.minus(Duration::from_secs(seconds.unsigned_abs())),
        false => instant.plus(Duration::from_secs(seconds.unsigned_abs())),
    }
}
