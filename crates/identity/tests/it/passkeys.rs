//! Passkeys, with an authenticator in software.

use crate::authenticator::{Authenticator, ORIGIN, RP_ID};
use crate::mfa::app_code;
use crate::support::{Answer, CHEAP, PASSWORD, Process, clock, youssef};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use identity::Config;
use serde_json::{Value, json};
use std::time::Duration;
use store::testing::TestDatabase;

store::on_every_store! {
    a_passkey_signs_in_without_a_password,
    a_passkey_is_a_second_factor,
    a_passkey_shows_again_who_one_is,
    whoever_lost_the_passkey_has_recovery_codes,
    an_answer_counts_once_and_in_its_time,
    a_question_is_for_one_purpose_and_one_user,
    answers_that_are_not_right_are_refused_and_lock_out,
    a_counter_that_goes_back_is_refused_and_told,
    a_passkey_is_its_owners_alone,
    a_removed_passkey_counts_no_more,
    an_app_and_a_passkey_stand_in_for_each_other,
    who_is_kept_out_does_not_come_in_by_a_passkey,
    new_passkeys_are_refused_unless_all_is_right,
    there_are_twenty_at_most,
    what_becomes_of_a_passkey_is_written_down_and_told,
    without_a_site_there_are_no_passkeys,
    what_one_process_asked_another_hears,
}

const MAX_AGE: Duration = Duration::from_mins(5);
const MINE: &str = "/api/v1/me/passkeys";

fn claims(token: &str) -> Value {
    let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
    serde_json::from_slice(&claims).unwrap()
}

#[track_caller]
fn options(asked: Answer) -> Value {
    assert_eq!(asked.status, 201, "{}", asked.body);
    asked.body
}

async fn registration(process: &Process, token: &str) -> Value {
    options(process.post_as(token, "/api/v1/me/passkeys/registration", json!({})).await)
}

async fn add(process: &Process, token: &str, name: &str, passkey: &Value) -> Answer {
    process.post_as(token, MINE, json!({ "name": name, "passkey": passkey })).await
}

/// Gives whoever is signed in a passkey: the authenticator, and the answer.
pub(crate) async fn with_passkey(process: &Process, token: &str) -> (Authenticator, Answer) {
    let mut authenticator = Authenticator::new();
    let passkey = authenticator.create(&registration(process, token).await);
    let added = add(process, token, "Telephone", &passkey).await;
    assert_eq!(added.status, 201, "{}", added.body);
    (authenticator, added)
}

/// Amina, signed in, with a passkey: access token, authenticator, recovery codes.
async fn amina(process: &Process) -> (String, Authenticator, Vec<String>) {
    let (access, _) = process.signed_in_amina().await;
    let (authenticator, added) = with_passkey(process, &access).await;
    let codes = serde_json::from_value(added.body["recoveryCodes"].clone()).unwrap();
    (access, authenticator, codes)
}

async fn sign_in_options(process: &Process) -> Value {
    options(process.post("/api/v1/auth/login/passkey/challenge", json!({})).await)
}

async fn sign_in(process: &Process, passkey: &Value) -> Answer {
    process.post("/api/v1/auth/login/passkey", json!({ "passkey": passkey })).await
}

/// The token of the first step.
async fn first_step(process: &Process) -> String {
    let answer = process.log_in("amina@example.com", PASSWORD).await;
    assert_eq!(answer.body["mfaRequired"], true, "{}", answer.body);
    answer.body["mfaToken"].as_str().unwrap().to_owned()
}

async fn second_factor_options(process: &Process, mfa_token: &str) -> Value {
    let body = json!({ "mfaToken": mfa_token });
    options(process.post("/api/v1/auth/login/mfa/challenge", body).await)
}

async fn second_step(process: &Process, mfa_token: &str, passkey: &Value) -> Answer {
    let body = json!({ "mfaToken": mfa_token, "passkey": passkey });
    process.post("/api/v1/auth/login/mfa", body).await
}

