//! Top-ups and transfers that succeed.

use crate::world::{Answer, World, mad, tamper, to};
use ledger_api::{Ledger as _, Side, TransactionId};
use serde_json::{Value, json};
use store::testing::TestDatabase;
use uuid::Uuid;

store::on_every_store! {
    a_top_up_answers_with_what_was_done,
    a_transfer_answers_with_what_was_done,
    a_recipient_may_be_named_in_every_usual_way,
    whoever_has_several_wallets_receives_on_the_oldest_that_holds_the_currency,
    a_wallet_that_is_named_is_the_one_that_receives,
    the_largest_amount_and_the_whole_balance_can_be_sent,
    notes_of_200_characters_in_any_script_arrive,
}

#[track_caller]
fn assert_completed(answer: &Answer, amount: i64) -> TransactionId {
    assert_eq!(answer.status, 201, "{}", answer.body);
    assert!(!answer.is_replayed());
    let transaction_id: Uuid =
        answer.body["ledgerTransactionId"].as_str().unwrap().parse().unwrap();
    let expected = json!({
        "id": answer.id(),
        "status": "completed",
        "amountMinorUnits": amount,
        "currencyCode": "MAD",
        "ledgerTransactionId": transaction_id,
        "createdAt": "2026-11-23T12:00:00Z",
    });
    assert_eq!(answer.body, expected);
    TransactionId(transaction_id)
}

async fn a_top_up_answers_with_what_was_done(database: TestDatabase) {
    let world = World::new(&database).await;
    let amina = world.person(0, &["MAD"]).await;
    let mut body = mad(25_000);
    body["paymentMethod"] = "my card".into();
    let answer = world.process.top_up(&amina, "key", &body).await;
    let transaction_id = assert_completed(&answer, 25_000);
    assert_eq!(world.balance(&amina).await, 25_000);
    assert_eq!(world.gateway.charged(), (25_000, 1));

    let posted = world.ledger.transaction(transaction_id).await.unwrap().unwrap();
    assert_eq!(posted.kind, "wallet.top_up");
    assert_eq!(posted.reference, Some(answer.id().to_string()));
    assert_eq!(posted.initiated_by, Some(amina.user_id));
    let sides: Vec<_> = posted.legs.iter().map(|leg| leg.direction).collect();
    assert_eq!(sides, [Side::Debit, Side::Credit]);
    // What the gateway owes us is an asset that grew.
    let gateway = world.ledger.account(posted.legs[0].account_id).await.unwrap().unwrap();
    assert_eq!((gateway.name.as_str(), gateway.posted()), ("payment gateway MAD", 25_000));
    world.assert_settled().await;
}

async fn a_transfer_answers_with_what_was_done(database: TestDatabase) {
    let (world, amina, youssef) = World::with_two(&database).await;
    let answer = world.process.transfer(&amina, "key", &to(&youssef, 30_000)).await;
    let transaction_id = assert_completed(&answer, 30_000);
    assert_eq!(world.balance(&amina).await, 70_000);
    assert_eq!(world.balance(&youssef).await, 30_000);

    let posted = world.ledger.transaction(transaction_id).await.unwrap().unwrap();
    assert_eq!(posted.kind, "wallet.transfer");
    // Who sends it, and not who receives it.
    assert_eq!(posted.initiated_by, Some(amina.user_id));
    // The books hold no personal data.
    assert_eq!((posted.description, posted.metadata.len()), (None, 0));
    world.assert_settled().await;
}

async fn a_recipient_may_be_named_in_every_usual_way(database: TestDatabase) {
    let (world, amina, youssef) = World::with_two(&database).await;
    let mut received = 0_i64;
    for named in [
        json!({ "phone": "+212612345679" }),
        json!({ "phone": "00212 6 12 34 56 79" }),
        json!({ "phone": " +212 (6) 12-34-56-79 " }),
        json!({ "email": "youssef@example.com" }),
        json!({ "email": "YOUSSEF@Example.COM" }),
        json!({ "walletId": youssef.wallet_id }),
        json!({ "walletId": youssef.wallet_id.to_string().to_uppercase() }),
        json!({ "walletId": youssef.wallet_id, "phone": null, "email": null }),
    ] {
        let body = json!({ "to": named, "amountMinorUnits": 100, "currencyCode": "MAD" });
        let answer = world.process.transfer(&amina, &world.key(), &body).await;
        assert_completed(&answer, 100);
        received = received.saturating_add(100);
        assert_eq!(world.balance(&youssef).await, received, "{named}");
    }
    assert_eq!(world.balance(&amina).await, 99_200);
    world.assert_settled().await;
}

