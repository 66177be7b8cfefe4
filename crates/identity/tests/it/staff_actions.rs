//! Four eyes: what one member of staff asks for and another approves.

use crate::support::{Answer, CHEAP, PASSWORD, Process, clock};
use identity::Config;
use kernel::UserId;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use store::testing::TestDatabase;

store::on_every_store! {
    a_colleague_approves_and_it_is_done_once,
    nobody_approves_their_own_request_or_what_is_for_themselves,
    asked_for_again_it_is_the_same_request,
    what_was_rejected_or_is_too_old_is_not_done,
    whoever_decides_needs_the_permission_of_the_action,
    a_request_ends_with_the_right_to_make_it,
    a_request_gives_nothing_that_whoever_made_it_has_lost,
    a_lock_ends_the_requests_to_unlock_that_were_made_before,
    a_role_that_changed_meanwhile_is_not_given,
    a_role_is_given_or_deleted_but_not_both,
    of_many_approvals_at_once_one_counts,
    actions_are_listed_by_how_they_stand,
    one_person_is_enough_where_it_is_configured,
}

const ACTIONS: &str = "/api/v1/admin/staff-actions";

async fn ask_for_role(process: &Process, token: &str, user: UserId, role: &str) -> Answer {
    let body = json!({ "role": role, "reason": "a new task" });
    process.post_as(token, &format!("/api/v1/admin/users/{user}/roles"), body).await
}

async fn ask_to_unlock(process: &Process, token: &str, user: UserId) -> Answer {
    let body = json!({ "reason": "called us" });
    process.post_as(token, &format!("/api/v1/admin/users/{user}/unlock"), body).await
}

fn id(asked: &Answer) -> String {
    assert_eq!(asked.status, 202, "{}", asked.body);
    asked.body["id"].as_str().unwrap().to_owned()
}

async fn approve(process: &Process, token: &str, id: &str) -> Answer {
    process.post_as(token, &format!("{ACTIONS}/{id}/approve"), json!({})).await
}

async fn reject(process: &Process, token: &str, id: &str) -> Answer {
    let body = json!({ "reason": "not now" });
    process.post_as(token, &format!("{ACTIONS}/{id}/reject"), body).await
}

async fn roles(process: &Process, token: &str, user: UserId) -> Vec<String> {
    let held = process.get(&format!("/api/v1/admin/users/{user}/roles"), token).await.body;
    let items = held["items"].as_array().unwrap().iter();
    items.map(|one| one["role"].as_str().unwrap().to_owned()).collect()
}

async fn a_colleague_approves_and_it_is_done_once(database: TestDatabase) {
    let process = Process::start(&database, &clock()).await;
    let (one, first) = process.staff("one", &["Admin"]).await;
    let (two, second) = process.staff("two", &["Admin"]).await;
    let (amal, _) = process.staff("amal", &[]).await;
    let asked = ask_for_role(&process, &first, amal, "Support").await;
    let action = id(&asked);
    assert_eq!(
        asked.body,
        json!({
            "id": action,
            "kind": "grant_role",
            "body": {
                "userId": amal.0, "role": "Support", "permissions": ["factors:reset", "users:read"],
            },
            "reason": "a new task",
            "requestedBy": one.0,
            "requestedAt": "2026-11-23T09:30:00Z",
            "expiresAt": "2026-11-24T09:30:00Z",
            "state": "pending",
            "decidedBy": Value::Null,
            "decidedAt": Value::Null,
            "decisionReason": Value::Null,
        })
    );
    assert_eq!(roles(&process, &first, amal).await, [""; 0], "not yet");
    let approved = approve(&process, &second, &action).await;
    assert_eq!(approved.status, 200, "{}", approved.body);
    assert_eq!(approved.body["decidedBy"], json!(two.0));
    assert_eq!(roles(&process, &first, amal).await, ["Support"]);
    // Taken meanwhile: a repetition answers the same and gives it to nobody again.
    let take = format!("/api/v1/admin/users/{amal}/roles/Support/take");
    assert_eq!(process.post_as(&first, &take, json!({})).await.status, 200);
    assert_eq!(approve(&process, &second, &action).await.body, approved.body);
    assert_eq!(roles(&process, &first, amal).await, [""; 0]);
    assert_eq!(approve(&process, &first, &action).await.problem(), (409, "own_request"));
    assert_eq!(reject(&process, &second, &action).await.problem(), (409, "action_not_pending"));
    let events = process.events().await;
    let types = events.iter().map(|event| event.event_type.as_str());
    let types: Vec<_> = types.filter(|one| one.contains("staff") || one.contains("role")).collect();
    assert_eq!(
        types,
        [
            "identity.staff_action_requested",
            "identity.role_granted",
            "identity.staff_action_approved",
            "identity.role_taken"
        ]
    );
    assert!(events.iter().all(|event| !event.payload.contains("a new task")));
}

