use crate::support::{Answer, PASSWORD, Process, clock, youssef};
use serde_json::{Value, json};
use std::time::Duration;
use store::testing::TestDatabase;

store::on_every_store! {
    a_code_shows_whose_contact_it_is,
    a_code_is_tried_five_times,
    only_the_last_code_counts_and_for_ten_minutes,
    codes_are_sent_once_a_minute,
    guesses_made_at_once_are_counted,
}

const MINUTE: Duration = Duration::from_mins(1);

async fn send(process: &Process, token: &str, contact: &str) -> Answer {
    process.post_as(token, &format!("/api/v1/me/{contact}/verification"), Value::Null).await
}

async fn confirm(process: &Process, token: &str, contact: &str, code: &str) -> Answer {
    let path = format!("/api/v1/me/{contact}/verification/confirm");
    process.post_as(token, &path, json!({ "code": code })).await
}

/// Asks for a code and reads the message.
async fn code(process: &Process, token: &str, contact: &str) -> (String, String) {
    let answer = send(process, token, contact).await;
    assert_eq!((answer.status, answer.body), (202, Value::Null));
    let (to, text) = process.messages.next().await;
    (to, text.split(' ').next().unwrap().to_owned())
}

fn another(code: &str) -> String {
    format!("{:06}", (code.parse::<u32>().unwrap() + 1) % 1_000_000)
}

async fn verified(process: &Process, token: &str) -> (bool, bool) {
    let me = process.me(token).await.body;
    (me["emailVerified"].as_bool().unwrap(), me["phoneVerified"].as_bool().unwrap())
}

async fn a_code_shows_whose_contact_it_is(database: TestDatabase) {
    let process = Process::start(&database, &clock()).await;
    let (access, _) = process.signed_in_amina().await;
    let (to, by_email) = code(&process, &access, "email").await;
    assert_eq!(to, "amina@example.com");
    assert!(by_email.len() == 6 && by_email.bytes().all(|byte| byte.is_ascii_digit()));
    let (to, by_sms) = code(&process, &access, "phone").await;
    assert_eq!(to, "+212612345678");
    assert_eq!(verified(&process, &access).await, (false, false));
    assert_eq!(confirm(&process, &access, "email", &by_email).await.status, 204);
    assert_eq!(verified(&process, &access).await, (true, false));
    assert_eq!(confirm(&process, &access, "phone", &by_sms).await.status, 204);
    assert_eq!(verified(&process, &access).await, (true, true));
    for contact in ["email", "phone"] {
        let again = send(&process, &access, contact).await;
        assert_eq!(again.problem(), (409, "already_verified"));
        let again = confirm(&process, &access, contact, &by_sms).await;
        assert_eq!(again.problem(), (409, "already_verified"));
    }
    let events = process.events().await;
    let payloads: Vec<Value> = events
        .iter()
        .filter(|event| event.event_type == "identity.contact_verified")
        .map(|event| serde_json::from_str(&event.payload).unwrap())
        .collect();
    assert_eq!(payloads.len(), 2);
    assert_eq!(
        (&payloads[0]["contact"], &payloads[1]["contact"]),
        (&json!("email"), &json!("phone"))
    );
    // Whom an operator makes is known.
    process.identity.register_with_roles(youssef(), &["Customer"]).await.unwrap();
    let other = process.log_in("youssef@example.com", PASSWORD).await.tokens().0;
    assert_eq!(verified(&process, &other).await, (true, true));
}

async fn a_code_is_tried_five_times(database: TestDatabase) {
    let process = Process::start(&database, &clock()).await;
    let (access, _) = process.signed_in_amina().await;
    assert_eq!(confirm(&process, &access, "email", "123456").await.problem(), (422, "no_code"));
    let (_, right) = code(&process, &access, "email").await;
    for left in (0..5).rev() {
        let wrong = confirm(&process, &access, "email", &another(&right)).await;
        assert_eq!(wrong.problem(), (422, "wrong_code"));
        assert_eq!(wrong.body["attemptsLeft"], left);
    }
    assert_eq!(confirm(&process, &access, "email", &right).await.problem(), (422, "no_code"));
    process.clock.advance(MINUTE);
    let (_, next) = code(&process, &access, "email").await;
    // The code of one contact says nothing about the other, nor about other people.
    assert_eq!(confirm(&process, &access, "phone", &next).await.problem(), (422, "no_code"));
    process.identity.register(youssef()).await.unwrap();
    let other = process.log_in("youssef@example.com", PASSWORD).await.tokens().0;
    assert_eq!(confirm(&process, &other, "email", &next).await.problem(), (422, "no_code"));
    assert_eq!(confirm(&process, &access, "email", &next).await.status, 204);
}

async fn only_the_last_code_counts_and_for_ten_minutes(database: TestDatabase) {
    let process = Process::start(&database, &clock()).await;
    let (access, _) = process.signed_in_amina().await;
    let (_, first) = code(&process, &access, "phone").await;
    process.clock.advance(MINUTE);
    let (_, second) = code(&process, &access, "phone").await;
    if first != second {
        let refused = confirm(&process, &access, "phone", &first).await;
        assert_eq!(refused.problem(), (422, "wrong_code"));
    }
    process.clock.advance(10 * MINUTE);
    assert_eq!(confirm(&process, &access, "phone", &second).await.problem(), (422, "no_code"));
}

async fn codes_are_sent_once_a_minute(database: TestDatabase) {
    let process = Process::start(&database, &clock()).await;
    let (access, _) = process.signed_in_amina().await;
    for _ in 0..5 {
        code(&process, &access, "phone").await;
        let refused = send(&process, &access, "phone").await;
        assert_eq!(refused.problem(), (429, "too_many_codes"));
        assert_eq!(refused.headers["retry-after"], "60");
        process.clock.advance(MINUTE);
    }
    let refused = send(&process, &access, "phone").await;
    assert_eq!(refused.problem(), (429, "too_many_codes"));
    assert_eq!(refused.headers["retry-after"], "3300");
    code(&process, &access, "email").await;
    process.clock.advance(55 * MINUTE);
    let (access, _) = process.log_in("amina@example.com", PASSWORD).await.tokens();
    code(&process, &access, "phone").await;
}

async fn guesses_made_at_once_are_counted(database: TestDatabase) {
    let process = std::sync::Arc::new(Process::start(&database, &clock()).await);
    let (access, _) = process.signed_in_amina().await;
    let (_, right) = code(&process, &access, "email").await;
    let wrong = another(&right);
    let guesses: Vec<_> = (0..20)
        .map(|_| {
            let (process, access, wrong) = (process.clone(), access.clone(), wrong.clone());
            tokio::spawn(async move { confirm(&process, &access, "email", &wrong).await })
        })
        .collect();
    let mut compared = 0;
    for guess in guesses {
        compared += usize::from(guess.await.unwrap().body["code"] == "wrong_code");
    }
    assert_eq!(compared, 5);
    assert_eq!(confirm(&process, &access, "email", &right).await.problem(), (422, "no_code"));
}
