//! Rate limits, clients behind proxies, and what browsers are told.

use crate::support::{ADMIN, AHMED, Answer, Client, PASSWORD, Server, World, finish, id};
use hyper::Method;
use serde_json::{Value, json};
use store::testing::TestDatabase;
use tokio::process::Command;

/// A server that limits and trusts a proxy on this machine.
async fn limited(world: &World) -> Server {
    let mut command: Command = world.command(&[]);
    command
        .env("FINITECH__RATE_LIMITING__ENABLED", "true")
        .env("FINITECH__SERVER__TRUSTED_PROXIES", "[\"127.0.0.0/8\"]");
    Server::start(command).await
}

async fn post_from(client: &Client, address: &str, path: &str, body: &Value) -> Answer {
    let headers = [("x-forwarded-for", address), ("idempotency-key", "k")];
    client.send(Method::POST, path, &headers, Some(body)).await.unwrap()
}

#[tokio::test]
async fn guesses_from_one_address_are_slowed_down_and_others_are_not() {
    let world = World::new(TestDatabase::sqlite());
    let server = limited(&world).await;
    let body = json!({"identifier": "nobody@example.com", "password": "a wrong password"});
    for left in (0..5).rev() {
        let answer = post_from(&server.client, "192.0.2.1", "/api/v1/auth/login", &body).await;
        assert_eq!(answer.status, 401);
        let told = answer.headers["ratelimit"].to_str().unwrap().to_owned();
        assert!(told.contains(&format!("\"authentication\";r={left};t=")), "{told}");
    }
    // Whatever stands further left, the proxy did not write.
    let made_up = "198.51.100.1, 192.0.2.1";
    let refused = post_from(&server.client, made_up, "/api/v1/auth/login", &body).await;
    assert!(refused.headers.contains_key("retry-after"));
    assert!(refused.headers.contains_key("x-request-id"));
    assert_eq!(refused.headers["content-type"], "application/problem+json");
    let refused = refused.expect(429);
    assert_eq!(
        (&refused["code"], &refused["policy"]),
        (&json!("too_many_requests"), &json!("authentication"))
    );
    post_from(&server.client, "192.0.2.2", "/api/v1/auth/login", &body).await.expect(401);
    assert!(server.stop().await);
}

#[tokio::test]
async fn limits_stand_on_the_routes_that_need_them() {
    let world = World::new(TestDatabase::sqlite());
    let server = limited(&world).await;
    let ahmed = server.client.signed_in(AHMED).await;
    let nowhere = "/api/v1/wallets/0199c0de-0000-7000-8000-000000000000";
    for (number, (path, policy)) in [
        ("/api/v1/auth/login", "authentication"),
        ("/api/v1/auth/login/mfa", "authentication"),
        ("/api/v1/auth/password-resets", "authentication"),
        ("/api/v1/auth/password-resets/complete", "authentication"),
        ("/api/v1/auth/reauthenticate", "authentication"),
        ("/api/v1/me/mfa/disable", "authentication"),
        ("/api/v1/me/mfa/recovery-codes", "authentication"),
        ("/api/v1/auth/register", "authentication"),
        (&format!("{nowhere}/top-ups"), "payments"),
        (&format!("{nowhere}/transfers"), "payments"),
        ("/api/v1/wallets", "global"),
        ("/api/v1/auth/refresh", "global"),
    ]
    .into_iter()
    .enumerate()
    {
        let answer = post_from(&ahmed, &format!("192.0.2.{number}"), path, &json!({})).await;
        let policies = answer.headers["ratelimit-policy"].to_str().unwrap().to_owned();
        assert!(policies.contains(&format!("\"{policy}\";q=")), "{path}: {policies}");
        assert_eq!(policies.contains(','), policy != "global", "{path}: {policies}");
    }
    let probe = server.client.get("/health/ready").await;
    assert!(!probe.headers.contains_key("ratelimit"));
    // Of a user, wherever they are.
    let wallet = ahmed.wallet().await;
    let path = format!("/api/v1/wallets/{}/top-ups", id(&wallet));
    let body = json!({"amountMinorUnits": 100, "currencyCode": "MAD"});
    for number in 0..8 {
        post_from(&ahmed, &format!("192.0.2.{number}"), &path, &body).await.expect(201);
    }
    post_from(&ahmed, "192.0.2.200", &path, &body).await.expect(429);
    assert!(server.stop().await);
}

