//! The routes of an account's limits.

use crate::http::{ACCOUNTS, Client, TRANSACTIONS, transfer_body, uuid};
use crate::http_refusals::check;
use crate::world::*;
use axum::http::StatusCode;
use serde_json::{Value, json};
use store::testing::TestDatabase;

store::on_every_store! {
    limits_are_set_read_and_used,
    a_refusal_names_the_limit_what_is_left_and_when_it_resets,
    limits_that_are_not_valid_are_pointed_at,
}

fn path(number: u128) -> String {
    format!("{ACCOUNTS}/{}/limits", uuid(number))
}

fn daily(amount: i64) -> Value {
    json!({ "direction": "outgoing", "period": "day", "amountMinorUnits": amount })
}

async fn limits_are_set_read_and_used(database: TestDatabase) {
    let world = World::new(&database).await.with_customers(3, 1_000).await;
    let client = Client::new(&world);
    let none = json!({ "timeZone": "UTC", "limits": [] });
    assert_eq!(client.get(&path(2)).await.body, none);
    let body = json!({ "timeZone": "Asia/Tokyo", "limits": [
        daily(500),
        { "direction": "incoming", "kind": "card", "period": "month", "count": 3 },
        { "direction": "outgoing", "period": "transaction", "amountMinorUnits": 0 },
    ]});
    let set = client.put(&path(2), &body).await;
    assert_eq!(set.status, StatusCode::OK, "{}", set.body);
    let expected = json!({ "timeZone": "Asia/Tokyo", "limits": [
        {
            "direction": "outgoing", "kind": null, "period": "day", "amountMinorUnits": 500,
            "count": null, "usedMinorUnits": 0, "usedCount": 0, "resetsAt": "2026-11-23T15:00:00Z",
        },
        {
            "direction": "incoming", "kind": "card", "period": "month", "amountMinorUnits": null,
            "count": 3, "usedMinorUnits": 0, "usedCount": 0, "resetsAt": "2026-11-30T15:00:00Z",
        },
        {
            "direction": "outgoing", "kind": null, "period": "transaction", "amountMinorUnits": 0,
            "count": null, "usedMinorUnits": 0, "usedCount": 0, "resetsAt": null,
        },
    ]});
    assert_eq!(set.body, expected);
    assert_eq!(client.get(&path(2)).await.body, expected);
    // Twice the same is one change.
    let before = world.rows().await;
    assert_eq!(client.put(&path(2), &body).await.body, expected);
    assert_eq!(world.rows().await, before);
    client.put(&path(2), &json!({ "timeZone": "Asia/Tokyo", "limits": [daily(500)] })).await;
    let posted = client.post(TRANSACTIONS, &transfer_body(7, 2, 3, &json!(120))).await;
    assert_eq!(posted.status, StatusCode::CREATED);
    let used = client.get(&path(2)).await.body;
    let first = &used["limits"][0];
    assert_eq!((&first["usedMinorUnits"], &first["usedCount"]), (&json!(120), &json!(1)));
    assert_eq!(client.put(&path(2), &json!({ "limits": [] })).await.body, none);
    for answer in [client.get(&path(99)).await, client.put(&path(99), &body).await] {
        check(&answer, 404, "not_found", "", "no such account");
    }
    world.verify_clean().await;
}

