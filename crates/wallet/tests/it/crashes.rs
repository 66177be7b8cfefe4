//! A process dies, or an answer is lost, at each point of an operation.

use crate::faults::{ChargeFault, Fault};
use crate::world::{Answer, Person, World, mad, to};
use store::testing::TestDatabase;

store::on_every_store! {
    a_process_that_dies_before_posting_loses_nothing,
    a_process_that_dies_after_posting_doubles_nothing,
    a_retry_finishes_what_a_dead_process_began,
    a_retry_while_a_process_may_be_alive_is_told_to_wait,
    an_answer_of_the_ledger_that_is_lost_doubles_nothing,
    a_ledger_that_was_busy_is_asked_again_at_once,
    a_gateway_that_was_away_is_asked_again_at_once,
    a_charge_whose_answer_was_lost_is_made_once,
    a_top_up_survives_a_death_after_the_charge,
    what_was_charged_is_never_called_rejected,
    a_refusal_found_by_the_second_process_is_the_answer,
    a_client_that_goes_away_changes_nothing,
}

/// A transfer of 100.00 whose process dies at the posting.
async fn die(fault: Fault, database: &TestDatabase) -> (World, Person, Person) {
    let (world, amina, youssef) = World::with_two(database).await;
    world.process.ledger.fail([fault]);
    let body = to(&youssef, 10_000);
    let work = world.process.transfer(&amina, "key", &body);
    assert!(world.process.ledger.until_death(work).await.is_none());
    assert_eq!(world.statuses().await, ["completed", "pending"]);
    (world, amina, youssef)
}

#[track_caller]
fn assert_done(answer: &Answer) {
    assert_eq!(answer.status, 201, "{}", answer.body);
}

async fn a_process_that_dies_before_posting_loses_nothing(database: TestDatabase) {
    let (world, amina, youssef) = die(Fault::DieBefore, &database).await;
    let other = world.another_process(&database).await;
    assert_eq!(other.sweep().await, 0);
    assert_eq!(world.balance(&amina).await, 100_000);
    world.let_leases_end();
    assert_eq!(other.sweep().await, 1);
    assert_eq!(other.sweep().await, 0);
    assert_eq!([world.balance(&amina).await, world.balance(&youssef).await], [90_000, 10_000]);
    let answer = other.transfer(&amina, "key", &to(&youssef, 10_000)).await;
    assert_done(&answer);
    assert!(answer.is_replayed());
    world.assert_settled().await;
}

async fn a_process_that_dies_after_posting_doubles_nothing(database: TestDatabase) {
    let (world, amina, youssef) = die(Fault::DieAfter, &database).await;
    assert_eq!([world.balance(&amina).await, world.balance(&youssef).await], [90_000, 10_000]);
    assert!(world.history(&youssef).await.is_empty());
    let other = world.another_process(&database).await;
    world.let_leases_end();
    assert_eq!(other.sweep().await, 1);
    assert_eq!(world.history(&youssef).await.len(), 1);
    assert_done(&other.transfer(&amina, "key", &to(&youssef, 10_000)).await);
    assert_eq!([world.balance(&amina).await, world.balance(&youssef).await], [90_000, 10_000]);
    world.assert_settled().await;
}

async fn a_retry_finishes_what_a_dead_process_began(database: TestDatabase) {
    let (world, amina, youssef) = World::with_two(&database).await;
    let other = world.another_process(&database).await;
    for (key, fault, received) in [("a", Fault::DieBefore, 10), ("b", Fault::DieAfter, 20)] {
        let body = to(&youssef, 10);
        world.process.ledger.fail([fault]);
        let work = world.process.transfer(&amina, key, &body);
        assert!(world.process.ledger.until_death(work).await.is_none());
        world.let_leases_end();
        let first = other.transfer(&amina, key, &body).await;
        assert_done(&first);
        let again = world.process.transfer(&amina, key, &body).await;
        assert_eq!(first.body, again.body);
        assert!(!first.is_replayed() && again.is_replayed());
        assert_eq!(other.sweep().await, 0);
        assert_eq!(world.balance(&youssef).await, received);
    }
    world.assert_settled().await;
}

