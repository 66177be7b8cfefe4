//! No read of the journal walks a whole table or sorts a whole history, on either store.

use super::encode::HOLD_COLUMNS;
use super::repo::{
    ENTRIES_SQL, ENTRY_AFTER_SQL, HOLD_LEG_AFTER_SQL, HOLD_LEGS_SQL, LEGS_SQL, LIMITS_SQL,
    OVER_TIME_SQL, TRANSACTION_SQL,
};
use super::standings::repo::{accounts_sql, lacking_sql};
use crate::engine::{POSTED_LEGS, REVERSED_SQL};
use store::Store;
use store::sea_orm::{ConnectionTrait, DbBackend, Value};
use store::testing::TestDatabase;
use uuid::Uuid;

store::on_every_store! {
    every_read_uses_an_index,
}

async fn every_read_uses_an_index(database: TestDatabase) {
    let store = Store::open("ledger", database.target()).await.unwrap();
    store.migrate(crate::MIGRATIONS).await.unwrap();
    fill(&store).await;
    write(&store, "analyze").await;
    let id = || Value::from(Uuid::from_u128(0));
    let none = || Value::from(Option::<i64>::None);
    let reversed = match store.backend() {
        DbBackend::Sqlite => REVERSED_SQL.0.to_owned(),
        _ => REVERSED_SQL.1.replace("$1", "array[$1, $2]::uuid[]"),
    };
    let several = if reversed.contains("$2") { vec![id(), id()] } else { vec![id()] };
    let after = || vec![7_i64.into(), 50_i64.into()];
    let rows: [(&str, String, Vec<Value>); 12] = [
        ("entries", ENTRIES_SQL.to_owned(), vec![id(), none(), 51_i64.into(), none()]),
        ("transaction", TRANSACTION_SQL.to_owned(), vec![id()]),
        ("legs", LEGS_SQL.to_owned(), vec![7_168_i64.into(), 9_215_i64.into()]),
        (
            "entry after",
            ENTRY_AFTER_SQL.to_owned(),
            vec![7_168_i64.into(), 9_215_i64.into(), 3_i64.into()],
        ),
        (
            "leg of a hold after",
            HOLD_LEG_AFTER_SQL.to_owned(),
            vec![7_i64.into(), 50_i64.into(), 3_i64.into()],
        ),
        ("account", accounts_sql(1), vec![id()]),
        ("accounts", accounts_sql(3), vec![id(), id(), id()]),
        ("reversed", reversed, several),
        ("holds over time", OVER_TIME_SQL.to_owned(), after()),
        ("hold", format!("select {HOLD_COLUMNS} where h.id = $1"), vec![id()]),
        ("legs of a hold", HOLD_LEGS_SQL.to_owned(), vec![7_i64.into()]),
        ("limits", LIMITS_SQL.to_owned(), vec![id()]),
    ];
    for (what, sql, binds) in rows {
        let plan = explain(&store, &sql, binds).await;
        // What SQLite and PostgreSQL call a walk through a table, and a sort.
        for line in plan.lines() {
            // A page follows a list from key to key; what it has gathered, `p`, is no table.
            let gathered = matches!(line, "SCAN p" | "SCAN page");
            // The end of the journal is one row.
            let walks_rows = line.contains("Seq Scan") && !line.contains("journal_head");
            let walks = line.starts_with("SCAN ") && !gathered || walks_rows;
            // The journal is read in its order. A page, or the few legs of some transactions, may be sorted.
            let sorts = line.contains("TEMP B-TREE") || line.contains("Sort");
            let in_order = what == "holds over time";
            assert!(!(walks || sorts && in_order), "{what}:\n{plan}");
        }
        let by_reversed = what != "reversed" || plan.contains("transactions_by_reversed");
        assert!(by_reversed, "{plan}");
    }
}

/// A start after a crash must not take the longer the larger the books are. Without statistics, as the program
/// leaves a database.
#[tokio::test]
async fn what_rows_lack_is_added_up_without_a_walk_through_the_books() {
    let database = TestDatabase::sqlite();
    let store = Store::open("ledger", database.target()).await.unwrap();
    store.migrate(crate::MIGRATIONS).await.unwrap();
    let plan = explain(&store, &lacking_sql(), Vec::new()).await;
    // What the query has gathered itself is no table, and pending holds are few.
    let gathered = ["SCAN b", "SCAN e", "SCAN moved", "SCAN t"];
    let pending = "SCAN s USING INDEX hold_states_pending";
    let mut walks: Vec<&str> = plan.lines().filter(|line| line.starts_with("SCAN ")).collect();
    walks.retain(|walk| !gathered.contains(walk));
    assert_eq!(walks, [pending], "{plan}");
}

