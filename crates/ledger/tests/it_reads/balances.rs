//! Balances and statements against a fold of everything that was posted.

use crate::world::*;
use kernel::Timestamp;
use ledger_api::{Basis, EntryKey, Ledger as _, NewTransaction, Side};
use serde_json::Value;
use std::ops::Range;
use std::time::Duration;
use store::testing::TestDatabase;

store::on_every_store! {
    a_balance_as_of_an_instant_is_the_fold_of_the_entries_until_then,
    a_balance_needs_no_instant_and_no_history,
    backdating_changes_the_past_by_value_date_alone,
    now_is_never_earlier_than_the_journal,
}

/// One entry as it was posted.
pub(crate) struct Posted {
    pub(crate) account: u128,
    pub(crate) recorded_at: Timestamp,
    pub(crate) effective_at: Timestamp,
    pub(crate) direction: Side,
    pub(crate) minor_units: i64,
    pub(crate) key: EntryKey,
}

impl Posted {
    /// Positive on the account's normal side.
    fn signed(&self) -> i64 {
        if self.direction == side_of(self.account) { self.minor_units } else { -self.minor_units }
    }

    pub(crate) fn counts_at(&self, basis: Basis) -> Timestamp {
        match basis {
            Basis::Effective => self.effective_at,
            Basis::Recorded => self.recorded_at,
        }
    }
}

pub(crate) const ACCOUNTS: u128 = 4;
const HOUR: i64 = 3_600_000_000;

/// Posts at random: several transactions to a commit, several commits to an instant, value dates before,
/// at and after the recording.
pub(crate) async fn post_at_random(
    world: &World,
    dice: &mut Dice,
    groups: Range<usize>,
) -> Vec<Posted> {
    let mut posted = Vec::new();
    for group in groups {
        let pause = [0, 0, 1, 2, 1_000_000, 7_200_000_000][dice.roll(6)];
        world.clock.advance(Duration::from_micros(pause));
        let ids = (0..=dice.roll(4)).map(|place| u128::try_from(1_000 + group * 10 + place));
        let batch = ids.map(|id| random_transaction(world, dice, id.unwrap())).collect();
        for one in world.ledger.post_all(batch).await.unwrap() {
            let transaction = one.record;
            posted.extend((0..).zip(&transaction.legs).map(|(leg_no, leg)| Posted {
                account: leg.account_id.0.as_u128(),
                recorded_at: transaction.recorded_at,
                effective_at: transaction.effective_at,
                direction: leg.direction,
                minor_units: leg.amount.minor_units(),
                key: EntryKey::new(transaction.sequence, leg_no),
            }));
        }
    }
    posted
}

fn random_transaction(world: &World, dice: &mut Dice, id: u128) -> NewTransaction {
    let mut account = || u128::try_from(dice.roll(4)).unwrap() + 1;
    let (first, second) = (account(), account());
    let amount = dice.number(1_000) + 1;
    let mut legs = vec![leg(first, Side::Debit, amount)];
    // Sometimes in two parts, and sometimes back to the same account.
    if amount > 500 {
        legs.push(leg(second, Side::Credit, 200));
        legs.push(leg(second, Side::Credit, amount - 200));
    } else {
        legs.push(leg(second, Side::Credit, amount));
    }
    let effective_at = match dice.roll(6) {
        0 => Some(shifted(world.now(), -dice.number(72) * HOUR)),
        1 => Some(shifted(world.now(), dice.number(72) * HOUR)),
        2 => Some(shifted(world.now(), dice.number(5) - 2)),
        _ => None,
    };
    NewTransaction { effective_at, ..with_legs(id, legs) }
}

/// An instant at, just before or just after something happened, or anywhere.
pub(crate) fn instant(dice: &mut Dice, posted: &[Posted]) -> Timestamp {
    let one = dice.pick(posted);
    let near = if dice.roll(2) == 0 { one.recorded_at } else { one.effective_at };
    match dice.roll(4) {
        0 => near,
        1 => shifted(near, -1),
        2 => shifted(near, 1),
        _ => shifted(noon(), (dice.number(2_000) - 300) * HOUR / 3),
    }
}

