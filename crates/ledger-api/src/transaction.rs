use crate::{AccountId, HoldId, NewCapture, Side, TransactionId};
use kernel::{Money, Timestamp, UserId};
use std::collections::BTreeMap;

/// The most legs of one transaction.
pub const LEGS_MAX: usize = 1_000;

/// The longest kind of a transaction, in characters.
pub const KIND_CHARS_MAX: usize = 64;

/// The longest description of a transaction, in characters.
pub const DESCRIPTION_CHARS_MAX: usize = 500;

/// The longest reference of a transaction, in characters.
pub const REFERENCE_CHARS_MAX: usize = 200;

/// One side of a movement: an amount debited from or credited to one account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leg {
    /// The account.
    pub account_id: AccountId,
    /// Debit or credit.
    pub direction: Side,
    /// How much, above zero, in the account's currency.
    pub amount: Money,
}

/// A transaction to post.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewTransaction {
    /// Its id, the caller's choice and idempotency key.
    pub id: TransactionId,
    /// What kind of movement it is: `wallet.transfer`; 1 to
    /// [`KIND_CHARS_MAX`] characters.
    pub kind: String,
    /// For people; up to [`DESCRIPTION_CHARS_MAX`] characters.
    pub description: Option<String>,
    /// The caller's own reference; up to [`REFERENCE_CHARS_MAX`] characters.
    pub reference: Option<String>,
    /// The value date, when it is not the instant of recording.
    pub effective_at: Option<Timestamp>,
    /// What the caller wants to find again.
    pub metadata: BTreeMap<String, String>,
    /// At least two, at most [`LEGS_MAX`], summing to zero in each currency.
    pub legs: Vec<Leg>,
    /// The ledger refuses the transaction after this instant. Whoever gave up waiting learns the outcome
    /// for good by posting the same again after it: replayed, or refused for ever (as far as
    /// the clocks of the machines agree). Reading alone does not tell: a posting of before may still be
    /// on its way. Not part of the content.
    pub not_after: Option<Timestamp>,
    /// The user or API client who asked for it, for the journal; none for what the program does by itself.
    /// Not part of the content: who asks again is answered with what the first one did.
    pub initiated_by: Option<UserId>,
}

/// A transaction to take back, in whole or in part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewReversal {
    /// The id of the reversal itself, the caller's choice and idempotency key.
    pub id: TransactionId,
    /// The transaction to take back.
    pub original: TransactionId,
    /// How many minor units of a transaction with two legs; all that is left when not said. A
    /// transaction with more legs is taken back whole.
    pub minor_units: Option<i64>,
    /// Why, for people; 1 to 500 characters. It becomes the description.
    pub reason: String,
    /// Who asked for it, as in [`NewTransaction::initiated_by`].
    pub initiated_by: Option<UserId>,
}

/// The kind of every reversal.
pub const REVERSAL_KIND: &str = "reversal";

/// A posted transaction. It never changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transaction {
    /// Its id.
    pub id: TransactionId,
    /// Its place in the journal, which all accounts and transactions share.
    pub sequence: i64,
    /// What kind of movement it is.
    pub kind: String,
    /// For people.
    pub description: Option<String>,
    /// The caller's own reference.
    pub reference: Option<String>,
    /// The value date.
    pub effective_at: Timestamp,
    /// When the ledger recorded it; never earlier than the transaction before.
    pub recorded_at: Timestamp,
    /// What the caller wants to find again.
    pub metadata: BTreeMap<String, String>,
    /// The legs, in the caller's order.
    pub legs: Vec<Leg>,
    /// The transaction that this one takes back, in whole or in part.
    pub reverses: Option<TransactionId>,
    /// The hold that this one captures, in whole or in part.
    pub captures: Option<HoldId>,
    /// The user or API client who asked for it first; none for what the program did by itself, and for
    /// transactions from before the journal had this.
    pub initiated_by: Option<UserId>,
}

impl Transaction {
    /// Whether `new` asks for exactly this transaction: the same in everything the caller states.
    pub fn has_content_of(&self, new: &NewTransaction) -> bool {
        let effective_at = new.effective_at.unwrap_or(self.recorded_at);
        self.id == new.id
            && self.kind == new.kind
            && self.description == new.description
            && self.reference == new.reference
            && self.effective_at == effective_at
            && self.metadata == new.metadata
            && self.legs == new.legs
            && self.reverses.is_none()
            && self.captures.is_none()
    }

    /// Whether `new` asks for exactly this reversal.
    pub fn is_reversal_asked_by(&self, new: &NewReversal) -> bool {
        let minor_units = self.legs.first().map(|leg| leg.amount.minor_units());
        self.id == new.id
            && self.reverses == Some(new.original)
            && self.description.as_ref() == Some(&new.reason)
            && (new.minor_units.is_none() || new.minor_units == minor_units)
    }

    /// Whether `new` asks for exactly this capture of a hold that `ended_by` tells the end of.
    pub fn is_capture_asked_by(&self, new: &NewCapture, ended_by: Option<i64>) -> bool {
        let minor_units = self.legs.first().map(|leg| leg.amount.minor_units());
        let is_last = ended_by == Some(self.sequence);
        self.id == new.id
            && self.captures == Some(new.hold)
            && (new.minor_units.is_none() || new.minor_units == minor_units)
            // Whoever asked for all that was left, or for the last, has ended the hold.
            && (is_last || !new.is_final && new.minor_units.is_some())
    }
}

/// Where an entry stands in the journal; entries of an account sort by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct EntryKey(pub i64);

/// Leaves room for [`LEGS_MAX`] legs under each sequence number.
const LEGS_ROOM: i64 = 1_024;

impl EntryKey {
    /// The key of the leg at this place of the transaction with this sequence number.
    pub fn new(sequence: i64, leg_no: i64) -> Self {
        Self(sequence.saturating_mul(LEGS_ROOM).saturating_add(leg_no))
    }

    /// The last key that a transaction with this sequence number can have.
    pub fn last_of(sequence: i64) -> Self {
        Self::new(sequence, LEGS_ROOM.saturating_sub(1))
    }

    /// The transaction's sequence number and the leg's place.
    pub fn parts(self) -> (i64, i64) {
        (self.0.div_euclid(LEGS_ROOM), self.0.rem_euclid(LEGS_ROOM))
    }
}

/// One leg as the history of its account shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Where it stands.
    pub key: EntryKey,
    /// The transaction it belongs to.
    pub transaction_id: TransactionId,
    /// Debit or credit.
    pub direction: Side,
    /// How much.
    pub amount: Money,
    /// The account's posted balance after it, in minor units, positive on the normal side.
    pub balance_after: i64,
    /// The transaction's kind.
    pub kind: String,
    /// The transaction's description.
    pub description: Option<String>,
    /// The transaction's reference.
    pub reference: Option<String>,
    /// The transaction's value date.
    pub effective_at: Timestamp,
    /// When the ledger recorded it.
    pub recorded_at: Timestamp,
}
