//! What needs a fresh authentication, and devices that are trusted for less.

use crate::mfa::{another, app_code, enrolled};
use crate::support::{Answer, PASSWORD, Process, clock};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use store::testing::TestDatabase;

store::on_every_store! {
    sensitive_changes_ask_who_it_is_after_a_while,
    a_second_factor_is_part_of_showing_who_one_is,
    wrong_proofs_are_counted_and_change_nothing,
    what_was_given_before_an_authentication_ends_with_it,
    at_once_one_authentication_goes_on,
    a_refresh_keeps_when_somebody_was_authenticated,
    a_trusted_device_is_not_asked_for_the_code,
    a_trusted_device_does_not_make_an_authentication_fresh,
    trusted_devices_are_listed_and_forgotten,
    a_new_beginning_forgets_all_devices,
    new_recovery_codes_replace_the_old,
}

const MAX_AGE: Duration = Duration::from_mins(5);
const STEP: Duration = Duration::from_secs(30);
const NEW: &str = "another demo password";

fn claims(token: &str) -> Value {
    let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
    serde_json::from_slice(&claims).unwrap()
}

#[track_caller]
fn assert_stale(answer: &Answer) {
    assert_eq!(answer.problem(), (401, "insufficient_user_authentication"));
    assert_eq!(answer.body["maxAgeSeconds"], 300);
    let challenge = answer.headers["www-authenticate"].to_str().unwrap();
    assert!(challenge.starts_with("Bearer error=\"insufficient_user_authentication\""));
    assert!(challenge.ends_with("max_age=\"300\""), "{challenge}");
}

async fn reauthenticate(process: &Process, token: &str, body: Value) -> Answer {
    process.post_as(token, "/api/v1/auth/reauthenticate", body).await
}

async fn change_password(process: &Process, token: &str) -> Answer {
    let body = json!({ "currentPassword": PASSWORD, "newPassword": NEW });
    process.post_as(token, "/api/v1/me/password", body).await
}

async fn first_step(process: &Process) -> String {
    let answer = process.log_in("amina@example.com", PASSWORD).await;
    answer.body["mfaToken"].as_str().unwrap().to_owned()
}

/// Signs in with both factors and trusts the device: access token, the device's token.
async fn trusting(process: &Process, secret: &str) -> (String, String) {
    let body = json!({
        "mfaToken": first_step(process).await,
        "code": app_code(process, secret),
        "trustDevice": true,
    });
    let answer = process.post("/api/v1/auth/login/mfa", body).await;
    process.clock.advance(STEP);
    let token = answer.body["deviceToken"].as_str().unwrap().to_owned();
    (answer.tokens().0, token)
}

async fn log_in_with(process: &Process, password: &str, device_token: &str) -> Answer {
    let body = json!({
        "identifier": "amina@example.com", "password": password, "deviceToken": device_token,
    });
    process.post("/api/v1/auth/login", body).await
}

async fn sensitive_changes_ask_who_it_is_after_a_while(database: TestDatabase) {
    let process = Process::start(&database, &clock()).await;
    let (access, _) = process.signed_in_amina().await;
    let began = process.now();
    let said = claims(&access);
    assert_eq!((&said["auth_time"], &said["amr"]), (&json!(began), &json!(["pwd"])));
    process.clock.advance(MAX_AGE - Duration::from_secs(1));
    let weak = json!({ "currentPassword": PASSWORD, "newPassword": "short" });
    let refused = process.post_as(&access, "/api/v1/me/password", weak).await;
    assert_eq!(refused.problem(), (422, "validation_failed"), "fresh enough");
    process.clock.advance(Duration::from_secs(1));
    assert_stale(&change_password(&process, &access).await);
    let close = process.post_as(&access, "/api/v1/me/close", json!({ "password": PASSWORD })).await;
    assert_stale(&close);
    let fresh = reauthenticate(&process, &access, json!({ "password": PASSWORD })).await;
    assert_eq!((fresh.status, &fresh.body["expiresIn"]), (200, &json!(900)), "{}", fresh.body);
    let (fresh, refresh) = fresh.tokens();
    assert_eq!(claims(&fresh)["auth_time"], process.now());
    assert_eq!(change_password(&process, &fresh).await.status, 204);
    process.refresh(&refresh).await.tokens();
}

