//! API clients: the client credentials grant, and what staff do with them.

use crate::support::{Answer, PASSWORD, Process, clock, youssef};
use axum::http::Request;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use std::time::Duration;
use store::testing::TestDatabase;
use web::ClientAddress;

store::on_every_store! {
    a_client_gets_a_token_for_its_secret,
    the_endpoint_answers_as_the_standard_says,
    a_scope_can_be_narrowed_and_not_widened,
    a_rotated_secret_counts_a_while_longer,
    a_revoked_client_is_refused_everywhere_within_seconds,
    a_client_ends_in_its_time,
    a_client_calls_from_its_networks_only,
    nobody_gives_a_client_what_no_client_or_they_themselves_cannot_have,
    nobody_becomes_a_client_that_may_do_more_than_they,
    a_client_is_not_a_person,
    staff_actions_are_told_without_secrets,
}

const TOKEN: &str = "/api/v1/oauth/token";
const CLIENTS: &str = "/api/v1/admin/api-clients";
const FORM: &str = "application/x-www-form-urlencoded";

async fn staff(process: &Process, role: &str) -> String {
    process.identity.register_with_roles(youssef(), &[role]).await.unwrap();
    process.log_in("youssef@example.com", PASSWORD).await.tokens().0
}

fn new_client() -> Value {
    json!({ "name": "Reports", "scopes": ["ledger:read", "users:read"] })
}

/// A client that was just made: its id and its secret.
async fn made(process: &Process, admin: &str, body: Value) -> (String, String) {
    let made = process.post_as(admin, CLIENTS, body).await;
    assert_eq!(made.status, 201, "{}", made.body);
    let text = |name: &str| made.body[name].as_str().unwrap().to_owned();
    (text("id"), text("clientSecret"))
}

fn request() -> axum::http::request::Builder {
    Request::post(TOKEN).header("content-type", FORM)
}

async fn ask(process: &Process, id: &str, secret: &str, more: &str) -> Answer {
    let form = format!("grant_type=client_credentials&client_id={id}&client_secret={secret}{more}");
    process.send(request().body(form.clone().into()).unwrap()).await
}

async fn token(process: &Process, id: &str, secret: &str) -> String {
    let answer = ask(process, id, secret, "").await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.body["access_token"].as_str().unwrap().to_owned()
}

async fn put_networks(process: &Process, token: &str, id: &str, networks: Value) -> Answer {
    let request = Request::put(format!("{CLIENTS}/{id}/allowed-networks"))
        .header("content-type", "application/json")
        .header("authorization", format!("Bearer {token}"))
        .body(json!({ "allowedNetworks": networks }).to_string().into());
    process.send(request.unwrap()).await
}

/// A call that a client with `users:read` may make.
async fn search(process: &Process, token: &str) -> Answer {
    let body = json!({ "identifier": "youssef@example.com" });
    process.post_as(token, "/api/v1/admin/users/search", body).await
}

async fn a_client_gets_a_token_for_its_secret(database: TestDatabase) {
    let process = Process::start(&database, &clock()).await;
    let admin = staff(&process, "Admin").await;
    let (id, secret) = made(&process, &admin, new_client()).await;
    let basic = STANDARD.encode(format!("{id}:{secret}"));
    let form = "grant_type=client_credentials";
    let by_header = request().header("authorization", format!("Basic {basic}"));
    let by_header = process.send(by_header.body(form.into()).unwrap()).await;
    let by_body = ask(&process, &id, &secret, "").await;
    for answer in [by_header, by_body] {
        assert_eq!(answer.status, 200, "{}", answer.body);
        assert_eq!(answer.headers["cache-control"], "no-store");
        assert_eq!(answer.headers["content-type"], "application/json");
        let token = answer.body["access_token"].as_str().unwrap();
        assert_eq!(
            answer.body,
            json!({
                "access_token": token,
                "token_type": "Bearer",
                "expires_in": 900,
                "scope": "ledger:read users:read",
            })
        );
        let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
        let claims: Value = serde_json::from_slice(&claims).unwrap();
        assert_eq!(
            json!([claims["sub"], claims["client_id"], claims["scope"], claims["roles"]]),
            json!([id, id, "ledger:read users:read", []])
        );
        assert_eq!(search(&process, token).await.status, 200);
    }
    let seen = process.get(&format!("{CLIENTS}/{id}"), &admin).await.body;
    assert_eq!(seen["lastTokenAt"], "2026-11-23T09:30:00Z");
    assert_eq!(seen.get("clientSecret"), None);
    let listed = process.get(CLIENTS, &admin).await.body;
    assert_eq!(listed["items"], json!([seen]));
}

