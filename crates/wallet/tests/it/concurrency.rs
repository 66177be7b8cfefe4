//! Many people at once.

use crate::world::{Answer, Person, World, to};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;
use store::testing::TestDatabase;
use tokio::task::JoinSet;

store::on_every_store! { no_money_comes_or_goes_however_many_send_at_once }

const TASKS: u64 = 16;
const TRANSFERS: u64 = 30;
const FUNDS: i64 = 2_000;

/// Numbers that look random and are the same each time (SplitMix64).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: u64) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % end).unwrap()
    }
}

struct Sent {
    from: usize,
    to: usize,
    answer: Answer,
}

async fn no_money_comes_or_goes_however_many_send_at_once(database: TestDatabase) {
    let world = World::new(&database).await;
    let mut people = Vec::new();
    for number in 0..5 {
        people.push(world.person(number, &["MAD"]).await);
        world.fund(&people[number], FUNDS).await;
    }
    let world = Arc::new(world);
    let people = Arc::new(people);
    let mut tasks = JoinSet::new();
    for task in 0..TASKS {
        tasks.spawn(send_many(world.clone(), people.clone(), task));
    }
    let sent: Vec<Sent> = tasks.join_all().await.into_iter().flatten().collect();
    check(&world, &people, &sent).await;
}

async fn send_many(world: Arc<World>, people: Arc<Vec<Person>>, task: u64) -> Vec<Sent> {
    let mut numbers = Numbers(task);
    let mut sent = Vec::new();
    for transfer in 0..TRANSFERS {
        // Half of all money goes to or from the first wallet.
        let hot = numbers.below(2) == 0;
        let from = if hot && numbers.below(2) == 0 { 0 } else { numbers.below(5) };
        let other = from.wrapping_add(1).wrapping_add(numbers.below(4)) % 5;
        let to_whom = if hot && from != 0 { 0 } else { other };
        let amount = i64::try_from(numbers.below(1_200)).unwrap().saturating_add(1);
        let key = format!("{task} {transfer}");
        let body = to(&people[to_whom], amount);
        let ask = || send_until_done(&world, &people[from], &key, &body);
        let answer = match numbers.below(3) {
            // Asked twice at once, and a third time.
            0 => {
                let (first, second) = tokio::join!(ask(), ask());
                let third = ask().await;
                assert!(third.is_replayed());
                assert_eq!(first.body, second.body);
                assert_eq!(first.body, third.body);
                first
            }
            _ => ask().await,
        };
        sent.push(Sent { from, to: to_whom, answer });
    }
    sent
}

async fn send_until_done(
    world: &World,
    person: &Person,
    key: &str,
    body: &serde_json::Value,
) -> Answer {
    loop {
        let answer = world.process.transfer(person, key, body).await;
        match answer.status {
            201 => return answer,
            422 => {
                assert_eq!(answer.problem().1, "insufficient_funds");
                return answer;
            }
            _ => assert_eq!(answer.problem(), (409, "idempotency_key_in_flight")),
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

async fn check(world: &World, people: &[Person], sent: &[Sent]) {
    let done: Vec<_> = sent.iter().filter(|one| one.answer.status == 201).collect();
    let refused = sent.len().saturating_sub(done.len());
    assert!(done.len() > 50 && refused > 5, "{} done, {refused} refused", done.len());
    let ids: HashSet<_> = done.iter().map(|one| one.answer.id()).collect();
    assert_eq!(ids.len(), done.len());

    // What each person's history must hold: id, direction and amount of everything acknowledged.
    let mut expected: HashMap<usize, HashSet<(String, &str, i64)>> = HashMap::new();
    let mut balances = vec![FUNDS; people.len()];
    for one in &done {
        let id = one.answer.id().to_string();
        let amount = one.answer.body["amountMinorUnits"].as_i64().unwrap();
        expected.entry(one.from).or_default().insert((id.clone(), "out", amount));
        expected.entry(one.to).or_default().insert((id, "in", amount));
        balances[one.from] = balances[one.from].checked_sub(amount).unwrap();
        balances[one.to] = balances[one.to].checked_add(amount).unwrap();
    }
    for (number, person) in people.iter().enumerate() {
        let mut lines = HashSet::new();
        let mut path = person.wallet_path("/transactions?limit=200");
        loop {
            let page = world.process.get(person, &path).await;
            for line in page.body["items"].as_array().unwrap() {
                if line["type"] == "topUp" {
                    continue;
                }
                let direction = if line["direction"] == "in" { "in" } else { "out" };
                let amount = line["amountMinorUnits"].as_i64().unwrap();
                let id = line["id"].as_str().unwrap().to_owned();
                assert!(lines.insert((id, direction, amount)), "a line stands twice: {line}");
            }
            let Some(cursor) = page.body["nextCursor"].as_str() else { break };
            path = person.wallet_path(&format!("/transactions?limit=200&cursor={cursor}"));
        }
        assert_eq!(Some(&lines), expected.get(&number));
        let balance = world.balance(person).await;
        assert!(balance >= 0);
        assert_eq!(balance, balances[number]);
    }
    assert_eq!(balances.iter().sum::<i64>(), FUNDS.saturating_mul(5));
    let operations = world.operations().await.len();
    assert_eq!(operations, sent.len().saturating_add(5));
    world.assert_settled().await;
}
