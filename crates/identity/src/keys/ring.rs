//! The keys of this process's source, with what the table says of them.

use super::entity::Model as PublicKey;
use super::repo;
use crate::Error;
use crate::audit::{self, NewEntry};
use kernel::Timestamp;
use ports::{RsaPublicKey, Signer};
use serde_json::json;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use store::{Store, StoreError};

/// Longer than others keep the published keys (a minute) and look for new ones.
pub(super) const NOTICE: Duration = Duration::from_mins(2);

/// The source's keys, oldest first.
pub(super) struct Ring {
    /// Those that sign or will.
    pub(super) active: Vec<Held>,
    /// Those that sign no more.
    pub(super) retired: Vec<Held>,
}

/// A private key and its row.
#[derive(Clone)]
pub(super) struct Held {
    pub(super) row: PublicKey,
    pub(super) signer: Arc<dyn Signer>,
}

impl Held {
    pub(super) fn published_at(&self) -> Timestamp {
        Timestamp::from_micros(self.row.created_at)
    }
}

impl Ring {
    /// Publishes those of the source's keys that are new.
    pub(super) async fn publish(
        store: &Store,
        signers: Vec<Arc<dyn Signer>>,
        now: Timestamp,
    ) -> Result<Self, Error> {
        let ring = Self::of(repo::all(store).await?, &signers);
        let rows = signers.iter().map(|signer| public_half(signer.public_key()));
        let missing: Vec<_> = rows.filter(|row| !ring.has(&row.kid)).collect();
        let ring = if missing.is_empty() {
            ring
        } else {
            let is_first = ring.active.is_empty();
            for row in missing {
                let row = PublicKey { created_at: now.as_micros(), ..row };
                publish(store, row, is_first, now).await?;
            }
            Self::of(repo::all(store).await?, &signers)
        };
        match ring.retired.last() {
            // Whoever took the others away wants this one to sign again.
            Some(newest) if ring.active.is_empty() => {
                repo::reinstate(store, &newest.row.kid).await?;
                Ok(Self::of(repo::all(store).await?, &signers))
            }
            _ => Ok(ring),
        }
    }

    fn of(rows: Vec<PublicKey>, signers: &[Arc<dyn Signer>]) -> Self {
        let kid = |signer: &Arc<dyn Signer>| public_half(signer.public_key()).kid;
        let mut signers: HashMap<_, _> =
            signers.iter().map(|signer| (kid(signer), signer.clone())).collect();
        let held = rows.into_iter().filter_map(|row| {
            let signer = signers.remove(&row.kid)?;
            Some(Held { row, signer })
        });
        let (active, retired) = held.partition(|one: &Held| one.row.retired_at.is_none());
        Self { active, retired }
    }

    fn has(&self, kid: &str) -> bool {
        self.active.iter().chain(&self.retired).any(|one| one.row.kid == kid)
    }

    /// The key that signs now: the newest that everybody has had the time to see; the oldest, where
    /// there is none.
    pub(super) fn signing(&self, now: Timestamp) -> Option<&Held> {
        let seen = |one: &&Held| now >= one.published_at().plus(NOTICE);
        self.active.iter().rev().find(seen).or(self.active.first())
    }

    /// Those that another one follows by now.
    pub(super) fn followed(&self, now: Timestamp) -> impl Iterator<Item = &Held> {
        let signing = self.signing(now).map(|one| one.row.kid.clone());
        self.active.iter().take_while(move |one| Some(&one.row.kid) != signing.as_ref())
    }

    /// The newest key, if it does not sign yet.
    pub(super) fn waiting(&self, now: Timestamp) -> Option<&Held> {
        let signing = &self.signing(now)?.row.kid;
        self.active.last().filter(|one| one.row.kid != *signing)
    }
}

/// Publishes a key, and writes down that it follows another, unless it is the first.
async fn publish(
    store: &Store,
    row: PublicKey,
    is_first: bool,
    now: Timestamp,
) -> Result<(), Error> {
    let tx = store.begin().await?;
    if repo::publish_in_tx(store, &tx, &row).await? && !is_first {
        let (action, details) = ("signing_key_rotated", json!({ "kid": row.kid }));
        let entry = NewEntry { actor: None, action, object: None, details, at: now };
        audit::append_in_tx(store, &tx, entry).await?;
    }
    Ok(tx.commit().await.map_err(StoreError::from)?)
}

fn public_half(key: &RsaPublicKey) -> PublicKey {
    PublicKey::new(&key.modulus, &key.exponent, 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ports::SigningKeysError;

    struct Nothing(RsaPublicKey);

    #[async_trait::async_trait]
    impl Signer for Nothing {
        fn public_key(&self) -> &RsaPublicKey {
            &self.0
        }

        async fn sign(&self, _: &[u8]) -> Result<Vec<u8>, SigningKeysError> {
            Ok(Vec::new())
        }
    }

    fn at(seconds: u64) -> Timestamp {
        Timestamp::EPOCH.plus(Duration::from_secs(seconds))
    }

    /// Keys that were published at these seconds, and retired or not.
    fn ring(keys: &[(u8, u64, bool)]) -> Ring {
        let keys = keys.iter().map(|&(name, published_at, is_retired)| {
            let key = RsaPublicKey { modulus: vec![name], exponent: vec![3] };
            let row = PublicKey {
                created_at: at(published_at).as_micros(),
                retired_at: is_retired.then_some(0),
                ..public_half(&key)
            };
            (row, Arc::new(Nothing(key)) as Arc<dyn Signer>)
        });
        let (rows, signers): (Vec<_>, Vec<_>) = keys.unzip();
        Ring::of(rows, &signers)
    }

    fn name(held: Option<&Held>) -> Option<u8> {
        held.map(|one| one.signer.public_key().modulus[0])
    }

    #[test]
    fn a_key_signs_when_everybody_has_had_the_time_to_see_it() {
        let notice = NOTICE.as_secs();
        for (keys, now, signing, waiting, followed) in [
            // The first key signs at once.
            (&[(1, 0, false)][..], 0, Some(1), None, 0),
            // The next waits for its time, and takes over then.
            (&[(1, 0, false), (2, 1_000, false)], 999 + notice, Some(1), Some(2), 0),
            (&[(1, 0, false), (2, 1_000, false)], 1_000 + notice, Some(2), None, 1),
            // Two first keys at once: everybody begins with the same.
            (&[(1, 0, false), (2, 0, false)], 0, Some(1), Some(2), 0),
            // A restart long after finds the newest, however many there are.
            (&[(1, 0, false), (2, 10, false), (3, 20, false)], 10_000, Some(3), None, 2),
            // One that is retired signs no more.
            (&[(1, 0, true), (2, 1_000, false)], 1_001, Some(2), None, 0),
            (&[], 0, None, None, 0),
        ] {
            let ring = ring(keys);
            assert_eq!(name(ring.signing(at(now))), signing, "{keys:?} at {now}");
            assert_eq!(name(ring.waiting(at(now))), waiting, "{keys:?} at {now}");
            assert_eq!(ring.followed(at(now)).count(), followed, "{keys:?} at {now}");
        }
    }
}
