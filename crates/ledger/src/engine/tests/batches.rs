//! Batches, dry runs, and that what is undone leaves nothing behind.

use super::reversals::{reversal, reverse};
use super::statuses::change;
use super::*;
use crate::engine::Waiting;
use crate::engine::group::Group;
use ledger_api::StatusChange;

type Posted = Recorded<Transaction>;

fn post_all(set: &mut WorkingSet, batch: &[NewTransaction]) -> Result<Vec<Posted>, Refusal> {
    match set.decide(&Command::PostAll(batch.to_vec()))? {
        Outcome::PostedAll(posted) => Ok(posted.into_iter().map(unshared).collect()),
        other => panic!("{other:?}"),
    }
}

fn post_each(set: &mut WorkingSet, batch: &[NewTransaction]) -> Vec<Result<Posted, Refusal>> {
    match set.decide(&each(batch)) {
        Ok(Outcome::PostedEach(outcomes)) => {
            outcomes.into_iter().map(|one| one.map(unshared)).collect()
        }
        other => panic!("{other:?}"),
    }
}

/// The outcome of a dry run, which must leave everything as it was.
#[track_caller]
fn dry_run(set: &mut WorkingSet, command: Command) -> Result<Outcome, Refusal> {
    let before = all_of(set);
    let changed = set.is_changed();
    let outcome = set.decide(&Command::DryRun(Box::new(command)));
    assert_eq!(all_of(set), before, "a dry run left something");
    assert_eq!(set.is_changed(), changed);
    outcome
}

/// A batch in which none is linked to another.
fn each(batch: &[NewTransaction]) -> Command {
    Command::PostEach(batch.iter().map(|one| vec![one.clone()]).collect())
}

fn in_batch(index: usize, refusal: Result<(), Refusal>) -> Refusal {
    Refusal::InBatch { index, refusal: Box::new(refusal.unwrap_err()) }
}

fn places<T>(posted: &[Posted], place: impl Fn(&Posted) -> T) -> Vec<T> {
    posted.iter().map(place).collect()
}

/// A world in which this group has done something of everything already.
fn busy_world() -> WorkingSet {
    let mut set = world();
    post(&mut set, &transaction(1, &[dr(RICH, 40), cr(POOR, 40)])).unwrap();
    open(&mut set, &new_account(50)).unwrap();
    reverse(&mut set, &reversal(2, 1, Some(10))).unwrap();
    change(&mut set, CASH, AccountStatus::Frozen).unwrap();
    post(&mut set, &transaction(3, &[dr(POOR, 5), cr(50, 5)])).unwrap();
    set
}

#[test]
fn a_batch_is_posted_in_order_and_each_sees_the_ones_before() {
    let mut set = world();
    let batch = [
        transaction(1, &[dr(RICH, 100), cr(POOR, 100)]),
        transaction(2, &[dr(POOR, 100), cr(OVERDRAFT, 100)]),
        transaction(3, &[dr(OVERDRAFT, 150), cr(RICH, 150)]),
    ];
    let posted = post_all(&mut set, &batch).unwrap();
    assert_eq!(
        places(&posted, |one| (one.record.sequence, one.replayed)),
        [(21, false), (22, false), (23, false)]
    );
    assert_eq!(set.head.last_sequence, 23);
    assert_eq!((set.new_transactions.len(), set.new_entries.len()), (3, 6));
    assert_eq!(set.accounts[&account(RICH)].standing.balances.posted(Side::Credit), 150);
    // One after another and together are the same.
    let mut alone = world();
    for new in &batch {
        post(&mut alone, new).unwrap();
    }
    assert_eq!(all_of(&set), all_of(&alone));
}

