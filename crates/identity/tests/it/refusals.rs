//! Refused requests in the audit trail: each caller, route and reason, and a flood of them in bounded room.

use crate::support::{PASSWORD, Process, clock};
use axum::body::Body;
use axum::http::Request;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};
use std::time::Duration;
use store::Store;
use store::sea_orm::ConnectionTrait;
use store::testing::TestDatabase;
use web::{ClientAddress, RefusedAccess};

store::on_every_store! {
    who_is_refused_is_written_down_and_found,
    an_api_client_that_calls_from_elsewhere_is_named,
    a_flood_takes_bounded_room_in_the_trail,
    who_tries_everything_hides_nobody,
    tokens_that_do_not_count_are_written_down_without_what_they_say,
    a_flood_of_tokens_that_do_not_count_takes_bounded_room,
    what_cannot_be_written_now_is_written_later,
}

const CLIENTS: &str = "/api/v1/admin/api-clients";

async fn get_from(process: &Process, address: &str, path: &str, token: &str) -> u16 {
    let mut request = Request::get(path)
        .header("authorization", format!("Bearer {token}"))
        .header("user-agent", "curl/8.5.0")
        .body(Body::empty())
        .unwrap();
    request.extensions_mut().insert(ClientAddress(address.parse().unwrap()));
    process.send(request).await.status
}

/// What the trail has of refused requests, oldest first.
async fn refusals(process: &Process, auditor: &str, query: &str) -> Vec<Value> {
    let path = format!("/api/v1/admin/audit-events?action=access_refused&limit=200{query}");
    let found = process.get(&path, auditor).await;
    assert_eq!(found.status, 200, "{}", found.body);
    found.body["items"].as_array().unwrap().iter().rev().cloned().collect()
}

async fn run(store: &Store, sql: &str) {
    let tx = store.begin().await.unwrap();
    tx.execute_unprepared(sql).await.unwrap();
    tx.commit().await.unwrap();
}

async fn who_is_refused_is_written_down_and_found(database: TestDatabase) {
    let process = Process::start(&database, &clock()).await;
    let (auditor_id, auditor) = process.staff("auditor", &["Auditor"]).await;
    let (access, _) = process.signed_in_amina().await;
    let amina = process.me(&access).await.body["id"].clone();
    for _ in 0..3 {
        assert_eq!(get_from(&process, "203.0.113.9", CLIENTS, &access).await, 403);
        process.clock.advance(Duration::from_secs(1));
    }
    let nobodys = "/api/v1/me/sessions/0199c0de-0000-7000-8000-000000000000/end";
    assert_eq!(process.post_as(&access, nobodys, json!({})).await.status, 404);
    assert_eq!(process.identity.write_refusals().await.unwrap(), 0, "the minute is not over");
    process.clock.advance(Duration::from_mins(6));
    let path = "/api/v1/me/mfa/recovery-codes";
    let body = json!({ "password": PASSWORD, "code": "123456" });
    process.post_as(&access, path, body).await;
    let path = "/api/v1/me/passkeys/registration";
    let asked = process.post_as(&access, path, json!({})).await;
    assert_eq!(asked.problem().1, "insufficient_user_authentication");
    assert_eq!(process.identity.write_refusals().await.unwrap(), 2);
    assert_eq!(process.identity.write_all_refusals().await.unwrap(), 1);
    assert_eq!(process.identity.write_all_refusals().await.unwrap(), 0);

    let found = refusals(&process, &auditor, "").await;
    let told: Vec<_> = found
        .iter()
        .map(|entry| {
            let details = &entry["details"];
            let [route, code] = ["route", "code"].map(|name| details[name].as_str().unwrap());
            (route, code, details["count"].as_i64().unwrap())
        })
        .collect();
    assert_eq!(
        told,
        [
            ("GET /api/v1/admin/api-clients", "forbidden", 3),
            ("POST /api/v1/me/sessions/{id}/end", "not_found", 1),
            ("POST /api/v1/me/passkeys/registration", "insufficient_user_authentication", 1),
        ]
    );
    assert!(found.iter().all(|entry| entry["actorId"] == amina));
    let first = &found[0];
    assert_eq!(
        (&first["clientAddress"], &first["userAgent"]),
        (&json!("203.0.113.9"), &json!("curl/8.5.0"))
    );
    assert_eq!(first["details"]["firstAt"], "2026-11-23T09:30:00Z");
    assert_eq!(first["details"]["lastAt"], "2026-11-23T09:30:02Z");
    assert_eq!(
        refusals(&process, &auditor, &format!("&actorId={}", auditor_id.0)).await,
        [] as [Value; 0]
    );
    let report = identity::verify_audit_trail(&process.store).await.unwrap();
    assert_eq!(report.findings, []);
}

