//! Requests that are not valid: what is pointed at, and that nothing of them is repeated.

use crate::world::{DELETE, DETOKENIZE, NUMBER, SEARCH, TOKENS, World, count};
use serde_json::{Value, json};
use store::testing::TestDatabase;

store::on_every_store! {
    verification_codes_are_refused,
    every_field_at_fault_is_pointed_at,
}

async fn verification_codes_are_refused(database: TestDatabase) {
    let world = World::open(&database).await;
    let (_, admin) = world.staff("admin", &["Admin"]).await;
    for name in ["cvv", "cvv2", "cvc", "cvc2", "cid", "csc", "cvn", "securityCode", "CVV", "pin"] {
        for code in [json!("123"), json!(123), json!({}), json!(["1"])] {
            let body = json!({ "cardNumber": NUMBER, name: code });
            let refused = world.post(&admin, TOKENS, &body).await;
            assert_eq!(refused.problem(), (422, "validation_failed"), "{body}");
            let detail = refused.body["errors"][0]["detail"].as_str().unwrap();
            // What goes by a name that nobody uses is refused as any other member.
            let is_known = !["CVV", "pin"].contains(&name);
            assert_eq!(detail.contains("verification code (CVV)"), is_known, "{body}: {detail}");
            assert!(!refused.body.to_string().contains(NUMBER));
        }
    }
    let twice = format!(r#"{{"cardNumber":"{NUMBER}","cvv":"1","cvc":"1"}}"#);
    let refused = world.post_text(&admin, TOKENS, twice).await;
    assert_eq!(refused.problem(), (422, "validation_failed"));
    assert_eq!(count(&world.store, "tokens").await, 0);
}

async fn every_field_at_fault_is_pointed_at(database: TestDatabase) {
    let world = World::open(&database).await;
    let (_, admin) = world.staff("admin", &["Admin", "CardOfficer"]).await;
    let number = |value: Value| json!({ "cardNumber": value });
    let reason = |text: &str| json!({ "token": "411111000000", "reason": text });
    for (path, body, pointers) in [
        (TOKENS, number(json!("4111111111111112")), vec!["/cardNumber"]),
        (TOKENS, number(json!("41111111111")), vec!["/cardNumber"]),
        (TOKENS, number(json!("41111111111111111111")), vec!["/cardNumber"]),
        (TOKENS, number(json!("4111 1111 1111 1111")), vec!["/cardNumber"]),
        (TOKENS, number(json!(4111111111111111_u64)), vec!["/cardNumber"]),
        (TOKENS, number(json!(null)), vec!["/cardNumber"]),
        (TOKENS, json!({}), vec![""]),
        (TOKENS, json!({ "cardNumber": NUMBER, "expiryMonth": 12 }), vec!["/expiryMonth"]),
        (TOKENS, json!({ "cardNumber": "1", "cvv": "1" }), vec!["", "/cardNumber"]),
        (SEARCH, json!({ "token": NUMBER }), vec!["/token"]),
        (SEARCH, json!({ "token": "no" }), vec!["/token"]),
        (DETOKENIZE, json!({ "token": NUMBER, "reason": "a test" }), vec!["/token"]),
        (DETOKENIZE, json!({ "token": "411111000000" }), vec![""]),
        (DETOKENIZE, reason(""), vec!["/reason"]),
        (DETOKENIZE, reason("  "), vec!["/reason"]),
        (DETOKENIZE, reason(&"x".repeat(501)), vec!["/reason"]),
        (DETOKENIZE, reason("card 4111 1111 1111 1111"), vec!["/reason"]),
        (DELETE, reason("5555-5555-5555-4444 was stolen"), vec!["/reason"]),
        (DELETE, json!({ "token": "7", "reason": "" }), vec!["/reason", "/token"]),
    ] {
        let refused = world.post(&admin, path, &body).await;
        assert_eq!(refused.problem(), (422, "validation_failed"), "{body}");
        assert_eq!(refused.pointers(), pointers, "{path} {body}");
        let text = refused.body.to_string();
        assert!(!text.contains("4111") && !text.contains("5555"), "{text}");
    }
    assert_eq!(count(&world.store, "tokens").await, 0);
    assert_eq!(world.audited("card_number_disclosed").await, []);
}
