//! Requests of the trial as the ledger's routes take them, and answers as the check takes them.

use crate::history::{Account, Counters, Entry, Line, Movement, Outcome, Refusal, Request, Seen};
use crate::wire::Answer;
use anyhow::{Context, bail};
use serde_json::{Value, json};
use uuid::Uuid;

/// A currency that the demo world does not use, so that the totals are those of the trial alone.
pub(crate) const CURRENCY: &str = "CHF";
const KIND: &str = "trial.transfer";

/// The ids of the trial's accounts, by their places.
#[derive(Clone, Debug)]
pub(crate) struct Accounts(pub(crate) Vec<Uuid>);

impl Accounts {
    fn id(&self, account: Account) -> Uuid {
        self.0.get(account).copied().unwrap_or_default()
    }

    fn place(&self, id: &Value) -> anyhow::Result<Account> {
        let id = uuid(id)?;
        self.0.iter().position(|one| *one == id).with_context(|| format!("no account {id} here"))
    }

    /// The route and the body of a request.
    pub(crate) fn encode(&self, request: &Request) -> (String, Value) {
        match request {
            Request::Transfers(all) => match all.as_slice() {
                [(id, movement)] => ("/api/v1/ledger/transactions".into(), self.body(id, movement)),
                all => {
                    let all = all.iter().map(|(id, movement)| self.body(id, movement));
                    let body = json!({ "transactions": all.collect::<Vec<_>>() });
                    ("/api/v1/ledger/transactions/bulk".into(), body)
                }
            },
            Request::Reversal { id, original, minor_units } => {
                let path = format!("/api/v1/ledger/transactions/{original}/reversals");
                let reason = "tried";
                (path, json!({ "id": id, "amountMinorUnits": minor_units, "reason": reason }))
            }
            Request::Hold { id, movement } => {
                ("/api/v1/ledger/holds".into(), self.body(id, movement))
            }
            Request::Capture { id, hold, minor_units, is_final } => {
                let path = format!("/api/v1/ledger/holds/{hold}/capture");
                (path, json!({ "id": id, "amountMinorUnits": minor_units, "final": is_final }))
            }
        }
    }

    fn body(&self, id: &Uuid, movement: &Movement) -> Value {
        let leg = |account, direction| {
            json!({
                "accountId": self.id(account),
                "direction": direction,
                "amountMinorUnits": movement.minor_units,
                "currencyCode": CURRENCY,
            })
        };
        let legs = [leg(movement.from, "debit"), leg(movement.to, "credit")];
        json!({ "id": id, "kind": KIND, "legs": legs })
    }

    /// What a definite answer says; an error when it says what no route should.
    pub(crate) fn outcome(&self, request: &Request, answer: &Answer) -> anyhow::Result<Outcome> {
        let place = |of: &Value| Ok((uuid(&of["id"])?, int(&of["sequence"])?));
        let body = &answer.body;
        match (answer.status, request) {
            (200, Request::Transfers(_)) => {
                let items = items(body)?.iter().map(|item| place(&item["transaction"]));
                Ok(Outcome::Recorded(items.collect::<anyhow::Result<_>>()?))
            }
            (201, _) => Ok(Outcome::Recorded(vec![place(body)?])),
            (409 | 422, _) => Ok(Outcome::Refused(self.refusal(answer)?)),
            _ => bail!("an answer that no request should get: {answer:?} to {request:?}"),
        }
    }

    fn refusal(&self, answer: &Answer) -> anyhow::Result<Refusal> {
        let body = &answer.body;
        Ok(match answer.code() {
            "insufficient_funds" => Refusal::InsufficientFunds {
                account: self.place(&body["accountId"])?,
                available: int(&body["availableMinorUnits"])?,
                index: body["index"].as_u64().map(usize::try_from).transpose()?,
            },
            "reversal_exceeds_original" => {
                Refusal::ReversalExceedsOriginal { left: int(&body["leftMinorUnits"])? }
            }
            "hold_not_pending" => Refusal::HoldNotPending,
            "capture_exceeds_hold" => {
                Refusal::CaptureExceedsHold { left: int(&body["leftMinorUnits"])? }
            }
            _ => bail!("a refusal that no request should get: {answer:?}"),
        })
    }

