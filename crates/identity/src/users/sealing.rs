//! Sealing the users of a database that comes from before contacts were sealed.
//!
//! A row is plain as long as it has no index. Each is sealed once, in order, a few in each transaction;
//! whoever is killed in the middle goes on with the rest at the next start, and of two processes that do
//! it at once neither does harm. At the end the files are rewritten, because databases keep what was
//! overwritten.

use super::repo;
use crate::Error;
use crate::secrets::{DataKeys, Indexed, Purpose};
use kernel::Timestamp;
use store::{Store, StoreError};
use uuid::Uuid;

/// Its name in `data_migrations`.
const NAME: &str = "sealed_contacts";
const ROWS_AT_ONCE: i64 = 500;

/// Whether there is anything to seal. Where nobody is registered there never will be.
pub(crate) async fn is_needed(store: &Store, now: Timestamp) -> Result<bool, StoreError> {
    if repo::is_finished(store, NAME).await? {
        return Ok(false);
    }
    let is_needed = repo::any(store).await?;
    if !is_needed {
        repo::finish(store, NAME, now).await?;
    }
    Ok(is_needed)
}

/// Seals what is plain, and returns how many users that were.
pub(crate) async fn seal_plain(
    store: &Store,
    keys: &DataKeys,
    now: Timestamp,
) -> Result<u64, Error> {
    let mut sealed = 0_u64;
    let mut after = Uuid::nil();
    loop {
        let plain = repo::plain(store, after, ROWS_AT_ONCE).await?;
        let Some(last) = plain.last() else { break };
        after = last.id;
        let tx = store.begin().await?;
        let sealer = keys.sealer_in_tx(store, &tx, now).await?;
        for user in &plain {
            let seal = |purpose, text: &str| sealer.seal_text(purpose, user.id, text);
            let sealed_user = repo::SealedContacts {
                email: seal(Purpose::Email, &user.sealed_email)?,
                phone_number: seal(Purpose::PhoneNumber, &user.sealed_phone_number)?,
                display_name: seal(Purpose::DisplayName, &user.sealed_display_name)?,
                // They were normalised when they were stored.
                email_index: keys.blind_index(Indexed::Email, &user.sealed_email),
                phone_number_index: keys
                    .blind_index(Indexed::PhoneNumber, &user.sealed_phone_number),
            };
            let done = repo::seal_plain_in_tx(store, &tx, user.id, sealed_user).await?;
            sealed = sealed.saturating_add(u64::from(done));
        }
        tx.commit().await.map_err(StoreError::from)?;
        tracing::info!(sealed, "sealing contacts that were stored in clear");
    }
    store.rewrite("users", "password_hash").await?;
    repo::finish(store, NAME, now).await?;
    Ok(sealed)
}
