//! A vault, and identity beside it: who signs in, and the audit trail.

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use cards::{Cards, Config, Dependencies, MIGRATIONS};
pub(crate) use identity::testing::PASSWORD;
use identity::testing::{CHEAP, member_of_staff};
use identity::{DataKeyFile, Identity};
use kernel::{Clock, Event, IdSource, ManualClock, Timestamp, UserId};
use ports::SystemIds;
use sealing::testing::write_data_keys;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::sync::Arc;
use store::Store;
use store::sea_orm::{ConnectionTrait, TryGetable};
use store::testing::TestDatabase;
use uuid::Uuid;
pub(crate) use web::testing::Answer;

/// A number that card schemes publish for tests.
pub(crate) const NUMBER: &str = "4111111111111111";
pub(crate) const TOKENS: &str = "/api/v1/cards/tokens";
pub(crate) const SEARCH: &str = "/api/v1/cards/tokens/search";
pub(crate) const DETOKENIZE: &str = "/api/v1/admin/cards/tokens/detokenize";
pub(crate) const DELETE: &str = "/api/v1/admin/cards/tokens/delete";

pub(crate) struct World {
    pub(crate) identity: Identity,
    pub(crate) identity_store: Store,
    pub(crate) cards: Cards,
    pub(crate) store: Store,
    pub(crate) clock: Arc<ManualClock>,
    router: Router,
    folder: tempfile::TempDir,
}

/// An entry of the audit trail.
#[derive(Debug, PartialEq)]
pub(crate) struct Audited {
    pub(crate) actor: Option<UserId>,
    pub(crate) object: Option<Uuid>,
    pub(crate) user_agent: String,
    pub(crate) details: Value,
}

impl World {
    pub(crate) async fn open(database: &TestDatabase) -> Self {
        let folder = tempfile::tempdir().unwrap();
        write_data_keys(&folder.path().join("keys"), &[1]);
        Self::open_in(database, folder).await
    }

    /// Another process on the same database, with the keys that the file has now.
    pub(crate) async fn restarted(self, database: &TestDatabase) -> Self {
        Self::open_in(database, self.folder).await
    }

    async fn open_in(database: &TestDatabase, folder: tempfile::TempDir) -> Self {
        let open = |module| Store::open(module, database.target());
        let identity_store = open("identity").await.unwrap();
        identity_store.migrate(identity::MIGRATIONS).await.unwrap();
        let store = open("cards").await.unwrap();
        store.migrate(MIGRATIONS).await.unwrap();
        let clock = Arc::new(ManualClock::at("2026-11-23T09:30:00Z".parse::<Timestamp>().unwrap()));
        let keys_folder = folder.path().join("keys");
        let deps = identity::testing::dependencies(&identity_store, &keys_folder, clock.clone());
        let settings = identity::Config {
            password_hash: CHEAP,
            // Not what these tests are about.
            staff_second_factor: false,
            ..identity::Config::default()
        };
        let identity = Identity::init(deps, settings).await.unwrap();
        let deps = Dependencies {
            store: store.clone(),
            data_keys: Arc::new(DataKeyFile::in_folder(&keys_folder, SystemIds.next())),
            audit: identity::audit_trail(&identity_store),
            clock: clock.clone(),
            ids: Arc::new(SystemIds),
        };
        let cards = Cards::init(deps, Config::default()).await.unwrap();
        let routes = identity::note_origins(cards.router());
        let routes = web::OpenApiRouter::from(Router::new())
            .merge(routes)
            .merge(identity.router(Arc::new(NoHoldings)));
        let (router, _) = routes.split_for_parts();
        let router = web::authenticate_with(router, identity.authenticator());
        Self { identity, identity_store, cards, store, clock, router, folder }
    }

    /// Somebody with these roles, signed in just now: their id and their access token.
    pub(crate) async fn staff(&self, name: &str, roles: &[&str]) -> (UserId, String) {
        let new = member_of_staff(name);
        let email = new.email.clone();
        let user = self.identity.register_with_roles(new, roles).await.unwrap();
        let body = json!({ "identifier": email, "password": PASSWORD });
        (user.id, self.post("", "/api/v1/auth/login", &body).await.tokens().0)
    }

    pub(crate) async fn post(&self, token: &str, path: &str, body: &Value) -> Answer {
        self.post_text(token, path, body.to_string()).await
    }

    pub(crate) async fn post_text(&self, token: &str, path: &str, body: String) -> Answer {
        let request = Request::post(path)
            .header("content-type", "application/json")
            .header("authorization", format!("Bearer {token}"))
            .header("user-agent", "tests")
            .body(Body::from(body));
        Answer::of(self.router.clone(), request.unwrap()).await
    }

    /// The token that a number gets.
    pub(crate) async fn tokenized(&self, as_whom: &str, number: &str) -> String {
        let answer = self.post(as_whom, TOKENS, &json!({ "cardNumber": number })).await;
        assert!([200, 201].contains(&answer.status), "{}", answer.body);
        answer.body["token"].as_str().unwrap().to_owned()
    }

    /// What the audit trail says of this action, oldest first.
    pub(crate) async fn audited(&self, action: &str) -> Vec<Audited> {
        let sql = "select actor_id, object_id, user_agent, details from audit_events \
                   where action = $1 order by sequence";
        let store = &self.identity_store;
        let rows = store.read().query_all_raw(store.statement(sql, [action.into()])).await;
        let entry = |row| Audited {
            actor: Option::<Uuid>::try_get(row, "", "actor_id").unwrap().map(UserId),
            object: Option::try_get(row, "", "object_id").unwrap(),
            user_agent: String::try_get(row, "", "user_agent").unwrap(),
            details: serde_json::from_str(&String::try_get(row, "", "details").unwrap()).unwrap(),
        };
        rows.unwrap().iter().map(entry).collect()
    }

    pub(crate) async fn events(&self) -> Vec<Event> {
        self.cards.events().after(0, 1_000).await.unwrap()
    }

    pub(crate) fn data_keys(&self) -> DataKeyFile {
        DataKeyFile::at(self.data_keys_file())
    }

    pub(crate) fn write_data_keys(&self, keys: &[u8]) {
        write_data_keys(&self.folder.path().join("keys"), keys);
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn data_keys_file(&self) -> PathBuf {
        self.folder.path().join("keys/data-keys")
    }
}

/// Nobody leaves in these tests.
struct NoHoldings;

#[async_trait::async_trait]
impl identity_api::Holdings for NoHoldings {
    async fn close(&self, _: UserId) -> Result<bool, identity_api::HoldingsError> {
        Ok(true)
    }
}

/// Runs SQL on a store.
pub(crate) async fn run(store: &Store, sql: &str) {
    let tx = store.begin().await.unwrap();
    tx.execute_unprepared(sql).await.unwrap();
    tx.commit().await.unwrap();
}

/// How many rows a table has.
pub(crate) async fn count(store: &Store, table: &str) -> i64 {
    let sql = format!("select count(*) as rows from {table}");
    let row = store.read().query_one_raw(store.statement(&sql, [])).await.unwrap().unwrap();
    i64::try_get(&row, "", "rows").unwrap()
}
