//! A way back for whoever lost every second factor.

use crate::authenticator::Authenticator;
use crate::mfa::{app_code, enrolled};
use crate::passkeys::with_passkey;
use crate::support::{Answer, CHEAP, PASSWORD, Process, clock};
use identity::Config;
use kernel::UserId;
use serde_json::{Value, json};
use std::time::Duration;
use store::testing::TestDatabase;

store::on_every_store! {
    a_customer_who_lost_all_factors_begins_anew_with_the_password,
    whoever_forgot_the_password_too_sets_a_new_one,
    two_people_do_it_and_neither_for_themselves,
    nobody_resets_the_factors_of_who_may_do_more,
    staff_have_no_permissions_until_they_add_another_factor,
    a_lock_ends_the_requests_that_were_made_before,
    whoever_left_or_has_no_factor_is_refused,
    one_person_is_enough_where_it_is_configured,
}

const STEP: Duration = Duration::from_secs(30);
const ACTIONS: &str = "/api/v1/admin/staff-actions";

async fn ask(process: &Process, token: &str, user: UserId) -> Answer {
    let path = format!("/api/v1/admin/users/{user}/reset-second-factor");
    process.post_as(token, &path, json!({ "reason": "showed a passport in Fès" })).await
}

fn id(asked: &Answer) -> String {
    assert_eq!(asked.status, 202, "{}", asked.body);
    asked.body["id"].as_str().unwrap().to_owned()
}

async fn approve(process: &Process, token: &str, id: &str) -> Answer {
    process.post_as(token, &format!("{ACTIONS}/{id}/approve"), json!({})).await
}

async fn user_id(process: &Process, token: &str) -> UserId {
    UserId(serde_json::from_value(process.me(token).await.body["id"].clone()).unwrap())
}

/// Adds an app for whoever is signed in: its secret.
async fn with_app(process: &Process, token: &str) -> String {
    let body = json!({ "password": PASSWORD });
    let begun = process.post_as(token, "/api/v1/me/mfa/totp", body).await;
    let secret = begun.body["secret"].as_str().unwrap().to_owned();
    let code = json!({ "code": app_code(process, &secret) });
    let confirmed = process.post_as(token, "/api/v1/me/mfa/totp/confirm", code).await;
    assert_eq!(confirmed.status, 200, "{}", confirmed.body);
    secret
}

/// The token of the first step.
async fn first_step(process: &Process) -> Value {
    let answer = process.log_in("amina@example.com", PASSWORD).await;
    assert_eq!(answer.body["mfaRequired"], true, "{}", answer.body);
    answer.body["mfaToken"].clone()
}

async fn second_step(process: &Process, mfa_token: &Value, code: &str) -> Answer {
    let body = json!({ "mfaToken": mfa_token, "code": code, "trustDevice": true });
    process.post("/api/v1/auth/login/mfa", body).await
}

