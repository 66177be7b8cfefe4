//! Many transactions at once: all of them or none, however many, and whoever else is there.

use crate::world::*;
use ledger::{EngineConfig, Ledger};
use ledger_api::{Ledger as _, LedgerError, NewTransaction, Refusal};
use std::sync::Arc;
use std::time::{Duration, Instant};
use store::testing::TestDatabase;

store::on_every_store! {
    ten_thousand_are_posted_at_once_and_replayed,
    a_refusal_at_the_very_end_leaves_nothing,
    a_batch_is_replayed_by_another_ledger_whole_or_in_part,
    a_batch_and_its_transactions_alone_race_and_each_is_posted_once,
    batches_that_overlap_are_all_or_none,
    a_batch_uses_accounts_opened_just_before_it,
    a_damaged_account_costs_only_the_batch_that_uses_it,
    large_batches_at_once_do_not_hold_up_the_engine,
}

/// Far more than it takes, also on a slow machine.
const BOUND: Duration = Duration::from_secs(60);

/// From the settlement account to customers in turn.
fn salaries(ids: std::ops::Range<u128>, customers: u128) -> Vec<NewTransaction> {
    ids.map(|id| transfer(id, 1, 2 + id % customers, 1)).collect()
}

#[track_caller]
fn index_of(refused: Refusal) -> (usize, Refusal) {
    match refused {
        Refusal::InBatch { index, refusal } => (index, *refusal),
        other => panic!("{other:?}"),
    }
}

async fn ten_thousand_are_posted_at_once_and_replayed(database: TestDatabase) {
    let world = World::new(&database).await.with_customers(101, 0).await;
    let batch = salaries(0..10_000, 100);
    let started = Instant::now();
    let posted = world.ledger.post_all(batch.clone()).await.unwrap();
    let again = world.ledger.post_all(batch.clone()).await.unwrap();
    assert!(started.elapsed() < BOUND, "{:?}", started.elapsed());
    assert_eq!((posted.len(), again.len()), (10_000, 10_000));
    for (number, (first, second)) in (102..).zip(posted.iter().zip(&again)) {
        assert_eq!((first.replayed, second.replayed), (false, true));
        assert_eq!(first.record.sequence, number);
        assert_eq!(first.record, second.record);
    }
    for (new, posted) in batch.iter().zip(&posted) {
        assert!(posted.record.has_content_of(new));
    }
    assert_eq!(world.balance(2).await, 100);
    assert_eq!(world.rows().await, [10_101, 101, 0, 10_000, 20_000, 0, 0, 0]);
    world.verify_clean().await;
}

async fn a_refusal_at_the_very_end_leaves_nothing(database: TestDatabase) {
    let world = World::new(&database).await.with_customers(3, 0).await;
    world.ledger.post(transfer(5_000, 1, 2, 7)).await.unwrap();
    let before = world.rows().await;
    let mut batch = salaries(0..9_999, 2);
    // One of them was there before, and stays.
    batch[5_000] = transfer(5_000, 1, 2, 7);
    batch.push(transfer(9_999, 3, 2, 1_000_000));
    let (index, refused) = index_of(refusal(world.ledger.post_all(batch.clone()).await));
    assert_eq!(index, 9_999);
    assert!(matches!(refused, Refusal::InsufficientFunds { .. }), "{refused:?}");
    assert_eq!(world.rows().await, before);
    assert_eq!((world.balance(2).await, world.balance(3).await), (7, 0));
    assert_eq!(world.ledger.transaction(transaction_id(0)).await.unwrap(), None);
    world.verify_clean().await;
    // Without the culprit it goes through.
    batch.pop();
    let posted = world.ledger.post_all(batch).await.unwrap();
    assert_eq!(posted.iter().filter(|one| one.replayed).count(), 1);
    world.verify_clean().await;
}

async fn a_batch_is_replayed_by_another_ledger_whole_or_in_part(database: TestDatabase) {
    let world = World::new(&database).await.with_customers(3, 0).await;
    let first = world.ledger.post_all(salaries(0..4, 2)).await.unwrap();
    let world = world.restarted(&database).await;
    world.clock.advance(Duration::from_secs(60));
    let again = world.ledger.post_all(salaries(0..6, 2)).await.unwrap();
    for (one, other) in first.iter().zip(&again) {
        assert!(other.replayed);
        assert_eq!(one.record, other.record);
    }
    let fresh: Vec<_> = again[4..].iter().map(|one| (one.record.sequence, one.replayed)).collect();
    assert_eq!(fresh, [(8, false), (9, false)]);
    // An id of it with other content refuses all that comes with it.
    let mixed = vec![transfer(6, 1, 2, 1), transfer(0, 1, 2, 2)];
    assert_eq!(index_of(refusal(world.ledger.post_all(mixed).await)), (1, Refusal::IdReused));
    assert_eq!(world.ledger.transaction(transaction_id(6)).await.unwrap(), None);
    world.verify_clean().await;
}

