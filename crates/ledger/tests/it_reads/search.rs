//! Finding transactions, against a filter of all of them.

use crate::world::*;
use kernel::Timestamp;
use ledger_api::{AccountStatus, Ledger as _, NewTransaction, Side, StatusChange, Transaction};
use serde_json::Value;
use std::time::Duration;
use store::testing::TestDatabase;

store::on_every_store! {
    every_filter_finds_what_a_walk_through_everything_finds,
    pages_lose_nothing_and_repeat_nothing_while_postings_go_on,
    a_search_for_the_rare_goes_on_where_it_stopped,
}

const KINDS: [&str; 3] = ["transfer", "fee", "rent"];
const PATH: &str = "/api/v1/ledger/transactions";

fn random_transaction(dice: &mut Dice, id: u128) -> NewTransaction {
    let mut account = || u128::try_from(dice.roll(4)).unwrap() + 1;
    let (first, second) = (account(), account());
    let amount = dice.number(60) + 2;
    let mut legs = vec![leg(first, Side::Debit, amount), leg(second, Side::Credit, amount - 1)];
    legs.push(leg(first, Side::Credit, 1));
    let mut new = with_legs(id, legs);
    new.kind = (*dice.pick(&KINDS)).to_owned();
    if dice.roll(3) == 0 {
        new.reference = Some(format!("order {}", dice.roll(4)));
    }
    for key in ["colour", "a.b", "größe"] {
        if dice.roll(2) == 0 {
            new.metadata.insert(key.to_owned(), format!("v {}", dice.roll(3)));
        }
    }
    new
}

async fn fill(world: &World, dice: &mut Dice, count: u128) -> Vec<Transaction> {
    let mut all = Vec::new();
    for id in 0..count {
        world.clock.advance(Duration::from_micros(u64::try_from(dice.roll(3)).unwrap()));
        if id % 9 == 0 {
            // Other records take numbers too.
            let to = if id % 2 == 0 { AccountStatus::Frozen } else { AccountStatus::Open };
            let change = StatusChange { account: account_id(5), to, reason: "a test".into() };
            world.ledger.change_status(change).await.unwrap();
        }
        all.push(world.post(random_transaction(dice, 10_000 + id)).await);
    }
    all
}

/// A query and what it asks of a transaction.
#[derive(Default)]
struct Question {
    query: Vec<String>,
    account: Option<u128>,
    kind: Option<String>,
    reference: Option<String>,
    metadata: Vec<(String, String)>,
    from: Option<Timestamp>,
    to: Option<Timestamp>,
    least: Option<i64>,
    most: Option<i64>,
}

impl Question {
    fn at_random(dice: &mut Dice, all: &[Transaction]) -> Self {
        let mut one = Self::default();
        let add = |one: &mut Self, name: &str, value: &str| {
            let value = value.replace(' ', "%20");
            one.query.push(format!("{}={value}", name.replace("größe", "gr%C3%B6%C3%9Fe")));
        };
        if dice.roll(3) == 0 {
            let account = u128::try_from(dice.roll(5)).unwrap() + 1;
            one.account = Some(account);
            add(&mut one, "accountId", &uuid(account));
        }
        if dice.roll(3) == 0 {
            let kind = (*dice.pick(&KINDS)).to_owned();
            add(&mut one, "kind", &kind);
            one.kind = Some(kind);
        }
        if dice.roll(4) == 0 {
            let reference = format!("order {}", dice.roll(5));
            add(&mut one, "reference", &reference);
            one.reference = Some(reference);
        }
        for key in ["colour", "a.b", "größe"] {
            if dice.roll(4) == 0 {
                let value = format!("v {}", dice.roll(3));
                add(&mut one, &format!("metadata.{key}"), &value);
                one.metadata.push((key.to_owned(), value));
            }
        }
        let mut cuts = [dice.pick(all).recorded_at, shifted(dice.pick(all).recorded_at, 1)];
        cuts.sort();
        if dice.roll(3) == 0 {
            one.from = Some(cuts[0]);
            add(&mut one, "from", &at(cuts[0]));
        }
        if dice.roll(3) == 0 && cuts[0] < cuts[1] {
            one.to = Some(cuts[1]);
            add(&mut one, "to", &at(cuts[1]));
        }
        if dice.roll(4) == 0 {
            let least = dice.number(40) + 1;
            one.least = Some(least);
            add(&mut one, "minAmountMinorUnits", &least.to_string());
        }
        if dice.roll(4) == 0 {
            let most = one.least.unwrap_or(1) + dice.number(20);
            one.most = Some(most);
            add(&mut one, "maxAmountMinorUnits", &most.to_string());
        }
        one
    }

