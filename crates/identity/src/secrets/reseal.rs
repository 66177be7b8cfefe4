//! Sealing everything anew with the newest key, so that older ones are needed no more.
//!
//! It may run while servers serve, be killed at any point and be begun again: each value is replaced by
//! another sealing of the same, a few rows in each transaction, unless somebody changed it meanwhile.
//! What has the newest key already is passed over.

use super::KeyRing;
use super::repo::{self, SEALED_COLUMNS, SealedColumn};
use crate::Error;
use crate::audit::{self, NewEntry};
use kernel::Clock;
use ports::DataKeySource;
use serde_json::json;
use store::{Store, StoreError};
use uuid::Uuid;

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resealed {
    /// The name of the key that everything is sealed with now.
    pub key: String,
    /// How many values had another one.
    pub values: u64,
    /// Names of keys that nothing needs any more.
    pub forgotten_keys: Vec<String>,
}

/// Rows of one transaction: few, because on SQLite everybody else waits meanwhile.
const ROWS_AT_ONCE: i64 = 200;

/// Seals everything with the newest key and forgets the others. `progress` is told how many values were
/// done so far.
pub(crate) async fn reseal(
    store: &Store,
    source: &dyn DataKeySource,
    clock: &dyn Clock,
    progress: impl Fn(u64),
) -> Result<Resealed, Error> {
    let ring = KeyRing::init(store, source).await?;
    let key = ring.newest()?.name();
    let tx = store.begin().await?;
    repo::lock_names_in_tx(store, &tx).await?;
    ring.sealer_in_tx(store, &tx, clock.now()).await?;
    tx.commit().await.map_err(StoreError::from)?;
    // From here on nobody seals who does not have the newest key.
    let mut values = 0_u64;
    loop {
        let before = values;
        for column in SEALED_COLUMNS {
            let mut after = None;
            loop {
                let (done, last) = reseal_some(store, &ring, clock, column, after).await?;
                values = values.saturating_add(done);
                progress(values);
                if last.is_none() {
                    break;
                }
                after = last;
            }
        }
        if values == before {
            break;
        }
    }
    let tx = store.begin().await?;
    let forgotten_keys = repo::forget_other_names_in_tx(store, &tx, &key).await?;
    let details = json!({ "key": key, "values": values, "forgottenKeys": forgotten_keys });
    let (action, at) = ("data_keys_resealed", clock.now());
    let entry = NewEntry { actor: None, action, object: None, details, at };
    audit::append_in_tx(store, &tx, entry).await?;
    tx.commit().await.map_err(StoreError::from)?;
    Ok(Resealed { key, values, forgotten_keys })
}

/// How many of the next rows were done, and the last of them; `None` at the end.
async fn reseal_some(
    store: &Store,
    ring: &KeyRing,
    clock: &dyn Clock,
    column: &SealedColumn,
    after: Option<Uuid>,
) -> Result<(u64, Option<Uuid>), Error> {
    let some = repo::sealed_values(store, column, after, ROWS_AT_ONCE).await?;
    let last = some.last().map(|last| last.row);
    let newest = ring.newest()?.header();
    let others: Vec<_> = some.iter().filter(|one| !one.sealed.starts_with(&newest)).collect();
    if others.is_empty() {
        return Ok((0, last));
    }
    let tx = store.begin().await?;
    let sealer = ring.sealer_in_tx(store, &tx, clock.now()).await?;
    let mut done = 0_u64;
    for one in others {
        let secret = ring.open(column.purpose, one.row, &one.sealed)?;
        let sealed = sealer.seal(column.purpose, one.row, &secret)?;
        let replaced = repo::replace_sealed_in_tx(store, &tx, column, one, &sealed).await?;
        done = done.saturating_add(u64::from(replaced));
    }
    tx.commit().await.map_err(StoreError::from)?;
    Ok((done, last))
}
