//! The keys that access tokens are signed and checked with. Each process signs with its own; all of
//! them publish the public halves in one table, so each accepts the others' tokens.

pub(crate) mod entity;
pub(crate) mod file;
mod repo;
mod rotation;

pub use file::KeyFileError;
pub use rotation::Rotation;
pub(crate) use rotation::rotate;

use crate::Error;
use aws_lc_rs::signature::KeyPair;
use entity::Model as PublicKey;
use file::PrivateKey;
use jsonwebtoken::{DecodingKey, EncodingKey};
use kernel::{Clock, IdSource, Timestamp};
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use store::{Store, StoreError};

/// This process's private key and everybody's public ones.
pub(crate) struct Keys {
    store: Store,
    clock: Arc<dyn Clock>,
    folder: PathBuf,
    /// How long a token of a retired key may still be around.
    access_token_lifetime: Duration,
    signing: RwLock<Arc<Signing>>,
    known: RwLock<Known>,
    /// Held while looking, so that many requests with an unknown key cause one look.
    last_look: tokio::sync::Mutex<Look>,
}

/// The key that this process signs with.
pub(crate) struct Signing {
    /// Its name in tokens.
    pub(crate) kid: String,
    pub(crate) key: EncodingKey,
}

/// The public keys as of the last look.
#[derive(Default)]
struct Known {
    published: Vec<PublicKey>,
    by_kid: HashMap<String, Arc<DecodingKey>>,
}

#[derive(Clone, Copy)]
struct Look {
    at: Timestamp,
    succeeded: bool,
}

/// The public keys could not be looked up.
#[derive(Debug, thiserror::Error)]
#[error("the signing keys cannot be read now")]
pub(crate) struct KeysUnavailable;

/// Names of keys that nobody has may come in any number; they must not reach the database.
const LOOK_INTERVAL: Duration = Duration::from_secs(2);
/// By how much the clocks of processes may differ, and more.
const CLOCKS_APART: Duration = Duration::from_secs(60);

impl Keys {
    /// Reads or makes this process's key, publishes its public half, and follows rotations until the
    /// value is dropped.
    pub(crate) async fn init(
        store: Store,
        folder: PathBuf,
        access_token_lifetime: Duration,
        clock: Arc<dyn Clock>,
        ids: &dyn IdSource,
    ) -> Result<Arc<Self>, Error> {
        let (unique, path) = (ids.next(), folder.clone());
        let load = move || {
            let private = file::load_or_create(&path, unique)?;
            Ok::<_, KeyFileError>((private, file::modified(&path).ok()))
        };
        let (private, seen) =
            tokio::task::spawn_blocking(load).await.map_err(|_| KeyFileError::Generation)??;
        let now = clock.now();
        let public = public_half(&private, now);
        repo::publish(&store, &public).await?;
        let keys = Arc::new(Self {
            known: RwLock::new(known(&store).await?),
            store,
            clock,
            folder,
            access_token_lifetime,
            signing: RwLock::new(Arc::new(Signing { kid: public.kid, key: private.signing })),
            last_look: tokio::sync::Mutex::new(Look {
                // The first unknown key is looked up, however soon it comes.
                at: now.minus(LOOK_INTERVAL),
                succeeded: true,
            }),
        });
        tokio::spawn(rotation::keep_following(Arc::downgrade(&keys), seen));
        Ok(keys)
    }

    /// This process's key.
    pub(crate) fn signing(&self) -> Arc<Signing> {
        self.signing.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The public key of this name, `None` if nobody published one.
    pub(crate) async fn find(
        &self,
        kid: &str,
    ) -> Result<Option<Arc<DecodingKey>>, KeysUnavailable> {
        if let Some(key) = self.known_by(kid) {
            return Ok(Some(key));
        }
        self.look().await?;
        Ok(self.known_by(kid))
    }

    /// Every key whose tokens may be around or will be, at most [`LOOK_INTERVAL`] old.
    pub(crate) async fn published(&self) -> Result<Vec<PublicKey>, KeysUnavailable> {
        self.look().await?;
        let over = self.clock.now().minus(self.access_token_lifetime).minus(CLOCKS_APART);
        let mut keys = self.known.read().unwrap_or_else(PoisonError::into_inner).published.clone();
        keys.retain(|key| key.retired_at.is_none_or(|at| Timestamp::from_micros(at) > over));
        Ok(keys)
    }

    fn known_by(&self, kid: &str) -> Option<Arc<DecodingKey>> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).by_kid.get(kid).cloned()
    }

    /// Reads the table again, unless that was done a moment ago.
    async fn look(&self) -> Result<(), KeysUnavailable> {
        let mut last = self.last_look.lock().await;
        let now = self.clock.now();
        if now.since(last.at) >= LOOK_INTERVAL {
            let looked = known(&self.store).await;
            *last = Look { at: now, succeeded: looked.is_ok() };
            match looked {
                Ok(known) => {
                    *self.known.write().unwrap_or_else(PoisonError::into_inner) = known;
                }
                Err(error) => tracing::warn!(%error, "the signing keys could not be read"),
            }
        }
        if last.succeeded { Ok(()) } else { Err(KeysUnavailable) }
    }
}

fn public_half(private: &PrivateKey, now: Timestamp) -> PublicKey {
    let public = private.pair.public_key();
    PublicKey::new(
        public.modulus().big_endian_without_leading_zero(),
        public.exponent().big_endian_without_leading_zero(),
        now.as_micros(),
    )
}

async fn known(store: &Store) -> Result<Known, StoreError> {
    let published = repo::all(store).await?;
    let by_kid = published
        .iter()
        .map(|key| {
            let decoding = DecodingKey::from_rsa_components(&key.n, &key.e)
                .map_err(|_| StoreError::inconsistent("signing_keys", "n", &key.kid))?;
            Ok((key.kid.clone(), Arc::new(decoding)))
        })
        .collect::<Result<_, StoreError>>()?;
    Ok(Known { published, by_kid })
}
