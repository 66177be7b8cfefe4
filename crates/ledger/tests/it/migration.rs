//! A database that the first version of the schema filled is read and goes on as it was.

use crate::world::*;
use kernel::PageLimit;
use ledger::{EngineConfig, MIGRATIONS};
use ledger_api::{
    AccountStatus, Direction, EntryKey, HoldRelease, Ledger as _, Limit, NewTransaction, Refusal,
};
use std::fmt::Write as _;
use std::sync::Arc;
use store::Store;
use store::sea_orm::ConnectionTrait;
use store::testing::TestDatabase;
use uuid::Uuid;

store::on_every_store! {
    a_database_of_the_first_schema_goes_on,
    an_empty_database_of_the_first_schema_goes_on,
    what_was_recorded_before_anybody_was_named_goes_on,
}

/// Transfers from account 1 to account 2; every third goes on to account 3.
const TRANSFERS: i64 = 150;
const SECOND: i64 = 1_000_000;

/// What the former program wrote, as SQL.
struct Former {
    sql: String,
    is_postgres: bool,
    balances: [i64; 4],
    /// Number, account, amount as stored and balance after of each entry.
    entries: Vec<(i64, usize, i64, i64)>,
}

impl Former {
    fn id(&self, number: i64) -> String {
        let id = Uuid::from_u128(u128::try_from(number).unwrap());
        if self.is_postgres { format!("'{id}'") } else { format!("x'{}'", id.simple()) }
    }

    fn account(&mut self, sequence: i64, side: i64, lowest: &str) {
        let id = self.id(sequence);
        writeln!(
            self.sql,
            "insert into accounts values ({sequence}, {id}, 'Account {sequence}', 5); \
             insert into account_states (account_sequence, currency_code, normal_side, status, \
             lowest_available) values ({sequence}, 'MAD', {side}, 'open', {lowest});"
        )
        .unwrap();
    }

    /// Metadata, what it reverses and its value date, as SQL.
    fn transfer(&mut self, sequence: i64, from: usize, to: usize, amount: i64, rest: [&str; 3]) {
        // Groups of ten were recorded together.
        let recorded_at = (sequence / 10 + 1) * SECOND;
        let [metadata, reverses, effective_at] = rest;
        let effective_at = effective_at.replace("now", &recorded_at.to_string());
        let id = self.id(1_000 + sequence);
        writeln!(
            self.sql,
            "insert into transactions values ({sequence}, {id}, 'transfer', null, null, \
             {metadata}, {reverses}, {effective_at}, {recorded_at});"
        )
        .unwrap();
        for (leg_no, account, amount) in [(0, from, amount), (1, to, -amount)] {
            // Account 1 grows by debits, the others by credits.
            self.balances[account] += if account == 1 { amount } else { -amount };
            let after = self.balances[account];
            self.entries.push((sequence, account, amount, after));
            let column = if amount > 0 { "posted_debits" } else { "posted_credits" };
            writeln!(
                self.sql,
                "insert into entries values ({sequence}, {leg_no}, {account}, {amount}, {after}); \
                 update account_states set {column} = {column} + {} \
                 where account_sequence = {account};",
                amount.abs()
            )
            .unwrap();
        }
    }
}

/// Sequence of the last transaction.
const LAST: i64 = 3 + TRANSFERS + TRANSFERS / 3 + 1;

