//! Whoever changes the books behind the engine's back is found out.

use crate::world::*;
use ledger::Finding;
use ledger_api::{AccountStatus, HoldRelease, Ledger as _, NewHold, NewTransaction};
use std::time::Duration;
use store::testing::TestDatabase;

store::on_every_store! {
    a_sound_ledger_has_no_findings,
    every_kind_of_tampering_is_found_where_it_is,
    tampered_statuses_and_reversals_are_found,
    tampered_holds_limits_and_lists_are_found,
    tampered_initiators_are_found,
    progress_reaches_the_end,
}

/// Accounts are numbers 1, 2 and 4, transactions 3, 5, 6 and 7.
async fn small_world(database: &TestDatabase) -> World {
    let world = World::new(database).await.with_customers(3, 100).await;
    world.ledger.post(transfer(11, 2, 3, 30)).await.unwrap();
    world.ledger.post(transfer(12, 3, 2, 50)).await.unwrap();
    world
}

/// Then account 2 (number 2) is frozen and unfrozen at 8 and 9; 10 and 11 take back 20 and 10 of
/// the transaction at 6, 12 opens an account that 13 closes.
async fn eventful_world(database: &TestDatabase) -> World {
    let world = small_world(database).await;
    for to in [AccountStatus::Frozen, AccountStatus::Open] {
        world.ledger.change_status(change(2, to, "lost card")).await.unwrap();
    }
    world.ledger.reverse(reversal(13, 11, Some(20))).await.unwrap();
    world.ledger.reverse(reversal(14, 11, None)).await.unwrap();
    world.open(customer(4)).await;
    world.ledger.change_status(change(4, AccountStatus::Closed, "unused")).await.unwrap();
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
    ("update entries set amount = 31 where entry_key = 6 * 1024 + 0", &[2, 6, 7]),
    ("update entries set amount = -amount where entry_key / 1024 = 6", &[2, 4, 6]),
    // Both legs, so that the sum still is zero.
    ("update entries set amount = amount * 2 where entry_key / 1024 = 6", &[2, 4, 6]),
    ("update entries set balance_after = 71 where entry_key = 6 * 1024 + 0", &[6]),
    ("update entries set account_sequence = 4 where entry_key / 1024 = 6", &[2, 4, 6]),
    ("update entries set account_sequence = 99 where entry_key = 6 * 1024 + 0", &[6]),
    ("delete from entries where entry_key = 6 * 1024 + 0", &[2, 6]),
    ("delete from entries where entry_key = 6 * 1024 + 1", &[4, 6]),
    ("delete from entries where entry_key / 1024 = 6", &[2, 4, 6]),
    ("update entries set entry_key = 6 * 1024 + 5 where entry_key = 6 * 1024 + 1", &[6]),
    ("delete from transactions where sequence = 6", &[6]),
    (
        "delete from transactions where sequence = 7; \
      delete from entries where entry_key / 1024 = 7",
        &[2, 4, 7],
    ),
    ("delete from accounts where sequence = 4", &[4]),
    ("delete from account_states where account_sequence = 4", &[4]),
    ("insert into entries values (6146, 1, 5, 205, null)", &[1, 6]),
    ("insert into entries values (6146, 1, 5, 205, null), (6147, 1, -5, 200, null)", &[1]),
    ("insert into entries values (2048, 1, 5, 205, null), (2049, 1, -5, 200, null)", &[2]),
    ("insert into entries values (8192, 1, 5, 205, null), (8193, 1, -5, 200, null)", &[8]),
    ("insert into entries values (0, 1, 5, 5, null)", &[0]),
    (
        "insert into transactions select 8, accounts.id, 'gift', null, null, null, null, 0, 0, null, null \
      from accounts where sequence = 1",
        &[8],
    ),
    (
        "insert into transactions select 2, accounts.id, 'gift', null, null, null, null, 0, 0, null, null \
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

/// The same for what happened after that.
const LATER_TAMPERINGS: &[(&str, &[i64])] = &[
    ("update account_states set status = 'frozen' where account_sequence = 1", &[1]),
    ("update account_states set status = 'closed' where account_sequence = 2", &[2]),
    ("update account_states set status = 'open' where account_sequence = 12", &[12]),
    ("update account_changes set status = 'frozen' where sequence = 13", &[12]),
    ("update account_changes set status = 'frozen' where sequence = 9", &[2, 9]),
    ("update account_changes set status = 'closed' where sequence = 8", &[9]),
    // The status in the end is right, but the way there is none.
    ("update account_changes set status = 'open' where sequence = 8", &[8, 9]),
    ("update account_changes set account_sequence = 1 where sequence = 13", &[1, 12]),
    ("update account_changes set account_sequence = 99 where sequence = 13", &[12, 13]),
    ("update account_changes set changed_at = 0 where sequence = 9", &[9]),
    ("update account_changes set changed_at = changed_at + 1 where sequence = 8", &[9]),
    ("update account_changes set sequence = 14 where sequence = 13", &[12, 13, 14]),
    ("update account_changes set sequence = 0 where sequence = 8", &[0, 8]),
    ("update account_changes set sequence = 3 where sequence = 8", &[3, 8]),
    ("delete from account_changes where sequence = 13", &[12, 13]),
    ("delete from account_changes where sequence = 9", &[2, 9]),
    ("delete from account_changes", &[8, 12, 13]),
    ("insert into account_changes values (14, 1, 'frozen', 'x', 0)", &[14]),
    ("insert into account_changes values (6, 1, 'frozen', 'x', 0)", &[1, 6]),
    // A reversal of nothing, of a reversal, of itself, of what came later.
    (
        "update transactions set reverses = accounts.id from accounts \
      where transactions.sequence = 10 and accounts.sequence = 12",
        &[10],
    ),
    (
        "update transactions set reverses = o.id from transactions o \
      where transactions.sequence = 11 and o.sequence = 10",
        &[11],
    ),
    ("update transactions set reverses = id where sequence = 10", &[10]),
    (
        "update transactions set reverses = o.id from transactions o \
      where transactions.sequence = 3 and o.sequence = 6",
        &[3],
    ),
    // More than there was, and not of these accounts.
    (
        "update transactions set reverses = o.id from transactions o \
      where transactions.sequence = 7 and o.sequence = 6",
        &[7, 10, 11],
    ),
    (
        "update transactions set reverses = o.id from transactions o \
      where transactions.sequence = 10 and o.sequence = 3",
        &[10],
    ),
];

/// Accounts are numbers 1, 2 and 4. The hold at 6 is pending with 15 of 40 captured at 7; the one at 8 was
/// captured at 9, the one at 10 voided at 11, the one at 14 expired at 15. 12 and 13 set the limits
/// of account 2; 16 to 79 are transfers from account 1.
async fn held_world(database: &TestDatabase) -> World {
    let world = World::new(database).await.with_customers(3, 100).await;
    let ledger = &world.ledger;
    ledger.hold(NewHold { tolerance: 5, ..hold(1, 2, 3, 40) }).await.unwrap();
    ledger.capture(capture(21, 1, Some(15))).await.unwrap();
    ledger.hold(hold(2, 2, 1, 20)).await.unwrap();
    ledger.capture(capture(22, 2, None)).await.unwrap();
    ledger.hold(hold(3, 2, 1, 10)).await.unwrap();
    ledger.release(voided(3)).await.unwrap();
    ledger.set_limits(limits(2, &[daily(1_000)])).await.unwrap();
    ledger.set_limits(limits(2, &[daily(2_000)])).await.unwrap();
    let expires_at = Some(noon().plus(Duration::from_secs(1)));
    ledger.hold(NewHold { expires_at, ..hold(4, 2, 3, 5) }).await.unwrap();
    world.clock.advance(Duration::from_secs(1));
    assert_eq!(ledger.expire_holds(10).await.unwrap(), 1);
    ledger.post_all((100..164).map(|id| transfer(id, 1, 3, 1)).collect()).await.unwrap();
    world
}

/// The same for holds, limits and the lists of entries.
const HOLD_TAMPERINGS: &[(&str, &[i64])] = &[
    ("delete from holds where sequence = 6", &[6, 7]),
    ("delete from holds where sequence = 10", &[10, 11]),
    (
        "update holds set id = (select id from transactions where sequence = 16) where sequence = 6",
        &[7],
    ),
    ("update holds set tolerance = 0, sequence = 99 where sequence = 14", &[14, 15, 99]),
    ("update holds set created_at = created_at + 1 where sequence = 8", &[8]),
    ("update holds set expires_at = expires_at + 1 where sequence = 14", &[14]),
    ("update holds set expires_at = 5 where sequence = 6", &[6]),
    ("delete from hold_legs where hold_sequence = 6 and leg_no = 1", &[4, 6]),
    ("delete from hold_legs where hold_sequence = 8", &[8, 9]),
    ("update hold_legs set amount = amount + 1 where hold_sequence = 10 and leg_no = 0", &[10]),
    ("update hold_legs set amount = amount * 2 where hold_sequence = 6", &[2, 4]),
    ("update hold_legs set amount = -amount where hold_sequence = 8", &[9]),
    ("update hold_legs set amount = amount / 2 where hold_sequence = 8", &[9]),
    ("update hold_legs set account_sequence = 1 where hold_sequence = 6 and leg_no = 1", &[4, 7]),
    ("update hold_legs set account_sequence = 99 where hold_sequence = 10 and leg_no = 1", &[10]),
    ("update hold_legs set hold_sequence = 77 where hold_sequence = 10", &[10, 77]),
    ("insert into hold_legs values (6, 2, 2, 5, null)", &[6]),
    ("insert into hold_legs values (77, 0, 2, 5, null)", &[77]),
    ("update hold_legs set previous = null where hold_sequence = 10 and leg_no = 0", &[10]),
    ("update hold_legs set previous = 6 where hold_sequence = 14 and leg_no = 0", &[14]),
    ("update hold_legs set previous = 2 where hold_sequence = 6 and leg_no = 1", &[6]),
    ("delete from hold_states where hold_sequence = 6", &[6]),
    ("insert into hold_states values (77, 'pending', 0, null, null)", &[77]),
    ("update hold_states set captured = 14 where hold_sequence = 6", &[6]),
    ("update hold_states set captured = 1 where hold_sequence = 10", &[10]),
    ("update hold_states set status = 'captured', ended_by = 7 where hold_sequence = 6", &[2, 4]),
    ("update hold_states set status = 'voided', ended_by = 11 where hold_sequence = 6", &[6]),
    ("update hold_states set status = 'pending', ended_by = null where hold_sequence = 8", &[9]),
    ("update hold_states set status = 'pending', ended_by = null where hold_sequence = 10", &[10]),
    ("update hold_states set status = 'expired' where hold_sequence = 10", &[10]),
    ("update hold_states set ended_by = 10 where hold_sequence = 10", &[10]),
    ("update hold_states set expires_at = null where hold_sequence = 14", &[14]),
    ("delete from hold_changes where sequence = 11", &[10, 11]),
    ("update hold_changes set status = 'voided' where sequence = 15", &[14]),
    ("update hold_changes set hold_sequence = 6 where sequence = 11", &[6, 10]),
    ("update hold_changes set hold_sequence = 99 where sequence = 11", &[10, 11]),
    ("update hold_changes set changed_at = 0 where sequence = 11", &[11]),
    ("update hold_changes set sequence = 80 where sequence = 15", &[14, 15, 80]),
    ("insert into hold_changes values (80, 6, 'voided', null, 0, null)", &[80]),
    ("update transactions set captures = null where sequence = 9", &[8]),
    ("update transactions set captures = id where sequence = 7", &[6, 7]),
    (
        "update transactions set captures = h.id from holds h \
      where transactions.sequence = 20 and h.sequence = 6",
        &[6, 20],
    ),
    (
        "update transactions set captures = h.id from holds h \
      where transactions.sequence = 7 and h.sequence = 8",
        &[6, 7],
    ),
    // A hold is not captured before it is made.
    (
        "update transactions set captures = h.id from holds h \
      where transactions.sequence = 7 and h.sequence = 10",
        &[6, 7],
    ),
    ("delete from limit_changes where sequence = 13", &[2, 13]),
    ("delete from limit_changes", &[2, 12]),
    ("update limit_changes set limits = '{}' where sequence = 13", &[2]),
    ("update limit_changes set account_sequence = 4 where sequence = 13", &[2, 4]),
    ("update limit_changes set account_sequence = 99 where sequence = 13", &[2, 13]),
    ("update limit_changes set changed_at = changed_at + 1 where sequence = 12", &[12]),
    ("update limit_changes set sequence = 80 where sequence = 12", &[12, 80]),
    ("update account_states set limits = null where account_sequence = 2", &[2]),
    ("update account_states set limits = '{}' where account_sequence = 4", &[4]),
    ("update limit_usages set minor_units = minor_units + 1", &[2]),
    ("update limit_usages set uses = uses + 1", &[2]),
    ("update limit_usages set period_start = period_start + 1", &[2]),
    ("update limit_usages set counts_from = 13", &[2]),
    ("update limit_usages set account_sequence = 4", &[2, 4]),
    ("delete from limit_usages", &[2]),
    ("insert into limit_usages values (1, 'incoming month', 0, 1, 1, 12)", &[1]),
    ("update account_states set last_entry = null where account_sequence = 2", &[2]),
    ("update account_states set last_entry = last_entry + 1 where account_sequence = 4", &[4]),
    ("update account_states set entry_count = entry_count + 1 where account_sequence = 1", &[1]),
    ("update account_states set last_hold = null where account_sequence = 4", &[4]),
    ("update account_states set last_hold = 6 where account_sequence = 1", &[1]),
    ("update account_states set pending_debits = 24 where account_sequence = 2", &[2]),
    ("update account_states set pending_credits = 0 where account_sequence = 4", &[4]),
    ("delete from entry_marks where account_sequence = 1", &[1]),
    ("update entry_marks set entry_key = entry_key + 1024 where account_sequence = 1", &[1]),
    ("update entry_marks set account_sequence = 2 where account_sequence = 1", &[1, 2]),
    ("insert into entry_marks values (4, 5120)", &[4]),
    ("insert into entry_marks values (99, 5120)", &[99]),
    ("update entries set previous = null where entry_key = 7 * 1024", &[7]),
    ("update entries set previous = 1024 where entry_key = 3 * 1024", &[3]),
    ("update entries set previous = previous - 1024 where entry_key = 79 * 1024", &[79]),
    ("delete from journal_groups where last_sequence = 14", &[14]),
    ("delete from journal_groups", &[1, 79]),
    ("update journal_groups set recorded_at = recorded_at + 1 where last_sequence = 79", &[16, 79]),
    ("update journal_groups set last_sequence = 20 where last_sequence = 79", &[21, 79]),
    (
        "insert into journal_groups select 80, 0, link from journal_groups where last_sequence = 79",
        &[80],
    ),
    (
        "insert into journal_groups select 30, 0, link from journal_groups where last_sequence = 79",
        &[16, 30],
    ),
];

/// 7 and 8 were asked for by somebody, who had 8 released at 9; 3, 5 and 6, and 10, which 11 releases, by
/// nobody.
async fn attributed_world(database: &TestDatabase) -> World {
    let world = World::new(database).await.with_customers(3, 100).await;
    let (ledger, initiated_by) = (&world.ledger, Some(user(7)));
    ledger.post(transfer(11, 2, 3, 30)).await.unwrap();
    ledger.post(NewTransaction { initiated_by, ..transfer(12, 3, 2, 50) }).await.unwrap();
    ledger.hold(NewHold { initiated_by, ..hold(1, 2, 3, 40) }).await.unwrap();
    ledger.release(HoldRelease { initiated_by, ..voided(1) }).await.unwrap();
    ledger.hold(hold(2, 2, 3, 40)).await.unwrap();
    ledger.release(voided(2)).await.unwrap();
    world
}

/// Nothing but the history says who asked.
const INITIATOR_TAMPERINGS: &[(&str, &[i64])] = &[
    ("update transactions set initiated_by = null where sequence = 7", &[7]),
    ("update transactions set initiated_by = id where sequence = 7", &[7]),
    ("update transactions set initiated_by = id where sequence = 6", &[6]),
    ("update holds set initiated_by = null where sequence = 8", &[8]),
    ("update holds set initiated_by = id where sequence = 8", &[8]),
    ("update holds set initiated_by = id where sequence = 10", &[10]),
    ("update hold_changes set initiated_by = null where sequence = 9", &[9]),
    (
        "update hold_changes set initiated_by = (select id from holds where sequence = 8) \
      where sequence = 9",
        &[9],
    ),
    (
        "update hold_changes set initiated_by = (select id from holds where sequence = 8) \
      where sequence = 11",
        &[11],
    ),
];

async fn tampered_initiators_are_found(database: TestDatabase) {
    let world = attributed_world(&database).await;
    world.verify_clean().await;
    tampered(&database, world, INITIATOR_TAMPERINGS).await;
}

async fn tampered_holds_limits_and_lists_are_found(database: TestDatabase) {
    let world = held_world(&database).await;
    world.verify_clean().await;
    tampered(&database, world, HOLD_TAMPERINGS).await;
}

async fn every_kind_of_tampering_is_found_where_it_is(database: TestDatabase) {
    let world = small_world(&database).await;
    tampered(&database, world, TAMPERINGS).await;
}

async fn tampered_statuses_and_reversals_are_found(database: TestDatabase) {
    let world = eventful_world(&database).await;
    world.verify_clean().await;
    tampered(&database, world, LATER_TAMPERINGS).await;
}

/// Tables that triggers keep as they are.
const APPEND_ONLY: &[&str] = &[
    "accounts",
    "account_changes",
    "limit_changes",
    "holds",
    "hold_legs",
    "hold_changes",
    "transactions",
    "transaction_metadata",
    "entries",
    "entry_marks",
    "shifted_entries",
    "journal_groups",
    "tree_nodes",
    "checkpoints",
    "checkpoint_keys",
];

/// Tables whose rows change with the journal.
const CHANGING: &[&str] =
    &["account_states", "hold_states", "limit_usages", "shifted_days", "journal_head"];

async fn tampered(database: &TestDatabase, world: World, tamperings: &[(&str, &[i64])]) {
    for table in APPEND_ONLY {
        if database.postgres_url().is_some() {
            world.tamper(&format!("alter table {table} disable trigger all")).await.unwrap();
        } else {
            for kind in ["update", "delete"] {
                world.tamper(&format!("drop trigger {table}_refuse_{kind}")).await.unwrap();
            }
        }
    }
    let tables: Vec<_> = APPEND_ONLY.iter().chain(CHANGING).copied().collect();
    for table in &tables {
        world.tamper(&format!("create table kept_{table} as select * from {table}")).await.unwrap();
    }
    for (sql, expected) in tamperings {
        world.tamper(sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
        let report = ledger::verify(&world.store, &ledger::Verification::default(), |_, _| ())
            .await
            .unwrap();
        for sequence in *expected {
            assert!(names(&report.findings, *sequence), "{sql}: {:?}", report.findings);
        }
        assert_eq!(report.findings_total, report.findings.len() as u64);
        for table in &tables {
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
    ledger::verify(&world.store, &ledger::Verification::default(), |at, last| {
        seen.push((at, last))
    })
    .await
    .unwrap();
    assert_eq!(seen, [(7, 7)]);
}