async fn nobody_approves_their_own_request_or_what_is_for_themselves(database: TestDatabase) {
    let process = Process::start(&database, &clock()).await;
    let (_, first) = process.staff("one", &["Admin"]).await;
    let (two, second) = process.staff("two", &["Admin"]).await;
    let (_, third) = process.staff("three", &["Admin"]).await;
    let action = id(&ask_for_role(&process, &first, two, "Compliance").await);
    assert_eq!(approve(&process, &first, &action).await.problem(), (409, "own_request"));
    assert_eq!(approve(&process, &second, &action).await.problem(), (409, "own_account"));
    assert_eq!(roles(&process, &first, two).await, ["Admin"]);
    assert_eq!(approve(&process, &third, &action).await.status, 200);
    assert_eq!(roles(&process, &first, two).await, ["Admin", "Compliance"]);
}

async fn asked_for_again_it_is_the_same_request(database: TestDatabase) {
    let process = Process::start(&database, &clock()).await;
    let (_, first) = process.staff("one", &["Admin"]).await;
    let (_, second) = process.staff("two", &["Admin"]).await;
    let (amal, _) = process.staff("amal", &[]).await;
    let asked = ask_to_unlock(&process, &first, amal).await;
    assert_eq!(ask_to_unlock(&process, &first, amal).await.body, asked.body);
    assert_eq!(ask_to_unlock(&process, &second, amal).await.body, asked.body, "whoever asks");
    assert_eq!(approve(&process, &second, &id(&asked)).await.status, 200);
    let anew = ask_to_unlock(&process, &first, amal).await;
    assert_ne!(id(&anew), id(&asked));
}

async fn what_was_rejected_or_is_too_old_is_not_done(database: TestDatabase) {
    let config = Config {
        password_hash: CHEAP,
        staff_action_lifetime: Duration::from_mins(10),
        staff_second_factor: false,
        ..Config::default()
    };
    let process = Process::start_configured(&database, &clock(), config).await;
    let (_, first) = process.staff("one", &["Admin"]).await;
    let (_, second) = process.staff("two", &["Admin"]).await;
    let (amal, _) = process.staff("amal", &[]).await;
    let action = id(&ask_for_role(&process, &first, amal, "Support").await);
    let rejected = reject(&process, &second, &action).await;
    assert_eq!(
        json!([rejected.body["state"], rejected.body["decisionReason"]]),
        json!(["rejected", "not now"])
    );
    assert_eq!(reject(&process, &second, &action).await.body, rejected.body);
    assert_eq!(approve(&process, &second, &action).await.problem(), (409, "action_not_pending"));
    // Whoever asked may take it back.
    let action = id(&ask_for_role(&process, &first, amal, "Support").await);
    assert_eq!(reject(&process, &first, &action).await.status, 200);
    let action = id(&ask_for_role(&process, &first, amal, "Support").await);
    process.clock.advance(Duration::from_mins(10));
    for refused in
        [approve(&process, &second, &action).await, reject(&process, &second, &action).await]
    {
        assert_eq!(refused.problem(), (409, "action_not_pending"));
    }
    let seen = process.get(&format!("{ACTIONS}/{action}"), &first).await;
    assert_eq!(seen.body["state"], "expired");
    assert_eq!(roles(&process, &first, amal).await, [""; 0]);
    let anew = id(&ask_for_role(&process, &first, amal, "Support").await);
    assert_ne!(anew, action);
    assert_eq!(approve(&process, &second, &anew).await.status, 200);
}

