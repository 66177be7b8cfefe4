//! Proofs as clients get them, checked with nothing but the key.

use crate::http::{Answer, Client, TRANSACTIONS, request, uuid};
use crate::world::*;
use axum::body::Body;
use axum::http::StatusCode;
use ledger::{CheckpointPolicy, CheckpointSigner, ProofError, Proven, verify_proof};
use ledger_api::{Ledger as _, NewCapture, NewTransaction};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;
use store::testing::TestDatabase;
use uuid::Uuid;

store::on_every_store! {
    every_transaction_is_proven_and_no_other_content,
    checkpoints_are_listed_and_shown_to_be_of_one_history,
}

async fn every_transaction_is_proven_and_no_other_content(database: TestDatabase) {
    let world = World::new(&database).await.with_customers(3, 10_000).await;
    let client = Client::new(&world);
    // More than a stretch of 256 records, with something in each member of a record.
    let full = NewTransaction {
        description: Some("Café, ünïcode".into()),
        reference: Some("INV-1".into()),
        effective_at: Some(noon().minus(Duration::from_micros(1))),
        metadata: BTreeMap::from([("b".into(), "2".into()), ("a".into(), "\u{1F600}".into())]),
        initiated_by: Some(user(7)),
        ..transfer(10, 2, 3, 7)
    };
    world.ledger.post(full).await.unwrap();
    world.ledger.reverse(reversal(11, 10, Some(3))).await.unwrap();
    world.ledger.hold(hold(1, 2, 3, 10)).await.unwrap();
    let attributed = NewCapture { initiated_by: Some(user(7)), ..capture(12, 1, Some(4)) };
    world.ledger.capture(attributed).await.unwrap();
    world.ledger.post_all((100..700).map(|id| transfer(id, 1, 2, 1)).collect()).await.unwrap();
    let keys = [signer().verifier_key()];
    let other = [CheckpointSigner::try_new("test/ledger", &[8; 32]).unwrap().verifier_key()];
    for id in [10, 11, 12, 100, 355, 356, 500, 699] {
        let proof = client.get(&format!("{TRANSACTIONS}/{}/proof", uuid(id))).await;
        assert_eq!(proof.status, StatusCode::OK, "{:?}", proof.body);
        let text = proof.body.to_string();
        let proven = verify_proof(&text, &keys).unwrap();
        let Proven::Inclusion { transaction, origin, .. } = proven else { panic!("{proven:?}") };
        assert_eq!((transaction, origin.as_str()), (Uuid::from_u128(id), "test/ledger"));
        assert!(matches!(verify_proof(&text, &other), Err(ProofError::NotSigned)));
        for (member, value) in changed_members(&proof.body["transaction"]) {
            let mut changed = proof.body.clone();
            changed["transaction"][member] = value;
            let refused = verify_proof(&changed.to_string(), &keys);
            assert!(matches!(refused, Err(ProofError::NotIncluded)), "{member}: {refused:?}");
        }
        // A proof from before there was `initiatedBy` has no such member; whoever asked cannot be left out.
        let is_attributed = [10, 12].contains(&id);
        let initiator = if is_attributed { json!(uuid(7)) } else { Value::Null };
        assert_eq!(proof.body["transaction"]["initiatedBy"], initiator);
        let (mut without, mut nobody) = (proof.body.clone(), proof.body.clone());
        without["transaction"].as_object_mut().unwrap().remove("initiatedBy");
        nobody["transaction"]["initiatedBy"] = Value::Null;
        for changed in [without, nobody] {
            let checked = verify_proof(&changed.to_string(), &keys);
            assert_eq!(checked.is_err(), is_attributed, "{id}: {checked:?}");
        }
        let mut added = proof.body.clone();
        added["transaction"]["amount"] = json!(1);
        assert!(matches!(verify_proof(&added.to_string(), &keys), Err(ProofError::NotAProof(_))));
    }
    let unknown = client.get(&format!("{TRANSACTIONS}/{}/proof", uuid(9_999))).await;
    assert_eq!(unknown.status, StatusCode::NOT_FOUND);
}

