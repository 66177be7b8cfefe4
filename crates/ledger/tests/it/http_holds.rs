//! The routes that set money aside, take it and let it go.

use crate::http::{ACCOUNTS, Client, STAFF, TRANSACTIONS, transfer_body, uuid};
use crate::http_refusals::{changed, check};
use crate::world::*;
use axum::http::{StatusCode, header};
use ledger_api::{AccountStatus, Ledger as _};
use serde_json::{Value, json};
use std::time::Duration;
use store::testing::TestDatabase;

store::on_every_store! {
    a_hold_is_made_read_captured_and_replayed,
    holds_are_tried_without_doing_them,
    a_key_stands_for_the_id_of_a_hold_and_of_a_capture,
    holds_that_are_not_valid_are_pointed_at,
    what_cannot_be_captured_or_voided_is_refused_by_code,
    linked_transactions_share_their_fate,
}

const HOLDS: &str = "/api/v1/ledger/holds";

fn hold_body(id: u128, amount: i64) -> Value {
    changed(transfer_body(id, 2, 3, &json!(amount)), "/kind", json!("card"))
}

fn of(id: u128, action: &str) -> String {
    format!("{HOLDS}/{}/{action}", uuid(id))
}

/// The posted, available and pending members of an account's balance.
async fn available(client: &Client, number: u128) -> Value {
    client.get(&format!("{ACCOUNTS}/{}", uuid(number))).await.body
}

async fn a_hold_is_made_read_captured_and_replayed(database: TestDatabase) {
    let world = World::new(&database).await.with_customers(3, 100).await;
    let client = Client::new(&world);
    let body = changed(hold_body(7, 60), "/toleranceMinorUnits", json!(5));
    let body = changed(body, "/expiresAt", json!("2026-11-23T13:00:00Z"));
    let body = changed(body, "/metadata", json!({ "order": "42" }));
    let made = client.post(HOLDS, &body).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
    let path = format!("{HOLDS}/{}", uuid(7));
    assert_eq!(made.headers[header::LOCATION], path.as_str());
    assert_eq!(made.headers.get("idempotency-replayed"), None);
    let expected = json!({
        "id": uuid(7),
        "sequence": 6,
        "status": "pending",
        "kind": "card",
        "description": null,
        "reference": null,
        "metadata": { "order": "42" },
        "legs": body["legs"],
        "amountMinorUnits": 60,
        "capturedMinorUnits": 0,
        "remainingMinorUnits": 60,
        "toleranceMinorUnits": 5,
        "expiresAt": "2026-11-23T13:00:00Z",
        "createdAt": noon(),
        "initiatedBy": uuid(1),
        "releasedBy": null,
    });
    assert_eq!(made.body, expected);
    assert_eq!(client.get(&path).await.body, expected);
    let again = client.post(HOLDS, &body).await;
    assert_eq!(again.headers["idempotency-replayed"], "true");
    assert_eq!(again.body, expected);
    let before = available(&client, 2).await;

    let capture = json!({ "id": uuid(8), "amountMinorUnits": 25 });
    let captured = client.post(&of(7, "capture"), &capture).await;
    assert_eq!(captured.status, StatusCode::CREATED, "{}", captured.body);
    assert_eq!(captured.body["captures"], uuid(7));
    assert_eq!((&captured.body["kind"], &captured.body["sequence"]), (&json!("card"), &json!(7)));
    assert_eq!(captured.body["legs"][0]["amountMinorUnits"], 25);
    assert_eq!(client.get(&format!("{TRANSACTIONS}/{}", uuid(8))).await.body, captured.body);
    let again = client.post(&of(7, "capture"), &capture).await;
    assert_eq!(again.headers["idempotency-replayed"], "true");
    assert_eq!(again.body, captured.body);
    let hold = client.get(&path).await.body;
    assert_eq!(
        (&hold["capturedMinorUnits"], &hold["remainingMinorUnits"]),
        (&json!(25), &json!(35))
    );
    // Out of what was set aside, not of what is available.
    let after = available(&client, 2).await;
    assert_ne!(before, after);
    let find = |body: &Value| body.to_string().matches("40").count();
    assert!(find(&before) > 0 && find(&after) > 0, "{before} {after}");

    let last = json!({ "id": uuid(9), "amountMinorUnits": 5, "final": true });
    assert_eq!(client.post(&of(7, "capture"), &last).await.status, StatusCode::CREATED);
    let hold = client.get(&path).await.body;
    assert_eq!((&hold["status"], &hold["capturedMinorUnits"]), (&json!("captured"), &json!(30)));
    assert_eq!(hold["remainingMinorUnits"], 0);
    assert_eq!((world.balance(2).await, world.balance(3).await), (70, 130));

    client.post(HOLDS, &hold_body(10, 10)).await;
    for _ in 0..2 {
        let voided = client.post(&of(10, "void"), &json!({ "reason": "cancelled" })).await;
        assert_eq!(voided.status, StatusCode::OK, "{}", voided.body);
        assert_eq!(
            (&voided.body["status"], &voided.body["id"]),
            (&json!("voided"), &json!(uuid(10)))
        );
    }
    world.verify_clean().await;
}

