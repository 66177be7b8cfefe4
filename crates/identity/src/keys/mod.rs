//! The keys that access tokens are signed and checked with. Each process signs with its own; all of
//! them publish the public halves in one table, so each accepts the others' tokens.

pub(crate) mod entity;
pub(crate) mod file;
mod repo;

pub use file::KeyFileError;

use crate::Error;
use aws_lc_rs::signature::KeyPair;
use entity::Model as PublicKey;
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
    kid: String,
    signing: EncodingKey,
    known: RwLock<Known>,
    /// Held while looking, so that many requests with an unknown key cause one look.
    last_look: tokio::sync::Mutex<Look>,
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

impl Keys {
    /// Reads or makes this process's key and publishes its public half.
    pub(crate) async fn init(
        store: Store,
        folder: PathBuf,
        clock: Arc<dyn Clock>,
        ids: &dyn IdSource,
    ) -> Result<Self, Error> {
        let unique = ids.next();
        let private = tokio::task::spawn_blocking(move || file::load_or_create(&folder, unique))
            .await
            .map_err(|_| KeyFileError::Generation)??;
        let public = private.pair.public_key();
        let now = clock.now();
        let public = PublicKey::new(
            public.modulus().big_endian_without_leading_zero(),
            public.exponent().big_endian_without_leading_zero(),
            now.as_micros(),
        );
        let kid = public.kid.clone();
        repo::publish(&store, public).await?;
        let keys = Self {
            known: RwLock::new(known(&store).await?),
            store,
            clock,
            kid,
            signing: private.signing,
            last_look: tokio::sync::Mutex::new(Look {
                // The first unknown key is looked up, however soon it comes.
                at: now.minus(LOOK_INTERVAL),
                succeeded: true,
            }),
        };
        Ok(keys)
    }

    /// The name of this process's key.
    pub(crate) fn kid(&self) -> &str {
        &self.kid
    }

    /// This process's private key.
    pub(crate) fn signing(&self) -> &EncodingKey {
        &self.signing
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

    /// Every published key, at most [`LOOK_INTERVAL`] old.
    pub(crate) async fn published(&self) -> Result<Vec<PublicKey>, KeysUnavailable> {
        self.look().await?;
        Ok(self.known.read().unwrap_or_else(PoisonError::into_inner).published.clone())
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
