//! Listing holds.

use crate::world::*;
use ledger_api::{HoldId, HoldRelease, Ledger as _, NewHold, ReleaseCause};
use serde_json::Value;
use std::collections::BTreeMap;
use store::testing::TestDatabase;
use uuid::Uuid;

store::on_every_store! {
    holds_are_listed_by_account_and_status,
}

const PATH: &str = "/api/v1/ledger/holds";

async fn ids(world: &World, query: &str) -> Vec<u128> {
    let (items, _) = world.pages(&format!("{PATH}?limit=3{query}")).await;
    let id = |item: &Value| item["id"].as_str().unwrap().parse::<Uuid>().unwrap().as_u128();
    items.iter().map(id).collect()
}

async fn holds_are_listed_by_account_and_status(database: TestDatabase) {
    let world = World::new(&database).await.with_accounts(4).await;
    for id in 100..120_u128 {
        // Both legs of every fifth are on one account.
        let (from, to) = if id % 5 == 0 { (1, 1) } else { (1 + id % 2, 3) };
        let hold = NewHold {
            id: HoldId(Uuid::from_u128(id)),
            kind: "card".into(),
            description: None,
            reference: None,
            metadata: BTreeMap::new(),
            legs: transfer(id, from, to, 10).legs,
            expires_at: None,
            tolerance: 0,
            initiated_by: None,
        };
        world.ledger.hold(hold).await.unwrap();
        world.post(transfer(1_000 + id, 1, 2, 5)).await;
        if id % 3 == 0 {
            let cause = ReleaseCause::Voided(None);
            let hold = HoldId(Uuid::from_u128(id));
            let release = HoldRelease { hold, cause, initiated_by: None };
            world.ledger.release(release).await.unwrap();
        }
    }
    let newest_first =
        |wanted: fn(&u128) -> bool| -> Vec<u128> { (100..120).rev().filter(wanted).collect() };
    assert_eq!(ids(&world, "").await, newest_first(|_| true));
    assert_eq!(ids(&world, "&status=voided").await, newest_first(|id| id % 3 == 0));
    assert_eq!(ids(&world, "&status=pending").await, newest_first(|id| id % 3 != 0));
    assert_eq!(ids(&world, "&status=captured").await, [0; 0]);
    let on_first = format!("&accountId={}", uuid(1));
    assert_eq!(ids(&world, &on_first).await, newest_first(|id| id % 5 == 0 || id % 2 == 0));
    let pending_on_third = format!("&accountId={}&status=pending", uuid(3));
    let expected = newest_first(|id| id % 5 != 0 && id % 3 != 0);
    assert_eq!(ids(&world, &pending_on_third).await, expected);
    assert_eq!(ids(&world, &format!("&accountId={}", uuid(4))).await, [0; 0]);
    assert_eq!(ids(&world, &format!("&accountId={}", uuid(99))).await, [0; 0]);
    // An item is the whole hold.
    let one = world.read(&format!("{PATH}/{}", uuid(119))).await;
    let page = world.read(&format!("{PATH}?limit=1")).await;
    assert_eq!(page["items"][0], one);
}
