//! The keys that access tokens are signed and checked with. Each process signs with a key of its own
//! source, which others may share; all of them publish the public halves in one table, so each accepts
//! the others' tokens.

pub(crate) mod entity;
mod file;
mod repo;
mod ring;
mod rotation;

pub use file::{KeyFileError, SigningKeyFolder};
pub(crate) use rotation::rotate;
pub use rotation::{Rotation, RotationError};

use crate::Error;
use entity::Model as PublicKey;
use jsonwebtoken::DecodingKey;
use kernel::{Clock, Timestamp};
use ports::{Signer, SigningKeySource, SigningKeysError};
use ring::Ring;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;
use store::{Store, StoreError};

/// This process's private keys and everybody's public ones.
pub(crate) struct Keys {
    store: Store,
    clock: Arc<dyn Clock>,
    source: Arc<dyn SigningKeySource>,
    /// How long a token of a retired key may still be around.
    access_token_lifetime: Duration,
    /// How old the newest key gets before the next is made.
    rotate_every: Option<Duration>,
    /// Until when that is not tried again.
    rests_until: Mutex<Timestamp>,
    signing: RwLock<Arc<Signing>>,
    /// Whether the last signature that was wanted was made.
    signs: AtomicBool,
    known: RwLock<Known>,
    /// Held while looking, so that many requests with an unknown key cause one look.
    last_look: tokio::sync::Mutex<Look>,
}

/// The key that this process signs with.
pub(crate) struct Signing {
    /// Its name in tokens.
    pub(crate) kid: String,
    signer: Arc<dyn Signer>,
}

/// The public keys as of the last look.
#[derive(Default)]
struct Known {
    published: Vec<PublicKey>,
    by_kid: HashMap<String, (Arc<DecodingKey>, PublicKey)>,
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
    /// Reads or makes this process's keys, publishes their public halves, and follows rotations until
    /// the value is dropped.
    pub(crate) async fn init(
        store: Store,
        source: Arc<dyn SigningKeySource>,
        access_token_lifetime: Duration,
        rotate_every: Option<Duration>,
        clock: Arc<dyn Clock>,
    ) -> Result<Arc<Self>, Error> {
        let mut signers = source.load().await?;
        if signers.is_empty() {
            source.generate(0).await?;
            signers = source.load().await?;
        }
        let now = clock.now();
        let ring = Ring::publish(&store, signers, now).await?;
        let signing = ring.signing(now).ok_or_else(|| nothing_there(&*source))?;
        let signing = Signing { kid: signing.row.kid.clone(), signer: signing.signer.clone() };
        let keys = Arc::new(Self {
            known: RwLock::new(known(&store).await?),
            store,
            clock,
            source,
            access_token_lifetime,
            rotate_every,
            rests_until: Mutex::new(now),
            signing: RwLock::new(Arc::new(signing)),
            signs: AtomicBool::new(true),
            last_look: tokio::sync::Mutex::new(Look {
                // The first unknown key is looked up, however soon it comes.
                at: now.minus(LOOK_INTERVAL),
                succeeded: true,
            }),
        });
        tokio::spawn(rotation::keep_following(Arc::downgrade(&keys)));
        Ok(keys)
    }

    /// This process's key.
    pub(crate) fn signing(&self) -> Arc<Signing> {
        self.signing.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The RS256 signature of a message.
    pub(crate) async fn sign(&self, with: &Signing, message: &[u8]) -> Result<Vec<u8>, Error> {
        let signed = with.signer.sign(message).await;
        self.note_signs(signed.as_ref().err());
        Ok(signed?)
    }

    /// Whether tokens can be signed now, as far as is known.
    pub(crate) fn can_sign(&self) -> bool {
        self.signs.load(Ordering::Relaxed)
    }

    fn note_signs(&self, failure: Option<&SigningKeysError>) {
        let did = self.signs.swap(failure.is_none(), Ordering::Relaxed);
        let place = self.source.name();
        match failure {
            Some(error) if did => {
                let error = told(error);
                tracing::error!(error, place, "no token can be signed: nobody can sign in");
            }
            None if !did => tracing::info!(place, "tokens can be signed again"),
            _ => {}
        }
    }

    /// Tries it, where there is doubt.
    async fn note_whether_it_signs(&self, place_answers: bool) {
        if !(place_answers && self.can_sign()) {
            let tried = self.signing().signer.sign(b"can this be signed?").await;
            self.note_signs(tried.as_ref().err());
        }
    }

    /// The public key of this name, `None` if nobody published one, or its time is over.
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
        let now = self.clock.now();
        let mut keys = self.known.read().unwrap_or_else(PoisonError::into_inner).published.clone();
        keys.retain(|key| !self.is_over(key, now));
        Ok(keys)
    }

    /// Whether the last token of a key has expired, on whichever machine it was made.
    fn is_over(&self, key: &PublicKey, now: Timestamp) -> bool {
        let over = now.minus(self.access_token_lifetime).minus(CLOCKS_APART);
        key.retired_at.is_some_and(|at| Timestamp::from_micros(at) <= over)
    }

    fn known_by(&self, kid: &str) -> Option<Arc<DecodingKey>> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let (key, row) = known.by_kid.get(kid)?;
        (!self.is_over(row, self.clock.now())).then(|| key.clone())
    }

    /// Reads the table again, unless that was done a moment ago.
    async fn look(&self) -> Result<(), KeysUnavailable> {
        let mut last = self.last_look.lock().await;
        let now = self.clock.now();
        if now.since(last.at) >= LOOK_INTERVAL {
            let looked = self.read_published().await;
            *last = Look { at: now, succeeded: looked.is_ok() };
            if let Err(error) = looked {
                tracing::warn!(%error, "the signing keys could not be read");
            }
        }
        if last.succeeded { Ok(()) } else { Err(KeysUnavailable) }
    }

    async fn read_published(&self) -> Result<(), StoreError> {
        let known = known(&self.store).await?;
        *self.known.write().unwrap_or_else(PoisonError::into_inner) = known;
        Ok(())
    }
}

async fn known(store: &Store) -> Result<Known, StoreError> {
    let published = repo::all(store).await?;
    let by_kid = published
        .iter()
        .map(|key| {
            let decoding = DecodingKey::from_rsa_components(&key.n, &key.e)
                .map_err(|_| StoreError::inconsistent("signing_keys", "n", &key.kid))?;
            Ok((key.kid.clone(), (Arc::new(decoding), key.clone())))
        })
        .collect::<Result<_, StoreError>>()?;
    Ok(Known { published, by_kid })
}

/// A source that had keys, or was just given one, has none.
fn nothing_there(source: &dyn SigningKeySource) -> Error {
    let text = format!("there is no signing key in {}", source.name());
    SigningKeysError::Unavailable(text.into()).into()
}

/// An error with its causes.
fn told(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
