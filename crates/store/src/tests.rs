#![expect(clippy::arithmetic_side_effects, reason = "overflow fails a test as it should")]

use crate::idempotency::{self, CLOCK_TOLERANCE, Claim, Request};
use crate::outbox::{self, EventSource, NewEvent, Outbox};
use crate::testing::TestDatabase;
use crate::{SqlMigration, Store, StoreError, Target};
use kernel::Timestamp;
use sea_orm::ConnectionTrait;
use std::path::Path;
use std::time::Duration;
use uuid::Uuid;

crate::on_every_store! {
    migrations_apply_once_whoever_comes_first,
    a_failing_migration_leaves_nothing_behind,
    an_unmigrated_store_names_what_is_missing,
    a_key_has_one_owner_and_one_meaning,
    concurrent_claims_of_a_key_have_one_winner,
    an_abandoned_operation_is_taken_over_once,
    only_the_holder_of_the_lease_gives_it_up_or_says_that_nothing_happened,
    events_come_in_commit_order_without_gaps,
    one_process_reads_for_a_consumer,
    a_rolled_back_transaction_leaves_no_event,
}

#[tokio::test]
async fn what_a_dead_process_left_in_the_log_is_in_the_database_before_anything_is_built_on_it() {
    let folders = [(); 3].map(|()| tempfile::tempdir().unwrap());
    let [living, dead, disk] = folders.each_ref().map(|folder| folder.path());
    let copy = |from: &Path, to: &Path, file: &str| {
        std::fs::copy(from.join(file), to.join(file)).unwrap();
    };
    let open = async |folder: &Path| {
        Store::open("things", &Target::Sqlite { folder: folder.to_owned() }).await.unwrap()
    };
    let store = open(living).await;
    store.migrate(&[THINGS]).await.unwrap();
    let tx = store.begin().await.unwrap();
    let sql = "insert into things (id, size) values ($1, $2)";
    tx.execute_raw(store.statement(sql, [Uuid::nil().into(), 7_i64.into()])).await.unwrap();
    tx.commit().await.unwrap();
    // As after SIGKILL: the log has everything, the database has nothing yet.
    copy(living, dead, "things.db");
    copy(living, dead, "things.db-wal");

    let found = open(dead).await;
    // As if the log had never been written.
    copy(dead, disk, "things.db");
    let kept = open(disk).await;
    let rows = kept.read().query_all_raw(kept.statement("select size from things", [])).await;
    let sizes: Vec<i64> =
        rows.unwrap().iter().map(|row| row.try_get("", "size").unwrap()).collect();
    assert_eq!(sizes, [7]);
    for store in [store, found, kept] {
        store.close().await.unwrap();
    }
}

const THINGS: SqlMigration = SqlMigration {
    name: "m0001_things",
    sql: "create table things (id {uuid} not null primary key, size {bigint} not null) {table};",
    sqlite: "",
    postgres: "",
};
const BROKEN: SqlMigration = SqlMigration {
    name: "m0002_broken",
    sql: "create table half (id {bigint}) {table}; insert into nowhere values (1);",
    sqlite: "",
    postgres: "",
};
const LEASE: Duration = Duration::from_secs(10);
const NOW: Timestamp = Timestamp::EPOCH;

async fn open(database: &TestDatabase) -> Store {
    let store = Store::open("things", database.target()).await.unwrap();
    store.migrate(&[THINGS]).await.unwrap();
    store
}

async fn migrations_apply_once_whoever_comes_first(database: TestDatabase) {
    let stores = [
        Store::open("things", database.target()).await.unwrap(),
        Store::open("things", database.target()).await.unwrap(),
        Store::open("things", database.target()).await.unwrap(),
    ];
    let migrating =
        stores.clone().map(|store| tokio::spawn(async move { store.migrate(&[THINGS]).await }));
    for one in migrating {
        one.await.unwrap().unwrap();
    }
    assert_eq!(stores[0].migrate(&[THINGS]).await.unwrap(), Vec::<String>::new());
    let status = stores[0].migration_status(&[THINGS]).await.unwrap();
    assert!(status.iter().all(|one| one.applied), "{status:?}");
    assert_eq!(status.last().unwrap().name, "m0001_things");
}

