//! Moving money: top-ups and transfers, each carried out once whatever fails in between.

mod entity;
mod repo;

pub(crate) use entity::{Direction, HistoryLine, Kind};
pub use entity::{Operation, Outcome};

use crate::wallets::repo::HeldAccount;
use crate::wallets::{self, Wallet};
use crate::{Error, OperationId, Refusal, WalletId, Wallets, events};
use kernel::{Currency, Money, Page, PageLimit, Timestamp, UserId};
use ledger_api::{
    Account, AccountId, AccountStatus, Constraint, LedgerError, NewAccount,
    Refusal as LedgerRefusal, Side, TransactionId,
};
use ports::{ChargeRequest, PaymentGatewayError};
use std::collections::HashMap;
use store::idempotency::{self, Claim};
use store::{StoreError, outbox};
use uuid::{Uuid, uuid};

/// Money to bring in from outside. Holds personal data, so it does not print.
#[derive(Clone)]
pub struct TopUp {
    /// How much.
    pub amount: Money,
    /// The gateway's name for the card or account to charge.
    pub payment_method: String,
}

/// Money to send. Holds personal data, so it does not print.
#[derive(Clone)]
pub struct Transfer {
    /// To whom.
    pub to: Recipient,
    /// How much.
    pub amount: Money,
    /// A word to the recipient.
    pub note: Option<String>,
}

/// How a recipient is named. Holds personal data, so it does not print.
#[derive(Clone)]
pub enum Recipient {
    /// By phone number.
    Phone(String),
    /// By e-mail address.
    Email(String),
    /// By wallet.
    Wallet(WalletId),
}

/// Who asks, and under which idempotency key.
#[derive(Clone, Debug)]
pub struct Keyed<'a> {
    /// The owner of the wallet.
    pub caller: UserId,
    /// The caller's key.
    pub key: &'a str,
    /// A digest of what is asked: the same key for something else is refused.
    pub fingerprint: &'a [u8],
}

/// A settled operation, and whether it had been settled before this request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settled {
    /// The operation with its outcome.
    pub operation: Operation,
    /// True when this request only read the outcome; false when it finished what another one began.
    pub replayed: bool,
}

/// The names of our own ledger accounts; their ids follow from it.
const ACCOUNTS: Uuid = uuid!("7b0bd8d8-2f4b-4c19-9f7e-52c1f6a5b7d3");

impl Wallets {
    /// Brings money in through the payment gateway.
    pub async fn top_up(
        &self,
        keyed: &Keyed<'_>,
        wallet_id: WalletId,
        request: TopUp,
    ) -> Result<Settled, Error> {
        if let Some(settled) = self.known(keyed).await? {
            return Ok(settled);
        }
        let wallet = self.wallet(keyed.caller, wallet_id).await?;
        let account = wallet.usable_account(request.amount.currency())?;
        // Before the customer is charged for money that could not be put anywhere.
        let is_open = |account: Account| account.status == AccountStatus::Open;
        if !self.deps.ledger.account(account).await?.is_some_and(is_open) {
            return Err(Refusal::AccountUnavailable.into());
        }
        let kind = Kind::TopUp { payment_method: request.payment_method };
        self.begin_and_finish(keyed, self.operation(&wallet, kind, request.amount, None)).await
    }

    /// Sends money to somebody else.
    pub async fn transfer(
        &self,
        keyed: &Keyed<'_>,
        wallet_id: WalletId,
        request: Transfer,
    ) -> Result<Settled, Error> {
        if let Some(settled) = self.known(keyed).await? {
            return Ok(settled);
        }
        let wallet = self.wallet(keyed.caller, wallet_id).await?;
        let currency = request.amount.currency();
        let recipient = self.recipient(&wallet, &request.to, currency).await?;
        wallet.usable_account(currency)?;
        if recipient.account(currency).is_none() {
            return Err(Refusal::CurrencyNotHeldByRecipient { currency }.into());
        }
        let kind = Kind::Transfer { recipient_wallet_id: recipient.id };
        self.begin_and_finish(keyed, self.operation(&wallet, kind, request.amount, request.note))
            .await
    }

    /// A page of a wallet's history, newest first.
    pub(crate) async fn history(
        &self,
        owner: UserId,
        wallet_id: WalletId,
        after: Option<Uuid>,
        limit: PageLimit,
    ) -> Result<Page<HistoryLine>, Error> {
        let wallet = self.wallet(owner, wallet_id).await?;
        let store = &self.deps.store;
        let mut page = repo::history(store, wallet.id, after, limit).await?;
        let others: Vec<_> = page.items.iter().filter_map(HistoryLine::counterparty).collect();
        let owners = wallets::repo::owners(store, &others).await?;
        let users: Vec<_> = owners.values().copied().collect();
        let names = self.deps.directory.display_names(&users).await?;
        for line in &mut page.items {
            let user = line.counterparty().and_then(|wallet| owners.get(&wallet));
            line.counterparty_name = user.and_then(|user| names.get(user).cloned());
        }
        Ok(page)
    }

