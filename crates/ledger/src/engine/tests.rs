//! What is decided, without a store: one row for each case.

mod batches;
mod chains;
mod commands;
mod groups;
mod holds;
mod limits;
mod random;
mod reversals;
mod statuses;

use super::decide::{AccountState, Head, NewEntry, Standing, WorkingSet};
use super::{Command, Outcome};
use kernel::{Currency, Money, Timestamp, UserId};
use ledger_api::{
    Account, AccountId, AccountStatus, Balances, Constraint, EntryKey, LEGS_MAX, Leg, NewAccount,
    NewTransaction, Recorded, Refusal, Side, Transaction, TransactionId,
};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// Not below zero, with 100.
const RICH: u128 = 1;
/// Not below zero, with nothing.
const POOR: u128 = 2;
/// Without a limit, on the debit side.
const SETTLEMENT: u128 = 3;
/// Not below -50, with nothing.
const OVERDRAFT: u128 = 4;
const FROZEN: u128 = 5;
const CLOSED: u128 = 6;
/// In euros, without a limit.
const EURO: u128 = 7;
/// Both counters at the end of their range, without a limit.
const FULL: u128 = 8;
/// Not below zero, but at -30 all the same.
const BELOW: u128 = 9;
/// Not below zero, with 100, of which 70 are on hold.
const HELD: u128 = 10;
/// On the debit side, not below zero, with 100.
const CASH: u128 = 11;
const NOBODY: u128 = 99;

fn noon() -> Timestamp {
    "2026-11-23T12:00:00Z".parse().unwrap()
}

/// The accounts above, after 20 records, the last of them at noon.
fn world() -> WorkingSet {
    let head = Head { last_sequence: 20, last_recorded_at: noon() };
    let mut set = WorkingSet::new(head, noon());
    let credit = |credits| Balances { posted_credits: credits, ..Balances::default() };
    let debit = |debits| Balances { posted_debits: debits, ..Balances::default() };
    let full = Balances { posted_debits: i64::MAX, posted_credits: i64::MAX, ..credit(0) };
    let held = Balances { pending_debits: 70, ..credit(100) };
    for (number, lowest_available, balances) in [
        (RICH, Some(0), credit(100)),
        (POOR, Some(0), credit(0)),
        (SETTLEMENT, None, debit(0)),
        (OVERDRAFT, Some(-50), credit(0)),
        (FROZEN, Some(0), credit(100)),
        (CLOSED, Some(0), credit(100)),
        (EURO, None, credit(0)),
        (FULL, None, full),
        (BELOW, Some(0), debit(30)),
        (HELD, Some(0), held),
        (CASH, Some(0), debit(100)),
    ] {
        let state = AccountState {
            sequence: i64::try_from(number).unwrap(),
            currency: if number == EURO { Currency::EUR } else { Currency::MAD },
            normal_side: match number {
                SETTLEMENT | CASH => Side::Debit,
                _ => Side::Credit,
            },
            status: match number {
                FROZEN => AccountStatus::Frozen,
                CLOSED => AccountStatus::Closed,
                _ => AccountStatus::Open,
            },
            lowest_available,
            standing: Standing { balances, ..Standing::default() },
            limited: None,
        };
        set.existing_accounts.insert(account(number), loaded(number, &state));
        set.accounts.insert(account(number), state);
    }
    set
}

/// The same account as a change of its status or its opening would load it.
fn loaded(number: u128, state: &AccountState) -> Account {
    Account {
        id: account(number),
        name: format!("Account {number}"),
        currency: state.currency,
        normal_side: state.normal_side,
        constraint: Constraint::from_lowest_available(state.lowest_available),
        status: state.status,
        opened_at: noon(),
        balances: state.standing.balances,
    }
}

fn account(number: u128) -> AccountId {
    AccountId(Uuid::from_u128(number))
}

fn dr(number: u128, minor_units: i64) -> Leg {
    let amount = Money::new(minor_units, Currency::MAD);
    Leg { account_id: account(number), direction: Side::Debit, amount }
}

fn cr(number: u128, minor_units: i64) -> Leg {
    Leg { direction: Side::Credit, ..dr(number, minor_units) }
}

fn euros(leg: Leg) -> Leg {
    Leg { amount: Money::new(leg.amount.minor_units(), Currency::EUR), ..leg }
}

fn transaction(id: u128, legs: &[Leg]) -> NewTransaction {
    NewTransaction {
        id: transaction_id(id),
        kind: "transfer".into(),
        description: None,
        reference: None,
        effective_at: None,
        metadata: BTreeMap::new(),
        legs: legs.to_vec(),
        not_after: None,
        initiated_by: None,
    }
}

fn user(number: u128) -> UserId {
    UserId(Uuid::from_u128(number))
}

