//! API clients: programs of partners and services that get access tokens for a secret, by the client
//! credentials grant of OAuth 2.0 (RFC 6749 section 4.4). A secret has 256 random bits, so only its
//! digest is kept, and it need not be slow to check.

mod entity;
mod repo;

pub use entity::{ApiClient, NewApiClient};

use crate::audit::{self, NewEntry};
use crate::revocations::{self, Outdated, Revocations};
use crate::roles::Grants;
use crate::tokens::{AccessTokens, OpaqueToken, Subject, SubjectKind};
use crate::{Error, events};
use entity::Objection;
use kernel::{Actor, Clock, Cursor, IdSource, Page, PageLimit, Timestamp, UserId};
use secrecy::SecretString;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use store::outbox::NewEvent;
use store::{Store, StoreError, WriteTx};
use uuid::Uuid;
use web::Network;

/// Why staff did not get what they asked for.
#[derive(Debug, thiserror::Error)]
pub enum ApiClientError {
    /// There is no such client.
    #[error("there is no such API client")]
    NotFound,
    /// It was revoked, for good.
    #[error("the API client was revoked; make another one")]
    Revoked,
    /// No client can have this scope.
    #[error("no API client can have the scope {0}")]
    Scope(String),
    /// This is not a network.
    #[error("{0} is not a network such as 192.0.2.0/24 or 2001:db8::/32")]
    Network(String),
    /// It would be over before it begins.
    #[error("must be in the future")]
    Expired,
    /// Nobody gives what they do not have.
    #[error("you cannot give the permission {0}, which you do not have")]
    NotHeld(String),
    /// The server failed.
    #[error(transparent)]
    Failed(#[from] Error),
}

impl From<StoreError> for ApiClientError {
    fn from(error: StoreError) -> Self {
        Self::Failed(error.into())
    }
}

impl From<Objection> for ApiClientError {
    fn from(objection: Objection) -> Self {
        match objection {
            Objection::Scope(scope) => Self::Scope(scope),
            Objection::Network(network) => Self::Network(network),
            Objection::Expired => Self::Expired,
            Objection::NotHeld(permission) => Self::NotHeld(permission),
        }
    }
}

/// Why a client got no token.
#[derive(Debug, thiserror::Error)]
pub enum ClientTokenError {
    /// No active client has this id and this secret.
    #[error("no active API client has this id and secret")]
    InvalidClient,
    /// Id and secret are right.
    #[error("the API client may not call from this address")]
    AddressNotAllowed,
    /// More than the client has, or nothing.
    #[error("the API client does not have this scope")]
    InvalidScope,
    /// The server failed.
    #[error(transparent)]
    Failed(#[from] Error),
}

impl ClientTokenError {
    /// What the audit trail calls it.
    fn as_str(&self) -> &'static str {
        match self {
            Self::InvalidClient => "invalid_client",
            Self::AddressNotAllowed => "address_not_allowed",
            Self::InvalidScope => "invalid_scope",
            Self::Failed(_) => "failed",
        }
    }
}

impl From<StoreError> for ClientTokenError {
    fn from(error: StoreError) -> Self {
        Self::Failed(error.into())
    }
}

/// What a client asks for a token with.
pub(crate) struct Credentials {
    pub(crate) client_id: String,
    pub(crate) secret: SecretString,
    /// What of its scope it wants; all when it does not say.
    pub(crate) scope: Option<String>,
}

/// A token for a client.
pub(crate) struct ClientToken {
    pub(crate) access_token: SecretString,
    pub(crate) scope: BTreeSet<String>,
    pub(crate) expires_in: Duration,
}

/// Makes API clients and their tokens.
pub(crate) struct ApiClients {
    pub(crate) store: Store,
    pub(crate) tokens: Arc<AccessTokens>,
    pub(crate) revocations: Arc<Revocations>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) ids: Arc<dyn IdSource>,
}

