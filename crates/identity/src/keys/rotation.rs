//! Another signing key, without signing anybody out.
//!
//! The next key is made beside the present one and published at once, but signs only after
//! [`NOTICE`](super::ring::NOTICE), when everybody has seen it. The old key is retired then: it signs
//! no more, stays published until the last of its tokens is over, and is destroyed. Which key signs
//! follows from the keys that are there and the times in the table, so every process on the source goes
//! over by itself, and a process that dies between two steps leaves nothing half done.

use super::ring::{Held, NOTICE, Ring};
use super::{Keys, Signing, nothing_there, repo, told};
use crate::Error;
use kernel::Timestamp;
use ports::{SigningKeySource, SigningKeysError};
use std::sync::{PoisonError, Weak};
use std::time::Duration;
use store::{Store, StoreError};
use tokio::time::MissedTickBehavior;

const INTERVAL: Duration = Duration::from_secs(2);
/// After a scheduled rotation failed. There is no hurry.
const REST: Duration = Duration::from_mins(10);
/// Longer than making a key takes. Whoever dies over it keeps others from it for so long.
const LEASE: Duration = Duration::from_mins(2);

/// What a rotation led to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rotation {
    /// The name of the next key.
    pub kid: String,
    /// From when on it signs.
    pub signs_from: Timestamp,
}

/// Why there is no next key.
#[derive(Debug, thiserror::Error)]
pub enum RotationError {
    /// Another process makes it now, or died over it.
    #[error("another process is making the next key; try again in two minutes")]
    UnderWay,
    /// The server failed.
    #[error(transparent)]
    Failed(#[from] Error),
}

impl From<StoreError> for RotationError {
    fn from(error: StoreError) -> Self {
        Self::Failed(error.into())
    }
}

impl From<SigningKeysError> for RotationError {
    fn from(error: SigningKeysError) -> Self {
        Self::Failed(error.into())
    }
}

/// Makes and publishes the next key of a source, or tells of the one that waits already.
pub(crate) async fn rotate(
    store: &Store,
    source: &dyn SigningKeySource,
    now: Timestamp,
) -> Result<Rotation, RotationError> {
    let signers = source.load().await?;
    let there = signers.len();
    let ring = Ring::publish(store, signers, now).await?;
    let ring = match ring.signing(now) {
        Some(_) if ring.waiting(now).is_some() => ring,
        Some(signing) => {
            let kid = &signing.row.kid;
            if !repo::lease_rotation(store, kid, now, now.plus(LEASE)).await? {
                return Err(RotationError::UnderWay);
            }
            let generated = source.generate(there).await;
            if let Err(SigningKeysError::ReadOnly { .. }) = generated {
                repo::end_lease(store, kid).await?;
            }
            generated?;
            Ring::publish(store, source.load().await?, now).await?
        }
        None => {
            source.generate(there).await?;
            Ring::publish(store, source.load().await?, now).await?
        }
    };
    if let Some(next) = ring.waiting(now) {
        let signs_from = next.published_at().plus(NOTICE);
        return Ok(Rotation { kid: next.row.kid.clone(), signs_from });
    }
    let first = ring.signing(now).ok_or_else(|| nothing_there(source))?;
    Ok(Rotation { kid: first.row.kid.clone(), signs_from: now })
}

/// Follows what happens in the source, and makes the next key when it is time, until the keys are
/// dropped.
pub(super) async fn keep_following(keys: Weak<Keys>) {
    let mut interval = tokio::time::interval(INTERVAL);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // The same failure is told once.
    let mut last_failure = None;
    loop {
        interval.tick().await;
        let Some(keys) = keys.upgrade() else {
            return;
        };
        let failure = keys.follow().await.err().map(|error| told(&error));
        if let Some(failure) = &failure
            && last_failure.as_ref() != Some(failure)
        {
            tracing::warn!(error = failure, "the signing keys cannot be looked after; trying on");
        }
        last_failure = failure;
    }
}

impl Keys {
    async fn follow(&self) -> Result<(), Error> {
        let loaded = self.source.load().await;
        self.note_whether_it_signs(loaded.is_ok()).await;
        let now = self.clock.now();
        let ring = Ring::publish(&self.store, loaded?, now).await?;
        self.read_published().await?;
        let signing = ring.signing(now).ok_or_else(|| nothing_there(&*self.source))?;
        if self.signing().kid != signing.row.kid {
            let signing = Signing { kid: signing.row.kid.clone(), signer: signing.signer.clone() };
            tracing::info!(kid = signing.kid, "signing with another key");
            *self.signing.write().unwrap_or_else(PoisonError::into_inner) = signing.into();
        }
        for followed in ring.followed(now) {
            repo::retire(&self.store, &followed.row.kid, now).await?;
        }
        for retired in ring.retired.iter().filter(|one| self.is_over(&one.row, now)) {
            match self.source.destroy(retired.signer.public_key()).await {
                // Whoever put it there takes it away.
                Ok(()) | Err(SigningKeysError::ReadOnly { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        if self.is_due(&ring, now) {
            self.rotate_by_schedule(now).await;
        }
        Ok(())
    }

    /// Whether the newest key is so old that another should follow it.
    fn is_due(&self, ring: &Ring, now: Timestamp) -> bool {
        let newest = ring.active.last().map(Held::published_at);
        let due = self.rotate_every.zip(newest).map(|(every, newest)| newest.plus(every));
        let rests_until = *self.rests_until.lock().unwrap_or_else(PoisonError::into_inner);
        due.is_some_and(|due| now >= due) && now >= rests_until
    }

    /// Makes the next key. Of the processes on one source one does; the others see it when it is there.
    async fn rotate_by_schedule(&self, now: Timestamp) {
        match rotate(&self.store, &*self.source, now).await {
            Ok(Rotation { kid, signs_from }) => {
                tracing::info!(kid, %signs_from, "made the next signing key, as scheduled");
            }
            Err(RotationError::UnderWay) => {}
            Err(RotationError::Failed(error)) => {
                let error = told(&error);
                tracing::warn!(error, "no signing key was made, and one is due; see to it");
                *self.rests_until.lock().unwrap_or_else(PoisonError::into_inner) = now.plus(REST);
            }
        }
    }
}