async fn whoever_has_several_wallets_receives_on_the_oldest_that_holds_the_currency(
    database: TestDatabase,
) {
    let world = World::new(&database).await;
    let amina = world.person(0, &["MAD"]).await;
    world.fund(&amina, 1_000).await;
    let euros = world.person(1, &["EUR"]).await;
    let oldest = world.open_wallet(&euros, &["EUR", "MAD"]).await;
    let newest = world.open_wallet(&euros, &["MAD"]).await;
    let send = async |key: &str| {
        let named = json!({ "phone": euros.phone });
        let body = json!({ "to": named, "amountMinorUnits": 10, "currencyCode": "MAD" });
        let answer = world.process.transfer(&amina, key, &body).await;
        assert_completed(&answer, 10);
    };
    let lines = async |wallet: Uuid| {
        let path = format!("/api/v1/wallets/{wallet}/transactions");
        let answer = world.process.get(&euros, &path).await;
        answer.body["items"].as_array().unwrap().len()
    };
    send("first").await;
    assert_eq!([lines(oldest).await, lines(newest).await], [1, 0]);

    // One that is not active receives nothing.
    for status in ["frozen", "closed"] {
        let sql = format!(
            "update wallets set status = '{status}' where id in (select wallet_id from \
             wallet_transactions where direction = 'in') and owner_id <> (select owner_id \
             from wallets order by id limit 1)"
        );
        tamper(&world.process.store, &sql).await;
        if status == "frozen" {
            send(status).await;
            assert_eq!([lines(oldest).await, lines(newest).await], [1, 1]);
            let sql = "update wallets set status = 'active'";
            tamper(&world.process.store, sql).await;
        }
    }
    world.assert_settled().await;
}

async fn a_wallet_that_is_named_is_the_one_that_receives(database: TestDatabase) {
    let (world, amina, youssef) = World::with_two(&database).await;
    let mut second = youssef.clone();
    second.wallet_id = world.open_wallet(&youssef, &["MAD"]).await;
    assert_completed(&world.process.transfer(&amina, "a", &to(&second, 10)).await, 10);
    assert_eq!([world.balance(&youssef).await, world.balance(&second).await], [0, 10]);
    // Between wallets of one's own, too.
    assert_completed(&world.process.transfer(&second, "b", &to(&youssef, 4)).await, 4);
    assert_eq!([world.balance(&youssef).await, world.balance(&second).await], [4, 6]);
    world.assert_settled().await;
}

async fn the_largest_amount_and_the_whole_balance_can_be_sent(database: TestDatabase) {
    let world = World::new(&database).await;
    let amina = world.person(0, &["MAD"]).await;
    let youssef = world.person(1, &["MAD"]).await;
    let largest = 9_007_199_254_740_991;
    world.fund(&amina, largest).await;
    let answer = world.process.transfer(&amina, "key", &to(&youssef, largest)).await;
    assert_completed(&answer, largest);
    assert_eq!([world.balance(&amina).await, world.balance(&youssef).await], [0, largest]);
    world.assert_settled().await;
}

async fn notes_of_200_characters_in_any_script_arrive(database: TestDatabase) {
    let (world, amina, youssef) = World::with_two(&database).await;
    let notes = ["غداء".repeat(50), "Déjeuner 'au' \"café\" \\ %_ 🍲".to_owned(), String::new()];
    for note in &notes {
        let mut body = to(&youssef, 1);
        body["note"] = note.as_str().into();
        let answer = world.process.transfer(&amina, &world.key(), &body).await;
        assert_completed(&answer, 1);
    }
    let lines = world.history(&youssef).await;
    let seen: Vec<_> = lines.iter().rev().map(|line| line["note"].as_str().unwrap()).collect();
    assert_eq!(seen, notes);
    // The ledger is told nothing of it.
    let entries = world.ledger_store.read();
    let sql = "select count(*) from transactions where description is not null";
    let row = store::sea_orm::ConnectionTrait::query_one_raw(
        entries,
        world.ledger_store.statement(sql, []),
    );
    let described: i64 = row.await.unwrap().unwrap().try_get_by_index(0).unwrap();
    assert_eq!(described, 0);
    assert_ne!(lines[0]["note"], Value::Null);
}
