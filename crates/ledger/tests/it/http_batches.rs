//! Batches over HTTP: results per item, refusals, retries, limits, dry runs.

use crate::http::{Answer, Client, STAFF, request, transfer_body, uuid};
use crate::http_refusals::{changed, check};
use crate::world::*;
use axum::http::header;
use ledger_api::{AccountStatus, Ledger as _};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use store::testing::TestDatabase;

store::on_every_store! {
    a_batch_answers_with_each_transaction,
    a_refusal_of_all_or_none_says_which_one_and_posts_none,
    each_on_its_own_is_posted_replayed_or_refused,
    batches_that_are_not_valid_are_pointed_at,
    a_key_stands_for_the_ids_of_a_batch,
    without_ids_and_key_a_batch_is_refused,
    a_dry_run_of_a_batch_records_nothing,
    ten_thousand_are_accepted_and_one_more_is_not,
    a_body_may_have_sixteen_mebibytes,
}

const BULK: &str = "/api/v1/ledger/transactions/bulk";

fn batch(transactions: impl IntoIterator<Item = Value>) -> Value {
    json!({ "transactions": transactions.into_iter().collect::<Vec<_>>() })
}

fn each_alone(transactions: impl IntoIterator<Item = Value>) -> Value {
    changed(batch(transactions), "/atomic", json!(false))
}

fn transfer(id: u128, from: u128, to: u128, amount: i64) -> Value {
    transfer_body(id, from, to, &json!(amount))
}

/// Without an id.
fn nameless(from: u128, to: u128, amount: i64) -> Value {
    changed(transfer(7, from, to, amount), "/id", Value::Null)
}

fn column<'a>(answer: &'a Answer, pointer: &str) -> Vec<&'a Value> {
    assert_eq!(answer.status, 200, "{}", answer.body);
    let items = answer.body["items"].as_array().unwrap();
    items.iter().map(|item| item.pointer(pointer).unwrap_or(&Value::Null)).collect()
}

async fn a_batch_answers_with_each_transaction(database: TestDatabase) {
    let world = World::new(&database).await.with_customers(3, 0).await;
    let client = Client::new(&world);
    let mut second = transfer(8, 2, 3, 4);
    second["reference"] = json!("R-1");
    let answer = client.post(BULK, &batch([transfer(7, 1, 2, 10), second.clone()])).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(answer.body.as_object().unwrap().keys().collect::<Vec<_>>(), ["items"]);
    let mut expected = second;
    expected["sequence"] = json!(5);
    expected["description"] = Value::Null;
    expected["metadata"] = json!({});
    expected["reverses"] = Value::Null;
    expected["captures"] = Value::Null;
    expected["initiatedBy"] = json!(uuid(1));
    expected["effectiveAt"] = json!("2026-11-23T12:00:00.000001Z");
    expected["recordedAt"] = json!("2026-11-23T12:00:00.000001Z");
    let item = json!({ "status": "posted", "transaction": expected, "code": null, "detail": null });
    assert_eq!(answer.body["items"][1], item);
    assert_eq!(column(&answer, "/transaction/id"), [&json!(uuid(7)), &json!(uuid(8))]);
    assert_eq!((world.balance(2).await, world.balance(3).await), (6, 4));
    // Sent again, also with the default spelled out.
    for body in [batch([transfer(7, 1, 2, 10)]), {
        changed(batch([transfer(7, 1, 2, 10)]), "/atomic", json!(true))
    }] {
        let again = client.post(BULK, &body).await;
        assert_eq!(column(&again, "/status"), ["replayed"]);
        assert_eq!(again.body["items"][0]["transaction"], answer.body["items"][0]["transaction"]);
    }
    assert_eq!(world.verify_clean().await.transactions, 2);
}

