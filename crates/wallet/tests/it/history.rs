//! A wallet's history.

use crate::faults::Fault;
use crate::world::{Person, World, mad, tamper, tamper_with_user, to};
use serde_json::{Value, json};
use store::testing::TestDatabase;

store::on_every_store! {
    both_sides_see_a_transfer,
    only_what_was_done_is_in_the_history,
    a_history_is_read_in_pages_newest_first,
    what_completes_late_stands_where_it_was_asked,
}

async fn both_sides_see_a_transfer(database: TestDatabase) {
    let (world, amina, youssef) = World::with_two(&database).await;
    let mut body = to(&youssef, 2_500);
    body["note"] = "Lunch".into();
    let sent = world.process.transfer(&amina, "key", &body).await;
    let expected = |direction: &str, name: &str| {
        json!({
            "id": sent.id(),
            "type": "transfer",
            "direction": direction,
            "status": "completed",
            "amountMinorUnits": 2_500,
            "currencyCode": "MAD",
            "counterpartyName": name,
            "note": "Lunch",
            "ledgerTransactionId": sent.body["ledgerTransactionId"],
            "createdAt": "2026-11-23T12:00:00Z",
        })
    };
    let amina_sees = world.history(&amina).await;
    assert_eq!(amina_sees[0], expected("out", "Youssef"));
    assert_eq!(world.history(&youssef).await, [expected("in", "Amina El Idrissi")]);

    let topped_up = &amina_sees[1];
    assert_eq!(amina_sees.len(), 2);
    assert_eq!(topped_up["type"], "topUp");
    assert_eq!(topped_up["direction"], "in");
    assert_eq!(topped_up["counterpartyName"], Value::Null);
    assert_eq!(topped_up["note"], Value::Null);

    // Between one's own wallets it is one's own name, and each wallet has its side.
    let mut second = amina.clone();
    second.wallet_id = world.open_wallet(&amina, &["MAD"]).await;
    world.process.transfer(&amina, "own", &to(&second, 1)).await;
    for (wallet, direction) in [(&amina, "out"), (&second, "in")] {
        let line = &world.history(wallet).await[0];
        assert_eq!(line["direction"], direction);
        assert_eq!(line["counterpartyName"], "Amina El Idrissi");
    }
    // Somebody who is gone has no name.
    tamper(&world.identity_store, "delete from refresh_tokens").await;
    tamper(&world.identity_store, "delete from user_sessions").await;
    tamper(&world.identity_store, "delete from user_roles").await;
    tamper(&world.identity_store, "delete from user_devices").await;
    tamper_with_user(&world.identity_store, "delete from users where id = $1", &youssef).await;
    assert_eq!(world.history(&amina).await[1]["counterpartyName"], Value::Null);
}

async fn only_what_was_done_is_in_the_history(database: TestDatabase) {
    let (world, amina, youssef) = World::with_two(&database).await;
    world.process.transfer(&amina, "too much", &to(&youssef, 100_001)).await;
    world.process.ledger.fail([Fault::UnavailableBefore]);
    world.process.transfer(&amina, "pending", &to(&youssef, 1)).await;
    assert_eq!(world.statuses().await, ["completed", "rejected", "pending"]);
    assert_eq!(world.history(&amina).await.len(), 1);
    assert!(world.history(&youssef).await.is_empty());
}

/// The amounts of a history read in pages of `limit`, and the number of pages.
async fn pages(world: &World, person: &Person, limit: usize) -> (Vec<i64>, usize) {
    let (mut amounts, mut count) = (Vec::new(), 0_usize);
    let mut path = person.wallet_path(&format!("/transactions?limit={limit}"));
    loop {
        let page = world.process.get(person, &path).await;
        assert_eq!(page.status, 200, "{}", page.body);
        let items = page.body["items"].as_array().unwrap();
        assert!(items.len() <= limit);
        amounts.extend(items.iter().map(|item| item["amountMinorUnits"].as_i64().unwrap()));
        count = count.saturating_add(1);
        let Value::String(cursor) = &page.body["nextCursor"] else { return (amounts, count) };
        path = person.wallet_path(&format!("/transactions?limit={limit}&cursor={cursor}"));
    }
}

async fn a_history_is_read_in_pages_newest_first(database: TestDatabase) {
    let world = World::new(&database).await;
    let amina = world.person(0, &["MAD"]).await;
    let youssef = world.person(1, &["MAD"]).await;
    assert_eq!(pages(&world, &amina, 3).await, (vec![], 1));
    for amount in 1..=6 {
        world.fund(&amina, amount).await;
    }
    world.process.transfer(&amina, "key", &to(&youssef, 7)).await;
    assert_eq!(pages(&world, &amina, 3).await, (vec![7, 6, 5, 4, 3, 2, 1], 3));
    assert_eq!(pages(&world, &amina, 7).await, (vec![7, 6, 5, 4, 3, 2, 1], 1));
    assert_eq!(pages(&world, &amina, 1).await, (vec![7, 6, 5, 4, 3, 2, 1], 7));

    // A cursor of this list counts on another wallet's, where it leads to nothing of this one's.
    let first = world.process.get(&amina, &amina.wallet_path("/transactions?limit=1")).await;
    let cursor = first.body["nextCursor"].as_str().unwrap();
    let path = youssef.wallet_path(&format!("/transactions?cursor={cursor}"));
    let answer = world.process.get(&youssef, &path).await;
    assert_eq!(answer.body, json!({ "items": [], "nextCursor": null }));
    for (query, pointer) in [
        ("cursor=00", "cursor"),
        ("cursor=zz", "cursor"),
        ("cursor=", "cursor"),
        ("limit=0", "limit"),
        ("limit=201", "limit"),
        ("limit=-1", "query"),
        ("page=2", "query"),
    ] {
        for list in ["/api/v1/wallets".to_owned(), amina.wallet_path("/transactions")] {
            let answer = world.process.get(&amina, &format!("{list}?{query}")).await;
            assert_eq!(answer.problem(), (422, "validation_failed"), "{query}");
            assert_eq!(answer.pointers(), [pointer], "{query}");
        }
    }
}

async fn what_completes_late_stands_where_it_was_asked(database: TestDatabase) {
    let world = World::new(&database).await;
    let amina = world.person(0, &["MAD"]).await;
    world.fund(&amina, 1).await;
    world.process.ledger.fail([Fault::UnavailableBefore]);
    assert_eq!(world.process.top_up(&amina, "late", &mad(2)).await.status, 503);
    world.fund(&amina, 3).await;
    assert_eq!(pages(&world, &amina, 1).await, (vec![3, 1], 2));
    world.let_leases_end();
    assert_eq!(world.process.sweep().await, 1);
    assert_eq!(pages(&world, &amina, 1).await, (vec![3, 2, 1], 3));
    world.assert_settled().await;
}
