//! Reading long stretches of the journal at the speed of the driver, out of one unchanging state of it.

use super::repo::EXPORT_SNAPSHOT_SQL;
use futures_util::TryStreamExt;
use rusqlite::OpenFlags;
use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, FromRow, Postgres, Row as _, Transaction};
use std::panic::resume_unwind;
use store::sea_orm::DbErr;
use store::{Store, StoreError};
use tokio::task::JoinError;

/// The journal at one moment, while others go on writing.
pub(crate) enum Scan {
    Sqlite(rusqlite::Connection),
    Postgres(Transaction<'static, Postgres>),
}

/// A row that both drivers give: a tuple of up to 16 columns.
pub(crate) trait ScanRow:
    for<'row> TryFrom<&'row rusqlite::Row<'row>, Error = rusqlite::Error>
    + for<'row> FromRow<'row, PgRow>
    + Send
    + Unpin
{
}

impl<T> ScanRow for T where
    T: for<'row> TryFrom<&'row rusqlite::Row<'row>, Error = rusqlite::Error>
        + for<'row> FromRow<'row, PgRow>
        + Send
        + Unpin
{
}

const BEGIN: &str = "begin isolation level repeatable read read only";

impl Scan {
    pub(crate) async fn begin(store: &Store) -> Result<Self, StoreError> {
        match store.sqlite_path() {
            Some(path) => {
                let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
                let connection =
                    rusqlite::Connection::open_with_flags(path, flags).map_err(failed)?;
                connection.pragma_update(None, "query_only", true).map_err(failed)?;
                connection.execute_batch("begin").map_err(failed)?;
                Ok(Self::Sqlite(connection))
            }
            None => {
                Ok(Self::Postgres(store.postgres_pool().begin_with(BEGIN).await.map_err(failed)?))
            }
        }
    }

    /// Another one of the same state, to be read at the same time: only PostgreSQL has such, only while this
    /// one is there, and only when it has a connection left.
    pub(crate) async fn beside(&mut self, store: &Store) -> Result<Option<Self>, StoreError> {
        let Self::Postgres(tx) = self else { return Ok(None) };
        let export = sqlx::query_scalar(EXPORT_SNAPSHOT_SQL);
        let snapshot: String = export.fetch_one(&mut **tx).await.map_err(failed)?;
        let mut beside = match store.postgres_pool().begin_with(BEGIN).await {
            Ok(beside) => beside,
            Err(error) => {
                tracing::debug!(%error, "the journal is read through one connection");
                return Ok(None);
            }
        };
        let import = AssertSqlSafe(format!("set transaction snapshot '{snapshot}'"));
        sqlx::raw_sql(import).execute(&mut *beside).await.map_err(failed)?;
        Ok(Some(Self::Postgres(beside)))
    }

    /// Gives each row of a query that has more of them than should be kept.
    pub(crate) async fn each<R: ScanRow>(
        &mut self,
        sql: &str,
        mut take: impl FnMut(R) + Send,
    ) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(connection) => {
                let mut statement = connection.prepare_cached(sql).map_err(failed)?;
                let mut rows = statement.query([]).map_err(failed)?;
                while let Some(row) = rows.next().map_err(failed)? {
                    take(R::try_from(row).map_err(failed)?);
                }
                Ok(())
            }
            Self::Postgres(tx) => {
                let mut rows = sqlx::query_as(AssertSqlSafe(sql)).fetch(&mut **tx);
                while let Some(row) = rows.try_next().await.map_err(failed)? {
                    take(row);
                }
                Ok(())
            }
        }
    }

    /// The rows that a query gives with these numbers in place of `$1`, `$2`, … On SQLite this works on the
    /// calling thread.
    pub(crate) async fn rows<R: ScanRow>(
        &mut self,
        sql: &str,
        numbers: &[i64],
    ) -> Result<Vec<R>, StoreError> {
        match self {
            Self::Sqlite(connection) => {
                let mut statement = connection.prepare_cached(sql).map_err(failed)?;
                let rows = statement
                    .query_and_then(rusqlite::params_from_iter(numbers), |row| R::try_from(row));
                rows.map_err(failed)?.collect::<Result<_, _>>().map_err(failed)
            }
            Self::Postgres(tx) => {
                let mut query = sqlx::query_as(AssertSqlSafe(sql));
                for number in numbers {
                    query = query.bind(*number);
                }
                query.fetch_all(&mut **tx).await.map_err(failed)
            }
        }
    }

    /// The rows of a query for whole numbers, when they are many. PostgreSQL's driver takes longer for a row
    /// than for the numbers in it: there `lists` gives one row, with the list of each column.
    pub(crate) async fn numbers<const COLUMNS: usize>(
        &mut self,
        rows: &str,
        lists: &str,
        numbers: &[i64],
    ) -> Result<Vec<[Option<i64>; COLUMNS]>, StoreError> {
        match self {
            Self::Sqlite(connection) => {
                let mut statement = connection.prepare_cached(rows).map_err(failed)?;
                let mut rows =
                    statement.query(rusqlite::params_from_iter(numbers)).map_err(failed)?;
                let mut all = Vec::new();
                while let Some(row) = rows.next().map_err(failed)? {
                    let mut values = [None; COLUMNS];
                    for (place, value) in values.iter_mut().enumerate() {
                        *value = row.get(place).map_err(failed)?;
                    }
                    all.push(values);
                }
                Ok(all)
            }
            Self::Postgres(tx) => {
                let mut query = sqlx::query(AssertSqlSafe(lists));
                for number in numbers {
                    query = query.bind(*number);
                }
                let row = query.fetch_one(&mut **tx).await.map_err(failed)?;
                let mut all = Vec::new();
                for place in 0..COLUMNS {
                    let list: Option<Vec<Option<i64>>> = row.try_get(place).map_err(failed)?;
                    let list = list.unwrap_or_default();
                    all.resize(list.len(), [None; COLUMNS]);
                    for (values, value) in all.iter_mut().zip(list) {
                        values[place] = value;
                    }
                }
                Ok(all)
            }
        }
    }
}

/// What a task has read that was spawned for it.
pub(crate) fn joined<T>(
    outcome: Result<Result<T, StoreError>, JoinError>,
) -> Result<T, StoreError> {
    outcome.unwrap_or_else(|error| match error.try_into_panic() {
        Ok(panic) => resume_unwind(panic),
        Err(cancelled) => Err(failed(cancelled)),
    })
}

fn failed(error: impl std::fmt::Display) -> StoreError {
    DbErr::Custom(error.to_string()).into()
}
