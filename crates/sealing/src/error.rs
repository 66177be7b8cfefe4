use ports::{DataKeysError, PrivateFileError};
use std::path::PathBuf;
use store::StoreError;

/// Why something was not sealed, opened or looked for.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The data keys could not be had.
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// A secret could not be sealed or opened.
    #[error(transparent)]
    Seal(#[from] SealError),
}

/// Why there are no data keys to work with.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// Where they come from gave none.
    #[error(transparent)]
    Source(#[from] DataKeysError),
    /// Something in the database is sealed with keys that are not among them.
    #[error(
        "{place} lacks data keys that the database needs ({names}); copy them from the machine \
         or backup that has them"
    )]
    Missing {
        /// Where they come from.
        place: String,
        /// The names of those that are missing.
        names: String,
    },
}

/// A secret could not be sealed or opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// It was sealed with a key that this process does not have.
    #[error("a secret needs a data key that this process does not have")]
    UnknownKey,
    /// It was changed, or belongs to another row.
    #[error("a sealed secret is broken")]
    Broken,
    /// The cipher failed.
    #[error("a secret could not be sealed")]
    Cipher,
}

/// Why there are no keys in a file.
#[derive(Debug, thiserror::Error)]
pub enum DataKeyFileError {
    /// The file could not be used.
    #[error(transparent)]
    File(#[from] PrivateFileError),
    /// The file does not hold keys of 32 bytes.
    #[error("{path} does not hold data keys, one of 32 bytes in base64 a line; restore it")]
    NotDataKeys {
        /// The file.
        path: PathBuf,
    },
    /// No key could be generated.
    #[error("cannot generate a key")]
    Generation,
}
