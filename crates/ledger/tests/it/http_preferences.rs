//! Callers who do without what they made (`Prefer: return=minimal`), and those who do not say so.

use crate::http::{Answer, Client, STAFF, TRANSACTIONS, request, transfer_body, uuid};
use crate::http_refusals::{changed, check};
use crate::world::*;
use axum::http::header;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use store::testing::TestDatabase;

store::on_every_store! {
    what_was_made_is_left_out_on_each_route,
    refusals_are_told_in_full,
    a_batch_is_counted,
    a_batch_tells_which_were_refused,
    a_dry_run_is_answered_in_full,
}

const HOLDS: &str = "/api/v1/ledger/holds";
const BULK: &str = "/api/v1/ledger/transactions/bulk";
const APPLIED: &str = "preference-applied";

async fn prefer(client: &Client, preference: &str, path: &str, body: &Value) -> Answer {
    let request = request("POST", path, Some(STAFF)).header("Prefer", preference);
    client.send(request.body(body.to_string().into()).unwrap()).await
}

async fn minimal(client: &Client, path: &str, body: &Value) -> Answer {
    prefer(client, "return=minimal", path, body).await
}

fn pay(id: u128, amount: i64) -> Value {
    transfer_body(id, 2, 3, &json!(amount))
}

async fn what_was_made_is_left_out_on_each_route(database: TestDatabase) {
    let world = World::new(&database).await.with_customers(3, 100).await;
    let client = Client::new(&world);
    let (to_transactions, to_holds) = (|id| (TRANSACTIONS, id), |id| (HOLDS, id));
    for (path, body, status, made) in [
        (TRANSACTIONS.to_owned(), pay(7, 10), 201, Some(to_transactions(7))),
        (
            format!("{TRANSACTIONS}/{}/reversals", uuid(7)),
            json!({ "id": uuid(8), "amountMinorUnits": 4, "reason": "x" }),
            201,
            Some(to_transactions(8)),
        ),
        (HOLDS.to_owned(), pay(9, 20), 201, Some(to_holds(9))),
        (
            format!("{HOLDS}/{}/capture", uuid(9)),
            json!({ "id": uuid(10), "amountMinorUnits": 5 }),
            201,
            Some(to_transactions(10)),
        ),
        (format!("{HOLDS}/{}/void", uuid(9)), json!({}), 200, None),
    ] {
        let location = made.map(|(list, id)| format!("{list}/{}", uuid(id)));
        for replayed in [false, true] {
            let request = request("POST", &path, Some(STAFF));
            let request = request.header("Prefer", "wait=5, Return=\"minimal\"; x");
            let answer = client.begin(request.body(body.to_string().into()).unwrap()).await;
            let (parts, bytes) = answer.into_parts();
            let bytes = bytes.collect().await.unwrap().to_bytes();
            assert_eq!((parts.status.as_u16(), bytes.len()), (status, 0), "{path}");
            assert_eq!(parts.headers[APPLIED], "return=minimal", "{path}");
            assert_eq!(parts.headers.get(header::CONTENT_TYPE), None, "{path}");
            let told = parts.headers.get(header::LOCATION).map(|value| value.to_str().unwrap());
            assert_eq!(told, location.as_deref(), "{path}");
            // A void has never said whether it was made before.
            let is_marked = replayed && location.is_some();
            assert_eq!(parts.headers.contains_key("idempotency-replayed"), is_marked, "{path}");
        }
        // Who does not prefer it gets what was made.
        for preference in ["return=representation", "return=representation, return=minimal", "?"] {
            let answer = prefer(&client, preference, &path, &body).await;
            assert_eq!((answer.status.as_u16(), answer.headers.get(APPLIED)), (status, None));
            assert!(answer.body["id"].is_string(), "{path}: {}", answer.body);
            assert_eq!(answer.body, client.post(&path, &body).await.body, "{path}");
        }
        if let Some(location) = location {
            assert_eq!(client.get(&location).await.status, 200, "{location}");
        }
    }
    assert_eq!((world.balance(2).await, world.balance(3).await), (89, 111));
    world.verify_clean().await;
}

