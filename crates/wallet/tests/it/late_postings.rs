//! Postings that arrive after somebody else has taken the operation over.

use crate::faults::Fault;
use crate::world::{Answer, Person, Process, World, mad, to};
use ledger_api::{LedgerError, Refusal};
use std::sync::Arc;
use store::testing::TestDatabase;
use tokio::task::JoinHandle;

store::on_every_store! {
    a_posting_after_the_lease_is_refused,
    a_posting_after_the_lease_that_somebody_else_made_is_found,
    an_answer_after_the_lease_is_still_an_answer,
    a_posting_on_its_way_is_waited_for_before_anything_is_rejected,
    a_posting_on_its_way_that_arrives_after_a_takeover_is_refused,
    a_slow_refusal_does_not_overrule_a_takeover,
    a_slow_refusal_is_not_written_down_after_a_takeover,
    a_slow_posting_is_written_down_after_a_takeover,
}

/// Amina, who has 50.00, and her transfer of 100.00 that is stuck on its way to the ledger.
struct Stuck {
    world: World,
    slow: Arc<Process>,
    amina: Person,
    youssef: Person,
    request: JoinHandle<Answer>,
}

async fn stuck(database: &TestDatabase, fault: Fault, funds: i64) -> Stuck {
    let world = World::new(database).await;
    let amina = world.person(0, &["MAD"]).await;
    let youssef = world.person(1, &["MAD"]).await;
    world.fund(&amina, funds).await;
    let slow = Arc::new(world.another_process(database).await);
    slow.ledger.fail([fault]);
    let request = {
        let (slow, amina, youssef) = (slow.clone(), amina.clone(), youssef.clone());
        tokio::spawn(async move { slow.transfer(&amina, "key", &to(&youssef, 10_000)).await })
    };
    slow.ledger.stuck.notified().await;
    Stuck { world, slow, amina, youssef, request }
}

async fn a_posting_after_the_lease_is_refused(database: TestDatabase) {
    let Stuck { world, slow, amina, youssef, request } =
        stuck(&database, Fault::StuckBefore, 5_000).await;
    world.let_leases_end();
    assert_eq!(world.process.sweep().await, 1);
    assert_eq!(world.statuses().await, ["completed", "rejected"]);
    // Now the money would be there.
    world.fund(&amina, 50_000).await;
    slow.ledger.deliver().await;
    let answer = request.await.unwrap();
    assert_eq!(answer.problem(), (503, "timed_out"));
    assert_eq!(world.balance(&youssef).await, 0);
    for process in [&world.process, &*slow] {
        let answer = process.transfer(&amina, "key", &to(&youssef, 10_000)).await;
        assert_eq!(answer.problem(), (422, "insufficient_funds"));
        assert_eq!(answer.body["availableMinorUnits"], 5_000);
    }
    world.assert_settled().await;
}

async fn a_posting_after_the_lease_that_somebody_else_made_is_found(database: TestDatabase) {
    let Stuck { world, slow, amina, youssef, request } =
        stuck(&database, Fault::StuckBefore, 50_000).await;
    world.let_leases_end();
    let first = world.process.transfer(&amina, "key", &to(&youssef, 10_000)).await;
    assert_eq!(first.status, 201);
    slow.ledger.deliver().await;
    let late = request.await.unwrap();
    assert_eq!((late.status, &late.body), (201, &first.body));
    assert_eq!(world.balance(&youssef).await, 10_000);
    assert_eq!(world.history(&youssef).await.len(), 1);
    world.assert_settled().await;
}

async fn an_answer_after_the_lease_is_still_an_answer(database: TestDatabase) {
    let Stuck { world, slow, youssef, request, .. } =
        stuck(&database, Fault::StuckAfter, 50_000).await;
    world.let_leases_end();
    slow.ledger.deliver().await;
    assert_eq!(request.await.unwrap().status, 201);
    assert_eq!(world.process.sweep().await, 0);
    assert_eq!(world.balance(&youssef).await, 10_000);
    world.assert_settled().await;
}

