//! One key, one operation.

use crate::faults::Fault;
use crate::world::{Answer, World, count, mad, tamper, tamper_with_user, to};
use axum::body::Body;
use axum::http::Request;
use serde_json::json;
use std::sync::Arc;
use store::testing::TestDatabase;
use tokio::task::JoinSet;

store::on_every_store! {
    a_replay_is_the_first_answer_whatever_has_changed_since,
    a_replay_of_a_refusal_is_the_first_refusal,
    a_key_stands_for_one_request,
    the_order_of_members_and_spaces_do_not_make_another_request,
    a_request_that_began_nothing_does_not_use_its_key,
    what_one_asks_twenty_times_at_once_is_done_once,
    keys_of_different_callers_never_meet,
    an_answer_that_is_the_first_is_not_a_replay,
}

#[track_caller]
fn assert_replays(first: &Answer, again: &Answer) {
    assert!(!first.is_replayed() && again.is_replayed(), "{first:?} {again:?}");
    assert_eq!((first.status, &first.body), (again.status, &again.body));
    assert_eq!(first.headers["content-type"], again.headers["content-type"]);
}

async fn a_replay_is_the_first_answer_whatever_has_changed_since(database: TestDatabase) {
    let (world, amina, youssef) = World::with_two(&database).await;
    let process = &world.process;
    let named = json!({ "phone": youssef.phone });
    let body = json!({ "to": named, "amountMinorUnits": 100_000, "currencyCode": "MAD" });
    let sent = process.transfer(&amina, "send", &body).await;
    let topped_up = process.top_up(&amina, "top up", &mad(7)).await;
    process.transfer(&amina, "the rest", &to(&youssef, 7)).await;
    let before = (world.books().await, world.gateway.charged());

    // The number is somebody else's now, everyone's wallets are frozen, the day is another.
    let sql = "update users set phone_number_index = email_index where id = $1";
    tamper_with_user(&world.identity_store, sql, &youssef).await;
    tamper(&process.store, "update wallets set status = 'frozen'").await;
    world.let_leases_end();
    let other = world.another_process(&database).await;
    for process in [process, &other] {
        assert_replays(&sent, &process.transfer(&amina, "send", &body).await);
        assert_replays(&topped_up, &process.top_up(&amina, "top up", &mad(7)).await);
    }
    assert_eq!((world.books().await, world.gateway.charged()), before);
    world.assert_settled().await;
}

async fn a_replay_of_a_refusal_is_the_first_refusal(database: TestDatabase) {
    let (world, amina, youssef) = World::with_two(&database).await;
    let process = &world.process;
    let too_much = process.transfer(&amina, "too much", &to(&youssef, 100_001)).await;
    assert_eq!(too_much.problem(), (422, "insufficient_funds"));
    let mut body = mad(5);
    body["paymentMethod"] = "sandbox-declined".into();
    let declined = process.top_up(&amina, "declined", &body).await;
    assert_eq!(declined.problem(), (422, "payment_declined"));

    world.fund(&amina, 50_000).await;
    let before = world.books().await;
    world.let_leases_end();
    assert_eq!(process.sweep().await, 0);
    assert_replays(&too_much, &process.transfer(&amina, "too much", &to(&youssef, 100_001)).await);
    assert_replays(&declined, &process.top_up(&amina, "declined", &body).await);
    assert_eq!(world.books().await, before);
    // With a new key it is a new request.
    assert_eq!(process.transfer(&amina, "again", &to(&youssef, 100_001)).await.status, 201);
    world.assert_settled().await;
}

async fn a_key_stands_for_one_request(database: TestDatabase) {
    let (world, amina, youssef) = World::with_two(&database).await;
    let process = &world.process;
    let mut second = amina.clone();
    second.wallet_id = world.open_wallet(&amina, &["MAD"]).await;
    world.fund(&second, 1_000).await;
    assert_eq!(process.transfer(&amina, "key", &to(&youssef, 100)).await.status, 201);
    let refused = process.transfer(&amina, "refused", &to(&youssef, 200_000)).await;
    assert_eq!(refused.status, 422);
    let before = (world.books().await, world.gateway.charged());
    let mut noted = to(&youssef, 100);
    noted["note"] = "Lunch".into();
    let mut by_phone = to(&youssef, 100);
    by_phone["to"] = json!({ "phone": youssef.phone });
    let mut euros = to(&youssef, 100);
    euros["currencyCode"] = "EUR".into();
    let stranger =
        json!({ "to": { "phone": "+212600000000" }, "amountMinorUnits": 1, "currencyCode": "MAD" });
    for answer in [
        process.transfer(&amina, "key", &to(&youssef, 101)).await,
        process.transfer(&amina, "key", &to(&second, 100)).await,
        process.transfer(&amina, "key", &noted).await,
        process.transfer(&amina, "key", &by_phone).await,
        process.transfer(&amina, "key", &euros).await,
        process.transfer(&amina, "key", &stranger).await,
        process.transfer(&second, "key", &to(&youssef, 100)).await,
        process.top_up(&amina, "key", &mad(100)).await,
        process.transfer(&amina, "refused", &to(&youssef, 1)).await,
    ] {
        assert_eq!(answer.problem(), (422, "idempotency_key_reused"));
        assert!(!answer.is_replayed());
    }
    assert_eq!((world.books().await, world.gateway.charged()), before);
    world.assert_settled().await;
}

