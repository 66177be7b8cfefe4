//! The routes when all is well, and who may use them.

use crate::world::*;
use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode, header};
use axum::response::Response;
use http_body_util::BodyExt;
use identity_api::{AuditRecord, AuditTrail, AuditTrailError};
use kernel::{Actor, ActorKind, UserId};
use ledger::Ledger;
use ports::SystemIds;
use serde_json::{Value, json};
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use store::testing::TestDatabase;
use tower::ServiceExt;
use uuid::Uuid;
use web::{AuthenticationError, Authenticator, InvalidToken, Limits};

store::on_every_store! {
    an_account_is_opened_and_read,
    a_transaction_is_posted_read_and_listed,
    a_key_stands_for_the_id,
    lists_are_paged_by_cursor,
    the_trial_balance_is_per_currency,
    every_route_asks_for_its_permission,
    every_documented_member_is_as_it_is_sent,
}

/// A token is the list of its permissions; whose it is follows, and that it is an API client's.
struct Tokens;

#[async_trait::async_trait]
impl Authenticator for Tokens {
    async fn authenticate(
        &self,
        token: &str,
        _: Option<IpAddr>,
    ) -> Result<Actor, AuthenticationError> {
        let (permissions, user) =
            token.split_once('@').ok_or(AuthenticationError::Invalid(InvalidToken::Malformed))?;
        let (user, kind) = match user.strip_suffix("/program") {
            Some(user) => (user, ActorKind::Program),
            None => (user, ActorKind::Person),
        };
        let user: u128 =
            user.parse().map_err(|_| AuthenticationError::Invalid(InvalidToken::Malformed))?;
        Ok(Actor {
            user_id: UserId(Uuid::from_u128(user)),
            kind,
            session_id: Uuid::nil(),
            roles: [].into(),
            permissions: permissions.split(',').map(str::to_owned).collect(),
            authenticated_at: None,
        })
    }
}

pub(crate) const STAFF: &str = "ledger:read,ledger:write@1";

/// Keeps what is written down, until it is told not to.
#[derive(Default)]
pub(crate) struct Trail {
    noted: Mutex<Vec<AuditRecord>>,
    is_broken: AtomicBool,
}

impl Trail {
    /// What was written down since this was last asked.
    pub(crate) fn take(&self) -> Vec<AuditRecord> {
        std::mem::take(&mut self.noted.lock().unwrap())
    }

    pub(crate) fn set_broken(&self, is_broken: bool) {
        self.is_broken.store(is_broken, Ordering::Relaxed);
    }
}

#[async_trait::async_trait]
impl AuditTrail for Trail {
    async fn record(&self, record: AuditRecord) -> Result<(), AuditTrailError> {
        if self.is_broken.load(Ordering::Relaxed) {
            return Err(AuditTrailError("it is broken".into()));
        }
        self.noted.lock().unwrap().push(record);
        Ok(())
    }
}

/// The ledger's routes as the server serves them.
pub(crate) struct Client {
    router: Router,
    pub(crate) trail: Arc<Trail>,
}

pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

impl Client {
    pub(crate) fn new(world: &World) -> Self {
        Self::of(&world.ledger)
    }

    pub(crate) fn of(ledger: &Ledger) -> Self {
        let trail = Arc::new(Trail::default());
        let (router, _) = ledger.router(trail.clone()).split_for_parts();
        let limits = Limits { body_bytes_max: 1 << 20, duration_max: Duration::from_secs(30) };
        let router = web::authenticate_with(router, Arc::new(Tokens));
        Self { router: web::apply(router, limits, Arc::new(SystemIds)), trail }
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        Answer { status: parts.status, headers: parts.headers, body }
    }

    /// An answer that may still be on its way.
    pub(crate) async fn begin(&self, request: Request<Body>) -> Response {
        self.router.clone().oneshot(request).await.unwrap()
    }

