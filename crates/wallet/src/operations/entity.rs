//! What a top-up or transfer is, and what may come of it.
//!
//! | from | event | to |
//! |---|---|---|
//! | pending | the ledger posted | completed |
//! | pending | the ledger or the gateway refused | rejected |
//!
//! Nothing leads out of completed or rejected.

use crate::{OperationId, Refusal, WalletId};
use kernel::{Money, Timestamp, UserId};
use ledger_api::{AccountId, Leg, NewTransaction, Side, TransactionId};
use std::collections::BTreeMap;
use std::fmt;

/// Something asked of a wallet. Prints without what is personal.
#[derive(Clone, PartialEq, Eq)]
pub struct Operation {
    /// Its id.
    pub id: OperationId,
    /// The wallet it was asked of.
    pub wallet_id: WalletId,
    /// What it is.
    pub(crate) kind: Kind,
    /// How much.
    pub amount: Money,
    /// A word to the recipient.
    pub(crate) note: Option<String>,
    /// What came of it.
    pub outcome: Outcome,
    /// The ledger transaction that moves the money.
    pub ledger_transaction_id: TransactionId,
    /// When it was asked.
    pub created_at: Timestamp,
}

#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    TopUp { payment_method: String },
    Transfer { recipient_wallet_id: WalletId },
}

/// What came of an operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Not decided yet.
    Pending,
    /// The money moved.
    Completed,
    /// Nothing moved.
    Rejected(Refusal),
}

impl Operation {
    /// Where the money of a transfer goes.
    pub(crate) fn recipient_wallet_id(&self) -> Option<WalletId> {
        match self.kind {
            Kind::Transfer { recipient_wallet_id } => Some(recipient_wallet_id),
            Kind::TopUp { .. } => None,
        }
    }

    /// The wallets whose history it belongs to, and on which side.
    pub(crate) fn sides(&self) -> Vec<(WalletId, Direction)> {
        match self.kind {
            Kind::TopUp { .. } => vec![(self.wallet_id, Direction::In)],
            Kind::Transfer { recipient_wallet_id } => {
                vec![(self.wallet_id, Direction::Out), (recipient_wallet_id, Direction::In)]
            }
        }
    }

    /// The posting that carries it out. Wallet accounts are our liabilities: money that comes in is
    /// credited, money that goes out debited.
    pub(crate) fn posting(
        &self,
        from: AccountId,
        to: AccountId,
        not_after: Timestamp,
        initiated_by: UserId,
    ) -> NewTransaction {
        let leg = |account_id, direction| Leg { account_id, direction, amount: self.amount };
        NewTransaction {
            id: self.ledger_transaction_id,
            kind: self.ledger_kind().to_owned(),
            description: None,
            reference: Some(self.id.to_string()),
            effective_at: None,
            metadata: BTreeMap::new(),
            legs: vec![leg(from, Side::Debit), leg(to, Side::Credit)],
            not_after: Some(not_after),
            initiated_by: Some(initiated_by),
        }
    }

    fn ledger_kind(&self) -> &'static str {
        match self.kind {
            Kind::TopUp { .. } => "wallet.top_up",
            Kind::Transfer { .. } => "wallet.transfer",
        }
    }
}

/// Which way money went, seen from one wallet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    In,
    Out,
}

impl Direction {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::In => "in",
            Self::Out => "out",
        }
    }
}

/// One line of a wallet's history.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct HistoryLine {
    pub(crate) operation: Operation,
    pub(crate) direction: Direction,
    /// What the other person is called, if there is one.
    pub(crate) counterparty_name: Option<String>,
}

impl fmt::Debug for Operation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Operation")
            .field("id", &self.id)
            .field("wallet_id", &self.wallet_id)
            .field("kind", &self.ledger_kind())
            .field("amount", &self.amount)
            .field("outcome", &self.outcome)
            .field("ledger_transaction_id", &self.ledger_transaction_id)
            .field("created_at", &self.created_at)
            .finish_non_exhaustive()
    }
}

impl HistoryLine {
    /// The wallet on the other side.
    pub(crate) fn counterparty(&self) -> Option<WalletId> {
        let recipient = self.operation.recipient_wallet_id()?;
        Some(match self.direction {
            Direction::In => self.operation.wallet_id,
            Direction::Out => recipient,
        })
    }
}