async fn a_customer_who_lost_all_factors_begins_anew_with_the_password(database: TestDatabase) {
    let clock = clock();
    let process = Process::start(&database, &clock).await;
    let (support_id, support) = process.staff("support", &["Support"]).await;
    let (compliance_id, compliance) = process.staff("compliance", &["Compliance"]).await;
    let (access, secret, codes) = enrolled(&process).await;
    let amina = user_id(&process, &access).await;
    let (mut passkey, _) = with_passkey(&process, &access).await;
    let trusting = second_step(&process, &first_step(&process).await, &codes[0]).await;
    let device = trusting.body["deviceToken"].clone();
    let (other, refresh) = trusting.tokens();
    let under_way = first_step(&process).await;
    let question = "/api/v1/me/passkeys/registration";
    let waiting = process.post_as(&other, question, json!({})).await.body;
    // The new passkey was told.
    process.messages.next().await;

    let action = id(&ask(&process, &support, amina).await);
    assert_eq!(process.me(&other).await.status, 200, "not yet");
    let approved = approve(&process, &compliance, &action).await;
    assert_eq!((approved.status, &approved.body["state"]), (200, &json!("approved")));

    for over in [&access, &other] {
        assert_eq!(process.me(over).await.problem(), (401, "unauthenticated"));
    }
    assert_eq!(process.refresh(&refresh).await.problem(), (401, "invalid_refresh_token"));
    let completed = second_step(&process, &under_way, &codes[1]).await;
    assert_eq!(completed.problem(), (401, "invalid_mfa_token"));
    let asked = process.post("/api/v1/auth/login/passkey/challenge", json!({})).await.body;
    let shown = json!({ "passkey": passkey.get(&asked) });
    let refused = process.post("/api/v1/auth/login/passkey", shown).await;
    assert_eq!(refused.problem(), (401, "invalid_passkey"));

    let (access, _) = process.log_in("amina@example.com", PASSWORD).await.tokens();
    let nothing = json!({
        "enabled": false, "authenticatorApp": false, "passkeys": 0, "recoveryCodesLeft": 0,
    });
    assert_eq!(process.get("/api/v1/me/mfa", &access).await.body, nothing);
    let devices = process.get("/api/v1/me/trusted-devices", &access).await;
    assert_eq!(devices.body["items"], json!([]));
    let late = Authenticator::new().create(&waiting);
    let body = json!({ "name": "Telephone", "passkey": late });
    let refused = process.post_as(&access, "/api/v1/me/passkeys", body).await;
    assert_eq!(refused.problem(), (422, "no_passkey_challenge"), "asked for before");

    // Both contacts are told, and staff are named in the trail alone.
    let mut told = [process.messages.next().await, process.messages.next().await];
    told.sort();
    assert_eq!([&told[0].0, &told[1].0], ["+212612345678", "amina@example.com"]);
    assert!(told.iter().all(|(_, text)| text.contains("was removed by our staff")), "{told:?}");
    let (_, auditor) = process.staff("auditor", &["Auditor"]).await;
    let path = "/api/v1/admin/audit-events?action=second_factor_reset";
    let found = process.get(path, &auditor).await.body["items"].clone();
    let expected = json!({
        "userId": amina.0,
        "by": support_id.0,
        "requestedBy": support_id.0,
        "approvedBy": compliance_id.0,
        "staffActionId": action,
        "reason": "showed a passport in Fès",
    });
    assert_eq!((&found[0]["details"], found.as_array().unwrap().len()), (&expected, 1));
    assert_eq!(found[0]["objectId"], json!(amina.0));
    let events = process.events().await;
    let reset = events.iter().find(|one| one.event_type == "identity.second_factor_reset");
    let payload: Value = serde_json::from_str(&reset.unwrap().payload).unwrap();
    assert_eq!(payload, json!({ "userId": amina.0, "by": support_id.0 }));
    assert_eq!(identity::verify_audit_trail(&process.store).await.unwrap().findings, []);

    // A new factor is asked for again, and nothing from before stands in for it.
    with_app(&process, &access).await;
    let body = json!({
        "identifier": "amina@example.com", "password": PASSWORD, "deviceToken": device,
    });
    let asked = process.post("/api/v1/auth/login", body).await;
    assert_eq!(asked.body["mfaRequired"], true, "the device is trusted no more");
    for old in [&codes[2], &app_code(&process, &secret)] {
        let refused = second_step(&process, &asked.body["mfaToken"], old).await;
        assert_eq!(refused.problem(), (401, "invalid_mfa_code"), "{old}");
    }
}

async fn whoever_forgot_the_password_too_sets_a_new_one(database: TestDatabase) {
    let process = Process::start(&database, &clock()).await;
    let (_, support) = process.staff("support", &["Support"]).await;
    let (_, compliance) = process.staff("compliance", &["Compliance"]).await;
    process.verified_amina().await;
    let (access, _) = process.log_in("amina@example.com", PASSWORD).await.tokens();
    let amina = user_id(&process, &access).await;
    with_passkey(&process, &access).await;
    let action = id(&ask(&process, &support, amina).await);
    assert_eq!(approve(&process, &compliance, &action).await.status, 200);
    for _ in 0..3 {
        // A new passkey, and two notices of the reset.
        process.messages.next().await;
    }
    let body = json!({ "identifier": "amina@example.com" });
    assert_eq!(process.post("/api/v1/auth/password-resets", body).await.status, 202);
    let (_, text) = process.messages.next().await;
    let token = text.split("\n\n").nth(1).unwrap();
    let body = json!({ "token": token, "newPassword": "another demo password" });
    let done = process.post("/api/v1/auth/password-resets/complete", body).await;
    assert_eq!(done.status, 204, "{}", done.body);
    process.log_in("amina@example.com", "another demo password").await.tokens();
}

