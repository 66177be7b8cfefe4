//! The journal as a stream of events.

use crate::world::*;
use kernel::Event;
use ledger_api::Ledger as _;
use serde_json::{Value, json};
use std::time::Duration;
use store::testing::TestDatabase;

store::on_every_store! {
    every_record_is_one_event_in_order,
    a_reader_beside_a_busy_ledger_misses_nothing,
}

async fn every_record_is_one_event_in_order(database: TestDatabase) {
    let world = World::new(&database).await.with_customers(3, 0).await;
    for id in 1..=4 {
        world.clock.advance(Duration::from_secs(1));
        world.ledger.post(transfer(id, 1, 2, 10)).await.unwrap();
        world.open(customer(10 + id)).await;
    }
    let events = world.ledger.events();
    let all = events.after(0, 100).await.unwrap();
    let positions: Vec<_> = all.iter().map(|event| event.position).collect();
    assert_eq!(positions, (1..=11).collect::<Vec<_>>());
    for limit in [1, 2, 3, 10, 11] {
        let mut seen: Vec<Event> = Vec::new();
        loop {
            let position = seen.last().map_or(0, |event| event.position);
            let next = events.after(position, limit).await.unwrap();
            assert!(next.len() <= limit as usize);
            if next.is_empty() {
                break;
            }
            seen.extend(next);
        }
        assert_eq!(seen, all, "{limit}");
    }
    let posted = &all[3];
    assert_eq!(posted.event_type, "ledger.transaction_posted");
    assert_eq!(posted.aggregate_id, transaction_id(1).0);
    assert_eq!(posted.occurred_at, noon().plus(Duration::from_secs(1)));
    let payload: Value = serde_json::from_str(&posted.payload).unwrap();
    assert_eq!(payload["sequence"], 4);
    assert_eq!(payload["legs"][0]["amountMinorUnits"], 10);
    assert_eq!(payload["legs"][1]["direction"], "credit");
    let opened = &all[0];
    assert_eq!(opened.event_type, "ledger.account_opened");
    assert_eq!(opened.aggregate_id, account_id(1).0);
    let payload: Value = serde_json::from_str(&opened.payload).unwrap();
    let expected = json!({
        "id": account_id(1).0,
        "name": "Settlement 1",
        "currencyCode": "MAD",
        "normalSide": "debit",
        "openedAt": noon(),
    });
    assert_eq!(payload, expected);
}

/// Accounts and transactions are two tables: what is committed between reading the one and the other
/// must not make a hole.
async fn a_reader_beside_a_busy_ledger_misses_nothing(database: TestDatabase) {
    let world = World::new(&database).await.with_customers(2, 0).await;
    let ledger = world.ledger.clone();
    let writing = tokio::spawn(async move {
        for number in 10..60 {
            // Both at once, so that a group often holds an account and a transaction.
            let (opened, posted) = tokio::join!(
                ledger.open_account(customer(number)),
                ledger.post(transfer(number, 1, 2, 1)),
            );
            opened.unwrap();
            posted.unwrap();
        }
    });
    let events = world.ledger.events();
    let mut position = 0;
    while position < 102 {
        for event in events.after(position, 50).await.unwrap() {
            assert_eq!(event.position, position + 1, "an event was skipped");
            position = event.position;
        }
    }
    writing.await.unwrap();
}
