//! Ids, deadlines, texts, time, and commands that share a group.

use super::*;
use ledger_api::{DESCRIPTION_CHARS_MAX, KIND_CHARS_MAX, NAME_CHARS_MAX, REFERENCE_CHARS_MAX};

fn full_transaction() -> NewTransaction {
    NewTransaction {
        description: Some("Rent".into()),
        reference: Some("R-1".into()),
        effective_at: Some(noon()),
        metadata: BTreeMap::from([("order".into(), "42".into())]),
        ..transaction(1, &[dr(RICH, 10), cr(POOR, 10)])
    }
}

type Change<T> = (&'static str, fn(&mut T));

#[test]
fn the_same_content_is_a_replay_and_any_other_is_refused() {
    let mut set = world();
    let first = post(&mut set, &full_transaction()).unwrap();
    assert!(!first.replayed);
    let again = post(&mut set, &full_transaction()).unwrap();
    assert_eq!(again, Recorded { record: first.record, replayed: true });
    let changes: [Change<NewTransaction>; 15] = [
        ("kind", |new| new.kind = "other".into()),
        ("description", |new| new.description = Some("rent".into())),
        ("no description", |new| new.description = None),
        ("reference", |new| new.reference = Some("R-2".into())),
        ("no reference", |new| new.reference = None),
        ("value date", |new| {
            new.effective_at = Some(noon().plus(Duration::from_micros(1)));
        }),
        ("metadata value", |new| drop(new.metadata.insert("order".into(), "43".into()))),
        ("metadata key", |new| drop(new.metadata.insert("extra".into(), "43".into()))),
        ("no metadata", |new| new.metadata.clear()),
        ("order of legs", |new| new.legs.reverse()),
        ("amount", |new| new.legs = vec![dr(RICH, 11), cr(POOR, 11)]),
        ("direction", |new| new.legs = vec![cr(RICH, 10), dr(POOR, 10)]),
        ("account", |new| new.legs = vec![dr(RICH, 10), cr(OVERDRAFT, 10)]),
        ("currency", |new| new.legs = vec![euros(dr(RICH, 10)), euros(cr(POOR, 10))]),
        ("more legs", |new| new.legs.extend([dr(RICH, 1), cr(POOR, 1)])),
    ];
    for (what, change) in changes {
        let mut other = full_transaction();
        change(&mut other);
        assert_eq!(post(&mut set, &other), Err(Refusal::IdReused), "{what}");
    }
    assert_eq!(set.new_transactions.len(), 1);
    assert_eq!(set.accounts[&account(RICH)].standing.balances.posted(Side::Credit), 90);
}

#[test]
fn without_a_value_date_it_is_the_instant_of_recording_also_in_a_replay() {
    let mut set = world();
    let new = transaction(1, &[dr(RICH, 10), cr(POOR, 10)]);
    let first = post(&mut set, &new).unwrap().record;
    assert_eq!(first.effective_at, first.recorded_at);
    // Later, in another group.
    let mut later = WorkingSet::new(set.head, noon().plus(Duration::from_secs(60)));
    later.existing_transactions.insert(first.id, Arc::new(first.clone()));
    assert_eq!(post(&mut later, &new), Ok(Recorded { record: first, replayed: true }));
    assert!(!later.is_changed());
}

#[test]
fn a_deadline_is_met_to_the_microsecond_and_is_no_content() {
    let mut set = world();
    let until = |id, not_after| NewTransaction {
        not_after: Some(not_after),
        ..transaction(id, &[dr(RICH, 1), cr(POOR, 1)])
    };
    let past = noon().minus(Duration::from_micros(1));
    assert!(post(&mut set, &until(1, noon())).is_ok());
    let refused = post(&mut set, &until(2, past));
    assert_eq!(refused, Err(Refusal::DeadlinePassed { deadline: past }));
    assert!(post(&mut set, &until(1, past)).unwrap().replayed);
}

/// Another machine's clock may have run ahead and taken the journal's time with it.
#[test]
fn a_deadline_is_measured_by_this_machines_clock() {
    let minute = Duration::from_secs(60);
    let mut set = WorkingSet::new(world().head, noon().minus(minute));
    set.accounts = world().accounts;
    let deadline = noon().minus(minute / 2);
    let new = transaction(1, &[dr(RICH, 1), cr(POOR, 1)]);
    let posted = post(&mut set, &NewTransaction { not_after: Some(deadline), ..new });
    assert_eq!(posted.unwrap().record.recorded_at, noon());
}

#[test]
fn texts_have_their_lengths_and_no_nul() {
    let text = |field, min, max| Err(Refusal::TextInvalid { field, min, max });
    let kind = text("kind", 1, KIND_CHARS_MAX);
    let description = text("description", 0, DESCRIPTION_CHARS_MAX);
    let reference = text("reference", 0, REFERENCE_CHARS_MAX);
    let posting = |change: fn(&mut NewTransaction)| {
        let mut new = full_transaction();
        change(&mut new);
        new
    };
    for (new, expected) in [
        (posting(|new| new.kind = "é".repeat(KIND_CHARS_MAX)), Ok(())),
        (posting(|new| new.kind = "é".repeat(KIND_CHARS_MAX + 1)), kind.clone()),
        (posting(|new| new.kind = String::new()), kind.clone()),
        (posting(|new| new.kind = "a\0".into()), kind),
        (posting(|new| new.description = Some(String::new())), Ok(())),
        (posting(|new| new.description = Some("é".repeat(DESCRIPTION_CHARS_MAX))), Ok(())),
        (
            posting(|new| new.description = Some("é".repeat(DESCRIPTION_CHARS_MAX + 1))),
            description.clone(),
        ),
        (posting(|new| new.description = Some("\0".into())), description),
        (posting(|new| new.reference = Some("é".repeat(REFERENCE_CHARS_MAX))), Ok(())),
        (
            posting(|new| new.reference = Some("é".repeat(REFERENCE_CHARS_MAX + 1))),
            reference.clone(),
        ),
        (posting(|new| new.reference = Some("\0".into())), reference),
    ] {
        assert_eq!(post(&mut world(), &new).map(|_| ()), expected, "{new:?}");
    }
    let name = text("name", 1, NAME_CHARS_MAX);
    for (text, expected) in [
        ("é".repeat(NAME_CHARS_MAX), Ok(())),
        ("é".repeat(NAME_CHARS_MAX + 1), name.clone()),
        (String::new(), name.clone()),
        ("a\0b".into(), name),
    ] {
        let new = NewAccount { name: text, ..new_account(50) };
        assert_eq!(open(&mut world(), &new).map(|_| ()), expected, "{new:?}");
    }
}

#[test]
fn opening_again_is_a_replay_and_anything_else_is_refused() {
    let mut set = world();
    let first = open(&mut set, &new_account(50)).unwrap();
    assert!(!first.replayed);
    assert_eq!(first.record.opened_at, noon());
    let again = open(&mut set, &new_account(50)).unwrap();
    assert_eq!(again, Recorded { record: first.record, replayed: true });
    let changes: [Change<NewAccount>; 4] = [
        ("name", |new| new.name = "savings".into()),
        ("currency", |new| new.currency = Currency::EUR),
        ("side", |new| new.normal_side = Side::Debit),
        ("constraint", |new| new.constraint = Constraint::Unlimited),
    ];
    for (what, change) in changes {
        let mut other = new_account(50);
        change(&mut other);
        assert_eq!(open(&mut set, &other), Err(Refusal::IdReused), "{what}");
    }
    assert_eq!(set.new_accounts.len(), 1);
}

#[test]
fn a_credit_limit_is_zero_or_more() {
    for (limit, expected) in [
        (i64::MIN, Err(Refusal::CreditLimitNegative)),
        (-1, Err(Refusal::CreditLimitNegative)),
        (0, Ok(Constraint::NonNegative)),
        (1, Ok(Constraint::CreditLimit(1))),
        (i64::MAX, Ok(Constraint::CreditLimit(i64::MAX))),
    ] {
        let mut set = world();
        let new = NewAccount { constraint: Constraint::CreditLimit(limit), ..new_account(50) };
        let opened = open(&mut set, &new);
        assert_eq!(opened.map(|opened| opened.record.constraint), expected, "{limit}");
        // The same command again is the same, also where zero was stored as no credit.
        if expected.is_ok() {
            assert!(open(&mut set, &new).unwrap().replayed, "{limit}");
        }
    }
}

#[test]
fn an_account_can_be_used_in_the_group_that_opens_it() {
    let mut set = world();
    let funding = transaction(1, &[dr(RICH, 40), cr(50, 40)]);
    assert!(post(&mut set, &funding).is_err());
    open(&mut set, &new_account(50)).unwrap();
    assert_eq!(post(&mut set, &funding).unwrap().record.sequence, 22);
    let again = open(&mut set, &new_account(50)).unwrap();
    assert_eq!(again.record.posted(), 40, "a replay answers with the account as it is");
    assert_eq!(set.new_accounts[0].1.balances, Balances::default());
    let too_much = transaction(2, &[dr(50, 41), cr(RICH, 41)]);
    assert_eq!(post(&mut set, &too_much).map(|_| ()), insufficient(50, 40, 41));
}

#[test]
fn a_refused_command_in_a_group_changes_nothing_for_the_next() {
    let commands = [
        transaction(1, &[dr(RICH, 60), cr(POOR, 60)]),
        transaction(2, &[dr(RICH, 60), cr(POOR, 60)]),
        transaction(3, &[dr(RICH, 40), cr(POOR, 40)]),
        transaction(1, &[dr(RICH, 60), cr(POOR, 60)]),
        transaction(2, &[dr(POOR, 100), cr(RICH, 100)]),
    ];
    let mut set = world();
    let decided: Vec<_> = commands
        .iter()
        .map(|new| post(&mut set, new).map(|posted| (posted.record.sequence, posted.replayed)))
        .collect();
    let refused = insufficient(RICH, 40, 60).unwrap_err();
    let expected =
        [Ok((21, false)), Err(refused), Ok((22, false)), Ok((21, true)), Ok((23, false))];
    assert_eq!(decided, expected);
    let written: Vec<_> = set.new_transactions.iter().map(|one| one.sequence).collect();
    assert_eq!(written, [21, 22, 23]);
    assert_eq!(set.head.last_sequence, 23);
}

#[test]
fn the_same_id_twice_in_a_group_is_carried_out_once() {
    let mut set = world();
    let new = transaction(1, &[dr(RICH, 80), cr(POOR, 80)]);
    let first = post(&mut set, &new).unwrap();
    let second = post(&mut set, &new).unwrap();
    assert_eq!((first.replayed, second.replayed), (false, true));
    assert_eq!(first.record, second.record);
    let other = transaction(1, &[dr(RICH, 8), cr(POOR, 8)]);
    assert_eq!(post(&mut set, &other), Err(Refusal::IdReused));
    assert_eq!((set.new_transactions.len(), set.new_entries.len()), (1, 2));
}

#[test]
fn recorded_times_never_run_backwards() {
    let later = noon().plus(Duration::from_secs(1));
    let earlier = noon().minus(Duration::from_secs(60));
    for (now, expected) in [(later, later), (noon(), noon()), (earlier, noon())] {
        let mut set = world();
        let accounts = std::mem::take(&mut set.accounts);
        let mut set = WorkingSet::new(set.head, now);
        set.accounts = accounts;
        let posted = post(&mut set, &transaction(1, &[dr(RICH, 1), cr(POOR, 1)])).unwrap();
        assert_eq!(posted.record.recorded_at, expected);
        assert_eq!(set.head.last_recorded_at, expected);
        assert_eq!(open(&mut set, &new_account(50)).unwrap().record.opened_at, expected);
    }
}

#[test]
fn a_group_of_nothing_but_replays_and_refusals_writes_nothing() {
    let mut set = world();
    let new = transaction(1, &[dr(RICH, 1), cr(POOR, 1)]);
    let posted = post(&mut set, &new).unwrap().record;
    let mut next = world();
    next.existing_transactions.insert(posted.id, Arc::new(posted));
    assert!(post(&mut next, &new).unwrap().replayed);
    assert!(post(&mut next, &transaction(2, &[dr(POOR, 1), cr(RICH, 1)])).is_err());
    assert!(!next.is_changed());
    assert_eq!(next.head, world().head);
}
