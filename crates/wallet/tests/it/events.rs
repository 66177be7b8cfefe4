//! What the module tells others.

use crate::faults::Fault;
use crate::world::{PEOPLE, World, count, mad, to};
use kernel::{Currency, Event, Money};
use serde_json::{Value, json};
use store::testing::TestDatabase;
use uuid::Uuid;
use wallet::{Keyed, Recipient, TopUp, Transfer, WalletId};

store::on_every_store! {
    every_fact_is_told_once_and_without_personal_data,
    a_fact_is_told_once_however_often_it_is_tried,
    an_operation_prints_without_what_is_personal,
}

async fn events(world: &World) -> Vec<Event> {
    let events = world.process.wallets.events().after(0, 1_000).await.unwrap();
    let positions: Vec<_> = events.iter().map(|event| event.position).collect();
    let expected: Vec<_> = (1..).take(events.len()).collect();
    assert_eq!(positions, expected);
    events
}

async fn every_fact_is_told_once_and_without_personal_data(database: TestDatabase) {
    let (world, amina, youssef) = World::with_two(&database).await;
    let mut body = to(&youssef, 500);
    body["note"] = "For the secret party".into();
    let sent = world.process.transfer(&amina, "key", &body).await;
    world.process.transfer(&amina, "too much", &to(&youssef, 100_000)).await;
    world.process.transfer(&amina, "key", &body).await;
    let mut declined = mad(7);
    declined["paymentMethod"] = "sandbox-declined".into();
    world.process.top_up(&amina, "declined", &declined).await;

    let events = events(&world).await;
    let told: Vec<_> =
        events.iter().map(|event| (event.event_type.as_str(), event.aggregate_id)).collect();
    let expected = [
        ("wallet.created", amina.wallet_id),
        ("wallet.created", youssef.wallet_id),
        ("wallet.topped_up", amina.wallet_id),
        ("wallet.transfer_completed", amina.wallet_id),
    ];
    assert_eq!(told, expected);
    let payload = |event: &Event| serde_json::from_str::<Value>(&event.payload).unwrap();
    let created = json!({
        "walletId": amina.wallet_id,
        "ownerId": amina.user_id.0,
        "currencyCodes": ["MAD", "EUR"],
    });
    assert_eq!(payload(&events[0]), created);
    let topped_up = payload(&events[2]);
    let known: Uuid = topped_up["operationId"].as_str().unwrap().parse().unwrap();
    let expected = json!({
        "operationId": known,
        "walletId": amina.wallet_id,
        "recipientWalletId": null,
        "amountMinorUnits": 100_000,
        "currencyCode": "MAD",
        "ledgerTransactionId": topped_up["ledgerTransactionId"],
    });
    assert_eq!(topped_up, expected);
    let expected = json!({
        "operationId": sent.id(),
        "walletId": amina.wallet_id,
        "recipientWalletId": youssef.wallet_id,
        "amountMinorUnits": 500,
        "currencyCode": "MAD",
        "ledgerTransactionId": sent.body["ledgerTransactionId"],
    });
    assert_eq!(payload(&events[3]), expected);
    for event in &events {
        let text = &event.payload;
        for (name, email, phone) in PEOPLE {
            assert!(!text.contains(name) && !text.contains(email) && !text.contains(phone));
        }
        assert!(!text.contains("secret") && !text.contains("sandbox-card"), "{text}");
    }
}

async fn a_fact_is_told_once_however_often_it_is_tried(database: TestDatabase) {
    let (world, amina, youssef) = World::with_two(&database).await;
    let before = count(&world.process.store, "outbox").await;
    world.process.ledger.fail([Fault::DieAfter, Fault::UnavailableAfter]);
    let body = to(&youssef, 5);
    let work = world.process.transfer(&amina, "key", &body);
    assert!(world.process.ledger.until_death(work).await.is_none());
    world.let_leases_end();
    assert_eq!(world.process.transfer(&amina, "key", &to(&youssef, 5)).await.status, 503);
    assert_eq!(events(&world).await.len(), usize::try_from(before).unwrap());
    world.let_leases_end();
    world.process.sweep().await;
    world.process.sweep().await;
    assert_eq!(world.process.transfer(&amina, "key", &to(&youssef, 5)).await.status, 201);
    let told = events(&world).await.split_off(usize::try_from(before).unwrap());
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].event_type, "wallet.transfer_completed");
}

async fn an_operation_prints_without_what_is_personal(database: TestDatabase) {
    let (world, amina, youssef) = World::with_two(&database).await;
    let amount = Money::new(100, Currency::MAD);
    let wallet_id = WalletId(amina.wallet_id);
    let keyed = |key| Keyed { caller: amina.user_id, key, fingerprint: b"request" };
    let transfer = Transfer {
        to: Recipient::Phone(youssef.phone.into()),
        amount,
        note: Some("secret".into()),
    };
    let top_up = TopUp { amount, payment_method: "secret card".into() };
    let wallets = &world.process.wallets;
    let sent = wallets.transfer(&keyed("a"), wallet_id, transfer).await.unwrap();
    let topped_up = wallets.top_up(&keyed("b"), wallet_id, top_up).await.unwrap();
    let printed = format!("{sent:?} {topped_up:?}");
    assert!(printed.contains("wallet.transfer") && printed.contains("wallet.top_up"), "{printed}");
    assert!(!printed.contains("secret"), "{printed}");
}