fn post(set: &mut WorkingSet, new: &NewTransaction) -> Result<Recorded<Transaction>, Refusal> {
    match set.decide(&Command::Post(new.clone()))? {
        Outcome::Posted(posted) => Ok(unshared(posted)),
        other => panic!("{other:?}"),
    }
}

/// What was posted, by itself.
fn unshared(posted: Recorded<Arc<Transaction>>) -> Recorded<Transaction> {
    Recorded { record: posted.record.as_ref().clone(), replayed: posted.replayed }
}

/// The place of an entry's leg, its account, amount and the balance after it.
fn leg_of(entry: &NewEntry) -> (i64, i64, i64, i64) {
    let (_, leg_no) = EntryKey(entry.entry_key).parts();
    (leg_no, entry.account_sequence, entry.amount, entry.balance_after)
}

/// The number of an entry's transaction.
fn transaction_of(entry: &NewEntry) -> i64 {
    EntryKey(entry.entry_key).parts().0
}

fn open(set: &mut WorkingSet, new: &NewAccount) -> Result<Recorded<Account>, Refusal> {
    match set.decide(&Command::OpenAccount(new.clone()))? {
        Outcome::Account(opened) => Ok(opened),
        other => panic!("{other:?}"),
    }
}

fn new_account(number: u128) -> NewAccount {
    NewAccount {
        id: account(number),
        name: "Savings".into(),
        currency: Currency::MAD,
        normal_side: Side::Credit,
        constraint: Constraint::NonNegative,
    }
}

fn transaction_id(number: u128) -> TransactionId {
    TransactionId(Uuid::from_u128(number))
}

/// Posts each row's legs to a new world. A refusal must leave that world as it was.
#[track_caller]
fn check(rows: &[(&[Leg], Result<(), Refusal>)]) {
    for (legs, expected) in rows {
        let mut set = world();
        let before = all_of(&set);
        let decided = post(&mut set, &transaction(1, legs)).map(|_| ());
        assert_eq!(decided, *expected, "{legs:?}");
        if expected.is_err() {
            assert_eq!(all_of(&set), before, "{legs:?}");
        }
        assert_eq!(set.is_changed(), expected.is_ok(), "{legs:?}");
    }
}

/// All that a decision could change, in an order that does not depend on hashing.
fn all_of(set: &WorkingSet) -> String {
    let states: BTreeMap<_, _> = set.accounts.iter().map(|(id, state)| (*id, state)).collect();
    let accounts: BTreeMap<_, _> = set.existing_accounts.iter().collect();
    let transactions: BTreeMap<_, _> = set.existing_transactions.iter().collect();
    // That nothing was taken back is known with and without an entry.
    let reversed: BTreeMap<_, _> = set.reversed.iter().filter(|(_, taken)| **taken != 0).collect();
    let holds: BTreeMap<_, _> = set.holds.iter().collect();
    let new = (&set.new_accounts, &set.new_changes, &set.new_transactions, &set.new_entries);
    let rest = (&set.new_limit_changes, &set.new_holds, &set.new_hold_changes, &set.new_shifts);
    format!("{:#?}", (set.head, states, accounts, transactions, reversed, holds, new, rest))
}

fn not_found(leg: usize) -> Result<(), Refusal> {
    Err(Refusal::AccountNotFound { leg, account: account(NOBODY) })
}

fn mismatch(leg: usize, number: u128, held: Currency) -> Result<(), Refusal> {
    Err(Refusal::CurrencyMismatch { leg, account: account(number), held })
}

fn not_open(leg: usize, number: u128, status: AccountStatus) -> Result<(), Refusal> {
    Err(Refusal::AccountNotOpen { leg, account: account(number), status })
}

fn overflow(leg: usize, number: u128) -> Result<(), Refusal> {
    Err(Refusal::BalanceOverflow { leg, account: account(number) })
}

fn insufficient(number: u128, available: i64, required: i64) -> Result<(), Refusal> {
    let money = |minor_units| Money::new(minor_units, Currency::MAD);
    let (available, required) = (money(available), money(required));
    Err(Refusal::InsufficientFunds { account: account(number), available, required })
}

fn unbalanced(currency: Currency, debits: i128, credits: i128) -> Result<(), Refusal> {
    Err(Refusal::Unbalanced { currency, debits, credits })
}