async fn a_retry_while_a_process_may_be_alive_is_told_to_wait(database: TestDatabase) {
    let (world, amina, youssef) = die(Fault::DieAfter, &database).await;
    let answer = world.process.transfer(&amina, "key", &to(&youssef, 10_000)).await;
    assert_eq!(answer.problem(), (409, "idempotency_key_in_flight"));
    assert_eq!(answer.headers["retry-after"], "16");
    // Waiting as long as one is told is enough.
    world.clock.advance(std::time::Duration::from_secs(16));
    assert_done(&world.process.transfer(&amina, "key", &to(&youssef, 10_000)).await);
    world.assert_settled().await;
}

async fn an_answer_of_the_ledger_that_is_lost_doubles_nothing(database: TestDatabase) {
    let (world, amina, youssef) = World::with_two(&database).await;
    for (key, fault, received) in
        [("a", Fault::UnavailableBefore, 10), ("b", Fault::UnavailableAfter, 20)]
    {
        world.process.ledger.fail([fault]);
        let lost = world.process.transfer(&amina, key, &to(&youssef, 10)).await;
        assert_eq!(lost.problem(), (503, "service_unavailable"));
        assert_eq!(world.statuses().await.last().unwrap(), "pending");
        world.let_leases_end();
        assert_done(&world.process.transfer(&amina, key, &to(&youssef, 10)).await);
        assert_eq!(world.process.sweep().await, 0);
        assert_eq!(world.balance(&youssef).await, received);
    }
    world.assert_settled().await;
}

async fn a_ledger_that_was_busy_is_asked_again_at_once(database: TestDatabase) {
    let (world, amina, youssef) = World::with_two(&database).await;
    world.process.ledger.fail([Fault::Overloaded, Fault::Overloaded]);
    for _ in 0..2 {
        let answer = world.process.transfer(&amina, "key", &to(&youssef, 10_000)).await;
        assert_eq!(answer.problem(), (503, "ledger_busy"));
        assert_eq!(answer.headers["retry-after"], "1");
    }
    assert_eq!(world.balance(&amina).await, 100_000);
    assert_done(&world.process.transfer(&amina, "key", &to(&youssef, 10_000)).await);
    assert_eq!(world.balance(&amina).await, 90_000);
    world.assert_settled().await;
}

async fn a_gateway_that_was_away_is_asked_again_at_once(database: TestDatabase) {
    let (world, amina, _) = World::with_two(&database).await;
    world.gateway.fail([ChargeFault::UnavailableBefore, ChargeFault::UnavailableBefore]);
    for _ in 0..2 {
        let answer = world.process.top_up(&amina, "key", &mad(500)).await;
        assert_eq!(answer.problem(), (503, "payment_gateway_unavailable"));
        assert_eq!(world.balance(&amina).await, 100_000);
    }
    assert_done(&world.process.top_up(&amina, "key", &mad(500)).await);
    assert_eq!(world.balance(&amina).await, 100_500);
    assert_eq!(world.gateway.charged(), (100_500, 2));
    world.assert_settled().await;
}

async fn a_charge_whose_answer_was_lost_is_made_once(database: TestDatabase) {
    let (world, amina, _) = World::with_two(&database).await;
    world.gateway.fail([ChargeFault::UnavailableAfter]);
    let answer = world.process.top_up(&amina, "key", &mad(500)).await;
    assert_eq!(answer.problem(), (503, "payment_gateway_unavailable"));
    // Nobody asks again: the sweeper does.
    world.let_leases_end();
    assert_eq!(world.process.sweep().await, 1);
    assert_eq!(world.balance(&amina).await, 100_500);
    assert_eq!(world.gateway.charged(), (100_500, 2));
    world.assert_settled().await;
}

