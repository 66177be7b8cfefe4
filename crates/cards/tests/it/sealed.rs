//! What the database shows of card numbers: nothing, and nothing when somebody changes it.

use crate::world::{DELETE, DETOKENIZE, NUMBER, World, run};
use cards::{CardNumber, CardToken, Error};
use ports::SystemClock;
use sealing::Resealed;
use serde_json::json;
use store::sea_orm::{ConnectionTrait, TryGetable};
use store::testing::{TestDatabase, stored_bytes};
use store::{Store, StoreError};

store::on_every_store! {
    no_number_is_stored_in_clear,
    rows_that_were_changed_or_swapped_give_out_nothing,
    numbers_are_sealed_anew_and_found_as_before,
    sealing_anew_goes_on_where_it_was_cut_off,
}

async fn is_in(store: &Store, text: &str) -> bool {
    stored_bytes(store).await.windows(text.len()).any(|window| window == text.as_bytes())
}

async fn no_number_is_stored_in_clear(database: TestDatabase) {
    let world = World::open(&database).await;
    let (_, admin) = world.staff("admin", &["Admin", "CardOfficer"]).await;
    let numbers = [NUMBER, "5555555555554444", "378282246310005"];
    let mut tokens = Vec::new();
    for number in numbers {
        let token = world.tokenized(&admin, number).await;
        let body = json!({ "token": token, "reason": "a test" });
        let learnt = world.post(&admin, DETOKENIZE, &body).await;
        assert_eq!(learnt.body["cardNumber"], number);
        tokens.push(token);
    }
    let body = json!({ "token": tokens[0], "reason": "a test" });
    assert_eq!(world.post(&admin, DELETE, &body).await.status, 200);
    assert!(is_in(&world.store, &tokens[1]).await, "the search would find a number");
    for store in [&world.store, &world.identity_store] {
        for number in numbers {
            assert!(!is_in(store, number).await, "{} in {}", number, store.module());
            // Nor what of it is not in its token.
            assert!(!is_in(store, &number[..number.len() - 4]).await);
        }
    }
}

/// Two numbers in the vault, and their tokens.
async fn two(world: &World, by: kernel::UserId) -> [CardToken; 2] {
    let number = |digits: &str| CardNumber::try_new(digits.into()).unwrap();
    let one = world.cards.tokenize(by, &number(NUMBER)).await.unwrap().stored.token;
    let other = world.cards.tokenize(by, &number("4012888888881881")).await.unwrap();
    [one, other.stored.token]
}

async fn rows_that_were_changed_or_swapped_give_out_nothing(database: TestDatabase) {
    let world = World::open(&database).await;
    let (by, _) = world.staff("admin", &["Admin"]).await;
    let [one, other] = two(&world, by).await;
    let sql = "select sealed_number from tokens where token = $1";
    let sealed = async |token: &CardToken| {
        let found = world.store.statement(sql, [token.as_str().into()]);
        let row = world.store.read().query_one_raw(found).await.unwrap().unwrap();
        Vec::<u8>::try_get(&row, "", "sealed_number").unwrap()
    };
    let (of_one, of_other) = (sealed(&one).await, sealed(&other).await);
    let put = async |token: &CardToken, sealed: &[u8]| {
        let update = "update tokens set sealed_number = $1 where token = $2";
        let binds = [sealed.to_vec().into(), token.as_str().into()];
        let tx = world.store.begin().await.unwrap();
        tx.execute_raw(world.store.statement(update, binds)).await.unwrap();
        tx.commit().await.unwrap();
    };
    let refused = async |token: &CardToken| {
        let refused = world.cards.detokenize(by, token, "a test").await.unwrap_err();
        let is_found = matches!(refused, Error::Store(StoreError::Inconsistent { .. }));
        assert!(is_found, "{refused:?}");
        assert!(!format!("{refused:?} {refused}").contains("4111"));
    };
    for at in [0, 1, 8, 9, 21, of_one.len() - 1] {
        let mut changed = of_one.clone();
        changed[at] ^= 1;
        put(&one, &changed).await;
        refused(&one).await;
    }
    put(&one, &of_one[..of_one.len() - 1]).await;
    refused(&one).await;
    // What was sealed for another row.
    put(&one, &of_other).await;
    put(&other, &of_one).await;
    refused(&one).await;
    refused(&other).await;
    put(&one, &of_one).await;
    put(&other, &of_other).await;
    assert_eq!(world.cards.detokenize(by, &one, "a test").await.unwrap().expose_digits(), NUMBER);
    // A number that would be found at another's row, which then gives it that one's token.
    run(
        &world.store,
        &format!(
            "create table indexes as select token, number_index from tokens; \
             update tokens set number_index = null, sealed_number = null, deleted_at = 1; \
             update tokens set deleted_at = null, sealed_number = {}, \
             number_index = (select number_index from indexes where token <> tokens.token)",
            match world.store.sqlite_path() {
                Some(_) => "x'00'",
                None => "'\\x00'",
            }
        ),
    )
    .await;
    put(&one, &of_one).await;
    put(&other, &of_other).await;
    let number = CardNumber::try_new(NUMBER.into()).unwrap();
    let refused = world.cards.tokenize(by, &number).await.unwrap_err();
    assert!(matches!(refused, Error::Store(StoreError::Inconsistent { .. })), "{refused}");
}

