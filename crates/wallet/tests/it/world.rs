//! A bank of its own for each test: identity, the ledger, and one or more processes with wallets in them.

use crate::faults::{FaultyGateway, FaultyLedger};
use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use axum::http::Request;
use identity::testing::CHEAP;
pub(crate) use identity::testing::PASSWORD;
use identity::{Identity, NewUser};
use identity_api::{Holdings, HoldingsError};
use kernel::{ManualClock, Timestamp, UserId};
use ledger::{CheckpointSigner, EngineConfig, Ledger};
use ledger_api::{AccountId, Constraint, Ledger as _, NewAccount, Side, TransactionId};
use ports::SystemIds;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use store::Store;
use store::sea_orm::{ConnectionTrait, TryGetable};
use store::testing::TestDatabase;
use uuid::Uuid;
use wallet::{Config, Dependencies, Wallets};
pub(crate) use web::testing::Answer;

/// What somebody who leaves has in the wallets of a process.
struct InWallets(Wallets);

#[async_trait]
impl Holdings for InWallets {
    async fn close(&self, user: UserId) -> Result<bool, HoldingsError> {
        self.0.close_wallets(user).await.map_err(|error| HoldingsError(Box::new(error)))
    }
}

pub(crate) struct World {
    pub(crate) identity: Identity,
    pub(crate) identity_store: Store,
    pub(crate) ledger: Ledger,
    pub(crate) ledger_store: Store,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) gateway: Arc<FaultyGateway>,
    /// The process that the short words below speak to.
    pub(crate) process: Process,
    keys_made: AtomicU64,
    _keys_folder: tempfile::TempDir,
}

/// One process with the wallet module in it.
pub(crate) struct Process {
    pub(crate) wallets: Wallets,
    pub(crate) ledger: Arc<FaultyLedger>,
    pub(crate) store: Store,
    router: Router,
}

/// Somebody signed in, with a wallet.
#[derive(Clone)]
pub(crate) struct Person {
    pub(crate) user_id: UserId,
    pub(crate) token: String,
    pub(crate) wallet_id: Uuid,
    pub(crate) phone: &'static str,
    pub(crate) email: &'static str,
}

/// Everything that changes when money moves.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Books {
    /// Per ledger account: posted debits and credits, pending debits and credits.
    counters: Vec<[i64; 4]>,
    ledger_transactions: i64,
    ledger_entries: i64,
    history_lines: i64,
    events: i64,
}

pub(crate) fn noon() -> Timestamp {
    "2026-11-23T12:00:00Z".parse().unwrap()
}

fn start_ledger(store: &Store, config: EngineConfig, clock: &Arc<ManualClock>) -> Ledger {
    let signer = Arc::new(CheckpointSigner::try_new("test/ledger", &[7; 32]).unwrap());
    Ledger::init(store.clone(), config, signer, clock.clone(), Arc::new(SystemIds)).unwrap()
}

impl World {
    pub(crate) async fn new(database: &TestDatabase) -> Self {
        let open = |module| Store::open(module, database.target());
        let identity_store = open("identity").await.unwrap();
        identity_store.migrate(identity::MIGRATIONS).await.unwrap();
        let ledger_store = open("ledger").await.unwrap();
        ledger_store.migrate(ledger::MIGRATIONS).await.unwrap();
        let keys_folder = tempfile::tempdir().unwrap();
        let settings = identity::Config { password_hash: CHEAP, ..identity::Config::default() };
        // Identity's clock stands still, so that tokens live through every test.
        let still = Arc::new(ManualClock::at(noon()));
        let deps = identity::testing::dependencies(&identity_store, keys_folder.path(), still);
        let identity = Identity::init(deps, settings).await.unwrap();
        let clock = Arc::new(ManualClock::at(noon()));
        let engine = EngineConfig::default();
        let ledger = start_ledger(&ledger_store, engine, &clock);
        let gateway = Arc::new(FaultyGateway::default());
        let process = Process::start(database, &identity, &ledger, &gateway, &clock).await;
        Self {
            identity,
            identity_store,
            ledger,
            ledger_store,
            clock,
            gateway,
            process,
            keys_made: AtomicU64::new(0),
            _keys_folder: keys_folder,
        }
    }

    /// Amina and Youssef with wallets in MAD and EUR, Amina's with 1,000.00 MAD in it.
    pub(crate) async fn with_two(database: &TestDatabase) -> (Self, Person, Person) {
        let world = Self::new(database).await;
        let amina = world.person(0, &["MAD", "EUR"]).await;
        let youssef = world.person(1, &["MAD", "EUR"]).await;
        world.fund(&amina, 100_000).await;
        (world, amina, youssef)
    }

    /// One more process on the same database and ledger.
    pub(crate) async fn another_process(&self, database: &TestDatabase) -> Process {
        Process::start(database, &self.identity, &self.ledger, &self.gateway, &self.clock).await
    }

    /// The person with this number, registered, signed in, and with a wallet in these currencies.
    pub(crate) async fn person(&self, number: usize, currencies: &[&str]) -> Person {
        let mut person = self.person_with_roles(number, &["Customer"]).await;
        person.wallet_id = self.open_wallet(&person, currencies).await;
        person
    }

