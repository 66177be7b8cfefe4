//! Commands as chance has them, about few accounts, transactions and holds, so that they meet.

use super::holds::hold_id;
use super::*;
use ledger_api::{
    Direction, HoldRelease, Limit, LimitChange, Limits, NewCapture, NewHold, NewReversal, Period,
    ReleaseCause, StatusChange,
};
use proptest::prelude::*;

fn any_account() -> impl Strategy<Value = Command> {
    let constraint = prop_oneof![
        1 => Just(Constraint::NonNegative),
        2 => Just(Constraint::Unlimited),
        1 => (0..200_i64).prop_map(Constraint::CreditLimit),
    ];
    (0..7_u128, any::<bool>(), constraint).prop_map(|(number, debit, constraint)| {
        Command::OpenAccount(NewAccount {
            id: account(number),
            name: "x".into(),
            // Fixed by the number, so that most transfers meet in one currency.
            currency: currency(number),
            normal_side: if debit { Side::Debit } else { Side::Credit },
            constraint,
        })
    })
}

fn currency(number: u128) -> Currency {
    if number < 5 { Currency::MAD } else { Currency::EUR }
}

/// Pairs of a debit and a credit, most of them in the accounts' currency, at times a leg too much.
pub(super) fn any_transaction() -> impl Strategy<Value = NewTransaction> {
    transaction_among(7)
}

/// The same among the first so many accounts.
fn transaction_among(accounts: u128) -> impl Strategy<Value = NewTransaction> {
    let amount = prop_oneof![20 => 1..100_i64, 1 => -1..1_i64, 1 => Just(i64::MAX)];
    let pair = (0..accounts, 0..accounts, amount).prop_map(|(from, to, amount)| {
        let leg = |number, direction| Leg {
            account_id: account(number),
            direction,
            amount: Money::new(amount, currency(from)),
        };
        vec![leg(from, Side::Debit), leg(to, Side::Credit)]
    });
    let pairs =
        prop_oneof![prop::collection::vec(pair.clone(), 1), { prop::collection::vec(pair, 1..4) }];
    (0..40_u128, pairs, 0..20_u8, any_initiator()).prop_map(|(id, pairs, odd, initiated_by)| {
        let mut legs = pairs.concat();
        if odd == 0 {
            legs.pop();
        }
        NewTransaction { initiated_by, ..transaction(id, &legs) }
    })
}

fn any_initiator() -> impl Strategy<Value = Option<UserId>> {
    prop::option::of((1..3_u128).prop_map(user))
}

/// Of ids that transactions have, too.
fn any_reversal() -> impl Strategy<Value = Command> {
    let asked = prop::option::of(prop_oneof![8 => 1..60_i64, 1 => -1..1_i64, 1 => Just(i64::MAX)]);
    (30..60_u128, 0..45_u128, asked, any_initiator()).prop_map(
        |(id, original, minor_units, initiated_by)| {
            Command::Reverse(NewReversal {
                id: transaction_id(id),
                original: transaction_id(original),
                minor_units,
                reason: "x".into(),
                initiated_by,
            })
        },
    )
}

fn any_change() -> impl Strategy<Value = Command> {
    let to = prop_oneof![
        2 => Just(AccountStatus::Frozen),
        5 => Just(AccountStatus::Open),
        1 => Just(AccountStatus::Closed),
    ];
    (0..8_u128, to).prop_map(|(number, to)| {
        Command::ChangeStatus(StatusChange { account: account(number), to, reason: "x".into() })
    })
}

/// Of few ids, so that they are made again and captured; at times with more legs.
fn hold_among(accounts: u128) -> impl Strategy<Value = Command> {
    let expires_at = prop::option::of(prop_oneof![
        5 => Just(noon().plus(Duration::from_secs(60))),
        1 => Just(noon()),
    ]);
    let tolerance = prop_oneof![3 => Just(0), 2 => 1..30_i64, 1 => Just(i64::MAX), 1 => Just(-1)];
    (0..8_u128, transaction_among(accounts), expires_at, tolerance).prop_map(
        |(id, new, expires_at, tolerance)| {
            Command::Hold(NewHold {
                id: hold_id(id),
                kind: "card".into(),
                description: None,
                reference: None,
                metadata: BTreeMap::new(),
                legs: new.legs,
                expires_at,
                tolerance,
                initiated_by: new.initiated_by,
            })
        },
    )
}

