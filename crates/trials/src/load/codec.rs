//! Requests of the trial as the ledger's routes take them, and answers as the check takes them.

use crate::history::bank::HeldState;
use crate::history::{
    Account, Counters, Entry, Line, Movement, Outcome, Refusal, Request, Seen, TREASURY,
};
use crate::wire::Answer;
use anyhow::{Context, bail};
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
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
    pub(crate) fn outcome(&self, request: &Request, answer: &Answer) -> anyhow::Result<Told> {
        let body = &answer.body;
        let (lines, is_replay) = match (answer.status, request) {
            (200, Request::Transfers(_)) => {
                let items = items(body)?;
                let lines = items.iter().map(|item| self.line(&item["transaction"]));
                let is_replay = items.iter().any(|item| item["status"] == "replayed");
                let status = if is_replay { "replayed" } else { "posted" };
                let is_whole = items.iter().all(|item| item["status"] == status);
                anyhow::ensure!(is_whole, "half of a batch: {body}");
                (lines.collect::<anyhow::Result<_>>()?, is_replay)
            }
            (201, _) => (vec![self.line(body)?], answer.is_replayed()),
            (409 | 422, _) => {
                let outcome = Outcome::Refused(self.refusal(answer)?);
                return Ok(Told { outcome, is_replay: false });
            }
            _ => bail!("an answer that no request should get: {answer:?} to {request:?}"),
        };
        Ok(Told { outcome: Outcome::Recorded(lines), is_replay })
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
            Question::Account(account) => self.account(account, body)?,
            Question::Balance(account) => {
                self.must_be(account, &body["accountId"])?;
                Seen::Balance {
                    account,
                    minor_units: int(&body["balanceMinorUnits"])?,
                    as_of: int(&body["asOfSequence"])?,
                }
            }
            Question::Entries(account, _) => {
                let newest = items(body)?.iter().map(entry).collect::<anyhow::Result<_>>()?;
                Seen::Entries { account, newest, goes_on: !body["nextCursor"].is_null() }
            }
            Question::Transaction(id) => {
                let line = is_there.then(|| self.line(body)).transpose()?;
                Seen::Transaction { id, line }
            }
            Question::Hold(id) => {
                Seen::Hold { id, state: is_there.then(|| self.held(id, body)).transpose()? }
            }
            Question::Totals => {
                let ours = items(body)?.iter().find(|line| line["currencyCode"] == CURRENCY);
                let ours = ours.context("no totals of the trial's currency")?;
                let debits = int(&ours["debitsMinorUnits"])?;
                let credits = int(&ours["creditsMinorUnits"])?;
                let is_sound = ours["balanced"] == (debits == credits)
                    && ours["accounts"].as_u64() == u64::try_from(self.0.len()).ok();
                anyhow::ensure!(is_sound, "totals that do not fit together: {ours}");
                Seen::Totals { debits, credits }
            }
        })
    }

    /// The counters, from which everything else that is told must follow.
    fn account(&self, account: Account, body: &Value) -> anyhow::Result<Seen> {
        self.must_be(account, &body["id"])?;
        let counters = Counters {
            posted_debits: int(&body["postedDebitsMinorUnits"])?,
            posted_credits: int(&body["postedCreditsMinorUnits"])?,
            pending_debits: int(&body["pendingDebitsMinorUnits"])?,
            pending_credits: int(&body["pendingCreditsMinorUnits"])?,
        };
        let Counters { posted_debits, posted_credits, pending_debits, pending_credits } = counters;
        let (side, incoming, outgoing, held) = match account {
            TREASURY => ("debit", posted_debits, posted_credits, pending_credits),
            _ => ("credit", posted_credits, posted_debits, pending_debits),
        };
        let balance = incoming.saturating_sub(outgoing);
        let is_sound = body["balanceMinorUnits"] == balance
            && body["availableMinorUnits"] == balance.saturating_sub(held)
            && body["normalSide"] == side
            && body["status"] == "open"
            && body["currencyCode"] == CURRENCY;
        anyhow::ensure!(is_sound, "an account that does not fit together: {body}");
        Ok(Seen::Account { account, counters })
    }

    /// A hold as it stands; the amounts that are told must follow from its legs and from what was captured.
    fn held(&self, id: Uuid, body: &Value) -> anyhow::Result<HeldState> {
        let line = self.line(body)?;
        let captured = int(&body["capturedMinorUnits"])?;
        let is_pending = body["status"] == "pending";
        let amount = line.movement.minor_units;
        let remaining = if is_pending { amount.saturating_sub(captured) } else { 0 };
        let is_sound = line.id == id
            && (is_pending || body["status"] == "captured")
            && body["amountMinorUnits"] == amount
            && body["remainingMinorUnits"] == remaining
            && body["toleranceMinorUnits"] == 0;
        anyhow::ensure!(is_sound, "a hold that does not fit together: {body}");
        Ok(HeldState { sequence: line.sequence, movement: line.movement, captured, is_pending })
    }

    fn must_be(&self, account: Account, id: &Value) -> anyhow::Result<()> {
        anyhow::ensure!(self.place(id)? == account, "another account than was asked for: {id}");
        Ok(())
    }
}

fn entry(item: &Value) -> anyhow::Result<Entry> {
    let is_debit = item["direction"] == "debit";
    let is_sound = (is_debit || item["direction"] == "credit") && item["currencyCode"] == CURRENCY;
    anyhow::ensure!(is_sound, "an entry that nobody asked for: {item}");
    Ok(Entry {
        transaction: uuid(&item["transactionId"])?,
        sequence: int(&item["sequence"])?,
        is_debit,
        minor_units: int(&item["amountMinorUnits"])?,
        balance_after: int(&item["balanceAfterMinorUnits"])?,
    })
}

/// What came of a request.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    pub(crate) outcome: Outcome,
    /// The answer says that it had been recorded before.
    pub(crate) is_replay: bool,
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

pub(crate) fn instant(value: &Value) -> anyhow::Result<OffsetDateTime> {
    let text = value.as_str().with_context(|| format!("not an instant: {value}"))?;
    Ok(OffsetDateTime::parse(text, &Rfc3339)?)
}

pub(crate) fn int(value: &Value) -> anyhow::Result<i64> {
    value.as_i64().with_context(|| format!("not a whole number: {value}"))
}