async fn the_endpoint_answers_as_the_standard_says(database: TestDatabase) {
    let process = Process::start(&database, &clock()).await;
    let admin = staff(&process, "Admin").await;
    let (id, secret) = made(&process, &admin, new_client()).await;
    let basic = |text: String| format!("Basic {}", STANDARD.encode(text));
    let right = basic(format!("{id}:{secret}"));
    let grant = "grant_type=client_credentials";
    let in_body = format!("client_id={id}&client_secret={secret}");
    for (authorization, form, status, error) in [
        (None, grant.to_owned(), 401, "invalid_client"),
        (None, format!("{grant}&client_id={id}"), 401, "invalid_client"),
        (None, format!("{grant}&client_id={id}&client_secret=x"), 401, "invalid_client"),
        (None, format!("{grant}&client_id={secret}&client_secret={secret}"), 401, "invalid_client"),
        (Some(basic(format!("{id}:x"))), grant.to_owned(), 401, "invalid_client"),
        (Some(basic(id.clone())), grant.to_owned(), 401, "invalid_client"),
        (Some("Basic é".to_owned()), grant.to_owned(), 401, "invalid_client"),
        (Some(format!("Bearer {admin}")), grant.to_owned(), 401, "invalid_client"),
        (Some(right.clone()), format!("{grant}&{in_body}"), 400, "invalid_request"),
        (Some(right.clone()), format!("{grant}&client_id=other"), 400, "invalid_request"),
        (None, in_body.clone(), 400, "invalid_request"),
        (None, format!("{grant}&{grant}&{in_body}"), 400, "invalid_request"),
        (None, format!("grant_type=password&{in_body}"), 400, "unsupported_grant_type"),
        (None, format!("grant_type=&{in_body}"), 400, "invalid_request"),
    ] {
        let mut asking = request();
        if let Some(authorization) = &authorization {
            asking = asking.header("authorization", authorization);
        }
        let answer = process.send(asking.body(form.clone().into()).unwrap()).await;
        assert_eq!((answer.status, &answer.body["error"]), (status, &json!(error)), "{form}");
        assert_eq!(answer.body["code"], error);
        assert_eq!(answer.headers["content-type"], "application/json");
        let is_challenged = answer.headers.contains_key("www-authenticate");
        assert_eq!(is_challenged, status == 401, "{form}");
    }
    // Percent-encoded, as the standard wants, and with a parameter that nobody knows.
    let form = format!("{grant}&resource=x&client_id={id}");
    let encoded = basic(format!("{}:{}", id.replace('-', "%2D"), secret.replace('-', "%2d")));
    let asking = request().header("authorization", encoded);
    assert_eq!(process.send(asking.body(form.into()).unwrap()).await.status, 200);
    let as_json = process.post(TOKEN, json!({ "grant_type": "client_credentials" })).await;
    assert_eq!(as_json.problem(), (415, "unsupported_media_type"));
}

async fn a_scope_can_be_narrowed_and_not_widened(database: TestDatabase) {
    let process = Process::start(&database, &clock()).await;
    let admin = staff(&process, "Admin").await;
    let (id, secret) = made(&process, &admin, new_client()).await;
    let narrow = ask(&process, &id, &secret, "&scope=ledger%3Aread").await;
    assert_eq!(narrow.body["scope"], "ledger:read");
    let narrow = narrow.body["access_token"].as_str().unwrap();
    assert_eq!(search(&process, narrow).await.problem(), (403, "forbidden"));
    let both = ask(&process, &id, &secret, "&scope=users:read+ledger:read").await;
    assert_eq!(both.body["scope"], "ledger:read users:read");
    for scope in ["ledger:write", "ledger:read+ledger:write", "x", "+"] {
        let refused = ask(&process, &id, &secret, &format!("&scope={scope}")).await;
        assert_eq!(refused.status, 400, "{scope}");
        assert_eq!(refused.body["error"], "invalid_scope", "{scope}");
    }
}

