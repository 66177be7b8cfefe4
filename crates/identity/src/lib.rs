#![doc = include_str!("../README.md")]

mod accounts;
mod api_clients;
mod audit;
mod authenticator;
mod config;
mod contacts;
mod error;
mod events;
mod http;
mod keys;
mod lock_out;
mod messages;
mod mfa;
mod migrations;
mod passkeys;
mod passwords;
pub mod permissions;
mod resets;
mod revocations;
mod roles;
mod secrets;
mod sessions;
mod staff_actions;
mod staff_error;
#[cfg(feature = "testing")]
pub mod testing;
mod tokens;
mod trusted_devices;
mod users;
mod verification;

pub use accounts::{AccountError, StaffView, UserStatus};
pub use api_clients::{ApiClient, ApiClientError, ClientTokenError, NewApiClient};
pub use audit::{AuditEntry, AuditFilter, AuditFinding, AuditReport};
pub use config::{Config, PasswordHashConfig, RelyingParty};
pub use error::Error;
pub use keys::{KeyFileError, Rotation, RotationError, SigningKeyFolder};
pub use mfa::{Enrolment, MfaError, MfaStatus};
pub use migrations::MIGRATIONS;
pub use passkeys::{Passkey, Refusal as PasskeyRefusal};
pub use passwords::HashingError;
pub use resets::ResetError;
pub use roles::{GrantError, HeldRole, Role};
pub use secrets::{DATA_KEYS_FILE, DataKeyFile, Resealed};
pub use sessions::{Device, LogIn, LogInError, OwnSession, RefreshError, TokenPair};
pub use staff_actions::{Action, ActionState, StaffAction};
pub use staff_error::StaffError;
pub use trusted_devices::TrustedDevice;
pub use users::{InvalidField, NewUser, RegisterError, User};
pub use verification::{Contact, ContactChange, ContactChangeError, VerificationError};

use accounts::Accounts;
use api_clients::ApiClients;
use audit::refusals::Refusals;
use authenticator::TokenAuthenticator;
use identity_api::{AuditTrail, Holdings, UserDirectory};
use kernel::{Actor, Clock, IdSource, Timestamp, UserId};
use keys::Keys;
use messages::Messages;
use mfa::Mfa;
use passkeys::Passkeys;
use passwords::{Acceptance, Passwords};
use ports::{Breaches, DataKeySource, EmailSender, SigningKeySource, SmsSender};
use resets::Resets;
use revocations::Revocations;
use roles::Roles;
use secrecy::SecretString;
use secrets::DataKeys;
use sessions::Sessions;
use staff_actions::StaffActions;
use std::sync::Arc;
use std::time::Duration;
use store::Store;
use store::outbox::{EventSource, Outbox};
use tokens::AccessTokens;
use tokio::sync::Semaphore;
use trusted_devices::TrustedDevices;
use users::{Contacts, Directory, Users, sealing};
use verification::Verifications;

/// What the module needs from others.
#[derive(Clone)]
pub struct Dependencies {
    /// The module's own, migrated store.
    pub store: Store,
    /// What secrets and personal data are sealed with.
    pub data_keys: Arc<dyn DataKeySource>,
    /// What access tokens are signed with.
    pub signing_keys: Arc<dyn SigningKeySource>,
    /// Who carries e-mails.
    pub email: Arc<dyn EmailSender>,
    /// Who carries text messages.
    pub sms: Arc<dyn SmsSender>,
    /// Who knows breached passwords; without one none is asked about.
    pub breaches: Option<Arc<dyn Breaches>>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// New ids.
    pub ids: Arc<dyn IdSource>,
}

/// Gives the user with this e-mail address or phone number a role. For operators: the first
/// administrator is made like this. The store is migrated.
pub async fn grant_role(
    store: &Store,
    data_keys: &dyn DataKeySource,
    identifier: &str,
    role: &str,
    now: Timestamp,
) -> Result<(), GrantError> {
    let keys = secrets::data_keys(store, data_keys, now).await?;
    let user = users::find_active(store, &keys, identifier).await?;
    roles::grant(store, user.ok_or(GrantError::NoSuchUser)?, role, now).await
}

