#![doc = include_str!("../README.md")]

mod error;
pub mod idempotency;
mod migrate;
mod open;
pub mod outbox;
#[cfg(feature = "testing")]
pub mod testing;

#[cfg(test)]
mod tests;

pub use error::StoreError;
pub use migrate::{MigrationStatus, SqlMigration};
pub use open::{Store, Target, WriteTx};

/// Re-exported so that modules name one version of the ORM.
pub use sea_orm;
