//! Large transfers need a fresh authentication.

use crate::world::{World, to};
use serde_json::json;
use std::time::Duration;
use store::testing::TestDatabase;

store::on_every_store! {
    a_large_transfer_needs_a_fresh_authentication,
    in_a_currency_without_an_amount_every_transfer_needs_one,
}

/// 10,000.00 MAD, above which a transfer is large.
const LARGEST: i64 = 1_000_000;

async fn a_large_transfer_needs_a_fresh_authentication(database: TestDatabase) {
    let (world, amina, youssef) = World::with_two(&database).await;
    world.fund(&amina, 5 * LARGEST).await;
    let large = to(&youssef, LARGEST + 1);
    let done = world.process.transfer(&amina, "first", &large).await;
    assert_eq!(done.status, 201, "signed in just now: {}", done.body);
    world.clock.advance(Duration::from_secs(299));
    assert_eq!(world.process.transfer(&amina, "second", &large).await.status, 201);
    world.clock.advance(Duration::from_secs(1));
    let before = world.books().await;
    let refused = world.process.transfer(&amina, "third", &large).await;
    assert_eq!(refused.problem(), (401, "insufficient_user_authentication"));
    assert_eq!(refused.body["maxAgeSeconds"], 300);
    let challenge = refused.headers["www-authenticate"].to_str().unwrap();
    assert!(challenge.contains("max_age=\"300\""), "{challenge}");
    assert_eq!(world.books().await, before, "nothing moved");
    // What was begun is answered as it was, and what is small goes on.
    let replayed = world.process.transfer(&amina, "first", &large).await;
    assert!(replayed.is_replayed());
    assert_eq!(replayed.body, done.body);
    let small = to(&youssef, LARGEST);
    assert_eq!(world.process.transfer(&amina, "third", &small).await.status, 201, "unused so far");
    world.assert_settled().await;
}

async fn in_a_currency_without_an_amount_every_transfer_needs_one(database: TestDatabase) {
    let world = World::new(&database).await;
    let amina = world.person(0, &["JPY"]).await;
    let youssef = world.person(1, &["JPY"]).await;
    let body = json!({ "amountMinorUnits": 500, "currencyCode": "JPY" });
    assert_eq!(world.process.top_up(&amina, "money", &body).await.status, 201);
    let mut small = to(&youssef, 1);
    small["currencyCode"] = json!("JPY");
    assert_eq!(world.process.transfer(&amina, "first", &small).await.status, 201);
    world.clock.advance(Duration::from_mins(5));
    let refused = world.process.transfer(&amina, "second", &small).await;
    assert_eq!(refused.problem(), (401, "insufficient_user_authentication"));
}