    /// Finishes operations that were begun by processes which are gone, and returns how many. Run by a
    /// worker every few seconds; several processes may do it at once. An operation that cannot be
    /// finished now has its next turn when its lease is over again, after all others.
    pub async fn finish_abandoned(&self, limit: u32) -> Result<u32, Error> {
        let deps = &self.deps;
        let mut finished: u32 = 0;
        for id in idempotency::abandoned(&deps.store, deps.clock.now(), limit).await? {
            let tx = deps.store.begin().await?;
            let lease = self.config.operation_lease;
            let taken =
                idempotency::take_over_in_tx(&deps.store, &tx, id, deps.clock.now(), lease).await?;
            tx.commit().await.map_err(StoreError::from)?;
            let Some(lease_until) = taken else { continue };
            match self.finish_by_id(OperationId(id), lease_until).await {
                Ok(_) => finished = finished.saturating_add(1),
                Err(error) => {
                    let error: &(dyn std::error::Error + 'static) = &error;
                    tracing::warn!(error, operation = %id, "an operation is still not finished");
                }
            }
        }
        Ok(finished)
    }

    async fn finish_by_id(
        &self,
        id: OperationId,
        lease_until: Timestamp,
    ) -> Result<Operation, Error> {
        let operation = repo::find(&self.deps.store, id).await?;
        self.finish(operation, lease_until).await
    }

    fn operation(
        &self,
        wallet: &Wallet,
        kind: Kind,
        amount: Money,
        note: Option<String>,
    ) -> Operation {
        Operation {
            id: OperationId(self.deps.ids.next()),
            wallet_id: wallet.id,
            kind,
            amount,
            note,
            outcome: Outcome::Pending,
            ledger_transaction_id: TransactionId(self.deps.ids.next()),
            created_at: self.deps.clock.now(),
        }
    }

    /// Who is meant. Oneself is never meant.
    async fn recipient(
        &self,
        sender: &Wallet,
        to: &Recipient,
        currency: Currency,
    ) -> Result<Wallet, Error> {
        let user = match to {
            Recipient::Wallet(id) => return self.recipient_wallet(sender, *id).await,
            Recipient::Phone(number) => self.deps.directory.find_by_phone(number).await?,
            Recipient::Email(address) => self.deps.directory.find_by_email(address).await?,
        };
        let user = user.ok_or(Refusal::RecipientNotFound)?;
        if user == sender.owner_id {
            return Err(Refusal::SameWallet.into());
        }
        let mut wallets = wallets::repo::of_owner(&self.deps.store, user).await?;
        wallets.retain(Wallet::is_active);
        // The oldest one that holds the currency; failing that the oldest, which says what is missing.
        let held = wallets.iter().position(|wallet| wallet.account(currency).is_some());
        let index = held.unwrap_or(0);
        if index < wallets.len() {
            return Ok(wallets.swap_remove(index));
        }
        Err(Refusal::RecipientNotFound.into())
    }

    async fn recipient_wallet(&self, sender: &Wallet, id: WalletId) -> Result<Wallet, Error> {
        if id == sender.id {
            return Err(Refusal::SameWallet.into());
        }
        let found = wallets::repo::find(&self.deps.store, id).await?;
        let wallet = found.filter(Wallet::is_active).ok_or(Refusal::RecipientNotFound)?;
        match self.deps.directory.is_active(wallet.owner_id).await? {
            true => Ok(wallet),
            false => Err(Refusal::RecipientNotFound.into()),
        }
    }

    /// Whether the caller has used this key before.
    pub(crate) async fn has_used(&self, keyed: &Keyed<'_>) -> Result<bool, Error> {
        Ok(idempotency::is_known(&self.deps.store, keyed.caller.0, keyed.key).await?)
    }

    /// The outcome of a key that was used before. What it stood for then holds, whatever has changed
    /// since; so this comes before any other check.
    async fn known(&self, keyed: &Keyed<'_>) -> Result<Option<Settled>, Error> {
        let deps = &self.deps;
        if !self.has_used(keyed).await? {
            return Ok(None);
        }
        let tx = deps.store.begin().await?;
        let claim = self.claim_in_tx(&tx, keyed, Uuid::nil()).await?;
        if matches!(claim, Claim::New { .. }) {
            // The record has gone since: the transaction is dropped and the key is new.
            return Ok(None);
        }
        tx.commit().await.map_err(StoreError::from)?;
        self.go_on(claim, None).await.map(Some)
    }

    async fn begin_and_finish(
        &self,
        keyed: &Keyed<'_>,
        operation: Operation,
    ) -> Result<Settled, Error> {
        let tx = self.deps.store.begin().await?;
        let claim = self.claim_in_tx(&tx, keyed, operation.id.0).await?;
        if matches!(claim, Claim::New { .. }) {
            repo::insert_in_tx(&tx, &operation).await?;
        }
        tx.commit().await.map_err(StoreError::from)?;
        self.go_on(claim, Some(operation)).await
    }

    async fn claim_in_tx(
        &self,
        tx: &store::WriteTx,
        keyed: &Keyed<'_>,
        operation_id: Uuid,
    ) -> Result<Claim, StoreError> {
        let deps = &self.deps;
        let request = idempotency::Request {
            subject_id: keyed.caller.0,
            key: keyed.key,
            fingerprint: keyed.fingerprint,
            operation_id,
        };
        let lease = self.config.operation_lease;
        idempotency::claim_in_tx(&deps.store, tx, &request, deps.clock.now(), lease).await
    }

    async fn go_on(&self, claim: Claim, begun: Option<Operation>) -> Result<Settled, Error> {
        let find = |id: Uuid| repo::find(&self.deps.store, OperationId(id));
        match claim {
            Claim::New { lease_until } => {
                let operation = begun.ok_or(Error::TookTooLong)?;
                self.finish_for_caller(operation, lease_until).await
            }
            Claim::TakenOver { operation_id, lease_until } => {
                self.finish_for_caller(find(operation_id).await?, lease_until).await
            }
            Claim::Done { operation_id } => {
                Ok(Settled { operation: find(operation_id).await?, replayed: true })
            }
            Claim::InFlight { free_at } => Err(Error::InFlight { free_at }),
            Claim::KeyReused => Err(Error::KeyReused),
        }
    }

    /// Finishes an operation for somebody who waits. When there is no outcome and nothing of this attempt
    /// can still happen, the lease is given back, so that a retry need not wait for its end.
    async fn finish_for_caller(
        &self,
        operation: Operation,
        lease_until: Timestamp,
    ) -> Result<Settled, Error> {
        let id = operation.id;
        let replayed = operation.outcome != Outcome::Pending;
        let finished = self.finish(operation, lease_until).await;
        if finished.as_ref().is_err_and(is_over) {
            self.give_back(id, lease_until).await;
        }
        Ok(Settled { operation: finished?, replayed })
    }

    /// Carries a pending operation out and writes down what came of it.
    async fn finish(
        &self,
        mut operation: Operation,
        lease_until: Timestamp,
    ) -> Result<Operation, Error> {
        if operation.outcome != Outcome::Pending {
            return Ok(operation);
        }
        operation.outcome = self.carry_out(&operation, lease_until).await?;
        let deps = &self.deps;
        let now = deps.clock.now();
        let completed = operation.outcome == Outcome::Completed;
        // Money that moved has moved, whoever writes it down; but that nothing moved is true only as long
        // as nobody else may move it.
        let lease = (!completed).then_some(lease_until);
        let tx = deps.store.begin().await?;
        if !idempotency::complete_in_tx(&deps.store, &tx, operation.id.0, lease, now).await? {
            drop(tx);
            let settled = repo::find(&deps.store, operation.id).await?;
            return match settled.outcome {
                Outcome::Pending => Err(Error::TookTooLong),
                Outcome::Rejected(_) if completed => {
                    Err(StoreError::inconsistent("operations", "status", operation.id).into())
                }
                _ => Ok(settled),
            };
        }
        repo::settle_in_tx(&tx, &operation, now).await?;
        if completed {
            repo::insert_history_in_tx(&tx, &operation).await?;
            let event = events::operation_completed(&operation, now);
            outbox::append_in_tx(&deps.store, &tx, event).await?;
        }
        tx.commit().await.map_err(StoreError::from)?;
        Ok(operation)
    }

    async fn carry_out(
        &self,
        operation: &Operation,
        lease_until: Timestamp,
    ) -> Result<Outcome, Error> {
        let currency = operation.amount.currency();
        let accounts = self.accounts_of(operation).await?;
        let account = |wallet: WalletId| {
            let inconsistent = || StoreError::inconsistent("wallet_accounts", "wallet_id", wallet);
            accounts.get(&wallet).copied().ok_or_else(inconsistent)
        };
        let HeldAccount { account: own, owner } = account(operation.wallet_id)?;
        let (from, to) = match &operation.kind {
            Kind::Transfer { recipient_wallet_id } => (own, account(*recipient_wallet_id)?.account),
            Kind::TopUp { payment_method } => {
                if let Err(refusal) = self.charge(operation, payment_method).await? {
                    return Ok(Outcome::Rejected(refusal));
                }
                (self.gateway_account(currency).await?, own)
            }
        };
        // Nobody else moves the money of a wallet, whoever finishes what its owner began.
        let posting = operation.posting(from, to, lease_until, owner);
        match self.deps.ledger.post(posting).await {
            Ok(_) => Ok(Outcome::Completed),
            Err(LedgerError::Refused(LedgerRefusal::DeadlinePassed { .. })) => {
                Err(Error::TookTooLong)
            }
            Err(LedgerError::Refused(refusal)) => refused(&operation.kind, refusal),
            Err(error) => Err(error.into()),
        }
    }

    /// Collects the money of a top-up. Asking again with the operation's id collects nothing more.
    async fn charge(
        &self,
        operation: &Operation,
        payment_method: &str,
    ) -> Result<Result<(), Refusal>, Error> {
        let request = ChargeRequest {
            idempotency_key: operation.id.0,
            amount: operation.amount,
            payment_method: payment_method.to_owned(),
        };
        match self.deps.payment_gateway.charge(request).await {
            Ok(_) => Ok(Ok(())),
            Err(PaymentGatewayError::Declined(_)) => Ok(Err(Refusal::PaymentDeclined)),
            Err(PaymentGatewayError::NotConfigured) => Ok(Err(Refusal::TopUpsUnavailable)),
            Err(PaymentGatewayError::Unavailable(_)) => Err(Error::PaymentGatewayUnavailable),
        }
    }

    /// The ledger account of what the gateway owes us in a currency; opened when it is first needed.
    async fn gateway_account(&self, currency: Currency) -> Result<AccountId, Error> {
        let name = format!("payment gateway {currency}");
        let id = AccountId(Uuid::new_v5(&ACCOUNTS, name.as_bytes()));
        let account = NewAccount {
            id,
            name,
            currency,
            normal_side: Side::Debit,
            constraint: Constraint::Unlimited,
        };
        self.deps.ledger.open_account(account).await?;
        Ok(id)
    }

    /// The ledger accounts of the wallets that an operation belongs to.
    async fn accounts_of(
        &self,
        operation: &Operation,
    ) -> Result<HashMap<WalletId, HeldAccount>, StoreError> {
        let wallets: Vec<_> = operation.sides().into_iter().map(|(wallet, _)| wallet).collect();
        wallets::repo::accounts_in(&self.deps.store, &wallets, operation.amount.currency()).await
    }

    /// Lets somebody else go on at once. Should this fail, they go on when the lease is over.
    async fn give_back(&self, operation: OperationId, lease_until: Timestamp) {
        let store = &self.deps.store;
        let released = async {
            let tx = store.begin().await?;
            idempotency::release_in_tx(store, &tx, operation.0, lease_until).await?;
            Ok::<_, StoreError>(tx.commit().await?)
        };
        if let Err(error) = released.await {
            tracing::warn!(%error, %operation, "a lease was not given back");
        }
    }
}

/// Whether nothing of an attempt that ended like this can still happen. A posting without an answer may
/// still be on its way: until its deadline nobody can say that it was refused.
fn is_over(error: &Error) -> bool {
    matches!(
        error,
        Error::PaymentGatewayUnavailable
            | Error::TookTooLong
            | Error::Ledger(LedgerError::Overloaded | LedgerError::Refused(_))
    )
}

/// What a refusal of the ledger means for an operation.
fn refused(kind: &Kind, refusal: LedgerRefusal) -> Result<Outcome, Error> {
    // The customer has paid: a top-up stays pending, and shows up in the log, until the ledger takes it.
    if matches!(kind, Kind::TopUp { .. }) {
        return Err(LedgerError::Refused(refusal).into());
    }
    match refusal {
        LedgerRefusal::InsufficientFunds { available, required, .. } => {
            Ok(Outcome::Rejected(Refusal::InsufficientFunds {
                available: available.minor_units(),
                required: required.minor_units(),
            }))
        }
        LedgerRefusal::AccountNotOpen { .. }
        | LedgerRefusal::BalanceOverflow { .. }
        | LedgerRefusal::LimitExceeded { .. } => Ok(Outcome::Rejected(Refusal::AccountUnavailable)),
        // These would be defects of ours; the operation stays pending and shows up in the log.
        defect => Err(LedgerError::Refused(defect).into()),
    }
}