    /// The person with this number, registered and signed in, without a wallet.
    pub(crate) async fn person_with_roles(&self, number: usize, roles: &[&str]) -> Person {
        let (name, email, phone) = PEOPLE[number];
        let new_user = NewUser {
            email: email.into(),
            phone_number: phone.into(),
            password: PASSWORD.into(),
            display_name: name.into(),
        };
        let user = self.identity.register_with_roles(new_user, roles).await.unwrap();
        let body = json!({ "identifier": email, "password": PASSWORD });
        let request = Request::post("/api/v1/auth/login")
            .header("content-type", "application/json")
            .body(body.to_string().into());
        let answer = self.process.send(request.unwrap()).await;
        let (token, _) = answer.tokens();
        Person { user_id: user.id, token, wallet_id: Uuid::nil(), phone, email }
    }

    pub(crate) async fn open_wallet(&self, person: &Person, currencies: &[&str]) -> Uuid {
        let body = json!({ "currencies": currencies });
        let answer = self.process.post(person, "/api/v1/wallets", None, &body).await;
        assert_eq!(answer.status, 201, "{}", answer.body);
        answer.id()
    }

    /// Tops a wallet up with this many minor units of MAD.
    pub(crate) async fn fund(&self, person: &Person, amount: i64) {
        let answer = self.process.top_up(person, &self.key(), &mad(amount)).await;
        assert_eq!(answer.status, 201, "{}", answer.body);
    }

    /// Runs SQL on the ledger. Its engine knows the accounts as it left them, until another one writes.
    pub(crate) async fn tamper_ledger(&self, sql: &str) {
        tamper(&self.ledger_store, sql).await;
        let other = start_ledger(&self.ledger_store, EngineConfig::default(), &self.clock);
        let new = NewAccount {
            id: AccountId(kernel::IdSource::next(&SystemIds)),
            name: "Other".into(),
            currency: kernel::Currency::MAD,
            normal_side: Side::Credit,
            constraint: Constraint::NonNegative,
        };
        other.open_account(new).await.unwrap();
        other.shut_down().await;
    }

    /// A key that was not used before.
    pub(crate) fn key(&self) -> String {
        format!("key-{}", self.keys_made.fetch_add(1, Ordering::Relaxed))
    }

    /// Lets every lease run out, whatever clocks may be apart.
    pub(crate) fn let_leases_end(&self) {
        self.clock.advance(Duration::from_mins(1));
    }

    /// What a person's wallet has in MAD, which must be available as well.
    pub(crate) async fn balance(&self, person: &Person) -> i64 {
        let answer = self.process.get(person, &person.wallet_path("")).await;
        let balance = &answer.body["balances"][0];
        assert_eq!(balance["currencyCode"], "MAD");
        assert_eq!(balance["balanceMinorUnits"], balance["availableMinorUnits"]);
        balance["balanceMinorUnits"].as_i64().unwrap()
    }

    /// The lines of a person's history, newest first.
    pub(crate) async fn history(&self, person: &Person) -> Vec<Value> {
        let answer = self.process.get(person, &person.wallet_path("/transactions?limit=200")).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        assert_eq!(answer.body["nextCursor"], Value::Null);
        answer.body["items"].as_array().unwrap().clone()
    }

    pub(crate) async fn books(&self) -> Books {
        let sql = "select posted_debits, posted_credits, pending_debits, pending_credits \
                   from account_states order by account_sequence";
        let ledger = &self.ledger_store;
        let rows = ledger.read().query_all_raw(ledger.statement(sql, [])).await.unwrap();
        let counters = rows.iter().map(|row| [0, 1, 2, 3].map(|at| column(row, at))).collect();
        let wallet = &self.process.store;
        Books {
            counters,
            ledger_transactions: count(ledger, "transactions").await,
            ledger_entries: count(ledger, "entries").await,
            history_lines: count(wallet, "wallet_transactions").await,
            events: count(wallet, "outbox").await,
        }
    }

    /// Every operation with its status, in the order in which they were asked.
    pub(crate) async fn operations(&self) -> Vec<(String, TransactionId)> {
        self.operations_after(Uuid::nil()).await
    }

    async fn operations_after(&self, id: Uuid) -> Vec<(String, TransactionId)> {
        let store = &self.process.store;
        let sql = "select status, ledger_transaction_id from operations where id > $1 order by id";
        let rows = store.read().query_all_raw(store.statement(sql, [id.into()])).await.unwrap();
        rows.iter().map(|row| (column(row, 0), TransactionId(column(row, 1)))).collect()
    }

    pub(crate) async fn statuses(&self) -> Vec<String> {
        self.operations().await.into_iter().map(|(status, _)| status).collect()
    }

    /// The ledger and the wallets tell the same story, and the ledger adds up. Nothing is pending.
    pub(crate) async fn assert_settled(&self) {
        let completed = self.assert_settled_after(Uuid::nil()).await;
        assert_eq!(count(&self.ledger_store, "transactions").await, completed);
        let report =
            ledger::verify(&self.ledger_store, &ledger::Verification::default(), |_, _| ())
                .await
                .unwrap();
        assert_eq!(report.findings, []);
    }

