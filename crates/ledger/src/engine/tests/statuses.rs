//! Freezing, unfreezing and closing accounts.

use super::*;
use ledger_api::{DESCRIPTION_CHARS_MAX, StatusChange};

use AccountStatus::{Closed, Frozen, Open};

/// Empty, on the credit side.
const EMPTY: u128 = POOR;

pub(super) fn change(
    set: &mut WorkingSet,
    number: u128,
    to: AccountStatus,
) -> Result<Recorded<Account>, Refusal> {
    changed_because(set, number, to, "lost card")
}

fn changed_because(
    set: &mut WorkingSet,
    number: u128,
    to: AccountStatus,
    reason: &str,
) -> Result<Recorded<Account>, Refusal> {
    let change = StatusChange { account: account(number), to, reason: reason.into() };
    match set.decide(&Command::ChangeStatus(change))? {
        Outcome::Account(changed) => Ok(changed),
        other => panic!("{other:?}"),
    }
}

fn status(set: &WorkingSet, number: u128) -> AccountStatus {
    set.accounts[&account(number)].status
}

/// Every way from every status to every other.
#[test]
fn a_status_leads_where_the_table_says() {
    let unreachable = |from, to| Err(Refusal::StatusNotReachable { from, to });
    for (from, to, expected) in [
        (Open, Open, Ok(true)),
        (Open, Frozen, Ok(false)),
        (Open, Closed, Ok(false)),
        (Frozen, Open, Ok(false)),
        (Frozen, Frozen, Ok(true)),
        (Frozen, Closed, Ok(false)),
        (Closed, Open, unreachable(Closed, Open)),
        (Closed, Frozen, unreachable(Closed, Frozen)),
        (Closed, Closed, Ok(true)),
    ] {
        let mut set = world();
        set.accounts.get_mut(&account(EMPTY)).unwrap().status = from;
        let before = all_of(&set);
        let changed = change(&mut set, EMPTY, to);
        assert_eq!(changed.clone().map(|one| one.replayed), expected, "{from:?} {to:?}");
        let is_new = expected == Ok(false);
        assert_eq!(set.is_changed(), is_new);
        assert_eq!(all_of(&set) == before, !is_new, "{from:?} {to:?}");
        if let Ok(changed) = changed {
            assert_eq!(changed.record.status, to);
            assert_eq!(status(&set, EMPTY), to);
        }
    }
}

#[test]
fn a_change_is_recorded_with_its_reason_and_place() {
    let mut set = world();
    let changed = changed_because(&mut set, RICH, Frozen, "court order").unwrap();
    let expected = Account { status: Frozen, ..set.existing_accounts[&account(RICH)].clone() };
    assert_eq!(changed, Recorded { record: expected, replayed: false });
    changed_because(&mut set, RICH, Open, "order lifted").unwrap();
    let recorded: Vec<_> = set
        .new_changes
        .iter()
        .map(|one| (one.sequence, one.account_sequence, one.status, one.reason.as_str()))
        .collect();
    assert_eq!(recorded, [(21, 1, Frozen, "court order"), (22, 1, Open, "order lifted")]);
    assert!(set.new_changes.iter().all(|one| one.changed_at == noon()));
    assert_eq!(set.head.last_sequence, 22);
    // The counters are as they were and need not be written.
    assert_eq!(set.changed_accounts().len(), 0);
    assert!(set.is_changed());
}

#[test]
fn only_an_empty_account_is_closed() {
    let not_empty = |minor_units| {
        Err(Refusal::AccountNotEmpty { balance: Money::new(minor_units, Currency::MAD) })
    };
    for (number, expected) in [
        (RICH, not_empty(100)),
        (BELOW, not_empty(-30)),
        (CASH, not_empty(100)),
        (FROZEN, not_empty(100)),
        (POOR, Ok(())),
        (SETTLEMENT, Ok(())),
        // Much went through, but nothing is left.
        (FULL, Ok(())),
    ] {
        let mut set = world();
        assert_eq!(change(&mut set, number, Closed).map(drop), expected, "{number}");
        assert_eq!(set.is_changed(), expected.is_ok());
    }
    for pending in [
        Balances { pending_debits: 1, ..Balances::default() },
        Balances { pending_credits: 1, ..Balances::default() },
    ] {
        let mut set = world();
        set.accounts.get_mut(&account(POOR)).unwrap().standing.balances = pending;
        assert_eq!(change(&mut set, POOR, Closed).map(drop), not_empty(0), "{pending:?}");
    }
}