async fn a_second_factor_is_part_of_showing_who_one_is(database: TestDatabase) {
    let process = Process::start(&database, &clock()).await;
    let (access, secret, codes) = enrolled(&process).await;
    process.clock.advance(MAX_AGE);
    let disable = json!({ "password": PASSWORD, "code": app_code(&process, &secret) });
    let stale = process.post_as(&access, "/api/v1/me/mfa/disable", disable).await;
    assert_stale(&stale);
    let alone = reauthenticate(&process, &access, json!({ "password": PASSWORD })).await;
    assert_eq!(alone.problem(), (422, "wrong_mfa_code"));
    let code = app_code(&process, &secret);
    let body = json!({ "password": PASSWORD, "code": code });
    let (fresh, _) = reauthenticate(&process, &access, body.clone()).await.tokens();
    let again = reauthenticate(&process, &fresh, body).await;
    assert_eq!(again.problem(), (422, "wrong_mfa_code"), "a code counts once");
    assert_eq!(claims(&fresh)["amr"], json!(["pwd", "otp", "mfa"]));
    let body = json!({ "password": PASSWORD, "code": codes[0] });
    let disabled = process.post_as(&fresh, "/api/v1/me/mfa/disable", body).await;
    assert_eq!(disabled.status, 204, "{}", disabled.body);
}

async fn wrong_proofs_are_counted_and_change_nothing(database: TestDatabase) {
    let process = Process::start(&database, &clock()).await;
    let (access, secret, _) = enrolled(&process).await;
    let code = app_code(&process, &secret);
    process.clock.advance(MAX_AGE);
    for _ in 0..2 {
        let wrong = json!({ "password": "a wrong password", "code": code });
        let refused = reauthenticate(&process, &access, wrong).await;
        assert_eq!(refused.problem(), (422, "wrong_password"));
    }
    for _ in 0..5 {
        let wrong = another(&app_code(&process, &secret));
        let body = json!({ "password": PASSWORD, "code": wrong });
        let refused = reauthenticate(&process, &access, body).await;
        assert_eq!(refused.problem(), (422, "wrong_mfa_code"));
    }
    let right = json!({ "password": PASSWORD, "code": app_code(&process, &secret) });
    let locked_out = reauthenticate(&process, &access, right).await;
    assert_eq!(locked_out.problem(), (422, "wrong_mfa_code"));
    assert_stale(&change_password(&process, &access).await);
}

