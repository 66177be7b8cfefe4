//! Contacts that somebody claims, and others who show that they are theirs.

use crate::support::{PASSWORD, Process, amina, clock, youssef};
use identity::NewUser;
use serde_json::{Value, json};
use std::time::Duration;
use store::testing::TestDatabase;

store::on_every_store! {
    a_contact_that_is_only_claimed_is_found_by_nobody,
    who_shows_first_that_a_contact_is_theirs_has_it,
    a_claimed_contact_can_be_changed_to,
    of_two_who_show_it_at_once_one_has_it,
    who_claims_nothing_of_their_own_is_not_registered,
    an_operator_gives_contacts_to_whom_they_know,
    nothing_goes_to_a_contact_that_is_only_claimed_but_codes,
}

const PHONE: &str = "+212612345678";

/// Somebody who says that Amina's phone number is theirs.
fn squatter() -> NewUser {
    NewUser { phone_number: amina().phone_number, ..youssef() }
}

/// Asks for a code at the user's own contact, and reads the message.
async fn message(process: &Process, token: &str, contact: &str) -> String {
    let path = format!("/api/v1/me/{contact}/verification");
    assert_eq!(process.post_as(token, &path, Value::Null).await.status, 202);
    process.messages.next().await.1
}

async fn code(process: &Process, token: &str, contact: &str) -> String {
    message(process, token, contact).await.split(' ').next().unwrap().to_owned()
}

async fn confirm(
    process: &Process,
    token: &str,
    contact: &str,
    code: &str,
) -> crate::support::Answer {
    let path = format!("/api/v1/me/{contact}/verification/confirm");
    process.post_as(token, &path, json!({ "code": code })).await
}

async fn a_contact_that_is_only_claimed_is_found_by_nobody(database: TestDatabase) {
    let process = Process::start(&database, &clock()).await;
    let amina = process.register_amina().await;
    let directory = process.identity.directory();
    let (access, _) = process.log_in("amina@example.com", PASSWORD).await.tokens();
    assert_eq!(directory.find_by_email("amina@example.com").await.unwrap(), None);
    assert_eq!(directory.find_by_phone(PHONE).await.unwrap(), None);
    let sent = code(&process, &access, "phone").await;
    assert_eq!(confirm(&process, &access, "phone", &sent).await.status, 204);
    assert_eq!(directory.find_by_phone(PHONE).await.unwrap(), Some(amina.id));
    assert_eq!(directory.find_by_email("amina@example.com").await.unwrap(), None);
}

async fn who_shows_first_that_a_contact_is_theirs_has_it(database: TestDatabase) {
    let process = Process::start(&database, &clock()).await;
    process.identity.register(squatter()).await.unwrap();
    let (theirs, _) = process.log_in(PHONE, PASSWORD).await.tokens();
    let sent = code(&process, &theirs, "email").await;
    assert_eq!(confirm(&process, &theirs, "email", &sent).await.status, 204);
    // A code that the squatter cannot read: it goes to Amina.
    let unread = code(&process, &theirs, "phone").await;

    let new = NewUser { password: "another-Finitech-2".into(), ..amina() };
    let amina = process.identity.register(new).await.unwrap();
    assert_eq!(process.log_in(PHONE, "another-Finitech-2").await.status, 401, "not hers yet");
    let (hers, _) = process.log_in("amina@example.com", "another-Finitech-2").await.tokens();
    let sent = code(&process, &hers, "phone").await;
    assert_eq!(confirm(&process, &hers, "phone", &sent).await.status, 204);
    let (to, notice) = process.messages.next().await;
    assert_eq!(to, "youssef@example.com", "the squatter is told where they read");
    assert!(notice.contains("phone number") && !notice.contains(PHONE), "{notice}");

    assert_eq!(process.log_in(PHONE, "another-Finitech-2").await.status, 200);
    assert_eq!(process.log_in(PHONE, PASSWORD).await.status, 401);
    assert_eq!(process.log_in("youssef@example.com", PASSWORD).await.status, 200);
    let directory = process.identity.directory();
    assert_eq!(directory.find_by_phone(PHONE).await.unwrap(), Some(amina.id));
    let refused = confirm(&process, &theirs, "phone", &unread).await;
    assert_eq!(refused.problem(), (409, "phone_already_registered"));
    process.clock.advance(Duration::from_mins(1));
    let text = message(&process, &theirs, "phone").await;
    assert!(!text.bytes().any(|byte| byte.is_ascii_digit()), "no code in it: {text}");
    let again = process.post("/api/v1/auth/register", json!({
        "email": "third@example.com", "phoneNumber": PHONE, "password": PASSWORD, "displayName": "X",
    }));
    assert_eq!(again.await.problem(), (409, "phone_already_registered"));
    let events = process.events().await;
    let lost = events.iter().filter(|event| event.event_type == "identity.contact_lost");
    let lost: Vec<Value> =
        lost.map(|event| serde_json::from_str(&event.payload).unwrap()).collect();
    assert_eq!(lost.len(), 1);
    assert_eq!(lost[0]["contact"], "phone");
}