/// Who posts it first is chance; that it is posted once is not. Two engines on one database.
async fn a_batch_and_its_transactions_alone_race_and_each_is_posted_once(database: TestDatabase) {
    let world = World::new(&database).await.with_customers(4, 0).await;
    let second = open_store(&database).await;
    let second = start(&second, EngineConfig::default(), Arc::clone(&world.clock) as _);
    let ledgers = [world.ledger.clone(), second];
    let mut tasks: Vec<tokio::task::JoinHandle<Vec<_>>> = Vec::new();
    for task in 0..12_u128 {
        let ledger = ledgers[usize::try_from(task % 2).unwrap()].clone();
        tasks.push(tokio::spawn(async move {
            let mut seen = Vec::new();
            for round in 0..6 {
                let ids = round * 20..round * 20 + 20;
                if task % 3 == 0 {
                    for new in salaries(ids, 3) {
                        seen.push(ledger.post(new).await.unwrap());
                    }
                } else {
                    seen.extend(ledger.post_all(salaries(ids, 3)).await.unwrap());
                }
            }
            seen
        }));
    }
    let mut all = Vec::new();
    for task in tasks {
        all.extend(task.await.unwrap());
    }
    assert_eq!(all.len(), 12 * 120);
    let mut fresh: Vec<_> =
        all.iter().filter(|one| !one.replayed).map(|one| one.record.id).collect();
    fresh.sort_unstable();
    assert_eq!(fresh, (0..120).map(transaction_id).collect::<Vec<_>>());
    for one in &all {
        let read = all.iter().find(|other| other.record.id == one.record.id).unwrap();
        assert_eq!(one.record, read.record);
    }
    assert_eq!(world.balance(2).await, 40);
    assert_eq!(world.verify_clean().await.transactions, 120);
}

/// Each batch pays ten out of one account that has enough for some of them only.
async fn batches_that_overlap_are_all_or_none(database: TestDatabase) {
    let world = World::new(&database).await.with_customers(3, 155).await;
    let pay = |ledger: Ledger, task: u128| {
        tokio::spawn(async move {
            let ids = task * 10..task * 10 + 10;
            let batch =
                ids.map(|id| transfer(id, 2, 3, 1 + i64::from(id % 10 == 9) * 30)).collect();
            ledger.post_all(batch).await
        })
    };
    let tasks: Vec<_> = (0..10).map(|task| pay(world.ledger.clone(), task)).collect();
    let mut posted: u128 = 0;
    for task in tasks {
        match task.await.unwrap() {
            Ok(batch) => posted += batch.len() as u128 / 10,
            Err(LedgerError::Refused(Refusal::InBatch { .. })) => (),
            Err(other) => panic!("{other:?}"),
        }
    }
    assert_eq!(posted, 3, "40 each, of 155");
    assert_eq!((world.balance(2).await, world.balance(3).await), (35, 275));
    assert_eq!(world.verify_clean().await.transactions, 2 + 30);
}

async fn a_batch_uses_accounts_opened_just_before_it(database: TestDatabase) {
    let world = World::new(&database).await.with_customers(2, 0).await;
    let held = world.hold_the_journal().await;
    // One is carried out alone; what comes then is one group.
    let first = queue(&world.ledger, transfer(1, 1, 2, 1)).await.ok().unwrap();
    let (ledger, other) = (world.ledger.clone(), world.ledger.clone());
    let opening = queued(async move { ledger.open_account(customer(50)).await }).await;
    let batch = vec![transfer(2, 1, 50, 9), transfer(3, 50, 2, 4)];
    let posting = queued(async move { other.post_all(batch).await }).await;
    drop(held);
    first.await.unwrap();
    opening.await.unwrap();
    assert_eq!(posting.await.unwrap().len(), 2);
    assert_eq!((world.balance(50).await, world.balance(2).await), (5, 5));
    world.verify_clean().await;
}

async fn a_damaged_account_costs_only_the_batch_that_uses_it(database: TestDatabase) {
    let world = World::new(&database).await.with_customers(4, 0).await;
    let damage = "update account_states set currency_code = 'ZZZ' where account_sequence = 3";
    world.tamper(damage).await.unwrap();
    // An engine that has not seen the account yet.
    let world = world.restarted(&database).await;
    let held = world.hold_the_journal().await;
    let tasks: Vec<_> = (0..8_u128)
        .map(|task| {
            let ledger = world.ledger.clone();
            let to = if task == 5 { 3 } else { 4 };
            let batch = vec![transfer(task * 2, 1, 2, 1), transfer(task * 2 + 1, 1, to, 1)];
            tokio::spawn(async move { ledger.post_all(batch).await })
        })
        .collect();
    drop(held);
    for (task, result) in tasks.into_iter().enumerate() {
        match result.await.unwrap() {
            Err(LedgerError::Unavailable(_)) => assert_eq!(task, 5),
            other => assert_eq!(other.unwrap().len(), 2),
        }
    }
    assert_eq!((world.balance(2).await, world.balance(4).await), (7, 7));
}

/// Whoever posts one transaction waits for the group before his, not for all batches there are.
async fn large_batches_at_once_do_not_hold_up_the_engine(database: TestDatabase) {
    let world = World::new(&database).await.with_customers(11, 0).await;
    let started = Instant::now();
    let tasks: Vec<_> = (0..6_u128)
        .map(|task| {
            let ledger = world.ledger.clone();
            let batch = salaries(task * 5_000..task * 5_000 + 5_000, 10);
            tokio::spawn(async move { ledger.post_all(batch).await.unwrap().len() })
        })
        .collect();
    for task in tasks {
        assert_eq!(task.await.unwrap(), 5_000);
    }
    assert!(started.elapsed() < BOUND, "{:?}", started.elapsed());
    assert_eq!(world.balance(2).await, 3_000);
    world.verify_clean().await;
}
