//! What users see of their own sessions, and how they end them.

use super::entity::Model;
use super::{Sessions, device, repo};
use crate::Error;
use crate::events::RevocationReason;
use kernel::{Actor, Cursor, Page, PageLimit, Timestamp};
use store::StoreError;
use uuid::Uuid;

/// A session of the actor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnSession {
    /// Given at the sign-in.
    pub id: Uuid,
    /// What people call the device.
    pub device_name: String,
    /// Where the sign-in came from; empty when it is not known.
    pub ip_address: String,
    /// When that was.
    pub created_at: Timestamp,
    /// The last sign-in or refresh; calls in between are not recorded.
    pub last_used_at: Timestamp,
    /// When it ends if it is not used before; at last when its life is over.
    pub expires_at: Timestamp,
    /// Whether the actor is asking from it.
    pub is_current: bool,
}

impl OwnSession {
    fn new(row: Model, actor: &Actor) -> Self {
        Self {
            id: row.id,
            device_name: device::name(&row.user_agent),
            ip_address: row.ip_address,
            created_at: Timestamp::from_micros(row.created_at),
            last_used_at: Timestamp::from_micros(row.last_used_at),
            expires_at: Timestamp::from_micros(row.expires_at),
            is_current: row.id == actor.session_id,
        }
    }
}

impl Sessions {
    /// The actor's living sessions, newest first.
    pub(crate) async fn mine(
        &self,
        actor: &Actor,
        after: Option<Uuid>,
        limit: PageLimit,
    ) -> Result<Page<OwnSession>, StoreError> {
        let now = self.clock.now();
        let rows = repo::living(&self.store, actor.user_id, now, after, limit).await?;
        let page = Page::from_rows(rows, limit, |row| Cursor::from_uuid(row.id));
        Ok(page.map(|row| OwnSession::new(row, actor)))
    }

    /// Ends one of the actor's sessions; `false` if it is not a living one of theirs.
    pub(crate) async fn end_mine(&self, actor: &Actor, id: Uuid) -> Result<bool, Error> {
        let now = self.clock.now();
        let found = repo::find(&self.store, id).await?;
        let is_mine = found.is_some_and(|session| {
            session.user_id == actor.user_id.0
                && session.revoked_at.is_none()
                && Timestamp::from_micros(session.expires_at) > now
        });
        if is_mine {
            self.revoke(actor.user_id, id, RevocationReason::EndedByUser, now).await?;
        }
        Ok(is_mine)
    }

    /// Ends all of the actor's sessions but the one they ask from.
    pub(crate) async fn end_my_others(&self, actor: &Actor) -> Result<(), Error> {
        let (now, reason) = (self.clock.now(), RevocationReason::EndedByUser);
        let tx = self.store.begin().await?;
        let except = Some(actor.session_id);
        let revoked = self.revoke_all_in_tx(&tx, actor.user_id, except, reason, now).await?;
        tx.commit().await.map_err(StoreError::from)?;
        self.forget(&revoked, now);
        Ok(())
    }
}