/// The refusal at each place, and of each kind: all that came before is undone.
#[test]
fn a_batch_that_is_refused_anywhere_leaves_nothing() {
    let good = |id| transaction(id, &[dr(RICH, 10), cr(POOR, 10), dr(RICH, 5), cr(50, 5)]);
    let faults = [
        (transaction(90, &[dr(RICH, 1)]), Err(Refusal::LegCount { count: 1 })),
        (transaction(90, &[dr(RICH, 9), cr(POOR, 8)]), unbalanced(Currency::MAD, 9, 8)),
        (transaction(90, &[dr(RICH, 9), cr(NOBODY, 9)]), not_found(1)),
        (transaction(90, &[dr(RICH, 9), cr(FROZEN, 9)]), {
            not_open(1, FROZEN, AccountStatus::Frozen)
        }),
        (transaction(90, &[dr(SETTLEMENT, 9), cr(FULL, 9)]), overflow(1, FULL)),
        (transaction(1, &[dr(RICH, 9), cr(POOR, 9)]), Err(Refusal::IdReused)),
    ];
    for (fault, refused) in faults {
        for place in 0..4 {
            let mut batch: Vec<_> = (10..13).map(good).collect();
            batch.insert(place, fault.clone());
            let mut set = busy_world();
            let before = all_of(&set);
            let outcome = post_all(&mut set, &batch);
            assert_eq!(outcome, Err(in_batch(place, refused.clone())), "{fault:?}");
            assert_eq!(all_of(&set), before, "{place} {fault:?}");
            // Nothing of it is in the way afterwards.
            batch.remove(place);
            assert!(post_all(&mut set, &batch).unwrap().iter().all(|one| !one.replayed));
        }
    }
    // What one takes is missing to the next.
    let mut set = world();
    let before = all_of(&set);
    let batch = [60, 60].map(|amount| [dr(RICH, amount), cr(POOR, amount)]);
    let batch: Vec<_> = (1..).zip(&batch).map(|(id, legs)| transaction(id, legs)).collect();
    assert_eq!(post_all(&mut set, &batch), Err(in_batch(1, insufficient(RICH, 40, 60))));
    assert_eq!(all_of(&set), before);
    assert!(!set.is_changed());
}

#[test]
fn the_first_refusal_of_a_batch_is_the_answer() {
    let batch = [
        transaction(1, &[dr(RICH, 1), cr(POOR, 1)]),
        transaction(2, &[dr(RICH, 500), cr(POOR, 500)]),
        transaction(3, &[]),
    ];
    assert_eq!(post_all(&mut world(), &batch), Err(in_batch(1, insufficient(RICH, 99, 500))));
}

#[test]
fn the_same_id_twice_in_a_batch_is_carried_out_once() {
    let mut set = world();
    let new = transaction(1, &[dr(RICH, 80), cr(POOR, 80)]);
    let posted = post_all(&mut set, &[new.clone(), new.clone()]).unwrap();
    assert_eq!(
        places(&posted, |one| (one.record.sequence, one.replayed)),
        [(21, false), (21, true)]
    );
    assert_eq!((set.new_transactions.len(), set.new_entries.len()), (1, 2));
    // With other content the batch contradicts itself, and nothing of it stays.
    let mut set = world();
    let before = all_of(&set);
    let other = transaction(1, &[dr(RICH, 8), cr(POOR, 8)]);
    let refused = post_all(&mut set, &[new.clone(), other.clone()]);
    assert_eq!(refused, Err(in_batch(1, Err(Refusal::IdReused))));
    assert_eq!(all_of(&set), before);
    // Each on its own, the first one stays.
    let outcomes = post_each(&mut set, &[new.clone(), other, new]);
    let outcomes: Vec<_> = outcomes.into_iter().map(|one| one.map(|one| one.replayed)).collect();
    assert_eq!(outcomes, [Ok(false), Err(Refusal::IdReused), Ok(true)]);
}

#[test]
fn a_batch_sent_again_is_replayed_whole_or_in_part() {
    let batch: Vec<_> = (1..=4).map(|id| transaction(id, &[dr(RICH, 20), cr(POOR, 20)])).collect();
    let mut set = world();
    // One of them was posted alone before.
    post(&mut set, &batch[2]).unwrap();
    let first = post_all(&mut set, &batch).unwrap();
    assert_eq!(
        places(&first, |one| (one.record.sequence, one.replayed)),
        [(22, false), (23, false), (21, true), (24, false)]
    );
    let done = all_of(&set);
    let again = post_all(&mut set, &batch).unwrap();
    assert!(again.iter().all(|one| one.replayed));
    assert_eq!(places(&again, |one| one.record.clone()), places(&first, |one| one.record.clone()));
    for (outcome, first) in post_each(&mut set, &batch).into_iter().zip(&first) {
        assert_eq!(outcome, Ok(Recorded { replayed: true, ..first.clone() }));
    }
    assert_eq!(all_of(&set), done);
}

/// A replay in a batch that is refused was not done by the batch and is not undone with it.
#[test]
fn undoing_a_batch_keeps_what_was_there_before() {
    let mut set = world();
    let earlier = transaction(1, &[dr(RICH, 20), cr(POOR, 20)]);
    post(&mut set, &earlier).unwrap();
    let before = all_of(&set);
    let batch = [
        transaction(2, &[dr(RICH, 20), cr(POOR, 20)]),
        earlier.clone(),
        transaction(3, &[dr(RICH, 99), cr(POOR, 99)]),
    ];
    assert_eq!(post_all(&mut set, &batch), Err(in_batch(2, insufficient(RICH, 60, 99))));
    assert_eq!(all_of(&set), before);
    assert!(post(&mut set, &earlier).unwrap().replayed);
}