/// Does what is left to do to the data after a migration and SQL cannot: seals contacts that an earlier
/// version stored in clear. Returns how many users that were; the keys are needed only if there are any.
/// [`Identity::init`] does it too; this is for whoever migrates before. Can be killed at any point and be
/// done again.
pub async fn migrate_data(
    store: &Store,
    data_keys: &dyn DataKeySource,
    now: Timestamp,
) -> Result<u64, Error> {
    if !sealing::is_needed(store, now).await? {
        return Ok(0);
    }
    let keys = secrets::data_keys(store, data_keys, now).await?;
    sealing::seal_plain(store, &keys, now).await
}

/// Seals everything that is sealed with the newest data key, after which the older ones are needed no
/// more. May run while processes that have the newest key serve, be killed at any point and be done
/// again. `progress` is told how many values were done so far.
pub async fn reseal(
    store: &Store,
    data_keys: &dyn DataKeySource,
    clock: &dyn Clock,
    progress: impl Fn(u64),
) -> Result<Resealed, Error> {
    secrets::reseal(store, data_keys, clock, progress).await
}

/// Makes the next signing key of a source and publishes it; the processes on the source go over to it by
/// themselves. Done twice, it tells of the key that waits. The store is migrated.
pub async fn rotate_signing_key(
    store: &Store,
    source: &dyn SigningKeySource,
    now: Timestamp,
) -> Result<Rotation, RotationError> {
    keys::rotate(store, source, now).await
}

/// The audit trail as other modules write into it. The store is migrated.
pub fn audit_trail(store: &Store) -> Arc<dyn AuditTrail> {
    Arc::new(audit::Trail(store.clone()))
}

/// Lets the audit trail know where the requests to another module's routes come from.
pub fn note_origins(routes: web::OpenApiRouter) -> web::OpenApiRouter {
    http::note_origins(routes)
}

/// Proves that the audit trail is as it was written. The store is migrated.
pub async fn verify_audit_trail(store: &Store) -> Result<AuditReport, Error> {
    Ok(audit::verify(store).await?)
}

/// The identity module. Clones share everything.
#[derive(Clone)]
pub struct Identity(Arc<Parts>);

struct Parts {
    store: Store,
    data_keys: Arc<DataKeys>,
    keys: Arc<Keys>,
    users: Arc<Users>,
    mfa: Arc<Mfa>,
    passkeys: Arc<Passkeys>,
    sessions: Arc<Sessions>,
    accounts: Arc<Accounts>,
    api_clients: ApiClients,
    roles: Arc<Roles>,
    staff_actions: StaffActions,
    trusted_devices: Arc<TrustedDevices>,
    clock: Arc<dyn Clock>,
    step_up_max_age: Duration,
    trust_contacts: bool,
    resets: Resets,
    verifications: Verifications,
    authenticator: Arc<TokenAuthenticator>,
    refusals: Arc<Refusals>,
}

