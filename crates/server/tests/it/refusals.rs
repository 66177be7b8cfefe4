//! Requests that the server refuses before any module sees them are in the audit trail, also when it is
//! stopped a moment later.

use crate::support::{ADMIN, AHMED, Server, World};
use hyper::Method;
use serde_json::{Value, json};
use store::testing::TestDatabase;

store::on_every_store! { what_was_refused_is_in_the_trail_after_a_stop }

async fn what_was_refused_is_in_the_trail_after_a_stop(database: TestDatabase) {
    let world = World::new(database);
    let start = async || {
        let mut command = world.command(&[]);
        command
            .env("FINITECH__RATE_LIMITING__ENABLED", "true")
            .env("FINITECH__STAFF__ALLOWED_NETWORKS", "[\"127.0.0.0/8\"]")
            .env("FINITECH__SERVER__TRUSTED_PROXIES", "[\"127.0.0.0/8\"]");
        Server::start(command).await
    };
    let server = start().await;
    let admin = server.client.signed_in(ADMIN).await;
    let ahmed = server.client.signed_in(AHMED).await;
    let trail = "/api/v1/admin/audit-events";
    let from = |address| [("x-forwarded-for", address)];
    let refused = admin.send(Method::GET, trail, &from("192.0.2.1"), None).await.unwrap();
    assert_eq!(refused.status, 403);
    ahmed.get(trail).await.expect(403);
    let body = json!({ "identifier": "nobody@example.com", "password": "a wrong password" });
    for status in [401, 401, 401, 401, 401, 429, 429] {
        let log_in = "/api/v1/auth/login";
        let headers = from("192.0.2.2");
        let answer = server.client.send(Method::POST, log_in, &headers, Some(&body)).await;
        assert_eq!(answer.unwrap().status, status);
    }
    let admin_id = admin.get("/api/v1/me").await.expect(200)["id"].clone();
    let ahmed_id = ahmed.get("/api/v1/me").await.expect(200)["id"].clone();
    assert!(server.stop().await);

    let server = start().await;
    let admin = server.client.signed_in(ADMIN).await;
    let found = admin.get(&format!("{trail}?action=access_refused")).await.expect(200);
    let told = |entry: &Value| {
        let details = &entry["details"];
        let member = |name: &str| details[name].clone();
        (
            entry["actorId"].clone(),
            entry["clientAddress"].clone(),
            member("route"),
            member("code"),
            member("count"),
        )
    };
    let told: Vec<_> = found["items"].as_array().unwrap().iter().rev().map(told).collect();
    let expected = [
        (admin_id, "192.0.2.1", "GET /api/v1/admin/audit-events", "address_not_allowed", 1),
        (ahmed_id, "127.0.0.1", "GET /api/v1/admin/audit-events", "forbidden", 1),
        (Value::Null, "192.0.2.2", "POST /api/v1/auth/login", "too_many_requests", 2),
    ];
    let expected = expected.map(|(actor, address, route, code, count)| {
        (actor, json!(address), json!(route), json!(code), json!(count))
    });
    assert_eq!(told, expected);
    assert!(server.stop().await);
}
