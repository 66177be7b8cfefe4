//! What the vault seals, and for what ([`sealing`]).

use crate::Error;
use identity_api::{AuditRecord, AuditTrail};
use kernel::{Clock, Timestamp};
use ports::DataKeySource;
use sealing::{DataKeys, Encoding, Indexed, Purpose, Resealed, ResealedValues, SealedColumn};
use serde_json::json;
use store::{Store, StoreError};

pub(crate) const NUMBER: Purpose = Purpose("finitech/cards/tokens.sealed_number");
const INDEX_KEY: Purpose = Purpose("finitech/cards/index_keys.sealed_key");
pub(crate) const INDEXED_NUMBER: Indexed = Indexed("finitech/cards/number");

/// Every column that holds something sealed; whoever adds one adds it here, or its values stay under
/// the keys that they were sealed with.
const SEALED_COLUMNS: &[SealedColumn] = &[
    SealedColumn::new(INDEX_KEY, "index_keys", "id", "sealed_key", Encoding::Bytes),
    SealedColumn::new(NUMBER, "tokens", "id", "sealed_number", Encoding::Bytes),
];

/// The data keys, on the vault's store.
pub(crate) async fn data_keys(
    store: &Store,
    source: &dyn DataKeySource,
    now: Timestamp,
) -> Result<DataKeys, Error> {
    Ok(DataKeys::init(store, source, INDEX_KEY, now).await?)
}

/// Seals everything with the newest key and forgets the others.
pub(crate) async fn reseal(
    store: &Store,
    source: &dyn DataKeySource,
    audit: &dyn AuditTrail,
    clock: &dyn Clock,
    progress: impl Fn(u64),
) -> Result<Resealed, Error> {
    let resealed = sealing::reseal_values(store, source, SEALED_COLUMNS, clock, progress).await?;
    let ResealedValues { key, values } = resealed;
    let tx = store.begin().await?;
    let forgotten_keys = sealing::forget_other_keys_in_tx(store, &tx, &key).await?;
    let details = json!({ "key": key, "values": values, "forgottenKeys": forgotten_keys });
    let (action, at) = ("card_data_keys_resealed", clock.now());
    let record = AuditRecord { actor: None, action, object: None, details, at, origin: None };
    audit.record(record).await?;
    tx.commit().await.map_err(StoreError::from)?;
    Ok(Resealed { key, values, forgotten_keys })
}
