use async_trait::async_trait;
use secrecy::SecretString;

/// Knows passwords that were stolen somewhere and published.
#[async_trait]
pub trait Breaches: Send + Sync {
    /// Whether this password is among them. It does not leave the program, nor does anything that it could
    /// be told by.
    async fn have(&self, password: &SecretString) -> Result<bool, BreachesError>;
}

/// Nobody knows whether a password is among them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("breached passwords cannot be looked up: {0}")]
pub struct BreachesError(pub String);
