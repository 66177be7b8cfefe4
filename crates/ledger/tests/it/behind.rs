//! Rows of accounts that are written later than their entries: nobody can tell, whoever writes, reads, stops
//! or dies meanwhile. On PostgreSQL no row ever is, and the same must hold.

use crate::http::Client;
use crate::world::{
    World, account_id, capture, daily, hold, limits, noon, refusal, settlement, start, transfer,
    voided,
};
use kernel::{Clock, Page, PageLimit};
use ledger::{EngineConfig, Ledger};
use ledger_api::{Basis, Ledger as _, LedgerError, NewHold, Refusal};
use serde_json::Value;
use std::sync::Arc;
use std::time::{Duration, Instant};
use store::testing::TestDatabase;
use uuid::Uuid;

store::on_every_store! {
    what_rows_lack_is_read_all_the_same,
    another_process_sees_and_goes_on_with_what_rows_lack,
    rows_are_written_while_nothing_happens,
    rows_are_written_at_the_end,
    a_group_that_fails_leaves_no_doubt,
    a_row_that_cannot_catch_up_refuses_its_own_account_alone,
    what_is_pending_is_read_all_the_same,
    holds_that_rows_lack_are_listed,
    rows_get_what_was_posted_and_what_was_held_at_once,
    whatever_was_held_is_added_up_after_a_crash,
    verification_finds_rows_that_were_changed_while_behind,
    a_hold_that_moves_hides_no_newer_one,
    nobody_goes_on_from_rows_that_are_said_to_be_behind,
}

/// Every row that can be is behind.
const BEHIND: EngineConfig = EngineConfig { queue_max: 100, group_max: 100, rows_at_once: 0 };

impl World {
    /// Customers 2 to 4 with 1,000 each.
    async fn behind(database: &TestDatabase) -> Self {
        World::with(database, BEHIND).await.with_customers(4, 1_000).await
    }

    async fn is_behind(&self) -> bool {
        self.number("select count(states_through) from journal_head").await == 1
    }

    /// Whether the rows are behind, where they can be.
    async fn assert_behind(&self, database: &TestDatabase) {
        assert_eq!(self.is_behind().await, database.postgres_url().is_none());
    }