    /// The operations with a larger id are completed or rejected as the ledger has them. Returns how many
    /// are completed.
    pub(crate) async fn assert_settled_after(&self, id: Uuid) -> i64 {
        let mut completed = 0;
        for (status, transaction_id) in self.operations_after(id).await {
            let posted = self.ledger.transaction(transaction_id).await.unwrap().is_some();
            match status.as_str() {
                "completed" => assert!(posted, "{transaction_id} is completed, not in the ledger"),
                "rejected" => assert!(!posted, "{transaction_id} is rejected and in the ledger"),
                other => panic!("{transaction_id} is {other}"),
            }
            completed += i64::from(posted);
        }
        completed
    }
}

impl Process {
    async fn start(
        database: &TestDatabase,
        identity: &Identity,
        ledger: &Ledger,
        gateway: &Arc<FaultyGateway>,
        clock: &Arc<ManualClock>,
    ) -> Self {
        let store = Store::open("wallet", database.target()).await.unwrap();
        store.migrate(wallet::MIGRATIONS).await.unwrap();
        let faulty = Arc::new(FaultyLedger::new(ledger.clone()));
        let dependencies = Dependencies {
            store: store.clone(),
            ledger: faulty.clone(),
            directory: identity.directory(),
            payment_gateway: gateway.clone(),
            clock: clock.clone(),
            ids: Arc::new(SystemIds),
        };
        let wallets = Wallets::new(dependencies, Config::default());
        let holdings = Arc::new(InWallets(wallets.clone()));
        let routes = wallets.router().merge(identity.router(holdings)).split_for_parts().0;
        let router = web::authenticate_with(routes, identity.authenticator());
        Self { wallets, ledger: faulty, store, router }
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        Answer::of(self.router.clone(), request).await
    }

    pub(crate) async fn get(&self, person: &Person, path: &str) -> Answer {
        let request = Request::get(path)
            .header("authorization", format!("Bearer {}", person.token))
            .body(Body::empty());
        self.send(request.unwrap()).await
    }

    pub(crate) async fn post(
        &self,
        person: &Person,
        path: &str,
        key: Option<&str>,
        body: &Value,
    ) -> Answer {
        let mut request = Request::post(path)
            .header("authorization", format!("Bearer {}", person.token))
            .header("content-type", "application/json");
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        self.send(request.body(body.to_string().into()).unwrap()).await
    }

    pub(crate) async fn top_up(&self, person: &Person, key: &str, body: &Value) -> Answer {
        self.post(person, &person.wallet_path("/top-ups"), Some(key), body).await
    }

    pub(crate) async fn transfer(&self, person: &Person, key: &str, body: &Value) -> Answer {
        self.post(person, &person.wallet_path("/transfers"), Some(key), body).await
    }

    pub(crate) async fn sweep(&self) -> u32 {
        self.wallets.finish_abandoned(100).await.unwrap()
    }
}

impl Person {
    /// The path of the wallet, or of something below it.
    pub(crate) fn wallet_path(&self, below: &str) -> String {
        format!("/api/v1/wallets/{}{below}", self.wallet_id)
    }
}

/// A top-up of dirhams.
pub(crate) fn mad(amount: i64) -> Value {
    json!({ "amountMinorUnits": amount, "currencyCode": "MAD" })
}

/// A transfer of dirhams to a wallet.
pub(crate) fn to(recipient: &Person, amount: i64) -> Value {
    let to = json!({ "walletId": recipient.wallet_id });
    json!({ "to": to, "amountMinorUnits": amount, "currencyCode": "MAD" })
}

pub(crate) async fn count(store: &Store, table: &str) -> i64 {
    let sql = format!("select count(*) from {table}");
    let row = store.read().query_one_raw(store.statement(&sql, [])).await.unwrap();
    column(&row.unwrap(), 0)
}

/// Runs SQL as whoever has the database's password would.
pub(crate) async fn tamper(store: &Store, sql: &str) {
    let tx = store.begin().await.unwrap();
    tx.execute_unprepared(sql).await.unwrap();
    tx.commit().await.unwrap();
}

/// Likewise of one user; `$1` is their id.
pub(crate) async fn tamper_with_user(store: &Store, sql: &str, person: &Person) {
    let tx = store.begin().await.unwrap();
    tx.execute_raw(store.statement(sql, [person.user_id.0.into()])).await.unwrap();
    tx.commit().await.unwrap();
}

fn column<T: TryGetable>(row: &store::sea_orm::QueryResult, at: usize) -> T {
    row.try_get_by_index(at).unwrap()
}

/// Name, e-mail address, phone number.
pub(crate) const PEOPLE: [(&str, &str, &str); 6] = [
    ("Amina El Idrissi", "amina@example.com", "+212612345678"),
    ("Youssef", "youssef@example.com", "+212612345679"),
    ("Salma", "salma@example.com", "+212612345680"),
    ("Karim", "karim@example.com", "+212612345681"),
    ("Nadia", "nadia@example.com", "+212612345682"),
    ("Omar", "omar@example.com", "+212612345683"),
];
