use crate::support::{PASSWORD, Process, amina, clock, youssef};
use serde_json::{Value, json};
use store::sea_orm::ConnectionTrait;
use store::testing::TestDatabase;

store::on_every_store! {
    roles_bundle_permissions,
    the_tables_are_the_truth_at_sign_in,
}

async fn permissions(process: &Process, email: &str) -> Value {
    let (access, _) = process.log_in(email, PASSWORD).await.tokens();
    process.me(&access).await.body["permissions"].clone()
}

async fn roles_bundle_permissions(database: TestDatabase) {
    let process = Process::start(&database, &clock()).await;
    process.identity.register_with_roles(amina(), &["Auditor", "Customer"]).await.unwrap();
    let held = permissions(&process, "amina@example.com").await;
    assert_eq!(held, json!(["audit:read", "ledger:read", "wallet:read", "wallet:write"]));
    process.identity.register_with_roles(youssef(), &["Admin"]).await.unwrap();
    let held = permissions(&process, "youssef@example.com").await;
    let mut all: Vec<_> = identity::permissions::ALL.iter().map(|one| one.0).collect();
    all.retain(|permission| *permission != "cards:detokenize");
    all.sort_unstable();
    assert_eq!(held, json!(all));
}

async fn the_tables_are_the_truth_at_sign_in(database: TestDatabase) {
    let clock = clock();
    let process = Process::start(&database, &clock).await;
    process.register_amina().await;
    let tx = process.store.begin().await.unwrap();
    for sql in [
        "delete from role_permissions where role = 'Customer' and permission = 'wallet:write'",
        "insert into role_permissions values ('Customer', 'ledger:write')",
        "insert into roles values ('Teller', 'Made by the operator.')",
        "insert into role_permissions values ('Teller', 'users:read')",
        "insert into user_roles select id, 'Teller', 0 from users",
    ] {
        tx.execute_unprepared(sql).await.unwrap();
    }
    tx.commit().await.unwrap();
    let held = permissions(&process, "amina@example.com").await;
    assert_eq!(held, json!(["ledger:write", "users:read", "wallet:read"]));

    let (before, _) = process.log_in("amina@example.com", PASSWORD).await.tokens();
    // A start puts the built-in roles right and leaves the others alone.
    let restarted = Process::start(&database, &clock).await;
    let held = permissions(&restarted, "amina@example.com").await;
    assert_eq!(held, json!(["users:read", "wallet:read", "wallet:write"]));
    // What it takes is taken at once, and written down.
    assert_eq!(restarted.me(&before).await.problem(), (401, "unauthenticated"));
    assert_eq!(restarted.audited("built_in_role_narrowed").await, 1);
}
