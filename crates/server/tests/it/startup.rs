//! Starting, refusing to start, stopping.

use crate::authorisation_matrix::app_code;
use crate::support::{ADMIN, AHMED, Server, World, finish, id, is_private};
use hyper::Method;
use serde_json::json;
use std::time::Duration;
use store::testing::TestDatabase;

store::on_every_store! {
    a_first_start_makes_keys_and_a_demo_world_and_a_second_keeps_them,
    without_the_demo_the_database_is_empty,
    production_asks_for_migrations_first,
    an_operator_makes_the_first_administrator,
    an_operator_rotates_the_signing_key_of_a_running_server,
    an_operator_changes_the_data_key_of_a_running_server,
    an_operator_verifies_the_audit_trail,
    an_embedded_database_serves_one_process,
    production_refuses_what_is_unsafe,
    unknown_settings_are_refused,
    requests_in_flight_are_answered_before_the_end,
    two_processes_serve_the_same_data,
    health_tells_life_and_readiness,
}

async fn a_first_start_makes_keys_and_a_demo_world_and_a_second_keeps_them(database: TestDatabase) {
    let world = World::new(database);
    let server = world.serve().await;
    assert!(server.ready.contains("is ready on http://127.0.0.1:"), "{}", server.ready);
    let keys = world.data_dir().join("keys");
    assert!(is_private(&keys));
    assert!(world.is_postgres() || is_private(&world.data_dir()));
    for key in std::fs::read_dir(&keys).unwrap() {
        assert!(is_private(&key.unwrap().path()));
    }
    let ahmed = server.client.signed_in(AHMED).await;
    let wallet = ahmed.wallet().await;
    assert!(server.stop().await);

    let server = world.serve().await;
    // The signing key was kept, so the token still counts; and nobody got their money twice.
    let path = format!("/api/v1/wallets/{}", id(&wallet));
    let token_kept = server.client.with_token(&ahmed.token());
    assert_eq!(token_kept.get(&path).await.expect(200), wallet);
    assert!(server.stop().await);
}

async fn without_the_demo_the_database_is_empty(database: TestDatabase) {
    let world = World::new(database);
    let server = Server::start(world.command(&["--no-demo"])).await;
    let body = json!({"identifier": AHMED, "password": "demo-Finitech-1"});
    server.client.post("/api/v1/auth/login", &body).await.expect(401);
    assert!(server.stop().await);
    // Data of one's own is never mixed with the demo world.
    let server = Server::start(world.command(&["serve", "--no-demo"])).await;
    let person = json!({
        "email": "amina@example.com",
        "phoneNumber": "+212661111111",
        "password": "demo-Finitech-1",
        "displayName": "Amina",
    });
    server.client.post("/api/v1/auth/register", &person).await.expect(201);
    assert!(server.stop().await);
    let server = world.serve().await;
    server.client.post("/api/v1/auth/login", &body).await.expect(401);
}

