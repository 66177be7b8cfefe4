//! Another e-mail address or phone number.

use crate::support::{Answer, PASSWORD, Process, clock, youssef};
use serde_json::{Value, json};
use std::time::Duration;
use store::testing::TestDatabase;

store::on_every_store! {
    a_contact_is_changed_by_who_reads_the_new_one,
    changing_asks_for_the_password_and_a_fresh_authentication,
    nobody_learns_who_has_a_contact,
    a_contact_that_was_taken_meanwhile_stays_whose_it_is,
    a_code_counts_for_what_it_was_sent_for,
    other_sessions_and_reset_tokens_end,
}

const MINUTE: Duration = Duration::from_mins(1);

async fn ask(process: &Process, token: &str, new: Value) -> Answer {
    let contact = if new.get("newEmail").is_some() { "email" } else { "phone" };
    let mut body = json!({ "password": PASSWORD });
    body.as_object_mut().unwrap().extend(new.as_object().unwrap().clone());
    process.post_as(token, &format!("/api/v1/me/{contact}/change"), body).await
}

async fn confirm(process: &Process, token: &str, contact: &str, code: &str) -> Answer {
    let path = format!("/api/v1/me/{contact}/change/confirm");
    process.post_as(token, &path, json!({ "code": code })).await
}

/// Asks for a change and reads the message: where it went, and its first word.
async fn code(process: &Process, token: &str, new: Value) -> (String, String) {
    let answer = ask(process, token, new).await;
    assert_eq!((answer.status, answer.body), (202, Value::Null));
    let (to, text) = process.messages.next().await;
    (to, text.split(' ').next().unwrap().to_owned())
}

async fn a_contact_is_changed_by_who_reads_the_new_one(database: TestDatabase) {
    let process = Process::start(&database, &clock()).await;
    let (access, _) = process.signed_in_amina().await;
    let new = json!({ "newEmail": " Amina@Example.ORG" });
    let (to, by_email) = code(&process, &access, new).await;
    assert_eq!(to, "amina@example.org");
    let me = process.me(&access).await.body;
    assert_eq!(me["email"], "amina@example.com", "nothing changes before the code comes back");
    assert_eq!(process.log_in("amina@example.org", PASSWORD).await.status, 401);
    assert_eq!(confirm(&process, &access, "email", &by_email).await.status, 204);
    let (to, notice) = process.messages.next().await;
    assert_eq!(to, "amina@example.com");
    assert!(notice.contains("another e-mail address"), "{notice}");
    let me = process.me(&access).await.body;
    assert_eq!((&me["email"], &me["emailVerified"]), (&json!("amina@example.org"), &json!(true)));
    assert_eq!(process.log_in("amina@example.org", PASSWORD).await.status, 200);
    assert_eq!(process.log_in("amina@example.com", PASSWORD).await.status, 401);
    // The old one is free again.
    let other = identity::NewUser { email: "amina@example.com".into(), ..youssef() };
    process.identity.register(other).await.unwrap();

    let new = json!({ "newPhoneNumber": "00212 612 345 670" });
    let (to, by_sms) = code(&process, &access, new).await;
    assert_eq!(to, "+212612345670");
    assert_eq!(confirm(&process, &access, "phone", &by_sms).await.status, 204);
    let (to, notice) = process.messages.next().await;
    assert_eq!(to, "+212612345678");
    assert!(notice.contains("another phone number"), "{notice}");
    let me = process.me(&access).await.body;
    assert_eq!((&me["phoneNumber"], &me["phoneVerified"]), (&json!("+212612345670"), &json!(true)));
    assert_eq!(confirm(&process, &access, "phone", &by_sms).await.problem(), (422, "no_code"));
    let told: Vec<Value> = process
        .events()
        .await
        .iter()
        .filter(|event| event.event_type == "identity.contact_changed")
        .map(|event| serde_json::from_str(&event.payload).unwrap())
        .collect();
    assert_eq!(told.len(), 2);
    assert_eq!((&told[0]["contact"], &told[1]["contact"]), (&json!("email"), &json!("phone")));
}

async fn changing_asks_for_the_password_and_a_fresh_authentication(database: TestDatabase) {
    let process = Process::start(&database, &clock()).await;
    let (access, _) = process.signed_in_amina().await;
    let new = || json!({ "newEmail": "amina@example.org" });
    let wrong = json!({ "newEmail": "amina@example.org", "password": "wrong-Finitech-1" });
    assert_eq!(ask(&process, &access, wrong).await.problem(), (422, "wrong_password"));
    for (new, pointer) in [
        (json!({ "newEmail": "amina" }), "/newEmail"),
        (json!({ "newEmail": "Amina@example.com" }), "/newEmail"),
        (json!({ "newPhoneNumber": "0612345678" }), "/newPhoneNumber"),
        (json!({ "newPhoneNumber": "+212 612 345 678" }), "/newPhoneNumber"),
        (json!({ "newEmail": "amina@example.org", "code": "1" }), "/code"),
    ] {
        let refused = ask(&process, &access, new).await;
        assert_eq!(refused.problem(), (422, "validation_failed"));
        assert_eq!(refused.pointers(), [pointer]);
    }
    process.clock.advance(5 * MINUTE);
    let stale = (401, "insufficient_user_authentication");
    assert_eq!(ask(&process, &access, new()).await.problem(), stale);
    let phone = json!({ "newPhoneNumber": "+212612345670" });
    assert_eq!(ask(&process, &access, phone).await.problem(), stale);
    assert!(process.messages.stays_empty().await);
    let body = json!({ "password": PASSWORD });
    let fresh = process.post_as(&access, "/api/v1/auth/reauthenticate", body).await.body;
    let access = fresh["accessToken"].as_str().unwrap();
    let (_, sent) = code(&process, access, new()).await;
    process.clock.advance(5 * MINUTE);
    let put = confirm(&process, access, "email", &sent).await;
    assert_eq!(put.status, 204, "the code is enough");
}

