use crate::mfa::enrolled;
use crate::support::{PASSWORD, Process, clock, youssef};
use serde_json::{Value, json};
use std::sync::atomic::Ordering;
use store::testing::TestDatabase;

store::on_every_store! {
    a_new_password_ends_the_other_sessions,
    refused_passwords_change_nothing,
    guesses_at_ones_own_password_lock_out,
    staff_lock_and_unlock,
    staff_end_a_lock_out,
    staff_do_what_they_may_and_no_more,
    a_lock_and_a_new_password_end_what_was_begun_before,
    a_closed_account_stays_closed,
}

const NEW: &str = "another demo password";

async fn change(
    process: &Process,
    token: &str,
    current: &str,
    new: &str,
) -> crate::support::Answer {
    let body = json!({ "currentPassword": current, "newPassword": new });
    process.post_as(token, "/api/v1/me/password", body).await
}

async fn staff(process: &Process, role: &str) -> String {
    process.identity.register_with_roles(youssef(), &[role]).await.unwrap();
    process.log_in("youssef@example.com", PASSWORD).await.tokens().0
}

/// What a colleague does.
async fn approve(process: &Process, asked: &crate::support::Answer) {
    let (_, colleague) = process.staff("colleague", &["Compliance"]).await;
    let id = asked.body["id"].as_str().unwrap();
    let path = format!("/api/v1/admin/staff-actions/{id}/approve");
    let approved = process.post_as(&colleague, &path, json!({})).await;
    assert_eq!(approved.status, 200, "{}", approved.body);
}

/// The types of the events, without those of sessions and registrations.
async fn event_types(process: &Process) -> Vec<String> {
    let events = process.events().await.into_iter().map(|event| event.event_type);
    events
        .filter(|name| {
            name.contains("password") || name.contains("ed_out") || name.contains("lock")
        })
        .collect()
}

async fn a_new_password_ends_the_other_sessions(database: TestDatabase) {
    let process = Process::start(&database, &clock()).await;
    let (phone, phone_refresh) = process.signed_in_amina().await;
    let (laptop, laptop_refresh) = process.log_in("amina@example.com", PASSWORD).await.tokens();
    process.clock.advance(std::time::Duration::from_secs(1));
    assert_eq!(change(&process, &phone, PASSWORD, NEW).await.status, 204);
    assert_eq!(process.me(&phone).await.status, 200);
    process.refresh(&phone_refresh).await.tokens();
    assert_eq!(process.me(&laptop).await.problem(), (401, "unauthenticated"));
    assert_eq!(process.refresh(&laptop_refresh).await.status, 401);
    assert_eq!(process.log_in("amina@example.com", PASSWORD).await.status, 401);
    process.log_in("amina@example.com", NEW).await.tokens();
    assert_eq!(event_types(&process).await, ["identity.password_changed"]);
}

async fn refused_passwords_change_nothing(database: TestDatabase) {
    let process = Process::start(&database, &clock()).await;
    let (access, _) = process.signed_in_amina().await;
    let wrong = change(&process, &access, NEW, NEW).await;
    assert_eq!(wrong.problem(), (422, "wrong_password"));
    for new in ["short", "password1234", "PASSWORD1234", "Amina El Idrissi", PASSWORD] {
        let refused = change(&process, &access, PASSWORD, new).await;
        assert_eq!(refused.problem(), (422, "validation_failed"), "{new}");
        assert_eq!(refused.pointers(), ["/newPassword"], "{new}");
    }
    process.log_in("amina@example.com", PASSWORD).await.tokens();
}

async fn guesses_at_ones_own_password_lock_out(database: TestDatabase) {
    let process = Process::start(&database, &clock()).await;
    let (access, _) = process.signed_in_amina().await;
    for _ in 0..5 {
        assert_eq!(change(&process, &access, "a wrong password", NEW).await.status, 422);
    }
    let refused = change(&process, &access, PASSWORD, NEW).await;
    assert_eq!(refused.problem(), (422, "wrong_password"));
    assert_eq!(process.log_in("amina@example.com", PASSWORD).await.status, 401);
}