async fn refusals_are_told_in_full(database: TestDatabase) {
    let world = World::new(&database).await.with_customers(3, 100).await;
    let client = Client::new(&world);
    let reversal = format!("{TRANSACTIONS}/{}/reversals", uuid(99));
    for (path, body, status, code, pointer) in [
        (TRANSACTIONS, pay(7, 101), 422, "insufficient_funds", ""),
        (TRANSACTIONS, pay(7, 0), 422, "validation_failed", "/legs/0/amountMinorUnits"),
        (HOLDS, transfer_body(7, 2, 99, &json!(1)), 422, "account_not_found", "/legs/1/accountId"),
        (&reversal, json!({ "id": uuid(8), "reason": "x" }), 404, "not_found", ""),
        (BULK, json!({ "transactions": [pay(7, 1), pay(8, 100)] }), 422, "insufficient_funds", ""),
    ] {
        let answer = minimal(&client, path, &body).await;
        check(&answer, status, code, pointer, path);
        assert_eq!(answer.headers.get(APPLIED), None, "{path}");
        let full = client.post(path, &body).await;
        for member in ["detail", "index", "availableMinorUnits", "errors"] {
            assert_eq!(answer.body[member], full.body[member], "{path} {member}");
        }
    }
    assert_eq!(world.balance(2).await, 100);
}

async fn a_batch_is_counted(database: TestDatabase) {
    let world = World::new(&database).await.with_customers(3, 100).await;
    let client = Client::new(&world);
    let batch = |ids: std::ops::Range<u128>| json!({ "transactions": ids.map(|id| pay(id, 1)).collect::<Vec<_>>() });
    let answer = minimal(&client, BULK, &batch(10..14)).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(answer.headers[APPLIED], "return=minimal");
    assert_eq!(answer.body, json!({ "posted": 4, "replayed": 0, "refused": [] }));
    let more = minimal(&client, BULK, &batch(12..20)).await;
    assert_eq!(more.body, json!({ "posted": 6, "replayed": 2, "refused": [] }));
    // In full, for who does not prefer it.
    let full = client.post(BULK, &batch(12..20)).await;
    assert_eq!(full.headers.get(APPLIED), None);
    assert_eq!(full.body["items"].as_array().unwrap().len(), 8);
    assert_eq!(full.body["items"][7]["transaction"]["id"], uuid(19));
    assert_eq!(world.balance(3).await, 110);
    world.verify_clean().await;
}

async fn a_batch_tells_which_were_refused(database: TestDatabase) {
    let world = World::new(&database).await.with_customers(3, 100).await;
    let client = Client::new(&world);
    let linked = changed(pay(4, 1), "/linked", json!(true));
    let batch = json!({ "atomic": false, "transactions": [
        pay(1, 60), pay(2, 60), pay(1, 60), linked, pay(5, 999), pay(6, 40),
    ]});
    let answer = minimal(&client, BULK, &batch).await;
    assert_eq!((&answer.body["posted"], &answer.body["replayed"]), (&json!(2), &json!(1)));
    let refused = answer.body["refused"].as_array().unwrap();
    let told: Vec<_> = refused.iter().map(|one| (&one["index"], &one["code"])).collect();
    let expected = [
        (&json!(1), &json!("insufficient_funds")),
        (&json!(3), &json!("linked_refused")),
        (&json!(4), &json!("insufficient_funds")),
    ];
    assert_eq!(told, expected);
    // The words are those of the full answer. There is nothing left on the account by now.
    let again = minimal(&client, BULK, &batch).await;
    let full = client.post(BULK, &batch).await;
    let items = full.body["items"].as_array().unwrap().iter().enumerate();
    let items = items.filter(|(_, item)| item["status"] == "refused").map(
        |(index, item)| json!({ "index": index, "code": item["code"], "detail": item["detail"] }),
    );
    let expected = json!({ "posted": 0, "replayed": 3, "refused": items.collect::<Vec<_>>() });
    assert_eq!(again.body, expected);
    assert_eq!(again.body["refused"].as_array().unwrap().len(), 3);
    assert_eq!(world.balance(2).await, 0);
    world.verify_clean().await;
}

async fn a_dry_run_is_answered_in_full(database: TestDatabase) {
    let world = World::new(&database).await.with_customers(3, 100).await;
    let client = Client::new(&world);
    let before = world.rows().await;
    for (path, body, id) in [
        (TRANSACTIONS, pay(7, 1), "/id"),
        (HOLDS, pay(7, 1), "/id"),
        (BULK, json!({ "transactions": [pay(7, 1)] }), "/items/0/transaction/id"),
    ] {
        let answer = minimal(&client, &format!("{path}?dryRun=true"), &body).await;
        assert_eq!((answer.status.as_u16(), answer.headers.get(APPLIED)), (200, None), "{path}");
        assert_eq!(answer.body.pointer(id), Some(&json!(uuid(7))), "{path}");
    }
    assert_eq!(world.rows().await, before);
}