async fn an_api_client_that_calls_from_elsewhere_is_named(database: TestDatabase) {
    let process = Process::start(&database, &clock()).await;
    let (_, auditor) = process.staff("auditor", &["Auditor"]).await;
    let (_, admin) = process.staff("admin", &["Admin"]).await;
    let body = json!({
        "name": "Partner", "scopes": ["users:read"], "allowedNetworks": ["192.0.2.0/24"],
    });
    let made = process.post_as(&admin, CLIENTS, body).await;
    assert_eq!(made.status, 201, "{}", made.body);
    let (id, secret) = (&made.body["id"], made.body["clientSecret"].as_str().unwrap());
    let form = format!(
        "grant_type=client_credentials&client_id={}&client_secret={secret}",
        id.as_str().unwrap()
    );
    let mut request = Request::post("/api/v1/oauth/token")
        .header("content-type", "application/x-www-form-urlencoded")
        .body(Body::from(form))
        .unwrap();
    request.extensions_mut().insert(ClientAddress("192.0.2.7".parse().unwrap()));
    let token = process.send(request).await.body["access_token"].as_str().unwrap().to_owned();
    let path = "/api/v1/admin/users/0199c0de-0000-7000-8000-000000000000";
    assert_eq!(get_from(&process, "198.51.100.7", path, &token).await, 403);
    process.identity.write_all_refusals().await.unwrap();
    let found = refusals(&process, &auditor, &format!("&actorId={}", id.as_str().unwrap())).await;
    let [one] = &found[..] else { panic!("{found:?}") };
    assert_eq!(one["details"]["code"], "address_not_allowed");
    assert_eq!(one["clientAddress"], "198.51.100.7");
}

/// From ten thousand addresses, with some who are known among them.
async fn a_flood_takes_bounded_room_in_the_trail(database: TestDatabase) {
    let process = Process::start(&database, &clock()).await;
    let (auditor_id, auditor) = process.staff("auditor", &["Auditor"]).await;
    let log = process.identity.refusals();
    let refused = |number: u32| RefusedAccess {
        actor: None,
        from: Some(ClientAddress(std::net::Ipv4Addr::from_bits(number).into())),
        user_agent: "x".repeat(10_000),
        route: "GET /api/v1/admin/users/{id}".to_owned(),
        code: "address_not_allowed",
    };
    // All addresses of one customer of IPv6 are one.
    for number in 0..100_u128 {
        let address = std::net::Ipv6Addr::from_bits((0x2001_0db8 << 96) + number);
        log.note(RefusedAccess { from: Some(ClientAddress(address.into())), ..refused(0) });
    }
    for number in 0..10_000 {
        log.note(refused(number));
    }
    log.note(RefusedAccess { actor: Some(auditor_id), ..refused(1) });
    assert_eq!(process.identity.write_all_refusals().await.unwrap(), 100 + 1 + 1);
    let found = refusals(&process, &auditor, "").await;
    let count = |entry: &Value| entry["details"]["count"].as_i64().unwrap();
    assert_eq!(found.iter().map(count).sum::<i64>(), 10_101, "none is forgotten");
    let counts = |is_many: bool| {
        let alike = found.iter().filter(move |one| one["details"]["manyCallers"] == is_many);
        alike.map(count).filter(|count| *count > 1).collect::<Vec<_>>()
    };
    assert_eq!((counts(true), counts(false)), (vec![10_000 - 99], vec![100]));
    assert!(found.iter().any(|entry| entry["actorId"] == json!(auditor_id.0)));
    assert!(found.iter().all(|entry| entry["userAgent"].as_str().unwrap().len() <= 256));
}

