//! A process with identity in it, as the tests see one.

use crate::authenticator::{ORIGIN, RP_ID};
use async_trait::async_trait;
pub(crate) use identity::testing::{CHEAP, PASSWORD, signing_keys};
use identity::{
    Config, Dependencies, Identity, MIGRATIONS, NewUser, PasswordHashConfig, RelyingParty, User,
};
use identity_api::{Holdings, HoldingsError};
use kernel::{Clock, Event, ManualClock, Timestamp, UserId};
use ports::{Breaches, Email, EmailSender, MessageError, Sms, SmsSender};
pub(crate) use sealing::testing::write_data_keys;
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use store::Store;
use store::sea_orm::ConnectionTrait;
use store::testing::TestDatabase;
use web::OpenApiRouter;
pub(crate) use web::testing::Answer;

pub(crate) struct Process {
    pub(crate) identity: Identity,
    pub(crate) store: Store,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) messages: Arc<Messages>,
    pub(crate) money: Arc<Money>,
    keys: Arc<tempfile::TempDir>,
}

/// Messages that were sent: where to, and the text.
#[derive(Default)]
pub(crate) struct Messages(Mutex<Vec<(String, String)>>);

#[async_trait]
impl EmailSender for Messages {
    async fn send_email(&self, email: Email) -> Result<(), MessageError> {
        self.0.lock().unwrap().push((email.to, email.text.expose_secret().to_owned()));
        Ok(())
    }
}

#[async_trait]
impl SmsSender for Messages {
    async fn send_sms(&self, sms: Sms) -> Result<(), MessageError> {
        self.0.lock().unwrap().push((sms.to, sms.text.expose_secret().to_owned()));
        Ok(())
    }
}

impl Messages {
    /// Waits for the next message, which comes after the answer to the request.
    pub(crate) async fn next(&self) -> (String, String) {
        for _ in 0..500 {
            if let Some(message) = self.0.lock().unwrap().pop() {
                return message;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("no message came");
    }

    /// Whether nothing comes for a while.
    pub(crate) async fn stays_empty(&self) -> bool {
        tokio::time::sleep(Duration::from_millis(200)).await;
        self.0.lock().unwrap().is_empty()
    }
}

/// Whether everybody holds money.
#[derive(Default)]
pub(crate) struct Money(pub(crate) AtomicBool);

#[async_trait]
impl Holdings for Money {
    async fn close(&self, _: UserId) -> Result<bool, HoldingsError> {
        Ok(!self.0.load(Ordering::SeqCst))
    }
}

pub(crate) fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::at("2026-11-23T09:30:00Z".parse::<Timestamp>().unwrap()))
}

impl Process {
    /// A process of its own on the database: own connections, own keys folder.
    pub(crate) async fn start(database: &TestDatabase, clock: &Arc<ManualClock>) -> Self {
        Self::start_with(database, clock, CHEAP).await
    }

    pub(crate) async fn start_with(
        database: &TestDatabase,
        clock: &Arc<ManualClock>,
        password_hash: PasswordHashConfig,
    ) -> Self {
        let relying_party = RelyingParty { id: RP_ID.to_owned(), origins: vec![ORIGIN.to_owned()] };
        let relying_party = Some(relying_party);
        // Most tests are not about what staff have to show.
        let staff_second_factor = false;
        let config =
            Config { password_hash, relying_party, staff_second_factor, ..Config::default() };
        Self::start_configured(database, clock, config).await
    }

    /// Where one member of staff is enough for everything.
    pub(crate) async fn start_with_two_eyes(database: &TestDatabase) -> Self {
        let config = Config {
            password_hash: CHEAP,
            four_eyes: false,
            staff_second_factor: false,
            ..Config::default()
        };
        Self::start_configured(database, &clock(), config).await
    }

    /// With settings of the test's own.
    pub(crate) async fn start_configured(
        database: &TestDatabase,
        clock: &Arc<ManualClock>,
        config: Config,
    ) -> Self {
        Self::start_asking(database, clock, config, None).await
    }

    /// Likewise, where somebody knows breached passwords.
    pub(crate) async fn start_asking(
        database: &TestDatabase,
        clock: &Arc<ManualClock>,
        config: Config,
        breaches: Option<Arc<dyn Breaches>>,
    ) -> Self {
        let store = Store::open("identity", database.target()).await.unwrap();
        store.migrate(MIGRATIONS).await.unwrap();
        let keys = Arc::new(tempfile::tempdir().unwrap());
        let keys_folder = keys.path().join("keys");
        write_data_keys(&keys_folder, &[1]);
        let messages = Arc::new(Messages::default());
        let deps =
            Dependencies { breaches, ..dependencies(&store, clock, &messages, &keys_folder) };
        let identity = Identity::init(deps, config).await.unwrap();
        Self { identity, store, clock: clock.clone(), messages, money: Arc::default(), keys }
    }

    /// Another process on the same folder.
    pub(crate) fn with_identity(&self, identity: Identity) -> Self {
        Self {
            identity,
            store: self.store.clone(),
            clock: self.clock.clone(),
            messages: self.messages.clone(),
            money: self.money.clone(),
            keys: self.keys.clone(),
        }
    }

