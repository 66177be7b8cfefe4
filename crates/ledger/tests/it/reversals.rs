//! Taking back what was posted, and never more of it.

use crate::world::*;
use kernel::{Currency, PageLimit};
use ledger::EngineConfig;
use ledger_api::{AccountStatus, Ledger as _, LedgerError, NewReversal, Refusal, Side};
use std::sync::Arc;
use std::time::Duration;
use store::testing::TestDatabase;

store::on_every_store! {
    a_reversal_reads_back_with_what_it_reverses,
    what_was_taken_back_is_remembered_by_the_database,
    a_reversal_sent_again_moves_nothing,
    reversals_at_once_never_exceed_the_original,
    the_same_reversal_at_once_is_carried_out_once,
    money_that_is_spent_is_not_taken_back,
    many_legs_and_currencies_are_taken_back_whole,
    the_reversal_of_a_reversal_is_refused,
    accounts_that_only_the_original_names_are_loaded,
    the_largest_transaction_is_taken_back,
}

fn exceeds(left: i64, asked: i64) -> Refusal {
    Refusal::ReversalExceedsOriginal { left, asked }
}

async fn a_reversal_reads_back_with_what_it_reverses(database: TestDatabase) {
    let world = World::new(&database).await.with_customers(3, 100).await;
    let charged = world.ledger.post(transfer(7, 2, 3, 80)).await.unwrap().record;
    world.clock.advance(Duration::from_secs(5));
    let reversed = world.ledger.reverse(reversal(8, 7, None)).await.unwrap();
    assert!(!reversed.replayed);
    let read = world.ledger.transaction(transaction_id(8)).await.unwrap().unwrap();
    assert_eq!(read, reversed.record);
    assert_eq!(read.reverses, Some(transaction_id(7)));
    assert_eq!((read.kind.as_str(), read.description.as_deref()), {
        ("reversal", Some("charged twice"))
    });
    assert_eq!(read.legs, [credit(2, 80, Currency::MAD), debit(3, 80, Currency::MAD)]);
    assert_eq!(read.recorded_at, noon().plus(Duration::from_secs(5)));
    assert_eq!((world.balance(2).await, world.balance(3).await), (100, 100));
    // The original is as it was.
    let original = world.ledger.transaction(transaction_id(7)).await.unwrap().unwrap();
    assert_eq!((&original, original.reverses), (&charged, None));
    let page = world.ledger.entries(account_id(3), None, PageLimit::default()).await.unwrap();
    let newest = &page.items[0];
    assert_eq!((newest.transaction_id, newest.direction), (transaction_id(8), Side::Debit));
    assert_eq!(newest.description.as_deref(), Some("charged twice"));
    world.verify_clean().await;
}

/// Each part by another ledger.
async fn what_was_taken_back_is_remembered_by_the_database(database: TestDatabase) {
    let mut world = World::new(&database).await.with_customers(3, 100).await;
    world.ledger.post(transfer(7, 2, 3, 80)).await.unwrap();
    // Of another transaction, which must not count.
    world.ledger.post(transfer(6, 2, 3, 20)).await.unwrap();
    world.ledger.reverse(reversal(60, 6, None)).await.unwrap();
    for (id, asked, expected) in [
        (8, Some(30), Ok(30)),
        (9, Some(51), Err(exceeds(50, 51))),
        (9, Some(15), Ok(15)),
        (10, Some(36), Err(exceeds(35, 36))),
        (10, None, Ok(35)),
        (11, None, Err(exceeds(0, 80))),
        (11, Some(1), Err(exceeds(0, 1))),
    ] {
        world = world.restarted(&database).await;
        let reversed = match world.ledger.reverse(reversal(id, 7, asked)).await {
            Ok(reversed) => Ok(reversed.record.legs[0].amount.minor_units()),
            Err(LedgerError::Refused(refusal)) => Err(refusal),
            Err(other) => panic!("{other:?}"),
        };
        assert_eq!(reversed, expected, "{id} {asked:?}");
    }
    assert_eq!((world.balance(2).await, world.balance(3).await), (100, 100));
    world.verify_clean().await;
}