async fn holds_are_tried_without_doing_them(database: TestDatabase) {
    let world = World::new(&database).await.with_customers(3, 100).await;
    let client = Client::new(&world);
    client.post(HOLDS, &hold_body(7, 60)).await;
    let before = world.rows().await;
    let tried = client.post(&format!("{HOLDS}?dryRun=true"), &hold_body(8, 40)).await;
    assert_eq!((tried.status, &tried.body["status"]), (StatusCode::OK, &json!("pending")));
    let refused = client.post(&format!("{HOLDS}?dryRun=true"), &hold_body(8, 41)).await;
    check(&refused, 422, "insufficient_funds", "", "dry run");
    let path = format!("{}?dryRun=true", of(7, "capture"));
    let tried = client.post(&path, &json!({ "id": uuid(9) })).await;
    assert_eq!((tried.status, &tried.body["captures"]), (StatusCode::OK, &json!(uuid(7))));
    let refused = client.post(&path, &json!({ "id": uuid(9), "amountMinorUnits": 61 })).await;
    check(&refused, 422, "capture_exceeds_hold", "", "dry run");
    assert_eq!(world.rows().await, before);
    check(&client.get(&format!("{HOLDS}/{}", uuid(8))).await, 404, "not_found", "", "only tried");
}

async fn a_key_stands_for_the_id_of_a_hold_and_of_a_capture(database: TestDatabase) {
    let world = World::new(&database).await.with_customers(3, 100).await;
    let client = Client::new(&world);
    let body = changed(hold_body(7, 60), "/id", Value::Null);
    check(&client.post(HOLDS, &body).await, 400, "idempotency_key_missing", "", "no id");
    let first = client.post_to(HOLDS, STAFF, "one", &body).await;
    let again = client.post_to(HOLDS, STAFF, "one", &body).await;
    assert_eq!((first.status, &first.body), (StatusCode::CREATED, &again.body));
    let path = format!("{HOLDS}/{}/capture", first.body["id"].as_str().unwrap());
    check(&client.post(&path, &json!({})).await, 400, "idempotency_key_missing", "", "no id");
    let part = json!({ "amountMinorUnits": 10 });
    // The key may be the hold's: it names a transaction here.
    for replayed in [false, true] {
        let captured = client.post_to(&path, STAFF, "one", &part).await;
        assert_eq!(captured.status, StatusCode::CREATED, "{}", captured.body);
        assert_eq!(captured.headers.contains_key("idempotency-replayed"), replayed);
    }
    assert_eq!(world.balance(2).await, 90);
    let other = changed(body, "/kind", json!("other"));
    let refused = client.post_to(HOLDS, STAFF, "one", &other).await;
    check(&refused, 422, "idempotency_key_reused", "", "another hold");
}

