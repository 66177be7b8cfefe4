//! The history is whole from the first record on, and whoever rewrites it is found out.

use crate::world::*;
use ledger::{CheckpointPolicy, CheckpointSigner, Finding, Verification};
use ledger_api::{AccountStatus, Ledger as _, NewTransaction};
use std::time::Duration;
use store::testing::TestDatabase;

store::on_every_store! {
    whoever_rewrites_a_record_and_all_that_follows_from_it_breaks_the_chain,
    tampering_with_the_history_itself_is_found,
    a_rewritten_history_does_not_match_what_was_signed,
    only_what_came_after_a_checkpoint_is_read,
    a_checkpoint_is_signed_when_it_is_due_and_by_one_process,
    a_history_that_is_behind_is_made_before_anything_is_posted,
}

const NOW: CheckpointPolicy = CheckpointPolicy { every: Duration::ZERO, records: 1 };

/// A record of each kind, 600 transfers in groups of 200, and a checkpoint after each group.
async fn long_world(database: &TestDatabase) -> World {
    let world = World::new(database).await.with_customers(4, 10_000).await;
    world.ledger.set_limits(limits(2, &[daily(1_000_000)])).await.unwrap();
    world.ledger.hold(hold(1, 2, 1, 10)).await.unwrap();
    world.ledger.capture(capture(99, 1, Some(4))).await.unwrap();
    world.ledger.release(voided(1)).await.unwrap();
    world.ledger.change_status(change(4, AccountStatus::Frozen, "lost card")).await.unwrap();
    for group in 0..3 {
        let batch = (0..200).map(|number| transfer(100 + group * 200 + number, 1, 2, 5)).collect();
        world.ledger.post_all(batch).await.unwrap();
        world.ledger.sign_checkpoint(NOW).await.unwrap();
    }
    world
}

/// Lets the journal's tables be changed.
async fn unlocked(database: &TestDatabase, world: &World, tables: &[&str]) {
    for table in tables {
        if database.postgres_url().is_some() {
            world.tamper(&format!("alter table {table} disable trigger all")).await.unwrap();
        } else {
            for kind in ["update", "delete"] {
                world.tamper(&format!("drop trigger {table}_refuse_{kind}")).await.unwrap();
            }
        }
    }
}

async fn findings(world: &World, verification: &Verification) -> Vec<Finding> {
    ledger::verify(&world.store, verification, |_, _| ()).await.unwrap().findings
}

fn says(findings: &[Finding], sequence: i64, text: &str) -> bool {
    findings.iter().any(|finding| finding.sequence == sequence && finding.what.contains(text))
}

/// Changes that leave every sum, balance and status right: only the history can tell.
async fn whoever_rewrites_a_record_and_all_that_follows_from_it_breaks_the_chain(
    database: TestDatabase,
) {
    let world = long_world(&database).await;
    world.verify_clean().await;
    let records = world.number("select last_sequence from journal_head").await;
    let first_of_group = records - 599;
    let tables =
        ["accounts", "account_changes", "limit_changes", "holds", "hold_changes", "transactions"];
    unlocked(&database, &world, &tables).await;
    for table in tables.iter().chain(&["account_states"]) {
        world.tamper(&format!("create table kept_{table} as select * from {table}")).await.unwrap();
    }
    let restored = async |tables: &[&str]| {
        for table in tables {
            let restore =
                format!("delete from {table}; insert into {table} select * from kept_{table}");
            world.tamper(&restore).await.unwrap();
        }
        assert_eq!(findings(&world, &Verification::default()).await, []);
    };
    let raised = "set limits = replace(limits, '1000000', '2000000')";
    for (tables, sql, group) in [
        (&["accounts"][..], "update accounts set name = 'Mallory' where sequence = 2".into(), 2),
        (&["account_changes"], "update account_changes set reason = 'x'".into(), records - 600),
        (
            &["limit_changes", "account_states"],
            format!("update limit_changes {raised}; update account_states {raised}"),
            records - 604,
        ),
        (&["holds"], "update holds set kind = 'gift'".into(), records - 603),
        (&["hold_changes"], "update hold_changes set reason = 'x'".into(), records - 601),
    ] {
        world.tamper(&sql).await.unwrap();
        let found = findings(&world, &Verification::default()).await;
        assert!(says(&found, group, "the chain breaks here"), "{sql}: {found:?}");
        restored(tables).await;
    }
    for change in ["kind = 'gift'", "description = 'gift'", "reference = 'gift'"] {
        let sql = format!("update transactions set {change} where sequence = {first_of_group}");
        world.tamper(&sql).await.unwrap();
        let found = findings(&world, &Verification::default()).await;
        assert!(says(&found, records - 400, "the chain breaks here"), "{change}: {found:?}");
        restored(&["transactions"]).await;
    }
    // Two neighbours that say the same change places: ids alone tell them apart.
    let swap = |one: i64, other: i64| {
        format!(
            "update transactions set sequence = 0 where sequence = {one}; \
             update transactions set sequence = {one} where sequence = {other}; \
             update transactions set sequence = {other} where sequence = 0"
        )
    };
    world.tamper(&swap(records, records - 1)).await.unwrap();
    let found = findings(&world, &Verification::default()).await;
    assert!(says(&found, records, "the chain breaks here"), "{found:?}");
    world.tamper(&swap(records, records - 1)).await.unwrap();
    world.verify_clean().await;
}