async fn whoever_decides_needs_the_permission_of_the_action(database: TestDatabase) {
    let process = Process::start(&database, &clock()).await;
    let (_, admin) = process.staff("one", &["Admin"]).await;
    let (_, compliance) = process.staff("compliance", &["Compliance"]).await;
    let (_, support) = process.staff("support", &["Support"]).await;
    let (amal, _) = process.staff("amal", &[]).await;
    let grant = id(&ask_for_role(&process, &admin, amal, "Support").await);
    let unlock = id(&ask_to_unlock(&process, &admin, amal).await);
    for action in [&grant, &unlock] {
        for refused in
            [approve(&process, &support, action).await, reject(&process, &support, action).await]
        {
            assert_eq!(refused.problem(), (403, "forbidden"));
        }
    }
    for refused in
        [approve(&process, &compliance, &grant).await, reject(&process, &compliance, &grant).await]
    {
        assert_eq!(refused.problem(), (403, "forbidden"), "it is about roles");
    }
    assert_eq!(approve(&process, &compliance, &unlock).await.status, 200);
    let nothing = "0199c0de-0000-7000-8000-000000000000";
    assert_eq!(approve(&process, &admin, nothing).await.problem(), (404, "not_found"));
}

async fn a_request_ends_with_the_right_to_make_it(database: TestDatabase) {
    let process = Process::start(&database, &clock()).await;
    let (one, first) = process.staff("one", &["Admin"]).await;
    let (_, second) = process.staff("two", &["Admin"]).await;
    let (amal, _) = process.staff("amal", &[]).await;
    let action = id(&ask_for_role(&process, &first, amal, "Support").await);
    let take = format!("/api/v1/admin/users/{one}/roles/Admin/take");
    assert_eq!(process.post_as(&second, &take, json!({})).await.status, 200);
    let refused = approve(&process, &second, &action).await;
    assert_eq!(refused.problem(), (409, "requester_not_entitled"));
    assert_eq!(roles(&process, &second, amal).await, [""; 0]);
    assert_eq!(reject(&process, &second, &action).await.status, 200);
}

async fn a_request_gives_nothing_that_whoever_made_it_has_lost(database: TestDatabase) {
    let process = Process::start(&database, &clock()).await;
    let (_, admin) = process.staff("admin", &["Admin"]).await;
    let (amal, _) = process.staff("amal", &[]).await;
    let held = ["roles:read", "roles:write", "ledger:write"];
    let boss = json!({ "name": "Boss", "description": "x", "permissions": held });
    let teller = json!({ "name": "Teller", "description": "x", "permissions": ["ledger:write"] });
    for role in [boss, teller] {
        let made = process.post_as(&admin, "/api/v1/admin/roles", role).await;
        assert_eq!(made.status, 201, "{}", made.body);
    }
    let (_, other) = process.staff("other", &["Admin"]).await;
    let (boss, _) = process.staff("boss", &[]).await;
    let given = id(&ask_for_role(&process, &admin, boss, "Boss").await);
    assert_eq!(approve(&process, &other, &given).await.status, 200);
    let boss = process.log_in("boss@staff.example.com", PASSWORD).await.tokens().0;
    let own = json!({ "permissions": ["ledger:write"], "reason": "more" });
    let widen = "/api/v1/admin/roles/Boss/add-permissions";
    let asked = [
        id(&process.post_as(&boss, widen, own).await),
        id(&ask_for_role(&process, &boss, amal, "Teller").await),
    ];
    let less = json!({ "permissions": ["ledger:write"] });
    let path = "/api/v1/admin/roles/Boss/remove-permissions";
    assert_eq!(process.post_as(&admin, path, less).await.status, 200);
    for action in asked {
        let refused = approve(&process, &admin, &action).await;
        assert_eq!(refused.problem(), (409, "requester_not_entitled"));
    }
    assert_eq!(roles(&process, &admin, amal).await, [""; 0]);
}