async fn a_reversal_sent_again_moves_nothing(database: TestDatabase) {
    let world = World::new(&database).await.with_customers(3, 100).await;
    world.ledger.post(transfer(7, 2, 3, 80)).await.unwrap();
    let part = world.ledger.reverse(reversal(8, 7, Some(30))).await.unwrap().record;
    let other = world.ledger.reverse(reversal(8, 7, None)).await;
    assert_eq!(refusal(other), Refusal::IdReused, "a part is not all that is left");
    let rest = world.ledger.reverse(reversal(9, 7, None)).await.unwrap().record;
    world.clock.advance(Duration::from_secs(60));
    let world = world.restarted(&database).await;
    let before = world.rows().await;
    for (new, first) in [(reversal(8, 7, Some(30)), part), (reversal(9, 7, None), rest)] {
        let again = world.ledger.reverse(new).await.unwrap();
        assert!(again.replayed);
        assert_eq!(again.record, first);
    }
    for other in [
        reversal(8, 7, Some(29)),
        reversal(8, 6, Some(30)),
        NewReversal { reason: "other".into(), ..reversal(8, 7, Some(30)) },
        reversal(7, 7, None),
    ] {
        assert_eq!(refusal(world.ledger.reverse(other).await), Refusal::IdReused);
    }
    assert_eq!(world.rows().await, before);
    assert_eq!((world.balance(2).await, world.balance(3).await), (100, 100));
}

/// Twenty ask for 7 of 100 each, through two engines: fourteen are served.
async fn reversals_at_once_never_exceed_the_original(database: TestDatabase) {
    let world = World::new(&database).await.with_customers(3, 1_000).await;
    let second = open_store(&database).await;
    let second = start(&second, EngineConfig::default(), Arc::clone(&world.clock) as _);
    world.ledger.post(transfer(7, 2, 3, 100)).await.unwrap();
    let tasks: Vec<_> = (0..20_u128)
        .map(|task| {
            let ledger = if task % 2 == 0 { world.ledger.clone() } else { second.clone() };
            tokio::spawn(async move { ledger.reverse(reversal(100 + task, 7, Some(7))).await })
        })
        .collect();
    let mut reversed = 0;
    for task in tasks {
        match task.await.unwrap() {
            Ok(one) => reversed += one.record.legs[0].amount.minor_units(),
            Err(error) => assert_eq!(refusal::<()>(Err(error)), exceeds(2, 7)),
        }
    }
    assert_eq!(reversed, 98);
    assert_eq!((world.balance(2).await, world.balance(3).await), (998, 1_002));
    // All that is left, asked for by many: one of them gets it.
    let tasks: Vec<_> = (0..10_u128)
        .map(|task| {
            let ledger = if task % 2 == 0 { world.ledger.clone() } else { second.clone() };
            tokio::spawn(async move { ledger.reverse(reversal(200 + task, 7, None)).await })
        })
        .collect();
    let mut rest = 0;
    for task in tasks {
        rest += i32::from(task.await.unwrap().is_ok());
    }
    assert_eq!(rest, 1);
    assert_eq!((world.balance(2).await, world.balance(3).await), (1_000, 1_000));
    world.verify_clean().await;
}

async fn the_same_reversal_at_once_is_carried_out_once(database: TestDatabase) {
    let world = World::new(&database).await.with_customers(3, 1_000).await;
    world.ledger.post(transfer(7, 2, 3, 100)).await.unwrap();
    let tasks: Vec<_> = (0..16)
        .map(|_| {
            let ledger = world.ledger.clone();
            tokio::spawn(async move { ledger.reverse(reversal(8, 7, Some(40))).await.unwrap() })
        })
        .collect();
    let mut fresh = 0;
    for task in tasks {
        fresh += i32::from(!task.await.unwrap().replayed);
    }
    assert_eq!(fresh, 1);
    assert_eq!(world.balance(2).await, 940);
    world.verify_clean().await;
}

