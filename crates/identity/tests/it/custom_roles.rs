//! Roles that staff make, give and take.

use crate::support::{Answer, PASSWORD, Process};
use kernel::UserId;
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use store::sea_orm::ConnectionTrait;
use store::testing::TestDatabase;

store::on_every_store! {
    the_roles_of_the_system_are_seeded_and_stay,
    a_role_that_is_removed_this_instant_is_not_there,
    staff_make_roles_and_give_them,
    nobody_gives_what_they_do_not_have,
    nobody_promotes_themselves,
    what_is_taken_back_counts_no_more_within_seconds,
    a_role_that_somebody_holds_stays,
    roles_are_refused_that_are_none,
    of_two_names_that_differ_in_case_one_is_taken,
}

const ROLES: &str = "/api/v1/admin/roles";

/// One person is enough here; what two do is tested with the staff actions.
async fn process(database: &TestDatabase) -> Process {
    Process::start_with_two_eyes(database).await
}

fn teller() -> Value {
    json!({
        "name": "Teller",
        "description": "Helps at the counter.",
        "permissions": ["users:read", "users:write"],
    })
}

async fn give(process: &Process, token: &str, user: UserId, role: &str) -> Answer {
    let body = json!({ "role": role, "reason": "a new task" });
    process.post_as(token, &format!("/api/v1/admin/users/{user}/roles"), body).await
}

async fn take(process: &Process, token: &str, user: UserId, role: &str) -> Answer {
    let path = format!("/api/v1/admin/users/{user}/roles/{role}/take");
    process.post_as(token, &path, json!({})).await
}

async fn change(process: &Process, token: &str, role: &str, verb: &str, what: &[&str]) -> Answer {
    let body = match verb {
        "add" => json!({ "permissions": what, "reason": "more work" }),
        _ => json!({ "permissions": what }),
    };
    process.post_as(token, &format!("{ROLES}/{role}/{verb}-permissions"), body).await
}

/// What a new sign-in permits.
async fn permissions(process: &Process, name: &str) -> Value {
    let signed_in = process.log_in(&format!("{name}@staff.example.com"), PASSWORD).await;
    process.me(&signed_in.tokens().0).await.body["permissions"].clone()
}

async fn the_roles_of_the_system_are_seeded_and_stay(database: TestDatabase) {
    let process = process(&database).await;
    let (_, admin) = process.staff("admin", &["Admin"]).await;
    let roles = process.get(ROLES, &admin).await.body;
    let roles = roles["items"].as_array().unwrap();
    let names: Vec<_> = roles.iter().map(|role| role["name"].as_str().unwrap()).collect();
    let expected = [
        "Admin",
        "Agent",
        "Auditor",
        "CardOfficer",
        "Compliance",
        "Customer",
        "Merchant",
        "Support",
    ];
    assert_eq!(names, expected);
    for role in roles {
        let name = role["name"].as_str().unwrap();
        assert_eq!(role["isBuiltIn"], true);
        for verb in ["add", "remove"] {
            let refused = change(&process, &admin, name, verb, &["users:read"]).await;
            assert_eq!(refused.problem(), (409, "role_built_in"), "{name}");
        }
        let refused = process.post_as(&admin, &format!("{ROLES}/{name}/delete"), json!({})).await;
        assert_eq!(refused.problem(), (409, "role_built_in"), "{name}");
    }
    let permissions = process.get("/api/v1/admin/permissions", &admin).await.body;
    let permissions = permissions["items"].as_array().unwrap();
    assert_eq!(permissions.len(), identity::permissions::ALL.len());
    assert!(permissions.iter().all(|one| !one["description"].as_str().unwrap().is_empty()));
}

async fn a_role_that_is_removed_this_instant_is_not_there(database: TestDatabase) {
    let process = std::sync::Arc::new(process(&database).await);
    let (_, admin) = process.staff("admin", &["Admin"]).await;
    let (amal, _) = process.staff("amal", &[]).await;
    let amal = format!("/api/v1/admin/users/{}/roles", amal.0);
    let give = json!({ "role": "Teller", "reason": "a test" });
    let more = json!({ "permissions": ["audit:read"], "reason": "a test" });
    for (path, body) in [
        (format!("{ROLES}/Teller/add-permissions"), more),
        (format!("{ROLES}/Teller/remove-permissions"), json!({ "permissions": ["users:read"] })),
        (format!("{ROLES}/Teller/delete"), json!({})),
        (amal, give),
    ] {
        assert_eq!(process.post_as(&admin, ROLES, teller()).await.status, 201);
        // Somebody removes it after it was looked at and before it is changed.
        let tx = process.store.begin().await.unwrap();
        for sql in [
            "delete from role_permissions where role = 'Teller'",
            "delete from roles where name = 'Teller'",
        ] {
            tx.execute_unprepared(sql).await.unwrap();
        }
        let asking = {
            let (process, admin, path) = (process.clone(), admin.clone(), path.clone());
            tokio::spawn(async move { process.post_as(&admin, &path, body).await })
        };
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert!(!asking.is_finished(), "{path}: it waits for whoever removes the role");
        tx.commit().await.unwrap();
        assert_eq!(asking.await.unwrap().problem(), (404, "not_found"), "{path}");
    }
}