async fn tampering_with_the_history_itself_is_found(database: TestDatabase) {
    let world = long_world(&database).await;
    let records = world.number("select last_sequence from journal_head").await;
    let tables = ["journal_groups", "tree_nodes", "checkpoints", "checkpoint_keys"];
    unlocked(&database, &world, &tables).await;
    let tables: Vec<_> = tables.iter().chain(&["journal_head"]).collect();
    for table in &tables {
        world.tamper(&format!("create table kept_{table} as select * from {table}")).await.unwrap();
    }
    let groups = world.number("select count(*) from journal_groups").await;
    assert!(groups > 10);
    let older = "(select link from journal_groups where last_sequence = 2)";
    for (sql, sequence, what) in [
        (format!("update journal_groups set link = {older} where last_sequence = 3"), 3, "breaks"),
        ("update journal_groups set recorded_at = 0 where last_sequence = 3".into(), 3, "instant"),
        ("delete from journal_groups where last_sequence = 3".into(), 4, "breaks"),
        (
            "update tree_nodes set root = (select link from journal_head) where node_index = 1"
                .into(),
            512,
            "root",
        ),
        ("delete from tree_nodes where node_index = 0".into(), 256, "root"),
        (
            "insert into tree_nodes select 16, 0, root from tree_nodes where node_index = 0".into(),
            records,
            "roots are stored",
        ),
        (
            "insert into tree_nodes select 8, 7, root from tree_nodes where node_index = 0".into(),
            records,
            "roots are stored",
        ),
        (format!("update journal_head set link = {older}"), records, "another link"),
        ("update journal_head set tree_size = tree_size - 1".into(), records, "another tree"),
        ("update journal_head set tree_peaks = link".into(), records, "another tree"),
        (
            format!(
                "update checkpoints set note = replace(note, '{records}', '7') where tree_size = {records}"
            ),
            records,
            "no known key",
        ),
        (
            format!("update checkpoints set tree_size = {records} - 1 where tree_size = {records}"),
            records - 1,
            "not those of the signed",
        ),
        (
            format!("update checkpoints set tree_size = {records} + 1 where tree_size = {records}"),
            records + 1,
            "outside",
        ),
        ("delete from checkpoint_keys".into(), records, "no known key"),
    ] {
        world.tamper(&sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
        let found = findings(&world, &Verification::default()).await;
        assert!(says(&found, sequence, what), "{sql}: {found:?}");
        for table in &tables {
            let restore =
                format!("delete from {table}; insert into {table} select * from kept_{table}");
            world.tamper(&restore).await.unwrap();
        }
    }
    world.verify_clean().await;
}

/// Somebody with the database, but without the key, writes a new history that adds up.
async fn a_rewritten_history_does_not_match_what_was_signed(database: TestDatabase) {
    let world = long_world(&database).await;
    let records = world.number("select last_sequence from journal_head").await;
    let kept = ledger::verify(&world.store, &Verification::default(), |_, _| ()).await.unwrap();
    let kept = kept.checkpoint.unwrap();
    let tables = ["transactions", "journal_groups", "tree_nodes", "checkpoints", "checkpoint_keys"];
    unlocked(&database, &world, &tables).await;
    // The history is forgotten and made anew, as for a database from before there was one.
    world
        .tamper(&format!(
            "update transactions set description = 'gift' where sequence = {records}; \
             update journal_groups set link = cast('' as {}); delete from tree_nodes; \
             update journal_head set tree_size = 0, tree_peaks = null, link = null",
            if database.postgres_url().is_some() { "bytea" } else { "blob" }
        ))
        .await
        .unwrap();
    ledger::catch_up(&world.store).await.unwrap();
    let found = findings(&world, &Verification::default()).await;
    assert!(says(&found, records, "not those of the signed checkpoint"), "{found:?}");
    // Without the checkpoints the database alone cannot tell; whoever kept one can.
    world.tamper("delete from checkpoints").await.unwrap();
    world.verify_clean().await;
    let since = Verification { keys: vec![signer().verifier_key()], since: Some(kept) };
    let found = findings(&world, &since).await;
    assert!(says(&found, records, "does not continue the checkpoint"), "{found:?}");
}

async fn only_what_came_after_a_checkpoint_is_read(database: TestDatabase) {
    let world = long_world(&database).await;
    let everything = Verification::default();
    let report = ledger::verify(&world.store, &everything, |_, _| ()).await.unwrap();
    let kept = report.checkpoint.unwrap();
    let since = Verification { keys: vec![signer().verifier_key()], since: Some(kept.clone()) };
    // The accounts go on, and a new one joins them.
    world.ledger.post(transfer(2_000, 2, 3, 7)).await.unwrap();
    world.open(customer(5)).await;
    world.ledger.post(transfer(2_001, 3, 5, 7)).await.unwrap();
    let dated = NewTransaction { effective_at: Some(noon()), ..transfer(2_002, 5, 3, 1) };
    world.ledger.post(dated).await.unwrap();
    let report = ledger::verify(&world.store, &since, |_, _| ()).await.unwrap();
    assert_eq!(report.findings, []);
    assert_eq!((report.accounts, report.transactions, report.entries), (1, 3, 6));
    assert_eq!(report.checkpoint.as_ref(), Some(&kept), "nothing newer was signed");
    // What stands before that checkpoint is not read, so it is not gone on from either.
    unlocked(&database, &world, &["checkpoints"]).await;
    let older = "delete from checkpoints where tree_size > 300";
    world.tamper(older).await.unwrap();
    let report = ledger::verify(&world.store, &since, |_, _| ()).await.unwrap();
    assert_eq!(report.checkpoint.as_ref(), Some(&kept), "the older one was not verified");
    world.ledger.sign_checkpoint(NOW).await.unwrap();
    let report = ledger::verify(&world.store, &since, |_, _| ()).await.unwrap();
    let newest = report.checkpoint.unwrap();
    assert_ne!(newest, kept);
    let last = world.number("select last_sequence from journal_head").await;
    unlocked(&database, &world, &["transactions", "entries"]).await;
    let both_legs = format!("where entry_key / 1024 = {last}");
    let one_leg = format!("where entry_key = {last} * 1024 + 1");
    for (filter, change, back, what) in [
        (&both_legs, "amount = amount * 2", "amount = amount / 2", "running balance"),
        (&one_leg, "amount = -amount", "amount = -amount", "differ"),
        (
            &both_legs,
            "balance_after = balance_after + 1",
            "balance_after = balance_after - 1",
            "stand where",
        ),
    ] {
        world.tamper(&format!("update entries set {change} {filter}")).await.unwrap();
        let found = findings(&world, &since).await;
        assert!(found.iter().any(|one| one.what.contains(what)), "{change}: {found:?}");
        world.tamper(&format!("update entries set {back} {filter}")).await.unwrap();
        assert_eq!(findings(&world, &since).await, []);
    }
    // A row that does not have its last entry, and agrees with the one before it.
    let columns = "account_sequence = (select account_sequence from entries \
                   where entry_key = (select last_sequence * 1024 + 1 from journal_head))";
    let amount = "(select abs(amount) from entries \
                  where entry_key = (select last_sequence * 1024 + 1 from journal_head))";
    let previous = "(select previous from entries \
                    where entry_key = (select last_sequence * 1024 + 1 from journal_head))";
    let newest = "(select last_sequence * 1024 + 1 from journal_head)";
    for (sign, last_entry, is_sound) in [("-", previous, false), ("+", newest, true)] {
        let sql = format!(
            "update account_states set posted_credits = posted_credits {sign} {amount}, \
             last_entry = {last_entry} where {columns}"
        );
        world.tamper(&sql).await.unwrap();
        let found = findings(&world, &since).await;
        let is_found = found.iter().any(|one| one.what.contains("stand where"));
        assert_eq!(is_found, !is_sound, "{found:?}");
    }
    let sql = format!("update transactions set kind = 'gift' where sequence = {last}");
    world.tamper(&sql).await.unwrap();
    let found = findings(&world, &since).await;
    assert!(says(&found, last, "the chain breaks here"), "{found:?}");
    // Neither somebody else's checkpoint nor one of another history is gone on from.
    let other = CheckpointSigner::try_new("test/ledger", &[8; 32]).unwrap().verifier_key();
    let by_other = Verification { keys: vec![other], since: Some(kept) };
    assert!(says(&findings(&world, &by_other).await, 0, "no known key"));
}

async fn a_checkpoint_is_signed_when_it_is_due_and_by_one_process(database: TestDatabase) {
    let world = World::new(&database).await;
    let count = "select count(*) from checkpoints";
    let policy = CheckpointPolicy { every: Duration::from_secs(60), records: 3 };
    world.ledger.sign_checkpoint(policy).await.unwrap();
    assert_eq!(world.number(count).await, 0, "nothing to sign in an empty journal");
    world.open(settlement(1)).await;
    world.open(customer(2)).await;
    world.ledger.sign_checkpoint(policy).await.unwrap();
    let signed = world.number(count).await;
    assert_eq!(signed, 1);
    // Not yet: neither time nor records.
    world.ledger.post(transfer(1, 1, 2, 5)).await.unwrap();
    world.ledger.sign_checkpoint(policy).await.unwrap();
    assert_eq!(world.number(count).await, signed);
    world.ledger.post(transfer(2, 1, 2, 5)).await.unwrap();
    world.ledger.post(transfer(3, 1, 2, 5)).await.unwrap();
    for _ in 0..2 {
        world.ledger.sign_checkpoint(policy).await.unwrap();
        assert_eq!(world.number(count).await, signed + 1, "three records");
    }
    world.clock.advance(Duration::from_secs(61));
    world.ledger.sign_checkpoint(policy).await.unwrap();
    assert_eq!(world.number(count).await, signed + 1, "nothing came since");
    world.ledger.post(transfer(4, 1, 2, 5)).await.unwrap();
    let (one, other) = (world.ledger.clone(), world.ledger.clone());
    let (one, other) = tokio::join!(one.sign_checkpoint(policy), other.sign_checkpoint(policy));
    one.unwrap();
    other.unwrap();
    assert_eq!(world.number(count).await, signed + 2, "a minute");
    world.verify_clean().await;
}

async fn a_history_that_is_behind_is_made_before_anything_is_posted(database: TestDatabase) {
    let world = long_world(&database).await;
    unlocked(&database, &world, &["tree_nodes"]).await;
    let kept = "select count(*) from tree_nodes";
    let nodes = world.number(kept).await;
    world
        .tamper(
            "delete from tree_nodes; \
             update journal_head set tree_size = 0, tree_peaks = null",
        )
        .await
        .unwrap();
    // A process that has not made it refuses to post rather than to leave a hole.
    assert!(world.ledger.post(transfer(5_000, 1, 2, 5)).await.is_err());
    ledger::catch_up(&world.store).await.unwrap();
    assert_eq!(world.number(kept).await, nodes);
    world.verify_clean().await;
    world.ledger.post(transfer(5_000, 1, 2, 5)).await.unwrap();
    world.verify_clean().await;
}
