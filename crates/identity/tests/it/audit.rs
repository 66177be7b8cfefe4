//! The audit trail: what is in it, that staff find it, and that changes of it show.

use crate::mfa::{another, app_code, enrolled};
use crate::support::{Answer, PASSWORD, Process, clock, youssef};
use identity::{AuditReport, verify_audit_trail};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use store::Store;
use store::sea_orm::ConnectionTrait;
use store::testing::TestDatabase;

store::on_every_store! {
    what_people_do_is_written_down_with_where_from,
    what_staff_do_is_written_down_with_before_and_after,
    what_two_people_do_together_names_both,
    changes_of_roles_are_written_down_with_before_and_after,
    what_becomes_of_an_api_client_is_written_down_and_what_it_does,
    what_people_show_of_themselves_is_written_down,
    refused_sign_ins_are_written_down_without_what_was_typed,
    staff_search_the_trail_page_by_page,
    the_trail_is_append_only,
    every_change_of_the_trail_is_found,
    processes_write_one_trail,
}

/// An auditor's access token.
async fn auditor(process: &Process) -> String {
    let auditor = identity::NewUser {
        email: "auditor@example.com".into(),
        phone_number: "+212612345699".into(),
        ..youssef()
    };
    process.identity.register_with_roles(auditor, &["Auditor", "Compliance"]).await.unwrap();
    process.log_in("auditor@example.com", PASSWORD).await.tokens().0
}

async fn search(process: &Process, token: &str, query: &str) -> Answer {
    process.get(&format!("/api/v1/admin/audit-events?{query}"), token).await
}

/// The entries that a query finds, oldest first.
async fn entries(process: &Process, token: &str, query: &str) -> Vec<Value> {
    let found = search(process, token, query).await;
    assert_eq!(found.status, 200, "{}", found.body);
    found.body["items"].as_array().unwrap().iter().rev().cloned().collect()
}

fn actions(entries: &[Value]) -> Vec<&str> {
    entries.iter().map(|entry| entry["action"].as_str().unwrap()).collect()
}

async fn what_people_do_is_written_down_with_where_from(database: TestDatabase) {
    let process = Process::start(&database, &clock()).await;
    let amina = process.register_amina().await;
    let body = json!({ "identifier": "amina@example.com", "password": PASSWORD });
    let mut request = axum::http::Request::post("/api/v1/auth/login")
        .header("content-type", "application/json")
        .header("user-agent", "curl/8.5.0")
        .body(axum::body::Body::from(body.to_string()))
        .unwrap();
    let address = web::ClientAddress("203.0.113.9".parse().unwrap());
    request.extensions_mut().insert(address);
    let access = process.send(request).await.tokens().0;
    let new = json!({ "newEmail": "amina@example.org", "password": PASSWORD });
    assert_eq!(process.post_as(&access, "/api/v1/me/email/change", new).await.status, 202);
    let (_, message) = process.messages.next().await;
    let code = json!({ "code": message.split(' ').next().unwrap() });
    let changed = process.post_as(&access, "/api/v1/me/email/change/confirm", code).await;
    assert_eq!(changed.status, 204);
    let new = json!({ "currentPassword": PASSWORD, "newPassword": "another-Finitech-2" });
    assert_eq!(process.post_as(&access, "/api/v1/me/password", new).await.status, 204);
    assert_eq!(process.log_out(&access).await.status, 204);

    let token = auditor(&process).await;
    let found = entries(&process, &token, &format!("objectId={}", amina.id.0)).await;
    let expected = [
        "user_registered",
        "logged_in",
        "contact_change_requested",
        "contact_changed",
        "password_changed",
        "session_revoked",
    ];
    assert_eq!(actions(&found), expected);
    assert!(found.iter().all(|entry| entry["actorId"] == json!(amina.id.0)));
    assert_eq!(found[1]["clientAddress"], "203.0.113.9");
    assert_eq!(found[1]["userAgent"], "curl/8.5.0");
    assert_eq!(found[1]["details"]["secondFactor"], "none");
    assert_eq!(found[2]["details"], json!({ "contact": "email", "new": "a…a@example.org" }));
    assert_eq!(found[3]["details"]["before"], "a…a@example.com");
    assert_eq!(found[3]["details"]["after"], "a…a@example.org");
    assert_eq!(found[5]["details"]["reason"], "logged_out");
    sound(&process.store).await;
}