    /// A transaction or a hold of the journal.
    pub(crate) fn line(&self, body: &Value) -> anyhow::Result<Line> {
        let legs = body["legs"].as_array().context("no legs")?;
        let [first, second] = legs.as_slice() else { bail!("not two legs: {body}") };
        let (debit, credit) = match first["direction"].as_str() {
            Some("debit") => (first, second),
            _ => (second, first),
        };
        let amount = int(&debit["amountMinorUnits"])?;
        let is_sound = debit["direction"] == "debit"
            && credit["direction"] == "credit"
            && credit["amountMinorUnits"] == amount
            && legs.iter().all(|leg| leg["currencyCode"] == CURRENCY);
        anyhow::ensure!(is_sound, "legs that nobody asked for: {body}");
        let other = |name: &str| Some(&body[name]).filter(|id| !id.is_null()).map(uuid).transpose();
        let (reverses, captures) = (other("reverses")?, other("captures")?);
        let is_kind = body["kind"] == KIND || reverses.is_some();
        anyhow::ensure!(is_kind, "a kind that nobody asked for: {body}");
        Ok(Line {
            id: uuid(&body["id"])?,
            sequence: int(&body["sequence"])?,
            is_hold: !body["status"].is_null(),
            movement: Movement {
                from: self.place(&debit["accountId"])?,
                to: self.place(&credit["accountId"])?,
                minor_units: amount,
            },
            reverses,
            captures,
        })
    }

    /// Where a read asks and how its answer is read.
    pub(crate) fn question(&self, of: Question) -> String {
        match of {
            Question::Account(account) => format!("/api/v1/ledger/accounts/{}", self.id(account)),
            Question::Balance(account) => {
                format!("/api/v1/ledger/accounts/{}/balance", self.id(account))
            }
            Question::Entries(account, limit) => {
                format!("/api/v1/ledger/accounts/{}/entries?limit={limit}", self.id(account))
            }
            Question::Transaction(id) => format!("/api/v1/ledger/transactions/{id}"),
            Question::Hold(id) => format!("/api/v1/ledger/holds/{id}"),
            Question::Totals => "/api/v1/ledger/trial-balance".into(),
        }
    }

    pub(crate) fn seen(&self, of: Question, answer: &Answer) -> anyhow::Result<Seen> {
        let body = &answer.body;
        let is_there = match (answer.status, of) {
            (200, _) => true,
            (404, Question::Transaction(_) | Question::Hold(_)) => false,
            _ => bail!("an answer that no read should get: {answer:?} to {of:?}"),
        };
        Ok(match of {
            Question::Account(account) => Seen::Account {
                account,
                counters: Counters {
                    posted_debits: int(&body["postedDebitsMinorUnits"])?,
                    posted_credits: int(&body["postedCreditsMinorUnits"])?,
                    pending_debits: int(&body["pendingDebitsMinorUnits"])?,
                    pending_credits: int(&body["pendingCreditsMinorUnits"])?,
                },
            },
            Question::Balance(account) => Seen::Balance {
                account,
                minor_units: int(&body["balanceMinorUnits"])?,
                as_of: int(&body["asOfSequence"])?,
            },
            Question::Entries(account, _) => {
                let entry = |item: &Value| {
                    Ok(Entry {
                        transaction: uuid(&item["transactionId"])?,
                        sequence: int(&item["sequence"])?,
                        balance_after: int(&item["balanceAfterMinorUnits"])?,
                    })
                };
                let newest = items(body)?.iter().map(entry).collect::<anyhow::Result<_>>()?;
                Seen::Entries { account, newest, goes_on: !body["nextCursor"].is_null() }
            }
            Question::Transaction(id) => {
                let line = is_there.then(|| self.line(body)).transpose()?;
                Seen::Transaction { id, line }
            }
            Question::Hold(id) => {
                let state = || {
                    let is_pending = body["status"] == "pending";
                    anyhow::Ok((int(&body["capturedMinorUnits"])?, is_pending))
                };
                Seen::Hold { id, state: is_there.then(state).transpose()? }
            }
            Question::Totals => {
                let ours = items(body)?.iter().find(|line| line["currencyCode"] == CURRENCY);
                let ours = ours.context("no totals of the trial's currency")?;
                Seen::Totals {
                    debits: int(&ours["debitsMinorUnits"])?,
                    credits: int(&ours["creditsMinorUnits"])?,
                }
            }
        })
    }
}

/// What can be read.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Question {
    Account(Account),
    Balance(Account),
    /// The newest entries, up to so many.
    Entries(Account, usize),
    Transaction(Uuid),
    Hold(Uuid),
    /// Of all accounts at one instant.
    Totals,
}

pub(crate) fn items(body: &Value) -> anyhow::Result<&Vec<Value>> {
    body["items"].as_array().with_context(|| format!("no items: {body}"))
}

pub(crate) fn uuid(value: &Value) -> anyhow::Result<Uuid> {
    let text = value.as_str().with_context(|| format!("no id: {value}"))?;
    Ok(text.parse()?)
}

pub(crate) fn int(value: &Value) -> anyhow::Result<i64> {
    value.as_i64().with_context(|| format!("not a whole number: {value}"))
}
