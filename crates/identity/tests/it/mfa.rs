use crate::support::{Answer, CHEAP, PASSWORD, Process, clock, dependencies, youssef};
use aws_lc_rs::hmac::{HMAC_SHA1_FOR_LEGACY_USE_ONLY, Key, sign};
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;
use store::sea_orm::ConnectionTrait;
use store::testing::TestDatabase;

store::on_every_store! {
    a_confirmed_app_is_asked_for_at_sign_in,
    a_code_counts_once_and_near_its_time,
    a_recovery_code_counts_once,
    wrong_codes_lock_out_and_a_right_password_does_not_forgive_them,
    a_new_password_does_not_forgive_wrong_codes,
    codes_guessed_at_once_do_not_slip_through,
    a_token_of_the_first_step_is_good_for_one_sign_in,
    switching_off_needs_password_and_code,
    enrolments_are_refused_without_password_or_right_code,
    secrets_are_sealed_for_their_user_and_key,
    one_code_signs_in_one_of_many,
}

const STEP: Duration = Duration::from_secs(30);

/// What an app does with the secret of the QR code.
pub(crate) fn app_code(process: &Process, secret: &str) -> String {
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let bits: String =
        secret.chars().map(|one| format!("{:05b}", alphabet.find(one).unwrap())).collect();
    let key: Vec<u8> = bits
        .as_bytes()
        .chunks_exact(8)
        .map(|byte| u8::from_str_radix(std::str::from_utf8(byte).unwrap(), 2).unwrap())
        .collect();
    let step = (process.now() / 30).to_be_bytes();
    let tag = sign(&Key::new(HMAC_SHA1_FOR_LEGACY_USE_ONLY, &key), &step);
    let offset = usize::from(tag.as_ref()[19] & 15);
    let four: [u8; 4] = tag.as_ref()[offset..offset + 4].try_into().unwrap();
    format!("{:06}", (u32::from_be_bytes(four) & 0x7fff_ffff) % 1_000_000)
}

pub(crate) fn another(code: &str) -> String {
    format!("{:06}", (code.parse::<u32>().unwrap() + 1) % 1_000_000)
}

async fn begin(process: &Process, token: &str) -> String {
    let body = json!({ "password": PASSWORD });
    let begun = process.post_as(token, "/api/v1/me/mfa/totp", body).await;
    assert_eq!(begun.status, 201, "{}", begun.body);
    begun.body["secret"].as_str().unwrap().to_owned()
}

async fn confirm(process: &Process, token: &str, code: &str) -> Answer {
    process.post_as(token, "/api/v1/me/mfa/totp/confirm", json!({ "code": code })).await
}

/// Amina, signed in, with an app: access token, secret, recovery codes.
pub(crate) async fn enrolled(process: &Process) -> (String, String, Vec<String>) {
    process.verified_amina().await;
    let (access, _) = process.log_in("amina@example.com", PASSWORD).await.tokens();
    let secret = begin(process, &access).await;
    let confirmed = confirm(process, &access, &app_code(process, &secret)).await;
    assert_eq!(confirmed.status, 200, "{}", confirmed.body);
    let codes = serde_json::from_value(confirmed.body["recoveryCodes"].clone()).unwrap();
    process.clock.advance(STEP);
    (access, secret, codes)
}

/// The token of the first step.
async fn first_step(process: &Process) -> String {
    let answer = process.log_in("amina@example.com", PASSWORD).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(answer.body["mfaRequired"], true);
    assert_eq!(answer.body["expiresIn"], 300);
    assert_eq!(answer.body.get("accessToken"), None);
    answer.body["mfaToken"].as_str().unwrap().to_owned()
}

async fn second_step(process: &Process, token: &str, code: &str) -> Answer {
    process.post("/api/v1/auth/login/mfa", json!({ "mfaToken": token, "code": code })).await
}

async fn status(process: &Process, token: &str) -> Value {
    process.get("/api/v1/me/mfa", token).await.body
}

