//! Limits through the facade, on every store.

use crate::world::*;
use kernel::ManualClock;
use ledger::EngineConfig;
use ledger_api::{
    Direction, Ledger as _, LedgerError, Limit, LimitChange, Limits, LimitsInUse, Measure,
    NewCapture, NewHold, NewTransaction, Period, Refusal,
};
use std::sync::Arc;
use std::time::Duration;
use store::testing::TestDatabase;
use tokio::task::JoinSet;

store::on_every_store! {
    limits_read_back_and_hold_after_a_restart,
    limits_begin_anew_with_the_day_and_the_month,
    transfers_at_once_stop_exactly_at_a_daily_limit,
    a_number_of_transfers_at_once_stops_exactly_at_its_limit,
    every_counter_is_stored_by_its_own_name,
    what_is_used_is_given_back_across_a_restart_and_no_more,
    a_capture_uses_what_it_takes_and_its_records_say_so,
    a_clock_that_is_behind_shows_the_period_that_counts,
}

const DAY: Duration = Duration::from_secs(86_400);

async fn in_use(world: &World, number: u128) -> LimitsInUse {
    world.ledger.limits(account_id(number)).await.unwrap().unwrap()
}

async fn used(world: &World, number: u128) -> Vec<(i64, i64)> {
    let limits = in_use(world, number).await.limits;
    limits.iter().map(|one| (one.used_minor_units, one.used_count)).collect()
}

fn monthly(count: i64) -> Limit {
    Limit { period: Period::Month, minor_units: None, count: Some(count), ..daily(0) }
}

async fn limits_read_back_and_hold_after_a_restart(database: TestDatabase) {
    let world = World::new(&database).await.with_customers(3, 1_000).await;
    let none = LimitsInUse { time_zone: kernel::TimeZone::UTC, limits: Vec::new() };
    assert_eq!(in_use(&world, 2).await, none);
    assert_eq!(world.ledger.limits(account_id(99)).await.unwrap(), None);
    let card = Limit { kind: Some("card \"1\" إيجار".into()), ..daily(10) };
    let single = Limit { period: Period::Transaction, ..daily(400) };
    let all = Limits {
        time_zone: "Europe/Paris".parse().unwrap(),
        limits: vec![daily(500), monthly(3), card.clone(), single.clone()],
    };
    let change = LimitChange { account: account_id(2), limits: all.clone() };
    let set = world.ledger.set_limits(change.clone()).await.unwrap();
    assert_eq!(set, in_use(&world, 2).await);
    assert_eq!(set.time_zone, all.time_zone);
    world.ledger.post(transfer(1, 2, 3, 300)).await.unwrap();
    let world = world.restarted(&database).await;
    assert_eq!(used(&world, 2).await, [(300, 1), (300, 1), (0, 0), (0, 0)]);
    // The same again is nothing new, also for an engine that read it from the database.
    let before = world.rows().await;
    world.ledger.set_limits(change).await.unwrap();
    assert_eq!(world.rows().await, before);
    let refused = refusal(world.ledger.post(transfer(2, 2, 3, 201)).await);
    let expected = Refusal::LimitExceeded {
        account: account_id(2),
        limit: Box::new(daily(500)),
        measure: Measure::Amount,
        left: 200,
        resets_at: Some("2026-11-23T23:00:00Z".parse().unwrap()),
    };
    assert_eq!(refused, expected);
    let refused = refusal(world.ledger.post(transfer(2, 2, 3, 401)).await);
    assert!(matches!(refused, Refusal::LimitExceeded { left: 200, .. }), "{refused:?}");
    let of_kind = |id, amount| NewTransaction {
        kind: "card \"1\" إيجار".into(),
        ..transfer(id, 2, 3, amount)
    };
    refusal(world.ledger.post(of_kind(3, 11)).await);
    world.ledger.post(of_kind(3, 10)).await.unwrap();
    assert_eq!(used(&world, 2).await, [(310, 2), (310, 2), (10, 1), (0, 0)]);
    world.ledger.set_limits(limits(2, &[])).await.unwrap();
    world.ledger.post(transfer(4, 2, 3, 690)).await.unwrap();
    world.verify_clean().await;
}