async fn two_people_do_it_and_neither_for_themselves(database: TestDatabase) {
    let process = Process::start(&database, &clock()).await;
    let (_, first) = process.staff("one", &["Admin"]).await;
    let (two, second) = process.staff("two", &["Admin"]).await;
    let (_, third) = process.staff("three", &["Admin"]).await;
    let (_, support) = process.staff("support", &["Support"]).await;
    let (_, auditor) = process.staff("auditor", &["Auditor"]).await;
    with_passkey(&process, &second).await;
    assert_eq!(ask(&process, &second, two).await.problem(), (409, "own_account"));
    assert_eq!(ask(&process, &auditor, two).await.problem(), (403, "forbidden"));
    let action = id(&ask(&process, &first, two).await);
    assert_eq!(approve(&process, &first, &action).await.problem(), (409, "own_request"));
    assert_eq!(approve(&process, &second, &action).await.problem(), (409, "own_account"));
    assert_eq!(approve(&process, &support, &action).await.problem(), (403, "forbidden"));
    assert_eq!(process.me(&second).await.status, 200);
    assert_eq!(approve(&process, &third, &action).await.status, 200);
    assert_eq!(process.me(&second).await.problem(), (401, "unauthenticated"));
    assert_eq!(process.audited("second_factor_reset").await, 1);
}

/// Whoever knows the password of an administrator becomes one by a reset, so it takes administrators.
async fn nobody_resets_the_factors_of_who_may_do_more(database: TestDatabase) {
    let process = Process::start(&database, &clock()).await;
    let (_, admin) = process.staff("admin", &["Admin"]).await;
    let (_, other) = process.staff("other", &["Admin"]).await;
    let (_, support) = process.staff("support", &["Support"]).await;
    let (_, compliance) = process.staff("compliance", &["Compliance"]).await;
    let (officer, token) = process.staff("officer", &["CardOfficer"]).await;
    with_passkey(&process, &token).await;
    let (amal, token) = process.staff("amal", &["Customer"]).await;
    with_passkey(&process, &token).await;
    let refused = ask(&process, &admin, officer).await;
    assert_eq!(refused.problem(), (403, "permission_not_held"), "the operator's alone");
    let action = id(&ask(&process, &support, amal).await);
    // The customer joins the staff meanwhile.
    let roles = format!("/api/v1/admin/users/{amal}/roles");
    let body = json!({ "role": "Admin", "reason": "a new task" });
    let given = id(&process.post_as(&admin, &roles, body).await);
    assert_eq!(approve(&process, &other, &given).await.status, 200);
    let refused = approve(&process, &compliance, &action).await;
    assert_eq!(refused.problem(), (403, "permission_not_held"));
    let refused = approve(&process, &admin, &action).await;
    assert_eq!(refused.problem(), (409, "requester_not_entitled"));
    assert_eq!(process.me(&token).await.status, 200, "nothing was done");
    assert_eq!(ask(&process, &support, amal).await.problem(), (403, "permission_not_held"));
}

async fn staff_have_no_permissions_until_they_add_another_factor(database: TestDatabase) {
    let config = Config { password_hash: CHEAP, ..Config::default() };
    let process = Process::start_configured(&database, &clock(), config).await;
    let mut tokens = Vec::new();
    let (lost, _) = process.staff("lost", &["Admin"]).await;
    for name in ["one", "two", "lost"] {
        if name != "lost" {
            process.staff(name, &["Admin"]).await;
        }
        let email = format!("{name}@staff.example.com");
        let (access, _) = process.log_in(&email, PASSWORD).await.tokens();
        let secret = with_app(&process, &access).await;
        process.clock.advance(STEP);
        let first = process.log_in(&email, PASSWORD).await.body;
        let code = app_code(&process, &secret);
        tokens.push(second_step(&process, &first["mfaToken"], &code).await.tokens().0);
    }
    let [one, two, access] = &tokens[..] else { panic!("three") };
    let roles = async |token: &str| process.get("/api/v1/admin/roles", token).await;
    assert_eq!(roles(access).await.status, 200);
    let action = id(&ask(&process, one, lost).await);
    assert_eq!(approve(&process, two, &action).await.status, 200);
    assert_eq!(roles(access).await.problem(), (401, "unauthenticated"));
    let signed_in = process.log_in("lost@staff.example.com", PASSWORD).await;
    assert_eq!(signed_in.body["secondFactorNeeded"], true);
    let (access, _) = signed_in.tokens();
    assert_eq!(roles(&access).await.problem(), (403, "forbidden"));
    let secret = with_app(&process, &access).await;
    process.clock.advance(STEP);
    let first = process.log_in("lost@staff.example.com", PASSWORD).await.body;
    let code = app_code(&process, &secret);
    let (access, _) = second_step(&process, &first["mfaToken"], &code).await.tokens();
    assert_eq!(roles(&access).await.status, 200);
}

