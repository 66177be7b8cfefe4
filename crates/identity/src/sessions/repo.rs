use super::challenges::Challenge;
use super::entity::{self, Model as Session};
use super::refresh_token::{self, Model as RefreshTokenRow};
use aws_lc_rs::digest::{SHA256, digest};
use kernel::{PageLimit, Timestamp, UserId};
use store::sea_orm::{
    self, ColumnTrait, ConnectionTrait, EntityTrait, FromQueryResult, IntoActiveModel, QueryFilter,
    QueryOrder, QuerySelect,
};
use store::{Store, StoreError, WriteTx};
use uuid::Uuid;

pub(super) async fn insert_session_in_tx(tx: &WriteTx, session: Session) -> Result<(), StoreError> {
    let session: entity::ActiveModel = session.into_active_model();
    entity::Entity::insert(session).exec_without_returning(tx).await?;
    Ok(())
}

pub(super) async fn insert_token_in_tx(
    tx: &WriteTx,
    token: RefreshTokenRow,
) -> Result<(), StoreError> {
    let token: refresh_token::ActiveModel = token.into_active_model();
    refresh_token::Entity::insert(token).exec_without_returning(tx).await?;
    Ok(())
}

/// The refresh token with this digest, and its session.
pub(super) async fn find_token(
    store: &Store,
    token_hash: Vec<u8>,
) -> Result<Option<(RefreshTokenRow, Session)>, StoreError> {
    let found = refresh_token::Entity::find()
        .filter(refresh_token::Column::TokenHash.eq(token_hash))
        .one(store.read())
        .await?;
    let Some(token) = found else {
        return Ok(None);
    };
    let session = entity::Entity::find_by_id(token.session_id)
        .one(store.read())
        .await?
        .ok_or_else(|| StoreError::inconsistent("refresh_tokens", "session_id", token.id))?;
    Ok(Some((token, session)))
}

pub(super) async fn find(store: &Store, id: Uuid) -> Result<Option<Session>, StoreError> {
    Ok(entity::Entity::find_by_id(id).one(store.read()).await?)
}

/// The sessions of a user that are not over, newest first: ids sort by the time of their making.
pub(super) async fn living(
    store: &Store,
    user_id: UserId,
    now: Timestamp,
    after: Option<Uuid>,
    limit: PageLimit,
) -> Result<Vec<Session>, StoreError> {
    let living = entity::Entity::find()
        .filter(entity::Column::UserId.eq(user_id.0))
        .filter(entity::Column::RevokedAt.is_null())
        .filter(entity::Column::ExpiresAt.gt(now.as_micros()))
        .filter(entity::Column::Id.lt(after.unwrap_or(Uuid::max())))
        .order_by_desc(entity::Column::Id)
        .limit(limit.rows_to_fetch().unsigned_abs());
    Ok(living.all(store.read()).await?)
}

/// Remembers the device of a user; `true` if it was not known.
pub(super) async fn note_device_in_tx(
    store: &Store,
    tx: &WriteTx,
    user_id: UserId,
    device_name: &str,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let device_hash = digest(&SHA256, device_name.as_bytes()).as_ref().to_vec();
    let noted = tx
        .execute_raw(store.statement(
            "insert into user_devices (user_id, device_hash, first_seen_at) values ($1, $2, $3) \
             on conflict (user_id, device_hash) do nothing",
            [user_id.0.into(), device_hash.into(), now.as_micros().into()],
        ))
        .await?;
    Ok(noted.rows_affected() == 1)
}

/// Marks a token as used; `false` if somebody else was faster.
pub(super) async fn use_token_in_tx(
    store: &Store,
    tx: &WriteTx,
    token_id: Uuid,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let used = tx
        .execute_raw(store.statement(
            "update refresh_tokens set used_at = $1 where id = $2 and used_at is null",
            [now.as_micros().into(), token_id.into()],
        ))
        .await?;
    Ok(used.rows_affected() == 1)
}

/// Prolongs a session; `false` if it was revoked. Its row stays locked until the transaction ends.
pub(super) async fn prolong_in_tx(
    store: &Store,
    tx: &WriteTx,
    session_id: Uuid,
    now: Timestamp,
    expires_at: Timestamp,
) -> Result<bool, StoreError> {
    let prolonged = tx
        .execute_raw(store.statement(
            "update user_sessions set last_used_at = $1, expires_at = $2 \
             where id = $3 and revoked_at is null",
            [now.as_micros().into(), expires_at.as_micros().into(), session_id.into()],
        ))
        .await?;
    Ok(prolonged.rows_affected() == 1)
}

