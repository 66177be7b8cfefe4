//! Staff need a second factor, where the operator wants it so.

use crate::authenticator::{ORIGIN, RP_ID};
use crate::mfa::app_code;
use crate::passkeys::with_passkey;
use crate::support::{Answer, CHEAP, PASSWORD, Process, clock, dependencies};
use identity::{Config, Identity, RelyingParty};
use serde_json::{Value, json};
use std::time::Duration;
use store::testing::TestDatabase;

store::on_every_store! {
    staff_permissions_come_with_the_second_factor,
    a_passkey_gives_staff_what_they_may_do,
    customers_need_none,
    a_trusted_device_does_not_spare_staff_the_second_factor,
    staff_keep_their_last_factor,
    sessions_from_before_lose_what_is_for_staff,
}

const EMAIL: &str = "root@staff.example.com";
const STEP: Duration = Duration::from_secs(30);

fn config(staff_second_factor: bool) -> Config {
    let relying_party = RelyingParty { id: RP_ID.to_owned(), origins: vec![ORIGIN.to_owned()] };
    Config {
        password_hash: CHEAP,
        relying_party: Some(relying_party),
        staff_second_factor,
        ..Config::default()
    }
}

async fn start(database: &TestDatabase) -> Process {
    Process::start_configured(database, &clock(), config(true)).await
}

async fn permissions(process: &Process, token: &str) -> Vec<String> {
    serde_json::from_value(process.me(token).await.body["permissions"].clone()).unwrap()
}

/// Gives whoever is signed in an app; its secret.
async fn with_app(process: &Process, token: &str) -> String {
    let body = json!({ "password": PASSWORD });
    let begun = process.post_as(token, "/api/v1/me/mfa/totp", body).await;
    let secret = begun.body["secret"].as_str().unwrap().to_owned();
    let body = json!({ "code": app_code(process, &secret) });
    let confirmed = process.post_as(token, "/api/v1/me/mfa/totp/confirm", body).await;
    assert_eq!(confirmed.status, 200, "{}", confirmed.body);
    process.clock.advance(STEP);
    secret
}

async fn second_step(process: &Process, first: &Answer, secret: &str, trust: bool) -> Answer {
    assert_eq!(first.body["mfaRequired"], true, "{}", first.body);
    let body = json!({
        "mfaToken": first.body["mfaToken"], "code": app_code(process, secret),
        "trustDevice": trust,
    });
    let answer = process.post("/api/v1/auth/login/mfa", body).await;
    process.clock.advance(STEP);
    answer
}

async fn staff_permissions_come_with_the_second_factor(database: TestDatabase) {
    let process = start(&database).await;
    // The first administrator of a new installation, made by an operator.
    process.staff("root", &["Admin"]).await;
    let first = process.log_in(EMAIL, PASSWORD).await;
    assert_eq!(first.body["secondFactorNeeded"], true);
    let (access, refresh) = first.tokens();
    assert_eq!(permissions(&process, &access).await, ["wallet:read", "wallet:write"]);
    let refused = process.get("/api/v1/admin/roles", &access).await;
    assert_eq!(refused.problem(), (403, "forbidden"));
    let secret = with_app(&process, &access).await;
    let refreshed = process.refresh(&refresh).await;
    assert_eq!(refreshed.body["secondFactorNeeded"], true, "it was not shown yet");
    let (access, _) = refreshed.tokens();
    assert_eq!(process.get("/api/v1/admin/roles", &access).await.status, 403);
    let body = json!({ "password": PASSWORD, "code": app_code(&process, &secret) });
    let fresh = process.post_as(&access, "/api/v1/auth/reauthenticate", body).await;
    assert_eq!(fresh.body["secondFactorNeeded"], false);
    let (fresh, refresh) = fresh.tokens();
    assert_eq!(process.get("/api/v1/admin/roles", &fresh).await.status, 200);
    process.clock.advance(STEP);
    let refreshed = process.refresh(&refresh).await;
    assert_eq!(refreshed.body["secondFactorNeeded"], false, "the session goes on with it");
    let (access, _) = refreshed.tokens();
    // All but those of card officers.
    let all = identity::permissions::ALL.len() - 1;
    assert_eq!(permissions(&process, &access).await.len(), all);

    let first = process.log_in(EMAIL, PASSWORD).await;
    let signed_in = second_step(&process, &first, &secret, false).await;
    assert_eq!(signed_in.body["secondFactorNeeded"], false);
    let (access, _) = signed_in.tokens();
    assert_eq!(process.get("/api/v1/admin/roles", &access).await.status, 200);
}