async fn a_failing_migration_leaves_nothing_behind(database: TestDatabase) {
    let store = open(&database).await;
    assert!(store.migrate(&[THINGS, BROKEN]).await.is_err());
    assert!(store.read().execute_unprepared("select * from half").await.is_err());
    let status = store.migration_status(&[THINGS, BROKEN]).await.unwrap();
    assert!(!status.last().unwrap().applied);
}

async fn an_unmigrated_store_names_what_is_missing(database: TestDatabase) {
    let store = Store::open("things", database.target()).await.unwrap();
    match store.require_migrated(&[THINGS]).await {
        Err(StoreError::NotMigrated { module: "things", missing }) => {
            assert_eq!(missing.last().unwrap(), "m0001_things");
        }
        other => panic!("{other:?}"),
    }
    store.migrate(&[THINGS]).await.unwrap();
    store.require_migrated(&[THINGS]).await.unwrap();
}

fn request(fingerprint: &[u8], operation: u128) -> Request<'_> {
    Request {
        subject_id: Uuid::from_u128(1),
        key: "a-key",
        fingerprint,
        operation_id: Uuid::from_u128(operation),
    }
}

async fn claim(store: &Store, request: &Request<'_>, now: Timestamp) -> Claim {
    let tx = store.begin().await.unwrap();
    let claim = idempotency::claim_in_tx(store, &tx, request, now, LEASE).await.unwrap();
    tx.commit().await.unwrap();
    claim
}

async fn complete(store: &Store, operation: u128) {
    assert!(complete_under(store, operation, None).await);
}

async fn complete_under(store: &Store, operation: u128, lease: Option<Timestamp>) -> bool {
    let tx = store.begin().await.unwrap();
    let id = Uuid::from_u128(operation);
    let completed = idempotency::complete_in_tx(store, &tx, id, lease, NOW).await.unwrap();
    tx.commit().await.unwrap();
    completed
}

async fn a_key_has_one_owner_and_one_meaning(database: TestDatabase) {
    let store = open(&database).await;
    let until = NOW.plus(LEASE);
    assert_eq!(claim(&store, &request(b"x", 10), NOW).await, Claim::New { lease_until: until });
    let free_at = until.plus(CLOCK_TOLERANCE);
    assert_eq!(claim(&store, &request(b"x", 11), NOW).await, Claim::InFlight { free_at });
    assert_eq!(claim(&store, &request(b"y", 12), NOW).await, Claim::KeyReused);
    complete(&store, 10).await;
    let done = Claim::Done { operation_id: Uuid::from_u128(10) };
    assert_eq!(claim(&store, &request(b"x", 13), NOW).await, done);
    assert_eq!(claim(&store, &request(b"y", 14), NOW).await, Claim::KeyReused);
    let other = Request { subject_id: Uuid::from_u128(2), ..request(b"y", 15) };
    assert_eq!(claim(&store, &other, NOW).await, Claim::New { lease_until: until });
}

