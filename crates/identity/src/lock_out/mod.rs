//! Lock-out: after a few wrong passwords none counts for a while, not even the right one. Who is
//! not registered is counted and locked out as well, with the same work, so that a stranger learns
//! nothing. Codes of a second factor are counted apart: only a right code forgives wrong ones.
//!
//! An attempt is counted before it is compared, in one statement, and taken back when it was right.
//! So however many come at once, no more are compared than the limit.

mod entity;
mod repo;

use crate::audit::{self, NewEntry};
use crate::contacts::{EmailAddress, PhoneNumber};
use crate::events;
use crate::secrets::{DataKeys, Indexed};
use aws_lc_rs::digest::{SHA256, digest};
use entity::{Failures, LOCKED_FOR};
use kernel::{Timestamp, UserId};
use serde_json::json;
use store::{Store, StoreError, WriteTx};
use uuid::Uuid;

/// Whose failures are counted together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Subject {
    id: Uuid,
    user: Option<UserId>,
}

/// One attempt to show who one is. It counts as a failure until it is forgiven.
#[must_use = "it is to be compared, then forgiven or noted as wrong"]
pub(crate) struct Attempt {
    subject: Subject,
    failures: Failures,
}

/// How many outdated rows go for each that comes.
const FORGOTTEN_AT_ONCE: i64 = 10;

impl Subject {
    /// The passwords of a user.
    pub(crate) fn user(id: UserId) -> Self {
        Self { id: id.0, user: Some(id) }
    }

    /// The codes of a user's second factor.
    pub(crate) fn codes(id: UserId) -> Self {
        let digest = digest(&SHA256, &[b"codes".as_slice(), id.0.as_bytes()].concat());
        Self { id: made_of(digest.as_ref()), user: Some(id) }
    }

    /// Somebody who is not registered, whatever spelling they use.
    pub(crate) fn stranger(keys: &DataKeys, identifier: &str) -> Self {
        let text = match (EmailAddress::parse(identifier), PhoneNumber::parse(identifier)) {
            (Some(email), _) => email.as_str().to_owned(),
            (None, Some(phone_number)) => phone_number.as_str().to_owned(),
            (None, None) => identifier.trim().to_lowercase(),
        };
        // Keyed, because what people type is soon guessed from a plain digest.
        Self { id: made_of(&keys.blind_index(Indexed::Stranger, &text)), user: None }
    }
}

/// An id that is made from a digest is never that of a user, because those are made of time and
/// randomness.
fn made_of(digest: &[u8]) -> Uuid {
    let mut bytes = [0; 16];
    bytes.copy_from_slice(digest.split_at(16).0);
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}

/// Until when nothing that a user types counts; `None` when it does now.
pub(crate) async fn locked_until(
    store: &Store,
    user_id: UserId,
    now: Timestamp,
) -> Result<Option<Timestamp>, StoreError> {
    let mut latest = None;
    for subject in [Subject::user(user_id), Subject::codes(user_id)] {
        let failures = repo::find(store, subject.id).await?;
        latest = latest.max(failures.and_then(|failures| failures.locked_until(now)));
    }
    Ok(latest)
}

/// Takes one of the attempts, before anything is compared; `None` when the subject is locked out.
pub(crate) async fn take(
    store: &Store,
    subject: Subject,
    now: Timestamp,
) -> Result<Option<Attempt>, StoreError> {
    let tx = store.begin().await?;
    let failures = repo::count_in_tx(store, &tx, subject.id, now).await?;
    if failures.is_none() {
        let refused = refusal(subject, "refused_while_locked_out", now);
        audit::append_in_tx(store, &tx, refused).await?;
    }
    tx.commit().await?;
    Ok(failures.map(|failures| Attempt { subject, failures }))
}

impl Attempt {
    /// What was shown is right: all failures are forgotten.
    pub(crate) async fn forgive(self, store: &Store) -> Result<(), StoreError> {
        let tx = store.begin().await?;
        forget_in_tx(store, &tx, self.subject).await?;
        Ok(tx.commit().await?)
    }

    /// What was shown is wrong: it is written down, and stays counted.
    pub(crate) async fn note_wrong(self, store: &Store) -> Result<(), StoreError> {
        let (subject, now) = (self.subject, self.failures.last_at);
        let tx = store.begin().await?;
        if let Some(user_id) = subject.user
            && let Some(until) = self.failures.locked_until(now)
        {
            let event = events::user_locked_out(user_id, until, now);
            audit::tell_in_tx(store, &tx, None, event, None).await?;
        }
        audit::append_in_tx(store, &tx, refusal(subject, "credential_refused", now)).await?;
        tx.commit().await?;
        // In a transaction of its own, because it may wait for other rows than this one.
        let remembered_after = now.minus(LOCKED_FOR);
        if let Err(error) = repo::forget_old(store, remembered_after, FORGOTTEN_AT_ONCE).await {
            tracing::debug!(%error, "old failures were kept");
        }
        Ok(())
    }
}

/// Strangers are written down as well, without what they typed: it may be somebody's.
fn refusal(subject: Subject, action: &'static str, at: Timestamp) -> NewEntry {
    let object = subject.user.map(|user_id| user_id.0);
    NewEntry { actor: None, action, object, details: json!({}), at }
}

/// Forgets failures, because there was a success or the user may come in again.
pub(crate) async fn forget_in_tx(
    store: &Store,
    tx: &WriteTx,
    subject: Subject,
) -> Result<(), StoreError> {
    repo::forget_in_tx(store, tx, subject.id).await
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