async fn a_refusal_names_the_limit_what_is_left_and_when_it_resets(database: TestDatabase) {
    let world = World::new(&database).await.with_customers(3, 1_000).await;
    let client = Client::new(&world);
    let pay = |id, amount: i64| transfer_body(id, 2, 3, &json!(amount));
    let limits = json!({ "limits": [
        { "direction": "outgoing", "period": "month", "amountMinorUnits": 300, "count": 2 },
        {
            "direction": "outgoing", "kind": "transfer", "period": "transaction",
            "amountMinorUnits": 200,
        },
    ]});
    client.put(&path(2), &limits).await;
    let refused = client.post(TRANSACTIONS, &pay(7, 201)).await;
    check(&refused, 422, "limit_exceeded", "", "one transaction");
    let members = |body: &Value, names: &[&str]| -> Vec<Value> {
        names.iter().map(|name| body[*name].clone()).collect()
    };
    let names = ["accountId", "direction", "period", "kind", "limitMinorUnits", "leftMinorUnits"];
    let expected = json!([uuid(2), "outgoing", "transaction", "transfer", 200, 200]);
    assert_eq!(json!(members(&refused.body, &names)), expected);
    assert_eq!(refused.body["resetsAt"], Value::Null);
    client.post(TRANSACTIONS, &pay(7, 190)).await;
    let refused = client.post(TRANSACTIONS, &pay(8, 111)).await;
    check(&refused, 422, "limit_exceeded", "", "a month");
    let expected = json!([uuid(2), "outgoing", "month", null, 300, 110]);
    assert_eq!(json!(members(&refused.body, &names)), expected);
    assert_eq!(refused.body["resetsAt"], "2026-12-01T00:00:00Z");
    // A hold is refused in the same words, and so is a batch, with the place in it.
    let hold = client.post("/api/v1/ledger/holds", &pay(8, 111)).await;
    check(&hold, 422, "limit_exceeded", "", "a hold");
    let batch = json!({ "atomic": true, "transactions": [pay(8, 10), pay(9, 1)] });
    let refused = client.post(&format!("{TRANSACTIONS}/bulk"), &batch).await;
    check(&refused, 422, "limit_exceeded", "", "a batch");
    assert_eq!((&refused.body["index"], &refused.body["limitCount"]), (&json!(1), &json!(2)));
    assert_eq!(refused.body["leftCount"], 0);
    assert_eq!(refused.body["leftMinorUnits"], Value::Null);
    let detail = refused.body["detail"].as_str().unwrap();
    assert!(detail.contains("2026-12-01"), "{detail}");
    // Beyond a hold, too.
    let hold = crate::http_refusals::changed(pay(8, 100), "/toleranceMinorUnits", json!(20));
    assert_eq!(client.post("/api/v1/ledger/holds", &hold).await.status, StatusCode::CREATED);
    let capture = format!("/api/v1/ledger/holds/{}/capture", uuid(8));
    let refused = client.post(&capture, &json!({ "id": uuid(9), "amountMinorUnits": 111 })).await;
    check(&refused, 422, "limit_exceeded", "", "beyond the hold");
    assert_eq!(refused.body["leftMinorUnits"], 10);
    // A dry run uses nothing.
    client.put(&path(2), &json!({ "limits": [daily(10)] })).await;
    for _ in 0..2 {
        let tried = client.post(&format!("{TRANSACTIONS}?dryRun=true"), &pay(10, 10)).await;
        assert_eq!(tried.status, StatusCode::OK, "{}", tried.body);
    }
    world.verify_clean().await;
}

async fn limits_that_are_not_valid_are_pointed_at(database: TestDatabase) {
    let world = World::new(&database).await.with_customers(2, 0).await;
    let client = Client::new(&world);
    let with = |member: &str, value: Value| {
        let mut limit = daily(1);
        limit[member] = value;
        limit
    };
    let mut neither = daily(1);
    neither.as_object_mut().unwrap().remove("amountMinorUnits");
    let many: Vec<_> = (0..21).map(|kind| with("kind", json!(format!("k{kind}")))).collect();
    let once = json!({ "direction": "outgoing", "period": "transaction", "count": 1 });
    for (limits, pointer) in [
        (json!(many), "/limits"),
        (json!([daily(1), daily(2)]), "/limits/1"),
        (json!([neither]), "/limits/0"),
        (json!([once]), "/limits/0"),
        (json!([with("count", json!(-1))]), "/limits/0"),
        (json!([daily(-1)]), "/limits/0/amountMinorUnits"),
        (json!([daily(9_007_199_254_740_992)]), "/limits/0/amountMinorUnits"),
        (json!([with("kind", json!(""))]), "/limits/0/kind"),
        (json!([with("kind", json!("k".repeat(65)))]), "/limits/0/kind"),
        (json!([with("kind", json!("a\u{1}b"))]), "/limits/0/kind"),
        (json!([with("period", json!("week"))]), "/limits/0/period"),
        (json!([with("direction", json!("both"))]), "/limits/0/direction"),
    ] {
        let answer = client.put(&path(2), &json!({ "limits": limits })).await;
        check(&answer, 422, "validation_failed", pointer, &limits.to_string());
    }
    for zone in [json!("Mars/Olympus"), json!(""), json!("+01:00"), json!(1)] {
        let answer = client.put(&path(2), &json!({ "timeZone": zone, "limits": [] })).await;
        check(&answer, 422, "validation_failed", "/timeZone", &zone.to_string());
    }
    for body in [
        json!({ "limits": [], "zone": "UTC" }),
        json!({ "limits": [with("minorUnits", json!(1))] }),
        json!({}),
        json!([]),
    ] {
        let answer = client.put(&path(2), &body).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{body}");
        assert_eq!(answer.body["code"], "validation_failed", "{body}");
    }
    assert_eq!(world.number("select count(*) from limit_changes").await, 0);
}
