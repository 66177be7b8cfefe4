//! The audit trail: who did what to whom or what, from where. An entry is written in the transaction that makes it
//! true, and never again: the tables refuse changes, and a chain of hashes tells of those that are made
//! past them.
//!
//! The head is locked after everything else, and after the outbox's where both are written.

mod entity;
pub(crate) mod refusals;
mod repo;
mod verify;

pub use entity::AuditEntry;
pub(crate) use entity::masked;
pub(crate) use verify::verify;
pub use verify::{AuditFinding, AuditReport};

use crate::{Error, Identity};
use async_trait::async_trait;
use identity_api::{AuditRecord, AuditTrail, AuditTrailError, RequestOrigin};
use kernel::{Cursor, Page, PageLimit, Timestamp, UserId};
use serde_json::Value;
use store::outbox::{self, NewEvent};
use store::{Store, StoreError, WriteTx};
use uuid::Uuid;

tokio::task_local! {
    /// Known while a request is being answered; what goes on after the answer takes it along
    /// ([`with_origin`]).
    pub(crate) static ORIGIN: RequestOrigin;
}

/// Work that goes on after the answer, and knows where the request came from.
pub(crate) fn with_origin<F: Future>(work: F) -> impl Future<Output = F::Output> {
    let origin = ORIGIN.try_with(Clone::clone).unwrap_or_default();
    ORIGIN.scope(origin, work)
}

/// The last entry.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Head {
    sequence: i64,
    occurred_at: Timestamp,
    hash: Vec<u8>,
}

/// An entry about to be written.
pub(crate) struct NewEntry {
    /// Who; `None` when nobody is signed in.
    pub(crate) actor: Option<UserId>,
    /// What: `user_locked`.
    pub(crate) action: &'static str,
    /// What it is done to, see [`AuditEntry::object`].
    pub(crate) object: Option<Uuid>,
    /// The rest. No secrets, and contacts only masked.
    pub(crate) details: Value,
    pub(crate) at: Timestamp,
}

/// Which entries are wanted; all given conditions hold together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// What this user or API client did.
    pub actor: Option<UserId>,
    /// Only this action.
    pub action: Option<String>,
    /// What was done to this.
    pub object: Option<Uuid>,
    /// From this instant on.
    pub from: Option<Timestamp>,
    /// Up to, not including, this one.
    pub to: Option<Timestamp>,
}

/// What is kept of what a client says about itself, in characters.
const USER_AGENT_LENGTH_MAX: usize = 256;

/// Writes an entry. Others wait for the end of the transaction, so do this last.
pub(crate) async fn append_in_tx(
    store: &Store,
    tx: &WriteTx,
    new: NewEntry,
) -> Result<(), StoreError> {
    let origin = ORIGIN.try_with(Clone::clone).unwrap_or_default();
    let head = repo::lock_head_in_tx(store, tx).await?;
    let entry = AuditEntry {
        sequence: head.sequence.saturating_add(1),
        occurred_at: new.at.max(head.occurred_at),
        actor: new.actor,
        action: new.action.to_owned(),
        object: new.object,
        client_address: origin.client_address,
        user_agent: origin.user_agent.chars().take(USER_AGENT_LENGTH_MAX).collect(),
        details: new.details.to_string(),
    };
    let hash = entry.hash(&head.hash);
    repo::append_in_tx(store, tx, entry, hash).await
}

/// Writes an entry that belongs to no other change.
pub(crate) async fn append(store: &Store, new: NewEntry) -> Result<(), StoreError> {
    let tx = store.begin().await?;
    append_in_tx(store, &tx, new).await?;
    Ok(tx.commit().await?)
}

/// Tells others of an event, and writes it down here with what is not for others.
pub(crate) async fn tell_in_tx(
    store: &Store,
    tx: &WriteTx,
    actor: Option<UserId>,
    event: NewEvent,
    more: Option<Value>,
) -> Result<(), StoreError> {
    let action = event.event_type.strip_prefix("identity.").unwrap_or(event.event_type);
    let mut details: Value = serde_json::from_str(&event.payload).unwrap_or_default();
    if let (Some(all), Some(Value::Object(more))) = (details.as_object_mut(), more) {
        all.extend(more);
    }
    let (object, at) = (Some(event.aggregate_id), event.occurred_at);
    outbox::append_in_tx(store, tx, event).await?;
    append_in_tx(store, tx, NewEntry { actor, action, object, details, at }).await
}

/// The trail as other modules write into it.
pub(crate) struct Trail(pub(crate) Store);

#[async_trait]
impl AuditTrail for Trail {
    async fn record(&self, record: AuditRecord) -> Result<(), AuditTrailError> {
        let AuditRecord { actor, action, object, details, at, origin } = record;
        let append = append(&self.0, NewEntry { actor, action, object, details, at });
        let written = match origin {
            Some(origin) => ORIGIN.scope(origin, append).await,
            None => append.await,
        };
        written.map_err(|error| AuditTrailError(Box::new(error)))
    }
}

impl Identity {
    /// A page of the audit trail, newest first.
    pub(crate) async fn audit_events(
        &self,
        filter: &AuditFilter,
        before: Option<i64>,
        limit: PageLimit,
    ) -> Result<Page<AuditEntry>, Error> {
        let rows = repo::search(&self.0.store, filter, before, limit).await?;
        Ok(Page::from_rows(rows, limit, |entry| Cursor::from_i64(entry.sequence)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use store::testing::{TestDatabase, plan_with_indexes};

    store::on_every_store! { every_search_reads_an_index }

    async fn every_search_reads_an_index(database: TestDatabase) {
        let store = Store::open("identity", database.target()).await.unwrap();
        store.migrate(crate::MIGRATIONS).await.unwrap();
        let all = AuditFilter::default;
        let (id, at) = (Uuid::from_u128(1), Timestamp::EPOCH);
        for (filter, index) in [
            (AuditFilter { actor: Some(UserId(id)), ..all() }, "audit_events_by_actor"),
            (AuditFilter { action: Some("logged_in".into()), ..all() }, "audit_events_by_action"),
            (AuditFilter { object: Some(id), ..all() }, "audit_events_by_object"),
            (AuditFilter { from: Some(at), to: Some(at), ..all() }, "audit_events_by_time"),
        ] {
            let (sql, binds) = repo::search_statement(&filter, None, PageLimit::default());
            let plan = plan_with_indexes(&store, &sql, binds).await;
            assert!(plan.contains(index), "{plan}");
        }
    }
}
