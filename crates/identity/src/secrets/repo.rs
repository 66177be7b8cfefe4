use kernel::Timestamp;
use store::sea_orm::{self, ConnectionTrait, FromQueryResult};
use store::{Store, StoreError, WriteTx};

#[derive(FromQueryResult)]
struct Row {
    name: String,
}

const NAMES: &str = "select name from data_keys order by name";

/// The names of the keys that were used.
pub(super) async fn names(store: &Store) -> Result<Vec<String>, StoreError> {
    let rows = Row::find_by_statement(store.statement(NAMES, [])).all(store.read()).await?;
    Ok(rows.into_iter().map(|row| row.name).collect())
}

/// Records that a key is used, and returns the names of all that are.
pub(super) async fn note_in_tx(
    store: &Store,
    tx: &WriteTx,
    name: &str,
    now: Timestamp,
) -> Result<Vec<String>, StoreError> {
    tx.execute_raw(store.statement(
        "insert into data_keys (name, first_used_at) values ($1, $2) \
         on conflict (name) do nothing",
        [name.into(), now.as_micros().into()],
    ))
    .await?;
    let rows = Row::find_by_statement(store.statement(NAMES, [])).all(tx).await?;
    Ok(rows.into_iter().map(|row| row.name).collect())
}
