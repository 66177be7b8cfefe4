//! Bodies about holds: whatever comes, each is taken for what it says or refused.

use super::*;
use crate::http::fuzz::{
    amount, any_body, check, config, flag, instant, legs, maybe, metadata, object, text, uuid,
};
use ledger_api::Leg;
use proptest::prelude::*;
use serde_json::{Value, json};

type Texts = (String, Option<String>, Option<String>, BTreeMap<String, String>);
type Terms = (Vec<Leg>, Option<Timestamp>, Option<i64>);

fn hold(value: &Value) -> Option<(Option<Uuid>, Texts, Terms)> {
    let names = [
        "id",
        "kind",
        "description",
        "reference",
        "metadata",
        "legs",
        "expiresAt",
        "toleranceMinorUnits",
    ];
    let members = &object(value, &names)?;
    let kind = text(1, 64)(members.get("kind")?)?;
    let description = maybe(members, "description", text(0, 500))?;
    let reference = maybe(members, "reference", text(0, 200))?;
    let tolerance = |value: &Value| if value.as_i64() == Some(0) { Some(0) } else { amount(value) };
    let tolerance = maybe(members, "toleranceMinorUnits", tolerance)?;
    let terms = (legs(members)?, maybe(members, "expiresAt", instant)?, tolerance);
    let texts = (kind, description, reference, metadata(members)?);
    Some((maybe(members, "id", uuid)?, texts, terms))
}

fn capture(value: &Value) -> Option<(Option<Uuid>, Option<i64>, bool)> {
    let members = &object(value, &["id", "amountMinorUnits", "final"])?;
    let minor_units = maybe(members, "amountMinorUnits", amount)?;
    Some((maybe(members, "id", uuid)?, minor_units, flag(members, "final", false)?))
}

fn void(value: &Value) -> Option<Option<String>> {
    maybe(&object(value, &["reason"])?, "reason", text(0, 500))
}

fn sound_hold() -> Value {
    let leg = |direction| {
        json!({ "accountId": Uuid::nil(), "direction": direction, "amountMinorUnits": 7,
                "currencyCode": "MAD" })
    };
    json!({
        "id": Uuid::nil(),
        "kind": "card",
        "description": "d",
        "reference": "r",
        "metadata": { "k": "v" },
        "legs": [leg("debit"), leg("credit")],
        "expiresAt": "2026-11-23T12:00:00Z",
        "toleranceMinorUnits": 0,
    })
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_hold_is_what_it_says(bytes in any_body(vec![sound_hold()])) {
        let content = |body: CreateHoldBody| {
            let texts = (body.kind, body.description, body.reference, body.metadata);
            let legs = body.legs.into_iter().map(Into::into).collect();
            (body.id, texts, (legs, body.expires_at, body.tolerance_minor_units))
        };
        check(&bytes, content, hold)?;
    }

    #[test]
    fn a_capture_is_what_it_says(bytes in any_body(vec![
        json!({ "id": Uuid::nil(), "amountMinorUnits": 5, "final": true }),
        json!({}),
    ])) {
        let content = |body: CaptureBody| (body.id, body.amount_minor_units, body.is_final);
        check(&bytes, content, capture)?;
    }

    #[test]
    fn a_void_is_what_it_says(bytes in any_body(vec![json!({ "reason": "x" }), json!({})])) {
        check(&bytes, |body: VoidBody| body.reason, void)?;
    }
}
