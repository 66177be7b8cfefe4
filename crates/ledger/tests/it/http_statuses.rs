//! Freezing, unfreezing and closing accounts over HTTP.

use crate::http::{ACCOUNTS, Answer, Client, TRANSACTIONS, transfer_body, uuid};
use crate::http_refusals::{changed, check};
use crate::world::*;
use ledger_api::Ledger as _;
use serde_json::{Value, json};
use store::testing::TestDatabase;

store::on_every_store! {
    an_account_is_frozen_unfrozen_and_closed,
    changes_that_cannot_be_are_refused_by_code,
    changes_that_are_not_valid_are_pointed_at,
}

async fn act(client: &Client, account: u128, action: &str, body: &Value) -> Answer {
    client.post(&format!("{ACCOUNTS}/{}/{action}", uuid(account)), body).await
}

async fn an_account_is_frozen_unfrozen_and_closed(database: TestDatabase) {
    let world = World::new(&database).await.with_customers(3, 100).await;
    let client = Client::new(&world);
    let because = json!({ "reason": "carte volée" });
    let path = format!("{ACCOUNTS}/{}", uuid(2));
    for (id, action, status, posted) in [
        (7, "freeze", "frozen", 422),
        (7, "freeze", "frozen", 422),
        (7, "unfreeze", "open", 201),
        (8, "unfreeze", "open", 201),
    ] {
        let answer = act(&client, 2, action, &because).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        assert_eq!(answer.body["status"], status);
        assert_eq!(answer.body["id"], uuid(2));
        assert_eq!(client.get(&path).await.body, answer.body);
        let answer = client.post(TRANSACTIONS, &transfer_body(id, 2, 3, &json!(50))).await;
        assert_eq!(answer.status, posted, "{action} {}", answer.body);
    }
    let closed = act(&client, 2, "close", &because).await;
    assert_eq!((closed.status.as_u16(), &closed.body["status"]), (200, &json!("closed")));
    assert_eq!(act(&client, 2, "close", &because).await.body, closed.body);
    let late = client.post(TRANSACTIONS, &transfer_body(9, 3, 2, &json!(1))).await;
    check(&late, 422, "account_not_open", "/legs/1/accountId", "closed");
    // Its history stays.
    let entries = client.get(&format!("{path}/entries")).await;
    assert_eq!(entries.body["items"].as_array().unwrap().len(), 3);
    assert_eq!(world.number("select count(*) from account_changes").await, 3);
    world.verify_clean().await;
}

async fn changes_that_cannot_be_are_refused_by_code(database: TestDatabase) {
    let world = World::new(&database).await.with_customers(4, 100).await;
    let client = Client::new(&world);
    let because = json!({ "reason": "x" });
    for action in ["freeze", "unfreeze", "close"] {
        let answer = act(&client, 99, action, &because).await;
        check(&answer, 404, "not_found", "", action);
    }
    let before = world.rows().await;
    for (account, balance) in [(2, 100), (1, 300)] {
        let full = act(&client, account, "close", &because).await;
        check(&full, 409, "account_not_empty", "", "full");
        assert_eq!(full.body["balanceMinorUnits"], balance);
    }
    assert_eq!(world.rows().await, before);
    act(&client, 2, "freeze", &because).await;
    check(&act(&client, 2, "close", &because).await, 409, "account_not_empty", "", "frozen");
    world.ledger.post(transfer(7, 4, 1, 100)).await.unwrap();
    assert_eq!(act(&client, 4, "freeze", &because).await.status, 200);
    assert_eq!(act(&client, 4, "close", &because).await.status, 200);
    for action in ["freeze", "unfreeze"] {
        let answer = act(&client, 4, action, &because).await;
        check(&answer, 409, "status_not_reachable", "", action);
    }
    world.verify_clean().await;
}

async fn changes_that_are_not_valid_are_pointed_at(database: TestDatabase) {
    let world = World::new(&database).await.with_customers(2, 100).await;
    let client = Client::new(&world);
    let good = json!({ "reason": "x" });
    let before = world.rows().await;
    for action in ["freeze", "unfreeze", "close"] {
        for (at, value, pointer) in [
            ("/reason", json!(""), "/reason"),
            ("/reason", json!("é".repeat(501)), "/reason"),
            ("/reason", json!("a\tb"), "/reason"),
            ("/reason", json!(5), "/reason"),
            ("/reason", Value::Null, ""),
            ("/status", json!("open"), "/status"),
        ] {
            let what = format!("{action} {at} = {value}");
            let answer = act(&client, 2, action, &changed(good.clone(), at, value)).await;
            check(&answer, 422, "validation_failed", pointer, &what);
        }
        let answer = client.post(&format!("{ACCOUNTS}/2/{action}"), &good).await;
        check(&answer, 422, "validation_failed", "path", action);
        let path = format!("{ACCOUNTS}/{}/{action}", uuid(2));
        check(&client.get(&path).await, 405, "method_not_allowed", "", action);
    }
    let unknown = act(&client, 2, "thaw", &good).await;
    check(&unknown, 404, "not_found", "", "no such change");
    assert_eq!(world.rows().await, before);
}