impl ApiClients {
    /// Makes a client and its first secret.
    pub(crate) async fn create(
        &self,
        actor: &Actor,
        new: NewApiClient,
    ) -> Result<(ApiClient, SecretString), ApiClientError> {
        let now = self.clock.now();
        if let Some(objection) = new.objection(actor, now) {
            return Err(objection.into());
        }
        let client = ApiClient {
            id: UserId(self.ids.next()),
            name: new.name,
            scopes: new.scopes,
            allowed_networks: new.allowed_networks,
            created_at: now,
            created_by: actor.user_id,
            expires_at: new.expires_at,
            rotated_at: None,
            last_token_at: None,
            revoked_at: None,
            revoked_reason: None,
        };
        let secret = OpaqueToken::generate()?;
        let tx = self.store.begin().await?;
        repo::insert_in_tx(&self.store, &tx, &client).await?;
        repo::insert_secret_in_tx(&self.store, &tx, client.id, secret.hash(), now).await?;
        let event = events::api_client_created(client.id, &client.scopes, actor.user_id, now);
        let more = json!({
            "name": client.name,
            "allowedNetworks": client.allowed_networks,
            "expiresAt": client.expires_at,
        });
        audit::tell_in_tx(&self.store, &tx, Some(actor.user_id), event, Some(more)).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok((client, secret.into_secret()))
    }

    pub(crate) async fn list(
        &self,
        after: Option<Uuid>,
        limit: PageLimit,
    ) -> Result<Page<ApiClient>, StoreError> {
        let rows = repo::list(&self.store, after, limit).await?;
        Ok(Page::from_rows(rows, limit, |client| Cursor::from_uuid(client.id.0)))
    }

    pub(crate) async fn find(&self, id: UserId) -> Result<ApiClient, ApiClientError> {
        repo::find(&self.store, id).await?.ok_or(ApiClientError::NotFound)
    }

    /// The client, for an actor who may do all that it may: who is given its secret, or says where it
    /// may call from, could act as it.
    async fn find_for(&self, actor: &Actor, id: UserId) -> Result<ApiClient, ApiClientError> {
        let client = self.find(id).await?;
        match client.scopes.difference(&actor.permissions).next() {
            None => Ok(client),
            Some(scope) => Err(ApiClientError::NotHeld(scope.clone())),
        }
    }

    /// Gives a client another secret. Those before count for `overlap` more, so that the client can
    /// go over without a gap. Without any, the tokens it has count no more either.
    pub(crate) async fn rotate(
        &self,
        actor: &Actor,
        id: UserId,
        overlap: Duration,
    ) -> Result<(ApiClient, SecretString), ApiClientError> {
        self.find_for(actor, id).await?;
        let now = self.clock.now();
        let secret = OpaqueToken::generate()?;
        let tx = self.store.begin().await?;
        let end = now.plus(overlap);
        if !repo::end_secrets_in_tx(&self.store, &tx, id, end, now).await? {
            return Err(ApiClientError::Revoked);
        }
        repo::insert_secret_in_tx(&self.store, &tx, id, secret.hash(), now).await?;
        let event = events::api_client_secret_rotated(id, actor.user_id, now);
        let more = json!({ "earlierSecretsEndAt": end });
        if overlap.is_zero() {
            // Somebody else has the earlier secret, and perhaps tokens for it.
            self.end_tokens(tx, actor, event, more).await?;
        } else {
            audit::tell_in_tx(&self.store, &tx, Some(actor.user_id), event, Some(more)).await?;
            tx.commit().await.map_err(StoreError::from)?;
        }
        Ok((self.find(id).await?, secret.into_secret()))
    }

    /// Says where a client may call from. The tokens it has count no more.
    pub(crate) async fn set_networks(
        &self,
        actor: &Actor,
        id: UserId,
        networks: &BTreeSet<String>,
    ) -> Result<ApiClient, ApiClientError> {
        if let Some(network) = entity::not_a_network(networks) {
            return Err(ApiClientError::Network(network.clone()));
        }
        self.find_for(actor, id).await?;
        let now = self.clock.now();
        let tx = self.store.begin().await?;
        let before = repo::set_networks_in_tx(&self.store, &tx, id, networks).await?;
        let before = before.ok_or(ApiClientError::Revoked)?;
        let event = events::api_client_networks_changed(id, actor.user_id, now);
        let more = json!({ "before": before, "after": networks });
        self.end_tokens(tx, actor, event, more).await?;
        self.find(id).await
    }

    /// Takes a client back, for good: it gets no more tokens, and those it has count no more. A
    /// revoked one stays so, with the first reason.
    pub(crate) async fn revoke(
        &self,
        actor: &Actor,
        id: UserId,
        reason: &str,
    ) -> Result<ApiClient, ApiClientError> {
        self.find(id).await?;
        let now = self.clock.now();
        let tx = self.store.begin().await?;
        if repo::revoke_in_tx(&self.store, &tx, id, actor.user_id, reason, now).await? {
            let event = events::api_client_revoked(id, actor.user_id, now);
            self.end_tokens(tx, actor, event, json!({ "reason": reason })).await?;
        }
        self.find(id).await
    }