/// ASVS 7.2.4: other tokens, and those from before count no more.
async fn what_was_given_before_an_authentication_ends_with_it(database: TestDatabase) {
    let clock = clock();
    let process = Process::start(&database, &clock).await;
    let elsewhere = Process::start(&database, &clock).await;
    let (access, refresh) = process.signed_in_amina().await;
    process.clock.advance(Duration::from_mins(6));
    assert_eq!(elsewhere.me(&access).await.status, 200);
    let again = reauthenticate(&process, &access, json!({ "password": PASSWORD })).await;
    let (fresh, refresh_after) = again.tokens();
    assert_eq!(process.me(&access).await.problem(), (401, "unauthenticated"), "at once here");
    let once_more = reauthenticate(&process, &access, json!({ "password": PASSWORD })).await;
    assert_eq!(once_more.problem(), (401, "unauthenticated"));
    for _ in 0..500 {
        if elsewhere.me(&access).await.status == 401 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(elsewhere.me(&access).await.status, 401, "soon elsewhere");
    assert_eq!(elsewhere.me(&fresh).await.status, 200);

    // It is the session of the sign-in, so it ends when that would have.
    let listed = process.get("/api/v1/me/sessions", &fresh).await.body["items"].clone();
    assert_eq!(listed.as_array().unwrap().len(), 1);
    let [created, used] = ["createdAt", "lastUsedAt"].map(|member| listed[0][member].clone());
    assert_eq!((created, used), (json!("2026-11-23T09:30:00Z"), json!("2026-11-23T09:36:00Z")));
    assert_eq!((&listed[0]["isCurrent"], &listed[0]["id"]), (&json!(true), &claims(&fresh)["sid"]));
    assert_ne!(claims(&fresh)["sid"], claims(&access)["sid"]);
    assert_eq!(process.audited("reauthenticated").await, 1);

    // Who has a copy of the refresh token from before ends the session by it, as ever.
    let (next, refresh_next) = process.refresh(&refresh_after).await.tokens();
    assert_eq!(process.refresh(&refresh).await.problem(), (401, "invalid_refresh_token"));
    assert_eq!(process.me(&next).await.problem(), (401, "unauthenticated"));
    assert_eq!(process.refresh(&refresh_next).await.problem(), (401, "invalid_refresh_token"));
    let last = process.events().await.pop().unwrap();
    assert!(last.payload.contains("refresh_token_reused"), "{}", last.payload);
}

async fn at_once_one_authentication_goes_on(database: TestDatabase) {
    let process = Arc::new(Process::start(&database, &clock()).await);
    process.register_amina().await;
    for _ in 0..4 {
        let (access, refresh) = process.log_in("amina@example.com", PASSWORD).await.tokens();
        let mut asked = tokio::task::JoinSet::new();
        for number in 0..5 {
            let (process, access, refresh) = (process.clone(), access.clone(), refresh.clone());
            asked.spawn(async move {
                match number {
                    0 => process.refresh(&refresh).await,
                    _ => reauthenticate(&process, &access, json!({ "password": PASSWORD })).await,
                }
            });
        }
        let mut shown = 0;
        for answer in asked.join_all().await {
            assert!([200, 401].contains(&answer.status), "{}", answer.body);
            if answer.status == 200 {
                let counts = process.me(&answer.tokens().0).await.status == 200;
                shown += usize::from(counts);
            }
        }
        assert!(shown <= 1, "{shown} access tokens of one session count");
        assert_eq!(process.me(&access).await.status, 401);
    }
}

async fn a_refresh_keeps_when_somebody_was_authenticated(database: TestDatabase) {
    let process = Process::start(&database, &clock()).await;
    let (access, refresh) = process.signed_in_amina().await;
    let began = claims(&access)["auth_time"].clone();
    process.clock.advance(MAX_AGE);
    let (access, refresh) = process.refresh(&refresh).await.tokens();
    assert_eq!(claims(&access)["auth_time"], began);
    assert_stale(&change_password(&process, &access).await);
    let again = reauthenticate(&process, &access, json!({ "password": PASSWORD })).await;
    let (_, refresh_after) = again.tokens();
    assert_ne!(refresh_after, refresh);
    let (access, _) = process.refresh(&refresh_after).await.tokens();
    assert_eq!(claims(&access)["auth_time"], process.now());
    assert_eq!(change_password(&process, &access).await.status, 204);
}

async fn a_trusted_device_is_not_asked_for_the_code(database: TestDatabase) {
    let process = Process::start(&database, &clock()).await;
    let (_, secret, _) = enrolled(&process).await;
    let plain = json!({
        "mfaToken": first_step(&process).await, "code": app_code(&process, &secret),
    });
    let plain = process.post("/api/v1/auth/login/mfa", plain).await;
    assert_eq!(plain.body["deviceToken"], Value::Null, "only whoever asks for it");
    process.clock.advance(STEP);
    let (_, device) = trusting(&process, &secret).await;
    log_in_with(&process, PASSWORD, &device).await.tokens();
    let wrong = log_in_with(&process, "a wrong password", &device).await;
    assert_eq!(wrong.problem(), (401, "invalid_credentials"), "it is no password");
    for other in ["", "x", &device[1..]] {
        let asked = log_in_with(&process, PASSWORD, other).await;
        assert_eq!(asked.body["mfaRequired"], true, "{other}");
    }
    // Nor is it somebody else's.
    process.clock.advance(Duration::from_hours(24 * 30));
    let asked = log_in_with(&process, PASSWORD, &device).await;
    assert_eq!(asked.body["mfaRequired"], true, "its time is over");
}

async fn a_trusted_device_does_not_make_an_authentication_fresh(database: TestDatabase) {
    let process = Process::start(&database, &clock()).await;
    let (_, secret, _) = enrolled(&process).await;
    let (_, device) = trusting(&process, &secret).await;
    let (access, _) = log_in_with(&process, PASSWORD, &device).await.tokens();
    assert_eq!(claims(&access).get("auth_time"), None);
    assert_stale(&change_password(&process, &access).await);
    let body = json!({ "password": PASSWORD, "code": app_code(&process, &secret) });
    let fresh = reauthenticate(&process, &access, body).await;
    let fresh = fresh.body["accessToken"].as_str().unwrap();
    assert_eq!(change_password(&process, fresh).await.status, 204);
}

async fn trusted_devices_are_listed_and_forgotten(database: TestDatabase) {
    let process = Process::start(&database, &clock()).await;
    let (_, secret, _) = enrolled(&process).await;
    let (access, first) = trusting(&process, &secret).await;
    let (_, second) = trusting(&process, &secret).await;
    let list = async |token: &str| {
        let listed = process.get("/api/v1/me/trusted-devices", token).await;
        listed.body["items"].as_array().unwrap().clone()
    };
    let listed = list(&access).await;
    assert_eq!(listed.len(), 2);
    assert_eq!(listed[0]["deviceName"], "tests");
    let path = |device: &Value| {
        format!("/api/v1/me/trusted-devices/{}/forget", device["id"].as_str().unwrap())
    };
    process.identity.register(crate::support::youssef()).await.unwrap();
    let (other, _) = process.log_in("youssef@example.com", PASSWORD).await.tokens();
    let refused = process.post_as(&other, &path(&listed[1]), json!({})).await;
    assert_eq!(refused.problem(), (404, "not_found"));
    assert_eq!(list(&other).await, [Value::Null; 0]);
    assert_eq!(process.post_as(&access, &path(&listed[1]), json!({})).await.status, 204);
    let again = process.post_as(&access, &path(&listed[1]), json!({})).await;
    assert_eq!(again.problem(), (404, "not_found"));
    assert_eq!(list(&access).await, listed[..1]);
    assert_eq!(log_in_with(&process, PASSWORD, &first).await.body["mfaRequired"], true);
    log_in_with(&process, PASSWORD, &second).await.tokens();
}

async fn a_new_beginning_forgets_all_devices(database: TestDatabase) {
    let process = Process::start(&database, &clock()).await;
    let (_, secret, codes) = enrolled(&process).await;
    let (access, device) = trusting(&process, &secret).await;
    assert_eq!(change_password(&process, &access).await.status, 204);
    assert_eq!(log_in_with(&process, NEW, &device).await.body["mfaRequired"], true);
    // Without a second factor there is none to be spared, and the next one is asked for again.
    let change = json!({ "currentPassword": NEW, "newPassword": PASSWORD });
    assert_eq!(process.post_as(&access, "/api/v1/me/password", change).await.status, 204);
    let (access, device) = trusting(&process, &secret).await;
    let disable = json!({ "password": PASSWORD, "code": codes[0] });
    assert_eq!(process.post_as(&access, "/api/v1/me/mfa/disable", disable).await.status, 204);
    let listed = process.get("/api/v1/me/trusted-devices", &access).await;
    assert_eq!(listed.body["items"], json!([]));
    log_in_with(&process, PASSWORD, &device).await.tokens();
}

async fn new_recovery_codes_replace_the_old(database: TestDatabase) {
    let process = Process::start(&database, &clock()).await;
    let (access, secret, old) = enrolled(&process).await;
    let renew = async |token: &str, code: &str| {
        let body = json!({ "code": code });
        process.post_as(token, "/api/v1/me/mfa/recovery-codes", body).await
    };
    let right = app_code(&process, &secret);
    assert_eq!(renew(&access, &another(&right)).await.problem(), (422, "wrong_mfa_code"));
    let renewed = renew(&access, &right).await;
    assert_eq!(renewed.status, 200, "{}", renewed.body);
    let new: Vec<String> = serde_json::from_value(renewed.body["recoveryCodes"].clone()).unwrap();
    assert_eq!((new.len(), new.iter().filter(|code| old.contains(code)).count()), (10, 0));
    let second_step = async |code: &str| {
        let body = json!({ "mfaToken": first_step(&process).await, "code": code });
        process.post("/api/v1/auth/login/mfa", body).await
    };
    assert_eq!(second_step(&old[3]).await.problem(), (401, "invalid_mfa_code"));
    second_step(&new[3]).await.tokens();
    // A recovery code will do as well, for whoever lost the app.
    let renewed = renew(&access, &new[4]).await;
    assert_eq!(renewed.body["recoveryCodes"].as_array().unwrap().len(), 10);
    let status = process.get("/api/v1/me/mfa", &access).await.body;
    assert_eq!(status["recoveryCodesLeft"], 10);
    process.clock.advance(MAX_AGE);
    assert_stale(&renew(&access, &app_code(&process, &secret)).await);
    let (plain, _) = {
        process.identity.register(crate::support::youssef()).await.unwrap();
        process.log_in("youssef@example.com", PASSWORD).await.tokens()
    };
    assert_eq!(renew(&plain, "123456").await.problem(), (422, "mfa_not_there"));
    let events = process.events().await;
    let told = events.iter().filter(|one| one.event_type == "identity.recovery_codes_renewed");
    assert_eq!(told.count(), 2);
}
