//! A ledger of its own for each test, its routes, and short words for what is posted to it.

use axum::Router;
use axum::body::Body;
use axum::http::{Request, header};
use http_body_util::BodyExt;
use identity_api::{AuditRecord, AuditTrail, AuditTrailError};
use kernel::{Actor, ActorKind, Clock, Currency, ManualClock, Money, Timestamp, UserId};
use ledger::{CheckpointSigner, EngineConfig, Ledger, MIGRATIONS};
use ledger_api::{
    AccountId, Constraint, Ledger as _, Leg, NewAccount, NewTransaction, Side, Transaction,
    TransactionId,
};
use ports::SystemIds;
use serde_json::Value;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use store::Store;
use store::testing::TestDatabase;
use tower::ServiceExt;
use uuid::Uuid;
use web::{AuthenticationError, Authenticator, Limits};

pub(crate) struct World {
    pub(crate) store: Store,
    pub(crate) ledger: Ledger,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) router: Router,
}

/// A token is the list of its permissions.
struct Tokens;

#[async_trait::async_trait]
impl Authenticator for Tokens {
    async fn authenticate(
        &self,
        token: &str,
        _: Option<IpAddr>,
    ) -> Result<Actor, AuthenticationError> {
        Ok(Actor {
            user_id: UserId(Uuid::from_u128(1)),
            kind: ActorKind::Person,
            session_id: Uuid::nil(),
            roles: [].into(),
            permissions: token.split(',').map(str::to_owned).collect(),
            authenticated_at: None,
        })
    }
}

/// These tests are not about the audit trail.
struct NoTrail;

#[async_trait::async_trait]
impl AuditTrail for NoTrail {
    async fn record(&self, _: AuditRecord) -> Result<(), AuditTrailError> {
        Ok(())
    }
}

pub(crate) const STAFF: &str = "ledger:read,ledger:write";

pub(crate) fn noon() -> Timestamp {
    "2026-11-23T12:00:00.000001Z".parse().unwrap()
}

fn start(store: &Store, config: EngineConfig, clock: &Arc<ManualClock>) -> Ledger {
    let signer = Arc::new(CheckpointSigner::try_new("test/ledger", &[7; 32]).unwrap());
    Ledger::init(store.clone(), config, signer, clock.clone(), Arc::new(SystemIds)).unwrap()
}

impl World {
    /// Reads must not depend on rows that the engine writes later, so all of them are behind here.
    pub(crate) async fn new(database: &TestDatabase) -> Self {
        let config = EngineConfig { rows_at_once: 0, ..EngineConfig::default() };
        Self::with(database, config).await
    }

    pub(crate) async fn with(database: &TestDatabase, config: EngineConfig) -> Self {
        let store = Store::open("ledger", database.target()).await.unwrap();
        store.migrate(MIGRATIONS).await.unwrap();
        let clock = Arc::new(ManualClock::at(noon()));
        let ledger = start(&store, config, &clock);
        let limits = Limits { body_bytes_max: 1 << 20, duration_max: Duration::from_secs(30) };
        let router = routes(&ledger, limits);
        Self { store, ledger, clock, router }
    }

    /// Accounts 1 to `last`, as low as they go; the odd ones grow by debits, the even ones by credits.
    pub(crate) async fn with_accounts(self, last: u128) -> Self {
        for number in 1..=last {
            let new = NewAccount {
                id: account_id(number),
                name: format!("Account {number}"),
                currency: Currency::MAD,
                normal_side: side_of(number),
                constraint: Constraint::Unlimited,
            };
            self.ledger.open_account(new).await.unwrap();
        }
        self
    }

    /// Another ledger on the same store, with a clock of its own.
    pub(crate) fn beside(&self, now: Timestamp) -> Ledger {
        let clock = Arc::new(ManualClock::at(now));
        start(&self.store, EngineConfig::default(), &clock)
    }

