//! Lock-out: after a few wrong passwords none counts for a while, not even the right one. Who is
//! not registered is counted and locked out as well, with the same work, so that a stranger learns
//! nothing.
//!
//! The count is looked at after the password was checked, so that guesses made at once do not slip
//! through together: only those that are being hashed at the same instant (`concurrent_max` in each
//! process) can be more than the limit.

mod entity;
mod repo;

pub(crate) use entity::Failures;

use crate::audit::{self, NewEntry};
use crate::contacts::{EmailAddress, PhoneNumber};
use crate::events;
use crate::secrets::{DataKeys, Indexed};
use entity::LOCKED_FOR;
use kernel::{Timestamp, UserId};
use serde_json::json;
use store::{Store, StoreError, WriteTx};
use uuid::Uuid;

/// Whose failures are counted together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Subject {
    id: Uuid,
    is_user: bool,
}

/// How many outdated rows go for each that comes.
const FORGOTTEN_AT_ONCE: i64 = 10;

impl Subject {
    pub(crate) fn user(id: UserId) -> Self {
        Self { id: id.0, is_user: true }
    }

    /// Somebody who is not registered, whatever spelling they use. An id that is made from a digest
    /// is never that of a user, because those are made of time and randomness.
    pub(crate) fn stranger(keys: &DataKeys, identifier: &str) -> Self {
        let text = match (EmailAddress::parse(identifier), PhoneNumber::parse(identifier)) {
            (Some(email), _) => email.as_str().to_owned(),
            (None, Some(phone_number)) => phone_number.as_str().to_owned(),
            (None, None) => identifier.trim().to_lowercase(),
        };
        let mut bytes = [0; 16];
        // Keyed, because what people type is soon guessed from a plain digest.
        let index = keys.blind_index(Indexed::Stranger, &text);
        bytes.copy_from_slice(index.split_at(16).0);
        Self { id: uuid::Builder::from_custom_bytes(bytes).into_uuid(), is_user: false }
    }
}

/// The failures since the last success, if there were any.
pub(crate) async fn failures(
    store: &Store,
    subject: Subject,
) -> Result<Option<Failures>, StoreError> {
    repo::find(store, subject.id).await
}

/// Counts a failure.
pub(crate) async fn count(
    store: &Store,
    subject: Subject,
    now: Timestamp,
) -> Result<(), StoreError> {
    let remembered_after = now.minus(LOCKED_FOR);
    let tx = store.begin().await?;
    let failures = repo::count_in_tx(store, &tx, subject.id, now, remembered_after).await?;
    if subject.is_user
        && failures.has_just_locked()
        && let Some(until) = failures.locked_until(now)
    {
        let event = events::user_locked_out(UserId(subject.id), until, now);
        audit::tell_in_tx(store, &tx, None, event, None).await?;
    }
    audit::append_in_tx(store, &tx, refusal(subject, "credential_refused", now)).await?;
    tx.commit().await?;
    // In a transaction of its own, because it may wait for other rows than this one.
    if let Err(error) = repo::forget_old(store, remembered_after, FORGOTTEN_AT_ONCE).await {
        tracing::debug!(%error, "old failures were kept");
    }
    Ok(())
}

/// Writes down that somebody tried who is locked out.
pub(crate) async fn note_refused(
    store: &Store,
    subject: Subject,
    now: Timestamp,
) -> Result<(), StoreError> {
    audit::append(store, refusal(subject, "refused_while_locked_out", now)).await
}

/// Strangers are written down as well, without what they typed: it may be somebody's.
fn refusal(subject: Subject, action: &'static str, at: Timestamp) -> NewEntry {
    let object = subject.is_user.then_some(subject.id);
    NewEntry { actor: None, action, object, details: json!({}), at }
}

/// Forgets a user's failures, after a success or because they may come in again.
pub(crate) async fn forget_in_tx(
    store: &Store,
    tx: &WriteTx,
    user_id: UserId,
) -> Result<(), StoreError> {
    repo::forget_in_tx(store, tx, user_id.0).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strangers_are_one_in_every_spelling() {
        let keys = DataKeys::for_tests(&[1]);
        for (one, other) in [
            ("nobody@example.com", " NOBODY@example.com"),
            ("+212612345678", "00212 6 12 34 56 78"),
            ("nobody", " Nobody"),
        ] {
            assert_eq!(Subject::stranger(&keys, one), Subject::stranger(&keys, other));
        }
        let [one, other] = ["a@example.com", "b@example.com"];
        assert_ne!(Subject::stranger(&keys, one), Subject::stranger(&keys, other));
    }
}
