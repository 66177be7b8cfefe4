//! Many at once, in one process and in several.

use crate::world::*;
use kernel::PageLimit;
use ledger::{EngineConfig, Ledger};
use ledger_api::{AccountId, EntryKey, Ledger as _, LedgerError, Refusal, TransactionId};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use store::sea_orm::ConnectionTrait;
use store::testing::TestDatabase;

store::on_every_store! {
    random_transfers_lose_and_invent_nothing,
    two_engines_on_one_database_act_as_one,
}

/// Account 2 is the hot one: on every other transfer.
const CUSTOMERS: std::ops::RangeInclusive<u128> = 2..=9;
const EACH: i64 = 300;

/// A sequence of numbers that looks random and is the same each time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        // The constants of Knuth's MMIX generator; its high bits are the good ones.
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

/// What became of each id: `true` when it was posted.
type Outcomes = BTreeMap<TransactionId, bool>;

/// Sends random transfers, each twice at once under the same id: to `ledgers[0]` and to the last one.
async fn play(ledgers: &[Ledger], tasks: u64, transfers: u64) -> Outcomes {
    let playing: Vec<_> = (0..tasks)
        .map(|task| {
            let (one, other) = (ledgers[0].clone(), ledgers[ledgers.len() - 1].clone());
            tokio::spawn(async move { play_alone(&one, &other, task, transfers).await })
        })
        .collect();
    let mut outcomes = Outcomes::new();
    for one in playing {
        outcomes.append(&mut one.await.unwrap());
    }
    outcomes
}

async fn play_alone(one: &Ledger, other: &Ledger, task: u64, transfers: u64) -> Outcomes {
    let mut dice = Dice(task);
    let mut outcomes = Outcomes::new();
    for number in 0..transfers {
        let id = u128::from(1 + task * 1_000 + number);
        let from = 2 + u128::from(dice.roll(8));
        let to = if from != 2 && dice.roll(2) == 0 { 2 } else { 2 + (from - 1) % 8 };
        let new = transfer(id, from, to, 1 + i64::try_from(dice.roll(200)).unwrap());
        let (first, second) = tokio::join!(one.post(new.clone()), other.post(new.clone()));
        let posted = match (first, second) {
            (Ok(first), Ok(second)) => {
                assert_eq!(first.record, second.record);
                assert!(first.replayed != second.replayed, "{id} was carried out twice");
                true
            }
            // Between the two, somebody else may have paid in.
            (Ok(only), Err(refused)) | (Err(refused), Ok(only)) => {
                assert!(is_insufficient(&refused), "{refused:?}");
                assert!(!only.replayed);
                true
            }
            (Err(first), Err(second)) => {
                assert!(
                    is_insufficient(&first) && is_insufficient(&second),
                    "{first:?} {second:?}"
                );
                false
            }
        };
        outcomes.insert(new.id, posted);
    }
    outcomes
}

fn is_insufficient(error: &LedgerError) -> bool {
    matches!(error, LedgerError::Refused(Refusal::InsufficientFunds { .. }))
}

/// Every acknowledged transfer is in the histories exactly once, every refused one nowhere, and the money
/// is all there.
async fn settle(world: &World, outcomes: &Outcomes) {
    let ids: Vec<AccountId> = CUSTOMERS.map(account_id).collect();
    let accounts = world.ledger.accounts(&ids).await.unwrap();
    assert!(accounts.iter().all(|account| account.posted() >= 0), "{accounts:?}");
    let total: i64 = accounts.iter().map(ledger_api::Account::posted).sum();
    assert_eq!(total, EACH * 8);

    let mut debited = Vec::new();
    for id in ids {
        let mut after: Option<EntryKey> = None;
        loop {
            let limit = PageLimit::new(PageLimit::MAX).unwrap();
            let page = world.ledger.entries(id, after, limit).await.unwrap();
            let out = page.items.iter().filter(|entry| entry.direction == ledger_api::Side::Debit);
            debited.extend(out.map(|entry| entry.transaction_id));
            let Some(next) = page.next else { break };
            after = Some((&next).try_into().unwrap());
        }
    }
    let posted: BTreeSet<_> =
        outcomes.iter().filter(|(_, posted)| **posted).map(|(id, _)| *id).collect();
    debited.sort_unstable();
    assert_eq!(debited, posted.iter().copied().collect::<Vec<_>>());
    assert!(posted.len() > outcomes.len() / 4, "only {} were posted", posted.len());
    assert!(posted.len() < outcomes.len(), "none was refused");

    let report = world.verify_clean().await;
    // The funding transfers are there as well.
    assert_eq!(report.transactions, 8 + posted.len() as u64);
    let last = world.number("select last_sequence from journal_head").await;
    assert_eq!(last.unsigned_abs(), report.accounts + report.transactions);
}

async fn random_transfers_lose_and_invent_nothing(database: TestDatabase) {
    let world = World::new(&database).await.with_customers(9, EACH).await;
    let outcomes = play(std::slice::from_ref(&world.ledger), 32, 50).await;
    assert_eq!(outcomes.len(), 1_600);
    settle(&world, &outcomes).await;
}

async fn two_engines_on_one_database_act_as_one(database: TestDatabase) {
    if let Some(url) = database.postgres_url() {
        // Whatever the server's default is, waiting for one's turn must not become an error.
        let name = url.rsplit('/').next().unwrap().split('?').next().unwrap();
        let sql =
            format!("alter database {name} set default_transaction_isolation = 'repeatable read'");
        open_store(&database).await.read().execute_unprepared(&sql).await.unwrap();
    }
    let world = World::new(&database).await.with_customers(9, EACH).await;
    let second = open_store(&database).await;
    let second = start(&second, EngineConfig::default(), Arc::clone(&world.clock) as _);
    let outcomes = play(&[world.ledger.clone(), second], 16, 25).await;
    settle(&world, &outcomes).await;
}
