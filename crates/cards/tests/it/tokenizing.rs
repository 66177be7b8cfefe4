use crate::world::{DELETE, DETOKENIZE, NUMBER, SEARCH, TOKENS, World, count};
use cards::{CardNumber, CardToken, Error};
use serde_json::{Value, json};
use store::testing::TestDatabase;

store::on_every_store! {
    a_number_gets_one_token,
    tokens_are_looked_up_without_their_numbers,
    numbers_of_every_length_get_tokens_of_their_length,
    a_deleted_number_is_gone_and_its_token_stays,
    the_database_keeps_tokens,
}

async fn a_number_gets_one_token(database: TestDatabase) {
    let world = World::open(&database).await;
    let (admin_id, admin) = world.staff("admin", &["Admin"]).await;
    let made = world.post(&admin, TOKENS, &json!({ "cardNumber": NUMBER })).await;
    assert_eq!(made.status, 201, "{}", made.body);
    let token = made.body["token"].as_str().unwrap();
    assert!(CardToken::try_new(token).is_ok() && token.len() == NUMBER.len());
    assert!(token.starts_with("411111") && token.ends_with("1111"), "{token}");
    assert_eq!(made.body["lastFour"], "1111");
    assert_eq!(made.body["createdAt"], "2026-11-23T09:30:00Z");
    assert_eq!(made.body["deletedAt"], Value::Null);
    let again = world.post(&admin, TOKENS, &json!({ "cardNumber": NUMBER })).await;
    assert_eq!((again.status, &again.body), (200, &made.body));
    // A token is no card number.
    let refused = world.post(&admin, TOKENS, &json!({ "cardNumber": token })).await;
    assert_eq!(refused.problem(), (422, "validation_failed"));
    assert_eq!(count(&world.store, "tokens").await, 1);
    let entries = world.audited("card_number_tokenized").await;
    let [entry] = &entries[..] else { panic!("{entries:?}") };
    assert_eq!(entry.actor, Some(admin_id));
    assert_eq!(entry.object.unwrap().to_string(), made.body["id"].as_str().unwrap());
    assert_eq!(entry.details, json!({ "token": token }));
    assert_eq!(entry.user_agent, "tests");
    let events = world.events().await;
    let [event] = &events[..] else { panic!("{events:?}") };
    assert_eq!(event.event_type, "cards.number_tokenized");
}

async fn tokens_are_looked_up_without_their_numbers(database: TestDatabase) {
    let world = World::open(&database).await;
    let (_, admin) = world.staff("admin", &["Admin"]).await;
    let token = world.tokenized(&admin, NUMBER).await;
    let found = world.post(&admin, SEARCH, &json!({ "token": token })).await;
    assert_eq!(found.status, 200, "{}", found.body);
    assert_eq!(found.body["token"], token.as_str());
    assert!(!found.body.to_string().contains(NUMBER));
    let unknown = world.post(&admin, SEARCH, &json!({ "token": "411111000000" })).await;
    assert_eq!(unknown.problem(), (404, "not_found"));
    // Whoever pastes the number itself is not told whether it is there.
    let number = world.post(&admin, SEARCH, &json!({ "token": NUMBER })).await;
    assert_eq!(number.problem(), (422, "validation_failed"));
    assert_eq!(number.pointers(), ["/token"]);
}

async fn numbers_of_every_length_get_tokens_of_their_length(database: TestDatabase) {
    let world = World::open(&database).await;
    let (by, _) = world.staff("admin", &["Admin"]).await;
    for length in 12..=19 {
        let digits = |check| format!("{}{check}", &"5061234987605112634"[..length - 1]);
        let number = (0..10).find_map(|check| CardNumber::try_new(digits(check).into()).ok());
        let number = number.unwrap();
        let made = world.cards.tokenize(by, &number).await.unwrap();
        assert!(made.is_new);
        assert_eq!(made.stored.token.as_str().len(), length);
        assert_eq!(made.stored.token.last_four(), &number.expose_digits()[length - 4..]);
        let back = world.cards.detokenize(by, &made.stored.token, "a test").await.unwrap();
        assert_eq!(back.expose_digits(), number.expose_digits());
    }
}

async fn a_deleted_number_is_gone_and_its_token_stays(database: TestDatabase) {
    let world = World::open(&database).await;
    let (admin_id, admin) = world.staff("admin", &["Admin"]).await;
    let (_, officer) = world.staff("officer", &["CardOfficer"]).await;
    let token = world.tokenized(&admin, NUMBER).await;
    let body = json!({ "token": token, "reason": "The customer asked for it" });
    let deleted = world.post(&admin, DELETE, &body).await;
    assert_eq!(deleted.status, 200, "{}", deleted.body);
    assert_eq!(deleted.body["deletedAt"], "2026-11-23T09:30:00Z");
    let again = world.post(&admin, DELETE, &body).await;
    assert_eq!(again.problem(), (409, "card_number_deleted"));
    let asked = world.post(&officer, DETOKENIZE, &body).await;
    assert_eq!(asked.problem(), (409, "card_number_deleted"));
    let found = world.post(&admin, SEARCH, &json!({ "token": token })).await;
    assert_eq!(found.body, deleted.body);
    let entries = world.audited("card_number_deleted").await;
    let [entry] = &entries[..] else { panic!("{entries:?}") };
    assert_eq!(entry.actor, Some(admin_id));
    let details = json!({ "token": token, "reason": "The customer asked for it" });
    assert_eq!(entry.details, details);
    // The number may come again; what stood for it before does not.
    let other = world.tokenized(&admin, NUMBER).await;
    assert_ne!(other, token);
    assert_eq!(count(&world.store, "tokens").await, 2);
    let unknown = json!({ "token": "411111000000", "reason": "a test" });
    let unknown = world.post(&admin, DELETE, &unknown).await;
    assert_eq!(unknown.problem(), (404, "not_found"));
}

async fn the_database_keeps_tokens(database: TestDatabase) {
    use store::sea_orm::ConnectionTrait;
    let world = World::open(&database).await;
    let (by, _) = world.staff("admin", &["Admin"]).await;
    let number = |digits: &str| CardNumber::try_new(digits.into()).unwrap();
    let one = world.cards.tokenize(by, &number(NUMBER)).await.unwrap().stored;
    let other = world.cards.tokenize(by, &number("5555555555554444")).await.unwrap().stored;
    let (one, other) = (one.token.as_str(), other.token.as_str());
    for sql in [
        format!("delete from tokens where token = '{one}'"),
        format!("update tokens set token = '411111000000' where token = '{one}'"),
        format!(
            "update tokens set number_index = (select number_index from tokens where token = \
             '{other}') where token = '{one}'"
        ),
        format!("update tokens set sealed_number = null where token = '{one}'"),
        "update tokens set deleted_at = 1".to_owned(),
    ] {
        let tx = world.store.begin().await.unwrap();
        assert!(tx.execute_unprepared(&sql).await.is_err(), "{sql}");
    }
    let unknown = CardToken::try_new("411111000000").unwrap();
    assert!(matches!(world.cards.find(&unknown).await, Err(Error::NoSuchToken)));
    assert_eq!(count(&world.store, "tokens").await, 2);
}
