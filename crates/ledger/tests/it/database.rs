//! What the database itself refuses, behind the engine.

use crate::world::*;
use ledger_api::{AccountStatus, Ledger as _, NewTransaction};
use std::collections::BTreeMap;
use std::time::Duration;
use store::testing::TestDatabase;

store::on_every_store! {
    the_journal_cannot_be_changed,
    no_state_below_its_limit_can_be_stored,
}

async fn the_journal_cannot_be_changed(database: TestDatabase) {
    let world = World::new(&database).await.with_customers(3, 100).await;
    let frozen = change(3, AccountStatus::Frozen, "lost card");
    world.ledger.change_status(frozen).await.unwrap();
    // Something in each of the other tables, and a mark on the settlement account's list.
    world.ledger.set_limits(limits(2, &[daily(1_000)])).await.unwrap();
    world.ledger.hold(hold(1, 2, 1, 10)).await.unwrap();
    world.ledger.capture(capture(99, 1, Some(4))).await.unwrap();
    world.ledger.release(voided(1)).await.unwrap();
    let trimmed = |id| NewTransaction {
        effective_at: Some(noon().minus(Duration::from_secs(86_400))),
        metadata: BTreeMap::from([("order".into(), "42".into())]),
        ..transfer(id, 1, 2, 1)
    };
    world.ledger.post_all((100..164).map(trimmed).collect()).await.unwrap();
    let mut refused = vec![
        "update accounts set name = 'Mine'",
        "update accounts set id = id where sequence = 1",
        "delete from accounts where sequence = 1",
        "update transactions set description = 'Gift'",
        "update transactions set recorded_at = 0",
        "update transactions set initiated_by = id",
        "update holds set initiated_by = id",
        "update hold_changes set initiated_by = null",
        "delete from transactions",
        "update entries set amount = amount * 2",
        "update entries set balance_after = balance_after",
        "delete from entries",
        "update account_changes set reason = 'found'",
        "update account_changes set status = 'open'",
        "update account_changes set changed_at = changed_at where sequence = 6",
        "delete from account_changes",
        "delete from account_changes where sequence = 6",
        "insert into account_changes select * from account_changes",
        "insert into accounts (sequence, id, name, opened_at) \
         select sequence, id, name, opened_at from accounts where sequence = 1",
    ];
    if database.postgres_url().is_some() {
        refused.extend([
            "truncate accounts",
            "truncate account_changes",
            "truncate transactions",
            "truncate entries",
            "insert into account_changes select * from account_changes \
             on conflict (sequence) do update set reason = 'found'",
        ]);
    } else {
        refused.extend([
            "replace into accounts select * from accounts",
            "replace into account_changes select * from account_changes",
            "replace into account_changes values (6, 4, 'open', 'x', 0)",
            "replace into transactions select * from transactions",
            "replace into entries select * from entries",
            "insert or replace into transactions \
             select sequence, id, 'x', null, null, null, null, 0, 0, null, null \
             from transactions",
        ]);
    }
    let mut refused: Vec<String> = refused.into_iter().map(str::to_owned).collect();
    for (table, column) in [
        ("limit_changes", "limits"),
        ("holds", "tolerance"),
        ("hold_legs", "amount"),
        ("hold_changes", "status"),
        ("transaction_metadata", "value"),
        ("entry_marks", "entry_key"),
        ("shifted_entries", "amount"),
        ("journal_groups", "recorded_at"),
    ] {
        assert!(world.number(&format!("select count(*) from {table}")).await > 0, "{table}");
        refused.push(format!("update {table} set {column} = {column}"));
        refused.push(format!("delete from {table}"));
        refused.push(format!("insert into {table} select * from {table}"));
        refused.push(match database.postgres_url() {
            Some(_) => format!("truncate {table}"),
            None => format!("replace into {table} select * from {table}"),
        });
    }
    for sql in &refused {
        let error = world.tamper(sql).await.expect_err(sql);
        let text = format!("{error:?}").to_lowercase();
        assert!(text.contains("append-only") || text.contains("unique"), "{sql}: {text}");
    }
    assert_eq!(world.verify_clean().await.transactions, 2 + 1 + 64);
    // The refusals took nothing from the engine.
    world.ledger.change_status(change(3, AccountStatus::Open, "found")).await.unwrap();
    world.ledger.post(transfer(7, 2, 3, 100)).await.unwrap();
}

async fn no_state_below_its_limit_can_be_stored(database: TestDatabase) {
    let world = World::new(&database).await.with_customers(2, 100).await;
    for change in [
        "posted_debits = 101",
        "posted_debits = -1",
        "pending_debits = 101",
        "lowest_available = 1",
        "lowest_available = 101",
        "status = 'gone'",
        "normal_side = 0",
        "currency_code = 'MADX'",
    ] {
        let sql = format!("update account_states set {change} where lowest_available = 0");
        let error = world.tamper(&sql).await.expect_err(change);
        let text = format!("{error:?}").to_lowercase();
        assert!(text.contains("check"), "{change}: {text}");
    }
    // At the limit, and for an account without one, it is not in the way.
    let at_limit = "update account_states set posted_debits = 100 where lowest_available = 0";
    world.tamper(at_limit).await.unwrap();
    let unlimited =
        "update account_states set posted_credits = 9000000 where lowest_available is null";
    world.tamper(unlimited).await.unwrap();
}