/// Each member of a transaction with another value.
fn changed_members(transaction: &Value) -> Vec<(&'static str, Value)> {
    let mut legs = transaction["legs"].clone();
    legs[0]["amountMinorUnits"] = json!(9_999);
    let mut sides = transaction["legs"].clone();
    let (first, second) = (sides[0]["direction"].clone(), sides[1]["direction"].clone());
    (sides[0]["direction"], sides[1]["direction"]) = (second, first);
    let mut currency = transaction["legs"].clone();
    currency[0]["currencyCode"] = json!("EUR");
    vec![
        ("id", json!(Uuid::from_u128(77))),
        ("sequence", json!(transaction["sequence"].as_i64().unwrap() + 1)),
        ("kind", json!("gift")),
        ("description", json!("gift")),
        ("reference", json!("gift")),
        ("effectiveAt", json!("2020-01-01T00:00:00Z")),
        ("recordedAt", json!("2020-01-01T00:00:00Z")),
        ("metadata", json!({"a": "b"})),
        ("reverses", json!(Uuid::from_u128(77))),
        ("captures", json!(Uuid::from_u128(77))),
        ("initiatedBy", json!(Uuid::from_u128(77))),
        ("legs", legs),
        ("legs", sides),
        ("legs", currency),
    ]
}

/// Nobody needs to sign in for what is meant to be published.
async fn read(client: &Client, path: &str) -> Answer {
    let request = request("GET", &format!("/api/v1/ledger/checkpoints{path}"), None);
    client.send(request.body(Body::empty()).unwrap()).await
}

async fn checkpoints_are_listed_and_shown_to_be_of_one_history(database: TestDatabase) {
    let world = World::new(&database).await;
    let client = Client::new(&world);
    let now = CheckpointPolicy { every: Duration::ZERO, records: 1 };
    let none = read(&client, "/latest").await;
    assert_eq!(none.status, StatusCode::NOT_FOUND);
    let world = world.with_customers(2, 1_000).await;
    let mut sizes = Vec::new();
    for group in 0..5 {
        let batch = (0..150).map(|number| transfer(100 + group * 150 + number, 1, 2, 1)).collect();
        world.ledger.post_all(batch).await.unwrap();
        world.ledger.sign_checkpoint(now).await.unwrap();
        sizes.push(world.number("select max(tree_size) from checkpoints").await);
    }
    let page = read(&client, "?limit=2").await;
    assert_eq!(page.status, StatusCode::OK, "{:?}", page.body);
    assert_eq!(page.body["items"][0]["treeSize"], sizes[4]);
    let next = page.body["nextCursor"].as_str().unwrap();
    let page = read(&client, &format!("?limit=2&cursor={next}")).await;
    assert_eq!(page.body["items"][1]["treeSize"], sizes[1]);
    let latest = read(&client, "/latest").await;
    assert_eq!(latest.body["treeSize"], sizes[4]);
    let listed = read(&client, "/keys").await;
    assert_eq!(listed.body["items"][0]["verifierKey"], signer().verifier_key().to_string());
    let keys = [signer().verifier_key()];
    for (place, from) in sizes.iter().enumerate() {
        for to in &sizes[place..] {
            let path = format!("/consistency?from={from}&to={to}");
            let proof = read(&client, &path).await;
            assert_eq!(proof.status, StatusCode::OK, "{:?}", proof.body);
            let proven = verify_proof(&proof.body.to_string(), &keys).unwrap();
            let expected = (from.unsigned_abs(), to.unsigned_abs());
            let Proven::Consistency { from, to, .. } = proven else { panic!("{proven:?}") };
            assert_eq!((from, to), expected);
            if from == to {
                continue;
            }
            let mut exchanged = proof.body.clone();
            (exchanged["from"], exchanged["to"]) =
                (proof.body["to"].clone(), proof.body["from"].clone());
            let refused = verify_proof(&exchanged.to_string(), &keys);
            assert!(matches!(refused, Err(ProofError::NotConsistent)), "{refused:?}");
            let mut shortened = proof.body;
            shortened["path"].as_array_mut().unwrap().pop();
            let refused = verify_proof(&shortened.to_string(), &keys);
            assert!(matches!(refused, Err(ProofError::NotConsistent)), "{refused:?}");
        }
    }
    for (query, status) in [
        (format!("from={}&to={}", sizes[1], sizes[0]), StatusCode::UNPROCESSABLE_ENTITY),
        (format!("from={}&to={}", sizes[0] + 1, sizes[1]), StatusCode::NOT_FOUND),
        (format!("from={}&to=999999", sizes[0]), StatusCode::NOT_FOUND),
        ("from=0&to=0".into(), StatusCode::NOT_FOUND),
        ("from=-1&to=1".into(), StatusCode::NOT_FOUND),
        ("from=1".into(), StatusCode::UNPROCESSABLE_ENTITY),
    ] {
        let refused = read(&client, &format!("/consistency?{query}")).await;
        assert_eq!(refused.status, status, "{query}: {:?}", refused.body);
    }
}