    /// Ends the tokens of the client that an event is about, tells of it, and commits.
    async fn end_tokens(
        &self,
        tx: WriteTx,
        actor: &Actor,
        event: NewEvent,
        more: Value,
    ) -> Result<(), StoreError> {
        let (id, now) = (UserId(event.aggregate_id), event.occurred_at);
        let outdated: Vec<Outdated> = revocations::outdate_in_tx(&self.store, &tx, id, now).await?;
        audit::tell_in_tx(&self.store, &tx, Some(actor.user_id), event, Some(more)).await?;
        tx.commit().await?;
        self.revocations.add_outdated(outdated);
        Ok(())
    }

    /// A token for whoever brings a client's secret.
    pub(crate) async fn token(
        &self,
        credentials: &Credentials,
        from: Option<IpAddr>,
    ) -> Result<ClientToken, ClientTokenError> {
        let id = Uuid::try_parse(&credentials.client_id).unwrap_or_default();
        let (id, now) = (UserId(id), self.clock.now());
        // Before what the client may do is read, as with users.
        let version = revocations::version(&self.store, id).await?;
        let hash = OpaqueToken::hash_of(&credentials.secret);
        let read = self.store.read();
        let is_right = repo::is_secret(&self.store, read, id, hash.clone(), now).await?;
        let client = repo::find(&self.store, id).await?;
        let Some(client) = client else {
            // Not written down: anybody could fill the audit trail with names that nobody has.
            return Err(ClientTokenError::InvalidClient);
        };
        let wanted = credentials.scope.as_deref();
        let scope = match check(&client, is_right, from, wanted, now) {
            Ok(scope) => scope,
            Err(error) => {
                let details = json!({ "reason": error.as_str() });
                let entry = token_entry("api_client_token_refused", None, id, details, now);
                audit::append(&self.store, entry).await?;
                return Err(error);
            }
        };
        let grants = Grants { roles: BTreeSet::new(), permissions: scope.clone(), version };
        let session_id = self.ids.next();
        let subject = Subject {
            id,
            session_id,
            grants,
            kind: SubjectKind::Program { networks: client.allowed_networks.into_iter().collect() },
        };
        let lifetime = self.tokens.lifetime();
        let left = client.expires_at.map_or(lifetime, |end| lifetime.min(end.since(now)));
        let access_token = self.tokens.issue_for(subject, left).await?;
        let tx = self.store.begin().await?;
        // The client is locked, so the secret cannot end any more.
        if !repo::note_token_in_tx(&self.store, &tx, id, now).await?
            || !repo::is_secret(&self.store, &tx, id, hash, now).await?
        {
            return Err(ClientTokenError::InvalidClient);
        }
        let details = json!({ "sessionId": session_id, "scopes": scope });
        let entry = token_entry("api_client_token_issued", Some(id), id, details, now);
        audit::append_in_tx(&self.store, &tx, entry).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(ClientToken { access_token, scope, expires_in: left })
    }
}

/// What a client may do with the token that it asks for now.
fn check(
    client: &ApiClient,
    is_right: bool,
    from: Option<IpAddr>,
    wanted: Option<&str>,
    now: Timestamp,
) -> Result<BTreeSet<String>, ClientTokenError> {
    if !is_right || !client.is_active(now) {
        return Err(ClientTokenError::InvalidClient);
    }
    if !may_call_from(client, from) {
        return Err(ClientTokenError::AddressNotAllowed);
    }
    client.narrow(wanted).ok_or(ClientTokenError::InvalidScope)
}

/// What came of asking for a token. Who is refused may be anybody, and is no actor.
fn token_entry(
    action: &'static str,
    actor: Option<UserId>,
    client: UserId,
    details: Value,
    at: Timestamp,
) -> NewEntry {
    NewEntry { actor, action, object: Some(client.0), details, at }
}

fn may_call_from(client: &ApiClient, from: Option<IpAddr>) -> bool {
    let networks = &client.allowed_networks;
    let holds = |network: &String, from| {
        network.parse().is_ok_and(|network: Network| network.contains(from))
    };
    networks.is_empty() || from.is_some_and(|from| networks.iter().any(|one| holds(one, from)))
}