async fn my_options(process: &Process, token: &str) -> Value {
    options(process.post_as(token, "/api/v1/me/passkeys/challenge", json!({})).await)
}

async fn reauthenticate(process: &Process, token: &str, body: Value) -> Answer {
    process.post_as(token, "/api/v1/auth/reauthenticate", body).await
}

async fn listed(process: &Process, token: &str) -> Vec<Value> {
    process.get(MINE, token).await.body["items"].as_array().unwrap().clone()
}

async fn remove(process: &Process, token: &str, passkey: &Value) -> Answer {
    let path = format!("{MINE}/{}/remove", passkey["id"].as_str().unwrap());
    process.post_as(token, &path, json!({})).await
}

async fn told(process: &Process, event_type: &str) -> usize {
    let events = process.events().await;
    events.iter().filter(|event| event.event_type == event_type).count()
}

async fn a_passkey_signs_in_without_a_password(database: TestDatabase) {
    let process = Process::start(&database, &clock()).await;
    let nobody_is_there = sign_in_options(&process).await;
    let (access, mut authenticator, codes) = amina(&process).await;
    assert_eq!(codes.len(), 10);
    let asked = sign_in_options(&process).await;
    let without_challenge = |mut options: Value| {
        let challenge = options["challenge"].take();
        assert_eq!(URL_SAFE_NO_PAD.decode(challenge.as_str().unwrap()).unwrap().len(), 32);
        options
    };
    let expected = json!({
        "challenge": null, "timeout": 300_000, "rpId": RP_ID, "allowCredentials": [],
        "userVerification": "required",
    });
    assert_eq!(without_challenge(nobody_is_there), expected);
    assert_eq!(without_challenge(asked.clone()), expected, "it tells of no account");

    process.clock.advance(Duration::from_secs(7));
    authenticator.count = 3;
    let signed_in = sign_in(&process, &authenticator.get(&asked)).await;
    let (by_passkey, refresh) = signed_in.tokens();
    let said = claims(&by_passkey);
    assert_eq!(said["amr"], json!(["swk", "user", "mfa"]));
    assert_eq!(said["auth_time"], process.now(), "both factors, just now");
    assert_eq!(said["sub"], claims(&access)["sub"]);
    process.refresh(&refresh).await.tokens();

    let mine = listed(&process, &by_passkey).await;
    assert_eq!((mine.len(), &mine[0]["name"]), (1, &json!("Telephone")));
    assert_ne!(mine[0]["lastUsedAt"], Value::Null);
    assert_ne!(mine[0]["lastUsedAt"], mine[0]["createdAt"]);
    let path = format!("{MINE}/{}/name", mine[0]["id"].as_str().unwrap());
    let rename = async |name: &str| {
        let request = axum::http::Request::put(&path)
            .header("content-type", "application/json")
            .header("authorization", format!("Bearer {by_passkey}"))
            .body(json!({ "name": name }).to_string().into());
        process.send(request.unwrap()).await
    };
    assert_eq!(rename("  ").await.pointers(), ["/name"]);
    assert_eq!(rename(&"x".repeat(61)).await.pointers(), ["/name"]);
    assert_eq!(rename(" Key in the safe ").await.status, 204);
    assert_eq!(listed(&process, &access).await[0]["name"], "Key in the safe");
    for event in ["identity.passkey_added", "identity.mfa_enabled"] {
        assert_eq!(told(&process, event).await, 1, "{event}");
    }
}