    fn wants(&self, one: &Transaction) -> bool {
        let on_account = |account| one.legs.iter().any(|leg| leg.account_id == account_id(account));
        let has = |(key, value): &(String, String)| one.metadata.get(key) == Some(value);
        let amounts = self.least.unwrap_or(0)..=self.most.unwrap_or(i64::MAX);
        self.account.is_none_or(on_account)
            && self.kind.as_ref().is_none_or(|kind| *kind == one.kind)
            && (self.reference.is_none() || self.reference == one.reference)
            && self.metadata.iter().all(has)
            && self.from.is_none_or(|from| one.recorded_at >= from)
            && self.to.is_none_or(|to| one.recorded_at < to)
            && one.legs.iter().any(|leg| amounts.contains(&leg.amount.minor_units()))
    }
}

fn sequences(items: &[Value]) -> Vec<i64> {
    items.iter().map(|item| item["sequence"].as_i64().unwrap()).collect()
}

async fn every_filter_finds_what_a_walk_through_everything_finds(database: TestDatabase) {
    let world = World::new(&database).await.with_accounts(5).await;
    let mut dice = Dice(3);
    let all = fill(&world, &mut dice, 250).await;
    let (items, sizes) = world.pages(&format!("{PATH}?limit=200")).await;
    let newest_first: Vec<i64> = all.iter().rev().map(|one| one.sequence).collect();
    assert_eq!(sequences(&items), newest_first);
    assert_eq!(sizes, [200, 50]);
    let mut found_some = 0;
    for _ in 0..120 {
        let question = Question::at_random(&mut dice, &all);
        let limit = 1 + dice.roll(40);
        let path = format!("{PATH}?limit={limit}&{}", question.query.join("&"));
        let (items, _) = world.pages(path.trim_end_matches('&')).await;
        let expected: Vec<i64> =
            all.iter().rev().filter(|one| question.wants(one)).map(|one| one.sequence).collect();
        assert_eq!(sequences(&items), expected, "{path}");
        found_some += usize::from(!expected.is_empty());
    }
    assert!(found_some > 40, "only {found_some} questions had an answer");
    // An item is the whole transaction.
    let one = world.read(&format!("{PATH}/{}", all[0].id)).await;
    assert!(items.contains(&one), "{one}");
}

async fn pages_lose_nothing_and_repeat_nothing_while_postings_go_on(database: TestDatabase) {
    let world = World::new(&database).await.with_accounts(5).await;
    let mut dice = Dice(4);
    let before = fill(&world, &mut dice, 150).await;
    let ledger = world.ledger.clone();
    let posting = tokio::spawn(async move {
        let mut dice = Dice(5);
        for id in 0..200 {
            ledger.post(random_transaction(&mut dice, 50_000 + id)).await.unwrap();
        }
    });
    for query in ["", "&kind=fee", "&metadata.colour=v%201", "&reference=order%202"] {
        let (items, _) = world.pages(&format!("{PATH}?limit=7{query}")).await;
        let found = sequences(&items);
        assert!(found.windows(2).all(|pair| pair[0] > pair[1]), "{query}: {found:?}");
        let missed = before.iter().filter(|one| match query {
            "" => true,
            "&kind=fee" => one.kind == "fee",
            "&metadata.colour=v%201" => one.metadata.get("colour").is_some_and(|v| v == "v 1"),
            _ => one.reference.as_deref() == Some("order 2"),
        });
        let missed: Vec<i64> =
            missed.map(|one| one.sequence).filter(|one| !found.contains(one)).collect();
        assert_eq!(missed, [0; 0], "{query}");
    }
    posting.await.unwrap();
}

/// More candidates than a page looks at: the pages on the way are empty and the search still arrives.
async fn a_search_for_the_rare_goes_on_where_it_stopped(database: TestDatabase) {
    let world = World::new(&database).await.with_accounts(2).await;
    let mut rare = transfer(1_000, 1, 2, 77);
    rare.metadata.insert("colour".into(), "red".into());
    let rare = world.post(rare).await;
    for batch in 0..2_u128 {
        let batch = (0..5_500_u128).map(|id| transfer(10_000 + batch * 10_000 + id, 1, 2, 5));
        world.ledger.post_all(batch.collect()).await.unwrap();
    }
    for query in [
        "minAmountMinorUnits=6".to_owned(),
        "kind=transfer&minAmountMinorUnits=6".to_owned(),
        format!("accountId={}&maxAmountMinorUnits=77&minAmountMinorUnits=77", uuid(2)),
    ] {
        let (items, sizes) = world.pages(&format!("{PATH}?{query}")).await;
        assert_eq!(sequences(&items), [rare.sequence], "{query}");
        assert_eq!(sizes, [0, 0, 1], "{query}");
    }
    // An index that leads there at once has nothing on the way.
    let (items, sizes) = world.pages(&format!("{PATH}?metadata.colour=red&kind=transfer")).await;
    assert_eq!((sequences(&items), sizes), (vec![rare.sequence], vec![1]));
}
