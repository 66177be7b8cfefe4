//! Holds through the facade, on every store.

use crate::world::*;
use ledger::EngineConfig;
use ledger_api::{
    Direction, HoldRelease, HoldStatus, Ledger as _, LedgerError, Limit, NewCapture, NewHold,
    Refusal, ReleaseCause,
};
use std::sync::Arc;
use std::time::Duration;
use store::testing::TestDatabase;
use tokio::task::JoinSet;

store::on_every_store! {
    a_hold_reads_back_as_it_was_made_and_as_it_goes,
    a_hold_goes_on_after_a_restart,
    holds_over_time_are_released_in_order,
    many_legs_are_held_and_captured_together,
    captures_at_once_never_take_more_than_the_hold,
    captures_and_voids_at_once_leave_one_outcome,
    a_hold_made_and_ended_in_one_group_is_stored_so,
    two_engines_see_each_others_holds_and_limits,
}

async fn status(world: &World, id: u128) -> HoldStatus {
    world.ledger.hold_by_id(hold_id(id)).await.unwrap().unwrap().status
}

/// An account's posted and available balance.
async fn standing(world: &World, number: u128) -> (i64, i64) {
    let account = world.ledger.account(account_id(number)).await.unwrap().unwrap();
    (account.posted(), account.available())
}

async fn a_hold_reads_back_as_it_was_made_and_as_it_goes(database: TestDatabase) {
    let world = World::new(&database).await.with_customers(3, 100).await;
    let new = NewHold {
        description: Some("Hotel – فندق".into()),
        reference: Some("R-1".into()),
        metadata: [("room".to_owned(), "4\u{0}2".to_owned())].into(),
        expires_at: Some(noon().plus(Duration::from_secs(60))),
        tolerance: 5,
        ..hold(1, 2, 3, 60)
    };
    let made = world.ledger.hold(new.clone()).await.unwrap();
    assert!(!made.replayed && made.record.has_content_of(&new));
    assert_eq!(made.record.sequence, 6);
    let read = world.ledger.hold_by_id(hold_id(1)).await.unwrap().unwrap();
    assert_eq!(read, made.record);
    assert_eq!(standing(&world, 2).await, (100, 40));
    assert!(world.ledger.hold(new.clone()).await.unwrap().replayed);
    let captured = world.ledger.capture(capture(7, 1, Some(25))).await.unwrap().record;
    assert_eq!(world.ledger.transaction(captured.id).await.unwrap().unwrap(), captured);
    assert_eq!(captured.captures, Some(hold_id(1)));
    assert_eq!(captured.metadata, new.metadata);
    let read = world.ledger.hold_by_id(hold_id(1)).await.unwrap().unwrap();
    assert_eq!((read.captured, read.status, read.ended_by), (25, HoldStatus::Pending, None));
    let ended = world.ledger.release(voided(1)).await.unwrap();
    assert_eq!(world.ledger.hold_by_id(hold_id(1)).await.unwrap().unwrap(), ended.record);
    assert_eq!((ended.record.status, ended.record.ended_by), (HoldStatus::Voided, Some(8)));
    assert!(world.ledger.release(voided(1)).await.unwrap().replayed);
    assert_eq!(standing(&world, 2).await, (75, 75));
    assert_eq!(world.ledger.hold_by_id(hold_id(9)).await.unwrap(), None);
    world.verify_clean().await;
}

async fn a_hold_goes_on_after_a_restart(database: TestDatabase) {
    let world = World::new(&database).await.with_customers(3, 100).await;
    world.ledger.hold(NewHold { tolerance: 10, ..hold(1, 2, 3, 60) }).await.unwrap();
    world.ledger.capture(capture(7, 1, Some(25))).await.unwrap();
    let world = world.restarted(&database).await;
    assert!(world.ledger.capture(capture(7, 1, Some(25))).await.unwrap().replayed);
    assert_eq!(refusal(world.ledger.capture(capture(7, 1, Some(24))).await), Refusal::IdReused);
    let refused = refusal(world.ledger.capture(capture(8, 1, Some(46))).await);
    assert_eq!(refused, Refusal::CaptureExceedsHold { left: 45, asked: 46 });
    world.ledger.capture(capture(8, 1, Some(45))).await.unwrap();
    let world = world.restarted(&database).await;
    let refused = refusal(world.ledger.capture(capture(9, 1, None)).await);
    assert_eq!(refused, Refusal::HoldNotPending { status: HoldStatus::Captured });
    assert!(world.ledger.capture(capture(8, 1, Some(45))).await.unwrap().replayed);
    assert_eq!((standing(&world, 2).await, standing(&world, 3).await), ((30, 30), (170, 170)));
    world.verify_clean().await;
}

