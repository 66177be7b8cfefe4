//! Reversals and dry runs over HTTP.

use crate::http::{Client, STAFF, TRANSACTIONS, transfer_body, uuid};
use crate::http_refusals::{changed, check};
use crate::world::*;
use axum::http::header;
use kernel::Currency;
use ledger_api::{AccountStatus, Ledger as _};
use serde_json::{Value, json};
use store::testing::TestDatabase;

store::on_every_store! {
    a_reversal_is_posted_read_and_replayed,
    a_key_stands_for_the_id_of_a_reversal,
    reversals_that_cannot_be_are_refused_by_code,
    reversals_that_are_not_valid_are_pointed_at,
    a_dry_run_of_a_transaction_records_nothing,
    a_dry_run_of_a_reversal_records_nothing,
}

fn reversals(of: u128) -> String {
    format!("{TRANSACTIONS}/{}/reversals", uuid(of))
}

fn body(id: u128, amount: &Value) -> Value {
    let body = json!({ "id": uuid(id), "reason": "charged twice" });
    changed(body, "/amountMinorUnits", amount.clone())
}

/// Customers 2 and 3, and transaction 7 of 80 from one to the other.
async fn charged_world(database: &TestDatabase) -> World {
    let world = World::new(database).await.with_customers(3, 100).await;
    world.ledger.post(transfer(7, 2, 3, 80)).await.unwrap();
    world
}

async fn a_reversal_is_posted_read_and_replayed(database: TestDatabase) {
    let world = charged_world(&database).await;
    let client = Client::new(&world);
    let part = body(8, &json!(30));
    let reversed = client.post(&reversals(7), &part).await;
    assert_eq!(reversed.status, 201, "{}", reversed.body);
    let path = format!("{TRANSACTIONS}/{}", uuid(8));
    assert_eq!(reversed.headers[header::LOCATION], path.as_str());
    assert_eq!(reversed.headers.get("idempotency-replayed"), None);
    let leg = |account, direction| {
        json!({
            "accountId": uuid(account),
            "direction": direction,
            "amountMinorUnits": 30,
            "currencyCode": "MAD",
        })
    };
    let expected = json!({
        "id": uuid(8),
        "sequence": 7,
        "kind": "reversal",
        "description": "charged twice",
        "reference": null,
        "effectiveAt": "2026-11-23T12:00:00.000001Z",
        "recordedAt": "2026-11-23T12:00:00.000001Z",
        "metadata": {},
        "legs": [leg(2, "credit"), leg(3, "debit")],
        "reverses": uuid(7),
        "captures": null,
        "initiatedBy": uuid(1),
    });
    assert_eq!(reversed.body, expected);
    assert_eq!(client.get(&path).await.body, expected);
    let original = client.get(&format!("{TRANSACTIONS}/{}", uuid(7))).await;
    assert_eq!(original.body["reverses"], Value::Null);
    let again = client.post(&reversals(7), &part).await;
    assert_eq!((again.status.as_u16(), &again.body), (201, &expected));
    assert_eq!(again.headers["idempotency-replayed"], "true");
    // The rest, without an amount.
    let rest = client.post(&reversals(7), &body(9, &Value::Null)).await;
    assert_eq!(rest.status, 201, "{}", rest.body);
    assert_eq!(rest.body["legs"][0]["amountMinorUnits"], 50);
    assert_eq!((world.balance(2).await, world.balance(3).await), (100, 100));
    world.verify_clean().await;
}