async fn a_refusal_of_all_or_none_says_which_one_and_posts_none(database: TestDatabase) {
    let world = World::new(&database).await.with_customers(4, 100).await;
    let client = Client::new(&world);
    world.ledger.change_status(change(4, AccountStatus::Frozen, "x")).await.unwrap();
    let euros = |mut body: Value| {
        for leg in [0, 1] {
            body["legs"][leg]["currencyCode"] = json!("EUR");
        }
        body
    };
    let unbalanced = changed(transfer(9, 2, 3, 9), "/legs/1/amountMinorUnits", json!(8));
    let before = world.rows().await;
    for (culprit, code, pointer) in [
        (transfer(9, 2, 99, 9), "account_not_found", "/transactions/3/legs/1/accountId"),
        (transfer(9, 99, 2, 9), "account_not_found", "/transactions/3/legs/0/accountId"),
        (euros(transfer(9, 2, 3, 9)), "currency_mismatch", "/transactions/3/legs/0/currencyCode"),
        (transfer(9, 2, 4, 9), "account_not_open", "/transactions/3/legs/1/accountId"),
        (unbalanced, "transaction_unbalanced", ""),
        (transfer(9, 2, 3, 500), "insufficient_funds", ""),
        (transfer(1_000_002, 2, 3, 9), "idempotency_key_reused", ""),
        (transfer(10, 2, 3, 9), "idempotency_key_reused", ""),
    ] {
        let mut transactions: Vec<_> = (10..14).map(|id| transfer(id, 2, 3, 1)).collect();
        transactions.insert(3, culprit);
        let answer = client.post(BULK, &batch(transactions)).await;
        check(&answer, 422, code, pointer, code);
        assert_eq!(answer.body["index"], 3, "{code}");
        assert_eq!(world.rows().await, before, "{code}");
        if code == "insufficient_funds" {
            assert_eq!(answer.body["availableMinorUnits"], 97, "after the three before it");
            assert_eq!(answer.body["requiredMinorUnits"], 500);
        }
    }
    // A refusal of a single transaction has no place.
    let alone = client.post(crate::http::TRANSACTIONS, &transfer(9, 2, 99, 9)).await;
    check(&alone, 422, "account_not_found", "/legs/1/accountId", "alone");
    assert_eq!(alone.body["index"], Value::Null);
}

async fn each_on_its_own_is_posted_replayed_or_refused(database: TestDatabase) {
    let world = World::new(&database).await.with_customers(3, 100).await;
    let client = Client::new(&world);
    let unbalanced = changed(transfer(11, 2, 3, 9), "/legs/1/amountMinorUnits", json!(8));
    let body = each_alone([
        transfer(7, 2, 3, 60),
        transfer(8, 2, 3, 60),
        transfer(9, 2, 99, 1),
        unbalanced,
        transfer(7, 2, 3, 60),
        transfer(7, 2, 3, 61),
        transfer(10, 2, 3, 40),
    ]);
    let answer = client.post(BULK, &body).await;
    let (posted, replayed, refused) = ("posted", "replayed", "refused");
    assert_eq!(
        column(&answer, "/status"),
        [posted, refused, refused, refused, replayed, refused, posted]
    );
    let codes: Vec<_> = column(&answer, "/code").into_iter().map(Value::as_str).collect();
    assert_eq!(
        codes,
        [
            None,
            Some("insufficient_funds"),
            Some("account_not_found"),
            Some("transaction_unbalanced"),
            None,
            Some("idempotency_key_reused"),
            None,
        ]
    );
    for item in answer.body["items"].as_array().unwrap() {
        assert_eq!(item["detail"].is_string(), item["status"] == refused, "{item}");
        assert_eq!(item["transaction"].is_object(), item["status"] != refused, "{item}");
    }
    assert_eq!((world.balance(2).await, world.balance(3).await), (0, 200));
    // The same request again: what was posted is replayed, what was refused is decided anew.
    let again = client.post(BULK, &body).await;
    assert_eq!(
        column(&again, "/status"),
        [replayed, refused, refused, refused, replayed, refused, replayed]
    );
    assert_eq!(world.verify_clean().await.transactions, 4);
}