async fn staff_make_roles_and_give_them(database: TestDatabase) {
    let process = process(&database).await;
    let (_, admin) = process.staff("admin", &["Admin"]).await;
    let (amal, _) = process.staff("amal", &[]).await;
    let made = process.post_as(&admin, ROLES, teller()).await;
    assert_eq!(made.status, 201, "{}", made.body);
    assert_eq!(made.body["isBuiltIn"], false);
    assert_eq!(permissions(&process, "amal").await, json!([]));
    let given = give(&process, &admin, amal, "Teller").await;
    let held = json!([{ "role": "Teller", "grantedAt": "2026-11-23T09:30:00Z" }]);
    assert_eq!((given.status, &given.body["items"]), (200, &held));
    assert_eq!(permissions(&process, "amal").await, json!(["users:read", "users:write"]));
    let widened = change(&process, &admin, "Teller", "add", &["audit:read"]).await;
    assert_eq!(widened.body["permissions"], json!(["audit:read", "users:read", "users:write"]));
    let narrowed = change(&process, &admin, "Teller", "remove", &["users:write"]).await;
    assert_eq!(narrowed.body["permissions"], json!(["audit:read", "users:read"]));
    assert_eq!(permissions(&process, "amal").await, json!(["audit:read", "users:read"]));
    assert_eq!(take(&process, &admin, amal, "Teller").await.body["items"], json!([]));
    assert_eq!(permissions(&process, "amal").await, json!([]));
    // Once more changes nothing, and is told to nobody.
    assert_eq!(take(&process, &admin, amal, "Teller").await.status, 200);
    let events = process.events().await;
    let types = events.iter().map(|event| event.event_type.as_str());
    let types: Vec<_> = types.filter(|one| one.contains("role")).collect();
    assert_eq!(
        types,
        [
            "identity.role_created",
            "identity.role_granted",
            "identity.role_widened",
            "identity.role_narrowed",
            "identity.role_taken"
        ]
    );
}

async fn nobody_gives_what_they_do_not_have(database: TestDatabase) {
    let process = process(&database).await;
    let (_, admin) = process.staff("admin", &["Admin"]).await;
    let (amal, _) = process.staff("amal", &[]).await;
    let head = json!({
        "name": "Head", "description": "Leads.", "permissions": ["factors:reset", "roles:write", "users:read"],
    });
    assert_eq!(process.post_as(&admin, ROLES, head).await.status, 201);
    assert_eq!(process.post_as(&admin, ROLES, teller()).await.status, 201);
    let (_, head) = process.staff_with(&admin, "head", "Head").await;
    let refused = process.post_as(
        &head,
        ROLES,
        json!({
            "name": "Spy", "description": "Sees all.", "permissions": ["users:read", "audit:read"],
        }),
    );
    assert_eq!(refused.await.problem(), (403, "permission_not_held"));
    for role in ["Admin", "Customer", "Teller"] {
        let refused = give(&process, &head, amal, role).await;
        assert_eq!(refused.problem(), (403, "permission_not_held"), "{role}");
        let refused = take(&process, &head, amal, role).await;
        assert_eq!(refused.problem(), (403, "permission_not_held"), "{role}");
    }
    assert_eq!(give(&process, &head, amal, "Support").await.status, 200);
    for verb in ["add", "remove"] {
        let refused = change(&process, &head, "Teller", verb, &["users:write"]).await;
        assert_eq!(refused.problem(), (403, "permission_not_held"), "{verb}");
    }
    assert_eq!(change(&process, &head, "Teller", "remove", &["users:read"]).await.status, 200);
}

async fn nobody_promotes_themselves(database: TestDatabase) {
    let process = process(&database).await;
    let (id, admin) = process.staff("admin", &["Admin"]).await;
    assert_eq!(give(&process, &admin, id, "Auditor").await.problem(), (409, "own_account"));
    assert_eq!(take(&process, &admin, id, "Admin").await.problem(), (409, "own_account"));
    let (_, support) = process.staff("support", &["Support"]).await;
    assert_eq!(give(&process, &support, id, "Admin").await.problem(), (403, "forbidden"));
    assert_eq!(process.get(ROLES, &support).await.problem(), (403, "forbidden"));
}

