use crate::support::{Answer, PASSWORD, Process, amina, clock, youssef};
use identity::RegisterError;
use kernel::UserId;
use serde_json::{Value, json};
use std::collections::HashMap;
use store::testing::TestDatabase;

store::on_every_store! {
    registering_answers_with_the_user_as_stored,
    refused_registrations_name_every_field,
    contacts_are_taken_once_whatever_their_spelling,
    who_registers_twice_is_told,
    concurrent_registrations_have_one_winner,
    roles_are_given_only_if_they_exist,
    the_directory_knows_active_users,
    nothing_personal_is_printed_or_published,
}

const PATH: &str = "/api/v1/auth/register";

fn body() -> Value {
    json!({
        "email": " Amina@Example.com ",
        "phoneNumber": "00212 6 12-34-56-78",
        "password": PASSWORD,
        "displayName": "  Amina El Idrissi ",
    })
}

fn body_with(field: &str, value: Value) -> Value {
    let mut body = body();
    body[field] = value;
    body
}

async fn registering_answers_with_the_user_as_stored(database: TestDatabase) {
    let process = Process::start(&database, &clock()).await;
    let answer = process.post(PATH, body()).await;
    assert_eq!(answer.status, 201, "{}", answer.body);
    let id = answer.body["id"].clone();
    assert_eq!(
        answer.body,
        json!({
            "id": id,
            "email": "amina@example.com",
            "phoneNumber": "+212612345678",
            "displayName": "Amina El Idrissi",
            "emailVerified": false,
            "phoneVerified": false,
            "createdAt": "2026-11-23T09:30:00Z",
        })
    );
    let events = process.events().await;
    assert_eq!(events.len(), 1);
    assert_eq!(events[0].event_type, "identity.user_registered");
    assert_eq!(json!(events[0].aggregate_id), id);
    assert_eq!(events[0].payload, json!({ "userId": id }).to_string());
}

async fn refused_registrations_name_every_field(database: TestDatabase) {
    let process = Process::start(&database, &clock()).await;
    let check = async |body: Value, pointers: &[&str]| {
        let answer: Answer = process.post(PATH, body.clone()).await;
        assert_eq!(answer.problem(), (422, "validation_failed"), "{body}");
        assert_eq!(answer.pointers(), pointers, "{body}");
    };
    check(body_with("email", json!("amina")), &["/email"]).await;
    check(body_with("phoneNumber", json!("0612345678")), &["/phoneNumber"]).await;
    check(body_with("password", json!("123456789")), &["/password"]).await;
    check(body_with("password", json!("1234567890")), &["/password"]).await;
    check(body_with("password", json!("amina@example.com")), &["/password"]).await;
    check(body_with("password", json!("00212 6 12-34-56-78")), &["/password"]).await;
    check(body_with("displayName", json!(" ")), &["/displayName"]).await;
    check(body_with("displayName", json!("a\tb")), &["/displayName"]).await;
    check(
        json!({ "email": "", "phoneNumber": "", "password": "", "displayName": "" }),
        &["/displayName", "/email", "/password", "/phoneNumber"],
    )
    .await;
    check(body_with("email", json!(7)), &["/email"]).await;
    check(body_with("role", json!("Admin")), &["/role"]).await;

    let request = |content_type: &str, body: &'static str| {
        axum::http::Request::post(PATH)
            .header("content-type", content_type)
            .body(body.into())
            .unwrap()
    };
    let answer = process.send(request("application/json", "{")).await;
    assert_eq!(answer.problem(), (400, "malformed_json"));
    let answer = process.send(request("text/plain", "{}")).await;
    assert_eq!(answer.problem(), (415, "unsupported_media_type"));
    assert!(process.events().await.is_empty());
}