async fn holds_that_are_not_valid_are_pointed_at(database: TestDatabase) {
    let world = World::new(&database).await.with_customers(3, 100).await;
    let client = Client::new(&world);
    let amount = "/legs/1/amountMinorUnits";
    for (pointer, value, at) in [
        (amount, json!(0), amount),
        (amount, json!(-1), amount),
        ("/kind", json!(""), "/kind"),
        ("/kind", json!("k".repeat(65)), "/kind"),
        ("/description", json!("d".repeat(501)), "/description"),
        ("/reference", json!("r".repeat(201)), "/reference"),
        ("/legs", json!([]), "/legs"),
        ("/metadata", json!({ "": "v" }), "/metadata"),
        ("/toleranceMinorUnits", json!(-1), "/toleranceMinorUnits"),
        ("/toleranceMinorUnits", json!(9_007_199_254_740_992_i64), "/toleranceMinorUnits"),
        ("/toleranceMinorUnits", json!(1.5), "/toleranceMinorUnits"),
        ("/expiresAt", json!("tomorrow"), "/expiresAt"),
        ("/captured", json!(1), "/captured"),
        ("/effectiveAt", json!("2026-11-23T13:00:00Z"), "/effectiveAt"),
        ("/linked", json!(true), "/linked"),
    ] {
        let answer = client.post(HOLDS, &changed(hold_body(7, 10), pointer, value.clone())).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{pointer} {value}");
        let body = &answer.body;
        assert_eq!(body["code"], "validation_failed", "{pointer} {value}: {body}");
        let found = body["errors"][0]["pointer"].as_str().unwrap_or_default();
        let unknown = !["/captured", "/effectiveAt", "/linked"].contains(&at);
        assert!(!unknown || found == at, "{pointer} {value}: {body}");
    }
    let tolerant = json!({ "id": uuid(7), "kind": "x", "toleranceMinorUnits": 1, "legs": [
        { "accountId": uuid(2), "direction": "debit", "amountMinorUnits": 3, "currencyCode": "MAD" },
        { "accountId": uuid(3), "direction": "credit", "amountMinorUnits": 1, "currencyCode": "MAD" },
        { "accountId": uuid(1), "direction": "credit", "amountMinorUnits": 2, "currencyCode": "MAD" },
    ]});
    let answer = client.post(HOLDS, &tolerant).await;
    check(&answer, 422, "validation_failed", "/toleranceMinorUnits", "three legs");
    client.post(HOLDS, &hold_body(7, 10)).await;
    for (action, body, at) in [
        ("capture", json!({ "id": uuid(8), "amountMinorUnits": 0 }), "/amountMinorUnits"),
        ("capture", json!({ "id": uuid(8), "amountMinorUnits": -5 }), "/amountMinorUnits"),
        ("capture", json!({ "id": uuid(8), "final": "yes" }), "/final"),
        ("void", json!({ "reason": "r".repeat(501) }), "/reason"),
        ("void", json!({ "reason": "a\u{1}b" }), "/reason"),
    ] {
        check(&client.post(&of(7, action), &body).await, 422, "validation_failed", at, action);
    }
    for (action, body) in
        [("capture", json!({ "id": uuid(8), "amount": 5 })), ("void", json!({ "why": "x" }))]
    {
        let answer = client.post(&of(7, action), &body).await;
        assert_eq!(
            (answer.status.as_u16(), &answer.body["code"]),
            (422, &json!("validation_failed"))
        );
    }
    assert_eq!(world.number("select count(*) from transactions").await, 2);
}

