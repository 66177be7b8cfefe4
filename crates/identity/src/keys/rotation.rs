//! Another signing key, without signing anybody out.
//!
//! The next key is made beside the present one and published at once, but signs only after
//! [`NOTICE`], when everybody has seen it. Then its file takes the place of the present one's. The
//! old key is retired: it signs no more, and stays published until the last of its tokens is over.
//! Every process on the folder follows, without a restart.

use super::{Keys, Signing, file, public_half, repo};
use crate::Error;
use crate::audit::{self, NewEntry};
use crate::keys::KeyFileError;
use kernel::Timestamp;
use serde_json::json;
use std::path::Path;
use std::sync::{Arc, PoisonError, Weak};
use std::time::{Duration, SystemTime};
use store::Store;
use tokio::time::MissedTickBehavior;
use uuid::Uuid;

/// Longer than others keep the published keys (a minute) and look for new ones.
const NOTICE: Duration = Duration::from_mins(2);
/// When nothing remembers a retired key any more.
const FORGOTTEN_AFTER: Duration = Duration::from_hours(24);
const INTERVAL: Duration = Duration::from_secs(1);

/// What a rotation led to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rotation {
    /// The name of the next key.
    pub kid: String,
    /// From when on it signs.
    pub signs_from: Timestamp,
}

/// Makes and publishes the next key of this folder, or tells of the one that waits already.
pub(crate) async fn rotate(
    store: &Store,
    folder: &Path,
    unique: Uuid,
    now: Timestamp,
) -> Result<Rotation, Error> {
    let folder = folder.to_owned();
    let next = tokio::task::spawn_blocking(move || file::load_or_create_next(&folder, unique))
        .await
        .map_err(|_| KeyFileError::Generation)??;
    let public = public_half(&next, now);
    let kid = public.kid.clone();
    repo::delete_retired_before(store, now.minus(FORGOTTEN_AFTER)).await?;
    let is_new = repo::published_at(store, &kid).await?.is_none();
    repo::publish(store, &public).await?;
    if is_new {
        let details = json!({ "kid": kid });
        let action = "signing_key_rotated";
        audit::append(store, NewEntry { actor: None, action, object: None, details, at: now })
            .await?;
    }
    let published_at = repo::published_at(store, &kid).await?.unwrap_or(now);
    Ok(Rotation { kid, signs_from: published_at.plus(NOTICE) })
}

/// Follows what happens in the folder until the keys are dropped.
pub(super) async fn keep_following(keys: Weak<Keys>, mut seen: Option<SystemTime>) {
    let mut interval = tokio::time::interval(INTERVAL);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut failing = false;
    loop {
        interval.tick().await;
        let Some(keys) = keys.upgrade() else {
            return;
        };
        let followed = keys.follow(&mut seen).await;
        if let Err(error) = &followed
            && !failing
        {
            tracing::warn!(%error, "another signing key cannot be taken up; trying on each second");
        }
        failing = followed.is_err();
    }
}

impl Keys {
    async fn follow(&self, seen: &mut Option<SystemTime>) -> Result<(), Error> {
        self.promote_next().await?;
        let modified = file::modified(&self.folder)?;
        if *seen == Some(modified) {
            return Ok(());
        }
        self.take_up().await?;
        *seen = Some(modified);
        Ok(())
    }

    /// Puts the next key in place when its time has come.
    async fn promote_next(&self) -> Result<(), Error> {
        let Some(next) = file::load_next(&self.folder)? else {
            return Ok(());
        };
        let public = public_half(&next, self.clock.now());
        match repo::published_at(&self.store, &public.kid).await? {
            Some(published_at) if self.clock.now() >= published_at.plus(NOTICE) => {
                Ok(file::promote(&self.folder)?)
            }
            Some(_) => Ok(()),
            // Whoever made it died before this.
            None => Ok(repo::publish(&self.store, &public).await?),
        }
    }

    /// Signs with the folder's key from now on.
    async fn take_up(&self) -> Result<(), Error> {
        let private = file::load(&self.folder)?;
        let now = self.clock.now();
        let public = public_half(&private, now);
        let old = self.signing();
        if public.kid == old.kid {
            return Ok(());
        }
        repo::publish(&self.store, &public).await?;
        let signing = Signing { kid: public.kid, key: private.signing };
        tracing::info!(kid = signing.kid, "signing with another key");
        *self.signing.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(signing);
        Ok(repo::retire(&self.store, &old.kid, now).await?)
    }
}
