//! The routes, for what only they do: each transaction of a batch on its own, trying without doing, and
//! statements. What they should answer is made from the reference's answer.

use crate::commands::{Answer, Command};
use crate::reference::Statement;
use axum::Router;
use axum::body::Body;
use axum::http::{Request, header};
use http_body_util::BodyExt;
use identity_api::{AuditRecord, AuditTrail, AuditTrailError};
use kernel::{Actor, ActorKind, Timestamp, UserId};
use ledger::Ledger;
use ledger_api::{
    Basis, Hold, HoldStatus, Leg, NewTransaction, Recorded, Refusal, Side, Transaction,
};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::ops::Range;
use std::sync::Arc;
use tower::ServiceExt;
use uuid::Uuid;
use web::{AuthenticationError, Authenticator, InvalidToken};

/// Whoever asks may do everything; a token is their id.
struct Anybody;

#[async_trait::async_trait]
impl Authenticator for Anybody {
    async fn authenticate(
        &self,
        token: &str,
        _: Option<IpAddr>,
    ) -> Result<Actor, AuthenticationError> {
        Ok(Actor {
            user_id: UserId(
                token.parse().map_err(|_| AuthenticationError::Invalid(InvalidToken::Malformed))?,
            ),
            kind: ActorKind::Person,
            session_id: Uuid::nil(),
            roles: [].into(),
            permissions: ["ledger:read".into(), "ledger:write".into()].into(),
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

pub(crate) fn router(ledger: &Ledger) -> Router {
    let (router, _) = ledger.router(Arc::new(NoTrail)).split_for_parts();
    web::authenticate_with(router, Arc::new(Anybody))
}

async fn send(
    router: &Router,
    user: Option<UserId>,
    method: &str,
    path: &str,
    body: Option<Value>,
) -> Value {
    let token = user.map(|user| user.0).unwrap_or_default();
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::AUTHORIZATION, format!("Bearer {token}"))
        .header(header::CONTENT_TYPE, "application/json");
    let body = body.map_or(Body::empty(), |body| body.to_string().into());
    let response = router.clone().oneshot(request.body(body).unwrap()).await.unwrap();
    let (parts, body) = response.into_parts();
    let bytes = body.collect().await.unwrap().to_bytes();
    let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
    let replayed = parts.headers.get("idempotency-replayed").map(|value| value == "true");
    json!({ "status": parts.status.as_u16(), "replayed": replayed, "body": body })
}

/// Sends a command that goes over HTTP, and answers with what can be told beforehand of its answer.
pub(crate) async fn ask(router: &Router, command: &Command) -> Value {
    let (command, query) = match command {
        Command::DryRun(command) => (command.as_ref(), "?dryRun=true"),
        command => (command, ""),
    };
    let (path, body) = request_of(command);
    let path = format!("/api/v1/ledger{path}{query}");
    let answer = send(router, command.initiator(), "POST", &path, Some(body)).await;
    match answer["status"].as_u64() {
        Some(200 | 201) => answer,
        status => json!({
            "status": status,
            "code": answer["body"]["code"],
            "detail": answer["body"]["detail"],
            "index": answer["body"]["index"],
        }),
    }
}

fn request_of(command: &Command) -> (String, Value) {
    match command {
        Command::Post(new) => ("/transactions".into(), transaction_request(new, false)),
        Command::PostAll(batch) => {
            let transactions: Vec<_> =
                batch.iter().map(|new| transaction_request(new, false)).collect();
            ("/transactions/bulk".into(), json!({ "transactions": transactions }))
        }
        Command::PostEach(chains) => {
            let mut transactions = Vec::new();
            for chain in chains {
                for (place, new) in chain.iter().enumerate() {
                    transactions.push(transaction_request(new, place + 1 < chain.len()));
                }
            }
            let body = json!({ "atomic": false, "transactions": transactions });
            ("/transactions/bulk".into(), body)
        }
        Command::Reverse(new) => {
            let body = json!({
                "id": new.id.0, "amountMinorUnits": new.minor_units, "reason": new.reason,
            });
            (format!("/transactions/{}/reversals", new.original), body)
        }
        Command::Hold(new) => {
            let body = json!({
                "id": new.id.0,
                "kind": new.kind,
                "description": new.description,
                "reference": new.reference,
                "metadata": new.metadata,
                "legs": legs_json(&new.legs),
                "expiresAt": new.expires_at,
                "toleranceMinorUnits": new.tolerance,
            });
            ("/holds".into(), body)
        }
        Command::Capture(new) => {
            let body = json!({
                "id": new.id.0, "amountMinorUnits": new.minor_units, "final": new.is_final,
            });
            (format!("/holds/{}/capture", new.hold), body)
        }
        other => panic!("not for HTTP: {other:?}"),
    }
}

fn transaction_request(new: &NewTransaction, linked: bool) -> Value {
    json!({
        "id": new.id.0,
        "kind": new.kind,
        "description": new.description,
        "reference": new.reference,
        "effectiveAt": new.effective_at,
        "metadata": new.metadata,
        "legs": legs_json(&new.legs),
        "linked": linked,
    })
}

/// The answer that the reference's answer stands for.
pub(crate) fn expected(answer: &Answer) -> Value {
    let items =
        |items: Vec<Value>| json!({ "status": 200, "replayed": null, "body": { "items": items } });
    let ok = |replayed, body| json!({ "status": 200, "replayed": replayed, "body": body });
    match answer {
        Answer::Posted(posted) => ok(is_replayed(posted), transaction_json(&posted.record)),
        Answer::Held(held) => ok(is_replayed(held), hold_json(&held.record)),
        Answer::PostedAll(posted) => items(posted.iter().map(item).collect()),
        Answer::PostedEach(outcomes) => {
            items(outcomes.iter().map(|one| one.as_ref().map_or_else(refused_item, item)).collect())
        }
        Answer::Refused(refusal) => {
            let (index, refusal) = match refusal {
                Refusal::InBatch { index, refusal } => (Some(*index), refusal.as_ref()),
                refusal => (None, refusal),
            };
            let (status, code) = code_of(refusal);
            let thing = match refusal {
                Refusal::OriginalNotFound { .. } => Some("transaction"),
                Refusal::HoldNotFound { .. } => Some("hold"),
                _ => None,
            };
            let detail = match (code, thing) {
                ("validation_failed", _) => {
                    "the request is not valid; see `errors` for each field".to_owned()
                }
                (_, Some(thing)) => format!("there is no such {thing}"),
                (_, None) => refusal.to_string(),
            };
            json!({ "status": status, "code": code, "detail": detail, "index": index })
        }
        other => panic!("not for HTTP: {other:?}"),
    }
}

/// The header is only there when it says something.
fn is_replayed<T>(recorded: &Recorded<T>) -> Option<bool> {
    recorded.replayed.then_some(true)
}

fn item(posted: &Recorded<Transaction>) -> Value {
    json!({
        "status": if posted.replayed { "replayed" } else { "posted" },
        "transaction": transaction_json(&posted.record),
        "code": null,
        "detail": null,
    })
}

fn refused_item(refusal: &Refusal) -> Value {
    json!({
        "status": "refused",
        "transaction": null,
        "code": code_of(refusal).1,
        "detail": refusal.to_string(),
    })
}

/// The status and the code of the refusals that the routes here can meet.
fn code_of(refusal: &Refusal) -> (u16, &'static str) {
    match refusal {
        Refusal::IdReused => (422, "idempotency_key_reused"),
        Refusal::OriginalNotFound { .. } | Refusal::HoldNotFound { .. } => (404, "not_found"),
        Refusal::OriginalIsReversal => (422, "reversal_of_reversal"),
        Refusal::ReversalExceedsOriginal { .. } => (422, "reversal_exceeds_original"),
        Refusal::PartialReversalOfManyLegs => (422, "partial_reversal_of_many_legs"),
        Refusal::HoldNotPending { .. } => (409, "hold_not_pending"),
        Refusal::HoldExpiry { .. } => (409, "hold_expired"),
        Refusal::CaptureExceedsHold { .. } => (422, "capture_exceeds_hold"),
        Refusal::PartialCaptureOfManyLegs => (422, "partial_capture_of_many_legs"),
        Refusal::Unbalanced { .. } => (422, "transaction_unbalanced"),
        Refusal::AccountNotFound { .. } => (422, "account_not_found"),
        Refusal::CurrencyMismatch { .. } => (422, "currency_mismatch"),
        Refusal::AccountNotOpen { .. } => (422, "account_not_open"),
        Refusal::BalanceOverflow { .. } => (422, "balance_overflow"),
        Refusal::InsufficientFunds { .. } => (422, "insufficient_funds"),
        Refusal::LimitExceeded { .. } => (422, "limit_exceeded"),
        Refusal::LinkedRefused { .. } => (422, "linked_refused"),
        _ => (422, "validation_failed"),
    }
}

fn side_word(side: Side) -> &'static str {
    match side {
        Side::Debit => "debit",
        Side::Credit => "credit",
    }
}

fn legs_json(legs: &[Leg]) -> Value {
    let leg = |leg: &Leg| {
        json!({
            "accountId": leg.account_id.0,
            "direction": side_word(leg.direction),
            "amountMinorUnits": leg.amount.minor_units(),
            "currencyCode": leg.amount.currency().code(),
        })
    };
    legs.iter().map(leg).collect()
}

fn metadata_json(metadata: &BTreeMap<String, String>) -> Value {
    json!(metadata)
}

fn transaction_json(one: &Transaction) -> Value {
    json!({
        "id": one.id.0,
        "sequence": one.sequence,
        "kind": one.kind,
        "description": one.description,
        "reference": one.reference,
        "effectiveAt": one.effective_at,
        "recordedAt": one.recorded_at,
        "metadata": metadata_json(&one.metadata),
        "legs": legs_json(&one.legs),
        "reverses": one.reverses.map(|original| original.0),
        "captures": one.captures.map(|hold| hold.0),
        "initiatedBy": one.initiated_by.map(|user| user.0),
    })
}

fn hold_json(hold: &Hold) -> Value {
    let status = match hold.status {
        HoldStatus::Pending => "pending",
        HoldStatus::Captured => "captured",
        HoldStatus::Voided => "voided",
        HoldStatus::Expired => "expired",
    };
    let amount = hold.legs[0].amount.minor_units();
    let remaining = if status == "pending" { amount - hold.captured } else { 0 };
    json!({
        "id": hold.id.0,
        "sequence": hold.sequence,
        "status": status,
        "kind": hold.kind,
        "description": hold.description,
        "reference": hold.reference,
        "metadata": metadata_json(&hold.metadata),
        "legs": legs_json(&hold.legs),
        "amountMinorUnits": amount,
        "capturedMinorUnits": hold.captured,
        "remainingMinorUnits": remaining,
        "toleranceMinorUnits": hold.tolerance,
        "expiresAt": hold.expires_at,
        "createdAt": hold.created_at,
        "initiatedBy": hold.initiated_by.map(|user| user.0),
        "releasedBy": hold.released_by.map(|user| user.0),
    })
}

/// The statement of an account; `None` if there is no such account.
pub(crate) async fn statement(
    router: &Router,
    account: Uuid,
    period: &Range<Timestamp>,
    basis: Basis,
) -> Option<Statement> {
    let basis = match basis {
        Basis::Effective => "effective",
        Basis::Recorded => "recorded",
    };
    let (from, to) = (period.start, period.end);
    let path =
        format!("/api/v1/ledger/accounts/{account}/statement?from={from}&to={to}&basis={basis}");
    let answer = send(router, None, "GET", &path, None).await;
    if answer["status"] == 404 {
        return None;
    }
    let number =
        |member: &str| answer["body"][member].as_i64().unwrap_or_else(|| panic!("{answer}"));
    Some(Statement {
        opening: number("openingBalanceMinorUnits"),
        closing: number("closingBalanceMinorUnits"),
        debits: number("debitsMinorUnits"),
        debit_count: number("debitCount"),
        credits: number("creditsMinorUnits"),
        credit_count: number("creditCount"),
        as_of_sequence: number("asOfSequence"),
    })
}