async fn nobody_learns_who_has_a_contact(database: TestDatabase) {
    let process = Process::start(&database, &clock()).await;
    let (access, _) = process.signed_in_amina().await;
    process.identity.register_with_roles(youssef(), &["Customer"]).await.unwrap();
    for new in
        [json!({ "newEmail": "Youssef@example.com" }), json!({ "newPhoneNumber": "+212612345679" })]
    {
        let contact = if new.get("newEmail").is_some() { "email" } else { "phone" };
        let taken = ask(&process, &access, new.clone()).await;
        assert_eq!((taken.status, taken.body), (202, Value::Null));
        let (to, text) = process.messages.next().await;
        assert!(to == "youssef@example.com" || to == "+212612345679", "{to}");
        assert!(!text.bytes().any(|byte| byte.is_ascii_digit()), "no code in it: {text}");
        let refused = confirm(&process, &access, contact, "000000").await;
        assert_eq!(refused.problem(), (422, "wrong_code"));
        assert_eq!(refused.body["attemptsLeft"], 4, "as of any contact");
        let again = ask(&process, &access, new).await;
        assert_eq!(again.problem(), (429, "too_many_codes"));
    }
}

async fn a_contact_that_was_taken_meanwhile_stays_whose_it_is(database: TestDatabase) {
    let clock = clock();
    let here = Process::start(&database, &clock).await;
    let there = Process::start(&database, &clock).await;
    let (amina, _) = here.signed_in_amina().await;
    there.identity.register(youssef()).await.unwrap();
    let youssef = there.log_in("youssef@example.com", PASSWORD).await.tokens().0;
    let new = || json!({ "newEmail": "shared@example.com" });
    let (_, hers) = code(&here, &amina, new()).await;
    let (_, his) = code(&there, &youssef, new()).await;
    let (one, other) = tokio::join!(
        confirm(&here, &amina, "email", &hers),
        confirm(&there, &youssef, "email", &his)
    );
    let mut statuses = [one.status, other.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [204, 409]);
    let loser = if one.status == 409 { one } else { other };
    assert_eq!(loser.problem(), (409, "email_already_registered"));
    assert_eq!(here.log_in("shared@example.com", PASSWORD).await.status, 200);
}

async fn a_code_counts_for_what_it_was_sent_for(database: TestDatabase) {
    let process = Process::start(&database, &clock()).await;
    let (access, _) = process.signed_in_amina().await;
    let (_, new) = code(&process, &access, json!({ "newEmail": "amina@example.org" })).await;
    // A code of the new address does not verify the present one, nor change the number.
    let verify = "/api/v1/me/email/verification/confirm";
    let refused = process.post_as(&access, verify, json!({ "code": new })).await;
    assert_eq!(refused.problem(), (422, "no_code"));
    assert_eq!(confirm(&process, &access, "phone", &new).await.problem(), (422, "no_code"));
    // A code of the present address changes nothing, and replaces the other one.
    process.clock.advance(MINUTE);
    let send = "/api/v1/me/email/verification";
    assert_eq!(process.post_as(&access, send, Value::Null).await.status, 202);
    let (to, text) = process.messages.next().await;
    assert_eq!(to, "amina@example.com");
    let present = text.split(' ').next().unwrap();
    for code in [present, &new] {
        assert_eq!(confirm(&process, &access, "email", code).await.problem(), (422, "no_code"));
    }
    process.clock.advance(MINUTE);
    let (_, late) = code(&process, &access, json!({ "newEmail": "amina@example.org" })).await;
    process.clock.advance(10 * MINUTE);
    assert_eq!(confirm(&process, &access, "email", &late).await.problem(), (422, "no_code"));
}

async fn other_sessions_and_reset_tokens_end(database: TestDatabase) {
    let process = Process::start(&database, &clock()).await;
    process.verified_amina().await;
    let (access, refresh) = process.log_in("amina@example.com", PASSWORD).await.tokens();
    let (other, other_refresh) = process.log_in("amina@example.com", PASSWORD).await.tokens();
    process.identity.begin_password_reset("amina@example.com").unwrap();
    let (_, reset) = process.messages.next().await;
    let (_, sent) = code(&process, &access, json!({ "newEmail": "amina@example.org" })).await;
    assert_eq!(confirm(&process, &access, "email", &sent).await.status, 204);
    assert_eq!(process.me(&access).await.status, 200);
    assert_eq!(process.refresh(&refresh).await.status, 200);
    assert_eq!(process.me(&other).await.status, 401);
    assert_eq!(process.refresh(&other_refresh).await.status, 401);
    let token = reset.split("\n\n").nth(1).unwrap();
    let body = json!({ "token": token, "newPassword": "another-Finitech-2" });
    let refused = process.post("/api/v1/auth/password-resets/complete", body).await;
    assert_eq!(refused.problem(), (422, "invalid_reset_token"));
}