#[tokio::test]
async fn a_session_shows_the_client_and_not_the_proxy() {
    let world = World::new(TestDatabase::sqlite());
    let server = limited(&world).await;
    let body = json!({"identifier": AHMED, "password": "demo-Finitech-1"});
    let tokens =
        post_from(&server.client, "192.0.2.7", "/api/v1/auth/login", &body).await.expect(200);
    let ahmed = server.client.with_token(tokens["accessToken"].as_str().unwrap());
    let sessions = ahmed.get("/api/v1/me/sessions").await.expect(200);
    assert_eq!(sessions["items"][0]["ipAddress"], "192.0.2.7");
    assert!(server.stop().await);
}

#[tokio::test]
async fn development_limits_nobody_unless_it_is_asked_to() {
    let world = World::new(TestDatabase::sqlite());
    let server = world.serve().await;
    for _ in 0..120 {
        let answer = server.client.get("/api/v1/me").await;
        assert!(!answer.headers.contains_key("ratelimit"));
        answer.expect(401);
    }
    assert!(server.stop().await);
}

#[tokio::test]
async fn every_answer_tells_browsers_to_be_careful() {
    let world = World::new(TestDatabase::sqlite());
    let server = Server::start(world.command(&["--no-demo"])).await;
    for path in ["/health/live", "/api/v1/me", "/nowhere", "/openapi.json"] {
        let headers = server.client.get(path).await.headers;
        assert_eq!(
            headers["content-security-policy"],
            "default-src 'none'; base-uri 'none'; frame-ancestors 'none'"
        );
        assert_eq!(headers["x-frame-options"], "DENY", "{path}");
        assert_eq!(headers["x-content-type-options"], "nosniff", "{path}");
        assert_eq!(headers["cache-control"], "no-store", "{path}");
        assert!(!headers.contains_key("strict-transport-security"), "plain HTTP");
    }
    let page = server.client.get("/docs/").await;
    let policy = page.headers["content-security-policy"].to_str().unwrap();
    assert!(policy.starts_with("default-src 'self'"), "{policy}");
    assert!(page.text.contains("swagger-initializer.js"), "{}", page.text);
    assert!(!page.text.contains("<script>"), "nothing that the policy would stop");
    for (file, media_type) in [
        ("", "text/html; charset=utf-8"),
        ("swagger-initializer.js", "text/javascript; charset=utf-8"),
        ("swagger-ui.css", "text/css; charset=utf-8"),
        ("favicon-32x32.png", "image/png"),
    ] {
        let answer = server.client.get(&format!("/docs/{file}")).await;
        assert_eq!(
            (answer.status, &answer.headers["content-type"]),
            (200, &media_type.parse().unwrap())
        );
    }
    assert!(server.stop().await);
}

#[tokio::test]
async fn an_array_is_taken_for_no_body() {
    let world = World::new(TestDatabase::sqlite());
    let server = world.serve().await;
    // The members of a sign-in, in the order in which the program declares them.
    let refused = server.client.post("/api/v1/auth/login", &json!([AHMED, PASSWORD])).await;
    let refused = refused.expect(422);
    assert_eq!(refused["errors"][0]["detail"], "expected an object", "{refused}");
    assert!(server.stop().await);
}

