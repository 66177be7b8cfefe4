//! The canonical bytes of a record, which its leaf is made of. They are described for others in
//! docs/LEDGER-PROOFS.md and never change for a record once it is written: a new form takes a new number.
//!
//! Integers are 8 bytes, big-endian, two's complement; texts are their length in bytes (4 bytes) and UTF-8;
//! ids are 16 bytes; what may be missing begins with 0 or 1; lists begin with their length (4 bytes).

#[cfg(test)]
mod tests;

use super::tree::{Hash, LEAF, sha256};
use kernel::{Timestamp, UserId};
use ledger_api::{Account, Hold, Leg, Side, Transaction};
use std::collections::BTreeMap;
use uuid::Uuid;

/// The first byte of a record: what it is, in its present form.
const ACCOUNT: u8 = 1;
const STATUS_CHANGE: u8 = 2;
const LIMIT_CHANGE: u8 = 3;
const HOLD: u8 = 4;
const HOLD_END: u8 = 5;
const TRANSACTION: u8 = 6;

/// The same with who asked for it, which comes last.
const ATTRIBUTED_HOLD: u8 = 7;
const ATTRIBUTED_HOLD_END: u8 = 8;
const ATTRIBUTED_TRANSACTION: u8 = 9;

const DEBIT: u8 = 1;
const CREDIT: u8 = 2;

pub(crate) fn account(sequence: i64, account: &Account) -> Hash {
    let mut record = Record::new(ACCOUNT, sequence, account.opened_at);
    record.id(account.id.0);
    record.text(&account.name);
    record.text(account.currency.code());
    record.side(account.normal_side);
    record.optional(account.constraint.lowest_available(), Record::integer);
    record.leaf()
}

/// A number of the journal and when it was given out.
type Place = (i64, Timestamp);

/// The account is named by its own number.
pub(crate) fn status_change(at: Place, account_sequence: i64, status: &str, reason: &str) -> Hash {
    let mut record = Record::new(STATUS_CHANGE, at.0, at.1);
    record.integer(account_sequence);
    record.text(status);
    record.text(reason);
    record.leaf()
}

/// Likewise. The limits are the document that is stored.
pub(crate) fn limit_change(at: Place, account_sequence: i64, limits: &str) -> Hash {
    let mut record = Record::new(LIMIT_CHANGE, at.0, at.1);
    record.integer(account_sequence);
    record.text(limits);
    record.leaf()
}

/// The hold as it was made.
pub(crate) fn hold(hold: &Hold) -> Hash {
    let form = form(hold.initiated_by, HOLD, ATTRIBUTED_HOLD);
    let mut record = Record::new(form, hold.sequence, hold.created_at);
    record.id(hold.id.0);
    record.text(&hold.kind);
    record.optional(hold.description.as_deref(), Record::text);
    record.optional(hold.reference.as_deref(), Record::text);
    record.metadata(&hold.metadata);
    record.integer(hold.tolerance);
    record.optional(hold.expires_at, Record::instant);
    record.legs(&hold.legs);
    record.initiator(hold.initiated_by);
    record.leaf()
}

/// The hold is named by its own number.
pub(crate) fn hold_end(
    at: Place,
    hold_sequence: i64,
    status: &str,
    reason: Option<&str>,
    initiated_by: Option<UserId>,
) -> Hash {
    let form = form(initiated_by, HOLD_END, ATTRIBUTED_HOLD_END);
    let mut record = Record::new(form, at.0, at.1);
    record.integer(hold_sequence);
    record.text(status);
    record.optional(reason, Record::text);
    record.initiator(initiated_by);
    record.leaf()
}

pub(crate) fn transaction(transaction: &Transaction) -> Hash {
    let form = form(transaction.initiated_by, TRANSACTION, ATTRIBUTED_TRANSACTION);
    let mut record = Record::new(form, transaction.sequence, transaction.recorded_at);
    record.id(transaction.id.0);
    record.text(&transaction.kind);
    record.optional(transaction.description.as_deref(), Record::text);
    record.optional(transaction.reference.as_deref(), Record::text);
    record.metadata(&transaction.metadata);
    record.instant(transaction.effective_at);
    record.optional(transaction.reverses.map(|original| original.0), Record::id);
    record.optional(transaction.captures.map(|hold| hold.0), Record::id);
    record.legs(&transaction.legs);
    record.initiator(transaction.initiated_by);
    record.leaf()
}

/// A record that nobody is known to have asked for keeps the form of before there was another.
fn form(initiated_by: Option<UserId>, plain: u8, attributed: u8) -> u8 {
    if initiated_by.is_some() { attributed } else { plain }
}

/// What a leaf is made of: the mark of a leaf, then the canonical bytes.
struct Record(Vec<u8>);

impl Record {
    fn new(form: u8, sequence: i64, recorded_at: Timestamp) -> Self {
        let mut record = Self(Vec::with_capacity(256));
        record.0.extend([LEAF, form]);
        record.integer(sequence);
        record.instant(recorded_at);
        record
    }

    fn integer(&mut self, integer: i64) {
        self.0.extend_from_slice(&integer.to_be_bytes());
    }

    /// Microseconds since 1970.
    fn instant(&mut self, instant: Timestamp) {
        self.integer(instant.as_micros());
    }

    fn id(&mut self, id: Uuid) {
        self.0.extend_from_slice(id.as_bytes());
    }

    fn text(&mut self, text: &str) {
        self.length(text.len());
        self.0.extend_from_slice(text.as_bytes());
    }

    fn side(&mut self, side: Side) {
        self.0.push(match side {
            Side::Debit => DEBIT,
            Side::Credit => CREDIT,
        });
    }

    fn optional<T>(&mut self, value: Option<T>, write: impl FnOnce(&mut Self, T)) {
        self.0.push(u8::from(value.is_some()));
        if let Some(value) = value {
            write(self, value);
        }
    }

    /// In the order of the names' bytes.
    fn metadata(&mut self, metadata: &BTreeMap<String, String>) {
        self.length(metadata.len());
        for (name, value) in metadata {
            self.text(name);
            self.text(value);
        }
    }

    fn legs(&mut self, legs: &[Leg]) {
        self.length(legs.len());
        for leg in legs {
            self.id(leg.account_id.0);
            self.side(leg.direction);
            self.integer(leg.amount.minor_units());
            self.text(leg.amount.currency().code());
        }
    }

    /// Whether there is one, the form says.
    fn initiator(&mut self, initiated_by: Option<UserId>) {
        if let Some(initiated_by) = initiated_by {
            self.id(initiated_by.0);
        }
    }

    fn length(&mut self, length: usize) {
        // The routes' limits keep every text and list far below 2^32.
        self.0.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes());
    }

    fn leaf(&self) -> Hash {
        sha256(&self.0)
    }
}
