use crate::keys::KeyFileError;
use crate::passwords::HashingError;
use crate::secrets::SealError;
use ports::{DataKeysError, SigningKeysError};
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
    DataKeys(#[from] DataKeysError),
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