async fn reseal(world: &World) -> Resealed {
    let audit = identity::audit_trail(&world.identity_store);
    cards::reseal(&world.store, &world.data_keys(), audit.as_ref(), &SystemClock, |_| ())
        .await
        .unwrap()
}

async fn numbers_are_sealed_anew_and_found_as_before(database: TestDatabase) {
    let world = World::open(&database).await;
    let (by, _) = world.staff("admin", &["Admin"]).await;
    let [one, other] = two(&world, by).await;
    world.cards.delete(by, &other, "a test").await.unwrap();
    world.write_data_keys(&[1, 2]);
    let resealed = reseal(&world).await;
    // One number and the key of the indexes; what is deleted is not there.
    assert_eq!((resealed.values, resealed.forgotten_keys.len()), (2, 1));
    assert_eq!(reseal(&world).await.values, 0);
    assert_eq!(world.audited("card_data_keys_resealed").await.len(), 2);
    // Who lacks the newest key seals nothing more.
    let number = CardNumber::try_new("5555555555554444".into()).unwrap();
    let refused = world.cards.tokenize(by, &number).await.unwrap_err();
    assert!(refused.to_string().contains("lacks data keys"), "{refused}");
    // The old key can go. Identity has not been sealed anew here, so its process needs both.
    identity::reseal(&world.identity_store, &world.data_keys(), &SystemClock, |_| ())
        .await
        .unwrap();
    world.write_data_keys(&[2]);
    let world = world.restarted(&database).await;
    let number = CardNumber::try_new(NUMBER.into()).unwrap();
    let found = world.cards.tokenize(by, &number).await.unwrap();
    assert!(!found.is_new && found.stored.token == one);
    let back = world.cards.detokenize(by, &one, "a test").await.unwrap();
    assert_eq!(back.expose_digits(), NUMBER);
    assert!(world.now() >= found.stored.created_at);
}

async fn sealing_anew_goes_on_where_it_was_cut_off(database: TestDatabase) {
    let world = World::open(&database).await;
    let (by, _) = world.staff("admin", &["Admin"]).await;
    let numbers: Vec<CardNumber> = (0..4_500)
        .filter_map(|n| CardNumber::try_new(format!("41111100{n:06}11").into()).ok())
        .collect();
    assert_eq!(numbers.len(), 450);
    for number in &numbers {
        world.cards.tokenize(by, number).await.unwrap();
    }
    world.write_data_keys(&[1, 2]);
    let (told, mut telling) = tokio::sync::mpsc::unbounded_channel();
    let (store, keys) = (world.store.clone(), world.data_keys());
    let audit = identity::audit_trail(&world.identity_store);
    let cut_off = tokio::spawn(async move {
        let progress = |done| told.send(done).unwrap_or_default();
        cards::reseal(&store, &keys, audit.as_ref(), &SystemClock, progress).await
    });
    while telling.recv().await.unwrap() < 200 {}
    cut_off.abort();
    let before = match cut_off.await {
        Ok(finished) => finished.unwrap().values,
        Err(_) => 0,
    };
    let rest = reseal(&world).await;
    assert!(before > 0 || (rest.values > 0 && rest.values <= 451 - 200), "{rest:?}");
    identity::reseal(&world.identity_store, &world.data_keys(), &SystemClock, |_| ())
        .await
        .unwrap();
    world.write_data_keys(&[2]);
    let world = world.restarted(&database).await;
    for number in numbers.iter().step_by(100) {
        assert!(!world.cards.tokenize(by, number).await.unwrap().is_new);
    }
}
