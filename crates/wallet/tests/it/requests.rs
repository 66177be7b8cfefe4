//! Requests that are not valid: what is pointed at, and that nothing moves.

use crate::world::{Answer, Person, World, mad, to};
use axum::body::Body;
use axum::http::Request;
use serde_json::{Value, json};
use store::testing::TestDatabase;

store::on_every_store! {
    amounts_are_whole_minor_units_that_every_reader_keeps,
    every_field_at_fault_is_pointed_at,
    a_key_is_needed_to_move_money,
    bodies_are_json,
}

async fn amounts_are_whole_minor_units_that_every_reader_keeps(database: TestDatabase) {
    let (world, amina, youssef) = World::with_two(&database).await;
    let before = (world.books().await, world.gateway.charged());
    for amount in [
        "0",
        "-1",
        "1.5",
        "1.0",
        "1e2",
        "\"100\"",
        "null",
        "true",
        "[1]",
        "9007199254740992",
        "9223372036854775807",
        "9223372036854775808",
        "-9223372036854775808",
        "1e400",
    ] {
        for (path, mut body) in [("/top-ups", mad(1)), ("/transfers", to(&youssef, 1))] {
            body["amountMinorUnits"] = "AMOUNT".into();
            let text = body.to_string().replace("\"AMOUNT\"", amount);
            let answer = post_text(&world, &amina, path, "application/json", text).await;
            if amount == "1e400" {
                assert_eq!(answer.problem(), (400, "malformed_json"), "{path}");
                continue;
            }
            assert_eq!(answer.problem(), (422, "validation_failed"), "{path} {amount}");
            assert_eq!(answer.pointers(), ["/amountMinorUnits"], "{path} {amount}");
        }
    }
    assert_eq!((world.books().await, world.gateway.charged()), before);
    assert_eq!(world.statuses().await, ["completed"]);
}

async fn post_text(
    world: &World,
    person: &Person,
    path: &str,
    content_type: &str,
    body: String,
) -> Answer {
    let request = Request::post(person.wallet_path(path))
        .header("authorization", format!("Bearer {}", person.token))
        .header("content-type", content_type)
        .header("idempotency-key", world.key())
        .body(Body::from(body));
    world.process.send(request.unwrap()).await
}

/// `body` with some members replaced, or taken out where the new value is `"REMOVED"`.
fn with(mut body: Value, changes: &[(&str, Value)]) -> Value {
    let members = body.as_object_mut().unwrap();
    for (name, value) in changes {
        match value == "REMOVED" {
            true => drop(members.remove(*name)),
            false => drop(members.insert((*name).to_owned(), value.clone())),
        }
    }
    body
}

