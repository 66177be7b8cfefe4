//! Opening wallets and looking into them.

use crate::world::{World, count, tamper};
use serde_json::{Value, json};
use store::testing::TestDatabase;
use uuid::Uuid;

store::on_every_store! {
    a_wallet_shows_its_currencies_in_the_owners_order,
    a_balance_is_what_the_ledger_says,
    a_balance_that_the_ledger_does_not_know_is_an_error,
    wallets_are_listed_in_pages_oldest_first,
    nobody_has_more_than_20_wallets,
    nobody_has_more_than_20_wallets_even_when_asking_at_once,
}

async fn a_wallet_shows_its_currencies_in_the_owners_order(database: TestDatabase) {
    let world = World::new(&database).await;
    let mut amina = world.person_with_roles(0, &["Customer"]).await;
    let process = &world.process;
    let body = json!({ "currencies": ["MAD", "JPY", "EUR", "TND"] });
    let created = process.post(&amina, "/api/v1/wallets", None, &body).await;
    assert_eq!(created.status, 201);
    amina.wallet_id = created.id();
    let nothing =
        |code| json!({ "currencyCode": code, "balanceMinorUnits": 0, "availableMinorUnits": 0 });
    let expected = json!({
        "id": amina.wallet_id,
        "status": "active",
        "balances": [nothing("MAD"), nothing("JPY"), nothing("EUR"), nothing("TND")],
        "createdAt": "2026-11-23T12:00:00Z",
    });
    assert_eq!(created.body, expected);
    let read = process.get(&amina, &amina.wallet_path("")).await;
    assert_eq!((read.status, read.body), (200, expected.clone()));
    let listed = process.get(&amina, "/api/v1/wallets").await;
    assert_eq!(listed.status, 200);
    assert_eq!(listed.body, json!({ "items": [expected], "nextCursor": null }));
}

async fn a_balance_is_what_the_ledger_says(database: TestDatabase) {
    let (world, amina, _) = World::with_two(&database).await;
    // Money on hold is there and cannot be spent.
    let sql = "update account_states set pending_debits = 30000 where posted_credits = 100000";
    world.tamper_ledger(sql).await;
    let answer = world.process.get(&amina, &amina.wallet_path("")).await;
    let balance = json!({
        "currencyCode": "MAD", "balanceMinorUnits": 100_000, "availableMinorUnits": 70_000,
    });
    assert_eq!(answer.body["balances"][0], balance);
}

async fn a_balance_that_the_ledger_does_not_know_is_an_error(database: TestDatabase) {
    let (world, amina, _) = World::with_two(&database).await;
    // As after restoring an old backup of the ledger.
    let set = match database.postgres_url() {
        Some(_) => "gen_random_uuid()",
        None => "randomblob(16)",
    };
    let sql =
        format!("update wallet_accounts set ledger_account_id = {set} where currency_code = 'EUR'");
    tamper(&world.process.store, &sql).await;
    for path in [amina.wallet_path(""), "/api/v1/wallets".to_owned()] {
        let answer = world.process.get(&amina, &path).await;
        assert_eq!(answer.problem(), (500, "internal_error"), "{path}");
    }
}

async fn wallets_are_listed_in_pages_oldest_first(database: TestDatabase) {
    let world = World::new(&database).await;
    let amina = world.person_with_roles(0, &["Customer"]).await;
    world.person(1, &["MAD"]).await;
    let mut opened = Vec::new();
    for _ in 0..5 {
        opened.push(world.open_wallet(&amina, &["MAD"]).await);
    }
    let mut seen: Vec<Uuid> = Vec::new();
    let mut path = "/api/v1/wallets?limit=2".to_owned();
    let mut pages = 0_usize;
    loop {
        let page = world.process.get(&amina, &path).await;
        let items = page.body["items"].as_array().unwrap();
        seen.extend(
            items.iter().map(|wallet| wallet["id"].as_str().unwrap().parse::<Uuid>().unwrap()),
        );
        pages = pages.saturating_add(1);
        let Value::String(cursor) = &page.body["nextCursor"] else { break };
        path = format!("/api/v1/wallets?limit=2&cursor={cursor}");
    }
    assert_eq!((seen, pages), (opened, 3));
}

async fn nobody_has_more_than_20_wallets(database: TestDatabase) {
    let world = World::new(&database).await;
    let amina = world.person_with_roles(0, &["Customer"]).await;
    for _ in 0..20 {
        world.open_wallet(&amina, &["MAD"]).await;
    }
    let accounts = count(&world.ledger_store, "accounts").await;
    let body = json!({ "currencies": ["MAD"] });
    let answer = world.process.post(&amina, "/api/v1/wallets", None, &body).await;
    assert_eq!(answer.problem(), (422, "too_many_wallets"));
    assert_eq!(count(&world.process.store, "wallets").await, 20);
    assert_eq!(count(&world.process.store, "outbox").await, 20);
    assert_eq!(count(&world.ledger_store, "accounts").await, accounts);
    // Others are not affected.
    world.person(1, &["MAD"]).await;
}

async fn nobody_has_more_than_20_wallets_even_when_asking_at_once(database: TestDatabase) {
    let world = World::new(&database).await;
    let other = world.another_process(&database).await;
    let amina = world.person_with_roles(0, &["Customer"]).await;
    for _ in 0..17 {
        world.open_wallet(&amina, &["MAD"]).await;
    }
    let body = json!({ "currencies": ["MAD"] });
    let open = |number: usize| {
        let process = if number.is_multiple_of(2) { &world.process } else { &other };
        process.post(&amina, "/api/v1/wallets", None, &body)
    };
    let (a, b, c, d, e, f) = tokio::join!(open(0), open(1), open(2), open(3), open(4), open(5));
    let mut statuses = [a, b, c, d, e, f].map(|answer| answer.status);
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 201, 201, 422, 422, 422]);
    assert_eq!(count(&world.process.store, "wallets").await, 20);
    assert_eq!(count(&world.process.store, "outbox").await, 20);
}