/// Of ids that transactions have, too.
fn any_capture() -> impl Strategy<Value = Command> {
    let asked = prop::option::of(prop_oneof![12 => 1..60_i64, 1 => -1..1_i64, 1 => Just(i64::MAX)]);
    (30..80_u128, 0..9_u128, asked, 0..4_u8, any_initiator()).prop_map(
        |(id, hold, minor_units, last, initiated_by)| {
            Command::Capture(NewCapture {
                id: transaction_id(id),
                hold: hold_id(hold),
                minor_units,
                is_final: last == 0,
                initiated_by,
            })
        },
    )
}

fn any_release() -> impl Strategy<Value = Command> {
    let cause =
        prop_oneof![4 => Just(ReleaseCause::Voided(None)), 1 => Just(ReleaseCause::Expired)];
    (0..9_u128, cause, any_initiator()).prop_map(|(hold, cause, initiated_by)| {
        Command::Release(HoldRelease { hold: hold_id(hold), cause, initiated_by })
    })
}

fn limits_of(accounts: u128) -> impl Strategy<Value = Command> {
    let period = prop_oneof![1 => Just(Period::Transaction), 3 => Just(Period::Day), 2 => Just(Period::Month)];
    let direction = prop_oneof![1 => Just(Direction::Incoming), 2 => Just(Direction::Outgoing)];
    let kind = prop_oneof![6 => Just(None), 1 => Just(Some("card")), 1 => Just(Some("transfer"))];
    let limit = (direction, kind, period, 0..800_i64, prop::option::of(0..20_i64)).prop_map(
        |(direction, kind, period, minor_units, count)| Limit {
            direction,
            kind: kind.map(Into::into),
            period,
            minor_units: Some(minor_units),
            count: count.filter(|_| period != Period::Transaction),
        },
    );
    (0..accounts, prop::collection::vec(limit, 1..4)).prop_map(|(number, limits)| {
        let limits = Limits { limits, ..Limits::default() };
        Command::SetLimits(LimitChange { account: account(number), limits })
    })
}

fn any_command() -> impl Strategy<Value = Command> {
    let batch = || prop::collection::vec(any_transaction(), 0..6);
    let command = prop_oneof![
        2 => any_account(),
        9 => any_transaction().prop_map(Command::Post),
        5 => any_reversal(),
        3 => any_change(),
        6 => hold_among(7),
        6 => any_capture(),
        3 => any_release(),
        1 => limits_of(8),
        3 => batch().prop_map(Command::PostAll),
        2 => prop::collection::vec(prop::collection::vec(any_transaction(), 1..4), 0..4)
            .prop_map(Command::PostEach),
    ];
    let dry_run = |command| Command::DryRun(Box::new(command));
    // One in five is only tried; of those, some twice over.
    (command, 0..20_u8).prop_map(move |(command, dry)| match dry {
        0 => dry_run(dry_run(command)),
        1..4 => dry_run(command),
        _ => command,
    })
}

pub(super) fn any_commands() -> impl Strategy<Value = Vec<Command>> {
    let first = prop::collection::vec(any_account(), 6..16);
    let limits = prop::collection::vec(limits_of(8), 0..5);
    let rest = prop::collection::vec(any_command(), 0..80);
    (first, limits, rest).prop_map(|(first, limits, rest)| [first, limits, rest].concat())
}

/// Much that goes to and fro between two accounts, one of which is given limits first.
pub(super) fn busy_commands() -> impl Strategy<Value = Vec<Command>> {
    let open = |number| {
        Command::OpenAccount(NewAccount {
            constraint: Constraint::Unlimited,
            ..new_account(number)
        })
    };
    let command = prop_oneof![
        3 => transaction_among(2).prop_map(Command::Post),
        3 => hold_among(2),
        5 => any_capture(),
        2 => any_release(),
    ];
    (limits_of(1), prop::collection::vec(command, 10..80))
        .prop_map(move |(limits, commands)| [vec![open(0), open(1), limits], commands].concat())
}