    pub(crate) fn key_file(&self) -> PathBuf {
        self.keys_folder().join("signing-key.pem")
    }

    pub(crate) fn keys_folder(&self) -> PathBuf {
        Path::join(self.keys.path(), "keys")
    }

    pub(crate) fn now(&self) -> i64 {
        self.clock.now().as_seconds()
    }

    pub(crate) async fn send(&self, request: axum::http::Request<axum::body::Body>) -> Answer {
        let router: OpenApiRouter = self.identity.router(self.money.clone());
        let authenticator = self.identity.authenticator();
        let app = web::authenticate_with(router.split_for_parts().0, authenticator.clone());
        let app = web::note_refusals(app, authenticator, self.identity.refusals());
        Answer::of(app, request).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        let request = axum::http::Request::post(path)
            .header("content-type", "application/json")
            .header("user-agent", "tests")
            .body(body.to_string().into());
        self.send(request.unwrap()).await
    }

    pub(crate) async fn post_as(&self, token: &str, path: &str, body: Value) -> Answer {
        let request = axum::http::Request::post(path)
            .header("content-type", "application/json")
            .header("authorization", format!("Bearer {token}"))
            .body(body.to_string().into());
        self.send(request.unwrap()).await
    }

    pub(crate) async fn get(&self, path: &str, token: &str) -> Answer {
        let request = axum::http::Request::get(path)
            .header("authorization", format!("Bearer {token}"))
            .body(axum::body::Body::empty());
        self.send(request.unwrap()).await
    }

    pub(crate) async fn me(&self, token: &str) -> Answer {
        self.get("/api/v1/me", token).await
    }

    pub(crate) async fn log_in(&self, identifier: &str, password: &str) -> Answer {
        let body = json!({ "identifier": identifier, "password": password });
        self.post("/api/v1/auth/login", body).await
    }

    pub(crate) async fn log_in_from(&self, user_agent: &str) -> Answer {
        let body = json!({ "identifier": "amina@example.com", "password": PASSWORD });
        let request = axum::http::Request::post("/api/v1/auth/login")
            .header("content-type", "application/json")
            .header("user-agent", user_agent)
            .body(body.to_string().into());
        self.send(request.unwrap()).await
    }

    pub(crate) async fn refresh(&self, token: &str) -> Answer {
        self.post("/api/v1/auth/refresh", json!({ "refreshToken": token })).await
    }

    pub(crate) async fn log_out(&self, token: &str) -> Answer {
        let request = axum::http::Request::post("/api/v1/auth/logout")
            .header("authorization", format!("Bearer {token}"))
            .body(axum::body::Body::empty());
        self.send(request.unwrap()).await
    }

    /// A member of staff, signed in: their id and access token. The name makes the contacts.
    pub(crate) async fn staff(&self, name: &str, roles: &[&str]) -> (UserId, String) {
        let new = identity::testing::member_of_staff(name);
        let email = new.email.clone();
        let user = self.identity.register_with_roles(new, roles).await.unwrap();
        (user.id, self.log_in(&email, PASSWORD).await.tokens().0)
    }

    /// Registers Amina.
    pub(crate) async fn register_amina(&self) -> User {
        self.identity.register(amina()).await.unwrap()
    }

    /// Registers Amina, whose contacts are known to be hers.
    pub(crate) async fn verified_amina(&self) -> User {
        self.identity.register_with_roles(amina(), &["Customer"]).await.unwrap()
    }

    /// Registers Amina and signs her in: access token, refresh token.
    pub(crate) async fn signed_in_amina(&self) -> (String, String) {
        self.register_amina().await;
        self.log_in("amina@example.com", PASSWORD).await.tokens()
    }

    /// How many entries of the audit trail say this.
    pub(crate) async fn audited(&self, action: &str) -> i64 {
        let sql = "select cast(count(*) as bigint) from audit_events where action = $1";
        let statement = self.store.statement(sql, [action.into()]);
        let row = self.store.read().query_one_raw(statement).await.unwrap().unwrap();
        row.try_get_by_index(0).unwrap()
    }

    pub(crate) async fn events(&self) -> Vec<Event> {
        self.identity.outbox().after(0, 100).await.unwrap()
    }
}

pub(crate) fn dependencies(
    store: &Store,
    clock: &Arc<ManualClock>,
    messages: &Arc<Messages>,
    keys_folder: &Path,
) -> Dependencies {
    Dependencies {
        email: messages.clone(),
        sms: messages.clone(),
        ..identity::testing::dependencies(store, keys_folder, clock.clone())
    }
}

pub(crate) fn amina() -> NewUser {
    NewUser {
        email: "amina@example.com".into(),
        phone_number: "+212612345678".into(),
        password: PASSWORD.into(),
        display_name: "Amina El Idrissi".into(),
    }
}

pub(crate) fn youssef() -> NewUser {
    NewUser {
        email: "youssef@example.com".into(),
        phone_number: "+212612345679".into(),
        password: PASSWORD.into(),
        display_name: "Youssef".into(),
    }
}
