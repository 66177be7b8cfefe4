//! Everything that is refused for a reason of business, and that nothing moves then.

use crate::world::{Answer, Person, Process, World, mad, tamper, tamper_with_user, to};
use axum::body::Body;
use axum::http::Request;
use ledger_api::{AccountId, Direction, Ledger as _, Limit, LimitChange, Limits, Period};
use serde_json::{Value, json};
use store::sea_orm::ConnectionTrait;
use store::testing::TestDatabase;
use uuid::Uuid;

store::on_every_store! {
    a_transfer_is_refused_and_nothing_moves,
    a_top_up_is_refused_and_nothing_moves,
    a_wallet_that_is_not_active_neither_sends_nor_receives,
    more_than_the_ledger_can_count_is_refused,
    a_limit_of_the_ledger_refuses_for_good,
    somebody_elses_wallet_cannot_be_told_from_none,
    without_a_valid_token_nothing_is_answered,
    without_the_permission_nothing_is_done,
}

fn send(named: Value, amount: i64, currency: &str) -> Value {
    json!({ "to": named, "amountMinorUnits": amount, "currencyCode": currency })
}

async fn a_transfer_is_refused_and_nothing_moves(database: TestDatabase) {
    let (world, amina, youssef) = World::with_two(&database).await;
    let salma = world.person(2, &["EUR"]).await;
    let without_wallet = world.person_with_roles(3, &["Customer"]).await;
    let inactive = world.person(4, &["MAD"]).await;
    let sql = "update users set status = 'locked' where id = $1";
    tamper_with_user(&world.identity_store, sql, &inactive).await;
    let mut own = amina.clone();
    own.wallet_id = world.open_wallet(&amina, &["USD"]).await;
    let before = world.books().await;
    let nobody = Uuid::from_u128(7);
    for (named, amount, currency, code, member) in [
        (json!({ "phone": "+212612349999" }), 1, "MAD", "recipient_not_found", None),
        (json!({ "phone": "0612345679" }), 1, "MAD", "recipient_not_found", None),
        (json!({ "phone": "not a number" }), 1, "MAD", "recipient_not_found", None),
        (json!({ "phone": without_wallet.phone }), 1, "MAD", "recipient_not_found", None),
        (json!({ "phone": inactive.phone }), 1, "MAD", "recipient_not_found", None),
        (json!({ "email": inactive.email }), 1, "MAD", "recipient_not_found", None),
        (json!({ "walletId": inactive.wallet_id }), 1, "MAD", "recipient_not_found", None),
        (json!({ "email": "nobody@example.com" }), 1, "MAD", "recipient_not_found", None),
        (json!({ "email": "%" }), 1, "MAD", "recipient_not_found", None),
        (json!({ "walletId": nobody }), 1, "MAD", "recipient_not_found", None),
        (json!({ "walletId": Uuid::nil() }), 1, "MAD", "recipient_not_found", None),
        (json!({ "walletId": amina.user_id.0 }), 1, "MAD", "recipient_not_found", None),
        (json!({ "phone": amina.phone }), 1, "MAD", "same_wallet", None),
        (json!({ "phone": "00212 612 34 56 78" }), 1, "MAD", "same_wallet", None),
        (json!({ "email": "AMINA@example.com" }), 1, "MAD", "same_wallet", None),
        (json!({ "walletId": amina.wallet_id }), 1, "MAD", "same_wallet", None),
        // Even what she does not hold and more than she has.
        (json!({ "walletId": amina.wallet_id }), 1 << 40, "GBP", "same_wallet", None),
        (json!({ "phone": youssef.phone }), 1, "USD", "currency_not_held", Some("sender")),
        (json!({ "phone": salma.phone }), 1, "GBP", "currency_not_held", Some("sender")),
        (json!({ "phone": salma.phone }), 1, "MAD", "currency_not_held", Some("recipient")),
        (json!({ "walletId": salma.wallet_id }), 1, "MAD", "currency_not_held", Some("recipient")),
        (json!({ "walletId": own.wallet_id }), 1, "MAD", "currency_not_held", Some("recipient")),
    ] {
        let body = send(named, amount, currency);
        let answer = world.process.transfer(&amina, &world.key(), &body).await;
        assert_eq!(answer.problem(), (422, code), "{body}");
        assert!(!answer.is_replayed());
        assert_eq!(answer.body["missingFrom"].as_str(), member, "{body}");
        assert_eq!(answer.body.get("currencyCode").is_some(), member.is_some());
    }
    for (amount, currency, available) in [(100_001, "MAD", 100_000), (1, "EUR", 0)] {
        let body = send(json!({ "phone": youssef.phone }), amount, currency);
        let answer = world.process.transfer(&amina, &world.key(), &body).await;
        assert_eq!(answer.problem(), (422, "insufficient_funds"));
        assert_eq!(answer.body["availableMinorUnits"], available);
        assert_eq!(answer.body["requiredMinorUnits"], amount);
    }
    assert_eq!(world.books().await, before);
    world.assert_settled().await;
}

