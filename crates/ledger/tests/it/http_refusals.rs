//! Every way to be refused over HTTP: status, code, pointer, and nothing moves.

use crate::http::{ACCOUNTS, Answer, Client, STAFF, TRANSACTIONS, request, transfer_body, uuid};
use crate::world::*;
use axum::http::header;
use ledger::EngineConfig;
use ledger_api::NewAccount;
use serde_json::{Value, json};
use store::testing::TestDatabase;

store::on_every_store! {
    transactions_that_are_not_valid_are_pointed_at,
    transactions_that_cannot_be_are_refused_by_code,
    accounts_that_are_not_valid_are_pointed_at,
    queries_and_paths_are_checked,
    bodies_that_are_not_json_are_refused,
    a_busy_or_stopped_ledger_says_when_to_try_again,
}

/// One refusal: status, code, and the pointer of `errors[0]` or of the problem itself.
#[track_caller]
pub(crate) fn check(answer: &Answer, status: u16, code: &str, pointer: &str, what: &str) {
    let body = &answer.body;
    assert_eq!(answer.status, status, "{what}: {body}");
    assert_eq!(answer.headers[header::CONTENT_TYPE], "application/problem+json", "{what}");
    assert_eq!(body["status"], status, "{what}");
    assert_eq!(body["code"], code, "{what}: {body}");
    assert_eq!(body["type"], format!("urn:finitech:problem:{code}"), "{what}");
    assert!(body["requestId"].is_string(), "{what}");
    let found = body["errors"][0]["pointer"].as_str().or_else(|| body["pointer"].as_str());
    assert_eq!(found.unwrap_or(""), pointer, "{what}: {body}");
}

/// A good body with the member at a JSON pointer replaced; removed when `value` is `null`.
pub(crate) fn changed(mut body: Value, pointer: &str, value: Value) -> Value {
    let (parent, member) = pointer.rsplit_once('/').unwrap();
    let parent = body.pointer_mut(parent).unwrap();
    match (parent, value) {
        (Value::Object(object), Value::Null) => drop(object.remove(member)),
        (Value::Object(object), value) => drop(object.insert(member.to_owned(), value)),
        (Value::Array(items), value) => items[member.parse::<usize>().unwrap()] = value,
        (other, _) => panic!("{other}"),
    }
    body
}

