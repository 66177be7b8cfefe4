use crate::tokens::NoRandomness;
use identity_api::AuditTrailError;
use sealing::{KeysError, SealError};
use store::StoreError;

/// Why the vault did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nothing stands behind the token.
    #[error("there is no such card token")]
    NoSuchToken,
    /// The number was deleted; the token stays, and stands for nothing.
    #[error("the card number of this token was deleted")]
    NumberDeleted,
    /// Too many tokens that end in the same digits were used up.
    #[error("no token is left that looks like this card number")]
    NoTokenLeft,
    /// It could not be written into the audit trail, so it was not done.
    #[error(transparent)]
    Audit(#[from] AuditTrailError),
    /// The data keys could not be had.
    #[error(transparent)]
    DataKeys(#[from] KeysError),
    /// A number could not be sealed or opened.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// A token could not be drawn.
    #[error(transparent)]
    Randomness(#[from] NoRandomness),
    /// The module's own store failed.
    #[error("the cards store failed")]
    Store(#[from] StoreError),
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
