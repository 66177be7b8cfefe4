use crate::support::{PASSWORD, Process, clock, youssef};
use serde_json::{Value, json};
use std::time::Duration;
use store::testing::TestDatabase;

store::on_every_store! {
    users_see_their_living_sessions,
    users_end_their_sessions_one_by_one_or_all_others,
    ending_other_sessions_needs_a_fresh_authentication,
    a_new_device_is_told,
}

const PATH: &str = "/api/v1/me/sessions";
const FIREFOX: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:131.0) Gecko/20100101 Firefox/131.0";
const NEXT_FIREFOX: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:132.0) Gecko/20100101 Firefox/132.0";

async fn list(process: &Process, token: &str) -> Vec<Value> {
    let answer = process.get(PATH, token).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.body["items"].as_array().unwrap().clone()
}

fn names(sessions: &[Value]) -> Vec<&str> {
    sessions.iter().map(|one| one["deviceName"].as_str().unwrap()).collect()
}

async fn users_see_their_living_sessions(database: TestDatabase) {
    let process = Process::start(&database, &clock()).await;
    let (first, first_refresh) = process.signed_in_amina().await;
    process.clock.advance(Duration::from_secs(1));
    let (second, _) = process.log_in_from(FIREFOX).await.tokens();
    process.identity.register(youssef()).await.unwrap();
    let (other, _) = process.log_in("youssef@example.com", PASSWORD).await.tokens();
    process.clock.advance(Duration::from_mins(5));
    process.refresh(&first_refresh).await.tokens();

    let sessions = list(&process, &second).await;
    assert_eq!(names(&sessions), ["Firefox on Linux", "tests"], "newest first");
    assert_eq!(
        sessions[1],
        json!({
            "id": sessions[1]["id"],
            "deviceName": "tests",
            "ipAddress": null,
            "createdAt": "2026-11-23T09:30:00Z",
            "lastUsedAt": "2026-11-23T09:35:01Z",
            "expiresAt": "2026-11-30T09:35:01Z",
            "isCurrent": false,
        })
    );
    assert_eq!(sessions[0]["isCurrent"], true);
    assert_eq!(list(&process, &other).await.len(), 1, "nobody sees those of others");

    let page = process.get(&format!("{PATH}?limit=1"), &second).await.body;
    assert_eq!(page["items"], json!([sessions[0]]));
    let cursor = page["nextCursor"].as_str().unwrap();
    let rest = process.get(&format!("{PATH}?limit=1&cursor={cursor}"), &second).await.body;
    assert_eq!(rest, json!({ "items": [sessions[1]], "nextCursor": null }));

    process.log_out(&first).await;
    assert_eq!(names(&list(&process, &second).await), ["Firefox on Linux"]);
}

async fn users_end_their_sessions_one_by_one_or_all_others(database: TestDatabase) {
    let process = Process::start(&database, &clock()).await;
    let (mine, _) = process.signed_in_amina().await;
    let (lost, lost_refresh) = process.log_in_from(FIREFOX).await.tokens();
    process.identity.register(youssef()).await.unwrap();
    let (other, _) = process.log_in("youssef@example.com", PASSWORD).await.tokens();
    let id = list(&process, &mine).await[0]["id"].as_str().unwrap().to_owned();
    let end = |id: &str| format!("{PATH}/{id}/end");

    let refused = process.post_as(&other, &end(&id), Value::Null).await;
    assert_eq!(refused.problem(), (404, "not_found"));
    assert_eq!(process.me(&lost).await.status, 200);
    assert_eq!(process.post_as(&mine, &end(&id), Value::Null).await.status, 204);
    assert_eq!(process.me(&lost).await.problem(), (401, "unauthenticated"));
    assert_eq!(process.refresh(&lost_refresh).await.status, 401);
    for over in [id.as_str(), "0199c0de-0000-7000-8000-000000000000"] {
        let refused = process.post_as(&mine, &end(over), Value::Null).await;
        assert_eq!(refused.problem(), (404, "not_found"));
    }

    let (second, _) = process.log_in_from(FIREFOX).await.tokens();
    let (third, _) = process.log_in_from("curl/8.5.0").await.tokens();
    let path = format!("{PATH}/end-others");
    assert_eq!(process.post_as(&second, &path, Value::Null).await.status, 204);
    for over in [&mine, &third] {
        assert_eq!(process.me(over).await.status, 401);
    }
    assert_eq!(names(&list(&process, &second).await), ["Firefox on Linux"]);
    assert_eq!(process.me(&other).await.status, 200);
    let last = process.events().await.pop().unwrap();
    assert!(last.payload.contains("ended_by_user"), "{}", last.payload);
}