async fn what_staff_do_is_written_down_with_before_and_after(database: TestDatabase) {
    let process = Process::start_with_two_eyes(&database).await;
    let amina = process.register_amina().await.id.0;
    let token = auditor(&process).await;
    let staff = process.me(&token).await.body["id"].clone();
    let search_users = "/api/v1/admin/users/search";
    let body = json!({ "identifier": "amina@example.com" });
    assert_eq!(process.post_as(&token, search_users, body).await.status, 200);
    assert_eq!(process.get(&format!("/api/v1/admin/users/{amina}"), &token).await.status, 200);
    let roles = format!("/api/v1/admin/users/{amina}/roles");
    assert_eq!(process.get(&roles, &token).await.status, 200);
    for action in ["lock", "lock", "unlock", "unlock"] {
        let path = format!("/api/v1/admin/users/{amina}/{action}");
        let done = process.post_as(&token, &path, json!({ "reason": "stolen phone" })).await;
        assert_eq!(done.status, 200);
    }
    let mine = format!("actorId={}&objectId={amina}", staff.as_str().unwrap());
    let found = entries(&process, &token, &mine).await;
    let expected = [
        "users_searched",
        "user_viewed",
        "user_roles_viewed",
        "user_locked",
        "user_lock_repeated",
        "user_unlocked",
        "lock_out_lifted",
    ];
    assert_eq!(actions(&found), expected);
    let details = &found[3]["details"];
    assert_eq!(details["before"], json!({ "status": "active" }));
    assert_eq!(details["after"], json!({ "status": "locked" }));
    assert_eq!(details["reason"], "stolen phone");
    let details = &found[5]["details"];
    assert_eq!((&details["requestedBy"], details.get("approvedBy")), (&staff, None));
}

async fn what_two_people_do_together_names_both(database: TestDatabase) {
    let process = Process::start(&database, &clock()).await;
    let amina = process.register_amina().await.id.0;
    let (one, first) = process.staff("one", &["Admin"]).await;
    let (two, second) = process.staff("two", &["Admin"]).await;
    let lock = format!("/api/v1/admin/users/{amina}/lock");
    assert_eq!(process.post_as(&first, &lock, json!({ "reason": "stolen" })).await.status, 200);
    let actions_path = "/api/v1/admin/staff-actions";
    let mut ids = Vec::new();
    for (path, body) in [
        ("unlock", json!({ "reason": "found" })),
        ("roles", json!({ "role": "Support", "reason": "a new task" })),
    ] {
        let path = format!("/api/v1/admin/users/{amina}/{path}");
        let asked = process.post_as(&first, &path, body).await;
        assert_eq!(asked.status, 202, "{}", asked.body);
        let id = asked.body["id"].as_str().unwrap().to_owned();
        let approve = format!("{actions_path}/{id}/approve");
        assert_eq!(process.post_as(&second, &approve, json!({})).await.status, 200);
        ids.push(id);
    }
    let token = auditor(&process).await;
    let of_amina = entries(&process, &token, &format!("objectId={amina}&actorId={two}")).await;
    assert_eq!(actions(&of_amina), ["user_unlocked", "role_granted"]);
    for (entry, id) in of_amina.iter().zip(&ids) {
        let details = &entry["details"];
        assert_eq!(
            json!([details["requestedBy"], details["approvedBy"], details["staffActionId"]]),
            json!([one.0, two.0, id])
        );
    }
    let unlocked = &of_amina[0]["details"];
    assert_eq!(unlocked["before"], json!({ "status": "locked" }));
    assert_eq!(
        (&unlocked["after"]["status"], &unlocked["reason"]),
        (&json!("active"), &json!("found"))
    );
    let of_action = entries(&process, &token, &format!("objectId={}", ids[0])).await;
    assert_eq!(actions(&of_action), ["staff_action_requested", "staff_action_approved"]);
    assert_eq!(
        (&of_action[0]["actorId"], &of_action[1]["actorId"]),
        (&json!(one.0), &json!(two.0))
    );
    let unlock = format!("/api/v1/admin/users/{amina}/unlock");
    let asked = process.post_as(&first, &unlock, json!({ "reason": "again" })).await;
    let reject = format!("{actions_path}/{}/reject", asked.body["id"].as_str().unwrap());
    assert_eq!(process.post_as(&second, &reject, json!({ "reason": "no" })).await.status, 200);
    let rejected = entries(&process, &token, "action=staff_action_rejected").await;
    assert_eq!(rejected[0]["details"]["reason"], "no");
    sound(&process.store).await;
}

