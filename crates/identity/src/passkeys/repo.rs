use super::Passkey;
use kernel::{Timestamp, UserId};
use store::sea_orm::{self, ConnectionTrait, FromQueryResult};
use store::{Store, StoreError, WriteTx};
use uuid::Uuid;

/// A row of `passkeys`.
#[derive(FromQueryResult)]
pub(super) struct Row {
    pub(super) id: Uuid,
    pub(super) user_id: Uuid,
    pub(super) credential_id: Vec<u8>,
    pub(super) public_key: Vec<u8>,
    pub(super) signature_count: i64,
    pub(super) sealed_name: String,
    pub(super) created_at: i64,
    pub(super) last_used_at: Option<i64>,
}

/// What a challenge is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// A user's new passkey.
    Registration(UserId),
    /// Signing in without a password: whoever it is.
    SignIn,
    /// A user shows that they have one of their passkeys.
    Confirmation(UserId),
}

impl Purpose {
    fn name(self) -> &'static str {
        match self {
            Self::Registration(_) => "registration",
            Self::SignIn => "sign_in",
            Self::Confirmation(_) => "confirmation",
        }
    }

    pub(super) fn user_id(self) -> Option<UserId> {
        match self {
            Self::Registration(user_id) | Self::Confirmation(user_id) => Some(user_id),
            Self::SignIn => None,
        }
    }
}

/// Keeps a challenge, and forgets some of those whose time is over.
pub(super) async fn insert_challenge_in_tx(
    store: &Store,
    tx: &WriteTx,
    challenge_hash: Vec<u8>,
    purpose: Purpose,
    now: Timestamp,
    expires_at: Timestamp,
) -> Result<(), StoreError> {
    let user_id = purpose.user_id().map(|user_id| user_id.0);
    tx.execute_raw(store.statement(
        "insert into passkey_challenges (challenge_hash, purpose, user_id, expires_at) \
         values ($1, $2, $3, $4)",
        [
            challenge_hash.into(),
            purpose.name().into(),
            user_id.into(),
            expires_at.as_micros().into(),
        ],
    ))
    .await?;
    tx.execute_raw(store.statement(
        "delete from passkey_challenges where challenge_hash in \
         (select challenge_hash from passkey_challenges where expires_at <= $1 \
         order by expires_at limit 10)",
        [now.as_micros().into()],
    ))
    .await?;
    Ok(())
}

/// Takes a challenge out, whatever comes of its answer; `false` if it is not there, was for something
/// else, or its time is over.
pub(super) async fn take_challenge_in_tx(
    store: &Store,
    tx: &WriteTx,
    challenge_hash: Vec<u8>,
    purpose: Purpose,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let user_id = purpose.user_id().map(|user_id| user_id.0);
    let taken = tx
        .execute_raw(store.statement(
            "delete from passkey_challenges where challenge_hash = $1 and purpose = $2 \
             and user_id is not distinct from $3 and expires_at > $4",
            [challenge_hash.into(), purpose.name().into(), user_id.into(), now.as_micros().into()],
        ))
        .await?;
    Ok(taken.rows_affected() == 1)
}

const COLUMNS: &str = "id, user_id, credential_id, public_key, signature_count, sealed_name, \
                       created_at, last_used_at";

pub(super) async fn find_by_credential(
    store: &Store,
    credential_id: &[u8],
) -> Result<Option<Row>, StoreError> {
    let sql = format!("select {COLUMNS} from passkeys where credential_id = $1");
    let found = Row::find_by_statement(store.statement(&sql, [credential_id.into()]));
    Ok(found.one(store.read()).await?)
}

/// The passkeys of a user, newest first: ids sort by the time of their making.
pub(super) async fn of(store: &Store, user_id: UserId) -> Result<Vec<Row>, StoreError> {
    let sql = format!("select {COLUMNS} from passkeys where user_id = $1 order by id desc");
    let rows = Row::find_by_statement(store.statement(&sql, [user_id.0.into()]));
    Ok(rows.all(store.read()).await?)
}

/// How many passkeys a user has, as the transaction sees it.
pub(crate) async fn count_in_tx(
    store: &Store,
    tx: &WriteTx,
    user_id: UserId,
) -> Result<i64, StoreError> {
    #[derive(FromQueryResult)]
    struct Count {
        count: i64,
    }
    let sql = "select count(*) as count from passkeys where user_id = $1";
    let found = Count::find_by_statement(store.statement(sql, [user_id.0.into()])).one(tx).await?;
    Ok(found.map_or(0, |found| found.count))
}

pub(super) async fn insert_in_tx(store: &Store, tx: &WriteTx, row: Row) -> Result<(), StoreError> {
    tx.execute_raw(store.statement(
        "insert into passkeys (id, user_id, credential_id, public_key, signature_count, \
         sealed_name, created_at, last_used_at) values ($1, $2, $3, $4, $5, $6, $7, $8)",
        [
            row.id.into(),
            row.user_id.into(),
            row.credential_id.into(),
            row.public_key.into(),
            row.signature_count.into(),
            row.sealed_name.into(),
            row.created_at.into(),
            row.last_used_at.into(),
        ],
    ))
    .await?;
    Ok(())
}

/// Gives a user's passkey another name; `false` if there is no such one.
pub(super) async fn rename_in_tx(
    store: &Store,
    tx: &WriteTx,
    user_id: UserId,
    id: Uuid,
    sealed_name: String,
) -> Result<bool, StoreError> {
    let renamed = tx
        .execute_raw(store.statement(
            "update passkeys set sealed_name = $1 where id = $2 and user_id = $3",
            [sealed_name.into(), id.into(), user_id.0.into()],
        ))
        .await?;
    Ok(renamed.rows_affected() == 1)
}

/// Removes a user's passkey; `false` if there is no such one.
pub(crate) async fn delete_in_tx(
    store: &Store,
    tx: &WriteTx,
    user_id: UserId,
    id: Uuid,
) -> Result<bool, StoreError> {
    let deleted = tx
        .execute_raw(store.statement(
            "delete from passkeys where id = $1 and user_id = $2",
            [id.into(), user_id.0.into()],
        ))
        .await?;
    Ok(deleted.rows_affected() == 1)
}

/// Removes all passkeys of a user, and the questions for others that wait for their answer.
pub(crate) async fn delete_all_in_tx(
    store: &Store,
    tx: &WriteTx,
    user_id: UserId,
) -> Result<(), StoreError> {
    for sql in [
        "delete from passkeys where user_id = $1",
        "delete from passkey_challenges where user_id = $1",
    ] {
        tx.execute_raw(store.statement(sql, [user_id.0.into()])).await?;
    }
    Ok(())
}

/// Notes a use and how far the authenticator counted; `false` if the passkey is gone, or was used
/// meanwhile by who counted as far.
pub(crate) async fn use_in_tx(
    store: &Store,
    tx: &WriteTx,
    passkey: &super::Shown,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let used = tx
        .execute_raw(store.statement(
            "update passkeys set signature_count = $1, last_used_at = $2 \
             where id = $3 and user_id = $4 \
             and (signature_count < $1 or (signature_count = 0 and $1 = 0))",
            [
                passkey.signature_count.into(),
                now.as_micros().into(),
                passkey.id.into(),
                passkey.user_id.0.into(),
            ],
        ))
        .await?;
    Ok(used.rows_affected() == 1)
}

impl Row {
    /// With the name opened.
    pub(super) fn named(self, name: String) -> Passkey {
        Passkey {
            id: self.id,
            name,
            created_at: Timestamp::from_micros(self.created_at),
            last_used_at: self.last_used_at.map(Timestamp::from_micros),
        }
    }
}