/// What counts is the balance now, not as it was loaded.
#[test]
fn an_account_is_closed_by_what_its_group_left_on_it() {
    let mut set = world();
    post(&mut set, &transaction(1, &[dr(RICH, 100), cr(POOR, 100)])).unwrap();
    let balance = Money::new(100, Currency::MAD);
    assert_eq!(change(&mut set, POOR, Closed), Err(Refusal::AccountNotEmpty { balance }));
    let closed = change(&mut set, RICH, Closed).unwrap().record;
    assert_eq!((closed.status, closed.posted()), (Closed, 0));
    let back = transaction(2, &[dr(POOR, 100), cr(RICH, 100)]);
    assert_eq!(post(&mut set, &back).map(drop), not_open(1, RICH, Closed));
}

#[test]
fn a_posting_before_a_freeze_goes_through_and_one_after_it_does_not() {
    let mut set = world();
    let pay = |id| transaction(id, &[dr(RICH, 10), cr(POOR, 10)]);
    post(&mut set, &pay(1)).unwrap();
    change(&mut set, RICH, Frozen).unwrap();
    assert_eq!(post(&mut set, &pay(2)).map(drop), not_open(0, RICH, Frozen));
    assert!(post(&mut set, &pay(1)).unwrap().replayed, "what was done stays done");
    change(&mut set, RICH, Open).unwrap();
    post(&mut set, &pay(2)).unwrap();
    let sequences: Vec<_> = set.new_transactions.iter().map(|one| one.sequence).collect();
    let changes: Vec<_> = set.new_changes.iter().map(|one| one.sequence).collect();
    assert_eq!((sequences, changes), (vec![21, 24], vec![22, 23]));
    // Both postings are on the account that is written in the end.
    assert_eq!(set.accounts[&account(RICH)].standing.balances.posted(Side::Credit), 80);
}

#[test]
fn an_account_is_changed_in_the_group_that_opens_it() {
    let mut set = world();
    let unknown = Refusal::AccountUnknown { account: account(50) };
    assert_eq!(change(&mut set, 50, Frozen), Err(unknown));
    open(&mut set, &new_account(50)).unwrap();
    change(&mut set, 50, Frozen).unwrap();
    // Opening it again answers with the account as it is.
    assert_eq!(open(&mut set, &new_account(50)).unwrap().record.status, Frozen);
    change(&mut set, 50, Closed).unwrap();
    assert_eq!(open(&mut set, &new_account(50)).unwrap().record.status, Closed);
    assert_eq!(change(&mut set, 50, Open), {
        Err(Refusal::StatusNotReachable { from: Closed, to: Open })
    });
    // It is opened as open; the changes follow.
    assert_eq!(set.new_accounts[0].1.status, Open);
    let changes: Vec<_> = set.new_changes.iter().map(|one| one.account_sequence).collect();
    assert_eq!(changes, [21, 21]);
}

/// Each row has its own fault and, as far as that is possible, every later one too.
#[test]
fn an_earlier_refusal_of_a_change_wins_over_every_later_one() {
    let text = Refusal::TextInvalid { field: "reason", min: 1, max: DESCRIPTION_CHARS_MAX };
    let too_long = "é".repeat(DESCRIPTION_CHARS_MAX + 1);
    let longest = "é".repeat(DESCRIPTION_CHARS_MAX);
    for (number, to, reason, expected) in [
        (NOBODY, Open, "", Err(text.clone())),
        (NOBODY, Open, too_long.as_str(), Err(text.clone())),
        (NOBODY, Open, "a\0b", Err(text)),
        (NOBODY, Open, "x", Err(Refusal::AccountUnknown { account: account(NOBODY) })),
        (CLOSED, Closed, "x", Ok(true)),
        (CLOSED, Open, "x", Err(Refusal::StatusNotReachable { from: Closed, to: Open })),
        (RICH, Closed, "x", {
            Err(Refusal::AccountNotEmpty { balance: Money::new(100, Currency::MAD) })
        }),
        (RICH, Frozen, longest.as_str(), Ok(false)),
    ] {
        let mut set = world();
        let changed = changed_because(&mut set, number, to, reason).map(|one| one.replayed);
        assert_eq!(changed, expected, "{number} {to:?}");
        assert_eq!(set.is_changed(), expected == Ok(false));
        assert_eq!(set.head.last_sequence, if expected == Ok(false) { 21 } else { 20 });
    }
}

#[test]
fn a_dry_run_changes_no_status() {
    let mut set = world();
    change(&mut set, POOR, Frozen).unwrap();
    let before = all_of(&set);
    let to_closed = StatusChange { account: account(POOR), to: Closed, reason: "gone".into() };
    set.decide(&Command::DryRun(Box::new(Command::ChangeStatus(to_closed)))).unwrap();
    assert_eq!(all_of(&set), before);
    change(&mut set, POOR, Open).unwrap();
}
