//! Somebody leaves, and no money is left behind or arrives afterwards.

use crate::faults::Fault;
use crate::world::{Answer, PASSWORD, Person, World, mad, to};
use ledger_api::{AccountStatus, Ledger as _};
use serde_json::json;
use std::sync::Arc;
use store::testing::TestDatabase;

store::on_every_store! {
    who_leaves_takes_the_money_along,
    money_on_its_way_to_somebody_who_leaves_stays_with_its_sender,
    nobody_leaves_while_a_top_up_is_unfinished,
}

async fn close(world: &World, person: &Person) -> Answer {
    world.process.post(person, "/api/v1/me/close", None, &json!({ "password": PASSWORD })).await
}

async fn account_statuses(world: &World, person: &Person) -> Vec<AccountStatus> {
    let wallets = world.process.wallets.wallets(person.user_id, None, Default::default()).await;
    let mut statuses = Vec::new();
    for wallet in wallets.unwrap().items {
        for currency in ["MAD", "EUR"] {
            let id = uuid::Uuid::new_v5(&wallet.id.0, currency.as_bytes());
            let account = world.ledger.account(ledger_api::AccountId(id)).await.unwrap();
            statuses.push(account.unwrap().status);
        }
    }
    statuses
}

async fn who_leaves_takes_the_money_along(database: TestDatabase) {
    let (world, amina, youssef) = World::with_two(&database).await;
    assert_eq!(close(&world, &amina).await.problem(), (409, "account_holds_money"));
    assert_eq!(account_statuses(&world, &amina).await, [AccountStatus::Open; 2]);
    let sent = world.process.transfer(&amina, &world.key(), &to(&youssef, 100_000)).await;
    assert_eq!(sent.status, 201, "{}", sent.body);
    assert_eq!(close(&world, &amina).await.status, 204);
    assert_eq!(account_statuses(&world, &amina).await, [AccountStatus::Closed; 2]);
    let refused = world.process.transfer(&youssef, &world.key(), &to(&amina, 1)).await;
    assert_eq!(refused.problem(), (422, "recipient_not_found"));
    assert_eq!(world.balance(&youssef).await, 100_000);
    let events = world.process.wallets.events().after(0, 100).await.unwrap();
    let closed = events.iter().filter(|event| event.event_type == "wallet.closed");
    assert_eq!(closed.count(), 1);
    world.assert_settled().await;
}

async fn money_on_its_way_to_somebody_who_leaves_stays_with_its_sender(database: TestDatabase) {
    let (world, amina, youssef) = World::with_two(&database).await;
    let slow = Arc::new(world.another_process(&database).await);
    slow.ledger.fail([Fault::StuckBefore]);
    let request = {
        let (slow, amina, youssef) = (slow.clone(), amina.clone(), youssef.clone());
        tokio::spawn(async move { slow.transfer(&amina, "key", &to(&youssef, 10_000)).await })
    };
    slow.ledger.stuck.notified().await;
    assert_eq!(close(&world, &youssef).await.status, 204);
    slow.ledger.deliver().await;
    assert_eq!(request.await.unwrap().problem(), (422, "account_unavailable"));
    assert_eq!(world.balance(&amina).await, 100_000);
    world.assert_settled().await;
}

async fn nobody_leaves_while_a_top_up_is_unfinished(database: TestDatabase) {
    let world = World::new(&database).await;
    let amina = world.person(0, &["MAD", "EUR"]).await;
    world.process.ledger.fail([Fault::UnavailableBefore]);
    let failed = world.process.top_up(&amina, "key", &mad(5_000)).await;
    assert_eq!(failed.status, 503, "{}", failed.body);
    assert_eq!(close(&world, &amina).await.problem(), (409, "account_holds_money"));
    world.let_leases_end();
    assert_eq!(world.process.sweep().await, 1);
    assert_eq!(world.balance(&amina).await, 5_000);
    world.assert_settled().await;
}