async fn a_top_up_is_refused_and_nothing_moves(database: TestDatabase) {
    let (world, amina, _) = World::with_two(&database).await;
    let before = (world.books().await, world.gateway.charged());
    let mut body = mad(5);
    body["currencyCode"] = "USD".into();
    let answer = world.process.top_up(&amina, "a", &body).await;
    assert_eq!(answer.problem(), (422, "currency_not_held"));
    assert_eq!(
        (&answer.body["currencyCode"], &answer.body["missingFrom"]),
        (&json!("USD"), &json!("sender"))
    );
    let mut body = mad(5);
    body["paymentMethod"] = "sandbox-declined".into();
    let answer = world.process.top_up(&amina, "b", &body).await;
    assert_eq!(answer.problem(), (422, "payment_declined"));
    assert_eq!((world.books().await, world.gateway.charged()), before);
    assert_eq!(world.statuses().await, ["completed", "rejected"]);
    world.assert_settled().await;
}

async fn a_wallet_that_is_not_active_neither_sends_nor_receives(database: TestDatabase) {
    let (world, amina, youssef) = World::with_two(&database).await;
    world.fund(&youssef, 1_000).await;
    let before = world.books().await;
    for status in ["frozen", "closed"] {
        let sql = format!(
            "update wallets set status = '{status}' \
             where id = (select min(wallet_id) from operations where kind = 'top_up' \
             and amount_minor_units = 100000)"
        );
        // PostgreSQL 15 knows no min of UUIDs.
        let sql = sql.replace("min(wallet_id)", "wallet_id");
        tamper(&world.process.store, &sql).await;
        let read = world.process.get(&amina, &amina.wallet_path("")).await;
        assert_eq!((read.status, &read.body["status"]), (200, &json!(status)));
        let answer = world.process.transfer(&amina, &world.key(), &to(&youssef, 1)).await;
        assert_eq!(answer.problem(), (422, "wallet_not_active"));
        let answer = world.process.top_up(&amina, &world.key(), &mad(1)).await;
        assert_eq!(answer.problem(), (422, "wallet_not_active"));
        for named in [json!({ "walletId": amina.wallet_id }), json!({ "phone": amina.phone })] {
            let body = send(named, 1, "MAD");
            let answer = world.process.transfer(&youssef, &world.key(), &body).await;
            assert_eq!(answer.problem(), (422, "recipient_not_found"));
        }
    }
    assert_eq!(world.books().await, before);
}

async fn more_than_the_ledger_can_count_is_refused(database: TestDatabase) {
    let (world, amina, youssef) = World::with_two(&database).await;
    let sql = "update account_states set posted_credits = 9223372036854775807 \
               where posted_credits = 100000";
    world.tamper_ledger(sql).await;
    world.fund(&youssef, 10).await;
    let before = world.books().await;
    let answer = world.process.transfer(&youssef, "key", &to(&amina, 1)).await;
    assert_eq!(answer.problem(), (422, "account_unavailable"));
    assert_eq!(world.books().await, before);
}

async fn a_limit_of_the_ledger_refuses_for_good(database: TestDatabase) {
    let (world, amina, youssef) = World::with_two(&database).await;
    let sql = "select a.id from accounts a join account_states s on s.account_sequence = a.sequence \
               where s.posted_credits = 100000 order by a.sequence limit 1";
    let statement = world.ledger_store.statement(sql, []);
    let row = world.ledger_store.read().query_one_raw(statement).await.unwrap().unwrap();
    let limit = Limit {
        direction: Direction::Outgoing,
        kind: None,
        period: Period::Day,
        minor_units: Some(5),
        count: None,
    };
    let limits = Limits { limits: vec![limit], ..Limits::default() };
    let account = AccountId(row.try_get("", "id").unwrap());
    world.ledger.set_limits(LimitChange { account, limits }).await.unwrap();
    let before = world.books().await;
    for _ in 0..2 {
        let answer = world.process.transfer(&amina, "key", &to(&youssef, 6)).await;
        assert_eq!(answer.problem(), (422, "account_unavailable"));
    }
    assert_eq!(world.books().await, before);
    let answer = world.process.transfer(&amina, &world.key(), &to(&youssef, 5)).await;
    assert_eq!(answer.status, 201, "{}", answer.body);
}