async fn a_rotated_secret_counts_a_while_longer(database: TestDatabase) {
    let process = Process::start(&database, &clock()).await;
    let admin = async || process.log_in("youssef@example.com", PASSWORD).await.tokens().0;
    staff(&process, "Admin").await;
    let (id, first) = made(&process, &admin().await, new_client()).await;
    let old = token(&process, &id, &first).await;
    let rotate = async |body: Value| {
        let path = format!("{CLIENTS}/{id}/rotate-secret");
        let rotated = process.post_as(&admin().await, &path, body).await;
        assert_eq!(rotated.status, 200, "{}", rotated.body);
        rotated.body["clientSecret"].as_str().unwrap().to_owned()
    };
    let status = async |secret: &str| ask(&process, &id, secret, "").await.status;
    let second = rotate(json!({ "overlapSeconds": 3600 })).await;
    assert_eq!(search(&process, &old).await.status, 200, "tokens live on");
    process.clock.advance(Duration::from_secs(3599));
    assert_eq!((status(&first).await, status(&second).await), (200, 200));
    process.clock.advance(Duration::from_secs(1));
    assert_eq!((status(&first).await, status(&second).await), (401, 200));
    // A secret that has an end gets no later one; the default is a day.
    let third = rotate(json!({})).await;
    let fourth = rotate(json!({ "overlapSeconds": 2_592_000 })).await;
    process.clock.advance(Duration::from_hours(24));
    assert_eq!((status(&second).await, status(&third).await), (401, 200));
    let stolen = token(&process, &id, &third).await;
    let fifth = rotate(json!({ "overlapSeconds": 0 })).await;
    let counts = [status(&third).await, status(&fourth).await, status(&fifth).await];
    assert_eq!(counts, [401, 401, 200]);
    assert_eq!(search(&process, &stolen).await.status, 401, "nor do its tokens");
    assert_eq!(search(&process, &token(&process, &id, &fifth).await).await.status, 200);
    let path = format!("{CLIENTS}/{id}/rotate-secret");
    let refused =
        process.post_as(&admin().await, &path, json!({ "overlapSeconds": 2_592_001 })).await;
    assert_eq!(refused.pointers(), ["/overlapSeconds"]);
}

