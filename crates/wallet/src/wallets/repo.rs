//! Wallets in the store.

use super::entity::{CurrencyAccount, Wallet, WalletStatus};
use crate::WalletId;
use kernel::{Currency, Page, PageLimit, Timestamp, UserId};
use ledger_api::AccountId;
use std::collections::HashMap;
use store::sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, EntityTrait, JoinType, PaginatorTrait,
    QueryFilter, QueryOrder, QuerySelect, sea_query::Expr,
};
use store::{Store, StoreError, WriteTx};
use uuid::Uuid;

mod wallets {
    use store::sea_orm;
    use store::sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "wallets")]
    pub(crate) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) id: Uuid,
        pub(crate) owner_id: Uuid,
        pub(crate) status: String,
        pub(crate) created_at: i64,
    }

    #[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
    pub(crate) enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

mod wallet_accounts {
    use store::sea_orm;
    use store::sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "wallet_accounts")]
    pub(crate) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) wallet_id: Uuid,
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) currency_code: String,
        pub(crate) position: i64,
        pub(crate) ledger_account_id: Uuid,
    }

    #[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
    pub(crate) enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

pub(crate) async fn insert_in_tx(tx: &WriteTx, wallet: &Wallet) -> Result<(), StoreError> {
    let row = wallets::ActiveModel {
        id: Set(wallet.id.0),
        owner_id: Set(wallet.owner_id.0),
        status: Set(wallet.status.word().to_owned()),
        created_at: Set(wallet.created_at.as_micros()),
    };
    wallets::Entity::insert(row).exec_without_returning(tx).await?;
    let accounts =
        (0_i64..).zip(&wallet.accounts).map(|(position, account)| wallet_accounts::ActiveModel {
            wallet_id: Set(wallet.id.0),
            currency_code: Set(account.currency.code().to_owned()),
            position: Set(position),
            ledger_account_id: Set(account.ledger_account_id.0),
        });
    wallet_accounts::Entity::insert_many(accounts).exec_without_returning(tx).await?;
    Ok(())
}

/// Closes a wallet; `false` if it is closed.
pub(crate) async fn close_in_tx(tx: &WriteTx, id: WalletId) -> Result<bool, StoreError> {
    let closed = WalletStatus::Closed.word();
    let changed = wallets::Entity::update_many()
        .col_expr(wallets::Column::Status, Expr::value(closed))
        .filter(wallets::Column::Id.eq(id.0))
        .filter(wallets::Column::Status.ne(closed))
        .exec(tx)
        .await?;
    Ok(changed.rows_affected == 1)
}

pub(crate) async fn find(store: &Store, id: WalletId) -> Result<Option<Wallet>, StoreError> {
    let row = wallets::Entity::find_by_id(id.0).one(store.read()).await?;
    Ok(with_accounts(store, row.into_iter().collect()).await?.pop())
}

/// All wallets of a person, oldest first.
pub(crate) async fn of_owner(store: &Store, owner: UserId) -> Result<Vec<Wallet>, StoreError> {
    let rows = wallets::Entity::find()
        .filter(wallets::Column::OwnerId.eq(owner.0))
        .order_by_asc(wallets::Column::Id)
        .all(store.read())
        .await?;
    with_accounts(store, rows).await
}

/// A page of a person's wallets, oldest first.
pub(crate) async fn page_of_owner(
    store: &Store,
    owner: UserId,
    after: Option<Uuid>,
    limit: PageLimit,
) -> Result<Page<Wallet>, StoreError> {
    let mut query = wallets::Entity::find().filter(wallets::Column::OwnerId.eq(owner.0));
    if let Some(after) = after {
        query = query.filter(wallets::Column::Id.gt(after));
    }
    let rows = query
        .order_by_asc(wallets::Column::Id)
        .limit(u64::try_from(limit.rows_to_fetch()).unwrap_or(u64::MAX))
        .all(store.read())
        .await?;
    let wallets = with_accounts(store, rows).await?;
    Ok(Page::from_rows(wallets, limit, |wallet| kernel::Cursor::from_uuid(wallet.id.0)))
}

pub(crate) async fn count_of_owner(
    connection: &impl ConnectionTrait,
    owner: UserId,
) -> Result<u64, StoreError> {
    Ok(wallets::Entity::find()
        .filter(wallets::Column::OwnerId.eq(owner.0))
        .count(connection)
        .await?)
}

/// Where a wallet's money of one currency lies, and whose it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HeldAccount {
    pub(crate) account: AccountId,
    pub(crate) owner: UserId,
}

/// The ledger accounts of these wallets in a currency; wallets that do not hold it are left out.
pub(crate) async fn accounts_in(
    store: &Store,
    ids: &[WalletId],
    currency: Currency,
) -> Result<HashMap<WalletId, HeldAccount>, StoreError> {
    let of_wallet = wallet_accounts::Entity::belongs_to(wallets::Entity)
        .from(wallet_accounts::Column::WalletId)
        .to(wallets::Column::Id);
    let rows = wallet_accounts::Entity::find()
        .select_only()
        .columns([wallet_accounts::Column::WalletId, wallet_accounts::Column::LedgerAccountId])
        .column(wallets::Column::OwnerId)
        .join(JoinType::InnerJoin, of_wallet.into())
        .filter(wallet_accounts::Column::WalletId.is_in(ids.iter().map(|id| id.0)))
        .filter(wallet_accounts::Column::CurrencyCode.eq(currency.code()))
        .into_tuple::<(Uuid, Uuid, Uuid)>()
        .all(store.read())
        .await?;
    let held = |(wallet, account, owner)| {
        (WalletId(wallet), HeldAccount { account: AccountId(account), owner: UserId(owner) })
    };
    Ok(rows.into_iter().map(held).collect())
}

/// Whose these wallets are.
pub(crate) async fn owners(
    store: &Store,
    ids: &[WalletId],
) -> Result<HashMap<WalletId, UserId>, StoreError> {
    let rows = wallets::Entity::find()
        .filter(wallets::Column::Id.is_in(ids.iter().map(|id| id.0)))
        .all(store.read())
        .await?;
    Ok(rows.into_iter().map(|row| (WalletId(row.id), UserId(row.owner_id))).collect())
}

async fn with_accounts(
    store: &Store,
    rows: Vec<wallets::Model>,
) -> Result<Vec<Wallet>, StoreError> {
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let account_rows = wallet_accounts::Entity::find()
        .filter(wallet_accounts::Column::WalletId.is_in(rows.iter().map(|row| row.id)))
        .order_by_asc(wallet_accounts::Column::Position)
        .all(store.read())
        .await?;
    let mut accounts: HashMap<Uuid, Vec<CurrencyAccount>> = HashMap::new();
    for row in account_rows {
        let currency = row.currency_code.parse().map_err(|_| {
            StoreError::inconsistent("wallet_accounts", "currency_code", row.wallet_id)
        })?;
        let account =
            CurrencyAccount { currency, ledger_account_id: AccountId(row.ledger_account_id) };
        accounts.entry(row.wallet_id).or_default().push(account);
    }
    rows.into_iter()
        .map(|row| {
            let status = WalletStatus::from_word(&row.status)
                .ok_or_else(|| StoreError::inconsistent("wallets", "status", row.id))?;
            Ok(Wallet {
                id: WalletId(row.id),
                owner_id: UserId(row.owner_id),
                status,
                created_at: Timestamp::from_micros(row.created_at),
                accounts: accounts.remove(&row.id).unwrap_or_default(),
            })
        })
        .collect()
}