async fn staff_lock_and_unlock(database: TestDatabase) {
    let process = Process::start(&database, &clock()).await;
    let (amina, amina_refresh) = process.signed_in_amina().await;
    let compliance = staff(&process, "Compliance").await;
    let found = process
        .post_as(
            &compliance,
            "/api/v1/admin/users/search",
            json!({ "identifier": "00212612345678" }),
        )
        .await;
    assert_eq!(found.status, 200, "{}", found.body);
    let found = &found.body["items"][0];
    assert_eq!(
        (&found["status"], &found["email"]),
        (&json!("active"), &json!("amina@example.com"))
    );
    assert_eq!(found["lastLogInAt"], "2026-11-23T09:30:00Z");
    let path = format!("/api/v1/admin/users/{}", found["id"].as_str().unwrap());
    let (lock, unlock) = (format!("{path}/lock"), format!("{path}/unlock"));

    let locked = process.post_as(&compliance, &lock, json!({ "reason": " stolen phone " })).await;
    let by = process.me(&compliance).await.body["id"].clone();
    assert_eq!(locked.body["status"], "locked", "{}", locked.body);
    assert_eq!(locked.body["statusReason"], "stolen phone");
    assert_eq!(locked.body["statusChangedBy"], by);
    let again = process.post_as(&compliance, &lock, json!({ "reason": "again" })).await;
    assert_eq!(again.body, locked.body, "the first reason stays");
    assert_eq!(process.me(&amina).await.problem(), (401, "unauthenticated"));
    assert_eq!(process.refresh(&amina_refresh).await.status, 401);
    let refused = process.log_in("amina@example.com", PASSWORD).await;
    assert_eq!(refused.problem(), (401, "invalid_credentials"));

    let asked = process.post_as(&compliance, &unlock, json!({ "reason": "it was found" })).await;
    assert_eq!((asked.status, &asked.body["state"]), (202, &json!("pending")));
    assert_eq!(process.get(&path, &compliance).await.body, locked.body, "not yet");
    approve(&process, &asked).await;
    let unlocked = process.get(&path, &compliance).await.body;
    assert_eq!(unlocked["status"], "active");
    assert_eq!(
        json!([unlocked["statusReason"], unlocked["statusChangedBy"]]),
        json!(["it was found", by])
    );
    process.log_in("amina@example.com", PASSWORD).await.tokens();
    assert_eq!(event_types(&process).await, ["identity.user_locked", "identity.user_unlocked"]);
}

async fn staff_end_a_lock_out(database: TestDatabase) {
    let process = Process::start(&database, &clock()).await;
    let user = process.register_amina().await;
    let admin = staff(&process, "Admin").await;
    for _ in 0..5 {
        process.log_in("amina@example.com", NEW).await;
    }
    let path = format!("/api/v1/admin/users/{}", user.id.0);
    let view = process.get(&path, &admin).await.body;
    assert_eq!(view["lockedOutUntil"], "2026-11-23T10:00:00Z");
    assert_eq!(view["status"], "active");
    let body = json!({ "reason": "called us" });
    approve(&process, &process.post_as(&admin, &format!("{path}/unlock"), body).await).await;
    let unlocked = process.get(&path, &admin).await.body;
    assert_eq!(unlocked["lockedOutUntil"], Value::Null);
    process.log_in("amina@example.com", PASSWORD).await.tokens();
}

async fn staff_do_what_they_may_and_no_more(database: TestDatabase) {
    let process = Process::start(&database, &clock()).await;
    let user = process.register_amina().await;
    let support = staff(&process, "Support").await;
    let path = format!("/api/v1/admin/users/{}", user.id.0);
    assert_eq!(process.get(&path, &support).await.status, 200);
    let body = json!({ "reason": "because" });
    for action in ["lock", "unlock"] {
        let refused = process.post_as(&support, &format!("{path}/{action}"), body.clone()).await;
        assert_eq!(refused.problem(), (403, "forbidden"));
    }
    let new = identity::NewUser {
        email: "admin@example.com".into(),
        phone_number: "+212612345670".into(),
        ..youssef()
    };
    let own = process.identity.register_with_roles(new, &["Admin"]).await.unwrap().id;
    let admin = process.log_in("admin@example.com", PASSWORD).await.tokens().0;
    let own = format!("/api/v1/admin/users/{}/lock", own.0);
    let refused = process.post_as(&admin, &own, body.clone()).await;
    assert_eq!(refused.problem(), (409, "own_account"));
    let nobody = "/api/v1/admin/users/0199c0de-0000-7000-8000-000000000000";
    assert_eq!(process.get(nobody, &admin).await.problem(), (404, "not_found"));
    let refused = process.post_as(&admin, &format!("{nobody}/lock"), body).await;
    assert_eq!(refused.problem(), (404, "not_found"));
    let lock = format!("{path}/lock");
    for reason in ["", "  ", &"x".repeat(501)] {
        let refused = process.post_as(&admin, &lock, json!({ "reason": reason })).await;
        assert_eq!(refused.pointers(), ["/reason"]);
    }
    let found = json!({ "identifier": "nobody@example.com" });
    let found = process.post_as(&admin, "/api/v1/admin/users/search", found).await;
    assert_eq!(found.body, json!({ "items": [] }));
}