async fn holds_over_time_are_released_in_order(database: TestDatabase) {
    let world = World::new(&database).await.with_customers(3, 100).await;
    for (id, seconds) in [(1, Some(30)), (2, Some(10)), (3, Some(20)), (4, None), (5, Some(90))] {
        let expires_at = seconds.map(|seconds| noon().plus(Duration::from_secs(seconds)));
        world.ledger.hold(NewHold { expires_at, ..hold(id, 2, 3, 10) }).await.unwrap();
    }
    world.ledger.capture(capture(7, 2, Some(4))).await.unwrap();
    assert_eq!(world.ledger.expire_holds(10).await.unwrap(), 0);
    world.clock.advance(Duration::from_secs(30));
    // The earliest first.
    assert_eq!(world.ledger.expire_holds(2).await.unwrap(), 2);
    assert_eq!(status(&world, 1).await, HoldStatus::Pending);
    assert_eq!(world.ledger.expire_holds(10).await.unwrap(), 1);
    assert_eq!(world.ledger.expire_holds(10).await.unwrap(), 0);
    let expected = [
        HoldStatus::Expired,
        HoldStatus::Expired,
        HoldStatus::Expired,
        HoldStatus::Pending,
        HoldStatus::Pending,
    ];
    for (id, expected) in (1..).zip(expected) {
        assert_eq!(status(&world, id).await, expected, "{id}");
    }
    assert_eq!(standing(&world, 2).await, (96, 76));
    // One that is over time can still be voided, but not captured.
    world.clock.advance(Duration::from_secs(60));
    let over = refusal(world.ledger.capture(capture(8, 5, None)).await);
    assert!(matches!(over, Refusal::HoldExpiry { is_over: true, .. }), "{over:?}");
    world.ledger.release(voided(5)).await.unwrap();
    assert_eq!(world.ledger.expire_holds(10).await.unwrap(), 0);
    // Two at once end each hold once.
    let soon = Some(noon().plus(Duration::from_secs(91)));
    for id in 10..18 {
        world.ledger.hold(NewHold { expires_at: soon, ..hold(id, 2, 3, 1) }).await.unwrap();
    }
    world.clock.advance(Duration::from_secs(1));
    let (one, other) = tokio::join!(world.ledger.expire_holds(8), world.ledger.expire_holds(8));
    assert!(one.unwrap() + other.unwrap() >= 8);
    assert_eq!(world.number("select count(*) from hold_changes").await, 3 + 1 + 8);
    world.verify_clean().await;
}

async fn many_legs_are_held_and_captured_together(database: TestDatabase) {
    const MAD: kernel::Currency = kernel::Currency::MAD;
    let world = World::new(&database).await.with_customers(4, 100).await;
    let legs = vec![debit(2, 60, MAD), credit(3, 45, MAD), credit(1, 15, MAD)];
    for id in [1, 2] {
        let refused = world.ledger.hold(NewHold { legs: legs.clone(), ..hold(id, 2, 3, 1) }).await;
        // There is not enough for the second.
        assert_eq!(refused.is_ok(), id == 1);
    }
    let world = world.restarted(&database).await;
    let refused = refusal(world.ledger.capture(capture(7, 1, Some(30))).await);
    assert_eq!(refused, Refusal::PartialCaptureOfManyLegs);
    assert_eq!(world.ledger.capture(capture(7, 1, None)).await.unwrap().record.legs, legs);
    assert_eq!((standing(&world, 2).await, standing(&world, 3).await), ((40, 40), (145, 145)));
    world.verify_clean().await;
}

/// A hundred want some, and each asks twice.
async fn captures_at_once_never_take_more_than_the_hold(database: TestDatabase) {
    let world = World::new(&database).await.with_customers(3, 1_000).await;
    world.ledger.hold(NewHold { tolerance: 5, ..hold(1, 2, 3, 300) }).await.unwrap();
    let second = open_store(&database).await;
    let second = start(&second, EngineConfig::default(), Arc::clone(&world.clock) as _);
    let mut tasks = JoinSet::new();
    for id in 100..200 {
        let ledgers = [world.ledger.clone(), second.clone()];
        tasks.spawn(async move {
            let [one, other] = &ledgers;
            let new = capture(id, 1, Some(7));
            let (one, other) = tokio::join!(one.capture(new.clone()), other.capture(new));
            match (one, other) {
                (Ok(one), Ok(other)) => {
                    assert_eq!(one.record, other.record);
                    assert!(one.replayed != other.replayed);
                    7
                }
                (Err(LedgerError::Refused(one)), Err(LedgerError::Refused(_))) => {
                    let over = matches!(
                        one,
                        Refusal::HoldNotPending { .. } | Refusal::CaptureExceedsHold { .. }
                    );
                    assert!(over, "{one:?}");
                    0
                }
                other => panic!("{other:?}"),
            }
        });
    }
    let taken: i64 = tasks.join_all().await.into_iter().sum();
    // The 43rd goes beyond the hold, within its tolerance, and is the last.
    assert_eq!(taken, 43 * 7);
    assert_eq!(
        (standing(&world, 2).await, standing(&world, 3).await),
        ((699, 699), (1_301, 1_301))
    );
    assert_eq!(status(&world, 1).await, HoldStatus::Captured);
    world.verify_clean().await;
}