async fn transactions_that_are_not_valid_are_pointed_at(database: TestDatabase) {
    let world = World::new(&database).await.with_customers(2, 100).await;
    let client = Client::new(&world);
    let good = transfer_body(7, 1, 2, &json!(10));
    let leg = good["legs"][0].clone();
    let many_keys: serde_json::Map<_, _> =
        (0..51).map(|key| (format!("k{key}"), json!("v"))).collect();
    let amount = "/legs/1/amountMinorUnits";
    let rows = [
        (amount, json!(0), amount),
        (amount, json!(-1), amount),
        (amount, json!(1.5), amount),
        (amount, json!(10.0), amount),
        (amount, json!(1e3), amount),
        (amount, json!("10"), amount),
        (amount, json!(true), amount),
        (amount, json!([10]), amount),
        (amount, json!(9_007_199_254_740_992_i64), amount),
        (amount, json!(i64::MAX), amount),
        (amount, json!(i64::MIN), amount),
        (amount, json!(9_223_372_036_854_775_808_u64), amount),
        (amount, json!(u64::MAX), amount),
        (amount, json!(1e300), amount),
        (amount, Value::Null, "/legs/1"),
        ("/legs/0/currencyCode", json!("ZZZ"), "/legs/0/currencyCode"),
        ("/legs/0/currencyCode", json!("mad"), "/legs/0/currencyCode"),
        ("/legs/0/currencyCode", json!("XAU"), "/legs/0/currencyCode"),
        ("/legs/0/currencyCode", json!(504), "/legs/0/currencyCode"),
        ("/legs/0/direction", json!("Debit"), "/legs/0/direction"),
        ("/legs/0/accountId", json!("1"), "/legs/0/accountId"),
        ("/legs/0/fee", json!(1), "/legs/0/fee"),
        ("/legs", json!([]), "/legs"),
        ("/legs", json!([leg]), "/legs"),
        ("/legs", json!(vec![leg; 1_001]), "/legs"),
        ("/legs", Value::Null, ""),
        ("/notAfter", json!("2030-01-01T00:00:00Z"), "/notAfter"),
        ("/id", json!("seven"), "/id"),
        ("/kind", json!(""), "/kind"),
        ("/kind", json!("k".repeat(65)), "/kind"),
        ("/kind", json!("a\nb"), "/kind"),
        ("/kind", Value::Null, ""),
        ("/description", json!("é".repeat(501)), "/description"),
        ("/description", json!("\u{1}"), "/description"),
        ("/reference", json!("é".repeat(201)), "/reference"),
        ("/effectiveAt", json!("yesterday"), "/effectiveAt"),
        ("/effectiveAt", json!("2026-02-30T00:00:00Z"), "/effectiveAt"),
        ("/effectiveAt", json!(0), "/effectiveAt"),
        ("/metadata", json!(many_keys), "/metadata"),
        ("/metadata", json!({ "": "v" }), "/metadata"),
        ("/metadata", json!({ "k": "v".repeat(501) }), "/metadata"),
        ("/metadata", json!({ "k": 1 }), "/metadata/k"),
        ("/metadata", json!({ "k": null }), "/metadata/k"),
    ];
    for (at, value, pointer) in rows {
        let what = format!("{at} = {}", value.to_string().chars().take(40).collect::<String>());
        let answer = client.post(TRANSACTIONS, &changed(good.clone(), at, value)).await;
        check(&answer, 422, "validation_failed", pointer, &what);
    }
    // All that is wrong is told at once.
    let bad = changed(changed(good.clone(), "/kind", json!("")), amount, json!(0));
    let answer = client.post(TRANSACTIONS, &bad).await;
    assert_eq!(answer.body["errors"].as_array().unwrap().len(), 2, "{}", answer.body);
    let answer = client.post(TRANSACTIONS, &changed(good, "/id", Value::Null)).await;
    check(&answer, 400, "idempotency_key_missing", "", "no id and no key");

    assert_eq!(world.verify_clean().await.transactions, 1);
    assert_eq!(world.balance(2).await, 100);
}

async fn transactions_that_cannot_be_are_refused_by_code(database: TestDatabase) {
    let world = World::new(&database).await.with_customers(3, 100).await;
    world.open(NewAccount { currency: kernel::Currency::EUR, ..settlement(9) }).await;
    world.open(settlement(10)).await;
    world.open(customer(11)).await;
    let frozen = format!(
        "update account_states set status = 'frozen' where account_sequence = \
         (select sequence from accounts where name = '{}')",
        "Customer 11"
    );
    world.tamper(&frozen).await.unwrap();
    let full = "update account_states set posted_debits = 9223372036854775807, \
                posted_credits = 9223372036854775807 where account_sequence = \
                (select sequence from accounts where name = 'Settlement 10')";
    world.tamper(full).await.unwrap();
    // The engine knows the accounts as it left them: another one reads them.
    let world = world.restarted(&database).await;
    let client = Client::new(&world);

    let good = |from, to, amount: i64| transfer_body(7, from, to, &json!(amount));
    let unbalanced = changed(good(2, 3, 10), "/legs/1/amountMinorUnits", json!(11));
    let currencies = changed(good(2, 3, 10), "/legs/1/currencyCode", json!("EUR"));
    let reused = transfer_body(1_000_002, 2, 3, &json!(10));
    let rows = [
        (reused, "idempotency_key_reused", ""),
        (unbalanced, "transaction_unbalanced", ""),
        (currencies, "transaction_unbalanced", ""),
        (good(2, 99, 10), "account_not_found", "/legs/1/accountId"),
        (good(99, 2, 10), "account_not_found", "/legs/0/accountId"),
        (good(2, 9, 10), "currency_mismatch", "/legs/1/currencyCode"),
        (good(2, 11, 10), "account_not_open", "/legs/1/accountId"),
        (good(2, 10, 10), "balance_overflow", "/legs/1/amountMinorUnits"),
        (good(2, 3, 101), "insufficient_funds", ""),
        (good(2, 3, 9_007_199_254_740_991), "insufficient_funds", ""),
    ];
    let mut last = Value::Null;
    for (body, code, pointer) in rows {
        let answer = client.post(TRANSACTIONS, &body).await;
        check(&answer, 422, code, pointer, code);
        last = answer.body;
    }
    assert_eq!(last["accountId"], uuid(2));
    assert_eq!(last["availableMinorUnits"], 100);
    assert_eq!(last["requiredMinorUnits"], 9_007_199_254_740_991_i64);
    assert_eq!(last["currencyCode"], "MAD");
    assert_eq!((world.balance(2).await, world.balance(3).await), (100, 100));
    assert_eq!(world.number("select count(*) from transactions").await, 2);
}