async fn what_is_taken_back_counts_no_more_within_seconds(database: TestDatabase) {
    let here = process(&database).await;
    let there = Process::start(&database, &here.clock).await;
    let (_, admin) = here.staff("admin", &["Admin"]).await;
    assert_eq!(here.post_as(&admin, ROLES, teller()).await.status, 201);
    let path = "/api/v1/admin/users/search";
    let search = async |process: &Process, token: &str| {
        let body = json!({ "identifier": "nobody@example.com" });
        process.post_as(token, path, body).await.status
    };
    let gone = async |token: &str| {
        assert_eq!(search(&here, token).await, 401, "at once where it was taken");
        let began = Instant::now();
        while search(&there, token).await == 200 {
            assert!(began.elapsed() < Duration::from_secs(5), "it did not arrive");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    // A role is narrowed.
    let (amal, _) = here.staff("amal", &[]).await;
    give(&here, &admin, amal, "Teller").await;
    let tokens = here.log_in("amal@staff.example.com", PASSWORD).await.tokens();
    assert_eq!((search(&here, &tokens.0).await, search(&there, &tokens.0).await), (200, 200));
    change(&here, &admin, "Teller", "remove", &["users:read"]).await;
    gone(&tokens.0).await;
    // Nobody is signed out by it: the next tokens permit what there is now.
    let tokens = there.refresh(&tokens.1).await.tokens();
    assert_eq!(here.me(&tokens.0).await.body["permissions"], json!(["users:write"]));
    change(&here, &admin, "Teller", "add", &["users:read"]).await;
    let tokens = here.refresh(&tokens.1).await.tokens();
    assert_eq!((search(&here, &tokens.0).await, search(&there, &tokens.0).await), (200, 200));
    // A role is taken.
    take(&here, &admin, amal, "Teller").await;
    gone(&tokens.0).await;
    assert_eq!(search(&here, &admin).await, 200, "others are not concerned");
    let later = Process::start(&database, &here.clock).await;
    assert_eq!(search(&later, &tokens.0).await, 401);
}

async fn a_role_that_somebody_holds_stays(database: TestDatabase) {
    let process = process(&database).await;
    let (_, admin) = process.staff("admin", &["Admin"]).await;
    let (amal, _) = process.staff("amal", &[]).await;
    process.post_as(&admin, ROLES, teller()).await;
    give(&process, &admin, amal, "Teller").await;
    let delete =
        async || process.post_as(&admin, &format!("{ROLES}/Teller/delete"), json!({})).await;
    assert_eq!(delete().await.problem(), (409, "role_in_use"));
    let permits = permissions(&process, "amal").await;
    assert_eq!(permits, json!(["users:read", "users:write"]), "with all that it permits");
    take(&process, &admin, amal, "Teller").await;
    assert_eq!(delete().await.status, 204);
    assert_eq!(delete().await.problem(), (404, "not_found"));
    assert_eq!(give(&process, &admin, amal, "Teller").await.problem(), (404, "not_found"));
}

async fn roles_are_refused_that_are_none(database: TestDatabase) {
    let process = process(&database).await;
    let (_, admin) = process.staff("admin", &["Admin"]).await;
    assert_eq!(process.post_as(&admin, ROLES, teller()).await.status, 201);
    for taken in ["Teller", "teller", "ADMIN"] {
        let mut body = teller();
        body["name"] = json!(taken);
        let refused = process.post_as(&admin, ROLES, body).await;
        assert_eq!(refused.problem(), (409, "role_exists"), "{taken}");
    }
    for name in ["", "a b", "-a", "a-", "é", "a/b", &"a".repeat(41)] {
        let mut body = teller();
        body["name"] = json!(name);
        let refused = process.post_as(&admin, ROLES, body).await;
        assert_eq!(refused.pointers(), ["/name"], "{name}");
    }
    let unknown = json!({ "name": "X", "description": "x", "permissions": ["ledger:*"] });
    assert_eq!(process.post_as(&admin, ROLES, unknown).await.pointers(), ["/permissions"]);
    let refused = change(&process, &admin, "Teller", "add", &["ledger:*"]).await;
    assert_eq!(refused.pointers(), ["/permissions"]);
    let refused = change(&process, &admin, "Nothing", "add", &["users:read"]).await;
    assert_eq!(refused.problem(), (404, "not_found"));
    let nobody = UserId(uuid::Uuid::from_u128(1));
    assert_eq!(give(&process, &admin, nobody, "Teller").await.problem(), (404, "not_found"));
}

impl Process {
    /// A member of staff with a role that staff made.
    pub(crate) async fn staff_with(&self, admin: &str, name: &str, role: &str) -> (UserId, String) {
        let (id, _) = self.staff(name, &[]).await;
        assert_eq!(give(self, admin, id, role).await.status, 200);
        let signed_in = self.log_in(&format!("{name}@staff.example.com"), PASSWORD).await;
        (id, signed_in.tokens().0)
    }
}

async fn of_two_names_that_differ_in_case_one_is_taken(database: TestDatabase) {
    let process = std::sync::Arc::new(process(&database).await);
    let (_, admin) = process.staff("admin", &["Admin"]).await;
    let making: Vec<_> = ["Teller", "teller", "TELLER"]
        .map(|name| {
            let (process, admin, mut role) = (process.clone(), admin.clone(), teller());
            role["name"] = json!(name);
            tokio::spawn(async move { process.post_as(&admin, ROLES, role).await.status })
        })
        .into();
    let mut statuses = Vec::new();
    for one in making {
        statuses.push(one.await.unwrap());
    }
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 409, 409]);
}