async fn a_key_stands_for_the_id_of_a_reversal(database: TestDatabase) {
    let world = charged_world(&database).await;
    let client = Client::new(&world);
    let nameless = json!({ "amountMinorUnits": 10, "reason": "charged twice" });
    let first = client.post_to(&reversals(7), STAFF, "case 5", &nameless).await;
    assert_eq!(first.status, 201, "{}", first.body);
    let again = client.post_to(&reversals(7), STAFF, "case 5", &nameless).await;
    assert_eq!((again.status.as_u16(), &again.body), (201, &first.body));
    assert_eq!(again.headers["idempotency-replayed"], "true");
    assert_eq!(world.balance(2).await, 30);
    let other = changed(nameless.clone(), "/amountMinorUnits", json!(11));
    let other = client.post_to(&reversals(7), STAFF, "case 5", &other).await;
    check(&other, 422, "idempotency_key_reused", "", "another amount");
    let elsewhere = client.post_to(&reversals(1_000_002), STAFF, "case 5", &nameless).await;
    check(&elsewhere, 422, "idempotency_key_reused", "", "another original");
    for (token, key) in [(STAFF, "case 6"), ("ledger:write@2", "case 5")] {
        let other = client.post_to(&reversals(7), token, key, &nameless).await;
        assert_eq!(other.status, 201, "{}", other.body);
    }
    assert_eq!(world.balance(2).await, 50);
    // The id wins over the key.
    let both = client.post_to(&reversals(7), STAFF, "case 5", &body(9, &json!(1))).await;
    assert_eq!(both.body["id"], uuid(9));
    let neither = client.post(&reversals(7), &nameless).await;
    check(&neither, 400, "idempotency_key_missing", "", "neither id nor key");
}

async fn reversals_that_cannot_be_are_refused_by_code(database: TestDatabase) {
    let world = charged_world(&database).await;
    let client = Client::new(&world);
    world.open(customer(4)).await;
    let many = vec![
        debit(3, 90, Currency::MAD),
        credit(2, 40, Currency::MAD),
        credit(4, 50, Currency::MAD),
    ];
    world.ledger.post(with_legs(10, many)).await.unwrap();
    world.ledger.reverse(reversal(11, 7, Some(20))).await.unwrap();
    world.ledger.change_status(change(4, AccountStatus::Frozen, "x")).await.unwrap();
    let before = world.rows().await;
    let all = Value::Null;
    for (original, body, status, code) in [
        (7, body(7, &all), 422, "idempotency_key_reused"),
        (7, body(11, &json!(21)), 422, "idempotency_key_reused"),
        (7, body(11, &all), 422, "idempotency_key_reused"),
        (99, body(12, &all), 404, "not_found"),
        (11, body(12, &all), 422, "reversal_of_reversal"),
        (7, body(12, &json!(61)), 422, "reversal_exceeds_original"),
        (7, body(12, &json!(9_007_199_254_740_991_i64)), 422, "reversal_exceeds_original"),
        (10, body(12, &json!(40)), 422, "partial_reversal_of_many_legs"),
        // Its body has no legs to point at.
        (10, body(12, &all), 422, "account_not_open"),
    ] {
        let answer = client.post(&reversals(original), &body).await;
        check(&answer, status, code, "", code);
        assert_eq!(answer.body["index"], Value::Null);
        if code == "reversal_exceeds_original" {
            assert_eq!(answer.body["leftMinorUnits"], 60);
        }
    }
    // Account 3 has 70 of the 80 and spends them.
    world.ledger.post(transfer(13, 3, 2, 30)).await.unwrap();
    let spent = client.post(&reversals(7), &body(12, &all)).await;
    check(&spent, 422, "insufficient_funds", "", "spent");
    assert_eq!(spent.body["accountId"], uuid(3));
    assert_eq!(spent.body["requiredMinorUnits"], 60);
    assert_eq!(world.rows().await[0], before[0] + 1);
    world.verify_clean().await;
}

async fn reversals_that_are_not_valid_are_pointed_at(database: TestDatabase) {
    let world = charged_world(&database).await;
    let client = Client::new(&world);
    let good = body(8, &json!(10));
    let amount = "/amountMinorUnits";
    let before = world.rows().await;
    for (at, value, pointer) in [
        (amount, json!(0), amount),
        (amount, json!(-1), amount),
        (amount, json!(1.5), amount),
        (amount, json!("1"), amount),
        (amount, json!(9_007_199_254_740_992_i64), amount),
        (amount, json!(i64::MIN), amount),
        ("/reason", json!(""), "/reason"),
        ("/reason", json!("é".repeat(501)), "/reason"),
        ("/reason", json!("a\nb"), "/reason"),
        ("/reason", json!(5), "/reason"),
        ("/reason", Value::Null, ""),
        ("/id", json!("seven"), "/id"),
        ("/legs", json!([]), "/legs"),
        ("/reverses", json!(uuid(7)), "/reverses"),
    ] {
        let what = format!("{at} = {value}");
        let answer = client.post(&reversals(7), &changed(good.clone(), at, value)).await;
        check(&answer, 422, "validation_failed", pointer, &what);
    }
    let answer = client.post(&format!("{TRANSACTIONS}/seven/reversals"), &good).await;
    check(&answer, 422, "validation_failed", "path", "path");
    let answer = client.post(&format!("{}?dryRun=yes", reversals(7)), &good).await;
    check(&answer, 422, "validation_failed", "query", "query");
    check(&client.get(&reversals(7)).await, 405, "method_not_allowed", "", "GET");
    assert_eq!(world.rows().await, before);
}

