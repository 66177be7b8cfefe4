use crate::revocations::Revocations;
use crate::tokens::{AccessTokens, TokenError};
use async_trait::async_trait;
use kernel::{Actor, ActorKind};
use std::net::IpAddr;
use std::sync::Arc;
use web::{AuthenticationError, InvalidToken};

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
            TokenError::Invalid(why) => AuthenticationError::Invalid(why),
            TokenError::Expired => AuthenticationError::Expired,
            TokenError::Unavailable => AuthenticationError::Unavailable,
        })?;
        let actor = &checked.actor;
        let revoked = AuthenticationError::Invalid(InvalidToken::Revoked(actor.user_id));
        if self.revocations.contains(actor.session_id) {
            return Err(revoked);
        }
        if self.revocations.is_outdated(actor.user_id, checked.grants_version) {
            return Err(match actor.kind {
                // Who may do less than before brings the refresh token, as when the time is over.
                ActorKind::Person => AuthenticationError::Expired,
                // A client's tokens are outdated to take them from whoever has them.
                ActorKind::Program => revoked,
            });
        }
        let networks = &checked.allowed_networks;
        let is_allowed = |from| networks.iter().any(|network| network.contains(from));
        if !networks.is_empty() && !from.is_some_and(is_allowed) {
            return Err(AuthenticationError::AddressNotAllowed(actor.user_id));
        }
        Ok(actor.clone())
    }
}
