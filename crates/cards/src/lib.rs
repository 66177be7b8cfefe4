#![doc = include_str!("../README.md")]

mod error;
mod events;
mod http;
mod secrets;
mod tokens;

pub use error::Error;
pub use tokens::{
    CardNumber, CardToken, InvalidCardNumber, InvalidCardToken, NoRandomness, StoredToken,
    Tokenized, contains_card_number,
};

use identity_api::AuditTrail;
use kernel::{Clock, IdSource};
use ports::DataKeySource;
use sealing::{DataKeys, Resealed};
use std::sync::Arc;
use std::time::Duration;
use store::outbox::{EventSource, Outbox};
use store::{SqlMigration, Store};
use tokens::{Dice, SystemDice};
use web::OpenApiRouter;

/// The schema, step by step.
pub const MIGRATIONS: &[SqlMigration] = &[SqlMigration {
    name: "m0001_tokens",
    sql: include_str!("migrations/m0001_tokens.sql"),
    sqlite: include_str!("migrations/m0001_tokens_sqlite.sql"),
    postgres: include_str!("migrations/m0001_tokens_postgres.sql"),
}];

/// The permissions of the vault's routes.
pub mod permissions {
    use kernel::Permission;

    /// Put card numbers into the vault, and look up tokens.
    pub const TOKENIZE: Permission = Permission("cards:tokenize");
    /// Learn the card number of a token.
    pub const DETOKENIZE: Permission = Permission("cards:detokenize");
    /// Delete card numbers.
    pub const DELETE: Permission = Permission("cards:delete");
}

/// How the module works.
#[derive(Clone, Debug)]
pub struct Config {
    /// How long an authentication is fresh enough to learn a card number or to delete one.
    pub step_up_max_age: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self { step_up_max_age: Duration::from_mins(5) }
    }
}

/// What the module needs from others.
#[derive(Clone)]
pub struct Dependencies {
    /// The module's own, migrated store.
    pub store: Store,
    /// What card numbers are sealed with.
    pub data_keys: Arc<dyn DataKeySource>,
    /// Who learnt which number is written down here.
    pub audit: Arc<dyn AuditTrail>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// New ids.
    pub ids: Arc<dyn IdSource>,
}

/// The card vault. Clones share everything.
#[derive(Clone)]
pub struct Cards(Arc<Parts>);

struct Parts {
    deps: Dependencies,
    config: Config,
    keys: DataKeys,
    dice: Box<dyn Dice>,
}

impl Cards {
    /// Opens the vault on a migrated store.
    pub async fn init(deps: Dependencies, config: Config) -> Result<Self, Error> {
        Self::init_with(deps, config, Box::new(SystemDice)).await
    }

    async fn init_with(
        deps: Dependencies,
        config: Config,
        dice: Box<dyn Dice>,
    ) -> Result<Self, Error> {
        let now = deps.clock.now();
        let keys = secrets::data_keys(&deps.store, deps.data_keys.as_ref(), now).await?;
        Ok(Self(Arc::new(Parts { deps, config, keys, dice })))
    }

    /// The module's routes.
    pub fn router(&self) -> OpenApiRouter {
        http::router(self.clone())
    }

    /// The module's events.
    pub fn events(&self) -> Arc<dyn EventSource> {
        Arc::new(Outbox(self.0.deps.store.clone()))
    }
}

/// Seals every card number with the newest data key, after which the older ones are not needed here any
/// more. May run while processes that have the newest key serve, be killed at any point and be done again.
/// `progress` is told how many values were done so far.
pub async fn reseal(
    store: &Store,
    data_keys: &dyn DataKeySource,
    audit: &dyn AuditTrail,
    clock: &dyn Clock,
    progress: impl Fn(u64),
) -> Result<Resealed, Error> {
    secrets::reseal(store, data_keys, audit, clock, progress).await
}
