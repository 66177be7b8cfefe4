//! The main job: from an empty database to a transfer in the ledger.

use crate::support::{ADMIN, balance};
use crate::support::{AHMED, FATIMA, FATIMA_PHONE, World, id};
use serde_json::json;
use store::testing::TestDatabase;

store::on_every_store! {
    the_demo_world_makes_a_transfer,
    a_newcomer_registers_and_sends_money,
}

async fn the_demo_world_makes_a_transfer(database: TestDatabase) {
    let world = World::new(database);
    let server = world.serve().await;
    let (ahmed, fatima) =
        (server.client.signed_in(AHMED).await, server.client.signed_in(FATIMA).await);
    let (from, to) = (ahmed.wallet().await, fatima.wallet().await);
    for currency in ["MAD", "EUR", "USD"] {
        assert!(balance(&from, currency) > 0 && balance(&to, currency) > 0, "{currency}");
    }

    let path = format!("/api/v1/wallets/{}/transfers", id(&from));
    let body = json!({
        "to": {"phone": FATIMA_PHONE},
        "amountMinorUnits": 25_000,
        "currencyCode": "MAD",
        "note": "Lunch",
    });
    let sent = ahmed.post_with_key(&path, "lunch", &body).await.expect(201);
    assert_eq!(sent["status"], "completed");
    assert_eq!(sent["amountMinorUnits"], 25_000);
    let again = ahmed.post_with_key(&path, "lunch", &body).await;
    assert_eq!(again.headers["idempotency-replayed"], "true");
    assert_eq!(again.expect(201), sent);

    assert_eq!(ahmed.balance(&from, "MAD").await, balance(&from, "MAD") - 25_000);
    assert_eq!(fatima.balance(&to, "MAD").await, balance(&to, "MAD") + 25_000);
    for (client, wallet, direction, name) in
        [(&ahmed, &from, "out", "Fatima Alami"), (&fatima, &to, "in", "Ahmed Benali")]
    {
        let path = format!("/api/v1/wallets/{}/transactions", id(wallet));
        let latest = client.get(&path).await.expect(200)["items"][0].clone();
        assert_eq!(latest["id"], sent["id"]);
        assert_eq!(latest["direction"], direction);
        assert_eq!(latest["counterpartyName"], name);
        assert_eq!(latest["note"], "Lunch");
    }

    let admin = server.client.signed_in(ADMIN).await;
    let path =
        format!("/api/v1/ledger/transactions/{}", sent["ledgerTransactionId"].as_str().unwrap());
    let entry = admin.get(&path).await.expect(200);
    assert_eq!(entry["kind"], "wallet.transfer");
    assert_eq!(entry["legs"].as_array().unwrap().len(), 2);
    let lines = admin.get("/api/v1/ledger/trial-balance").await.expect(200);
    assert!(lines["items"].as_array().unwrap().iter().all(|line| line["balanced"] == true));
    assert!(server.stop().await);
    world.verify().await;
}

async fn a_newcomer_registers_and_sends_money(database: TestDatabase) {
    let world = World::new(database);
    let server = world.serve().await;
    let person = json!({
        "email": "amina@example.com",
        "phoneNumber": "+212661111111",
        "password": "demo-Finitech-1",
        "displayName": "Amina",
    });
    server.client.post("/api/v1/auth/register", &person).await.expect(201);
    let amina = server.client.signed_in("+212661111111").await;
    let wallet = amina.post("/api/v1/wallets", &json!({"currencies": ["MAD"]})).await.expect(201);
    assert_eq!(wallet["status"], "active");
    let path = format!("/api/v1/wallets/{}/top-ups", id(&wallet));
    let body = json!({"amountMinorUnits": 10_000, "currencyCode": "MAD"});
    amina.post_with_key(&path, "first", &body).await.expect(201);
    let path = format!("/api/v1/wallets/{}/transfers", id(&wallet));
    let body = json!({"to": {"email": FATIMA}, "amountMinorUnits": 4_000, "currencyCode": "MAD"});
    amina.post_with_key(&path, "second", &body).await.expect(201);
    assert_eq!(amina.balance(&wallet, "MAD").await, 6_000);
    assert!(server.stop().await);
    world.verify().await;
}