    /// An answer as text.
    pub(crate) async fn text(&self, request: Request<Body>) -> String {
        let bytes = self.begin(request).await.into_body().collect().await.unwrap().to_bytes();
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(request("GET", path, Some(STAFF)).body(Body::empty()).unwrap()).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send(request("POST", path, Some(STAFF)).body(body.to_string().into()).unwrap()).await
    }

    pub(crate) async fn put(&self, path: &str, body: &Value) -> Answer {
        self.send(request("PUT", path, Some(STAFF)).body(body.to_string().into()).unwrap()).await
    }

    pub(crate) async fn post_to(&self, path: &str, token: &str, key: &str, body: &Value) -> Answer {
        let request = request("POST", path, Some(token)).header("Idempotency-Key", key);
        self.send(request.body(body.to_string().into()).unwrap()).await
    }
}

pub(crate) fn request(
    method: &str,
    path: &str,
    token: Option<&str>,
) -> axum::http::request::Builder {
    let request = Request::builder().method(method).uri(path);
    let request = request.header(header::CONTENT_TYPE, "application/json");
    match token {
        Some(token) => request.header(header::AUTHORIZATION, format!("Bearer {token}")),
        None => request,
    }
}

pub(crate) const ACCOUNTS: &str = "/api/v1/ledger/accounts";
pub(crate) const TRANSACTIONS: &str = "/api/v1/ledger/transactions";

pub(crate) fn uuid(number: u128) -> String {
    Uuid::from_u128(number).to_string()
}

/// Dirhams from one account to another, as a client writes it.
pub(crate) fn transfer_body(id: u128, from: u128, to: u128, amount: &Value) -> Value {
    let leg = |account, direction| {
        json!({
            "accountId": uuid(account),
            "direction": direction,
            "amountMinorUnits": amount,
            "currencyCode": "MAD",
        })
    };
    json!({ "id": uuid(id), "kind": "transfer", "legs": [leg(from, "debit"), leg(to, "credit")] })
}

async fn an_account_is_opened_and_read(database: TestDatabase) {
    let world = World::new(&database).await;
    let client = Client::new(&world);
    let body = json!({
        "id": uuid(5),
        "name": "Découvert",
        "currencyCode": "TND",
        "normalSide": "credit",
        "constraint": { "type": "credit_limit", "limitMinorUnits": 9_007_199_254_740_991_i64 },
    });
    let opened = client.post(ACCOUNTS, &body).await;
    assert_eq!(opened.status, StatusCode::CREATED, "{}", opened.body);
    let path = format!("{ACCOUNTS}/{}", uuid(5));
    assert_eq!(opened.headers[header::LOCATION], path.as_str());
    assert_eq!(opened.headers.get("idempotency-replayed"), None);
    let expected = json!({
        "id": uuid(5),
        "name": "Découvert",
        "currencyCode": "TND",
        "normalSide": "credit",
        "constraint": { "type": "credit_limit", "limitMinorUnits": 9_007_199_254_740_991_i64 },
        "status": "open",
        "balanceMinorUnits": 0,
        "availableMinorUnits": 0,
        "postedDebitsMinorUnits": 0,
        "postedCreditsMinorUnits": 0,
        "pendingDebitsMinorUnits": 0,
        "pendingCreditsMinorUnits": 0,
        "openedAt": "2026-11-23T12:00:00.000001Z",
    });
    assert_eq!(opened.body, expected);
    assert_eq!(client.get(&path).await.body, expected);

    let again = client.post(ACCOUNTS, &body).await;
    assert_eq!((again.status, &again.body), (StatusCode::OK, &expected));
    assert_eq!(again.headers["idempotency-replayed"], "true");

    // Without an id the server makes one; without a constraint it may not go below zero.
    let least = json!({ "name": "x", "currencyCode": "MAD", "normalSide": "debit" });
    let (one, two) = (client.post(ACCOUNTS, &least).await, client.post(ACCOUNTS, &least).await);
    assert_eq!(one.body["constraint"], json!({ "type": "non_negative" }));
    assert_ne!(one.body["id"], two.body["id"]);
}