#[tokio::test]
async fn other_sites_may_call_when_they_are_named() {
    let world = World::new(TestDatabase::sqlite());
    let mut command = world.command(&["--no-demo"]);
    command.env("FINITECH__CORS__ALLOWED_ORIGINS", "[\"https://app.example.com\"]");
    let server = Server::start(command).await;
    let preflight = async |origin: &str| {
        let headers = [
            ("origin", origin),
            ("access-control-request-method", "POST"),
            ("access-control-request-headers", "authorization,idempotency-key"),
        ];
        let path = "/api/v1/wallets";
        server.client.send(Method::OPTIONS, path, &headers, None).await.unwrap().headers
    };
    let named = preflight("https://app.example.com").await;
    assert_eq!(named["access-control-allow-origin"], "https://app.example.com");
    let allowed = named["access-control-allow-headers"].to_str().unwrap();
    assert!(allowed.contains("authorization") && allowed.contains("idempotency-key"), "{allowed}");
    let other = preflight("https://evil.example").await;
    assert!(!other.contains_key("access-control-allow-origin"));
    assert!(server.stop().await);
}

#[tokio::test]
async fn production_does_not_start_without_limits() {
    let world = World::new(TestDatabase::sqlite());
    let mut command = world.command(&[]);
    command
        .env("FINITECH__ENVIRONMENT", "Production")
        .env("FINITECH__SERVER__TRUSTED_PROXIES", "[\"127.0.0.1/32\"]")
        .env("FINITECH__RATE_LIMITING__ENABLED", "false");
    let refused = finish(command).await;
    assert!(!refused.success && refused.stderr.contains("rate_limiting.enabled"), "{refused:?}");
}

#[tokio::test]
async fn what_a_client_makes_up_does_not_move_it_into_the_network_of_the_proxy() {
    let world = World::new(TestDatabase::sqlite());
    let mut command: Command = world.command(&[]);
    command
        .env("FINITECH__STAFF__ALLOWED_NETWORKS", "[\"127.0.0.0/8\"]")
        .env("FINITECH__SERVER__TRUSTED_PROXIES", "[\"127.0.0.0/8\"]");
    let server = Server::start(command).await;
    let admin = server.client.signed_in(ADMIN).await;
    let body = json!({"identifier": AHMED});
    // The proxy writes the address of the client behind whatever the client sent.
    for made_up in ["", "127.0.0.1, ", "unknown, ", "é, ", "\t,, "] {
        let forwarded = format!("{made_up}203.0.113.9");
        let answer = post_from(&admin, &forwarded, "/api/v1/admin/users/search", &body).await;
        assert_eq!(answer.expect(403)["code"], "address_not_allowed", "{made_up:?}");
    }
    assert!(server.stop().await);
}

#[tokio::test]
async fn administrative_routes_open_to_the_networks_of_staff_only() {
    let world = World::new(TestDatabase::sqlite());
    let mut command: Command = world.command(&[]);
    command
        .env("FINITECH__STAFF__ALLOWED_NETWORKS", "[\"192.0.2.0/24\", \"2001:db8::/32\"]")
        .env("FINITECH__SERVER__TRUSTED_PROXIES", "[\"127.0.0.0/8\"]");
    let server = Server::start(command).await;
    let admin = server.client.signed_in(ADMIN).await;
    let body = json!({"identifier": AHMED});
    let search = "/api/v1/admin/users/search";
    for (address, is_allowed) in [
        ("192.0.2.9", true),
        ("2001:db8::9", true),
        ("::ffff:192.0.2.9", true),
        ("192.0.3.9", false),
        ("2001:db9::9", false),
        ("127.0.0.1", false),
    ] {
        let answer = post_from(&admin, address, search, &body).await;
        let expected =
            if is_allowed { (200, Value::Null) } else { (403, json!("address_not_allowed")) };
        assert_eq!((answer.status, answer.body["code"].clone()), expected, "{address}");
    }
    // Whoever else is asked first: nobody learns from outside whether a token counts.
    let answer = post_from(&server.client, "192.0.3.9", search, &body).await;
    assert_eq!(answer.body["code"], "address_not_allowed");
    admin.get("/api/v1/admin/roles").await.expect(403);
    admin.get("/api/v1/ledger/trial-balance").await.expect(200);
    admin.get("/api/v1/me").await.expect(200);
    assert!(server.stop().await);
}
