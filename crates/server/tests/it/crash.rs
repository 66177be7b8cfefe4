//! The server is killed with SIGKILL under load, again and again, and nothing is lost or doubled.

use crate::support::{ADMIN, AHMED, Client, Dice, FATIMA, Server, World, balance, id};
use serde_json::{Value, json};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;
use store::testing::TestDatabase;

mod on_sqlite {
    #[tokio::test(flavor = "multi_thread")]
    async fn killed_servers_lose_and_double_nothing() {
        super::killed_servers_lose_and_double_nothing(super::TestDatabase::sqlite(), 20).await;
    }
}

mod on_postgres {
    #[tokio::test(flavor = "multi_thread")]
    async fn killed_servers_lose_and_double_nothing() {
        match super::TestDatabase::postgres().await {
            Some(database) => super::killed_servers_lose_and_double_nothing(database, 5).await,
            None => eprintln!("skipped: FINITECH_TEST_POSTGRES_URL is not set"),
        }
    }
}

const TASKS: usize = 8;
/// How many transfers at least are acknowledged before a server is killed.
const LOAD_MIN: usize = 2;

/// What the clients know when the server has died.
#[derive(Default)]
struct Knowledge {
    /// Transfers that were answered with 201, by key.
    acknowledged: HashMap<String, Value>,
    /// Transfers that were answered with a refusal.
    refused: HashSet<String>,
    /// Transfers without an answer: they happened or they did not.
    unknown: Vec<Attempt>,
}

#[derive(Clone)]
struct Attempt {
    key: String,
    person: usize,
    path: String,
    body: Value,
}

async fn killed_servers_lose_and_double_nothing(database: TestDatabase, rounds: u64) {
    let world = World::new(database);
    let mut server = world.serve().await;
    let tokens = [server.client.signed_in(AHMED).await, server.client.signed_in(FATIMA).await]
        .map(|client| client.token());
    let mut opened = Vec::new();
    for person in people(&server, &tokens) {
        opened.push(person.wallet().await);
    }
    let total: i64 = opened.iter().map(|one| balance(one, "MAD")).sum();
    let wallets: Arc<Vec<String>> = Arc::new(opened.iter().map(id).collect());

    let mut knowledge = Knowledge::default();
    for round in 0..rounds {
        let clients = people(&server, &tokens);
        let acknowledged = Arc::new(AtomicUsize::new(0));
        let tasks: Vec<_> = (0..TASKS)
            .map(|task| {
                let seed = round * 100 + u64::try_from(task).unwrap();
                tokio::spawn(load(seed, clients.clone(), wallets.clone(), acknowledged.clone()))
            })
            .collect();
        // Somewhere in the middle of things, elsewhere each time.
        tokio::time::sleep(Duration::from_millis(60 + 37 * (round % 7))).await;
        wait_for_load(&acknowledged).await;
        server.kill().await;
        for task in tasks {
            let known = task.await.unwrap();
            knowledge.acknowledged.extend(known.acknowledged);
            knowledge.refused.extend(known.refused);
            knowledge.unknown.extend(known.unknown);
        }
        world.verify().await;
        server = world.serve().await;
    }

    settle_unknown(&people(&server, &tokens), &mut knowledge).await;
    check(&server, &people(&server, &tokens), &wallets, &knowledge, total).await;
    assert!(server.stop().await);
    world.verify().await;
}

fn people(server: &Server, tokens: &[String]) -> Vec<Client> {
    tokens.iter().map(|token| server.client.with_token(token)).collect()
}

/// However busy the machine is, a kill without load would show nothing.
async fn wait_for_load(acknowledged: &AtomicUsize) {
    for _ in 0..3_000 {
        if acknowledged.load(Ordering::Relaxed) >= LOAD_MIN {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("there was no load");
}

/// Transfers to and fro until the server is gone.
async fn load(
    seed: u64,
    people: Vec<Client>,
    wallets: Arc<Vec<String>>,
    acknowledged: Arc<AtomicUsize>,
) -> Knowledge {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let mut dice = Dice(seed);
    let mut known = Knowledge::default();
    loop {
        let person = dice.roll(2);
        let attempt = Attempt {
            key: format!("crash-{}", NUMBER.fetch_add(1, Ordering::Relaxed)),
            person,
            path: format!("/api/v1/wallets/{}/transfers", wallets[person]),
            body: json!({
                "to": {"walletId": wallets[1 - person]},
                "amountMinorUnits": 1 + dice.roll(90_000),
                "currencyCode": "MAD",
            }),
        };
        let answer =
            people[person].try_post_with_key(&attempt.path, &attempt.key, &attempt.body).await;
        match answer {
            Ok(answer) if answer.status == 201 => {
                known.acknowledged.insert(attempt.key, answer.body);
                acknowledged.fetch_add(1, Ordering::Relaxed);
            }
            Ok(answer) if answer.status == 422 => {
                assert_eq!(answer.body["code"], "insufficient_funds");
                known.refused.insert(attempt.key);
            }
            _ => {
                known.unknown.push(attempt);
                return known;
            }
        }
    }
}

/// A retry under the same key tells what came of each: either answer is right, but it is final.
async fn settle_unknown(people: &[Client], knowledge: &mut Knowledge) {
    for attempt in std::mem::take(&mut knowledge.unknown) {
        let answer = loop {
            let person = &people[attempt.person];
            let answer = person.post_with_key(&attempt.path, &attempt.key, &attempt.body).await;
            // Still leased to the process that died.
            if answer.status != 409 {
                break answer;
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        };
        match answer.status {
            201 => assert!(knowledge.acknowledged.insert(attempt.key, answer.body).is_none()),
            422 => assert!(knowledge.refused.insert(attempt.key)),
            _ => panic!("{answer:?}"),
        }
    }
}

/// Every acknowledged transfer is in the ledger once, every refused one nowhere, and the money is there.
async fn check(
    server: &Server,
    people: &[Client],
    wallets: &[String],
    knowledge: &Knowledge,
    total: i64,
) {
    let admin = server.client.signed_in(ADMIN).await;
    let mut sum = 0;
    let mut counted: HashMap<String, usize> = HashMap::new();
    for (person, wallet) in people.iter().zip(wallets) {
        let now = person.get(&format!("/api/v1/wallets/{wallet}")).await.expect(200);
        assert!(balance(&now, "MAD") >= 0);
        sum += balance(&now, "MAD");
        let mut cursor = String::new();
        loop {
            let path = format!("/api/v1/wallets/{wallet}/transactions?limit=200{cursor}");
            let page = person.get(&path).await.expect(200);
            for line in page["items"].as_array().unwrap() {
                if line["type"] == "transfer" {
                    *counted.entry(id(line)).or_default() += 1;
                }
            }
            match page["nextCursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
    }
    assert_eq!(sum, total);
    let ids: HashSet<String> = knowledge.acknowledged.values().map(id).collect();
    assert_eq!(ids.len(), knowledge.acknowledged.len(), "one operation under two keys");
    assert_eq!(counted.keys().cloned().collect::<HashSet<_>>(), ids);
    assert!(counted.values().all(|&count| count == 2));
    for sent in knowledge.acknowledged.values() {
        let id = sent["ledgerTransactionId"].as_str().unwrap();
        admin.get(&format!("/api/v1/ledger/transactions/{id}")).await.expect(200);
    }
}