async fn a_lock_and_a_new_password_end_what_was_begun_before(database: TestDatabase) {
    let process = Process::start(&database, &clock()).await;
    let (_, _, codes) = enrolled(&process).await;
    let reset_token = async || {
        process.identity.begin_password_reset("amina@example.com").unwrap();
        let (_, text) = process.messages.next().await;
        text.lines().find(|line| line.len() == 43).expect("a token").to_owned()
    };
    let reset = async |token: &str| {
        let body = json!({ "token": token, "newPassword": "a third demo password" });
        process.post("/api/v1/auth/password-resets/complete", body).await
    };
    let first_step = async || {
        let answer = process.log_in("amina@example.com", PASSWORD).await;
        answer.body["mfaToken"].as_str().unwrap().to_owned()
    };
    let second_step = async |token: &str, code: &str| {
        let body = json!({ "mfaToken": token, "code": code });
        process.post("/api/v1/auth/login/mfa", body).await
    };
    let (in_hand, half_way) = (reset_token().await, first_step().await);
    let admin = staff(&process, "Admin").await;
    let user = process.identity.directory().find_by_email("amina@example.com").await.unwrap();
    let path = format!("/api/v1/admin/users/{}", user.unwrap());
    let body = json!({ "reason": "because" });
    let locked = process.post_as(&admin, &format!("{path}/lock"), body.clone()).await;
    assert_eq!(locked.status, 200);
    approve(&process, &process.post_as(&admin, &format!("{path}/unlock"), body).await).await;
    assert_eq!(reset(&in_hand).await.problem(), (422, "invalid_reset_token"));
    let refused = second_step(&half_way, &codes[0]).await;
    assert_eq!(refused.problem(), (401, "invalid_mfa_token"));

    process.clock.advance(std::time::Duration::from_mins(1));
    let access = second_step(&first_step().await, &codes[0]).await.tokens().0;
    let in_hand = reset_token().await;
    assert_eq!(change(&process, &access, PASSWORD, NEW).await.status, 204);
    assert_eq!(reset(&in_hand).await.problem(), (422, "invalid_reset_token"));
}

async fn a_closed_account_stays_closed(database: TestDatabase) {
    let process = Process::start(&database, &clock()).await;
    let (access, refresh) = process.signed_in_amina().await;
    let close = async |password: &str| {
        process.post_as(&access, "/api/v1/me/close", json!({ "password": password })).await
    };
    assert_eq!(close(NEW).await.problem(), (422, "wrong_password"));
    process.money.0.store(true, Ordering::SeqCst);
    assert_eq!(close(PASSWORD).await.problem(), (409, "account_holds_money"));
    process.money.0.store(false, Ordering::SeqCst);
    let id = process.me(&access).await.body["id"].clone();
    assert_eq!(close(PASSWORD).await.status, 204);
    assert_eq!(process.me(&access).await.problem(), (401, "unauthenticated"));
    assert_eq!(process.refresh(&refresh).await.status, 401);
    assert_eq!(process.log_in("amina@example.com", PASSWORD).await.status, 401);

    let admin = staff(&process, "Admin").await;
    let path = format!("/api/v1/admin/users/{}", id.as_str().unwrap());
    assert_eq!(process.get(&path, &admin).await.body["status"], "closed");
    for action in ["lock", "unlock"] {
        let body = json!({ "reason": "because" });
        let refused = process.post_as(&admin, &format!("{path}/{action}"), body).await;
        assert_eq!(refused.problem(), (409, "user_closed"));
    }
}