async fn concurrent_claims_of_a_key_have_one_winner(database: TestDatabase) {
    let store = open(&database).await;
    let claims: Vec<_> = (0..8_u128)
        .map(|operation| {
            let store = store.clone();
            tokio::spawn(async move { claim(&store, &request(b"x", operation), NOW).await })
        })
        .collect();
    let mut winners = 0;
    for one in claims {
        match one.await.unwrap() {
            Claim::New { .. } => winners += 1,
            Claim::InFlight { .. } => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(winners, 1);
}

async fn an_abandoned_operation_is_taken_over_once(database: TestDatabase) {
    let store = open(&database).await;
    claim(&store, &request(b"x", 10), NOW).await;
    assert_eq!(idempotency::abandoned(&store, NOW, 10).await.unwrap(), Vec::<Uuid>::new());
    let later = NOW.plus(LEASE * 2);
    let operation_id = Uuid::from_u128(10);
    assert_eq!(idempotency::abandoned(&store, later, 10).await.unwrap(), [operation_id]);
    let taken = Claim::TakenOver { operation_id, lease_until: later.plus(LEASE) };
    assert_eq!(claim(&store, &request(b"x", 11), later).await, taken);
    assert!(matches!(claim(&store, &request(b"x", 12), later).await, Claim::InFlight { .. }));
    complete(&store, 10).await;
    assert_eq!(
        idempotency::abandoned(&store, later.plus(LEASE * 2), 10).await.unwrap(),
        Vec::<Uuid>::new()
    );
}

async fn only_the_holder_of_the_lease_gives_it_up_or_says_that_nothing_happened(
    database: TestDatabase,
) {
    let store = open(&database).await;
    let release = |lease: Timestamp| {
        let store = store.clone();
        async move {
            let tx = store.begin().await.unwrap();
            let id = Uuid::from_u128(10);
            idempotency::release_in_tx(&store, &tx, id, lease).await.unwrap();
            tx.commit().await.unwrap();
        }
    };
    claim(&store, &request(b"x", 10), NOW).await;
    let first = NOW.plus(LEASE);
    let later = NOW.plus(LEASE * 2);
    claim(&store, &request(b"x", 11), later).await;
    let second = later.plus(LEASE);
    release(first).await;
    assert!(matches!(claim(&store, &request(b"x", 12), later).await, Claim::InFlight { .. }));
    assert!(!complete_under(&store, 10, Some(first)).await);
    release(second).await;
    let operation_id = Uuid::from_u128(10);
    let taken = Claim::TakenOver { operation_id, lease_until: second };
    assert_eq!(claim(&store, &request(b"x", 13), later).await, taken);
    assert!(complete_under(&store, 10, Some(second)).await);
    assert!(!complete_under(&store, 10, Some(second)).await);
}

fn event(aggregate: u128) -> NewEvent {
    NewEvent {
        event_type: "thing.happened",
        aggregate_id: Uuid::from_u128(aggregate),
        occurred_at: NOW,
        payload: "{}".into(),
    }
}

async fn append(store: &Store, aggregate: u128) {
    let tx = store.begin().await.unwrap();
    outbox::append_in_tx(store, &tx, event(aggregate)).await.unwrap();
    tx.commit().await.unwrap();
}

async fn events_come_in_commit_order_without_gaps(database: TestDatabase) {
    let store = open(&database).await;
    let writers: Vec<_> = (0..20)
        .map(|aggregate| {
            let store = store.clone();
            tokio::spawn(async move { append(&store, aggregate).await })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    let outbox = Outbox(store);
    let events = outbox.after(0, 100).await.unwrap();
    let positions: Vec<i64> = events.iter().map(|event| event.position).collect();
    assert_eq!(positions, (1..=20).collect::<Vec<_>>());
    assert_eq!(outbox.after(18, 1).await.unwrap(), [events[18].clone()]);
}

async fn a_rolled_back_transaction_leaves_no_event(database: TestDatabase) {
    let store = open(&database).await;
    let tx = store.begin().await.unwrap();
    outbox::append_in_tx(&store, &tx, event(1)).await.unwrap();
    drop(tx);
    append(&store, 2).await;
    let events = Outbox(store).after(0, 10).await.unwrap();
    assert_eq!(events.len(), 1);
    assert_eq!(events[0].position, 1);
}

async fn one_process_reads_for_a_consumer(database: TestDatabase) {
    let store = open(&database).await;
    let (one, two) = (Uuid::from_u128(1), Uuid::from_u128(2));
    let lease = |holder, now| outbox::lease_cursor(&store, "bus", holder, now, LEASE);
    assert_eq!(lease(one, NOW).await.unwrap(), Some(0));
    assert_eq!(lease(two, NOW).await.unwrap(), None);
    let until = NOW.plus(LEASE);
    assert!(outbox::advance_cursor(&store, "bus", one, 7, until).await.unwrap());
    assert!(!outbox::advance_cursor(&store, "bus", two, 9, until).await.unwrap());
    assert_eq!(lease(one, NOW).await.unwrap(), Some(7));
    let later = NOW.plus(LEASE * 2);
    assert_eq!(lease(two, later).await.unwrap(), Some(7));
    assert!(!outbox::advance_cursor(&store, "bus", one, 8, later.plus(LEASE)).await.unwrap());
    assert_eq!(lease(two, later).await.unwrap(), Some(7));
}
