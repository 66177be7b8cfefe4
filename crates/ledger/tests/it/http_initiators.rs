//! Who asked is in the journal: whose token came with the request, and first.

use crate::http::{Answer, Client, STAFF, TRANSACTIONS, request, transfer_body, uuid};
use crate::http_refusals::{changed, check};
use crate::http_trail::stream;
use crate::world::*;
use serde_json::{Value, json};
use std::time::Duration;
use store::testing::TestDatabase;

store::on_every_store! {
    what_an_api_client_does_carries_its_id,
    nobody_says_who_asked,
    a_hold_that_ends_by_itself_was_released_by_nobody,
}

const HOLDS: &str = "/api/v1/ledger/holds";

/// The token of an API client.
fn program(number: u128) -> String {
    format!("ledger:read,ledger:write@{number}/program")
}

/// What can be done, each with the path at which its record is read.
fn deeds() -> Vec<(String, Value, String)> {
    let transfer = |id, amount: i64| transfer_body(id, 1, 2, &json!(amount));
    let hold = |id| changed(transfer(id, 20), "/kind", json!("card"));
    let posted = |id| format!("{TRANSACTIONS}/{}", uuid(id));
    let of_hold = |id, what: &str| format!("{HOLDS}/{}/{what}", uuid(id));
    let bulk = format!("{TRANSACTIONS}/bulk");
    let each = json!({ "atomic": false, "transactions": [transfer(12, 3)] });
    let reversal = json!({ "id": uuid(13), "amountMinorUnits": 5, "reason": "charged twice" });
    let part = json!({ "id": uuid(14), "amountMinorUnits": 5 });
    vec![
        (TRANSACTIONS.into(), transfer(10, 40), posted(10)),
        (bulk.clone(), json!({ "transactions": [transfer(11, 3)] }), posted(11)),
        (bulk, each, posted(12)),
        (format!("{TRANSACTIONS}/{}/reversals", uuid(10)), reversal, posted(13)),
        (HOLDS.into(), hold(20), format!("{HOLDS}/{}", uuid(20))),
        (of_hold(20, "capture"), part, posted(14)),
    ]
}

async fn ask(client: &Client, token: &str, path: &str, body: &Value) -> Answer {
    let request = request("POST", path, Some(token)).body(body.to_string().into()).unwrap();
    let answer = client.send(request).await;
    assert!(answer.status.is_success(), "{path}: {}", answer.body);
    answer
}

/// Does everything with this token, and finds the first client's id on all of it.
async fn do_all(world: &World, token: &str) {
    let client = Client::new(world);
    for (path, body, record) in deeds() {
        let answer = ask(&client, token, &path, &body).await;
        let told = answer.body.pointer("/items/0/transaction").unwrap_or(&answer.body);
        assert_eq!(told["initiatedBy"], uuid(5), "{path}");
        let read = client.get(&record).await.body;
        assert_eq!(&read, told, "{path}");
    }
    let results = stream(&client, token, "", &[transfer_body(15, 1, 2, &json!(2))]).await;
    assert_eq!(results.last().unwrap()["refused"], 0, "{results:?}");
    let streamed = client.get(&format!("{TRANSACTIONS}/{}", uuid(15))).await;
    assert_eq!(streamed.body["initiatedBy"], uuid(5));
    let found = client.get(&format!("{TRANSACTIONS}?limit=1")).await;
    assert_eq!(found.body["items"][0]["initiatedBy"], uuid(5), "as a search finds it");
}

/// Voids the hold that [`do_all`] leaves. Another client may do that.
async fn void(world: &World, token: &str) {
    let client = Client::new(world);
    let path = format!("{HOLDS}/{}", uuid(20));
    let why = json!({ "reason": "cancelled" });
    let voided = ask(&client, token, &format!("{path}/void"), &why).await.body;
    assert_eq!((&voided["initiatedBy"], &voided["releasedBy"]), (&json!(uuid(5)), &json!(uuid(6))));
    assert_eq!(client.get(&path).await.body, voided);
    assert_eq!(client.get(HOLDS).await.body["items"], json!([voided]));
}

async fn what_an_api_client_does_carries_its_id(database: TestDatabase) {
    let world = World::new(&database).await.with_customers(2, 100).await;
    do_all(&world, &program(5)).await;
    let rows = world.rows().await;
    // Whoever asks again is answered with what was done, and for whom; also by who reads it anew.
    do_all(&world, &program(6)).await;
    let world = world.restarted(&database).await;
    do_all(&world, STAFF).await;
    assert_eq!(world.rows().await, rows, "nothing was done again");
    void(&world, &program(6)).await;
    let rows = world.rows().await;
    void(&world, &program(5)).await;
    let world = world.restarted(&database).await;
    void(&world, STAFF).await;
    assert_eq!(world.rows().await, rows, "it was released once");
    world.verify_clean().await;
    assert_eq!(
        world.number("select count(*) from transactions where initiated_by is null").await,
        1
    );
}

async fn nobody_says_who_asked(database: TestDatabase) {
    let world = World::new(&database).await.with_customers(2, 100).await;
    let client = Client::new(&world);
    let rows = world.rows().await;
    for member in ["initiatedBy", "releasedBy"] {
        for (path, body, _) in deeds() {
            let body = changed(body, &format!("/{member}"), json!(uuid(7)));
            let refused = client.post(&path, &body).await;
            check(&refused, 422, "validation_failed", &format!("/{member}"), &path);
        }
    }
    let mut line = transfer_body(15, 1, 2, &json!(2));
    line["initiatedBy"] = json!(uuid(7));
    let results = stream(&client, STAFF, "", &[line]).await;
    assert_eq!(results[0]["code"], "validation_failed");
    assert_eq!(world.rows().await, rows);
}

async fn a_hold_that_ends_by_itself_was_released_by_nobody(database: TestDatabase) {
    let world = World::new(&database).await.with_customers(2, 100).await;
    let client = Client::new(&world);
    let body =
        changed(transfer_body(20, 2, 1, &json!(9)), "/expiresAt", json!("2026-11-23T13:00:00Z"));
    ask(&client, &program(5), HOLDS, &body).await;
    world.clock.advance(Duration::from_secs(3_600));
    assert_eq!(world.ledger.expire_holds(10).await.unwrap(), 1);
    let ended = client.get(&format!("{HOLDS}/{}", uuid(20))).await.body;
    assert_eq!(ended["status"], "expired");
    assert_eq!((&ended["initiatedBy"], &ended["releasedBy"]), (&json!(uuid(5)), &Value::Null));
    world.verify_clean().await;
}