/// One caller tries a thousand routes, with a token and without, before somebody else tries one.
async fn who_tries_everything_hides_nobody(database: TestDatabase) {
    let process = Process::start(&database, &clock()).await;
    let (auditor_id, auditor) = process.staff("auditor", &["Auditor"]).await;
    let (other_id, _) = process.staff("other", &["Support"]).await;
    let log = process.identity.refusals();
    let refused = |actor, address: [u8; 4], number: u32| RefusedAccess {
        actor,
        from: Some(ClientAddress(address.into())),
        user_agent: String::new(),
        route: format!("GET /api/v1/{number}"),
        code: "forbidden",
    };
    for number in 0..1_000 {
        log.note(refused(Some(other_id), [192, 0, 2, 1], number));
        log.note(refused(None, [192, 0, 2, 1], number));
    }
    log.note(refused(Some(auditor_id), [192, 0, 2, 2], 7));
    log.note(refused(None, [192, 0, 2, 3], 7));
    assert_eq!(process.identity.write_all_refusals().await.unwrap(), 2 * (8 + 1 + 1));
    let found = refusals(&process, &auditor, "").await;
    assert!(found.iter().all(|entry| entry["details"]["manyCallers"] == false));
    assert!(found.iter().any(|entry| entry["actorId"] == json!(auditor_id.0)));
    assert!(found.iter().any(|entry| entry["clientAddress"] == "192.0.2.3"));
    let counted = found.iter().map(|entry| entry["details"]["count"].as_i64().unwrap());
    assert_eq!(counted.sum::<i64>(), 2_002);
}

/// A token with this header and claims, and a signature that fits neither or was made elsewhere.
fn token(header: &Value, claims: &Value, signature: &str) -> String {
    let base64 = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}.{signature}", base64(header), base64(claims))
}

async fn tokens_that_do_not_count_are_written_down_without_what_they_say(database: TestDatabase) {
    let process = Process::start(&database, &clock()).await;
    let (auditor_id, _) = process.staff("auditor", &["Auditor"]).await;
    let (access, _) = process.signed_in_amina().await;
    let amina = process.me(&access).await.body["id"].clone();
    let (signed_out, _) = process.log_in("amina@example.com", PASSWORD).await.tokens();
    assert_eq!(process.log_out(&signed_out).await.status, 204);
    let parts: Vec<&str> = access.split('.').collect();
    let part = |index: usize| -> Value {
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(parts[index]).unwrap()).unwrap()
    };
    let (header, claims) = (part(0), part(1));
    let with = |value: &Value, name: &str, new: Value| {
        let mut value = value.clone();
        value[name] = new;
        value
    };
    let key = EncodingKey::from_rsa_pem(&std::fs::read(process.key_file()).unwrap()).unwrap();
    let signed = |claims: &Value| {
        let kid = Some(header["kid"].as_str().unwrap().to_owned());
        encode(&Header { kid, ..Header::new(Algorithm::RS256) }, claims, &key).unwrap()
    };
    let now = process.now();
    let promoted = with(&claims, "permissions", json!(["ledger:write"]));
    let old_key = with(&header, "kid", json!("forgotten"));
    let bad = [
        ("token_malformed", "x".to_owned()),
        ("token_malformed", "x".repeat(100_000)),
        ("token_algorithm", token(&with(&header, "alg", json!("none")), &claims, "")),
        ("token_algorithm", token(&with(&header, "alg", json!("HS256")), &claims, parts[2])),
        ("token_forged", token(&header, &promoted, parts[2])),
        ("token_forged", token(&header, &claims, "")),
        ("token_key_unknown", token(&old_key, &claims, parts[2])),
        ("token_not_for_us", signed(&with(&claims, "aud", json!("Elsewhere")))),
        ("token_not_for_us", signed(&with(&claims, "iss", json!("Elsewhere")))),
        ("token_not_yet", signed(&with(&claims, "nbf", json!(now + 60)))),
        ("token_revoked", signed_out.clone()),
    ];
    for (code, token) in &bad {
        assert_eq!(get_from(&process, "203.0.113.9", "/api/v1/me", token).await, 401, "{code}");
    }
    // What happens to honest clients is no event: no token, one whose time is over, also with a key that
    // is forgotten by now, and one from before a role was taken.
    let (taken_id, taken) = process.staff("taken", &["Support", "Agent"]).await;
    let (_, admin) = process.staff("admin", &["Admin"]).await;
    let take = format!("/api/v1/admin/users/{taken_id}/roles/Support/take");
    assert_eq!(process.post_as(&admin, &take, json!({})).await.status, 200);
    let over = with(&claims, "exp", json!(now));
    for token in ["", &taken, &signed(&over), &token(&old_key, &over, parts[2])] {
        assert_eq!(get_from(&process, "203.0.113.9", "/api/v1/me", token).await, 401);
    }
    // Where nobody has to sign in, tokens are not looked at.
    get_from(&process, "203.0.113.9", "/.well-known/jwks.json", &bad[4].1).await;
    // An API client whose token was taken from it.
    let body = json!({ "name": "Partner", "scopes": ["users:read"] });
    let made = process.post_as(&admin, CLIENTS, body).await.body;
    let id = made["id"].as_str().unwrap();
    let secret = made["clientSecret"].as_str().unwrap();
    let form = format!("grant_type=client_credentials&client_id={id}&client_secret={secret}");
    let request = Request::post("/api/v1/oauth/token")
        .header("content-type", "application/x-www-form-urlencoded")
        .body(Body::from(form));
    let client = process.send(request.unwrap()).await.body["access_token"].clone();
    let revoke = format!("{CLIENTS}/{id}/revoke");
    process.post_as(&admin, &revoke, json!({ "reason": "leaked" })).await;
    let path = "/api/v1/admin/users/0199c0de-0000-7000-8000-000000000000";
    assert_eq!(get_from(&process, "203.0.113.9", path, client.as_str().unwrap()).await, 401);

    process.identity.write_all_refusals().await.unwrap();
    let (auditor, _) = process.log_in("auditor@staff.example.com", PASSWORD).await.tokens();
    let found = refusals(&process, &auditor, "").await;
    let mut told: Vec<_> = found
        .iter()
        .map(|entry| {
            let (details, actor) = (&entry["details"], entry["actorId"].clone());
            let code = details["code"].as_str().unwrap();
            (code, details["count"].as_i64().unwrap(), actor, details["route"].as_str().unwrap())
        })
        .collect();
    told.sort_by_key(|one| (one.0, one.3));
    let me = "GET /api/v1/me";
    let nobody = Value::Null;
    assert_eq!(
        told,
        [
            ("token_algorithm", 2, nobody.clone(), me),
            ("token_forged", 2, nobody.clone(), me),
            ("token_key_unknown", 1, nobody.clone(), me),
            ("token_malformed", 2, nobody.clone(), me),
            ("token_not_for_us", 2, nobody.clone(), me),
            ("token_not_yet", 1, nobody, me),
            ("token_revoked", 1, made["id"].clone(), "GET /api/v1/admin/users/{id}"),
            ("token_revoked", 1, amina, me),
        ]
    );
    assert!(found.iter().all(|entry| entry["clientAddress"] == "203.0.113.9"));
    let trail = Value::from(found).to_string();
    for (code, token) in &bad {
        // Of the short ones by chance.
        assert!(token.len() < 9 || !trail.contains(&token[..token.len().min(40)]), "{code}");
    }
    assert!(!trail.contains(&auditor_id.0.to_string()));
}