async fn captures_and_voids_at_once_leave_one_outcome(database: TestDatabase) {
    let world = World::new(&database).await.with_customers(3, 1_000).await;
    for id in 1..=20 {
        world.ledger.hold(hold(id, 2, 3, 10)).await.unwrap();
    }
    let mut tasks = JoinSet::new();
    for id in 1..=20 {
        let (one, other) = (world.ledger.clone(), world.ledger.clone());
        tasks.spawn(async move {
            let whole = capture(100 + id, id, None);
            let (captured, voided) = tokio::join!(one.capture(whole), other.release(voided(id)));
            assert!(captured.is_ok() != voided.is_ok(), "{captured:?} {voided:?}");
            if captured.is_ok() { 10 } else { 0 }
        });
    }
    let taken: i64 = tasks.join_all().await.into_iter().sum();
    assert_eq!(standing(&world, 2).await, (1_000 - taken, 1_000 - taken));
    world.verify_clean().await;
}

async fn a_hold_made_and_ended_in_one_group_is_stored_so(database: TestDatabase) {
    let world = World::new(&database).await.with_customers(3, 100).await;
    let held = world.hold_the_journal().await;
    let ledger = || world.ledger.clone();
    // The first is being carried out while the others gather into one group.
    let first = queue(&world.ledger, transfer(1, 1, 2, 1)).await.ok().unwrap();
    let (one, two, three, four, five) = (ledger(), ledger(), ledger(), ledger(), ledger());
    let made = queued(async move { one.hold(hold(1, 2, 3, 60)).await }).await;
    let part = queued(async move { two.capture(capture(7, 1, Some(20))).await }).await;
    let ended = queued(async move { three.release(voided(1)).await }).await;
    let whole = queued(async move { four.hold(hold(2, 2, 3, 5)).await }).await;
    let last = queued(async move {
        five.capture(NewCapture { is_final: true, ..capture(8, 2, Some(4)) }).await
    })
    .await;
    drop(held);
    first.await.unwrap();
    made.await.unwrap();
    part.await.unwrap();
    ended.await.unwrap();
    whole.await.unwrap();
    last.await.unwrap();
    let one = world.ledger.hold_by_id(hold_id(1)).await.unwrap().unwrap();
    assert_eq!((one.status, one.captured), (HoldStatus::Voided, 20));
    let two = world.ledger.hold_by_id(hold_id(2)).await.unwrap().unwrap();
    assert_eq!((two.status, two.captured), (HoldStatus::Captured, 4));
    assert_eq!(standing(&world, 2).await, (77, 77));
    world.verify_clean().await;
}

/// What one engine knows of an account must not outlive what the other does to it.
async fn two_engines_see_each_others_holds_and_limits(database: TestDatabase) {
    let world = World::new(&database).await.with_customers(3, 100).await;
    let second = open_store(&database).await;
    let other = start(&second, EngineConfig::default(), Arc::clone(&world.clock) as _);
    let one = &world.ledger;
    for round in 0..5_u128 {
        let id = |place| 100 + round * 10 + place;
        one.hold(hold(round + 1, 2, 3, 90)).await.unwrap();
        let refused = refusal(other.post(transfer(id(1), 2, 3, 11)).await);
        assert!(matches!(refused, Refusal::InsufficientFunds { .. }), "{refused:?}");
        other.capture(capture(id(2), round + 1, Some(50))).await.unwrap();
        let refused = refusal(one.post(transfer(id(3), 2, 3, 11)).await);
        assert!(matches!(refused, Refusal::InsufficientFunds { .. }), "{refused:?}");
        one.release(voided(round + 1)).await.unwrap();
        // The same limit, written anew: what was used of it stays.
        let limit = Limit { count: Some(1_000), ..daily(51 * (i64::try_from(round).unwrap() + 1)) };
        other.set_limits(limits(2, &[limit])).await.unwrap();
        one.post(transfer(id(4), 2, 3, 1)).await.unwrap();
        other.post(transfer(id(5), 3, 2, 51)).await.unwrap();
        if round == 0 {
            // Only what came after the limit was set counts: one of 51.
            other.post(transfer(id(6), 2, 3, 50)).await.unwrap();
            let refused = refusal(one.post(transfer(id(7), 2, 3, 1)).await);
            assert!(matches!(refused, Refusal::LimitExceeded { left: 0, .. }), "{refused:?}");
            one.set_limits(limits(2, &[daily(1_000)])).await.unwrap();
            other.post(transfer(id(8), 3, 2, 50)).await.unwrap();
        }
        one.set_limits(limits(2, &[])).await.unwrap();
    }
    assert_eq!(standing(&world, 2).await, (100, 100));
    let incoming = Limit { direction: Direction::Incoming, ..daily(1) };
    other.set_limits(limits(2, &[incoming])).await.unwrap();
    refusal(one.post(transfer(900, 1, 2, 2)).await);
    let expired =
        HoldRelease { hold: hold_id(1), cause: ReleaseCause::Expired, initiated_by: None };
    let refused = refusal(other.release(expired).await);
    assert_eq!(refused, Refusal::HoldNotPending { status: HoldStatus::Voided });
    world.verify_clean().await;
}
