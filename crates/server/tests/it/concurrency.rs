//! Many at once, through HTTP: money is neither made nor lost.

use crate::support::{ADMIN, AHMED, Client, Dice, FATIMA, World, balance, id};
use serde_json::{Value, json};
use std::collections::{HashMap, HashSet};
use store::testing::TestDatabase;

store::on_every_store! { random_transfers_neither_make_nor_lose_money }

const TASKS: usize = 12;
const TRANSFERS: usize = 20;

async fn random_transfers_neither_make_nor_lose_money(database: TestDatabase) {
    let world = World::new(database);
    let server = world.serve().await;
    let admin = server.client.signed_in(ADMIN).await;
    let mut people =
        vec![server.client.signed_in(AHMED).await, server.client.signed_in(FATIMA).await];
    for number in 0..2 {
        people.push(newcomer(&server.client, number).await);
    }
    let mut wallets = Vec::new();
    for person in &people {
        wallets.push(person.wallet().await);
    }
    let total = |wallets: &[Value]| wallets.iter().map(|one| balance(one, "MAD")).sum::<i64>();
    let before = total(&wallets);

    let tasks: Vec<_> = (0..TASKS)
        .map(|task| {
            let (people, wallets) = (people.clone(), wallets.clone());
            tokio::spawn(async move { transfers(task, &people, &wallets).await })
        })
        .collect();
    let mut acknowledged: HashMap<String, Value> = HashMap::new();
    let mut refused = 0;
    for task in tasks {
        for (key, answer) in task.await.unwrap() {
            match answer {
                Some(sent) => assert!(acknowledged.insert(key, sent).is_none()),
                None => refused += 1,
            }
        }
    }
    assert_eq!(acknowledged.len() + refused, TASKS * TRANSFERS);

    let mut after = Vec::new();
    let mut seen: HashMap<String, usize> = HashMap::new();
    for (person, wallet) in people.iter().zip(&wallets) {
        let now = person.get(&format!("/api/v1/wallets/{}", id(wallet))).await.expect(200);
        assert!(balance(&now, "MAD") >= 0, "{now}");
        for line in history(person, wallet).await {
            if line["type"] == "transfer" {
                *seen
                    .entry(line["ledgerTransactionId"].as_str().unwrap().to_owned())
                    .or_default() += 1;
            }
        }
        after.push(now);
    }
    assert_eq!(total(&after), before);
    // Each acknowledged transfer stands in two histories and once in the ledger; nothing else does.
    let ids: HashSet<String> = acknowledged
        .values()
        .map(|sent| sent["ledgerTransactionId"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(ids.len(), acknowledged.len());
    assert_eq!(seen.keys().cloned().collect::<HashSet<_>>(), ids);
    assert!(seen.values().all(|&count| count == 2));
    for id in ids {
        admin.get(&format!("/api/v1/ledger/transactions/{id}")).await.expect(200);
    }
    assert!(server.stop().await);
    world.verify().await;
}

async fn newcomer(client: &Client, number: usize) -> Client {
    let email = format!("person{number}@example.com");
    let person = json!({
        "email": email,
        "phoneNumber": format!("+21266111110{number}"),
        "password": "demo-Finitech-1",
        "displayName": format!("Person {number}"),
    });
    client.post("/api/v1/auth/register", &person).await.expect(201);
    let person = client.signed_in(&email).await;
    person.post("/api/v1/wallets", &json!({"currencies": ["MAD"]})).await.expect(201);
    person
}

/// Sends random amounts, often from the same hot wallet, each twice under the same key. Answers with
/// what was acknowledged under each key, `None` for a refusal.
async fn transfers(
    task: usize,
    people: &[Client],
    wallets: &[Value],
) -> Vec<(String, Option<Value>)> {
    let mut dice = Dice(u64::try_from(task).unwrap());
    let mut outcomes = Vec::new();
    for number in 0..TRANSFERS {
        let from = if dice.roll(2) == 0 { 0 } else { dice.roll(people.len()) };
        let to = (from + 1 + dice.roll(people.len() - 1)) % people.len();
        let key = format!("{task}-{number}");
        let path = format!("/api/v1/wallets/{}/transfers", id(&wallets[from]));
        let body = json!({
            "to": {"walletId": id(&wallets[to])},
            "amountMinorUnits": 1 + dice.roll(60_000),
            "currencyCode": "MAD",
        });
        let (first, second) = tokio::join!(
            people[from].post_with_key(&path, &key, &body),
            people[from].post_with_key(&path, &key, &body),
        );
        let answers = [first, second];
        for answer in &answers {
            let code = answer.body["code"].as_str().unwrap_or("");
            let known =
                [(201, ""), (409, "idempotency_key_in_flight"), (422, "insufficient_funds")];
            assert!(known.contains(&(answer.status, code)), "{answer:?}");
        }
        let settled: Vec<_> = answers.into_iter().filter(|one| one.status != 409).collect();
        assert!(settled.iter().all(|one| one.status == settled[0].status));
        let sent = settled.into_iter().find(|one| one.status == 201).map(|one| one.body);
        outcomes.push((key, sent));
    }
    outcomes
}

async fn history(person: &Client, wallet: &Value) -> Vec<Value> {
    let mut lines = Vec::new();
    let mut cursor = String::new();
    loop {
        let path = format!("/api/v1/wallets/{}/transactions?limit=50{cursor}", id(wallet));
        let page = person.get(&path).await.expect(200);
        lines.extend(page["items"].as_array().unwrap().iter().cloned());
        match page["nextCursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return lines,
        }
    }
}
