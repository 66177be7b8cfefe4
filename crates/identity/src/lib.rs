#![doc = include_str!("../README.md")]

mod authenticator;
mod config;
mod contacts;
mod error;
mod events;
mod http;
mod keys;
mod passwords;
pub mod permissions;
mod roles;
mod sessions;
mod tokens;
mod users;

pub use config::{Config, PasswordHashConfig};
pub use error::Error;
pub use keys::KeyFileError;
pub use passwords::HashingError;
pub use roles::GrantError;
pub use sessions::{Device, LogInError, RefreshError, TokenPair};
pub use users::{InvalidField, NewUser, RegisterError, User};

use authenticator::SessionAuthenticator;
use identity_api::UserDirectory;
use kernel::{Actor, Clock, IdSource, Timestamp, UserId};
use keys::Keys;
use passwords::Passwords;
use secrecy::SecretString;
use sessions::{Revocations, Sessions};
use std::sync::Arc;
use store::outbox::{EventSource, Outbox};
use store::{SqlMigration, Store};
use tokens::AccessTokens;
use users::{Directory, Users};

/// The schema of identity's store.
pub const MIGRATIONS: &[SqlMigration] = &[SqlMigration {
    name: "m0001_users_sessions_roles",
    sql: include_str!("migrations/m0001_users_sessions_roles.sql"),
    sqlite: "",
    postgres: "",
}];

/// Gives the user with this e-mail address or phone number a role. For operators: the first
/// administrator is made like this. The store is migrated.
pub async fn grant_role(
    store: &Store,
    identifier: &str,
    role: &str,
    now: Timestamp,
) -> Result<(), GrantError> {
    let directory = Directory(store.clone());
    let user = match identifier.contains('@') {
        true => directory.find_by_email(identifier).await,
        false => directory.find_by_phone(identifier).await,
    };
    let user = user.map_err(GrantError::Directory)?.ok_or(GrantError::NoSuchUser)?;
    roles::grant(store, user, role, now).await
}

/// The identity module. Clones share everything.
#[derive(Clone)]
pub struct Identity(Arc<Parts>);

struct Parts {
    store: Store,
    keys: Arc<Keys>,
    users: Arc<Users>,
    sessions: Sessions,
    authenticator: Arc<SessionAuthenticator>,
}

impl Identity {
    /// Starts identity on a migrated store: makes the signing key if there is none, publishes its
    /// public half, and writes the built-in roles. Needs a running tokio runtime, on which it
    /// follows what other processes revoke.
    pub async fn init(
        store: Store,
        config: Config,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn IdSource>,
    ) -> Result<Self, Error> {
        let passwords = Passwords::try_new(&config.password_hash)?;
        roles::ensure_built_in(&store).await?;
        let keys =
            Keys::init(store.clone(), config.keys_folder, clock.clone(), ids.as_ref()).await?;
        let keys = Arc::new(keys);
        let lifetime = config.access_token_lifetime;
        let revocations = Revocations::init(store.clone(), clock.clone(), lifetime).await?;
        let tokens = Arc::new(AccessTokens::new(
            keys.clone(),
            clock.clone(),
            ids.clone(),
            config.issuer,
            config.audience,
            lifetime,
        ));
        let users = Arc::new(Users {
            store: store.clone(),
            passwords,
            clock: clock.clone(),
            ids: ids.clone(),
        });
        let sessions = Sessions {
            store: store.clone(),
            users: users.clone(),
            tokens: tokens.clone(),
            revocations: revocations.clone(),
            clock,
            ids,
            refresh_token_lifetime: config.refresh_token_lifetime,
        };
        let authenticator = Arc::new(SessionAuthenticator { tokens, revocations });
        Ok(Self(Arc::new(Parts { store, keys, users, sessions, authenticator })))
    }

    /// Registers a user with the role Customer.
    pub async fn register(&self, new_user: NewUser) -> Result<User, RegisterError> {
        self.0.users.register(new_user, &[roles::entity::CUSTOMER]).await
    }

    /// Registers a user with these roles, after the same checks.
    pub async fn register_with_roles(
        &self,
        new_user: NewUser,
        roles: &[&str],
    ) -> Result<User, RegisterError> {
        self.0.users.register(new_user, roles).await
    }

    /// Whether anybody is registered.
    pub async fn has_users(&self) -> Result<bool, Error> {
        Ok(self.0.users.any().await?)
    }

    /// Signs a user in by e-mail address or phone number.
    pub async fn log_in(
        &self,
        identifier: &str,
        password: &SecretString,
        device: &Device,
    ) -> Result<TokenPair, LogInError> {
        self.0.sessions.log_in(identifier, password, device).await
    }

    /// Exchanges a refresh token for a new pair. A token that comes a second time ends its session.
    pub async fn refresh(&self, refresh_token: &SecretString) -> Result<TokenPair, RefreshError> {
        self.0.sessions.refresh(refresh_token).await
    }

    /// Ends the actor's session with all of its tokens: at once here, within about a second in
    /// other processes.
    pub async fn log_out(&self, actor: &Actor) -> Result<(), Error> {
        self.0.sessions.log_out(actor).await
    }

    /// The routes, ready to be merged. They ask the authenticator that the whole router is given.
    pub fn router(&self) -> web::OpenApiRouter {
        http::router(self.clone())
    }

    /// Checks access tokens, for every module's routes.
    pub fn authenticator(&self) -> Arc<dyn web::Authenticator> {
        self.0.authenticator.clone()
    }

    /// Look-ups of users, for other modules.
    pub fn directory(&self) -> Arc<dyn UserDirectory> {
        Arc::new(Directory(self.0.store.clone()))
    }

    /// What happened here, for delivery.
    pub fn outbox(&self) -> Arc<dyn EventSource> {
        Arc::new(Outbox(self.0.store.clone()))
    }

    pub(crate) async fn user(&self, id: UserId) -> Result<Option<User>, Error> {
        Ok(self.0.users.find(id).await?.map(User::from))
    }

    pub(crate) fn keys(&self) -> &Keys {
        &self.0.keys
    }
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Identity").finish_non_exhaustive()
    }
}
