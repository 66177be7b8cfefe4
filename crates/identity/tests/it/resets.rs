use crate::mfa::{app_code, enrolled};
use crate::support::{Answer, PASSWORD, Process, clock};
use serde_json::{Value, json};
use std::time::Duration;
use store::testing::TestDatabase;

store::on_every_store! {
    a_token_sets_a_new_password_once,
    a_token_counts_for_half_an_hour_and_only_the_last_one,
    strangers_get_the_same_answer,
    a_reset_ends_a_lock_out_but_not_a_lock,
    a_reset_does_not_go_around_the_second_factor,
}

const NEW: &str = "another demo password";

async fn begin(process: &Process, identifier: &str) -> Answer {
    process.post("/api/v1/auth/password-resets", json!({ "identifier": identifier })).await
}

async fn complete(process: &Process, token: &str, password: &str) -> Answer {
    let body = json!({ "token": token, "newPassword": password });
    process.post("/api/v1/auth/password-resets/complete", body).await
}

/// The token of the next message, and where it went.
async fn token(process: &Process) -> (String, String) {
    let (to, text) = process.messages.next().await;
    let token = text.lines().find(|line| line.len() == 43).expect("a token");
    (to, token.to_owned())
}

async fn a_token_sets_a_new_password_once(database: TestDatabase) {
    let process = Process::start(&database, &clock()).await;
    process.verified_amina().await;
    let (access, refresh) = process.log_in("amina@example.com", PASSWORD).await.tokens();
    let answer = begin(&process, " AMINA@example.com").await;
    assert_eq!((answer.status, answer.body), (202, Value::Null));
    let (to, token) = token(&process).await;
    assert_eq!(to, "amina@example.com");
    process.clock.advance(Duration::from_secs(1));
    for weak in ["short", "password1234", "Amina@example.com"] {
        let refused = complete(&process, &token, weak).await;
        assert_eq!(refused.pointers(), ["/newPassword"], "{weak}");
    }
    let answer = complete(&process, &token, NEW).await;
    assert_eq!((answer.status, answer.body), (204, Value::Null));
    let again = complete(&process, &token, NEW).await;
    assert_eq!(again.problem(), (422, "invalid_reset_token"));
    assert_eq!(process.me(&access).await.problem(), (401, "unauthenticated"));
    assert_eq!(process.refresh(&refresh).await.status, 401);
    assert_eq!(process.log_in("amina@example.com", PASSWORD).await.status, 401);
    process.log_in("amina@example.com", NEW).await.tokens();
    let events = process.events().await;
    assert!(events.iter().any(|event| event.event_type == "identity.password_reset"));
    assert!(!format!("{events:?}").contains(&token));
}

async fn a_token_counts_for_half_an_hour_and_only_the_last_one(database: TestDatabase) {
    let process = Process::start(&database, &clock()).await;
    process.verified_amina().await;
    begin(&process, "+212612345678").await;
    let (to, first) = token(&process).await;
    assert_eq!(to, "+212612345678", "it goes where the user said");
    assert_eq!(begin(&process, "amina@example.com").await.status, 202);
    assert!(process.messages.stays_empty().await, "one message a minute");
    process.clock.advance(Duration::from_mins(1));
    begin(&process, "amina@example.com").await;
    let (_, second) = token(&process).await;
    assert_eq!(complete(&process, &first, NEW).await.problem(), (422, "invalid_reset_token"));
    process.clock.advance(Duration::from_mins(30));
    assert_eq!(complete(&process, &second, NEW).await.problem(), (422, "invalid_reset_token"));
    for garbage in ["", "x", &"A".repeat(43)] {
        assert_eq!(complete(&process, garbage, NEW).await.problem(), (422, "invalid_reset_token"));
    }
    process.log_in("amina@example.com", PASSWORD).await.tokens();
}

async fn strangers_get_the_same_answer(database: TestDatabase) {
    let process = Process::start(&database, &clock()).await;
    for identifier in ["nobody@example.com", "+212612345679", "nobody", ""] {
        let answer = begin(&process, identifier).await;
        assert_eq!((answer.status, answer.body), (202, Value::Null), "{identifier}");
    }
    assert!(process.messages.stays_empty().await);
}

async fn a_reset_ends_a_lock_out_but_not_a_lock(database: TestDatabase) {
    let process = Process::start(&database, &clock()).await;
    let user = process.verified_amina().await;
    for _ in 0..5 {
        process.log_in("amina@example.com", NEW).await;
    }
    begin(&process, "amina@example.com").await;
    let (_, of_locked_out) = token(&process).await;
    process.clock.advance(Duration::from_secs(1));
    assert_eq!(complete(&process, &of_locked_out, NEW).await.status, 204);
    process.log_in("amina@example.com", NEW).await.tokens();

    process.clock.advance(Duration::from_mins(1));
    begin(&process, "amina@example.com").await;
    let (_, of_locked) = token(&process).await;
    process.identity.register_with_roles(crate::support::youssef(), &["Admin"]).await.unwrap();
    let admin = process.log_in("youssef@example.com", PASSWORD).await.tokens().0;
    let path = format!("/api/v1/admin/users/{}/lock", user.id.0);
    assert_eq!(process.post_as(&admin, &path, json!({ "reason": "x" })).await.status, 200);
    let refused = complete(&process, &of_locked, PASSWORD).await;
    assert_eq!(refused.problem(), (422, "invalid_reset_token"));
    process.clock.advance(Duration::from_mins(1));
    begin(&process, "amina@example.com").await;
    assert!(process.messages.stays_empty().await);
}

async fn a_reset_does_not_go_around_the_second_factor(database: TestDatabase) {
    let process = Process::start(&database, &clock()).await;
    let (_, secret, _) = enrolled(&process).await;
    begin(&process, "amina@example.com").await;
    let (_, token) = token(&process).await;
    assert_eq!(complete(&process, &token, NEW).await.status, 204);
    let first = process.log_in("amina@example.com", NEW).await;
    assert_eq!((first.status, &first.body["mfaRequired"]), (200, &json!(true)));
    assert_eq!(first.body.get("accessToken"), None);
    let code = app_code(&process, &secret);
    let body = json!({ "mfaToken": first.body["mfaToken"], "code": code });
    process.post("/api/v1/auth/login/mfa", body).await.tokens();
}