async fn a_top_up_survives_a_death_after_the_charge(database: TestDatabase) {
    let (world, amina, _) = World::with_two(&database).await;
    for (key, fault, funds, charges) in
        [("a", Fault::DieBefore, 100_500, 2), ("b", Fault::DieAfter, 101_000, 3)]
    {
        let body = mad(500);
        world.process.ledger.fail([fault]);
        let work = world.process.top_up(&amina, key, &body);
        assert!(world.process.ledger.until_death(work).await.is_none());
        assert_eq!(world.gateway.charged(), (funds, charges));
        world.let_leases_end();
        assert_done(&world.process.top_up(&amina, key, &body).await);
        assert_eq!(world.balance(&amina).await, funds);
        assert_eq!(world.gateway.charged(), (funds, charges));
    }
    world.assert_settled().await;
}

async fn what_was_charged_is_never_called_rejected(database: TestDatabase) {
    let (world, amina, _) = World::with_two(&database).await;
    let freeze = |from: &str, to: &str| {
        format!(
            "update account_states set status = '{to}' where status = '{from}' and posted_credits > 0"
        )
    };
    // The account is frozen between the charge and the posting.
    world.gateway.fail([ChargeFault::UnavailableAfter]);
    let answer = world.process.top_up(&amina, "key", &mad(500)).await;
    assert_eq!(answer.problem(), (503, "payment_gateway_unavailable"));
    world.tamper_ledger(&freeze("open", "frozen")).await;
    let answer = world.process.top_up(&amina, "key", &mad(500)).await;
    assert_eq!(answer.problem(), (500, "internal_error"));
    assert_eq!(world.gateway.charged(), (100_500, 2));
    assert_eq!(world.statuses().await, ["completed", "pending"]);
    // Nobody is charged anew for a frozen account.
    let answer = world.process.top_up(&amina, "another key", &mad(500)).await;
    assert_eq!(answer.problem(), (422, "account_unavailable"));
    assert_eq!(world.gateway.charged(), (100_500, 2));
    // What was charged is credited as soon as it can be.
    world.tamper_ledger(&freeze("frozen", "open")).await;
    world.let_leases_end();
    assert_eq!(world.process.sweep().await, 1);
    assert_eq!(world.balance(&amina).await, 100_500);
    world.assert_settled().await;
}

async fn a_refusal_found_by_the_second_process_is_the_answer(database: TestDatabase) {
    let (world, amina, youssef) = die(Fault::DieBefore, &database).await;
    let other = world.another_process(&database).await;
    assert_done(&other.transfer(&amina, "all", &to(&youssef, 100_000)).await);
    world.let_leases_end();
    assert_eq!(other.sweep().await, 1);
    assert_eq!(world.statuses().await, ["completed", "rejected", "completed"]);
    let answer = other.transfer(&amina, "key", &to(&youssef, 10_000)).await;
    assert_eq!(answer.problem(), (422, "insufficient_funds"));
    assert_eq!(answer.body["availableMinorUnits"], 0);
    assert!(answer.is_replayed());
    world.fund(&amina, 10_000).await;
    let answer = other.transfer(&amina, "key", &to(&youssef, 10_000)).await;
    assert_eq!(answer.problem(), (422, "insufficient_funds"));
    world.assert_settled().await;
}

async fn a_client_that_goes_away_changes_nothing(database: TestDatabase) {
    let (world, amina, youssef) = World::with_two(&database).await;
    // The request is dropped after ever more steps of its work.
    for steps in 0..40_u32 {
        let key = format!("key {steps}");
        let body = to(&youssef, 1);
        let mut work = Box::pin(world.process.transfer(&amina, &key, &body));
        for _ in 0..steps {
            let polled = std::future::poll_fn(|context| {
                std::task::Poll::Ready(work.as_mut().poll(context).is_ready())
            });
            if polled.await {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_micros(300)).await;
        }
        drop(work);
    }
    world.let_leases_end();
    while world.process.sweep().await > 0 {}
    let done = world.history(&youssef).await.len();
    assert_eq!(world.balance(&youssef).await, i64::try_from(done).unwrap());
    world.assert_settled().await;
}