async fn ending_other_sessions_needs_a_fresh_authentication(database: TestDatabase) {
    let process = Process::start(&database, &clock()).await;
    let (stolen, refresh) = process.signed_in_amina().await;
    let (other, _) = process.log_in_from(FIREFOX).await.tokens();
    process.clock.advance(Duration::from_mins(5));
    let sessions = list(&process, &stolen).await;
    let path = |session: &Value| format!("{PATH}/{}/end", session["id"].as_str().unwrap());
    let others = format!("{PATH}/end-others");
    let nobodys = format!("{PATH}/0199c0de-0000-7000-8000-000000000000/end");
    // A refresh makes nobody fresh.
    let (stolen, _) = process.refresh(&refresh).await.tokens();
    for refused in [path(&sessions[0]), others.clone(), nobodys] {
        let refused = process.post_as(&stolen, &refused, Value::Null).await;
        assert_eq!(refused.problem(), (401, "insufficient_user_authentication"));
        assert_eq!(refused.body["maxAgeSeconds"], 300);
    }
    assert_eq!(process.me(&other).await.status, 200, "it goes on");
    // One's own ends without more ado.
    assert_eq!(sessions[1]["deviceName"], "tests");
    assert_eq!(process.post_as(&stolen, &path(&sessions[1]), Value::Null).await.status, 204);
    assert_eq!(process.me(&stolen).await.problem(), (401, "unauthenticated"));
    assert_eq!(process.log_out(&other).await.status, 204);

    // Whoever shows again who they are, or has signed in just now, ends the others.
    let (fourth, _) = process.log_in_from(FIREFOX).await.tokens();
    process.clock.advance(Duration::from_mins(5));
    let (fifth, _) = process.log_in_from("curl/8.5.0").await.tokens();
    let again = "/api/v1/auth/reauthenticate";
    let body = json!({ "password": PASSWORD });
    let fresh = process.post_as(&fourth, again, body).await.body;
    let fresh = fresh["accessToken"].as_str().unwrap();
    assert_eq!(process.post_as(fresh, &others, Value::Null).await.status, 204);
    assert_eq!(process.me(&fifth).await.problem(), (401, "unauthenticated"));
    let (sixth, _) = process.log_in_from("curl/8.5.0").await.tokens();
    assert_eq!(process.post_as(&sixth, &others, Value::Null).await.status, 204);
    assert_eq!(process.me(fresh).await.problem(), (401, "unauthenticated"));
}

async fn a_new_device_is_told(database: TestDatabase) {
    let process = Process::start(&database, &clock()).await;
    let told = async || {
        let events = process.events().await;
        events.iter().filter(|one| one.event_type == "identity.new_device_signed_in").count()
    };
    process.signed_in_amina().await;
    process.log_in("amina@example.com", PASSWORD).await.tokens();
    assert_eq!(told().await, 0, "the first sign-in is no news");
    process.log_in_from(FIREFOX).await.tokens();
    assert_eq!(told().await, 1);
    process.log_in_from(NEXT_FIREFOX).await.tokens();
    assert_eq!(told().await, 1, "the same browser, brought up to date");
    assert!(process.messages.stays_empty().await, "the address may be somebody else's");

    process.identity.register_with_roles(youssef(), &["Customer"]).await.unwrap();
    for _ in 0..2 {
        process.log_in("youssef@example.com", PASSWORD).await.tokens();
    }
    let body = json!({ "identifier": "youssef@example.com", "password": PASSWORD });
    process.post_as("", "/api/v1/auth/login", body).await.tokens();
    let (to, text) = process.messages.next().await;
    assert_eq!(to, "youssef@example.com");
    assert!(text.contains("Unknown device, at 2026-11-23T09:30:00Z"), "{text}");
    assert_eq!(told().await, 2);
}