/// Every route of the wallet `id` with a body that would be good.
async fn every_route(process: &Process, person: &Person, id: Uuid, other: &Person) -> Vec<Answer> {
    let path = |below: &str| format!("/api/v1/wallets/{id}{below}");
    vec![
        process.get(person, &path("")).await,
        process.get(person, &path("/transactions")).await,
        process.post(person, &path("/top-ups"), Some("top up"), &mad(1)).await,
        process.post(person, &path("/transfers"), Some("transfer"), &to(other, 1)).await,
        // Refused for another reason if it were one's own.
        process
            .post(
                person,
                &path("/transfers"),
                Some("refused"),
                &send(json!({ "phone": "1" }), 1, "GBP"),
            )
            .await,
    ]
}

async fn somebody_elses_wallet_cannot_be_told_from_none(database: TestDatabase) {
    let (world, amina, youssef) = World::with_two(&database).await;
    let before = world.books().await;
    let theirs = every_route(&world.process, &youssef, amina.wallet_id, &amina).await;
    let nobodys = every_route(&world.process, &youssef, Uuid::from_u128(9), &amina).await;
    for (theirs, nobodys) in theirs.iter().zip(&nobodys) {
        assert_eq!(theirs.problem(), (404, "not_found"));
        assert_eq!((theirs.status, &theirs.body), (nobodys.status, &nobodys.body));
        assert_eq!(theirs.headers, nobodys.headers);
    }
    let listed = world.process.get(&youssef, "/api/v1/wallets").await;
    assert_eq!(listed.body["items"].as_array().unwrap().len(), 1);
    assert_eq!(world.books().await, before);
    assert_eq!(world.statuses().await, ["completed"]);
}

fn routes(wallet: &Person) -> [(&'static str, String, Value); 6] {
    [
        ("GET", "/api/v1/wallets".into(), Value::Null),
        ("POST", "/api/v1/wallets".into(), json!({ "currencies": ["MAD"] })),
        ("GET", wallet.wallet_path(""), Value::Null),
        ("GET", wallet.wallet_path("/transactions"), Value::Null),
        ("POST", wallet.wallet_path("/top-ups"), mad(1)),
        ("POST", wallet.wallet_path("/transfers"), to(wallet, 1)),
    ]
}

async fn request(process: &Process, route: &(&str, String, Value), token: Option<&str>) -> Answer {
    let (method, path, body) = route;
    let mut request = Request::builder()
        .method(*method)
        .uri(path)
        .header("content-type", "application/json")
        .header("idempotency-key", "key");
    if let Some(token) = token {
        request = request.header("authorization", token);
    }
    process.send(request.body(Body::from(body.to_string())).unwrap()).await
}

async fn without_a_valid_token_nothing_is_answered(database: TestDatabase) {
    let (world, amina, _) = World::with_two(&database).await;
    let before = world.books().await;
    let basic = format!("Basic {}", amina.token);
    let altered = format!("Bearer {}x", amina.token);
    for route in &routes(&amina) {
        for token in [None, Some(""), Some("Bearer "), Some(&basic), Some(&altered)] {
            let answer = request(&world.process, route, token).await;
            assert_eq!(answer.problem(), (401, "unauthenticated"), "{route:?} {token:?}");
            let challenge = answer.headers["www-authenticate"].to_str().unwrap();
            let came = token == Some(&altered);
            assert_eq!(challenge == "Bearer error=\"invalid_token\"", came, "{challenge}");
            assert_eq!(challenge == "Bearer", !came, "{challenge}");
        }
    }
    assert_eq!(world.books().await, before);
}

async fn without_the_permission_nothing_is_done(database: TestDatabase) {
    let (world, amina, _) = World::with_two(&database).await;
    let auditor = world.person_with_roles(2, &["Auditor"]).await;
    let before = world.books().await;
    let token = format!("Bearer {}", auditor.token);
    for route in &routes(&amina) {
        let answer = request(&world.process, route, Some(&token)).await;
        assert_eq!(answer.problem(), (403, "forbidden"), "{route:?}");
    }
    // Who may only read reads.
    let sql = "delete from role_permissions where permission = 'wallet:write'";
    tamper(&world.identity_store, sql).await;
    let reader = world.person_with_roles(3, &["Customer"]).await;
    let token = format!("Bearer {}", reader.token);
    for route in &routes(&amina) {
        let answer = request(&world.process, route, Some(&token)).await;
        let expected = match (route.0, route.1.as_str()) {
            ("GET", "/api/v1/wallets") => 200,
            ("GET", _) => 404,
            _ => 403,
        };
        assert_eq!(answer.status, expected, "{route:?}");
    }
    assert_eq!(world.books().await, before);
}
