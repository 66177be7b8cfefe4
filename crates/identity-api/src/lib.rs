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

/// Tells what a user holds. The answer comes from outside of identity, so that nobody leaves and
/// leaves money behind.
#[async_trait]
pub trait Holdings: Send + Sync {
    /// Whether anything of theirs has a balance.
    async fn holds_money(&self, user: UserId) -> Result<bool, HoldingsError>;
}

/// It cannot be told now what somebody holds; try again.
#[derive(Debug, thiserror::Error)]
#[error("what the account holds cannot be looked up now; try again")]
pub struct HoldingsError(#[source] pub Box<dyn std::error::Error + Send + Sync>);
