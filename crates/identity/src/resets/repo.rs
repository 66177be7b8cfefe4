use kernel::{Timestamp, UserId};
use store::sea_orm::{self, ConnectionTrait, FromQueryResult};
use store::{Store, StoreError, WriteTx};
use uuid::Uuid;

/// A token about to be sent.
pub(super) struct NewReset {
    pub(super) user_id: UserId,
    pub(super) token_hash: Vec<u8>,
    pub(super) created_at: Timestamp,
    pub(super) expires_at: Timestamp,
}

/// Makes this the user's one reset; `false` if there is one that was made after `not_after`.
pub(super) async fn replace_in_tx(
    store: &Store,
    tx: &WriteTx,
    reset: NewReset,
    not_after: Timestamp,
) -> Result<bool, StoreError> {
    let replaced = tx
        .execute_raw(store.statement(
            "insert into password_resets (user_id, token_hash, created_at, expires_at) \
             values ($1, $2, $3, $4) on conflict (user_id) do update \
             set token_hash = $2, created_at = $3, expires_at = $4 \
             where password_resets.created_at <= $5",
            [
                reset.user_id.0.into(),
                reset.token_hash.into(),
                reset.created_at.as_micros().into(),
                reset.expires_at.as_micros().into(),
                not_after.as_micros().into(),
            ],
        ))
        .await?;
    Ok(replaced.rows_affected() == 1)
}

/// Whose password a token resets, if its time is not over.
pub(super) async fn find(
    store: &Store,
    token_hash: &[u8],
    now: Timestamp,
) -> Result<Option<UserId>, StoreError> {
    #[derive(FromQueryResult)]
    struct Row {
        user_id: Uuid,
    }
    let found = Row::find_by_statement(store.statement(
        "select user_id from password_resets where token_hash = $1 and expires_at > $2",
        [token_hash.into(), now.as_micros().into()],
    ));
    Ok(found.one(store.read()).await?.map(|row| UserId(row.user_id)))
}

/// Takes a token out; `false` if somebody else was faster.
pub(super) async fn take_in_tx(
    store: &Store,
    tx: &WriteTx,
    token_hash: &[u8],
) -> Result<bool, StoreError> {
    let taken = tx
        .execute_raw(
            store.statement(
                "delete from password_resets where token_hash = $1",
                [token_hash.into()],
            ),
        )
        .await?;
    Ok(taken.rows_affected() == 1)
}

/// Forgets the user's reset, if there is one.
pub(super) async fn forget_in_tx(
    store: &Store,
    tx: &WriteTx,
    user_id: UserId,
) -> Result<(), StoreError> {
    tx.execute_raw(
        store.statement("delete from password_resets where user_id = $1", [user_id.0.into()]),
    )
    .await?;
    Ok(())
}
