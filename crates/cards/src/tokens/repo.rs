use kernel::Timestamp;
use store::sea_orm::{self, ConnectionTrait, FromQueryResult};
use store::{Store, StoreError, WriteTx};
use uuid::Uuid;

/// A row of `tokens`.
#[derive(FromQueryResult)]
pub(super) struct Row {
    pub(super) id: Uuid,
    pub(super) token: String,
    pub(super) sealed_number: Option<Vec<u8>>,
    pub(super) created_at: i64,
    pub(super) deleted_at: Option<i64>,
}

/// A token about to be stored.
pub(super) struct NewRow {
    pub(super) id: Uuid,
    pub(super) token: String,
    pub(super) sealed_number: Vec<u8>,
    pub(super) number_index: Vec<u8>,
    pub(super) created_at: Timestamp,
    pub(super) created_by: Uuid,
}

const COLUMNS: &str = "select id, token, sealed_number, created_at, deleted_at from tokens";

/// `false` if the token or the number is there already.
pub(super) async fn insert_in_tx(
    store: &Store,
    tx: &WriteTx,
    row: NewRow,
) -> Result<bool, StoreError> {
    let inserted = tx.execute_raw(store.statement(
        "insert into tokens (id, token, sealed_number, number_index, created_at, created_by) \
         values ($1, $2, $3, $4, $5, $6) on conflict do nothing",
        [
            row.id.into(),
            row.token.into(),
            row.sealed_number.into(),
            row.number_index.into(),
            row.created_at.as_micros().into(),
            row.created_by.into(),
        ],
    ));
    Ok(inserted.await?.rows_affected() == 1)
}

/// The row of a number.
pub(super) async fn find_by_index(
    store: &Store,
    connection: &impl ConnectionTrait,
    number_index: &[u8],
) -> Result<Option<Row>, StoreError> {
    let sql = format!("{COLUMNS} where number_index = $1");
    let found = Row::find_by_statement(store.statement(&sql, [number_index.to_vec().into()]));
    Ok(found.one(connection).await?)
}

/// The row of a token.
pub(super) async fn find(
    store: &Store,
    connection: &impl ConnectionTrait,
    token: &str,
) -> Result<Option<Row>, StoreError> {
    let sql = format!("{COLUMNS} where token = $1");
    let found = Row::find_by_statement(store.statement(&sql, [token.into()]));
    Ok(found.one(connection).await?)
}

/// Removes the number of a token; `false` if it was removed before.
pub(super) async fn delete_number_in_tx(
    store: &Store,
    tx: &WriteTx,
    id: Uuid,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let deleted = tx.execute_raw(store.statement(
        "update tokens set sealed_number = null, number_index = null, deleted_at = $1 \
         where id = $2 and deleted_at is null",
        [now.as_micros().into(), id.into()],
    ));
    Ok(deleted.await?.rows_affected() == 1)
}
