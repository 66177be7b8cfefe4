//! No read of balances, statements, searches or holds walks a table or sorts a history, on either store.

use super::repo::{
    PERIOD_ENTRIES_SQL, PLACE_SQL, RECORDED_TOTALS_SQL, SHIFTED_EFFECTIVE_SQL,
    SHIFTED_RECORDED_SQL, SHIFTS_SQL, STANDING_SQL,
};
use crate::journal::encode::HOLD_COLUMNS;
use crate::journal::search::repo::{
    AccountList, Step, holds_sql, numbered_legs_sql, numbered_transactions_sql, transactions_sql,
};
use crate::journal::search::{HoldFilter, TransactionFilter};
use crate::journal::tests::explain;
use ledger_api::HoldStatus;
use store::Store;
use store::sea_orm::{ConnectionTrait, DbBackend, Value};
use store::testing::TestDatabase;
use uuid::Uuid;

store::on_every_store! {
    every_read_uses_an_index,
}

const TABLES: [&str; 10] = [
    "accounts",
    "account_states",
    "transactions",
    "transaction_metadata",
    "entries",
    "entry_marks",
    "shifted_entries",
    "journal_groups",
    "holds",
    "hold_legs",
];

async fn every_read_uses_an_index(database: TestDatabase) {
    let store = Store::open("ledger", database.target()).await.unwrap();
    store.migrate(crate::MIGRATIONS).await.unwrap();
    fill(&store).await;
    let number = |number: i64| Value::from(number);
    let far = || number(30_000_000);
    let mut reads: Vec<(String, String, Vec<Value>)> = vec![
        ("place".into(), PLACE_SQL.into(), vec![far()]),
        ("standing".into(), STANDING_SQL.into(), vec![Uuid::nil().into(), far(), far()]),
        ("shifts".into(), SHIFTS_SQL.into(), vec![number(7), far(), number(9), number(1), far()]),
        ("totals".into(), RECORDED_TOTALS_SQL.into(), vec![far(), number(0), number(1_000)]),
        (
            "shifted".into(),
            SHIFTED_RECORDED_SQL.into(),
            vec![number(7), number(0), far(), number(1_000)],
        ),
        (
            "value dates".into(),
            SHIFTED_EFFECTIVE_SQL.into(),
            vec![number(7), number(0), far(), number(1_000)],
        ),
        ("lines".into(), PERIOD_ENTRIES_SQL.into(), vec![far(), number(0), number(51)]),
        (
            "holds by number".into(),
            format!("select {HOLD_COLUMNS} where h.sequence in ($1, $2)"),
            vec![number(7), number(9)],
        ),
    ];
    let step = Step { after: 5, until: 29_000, count: 500 };
    for (what, filter, account) in searches() {
        let account = account.map(|sequence| AccountList { sequence, newest: None });
        let sql = transactions_sql(&filter, account, step);
        reads.push((what, sql.text, sql.binds));
    }
    for account in [None, Some(7)] {
        for status in [None, Some(HoldStatus::Pending)] {
            let filter = HoldFilter { account: None, status };
            for until in [29_000, i64::MAX] {
                let account = account.map(|sequence| AccountList { sequence, newest: None });
                let sql = holds_sql(filter, account, Step { until, ..step });
                reads.push((format!("holds {account:?} {status:?}"), sql.text, sql.binds));
            }
        }
    }
    for sql in [numbered_transactions_sql(&[5, 9, 700]), numbered_legs_sql(&[5, 9, 700])] {
        reads.push(("numbered".into(), sql.text, sql.binds));
    }
    let mut faults = Vec::new();
    for (what, sql, binds) in reads {
        let plan = explain(&store, &sql, binds).await;
        if plan.lines().any(|line| walks(line) || sorts(line)) {
            faults.push(format!("{what}:\n{plan}\n{sql}"));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n\n"));
}

/// Each filter by itself and each pair, on an account or not.
fn searches() -> Vec<(String, TransactionFilter, Option<i64>)> {
    let mut searches = Vec::new();
    for bits in 0..32_u32 {
        let has = |bit: u32| bits & (1 << bit) != 0;
        let metadata = ("colour".to_owned(), "red".to_owned());
        let filter = TransactionFilter {
            kind: has(0).then(|| "rare".into()),
            reference: has(1).then(|| "order 7".into()),
            metadata: if has(2) { vec![metadata.clone(), metadata] } else { Vec::new() },
            amount: has(3).then_some(5..=9),
            ..TransactionFilter::default()
        };
        searches.push((format!("search {bits:05b}"), filter, has(4).then_some(7)));
    }
    searches
}

/// Whether a line of a plan walks through a whole table: what is computed on the way may be walked.
fn walks(line: &str) -> bool {
    let scanned = line.trim().strip_prefix("SCAN ").and_then(|rest| rest.split(' ').next());
    let is_table = |name: &str| TABLES.contains(&name) || name.len() == 1 && !"wplc".contains(name);
    line.contains("Seq Scan") && !line.contains("journal_head") || scanned.is_some_and(is_table)
}

fn sorts(line: &str) -> bool {
    line.contains("TEMP B-TREE FOR ORDER BY") || line.contains("Sort")
}

/// Enough rows, of which the planner knows, for an index to pay.
async fn fill(store: &Store) {
    let bytes = match store.backend() {
        DbBackend::Postgres => "bytea",
        _ => "blob",
    };
    let uuid = match store.backend() {
        DbBackend::Sqlite => "randomblob(16)",
        _ => "gen_random_uuid()",
    };
    let numbers = "with recursive numbers (n) as \
                   (select 1 union all select n + 1 from numbers where n < 30000) ";
    for sql in [
        format!("insert into accounts {numbers} select n, {uuid}, 'x', 0 from numbers"),
        format!(
            "insert into account_states \
             (account_sequence, currency_code, normal_side, status, last_entry, entry_count, last_hold) \
             {numbers} select n, 'MAD', 1, 'open', 30720000 + n % 2, 15000, 29990 + n % 9 from numbers"
        ),
        // All of one kind, as in a ledger with one use.
        format!(
            "insert into transactions (sequence, id, kind, reference, effective_at, recorded_at) \
             {numbers} select n, {uuid}, 'transfer', \
             case n % 10 when 0 then 'order 7' end, 0, 0 from numbers"
        ),
        format!(
            "insert into transaction_metadata {numbers} select 'colour', 'red', n from numbers"
        ),
        format!(
            "insert into entries {numbers} \
             select n * 1024, n % 2 + 1, n, 1, (n - 2) * 1024 from numbers"
        ),
        format!(
            "insert into entry_marks {numbers} select n % 2 + 1, n * 1024 from numbers \
             where n % 16 < 2"
        ),
        format!("insert into shifted_entries {numbers} select n % 9, n, n, 1, 1 from numbers"),
        format!("insert into shifted_days {numbers} select n % 9, n, 1 from numbers"),
        format!(
            "insert into journal_groups {numbers} select n, n, cast('' as {bytes}) from numbers"
        ),
        format!(
            "insert into holds (sequence, id, kind, tolerance, created_at) \
             {numbers} select n, {uuid}, 'card', 0, 0 from numbers"
        ),
        format!("insert into hold_legs {numbers} select n, 0, n % 9, 1, n - 9 from numbers"),
        format!("insert into hold_legs {numbers} select n, 1, n % 7, -1, n - 7 from numbers"),
        format!(
            "insert into hold_states (hold_sequence, status, captured, ended_by) \
             {numbers} select n, 'voided', 0, n from numbers"
        ),
        format!(
            "insert into hold_changes (sequence, hold_sequence, status, changed_at) \
             {numbers} select n, n, 'voided', 0 from numbers"
        ),
        "analyze".to_owned(),
    ] {
        let tx = store.begin().await.unwrap();
        tx.execute_unprepared(&sql).await.unwrap();
        tx.commit().await.unwrap();
    }
}