async fn a_passkey_is_a_second_factor(database: TestDatabase) {
    let process = Process::start(&database, &clock()).await;
    let (access, mut authenticator, _) = amina(&process).await;
    let status = process.get("/api/v1/me/mfa", &access).await.body;
    let expected = json!({
        "enabled": true, "authenticatorApp": false, "passkeys": 1, "recoveryCodesLeft": 10,
    });
    assert_eq!(status, expected);
    let answer = process.log_in("amina@example.com", PASSWORD).await;
    assert_eq!(answer.body.get("accessToken"), None);
    assert_eq!(answer.body["hasPasskey"], true);
    let token = first_step(&process).await;
    let asked = second_factor_options(&process, &token).await;
    let id = URL_SAFE_NO_PAD.encode(&authenticator.id);
    assert_eq!(asked["allowCredentials"], json!([{ "type": "public-key", "id": id }]));
    let passkey = authenticator.get(&asked);
    let both = json!({ "mfaToken": token, "passkey": passkey, "code": "123456" });
    let both = process.post("/api/v1/auth/login/mfa", both).await;
    assert_eq!(both.pointers(), ["/passkey"], "one of both");
    let neither = process.post("/api/v1/auth/login/mfa", json!({ "mfaToken": token })).await;
    assert_eq!(neither.pointers(), ["/code"]);
    let body = json!({ "mfaToken": token, "passkey": passkey, "trustDevice": true });
    let signed_in = process.post("/api/v1/auth/login/mfa", body).await;
    let (by_both, _) = signed_in.tokens();
    assert_eq!(claims(&by_both)["amr"], json!(["pwd", "swk", "user", "mfa"]));
    let log_in = json!({
        "identifier": "amina@example.com", "password": PASSWORD,
        "deviceToken": signed_in.body["deviceToken"],
    });
    process.post("/api/v1/auth/login", log_in).await.tokens();
    let again =
        process.post("/api/v1/auth/login/mfa/challenge", json!({ "mfaToken": token })).await;
    assert_eq!(again.problem(), (401, "invalid_mfa_token"), "it signed in once");
}

async fn a_passkey_shows_again_who_one_is(database: TestDatabase) {
    let process = Process::start(&database, &clock()).await;
    let (access, mut authenticator, codes) = amina(&process).await;
    process.clock.advance(MAX_AGE);
    let stale = process.post_as(&access, "/api/v1/me/passkeys/registration", json!({})).await;
    assert_eq!(stale.problem(), (401, "insufficient_user_authentication"));
    let asked = my_options(&process, &access).await;
    let body = json!({ "passkey": authenticator.get(&asked) });
    let fresh = reauthenticate(&process, &access, body).await;
    assert_eq!(fresh.status, 200, "{}", fresh.body);
    let fresh = fresh.body["accessToken"].as_str().unwrap();
    assert_eq!(claims(fresh)["auth_time"], process.now());
    assert_eq!(claims(fresh)["amr"], json!(["swk", "user", "mfa"]));
    registration(&process, fresh).await;
    let renew = json!({ "passkey": authenticator.get(&my_options(&process, fresh).await) });
    let renewed = process.post_as(fresh, "/api/v1/me/mfa/recovery-codes", renew).await;
    assert_eq!(renewed.status, 200, "{}", renewed.body);
    let old = json!({ "password": PASSWORD, "code": codes[0] });
    assert_eq!(reauthenticate(&process, fresh, old).await.problem(), (422, "wrong_mfa_code"));
    for (body, pointer) in [
        (json!({}), "/password"),
        (json!({ "code": "123456" }), "/password"),
        (json!({ "passkey": { "rawId": "%", "response": {} } }), "/passkey/rawId"),
    ] {
        assert_eq!(reauthenticate(&process, fresh, body).await.pointers(), [pointer]);
    }
    let alone = reauthenticate(&process, fresh, json!({ "password": PASSWORD })).await;
    assert_eq!(alone.problem(), (422, "wrong_mfa_code"), "the password is not enough");
}

async fn whoever_lost_the_passkey_has_recovery_codes(database: TestDatabase) {
    let process = Process::start(&database, &clock()).await;
    let (access, _, codes) = amina(&process).await;
    let body = json!({ "mfaToken": first_step(&process).await, "code": codes[0] });
    process.post("/api/v1/auth/login/mfa", body).await.tokens();
    let second = with_passkey(&process, &access).await.1;
    assert_eq!(second.body["recoveryCodes"], Value::Null, "those there are count on");
}