async fn a_lock_ends_the_requests_to_unlock_that_were_made_before(database: TestDatabase) {
    let process = Process::start(&database, &clock()).await;
    let (_, first) = process.staff("one", &["Admin"]).await;
    let (_, second) = process.staff("two", &["Admin"]).await;
    let (amal, _) = process.staff("amal", &[]).await;
    let lock = format!("/api/v1/admin/users/{amal}/lock");
    // Before it was locked, and while it was locked for something else.
    for reason in ["fraud", "more fraud"] {
        let asked = id(&ask_to_unlock(&process, &first, amal).await);
        let locked = process.post_as(&second, &lock, json!({ "reason": reason })).await;
        assert_eq!(locked.body["status"], "locked");
        let refused = approve(&process, &second, &asked).await;
        assert_eq!(refused.problem(), (409, "action_not_pending"));
        let seen = process.get(&format!("{ACTIONS}/{asked}"), &first).await.body;
        assert_eq!(
            json!([seen["state"], seen["decisionReason"]]),
            json!(["rejected", format!("locked since: {reason}")])
        );
    }
    let view = process.get(&format!("/api/v1/admin/users/{amal}"), &first).await.body;
    assert_eq!(json!([view["status"], view["statusReason"]]), json!(["locked", "fraud"]));
    let asked = id(&ask_to_unlock(&process, &first, amal).await);
    assert_eq!(approve(&process, &second, &asked).await.status, 200);
}

async fn a_role_is_given_or_deleted_but_not_both(database: TestDatabase) {
    let process = Arc::new(Process::start(&database, &clock()).await);
    let (_, first) = process.staff("one", &["Admin"]).await;
    let (_, second) = process.staff("two", &["Admin"]).await;
    let (amal, _) = process.staff("amal", &[]).await;
    for number in 0..8 {
        let name = format!("Teller-{number}");
        let role = json!({ "name": name, "description": "x", "permissions": ["users:read"] });
        let made = process.post_as(&first, "/api/v1/admin/roles", role).await;
        assert_eq!(made.status, 201, "{}", made.body);
        let action = id(&ask_for_role(&process, &first, amal, &name).await);
        let deleting = {
            let (process, token) = (process.clone(), first.clone());
            let path = format!("/api/v1/admin/roles/{name}/delete");
            tokio::spawn(async move { process.post_as(&token, &path, json!({})).await })
        };
        let given = approve(&process, &second, &action).await;
        let deleted = deleting.await.unwrap();
        match (given.status, deleted.status) {
            (200, _) => assert_eq!(deleted.problem(), (409, "role_in_use")),
            _ => assert_eq!((given.status, deleted.status), (404, 204), "{}", given.body),
        }
    }
}

async fn a_role_that_changed_meanwhile_is_not_given(database: TestDatabase) {
    let process = Process::start(&database, &clock()).await;
    let (_, first) = process.staff("one", &["Admin"]).await;
    let (_, second) = process.staff("two", &["Admin"]).await;
    let (amal, _) = process.staff("amal", &[]).await;
    let teller = json!({ "name": "Teller", "description": "x", "permissions": ["users:read"] });
    assert_eq!(process.post_as(&first, "/api/v1/admin/roles", teller).await.status, 201);
    let grant = id(&ask_for_role(&process, &first, amal, "Teller").await);
    let body = json!({ "permissions": ["ledger:write"], "reason": "more" });
    let widen = process.post_as(&first, "/api/v1/admin/roles/Teller/add-permissions", body).await;
    assert_eq!(widen.body["kind"], "widen_role");
    let before = process.get("/api/v1/admin/roles", &first).await.body;
    assert_eq!(approve(&process, &second, &id(&widen)).await.status, 200);
    assert_ne!(process.get("/api/v1/admin/roles", &first).await.body, before);
    let refused = approve(&process, &second, &grant).await;
    assert_eq!(refused.problem(), (409, "action_outdated"));
    assert_eq!(roles(&process, &first, amal).await, [""; 0]);
}

