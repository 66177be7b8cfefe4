//! Who changes the books, for the audit trail. It is written down before the engine is asked, so nothing
//! that a person did is without its entry; what came of it is in the journal, under the same ids.
//!
//! Of API clients only what is rare is written down: a durable entry for each of their postings would
//! take longer than the posting.

use super::routes::Write;
use crate::Ledger;
use aws_lc_rs::digest::{Context, SHA256};
use axum::extract::{FromRef, FromRequestParts};
use axum::http::request::Parts;
use axum::http::{HeaderValue, header};
use data_encoding::HEXLOWER;
use identity_api::{AuditRecord, AuditTrail, AuditTrailError, RequestOrigin};
use kernel::{Actor, ActorKind, Clock, Currency};
use ledger_api::{Leg, NewTransaction, Side};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;
use uuid::Uuid;
use web::{Authorized, ClientAddress, Problem};

/// What the routes work with.
#[derive(Clone)]
pub(super) struct Books {
    pub(super) ledger: Ledger,
    pub(super) trail: Arc<dyn AuditTrail>,
}

impl FromRef<Books> for Ledger {
    fn from_ref(books: &Books) -> Self {
        books.ledger.clone()
    }
}

/// Somebody who may change the books.
#[derive(Clone)]
pub(super) struct Writer {
    pub(super) actor: Actor,
    trail: Arc<dyn AuditTrail>,
    clock: Arc<dyn Clock>,
    from: Option<ClientAddress>,
    user_agent: Option<HeaderValue>,
}

/// What somebody asks for.
pub(super) struct Deed {
    pub(super) action: &'static str,
    /// The id of what it is done to.
    pub(super) object: Option<Uuid>,
    /// A JSON object.
    pub(super) details: Value,
}

impl FromRequestParts<Books> for Writer {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, books: &Books) -> Result<Self, Problem> {
        let Authorized { actor, .. } =
            Authorized::<Write>::from_request_parts(parts, books).await?;
        Ok(Self {
            actor,
            trail: books.trail.clone(),
            clock: books.ledger.0.clock.clone(),
            from: ClientAddress::of(&parts.extensions),
            user_agent: parts.headers.get(header::USER_AGENT).cloned(),
        })
    }
}

impl Writer {
    /// Writes down what is rare, whoever asks for it.
    pub(super) async fn note(&self, deed: Deed) -> Result<(), Problem> {
        self.record(deed).await.map_err(|error| Problem::store_unavailable(&error))
    }

    /// Writes down what API clients do all the time, if it is a person who asks for it.
    pub(super) async fn note_of_person(&self, deed: impl FnOnce() -> Deed) -> Result<(), Problem> {
        match self.is_person() {
            true => self.note(deed()).await,
            false => Ok(()),
        }
    }

    pub(super) fn is_person(&self) -> bool {
        self.actor.kind == ActorKind::Person
    }

    /// As [`Self::note`], for whoever does not answer a request.
    pub(super) async fn record(&self, deed: Deed) -> Result<(), AuditTrailError> {
        let Deed { action, object, mut details } = deed;
        details["sessionId"] = json!(self.actor.session_id);
        let (actor, at) = (Some(self.actor.user_id), self.clock.now());
        let origin = Some(self.origin());
        self.trail.record(AuditRecord { actor, action, object, details, at, origin }).await
    }

    fn origin(&self) -> RequestOrigin {
        let user_agent = self.user_agent.as_ref().and_then(|value| value.to_str().ok());
        RequestOrigin {
            client_address: self.from.map(|from| from.0.to_string()).unwrap_or_default(),
            user_agent: user_agent.unwrap_or_default().to_owned(),
        }
    }
}

/// What legs move: the sum of one side, in each currency.
pub(super) fn moved(legs: &[Leg]) -> Value {
    let mut sums = Sums::default();
    sums.add(legs);
    sums.to_json()
}

/// Sums that no number of transactions breaks.
#[derive(Default)]
struct Sums(Vec<(Currency, i64)>);

impl Sums {
    fn add(&mut self, legs: &[Leg]) {
        for leg in legs.iter().filter(|leg| leg.direction == Side::Debit) {
            let (currency, minor_units) = (leg.amount.currency(), leg.amount.minor_units());
            match self.0.iter_mut().find(|(known, _)| *known == currency) {
                // So many large ones may exceed 64 bits; then it is enough to know that it was too much.
                Some((_, sum)) => *sum = sum.saturating_add(minor_units),
                None => self.0.push((currency, minor_units)),
            }
        }
    }

    fn to_json(&self) -> Value {
        let sum = |(currency, sum): &(Currency, i64)| json!({ "currencyCode": currency, "amountMinorUnits": sum });
        self.0.iter().map(sum).collect()
    }
}

/// So many ids and kinds of a lot are told by name.
const NAMED_MAX: usize = 100;

/// Many transactions, told in few words.
pub(super) struct Lot {
    count: u64,
    kinds: BTreeSet<String>,
    sums: Sums,
    ids: Vec<Uuid>,
    digest: Context,
}

impl Default for Lot {
    fn default() -> Self {
        Self {
            count: 0,
            kinds: BTreeSet::new(),
            sums: Sums::default(),
            ids: Vec::new(),
            digest: Context::new(&SHA256),
        }
    }
}

impl Lot {
    pub(super) fn of<'a>(transactions: impl Iterator<Item = &'a NewTransaction>) -> Self {
        let mut lot = Self::default();
        transactions.for_each(|one| lot.add(one));
        lot
    }

    pub(super) fn add(&mut self, one: &NewTransaction) {
        self.count = self.count.saturating_add(1);
        self.digest.update(one.id.0.as_bytes());
        self.sums.add(&one.legs);
        if self.ids.len() < NAMED_MAX {
            self.ids.push(one.id.0);
        }
        if self.kinds.len() < NAMED_MAX && !self.kinds.contains(&one.kind) {
            self.kinds.insert(one.kind.clone());
        }
    }

    /// How many there are, the first ids, and a digest of all of them, 16 bytes each, in order.
    pub(super) fn to_json(&self) -> Value {
        json!({
            "transactions": self.count,
            "kinds": self.kinds,
            "amounts": self.sums.to_json(),
            "transactionIds": self.ids,
            "transactionIdsSha256": HEXLOWER.encode(self.digest.clone().finish().as_ref()),
        })
    }
}