async fn limits_begin_anew_with_the_day_and_the_month(database: TestDatabase) {
    let world = World::new(&database).await.with_customers(3, 1_000).await;
    world.ledger.set_limits(limits(2, &[daily(50), monthly(3)])).await.unwrap();
    for day in 0..3_u128 {
        world.ledger.post(transfer(10 + day, 2, 3, 50)).await.unwrap();
        refusal(world.ledger.post(transfer(20 + day, 2, 3, 1)).await);
        let times = i64::try_from(day).unwrap() + 1;
        assert_eq!(used(&world, 2).await, [(50, 1), (50 * times, times)]);
        world.clock.advance(DAY);
        assert_eq!(used(&world, 2).await[0], (0, 0), "before anything is posted, too");
    }
    let refused = refusal(world.ledger.post(transfer(30, 2, 3, 1)).await);
    assert!(
        matches!(refused, Refusal::LimitExceeded { measure: Measure::Count, left: 0, .. }),
        "{refused:?}"
    );
    world.clock.advance(DAY * 5);
    world.ledger.post(transfer(30, 2, 3, 50)).await.unwrap();
    assert_eq!(used(&world, 2).await, [(50, 1), (50, 1)]);
    assert_eq!(world.number("select count(*) from limit_usages").await, 2);
    world.verify_clean().await;
}

/// A hundred transfers, each from both of two engines.
async fn race(world: &World, database: &TestDatabase, amount: i64) -> i64 {
    let second = open_store(database).await;
    let second = start(&second, EngineConfig::default(), Arc::clone(&world.clock) as _);
    let mut tasks = JoinSet::new();
    for id in 100..200 {
        let (one, other) = (world.ledger.clone(), second.clone());
        tasks.spawn(async move {
            let new = transfer(id, 2, 3, amount);
            let (one, other) = tokio::join!(one.post(new.clone()), other.post(new));
            match (one, other) {
                (Ok(one), Ok(other)) => i64::from(one.replayed != other.replayed),
                (Err(LedgerError::Refused(one)), Err(LedgerError::Refused(_))) => {
                    assert!(matches!(one, Refusal::LimitExceeded { .. }), "{one:?}");
                    0
                }
                other => panic!("{other:?}"),
            }
        });
    }
    tasks.join_all().await.into_iter().sum()
}

async fn transfers_at_once_stop_exactly_at_a_daily_limit(database: TestDatabase) {
    let world = World::new(&database).await.with_customers(3, 10_000).await;
    world.ledger.set_limits(limits(2, &[daily(300)])).await.unwrap();
    assert_eq!(race(&world, &database, 7).await, 42);
    assert_eq!(used(&world, 2).await, [(294, 42)]);
    assert_eq!(world.balance(2).await, 10_000 - 294);
    world.verify_clean().await;
}

async fn a_number_of_transfers_at_once_stops_exactly_at_its_limit(database: TestDatabase) {
    let world = World::new(&database).await.with_customers(3, 10_000).await;
    world.ledger.set_limits(limits(2, &[monthly(17)])).await.unwrap();
    assert_eq!(race(&world, &database, 5).await, 17);
    assert_eq!(used(&world, 2).await, [(85, 17)]);
    world.verify_clean().await;
}

