//! Finishing what dead processes left.

use crate::faults::{ChargeFault, Fault};
use crate::world::{World, mad, tamper, to};
use kernel::PageLimit;
use ledger_api::{AccountId, Ledger as _};
use std::sync::Arc;
use store::testing::TestDatabase;
use uuid::Uuid;

store::on_every_store! {
    several_sweepers_finish_each_operation_once,
    one_operation_that_cannot_be_finished_does_not_keep_the_others_waiting,
    operations_that_cannot_be_finished_do_not_use_up_every_sweep,
    a_sweep_takes_no_more_than_it_was_told,
    a_sweeper_that_dies_is_replaced,
}

async fn several_sweepers_finish_each_operation_once(database: TestDatabase) {
    let (world, amina, youssef) = World::with_two(&database).await;
    let other = Arc::new(world.another_process(&database).await);
    for number in 0..12_u32 {
        let fault = [Fault::DieBefore, Fault::DieAfter][usize::from(number.is_multiple_of(3))];
        world.process.ledger.fail([fault]);
        let (key, body) = (world.key(), to(&youssef, 10));
        let work = world.process.transfer(&amina, &key, &body);
        assert!(world.process.ledger.until_death(work).await.is_none());
    }
    world.let_leases_end();
    let sweep = || {
        let (first, second) = (world.process.wallets.clone(), other.wallets.clone());
        let first = tokio::spawn(async move { first.finish_abandoned(100).await.unwrap() });
        let second = tokio::spawn(async move { second.finish_abandoned(100).await.unwrap() });
        (first, second)
    };
    let (first, second) = sweep();
    assert_eq!(first.await.unwrap().saturating_add(second.await.unwrap()), 12);
    let (first, second) = sweep();
    assert_eq!((first.await.unwrap(), second.await.unwrap()), (0, 0));
    assert_eq!(world.balance(&youssef).await, 120);
    assert_eq!(world.history(&youssef).await.len(), 12);
    // Whoever finishes it, it is recorded as asked for by who sends it.
    let received = AccountId(Uuid::new_v5(&youssef.wallet_id, b"MAD"));
    let limit = PageLimit::new(PageLimit::MAX).unwrap();
    let entries = world.ledger.entries(received, None, limit).await.unwrap().items;
    assert_eq!(entries.len(), 12);
    for entry in entries {
        let posted = world.ledger.transaction(entry.transaction_id).await.unwrap().unwrap();
        assert_eq!(posted.initiated_by, Some(amina.user_id));
    }
    world.assert_settled().await;
}

async fn one_operation_that_cannot_be_finished_does_not_keep_the_others_waiting(
    database: TestDatabase,
) {
    let (world, amina, youssef) = World::with_two(&database).await;
    let process = &world.process;
    // A top-up, older than the transfer, whose gateway is away all day.
    world.gateway.fail([ChargeFault::UnavailableBefore, ChargeFault::UnavailableBefore]);
    assert_eq!(process.top_up(&amina, "top up", &mad(500)).await.status, 503);
    process.ledger.fail([Fault::DieBefore]);
    let body = to(&youssef, 10);
    drop(process.ledger.until_death(process.transfer(&amina, "key", &body)).await);
    world.let_leases_end();
    assert_eq!(process.sweep().await, 1);
    assert_eq!(world.statuses().await, ["completed", "pending", "completed"]);
    world.let_leases_end();
    assert_eq!(process.sweep().await, 1);
    world.assert_settled().await;
}

async fn operations_that_cannot_be_finished_do_not_use_up_every_sweep(database: TestDatabase) {
    let (world, amina, youssef) = World::with_two(&database).await;
    let process = &world.process;
    world.gateway.fail([ChargeFault::UnavailableBefore; 4]);
    for key in ["a", "b"] {
        assert_eq!(process.top_up(&amina, key, &mad(500)).await.status, 503);
    }
    process.ledger.fail([Fault::DieBefore]);
    let body = to(&youssef, 10);
    drop(process.ledger.until_death(process.transfer(&amina, "key", &body)).await);
    world.let_leases_end();
    // The two are first in line; then they have had their turn.
    assert_eq!(process.wallets.finish_abandoned(2).await.unwrap(), 0);
    assert_eq!(process.wallets.finish_abandoned(2).await.unwrap(), 1);
    assert_eq!(world.balance(&youssef).await, 10);
    // They get another one later.
    world.let_leases_end();
    assert_eq!(process.wallets.finish_abandoned(2).await.unwrap(), 2);
    world.assert_settled().await;
}

async fn a_sweep_takes_no_more_than_it_was_told(database: TestDatabase) {
    let (world, amina, youssef) = World::with_two(&database).await;
    let process = &world.process;
    for _ in 0..5 {
        process.ledger.fail([Fault::Overloaded]);
        process.transfer(&amina, &world.key(), &to(&youssef, 1)).await;
    }
    let mut finished = Vec::new();
    for _ in 0..4 {
        finished.push(process.wallets.finish_abandoned(2).await.unwrap());
    }
    assert_eq!(finished, [2, 2, 1, 0]);
    world.assert_settled().await;
}

async fn a_sweeper_that_dies_is_replaced(database: TestDatabase) {
    let (world, amina, youssef) = World::with_two(&database).await;
    let other = world.another_process(&database).await;
    let process = &world.process;
    process.ledger.fail([Fault::Overloaded]);
    process.transfer(&amina, "key", &to(&youssef, 1)).await;
    for fault in [Fault::DieBefore, Fault::DieAfter] {
        process.ledger.fail([fault]);
        assert!(process.ledger.until_death(process.sweep()).await.is_none());
        assert_eq!(other.sweep().await, 0);
        world.let_leases_end();
    }
    // A row that no program wrote does not stop it either.
    tamper(&process.store, "update operations set refusal = null where status = 'pending'").await;
    assert_eq!(other.sweep().await, 1);
    assert_eq!(world.balance(&youssef).await, 1);
    world.assert_settled().await;
}
