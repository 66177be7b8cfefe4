#![doc = include_str!("../README.md")]

use async_trait::async_trait;
use kernel::UserId;
use std::collections::HashMap;

/// Finds users.
#[async_trait]
pub trait UserDirectory: Send + Sync {
    /// The active user with this phone number, in any spelling that normalises to E.164; `None` if
    /// nobody has it or it is not a phone number.
    async fn find_by_phone(&self, phone_number: &str) -> Result<Option<UserId>, DirectoryError>;

    /// The active user with this e-mail address, whatever its case.
    async fn find_by_email(&self, email: &str) -> Result<Option<UserId>, DirectoryError>;

    /// Whether this user is active, neither locked nor gone.
    async fn is_active(&self, user: UserId) -> Result<bool, DirectoryError>;

    /// The display names of these users; unknown ones are left out.
    async fn display_names(
        &self,
        users: &[UserId],
    ) -> Result<HashMap<UserId, String>, DirectoryError>;
}

/// The directory could not be asked; try again.
#[derive(Debug, thiserror::Error)]
#[error("the user directory cannot answer")]
pub struct DirectoryError(#[source] pub Box<dyn std::error::Error + Send + Sync>);

/// What a user holds. It is outside of identity, and ends before its owner leaves, so that nobody
/// leaves money behind and none arrives afterwards.
#[async_trait]
pub trait Holdings: Send + Sync {
    /// Closes, for good, everything of theirs that could hold money; `false` if something does, or
    /// money is on its way. Asked again, it goes on where it stopped.
    async fn close(&self, user: UserId) -> Result<bool, HoldingsError>;
}

/// What somebody holds cannot be closed now; try again.
#[derive(Debug, thiserror::Error)]
#[error("what the account holds cannot be closed now; try again")]
pub struct HoldingsError(#[source] pub Box<dyn std::error::Error + Send + Sync>);