async fn production_asks_for_migrations_first(database: TestDatabase) {
    let world = World::new(database);
    let production = |arguments: &[&str]| {
        let mut command = world.command(arguments);
        command
            .env("FINITECH__ENVIRONMENT", "Production")
            .env("FINITECH__SERVER__TRUSTED_PROXIES", "[\"127.0.0.1/32\"]");
        command
    };
    let refused = finish(production(&[])).await;
    assert!(!refused.success);
    assert!(refused.stderr.contains("finitech migrate"), "{}", refused.stderr);
    let status = finish(production(&["migrate", "--status"])).await;
    assert!(status.success);
    assert!(status.stdout.contains("pending  ledger/m0001_journal"), "{}", status.stdout);
    assert!(!status.stdout.contains("applied"), "{}", status.stdout);
    let migrated = finish(production(&["migrate"])).await;
    assert!(migrated.stdout.contains("applied ledger/m0001_journal"), "{}", migrated.stdout);
    let status = finish(production(&["migrate", "--status"])).await;
    assert!(!status.stdout.contains("pending"), "{}", status.stdout);
    let server = Server::start(production(&[])).await;
    let client = server.client.through_proxy();
    // There is no demo world and no sandbox here.
    let body = json!({"identifier": AHMED, "password": "demo-Finitech-1"});
    client.post("/api/v1/auth/login", &body).await.expect(401);
    let person = json!({
        "email": "amina@example.com",
        "phoneNumber": "+212661111111",
        "password": "demo-Finitech-1",
        "displayName": "Amina",
    });
    client.post("/api/v1/auth/register", &person).await.expect(201);
    let amina = client.signed_in("amina@example.com").await;
    let wallet = amina.post("/api/v1/wallets", &json!({"currencies": ["MAD"]})).await.expect(201);
    let path = format!("/api/v1/wallets/{}/top-ups", id(&wallet));
    let body = json!({"amountMinorUnits": 100, "currencyCode": "MAD"});
    let refused = amina.post_with_key(&path, "key", &body).await.expect(422);
    assert_eq!(refused["code"], "top_ups_unavailable");
    let answer = amina.get("/api/v1/me").await;
    assert_eq!(answer.headers["strict-transport-security"], "max-age=31536000; includeSubDomains");
    assert!(answer.headers.contains_key("ratelimit"));
    assert_eq!(amina.balance(&wallet, "MAD").await, 0);
    // The first administrator is one once there is a second factor.
    let granted = finish(production(&["user", "grant", "amina@example.com", "Admin"])).await;
    assert!(granted.success, "{granted:?}");
    let body = json!({"identifier": "amina@example.com", "password": "demo-Finitech-1"});
    let signed_in = client.post("/api/v1/auth/login", &body).await.expect(200);
    assert_eq!(signed_in["secondFactorNeeded"], true);
    let amina = client.with_token(signed_in["accessToken"].as_str().unwrap());
    amina.get("/api/v1/ledger/trial-balance").await.expect(403);
    let body = json!({"password": "demo-Finitech-1"});
    let begun = amina.post("/api/v1/me/mfa/totp", &body).await.expect(201);
    let body = json!({"code": app_code(begun["secret"].as_str().unwrap())});
    let confirmed = amina.post("/api/v1/me/mfa/totp/confirm", &body).await.expect(200);
    let body = json!({"password": "demo-Finitech-1", "code": confirmed["recoveryCodes"][0]});
    let shown = amina.post("/api/v1/auth/reauthenticate", &body).await.expect(200);
    let admin = client.with_token(shown["accessToken"].as_str().unwrap());
    admin.get("/api/v1/ledger/trial-balance").await.expect(200);
    assert!(server.stop().await);
}

async fn an_operator_makes_the_first_administrator(database: TestDatabase) {
    let world = World::new(database);
    let server = Server::start(world.command(&["--no-demo"])).await;
    let person = json!({
        "email": "amina@example.com",
        "phoneNumber": "+212661111111",
        "password": "demo-Finitech-1",
        "displayName": "Amina",
    });
    server.client.post("/api/v1/auth/register", &person).await.expect(201);
    let customer = server.client.signed_in("amina@example.com").await;
    customer.get("/api/v1/ledger/trial-balance").await.expect(403);
    let nobody = world.run(&["user", "grant", "nobody@example.com", "Admin"]).await;
    assert!(!nobody.success && nobody.stderr.contains("must register first"), "{nobody:?}");
    let no_role = world.run(&["user", "grant", "amina@example.com", "Emperor"]).await;
    assert!(!no_role.success && no_role.stderr.contains("Admin"), "{no_role:?}");
    for identifier in ["Amina@example.com", "+212 661 111 111"] {
        let granted = world.run(&["user", "grant", identifier, "Admin"]).await;
        assert!(granted.success, "{granted:?}");
    }
    let admin = server.client.signed_in("amina@example.com").await;
    admin.get("/api/v1/ledger/trial-balance").await.expect(200);
    assert!(server.stop().await);
}

