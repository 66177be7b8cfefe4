#![doc = include_str!("../README.md")]

use async_trait::async_trait;
use kernel::{Timestamp, UserId};
use serde_json::Value;
use std::collections::HashMap;
use uuid::Uuid;

/// Finds users.
#[async_trait]
pub trait UserDirectory: Send + Sync {
    /// The active user who has shown that this phone number is theirs, in any spelling that normalises to
    /// E.164; `None` if nobody has, or it is not a phone number.
    async fn find_by_phone(&self, phone_number: &str) -> Result<Option<UserId>, DirectoryError>;

    /// The active user who has shown that this e-mail address is theirs, whatever its case.
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

/// Where other modules write down who did what. What it keeps cannot be changed unnoticed.
#[async_trait]
pub trait AuditTrail: Send + Sync {
    /// Writes an entry, which is durable when this returns.
    async fn record(&self, record: AuditRecord) -> Result<(), AuditTrailError>;
}

/// Something that somebody does.
#[derive(Clone, Debug, PartialEq)]
pub struct AuditRecord {
    /// Who: a user, or an API client; `None` for an operator on the command line.
    pub actor: Option<UserId>,
    /// What: `card_number_disclosed`.
    pub action: &'static str,
    /// The id of what it is done to.
    pub object: Option<Uuid>,
    /// The rest, as a JSON object. No secrets, and contacts only masked.
    pub details: Value,
    /// When.
    pub at: Timestamp,
    /// Where it was asked for. When left out, where the request that is being answered came from, on routes
    /// that `identity::note_origins` wraps.
    pub origin: Option<RequestOrigin>,
}

/// Where a request comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestOrigin {
    /// The client's address; empty when it is not known.
    pub client_address: String,
    /// The program that sent it, in its own words.
    pub user_agent: String,
}

/// It could not be written down; what is not written down is not to be done.
#[derive(Debug, thiserror::Error)]
#[error("the audit trail cannot be written")]
pub struct AuditTrailError(#[source] pub Box<dyn std::error::Error + Send + Sync>);