async fn an_answer_counts_once_and_in_its_time(database: TestDatabase) {
    let process = Process::start(&database, &clock()).await;
    let (_, mut authenticator, _) = amina(&process).await;
    let passkey = authenticator.get(&sign_in_options(&process).await);
    sign_in(&process, &passkey).await.tokens();
    let replayed = sign_in(&process, &passkey).await;
    assert_eq!(replayed.problem(), (401, "invalid_passkey"));
    // Also what was answered wrongly was answered.
    let asked = sign_in_options(&process).await;
    authenticator.verifies_user = false;
    assert_eq!(sign_in(&process, &authenticator.get(&asked)).await.status, 401);
    authenticator.verifies_user = true;
    assert_eq!(sign_in(&process, &authenticator.get(&asked)).await.status, 401);
    let asked = sign_in_options(&process).await;
    process.clock.advance(MAX_AGE - Duration::from_secs(1));
    sign_in(&process, &authenticator.get(&asked)).await.tokens();
    let asked = sign_in_options(&process).await;
    process.clock.advance(MAX_AGE);
    let late = sign_in(&process, &authenticator.get(&asked)).await;
    assert_eq!(late.problem(), (401, "invalid_passkey"));
    let made_up = json!({ "challenge": "AAAA", "rpId": RP_ID, "userVerification": "required" });
    let made_up = sign_in(&process, &authenticator.get(&made_up)).await;
    assert_eq!(made_up.problem(), (401, "invalid_passkey"));
    assert_eq!(told(&process, "identity.user_locked_out").await, 0);
}

async fn a_question_is_for_one_purpose_and_one_user(database: TestDatabase) {
    let process = Process::start(&database, &clock()).await;
    let (access, mut authenticator, _) = amina(&process).await;
    let token = first_step(&process).await;
    let for_sign_in = authenticator.get(&sign_in_options(&process).await);
    let refused = second_step(&process, &token, &for_sign_in).await;
    assert_eq!(refused.problem(), (401, "invalid_mfa_code"));
    let for_second = authenticator.get(&second_factor_options(&process, &token).await);
    assert_eq!(sign_in(&process, &for_second).await.problem(), (401, "invalid_passkey"));
    second_step(&process, &token, &for_second).await.tokens();
    // What one user is asked another does not answer.
    process.identity.register(youssef()).await.unwrap();
    let (other, _) = process.log_in("youssef@example.com", PASSWORD).await.tokens();
    let mut theirs = Authenticator::new();
    let passkey = theirs.create(&registration(&process, &access).await);
    let refused = add(&process, &other, "Telephone", &passkey).await;
    assert_eq!(refused.problem(), (422, "no_passkey_challenge"));
    let none = process.post_as(&other, "/api/v1/me/passkeys/challenge", json!({})).await;
    assert_eq!(none.problem(), (404, "not_found"));
    let asked = my_options(&process, &access).await;
    let (mut theirs, _) = with_passkey(&process, &other).await;
    let refused = reauthenticate(&process, &other, json!({ "passkey": theirs.get(&asked) })).await;
    assert_eq!(refused.problem(), (422, "wrong_mfa_code"));
}