async fn every_counter_is_stored_by_its_own_name(database: TestDatabase) {
    let world = World::new(&database).await.with_customers(3, 1_000).await;
    let mut all = Vec::new();
    for direction in [Direction::Incoming, Direction::Outgoing] {
        for period in [Period::Day, Period::Month] {
            // A kind that looks like a part of a counter's name.
            for kind in [None, Some("transfer"), Some("day transfer"), Some(" ")] {
                let kind = kind.map(str::to_owned);
                all.push(Limit { direction, period, kind, ..daily(500) });
            }
        }
    }
    world.ledger.set_limits(limits(2, &all)).await.unwrap();
    let kinds = ["transfer", "day transfer", " ", "other"];
    for (id, kind) in (1..).zip(kinds) {
        let of_kind = |new| NewTransaction { kind: kind.into(), ..new };
        world.ledger.post(of_kind(transfer(id, 2, 3, 10))).await.unwrap();
        world.ledger.post(of_kind(transfer(id + 10, 3, 2, 20))).await.unwrap();
    }
    let world = world.restarted(&database).await;
    let a_period = |each: i64| [(each * 4, 4), (each, 1), (each, 1), (each, 1)];
    let expected = [a_period(20), a_period(20), a_period(10), a_period(10)].concat();
    assert_eq!(used(&world, 2).await, expected);
    world.verify_clean().await;
}

async fn what_is_used_is_given_back_across_a_restart_and_no_more(database: TestDatabase) {
    let world = World::new(&database).await.with_customers(3, 1_000).await;
    world.ledger.hold(hold(1, 2, 3, 40)).await.unwrap();
    world.ledger.set_limits(limits(2, &[daily(100)])).await.unwrap();
    world.ledger.hold(hold(2, 2, 3, 30)).await.unwrap();
    world.ledger.capture(capture(7, 2, Some(10))).await.unwrap();
    world.ledger.post(transfer(8, 2, 3, 60)).await.unwrap();
    let world = world.restarted(&database).await;
    // Made before there was a limit, so not counted.
    world.ledger.release(voided(1)).await.unwrap();
    assert_eq!(used(&world, 2).await, [(90, 2)]);
    world.ledger.release(voided(2)).await.unwrap();
    assert_eq!(used(&world, 2).await, [(70, 2)]);
    refusal(world.ledger.post(transfer(9, 2, 3, 31)).await);
    world.ledger.post(transfer(9, 2, 3, 30)).await.unwrap();
    world.verify_clean().await;
}

async fn a_capture_uses_what_it_takes_and_its_records_say_so(database: TestDatabase) {
    let world = World::new(&database).await.with_customers(3, 1_000).await;
    world.ledger.set_limits(limits(2, &[daily(500)])).await.unwrap();
    world.ledger.hold(NewHold { tolerance: 5, ..hold(1, 2, 3, 40) }).await.unwrap();
    world.ledger.capture(capture(11, 1, Some(10))).await.unwrap();
    assert_eq!(used(&world, 2).await, [(40, 1)]);
    world.ledger.capture(NewCapture { is_final: true, ..capture(12, 1, Some(15)) }).await.unwrap();
    assert_eq!(used(&world, 2).await, [(25, 1)]);
    world.verify_clean().await;
    world.ledger.hold(NewHold { tolerance: 5, ..hold(2, 2, 3, 20) }).await.unwrap();
    world.ledger.capture(capture(13, 2, Some(25))).await.unwrap();
    assert_eq!(used(&world, 2).await, [(50, 2)]);
    world.verify_clean().await;
}

/// What is shown as used is what the next posting is measured by.
async fn a_clock_that_is_behind_shows_the_period_that_counts(database: TestDatabase) {
    let world = World::new(&database).await.with_customers(3, 1_000).await;
    let set = world.ledger.set_limits(limits(2, &[daily(500)])).await.unwrap();
    world.ledger.post(transfer(1, 2, 3, 300)).await.unwrap();
    let store = open_store(&database).await;
    let yesterday = Arc::new(ManualClock::at(noon().minus(DAY)));
    let behind = start(&store, EngineConfig::default(), yesterday);
    let shown = behind.limits(account_id(2)).await.unwrap().unwrap();
    assert_eq!(shown.limits[0].used_minor_units, 300);
    assert_eq!(shown.limits[0].resets_at, set.limits[0].resets_at);
    let refused = refusal(behind.post(transfer(2, 2, 3, 201)).await);
    assert!(matches!(refused, Refusal::LimitExceeded { left: 200, .. }), "{refused:?}");
}
