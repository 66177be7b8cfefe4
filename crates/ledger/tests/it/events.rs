//! The journal as a stream of events.

use crate::http::uuid;
use crate::world::*;
use kernel::Event;
use ledger_api::{AccountStatus, HoldRelease, Ledger as _, NewCapture, NewHold};
use serde_json::{Value, json};
use std::time::Duration;
use store::testing::TestDatabase;

store::on_every_store! {
    every_record_is_one_event_in_order,
    changes_batches_and_reversals_are_events_in_their_places,
    holds_and_limits_are_events_in_their_places,
    a_reader_beside_a_busy_ledger_misses_nothing,
    what_is_told_from_memory_is_what_is_read_back,
    wide_transactions_come_a_few_at_a_time,
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

async fn changes_batches_and_reversals_are_events_in_their_places(database: TestDatabase) {
    let world = World::new(&database).await.with_customers(2, 100).await;
    world.clock.advance(Duration::from_secs(1));
    world.ledger.change_status(change(2, AccountStatus::Frozen, "lost card")).await.unwrap();
    // Again, and refused: neither is an event.
    world.ledger.change_status(change(2, AccountStatus::Frozen, "twice")).await.unwrap();
    refusal(world.ledger.change_status(change(2, AccountStatus::Closed, "gone")).await);
    refusal(world.ledger.post(transfer(7, 2, 1, 1)).await);
    world.ledger.change_status(change(2, AccountStatus::Open, "found")).await.unwrap();
    let batch = vec![transfer(8, 2, 1, 60), transfer(9, 2, 1, 40)];
    world.ledger.post_all(batch).await.unwrap();
    refusal(world.ledger.post_all(vec![transfer(10, 1, 2, 5), transfer(11, 2, 1, 6)]).await);
    world.ledger.change_status(change(2, AccountStatus::Closed, "moved")).await.unwrap();
    world.ledger.reverse(reversal(12, 9, None)).await.unwrap_err();
    world.open(customer(3)).await;
    world.ledger.post(transfer(13, 1, 3, 9)).await.unwrap();
    world.ledger.reverse(reversal(14, 13, Some(4))).await.unwrap();

    let events = world.ledger.events().after(3, 100).await.unwrap();
    let (changed, posted) = ("ledger.account_status_changed", "ledger.transaction_posted");
    let seen: Vec<_> =
        events.iter().map(|event| (event.position, event.event_type.as_str())).collect();
    let types =
        [changed, changed, posted, posted, changed, "ledger.account_opened", posted, posted];
    assert_eq!(seen, (4..).zip(types).collect::<Vec<_>>());
    assert_eq!(events[0].aggregate_id, account_id(2).0);
    assert_eq!(events[0].occurred_at, noon().plus(Duration::from_secs(1)));
    let payload = |event: &Event| serde_json::from_str::<Value>(&event.payload).unwrap();
    let expected = json!({
        "id": account_id(2).0,
        "status": "frozen",
        "reason": "lost card",
        "changedAt": noon().plus(Duration::from_secs(1)),
    });
    assert_eq!(payload(&events[0]), expected);
    assert_eq!(payload(&events[1])["status"], "open");
    assert_eq!(payload(&events[4])["status"], "closed");
    assert_eq!(payload(&events[2])["reverses"], Value::Null);
    let reversed = payload(&events[7]);
    assert_eq!(reversed["reverses"], json!(transaction_id(13).0));
    assert_eq!(reversed["kind"], "reversal");
    assert_eq!(reversed["description"], "charged twice");
    assert_no_gaps(&world, 11).await;
}

/// In pages, whichever table the records of a page are in.
async fn assert_no_gaps(world: &World, last: i64) {
    for limit in 1..=9 {
        let mut position = 0;
        loop {
            let page = world.ledger.events().after(position, limit).await.unwrap();
            for event in &page {
                assert_eq!(event.position, position + 1, "{limit}");
                position = event.position;
            }
            if page.is_empty() {
                break;
            }
        }
        assert_eq!(position, last, "{limit}");
    }
}

async fn holds_and_limits_are_events_in_their_places(database: TestDatabase) {
    let world = World::new(&database).await.with_customers(3, 100).await;
    let ledger = &world.ledger;
    let expires_at = Some(noon().plus(Duration::from_secs(5)));
    ledger.hold(NewHold { expires_at, tolerance: 2, ..hold(1, 2, 3, 40) }).await.unwrap();
    // Again, and refused: neither is an event.
    ledger.hold(NewHold { expires_at, tolerance: 2, ..hold(1, 2, 3, 40) }).await.unwrap();
    refusal(ledger.hold(hold(2, 2, 3, 61)).await);
    ledger.capture(capture(7, 1, Some(15))).await.unwrap();
    refusal(ledger.capture(capture(8, 1, Some(28))).await);
    ledger.set_limits(limits(2, &[daily(500)])).await.unwrap();
    ledger.set_limits(limits(2, &[daily(500)])).await.unwrap();
    ledger.hold(hold(2, 2, 3, 20)).await.unwrap();
    for by in [9, 10] {
        let initiated_by = Some(user(by));
        ledger.release(HoldRelease { initiated_by, ..voided(2) }).await.unwrap();
    }
    ledger.hold(hold(3, 2, 3, 20)).await.unwrap();
    let last = NewCapture { is_final: true, ..capture(9, 3, Some(1)) };
    ledger.capture(last).await.unwrap();
    world.clock.advance(Duration::from_secs(5));
    ledger.expire_holds(10).await.unwrap();
    ledger.set_limits(limits(2, &[])).await.unwrap();

    let events = ledger.events().after(5, 100).await.unwrap();
    let seen: Vec<_> =
        events.iter().map(|event| (event.position, event.event_type.as_str())).collect();
    let types = [
        "ledger.hold_created",
        "ledger.transaction_posted",
        "ledger.account_limits_changed",
        "ledger.hold_created",
        "ledger.hold_voided",
        "ledger.hold_created",
        "ledger.transaction_posted",
        "ledger.hold_expired",
        "ledger.account_limits_changed",
    ];
    assert_eq!(seen, (6..).zip(types).collect::<Vec<_>>());
    assert_no_gaps(&world, 14).await;
    let payload = |at: usize| serde_json::from_str::<Value>(&events[at].payload).unwrap();
    // As it was made, whatever has come of it.
    let made = payload(0);
    assert_eq!(events[0].aggregate_id, hold_id(1).0);
    assert_eq!((&made["status"], &made["capturedMinorUnits"]), (&json!("pending"), &json!(0)));
    assert_eq!(
        (&made["remainingMinorUnits"], &made["toleranceMinorUnits"]),
        (&json!(40), &json!(2))
    );
    assert_eq!(made["expiresAt"], json!(noon().plus(Duration::from_secs(5))));
    assert_eq!(payload(1)["captures"], json!(hold_id(1).0));
    let limited = json!({
        "id": account_id(2).0,
        "timeZone": "UTC",
        "limits": [{
            "direction": "outgoing",
            "kind": null,
            "period": "day",
            "amountMinorUnits": 500,
            "count": null,
        }],
        "changedAt": noon(),
    });
    assert_eq!((events[2].aggregate_id, payload(2)), (account_id(2).0, limited));
    let ended = json!({
        "id": hold_id(2).0,
        "status": "voided",
        "reason": "cancelled",
        "releasedAt": noon(),
        "initiatedBy": uuid(9),
    });
    assert_eq!((events[4].aggregate_id, payload(4)), (hold_id(2).0, ended));
    let expired = json!({
        "id": hold_id(1).0,
        "status": "expired",
        "reason": null,
        "releasedAt": noon().plus(Duration::from_secs(5)),
        "initiatedBy": null,
    });
    assert_eq!(payload(7), expired, "nobody asked");
    assert_eq!(events[7].occurred_at, noon().plus(Duration::from_secs(5)));
    assert_eq!(payload(8)["limits"], json!([]));
}

/// Accounts, their changes and transactions are three tables: what is committed between reading the
/// one and the other must not make a hole.
async fn a_reader_beside_a_busy_ledger_misses_nothing(database: TestDatabase) {
    let world = World::new(&database).await.with_customers(2, 0).await;
    world.open(customer(9)).await;
    let ledger = world.ledger.clone();
    let writing = tokio::spawn(async move {
        for number in 10..60 {
            // At once, so that a group often holds something of each.
            let frozen = change(9, AccountStatus::Frozen, "x");
            let (opened, posted, changed) = tokio::join!(
                ledger.open_account(customer(number)),
                ledger.post(transfer(number, 1, 2, 1)),
                ledger.change_status(frozen),
            );
            opened.unwrap();
            posted.unwrap();
            changed.unwrap();
            ledger.change_status(change(9, AccountStatus::Open, "x")).await.unwrap();
        }
    });
    let events = world.ledger.events();
    let mut position = 0;
    while position < 203 {
        for event in events.after(position, 50).await.unwrap() {
            assert_eq!(event.position, position + 1, "an event was skipped");
            position = event.position;
        }
    }
    writing.await.unwrap();
}

/// Only the process that wrote a record tells it from memory; after a restart it is read.
async fn what_is_told_from_memory_is_what_is_read_back(database: TestDatabase) {
    let world = World::new(&database).await.with_customers(3, 100).await;
    let start = world.number("select last_sequence from journal_head").await;
    let mut rich = transfer(1, 2, 3, 30);
    rich.description = Some("lunch".into());
    rich.reference = Some("A-1".into());
    rich.effective_at = Some(noon().minus(Duration::from_secs(1_000)));
    rich.metadata.insert("order".into(), "7".into());
    world.ledger.post(rich).await.unwrap();
    let by = Some(user(6));
    world.ledger.hold(NewHold { initiated_by: by, ..hold(2, 2, 3, 20) }).await.unwrap();
    let (id, held) = (transaction_id(3), ledger_api::HoldId(transaction_id(2).0));
    let by = Some(user(7));
    let capture =
        NewCapture { id, hold: held, minor_units: Some(5), is_final: true, initiated_by: by };
    world.ledger.capture(capture).await.unwrap();
    world.ledger.reverse(reversal(4, 1, Some(10))).await.unwrap();
    let told = world.ledger.events().after(start, 10).await.unwrap();
    assert_eq!(told.len(), 4);
    let world = world.restarted(&database).await;
    assert_eq!(world.ledger.events().after(start, 10).await.unwrap(), told);
}

/// Two thousand of them with a thousand legs each would be hundreds of megabytes.
async fn wide_transactions_come_a_few_at_a_time(database: TestDatabase) {
    let world = World::new(&database).await.with_customers(2, 0).await;
    let start = world.number("select last_sequence from journal_head").await;
    for id in 1..=25 {
        let mut wide = transfer(id, 1, 2, 1);
        wide.legs = wide.legs.repeat(500);
        world.ledger.post(wide).await.unwrap();
    }
    let told = async |world: &World| {
        let (mut position, mut batches) = (start, Vec::new());
        loop {
            let next = world.ledger.events().after(position, 2_000).await.unwrap();
            let Some(last) = next.last() else { return batches };
            position = last.position;
            batches.push(next.len());
        }
    };
    assert_eq!(told(&world).await, [20, 5]);
    let world = world.restarted(&database).await;
    assert_eq!(told(&world).await, [20, 5]);
}
