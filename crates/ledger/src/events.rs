//! The journal as a stream of events. There is no table of events beside it: each sequence number is one
//! account, one change of an account or one transaction, and that is the event.

use crate::engine::{IdMap, Tail, Told};
use crate::http::bodies::{LimitsChangedBody, OpenedBody, StatusChangedBody, TransactionBody};
use crate::http::hold_bodies::{HoldBody, HoldReleasedBody};
use crate::journal::chunk::{Chunk, Named, accounts_touched, holds_ended};
use crate::journal::limits::limits_from;
use crate::journal::repo::Journal;
use crate::journal::scan::{Scan, joined};
use async_trait::async_trait;
use kernel::{Event, Timestamp};
use ledger_api::{Hold, HoldId, Transaction};
use serde::Serialize;
use std::sync::Arc;
use store::outbox::EventSource;
use store::{Store, StoreError};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::spawn_blocking;

/// About how many legs are read at a time: a transaction has up to a thousand, and a few thousand such
/// must not be in memory at once.
const LEGS_PER_READ: u32 = 20_000;

pub(crate) struct JournalEvents {
    pub(crate) journal: Journal,
    pub(crate) tail: Arc<Tail>,
}

#[async_trait]
impl EventSource for JournalEvents {
    fn store(&self) -> &Store {
        self.journal.store()
    }

    async fn after(&self, position: i64, limit: u32) -> Result<Vec<Event>, StoreError> {
        let [records, legs] =
            [limit, LEGS_PER_READ].map(|most| usize::try_from(most).unwrap_or(usize::MAX));
        if let Some(newest) = self.tail.after(position, records, legs) {
            let told = |record: &Told| match record {
                Told::Posted(transaction) => posted(transaction),
                Told::Held(hold) => held(hold),
            };
            return Ok(newest.iter().map(told).collect());
        }
        let first = position.saturating_add(1);
        let last = self.journal.last_sequence().await?.min(position.saturating_add(limit.into()));
        if last < first {
            return Ok(Vec::new());
        }
        let last = self.journal.last_with_legs(&(first..=last), LEGS_PER_READ.into()).await?;
        let mut events = Stretch::read(self.store(), first, last).await?.events()?;
        events.sort_by_key(|event| event.position);
        Ok(events)
    }

    fn progress(&self) -> Option<watch::Receiver<i64>> {
        Some(self.tail.progress())
    }
}

/// Records that are read back, and what they are about.
struct Stretch {
    chunk: Chunk,
    accounts: IdMap<i64, Named>,
    holds_ended: IdMap<i64, HoldId>,
}

impl Stretch {
    async fn read(store: &Store, first: i64, last: i64) -> Result<Self, StoreError> {
        let store = store.clone();
        let is_embedded = store.sqlite_path().is_some();
        let read = async move {
            let mut scan = Scan::begin(&store).await?;
            Ok(Self {
                chunk: Chunk::read(&mut scan, first, last).await?,
                accounts: accounts_touched(&mut scan, first, last).await?,
                holds_ended: holds_ended(&mut scan, first, last).await?,
            })
        };
        if !is_embedded {
            return read.await;
        }
        // SQLite works on the thread that asks.
        let runtime = Handle::current();
        joined(spawn_blocking(move || runtime.block_on(read)).await)
    }

    /// One of each record, kind by kind.
    fn events(&self) -> Result<Vec<Event>, StoreError> {
        let chunk = &self.chunk;
        let named = |account: i64| self.accounts.get(&account).copied();
        let id_of = |account: i64| {
            let unknown = || StoreError::inconsistent("accounts", "sequence", account);
            named(account).map(|named| named.id.0).ok_or_else(unknown)
        };
        let mut events = Vec::new();
        for row in &chunk.accounts {
            let opened_at = Timestamp::from_micros(row.opened_at);
            let opened = OpenedBody::from(row.clone().into_account()?);
            events.push(event(row.sequence, "ledger.account_opened", row.id, opened_at, &opened));
        }
        for row in &chunk.changes {
            let changed_at = Timestamp::from_micros(row.changed_at);
            let id = id_of(row.account_sequence)?;
            let (status, reason) = (row.status.clone(), row.reason.clone());
            let body = StatusChangedBody { id, status, reason, changed_at };
            let event_type = "ledger.account_status_changed";
            events.push(event(row.sequence, event_type, id, changed_at, &body));
        }
        for row in &chunk.limit_changes {
            let changed_at = Timestamp::from_micros(row.changed_at);
            let id = id_of(row.account_sequence)?;
            let changed = limits_from(&row.limits, row.sequence)?;
            let limits = changed.limits.iter().map(Into::into).collect();
            let body = LimitsChangedBody { id, time_zone: changed.time_zone, limits, changed_at };
            let event_type = "ledger.account_limits_changed";
            events.push(event(row.sequence, event_type, id, changed_at, &body));
        }
        for (_, hold) in chunk.each_hold(named) {
            events.push(held(&hold?.as_made()));
        }
        for row in &chunk.hold_ends {
            let released_at = Timestamp::from_micros(row.changed_at);
            let unknown = || StoreError::inconsistent("holds", "sequence", row.hold_sequence);
            let HoldId(id) = *self.holds_ended.get(&row.hold_sequence).ok_or_else(unknown)?;
            let event_type = format!("ledger.hold_{}", row.status);
            let (status, reason) = (row.status.clone(), row.reason.clone());
            let initiated_by = row.initiated_by;
            let body = HoldReleasedBody { id, status, reason, released_at, initiated_by };
            events.push(event(row.sequence, &event_type, id, released_at, &body));
        }
        for (_, transaction) in chunk.each_transaction(named) {
            events.push(posted(&transaction?));
        }
        Ok(events)
    }
}

fn held(hold: &Hold) -> Event {
    let body = HoldBody::from(hold.clone());
    event(hold.sequence, "ledger.hold_created", hold.id.0, hold.created_at, &body)
}

fn posted(transaction: &Transaction) -> Event {
    let (sequence, recorded_at) = (transaction.sequence, transaction.recorded_at);
    let body = TransactionBody::from(transaction.clone());
    event(sequence, "ledger.transaction_posted", transaction.id.0, recorded_at, &body)
}

fn event(
    position: i64,
    event_type: &str,
    aggregate_id: uuid::Uuid,
    occurred_at: Timestamp,
    payload: &impl Serialize,
) -> Event {
    Event {
        position,
        event_type: event_type.to_owned(),
        aggregate_id,
        occurred_at,
        // Plain structs always serialise.
        payload: serde_json::to_string(payload).unwrap_or_default(),
    }
}