async fn the_order_of_members_and_spaces_do_not_make_another_request(database: TestDatabase) {
    let (world, amina, youssef) = World::with_two(&database).await;
    let first = world.process.transfer(&amina, "key", &to(&youssef, 100)).await;
    let text = format!(
        "{{ \"currencyCode\" : \"MAD\",\n \"note\": null, \"amountMinorUnits\": 100, \
         \"to\": {{\"email\": null, \"walletId\":\"{}\"}} }}",
        youssef.wallet_id
    );
    let request = Request::post(amina.wallet_path("/transfers"))
        .header("authorization", format!("bearer {}", amina.token))
        .header("content-type", "application/json; charset=utf-8")
        .header("idempotency-key", " key ")
        .body(Body::from(text));
    let again = world.process.send(request.unwrap()).await;
    assert_replays(&first, &again);
    assert_eq!(world.balance(&youssef).await, 100);
}

async fn a_request_that_began_nothing_does_not_use_its_key(database: TestDatabase) {
    let (world, amina, youssef) = World::with_two(&database).await;
    let process = &world.process;
    let by_phone = |phone: &str| json!({ "to": { "phone": phone }, "amountMinorUnits": 5, "currencyCode": "MAD" });
    let refused = process.transfer(&amina, "key", &by_phone("+212612345680")).await;
    assert_eq!(refused.problem(), (422, "recipient_not_found"));
    assert_eq!(process.transfer(&amina, "key", &to(&amina, 5)).await.status, 422);
    assert_eq!(process.transfer(&amina, "key", &to(&youssef, 0)).await.status, 422);
    let mut gone = amina.clone();
    gone.wallet_id = uuid::Uuid::from_u128(1);
    assert_eq!(process.transfer(&gone, "key", &to(&youssef, 5)).await.status, 404);
    assert_eq!(count(&process.store, "idempotency_records").await, 1);
    // The recipient signs up, and the same request succeeds.
    world.person(2, &["MAD"]).await;
    let answer = process.transfer(&amina, "key", &by_phone("+212612345680")).await;
    assert_eq!((answer.status, answer.is_replayed()), (201, false));
}

async fn what_one_asks_twenty_times_at_once_is_done_once(database: TestDatabase) {
    let (world, amina, youssef) = World::with_two(&database).await;
    let world = Arc::new(world);
    let other = Arc::new(world.another_process(&database).await);
    let mut asked = JoinSet::new();
    for number in 0..20_u32 {
        let (world, other) = (world.clone(), other.clone());
        let (amina, youssef) = (amina.clone(), youssef.clone());
        asked.spawn(async move {
            let process = if number.is_multiple_of(2) { &world.process } else { &other };
            process.transfer(&amina, "key", &to(&youssef, 60_000)).await
        });
    }
    let answers = asked.join_all().await;
    let first = answers.iter().find(|answer| answer.status == 201 && !answer.is_replayed());
    let first = first.expect("one of them did it");
    for answer in &answers {
        match answer.status {
            201 => assert_eq!(answer.body, first.body),
            _ => {
                assert_eq!(answer.problem(), (409, "idempotency_key_in_flight"));
                let wait: u64 = answer.headers["retry-after"].to_str().unwrap().parse().unwrap();
                assert!((1..=16).contains(&wait), "{wait}");
            }
        }
    }
    assert_eq!(answers.iter().filter(|one| one.status == 201 && !one.is_replayed()).count(), 1);
    assert_eq!([world.balance(&amina).await, world.balance(&youssef).await], [40_000, 60_000]);
    assert_eq!(world.history(&youssef).await.len(), 1);
    world.assert_settled().await;
}

async fn keys_of_different_callers_never_meet(database: TestDatabase) {
    let (world, amina, youssef) = World::with_two(&database).await;
    world.fund(&youssef, 1_000).await;
    assert_eq!(world.process.transfer(&amina, "key", &to(&youssef, 10)).await.status, 201);
    let answer = world.process.transfer(&youssef, "key", &to(&amina, 10)).await;
    assert_eq!((answer.status, answer.is_replayed()), (201, false));
    assert_eq!([world.balance(&amina).await, world.balance(&youssef).await], [100_000, 1_000]);
    world.assert_settled().await;
}

async fn an_answer_that_is_the_first_is_not_a_replay(database: TestDatabase) {
    let (world, amina, youssef) = World::with_two(&database).await;
    world.process.ledger.fail([Fault::Overloaded]);
    let busy = world.process.transfer(&amina, "key", &to(&youssef, 10)).await;
    assert_eq!(busy.problem(), (503, "ledger_busy"));
    let first = world.process.transfer(&amina, "key", &to(&youssef, 10)).await;
    assert_eq!(first.status, 201);
    assert_replays(&first, &world.process.transfer(&amina, "key", &to(&youssef, 10)).await);
}