async fn a_dry_run_of_a_transaction_records_nothing(database: TestDatabase) {
    let world = charged_world(&database).await;
    let client = Client::new(&world);
    let before = world.rows().await;
    let dry = format!("{TRANSACTIONS}?dryRun=true");
    let new = transfer_body(8, 2, 3, &json!(20));
    for _ in 0..2 {
        let tried = client.post(&dry, &new).await;
        assert_eq!(tried.status, 200, "{}", tried.body);
        assert_eq!(tried.body["id"], uuid(8));
        assert_eq!(tried.body["sequence"], before[0] + 1);
        assert_eq!(tried.headers.get("idempotency-replayed"), None);
        assert_eq!(tried.headers.get(header::LOCATION), None, "there is nothing there");
    }
    check(&client.get(&format!("{TRANSACTIONS}/{}", uuid(8))).await, 404, "not_found", "", "8");
    let refused = client.post(&dry, &transfer_body(8, 2, 3, &json!(21))).await;
    check(&refused, 422, "insufficient_funds", "", "too much");
    let unknown = client.post(&dry, &transfer_body(8, 2, 99, &json!(1))).await;
    check(&unknown, 422, "account_not_found", "/legs/1/accountId", "nobody");
    let reused = client.post(&dry, &transfer_body(7, 2, 3, &json!(1))).await;
    check(&reused, 422, "idempotency_key_reused", "", "another of this id");
    let replayed = client.post(&dry, &transfer_body(7, 2, 3, &json!(80))).await;
    assert_eq!(replayed.status, 200, "{}", replayed.body);
    assert_eq!(replayed.headers["idempotency-replayed"], "true");
    assert_eq!(world.rows().await, before);
    // Then in earnest.
    let tried = client.post(&dry, &new).await;
    let posted = client.post(&format!("{TRANSACTIONS}?dryRun=false"), &new).await;
    assert_eq!((posted.status.as_u16(), &posted.body), (201, &tried.body));
    assert_eq!(world.balance(2).await, 0);
    world.verify_clean().await;
}

async fn a_dry_run_of_a_reversal_records_nothing(database: TestDatabase) {
    let world = charged_world(&database).await;
    let client = Client::new(&world);
    let before = world.rows().await;
    let dry = format!("{}?dryRun=true", reversals(7));
    for _ in 0..2 {
        let tried = client.post(&dry, &body(8, &Value::Null)).await;
        assert_eq!(tried.status, 200, "{}", tried.body);
        assert_eq!(tried.body["legs"][0]["amountMinorUnits"], 80);
        assert_eq!(tried.body["reverses"], uuid(7));
        assert_eq!(tried.headers.get(header::LOCATION), None, "there is nothing there");
    }
    let refused = client.post(&dry, &body(8, &json!(81))).await;
    check(&refused, 422, "reversal_exceeds_original", "", "too much");
    assert_eq!(world.rows().await, before);
    let whole = client.post(&reversals(7), &body(8, &json!(80))).await;
    assert_eq!(whole.status, 201, "{}", whole.body);
    let replayed = client.post(&dry, &body(8, &Value::Null)).await;
    assert_eq!((replayed.status.as_u16(), &replayed.body), (200, &whole.body));
    assert_eq!(replayed.headers["idempotency-replayed"], "true");
    world.verify_clean().await;
}