async fn answers_that_are_not_right_are_refused_and_lock_out(database: TestDatabase) {
    let process = Process::start(&database, &clock()).await;
    let (_, honest, _) = amina(&process).await;
    let mut authenticator = honest;
    let user_handle = authenticator.user_handle.clone();
    let honestly = |authenticator: &mut Authenticator| {
        authenticator.origin = ORIGIN.to_owned();
        authenticator.rp_id = RP_ID.to_owned();
        authenticator.verifies_user = true;
        authenticator.is_cross_origin = false;
        authenticator.user_handle = user_handle.clone();
    };
    type Change = fn(&mut Authenticator);
    let changes: [Change; 9] = [
        |one| one.origin = "https://app.bank.example.evil.example".to_owned(),
        |one| one.origin = "https://bank.example".to_owned(),
        |one| one.origin = "http://app.bank.example".to_owned(),
        |one| one.rp_id = "evil.example".to_owned(),
        |one| one.verifies_user = false,
        |one| one.is_cross_origin = true,
        |one| one.user_handle = None,
        |one| one.user_handle = Some(vec![7; 16]),
        |one| one.user_handle = Some(Vec::new()),
    ];
    for (number, change) in changes.into_iter().enumerate() {
        change(&mut authenticator);
        let passkey = authenticator.get(&sign_in_options(&process).await);
        let refused = sign_in(&process, &passkey).await;
        assert_eq!(refused.problem(), (401, "invalid_passkey"), "{number}");
        honestly(&mut authenticator);
        if number % 2 == 1 {
            // What is right forgives what was wrong before.
            let passkey = authenticator.get(&sign_in_options(&process).await);
            sign_in(&process, &passkey).await.tokens();
        }
    }
    let member = |passkey: &mut Value, member: &str, at: usize| {
        let member = &mut passkey["response"][member];
        let mut bytes = URL_SAFE_NO_PAD.decode(member.as_str().unwrap()).unwrap();
        bytes[at] ^= 1;
        *member = URL_SAFE_NO_PAD.encode(bytes).into();
    };
    // With the one above, these are five; the counter, the signature and what is signed are changed.
    for (name, at) in
        [("signature", 12), ("signature", 40), ("authenticatorData", 36), ("clientDataJSON", 1)]
    {
        let mut passkey = authenticator.get(&sign_in_options(&process).await);
        member(&mut passkey, name, at);
        assert_eq!(sign_in(&process, &passkey).await.problem(), (401, "invalid_passkey"), "{name}");
    }
    let mut passkey = authenticator.get(&sign_in_options(&process).await);
    member(&mut passkey, "signature", 20);
    assert_eq!(sign_in(&process, &passkey).await.problem(), (401, "invalid_passkey"));
    assert_eq!(told(&process, "identity.user_locked_out").await, 1);
    let right = authenticator.get(&sign_in_options(&process).await);
    assert_eq!(sign_in(&process, &right).await.problem(), (401, "invalid_passkey"));
    assert_eq!(process.log_in("amina@example.com", PASSWORD).await.status, 401);
    process.clock.advance(Duration::from_mins(30));
    let right = authenticator.get(&sign_in_options(&process).await);
    sign_in(&process, &right).await.tokens();
}

async fn a_counter_that_goes_back_is_refused_and_told(database: TestDatabase) {
    let process = Process::start(&database, &clock()).await;
    let (_, mut authenticator, _) = amina(&process).await;
    let expected = [(0, true), (0, true), (5, true), (6, true), (6, false), (5, false), (0, false)];
    for (count, is_right) in expected {
        authenticator.count = count;
        let passkey = authenticator.get(&sign_in_options(&process).await);
        let status = sign_in(&process, &passkey).await.status;
        assert_eq!(status, if is_right { 200 } else { 401 }, "{count}");
    }
    assert_eq!(told(&process, "identity.passkey_counter_went_back").await, 3);
    authenticator.count = 7;
    let passkey = authenticator.get(&sign_in_options(&process).await);
    sign_in(&process, &passkey).await.tokens();
}