async fn every_field_at_fault_is_pointed_at(database: TestDatabase) {
    let (world, amina, youssef) = World::with_two(&database).await;
    let before = (world.books().await, world.gateway.charged());
    let transfer = |changes: &[(&str, Value)]| with(to(&youssef, 1), changes);
    let top_up = |changes: &[(&str, Value)]| with(mad(1), changes);
    let named = |value: Value| transfer(&[("to", value)]);
    let wallet = youssef.wallet_id;
    let long = "x".repeat(201);
    let many: Vec<String> = vec!["MAD".into(); 21];
    for (path, body, pointers) in [
        ("/transfers", transfer(&[("currencyCode", json!("mad"))]), vec!["/currencyCode"]),
        ("/transfers", transfer(&[("currencyCode", json!("ZZZ"))]), vec!["/currencyCode"]),
        ("/transfers", transfer(&[("currencyCode", json!("XAU"))]), vec!["/currencyCode"]),
        ("/transfers", transfer(&[("currencyCode", json!(504))]), vec!["/currencyCode"]),
        ("/transfers", transfer(&[("currencyCode", json!("REMOVED"))]), vec![""]),
        ("/transfers", transfer(&[("amountMinorUnits", json!("REMOVED"))]), vec![""]),
        ("/transfers", transfer(&[("to", json!("REMOVED"))]), vec![""]),
        ("/transfers", transfer(&[("fee", json!(0))]), vec!["/fee"]),
        ("/transfers", transfer(&[("note", json!(long))]), vec!["/note"]),
        ("/transfers", transfer(&[("note", json!("a\nb"))]), vec!["/note"]),
        ("/transfers", transfer(&[("note", json!(5))]), vec!["/note"]),
        ("/transfers", named(json!(null)), vec!["/to"]),
        ("/transfers", named(json!({})), vec!["/to"]),
        ("/transfers", named(json!({ "phone": null })), vec!["/to"]),
        ("/transfers", named(json!({ "phone": "+212612345679", "walletId": wallet })), vec!["/to"]),
        ("/transfers", named(json!({ "email": "a@b.c", "phone": "1" })), vec!["/to"]),
        ("/transfers", named(json!({ "iban": "MA64" })), vec!["/to/iban"]),
        ("/transfers", named(json!({ "phone": "" })), vec!["/to/phone"]),
        ("/transfers", named(json!({ "phone": "1".repeat(33) })), vec!["/to/phone"]),
        ("/transfers", named(json!({ "phone": 212 })), vec!["/to/phone"]),
        ("/transfers", named(json!({ "email": "x".repeat(255) })), vec!["/to/email"]),
        ("/transfers", named(json!({ "email": "" })), vec!["/to/email"]),
        ("/transfers", named(json!({ "walletId": "mine" })), vec!["/to/walletId"]),
        ("/transfers", named(json!({ "walletId": "" })), vec!["/to/walletId"]),
        (
            "/transfers",
            transfer(&[
                ("amountMinorUnits", json!(0)),
                ("note", json!("\u{7}")),
                ("to", json!({ "phone": "", "email": "" })),
            ]),
            vec!["/amountMinorUnits", "/note", "/to", "/to/email", "/to/phone"],
        ),
        ("/transfers", json!([]), vec![""]),
        ("/top-ups", top_up(&[("currencyCode", json!("ZZZ"))]), vec!["/currencyCode"]),
        ("/top-ups", top_up(&[("paymentMethod", json!(""))]), vec!["/paymentMethod"]),
        ("/top-ups", top_up(&[("paymentMethod", json!(long))]), vec!["/paymentMethod"]),
        ("/top-ups", top_up(&[("paymentMethod", json!(null))]), vec!["/paymentMethod"]),
        ("/top-ups", top_up(&[("walletId", json!(wallet))]), vec!["/walletId"]),
        ("", json!({ "currencies": [] }), vec!["/currencies"]),
        ("", json!({ "currencies": ["MAD", "MAD"] }), vec!["/currencies/1"]),
        ("", json!({ "currencies": ["MAD", "nope"] }), vec!["/currencies/1"]),
        ("", json!({ "currencies": "MAD" }), vec!["/currencies"]),
        ("", json!({}), vec![""]),
        ("", json!({ "currencies": ["MAD"], "status": "closed" }), vec!["/status"]),
    ] {
        let path = match path {
            "" => "/api/v1/wallets".to_owned(),
            path => amina.wallet_path(path),
        };
        let answer = world.process.post(&amina, &path, Some(&world.key()), &body).await;
        assert_eq!(answer.problem(), (422, "validation_failed"), "{body}");
        assert_eq!(answer.pointers(), pointers, "{body}");
    }
    let body = json!({ "currencies": many });
    let answer = world.process.post(&amina, "/api/v1/wallets", None, &body).await;
    assert!(answer.pointers().contains(&"/currencies"));
    for below in ["", "/transactions"] {
        let answer = world.process.get(&amina, &format!("/api/v1/wallets/mine{below}")).await;
        assert_eq!(answer.problem(), (422, "validation_failed"));
        assert_eq!(answer.pointers(), ["path"]);
    }
    assert_eq!((world.books().await, world.gateway.charged()), before);
    assert_eq!(world.statuses().await, ["completed"]);
}

async fn a_key_is_needed_to_move_money(database: TestDatabase) {
    let (world, amina, youssef) = World::with_two(&database).await;
    let before = (world.books().await, world.gateway.charged());
    for (below, body) in [("/top-ups", mad(1)), ("/transfers", to(&youssef, 1))] {
        let path = amina.wallet_path(below);
        let answer = world.process.post(&amina, &path, None, &body).await;
        assert_eq!(answer.problem(), (400, "idempotency_key_missing"));
        for key in ["", "  ", &"k".repeat(256), "clé"] {
            let request = Request::post(&path)
                .header("authorization", format!("Bearer {}", amina.token))
                .header("content-type", "application/json")
                .header("idempotency-key", key.as_bytes())
                .body(Body::from(body.to_string()));
            let answer = world.process.send(request.unwrap()).await;
            assert_eq!(answer.problem(), (422, "validation_failed"), "{key:?}");
            assert_eq!(answer.pointers(), ["Idempotency-Key"]);
        }
    }
    assert_eq!((world.books().await, world.gateway.charged()), before);
    let longest = "k".repeat(255);
    assert_eq!(world.process.transfer(&amina, &longest, &to(&youssef, 1)).await.status, 201);
}

async fn bodies_are_json(database: TestDatabase) {
    let (world, amina, youssef) = World::with_two(&database).await;
    let before = (world.books().await, world.gateway.charged());
    let json = "application/json";
    for (below, body) in [("/top-ups", mad(1)), ("/transfers", to(&youssef, 1))] {
        let good = body.to_string();
        let nul = good.replace("MAD", "MAD\\u0000");
        for text in ["", "{", "not json", &format!("{good}{good}"), &nul] {
            let answer = post_text(&world, &amina, below, json, text.to_owned()).await;
            assert_eq!(answer.problem(), (400, "malformed_json"), "{text}");
        }
        for content_type in ["text/plain", "application/x-www-form-urlencoded", ""] {
            let answer = post_text(&world, &amina, below, content_type, good.clone()).await;
            assert_eq!(answer.problem(), (415, "unsupported_media_type"), "{content_type}");
        }
    }
    let request = Request::post("/api/v1/wallets")
        .header("authorization", format!("Bearer {}", amina.token))
        .body(Body::from("{\"currencies\":[\"MAD\"]}"));
    let answer = world.process.send(request.unwrap()).await;
    assert_eq!(answer.problem(), (415, "unsupported_media_type"));
    assert_eq!((world.books().await, world.gateway.charged()), before);
}