async fn of_many_approvals_at_once_one_counts(database: TestDatabase) {
    let clock = clock();
    let here = Arc::new(Process::start(&database, &clock).await);
    let there = Arc::new(Process::start(&database, &clock).await);
    let (_, first) = here.staff("one", &["Admin"]).await;
    let (_, second) = here.staff("two", &["Admin"]).await;
    let (_, third) = here.staff("three", &["Admin"]).await;
    let (amal, _) = here.staff("amal", &[]).await;
    let action = id(&ask_for_role(&here, &first, amal, "Support").await);
    let mut approving = Vec::new();
    for number in 0..8 {
        let process = if number % 2 == 0 { here.clone() } else { there.clone() };
        let (token, action) =
            (if number % 4 < 2 { &second } else { &third }.clone(), action.clone());
        approving
            .push(tokio::spawn(async move { approve(&process, &token, &action).await.status }));
    }
    let mut done = 0;
    for one in approving {
        let status = one.await.unwrap();
        assert!([200, 409].contains(&status), "{status}");
        done += usize::from(status == 200);
    }
    assert_eq!(done, 4, "one of the two, who is answered the same each time");
    let events = here.events().await;
    let granted = events.iter().filter(|one| one.event_type == "identity.role_granted").count();
    assert_eq!(granted, 1);
}

async fn actions_are_listed_by_how_they_stand(database: TestDatabase) {
    let process = Process::start(&database, &clock()).await;
    let (_, first) = process.staff("one", &["Admin"]).await;
    let (_, second) = process.staff("two", &["Admin"]).await;
    let (amal, _) = process.staff("amal", &[]).await;
    let mut asked = Vec::new();
    for role in ["Support", "Auditor", "Agent"] {
        asked.push(id(&ask_for_role(&process, &first, amal, role).await));
    }
    approve(&process, &second, &asked[0]).await;
    reject(&process, &second, &asked[1]).await;
    let list = async |query: &str| {
        let page = process.get(&format!("{ACTIONS}{query}"), &second).await;
        assert_eq!(page.status, 200, "{}", page.body);
        let items = page.body["items"].as_array().unwrap().iter();
        items.map(|one| one["id"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let newest_first: Vec<_> = asked.iter().rev().cloned().collect();
    assert_eq!(list("").await, newest_first);
    assert_eq!(list("?state=approved").await, asked[..1]);
    assert_eq!(list("?state=rejected").await, asked[1..2]);
    assert_eq!(list("?state=pending").await, asked[2..]);
    assert_eq!(list("?state=expired").await, [""; 0]);
    assert_eq!(list("?limit=2").await, newest_first[..2]);
    process.clock.advance(Duration::from_mins(10));
    let refused = process.get(&format!("{ACTIONS}?state=done"), &second).await;
    assert_eq!(refused.problem(), (422, "validation_failed"));
}

async fn one_person_is_enough_where_it_is_configured(database: TestDatabase) {
    let process = Process::start_with_two_eyes(&database).await;
    let (_, admin) = process.staff("one", &["Admin"]).await;
    let (amal, _) = process.staff("amal", &[]).await;
    let path = format!("/api/v1/admin/users/{amal}/lock");
    process.post_as(&admin, &path, json!({ "reason": "stolen phone" })).await;
    let unlocked = ask_to_unlock(&process, &admin, amal).await;
    assert_eq!((unlocked.status, &unlocked.body["status"]), (200, &json!("active")));
    assert_eq!(process.get(ACTIONS, &admin).await.body["items"], json!([]));
}
