use crate::sessions::Revocations;
use crate::tokens::{AccessTokens, TokenError};
use async_trait::async_trait;
use kernel::Actor;
use std::sync::Arc;
use web::AuthenticationError;

/// Accepts the access tokens of sessions that were not revoked.
pub(crate) struct SessionAuthenticator {
    pub(crate) tokens: Arc<AccessTokens>,
    pub(crate) revocations: Arc<Revocations>,
}

#[async_trait]
impl web::Authenticator for SessionAuthenticator {
    async fn authenticate(&self, token: &str) -> Result<Actor, AuthenticationError> {
        let actor = self.tokens.check(token).await.map_err(|error| match error {
            TokenError::Invalid => AuthenticationError::Invalid,
            TokenError::Expired => AuthenticationError::Expired,
            TokenError::Unavailable => AuthenticationError::Unavailable,
        })?;
        if self.revocations.contains(actor.session_id) {
            return Err(AuthenticationError::Invalid);
        }
        Ok(actor)
    }
}
