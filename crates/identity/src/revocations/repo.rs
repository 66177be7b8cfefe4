use super::Outdated;
use kernel::{Timestamp, UserId};
use store::sea_orm::{self, FromQueryResult, Statement};
use store::{Store, StoreError, WriteTx};
use uuid::Uuid;

/// The sessions revoked after an instant, and when.
pub(super) async fn revoked_after(
    store: &Store,
    after: Timestamp,
) -> Result<Vec<(Uuid, Timestamp)>, StoreError> {
    #[derive(FromQueryResult)]
    struct Row {
        id: Uuid,
        revoked_at: i64,
    }
    let rows = Row::find_by_statement(store.statement(
        "select id, revoked_at from user_sessions where revoked_at > $1",
        [after.as_micros().into()],
    ))
    .all(store.read())
    .await?;
    Ok(rows.into_iter().map(|row| (row.id, Timestamp::from_micros(row.revoked_at))).collect())
}

/// A row of `grant_versions`.
#[derive(FromQueryResult)]
struct Row {
    subject_id: Uuid,
    version: i64,
    changed_at: i64,
}

impl From<Row> for Outdated {
    fn from(row: Row) -> Self {
        Self {
            subject: UserId(row.subject_id),
            version: row.version,
            at: Timestamp::from_micros(row.changed_at),
        }
    }
}

/// Whose tokens were outdated after an instant.
pub(super) async fn outdated_after(
    store: &Store,
    after: Timestamp,
) -> Result<Vec<Outdated>, StoreError> {
    let rows = Row::find_by_statement(store.statement(
        "select subject_id, version, changed_at from grant_versions where changed_at > $1",
        [after.as_micros().into()],
    ));
    Ok(rows.all(store.read()).await?.into_iter().map(Outdated::from).collect())
}

/// The version that a new token of a subject bears. Read it before what the subject may do.
pub(crate) async fn version(store: &Store, subject: UserId) -> Result<i64, StoreError> {
    let found = Row::find_by_statement(store.statement(
        "select subject_id, version, changed_at from grant_versions where subject_id = $1",
        [subject.0.into()],
    ));
    Ok(found.one(store.read()).await?.map_or(0, |row| row.version))
}

/// Ends the present access tokens of a subject, in the transaction that takes something back. What is
/// returned is to be told to [`super::Revocations::add_outdated`] after the commit.
pub(crate) async fn outdate_in_tx(
    store: &Store,
    tx: &WriteTx,
    subject: UserId,
    now: Timestamp,
) -> Result<Vec<Outdated>, StoreError> {
    let statement = store.statement(
        "insert into grant_versions (subject_id, version, changed_at) values ($1, 1, $2) \
         on conflict (subject_id) do update \
         set version = grant_versions.version + 1, changed_at = $2 \
         returning subject_id, version, changed_at",
        [subject.0.into(), now.as_micros().into()],
    );
    outdate(tx, statement).await
}

/// The same for everybody who holds a role.
pub(crate) async fn outdate_holders_in_tx(
    store: &Store,
    tx: &WriteTx,
    role: &str,
    now: Timestamp,
) -> Result<Vec<Outdated>, StoreError> {
    let statement = store.statement(
        "insert into grant_versions (subject_id, version, changed_at) \
         select user_id, 1, $2 from user_roles where role = $1 order by user_id \
         on conflict (subject_id) do update \
         set version = grant_versions.version + 1, changed_at = $2 \
         returning subject_id, version, changed_at",
        [role.into(), now.as_micros().into()],
    );
    outdate(tx, statement).await
}

async fn outdate(tx: &WriteTx, statement: Statement) -> Result<Vec<Outdated>, StoreError> {
    let rows = Row::find_by_statement(statement).all(tx).await?;
    Ok(rows.into_iter().map(Outdated::from).collect())
}
