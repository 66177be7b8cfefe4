//! Operations and histories in the store.

use super::entity::{Direction, HistoryLine, Kind, Operation, Outcome};
use crate::{OperationId, WalletId};
use kernel::{Money, Page, PageLimit, Timestamp};
use ledger_api::TransactionId;
use store::sea_orm::{
    self, ActiveValue::Set, ColumnTrait, EntityTrait, FromQueryResult, QueryFilter, sea_query::Expr,
};
use store::{Store, StoreError, WriteTx};
use uuid::Uuid;

mod operations {
    use store::sea_orm;
    use store::sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "operations")]
    pub(crate) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) id: Uuid,
        pub(crate) kind: String,
        pub(crate) wallet_id: Uuid,
        pub(crate) recipient_wallet_id: Option<Uuid>,
        pub(crate) amount_minor_units: i64,
        pub(crate) currency_code: String,
        pub(crate) note: Option<String>,
        pub(crate) payment_method: Option<String>,
        pub(crate) status: String,
        pub(crate) refusal: Option<String>,
        pub(crate) ledger_transaction_id: Uuid,
        pub(crate) created_at: i64,
        pub(crate) settled_at: Option<i64>,
    }

    #[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
    pub(crate) enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

mod wallet_transactions {
    use store::sea_orm;
    use store::sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "wallet_transactions")]
    pub(crate) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) wallet_id: Uuid,
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) operation_id: Uuid,
        pub(crate) direction: String,
    }

    #[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
    pub(crate) enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

const TOP_UP: &str = "top_up";
const TRANSFER: &str = "transfer";

pub(super) async fn insert_in_tx(tx: &WriteTx, operation: &Operation) -> Result<(), StoreError> {
    let (kind, recipient_wallet_id, payment_method) = match &operation.kind {
        Kind::TopUp { payment_method } => (TOP_UP, None, Some(payment_method.clone())),
        Kind::Transfer { recipient_wallet_id } => (TRANSFER, Some(recipient_wallet_id.0), None),
    };
    let row = operations::ActiveModel {
        id: Set(operation.id.0),
        kind: Set(kind.to_owned()),
        wallet_id: Set(operation.wallet_id.0),
        recipient_wallet_id: Set(recipient_wallet_id),
        amount_minor_units: Set(operation.amount.minor_units()),
        currency_code: Set(operation.amount.currency().code().to_owned()),
        note: Set(operation.note.clone()),
        payment_method: Set(payment_method),
        status: Set("pending".to_owned()),
        refusal: Set(None),
        ledger_transaction_id: Set(operation.ledger_transaction_id.0),
        created_at: Set(operation.created_at.as_micros()),
        settled_at: Set(None),
    };
    operations::Entity::insert(row).exec_without_returning(tx).await?;
    Ok(())
}

pub(super) async fn find(store: &Store, id: OperationId) -> Result<Operation, StoreError> {
    operations::Entity::find_by_id(id.0)
        .one(store.read())
        .await?
        .ok_or_else(|| StoreError::inconsistent("operations", "id", id))?
        .into_operation()
}

/// Writes the outcome of a pending operation.
pub(super) async fn settle_in_tx(
    tx: &WriteTx,
    operation: &Operation,
    now: Timestamp,
) -> Result<(), StoreError> {
    let (status, refusal) = match &operation.outcome {
        Outcome::Pending => return Ok(()),
        Outcome::Completed => ("completed", None),
        // A refusal is plain data, which always serialises.
        Outcome::Rejected(refusal) => {
            ("rejected", Some(serde_json::to_string(refusal).unwrap_or_default()))
        }
    };
    let settled = operations::Entity::update_many()
        .col_expr(operations::Column::Status, Expr::value(status))
        .col_expr(operations::Column::Refusal, Expr::value(refusal))
        .col_expr(operations::Column::SettledAt, Expr::value(now.as_micros()))
        .filter(operations::Column::Id.eq(operation.id.0))
        .filter(operations::Column::Status.eq("pending"))
        .exec(tx)
        .await?;
    if settled.rows_affected != 1 {
        return Err(StoreError::inconsistent("operations", "status", operation.id));
    }
    Ok(())
}

/// Adds a completed operation to the histories it belongs to.
pub(super) async fn insert_history_in_tx(
    tx: &WriteTx,
    operation: &Operation,
) -> Result<(), StoreError> {
    let lines = operation.sides().into_iter().map(|(wallet_id, direction)| {
        wallet_transactions::ActiveModel {
            wallet_id: Set(wallet_id.0),
            operation_id: Set(operation.id.0),
            direction: Set(direction.word().to_owned()),
        }
    });
    wallet_transactions::Entity::insert_many(lines).exec_without_returning(tx).await?;
    Ok(())
}

#[derive(FromQueryResult)]
struct HistoryRow {
    direction: String,
    #[sea_orm(nested)]
    operation: operations::Model,
}

/// A page of a wallet's history, newest first.
pub(super) async fn history(
    store: &Store,
    wallet: WalletId,
    after: Option<Uuid>,
    limit: PageLimit,
) -> Result<Page<HistoryLine>, StoreError> {
    // The largest id when there is no page before.
    let after = after.unwrap_or(Uuid::max());
    let sql = "select t.direction, o.* from wallet_transactions t \
               join operations o on o.id = t.operation_id \
               where t.wallet_id = $1 and t.operation_id < $2 \
               order by t.operation_id desc limit $3";
    let binds = [wallet.0.into(), after.into(), limit.rows_to_fetch().into()];
    let rows = HistoryRow::find_by_statement(store.statement(sql, binds)).all(store.read()).await?;
    let lines = rows
        .into_iter()
        .map(|row| {
            let direction =
                if row.direction == Direction::In.word() { Direction::In } else { Direction::Out };
            let operation = row.operation.into_operation()?;
            Ok(HistoryLine { operation, direction, counterparty_name: None })
        })
        .collect::<Result<Vec<_>, StoreError>>()?;
    Ok(Page::from_rows(lines, limit, |line| kernel::Cursor::from_uuid(line.operation.id.0)))
}

impl operations::Model {
    fn into_operation(self) -> Result<Operation, StoreError> {
        let inconsistent = |column| StoreError::inconsistent("operations", column, self.id);
        let kind = match (self.kind.as_str(), self.recipient_wallet_id, self.payment_method) {
            (TRANSFER, Some(id), None) => Kind::Transfer { recipient_wallet_id: WalletId(id) },
            (TOP_UP, None, Some(payment_method)) => Kind::TopUp { payment_method },
            _ => return Err(inconsistent("kind")),
        };
        let outcome = match (self.status.as_str(), self.refusal) {
            ("pending", None) => Outcome::Pending,
            ("completed", None) => Outcome::Completed,
            ("rejected", Some(refusal)) => Outcome::Rejected(
                serde_json::from_str(&refusal).map_err(|_| inconsistent("refusal"))?,
            ),
            _ => return Err(inconsistent("status")),
        };
        let currency = self.currency_code.parse().map_err(|_| inconsistent("currency_code"))?;
        Ok(Operation {
            id: OperationId(self.id),
            wallet_id: WalletId(self.wallet_id),
            kind,
            amount: Money::new(self.amount_minor_units, currency),
            note: self.note,
            outcome,
            ledger_transaction_id: TransactionId(self.ledger_transaction_id),
            created_at: Timestamp::from_micros(self.created_at),
        })
    }
}