async fn a_confirmed_app_is_asked_for_at_sign_in(database: TestDatabase) {
    let process = Process::start(&database, &clock()).await;
    let (access, _) = process.signed_in_amina().await;
    let body = json!({ "password": PASSWORD });
    let begun = process.post_as(&access, "/api/v1/me/mfa/totp", body).await;
    let secret = begun.body["secret"].as_str().unwrap();
    assert_eq!(secret.len(), 32, "160 bits in base32");
    assert_eq!(
        begun.body["uri"],
        format!(
            "otpauth://totp/Finitech:amina%40example.com?secret={secret}&issuer=Finitech\
             &algorithm=SHA1&digits=6&period=30"
        )
    );
    assert!(begun.body["qrCodeSvg"].as_str().unwrap().contains("<svg"));
    assert!(begun.body["qrCodePng"].as_str().unwrap().starts_with("iVBORw0KGgo"));
    // Nothing is asked for until the app has shown that it works.
    process.log_in("amina@example.com", PASSWORD).await.tokens();
    assert_eq!(status(&process, &access).await["enabled"], false);

    let confirmed = confirm(&process, &access, &app_code(&process, secret)).await;
    assert_eq!(confirmed.body["recoveryCodes"].as_array().unwrap().len(), 10);
    let expected = json!({
        "enabled": true, "authenticatorApp": true, "passkeys": 0, "recoveryCodesLeft": 10,
    });
    assert_eq!(status(&process, &access).await, expected);
    process.clock.advance(STEP);
    let token = first_step(&process).await;
    assert_eq!(process.me(&token).await.problem(), (401, "unauthenticated"));
    assert_eq!(process.refresh(&token).await.problem(), (401, "invalid_refresh_token"));
    let (signed_in, _) = second_step(&process, &token, &app_code(&process, secret)).await.tokens();
    assert_eq!(process.me(&signed_in).await.status, 200);
    let events = process.events().await;
    assert!(events.iter().any(|event| event.event_type == "identity.mfa_enabled"));
}

async fn a_code_counts_once_and_near_its_time(database: TestDatabase) {
    let process = Process::start(&database, &clock()).await;
    let (_, secret, _) = enrolled(&process).await;
    let code = app_code(&process, &secret);
    second_step(&process, &first_step(&process).await, &code).await.tokens();
    let token = first_step(&process).await;
    let replayed = second_step(&process, &token, &code).await;
    assert_eq!(replayed.problem(), (401, "invalid_mfa_code"));
    process.clock.advance(STEP);
    let late = app_code(&process, &secret);
    process.clock.advance(STEP);
    second_step(&process, &token, &late).await.tokens();
    let too_late = app_code(&process, &secret);
    process.clock.advance(2 * STEP);
    let refused = second_step(&process, &first_step(&process).await, &too_late).await;
    assert_eq!(refused.problem(), (401, "invalid_mfa_code"));
}

async fn a_recovery_code_counts_once(database: TestDatabase) {
    let process = Process::start(&database, &clock()).await;
    let (access, secret, codes) = enrolled(&process).await;
    for code in [codes[3].clone(), codes[7].to_lowercase().replace('-', " ")] {
        second_step(&process, &first_step(&process).await, &code).await.tokens();
        let again = second_step(&process, &first_step(&process).await, &code).await;
        assert_eq!(again.problem(), (401, "invalid_mfa_code"));
    }
    assert_eq!(status(&process, &access).await["recoveryCodesLeft"], 8);
    let row = "select code_hash from recovery_codes limit 1";
    let row = process.store.read().query_one_raw(process.store.statement(row, [])).await.unwrap();
    let hash: String = row.unwrap().try_get_by_index(0).unwrap();
    assert!(hash.starts_with("$argon2id$"), "{hash}");
    second_step(&process, &first_step(&process).await, &app_code(&process, &secret)).await.tokens();
}

async fn wrong_codes_lock_out_and_a_right_password_does_not_forgive_them(database: TestDatabase) {
    let process = Process::start(&database, &clock()).await;
    let (_, secret, codes) = enrolled(&process).await;
    let right = app_code(&process, &secret);
    let token = first_step(&process).await;
    for wrong in [&another(&right), "0AAAA-AAAAA", "", "123", &another(&right)] {
        let refused = second_step(&process, &first_step(&process).await, wrong).await;
        assert_eq!(refused.problem(), (401, "invalid_mfa_code"));
    }
    for code in [&right, &codes[0]] {
        assert_eq!(second_step(&process, &token, code).await.status, 401);
    }
    assert_eq!(second_step(&process, &first_step(&process).await, &right).await.status, 401);
    process.clock.advance(Duration::from_mins(30));
    let token = first_step(&process).await;
    second_step(&process, &token, &app_code(&process, &secret)).await.tokens();
}