/// A new database on PostgreSQL has no statistics until its first minutes are over.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_sent_again_is_looked_up_before_there_are_statistics() {
    let Some(database) = TestDatabase::postgres().await else {
        eprintln!("skipped: FINITECH_TEST_POSTGRES_URL is not set");
        return;
    };
    let store = Store::open("ledger", database.target()).await.unwrap();
    store.migrate(crate::MIGRATIONS).await.unwrap();
    fill(&store).await;
    // So many that it would be worth it to walk through them, if ranges were as long as the planner thinks.
    let more = "insert into entries select n * 1024 + leg, n % 20000 + 1, 1 - 2 * leg, 1, null \
                from generate_series(20001, 140000) n, generate_series(0, 1) leg";
    write(&store, more).await;
    let tx = store.begin().await.unwrap();
    let (sql, settings) = POSTED_LEGS;
    for (name, value) in settings {
        tx.execute_unprepared(&format!("set local {name} = '{value}'")).await.unwrap();
    }
    tx.execute_unprepared(&format!("prepare again (bigint[]) as {sql}")).await.unwrap();
    let statement = store.statement("explain execute again (array[7, 8, 9])", []);
    let rows = tx.query_all_raw(statement).await.unwrap();
    let lines = rows.iter().map(|row| row.try_get::<String>("", "QUERY PLAN").unwrap());
    let plan = lines.collect::<Vec<_>>().join("\n");
    let by_key = "Index Cond: ((entry_key >= (n.sequence * 1024))";
    assert!(plan.contains(by_key) && !plan.contains("Join Filter"), "{plan}");
}

/// Enough rows for an index to pay.
async fn fill(store: &Store) {
    let uuid = match store.backend() {
        DbBackend::Sqlite => "randomblob(16)",
        _ => "gen_random_uuid()",
    };
    let numbers = "with recursive numbers (n) as \
                   (select 1 union all select n + 1 from numbers where n < 20000) ";
    for sql in [
        format!("insert into accounts {numbers} select n, {uuid}, 'x', 0 from numbers"),
        format!(
            "insert into account_states (account_sequence, currency_code, normal_side, status) \
             {numbers} select n, 'MAD', 1, 'open' from numbers"
        ),
        format!("insert into account_changes {numbers} select n, n, 'frozen', 'x', 0 from numbers"),
        // One in ten is a reversal.
        format!(
            "insert into transactions {numbers} select n, {uuid}, 'x', null, null, null, \
             case n % 10 when 0 then {uuid} end, 0, 0, null, {uuid} from numbers"
        ),
        format!(
            "insert into entries {numbers} select n * 1024, n % 20, 1, 1, (n - 20) * 1024 from numbers"
        ),
        format!(
            "insert into entries {numbers} \
             select n * 1024 + 1, n % 30, -1, 1, (n - 30) * 1024 + 1 from numbers"
        ),
        format!("insert into limit_changes {numbers} select n, n, '{{}}', 0 from numbers"),
        format!(
            "insert into limit_usages {numbers} select n, 'outgoing day', 0, 1, 1, 0 from numbers"
        ),
        format!(
            "insert into holds {numbers} \
             select n, {uuid}, 'x', null, null, null, 0, n, 0, {uuid} from numbers"
        ),
        format!("insert into hold_legs {numbers} select n, 0, n, 1, null from numbers"),
        format!("insert into hold_legs {numbers} select n, 1, n % 30, -1, n - 30 from numbers"),
        // One in fifty is pending.
        format!(
            "insert into hold_states {numbers} select n, \
             case n % 50 when 0 then 'pending' else 'voided' end, 0, \
             case n % 50 when 0 then null else n end, n from numbers"
        ),
        format!(
            "insert into hold_changes {numbers} select n, n, 'voided', null, 0, {uuid} from numbers"
        ),
    ] {
        write(store, &sql).await;
    }
}

async fn write(store: &Store, sql: &str) {
    let tx = store.begin().await.unwrap();
    tx.execute_unprepared(sql).await.unwrap();
    tx.commit().await.unwrap();
}

/// What the database would do.
pub(super) async fn explain(store: &Store, sql: &str, binds: Vec<Value>) -> String {
    let (explain, column) = match store.backend() {
        DbBackend::Sqlite => ("explain query plan", "detail"),
        _ => ("explain", "QUERY PLAN"),
    };
    let statement = store.statement(&format!("{explain} {sql}"), binds);
    let rows = store.read().query_all_raw(statement).await.unwrap();
    let lines: Vec<String> = rows.iter().map(|row| row.try_get("", column).unwrap()).collect();
    lines.join("\n")
}