#[test]
fn a_batch_uses_accounts_that_its_group_opened_before_and_not_after() {
    let mut set = world();
    let batch = [
        transaction(1, &[dr(RICH, 40), cr(POOR, 40)]),
        transaction(2, &[dr(POOR, 40), cr(50, 40)]),
        transaction(3, &[dr(50, 40), cr(RICH, 40)]),
    ];
    let missing = Refusal::AccountNotFound { leg: 1, account: account(50) };
    assert_eq!(post_all(&mut set, &batch), Err(in_batch(1, Err(missing))));
    open(&mut set, &new_account(50)).unwrap();
    let before = all_of(&set);
    // Refused, it leaves the account of its group without balance and unchanged.
    let mut refused = batch.to_vec();
    refused.push(transaction(4, &[dr(50, 1), cr(RICH, 1)]));
    assert_eq!(post_all(&mut set, &refused), Err(in_batch(3, insufficient(50, 0, 1))));
    assert_eq!(all_of(&set), before);
    assert_eq!(set.changed_accounts().len(), 0);
    assert_eq!(post_all(&mut set, &batch).unwrap().len(), 3);
    assert!(set.accounts[&account(50)].standing.changed);
}

#[test]
fn a_deadline_in_a_batch_refuses_all_of_it() {
    let mut set = world();
    let deadline = noon().minus(Duration::from_micros(1));
    let late =
        NewTransaction { not_after: Some(deadline), ..transaction(2, &[dr(RICH, 1), cr(POOR, 1)]) };
    let batch = [transaction(1, &[dr(RICH, 1), cr(POOR, 1)]), late];
    let refused = Err(Refusal::DeadlinePassed { deadline });
    assert_eq!(post_all(&mut set, &batch), Err(in_batch(1, refused)));
    assert!(!set.is_changed());
}

#[test]
fn without_all_or_none_each_stands_on_its_own() {
    let mut set = world();
    let batch = [
        transaction(1, &[dr(RICH, 60), cr(POOR, 60)]),
        transaction(2, &[dr(RICH, 60), cr(POOR, 60)]),
        transaction(3, &[dr(RICH, 40), cr(NOBODY, 40)]),
        transaction(4, &[dr(RICH, 40), cr(POOR, 40)]),
        transaction(1, &[dr(RICH, 60), cr(POOR, 60)]),
    ];
    let outcomes = post_each(&mut set, &batch);
    let outcomes: Vec<_> = outcomes
        .into_iter()
        .map(|one| one.map(|posted| (posted.record.sequence, posted.replayed)))
        .collect();
    assert_eq!(
        outcomes,
        [
            Ok((21, false)),
            Err(insufficient(RICH, 40, 60).unwrap_err()),
            Err(not_found(1).unwrap_err()),
            Ok((22, false)),
            Ok((21, true)),
        ]
    );
    assert_eq!(set.head.last_sequence, 22);
}

#[test]
fn a_batch_of_none_does_nothing() {
    let mut set = world();
    assert_eq!(post_all(&mut set, &[]), Ok(vec![]));
    assert_eq!(post_each(&mut set, &[]), []);
    assert!(!set.is_changed());
}

/// Every command, accepted and refused, on a world where much has happened already.
#[test]
fn a_dry_run_tells_what_would_come_of_it_and_does_nothing() {
    let frozen = |number| StatusChange {
        account: account(number),
        to: AccountStatus::Frozen,
        reason: "lost card".into(),
    };
    let batch = vec![
        transaction(11, &[dr(RICH, 10), cr(50, 10)]),
        transaction(1, &[dr(RICH, 40), cr(POOR, 40)]),
        transaction(12, &[dr(50, 15), cr(POOR, 15)]),
    ];
    let mut too_much = batch.clone();
    too_much.push(transaction(13, &[dr(50, 1), cr(POOR, 1)]));
    let commands = [
        Command::OpenAccount(new_account(51)),
        Command::OpenAccount(new_account(50)),
        Command::OpenAccount(NewAccount { name: String::new(), ..new_account(51) }),
        Command::Post(transaction(11, &[dr(RICH, 10), cr(50, 10)])),
        Command::Post(transaction(1, &[dr(RICH, 40), cr(POOR, 40)])),
        Command::Post(transaction(1, &[dr(RICH, 41), cr(POOR, 41)])),
        Command::Post(transaction(11, &[dr(RICH, 1_000), cr(POOR, 1_000)])),
        Command::PostAll(batch.clone()),
        Command::PostAll(too_much.clone()),
        each(&too_much),
        Command::ChangeStatus(frozen(RICH)),
        Command::ChangeStatus(frozen(50)),
        Command::ChangeStatus(frozen(CASH)),
        Command::ChangeStatus(frozen(CLOSED)),
        Command::Reverse(reversal(14, 1, None)),
        Command::Reverse(reversal(14, 1, Some(1))),
        Command::Reverse(reversal(2, 1, Some(10))),
        Command::Reverse(reversal(14, 3, None)),
        Command::Reverse(reversal(14, 1, Some(31))),
        Command::DryRun(Box::new(Command::PostAll(batch))),
    ];
    for command in commands {
        let mut set = busy_world();
        let tried = format!("{:?}", dry_run(&mut set, command.clone()));
        // Again, and in earnest: the same comes of it.
        assert_eq!(format!("{:?}", dry_run(&mut set, command.clone())), tried);
        assert_eq!(format!("{:?}", set.decide(&command)), tried, "{command:?}");
    }
}

