//! Statements: they chain, they add up, and their lines are the entries of the period.

use crate::balances::{ACCOUNTS, Posted, instant, post_at_random};
use crate::world::*;
use kernel::{PageLimit, Timestamp};
use ledger_api::{Basis, Ledger as _, Side};
use serde_json::Value;
use std::time::Duration;
use store::testing::TestDatabase;

store::on_every_store! {
    statements_chain_and_add_up,
    the_lines_of_a_statement_are_the_entries_of_its_period,
    a_statement_is_not_torn_by_postings,
}

async fn statement(
    world: &World,
    account: u128,
    (from, to): (Timestamp, Timestamp),
    basis: &str,
) -> Value {
    let account = uuid(account);
    let query = format!("from={}&to={}&basis={basis}", at(from), at(to));
    world.read(&format!("/api/v1/ledger/accounts/{account}/statement?{query}")).await
}

fn number(body: &Value, member: &str) -> i64 {
    body[member].as_i64().unwrap_or_else(|| panic!("{member} in {body}"))
}

/// Opening balance and totals together.
fn added_up(statement: &Value, account: u128) -> i64 {
    let credits_less_debits =
        number(statement, "creditsMinorUnits") - number(statement, "debitsMinorUnits");
    let sign = if side_of(account) == Side::Credit { 1 } else { -1 };
    number(statement, "openingBalanceMinorUnits") + sign * credits_less_debits
}

async fn statements_chain_and_add_up(database: TestDatabase) {
    let world = World::new(&database).await.with_accounts(ACCOUNTS).await;
    let mut dice = Dice(7);
    let posted = post_at_random(&world, &mut dice, 0..80).await;
    for (basis, word) in [(Basis::Effective, "effective"), (Basis::Recorded, "recorded")] {
        for account in 1..=ACCOUNTS {
            let mut cuts: Vec<Timestamp> = (0..8).map(|_| instant(&mut dice, &posted)).collect();
            cuts.push(shifted(noon(), -400_000_000_000));
            cuts.push(shifted(noon(), 900_000_000_000));
            cuts.sort();
            cuts.dedup();
            let mut closing = None;
            for pair in cuts.windows(2) {
                let (from, to) = (pair[0], pair[1]);
                let one = statement(&world, account, (from, to), word).await;
                let opening = number(&one, "openingBalanceMinorUnits");
                assert!(closing.is_none_or(|closing| closing == opening), "{one}");
                closing = Some(number(&one, "closingBalanceMinorUnits"));
                assert_eq!(Some(added_up(&one, account)), closing, "{one}");
                let within = |one: &&Posted| {
                    let counts_at = one.counts_at(basis);
                    one.account == account && from <= counts_at && counts_at < to
                };
                for (side, sum, count) in [
                    (Side::Debit, "debitsMinorUnits", "debitCount"),
                    (Side::Credit, "creditsMinorUnits", "creditCount"),
                ] {
                    let lines: Vec<i64> = posted
                        .iter()
                        .filter(within)
                        .filter(|one| one.direction == side)
                        .map(|one| one.minor_units)
                        .collect();
                    assert_eq!(number(&one, sum), lines.iter().sum::<i64>(), "{word}: {one}");
                    assert_eq!(number(&one, count), i64::try_from(lines.len()).unwrap());
                }
            }
        }
    }
}

async fn the_lines_of_a_statement_are_the_entries_of_its_period(database: TestDatabase) {
    let world = World::new(&database).await.with_accounts(ACCOUNTS).await;
    let mut dice = Dice(11);
    let posted = post_at_random(&world, &mut dice, 0..80).await;
    for _ in 0..20 {
        let mut cuts = [instant(&mut dice, &posted), instant(&mut dice, &posted)];
        cuts.sort();
        let [from, to] = cuts;
        if from == to {
            continue;
        }
        let path = format!("/api/v1/ledger/accounts/{}/entries?limit=7", uuid(1));
        let both = format!("{path}&from={}&to={}", at(from), at(to));
        let (lines, _) = world.pages(&both).await;
        let found: Vec<(i64, i64)> =
            lines.iter().map(|line| (number(line, "sequence"), number(line, "leg"))).collect();
        let lies_within = |one: &&Posted, from, to| {
            one.account == 1 && one.recorded_at >= from && one.recorded_at < to
        };
        let expected = |from, to| {
            let mut keys: Vec<(i64, i64)> = posted
                .iter()
                .filter(|one| lies_within(one, from, to))
                .map(|one| one.key.parts())
                .collect();
            keys.reverse();
            keys
        };
        assert_eq!(found, expected(from, to), "from {from} to {to}");
        let one = statement(&world, 1, (from, to), "recorded").await;
        if let (Some(newest), Some(oldest)) = (lines.first(), lines.last()) {
            let closing = number(&one, "closingBalanceMinorUnits");
            assert_eq!(number(newest, "balanceAfterMinorUnits"), closing);
            let sign = if oldest["direction"] == "debit" { 1 } else { -1 };
            let before = number(oldest, "balanceAfterMinorUnits")
                - sign * number(oldest, "amountMinorUnits");
            assert_eq!(before, number(&one, "openingBalanceMinorUnits"));
        }
        let (since, _) = world.pages(&format!("{path}&from={}", at(from))).await;
        assert_eq!(since.len(), expected(from, Timestamp::from_micros(i64::MAX)).len());
        let (until, _) = world.pages(&format!("{path}&to={}", at(to))).await;
        assert_eq!(until.len(), expected(Timestamp::from_micros(i64::MIN), to).len());
    }
}

/// Whatever is posted meanwhile, backdated into the period, opening and totals make the closing balance.
async fn a_statement_is_not_torn_by_postings(database: TestDatabase) {
    let world = World::new(&database).await.with_accounts(2).await;
    let ledger = world.ledger.clone();
    let clock = world.clock.clone();
    let posting = tokio::spawn(async move {
        for id in 0..150_u128 {
            clock.advance(Duration::from_micros(1));
            let mut new = transfer(1_000 + id, 1, 2, 7);
            new.effective_at = Some(shifted(noon(), -60_000_000));
            ledger.post(new).await.unwrap();
        }
    });
    let (from, to) = (shifted(noon(), -120_000_000), shifted(noon(), -1));
    while !posting.is_finished() {
        let one = statement(&world, 2, (from, to), "effective").await;
        assert_eq!(added_up(&one, 2), number(&one, "closingBalanceMinorUnits"), "{one}");
        assert_eq!(number(&one, "closingBalanceMinorUnits"), 7 * number(&one, "creditCount"));
    }
    posting.await.unwrap();
    let limit = PageLimit::new(1).unwrap();
    let newest = world.ledger.entries(account_id(2), None, limit).await.unwrap();
    assert_eq!(newest.items[0].balance_after, 150 * 7);
}