async fn accounts_that_are_not_valid_are_pointed_at(database: TestDatabase) {
    let world = World::new(&database).await;
    let client = Client::new(&world);
    let good = json!({
        "id": uuid(5),
        "name": "Savings",
        "currencyCode": "MAD",
        "normalSide": "credit",
        "constraint": { "type": "credit_limit", "limitMinorUnits": 5 },
    });
    let limit = "/constraint/limitMinorUnits";
    for (at, value, pointer) in [
        ("/name", json!(""), "/name"),
        ("/name", json!("n".repeat(201)), "/name"),
        ("/name", json!("a\tb"), "/name"),
        ("/name", Value::Null, ""),
        ("/currencyCode", json!("DIRHAM"), "/currencyCode"),
        ("/normalSide", json!("left"), "/normalSide"),
        ("/status", json!("open"), "/status"),
        ("/id", json!(5), "/id"),
        (limit, json!(0), limit),
        (limit, json!(-5), limit),
        (limit, json!(9_007_199_254_740_992_i64), limit),
        (limit, json!(i64::MIN), limit),
        // Inside the constraint the parser no longer knows where it is.
        (limit, json!(1.5), "/constraint"),
        (limit, Value::Null, "/constraint"),
        ("/constraint/type", json!("none"), "/constraint/type"),
        ("/constraint", json!({}), "/constraint"),
        ("/constraint", json!("unlimited"), "/constraint"),
        ("/constraint/minimum", json!(1), "/constraint"),
        ("/constraint", json!({ "type": "unlimited", "limitMinorUnits": 5 }), "/constraint"),
    ] {
        let what = format!("{at} = {value}");
        let answer = client.post(ACCOUNTS, &changed(good.clone(), at, value)).await;
        check(&answer, 422, "validation_failed", pointer, &what);
    }
    assert_eq!(client.post(ACCOUNTS, &good).await.status, 201);
    let other = client.post(ACCOUNTS, &changed(good, "/name", json!("Other"))).await;
    check(&other, 422, "idempotency_key_reused", "", "another account");
    assert_eq!(world.number("select count(*) from accounts").await, 1);
}

async fn queries_and_paths_are_checked(database: TestDatabase) {
    let world = World::new(&database).await.with_customers(2, 100).await;
    let client = Client::new(&world);
    let entries = format!("{ACCOUNTS}/{}/entries", uuid(2));
    for (path, status, code, pointer) in [
        (format!("{entries}?limit=0"), 422, "validation_failed", "limit"),
        (format!("{entries}?limit=201"), 422, "validation_failed", "limit"),
        (format!("{entries}?limit=-1"), 422, "validation_failed", "query"),
        (format!("{entries}?limit=many"), 422, "validation_failed", "query"),
        (format!("{entries}?cursor=zz"), 422, "validation_failed", "cursor"),
        (format!("{entries}?cursor="), 422, "validation_failed", "cursor"),
        (format!("{entries}?cursor=00"), 422, "validation_failed", "cursor"),
        (
            format!("{entries}?cursor={}", uuid(2).replace('-', "")),
            422,
            "validation_failed",
            "cursor",
        ),
        (format!("{entries}?page=2"), 422, "validation_failed", "query"),
        (format!("{ACCOUNTS}/{}/entries", uuid(99)), 404, "not_found", ""),
        (format!("{ACCOUNTS}/{}", uuid(99)), 404, "not_found", ""),
        (format!("{TRANSACTIONS}/{}", uuid(99)), 404, "not_found", ""),
        (format!("{ACCOUNTS}/2"), 422, "validation_failed", "path"),
        (format!("{TRANSACTIONS}/2"), 422, "validation_failed", "path"),
        (format!("{ACCOUNTS}/2/entries"), 422, "validation_failed", "path"),
        ("/api/v1/ledger".into(), 404, "not_found", ""),
    ] {
        check(&client.get(&path).await, status, code, pointer, &path);
    }
}

