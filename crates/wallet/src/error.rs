use identity_api::DirectoryError;
use kernel::{Currency, Timestamp};
use ledger_api::LedgerError;
use serde::{Deserialize, Serialize};
use store::StoreError;

/// Why the module did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such wallet, or it is somebody else's.
    #[error("there is no such wallet")]
    WalletNotFound,
    /// Refused; nothing moved.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The idempotency key was used for another request.
    #[error("this idempotency key was used for another request; use a new key for a new request")]
    KeyReused,
    /// The same request is being worked on.
    #[error("the same request is being worked on; ask again with the same key")]
    InFlight {
        /// When somebody else may work on it at the latest.
        free_at: Timestamp,
    },
    /// The payment gateway gave no answer; the request with the same key goes on where this one stopped.
    #[error("the payment gateway does not answer; try again with the same key")]
    PaymentGatewayUnavailable,
    /// The attempt took too long and somebody else may be at it; ask again with the same key.
    #[error("the request took too long; ask again with the same key")]
    TookTooLong,
    /// The ledger gave no answer; the request with the same key goes on where this one stopped.
    #[error("the ledger does not answer")]
    Ledger(#[source] LedgerError),
    /// The module's own store failed.
    #[error("the wallet store failed")]
    Store(#[from] StoreError),
    /// The user directory failed.
    #[error("the user directory failed")]
    Directory(#[from] DirectoryError),
}

/// A refusal, for a reason that will not go away by asking again with the same key. Those that come of an
/// operation are kept with it, as JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(tag = "code", rename_all = "snake_case")]
pub enum Refusal {
    /// The wallet is frozen or closed.
    #[error("the wallet is not active")]
    WalletNotActive,
    /// Nobody with a wallet has this phone number, e-mail address or wallet id.
    #[error("nobody with a wallet can be reached there; check the number, address or id")]
    RecipientNotFound,
    /// Sender and recipient are the same.
    #[error("money cannot be sent to oneself")]
    SameWallet,
    /// The sender's wallet does not hold the currency.
    #[error("your wallet does not hold {currency}")]
    CurrencyNotHeld {
        /// The currency.
        currency: Currency,
    },
    /// The recipient does not hold the currency.
    #[error("the recipient's wallet does not hold {currency}")]
    CurrencyNotHeldByRecipient {
        /// The currency.
        currency: Currency,
    },
    /// More than is available.
    #[error("{available} minor units are available, {required} are needed")]
    InsufficientFunds {
        /// What is available, in minor units.
        available: i64,
        /// What is needed, in minor units.
        required: i64,
    },
    /// The ledger account is frozen or closed, at one of its limits, or cannot count that much.
    #[error("the account takes no such transaction now")]
    AccountUnavailable,
    /// The card or bank account was refused.
    #[error("the payment was declined; use another payment method")]
    PaymentDeclined,
    /// This installation takes no payments.
    #[error("top-ups are not available here")]
    TopUpsUnavailable,
    /// The owner has as many wallets as one may have.
    #[error("one person can have at most {max} wallets")]
    TooManyWallets {
        /// How many.
        max: u64,
    },
}

impl From<LedgerError> for Error {
    fn from(error: LedgerError) -> Self {
        Self::Ledger(error)
    }
}