fn former_journal(is_postgres: bool) -> Former {
    let (sql, entries) = (String::new(), Vec::new());
    let mut former = Former { sql, is_postgres, balances: [0; 4], entries };
    former.account(1, -1, "null");
    former.account(2, 1, "0");
    former.account(3, 1, "-50");
    let plain = ["null", "null", "now"];
    let mut sequence = 3;
    for number in 1..=TRANSFERS {
        sequence += 1;
        match number {
            5 => {
                former.transfer(sequence, 1, 2, 10, [r#"'{"order":"42"}'"#, "null", "-86400000001"])
            }
            // Escaped, the one is U+0000 and the other is not.
            6 => former.transfer(sequence, 1, 2, 10, [r#"'{"zero":"a\u0000b"}'"#, "null", "now"]),
            7 => former.transfer(sequence, 1, 2, 10, [r#"'{"path":"c:\\u0000"}'"#, "null", "0"]),
            _ => former.transfer(sequence, 1, 2, 10, plain),
        }
        if number % 3 == 0 {
            sequence += 1;
            former.transfer(sequence, 2, 3, 3, plain);
        }
    }
    let original = former.id(1_004);
    former.transfer(LAST, 1, 2, -4, ["null", &original, "now"]);
    let changed_at = (LAST + 1) / 10 * SECOND + SECOND;
    writeln!(
        former.sql,
        "insert into account_changes values ({0}, 3, 'frozen', 'lost card', {changed_at}); \
         update account_states set status = 'frozen' where account_sequence = 3; \
         update journal_head set last_sequence = {0}, last_recorded_at = {changed_at};",
        LAST + 1
    )
    .unwrap();
    former
}

async fn former_store(database: &TestDatabase) -> Store {
    let store = Store::open("ledger", database.target()).await.unwrap();
    store.migrate(&MIGRATIONS[..1]).await.unwrap();
    store
}

async fn world_on(store: Store) -> World {
    store.migrate(MIGRATIONS).await.unwrap();
    ledger::catch_up(&store).await.unwrap();
    let clock = Arc::new(kernel::ManualClock::at(noon()));
    let ledger = start(&store, EngineConfig::default(), clock.clone());
    World { store, ledger, clock }
}

/// All entries of an account, newest first, in pages: number, amount as stored and balance after.
async fn history(world: &World, number: u128) -> Vec<(i64, i64, i64)> {
    let (mut all, mut after) = (Vec::new(), None::<EntryKey>);
    loop {
        let limit = PageLimit::new(40).unwrap();
        let page = world.ledger.entries(account_id(number), after, limit).await.unwrap();
        all.extend(page.items.iter().map(|entry| {
            let minor_units = entry.amount.minor_units();
            let is_debit = entry.direction == ledger_api::Side::Debit;
            let amount = if is_debit { minor_units } else { -minor_units };
            (entry.key.parts().0, amount, entry.balance_after)
        }));
        let Some(next) = page.next else { return all };
        after = Some((&next).try_into().unwrap());
    }
}

async fn a_database_of_the_first_schema_goes_on(database: TestDatabase) {
    let store = former_store(&database).await;
    let former = former_journal(database.postgres_url().is_some());
    let tx = store.begin().await.unwrap();
    tx.execute_unprepared(&former.sql).await.unwrap();
    tx.commit().await.unwrap();
    let world = world_on(store).await;
    let report = world.verify_clean().await;
    assert_eq!((report.accounts, report.transactions), (3, LAST.unsigned_abs() - 3));
    assert_eq!(report.entries, former.entries.len() as u64);
    for (number, balance) in (1..=3).zip(&former.balances[1..]) {
        let expected: Vec<_> = former
            .entries
            .iter()
            .rev()
            .filter(|(_, account, ..)| *account as u128 == number)
            .map(|(sequence, _, amount, after)| (*sequence, *amount, *after))
            .collect();
        assert_eq!(history(&world, number).await, expected);
        assert_eq!(world.balance(number).await, *balance);
        let marks = "select count(*) from entry_marks where account_sequence =";
        let marked = world.number(&format!("{marks} {number}")).await;
        assert_eq!(marked, i64::try_from(expected.len() / 64).unwrap());
    }
    // The journal reads as events, and what was there is replayed.
    let events = world.ledger.events().after(0, 1_000).await.unwrap();
    let positions: Vec<_> = events.iter().map(|event| event.position).collect();
    assert_eq!(positions, (1..=LAST + 1).collect::<Vec<_>>());
    let first = world.ledger.transaction(transaction_id(1_004)).await.unwrap().unwrap();
    assert_eq!(first.legs, transfer(0, 1, 2, 10).legs);
    let mut dated = transfer(1_009, 1, 2, 10);
    dated.metadata = [("order".to_owned(), "42".to_owned())].into();
    let at = world.ledger.transaction(dated.id).await.unwrap().unwrap();
    dated.effective_at = Some(at.effective_at);
    assert_eq!(at.effective_at.as_micros(), -86_400_000_001);
    assert!(world.ledger.post(dated).await.unwrap().replayed);
    let left = refusal(world.ledger.reverse(reversal(9_000, 1_004, Some(7))).await);
    assert_eq!(left, Refusal::ReversalExceedsOriginal { left: 6, asked: 7 });
    check_side_tables(&world).await;
    go_on(&world).await;
}

/// What is found by its metadata, and what is not on the day on which it was recorded.
async fn check_side_tables(world: &World) {
    for (sql, expected) in [
        ("select count(*) from transaction_metadata where name = 'order' and value = '42'", 1),
        (
            r"select count(*) from transaction_metadata where name = 'path' and value = 'c:\u0000'",
            1,
        ),
        ("select count(*) from transaction_metadata", 2),
        ("select count(*) from shifted_entries", 4),
        ("select sum(shifted_after) from shifted_entries where account_sequence = 2", 10 + 20),
        ("select count(*) from shifted_days where account_sequence = 2", 2),
        ("select amount from shifted_days where account_sequence = 2 and day = -2", 10),
        ("select amount from shifted_days where account_sequence = 1 and day = 0", 10),
    ] {
        let sql =
            sql.replace("select sum(shifted_after)", "select cast(sum(shifted_after) as bigint)");
        assert_eq!(world.number(&sql).await, expected, "{sql}");
    }
}

async fn go_on(world: &World) {
    let before = world.balance(2).await;
    world.ledger.post(transfer(1, 1, 2, 100)).await.unwrap();
    let incoming = Limit { direction: Direction::Incoming, ..daily(1_000) };
    world.ledger.set_limits(limits(2, &[incoming])).await.unwrap();
    world.ledger.hold(hold(1, 2, 1, 100)).await.unwrap();
    world.ledger.capture(capture(2, 1, Some(60))).await.unwrap();
    world.ledger.change_status(change(3, AccountStatus::Open, "found")).await.unwrap();
    let many = (100..200).map(|id| transfer(id, 1, 3, 1)).collect();
    world.ledger.post_all(many).await.unwrap();
    assert_eq!(world.balance(2).await, before + 40);
    world.verify_clean().await;
}

/// A hold and its end, as the program wrote them that did not say who asked; and another one, with two legs
/// on an account of the first.
fn nameless_hold(former: &Former) -> String {
    let (made, ended, at) = (LAST + 2, LAST + 3, (LAST + 1) / 10 * SECOND + 2 * SECOND);
    let (id, link) = (former.id(1), if former.is_postgres { "bytea" } else { "blob" });
    let (other, its_end, its_id) = (LAST + 4, LAST + 5, former.id(2));
    format!(
        "insert into holds (sequence, id, kind, tolerance, created_at) \
             values ({made}, {id}, 'card', 0, {at}), ({other}, {its_id}, 'card', 0, {at}); \
         insert into hold_legs values ({made}, 0, 2, 5), ({made}, 1, 1, -5), \
             ({other}, 0, 2, 3), ({other}, 1, 2, 2), ({other}, 2, 3, -5); \
         insert into hold_states (hold_sequence, status, captured, ended_by) \
             values ({made}, 'voided', 0, {ended}), ({other}, 'voided', 0, {its_end}); \
         insert into hold_changes (sequence, hold_sequence, status, changed_at) \
             values ({ended}, {made}, 'voided', {at}), ({its_end}, {other}, 'voided', {at}); \
         insert into journal_groups values ({its_end}, {at}, cast('' as {link})); \
         update journal_head set last_sequence = {its_end}, last_recorded_at = {at}"
    )
}

async fn what_was_recorded_before_anybody_was_named_goes_on(database: TestDatabase) {
    let store = former_store(&database).await;
    let former = former_journal(database.postgres_url().is_some());
    let before = MIGRATIONS.iter().position(|one| one.name == "m0008_initiators").unwrap();
    for (sql, migrations) in
        [(former.sql.clone(), &MIGRATIONS[..before]), (nameless_hold(&former), MIGRATIONS)]
    {
        let tx = store.begin().await.unwrap();
        tx.execute_unprepared(&sql).await.unwrap();
        tx.commit().await.unwrap();
        store.migrate(migrations).await.unwrap();
    }
    let world = world_on(store).await;
    world.verify_clean().await;
    let posted = world.ledger.transaction(transaction_id(1_004)).await.unwrap().unwrap();
    let held = world.ledger.hold_by_id(hold_id(1)).await.unwrap().unwrap();
    assert_eq!((posted.initiated_by, held.initiated_by, held.released_by), (None, None, None));
    // Nobody becomes who asked for it by asking again, or by writing it down.
    let again = NewTransaction { initiated_by: Some(user(7)), ..transfer(1_004, 1, 2, 10) };
    assert_eq!(world.ledger.post(again).await.unwrap().record, posted);
    let again = HoldRelease { initiated_by: Some(user(7)), ..voided(1) };
    assert_eq!(world.ledger.release(again).await.unwrap().record, held);
    for table in ["transactions", "holds", "hold_changes"] {
        let sql = format!("update {table} set initiated_by = {}", former.id(7));
        world.tamper(&sql).await.expect_err(&sql);
    }
    let new = NewTransaction { initiated_by: Some(user(7)), ..transfer(1, 1, 2, 100) };
    assert_eq!(world.ledger.post(new).await.unwrap().record.initiated_by, Some(user(7)));
    world.verify_clean().await;
}

async fn an_empty_database_of_the_first_schema_goes_on(database: TestDatabase) {
    let world = world_on(former_store(&database).await).await;
    world.verify_clean().await;
    let world = world.with_customers(3, 100).await;
    world.ledger.hold(hold(1, 2, 3, 60)).await.unwrap();
    world.verify_clean().await;
}