async fn a_posting_on_its_way_is_waited_for_before_anything_is_rejected(database: TestDatabase) {
    let world = World::new(&database).await;
    let amina = world.person(0, &["MAD"]).await;
    let youssef = world.person(1, &["MAD"]).await;
    world.fund(&amina, 5_000).await;
    let process = &world.process;
    process.ledger.fail([Fault::UnavailableOnTheWay]);
    let lost = process.transfer(&amina, "key", &to(&youssef, 10_000)).await;
    assert_eq!(lost.problem(), (503, "service_unavailable"));
    // The posting may arrive any moment, so nobody can say yet that it was refused.
    let early = process.transfer(&amina, "key", &to(&youssef, 10_000)).await;
    assert_eq!(early.problem(), (409, "idempotency_key_in_flight"));
    assert_eq!(process.sweep().await, 0);
    world.fund(&amina, 50_000).await;
    assert!(process.ledger.deliver().await[0].is_ok());
    world.let_leases_end();
    let answer = process.transfer(&amina, "key", &to(&youssef, 10_000)).await;
    assert_eq!(answer.status, 201);
    assert_eq!(world.balance(&youssef).await, 10_000);
    world.assert_settled().await;
}

async fn a_posting_on_its_way_that_arrives_after_a_takeover_is_refused(database: TestDatabase) {
    let world = World::new(&database).await;
    let amina = world.person(0, &["MAD"]).await;
    let youssef = world.person(1, &["MAD"]).await;
    let salma = world.person(2, &["MAD"]).await;
    let process = &world.process;
    for (key, fault) in [("a", Fault::UnavailableOnTheWay), ("b", Fault::DieOnTheWay)] {
        process.ledger.fail([fault]);
        let body = to(&youssef, 1_000_000);
        drop(process.ledger.until_death(process.transfer(&amina, key, &body)).await);
        world.let_leases_end();
        let refused = process.transfer(&amina, key, &body).await;
        assert_eq!(refused.problem(), (422, "insufficient_funds"));
        world.fund(&amina, 1_000_000).await;
        let arrived = process.ledger.deliver().await;
        assert!(
            matches!(&arrived[..], [Err(LedgerError::Refused(Refusal::DeadlinePassed { .. }))]),
            "{arrived:?}"
        );
        assert_eq!(world.balance(&youssef).await, 0);
        // For the next one there is nothing again.
        let away = process.transfer(&amina, &world.key(), &to(&salma, 1_000_000)).await;
        assert_eq!(away.status, 201);
    }
    world.assert_settled().await;
}

async fn a_slow_refusal_does_not_overrule_a_takeover(database: TestDatabase) {
    // The slow process holds a refusal in its hands while another one succeeds.
    let Stuck { world, slow, amina, youssef, request } =
        stuck(&database, Fault::StuckAfter, 5_000).await;
    assert_eq!(world.process.top_up(&amina, "more", &mad(50_000)).await.status, 201);
    world.let_leases_end();
    assert_eq!(world.process.sweep().await, 1);
    assert_eq!(world.statuses().await, ["completed", "completed", "completed"]);
    slow.ledger.deliver().await;
    let answer = request.await.unwrap();
    assert_eq!(answer.status, 201, "{}", answer.body);
    assert_eq!(world.balance(&youssef).await, 10_000);
    world.assert_settled().await;
}

async fn a_slow_refusal_is_not_written_down_after_a_takeover(database: TestDatabase) {
    let Stuck { world, slow, amina, youssef, request } =
        stuck(&database, Fault::StuckAfter, 5_000).await;
    world.fund(&amina, 50_000).await;
    world.let_leases_end();
    // The other process posts and dies: nobody has written anything down yet.
    world.process.ledger.fail([Fault::DieAfter]);
    assert!(world.process.ledger.until_death(world.process.sweep()).await.is_none());
    slow.ledger.deliver().await;
    assert_eq!(request.await.unwrap().problem(), (503, "timed_out"));
    assert_eq!(world.statuses().await, ["completed", "pending", "completed"]);
    world.let_leases_end();
    let answer = slow.transfer(&amina, "key", &to(&youssef, 10_000)).await;
    assert_eq!(answer.status, 201);
    assert_eq!(world.balance(&youssef).await, 10_000);
    world.assert_settled().await;
}

async fn a_slow_posting_is_written_down_after_a_takeover(database: TestDatabase) {
    let Stuck { world, slow, youssef, request, .. } =
        stuck(&database, Fault::StuckAfter, 50_000).await;
    world.let_leases_end();
    world.process.ledger.fail([Fault::DieBefore]);
    assert!(world.process.ledger.until_death(world.process.sweep()).await.is_none());
    slow.ledger.deliver().await;
    assert_eq!(request.await.unwrap().status, 201);
    assert_eq!(world.balance(&youssef).await, 10_000);
    world.assert_settled().await;
}