async fn a_balance_as_of_an_instant_is_the_fold_of_the_entries_until_then(database: TestDatabase) {
    let world = World::new(&database).await.with_accounts(ACCOUNTS).await;
    let mut dice = Dice(20_261_123);
    let mut posted = Vec::new();
    for round in 0..3 {
        posted.extend(post_at_random(&world, &mut dice, round * 60..(round + 1) * 60).await);
        for _ in 0..60 {
            let at = instant(&mut dice, &posted);
            let account = u128::try_from(dice.roll(4)).unwrap() + 1;
            for basis in [Basis::Effective, Basis::Recorded] {
                let answer = world.ledger.balance_as_of(account_id(account), Some(at), basis).await;
                let answer = answer.unwrap().unwrap();
                let until = |one: &&Posted| one.account == account && one.counts_at(basis) <= at;
                let expected: i64 = posted.iter().filter(until).map(Posted::signed).sum();
                let found = answer.balance.minor_units();
                assert_eq!(found, expected, "account {account} at {at} {basis:?}");
                assert_eq!(answer.at, at);
            }
        }
    }
    let most = (1..=ACCOUNTS).map(|one| posted.iter().filter(|p| p.account == one).count()).max();
    assert!(most.unwrap() > 128, "the marks were not used");
    assert_eq!(
        ledger::verify(&world.store, &ledger::Verification::default(), |_, _| ())
            .await
            .unwrap()
            .findings,
        []
    );
}

async fn balance(world: &World, query: &str) -> Value {
    world.read(&format!("/api/v1/ledger/accounts/{}/balance{query}", uuid(2))).await
}

async fn a_balance_needs_no_instant_and_no_history(database: TestDatabase) {
    let world = World::new(&database).await.with_accounts(2).await;
    let before = at(shifted(noon(), -1));
    let empty = balance(&world, &format!("?at={before}&basis=recorded")).await;
    assert_eq!(empty["balanceMinorUnits"], 0);
    assert_eq!(empty["asOfSequence"], 0);
    assert_eq!(balance(&world, "").await["balanceMinorUnits"], 0);
    world.clock.advance(Duration::from_secs(1));
    let one = world.post(transfer(100, 1, 2, 700)).await;
    let now = balance(&world, "").await;
    assert_eq!(now["accountId"], uuid(2));
    assert_eq!(now["at"], at(one.recorded_at));
    assert_eq!(now["basis"], "effective");
    assert_eq!(now["balanceMinorUnits"], 700);
    assert_eq!(now["currencyCode"], "MAD");
    assert_eq!(now["asOfSequence"], one.sequence);
    let opened = balance(&world, &format!("?at={}&basis=recorded", at(noon()))).await;
    assert_eq!(opened["balanceMinorUnits"], 0);
    assert_eq!(opened["asOfSequence"], 2);
}

async fn backdating_changes_the_past_by_value_date_alone(database: TestDatabase) {
    let world = World::new(&database).await.with_accounts(2).await;
    let yesterday = shifted(noon(), -24 * HOUR);
    let mut backdated = transfer(100, 1, 2, 700);
    backdated.effective_at = Some(yesterday);
    world.post(backdated).await;
    let query = |basis| format!("?at={}&basis={basis}", at(yesterday));
    assert_eq!(balance(&world, &query("effective")).await["balanceMinorUnits"], 700);
    assert_eq!(balance(&world, &query("recorded")).await["balanceMinorUnits"], 0);
    // And what is to come does not count yet, although it is posted.
    let mut postdated = transfer(101, 1, 2, 50);
    postdated.effective_at = Some(shifted(noon(), HOUR));
    world.post(postdated).await;
    assert_eq!(balance(&world, "").await["balanceMinorUnits"], 700);
    assert_eq!(balance(&world, "?basis=recorded").await["balanceMinorUnits"], 750);
    let later = format!("?at={}", at(shifted(noon(), HOUR)));
    assert_eq!(balance(&world, &later).await["balanceMinorUnits"], 750);
}

async fn now_is_never_earlier_than_the_journal(database: TestDatabase) {
    let world = World::new(&database).await.with_accounts(2).await;
    world.clock.advance(Duration::from_secs(60));
    let one = world.post(transfer(100, 1, 2, 700)).await;
    // Another machine, whose clock is behind.
    let behind = world.beside(noon());
    for basis in [Basis::Effective, Basis::Recorded] {
        let now = behind.balance_as_of(account_id(2), None, basis).await.unwrap().unwrap();
        assert_eq!(now.balance.minor_units(), 700);
        assert_eq!(now.at, one.recorded_at);
        assert_eq!(now.as_of_sequence, one.sequence);
    }
}