async fn a_passkey_is_its_owners_alone(database: TestDatabase) {
    let process = Process::start(&database, &clock()).await;
    let (access, authenticator, _) = amina(&process).await;
    process.identity.register(youssef()).await.unwrap();
    let (other, _) = process.log_in("youssef@example.com", PASSWORD).await.tokens();
    let (mut theirs, _) = with_passkey(&process, &other).await;
    // Youssef knows Amina's password, and has a passkey of his own.
    let token = first_step(&process).await;
    let asked = second_factor_options(&process, &token).await;
    let refused = second_step(&process, &token, &theirs.get(&asked)).await;
    assert_eq!(refused.problem(), (401, "invalid_mfa_code"));
    theirs.user_handle = authenticator.user_handle.clone();
    let refused = sign_in(&process, &theirs.get(&sign_in_options(&process).await)).await;
    assert_eq!(refused.problem(), (401, "invalid_passkey"));
    theirs.user_handle = None;
    theirs.id = authenticator.id.clone();
    let asked = second_factor_options(&process, &token).await;
    let refused = second_step(&process, &token, &theirs.get(&asked)).await;
    assert_eq!(refused.problem(), (401, "invalid_mfa_code"), "the id alone is not enough");
    // Nor can he do anything about Amina's, or have one with its id.
    let passkey = theirs.create(&registration(&process, &other).await);
    let taken = add(&process, &other, "Mine", &passkey).await;
    assert_eq!(taken.problem(), (409, "passkey_taken"));
    let mine = listed(&process, &access).await;
    assert_eq!(remove(&process, &other, &mine[0]).await.problem(), (404, "not_found"));
    assert_eq!(listed(&process, &access).await, mine);
    assert_eq!(listed(&process, &other).await.len(), 1);
}

async fn a_removed_passkey_counts_no_more(database: TestDatabase) {
    let process = Process::start(&database, &clock()).await;
    let (access, mut authenticator, _) = amina(&process).await;
    let (mut second, _) = with_passkey(&process, &access).await;
    let mine = listed(&process, &access).await;
    process.clock.advance(MAX_AGE);
    let stale = remove(&process, &access, &mine[1]).await;
    assert_eq!(stale.problem(), (401, "insufficient_user_authentication"));
    let passkey = authenticator.get(&sign_in_options(&process).await);
    let (fresh, _) = sign_in(&process, &passkey).await.tokens();
    let asked = sign_in_options(&process).await;
    assert_eq!(remove(&process, &fresh, &mine[1]).await.status, 204);
    assert_eq!(remove(&process, &fresh, &mine[1]).await.problem(), (404, "not_found"));
    let gone = sign_in(&process, &authenticator.get(&asked)).await;
    assert_eq!(gone.problem(), (401, "invalid_passkey"));
    let passkey = second.get(&sign_in_options(&process).await);
    sign_in(&process, &passkey).await.tokens();
    first_step(&process).await;
    // Without the last one the password is enough, and the recovery codes are gone.
    assert_eq!(remove(&process, &fresh, &mine[0]).await.status, 204);
    process.log_in("amina@example.com", PASSWORD).await.tokens();
    let status = process.get("/api/v1/me/mfa", &fresh).await.body;
    assert_eq!((&status["enabled"], &status["recoveryCodesLeft"]), (&json!(false), &json!(0)));
    assert_eq!(told(&process, "identity.passkey_removed").await, 2);
    assert_eq!(told(&process, "identity.mfa_disabled").await, 1);
}

async fn an_app_and_a_passkey_stand_in_for_each_other(database: TestDatabase) {
    let process = Process::start(&database, &clock()).await;
    let (access, secret, codes) = crate::mfa::enrolled(&process).await;
    let (mut authenticator, added) = with_passkey(&process, &access).await;
    assert_eq!(added.body["recoveryCodes"], Value::Null);
    let body =
        json!({ "mfaToken": first_step(&process).await, "code": app_code(&process, &secret) });
    process.post("/api/v1/auth/login/mfa", body).await.tokens();
    // The app goes, shown by the passkey; a second factor is asked for on.
    let passkey = authenticator.get(&my_options(&process, &access).await);
    let disable = json!({ "password": PASSWORD, "passkey": passkey });
    let disabled = process.post_as(&access, "/api/v1/me/mfa/disable", disable.clone()).await;
    assert_eq!(disabled.status, 204, "{}", disabled.body);
    let again = process.post_as(&access, "/api/v1/me/mfa/disable", disable).await;
    assert_eq!(again.problem(), (422, "mfa_not_there"));
    assert_eq!(told(&process, "identity.authenticator_app_removed").await, 1);
    assert_eq!(told(&process, "identity.mfa_disabled").await, 0);
    let body = json!({ "mfaToken": first_step(&process).await, "code": codes[5] });
    process.post("/api/v1/auth/login/mfa", body).await.tokens();
}