async fn a_new_password_does_not_forgive_wrong_codes(database: TestDatabase) {
    const NEW: &str = "another demo password";
    let process = Process::start(&database, &clock()).await;
    let (_, secret, _) = enrolled(&process).await;
    let wrong = another(&app_code(&process, &secret));
    for _ in 0..5 {
        second_step(&process, &first_step(&process).await, &wrong).await;
    }
    let body = json!({ "identifier": "amina@example.com" });
    process.post("/api/v1/auth/password-resets", body).await;
    let (_, text) = process.messages.next().await;
    let token = text.lines().find(|line| line.len() == 43).expect("a token");
    process.clock.advance(STEP);
    let body = json!({ "token": token, "newPassword": NEW });
    assert_eq!(process.post("/api/v1/auth/password-resets/complete", body).await.status, 204);
    let token = async || {
        let answer = process.log_in("amina@example.com", NEW).await;
        answer.body["mfaToken"].as_str().expect("the password counts").to_owned()
    };
    let right = app_code(&process, &secret);
    let refused = second_step(&process, &token().await, &right).await;
    assert_eq!(refused.problem(), (401, "invalid_mfa_code"));
    // Staff let her in.
    let (_, staff) = process.staff("staff", &["Admin"]).await;
    let user = process.identity.directory().find_by_email("amina@example.com").await.unwrap();
    let user = user.unwrap().0;
    let view = process.get(&format!("/api/v1/admin/users/{user}"), &staff).await.body;
    assert_eq!(view["lockedOutUntil"], "2026-11-23T10:00:30Z");
    let path = format!("/api/v1/admin/users/{user}/unlock");
    let asked = process.post_as(&staff, &path, json!({ "reason": "it is her" })).await;
    let (_, colleague) = process.staff("colleague", &["Admin"]).await;
    let path =
        format!("/api/v1/admin/staff-actions/{}/approve", asked.body["id"].as_str().unwrap());
    assert_eq!(process.post_as(&colleague, &path, json!({})).await.status, 200);
    second_step(&process, &token().await, &right).await.tokens();
}

async fn codes_guessed_at_once_do_not_slip_through(database: TestDatabase) {
    let process = std::sync::Arc::new(Process::start(&database, &clock()).await);
    let (_, secret, _) = enrolled(&process).await;
    let right = app_code(&process, &secret);
    let token = first_step(&process).await;
    let guesses: Vec<_> = (0..30)
        .map(|_| {
            let (process, token, wrong) = (process.clone(), token.clone(), another(&right));
            tokio::spawn(async move { second_step(&process, &token, &wrong).await.status })
        })
        .collect();
    for guess in guesses {
        assert_eq!(guess.await.unwrap(), 401);
    }
    assert_eq!(second_step(&process, &token, &right).await.status, 401);
    assert_eq!(process.audited("credential_refused").await, 5, "no more were compared");
    assert_eq!(process.audited("refused_while_locked_out").await, 26);
}

async fn a_token_of_the_first_step_is_good_for_one_sign_in(database: TestDatabase) {
    let process = Process::start(&database, &clock()).await;
    let (access, secret, codes) = enrolled(&process).await;
    let token = first_step(&process).await;
    second_step(&process, &token, &app_code(&process, &secret)).await.tokens();
    let used = second_step(&process, &token, &codes[0]).await;
    assert_eq!(used.problem(), (401, "invalid_mfa_token"));
    let old = first_step(&process).await;
    process.clock.advance(Duration::from_mins(5));
    let refused = second_step(&process, &old, &codes[0]).await;
    assert_eq!(refused.problem(), (401, "invalid_mfa_token"));
    for garbage in ["", "x", &"A".repeat(43)] {
        let refused = second_step(&process, garbage, &codes[0]).await;
        assert_eq!(refused.problem(), (401, "invalid_mfa_token"));
    }
    // Nor does it outlive the password that earned it.
    let token = first_step(&process).await;
    let body = json!({ "password": PASSWORD, "code": codes[1] });
    let fresh = process.post_as(&access, "/api/v1/auth/reauthenticate", body).await;
    let fresh = fresh.body["accessToken"].as_str().unwrap();
    let body = json!({ "currentPassword": PASSWORD, "newPassword": "another demo password" });
    assert_eq!(process.post_as(fresh, "/api/v1/me/password", body).await.status, 204);
    let refused = second_step(&process, &token, &codes[0]).await;
    assert_eq!(refused.problem(), (401, "invalid_mfa_token"));
}

