//! The journal as a stream of events. There is no table of events beside it: each sequence number is one
//! account, one change of an account or one transaction, and that is the event.

use crate::engine::{Tail, Told};
use crate::http::bodies::{LimitsChangedBody, OpenedBody, StatusChangedBody, TransactionBody};
use crate::http::hold_bodies::{HoldBody, HoldReleasedBody};
use crate::journal::limits::limits_from;
use crate::journal::repo::Journal;
use async_trait::async_trait;
use kernel::{Event, Timestamp};
use ledger_api::{Hold, Transaction};
use serde::Serialize;
use std::sync::Arc;
use store::outbox::EventSource;
use store::{Store, StoreError};
use tokio::sync::watch;

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
        // The kinds of records are read one after the other. What is committed in between must not
        // make a hole: only numbers that had been given out before count. Each is one record.
        let first = position.saturating_add(1);
        let last = self.journal.last_sequence().await?.min(position.saturating_add(limit.into()));
        if last < first {
            return Ok(Vec::new());
        }
        let last = self.journal.last_with_legs(&(first..=last), LEGS_PER_READ.into()).await?;
        let numbers = first..=last;
        let mut events = Vec::new();
        for row in self.journal.accounts_within(&numbers).await? {
            let (sequence, opened_at) = (row.sequence, Timestamp::from_micros(row.opened_at));
            let id = row.id;
            let opened = OpenedBody::from(row.into_account()?);
            events.push(event(sequence, "ledger.account_opened", id, opened_at, &opened));
        }
        for row in self.journal.account_changes_within(&numbers).await? {
            let changed_at = Timestamp::from_micros(row.changed_at);
            let (sequence, id) = (row.sequence, row.id);
            let body = StatusChangedBody { id, status: row.status, reason: row.reason, changed_at };
            events.push(event(sequence, "ledger.account_status_changed", id, changed_at, &body));
        }
        for row in self.journal.limit_changes_within(&numbers).await? {
            let changed_at = Timestamp::from_micros(row.changed_at);
            let (sequence, id) = (row.sequence, row.id);
            let changed = limits_from(&row.limits, sequence)?;
            let limits = changed.limits.iter().map(Into::into).collect();
            let body = LimitsChangedBody { id, time_zone: changed.time_zone, limits, changed_at };
            events.push(event(sequence, "ledger.account_limits_changed", id, changed_at, &body));
        }
        for hold in self.journal.holds_within(&numbers).await? {
            events.push(held(&hold));
        }
        for row in self.journal.hold_changes_within(&numbers).await? {
            let released_at = Timestamp::from_micros(row.changed_at);
            let (sequence, id) = (row.sequence, row.id);
            let event_type = format!("ledger.hold_{}", row.status);
            let initiated_by = row.initiated_by;
            let body = HoldReleasedBody {
                id,
                status: row.status,
                reason: row.reason,
                released_at,
                initiated_by,
            };
            events.push(event(sequence, &event_type, id, released_at, &body));
        }
        for transaction in self.journal.transactions_within(&numbers).await? {
            events.push(posted(&transaction));
        }
        events.sort_by_key(|event| event.position);
        Ok(events)
    }

    fn progress(&self) -> Option<watch::Receiver<i64>> {
        Some(self.tail.progress())
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