async fn who_is_kept_out_does_not_come_in_by_a_passkey(database: TestDatabase) {
    let process = Process::start(&database, &clock()).await;
    let (access, mut authenticator, _) = amina(&process).await;
    let (_, staff) = process.staff("compliance", &["Compliance"]).await;
    let id = claims(&access)["sub"].as_str().unwrap().to_owned();
    let asked = sign_in_options(&process).await;
    let path = format!("/api/v1/admin/users/{id}/lock");
    let locked = process.post_as(&staff, &path, json!({ "reason": "stolen phone" })).await;
    assert_eq!(locked.status, 200, "{}", locked.body);
    let refused = sign_in(&process, &authenticator.get(&asked)).await;
    assert_eq!(refused.problem(), (401, "invalid_passkey"));

    process.identity.register(youssef()).await.unwrap();
    let (other, _) = process.log_in("youssef@example.com", PASSWORD).await.tokens();
    let (mut theirs, _) = with_passkey(&process, &other).await;
    let close = process.post_as(&other, "/api/v1/me/close", json!({ "password": PASSWORD })).await;
    assert_eq!(close.status, 204, "{}", close.body);
    let refused = sign_in(&process, &theirs.get(&sign_in_options(&process).await)).await;
    assert_eq!(refused.problem(), (401, "invalid_passkey"));
}

async fn new_passkeys_are_refused_unless_all_is_right(database: TestDatabase) {
    let process = Process::start(&database, &clock()).await;
    let (access, _) = process.signed_in_amina().await;
    type Change = fn(&mut Authenticator);
    let changes: [Change; 5] = [
        |one| one.origin = "https://evil.example".to_owned(),
        |one| one.rp_id = "evil.example".to_owned(),
        |one| one.verifies_user = false,
        |one| one.is_cross_origin = true,
        |one| one.id = Vec::new(),
    ];
    for (number, change) in changes.into_iter().enumerate() {
        let asked = registration(&process, &access).await;
        let mut authenticator = Authenticator::new();
        change(&mut authenticator);
        let passkey = authenticator.create(&asked);
        let refused = add(&process, &access, "Telephone", &passkey).await;
        assert_eq!(refused.problem(), (422, "passkey_refused"), "{number}");
        // The question was answered.
        let passkey = Authenticator::new().create(&asked);
        let refused = add(&process, &access, "Telephone", &passkey).await;
        assert_eq!(refused.problem(), (422, "no_passkey_challenge"), "{number}");
    }
    let asked = registration(&process, &access).await;
    let passkey = Authenticator::new().create(&asked);
    assert_eq!(add(&process, &access, "", &passkey).await.pointers(), ["/name"]);
    process.clock.advance(MAX_AGE);
    let stale = add(&process, &access, "Telephone", &passkey).await;
    assert_eq!(stale.problem(), (401, "insufficient_user_authentication"));
    let fresh = reauthenticate(&process, &access, json!({ "password": PASSWORD })).await;
    let fresh = fresh.body["accessToken"].as_str().unwrap();
    let late = add(&process, fresh, "Telephone", &passkey).await;
    assert_eq!(late.problem(), (422, "no_passkey_challenge"));
    assert_eq!(listed(&process, fresh).await, [Value::Null; 0]);
    process.log_in("amina@example.com", PASSWORD).await.tokens();
}