async fn batches_that_are_not_valid_are_pointed_at(database: TestDatabase) {
    let world = World::new(&database).await.with_customers(3, 100).await;
    let client = Client::new(&world);
    let good = batch((7..11).map(|id| transfer(id, 2, 3, 1)));
    let amount = "/transactions/3/legs/0/amountMinorUnits";
    for (at, value, pointer) in [
        (amount, json!(0), amount),
        (amount, json!(-1), amount),
        (amount, json!("1"), amount),
        (amount, json!(9_007_199_254_740_992_i64), amount),
        ("/transactions/1/legs", json!([]), "/transactions/1/legs"),
        ("/transactions/1/kind", json!(""), "/transactions/1/kind"),
        ("/transactions/1/kind", Value::Null, "/transactions/1"),
        ("/transactions/2/reference", json!("r".repeat(201)), "/transactions/2/reference"),
        ("/transactions/2/metadata", json!({ "": "v" }), "/transactions/2/metadata"),
        ("/transactions/2/id", json!(7), "/transactions/2/id"),
        ("/transactions/2/notAfter", json!(7), "/transactions/2/notAfter"),
        ("/transactions/2/legs/1/fee", json!(1), "/transactions/2/legs/1/fee"),
        ("/transactions/0", json!([]), "/transactions/0"),
        ("/transactions", json!([]), "/transactions"),
        ("/transactions", json!({}), "/transactions"),
        ("/transactions", Value::Null, ""),
        ("/atomic", json!("yes"), "/atomic"),
        ("/dryRun", json!(true), "/dryRun"),
    ] {
        let what = format!("{at} = {value}");
        for atomic in [true, false] {
            let body = changed(good.clone(), "/atomic", json!(atomic));
            let answer = client.post(BULK, &changed(body, at, value.clone())).await;
            check(&answer, 422, "validation_failed", pointer, &what);
        }
    }
    // All that is wrong is told at once.
    let bad = changed(changed(good.clone(), amount, json!(0)), "/transactions/0/kind", json!(""));
    let answer = client.post(BULK, &bad).await;
    assert_eq!(answer.body["errors"].as_array().unwrap().len(), 2, "{}", answer.body);
    for query in ["dryRun=maybe", "dryRun=", "dryrun=true", "dryRun=1", "dryRun=true&x=1"] {
        let answer = client.post(&format!("{BULK}?{query}"), &good).await;
        check(&answer, 422, "validation_failed", "query", query);
    }
    check(&client.get(BULK).await, 405, "method_not_allowed", "", "GET");
    assert_eq!(world.verify_clean().await.transactions, 2);
}

async fn a_key_stands_for_the_ids_of_a_batch(database: TestDatabase) {
    let world = World::new(&database).await.with_customers(3, 0).await;
    let client = Client::new(&world);
    // Three alike, and one with an id of its own among them.
    let body =
        batch([nameless(1, 2, 5), nameless(1, 2, 5), transfer(7, 1, 3, 5), { nameless(1, 2, 5) }]);
    let first = client.post_to(BULK, STAFF, "payroll 11", &body).await;
    assert_eq!(column(&first, "/status"), ["posted"; 4]);
    let again = client.post_to(BULK, STAFF, "payroll 11", &body).await;
    assert_eq!(column(&again, "/status"), ["replayed"; 4]);
    assert_eq!(column(&first, "/transaction"), column(&again, "/transaction"));
    assert_eq!(column(&first, "/transaction/id")[2], &json!(uuid(7)));
    assert_eq!(world.balance(2).await, 15);
    // Each on its own, and after a restart, they are the same still.
    let world = world.restarted(&database).await;
    let client = Client::new(&world);
    let apart = changed(body.clone(), "/atomic", json!(false));
    let again = client.post_to(BULK, STAFF, "payroll 11", &apart).await;
    assert_eq!(column(&again, "/status"), ["replayed"; 4]);
    // The same key for something else is refused, in the place where it differs.
    let other = changed(body.clone(), "/transactions/1/kind", json!("bonus"));
    let refused = client.post_to(BULK, STAFF, "payroll 11", &other).await;
    check(&refused, 422, "idempotency_key_reused", "", "other content");
    assert_eq!(refused.body["index"], 1);
    // Another key, or the same of somebody else, or for a single transaction, is another.
    for (token, key) in [(STAFF, "payroll 12"), ("ledger:write@2", "payroll 11")] {
        let other = client.post_to(BULK, token, key, &batch([nameless(1, 2, 5)])).await;
        assert_eq!(column(&other, "/status"), ["posted"], "{token} {key}");
    }
    let path = crate::http::TRANSACTIONS;
    let single = client.post_to(path, STAFF, "payroll 11", &nameless(1, 2, 5)).await;
    assert_eq!(single.status, 201, "{}", single.body);
    assert_eq!(single.headers.get("idempotency-replayed"), None);
    // Nor does the place of one run into the key of another.
    for key in ["payroll 11 0", "payroll 110"] {
        let other = client.post_to(BULK, STAFF, key, &batch([nameless(1, 2, 5)])).await;
        assert_eq!(column(&other, "/status"), ["posted"], "{key}");
    }
    assert_eq!(world.balance(2).await, 40);
    world.verify_clean().await;
}

async fn without_ids_and_key_a_batch_is_refused(database: TestDatabase) {
    let world = World::new(&database).await.with_customers(2, 0).await;
    let client = Client::new(&world);
    let before = world.rows().await;
    for query in ["", "?dryRun=true"] {
        for body in [
            batch([transfer(7, 1, 2, 5), nameless(1, 2, 5)]),
            each_alone([nameless(1, 2, 5), transfer(7, 1, 2, 5)]),
        ] {
            let answer = client.post(&format!("{BULK}{query}"), &body).await;
            check(&answer, 400, "idempotency_key_missing", "", query);
        }
    }
    for key in ["", "  ", &"k".repeat(256)] {
        let answer = client.post_to(BULK, STAFF, key, &batch([nameless(1, 2, 5)])).await;
        check(&answer, 422, "validation_failed", "Idempotency-Key", key);
    }
    assert_eq!(world.rows().await, before);
}