async fn a_transaction_is_posted_read_and_listed(database: TestDatabase) {
    let world = World::new(&database).await.with_customers(2, 0).await;
    let client = Client::new(&world);
    let mut body = transfer_body(7, 1, 2, &json!(25_000));
    body["description"] = json!("Loyer – إيجار");
    body["reference"] = json!("FACT-1");
    body["effectiveAt"] = json!("2026-11-20T01:00:00+01:00");
    body["metadata"] = json!({ "order": "42" });
    let posted = client.post(TRANSACTIONS, &body).await;
    assert_eq!(posted.status, StatusCode::CREATED, "{}", posted.body);
    let path = format!("{TRANSACTIONS}/{}", uuid(7));
    assert_eq!(posted.headers[header::LOCATION], path.as_str());
    assert_eq!(posted.headers.get("idempotency-replayed"), None);
    let mut expected = body.clone();
    expected["reverses"] = Value::Null;
    expected["captures"] = Value::Null;
    expected["initiatedBy"] = json!(uuid(1));
    expected["sequence"] = json!(3);
    expected["effectiveAt"] = json!("2026-11-20T00:00:00Z");
    expected["recordedAt"] = json!("2026-11-23T12:00:00.000001Z");
    assert_eq!(posted.body, expected);
    assert_eq!(client.get(&path).await.body, expected);

    let again = client.post(TRANSACTIONS, &body).await;
    assert_eq!((again.status, &again.body), (StatusCode::CREATED, &expected));
    assert_eq!(again.headers["idempotency-replayed"], "true");
    assert_eq!(world.balance(2).await, 25_000);

    let list = client.get(&format!("{ACCOUNTS}/{}/entries", uuid(2))).await;
    let entry = json!({
        "transactionId": uuid(7),
        "sequence": 3,
        "leg": 1,
        "direction": "credit",
        "amountMinorUnits": 25_000,
        "currencyCode": "MAD",
        "balanceAfterMinorUnits": 25_000,
        "kind": "transfer",
        "description": "Loyer – إيجار",
        "reference": "FACT-1",
        "effectiveAt": "2026-11-20T00:00:00Z",
        "recordedAt": "2026-11-23T12:00:00.000001Z",
    });
    assert_eq!(list.body, json!({ "items": [entry], "nextCursor": null }));
}

async fn a_key_stands_for_the_id(database: TestDatabase) {
    let world = World::new(&database).await.with_customers(2, 0).await;
    let client = Client::new(&world);
    let mut body = transfer_body(7, 1, 2, &json!(10));
    body.as_object_mut().unwrap().remove("id");
    let first = client.post_to(TRANSACTIONS, STAFF, "order 42", &body).await;
    assert_eq!(first.status, StatusCode::CREATED, "{}", first.body);
    let again = client.post_to(TRANSACTIONS, STAFF, "order 42", &body).await;
    assert_eq!((again.status, &again.body), (StatusCode::CREATED, &first.body));
    assert_eq!(again.headers["idempotency-replayed"], "true");
    assert_eq!(world.balance(2).await, 10);
    // Another key, or the same key of somebody else, is another transaction.
    let other_key = client.post_to(TRANSACTIONS, STAFF, "order 43", &body).await;
    let other_user = client.post_to(TRANSACTIONS, "ledger:write@2", "order 42", &body).await;
    assert_ne!(first.body["id"], other_key.body["id"]);
    assert_ne!(first.body["id"], other_user.body["id"]);
    assert_eq!(world.balance(2).await, 30);
    // The id wins over the key.
    let both =
        client.post_to(TRANSACTIONS, STAFF, "order 42", &transfer_body(7, 1, 2, &json!(1))).await;
    assert_eq!(both.body["id"], uuid(7));
}