async fn changes_of_roles_are_written_down_with_before_and_after(database: TestDatabase) {
    let process = Process::start_with_two_eyes(&database).await;
    let (admin, access) = process.staff("admin", &["Admin"]).await;
    let amina = process.register_amina().await.id.0;
    let roles = "/api/v1/admin/roles";
    let of_amina = format!("/api/v1/admin/users/{amina}/roles");
    for (path, body) in [
        (
            roles.to_owned(),
            json!({ "name": "Teller", "description": "Helps.", "permissions": ["users:read"] }),
        ),
        (
            format!("{roles}/Teller/add-permissions"),
            json!({ "permissions": ["users:write"], "reason": "more work" }),
        ),
        (of_amina.clone(), json!({ "role": "Teller", "reason": "a new task" })),
        (format!("{roles}/Teller/remove-permissions"), json!({ "permissions": ["users:read"] })),
        (format!("{of_amina}/Teller/take"), json!({})),
        (format!("{roles}/Teller/delete"), json!({})),
    ] {
        let done = process.post_as(&access, &path, body).await;
        assert!(done.status < 300, "{path}: {}", done.body);
    }
    let token = auditor(&process).await;
    let found = entries(&process, &token, &format!("actorId={admin}")).await;
    let expected = [
        "user_registered",
        "logged_in",
        "role_created",
        "role_widened",
        "role_granted",
        "role_narrowed",
        "role_taken",
        "role_deleted",
    ];
    assert_eq!(actions(&found), expected);
    let (read, write) = ("users:read", "users:write");
    let widened = &found[3]["details"];
    assert_eq!(json!([widened["before"], widened["after"]]), json!([[read], [read, write]]));
    let narrowed = &found[5]["details"];
    assert_eq!(json!([narrowed["before"], narrowed["after"]]), json!([[read, write], [write]]));
    let role = &found[2]["objectId"];
    assert!([3, 5, 7].iter().all(|&number| found[number]["objectId"] == *role), "one role, one id");
    assert!([4, 6].iter().all(|&number| found[number]["objectId"] == json!(amina)));
}

