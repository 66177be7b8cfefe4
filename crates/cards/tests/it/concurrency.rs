use crate::world::{NUMBER, World, count};
use cards::CardNumber;
use std::collections::BTreeSet;
use std::sync::Arc;
use store::testing::TestDatabase;

store::on_every_store! {
    a_number_that_comes_twenty_times_at_once_gets_one_token,
    one_of_those_who_delete_at_once_did_it,
}

fn number() -> CardNumber {
    CardNumber::try_new(NUMBER.into()).unwrap()
}

async fn a_number_that_comes_twenty_times_at_once_gets_one_token(database: TestDatabase) {
    let world = Arc::new(World::open(&database).await);
    let (by, _) = world.staff("admin", &["Admin"]).await;
    // Two processes, where there can be two.
    let other = Arc::new(World::open(&database).await);
    let start = Arc::new(tokio::sync::Barrier::new(20));
    let asking: Vec<_> = (0..20)
        .map(|one| {
            let world = if one % 2 == 0 { world.clone() } else { other.clone() };
            let start = start.clone();
            tokio::spawn(async move {
                start.wait().await;
                world.cards.tokenize(by, &number()).await.unwrap()
            })
        })
        .collect();
    let (mut tokens, mut new) = (BTreeSet::new(), 0);
    for one in asking {
        let made = one.await.unwrap();
        tokens.insert(made.stored.token.as_str().to_owned());
        new += u32::from(made.is_new);
    }
    assert_eq!((tokens.len(), new), (1, 1));
    assert_eq!(count(&world.store, "tokens").await, 1);
    assert_eq!(world.events().await.len(), 1);
    assert_eq!(world.audited("card_number_tokenized").await.len(), 1);
}

async fn one_of_those_who_delete_at_once_did_it(database: TestDatabase) {
    let world = Arc::new(World::open(&database).await);
    let (by, _) = world.staff("admin", &["Admin"]).await;
    let token = world.cards.tokenize(by, &number()).await.unwrap().stored.token;
    let deleting: Vec<_> = (0..10)
        .map(|_| {
            let (world, token) = (world.clone(), token.clone());
            tokio::spawn(async move { world.cards.delete(by, &token, "a test").await })
        })
        .collect();
    let mut done = 0;
    for one in deleting {
        match one.await.unwrap() {
            Ok(_) => done += 1,
            Err(error) => assert!(matches!(error, cards::Error::NumberDeleted), "{error}"),
        }
    }
    assert_eq!(done, 1);
    assert_eq!(world.audited("card_number_deleted").await.len(), 1);
}
