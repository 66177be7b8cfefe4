//! A process with identity in it, as the tests see one.

use crate::authenticator::{ORIGIN, RP_ID};
use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http_body_util::BodyExt;
use identity::{
    Config, DataKeyFile, Dependencies, Identity, MIGRATIONS, NewUser, PasswordHashConfig,
    RelyingParty, SigningKeyFolder, User,
};
use identity_api::{Holdings, HoldingsError};
use kernel::{Clock, Event, IdSource, ManualClock, Timestamp, UserId};
use ports::{Email, EmailSender, MessageError, RsaKeySize, Sms, SmsSender, SystemIds};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use store::Store;
use store::sea_orm::ConnectionTrait;
use store::testing::TestDatabase;
use tower::ServiceExt;
use web::OpenApiRouter;

pub(crate) const PASSWORD: &str = "demo-Finitech-1";

/// Cheap hashes: the tests are not about their strength.
pub(crate) const CHEAP: PasswordHashConfig = PasswordHashConfig {
    memory_kib: 64,
    iterations: 1,
    lanes: 4,
    concurrent_max: 2,
    waiting_max: 64,
};

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

/// An answer: status, headers, and body as JSON (`null` when empty).
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: axum::http::HeaderMap,
    pub(crate) body: Value,
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

    /// With settings of the test's own.
    pub(crate) async fn start_configured(
        database: &TestDatabase,
        clock: &Arc<ManualClock>,
        config: Config,
    ) -> Self {
        let store = Store::open("identity", database.target()).await.unwrap();
        store.migrate(MIGRATIONS).await.unwrap();
        let keys = Arc::new(tempfile::tempdir().unwrap());
        let keys_folder = keys.path().join("keys");
        write_data_keys(&keys_folder, &[1]);
        let messages = Arc::new(Messages::default());
        let deps = dependencies(&store, clock, &messages, &keys_folder);
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
        let response = app.oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        let body = match bytes.is_empty() {
            true => Value::Null,
            false => serde_json::from_slice(&bytes).unwrap(),
        };
        Answer { status: parts.status.as_u16(), headers: parts.headers, body }
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
        let number = name.bytes().fold(0, |sum, byte| (sum * 31 + u32::from(byte)) % 10_000);
        let email = format!("{name}@staff.example.com");
        let new = NewUser {
            email: email.clone(),
            phone_number: format!("+21261234{number:04}"),
            password: PASSWORD.into(),
            display_name: name.to_owned(),
        };
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

/// Gives a folder these data keys, each one byte repeated: processes on one database need the same.
pub(crate) fn write_data_keys(keys_folder: &Path, keys: &[u8]) {
    use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
    let lines: String =
        keys.iter().map(|key| format!("{}\n", STANDARD.encode([*key; 32]))).collect();
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(keys_folder).unwrap();
    let mut options = std::fs::OpenOptions::new();
    let file = options.write(true).create(true).truncate(true).mode(0o600);
    let mut file = file.open(keys_folder.join("data-keys")).unwrap();
    std::io::Write::write_all(&mut file, lines.as_bytes()).unwrap();
}

pub(crate) fn dependencies(
    store: &Store,
    clock: &Arc<ManualClock>,
    messages: &Arc<Messages>,
    keys_folder: &Path,
) -> Dependencies {
    Dependencies {
        store: store.clone(),
        data_keys: Arc::new(DataKeyFile::in_folder(keys_folder, SystemIds.next())),
        signing_keys: Arc::new(signing_keys(keys_folder)),
        email: messages.clone(),
        sms: messages.clone(),
        clock: clock.clone(),
        ids: Arc::new(SystemIds),
    }
}

/// The signing keys of a folder: small ones, because their strength is not what is tested.
pub(crate) fn signing_keys(keys_folder: &Path) -> SigningKeyFolder {
    SigningKeyFolder::new(keys_folder.to_owned(), RsaKeySize::Bits2048, Arc::new(SystemIds))
}

impl Answer {
    /// The status and the problem's code, after checking that it is one.
    #[track_caller]
    pub(crate) fn problem(&self) -> (u16, &str) {
        assert_eq!(self.headers["content-type"], "application/problem+json", "{}", self.body);
        assert_eq!(self.body["status"], self.status);
        (self.status, self.body["code"].as_str().unwrap())
    }

    /// The pointers of a problem's `errors`, sorted.
    pub(crate) fn pointers(&self) -> Vec<&str> {
        let errors = self.body["errors"].as_array().into_iter().flatten();
        let mut pointers: Vec<_> = errors.map(|error| error["pointer"].as_str().unwrap()).collect();
        pointers.sort_unstable();
        pointers
    }

    /// The access and the refresh token of a sign-in or refresh.
    #[track_caller]
    pub(crate) fn tokens(&self) -> (String, String) {
        assert_eq!(self.status, 200, "{}", self.body);
        let text = |name: &str| self.body[name].as_str().unwrap().to_owned();
        (text("accessToken"), text("refreshToken"))
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