async fn contacts_are_taken_once_whatever_their_spelling(database: TestDatabase) {
    let process = Process::start(&database, &clock()).await;
    process.identity.register_with_roles(amina(), &["Customer"]).await.unwrap();
    let answer = process.post(PATH, body_with("phoneNumber", json!("+212612345679"))).await;
    assert_eq!(answer.problem(), (409, "email_already_registered"));
    let answer = process.post(PATH, body_with("email", json!("other@example.com"))).await;
    assert_eq!(answer.problem(), (409, "phone_already_registered"));
    let answer = process.post(PATH, body()).await;
    assert_eq!(answer.problem(), (409, "email_already_registered"));
    assert_eq!(process.events().await.len(), 1);
}

async fn who_registers_twice_is_told(database: TestDatabase) {
    let process = Process::start(&database, &clock()).await;
    assert_eq!(process.post(PATH, body()).await.status, 201);
    let answer = process.post(PATH, body()).await;
    assert_eq!(answer.problem(), (409, "email_already_registered"));
    assert_eq!(process.events().await.len(), 1);
}

async fn concurrent_registrations_have_one_winner(database: TestDatabase) {
    let clock = clock();
    let processes =
        [Process::start(&database, &clock).await, Process::start(&database, &clock).await];
    let registering: Vec<_> = (0..6)
        .map(|number| {
            let identity = processes[number % 2].identity.clone();
            tokio::spawn(async move { identity.register(amina()).await })
        })
        .collect();
    let mut registered = 0;
    for one in registering {
        match one.await.unwrap() {
            Ok(_) => registered += 1,
            Err(RegisterError::EmailAlreadyRegistered | RegisterError::PhoneAlreadyRegistered) => {}
            Err(error) => panic!("{error:?}"),
        }
    }
    assert_eq!(registered, 1);
    assert_eq!(processes[0].events().await.len(), 1);
}

async fn roles_are_given_only_if_they_exist(database: TestDatabase) {
    let process = Process::start(&database, &clock()).await;
    assert!(!process.identity.has_users().await.unwrap());
    process.identity.register_with_roles(amina(), &["Auditor"]).await.unwrap();
    assert!(process.identity.has_users().await.unwrap());
    let token = process.log_in("amina@example.com", PASSWORD).await.tokens().0;
    assert_eq!(process.me(&token).await.body["roles"], json!(["Auditor"]));

    match process.identity.register_with_roles(youssef(), &["Emperor"]).await {
        Err(RegisterError::Invalid(fields)) => assert_eq!(fields[0].field, "roles"),
        other => panic!("{other:?}"),
    }
}

async fn the_directory_knows_active_users(database: TestDatabase) {
    let process = Process::start(&database, &clock()).await;
    let amina = process.identity.register_with_roles(amina(), &["Customer"]).await.unwrap();
    let youssef = process.identity.register_with_roles(youssef(), &["Customer"]).await.unwrap();
    let directory = process.identity.directory();
    for phone in ["+212612345678", "00212 612 345 678"] {
        assert_eq!(directory.find_by_phone(phone).await.unwrap(), Some(amina.id));
    }
    assert_eq!(directory.find_by_email("YOUSSEF@example.com").await.unwrap(), Some(youssef.id));
    for nobody in ["+33612345678", "0612345678", ""] {
        assert_eq!(directory.find_by_phone(nobody).await.unwrap(), None);
        assert_eq!(directory.find_by_email(nobody).await.unwrap(), None);
    }
    let stranger = UserId(uuid::Uuid::from_u128(1));
    let names = directory.display_names(&[amina.id, stranger, youssef.id]).await.unwrap();
    let expected = HashMap::from([
        (amina.id, "Amina El Idrissi".to_owned()),
        (youssef.id, "Youssef".to_owned()),
    ]);
    assert_eq!(names, expected);
    assert_eq!(directory.display_names(&[]).await.unwrap(), HashMap::new());
}

async fn nothing_personal_is_printed_or_published(database: TestDatabase) {
    let process = Process::start(&database, &clock()).await;
    let user = process.register_amina().await;
    let printed = format!("{:?} {:?} {:?}", amina(), user, process.events().await);
    for secret in ["amina", "Amina", "612345678", PASSWORD] {
        assert!(!printed.contains(secret), "{printed}");
    }
}
