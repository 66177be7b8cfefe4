//! Sealing everything anew with the newest key, so that older ones are needed no more.
//!
//! It may run while servers serve, be killed at any point and be begun again: each value is replaced by
//! another sealing of the same, a few rows in each transaction, unless somebody changed it meanwhile.
//! What has the newest key already is passed over.

use crate::repo::{self, SealedColumn};
use crate::{Error, KeyRing};
use kernel::Clock;
use ports::DataKeySource;
use store::{Store, StoreError, WriteTx};
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

/// What came of it before the other keys are forgotten.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResealedValues {
    /// The name of the key that everything is sealed with now.
    pub key: String,
    /// How many values had another one.
    pub values: u64,
}

/// Rows of one transaction: few, because on SQLite everybody else waits meanwhile.
const ROWS_AT_ONCE: i64 = 200;

/// Seals everything in these columns with the newest key. [`forget_other_keys_in_tx`] has to follow.
/// `progress` is told how many values were done so far.
pub async fn reseal_values(
    store: &Store,
    source: &dyn DataKeySource,
    columns: &[SealedColumn],
    clock: &dyn Clock,
    progress: impl Fn(u64),
) -> Result<ResealedValues, Error> {
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
        for column in columns {
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
    Ok(ResealedValues { key, values })
}

/// Forgets every key but the one that everything is sealed with now, and returns their names.
pub async fn forget_other_keys_in_tx(
    store: &Store,
    tx: &WriteTx,
    key: &str,
) -> Result<Vec<String>, StoreError> {
    repo::forget_other_names_in_tx(store, tx, key).await
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
