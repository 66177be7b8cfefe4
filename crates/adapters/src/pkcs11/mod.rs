//! Signing keys in a hardware security module, through PKCS#11.
//!
//! Private keys are made in the module, never leave it, and sign in it. Its library blocks, so it is
//! called on threads of its own, by a few at once, and nobody waits for it longer than
//! [`CALL_TIMEOUT`].

mod connection;

use async_trait::async_trait;
use connection::{Connection, Found};
use ports::{RsaKeySize, RsaPublicKey, Signer, SigningKeySource, SigningKeysError};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

/// Which keys of which module.
#[derive(Clone, Debug)]
pub struct Pkcs11Config {
    /// The vendor's library.
    pub module: PathBuf,
    /// The label of the token that has the keys.
    pub token_label: String,
    /// A file with the PIN of the token's user, which others than owner and group may not read.
    pub pin_file: PathBuf,
    /// The label of the keys: `CKA_LABEL`. All keys of this label are ours.
    pub key_label: String,
    /// How many calls may be made at once.
    pub sessions_max: usize,
    /// How large new keys are.
    pub key_size: RsaKeySize,
}

/// Why the module does not do what it is asked.
#[derive(Debug, thiserror::Error)]
pub enum Pkcs11Error {
    /// The library is not there, or is none.
    #[error("{path} cannot be loaded as a PKCS#11 module")]
    Module {
        /// The library.
        path: PathBuf,
        /// The cause.
        source: cryptoki::error::Error,
    },
    /// A call failed.
    #[error(transparent)]
    Call(#[from] cryptoki::error::Error),
    /// No token has this label, or several have.
    #[error("{found} tokens are called \"{label}\"; one must be")]
    Token {
        /// The label.
        label: String,
        /// How many have it.
        found: usize,
    },
    /// The PIN cannot be read.
    #[error(transparent)]
    PinFile(#[from] ports::PrivateFileError),
    /// The token refused the PIN. It is not tried again before there is another, because tokens lock
    /// themselves after a few wrong ones.
    #[error("the token refuses the PIN in {path}; put the right one there")]
    PinRefused {
        /// The file.
        path: PathBuf,
    },
    /// The key is not in the token.
    #[error("the key is not in the token")]
    NoKey,
    /// The module does not return, or others fill it.
    #[error("the module did not answer in time")]
    Timeout,
    /// It could not be reached a moment ago, and is not tried again yet.
    #[error("the token cannot be used: {0}")]
    NoToken(String),
    /// The thread of a call ended before it.
    #[error("a call was given up")]
    GivenUp,
}

/// Signing keys in a hardware security module.
#[derive(Clone)]
pub struct Pkcs11Keys(Arc<Module>);

struct Module {
    connection: Connection,
    /// A call that does not return keeps its place, so that they do not pile up.
    places: Arc<Semaphore>,
}

/// One of the keys.
struct Pkcs11Signer {
    module: Arc<Module>,
    /// `CKA_ID`.
    id: Vec<u8>,
    public: RsaPublicKey,
}

/// A module that takes longer is not going to.
const CALL_TIMEOUT: Duration = Duration::from_secs(5);
/// Looking for primes takes small modules long.
const GENERATION_TIMEOUT: Duration = Duration::from_secs(90);

impl Pkcs11Keys {
    /// The keys of a token, which is not looked for yet.
    pub fn new(config: Pkcs11Config) -> Self {
        let places = Arc::new(Semaphore::new(config.sessions_max.max(1)));
        Self(Arc::new(Module { connection: Connection::new(config), places }))
    }
}

impl Module {
    /// Works with the connection on a thread that may block.
    async fn call<T: Send + 'static>(
        self: &Arc<Self>,
        timeout: Duration,
        work: impl FnOnce(&Connection) -> Result<T, Pkcs11Error> + Send + 'static,
    ) -> Result<T, SigningKeysError> {
        let module = self.clone();
        let call = async move {
            let place = module.places.clone().acquire_owned().await;
            let place = place.map_err(|_| Pkcs11Error::GivenUp)?;
            let call = tokio::task::spawn_blocking(move || {
                let done = work(&module.connection);
                drop(place);
                done
            });
            call.await.map_err(|_| Pkcs11Error::GivenUp)?
        };
        let done = tokio::time::timeout(timeout, call).await.unwrap_or(Err(Pkcs11Error::Timeout));
        done.map_err(|error| SigningKeysError::Unavailable(error.into()))
    }
}

#[async_trait]
impl SigningKeySource for Pkcs11Keys {
    fn name(&self) -> String {
        self.0.connection.name()
    }

    async fn load(&self) -> Result<Vec<Arc<dyn Signer>>, SigningKeysError> {
        let found = self.0.call(CALL_TIMEOUT, Connection::find).await?;
        let signer = |Found { id, public }| {
            Arc::new(Pkcs11Signer { module: self.0.clone(), id, public }) as Arc<dyn Signer>
        };
        Ok(found.into_iter().map(signer).collect())
    }

    async fn generate(&self, beside: usize) -> Result<(), SigningKeysError> {
        self.0.call(GENERATION_TIMEOUT, move |connection| connection.generate(beside)).await
    }

    async fn destroy(&self, key: &RsaPublicKey) -> Result<(), SigningKeysError> {
        let key = key.clone();
        self.0.call(CALL_TIMEOUT, move |connection| connection.destroy(&key)).await
    }
}

#[async_trait]
impl Signer for Pkcs11Signer {
    fn public_key(&self) -> &RsaPublicKey {
        &self.public
    }

    async fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SigningKeysError> {
        let (id, message) = (self.id.clone(), message.to_vec());
        self.module.call(CALL_TIMEOUT, move |connection| connection.sign(&id, &message)).await
    }
}

#[cfg(test)]
mod tests;