async fn a_dry_run_of_a_batch_records_nothing(database: TestDatabase) {
    let world = World::new(&database).await.with_customers(3, 100).await;
    let client = Client::new(&world);
    let dry = format!("{BULK}?dryRun=true");
    let good =
        batch([transfer(7, 2, 3, 100), transfer(8, 3, 2, 200), transfer(1_000_002, 1, 2, 100)]);
    let bad = [transfer(7, 2, 3, 100), transfer(8, 2, 3, 1)];
    let before = world.rows().await;
    let tried = client.post(&dry, &good).await;
    assert_eq!(column(&tried, "/status"), ["posted", "posted", "replayed"]);
    let refused = client.post(&dry, &batch(bad.clone())).await;
    check(&refused, 422, "insufficient_funds", "", "dry run");
    assert_eq!(refused.body["index"], 1);
    let apart = client.post(&dry, &each_alone(bad)).await;
    assert_eq!(column(&apart, "/status"), ["posted", "refused"]);
    assert_eq!(world.rows().await, before);
    assert_eq!((world.balance(2).await, world.balance(3).await), (100, 100));
    // In earnest the very same comes of it.
    let posted = client.post(&format!("{BULK}?dryRun=false"), &good).await;
    assert_eq!(posted.body, tried.body);
    assert_eq!(world.balance(2).await, 200);
    world.verify_clean().await;
}

async fn ten_thousand_are_accepted_and_one_more_is_not(database: TestDatabase) {
    let world = World::new(&database).await.with_customers(3, 0).await;
    let client = Client::new(&world);
    let many = |count| batch((0..count).map(|id| transfer(id, 1, 2 + id % 2, 1)));
    let before = world.rows().await;
    let answer = client.post(BULK, &many(10_001)).await;
    check(&answer, 422, "validation_failed", "/transactions", "10,001");
    let mut unsound = many(10_001);
    for transaction in unsound["transactions"].as_array_mut().unwrap() {
        transaction["kind"] = json!("");
    }
    let answer = client.post(BULK, &unsound).await;
    check(&answer, 422, "validation_failed", "/transactions", "10,001 without a kind");
    assert_eq!(answer.body["errors"].as_array().unwrap().len(), 1, "the rest is not worth telling");
    assert_eq!(world.rows().await, before);
    let started = Instant::now();
    let answer = client.post(BULK, &many(10_000)).await;
    assert_eq!(column(&answer, "/status"), vec!["posted"; 10_000]);
    assert!(started.elapsed() < Duration::from_secs(60), "{:?}", started.elapsed());
    assert_eq!((world.balance(2).await, world.balance(3).await), (5_000, 5_000));
    assert_eq!(world.verify_clean().await.transactions, 10_000);
}

/// More than the rest of the routes take.
async fn a_body_may_have_sixteen_mebibytes(database: TestDatabase) {
    let world = World::new(&database).await.with_customers(2, 0).await;
    let client = Client::new(&world);
    let body = batch([transfer(7, 1, 2, 1)]).to_string();
    let padded = |length: usize| {
        let request = request("POST", BULK, Some(STAFF));
        request.body(format!("{body}{}", " ".repeat(length - body.len())).into()).unwrap()
    };
    let before = world.rows().await;
    let answer = client.send(padded((16 << 20) + 1)).await;
    check(&answer, 413, "body_too_large", "", "16 MiB and one byte");
    assert_eq!(world.rows().await, before);
    let answer = client.send(padded(16 << 20)).await;
    assert_eq!(column(&answer, "/status"), ["posted"]);
    assert_eq!(answer.headers[header::CONTENT_TYPE], "application/json");
    // Who may not is told so whatever the size; and other routes take no more than before.
    let token = Some("ledger:read@1");
    let refused = request("POST", BULK, token).body(vec![b' '; (16 << 20) + 1].into()).unwrap();
    check(&client.send(refused).await, 403, "forbidden", "", "no permission");
    for path in ["", "/00000000-0000-0000-0000-000000000007/reversals"] {
        let path = format!("{}{path}", crate::http::TRANSACTIONS);
        let large = vec![b' '; (1 << 20) + 1];
        let answer = client.send(request("POST", &path, Some(STAFF)).body(large.into()).unwrap());
        check(&answer.await, 413, "body_too_large", "", &path);
    }
}