#[test]
fn the_next_command_does_not_see_a_dry_run() {
    let mut set = world();
    let all = transaction(1, &[dr(RICH, 100), cr(POOR, 100)]);
    dry_run(&mut set, Command::Post(all.clone())).unwrap();
    dry_run(&mut set, Command::OpenAccount(new_account(50))).unwrap();
    let posted = post(&mut set, &transaction(2, &[dr(RICH, 100), cr(OVERDRAFT, 100)])).unwrap();
    assert_eq!(posted.record.sequence, 21);
    assert_eq!(post(&mut set, &all).map(drop), insufficient(RICH, 0, 100));
    assert_eq!(reverse(&mut set, &reversal(3, 1, None)), {
        Err(Refusal::OriginalNotFound { original: transaction_id(1) })
    });
    // The id of a dry run is free for anything else.
    assert!(!post(&mut set, &transaction(1, &[dr(SETTLEMENT, 1), cr(POOR, 1)])).unwrap().replayed);
    let unknown = post(&mut set, &transaction(4, &[dr(POOR, 1), cr(50, 1)]));
    assert_eq!(unknown, Err(Refusal::AccountNotFound { leg: 1, account: account(50) }));
}

/// The journal's time moves with the first record of a group and back again with a dry run.
#[test]
fn a_dry_run_does_not_move_the_time_of_the_journal() {
    let later = noon().plus(Duration::from_secs(1));
    let mut set = WorkingSet::new(world().head, later);
    set.accounts = world().accounts;
    let new = Command::Post(transaction(1, &[dr(RICH, 1), cr(POOR, 1)]));
    match dry_run(&mut set, new).unwrap() {
        Outcome::Posted(posted) => assert_eq!(posted.record.recorded_at, later),
        other => panic!("{other:?}"),
    }
    assert_eq!(set.head.last_recorded_at, noon());
}

/// A batch weighs as much as it has transactions; nothing is left out or overtakes.
#[test]
fn a_group_has_room_for_so_many_transactions() {
    let single = || Command::Post(transaction(1, &[]));
    let many = |count| Command::PostAll(vec![transaction(1, &[]); count]);
    let tried = |command| Command::DryRun(Box::new(command));
    let each = || Command::PostEach(vec![vec![transaction(1, &[]); 2], vec![transaction(1, &[])]]);
    for (commands, expected) in [
        (vec![], vec![]),
        (vec![single(); 4], vec![4]),
        (vec![single(); 9], vec![4, 4, 1]),
        (vec![many(4), many(4)], vec![1, 1]),
        (vec![single(), many(3), single()], vec![2, 1]),
        (vec![many(2), many(3), single(), single()], vec![1, 2, 1]),
        (vec![single(), many(9), single(), single()], vec![1, 1, 2]),
        (vec![many(0); 5], vec![4, 1]),
        (vec![tried(many(4)), each(), Command::OpenAccount(new_account(50)), single()], {
            vec![1, 2, 1]
        }),
    ] {
        let waiting = commands.iter().map(|command| {
            let (answer, _) = tokio::sync::oneshot::channel();
            Waiting { command: command.clone(), answer }
        });
        let groups = Group::several(waiting, 4);
        let sizes: Vec<_> = groups.iter().map(|group| group.commands.len()).collect();
        assert_eq!(sizes, expected);
        let gathered: Vec<_> = groups.into_iter().flat_map(|group| group.commands).collect();
        assert_eq!(format!("{gathered:?}"), format!("{commands:?}"));
    }
}
