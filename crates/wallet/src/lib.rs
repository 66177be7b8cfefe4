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
use kernel::{Clock, IdSource, typed_id};
use ledger_api::Ledger;
use ports::PaymentGateway;
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
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// How long one attempt at an operation may take; after that the next one may take over.
    pub operation_lease: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self { operation_lease: Duration::from_secs(10) }
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
