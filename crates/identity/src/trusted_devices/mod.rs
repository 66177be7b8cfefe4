//! Devices that a user trusts: a sign-in from one does not ask for the second factor. What somebody
//! does with such a session that needs a fresh authentication still does.

mod repo;

pub(crate) use repo::{forget_all_in_tx, use_in_tx};

use crate::Error;
use crate::audit::{self, NewEntry};
use crate::sessions::{Device, device_name};
use crate::tokens::OpaqueToken;
use kernel::{Actor, Clock, IdSource, Timestamp, UserId};
use secrecy::SecretString;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use store::{Store, StoreError, WriteTx};
use uuid::Uuid;

/// A device that its user trusts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustedDevice {
    /// Given when it was trusted.
    pub id: Uuid,
    /// What people call it.
    pub device_name: String,
    /// When it was trusted.
    pub created_at: Timestamp,
    /// The last sign-in from it.
    pub last_used_at: Timestamp,
    /// Until when it is trusted.
    pub expires_at: Timestamp,
}

/// A device that is trusted from now on.
pub(crate) struct NewTrustedDevice {
    pub(crate) id: Uuid,
    /// The device's to keep.
    pub(crate) token: SecretString,
}

/// The most devices that one user trusts; one more takes the place of the oldest.
const DEVICES_MAX: i64 = 20;
/// What is kept of what a device says about itself, in characters.
const DEVICE_TEXT_LENGTH_MAX: usize = 256;

/// Remembers devices and forgets them.
pub(crate) struct TrustedDevices {
    pub(crate) store: Store,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) ids: Arc<dyn IdSource>,
    /// For how long a device is trusted.
    pub(crate) lifetime: Duration,
}

impl TrustedDevices {
    /// Trusts a device, in the transaction of a sign-in with both factors, which notes it in the audit
    /// trail when all else is done ([`note_trusted_in_tx`]).
    pub(crate) async fn trust_in_tx(
        &self,
        tx: &WriteTx,
        user_id: UserId,
        device: &Device,
        now: Timestamp,
    ) -> Result<NewTrustedDevice, Error> {
        let token = OpaqueToken::generate()?;
        let row = repo::Row {
            id: self.ids.next(),
            user_agent: device.user_agent.chars().take(DEVICE_TEXT_LENGTH_MAX).collect(),
            created_at: now.as_micros(),
            last_used_at: now.as_micros(),
            expires_at: now.plus(self.lifetime).as_micros(),
        };
        repo::insert_in_tx(&self.store, tx, user_id, token.hash(), &row).await?;
        repo::delete_surplus_in_tx(&self.store, tx, user_id, DEVICES_MAX, now).await?;
        Ok(NewTrustedDevice { id: row.id, token: token.into_secret() })
    }

    /// Whether this is the token of a device that the user trusts. Whether it still is, the
    /// transaction of the sign-in says ([`use_in_tx`]).
    pub(crate) async fn is_trusted(
        &self,
        user_id: UserId,
        token_hash: &[u8],
    ) -> Result<bool, StoreError> {
        repo::is_trusted(&self.store, user_id, token_hash, self.clock.now()).await
    }

    /// The devices that the actor trusts, newest first.
    pub(crate) async fn mine(&self, actor: &Actor) -> Result<Vec<TrustedDevice>, StoreError> {
        let rows = repo::of(&self.store, actor.user_id, self.clock.now()).await?;
        let devices = rows.into_iter().map(|row| TrustedDevice {
            id: row.id,
            device_name: device_name(&row.user_agent),
            created_at: Timestamp::from_micros(row.created_at),
            last_used_at: Timestamp::from_micros(row.last_used_at),
            expires_at: Timestamp::from_micros(row.expires_at),
        });
        Ok(devices.collect())
    }

    /// Trusts one of the actor's devices no more; `false` if there is no such one.
    pub(crate) async fn forget(&self, actor: &Actor, id: Uuid) -> Result<bool, StoreError> {
        let tx = self.store.begin().await?;
        if !repo::forget_in_tx(&self.store, &tx, actor.user_id, id).await? {
            return Ok(false);
        }
        let entry = entry("trusted_device_forgotten", actor.user_id, id, self.clock.now());
        audit::append_in_tx(&self.store, &tx, entry).await?;
        tx.commit().await?;
        Ok(true)
    }
}

/// Writes down that a user trusts a device.
pub(crate) async fn note_trusted_in_tx(
    store: &Store,
    tx: &WriteTx,
    user_id: UserId,
    id: Uuid,
    now: Timestamp,
) -> Result<(), StoreError> {
    audit::append_in_tx(store, tx, entry("device_trusted", user_id, id, now)).await
}

/// What a user did with a device of theirs.
fn entry(action: &'static str, user_id: UserId, device: Uuid, at: Timestamp) -> NewEntry {
    let details = json!({ "deviceId": device });
    NewEntry { actor: Some(user_id), action, object: Some(user_id.0), details, at }
}