async fn a_revoked_client_is_refused_everywhere_within_seconds(database: TestDatabase) {
    let clock = clock();
    let (here, there) =
        (Process::start(&database, &clock).await, Process::start(&database, &clock).await);
    let admin = staff(&here, "Admin").await;
    let (id, secret) = made(&here, &admin, new_client()).await;
    let token = token(&here, &id, &secret).await;
    assert_eq!(search(&there, &token).await.status, 200);
    let path = format!("{CLIENTS}/{id}/revoke");
    let revoked = here.post_as(&admin, &path, json!({ "reason": "the contract ended" })).await;
    assert_eq!(revoked.body["revokedReason"], "the contract ended", "{}", revoked.body);
    let again = here.post_as(&admin, &path, json!({ "reason": "again" })).await;
    assert_eq!(again.body, revoked.body, "the first reason stays");
    assert_eq!(search(&here, &token).await.problem(), (401, "unauthenticated"));
    let began = std::time::Instant::now();
    while search(&there, &token).await.status == 200 {
        assert!(began.elapsed() < Duration::from_secs(5), "the revocation did not arrive");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let refused = ask(&there, &id, &secret, "").await;
    assert_eq!((refused.status, &refused.body["error"]), (401, &json!("invalid_client")));
    for (method, body) in
        [("rotate-secret", json!({})), ("revoke", json!({ "reason": "once more" }))]
    {
        let answer = here.post_as(&admin, &format!("{CLIENTS}/{id}/{method}"), body).await;
        match method {
            "revoke" => assert_eq!(answer.status, 200),
            _ => assert_eq!(answer.problem(), (409, "api_client_revoked")),
        }
    }
    // A process that starts later knows it from the beginning.
    let later = Process::start(&database, &clock).await;
    assert_eq!(search(&later, &token).await.problem(), (401, "unauthenticated"));
}

async fn a_client_ends_in_its_time(database: TestDatabase) {
    let process = Process::start(&database, &clock()).await;
    let admin = staff(&process, "Admin").await;
    let mut body = new_client();
    body["expiresAt"] = json!("2026-11-23T09:40:00Z");
    let (id, secret) = made(&process, &admin, body.clone()).await;
    let answer = ask(&process, &id, &secret, "").await;
    assert_eq!(answer.body["expires_in"], 600, "no token outlives its client");
    let token = answer.body["access_token"].as_str().unwrap();
    process.clock.advance(Duration::from_secs(599));
    assert_eq!(search(&process, token).await.status, 200);
    process.clock.advance(Duration::from_secs(1));
    assert_eq!(search(&process, token).await.problem(), (401, "unauthenticated"));
    assert_eq!(ask(&process, &id, &secret, "").await.status, 401);
    let refused = process.post_as(&admin, CLIENTS, body).await;
    assert_eq!(refused.pointers(), ["/expiresAt"]);
}

async fn a_client_calls_from_its_networks_only(database: TestDatabase) {
    let process = Process::start(&database, &clock()).await;
    let admin = staff(&process, "Admin").await;
    let mut body = new_client();
    body["allowedNetworks"] = json!(["192.0.2.0/24", "2001:db8::/32"]);
    let (id, secret) = made(&process, &admin, body).await;
    let form = format!("grant_type=client_credentials&client_id={id}&client_secret={secret}");
    let ask_from = async |address: &str| {
        let address = ClientAddress(address.parse().unwrap());
        process.send(request().extension(address).body(form.clone().into()).unwrap()).await
    };
    let call_from = async |token: &str, address: Option<&str>| {
        let mut request = Request::post("/api/v1/admin/users/search")
            .header("content-type", "application/json")
            .header("authorization", format!("Bearer {token}"));
        if let Some(address) = address {
            request = request.extension(ClientAddress(address.parse().unwrap()));
        }
        let body = json!({ "identifier": "youssef@example.com" }).to_string();
        process.send(request.body(body.into()).unwrap()).await
    };
    for elsewhere in ["192.0.3.1", "2001:db9::1"] {
        let refused = ask_from(elsewhere).await;
        assert_eq!((refused.status, &refused.body["error"]), (401, &json!("invalid_client")));
    }
    for allowed in ["192.0.2.9", "2001:db8::9", "::ffff:192.0.2.9"] {
        let token = ask_from(allowed).await.body["access_token"].as_str().unwrap().to_owned();
        assert_eq!(call_from(&token, Some(allowed)).await.status, 200, "{allowed}");
        for elsewhere in [Some("192.0.3.1"), Some("2001:db9::1"), None] {
            let refused = call_from(&token, elsewhere).await;
            assert_eq!(refused.problem(), (403, "address_not_allowed"));
        }
    }
    // Another list counts at once, for tokens that were made before too.
    let token = ask_from("192.0.2.9").await.body["access_token"].as_str().unwrap().to_owned();
    let put = async |networks| put_networks(&process, &admin, &id, networks).await;
    assert_eq!(put(json!(["198.51.100.0/24"])).await.status, 200);
    let refused = call_from(&token, Some("192.0.2.9")).await;
    assert_eq!(refused.problem(), (401, "unauthenticated"));
    assert_eq!(ask_from("198.51.100.1").await.status, 200);
    assert_eq!(put(json!([])).await.status, 200);
    assert_eq!(ask_from("203.0.113.1").await.status, 200);
    assert_eq!(put(json!(["192.0.2.1"])).await.pointers(), ["/allowedNetworks"]);
}

async fn nobody_gives_a_client_what_no_client_or_they_themselves_cannot_have(
    database: TestDatabase,
) {
    let process = Process::start(&database, &clock()).await;
    let admin = staff(&process, "Admin").await;
    for scope in ["wallet:read", "wallet:write", "users:write", "clients:write", "all"] {
        let body = json!({ "name": "Reports", "scopes": [scope] });
        let refused = process.post_as(&admin, CLIENTS, body).await;
        assert_eq!(refused.problem(), (422, "validation_failed"), "{scope}");
        assert_eq!(refused.pointers(), ["/scopes"], "{scope}");
    }
    for body in [json!({ "name": " ", "scopes": [] }), json!({ "name": "x\u{1}", "scopes": [] })] {
        let refused = process.post_as(&admin, CLIENTS, body).await;
        assert_eq!(refused.pointers(), ["/name", "/scopes"]);
    }
    let nobody = format!("{CLIENTS}/0199c0de-0000-7000-8000-000000000000");
    assert_eq!(process.get(&nobody, &admin).await.problem(), (404, "not_found"));
    let refused = process.post_as(&admin, &format!("{nobody}/rotate-secret"), json!({})).await;
    assert_eq!(refused.problem(), (404, "not_found"));
}

async fn nobody_becomes_a_client_that_may_do_more_than_they(database: TestDatabase) {
    let process = Process::start_with_two_eyes(&database).await;
    let (_, admin) = process.staff("admin", &["Admin"]).await;
    let role = json!({
        "name": "Keeper", "description": "Looks after API clients.",
        "permissions": ["clients:read", "clients:write", "users:read"],
    });
    assert_eq!(process.post_as(&admin, "/api/v1/admin/roles", role).await.status, 201);
    let (_, keeper) = process.staff_with(&admin, "keeper", "Keeper").await;
    let (id, secret) = made(&process, &admin, new_client()).await;
    let rotate = format!("{CLIENTS}/{id}/rotate-secret");
    let refused = process.post_as(&keeper, &rotate, json!({ "overlapSeconds": 0 })).await;
    assert_eq!(refused.problem(), (403, "permission_not_held"), "{}", refused.body);
    let refused = put_networks(&process, &keeper, &id, json!([])).await;
    assert_eq!(refused.problem(), (403, "permission_not_held"), "{}", refused.body);
    let unchanged = token(&process, &id, &secret).await;
    assert_eq!(search(&process, &unchanged).await.status, 200);
    // Who may do as much may, and anybody may stop a client.
    let body = json!({ "name": "Lists", "scopes": ["users:read"] });
    let (small, _) = made(&process, &admin, body).await;
    let rotate = format!("{CLIENTS}/{small}/rotate-secret");
    assert_eq!(process.post_as(&keeper, &rotate, json!({})).await.status, 200);
    let revoke = json!({ "reason": "it leaked" });
    let revoked = process.post_as(&keeper, &format!("{CLIENTS}/{id}/revoke"), revoke).await;
    assert_eq!(revoked.status, 200, "{}", revoked.body);
}

async fn a_client_is_not_a_person(database: TestDatabase) {
    let process = Process::start(&database, &clock()).await;
    let admin = staff(&process, "Admin").await;
    let (id, secret) = made(&process, &admin, new_client()).await;
    let token = token(&process, &id, &secret).await;
    for path in ["/api/v1/me", "/api/v1/me/sessions", "/api/v1/me/mfa", CLIENTS] {
        assert_eq!(process.get(path, &token).await.problem(), (403, "forbidden"), "{path}");
    }
    assert_eq!(process.log_out(&token).await.problem(), (403, "forbidden"));
    let refused = process.log_in(&id, &secret).await;
    assert_eq!(refused.problem(), (401, "invalid_credentials"));
}

async fn staff_actions_are_told_without_secrets(database: TestDatabase) {
    let process = Process::start(&database, &clock()).await;
    let admin = staff(&process, "Admin").await;
    let (id, secret) = made(&process, &admin, new_client()).await;
    for (method, body) in
        [("rotate-secret", json!({})), ("revoke", json!({ "reason": "it leaked" }))]
    {
        let answer = process.post_as(&admin, &format!("{CLIENTS}/{id}/{method}"), body).await;
        assert_eq!(answer.status, 200);
    }
    let by = process.me(&admin).await.body["id"].clone();
    let events = process.events().await;
    let events: Vec<_> =
        events.into_iter().filter(|event| event.event_type.contains("api_client")).collect();
    let types: Vec<_> = events.iter().map(|event| event.event_type.as_str()).collect();
    assert_eq!(
        types,
        [
            "identity.api_client_created",
            "identity.api_client_secret_rotated",
            "identity.api_client_revoked"
        ]
    );
    for event in &events {
        let payload: Value = serde_json::from_str(&event.payload).unwrap();
        assert_eq!((&payload["by"], &payload["clientId"]), (&by, &json!(id)));
        assert!(!event.payload.contains(&secret) && !event.payload.contains("leaked"));
    }
}