async fn lists_are_paged_by_cursor(database: TestDatabase) {
    let world = World::new(&database).await.with_customers(2, 0).await;
    let client = Client::new(&world);
    for id in 1..=5 {
        client.post(TRANSACTIONS, &transfer_body(id, 1, 2, &json!(1))).await;
    }
    let path = format!("{ACCOUNTS}/{}/entries", uuid(2));
    let mut seen = Vec::new();
    let mut query = "?limit=2".to_owned();
    loop {
        let page = client.get(&format!("{path}{query}")).await;
        assert_eq!(page.status, StatusCode::OK, "{}", page.body);
        let items = page.body["items"].as_array().unwrap();
        seen.extend(items.iter().map(|item| item["balanceAfterMinorUnits"].as_i64().unwrap()));
        let Some(cursor) = page.body["nextCursor"].as_str() else { break };
        query = format!("?limit=2&cursor={cursor}");
    }
    assert_eq!(seen, [5, 4, 3, 2, 1]);
    let all = client.get(&format!("{path}?limit=200")).await;
    assert_eq!(all.body["items"].as_array().unwrap().len(), 5);
    // An account without entries has an empty list.
    world.open(customer(3)).await;
    let none = client.get(&format!("{ACCOUNTS}/{}/entries", uuid(3))).await;
    assert_eq!(none.body, json!({ "items": [], "nextCursor": null }));
}

async fn the_trial_balance_is_per_currency(database: TestDatabase) {
    let world = World::new(&database).await.with_customers(3, 100).await;
    let client = Client::new(&world);
    world.open(ledger_api::NewAccount { currency: kernel::Currency::EUR, ..customer(9) }).await;
    // Together more than 64 bits hold, though no single account is.
    for number in [21, 22, 23] {
        world.open(settlement(number)).await;
    }
    let most = json!(9_007_199_254_740_991_i64);
    for id in 0..3 {
        let mut body = transfer_body(100 + id, 21, 22, &most);
        let legs = body["legs"].as_array().unwrap().clone();
        let many: Vec<Value> = legs.iter().cycle().take(1_000).cloned().collect();
        body["legs"] = json!(many);
        let posted = client.post(TRANSACTIONS, &body).await;
        assert_eq!(
            posted.status,
            if id < 2 { StatusCode::CREATED } else { StatusCode::UNPROCESSABLE_ENTITY }
        );
        if id == 2 {
            assert_eq!(posted.body["code"], "balance_overflow", "{}", posted.body);
        }
    }
    let mut body = transfer_body(200, 22, 23, &most);
    let legs = body["legs"].as_array().unwrap().clone();
    body["legs"] = json!(legs.iter().cycle().take(1_000).cloned().collect::<Vec<_>>());
    assert_eq!(client.post(TRANSACTIONS, &body).await.status, StatusCode::CREATED);
    let total = 1_500 * 9_007_199_254_740_991_i128 + 200;
    let answer = client.get("/api/v1/ledger/trial-balance").await;
    assert_eq!(answer.status, StatusCode::OK);
    let items = &answer.body["items"];
    assert_eq!(items[0]["currencyCode"], "EUR");
    assert_eq!((&items[0]["accounts"], &items[0]["balanced"]), (&json!(1), &json!(true)));
    assert_eq!(items[1]["currencyCode"], "MAD");
    assert_eq!(items[1]["debitsMinorUnits"].to_string(), total.to_string());
    assert_eq!(items[1]["creditsMinorUnits"], items[1]["debitsMinorUnits"]);
    assert_eq!((&items[1]["accounts"], &items[1]["balanced"]), (&json!(6), &json!(true)));
}

