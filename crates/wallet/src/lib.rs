#![doc = include_str!("../README.md")]

mod error;
mod events;
mod http;
mod operations;
mod wallets;

pub use error::{Error, Refusal};
pub use operations::{Keyed, Operation, Outcome, Recipient, Settled, TopUp, Transfer};
pub use wallets::{Wallet, WalletBalance};

use identity_api::UserDirectory;
use kernel::{Clock, Currency, IdSource, Money, typed_id};
use ledger_api::Ledger;
use ports::PaymentGateway;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use store::outbox::{EventSource, Outbox};
use store::{SqlMigration, Store};
use web::OpenApiRouter;

typed_id! {
    /// A wallet.
    WalletId;
    /// A top-up or transfer.
    OperationId;
}

/// The schema, step by step.
pub const MIGRATIONS: &[SqlMigration] = &[SqlMigration {
    name: "m0001_wallets",
    sql: include_str!("migrations/m0001_wallets.sql"),
    sqlite: "",
    postgres: "",
}];

/// The permissions of the wallet's routes.
pub mod permissions {
    use kernel::Permission;

    /// Read one's own wallets.
    pub const READ: Permission = Permission("wallet:read");
    /// Open wallets and move one's own money.
    pub const WRITE: Permission = Permission("wallet:write");
}

/// How the module works.
#[derive(Clone, Debug)]
pub struct Config {
    /// How long one attempt at an operation may take; after that the next one may take over.
    pub operation_lease: Duration,
    /// Which transfers need a fresh authentication.
    pub step_up: StepUp,
}

/// Which transfers need a fresh authentication, and how fresh.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepUp {
    /// How long an authentication is fresh.
    pub max_age: Duration,
    /// By currency, the largest amount in minor units that needs none. In other currencies every
    /// transfer needs one.
    pub above: BTreeMap<Currency, i64>,
}

impl Default for Config {
    fn default() -> Self {
        Self { operation_lease: Duration::from_secs(10), step_up: StepUp::default() }
    }
}

impl Default for StepUp {
    fn default() -> Self {
        let above =
            [(Currency::MAD, 1_000_000), (Currency::EUR, 100_000), (Currency::USD, 100_000)];
        Self { max_age: Duration::from_mins(5), above: above.into() }
    }
}

impl StepUp {
    /// Whether a transfer of this amount needs one.
    pub(crate) fn concerns(&self, amount: Money) -> bool {
        let most = self.above.get(&amount.currency());
        most.is_none_or(|most| amount.minor_units() > *most)
    }
}

/// What the module needs from others.
#[derive(Clone)]
pub struct Dependencies {
    /// The module's own, migrated store.
    pub store: Store,
    /// The books.
    pub ledger: Arc<dyn Ledger>,
    /// Who has which phone number.
    pub directory: Arc<dyn UserDirectory>,
    /// Where top-ups come from.
    pub payment_gateway: Arc<dyn PaymentGateway>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// New ids.
    pub ids: Arc<dyn IdSource>,
}

/// The wallet module. Cheap to clone.
#[derive(Clone)]
pub struct Wallets {
    deps: Arc<Dependencies>,
    config: Config,
}

impl Wallets {
    /// The module on its dependencies.
    pub fn new(deps: Dependencies, config: Config) -> Self {
        Self { deps: Arc::new(deps), config }
    }

    /// The module's routes.
    pub fn router(&self) -> OpenApiRouter {
        http::router(self.clone())
    }

    /// The module's events.
    pub fn events(&self) -> Arc<dyn EventSource> {
        Arc::new(Outbox(self.deps.store.clone()))
    }
}