async fn a_claimed_contact_can_be_changed_to(database: TestDatabase) {
    let process = Process::start(&database, &clock()).await;
    process.identity.register(squatter()).await.unwrap();
    let other = "+212612345670".to_owned();
    process.identity.register(NewUser { phone_number: other, ..amina() }).await.unwrap();
    let (hers, _) = process.log_in("amina@example.com", PASSWORD).await.tokens();
    let body = json!({ "newPhoneNumber": PHONE, "password": PASSWORD });
    assert_eq!(process.post_as(&hers, "/api/v1/me/phone/change", body).await.status, 202);
    let (to, text) = process.messages.next().await;
    assert_eq!(to, PHONE);
    let body = json!({ "code": text.split(' ').next().unwrap() });
    let put = process.post_as(&hers, "/api/v1/me/phone/change/confirm", body).await;
    assert_eq!(put.status, 204, "{}", put.body);
    let (signed_in, _) = process.log_in(PHONE, PASSWORD).await.tokens();
    assert_eq!(process.me(&signed_in).await.body["email"], "amina@example.com");
}

async fn of_two_who_show_it_at_once_one_has_it(database: TestDatabase) {
    let clock = clock();
    let here = Process::start(&database, &clock).await;
    let there = Process::start(&database, &clock).await;
    for round in 0..5 {
        let phone_number = format!("+21261234567{round}");
        let new = |name: &str| NewUser {
            email: format!("{name}{round}@example.com"),
            phone_number: phone_number.clone(),
            ..amina()
        };
        // One holds the claim, two others wait for it.
        let mut readers = Vec::new();
        for (number, name) in ["first", "second", "third"].into_iter().enumerate() {
            let process = if number == 1 { &there } else { &here };
            process.identity.register(new(name)).await.unwrap();
            let email = format!("{name}{round}@example.com");
            let (token, _) = process.log_in(&email, PASSWORD).await.tokens();
            let sent = code(process, &token, "phone").await;
            readers.push((process, token, sent));
        }
        let [(a, a_token, a_code), (b, b_token, b_code), (c, c_token, c_code)] = &readers[..]
        else {
            panic!("three")
        };
        let (one, two, three) = tokio::join!(
            confirm(a, a_token, "phone", a_code),
            confirm(b, b_token, "phone", b_code),
            confirm(c, c_token, "phone", c_code),
        );
        let mut statuses = [one.status, two.status, three.status];
        statuses.sort_unstable();
        assert_eq!(statuses, [204, 409, 409], "{} {} {}", one.body, two.body, three.body);
        let mut verified = 0;
        for (process, token, _) in &readers {
            verified += u32::from(process.me(token).await.body["phoneVerified"] == true);
        }
        assert_eq!(verified, 1);
        let found = here.identity.directory().find_by_phone(&phone_number).await.unwrap();
        assert!(found.is_some());
    }
}

async fn who_claims_nothing_of_their_own_is_not_registered(database: TestDatabase) {
    let process = Process::start(&database, &clock()).await;
    process.register_amina().await;
    process.identity.register(youssef()).await.unwrap();
    // They could not sign in by either.
    let mixed = NewUser { phone_number: youssef().phone_number, ..amina() };
    let refused = process.identity.register(mixed).await.unwrap_err();
    assert!(matches!(refused, identity::RegisterError::EmailAlreadyRegistered), "{refused}");
}

async fn an_operator_gives_contacts_to_whom_they_know(database: TestDatabase) {
    let process = Process::start(&database, &clock()).await;
    process.identity.register(squatter()).await.unwrap();
    let amina = process.verified_amina().await;
    let directory = process.identity.directory();
    assert_eq!(directory.find_by_phone(PHONE).await.unwrap(), Some(amina.id));
    let (token, _) = process.log_in(PHONE, PASSWORD).await.tokens();
    assert_eq!(process.me(&token).await.body["displayName"], "Amina El Idrissi");
    let events = process.events().await;
    assert!(events.iter().any(|event| event.event_type == "identity.contact_lost"));
}

async fn nothing_goes_to_a_contact_that_is_only_claimed_but_codes(database: TestDatabase) {
    let process = Process::start(&database, &clock()).await;
    let (access, _) = process.signed_in_amina().await;
    for identifier in ["amina@example.com", PHONE] {
        process.identity.begin_password_reset(identifier).unwrap();
    }
    assert!(process.messages.stays_empty().await);
    let sent = code(&process, &access, "email").await;
    assert_eq!(confirm(&process, &access, "email", &sent).await.status, 204);
    process.identity.begin_password_reset(PHONE).unwrap();
    assert!(process.messages.stays_empty().await);
    process.identity.begin_password_reset("amina@example.com").unwrap();
    let (to, _) = process.messages.next().await;
    assert_eq!(to, "amina@example.com");
}
