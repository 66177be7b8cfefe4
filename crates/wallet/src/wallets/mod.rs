//! Opening wallets, looking into them and closing them.

mod entity;
pub(crate) mod repo;

pub use entity::Wallet;

use crate::{Error, Refusal, WalletId, Wallets, events};
use entity::CurrencyAccount;
use kernel::{Currency, Page, PageLimit, UserId};
use ledger_api::{
    AccountStatus, Constraint, LedgerError, NewAccount, Refusal as LedgerRefusal, Side,
    StatusChange,
};
use std::collections::HashMap;
use store::sea_orm::ConnectionTrait;
use store::{StoreError, idempotency, outbox};
use uuid::Uuid;

/// What a wallet holds in one currency, as the ledger tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WalletBalance {
    /// The currency.
    pub currency: Currency,
    /// Posted, in minor units.
    pub balance: i64,
    /// What may be spent, in minor units.
    pub available: i64,
}

/// The most wallets of one person. A person needs one or two; a program that makes more is stopped.
const WALLETS_MAX: u64 = 20;

impl Wallets {
    /// Opens a wallet for `owner` in the given currencies, each named once.
    pub async fn create_wallet(
        &self,
        owner: UserId,
        currencies: &[Currency],
    ) -> Result<Wallet, Error> {
        let deps = &self.deps;
        require_room(deps.store.read(), owner).await?;
        let wallet = Wallet::new(WalletId(deps.ids.next()), owner, currencies, deps.clock.now());
        // First the accounts, then the wallet that points to them: a crash in between leaves empty
        // accounts that nobody uses, never a wallet without accounts.
        for account in &wallet.accounts {
            deps.ledger
                .open_account(NewAccount {
                    id: account.ledger_account_id,
                    name: format!("wallet {} {}", wallet.id, account.currency),
                    currency: account.currency,
                    normal_side: Side::Credit,
                    constraint: Constraint::NonNegative,
                })
                .await?;
        }
        let tx = deps.store.begin().await?;
        // The event comes first: it locks the stream, so that nobody opens a wallet between the count
        // and the insert.
        outbox::append_in_tx(&deps.store, &tx, events::wallet_created(&wallet)).await?;
        require_room(&tx, owner).await?;
        repo::insert_in_tx(&tx, &wallet).await?;
        tx.commit().await.map_err(store::StoreError::from)?;
        Ok(wallet)
    }

    /// Closes the wallets of somebody who leaves, for good; `false` if one holds money or something
    /// that they asked for is unfinished. The ledger decides: it closes an account only when it is
    /// empty, and nothing arrives on a closed one. Should money arrive on one account while others are
    /// being closed, these stay closed; asked again, it goes on with the rest.
    pub async fn close_wallets(&self, owner: UserId) -> Result<bool, Error> {
        let deps = &self.deps;
        if idempotency::has_unfinished(&deps.store, owner.0).await? {
            return Ok(false);
        }
        let wallets = repo::of_owner(&deps.store, owner).await?;
        let ids: Vec<_> = wallets
            .iter()
            .flat_map(|wallet| wallet.accounts.iter().map(|account| account.ledger_account_id))
            .collect();
        // Who has money learns it before anything is closed.
        let accounts = deps.ledger.accounts(&ids).await?;
        if accounts.iter().any(|account| !account.balances.is_empty()) {
            return Ok(false);
        }
        for account in ids {
            let reason = "the owner of the wallet left".to_owned();
            let change = StatusChange { account, to: AccountStatus::Closed, reason };
            match deps.ledger.change_status(change).await {
                Ok(_) => {}
                Err(LedgerError::Refused(LedgerRefusal::AccountNotEmpty { .. })) => {
                    return Ok(false);
                }
                Err(error) => return Err(error.into()),
            }
        }
        let now = deps.clock.now();
        let tx = deps.store.begin().await?;
        for wallet in &wallets {
            if repo::close_in_tx(&tx, wallet.id).await? {
                let event = events::wallet_closed(wallet, now);
                outbox::append_in_tx(&deps.store, &tx, event).await?;
            }
        }
        tx.commit().await.map_err(StoreError::from)?;
        Ok(true)
    }

    /// A wallet of `owner`; somebody else's is not found.
    pub async fn wallet(&self, owner: UserId, id: WalletId) -> Result<Wallet, Error> {
        repo::find(&self.deps.store, id)
            .await?
            .filter(|wallet| wallet.owner_id == owner)
            .ok_or(Error::WalletNotFound)
    }

    /// A page of the wallets of `owner`, oldest first.
    pub async fn wallets(
        &self,
        owner: UserId,
        after: Option<Uuid>,
        limit: PageLimit,
    ) -> Result<Page<Wallet>, Error> {
        Ok(repo::page_of_owner(&self.deps.store, owner, after, limit).await?)
    }

    /// What these wallets hold, each in its own order of currencies, all as of one instant.
    pub async fn balances(
        &self,
        wallets: &[Wallet],
    ) -> Result<HashMap<WalletId, Vec<WalletBalance>>, Error> {
        let ids: Vec<_> = wallets
            .iter()
            .flat_map(|wallet| wallet.accounts.iter().map(|account| account.ledger_account_id))
            .collect();
        let accounts = self.deps.ledger.accounts(&ids).await?;
        let by_id: HashMap<_, _> = accounts.iter().map(|account| (account.id, account)).collect();
        let balance = |account: &CurrencyAccount| {
            let id = account.ledger_account_id;
            let found = by_id.get(&id).ok_or_else(|| {
                StoreError::inconsistent("wallet_accounts", "ledger_account_id", id)
            })?;
            Ok(WalletBalance {
                currency: account.currency,
                balance: found.posted(),
                available: found.available(),
            })
        };
        let balances_of = |wallet: &Wallet| {
            let balances: Result<_, Error> = wallet.accounts.iter().map(balance).collect();
            Ok((wallet.id, balances?))
        };
        wallets.iter().map(balances_of).collect()
    }
}

async fn require_room(connection: &impl ConnectionTrait, owner: UserId) -> Result<(), Error> {
    if repo::count_of_owner(connection, owner).await? >= WALLETS_MAX {
        return Err(Refusal::TooManyWallets { max: WALLETS_MAX }.into());
    }
    Ok(())
}