async fn an_operator_rotates_the_signing_key_of_a_running_server(database: TestDatabase) {
    let world = World::new(database);
    let server = world.serve().await;
    let ahmed = server.client.signed_in(AHMED).await;
    let kids = async || {
        let jwks = server.client.get("/.well-known/jwks.json").await.expect(200);
        jwks["keys"].as_array().unwrap().iter().map(|key| key["kid"].clone()).collect::<Vec<_>>()
    };
    let before = kids().await;
    let rotated = world.run(&["keys", "rotate"]).await;
    assert!(rotated.success, "{rotated:?}");
    let next = rotated.stdout.split(' ').nth(1).unwrap().to_owned();
    let again = world.run(&["keys", "rotate"]).await;
    assert_eq!(again.stdout, rotated.stdout, "the key that waits is told");
    for _ in 0..50 {
        if kids().await.len() > 1 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(kids().await, [before[0].clone(), json!(next)]);
    ahmed.get("/api/v1/me").await.expect(200);
    assert!(server.stop().await);
}

async fn an_operator_changes_the_data_key_of_a_running_server(database: TestDatabase) {
    let world = World::new(database);
    let server = world.serve().await;
    server.client.signed_in(AHMED).await;
    let card = json!({"cardNumber": "4111111111111111"});
    let admin = server.client.signed_in(ADMIN).await;
    let token = admin.post("/api/v1/cards/tokens", &card).await.expect(201);
    assert!(server.stop().await);
    let file = world.data_dir().join("keys/data-keys");
    let old = std::fs::read_to_string(&file).unwrap();
    let new = "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=\n";
    std::fs::write(&file, format!("{old}{new}")).unwrap();
    let server = world.serve().await;
    let resealed = world.run(&["keys", "reseal"]).await;
    // Three values of each of the four people of the demo world, a card number, and the keys of the indexes
    // of users and of cards.
    assert!(resealed.stdout.starts_with("15 value(s) sealed anew"), "{resealed:?}");
    assert!(resealed.stdout.contains("is needed no more"), "{resealed:?}");
    server.client.signed_in(AHMED).await;
    assert!(server.stop().await);
    // The old key is gone, and the new one a mounted secret.
    let mounted = world.data_dir().join("mounted");
    std::fs::rename(&file, &mounted).unwrap();
    std::fs::write(&mounted, new).unwrap();
    let mut command = world.command(&[]);
    command.env("FINITECH__DATA_KEYS__FILE", &mounted);
    let server = Server::start(command).await;
    server.client.signed_in(AHMED).await;
    let admin = server.client.signed_in(ADMIN).await;
    let again = admin.post("/api/v1/cards/tokens", &card).await.expect(200);
    assert_eq!(again, token);
    assert!(server.stop().await);
    assert!(!file.exists());
    // Without it nothing starts, and nothing is made in its place.
    let lost = world.run(&["keys", "reseal"]).await;
    assert!(!lost.success && lost.stderr.contains("data-keys"), "{lost:?}");
    let lost = finish(world.command(&[])).await;
    assert!(!lost.success && lost.stderr.contains("lacks data keys"), "{lost:?}");
}

async fn an_operator_verifies_the_audit_trail(database: TestDatabase) {
    let world = World::new(database);
    let server = world.serve().await;
    server.client.signed_in(AHMED).await;
    let admin = server.client.signed_in(ADMIN).await;
    let found = admin.get("/api/v1/admin/audit-events?action=logged_in").await.expect(200);
    assert_eq!(found["items"].as_array().unwrap().len(), 2);
    assert_eq!(found["items"][0]["clientAddress"], "127.0.0.1");
    let sound = world.run(&["audit", "verify"]).await;
    assert!(sound.success && sound.stdout.contains("the trail is sound"), "{sound:?}");
    assert!(server.stop().await);
    let store = world.store("identity").await;
    let tx = store.begin().await.unwrap();
    let forget = "update audit_head set last_sequence = last_sequence + 1";
    store::sea_orm::ConnectionTrait::execute_unprepared(&tx, forget).await.unwrap();
    tx.commit().await.unwrap();
    store.close().await.unwrap();
    let found = world.run(&["audit", "verify"]).await;
    assert!(!found.success && found.stdout.contains("are missing"), "{found:?}");
}

async fn an_embedded_database_serves_one_process(database: TestDatabase) {
    let world = World::new(database);
    if world.is_postgres() {
        return;
    }
    let server = world.serve().await;
    let second = world.run(&[]).await;
    assert!(!second.success && second.stderr.contains("another finitech"), "{second:?}");
    assert!(server.stop().await);
    // A stopped server leaves each database in one file.
    let left = std::fs::read_dir(world.data_dir()).unwrap().map(|entry| entry.unwrap().file_name());
    let left: Vec<_> = left.filter(|name| name.to_string_lossy().ends_with("-wal")).collect();
    assert!(left.is_empty(), "{left:?}");
    world.verify().await;
}

async fn production_refuses_what_is_unsafe(database: TestDatabase) {
    let world = World::new(database);
    let mut command = world.command(&[]);
    command
        .env("FINITECH__ENVIRONMENT", "Production")
        .env("FINITECH__PAYMENT_GATEWAY__PROVIDER", "sandbox");
    let refused = finish(command).await;
    assert!(!refused.success);
    for reason in ["payment_gateway.provider", "tls.certificate_file", "finitech migrate"] {
        assert!(refused.stderr.contains(reason), "{reason}: {}", refused.stderr);
    }
}

async fn unknown_settings_are_refused(database: TestDatabase) {
    let world = World::new(database);
    let mut command = world.command(&[]);
    command
        .env("FINITECH__EMAIL__PROVIDER", "smtp")
        .env("FINITECH__SMTP__HOST", "mail.example.com");
    let refused = finish(command).await;
    assert!(!refused.success && refused.stderr.contains("smtp.from"), "{}", refused.stderr);
    let mut command = world.command(&[]);
    command.env("FINITECH__SERVER__PORT", "1");
    let refused = finish(command).await;
    assert!(!refused.success);
    assert!(refused.stderr.contains("port"), "{}", refused.stderr);
}

async fn requests_in_flight_are_answered_before_the_end(database: TestDatabase) {
    let world = World::new(database);
    let server = world.serve().await;
    let client = server.client.clone();
    let signing_in = (0..4).map(|_| {
        let client = client.clone();
        tokio::spawn(async move {
            let body = json!({"identifier": AHMED, "password": "demo-Finitech-1"});
            client.send(Method::POST, "/api/v1/auth/login", &[], Some(&body)).await
        })
    });
    let signing_in: Vec<_> = signing_in.collect();
    // Long enough for the requests to arrive, too short for all of them to be answered.
    tokio::time::sleep(Duration::from_millis(150)).await;
    assert!(server.stop().await);
    for answer in signing_in {
        assert_eq!(answer.await.unwrap().expect("an answer").status, 200);
    }
}

async fn two_processes_serve_the_same_data(database: TestDatabase) {
    let world = World::new(database);
    if !world.is_postgres() {
        // An embedded database belongs to one process.
        return;
    }
    let first = world.serve().await;
    let mut command = world.command(&[]);
    command.env("FINITECH__DATA_DIR", world.data_dir().join("second"));
    command.env("FINITECH__DATA_KEYS__FILE", world.data_dir().join("keys/data-keys"));
    let second = Server::start(command).await;
    // A token of one counts at the other, although each has a signing key of its own.
    let ahmed = first.client.signed_in(AHMED).await;
    let elsewhere = second.client.with_token(&ahmed.token());
    let wallet = ahmed.wallet().await;
    let path = format!("/api/v1/wallets/{}/top-ups", id(&wallet));
    let body = json!({"amountMinorUnits": 700, "currencyCode": "MAD"});
    let here = ahmed.post_with_key(&path, "same", &body).await.expect(201);
    let there = elsewhere.post_with_key(&path, "same", &body).await;
    assert_eq!(there.headers["idempotency-replayed"], "true");
    assert_eq!(there.expect(201), here);
    assert_eq!(elsewhere.balance(&wallet, "MAD").await, ahmed.balance(&wallet, "MAD").await);
    assert!(first.stop().await);
    assert!(second.stop().await);
    world.verify().await;
}

async fn health_tells_life_and_readiness(database: TestDatabase) {
    let world = World::new(database);
    let server = Server::start(world.command(&["--no-demo"])).await;
    let live = server.client.get("/health/live").await;
    assert_eq!(live.expect(200)["status"], "live");
    let ready = server.client.get("/health/ready").await;
    assert!(ready.headers.contains_key("x-request-id"));
    assert_eq!(
        ready.expect(200),
        json!({"status": "ready", "certificate": null, "rateLimits": "off"})
    );
    let id = [("x-request-id", "mine-1")];
    let answer = server.client.send(Method::GET, "/nowhere", &id, None).await.unwrap();
    assert_eq!(answer.headers["x-request-id"], "mine-1");
    assert_eq!(answer.headers["content-type"], "application/problem+json");
    let body = answer.expect(404);
    assert_eq!(body["code"], "not_found");
    assert_eq!(body["requestId"], "mine-1");
    let wrong = server.client.post("/health/live", &json!({})).await;
    assert!(wrong.headers.contains_key("allow"));
    assert_eq!(wrong.expect(405)["code"], "method_not_allowed");
}