async fn what_becomes_of_an_api_client_is_written_down_and_what_it_does(database: TestDatabase) {
    let process = Process::start(&database, &clock()).await;
    let (admin, access) = process.staff("admin", &["Admin"]).await;
    let clients = "/api/v1/admin/api-clients";
    let new = json!({ "name": "Reports", "scopes": ["users:read"] });
    let made = process.post_as(&access, clients, new).await.body;
    let (id, secret) = (made["id"].as_str().unwrap(), made["clientSecret"].as_str().unwrap());
    let ask = async |id: &str, secret: &str| {
        let form = format!("grant_type=client_credentials&client_id={id}&client_secret={secret}");
        let request = axum::http::Request::post("/api/v1/oauth/token")
            .header("content-type", "application/x-www-form-urlencoded")
            .body(form.into());
        process.send(request.unwrap()).await
    };
    let token = ask(id, secret).await.body["access_token"].as_str().unwrap().to_owned();
    let nobody = json!({ "identifier": "nobody@example.com" });
    let searched = process.post_as(&token, "/api/v1/admin/users/search", nobody).await;
    assert_eq!(searched.status, 200, "{}", searched.body);
    assert_eq!(ask(id, "wrong").await.status, 401);
    assert_eq!(ask("0199c0de-0000-7000-8000-000000000000", secret).await.status, 401);
    let networks = json!({ "allowedNetworks": ["192.0.2.0/24"] });
    let put = axum::http::Request::put(format!("{clients}/{id}/allowed-networks"))
        .header("content-type", "application/json")
        .header("authorization", format!("Bearer {access}"))
        .body(networks.to_string().into());
    assert_eq!(process.send(put.unwrap()).await.status, 200);
    assert_eq!(ask(id, secret).await.status, 401, "from nowhere");
    for (what, body) in [("rotate-secret", json!({})), ("revoke", json!({ "reason": "leaked" }))] {
        let done = process.post_as(&access, &format!("{clients}/{id}/{what}"), body).await;
        assert_eq!(done.status, 200, "{}", done.body);
    }

    let auditor = auditor(&process).await;
    let found = entries(&process, &auditor, &format!("objectId={id}")).await;
    let expected = [
        "api_client_created",
        "api_client_token_issued",
        "api_client_token_refused",
        "api_client_networks_changed",
        "api_client_token_refused",
        "api_client_secret_rotated",
        "api_client_revoked",
    ];
    assert_eq!(actions(&found), expected);
    let by_admin = [0, 3, 5, 6];
    assert!(by_admin.iter().all(|&number| found[number]["actorId"] == json!(admin.0)));
    assert_eq!(json!([found[1]["actorId"], found[2]["actorId"]]), json!([id, null]));
    assert_eq!(found[0]["details"]["name"], "Reports");
    let changed = &found[3]["details"];
    assert_eq!(json!([changed["before"], changed["after"]]), json!([[], ["192.0.2.0/24"]]));
    assert_eq!(found[6]["details"]["reason"], "leaked");
    let did = entries(&process, &auditor, &format!("actorId={id}")).await;
    assert_eq!(actions(&did), ["api_client_token_issued", "users_searched"]);
    let refused = entries(&process, &auditor, "action=api_client_token_refused").await;
    assert_eq!(refused.len(), 2, "names that nobody has are not written down");
    let reasons = [0, 1].map(|number| refused[number]["details"]["reason"].clone());
    assert_eq!(json!(reasons), json!(["invalid_client", "address_not_allowed"]));
    let all = entries(&process, &auditor, "limit=200").await;
    assert!(!json!(all).to_string().contains(secret));
    sound(&process.store).await;
}

async fn what_people_show_of_themselves_is_written_down(database: TestDatabase) {
    let process = Process::start(&database, &clock()).await;
    let (access, secret, codes) = enrolled(&process).await;
    let amina = process.me(&access).await.body["id"].as_str().unwrap().to_owned();
    let again = "/api/v1/auth/reauthenticate";
    let code = app_code(&process, &secret);
    let wrong = json!({ "password": PASSWORD, "code": another(&code) });
    assert_eq!(process.post_as(&access, again, wrong).await.status, 422);
    let right = json!({ "password": PASSWORD, "code": code });
    let fresh = process.post_as(&access, again, right).await.body;
    let access = fresh["accessToken"].as_str().unwrap();
    let begun = process.log_in("amina@example.com", PASSWORD).await.body;
    let body = json!({ "mfaToken": begun["mfaToken"], "code": codes[0], "trustDevice": true });
    let trusting = process.post("/api/v1/auth/login/mfa", body).await.body;
    let body = json!({
        "identifier": "amina@example.com",
        "password": PASSWORD,
        "deviceToken": trusting["deviceToken"],
    });
    process.post("/api/v1/auth/login", body).await.tokens();
    let devices = process.get("/api/v1/me/trusted-devices", access).await.body;
    let device = devices["items"][0]["id"].as_str().unwrap();
    let forget = format!("/api/v1/me/trusted-devices/{device}/forget");
    assert_eq!(process.post_as(access, &forget, json!({})).await.status, 204);
    assert_eq!(process.post_as(access, &forget, json!({})).await.status, 404);
    let body = json!({ "code": codes[1] });
    assert_eq!(process.post_as(access, "/api/v1/me/mfa/recovery-codes", body).await.status, 200);
    let body = json!({ "identifier": "amina@example.com" });
    assert_eq!(process.post("/api/v1/auth/password-resets", body).await.status, 202);
    process.messages.next().await;

    let token = auditor(&process).await;
    let found = entries(&process, &token, &format!("objectId={amina}")).await;
    let expected = [
        "user_registered",
        "logged_in",
        "mfa_enrolment_begun",
        "mfa_enabled",
        "credential_refused",
        "reauthenticated",
        "logged_in",
        "device_trusted",
        "logged_in",
        "trusted_device_forgotten",
        "recovery_codes_renewed",
        "password_reset_requested",
    ];
    assert_eq!(actions(&found), expected);
    assert_eq!((&found[11]["actorId"], &found[11]["userAgent"]), (&Value::Null, &json!("tests")));
    assert_eq!(found[5]["details"]["withSecondFactor"], true);
    let shown = [1, 6, 8].map(|number| found[number]["details"]["secondFactor"].clone());
    assert_eq!(json!(shown), json!(["none", "code", "trusted_device"]));
    let which = [7, 9].map(|number| found[number]["details"]["deviceId"].clone());
    assert_eq!(json!(which), json!([device, device]));
    assert!(!json!(found).to_string().contains(trusting["deviceToken"].as_str().unwrap()));
}