/// Lets a session go on as another one, which has the refresh tokens of the first, all of them used: one
/// that comes again ends it. `false` if the first is over.
pub(super) async fn replace_session_in_tx(
    store: &Store,
    tx: &WriteTx,
    before: Uuid,
    session: Session,
    now: Timestamp,
) -> Result<bool, StoreError> {
    // The token before the session, as an exchange has it: who locks rows in one order never waits in a
    // circle.
    tx.execute_raw(store.statement(
        "update refresh_tokens set used_at = $1 where session_id = $2 and used_at is null",
        [now.as_micros().into(), before.into()],
    ))
    .await?;
    let ended = tx
        .execute_raw(store.statement(
            "update user_sessions set revoked_at = $1 \
             where id = $2 and revoked_at is null and expires_at > $1",
            [now.as_micros().into(), before.into()],
        ))
        .await?;
    if ended.rows_affected() == 0 {
        return Ok(false);
    }
    let after = session.id;
    insert_session_in_tx(tx, session).await?;
    // With the one of an exchange that was under way just now.
    tx.execute_raw(store.statement(
        "update refresh_tokens set session_id = $1, used_at = coalesce(used_at, $2) \
         where session_id = $3",
        [after.into(), now.as_micros().into(), before.into()],
    ))
    .await?;
    Ok(true)
}

/// Revokes a session; `false` if it was revoked before or does not exist.
pub(super) async fn revoke_in_tx(
    store: &Store,
    tx: &WriteTx,
    session_id: Uuid,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let revoked = tx
        .execute_raw(store.statement(
            "update user_sessions set revoked_at = $1 where id = $2 and revoked_at is null",
            [now.as_micros().into(), session_id.into()],
        ))
        .await?;
    Ok(revoked.rows_affected() == 1)
}

/// Revokes the living sessions of a user, but for `except`, and returns their ids.
pub(super) async fn revoke_all_in_tx(
    store: &Store,
    tx: &WriteTx,
    user_id: UserId,
    except: Option<Uuid>,
    now: Timestamp,
) -> Result<Vec<Uuid>, StoreError> {
    #[derive(FromQueryResult)]
    struct Row {
        id: Uuid,
    }
    let rows = Row::find_by_statement(store.statement(
        "update user_sessions set revoked_at = $1 \
         where user_id = $2 and revoked_at is null and expires_at > $1 and id <> $3 returning id",
        // No session has the nil id.
        [now.as_micros().into(), user_id.0.into(), except.unwrap_or_default().into()],
    ))
    .all(tx)
    .await?;
    Ok(rows.into_iter().map(|row| row.id).collect())
}

pub(super) async fn insert_challenge_in_tx(
    store: &Store,
    tx: &WriteTx,
    challenge: &Challenge,
) -> Result<(), StoreError> {
    tx.execute_raw(store.statement(
        "insert into log_in_challenges (token_hash, user_id, password_changed_at, expires_at) \
         values ($1, $2, $3, $4)",
        [
            challenge.token_hash.clone().into(),
            challenge.user_id.0.into(),
            challenge.password_changed_at.into(),
            challenge.expires_at.as_micros().into(),
        ],
    ))
    .await?;
    Ok(())
}

/// Forgets the sign-ins of a user that were not completed in their time.
pub(super) async fn delete_old_challenges_in_tx(
    store: &Store,
    tx: &WriteTx,
    user_id: UserId,
    now: Timestamp,
) -> Result<(), StoreError> {
    tx.execute_raw(store.statement(
        "delete from log_in_challenges where user_id = $1 and expires_at <= $2",
        [user_id.0.into(), now.as_micros().into()],
    ))
    .await?;
    Ok(())
}

/// Forgets all sign-ins of a user that wait for a code.
pub(super) async fn delete_challenges_in_tx(
    store: &Store,
    tx: &WriteTx,
    user_id: UserId,
) -> Result<(), StoreError> {
    let sql = "delete from log_in_challenges where user_id = $1";
    tx.execute_raw(store.statement(sql, [user_id.0.into()])).await?;
    Ok(())
}

/// The sign-in that this token completes, if its time is not over.
pub(super) async fn find_challenge(
    store: &Store,
    token_hash: &[u8],
    now: Timestamp,
) -> Result<Option<Challenge>, StoreError> {
    #[derive(FromQueryResult)]
    struct Row {
        token_hash: Vec<u8>,
        user_id: Uuid,
        password_changed_at: i64,
        expires_at: i64,
    }
    let found = Row::find_by_statement(store.statement(
        "select token_hash, user_id, password_changed_at, expires_at from log_in_challenges \
         where token_hash = $1 and expires_at > $2",
        [token_hash.into(), now.as_micros().into()],
    ));
    Ok(found.one(store.read()).await?.map(|row| Challenge {
        token_hash: row.token_hash,
        user_id: UserId(row.user_id),
        password_changed_at: row.password_changed_at,
        expires_at: Timestamp::from_micros(row.expires_at),
    }))
}

/// Takes a token out; `false` if somebody else was faster.
pub(super) async fn take_challenge_in_tx(
    store: &Store,
    tx: &WriteTx,
    token_hash: &[u8],
) -> Result<bool, StoreError> {
    let taken = tx
        .execute_raw(
            store.statement(
                "delete from log_in_challenges where token_hash = $1",
                [token_hash.into()],
            ),
        )
        .await?;
    Ok(taken.rows_affected() == 1)
}
