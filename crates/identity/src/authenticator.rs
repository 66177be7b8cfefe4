use crate::revocations::Revocations;
use crate::tokens::{AccessTokens, TokenError};
use async_trait::async_trait;
use kernel::Actor;
use std::net::IpAddr;
use std::sync::Arc;
use web::AuthenticationError;

/// Accepts access tokens that were not revoked and whose grants are the present ones.
pub(crate) struct TokenAuthenticator {
    pub(crate) tokens: Arc<AccessTokens>,
    pub(crate) revocations: Arc<Revocations>,
}

#[async_trait]
impl web::Authenticator for TokenAuthenticator {
    async fn authenticate(
        &self,
        token: &str,
        from: Option<IpAddr>,
    ) -> Result<Actor, AuthenticationError> {
        let checked = self.tokens.check(token).await.map_err(|error| match error {
            TokenError::Invalid => AuthenticationError::Invalid,
            TokenError::Expired => AuthenticationError::Expired,
            TokenError::Unavailable => AuthenticationError::Unavailable,
        })?;
        let actor = &checked.actor;
        if self.revocations.contains(actor.session_id) {
            return Err(AuthenticationError::Invalid);
        }
        if self.revocations.is_outdated(actor.user_id, checked.grants_version) {
            return Err(AuthenticationError::Expired);
        }
        let networks = &checked.allowed_networks;
        let is_allowed = |from| networks.iter().any(|network| network.contains(from));
        if !networks.is_empty() && !from.is_some_and(is_allowed) {
            return Err(AuthenticationError::AddressNotAllowed(actor.user_id));
        }
        Ok(actor.clone())
    }
}
