use crate::{AccountId, HoldId, Leg, TransactionId};
use kernel::{Timestamp, UserId};
use std::collections::BTreeMap;

/// Money to set aside: what a transaction would move, counted as pending until it is captured, voided or
/// expires.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewHold {
    /// Its id, the caller's choice and idempotency key.
    pub id: HoldId,
    /// The kind of the transactions that capture it; 1 to [`crate::KIND_CHARS_MAX`] characters.
    pub kind: String,
    /// For people; up to [`crate::DESCRIPTION_CHARS_MAX`] characters.
    pub description: Option<String>,
    /// The caller's own reference; up to [`crate::REFERENCE_CHARS_MAX`] characters.
    pub reference: Option<String>,
    /// What the caller wants to find again.
    pub metadata: BTreeMap<String, String>,
    /// What is to move, as in a transaction.
    pub legs: Vec<Leg>,
    /// When what is left of it is released by itself; never when not said.
    pub expires_at: Option<Timestamp>,
    /// How much more than the hold its captures may take together, in minor units; zero or more, and
    /// zero with more than two legs.
    pub tolerance: i64,
    /// Who asked for it, as in [`crate::NewTransaction::initiated_by`].
    pub initiated_by: Option<UserId>,
}

/// Where a hold stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HoldStatus {
    /// Something is still set aside.
    Pending,
    /// The last capture was made.
    Captured,
    /// What was left was released on request.
    Voided,
    /// What was left was released because its time was over.
    Expired,
}

/// A hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    /// Its id.
    pub id: HoldId,
    /// Its place in the journal.
    pub sequence: i64,
    /// The kind of the transactions that capture it.
    pub kind: String,
    /// For people.
    pub description: Option<String>,
    /// The caller's own reference.
    pub reference: Option<String>,
    /// What the caller wants to find again.
    pub metadata: BTreeMap<String, String>,
    /// What was set aside.
    pub legs: Vec<Leg>,
    /// When what is left of it is released by itself.
    pub expires_at: Option<Timestamp>,
    /// How much more than the hold its captures may take together, in minor units.
    pub tolerance: i64,
    /// When it was made.
    pub created_at: Timestamp,
    /// Where it stands.
    pub status: HoldStatus,
    /// What was captured of it, in minor units of the first leg.
    pub captured: i64,
    /// The journal's number of the transaction or change that ended it.
    pub ended_by: Option<i64>,
    /// The user or API client who asked for it, as in [`crate::Transaction::initiated_by`].
    pub initiated_by: Option<UserId>,
    /// Likewise who had what was left of it released; none when nobody did.
    pub released_by: Option<UserId>,
}

/// A hold to capture, in whole or in part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewCapture {
    /// The id of the transaction, the caller's choice and idempotency key.
    pub id: TransactionId,
    /// The hold.
    pub hold: HoldId,
    /// How many minor units of a hold with two legs; all that is left when not said. A hold with more legs
    /// is captured whole.
    pub minor_units: Option<i64>,
    /// Whether to release what is left after it. A capture of all that is left is always the last.
    pub is_final: bool,
    /// Who asked for it, as in [`crate::NewTransaction::initiated_by`].
    pub initiated_by: Option<UserId>,
}

/// A hold to release.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HoldRelease {
    /// The hold.
    pub hold: HoldId,
    /// Why.
    pub cause: ReleaseCause,
    /// Who asked for it, as in [`crate::NewTransaction::initiated_by`].
    pub initiated_by: Option<UserId>,
}

/// Why a hold is released.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReleaseCause {
    /// Somebody asked for it; for people, up to 500 characters.
    Voided(Option<String>),
    /// Its time is over. Refused while it is not.
    Expired,
}

impl Hold {
    /// The whole of it, in minor units of the first leg.
    pub fn amount(&self) -> i64 {
        self.legs.first().map_or(0, |leg| leg.amount.minor_units())
    }

    /// What is still set aside, in minor units of the first leg.
    pub fn remaining(&self) -> i64 {
        match self.status {
            HoldStatus::Pending => self.amount().saturating_sub(self.captured).max(0),
            HoldStatus::Captured | HoldStatus::Voided | HoldStatus::Expired => 0,
        }
    }

    /// Whether `new` asks for exactly this hold: the same in everything the caller states.
    pub fn has_content_of(&self, new: &NewHold) -> bool {
        self.id == new.id
            && self.kind == new.kind
            && self.description == new.description
            && self.reference == new.reference
            && self.metadata == new.metadata
            && self.legs == new.legs
            && self.expires_at == new.expires_at
            && self.tolerance == new.tolerance
    }

    /// The hold as it was when it was made, whatever came of it.
    #[must_use]
    pub fn as_made(self) -> Self {
        Self { status: HoldStatus::Pending, captured: 0, ended_by: None, released_by: None, ..self }
    }

    /// The accounts that it is about.
    pub fn accounts(&self) -> impl Iterator<Item = AccountId> {
        self.legs.iter().map(|leg| leg.account_id)
    }
}