impl Identity {
    /// Starts identity on a migrated store: makes the signing key if there is none, publishes its
    /// public half, and writes the built-in roles. Needs a running tokio runtime, on which it
    /// follows what other processes revoke.
    pub async fn init(deps: Dependencies, config: Config) -> Result<Self, Error> {
        let Dependencies { store, data_keys, signing_keys, email, sms, breaches, clock, ids } =
            deps;
        let passwords = Arc::new(Passwords::try_new(&config.password_hash)?);
        let acceptance = Acceptance::new(passwords.clone(), breaches, &config);
        let messages = Messages { email, sms };
        roles::ensure_built_in(&store, clock.now()).await?;
        let data_keys = secrets::data_keys(&store, data_keys.as_ref(), clock.now()).await?;
        if sealing::is_needed(&store, clock.now()).await? {
            sealing::seal_plain(&store, &data_keys, clock.now()).await?;
        }
        let data_keys = Arc::new(data_keys);
        let lifetime = config.access_token_lifetime;
        let rotate_every = config.rotate_signing_keys_every;
        let keys =
            Keys::init(store.clone(), signing_keys, lifetime, rotate_every, clock.clone()).await?;
        let revocations = Revocations::init(store.clone(), clock.clone(), lifetime).await?;
        let tokens = Arc::new(AccessTokens::new(
            keys.clone(),
            clock.clone(),
            ids.clone(),
            config.issuer.clone(),
            config.audience,
            lifetime,
        ));
        let users = Arc::new(Users {
            store: store.clone(),
            keys: data_keys.clone(),
            passwords: passwords.clone(),
            acceptance,
            clock: clock.clone(),
            ids: ids.clone(),
        });
        let passkeys = Arc::new(Passkeys {
            store: store.clone(),
            data_keys: data_keys.clone(),
            relying_party: config.relying_party,
            clock: clock.clone(),
            ids: ids.clone(),
        });
        let mfa = Arc::new(Mfa {
            store: store.clone(),
            users: users.clone(),
            passwords: passwords.clone(),
            data_keys: data_keys.clone(),
            passkeys: passkeys.clone(),
            messages: messages.clone(),
            issuer: config.issuer,
            staff_need_one: config.staff_second_factor,
            clock: clock.clone(),
        });
        let trusted_devices = Arc::new(TrustedDevices {
            store: store.clone(),
            clock: clock.clone(),
            ids: ids.clone(),
            lifetime: config.trusted_device_lifetime,
        });
        let sessions = Arc::new(Sessions {
            store: store.clone(),
            users: users.clone(),
            mfa: mfa.clone(),
            passkeys: passkeys.clone(),
            tokens: tokens.clone(),
            revocations: revocations.clone(),
            trusted_devices: trusted_devices.clone(),
            messages: messages.clone(),
            clock: clock.clone(),
            ids: ids.clone(),
            refresh_token_lifetime: config.refresh_token_lifetime,
            session_lifetime: config.session_lifetime,
        });
        let accounts = Arc::new(Accounts {
            store: store.clone(),
            users: users.clone(),
            sessions: sessions.clone(),
            mfa: mfa.clone(),
            messages: messages.clone(),
            clock: clock.clone(),
        });
        let roles = Arc::new(Roles {
            store: store.clone(),
            users: users.clone(),
            revocations: revocations.clone(),
            clock: clock.clone(),
        });
        let staff_actions = StaffActions {
            store: store.clone(),
            users: users.clone(),
            accounts: accounts.clone(),
            roles: roles.clone(),
            clock: clock.clone(),
            ids: ids.clone(),
            four_eyes: config.four_eyes,
            lifetime: config.staff_action_lifetime,
        };
        let api_clients = ApiClients {
            store: store.clone(),
            tokens: tokens.clone(),
            revocations: revocations.clone(),
            clock: clock.clone(),
            ids,
        };
        let resets = Resets {
            store: store.clone(),
            users: users.clone(),
            sessions: sessions.clone(),
            messages: messages.clone(),
            clock: clock.clone(),
            places: Arc::new(Semaphore::new(resets::PLACES)),
        };
        let verifications = Verifications {
            store: store.clone(),
            keys: data_keys.clone(),
            users: users.clone(),
            passwords,
            sessions: sessions.clone(),
            messages,
            clock: clock.clone(),
        };
        let authenticator = Arc::new(TokenAuthenticator { tokens, revocations });
        let refusals = Arc::new(Refusals::new(store.clone(), clock.clone()));
        let parts = Parts {
            store,
            data_keys,
            keys,
            users,
            mfa,
            passkeys,
            sessions,
            accounts,
            api_clients,
            roles,
            staff_actions,
            trusted_devices,
            clock,
            step_up_max_age: config.step_up_max_age,
            trust_contacts: config.trust_contacts,
            resets,
            verifications,
            authenticator,
            refusals,
        };
        Ok(Self(Arc::new(parts)))
    }