async fn what_cannot_be_captured_or_voided_is_refused_by_code(database: TestDatabase) {
    let world = World::new(&database).await.with_customers(3, 100).await;
    let client = Client::new(&world);
    let whole = |id| json!({ "id": uuid(id) });
    for action in ["capture", "void"] {
        let body = if action == "capture" { whole(8) } else { json!({}) };
        check(&client.post(&of(7, action), &body).await, 404, "not_found", "", action);
    }
    check(&client.get(&format!("{HOLDS}/{}", uuid(7))).await, 404, "not_found", "", "none");
    let past = changed(hold_body(7, 10), "/expiresAt", json!("2026-11-23T12:00:00Z"));
    check(&client.post(HOLDS, &past).await, 409, "hold_expired", "", "in the past");
    for (from, to, amount, code, pointer) in [
        (2, 99, 10, "account_not_found", "/legs/1/accountId"),
        (2, 3, 101, "insufficient_funds", ""),
    ] {
        let body = transfer_body(7, from, to, &json!(amount));
        check(&client.post(HOLDS, &body).await, 422, code, pointer, code);
    }
    let soon = changed(hold_body(7, 60), "/expiresAt", json!("2026-11-23T12:01:00Z"));
    client.post(HOLDS, &soon).await;
    let refused = client.post(HOLDS, &hold_body(7, 60)).await;
    check(&refused, 422, "idempotency_key_reused", "", "no expiry");
    let refused =
        client.post(&of(7, "capture"), &json!({ "id": uuid(8), "amountMinorUnits": 61 })).await;
    check(&refused, 422, "capture_exceeds_hold", "", "too much");
    assert_eq!(refused.body["leftMinorUnits"], 60);
    let refused = client.post(&of(7, "capture"), &whole(1_000_002)).await;
    check(&refused, 422, "idempotency_key_reused", "", "another transaction's id");
    world.ledger.change_status(change(3, AccountStatus::Frozen, "x")).await.unwrap();
    let refused = client.post(&of(7, "capture"), &whole(8)).await;
    check(&refused, 422, "account_not_open", "", "a frozen account");
    world.clock.advance(Duration::from_secs(60));
    check(&client.post(&of(7, "capture"), &whole(8)).await, 409, "hold_expired", "", "over");
    world.ledger.expire_holds(10).await.unwrap();
    for (action, body) in [("capture", whole(8)), ("void", json!({}))] {
        check(&client.post(&of(7, action), &body).await, 409, "hold_not_pending", "", action);
    }
    assert_eq!(client.get(&format!("{HOLDS}/{}", uuid(7))).await.body["status"], "expired");
    world.ledger.change_status(change(3, AccountStatus::Open, "x")).await.unwrap();
    let legs = json!([
        { "accountId": uuid(2), "direction": "debit", "amountMinorUnits": 3, "currencyCode": "MAD" },
        { "accountId": uuid(3), "direction": "credit", "amountMinorUnits": 1, "currencyCode": "MAD" },
        { "accountId": uuid(1), "direction": "credit", "amountMinorUnits": 2, "currencyCode": "MAD" },
    ]);
    client.post(HOLDS, &json!({ "id": uuid(9), "kind": "x", "legs": legs })).await;
    let part = json!({ "id": uuid(8), "amountMinorUnits": 2 });
    let refused = client.post(&of(9, "capture"), &part).await;
    check(&refused, 422, "partial_capture_of_many_legs", "", "three legs");
    assert_eq!(client.post(&of(9, "capture"), &whole(8)).await.status, StatusCode::CREATED);
    world.verify_clean().await;
}

async fn linked_transactions_share_their_fate(database: TestDatabase) {
    let world = World::new(&database).await.with_customers(3, 100).await;
    let client = Client::new(&world);
    let bulk = format!("{TRANSACTIONS}/bulk");
    let pay = |id, amount: i64| transfer_body(id, 2, 3, &json!(amount));
    let linked = |id, amount| changed(pay(id, amount), "/linked", json!(true));
    let batch = json!({ "atomic": false, "transactions": [
        pay(1, 10), linked(2, 10), linked(3, 999), pay(4, 1), linked(5, 20), pay(6, 20),
    ]});
    let answer = client.post(&bulk, &batch).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    let items = answer.body["items"].as_array().unwrap();
    let seen: Vec<_> = items
        .iter()
        .map(|item| (item["status"].as_str().unwrap(), item["code"].as_str().unwrap_or("")))
        .collect();
    let refused = ("refused", "linked_refused");
    let expected = [
        ("posted", ""),
        refused,
        ("refused", "insufficient_funds"),
        refused,
        ("posted", ""),
        ("posted", ""),
    ];
    assert_eq!(seen, expected);
    assert_eq!(world.balance(3).await, 150);
    let detail = items[1]["detail"].as_str().unwrap();
    assert!(detail.contains("transaction 2"), "{detail}");
    // Nothing comes after the last one, and one alone has no next.
    let open = json!({ "transactions": [pay(7, 1), linked(8, 1)] });
    check(
        &client.post(&bulk, &open).await,
        422,
        "validation_failed",
        "/transactions/1/linked",
        "last",
    );
    let single = client.post(TRANSACTIONS, &linked(9, 1)).await;
    check(&single, 422, "validation_failed", "/linked", "alone");
    // All or none are linked anyway.
    let atomic = json!({ "atomic": true, "transactions": [linked(10, 1), pay(11, 999)] });
    let answer = client.post(&bulk, &atomic).await;
    check(&answer, 422, "insufficient_funds", "", "atomic");
    assert_eq!(answer.body["index"], 1);
    let again = client.post(&bulk, &batch).await.body;
    assert_eq!(again["items"][5]["status"], "replayed");
    assert_eq!(world.balance(3).await, 150);
    world.verify_clean().await;
}