async fn switching_off_needs_password_and_code(database: TestDatabase) {
    let process = Process::start(&database, &clock()).await;
    let (access, secret, _) = enrolled(&process).await;
    let disable = async |password: &str, code: &str| {
        let body = json!({ "password": password, "code": code });
        process.post_as(&access, "/api/v1/me/mfa/disable", body).await
    };
    let right = app_code(&process, &secret);
    assert_eq!(disable("wrong password", &right).await.problem(), (422, "wrong_password"));
    assert_eq!(disable(PASSWORD, &another(&right)).await.problem(), (422, "wrong_mfa_code"));
    assert_eq!(status(&process, &access).await["enabled"], true);
    assert_eq!(disable(PASSWORD, &right).await.status, 204);
    let expected = json!({
        "enabled": false, "authenticatorApp": false, "passkeys": 0, "recoveryCodesLeft": 0,
    });
    assert_eq!(status(&process, &access).await, expected);
    assert_eq!(disable(PASSWORD, &right).await.problem(), (422, "mfa_not_there"));
    process.log_in("amina@example.com", PASSWORD).await.tokens();
    // A new app has a secret of its own.
    let next = begin(&process, &access).await;
    assert_ne!(next, secret);
    assert_eq!(confirm(&process, &access, &app_code(&process, &next)).await.status, 200);
    assert_eq!(status(&process, &access).await["recoveryCodesLeft"], 10);
}

async fn enrolments_are_refused_without_password_or_right_code(database: TestDatabase) {
    let process = Process::start(&database, &clock()).await;
    let (access, _) = process.signed_in_amina().await;
    let refused = confirm(&process, &access, "123456").await;
    assert_eq!(refused.problem(), (422, "mfa_not_there"));
    let body = json!({ "password": "wrong password" });
    let refused = process.post_as(&access, "/api/v1/me/mfa/totp", body).await;
    assert_eq!(refused.problem(), (422, "wrong_password"));
    let first = begin(&process, &access).await;
    let second = begin(&process, &access).await;
    let refused = confirm(&process, &access, &app_code(&process, &first)).await;
    assert_eq!(refused.problem(), (422, "wrong_mfa_code"), "the last secret is the one");
    let confirmed = confirm(&process, &access, &app_code(&process, &second)).await;
    assert_eq!(confirmed.status, 200);
    let again = confirm(&process, &access, &app_code(&process, &second)).await;
    assert_eq!(again.problem(), (409, "mfa_already_on"));
    let body = json!({ "password": PASSWORD });
    let again = process.post_as(&access, "/api/v1/me/mfa/totp", body).await;
    assert_eq!(again.problem(), (409, "mfa_already_on"));
}

async fn secrets_are_sealed_for_their_user_and_key(database: TestDatabase) {
    let process = Process::start(&database, &clock()).await;
    let (access, secret, _) = enrolled(&process).await;
    let start = async |folder: &Path| {
        let config = identity::Config { password_hash: CHEAP, ..identity::Config::default() };
        let deps = dependencies(&process.store, &process.clock, &process.messages, folder);
        identity::Identity::init(deps, config).await
    };
    // Another process on the database needs the same data keys, and says so before it serves.
    let elsewhere = tempfile::tempdir().unwrap();
    let refused = start(elsewhere.path()).await.unwrap_err().to_string();
    assert!(refused.contains("lacks data keys"), "{refused}");
    let mine = process.key_file().with_file_name("data-keys");
    std::fs::copy(&mine, elsewhere.path().join("data-keys")).unwrap();
    start(elsewhere.path()).await.unwrap();

    // A sealed secret that is copied to another user's row opens nothing.
    process.identity.register_with_roles(youssef(), &["Customer"]).await.unwrap();
    let other = process.log_in("youssef@example.com", PASSWORD).await.tokens().0;
    begin(&process, &other).await;
    let tx = process.store.begin().await.unwrap();
    tx.execute_unprepared(
        "update user_totp set confirmed_at = 1, sealed_secret = \
         (select sealed_secret from user_totp where confirmed_at > 1) where confirmed_at is null",
    )
    .await
    .unwrap();
    tx.commit().await.unwrap();
    let body = json!({ "password": PASSWORD, "code": app_code(&process, &secret) });
    let failed = process.post_as(&other, "/api/v1/me/mfa/disable", body.clone()).await;
    assert_eq!(failed.problem(), (500, "internal_error"));
    assert_eq!(process.post_as(&access, "/api/v1/me/mfa/disable", body).await.status, 204);
}

async fn one_code_signs_in_one_of_many(database: TestDatabase) {
    let process = std::sync::Arc::new(Process::start(&database, &clock()).await);
    let (_, secret, _) = enrolled(&process).await;
    let code = app_code(&process, &secret);
    let mut signing_in = Vec::new();
    for _ in 0..4 {
        let token = first_step(&process).await;
        let (process, code) = (process.clone(), code.clone());
        let second = async move { second_step(&process, &token, &code).await.status };
        signing_in.push(tokio::spawn(second));
    }
    let mut signed_in = 0;
    for one in signing_in {
        signed_in += usize::from(one.await.unwrap() == 200);
    }
    assert_eq!(signed_in, 1);
}