/// From a thousand addresses, with a thousand tokens and programs.
async fn a_flood_of_tokens_that_do_not_count_takes_bounded_room(database: TestDatabase) {
    let process = Process::start(&database, &clock()).await;
    let (_, auditor) = process.staff("auditor", &["Auditor"]).await;
    for number in 0..1_000_u32 {
        let address = std::net::Ipv4Addr::from_bits(number).to_string();
        let bad = [
            format!("x{number}"),
            token(&json!({ "alg": "none" }), &json!({ "sub": number }), ""),
            token(&json!({ "alg": "RS256", "kid": number.to_string() }), &json!({}), "AA"),
        ];
        let bad = &bad[usize::try_from(number % 3).unwrap()];
        assert_eq!(get_from(&process, &address, "/api/v1/me", bad).await, 401);
    }
    assert_eq!(get_from(&process, "192.0.2.1", CLIENTS, &auditor).await, 403);
    // One for each of a hundred, one for each kind of the others, and who is known.
    assert_eq!(process.identity.write_all_refusals().await.unwrap(), 100 + 3 + 1);
    let found = refusals(&process, &auditor, "").await;
    let counted = found.iter().map(|entry| entry["details"]["count"].as_i64().unwrap());
    assert_eq!(counted.sum::<i64>(), 1_001, "none is forgotten");
}

async fn what_cannot_be_written_now_is_written_later(database: TestDatabase) {
    let process = Process::start(&database, &clock()).await;
    let (_, auditor) = process.staff("auditor", &["Auditor"]).await;
    let (access, _) = process.signed_in_amina().await;
    assert_eq!(get_from(&process, "203.0.113.9", CLIENTS, &access).await, 403);
    run(&process.store, "alter table audit_events rename to audit_events_away").await;
    assert!(process.identity.write_all_refusals().await.is_err());
    assert_eq!(
        get_from(&process, "203.0.113.9", CLIENTS, &access).await,
        403,
        "it answers as ever"
    );
    run(&process.store, "alter table audit_events_away rename to audit_events").await;
    assert_eq!(process.identity.write_all_refusals().await.unwrap(), 1);
    let found = refusals(&process, &auditor, "").await;
    assert_eq!(found[0]["details"]["count"], 2);
}
