//! Whoever changes the books behind the engine's back is found out.

use crate::world::*;
use ledger::Finding;
use ledger_api::Ledger as _;
use store::testing::TestDatabase;

store::on_every_store! {
    a_sound_ledger_has_no_findings,
    every_kind_of_tampering_is_found_where_it_is,
    progress_reaches_the_end,
}

/// Accounts are numbers 1, 2 and 4, transactions 3, 5, 6 and 7.
async fn small_world(database: &TestDatabase) -> World {
    let world = World::new(database).await.with_customers(3, 100).await;
    world.ledger.post(transfer(11, 2, 3, 30)).await.unwrap();
    world.ledger.post(transfer(12, 3, 2, 50)).await.unwrap();
    world
}

async fn a_sound_ledger_has_no_findings(database: TestDatabase) {
    let world = small_world(&database).await;
    let report = world.verify_clean().await;
    assert_eq!((report.accounts, report.transactions, report.entries), (3, 4, 8));
    assert_eq!(report.findings_total, 0);
}

/// SQL that a tamperer runs, and the sequence numbers that must be named.
const TAMPERINGS: &[(&str, &[i64])] = &[
    ("update entries set amount = 31 where transaction_sequence = 6 and leg_no = 0", &[2, 6, 7]),
    ("update entries set amount = -amount where transaction_sequence = 6", &[2, 4, 6]),
    // Both legs, so that the sum still is zero.
    ("update entries set amount = amount * 2 where transaction_sequence = 6", &[2, 4, 6]),
    ("update entries set balance_after = 71 where transaction_sequence = 6 and leg_no = 0", &[6]),
    ("update entries set account_sequence = 4 where transaction_sequence = 6", &[2, 4, 6]),
    (
        "update entries set account_sequence = 99 where transaction_sequence = 6 and leg_no = 0",
        &[6],
    ),
    ("delete from entries where transaction_sequence = 6 and leg_no = 0", &[2, 6]),
    ("delete from entries where transaction_sequence = 6 and leg_no = 1", &[4, 6]),
    ("delete from entries where transaction_sequence = 6", &[2, 4, 6]),
    ("update entries set leg_no = 5 where transaction_sequence = 6 and leg_no = 1", &[6]),
    ("delete from transactions where sequence = 6", &[6]),
    (
        "delete from transactions where sequence = 7; \
      delete from entries where transaction_sequence = 7",
        &[2, 4, 7],
    ),
    ("delete from accounts where sequence = 4", &[4]),
    ("delete from account_states where account_sequence = 4", &[4]),
    ("insert into entries values (6, 2, 1, 5, 205)", &[1, 6]),
    ("insert into entries values (6, 2, 1, 5, 205), (6, 3, 1, -5, 200)", &[1]),
    ("insert into entries values (2, 0, 1, 5, 205), (2, 1, 1, -5, 200)", &[2]),
    ("insert into entries values (8, 0, 1, 5, 205), (8, 1, 1, -5, 200)", &[8]),
    ("insert into entries values (0, 0, 1, 5, 5)", &[0]),
    (
        "insert into transactions select 8, accounts.id, 'gift', null, null, null, 0, 0 \
      from accounts where sequence = 1",
        &[8],
    ),
    (
        "insert into transactions select 2, accounts.id, 'gift', null, null, null, 0, 0 \
      from accounts where sequence = 1",
        &[2],
    ),
    (
        "insert into accounts select 9, transactions.id, 'mine', 0 \
      from transactions where sequence = 3",
        &[9],
    ),
    (
        "insert into account_states (account_sequence, currency_code, normal_side, status) \
      values (77, 'MAD', 1, 'open')",
        &[77],
    ),
    (
        "update account_states set posted_credits = posted_credits + 1 where account_sequence = 2",
        &[2],
    ),
    (
        "update account_states set posted_credits = posted_credits + 5, \
      posted_debits = posted_debits + 5 where account_sequence = 2",
        &[2],
    ),
    ("update account_states set pending_debits = 1 where account_sequence = 2", &[2]),
    ("update account_states set pending_credits = 1 where account_sequence = 2", &[2]),
    ("update account_states set normal_side = 1 where account_sequence = 1", &[3, 5]),
    ("update account_states set currency_code = 'EUR' where account_sequence = 4", &[5, 6, 7]),
    ("update account_states set currency_code = 'ZZZ' where account_sequence = 4", &[4]),
    ("update transactions set recorded_at = 0 where sequence = 6", &[6]),
    ("update accounts set opened_at = opened_at + 1 where sequence = 4", &[5]),
    ("update journal_head set last_sequence = 6", &[7]),
    ("update journal_head set last_sequence = 8", &[8]),
];

async fn every_kind_of_tampering_is_found_where_it_is(database: TestDatabase) {
    let world = small_world(&database).await;
    let triggers: &[&str] = if database.postgres_url().is_some() {
        &[
            "alter table accounts disable trigger all",
            "alter table transactions disable trigger all",
            "alter table entries disable trigger all",
        ]
    } else {
        &[
            "drop trigger accounts_refuse_update",
            "drop trigger accounts_refuse_delete",
            "drop trigger transactions_refuse_update",
            "drop trigger transactions_refuse_delete",
            "drop trigger entries_refuse_update",
            "drop trigger entries_refuse_delete",
            // Not every version of the schema has these.
            "drop trigger if exists accounts_refuse_replace",
            "drop trigger if exists transactions_refuse_replace",
            "drop trigger if exists entries_refuse_replace",
        ]
    };
    let tables = ["accounts", "account_states", "transactions", "entries", "journal_head"];
    for sql in triggers {
        world.tamper(sql).await.unwrap();
    }
    for table in tables {
        world.tamper(&format!("create table kept_{table} as select * from {table}")).await.unwrap();
    }
    for (sql, expected) in TAMPERINGS {
        world.tamper(sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
        let report = ledger::verify(&world.store, |_, _| ()).await.unwrap();
        for sequence in *expected {
            assert!(names(&report.findings, *sequence), "{sql}: {:?}", report.findings);
        }
        assert_eq!(report.findings_total, report.findings.len() as u64);
        for table in tables {
            let restore =
                format!("delete from {table}; insert into {table} select * from kept_{table}");
            world.tamper(&restore).await.unwrap();
        }
    }
    world.verify_clean().await;
}

fn names(findings: &[Finding], sequence: i64) -> bool {
    findings.iter().any(|finding| finding.sequence == sequence)
}

async fn progress_reaches_the_end(database: TestDatabase) {
    let world = small_world(&database).await;
    let mut seen = Vec::new();
    ledger::verify(&world.store, |at, last| seen.push((at, last))).await.unwrap();
    assert_eq!(seen, [(7, 7)]);
}