async fn money_that_is_spent_is_not_taken_back(database: TestDatabase) {
    let world = World::new(&database).await.with_customers(4, 0).await;
    world.ledger.post(transfer(7, 1, 2, 100)).await.unwrap();
    world.ledger.post(transfer(8, 2, 3, 70)).await.unwrap();
    let before = world.rows().await;
    match refusal(world.ledger.reverse(reversal(9, 7, None)).await) {
        Refusal::InsufficientFunds { account, available, required } => {
            assert_eq!(account, account_id(2));
            assert_eq!((available.minor_units(), required.minor_units()), (30, 100));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(world.rows().await, before);
    assert_eq!((world.balance(2).await, world.balance(3).await), (30, 70));
    // Frozen it gives nothing back at all; open again, what is still there.
    world.ledger.change_status(change(2, AccountStatus::Frozen, "x")).await.unwrap();
    let refused = refusal(world.ledger.reverse(reversal(9, 7, Some(30))).await);
    let (account, status) = (account_id(2), AccountStatus::Frozen);
    assert_eq!(refused, Refusal::AccountNotOpen { leg: 1, account, status });
    world.ledger.change_status(change(2, AccountStatus::Open, "x")).await.unwrap();
    world.ledger.reverse(reversal(9, 7, Some(30))).await.unwrap();
    assert_eq!(world.balance(2).await, 0);
    world.verify_clean().await;
}

async fn many_legs_and_currencies_are_taken_back_whole(database: TestDatabase) {
    let world = World::new(&database).await.with_customers(3, 1_000).await;
    for number in [11, 12] {
        let euros = ledger_api::NewAccount { currency: Currency::EUR, ..settlement(number) };
        world.open(euros).await;
    }
    let legs = vec![
        debit(2, 1_000, Currency::MAD),
        credit(3, 1_000, Currency::MAD),
        debit(11, 92, Currency::EUR),
        credit(12, 92, Currency::EUR),
    ];
    world.ledger.post(with_legs(7, legs)).await.unwrap();
    let part = world.ledger.reverse(reversal(8, 7, Some(92))).await;
    assert_eq!(refusal(part), Refusal::PartialReversalOfManyLegs);
    let world = world.restarted(&database).await;
    world.ledger.reverse(reversal(8, 7, None)).await.unwrap();
    assert_eq!((world.balance(2).await, world.balance(3).await), (1_000, 1_000));
    assert_eq!((world.balance(11).await, world.balance(12).await), (0, 0));
    assert_eq!(refusal(world.ledger.reverse(reversal(9, 7, None)).await), exceeds(0, 1_000));
    world.verify_clean().await;
}

async fn the_reversal_of_a_reversal_is_refused(database: TestDatabase) {
    let world = World::new(&database).await.with_customers(3, 100).await;
    world.ledger.post(transfer(7, 2, 3, 80)).await.unwrap();
    world.ledger.reverse(reversal(8, 7, Some(80))).await.unwrap();
    let world = world.restarted(&database).await;
    let again = world.ledger.reverse(reversal(9, 8, None)).await;
    assert_eq!(refusal(again), Refusal::OriginalIsReversal);
    let unknown = world.ledger.reverse(reversal(9, 99, None)).await;
    assert_eq!(refusal(unknown), Refusal::OriginalNotFound { original: transaction_id(99) });
    world.verify_clean().await;
}

/// A group of reversals and postings, whose accounts nobody names but the originals; and an
/// original that is posted in the group itself.
async fn accounts_that_only_the_original_names_are_loaded(database: TestDatabase) {
    let world = World::new(&database).await.with_customers(6, 100).await;
    world.ledger.post(transfer(7, 2, 3, 50)).await.unwrap();
    world.ledger.post(transfer(8, 4, 5, 50)).await.unwrap();
    let held = world.hold_the_journal().await;
    let first = queue(&world.ledger, transfer(1, 1, 2, 1)).await.ok().unwrap();
    let posting = queue(&world.ledger, transfer(9, 6, 2, 60)).await.ok().unwrap();
    let mut reversing = Vec::new();
    for (id, original) in [(20, 7), (21, 8), (22, 9)] {
        let ledger = world.ledger.clone();
        let new = reversal(id, original, None);
        reversing.push(queued(async move { ledger.reverse(new).await }).await);
    }
    drop(held);
    first.await.unwrap();
    posting.await.unwrap();
    for one in reversing {
        one.await.unwrap();
    }
    for number in 3..=6 {
        assert_eq!(world.balance(number).await, 100, "{number}");
    }
    assert_eq!(world.balance(2).await, 101);
    world.verify_clean().await;
}

async fn the_largest_transaction_is_taken_back(database: TestDatabase) {
    let world = World::new(&database).await.with_customers(2, 0).await;
    let mut legs = vec![debit(1, i64::MAX, Currency::MAD)];
    legs.extend((0..998).map(|_| credit(2, 1, Currency::MAD)));
    legs.push(credit(2, i64::MAX - 998, Currency::MAD));
    world.ledger.post(with_legs(7, legs)).await.unwrap();
    let world = world.restarted(&database).await;
    let reversed = world.ledger.reverse(reversal(8, 7, None)).await.unwrap().record;
    assert_eq!(reversed.legs.len(), 1_000);
    assert_eq!((world.balance(1).await, world.balance(2).await), (0, 0));
    let world = world.restarted(&database).await;
    assert_eq!(refusal(world.ledger.reverse(reversal(9, 7, None)).await), exceeds(0, i64::MAX));
    world.verify_clean().await;
}