async fn there_are_twenty_at_most(database: TestDatabase) {
    let process = Process::start(&database, &clock()).await;
    let (access, _) = process.signed_in_amina().await;
    for _ in 0..20 {
        with_passkey(&process, &access).await;
    }
    let passkey = Authenticator::new().create(&registration(&process, &access).await);
    let refused = add(&process, &access, "One more", &passkey).await;
    assert_eq!(refused.problem(), (409, "too_many_passkeys"));
}

async fn what_becomes_of_a_passkey_is_written_down_and_told(database: TestDatabase) {
    let process = Process::start(&database, &clock()).await;
    // Whose e-mail address is known to be theirs.
    let (id, access) = process.staff("auditor", &["Auditor"]).await;
    let (mut authenticator, added) = with_passkey(&process, &access).await;
    let (to, text) = process.messages.next().await;
    assert_eq!(to, "auditor@staff.example.com");
    assert!(text.contains("passkey was added"), "{text}");
    let mut passkey = authenticator.get(&sign_in_options(&process).await);
    sign_in(&process, &passkey).await.tokens();
    passkey = authenticator.get(&sign_in_options(&process).await);
    passkey["response"]["signature"] = "MAA".into();
    assert_eq!(sign_in(&process, &passkey).await.status, 401);
    let mut unknown = Authenticator::new();
    unknown.user_handle = authenticator.user_handle.clone();
    let unknown = unknown.get(&sign_in_options(&process).await);
    assert_eq!(sign_in(&process, &unknown).await.status, 401);
    assert_eq!(remove(&process, &access, &added.body).await.status, 204);
    assert!(process.messages.next().await.1.contains("passkey was removed"));

    let entries = async |filter: String| {
        let found = process.get(&format!("/api/v1/admin/audit-events?{filter}"), &access).await;
        let found = found.body["items"].as_array().unwrap().clone();
        found.into_iter().rev().collect::<Vec<_>>()
    };
    let found = entries(format!("objectId={}", id.0)).await;
    let actions: Vec<_> = found.iter().map(|one| one["action"].as_str().unwrap()).collect();
    let expected = [
        "user_registered",
        "logged_in",
        "mfa_enabled",
        "passkey_added",
        "logged_in",
        "credential_refused",
        "passkey_removed",
        "mfa_disabled",
    ];
    assert_eq!(actions, expected);
    assert_eq!(found[3]["details"]["passkeyId"], added.body["id"]);
    assert_eq!(found[4]["details"]["secondFactor"], "passkey");
    let refused = entries("action=credential_refused".to_owned()).await;
    assert_eq!(refused.len(), 2);
    assert_eq!(refused[1]["objectId"], Value::Null, "nobody's passkey");
}

async fn without_a_site_there_are_no_passkeys(database: TestDatabase) {
    let config = Config { password_hash: CHEAP, ..Config::default() };
    let process = Process::start_configured(&database, &clock(), config).await;
    let (access, _) = process.signed_in_amina().await;
    let asked = process.post("/api/v1/auth/login/passkey/challenge", json!({})).await;
    assert_eq!(asked.problem(), (409, "passkeys_off"));
    let begun = process.post_as(&access, "/api/v1/me/passkeys/registration", json!({})).await;
    assert_eq!(begun.problem(), (409, "passkeys_off"));
    assert_eq!(listed(&process, &access).await, [Value::Null; 0]);
}

async fn what_one_process_asked_another_hears(database: TestDatabase) {
    let clock = clock();
    let (one, other) =
        (Process::start(&database, &clock).await, Process::start(&database, &clock).await);
    let (access, _) = one.signed_in_amina().await;
    let mut authenticator = Authenticator::new();
    let passkey = authenticator.create(&registration(&one, &access).await);
    assert_eq!(add(&other, &access, "Telephone", &passkey).await.status, 201);
    let passkey = authenticator.get(&sign_in_options(&other).await);
    let (first, second) = tokio::join!(sign_in(&one, &passkey), sign_in(&other, &passkey));
    let mut statuses = [first.status, second.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 401], "one answer signs in once");
}
