//! Sessions whose access tokens no longer count although their time is not over. Every process
//! keeps them in memory and learns of others' within about a second.

use super::repo;
use kernel::{Clock, Timestamp};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock, Weak};
use std::time::Duration;
use store::{Store, StoreError};
use tokio::time::MissedTickBehavior;
use uuid::Uuid;

/// The sessions revoked within the lifetime of an access token.
pub(crate) struct Revocations {
    store: Store,
    clock: Arc<dyn Clock>,
    /// For how long a revoked session's tokens can still be around.
    window: Duration,
    revoked: RwLock<HashMap<Uuid, Timestamp>>,
    read_until: Mutex<Timestamp>,
}

const INTERVAL: Duration = Duration::from_secs(1);
/// A revocation is seen when its transaction ends, later than the instant it bears, which also
/// comes from another machine's clock. So each reading goes back by this.
const OVERLAP: Duration = Duration::from_secs(60);

impl Revocations {
    /// Reads what was revoked lately and keeps reading until the value is dropped.
    pub(crate) async fn init(
        store: Store,
        clock: Arc<dyn Clock>,
        access_token_lifetime: Duration,
    ) -> Result<Arc<Self>, StoreError> {
        let window = access_token_lifetime.saturating_add(OVERLAP);
        let read_until = Mutex::new(clock.now().minus(window));
        let revocations =
            Arc::new(Self { store, clock, window, revoked: RwLock::default(), read_until });
        revocations.read().await?;
        tokio::spawn(keep_reading(Arc::downgrade(&revocations)));
        Ok(revocations)
    }

    pub(crate) fn contains(&self, session_id: Uuid) -> bool {
        self.revoked.read().unwrap_or_else(PoisonError::into_inner).contains_key(&session_id)
    }

    /// For what this process revoked itself.
    pub(crate) fn add(&self, session_id: Uuid, at: Timestamp) {
        self.revoked.write().unwrap_or_else(PoisonError::into_inner).insert(session_id, at);
    }

    async fn read(&self) -> Result<(), StoreError> {
        let now = self.clock.now();
        let after = self.read_until.lock().unwrap_or_else(PoisonError::into_inner).minus(OVERLAP);
        let found = repo::revoked_after(&self.store, after).await?;
        let forgotten = now.minus(self.window);
        let mut revoked = self.revoked.write().unwrap_or_else(PoisonError::into_inner);
        revoked.extend(found);
        revoked.retain(|_, at| *at > forgotten);
        *self.read_until.lock().unwrap_or_else(PoisonError::into_inner) = now;
        Ok(())
    }
}

async fn keep_reading(revocations: Weak<Revocations>) {
    let mut interval = tokio::time::interval(INTERVAL);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut failing = false;
    loop {
        interval.tick().await;
        let Some(revocations) = revocations.upgrade() else {
            return;
        };
        let read = revocations.read().await;
        if let Err(error) = &read
            && !failing
        {
            tracing::warn!(%error, "revoked sessions cannot be read; trying on each second");
        }
        failing = read.is_err();
    }
}