#[test]
fn shapes_and_sums_are_checked() {
    let most: Vec<Leg> = [dr(SETTLEMENT, 1), cr(RICH, 1)].repeat(LEGS_MAX / 2);
    let mut too_many = most.clone();
    too_many.push(dr(SETTLEMENT, 1));
    check(&[
        (&[], Err(Refusal::LegCount { count: 0 })),
        (&[dr(RICH, 1)], Err(Refusal::LegCount { count: 1 })),
        (&most, Ok(())),
        (&too_many, Err(Refusal::LegCount { count: LEGS_MAX + 1 })),
        (&[dr(RICH, 0), cr(POOR, 0)], Err(Refusal::AmountNotPositive { leg: 0 })),
        (&[dr(RICH, 1), cr(POOR, -1)], Err(Refusal::AmountNotPositive { leg: 1 })),
        (&[dr(RICH, i64::MIN), cr(POOR, i64::MIN)], Err(Refusal::AmountNotPositive { leg: 0 })),
        (&[dr(RICH, 1), cr(POOR, 2)], unbalanced(Currency::MAD, 1, 2)),
        (&[dr(RICH, 1), dr(POOR, 1)], unbalanced(Currency::MAD, 2, 0)),
        (
            &[dr(SETTLEMENT, i64::MAX), dr(SETTLEMENT, i64::MAX), cr(POOR, 1)],
            unbalanced(Currency::MAD, i128::from(i64::MAX) * 2, 1),
        ),
    ]);
}

#[test]
fn each_currency_sums_to_zero() {
    check(&[
        (&[dr(RICH, 5), cr(POOR, 5), euros(dr(EURO, 7)), euros(cr(EURO, 7))], Ok(())),
        (&[dr(RICH, 5), euros(cr(EURO, 5))], unbalanced(Currency::MAD, 5, 0)),
        (
            &[dr(RICH, 5), cr(POOR, 5), euros(dr(EURO, 7)), euros(cr(EURO, 6))],
            unbalanced(Currency::EUR, 7, 6),
        ),
    ]);
}

#[test]
fn accounts_must_be_there_open_and_in_the_currency() {
    check(&[
        (&[dr(NOBODY, 5), cr(POOR, 5)], not_found(0)),
        (&[dr(RICH, 5), cr(NOBODY, 5)], not_found(1)),
        (&[dr(RICH, 5), cr(EURO, 5)], mismatch(1, EURO, Currency::EUR)),
        (&[euros(dr(EURO, 5)), euros(cr(POOR, 5))], mismatch(1, POOR, Currency::MAD)),
        (&[dr(FROZEN, 5), cr(POOR, 5)], not_open(0, FROZEN, AccountStatus::Frozen)),
        (&[dr(RICH, 5), cr(FROZEN, 5)], not_open(1, FROZEN, AccountStatus::Frozen)),
        (&[dr(RICH, 5), cr(CLOSED, 5)], not_open(1, CLOSED, AccountStatus::Closed)),
    ]);
}

#[test]
fn counters_stay_within_64_bits() {
    let (most, half) = (i64::MAX, i64::MAX / 2 + 1);
    check(&[
        (&[dr(RICH, 5), cr(FULL, 5)], overflow(1, FULL)),
        (&[dr(FULL, 5), cr(POOR, 5)], overflow(0, FULL)),
        (&[dr(SETTLEMENT, most), cr(POOR, most)], Ok(())),
        (&[dr(SETTLEMENT, most), cr(RICH, most)], overflow(1, RICH)),
        // What one leg leaves, the next one goes on from.
        (
            &[dr(SETTLEMENT, half), cr(EURO, 1), dr(SETTLEMENT, half), cr(POOR, 1)],
            unbalanced(Currency::MAD, i128::from(half) * 2, 2),
        ),
        (
            &[dr(SETTLEMENT, half), cr(POOR, half), dr(SETTLEMENT, half), cr(OVERDRAFT, half)],
            overflow(2, SETTLEMENT),
        ),
    ]);
}

#[test]
fn no_account_is_taken_below_its_limit() {
    check(&[
        (&[dr(RICH, 100), cr(POOR, 100)], Ok(())),
        (&[dr(RICH, 101), cr(POOR, 101)], insufficient(RICH, 100, 101)),
        (&[dr(POOR, 1), cr(RICH, 1)], insufficient(POOR, 0, 1)),
        (&[dr(OVERDRAFT, 50), cr(RICH, 50)], Ok(())),
        (&[dr(OVERDRAFT, 51), cr(RICH, 51)], insufficient(OVERDRAFT, 50, 51)),
        (&[dr(SETTLEMENT, 9_000), cr(RICH, 9_000)], Ok(())),
        (&[dr(RICH, 9), cr(SETTLEMENT, 9)], Ok(())),
        // On the debit side it is credits that take out.
        (&[dr(RICH, 100), cr(CASH, 100)], Ok(())),
        (&[dr(SETTLEMENT, 101), cr(CASH, 101)], insufficient(CASH, 100, 101)),
        // What is on hold is not available.
        (&[dr(HELD, 30), cr(POOR, 30)], Ok(())),
        (&[dr(HELD, 31), cr(POOR, 31)], insufficient(HELD, 30, 31)),
        // Whoever is too low already may gain, but not lose.
        (&[dr(RICH, 1), cr(BELOW, 1)], Ok(())),
        (&[dr(BELOW, 1), cr(RICH, 1)], insufficient(BELOW, 0, 1)),
        (&[dr(BELOW, 5), cr(BELOW, 5)], Ok(())),
        (&[dr(BELOW, 5), cr(BELOW, 6), dr(RICH, 1)], Ok(())),
        (&[dr(BELOW, 6), cr(BELOW, 5), cr(RICH, 1)], insufficient(BELOW, 0, 1)),
    ]);
}

