//! The engine when things go wrong around it.

use crate::http::{Client, TRANSACTIONS};
use crate::world::*;
use kernel::{Clock, Timestamp};
use ledger::EngineConfig;
use ledger_api::{Constraint, Ledger as _, LedgerError, NewAccount, NewTransaction};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use store::testing::TestDatabase;

store::on_every_store! {
    a_full_queue_refuses_and_records_nothing,
    shutting_down_finishes_what_is_queued,
    a_deadline_that_passes_in_the_queue_is_kept,
    a_group_that_panics_costs_only_itself,
    a_command_that_no_database_takes_costs_only_itself,
    a_damaged_account_costs_only_those_who_use_it,
    a_broken_connection_is_replaced,
    a_broken_connection_captures_nothing_twice,
    an_engine_of_the_smallest_size_works,
    readers_cannot_keep_the_engine_from_writing,
    a_store_that_fails_is_not_acknowledged,
    a_caller_that_goes_away_changes_nothing,
}

/// Long enough for anything that does not hang.
const PATIENCE: Duration = Duration::from_secs(5);

async fn a_full_queue_refuses_and_records_nothing(database: TestDatabase) {
    let config = EngineConfig { queue_max: 2, group_max: 1, ..EngineConfig::default() };
    let world = World::with(&database, config).await.with_customers(2, 0).await;
    let held = world.hold_the_journal().await;
    let (mut taken, mut refused) = (Vec::new(), Vec::new());
    // Two in the queue and the one that the engine began with: until it has, there is room again.
    for id in 1.. {
        match queue(&world.ledger, transfer(id, 1, 2, 1)).await {
            Ok(pending) => taken.push((id, pending)),
            Err(Err(LedgerError::Overloaded)) if taken.len() == 3 => {
                refused.push(id);
                break;
            }
            Err(Err(LedgerError::Overloaded)) => {
                refused.push(id);
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            Err(other) => panic!("{other:?}"),
        }
    }
    assert_eq!(taken.len(), 3);
    // The routes say so before they read anything; reads go on.
    let client = Client::new(&world);
    for path in [TRANSACTIONS.to_owned(), format!("{TRANSACTIONS}/bulk")] {
        let answer = client.post(&path, &serde_json::json!("not even an object")).await;
        assert_eq!(answer.body["code"], "ledger_busy", "{}", answer.body);
        assert_eq!(answer.status, 503);
        assert!(answer.headers.contains_key("retry-after"));
    }
    assert_eq!(client.get(TRANSACTIONS).await.status, 200);
    drop(held);
    let posted = taken.len();
    for (id, pending) in taken {
        assert_eq!(pending.await.unwrap().record.id, transaction_id(id));
    }
    for id in refused {
        assert_eq!(world.ledger.transaction(transaction_id(id)).await.unwrap(), None);
    }
    assert_eq!(world.balance(2).await, i64::try_from(posted).unwrap());
    assert_eq!(world.verify_clean().await.transactions, posted as u64);
}

async fn shutting_down_finishes_what_is_queued(database: TestDatabase) {
    let config = EngineConfig { group_max: 2, ..EngineConfig::default() };
    let world = World::with(&database, config).await.with_customers(2, 0).await;
    let held = world.hold_the_journal().await;
    let mut queued = Vec::new();
    for id in 1..=7 {
        queued.push(queue(&world.ledger, transfer(id, 1, 2, 1)).await.ok().unwrap());
    }
    // Whoever asks for it, and however often: all wait for the same end.
    let stopping: Vec<_> = (0..3)
        .map(|_| {
            let ledger = world.ledger.clone();
            tokio::spawn(async move {
                ledger.shut_down().await;
                ledger.transaction(transaction_id(7)).await.unwrap().is_some()
            })
        })
        .collect();
    loop {
        match queue(&world.ledger, transfer(99, 1, 2, 1)).await {
            // Shutting down had not begun yet.
            Ok(early) => queued.push(early),
            Err(Err(LedgerError::Unavailable(cause))) => {
                assert_eq!(cause.to_string(), "the ledger is shutting down");
                break;
            }
            Err(other) => panic!("{other:?}"),
        }
        tokio::task::yield_now().await;
    }
    drop(held);
    for stopped in stopping {
        assert!(stopped.await.unwrap(), "returned before the last group was durable");
    }
    for pending in queued {
        pending.await.unwrap();
    }
    // Again, when all is over.
    tokio::time::timeout(PATIENCE, world.ledger.shut_down()).await.unwrap();
    world.verify_clean().await;
}

/// Whoever sees a deadline pass must be able to rely on it, however long the database took.
async fn a_deadline_that_passes_in_the_queue_is_kept(database: TestDatabase) {
    let clock = Arc::new(kernel::ManualClock::at(noon()));
    let world = World::new(&database).await.with_customers(2, 0).await;
    let held = world.hold_the_journal().await;
    let ticking = Arc::new(Watched { clock: clock.clone(), read: tokio::sync::Notify::new() });
    let ledger = start(&world.store, EngineConfig::default(), ticking.clone());
    let until = NewTransaction { not_after: Some(noon()), ..transfer(7, 1, 2, 1) };
    let pending = queue(&ledger, until).await.ok().unwrap();
    // An engine that looks at the clock before it is its turn does so about now.
    drop(tokio::time::timeout(Duration::from_millis(100), ticking.read.notified()).await);
    clock.advance(Duration::from_secs(1));
    drop(held);
    let refused = refusal(pending.await);
    assert_eq!(refused, ledger_api::Refusal::DeadlinePassed { deadline: noon() });
    assert_eq!(world.balance(2).await, 0);
}

struct Watched {
    clock: Arc<kernel::ManualClock>,
    read: tokio::sync::Notify,
}

impl Clock for Watched {
    fn now(&self) -> Timestamp {
        self.read.notify_one();
        self.clock.now()
    }
}

/// A clock that fails when it is told to: the nearest thing to a defect in the engine.
struct Faulty(AtomicBool);

impl Clock for Faulty {
    fn now(&self) -> Timestamp {
        assert!(!self.0.load(Ordering::SeqCst), "this test's clock fails on purpose");
        noon()
    }
}

async fn a_group_that_panics_costs_only_itself(database: TestDatabase) {
    let world = World::new(&database).await.with_customers(2, 0).await;
    let clock = Arc::new(Faulty(AtomicBool::new(true)));
    let ledger = start(&world.store, EngineConfig::default(), clock.clone());
    let lost = tokio::time::timeout(PATIENCE, ledger.post(transfer(1, 1, 2, 1))).await.unwrap();
    match lost {
        Err(LedgerError::Unavailable(cause)) => {
            assert_ne!(cause.to_string(), "the ledger is shutting down");
        }
        other => panic!("{other:?}"),
    }
    clock.0.store(false, Ordering::SeqCst);
    let posted = tokio::time::timeout(PATIENCE, ledger.post(transfer(1, 1, 2, 1))).await.unwrap();
    assert!(!posted.unwrap().replayed);
    tokio::time::timeout(PATIENCE, ledger.shut_down()).await.unwrap();
    world.verify_clean().await;
}

async fn a_command_that_no_database_takes_costs_only_itself(database: TestDatabase) {
    let world = World::new(&database).await.with_customers(2, 0).await;
    let held = world.hold_the_journal().await;
    // The first is being carried out while the others gather into one group.
    let first = queue(&world.ledger, transfer(1, 1, 2, 1)).await.ok().unwrap();
    let neighbour = queue(&world.ledger, transfer(2, 1, 2, 1)).await.ok().unwrap();
    let odd: Vec<NewTransaction> = vec![
        NewTransaction { kind: "a\0b".into(), ..transfer(3, 1, 2, 1) },
        NewTransaction { kind: String::new(), ..transfer(4, 1, 2, 1) },
        NewTransaction { kind: "k".repeat(65), ..transfer(5, 1, 2, 1) },
        NewTransaction { description: Some("\0".into()), ..transfer(6, 1, 2, 1) },
        NewTransaction { description: Some("é".repeat(501)), ..transfer(7, 1, 2, 1) },
        NewTransaction { reference: Some("\0".into()), ..transfer(8, 1, 2, 1) },
        NewTransaction { reference: Some("r".repeat(201)), ..transfer(9, 1, 2, 1) },
    ];
    let mut pending = Vec::new();
    for new in odd {
        pending.push(queue(&world.ledger, new).await.ok().unwrap());
    }
    let accounts = [
        NewAccount { constraint: Constraint::CreditLimit(-1), ..customer(11) },
        NewAccount { constraint: Constraint::CreditLimit(i64::MIN), ..customer(12) },
        NewAccount { name: String::new(), ..customer(13) },
        NewAccount { name: "\0".into(), ..customer(14) },
        NewAccount { name: "n".repeat(201), ..customer(15) },
    ];
    drop(held);
    for result in [first.await, neighbour.await] {
        result.unwrap();
    }
    for one in pending {
        refusal(one.await);
    }
    for new in accounts {
        refusal(world.ledger.open_account(new).await);
    }
    let longest = NewTransaction {
        kind: "é".repeat(64),
        description: Some("é".repeat(500)),
        reference: Some("é".repeat(200)),
        ..transfer(10, 1, 2, 1)
    };
    world.ledger.post(longest).await.unwrap();
    world.open(NewAccount { name: "é".repeat(200), ..customer(16) }).await;
    let lowest = NewAccount { constraint: Constraint::CreditLimit(i64::MAX), ..customer(17) };
    world.open(lowest).await;
    assert_eq!(world.balance(2).await, 3);
    world.verify_clean().await;
}

async fn a_damaged_account_costs_only_those_who_use_it(database: TestDatabase) {
    let world = World::new(&database).await.with_customers(4, 0).await;
    let damage = "update account_states set currency_code = 'ZZZ' where account_sequence = 3";
    world.tamper(damage).await.unwrap();
    // An engine that has not seen the account yet.
    let world = world.restarted(&database).await;
    let held = world.hold_the_journal().await;
    let mut sound = vec![queue(&world.ledger, transfer(1, 1, 2, 1)).await.ok().unwrap()];
    let mut damaged = Vec::new();
    for id in 2..=20 {
        let to = if id % 7 == 0 { 3 } else { 4 };
        let pending = queue(&world.ledger, transfer(id, 1, to, 1)).await.ok().unwrap();
        if to == 3 { damaged.push(pending) } else { sound.push(pending) }
    }
    drop(held);
    for pending in damaged {
        match pending.await {
            Err(LedgerError::Unavailable(cause)) => {
                assert!(cause.to_string().contains("account_states.currency_code"), "{cause}");
            }
            other => panic!("{other:?}"),
        }
    }
    let mut sequences = Vec::new();
    for pending in sound {
        sequences.push(pending.await.unwrap().record.sequence);
    }
    assert_eq!(sequences, (5..=22).collect::<Vec<_>>(), "in the order in which they came");
}

/// The database server goes away under a group that waits, and comes back.
async fn a_broken_connection_is_replaced(database: TestDatabase) {
    if database.postgres_url().is_none() {
        return;
    }
    let world = World::new(&database).await.with_customers(2, 0).await;
    let held = world.hold_the_journal().await;
    let pending = queue(&world.ledger, transfer(1, 1, 2, 1)).await.ok().unwrap();
    let cut = "select count(pg_terminate_backend(pid)) from pg_stat_activity \
               where datname = current_database() and wait_event_type = 'Lock'";
    while world.number(cut).await == 0 {
        tokio::task::yield_now().await;
    }
    drop(held);
    assert!(!pending.await.unwrap().replayed);
    // Idle, too.
    let cut = "select count(pg_terminate_backend(pid)) from pg_stat_activity \
               where datname = current_database() and pid <> pg_backend_pid()";
    assert!(world.number(cut).await > 0);
    world.ledger.post(transfer(2, 1, 2, 1)).await.unwrap();
    assert_eq!(world.verify_clean().await.transactions, 2);
}

/// A group of a hold's whole life is tried again, and what the engine knows of the accounts is still right.
async fn a_broken_connection_captures_nothing_twice(database: TestDatabase) {
    if database.postgres_url().is_none() {
        return;
    }
    let world = World::new(&database).await.with_customers(3, 100).await;
    world.ledger.set_limits(limits(2, &[daily(100)])).await.unwrap();
    world.ledger.hold(hold(1, 2, 3, 60)).await.unwrap();
    let held = world.hold_the_journal().await;
    let ledger = || world.ledger.clone();
    let (one, two, three) = (ledger(), ledger(), ledger());
    let part = queued(async move { one.capture(capture(7, 1, Some(20))).await }).await;
    let ended = queued(async move { two.release(voided(1)).await }).await;
    let narrow = queued(async move { three.set_limits(limits(2, &[daily(50)])).await }).await;
    let cut = "select count(pg_terminate_backend(pid)) from pg_stat_activity \
               where datname = current_database() and wait_event_type = 'Lock'";
    while world.number(cut).await == 0 {
        tokio::task::yield_now().await;
    }
    drop(held);
    assert!(!part.await.unwrap().replayed);
    assert!(!ended.await.unwrap().replayed);
    assert_eq!(narrow.await.unwrap().limits[0].used_minor_units, 20);
    let refused = refusal(world.ledger.post(transfer(8, 2, 3, 31)).await);
    assert!(matches!(refused, ledger_api::Refusal::LimitExceeded { left: 30, .. }), "{refused:?}");
    world.ledger.post(transfer(8, 2, 3, 30)).await.unwrap();
    assert_eq!((world.balance(2).await, world.balance(3).await), (50, 150));
    world.verify_clean().await;
}

async fn an_engine_of_the_smallest_size_works(database: TestDatabase) {
    for (queue_max, group_max) in [(1, 1), (0, 0), (usize::MAX, usize::MAX)] {
        let config = EngineConfig { queue_max, group_max, ..EngineConfig::default() };
        let world = World::with(&database, config).await;
        world.open(settlement(1)).await;
    }
}

async fn readers_cannot_keep_the_engine_from_writing(database: TestDatabase) {
    let world = World::new(&database).await.with_customers(2, 0).await;
    let readers = if database.postgres_url().is_some() { 5 } else { 4 };
    let mut reading = Vec::new();
    for _ in 0..readers {
        reading.push(world.store.snapshot().await.unwrap());
    }
    let posting = world.ledger.post(transfer(1, 1, 2, 1));
    tokio::time::timeout(PATIENCE, posting).await.expect("the engine is not starved").unwrap();
}

/// The group is refused by the database as a whole: nobody hears that it was done, and after the repair
/// the same commands go through.
async fn a_store_that_fails_is_not_acknowledged(database: TestDatabase) {
    let world = World::new(&database).await.with_customers(2, 0).await;
    world.tamper("alter table entries rename to elsewhere").await.unwrap();
    let failed = world.ledger.post(transfer(1, 1, 2, 1)).await;
    assert!(matches!(failed, Err(LedgerError::Unavailable(_))), "{failed:?}");
    world.tamper("alter table elsewhere rename to entries").await.unwrap();
    let again = world.ledger.post(transfer(1, 1, 2, 1)).await.unwrap();
    assert!(!again.replayed);
    world.verify_clean().await;
}

async fn a_caller_that_goes_away_changes_nothing(database: TestDatabase) {
    let world = World::new(&database).await.with_customers(2, 0).await;
    let held = world.hold_the_journal().await;
    drop(queue(&world.ledger, transfer(1, 1, 2, 5)).await);
    let next = queue(&world.ledger, transfer(2, 1, 2, 7)).await.ok().unwrap();
    drop(held);
    next.await.unwrap();
    assert_eq!(world.balance(2).await, 12);
}