async fn refused_sign_ins_are_written_down_without_what_was_typed(database: TestDatabase) {
    let process = Process::start(&database, &clock()).await;
    let amina = process.register_amina().await.id.0;
    for _ in 0..6 {
        for identifier in ["amina@example.com", "nobody@example.com"] {
            assert_eq!(process.log_in(identifier, "wrong-Finitech-1").await.status, 401);
        }
    }
    let token = auditor(&process).await;
    let of_amina = entries(&process, &token, &format!("objectId={amina}")).await;
    let refused = of_amina.iter().filter(|entry| entry["action"] == "credential_refused").count();
    assert_eq!(refused, 5);
    let last: Vec<_> = actions(&of_amina).into_iter().rev().take(3).collect();
    assert_eq!(last, ["refused_while_locked_out", "credential_refused", "user_locked_out"]);
    let all = entries(&process, &token, "action=credential_refused").await;
    assert_eq!(all.len(), 10, "strangers too");
    assert!(!json!(all).to_string().contains("nobody"));
}

async fn staff_search_the_trail_page_by_page(database: TestDatabase) {
    let process = Process::start(&database, &clock()).await;
    let (customer, _) = process.signed_in_amina().await;
    let token = auditor(&process).await;
    assert_eq!(search(&process, &customer, "").await.problem(), (403, "forbidden"));
    for query in ["actor=x", "action=%00"] {
        assert_eq!(search(&process, &token, query).await.problem(), (422, "validation_failed"));
    }
    process.clock.advance(Duration::from_mins(5));
    for _ in 0..5 {
        assert_eq!(process.log_in("amina@example.com", PASSWORD).await.status, 200);
    }
    let all = entries(&process, &token, "limit=200").await;
    let numbers: Vec<i64> = all.iter().map(|one| one["sequence"].as_i64().unwrap()).collect();
    assert_eq!(numbers, (1..=i64::try_from(all.len()).unwrap()).collect::<Vec<_>>());
    let (mut paged, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = search(&process, &token, &format!("limit=2{cursor}")).await.body;
        paged.extend(page["items"].as_array().unwrap().clone());
        let Some(next) = page["nextCursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    paged.reverse();
    assert_eq!(paged, all);
    let late = entries(&process, &token, "from=2026-11-23T09:35:00Z").await;
    assert_eq!(actions(&late), ["logged_in"; 5]);
    let early = entries(&process, &token, "to=2026-11-23T09:35:00Z").await;
    assert_eq!(early.len() + late.len(), all.len());
    assert_eq!(entries(&process, &token, "from=2026-11-23T09:36:00Z").await.len(), 0);
    let none = entries(&process, &token, "to=2026-11-23T09:30:00Z").await;
    assert_eq!(none.len(), 0);
}

async fn execute(store: &Store, sql: &str) -> bool {
    let tx = store.begin().await.unwrap();
    let done = tx.execute_unprepared(sql).await.is_ok();
    if done {
        tx.commit().await.unwrap();
    }
    done
}

async fn the_trail_is_append_only(database: TestDatabase) {
    let process = Process::start(&database, &clock()).await;
    process.signed_in_amina().await;
    for sql in [
        "update audit_events set action = 'nothing' where sequence = 1",
        "delete from audit_events where sequence = 1",
        "insert or replace into audit_events select * from audit_events where sequence = 1",
        "truncate audit_events",
        "delete from audit_head",
    ] {
        assert!(!execute(&process.store, sql).await, "{sql}");
    }
    sound(&process.store).await;
}

async fn report(store: &Store) -> AuditReport {
    verify_audit_trail(store).await.unwrap()
}

async fn sound(store: &Store) {
    let report = report(store).await;
    assert!(report.findings.is_empty() && report.entries > 0, "{report:?}");
}

async fn every_change_of_the_trail_is_found(database: TestDatabase) {
    let process = Process::start(&database, &clock()).await;
    process.signed_in_amina().await;
    for _ in 0..4 {
        process.log_in("amina@example.com", PASSWORD).await.tokens();
    }
    let store = &process.store;
    sound(store).await;
    // Whoever owns the database can get around the triggers.
    let triggers: &[&str] = match store.sqlite_path() {
        Some(_) => &[
            "drop trigger audit_events_refuse_update",
            "drop trigger audit_events_refuse_delete",
            "drop trigger audit_events_refuse_replace",
        ],
        None => &["drop trigger audit_events_refuse_change on audit_events"],
    };
    for trigger in triggers {
        assert!(execute(store, trigger).await);
    }
    let keep = "create table kept as select * from audit_events";
    assert!(execute(store, keep).await);
    for (what, tamper) in [
        ("changed", vec!["update audit_events set client_address = '10.0.0.1' where sequence = 2"]),
        (
            "changed time",
            vec!["update audit_events set occurred_at = occurred_at + 1 where sequence = 3"],
        ),
        ("removed", vec!["delete from audit_events where sequence = 3"]),
        ("removed first", vec!["delete from audit_events where sequence = 1"]),
        ("removed last", vec!["delete from audit_events where sequence = 6"]),
        (
            "added",
            vec![
                "insert into audit_events (sequence, occurred_at, action, client_address, \
            user_agent, details, hash) select 7, occurred_at, action, client_address, user_agent, \
            details, hash from audit_events where sequence = 6",
            ],
        ),
        (
            "reordered",
            vec![
                "update audit_events set sequence = -3 where sequence = 3",
                "update audit_events set sequence = 3 where sequence = 4",
                "update audit_events set sequence = 4 where sequence = -3",
            ],
        ),
        (
            "removed and closed up",
            vec![
                "delete from audit_events where sequence = 3",
                "update audit_events set sequence = 3 where sequence = 4",
                "update audit_events set sequence = 4 where sequence = 5",
                "update audit_events set sequence = 5 where sequence = 6",
            ],
        ),
    ] {
        for sql in tamper {
            assert!(execute(store, sql).await, "{what}");
        }
        let found = report(store).await.findings;
        assert!(!found.is_empty(), "{what} was not found");
        assert!(execute(store, "delete from audit_events").await);
        assert!(execute(store, "insert into audit_events select * from kept").await);
        sound(store).await;
    }
}

async fn processes_write_one_trail(database: TestDatabase) {
    let clock = clock();
    let here = Arc::new(Process::start(&database, &clock).await);
    let there = Arc::new(Process::start(&database, &clock).await);
    here.register_amina().await;
    let signing_in: Vec<_> = (0..24)
        .map(|number| {
            let process = if number % 2 == 0 { here.clone() } else { there.clone() };
            let password = if number % 3 == 0 { "wrong-Finitech-1" } else { PASSWORD };
            tokio::spawn(async move { process.log_in("amina@example.com", password).await.status })
        })
        .collect();
    for one in signing_in {
        assert!([200, 401].contains(&one.await.unwrap()));
    }
    let report = report(&there.store).await;
    assert!(report.findings.is_empty(), "{report:?}");
    assert!(report.entries >= 25, "{report:?}");
}