    async fn wait_for_rows(&self) {
        let began = Instant::now();
        while self.is_behind().await {
            assert!(began.elapsed() < Duration::from_secs(10), "the rows are not written");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// What the rows say that customer 2 has.
    async fn row_of_customer(&self) -> i64 {
        let sql = "select s.posted_credits - s.posted_debits from account_states s \
                   where s.account_sequence = 2";
        self.number(sql).await
    }
}

/// The posted balances of accounts 1 to 4, by every way to read them.
async fn balances(ledger: &Ledger) -> [i64; 4] {
    let ids = [1, 2, 3, 4].map(account_id);
    let mut accounts = ledger.accounts(&ids).await.unwrap();
    accounts.sort_unstable_by_key(|account| account.id);
    let posted: Vec<i64> = accounts.iter().map(|account| account.posted()).collect();
    for (account, balance) in accounts.iter().zip(&posted) {
        let id = account.id;
        assert_eq!(ledger.account(id).await.unwrap().unwrap().posted(), *balance);
        for basis in [Basis::Recorded, Basis::Effective] {
            let as_of = ledger.balance_as_of(id, None, basis).await.unwrap().unwrap();
            assert_eq!(as_of.balance.minor_units(), *balance);
        }
        let Page { items, .. } =
            ledger.entries(id, None, PageLimit::new(1).unwrap()).await.unwrap();
        assert_eq!(items.first().map_or(0, |entry| entry.balance_after), *balance);
    }
    posted.try_into().unwrap()
}

async fn what_rows_lack_is_read_all_the_same(database: TestDatabase) {
    let world = World::behind(&database).await;
    for number in 0..100 {
        world.ledger.post(transfer(10 + number, 2, 3, 1)).await.unwrap();
        let moved = i64::try_from(number).unwrap() + 1;
        assert_eq!(world.balance(2).await, 1_000 - moved);
    }
    world.ledger.post(transfer(200, 3, 4, 500)).await.unwrap();
    world.assert_behind(&database).await;
    assert_eq!(balances(&world.ledger).await, [3_000, 900, 600, 1_500]);
    let overdraft = refusal(world.ledger.post(transfer(201, 2, 3, 901)).await);
    assert!(matches!(overdraft, Refusal::InsufficientFunds { .. }), "{overdraft:?}");
    let report = world.verify_clean().await;
    assert_eq!((report.accounts, report.transactions), (4, 104));
}

async fn another_process_sees_and_goes_on_with_what_rows_lack(database: TestDatabase) {
    let world = World::behind(&database).await;
    world.ledger.post(transfer(10, 2, 3, 100)).await.unwrap();
    world.assert_behind(&database).await;
    // As after a crash: it knows nothing but what is stored.
    let other = start(&world.store, BEHIND, Arc::clone(&world.clock) as Arc<dyn Clock>);
    assert_eq!(balances(&other).await, [3_000, 900, 1_100, 1_000]);
    other.post(transfer(11, 3, 4, 1_100)).await.unwrap();
    for (number, ledger) in [&world.ledger, &other, &world.ledger, &other].iter().enumerate() {
        let number = u128::try_from(number).unwrap();
        assert_eq!(balances(ledger).await[1], 900 - i64::try_from(number).unwrap() * 10);
        ledger.post(transfer(20 + number, 2, 3, 10)).await.unwrap();
    }
    for ledger in [&world.ledger, &other] {
        assert_eq!(balances(ledger).await, [3_000, 860, 40, 2_100]);
    }
    // Where several write, no row stays behind.
    assert!(!world.is_behind().await);
    world.verify_clean().await;
}

async fn rows_are_written_while_nothing_happens(database: TestDatabase) {
    let world = World::behind(&database).await;
    world.ledger.post(transfer(10, 2, 3, 100)).await.unwrap();
    world.wait_for_rows().await;
    assert_eq!(world.row_of_customer().await, 900);
    world.ledger.post(transfer(11, 2, 3, 100)).await.unwrap();
    assert_eq!(balances(&world.ledger).await, [3_000, 800, 1_200, 1_000]);
    world.verify_clean().await;
}

async fn rows_are_written_at_the_end(database: TestDatabase) {
    let world = World::behind(&database).await;
    world.ledger.post(transfer(10, 2, 3, 100)).await.unwrap();
    world.ledger.shut_down().await;
    assert!(!world.is_behind().await);
    assert_eq!(world.row_of_customer().await, 900);
    let world = world.restarted(&database).await;
    assert_eq!(balances(&world.ledger).await, [3_000, 900, 1_100, 1_000]);
}

async fn a_group_that_fails_leaves_no_doubt(database: TestDatabase) {
    let world = World::behind(&database).await;
    world.ledger.post(transfer(10, 2, 3, 100)).await.unwrap();
    let damage = "update account_states set currency_code = 'ZZZ' where account_sequence = 9";
    world.open(settlement(9)).await;
    world.tamper(damage).await.unwrap();
    let other = start(&world.store, BEHIND, Arc::clone(&world.clock) as Arc<dyn Clock>);
    for (id, ledger) in [(11, &world.ledger), (12, &other)] {
        // Account 9 cannot be read by whoever does not know it.
        let (sound, damaged) = tokio::join!(
            ledger.post(transfer(id, 2, 3, 100)),
            ledger.post(transfer(id + 10, 9, 3, 100))
        );
        sound.unwrap();
        drop(damaged);
    }
    world
        .tamper("update account_states set currency_code = 'MAD' where account_sequence = 9")
        .await
        .unwrap();
    for ledger in [&world.ledger, &other] {
        assert_eq!(balances(ledger).await[1], 700);
    }
    world.verify_clean().await;
}

async fn a_row_that_cannot_catch_up_refuses_its_own_account_alone(database: TestDatabase) {
    let world = World::behind(&database).await;
    world.ledger.post(transfer(10, 2, 3, 100)).await.unwrap();
    // With the entries that the row lacks it would break its constraint.
    let damage = "update account_states set normal_side = -1 where account_sequence = 2";
    if database.postgres_url().is_some() {
        assert!(world.tamper(damage).await.is_err(), "the row has its entries");
        return;
    }
    world.tamper(damage).await.unwrap();
    let other = start(&world.store, BEHIND, Arc::clone(&world.clock) as Arc<dyn Clock>);
    for (number, ledger) in [&other, &world.ledger, &other, &world.ledger].iter().enumerate() {
        let id = 20 + 2 * u128::try_from(number).unwrap();
        ledger.post(transfer(id, 3, 4, 10)).await.unwrap();
        let refused = ledger.post(transfer(id + 1, 2, 3, 1)).await;
        assert!(matches!(refused, Err(LedgerError::Unavailable(_))), "{refused:?}");
    }
    let repair = "update account_states set normal_side = 1 where account_sequence = 2";
    world.tamper(repair).await.unwrap();
    drop(other);
    let world = world.restarted(&database).await;
    assert_eq!(balances(&world.ledger).await, [3_000, 900, 1_060, 1_040]);
    world.ledger.post(transfer(40, 2, 3, 1)).await.unwrap();
    assert!(!world.is_behind().await);
    world.verify_clean().await;
}

async fn what_is_pending_is_read_all_the_same(database: TestDatabase) {
    let world = World::behind(&database).await;
    world.ledger.set_limits(limits(2, &[daily(500)])).await.unwrap();
    world.ledger.post(transfer(10, 2, 3, 100)).await.unwrap();
    world.ledger.hold(hold(20, 2, 4, 300)).await.unwrap();
    world.ledger.hold(hold(21, 3, 4, 50)).await.unwrap();
    world.ledger.capture(capture(30, 20, Some(200))).await.unwrap();
    world.ledger.post(transfer(11, 3, 4, 25)).await.unwrap();
    world.ledger.release(voided(21)).await.unwrap();
    world.assert_behind(&database).await;
    let limit = refusal(world.ledger.post(transfer(12, 2, 3, 101)).await);
    assert!(matches!(limit, Refusal::LimitExceeded { .. }), "{limit:?}");
    let other = start(&world.store, BEHIND, Arc::clone(&world.clock) as Arc<dyn Clock>);
    for ledger in [&world.ledger, &other] {
        assert_eq!(balances(ledger).await, [3_000, 700, 1_075, 1_225]);
        let account = ledger.account(account_id(2)).await.unwrap().unwrap();
        assert_eq!(account.balances.pending_debits, 100);
    }
    world.verify_clean().await;
    other.post(transfer(13, 2, 3, 50)).await.unwrap();
    assert_eq!(balances(&other).await, [3_000, 650, 1_125, 1_225]);
    world.verify_clean().await;
    assert!(world.clock.now() >= noon());
}

async fn holds_that_rows_lack_are_listed(database: TestDatabase) {
    let world = World::behind(&database).await;
    world.ledger.hold(hold(20, 2, 4, 300)).await.unwrap();
    world.ledger.hold(hold(21, 3, 4, 50)).await.unwrap();
    world.ledger.hold(hold(22, 2, 2, 10)).await.unwrap();
    world.ledger.hold(hold(23, 2, 3, 20)).await.unwrap();
    world.assert_behind(&database).await;
    for (account, expected) in
        [(2, vec![23, 22, 20]), (3, vec![23, 21]), (4, vec![21, 20]), (1, Vec::new())]
    {
        for limit in [1, 2, 9] {
            assert_eq!(listed(&world.ledger, account, limit).await, expected, "{account}");
        }
    }
    // Who knows nothing but what is stored, while nobody can write the rows.
    let lock = world.hold_the_journal().await;
    let other = start(&world.store, BEHIND, Arc::clone(&world.clock) as Arc<dyn Clock>);
    assert_eq!(listed(&other, 2, 9).await, [23, 22, 20]);
    let held = other.account(account_id(2)).await.unwrap().unwrap().balances;
    assert_eq!((held.pending_debits, held.pending_credits), (330, 10));
    drop(lock);
}

async fn a_hold_that_moves_hides_no_newer_one(database: TestDatabase) {
    let world = World::behind(&database).await;
    world.ledger.hold(hold(20, 2, 4, 300)).await.unwrap();
    world.ledger.hold(hold(21, 2, 4, 50)).await.unwrap();
    world.wait_for_rows().await;
    world.ledger.capture(capture(30, 20, None)).await.unwrap();
    world.assert_behind(&database).await;
    let lock = world.hold_the_journal().await;
    let other = start(&world.store, BEHIND, Arc::clone(&world.clock) as Arc<dyn Clock>);
    assert_eq!(listed(&other, 2, 9).await, [21, 20]);
    drop(lock);
    other.post(transfer(31, 3, 4, 1)).await.unwrap();
    assert_eq!(listed(&other, 2, 9).await, [21, 20]);
    world.verify_clean().await;
}

/// Either without the other would break the account's constraint.
async fn rows_get_what_was_posted_and_what_was_held_at_once(database: TestDatabase) {
    let world = World::behind(&database).await;
    world.ledger.hold(hold(20, 3, 4, 900)).await.unwrap();
    world.wait_for_rows().await;
    world.ledger.post(transfer(10, 1, 2, 500)).await.unwrap();
    world.ledger.hold(hold(21, 2, 4, 1_400)).await.unwrap();
    world.ledger.capture(capture(22, 20, None)).await.unwrap();
    world.assert_behind(&database).await;
    let other = start(&world.store, BEHIND, Arc::clone(&world.clock) as Arc<dyn Clock>);
    other.post(transfer(11, 3, 4, 100)).await.unwrap();
    assert_eq!(balances(&other).await, [3_500, 1_500, 0, 2_000]);
    let held = other.account(account_id(2)).await.unwrap().unwrap().balances;
    assert_eq!((held.pending_debits, held.pending_credits), (1_400, 0));
    world.verify_clean().await;
    world.wait_for_rows().await;
    world.verify_clean().await;
}

/// The numbers of an account's holds, a page after the other.
async fn listed(ledger: &Ledger, account: u128, limit: u16) -> Vec<u128> {
    let client = Client::of(ledger);
    let mut numbers = Vec::new();
    let mut cursor = String::new();
    loop {
        let account = account_id(account);
        let path = format!("/api/v1/ledger/holds?accountId={account}&limit={limit}{cursor}");
        let answer = client.get(&path).await.body;
        let id = |hold: &Value| hold["id"].as_str().unwrap().parse::<Uuid>().unwrap().as_u128();
        numbers.extend(answer["items"].as_array().unwrap().iter().map(id));
        match answer["nextCursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return numbers,
        }
    }
}

/// Holds of all kinds, made, captured and let go at random while the rows are behind, and partly written
/// between: who starts with what is stored has what they had who wrote it.
async fn whatever_was_held_is_added_up_after_a_crash(database: TestDatabase) {
    // Little enough for constraints to matter.
    let world = World::with(&database, BEHIND).await.with_customers(4, 100).await;
    let mut dice = 20_261_124_u64;
    let mut roll = |sides: u64| {
        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        u128::from((dice >> 33) % sides)
    };
    for round in 0..6_u128 {
        for step in 0..40_u128 {
            let id = 1_000 + round * 100 + step;
            let of = 1_000 + round.saturating_sub(roll(2)) * 100 + roll(40);
            let result = match roll(5) {
                0 | 1 => {
                    let new = NewHold { tolerance: 3, ..hold(id, 2 + roll(3), 2 + roll(3), 20) };
                    world.ledger.hold(new).await.map(drop)
                }
                2 => {
                    let part = i64::try_from(1 + roll(23)).unwrap();
                    world.ledger.capture(capture(id, of, Some(part))).await.map(drop)
                }
                3 => world.ledger.capture(capture(id, of, None)).await.map(drop),
                _ => world.ledger.release(voided(of)).await.map(drop),
            };
            assert!(matches!(result, Ok(()) | Err(LedgerError::Refused(_))), "{result:?}");
        }
        if round % 2 == 1 {
            world.wait_for_rows().await;
            world.ledger.post(transfer(1_090 + round * 100, 1, 2, 1)).await.unwrap();
        }
        let ids = [1, 2, 3, 4].map(account_id);
        let known = world.ledger.accounts(&ids).await.unwrap();
        world.verify_clean().await;
        let other = start(&world.store, BEHIND, Arc::clone(&world.clock) as Arc<dyn Clock>);
        assert_eq!(other.accounts(&ids).await.unwrap(), known, "round {round}");
    }
}

/// Which accounts verification finds something about, 0 for the ledger as a whole.
async fn found(world: &World) -> Vec<i64> {
    let verification = ledger::Verification::default();
    let report = ledger::verify(&world.store, &verification, |_, _| ()).await.unwrap();
    report.findings.iter().map(|finding| finding.sequence).collect()
}

async fn verification_finds_rows_that_were_changed_while_behind(database: TestDatabase) {
    let world = World::behind(&database).await;
    world.ledger.post(transfer(10, 2, 3, 100)).await.unwrap();
    world.ledger.shut_down().await;
    // As an engine leaves it that dies before it writes the row.
    let behind = "update journal_head set states_through = 7; \
                  update account_states set posted_debits = 0, entry_count = 1, last_entry = \
                  (select previous from entries where entry_key = 8192) where account_sequence = 2";
    world.tamper(behind).await.unwrap();
    match database.postgres_url() {
        Some(_) => assert_eq!(found(&world).await, [0, 2, 2], "there no row may be behind"),
        None => drop(world.verify_clean().await),
    }
    for change in [
        "posted_credits = posted_credits + 1",
        "posted_debits = 100",
        "entry_count = 2",
        "last_entry = 8192",
        "pending_debits = 1",
        "last_hold = 6",
    ] {
        let tampering = format!("update account_states set {change} where account_sequence = 2");
        world.tamper(&tampering).await.unwrap();
        assert!(found(&world).await.contains(&2), "{change}");
        let repair = "update account_states set posted_credits = 1000, pending_debits = 0, \
                      last_hold = null where account_sequence = 2";
        world.tamper(repair).await.unwrap();
        world.tamper(behind).await.unwrap();
    }
    // Rows that should not be behind any more.
    world.tamper("update journal_head set states_through = 8").await.unwrap();
    assert!(found(&world).await.contains(&2));
}

/// What verification does not compare while rows are said to be behind must have no effect either.
async fn nobody_goes_on_from_rows_that_are_said_to_be_behind(database: TestDatabase) {
    let world = World::behind(&database).await;
    world.ledger.hold(hold(20, 2, 4, 300)).await.unwrap();
    world.ledger.shut_down().await;
    let other =
        start(&world.store, EngineConfig::default(), Arc::clone(&world.clock) as Arc<dyn Clock>);
    other.post(transfer(30, 1, 3, 1)).await.unwrap();
    let tampering = "update journal_head set states_through = 1; update account_states \
                     set pending_debits = 0, last_hold = null where account_sequence = 2";
    world.tamper(tampering).await.unwrap();
    if database.postgres_url().is_some() {
        assert_eq!(found(&world).await, [0, 2, 2]);
        return;
    }
    assert_eq!(listed(&other, 2, 9).await, [20]);
    let refused = refusal(other.post(transfer(31, 2, 3, 1_000)).await);
    assert!(matches!(refused, Refusal::InsufficientFunds { .. }), "{refused:?}");
    world.verify_clean().await;
}
