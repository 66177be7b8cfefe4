use crate::keys::KeyFileError;
use crate::passwords::HashingError;
use ports::SigningKeysError;
use sealing::{KeysError, SealError};
use store::StoreError;

/// The server failed: nobody's request is at fault.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database did.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The signing keys could not be worked with.
    #[error(transparent)]
    SigningKeys(#[from] SigningKeysError),
    /// There is no key to work with.
    #[error(transparent)]
    KeyFile(#[from] KeyFileError),
    /// The data keys could not be had.
    #[error(transparent)]
    DataKeys(#[from] KeysError),
    /// A password could not be hashed.
    #[error(transparent)]
    Hashing(#[from] HashingError),
    /// A secret could not be sealed or opened.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// An access token could not be written down.
    #[error("cannot write an access token")]
    Token(#[source] serde_json::Error),
}

impl From<sealing::Error> for Error {
    fn from(error: sealing::Error) -> Self {
        match error {
            sealing::Error::Store(error) => error.into(),
            sealing::Error::Keys(error) => error.into(),
            sealing::Error::Seal(error) => error.into(),
        }
    }
}
