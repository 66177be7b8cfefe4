use crate::Purpose;
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use kernel::Timestamp;
use store::sea_orm::{self, ConnectionTrait, DbBackend, FromQueryResult};
use store::{Store, StoreError, WriteTx};
use uuid::Uuid;

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

/// Waits for everybody who is sealing something, and makes those wait who are about to, until the
/// transaction ends.
pub(super) async fn lock_names_in_tx(store: &Store, tx: &WriteTx) -> Result<(), StoreError> {
    // On SQLite there is one writer anyway.
    if store.backend() == DbBackend::Postgres {
        tx.execute_unprepared("lock table data_keys in exclusive mode").await?;
    }
    Ok(())
}

/// Forgets that any key but this one was used, and returns their names.
pub(super) async fn forget_other_names_in_tx(
    store: &Store,
    tx: &WriteTx,
    name: &str,
) -> Result<Vec<String>, StoreError> {
    let forgotten = Row::find_by_statement(
        store.statement("delete from data_keys where name <> $1 returning name", [name.into()]),
    );
    Ok(forgotten.all(tx).await?.into_iter().map(|row| row.name).collect())
}

/// The one row of `index_keys`.
pub(super) const INDEX_KEY: Uuid = Uuid::nil();

#[derive(FromQueryResult)]
struct IndexKey {
    sealed_key: Vec<u8>,
}

const FIND_INDEX_KEY: &str = "select sealed_key from index_keys where id = $1";

/// The sealed key of the blind indexes.
pub(super) async fn index_key(store: &Store) -> Result<Option<Vec<u8>>, StoreError> {
    let found = store.statement(FIND_INDEX_KEY, [INDEX_KEY.into()]);
    let found = IndexKey::find_by_statement(found).one(store.read()).await?;
    Ok(found.map(|row| row.sealed_key))
}

/// Makes this the key unless there is one, and returns what there is.
pub(super) async fn keep_index_key_in_tx(
    store: &Store,
    tx: &WriteTx,
    sealed: Vec<u8>,
    now: Timestamp,
) -> Result<Vec<u8>, StoreError> {
    tx.execute_raw(store.statement(
        "insert into index_keys (id, sealed_key, created_at) values ($1, $2, $3) \
         on conflict (id) do nothing",
        [INDEX_KEY.into(), sealed.into(), now.as_micros().into()],
    ))
    .await?;
    let found = store.statement(FIND_INDEX_KEY, [INDEX_KEY.into()]);
    let found = IndexKey::find_by_statement(found).one(tx).await?;
    let row = found.ok_or_else(|| StoreError::inconsistent("index_keys", "id", INDEX_KEY))?;
    Ok(row.sealed_key)
}

/// How a sealed column is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// As bytes.
    Bytes,
    /// As a text, in base64.
    Base64,
}

/// A column of sealed values. Its row is named by `id`, which what is sealed is bound to.
#[derive(Clone, Copy, Debug)]
pub struct SealedColumn {
    pub(crate) purpose: Purpose,
    table: &'static str,
    id: &'static str,
    column: &'static str,
    encoding: Encoding,
}

impl SealedColumn {
    /// A column of a table whose rows are named by `id`.
    pub const fn new(
        purpose: Purpose,
        table: &'static str,
        id: &'static str,
        column: &'static str,
        encoding: Encoding,
    ) -> Self {
        Self { purpose, table, id, column, encoding }
    }
}

/// A value and the row that it is in.
pub(super) struct SealedValue {
    pub(super) row: Uuid,
    pub(super) sealed: Vec<u8>,
}

/// The next values of a column in the order of its rows, whatever key they are sealed with.
pub(super) async fn sealed_values(
    store: &Store,
    column: &SealedColumn,
    after: Option<Uuid>,
    limit: i64,
) -> Result<Vec<SealedValue>, StoreError> {
    #[derive(FromQueryResult)]
    struct BytesRow {
        id: Uuid,
        sealed: Vec<u8>,
    }
    #[derive(FromQueryResult)]
    struct TextRow {
        id: Uuid,
        sealed: String,
    }
    let SealedColumn { table, id, column: name, .. } = *column;
    // No id is less than nil, which is one.
    let (than, after) = after.map_or((">=", Uuid::nil()), |after| (">", after));
    let sql = format!(
        "select {id} as id, {name} as sealed from {table} \
         where {id} {than} $1 and {name} is not null order by {id} limit $2"
    );
    let statement = store.statement(&sql, [after.into(), limit.into()]);
    match column.encoding {
        Encoding::Bytes => {
            let rows = BytesRow::find_by_statement(statement).all(store.read()).await?;
            Ok(rows
                .into_iter()
                .map(|row| SealedValue { row: row.id, sealed: row.sealed })
                .collect())
        }
        Encoding::Base64 => {
            let rows = TextRow::find_by_statement(statement).all(store.read()).await?;
            let decoded = rows.into_iter().map(|row| {
                let sealed = STANDARD_NO_PAD.decode(&row.sealed);
                let sealed = sealed.map_err(|_| StoreError::inconsistent(table, name, row.id))?;
                Ok(SealedValue { row: row.id, sealed })
            });
            decoded.collect()
        }
    }
}

/// Puts another sealing of the same in a value's place, unless something else is there by now.
pub(super) async fn replace_sealed_in_tx(
    store: &Store,
    tx: &WriteTx,
    column: &SealedColumn,
    old: &SealedValue,
    new: &[u8],
) -> Result<bool, StoreError> {
    let SealedColumn { table, id, column: name, .. } = *column;
    let sql = format!("update {table} set {name} = $1 where {id} = $2 and {name} = $3");
    let value = |bytes: &[u8]| match column.encoding {
        Encoding::Bytes => sea_orm::Value::from(bytes.to_vec()),
        Encoding::Base64 => STANDARD_NO_PAD.encode(bytes).into(),
    };
    let binds = [value(new), old.row.into(), value(&old.sealed)];
    Ok(tx.execute_raw(store.statement(&sql, binds)).await?.rows_affected() == 1)
}
