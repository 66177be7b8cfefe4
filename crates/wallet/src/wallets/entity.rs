//! What a wallet is.

use crate::{Refusal, WalletId};
use kernel::{Currency, Timestamp, UserId};
use ledger_api::AccountId;
use uuid::Uuid;

/// A wallet: whose it is and where its money lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wallet {
    /// Its id.
    pub id: WalletId,
    /// Whose it is.
    pub owner_id: UserId,
    /// Whether money moves.
    pub(crate) status: WalletStatus,
    /// When it was made.
    pub created_at: Timestamp,
    /// One ledger account per currency, in the owner's order.
    pub(crate) accounts: Vec<CurrencyAccount>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WalletStatus {
    Active,
    Frozen,
    Closed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CurrencyAccount {
    pub(crate) currency: Currency,
    pub(crate) ledger_account_id: AccountId,
}

impl Wallet {
    /// A new wallet. Its ledger accounts' ids follow from its own, so that opening them again after a
    /// failure opens nothing twice.
    pub(crate) fn new(
        id: WalletId,
        owner_id: UserId,
        currencies: &[Currency],
        created_at: Timestamp,
    ) -> Self {
        let account = |&currency: &Currency| CurrencyAccount {
            currency,
            ledger_account_id: AccountId(Uuid::new_v5(&id.0, currency.code().as_bytes())),
        };
        let accounts = currencies.iter().map(account).collect();
        Self { id, owner_id, status: WalletStatus::Active, created_at, accounts }
    }

    /// The ledger account for a currency.
    pub(crate) fn account(&self, currency: Currency) -> Option<AccountId> {
        self.accounts
            .iter()
            .find(|account| account.currency == currency)
            .map(|account| account.ledger_account_id)
    }

    /// The ledger account that money of this currency leaves from or arrives at, for the owner.
    pub(crate) fn usable_account(&self, currency: Currency) -> Result<AccountId, Refusal> {
        if self.status != WalletStatus::Active {
            return Err(Refusal::WalletNotActive);
        }
        self.account(currency).ok_or(Refusal::CurrencyNotHeld { currency })
    }

    /// The status as clients see it.
    pub(crate) fn status_word(&self) -> &'static str {
        self.status.word()
    }

    /// Whether money can arrive here.
    pub(crate) fn is_active(&self) -> bool {
        self.status == WalletStatus::Active
    }
}

impl WalletStatus {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Frozen => "frozen",
            Self::Closed => "closed",
        }
    }

    pub(crate) fn from_word(word: &str) -> Option<Self> {
        [Self::Active, Self::Frozen, Self::Closed].into_iter().find(|status| status.word() == word)
    }
}