async fn a_passkey_gives_staff_what_they_may_do(database: TestDatabase) {
    let process = start(&database).await;
    let (_, access) = process.staff("root", &["Support"]).await;
    assert_eq!(permissions(&process, &access).await, [""; 0]);
    let (mut authenticator, _) = with_passkey(&process, &access).await;
    let asked = process.post("/api/v1/auth/login/passkey/challenge", json!({})).await;
    let body = json!({ "passkey": authenticator.get(&asked.body) });
    let signed_in = process.post("/api/v1/auth/login/passkey", body).await;
    assert_eq!(signed_in.body["secondFactorNeeded"], false);
    assert_eq!(permissions(&process, &signed_in.tokens().0).await, ["factors:reset", "users:read"]);
}

async fn customers_need_none(database: TestDatabase) {
    let process = start(&database).await;
    process.register_amina().await;
    let signed_in = process.log_in("amina@example.com", PASSWORD).await;
    assert_eq!(signed_in.body["secondFactorNeeded"], false);
    let (access, _) = signed_in.tokens();
    assert_eq!(permissions(&process, &access).await, ["wallet:read", "wallet:write"]);
    for role in ["Merchant", "Agent"] {
        let (_, access) = process.staff(role, &[role]).await;
        let (_, added) = with_passkey(&process, &access).await;
        let path = format!("/api/v1/me/passkeys/{}/remove", added.body["id"].as_str().unwrap());
        assert_eq!(process.post_as(&access, &path, json!({})).await.status, 204, "{role}");
    }
}

async fn a_trusted_device_does_not_spare_staff_the_second_factor(database: TestDatabase) {
    let process = start(&database).await;
    let (_, access) = process.staff("root", &["Auditor"]).await;
    let secret = with_app(&process, &access).await;
    let first = process.log_in(EMAIL, PASSWORD).await;
    let signed_in = second_step(&process, &first, &secret, true).await;
    let device = signed_in.body["deviceToken"].clone();
    assert_ne!(device, Value::Null);
    let body = json!({ "identifier": EMAIL, "password": PASSWORD, "deviceToken": device });
    let asked = process.post("/api/v1/auth/login", body).await;
    assert_eq!(asked.body["mfaRequired"], true, "{}", asked.body);
}

async fn staff_keep_their_last_factor(database: TestDatabase) {
    let process = start(&database).await;
    let (_, access) = process.staff("root", &["Admin"]).await;
    let secret = with_app(&process, &access).await;
    let disable = async || {
        let body = json!({ "password": PASSWORD, "code": app_code(&process, &secret) });
        let answer = process.post_as(&access, "/api/v1/me/mfa/disable", body).await;
        process.clock.advance(STEP);
        answer
    };
    assert_eq!(disable().await.problem(), (409, "second_factor_needed"));
    let (_, added) = with_passkey(&process, &access).await;
    assert_eq!(disable().await.status, 204, "there is another one");
    let path = format!("/api/v1/me/passkeys/{}/remove", added.body["id"].as_str().unwrap());
    let refused = process.post_as(&access, &path, json!({})).await;
    assert_eq!(refused.problem(), (409, "second_factor_needed"));
    let status = process.get("/api/v1/me/mfa", &access).await.body;
    assert_eq!((&status["enabled"], &status["passkeys"]), (&json!(true), &json!(1)));
}

async fn sessions_from_before_lose_what_is_for_staff(database: TestDatabase) {
    let before = Process::start_configured(&database, &clock(), config(false)).await;
    before.staff("root", &["Admin"]).await;
    let signed_in = before.log_in(EMAIL, PASSWORD).await;
    assert_eq!(signed_in.body["secondFactorNeeded"], false);
    let (access, refresh) = signed_in.tokens();
    assert_eq!(before.get("/api/v1/admin/roles", &access).await.status, 200);
    let folder = before.keys_folder();
    let deps = dependencies(&before.store, &before.clock, &before.messages, &folder);
    let after = before.with_identity(Identity::init(deps, config(true)).await.unwrap());
    let (access, _) = after.refresh(&refresh).await.tokens();
    assert_eq!(after.get("/api/v1/admin/roles", &access).await.status, 403);
}