    /// Registers a user with the role Customer.
    pub async fn register(&self, new_user: NewUser) -> Result<User, RegisterError> {
        let roles = &[roles::entity::CUSTOMER];
        let contacts = if self.0.trust_contacts { Contacts::Verified } else { Contacts::Claimed };
        self.0.users.register(new_user, roles, contacts).await
    }

    /// Registers a user with these roles, after the same checks. Whoever calls this knows that the
    /// contacts are the user's, so they count as verified.
    pub async fn register_with_roles(
        &self,
        new_user: NewUser,
        roles: &[&str],
    ) -> Result<User, RegisterError> {
        self.0.users.register(new_user, roles, Contacts::Verified).await
    }

    /// Whether anybody is registered.
    pub async fn has_users(&self) -> Result<bool, Error> {
        Ok(self.0.users.any().await?)
    }

    /// Signs a user in by e-mail address or phone number, or asks for the second factor.
    pub async fn log_in(
        &self,
        identifier: &str,
        password: &SecretString,
        device: &Device,
    ) -> Result<LogIn, LogInError> {
        self.0.sessions.log_in(identifier, password, device, None).await
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

    /// Changes the actor's password, which ends their other sessions.
    pub async fn change_password(
        &self,
        actor: &Actor,
        current: &SecretString,
        new: &SecretString,
    ) -> Result<(), AccountError> {
        self.0.accounts.change_password(actor, current, new).await
    }

    /// Sends somebody who forgot their password a token, if they are registered. Returns before
    /// that is known.
    pub fn begin_password_reset(&self, identifier: &str) -> Result<(), ResetError> {
        self.0.resets.begin(identifier)
    }

    /// Sets a new password for whoever brings such a token, and ends all of their sessions.
    pub async fn complete_password_reset(
        &self,
        token: &SecretString,
        new: &SecretString,
    ) -> Result<(), ResetError> {
        self.0.resets.complete(token, new).await
    }

    /// The routes, ready to be merged. They ask the authenticator that the whole router is given,
    /// and `holdings` before somebody leaves.
    pub fn router(&self, holdings: Arc<dyn Holdings>) -> web::OpenApiRouter {
        http::router(self.clone(), holdings)
    }

    /// Checks access tokens, for every module's routes.
    pub fn authenticator(&self) -> Arc<dyn web::Authenticator> {
        self.0.authenticator.clone()
    }

    /// Whether anybody can sign in, as far as the signing keys go. Tokens that were signed count anyway.
    pub fn can_sign_tokens(&self) -> bool {
        self.0.keys.can_sign()
    }

    /// Look-ups of users, for other modules.
    pub fn directory(&self) -> Arc<dyn UserDirectory> {
        let (store, keys) = (self.0.store.clone(), self.0.data_keys.clone());
        Arc::new(Directory { store, keys })
    }

    /// What happened here, for delivery.
    pub fn outbox(&self) -> Arc<dyn EventSource> {
        Arc::new(Outbox(self.0.store.clone()))
    }

    pub(crate) async fn user(&self, id: UserId) -> Result<Option<User>, Error> {
        Ok(self.0.users.find(id).await?.map(User::from))
    }

    pub(crate) fn verifications(&self) -> &Verifications {
        &self.0.verifications
    }

    pub(crate) fn mfa(&self) -> &Mfa {
        &self.0.mfa
    }

    pub(crate) fn passkeys(&self) -> &Passkeys {
        &self.0.passkeys
    }

    pub(crate) fn sessions(&self) -> &Sessions {
        &self.0.sessions
    }

    pub(crate) fn accounts(&self) -> &Accounts {
        &self.0.accounts
    }

    pub(crate) fn api_clients(&self) -> &ApiClients {
        &self.0.api_clients
    }

    pub(crate) fn trusted_devices(&self) -> &TrustedDevices {
        &self.0.trusted_devices
    }

    pub(crate) fn step_up_max_age(&self) -> Duration {
        self.0.step_up_max_age
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.0.clock.now()
    }

    pub(crate) fn roles(&self) -> &Roles {
        &self.0.roles
    }

    pub(crate) fn staff_actions(&self) -> &StaffActions {
        &self.0.staff_actions
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
