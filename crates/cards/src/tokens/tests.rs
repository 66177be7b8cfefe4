//! Tokens that collide: dice that know few numbers make it happen.

use super::dice::{Dice, NoRandomness};
use super::*;
use crate::{Config, Dependencies, MIGRATIONS};
use kernel::{ManualClock, Timestamp};
use ports::SystemIds;
use sealing::DataKeyFile;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use store::Store;
use store::testing::TestDatabase;

store::on_every_store! {
    a_token_that_is_taken_is_drawn_again_and_never_reused,
}

/// Five digits that are each 0 or 1, in turn through all 32 choices, and a sixth that is always the same.
#[derive(Clone, Default)]
struct FewDice(Arc<AtomicU32>);

/// How many tokens such dice know for numbers with the same digits at the ends.
const TOKENS: usize = 32;

impl Dice for FewDice {
    fn below(&self, bound: u8) -> Result<u8, NoRandomness> {
        if bound < 10 {
            return Ok(0);
        }
        let said = self.0.fetch_add(1, Ordering::SeqCst);
        let (draw, digit) = (said / 5, said % 5);
        Ok(u8::from(draw >> digit & 1 == 1))
    }
}

/// Numbers that begin and end alike.
fn alike(count: usize) -> Vec<CardNumber> {
    let digits = (0..1_000_000).map(|middle| format!("411111{middle:06}1111"));
    let numbers = digits.filter_map(|digits| CardNumber::try_new(digits.into()).ok());
    numbers.take(count).collect()
}

async fn vault(database: &TestDatabase, folder: &std::path::Path, dice: FewDice) -> Cards {
    let identity = Store::open("identity", database.target()).await.unwrap();
    identity.migrate(identity::MIGRATIONS).await.unwrap();
    let store = Store::open("cards", database.target()).await.unwrap();
    store.migrate(MIGRATIONS).await.unwrap();
    let deps = Dependencies {
        store,
        data_keys: Arc::new(DataKeyFile::in_folder(folder, Uuid::nil())),
        audit: identity::audit_trail(&identity),
        clock: Arc::new(ManualClock::at(Timestamp::EPOCH)),
        ids: Arc::new(SystemIds),
    };
    Cards::init_with(deps, Config::default(), Box::new(dice)).await.unwrap()
}

async fn a_token_that_is_taken_is_drawn_again_and_never_reused(database: TestDatabase) {
    let folder = tempfile::tempdir().unwrap();
    let dice = FewDice::default();
    let cards = vault(&database, &folder.path().join("keys"), dice.clone()).await;
    let by = UserId(Uuid::nil());
    let numbers = alike(TOKENS + 1);
    let mut tokens = BTreeSet::new();
    for number in &numbers[..TOKENS] {
        // Each begins where all the tokens before it come first.
        dice.0.store(0, Ordering::SeqCst);
        let made = cards.tokenize(by, number).await.unwrap();
        assert!(made.is_new);
        assert!(tokens.insert(made.stored.token.as_str().to_owned()), "it stands for two numbers");
    }
    assert_eq!(tokens.len(), TOKENS);
    for number in &numbers[..TOKENS] {
        let again = cards.tokenize(by, number).await.unwrap();
        assert!(!again.is_new);
        let back = cards.detokenize(by, &again.stored.token, "a test").await.unwrap();
        assert_eq!(back.expose_digits(), number.expose_digits());
    }
    let left_out = &numbers[TOKENS];
    assert!(matches!(cards.tokenize(by, left_out).await, Err(Error::NoTokenLeft)));
    // Not even when nothing stands behind one any more.
    let first = cards.tokenize(by, &numbers[0]).await.unwrap().stored.token;
    cards.delete(by, &first, "a test").await.unwrap();
    assert!(matches!(cards.tokenize(by, left_out).await, Err(Error::NoTokenLeft)));
    assert!(matches!(cards.detokenize(by, &first, "a test").await, Err(Error::NumberDeleted)));
}