    /// Posts and answers with what was recorded.
    pub(crate) async fn post(&self, new: NewTransaction) -> Transaction {
        self.ledger.post(new).await.unwrap().record
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// A GET's status and body.
    pub(crate) async fn get(&self, path: &str) -> (u16, Value) {
        let request = Request::get(path).header(header::AUTHORIZATION, format!("Bearer {STAFF}"));
        let request = request.body(Body::empty()).unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        let body: Value = serde_json::from_slice(&bytes).unwrap();
        if parts.status.as_u16() >= 400 {
            assert_eq!(parts.headers[header::CONTENT_TYPE], "application/problem+json");
        }
        (parts.status.as_u16(), body)
    }

    /// The body of a GET that must succeed.
    pub(crate) async fn read(&self, path: &str) -> Value {
        let (status, body) = self.get(path).await;
        assert_eq!(status, 200, "{path}: {body}");
        body
    }

    /// The items of all pages of a list, and the sizes of these.
    pub(crate) async fn pages(&self, path: &str) -> (Vec<Value>, Vec<usize>) {
        let (mut items, mut sizes, mut cursor) = (Vec::new(), Vec::new(), None::<String>);
        loop {
            let separator = if path.contains('?') { '&' } else { '?' };
            let from = cursor.map(|cursor| format!("{separator}cursor={cursor}"));
            let mut page = self.read(&format!("{path}{}", from.unwrap_or_default())).await;
            let page_items = page["items"].as_array_mut().unwrap();
            sizes.push(page_items.len());
            items.append(page_items);
            match page["nextCursor"].as_str() {
                Some(next) => cursor = Some(next.to_owned()),
                None => return (items, sizes),
            }
        }
    }
}

/// The ledger's routes as the server serves them.
pub(crate) fn routes(ledger: &Ledger, limits: Limits) -> Router {
    let (router, _) = ledger.router(Arc::new(NoTrail)).split_for_parts();
    let router = web::authenticate_with(router, Arc::new(Tokens));
    web::apply(router, limits, Arc::new(SystemIds))
}

pub(crate) fn side_of(account: u128) -> Side {
    if account % 2 == 1 { Side::Debit } else { Side::Credit }
}

pub(crate) fn account_id(number: u128) -> AccountId {
    AccountId(Uuid::from_u128(number))
}

pub(crate) fn uuid(number: u128) -> String {
    Uuid::from_u128(number).to_string()
}

pub(crate) fn leg(account: u128, direction: Side, minor_units: i64) -> Leg {
    Leg {
        account_id: account_id(account),
        direction,
        amount: Money::new(minor_units, Currency::MAD),
    }
}

pub(crate) fn with_legs(id: u128, legs: Vec<Leg>) -> NewTransaction {
    NewTransaction {
        id: TransactionId(Uuid::from_u128(id)),
        kind: "transfer".into(),
        description: None,
        reference: None,
        effective_at: None,
        metadata: BTreeMap::new(),
        legs,
        not_after: None,
        initiated_by: None,
    }
}

/// Dirhams from one account to another.
pub(crate) fn transfer(id: u128, from: u128, to: u128, minor_units: i64) -> NewTransaction {
    with_legs(id, vec![leg(from, Side::Debit, minor_units), leg(to, Side::Credit, minor_units)])
}

/// An instant as it stands in a query.
pub(crate) fn at(instant: Timestamp) -> String {
    instant.to_string()
}

/// An instant some microseconds later, or earlier.
pub(crate) fn shifted(instant: Timestamp, micros: i64) -> Timestamp {
    Timestamp::from_micros(instant.as_micros() + micros)
}

/// Numbers that look random and are the same in every run.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn roll(&mut self, sides: usize) -> usize {
        // Constants of Knuth's MMIX generator.
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % sides
    }

    pub(crate) fn number(&mut self, sides: usize) -> i64 {
        i64::try_from(self.roll(sides)).unwrap()
    }

    pub(crate) fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.roll(of.len())]
    }
}
