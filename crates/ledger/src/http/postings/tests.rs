//! Bodies that move money: whatever comes, each is taken for what it says or refused.

use super::*;
use crate::http::fuzz::{
    amount, any_body, check, config, flag, initiator, maybe, object, sound, text, transaction, uuid,
};
use proptest::prelude::*;
use serde_json::{Value, json};

type Read = (Option<Uuid>, NewTransaction, bool);

fn content(body: PostTransactionBody) -> Read {
    let (id, is_linked) = (body.id(), body.is_linked());
    (id, body.into_new(id.unwrap_or_default(), initiator()), is_linked)
}

fn batch(value: &Value) -> Option<(bool, Vec<Read>)> {
    let members = &object(value, &["atomic", "transactions"])?;
    let transactions = members.get("transactions")?.as_array()?;
    let transactions: Vec<Read> = transactions.iter().map(transaction).collect::<Option<_>>()?;
    let is_last_linked = transactions.last()?.2;
    let atomic = flag(members, "atomic", true)?;
    (!is_last_linked && transactions.len() <= BATCH_MAX).then_some((atomic, transactions))
}

fn reversal(value: &Value) -> Option<(Option<Uuid>, Option<i64>, String)> {
    let members = &object(value, &["id", "amountMinorUnits", "reason"])?;
    let minor_units = maybe(members, "amountMinorUnits", amount)?;
    Some((maybe(members, "id", uuid)?, minor_units, text(1, 500)(members.get("reason")?)?))
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_transaction_is_what_it_says(bytes in any_body(vec![sound(1, false), sound(2, true)])) {
        check(&bytes, content, transaction)?;
    }

    #[test]
    fn a_batch_is_what_it_says(bytes in any_body(vec![
        json!({ "atomic": false, "transactions": [sound(1, true), sound(2, false)] }),
        json!({ "transactions": [sound(1, false)] }),
    ])) {
        let content = |body: BatchBody| {
            (body.atomic, body.transactions.into_iter().map(content).collect())
        };
        check(&bytes, content, batch)?;
    }

    #[test]
    fn a_reversal_is_what_it_says(bytes in any_body(vec![
        json!({ "id": Uuid::nil(), "amountMinorUnits": 5, "reason": "wrong" }),
        json!({ "reason": "wrong" }),
    ])) {
        let content = |body: ReverseBody| (body.id, body.amount_minor_units, body.reason);
        check(&bytes, content, reversal)?;
    }
}