async fn bodies_that_are_not_json_are_refused(database: TestDatabase) {
    let world = World::new(&database).await.with_customers(2, 100).await;
    let client = Client::new(&world);
    let good = transfer_body(7, 1, 2, &json!(10)).to_string();
    let duplicate = good.replacen("{", "{\"kind\":\"twice\",", 1);
    for (media_type, body, status, code) in [
        ("text/plain", good.clone(), 415, "unsupported_media_type"),
        ("application/x-www-form-urlencoded", good.clone(), 415, "unsupported_media_type"),
        ("", good.clone(), 415, "unsupported_media_type"),
        ("application/json", String::new(), 400, "malformed_json"),
        ("application/json", "{".into(), 400, "malformed_json"),
        ("application/json", format!("{good}{good}"), 400, "malformed_json"),
        ("application/json", good.replace("transfer", "a\\u0000b"), 400, "malformed_json"),
        ("application/json", "[]".into(), 422, "validation_failed"),
        ("application/json", "null".into(), 422, "validation_failed"),
        ("application/json", duplicate, 422, "validation_failed"),
        ("application/json", format!("{good}{}", " ".repeat(1 << 20)), 413, "body_too_large"),
    ] {
        let mut request = request("POST", TRANSACTIONS, Some(STAFF)).body(body.into()).unwrap();
        request.headers_mut().insert(header::CONTENT_TYPE, media_type.parse().unwrap());
        let answer = client.send(request).await;
        let pointer = answer.body["errors"][0]["pointer"].as_str().unwrap_or("").to_owned();
        check(&answer, status, code, &pointer, media_type);
    }
    let too_long = "k".repeat(256);
    for key in ["", "  ", &too_long] {
        let mut body: Value = serde_json::from_str(&good).unwrap();
        body.as_object_mut().unwrap().remove("id");
        let request = request("POST", TRANSACTIONS, Some(STAFF)).header("Idempotency-Key", key);
        let answer = client.send(request.body(body.to_string().into()).unwrap()).await;
        check(&answer, 422, "validation_failed", "Idempotency-Key", key);
    }
    assert_eq!(world.balance(2).await, 100);
    assert_eq!(world.verify_clean().await.transactions, 1);
}

async fn a_busy_or_stopped_ledger_says_when_to_try_again(database: TestDatabase) {
    let config = EngineConfig { queue_max: 1, group_max: 1, ..EngineConfig::default() };
    let world = World::with(&database, config).await.with_customers(2, 0).await;
    let client = Client::new(&world);
    let held = world.hold_the_journal().await;
    // One is being carried out and one waits, as soon as the engine has taken the first.
    let mut taken = Vec::new();
    while taken.len() < 2 {
        let id = 1 + taken.len() as u128;
        taken.extend(queue(&world.ledger, transfer(id, 1, 2, 1)).await);
        tokio::task::yield_now().await;
    }
    let busy = client.post(TRANSACTIONS, &transfer_body(90, 1, 2, &json!(1))).await;
    check(&busy, 503, "ledger_busy", "", "busy");
    assert_eq!(busy.headers[header::RETRY_AFTER], "1");
    drop(held);
    for one in taken {
        one.await.unwrap();
    }
    world.ledger.shut_down().await;
    let stopped = client.post(TRANSACTIONS, &transfer_body(91, 1, 2, &json!(1))).await;
    check(&stopped, 503, "service_unavailable", "", "stopped");
    assert_eq!(stopped.headers[header::RETRY_AFTER], "1");
    assert!(!stopped.body.to_string().contains("shutting down"), "causes stay in the log");
    assert_eq!(world.balance(2).await, 2);
}