async fn a_lock_ends_the_requests_that_were_made_before(database: TestDatabase) {
    let process = Process::start(&database, &clock()).await;
    let (_, support) = process.staff("support", &["Support"]).await;
    let (_, compliance) = process.staff("compliance", &["Compliance"]).await;
    let (access, _, _) = enrolled(&process).await;
    let amina = user_id(&process, &access).await;
    let action = id(&ask(&process, &support, amina).await);
    let lock = format!("/api/v1/admin/users/{amina}/lock");
    let locked = process.post_as(&compliance, &lock, json!({ "reason": "fraud" })).await;
    assert_eq!(locked.body["status"], "locked");
    let refused = approve(&process, &compliance, &action).await;
    assert_eq!(refused.problem(), (409, "action_not_pending"));
    // Whoever is locked stays so, and comes back without the stolen factors.
    let action = id(&ask(&process, &support, amina).await);
    assert_eq!(approve(&process, &compliance, &action).await.status, 200);
    let view = process.get(&format!("/api/v1/admin/users/{amina}"), &compliance).await.body;
    assert_eq!(json!([view["status"], view["statusReason"]]), json!(["locked", "fraud"]));
    let kept_out = process.log_in("amina@example.com", PASSWORD).await;
    assert_eq!(kept_out.problem(), (401, "invalid_credentials"));
}

async fn whoever_left_or_has_no_factor_is_refused(database: TestDatabase) {
    let process = Process::start(&database, &clock()).await;
    let (_, support) = process.staff("support", &["Support"]).await;
    let (_, compliance) = process.staff("compliance", &["Compliance"]).await;
    let (access, _) = process.signed_in_amina().await;
    let amina = user_id(&process, &access).await;
    assert_eq!(ask(&process, &support, amina).await.problem(), (422, "mfa_not_there"));
    let nobody = UserId("0199c0de-0000-7000-8000-000000000000".parse().unwrap());
    assert_eq!(ask(&process, &support, nobody).await.problem(), (404, "not_found"));
    let path = format!("/api/v1/admin/users/{amina}/reset-second-factor");
    let refused = process.post_as(&support, &path, json!({ "reason": " " })).await;
    assert_eq!(refused.pointers(), ["/reason"]);
    with_passkey(&process, &access).await;
    let action = id(&ask(&process, &support, amina).await);
    let close = json!({ "password": PASSWORD });
    assert_eq!(process.post_as(&access, "/api/v1/me/close", close).await.status, 204);
    let refused = approve(&process, &compliance, &action).await;
    assert_eq!(refused.problem(), (409, "user_closed"));
    assert_eq!(ask(&process, &support, amina).await.problem(), (409, "user_closed"));
}

async fn one_person_is_enough_where_it_is_configured(database: TestDatabase) {
    let process = Process::start_with_two_eyes(&database).await;
    let (_, support) = process.staff("support", &["Support"]).await;
    let (access, _, _) = enrolled(&process).await;
    let amina = user_id(&process, &access).await;
    let done = ask(&process, &support, amina).await;
    assert_eq!((done.status, &done.body["status"]), (200, &json!("active")));
    assert_eq!(process.me(&access).await.problem(), (401, "unauthenticated"));
    process.log_in("amina@example.com", PASSWORD).await.tokens();
}