async fn every_route_asks_for_its_permission(database: TestDatabase) {
    let world = World::new(&database).await.with_customers(2, 100).await;
    let client = Client::new(&world);
    let (_, api) = world.ledger.router(client.trail.clone()).split_for_parts();
    let document = serde_json::to_value(api).unwrap();
    let operations = web::openapi::operations(&document);
    assert_eq!(operations.len(), 27);
    for (method, path, operation) in operations {
        // Heads of the history are for everyone.
        if path.starts_with("/api/v1/ledger/checkpoints") {
            assert!(operation.get("security").is_none(), "{path}");
            continue;
        }
        let path = path.replace("{id}", &uuid(2));
        let needed = operation["security"][0]["bearer"][0].as_str().unwrap();
        let other = if needed == "ledger:read" { "ledger:write" } else { "ledger:read" };
        let before = world.balance(2).await;
        // The body is a good one: only the caller stands against it.
        let body = match (method.as_str(), path.rsplit('/').next().unwrap()) {
            ("POST", "transactions") => transfer_body(7, 1, 2, &json!(1)),
            ("POST", "bulk") => json!({ "transactions": [transfer_body(9, 1, 2, &json!(1))] }),
            ("POST", "reversals") => json!({ "id": uuid(10), "reason": "x" }),
            ("POST", "accounts") => {
                json!({ "id": uuid(8), "name": "x", "currencyCode": "MAD", "normalSide": "debit" })
            }
            ("POST", "holds") => {
                let legs = transfer_body(7, 1, 2, &json!(1))["legs"].take();
                json!({ "id": uuid(11), "kind": "x", "legs": legs })
            }
            ("POST", "capture") => json!({ "id": uuid(12) }),
            ("PUT", "limits") => json!({ "limits": [] }),
            ("POST", _) => json!({ "reason": "x" }),
            _ => Value::Null,
        };
        for (token, status, code) in [
            (None, 401, "unauthenticated"),
            (Some("nonsense".to_owned()), 401, "unauthenticated"),
            (Some("@1".to_owned()), 403, "forbidden"),
            (Some(format!("{other},wallet:read@1")), 403, "forbidden"),
        ] {
            let request = request(&method, &path, token.as_deref());
            let answer = client.send(request.body(body.to_string().into()).unwrap()).await;
            assert_eq!(answer.status, status, "{method} {path} {token:?}");
            assert_eq!(answer.body["code"], code);
            if status == 401 {
                // RFC 6750 section 3: no error is told to who shows no token.
                let challenge = match token {
                    None => "Bearer",
                    Some(_) => "Bearer error=\"invalid_token\"",
                };
                assert_eq!(answer.headers[header::WWW_AUTHENTICATE], challenge);
            }
        }
        assert_eq!(world.balance(2).await, before);
        let request = request(&method, &path, Some(&format!("{needed}@1")));
        let answer = client.send(request.body(body.to_string().into()).unwrap()).await;
        // What is not there, or full, or already closed is answered as that.
        let good = !matches!(answer.status.as_u16(), 400 | 401 | 403 | 405 | 415 | 500..);
        // A stream takes no JSON, but the caller may ask.
        let good = good || path.ends_with("/stream") && answer.status == 415;
        assert!(good, "{method} {path}: {}", answer.body);
    }
}

/// Every member of these answers and requests is in the document, and nothing in it is spelled otherwise.
async fn every_documented_member_is_as_it_is_sent(database: TestDatabase) {
    let world = World::new(&database).await;
    let (_, api) = world.ledger.router(Arc::new(Trail::default())).split_for_parts();
    let document = web::openapi::finish(api);
    let mut members = Vec::new();
    collect_members(&document["components"]["schemas"], &mut members);
    assert!(members.len() > 50, "{members:?}");
    for member in &members {
        assert!(member.chars().all(|letter| letter.is_ascii_alphanumeric()), "{member}");
    }
    for member in ["limitMinorUnits", "amountMinorUnits", "nextCursor", "balanced"] {
        assert!(members.iter().any(|known| known == member), "{member}");
    }
}

fn collect_members(schema: &Value, members: &mut Vec<String>) {
    if let Some(properties) = schema["properties"].as_object() {
        members.extend(properties.keys().cloned());
    }
    match schema {
        Value::Object(object) => object.values().for_each(|one| collect_members(one, members)),
        Value::Array(items) => items.iter().for_each(|one| collect_members(one, members)),
        _ => (),
    }
}