#[test]
fn what_counts_for_a_limit_is_the_whole_transaction() {
    check(&[
        (&[dr(POOR, 70), cr(POOR, 70)], Ok(())),
        (&[dr(POOR, 70), cr(RICH, 70), dr(SETTLEMENT, 70), cr(POOR, 70)], Ok(())),
        (&[dr(RICH, 60), dr(RICH, 60), cr(POOR, 100), cr(RICH, 20)], Ok(())),
        (&[dr(RICH, 60), dr(RICH, 60), cr(POOR, 101), cr(RICH, 19)], insufficient(RICH, 100, 101)),
        (
            &[dr(POOR, 1), cr(SETTLEMENT, 1), dr(RICH, 200), cr(POOR, 200)],
            insufficient(RICH, 100, 200),
        ),
    ]);
}

#[test]
fn running_balances_follow_the_legs() {
    let mut set = world();
    let legs = [dr(RICH, 60), cr(POOR, 100), dr(RICH, 60), cr(RICH, 20), cr(CASH, 5), dr(CASH, 5)];
    post(&mut set, &transaction(1, &legs)).unwrap();
    let after: Vec<_> = set.new_entries.iter().map(leg_of).collect();
    let expected = [
        (0, 1, 60, 40),
        (1, 2, -100, 100),
        (2, 1, 60, -20),
        (3, 1, -20, 0),
        (4, 11, -5, 95),
        (5, 11, 5, 100),
    ];
    assert_eq!(after, expected);
    assert!(set.new_entries.iter().all(|entry| transaction_of(entry) == 21));
    assert_eq!(set.accounts[&account(RICH)].standing.balances.posted(Side::Credit), 0);
    let mut changed: Vec<_> =
        set.changed_accounts().iter().map(|(_, state)| state.sequence).collect();
    changed.sort_unstable();
    assert_eq!(changed, [1, 2, 11]);
}

/// Each row has its own fault and, as far as that is possible, every later one too.
#[test]
fn an_earlier_refusal_wins_over_every_later_one() {
    let mut set = world();
    post(&mut set, &transaction(1, &[dr(RICH, 1), cr(POOR, 1)])).unwrap();
    let deadline = noon().minus(Duration::from_micros(1));
    let late = |new: NewTransaction| NewTransaction { not_after: Some(deadline), ..new };
    let untold = |new: NewTransaction| NewTransaction { kind: String::new(), ..new };
    let text = |field, min, max| Refusal::TextInvalid { field, min, max };
    let rows = [
        (late(untold(transaction(1, &[dr(NOBODY, 0)]))), Refusal::IdReused),
        (late(untold(transaction(2, &[dr(NOBODY, 0)]))), Refusal::DeadlinePassed { deadline }),
        (untold(transaction(2, &[dr(NOBODY, 0)])), text("kind", 1, 64)),
        (transaction(2, &[dr(NOBODY, 0)]), Refusal::LegCount { count: 1 }),
        (transaction(2, &[dr(NOBODY, 2), cr(EURO, 0)]), Refusal::AmountNotPositive { leg: 1 }),
        (
            transaction(2, &[dr(NOBODY, 2), cr(EURO, 1)]),
            Refusal::Unbalanced { currency: Currency::MAD, debits: 2, credits: 1 },
        ),
        (transaction(2, &[cr(FULL, 2), cr(FROZEN, 2), cr(EURO, 1), dr(NOBODY, 5)]), {
            not_found(3).unwrap_err()
        }),
        (transaction(2, &[cr(FULL, 2), dr(FROZEN, 3), cr(EURO, 1)]), {
            mismatch(2, EURO, Currency::EUR).unwrap_err()
        }),
        (transaction(2, &[cr(FULL, 9_000), dr(POOR, 9_000 - 1), dr(FROZEN, 1)]), {
            not_open(2, FROZEN, AccountStatus::Frozen).unwrap_err()
        }),
        (transaction(2, &[dr(POOR, 9_000), cr(FULL, 9_000)]), overflow(1, FULL).unwrap_err()),
        (transaction(2, &[dr(POOR, 9_000), cr(RICH, 9_000)]), {
            insufficient(POOR, 1, 9_000).unwrap_err()
        }),
    ];
    for (new, expected) in rows {
        assert_eq!(post(&mut set, &new), Err(expected), "{new:?}");
    }
}
