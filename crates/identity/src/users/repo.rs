use super::entity::{ACTIVE, CLOSED, Model};
use super::row::{ActiveModel, Column, Entity, Model as Row};
use crate::Contact;
use crate::secrets::{DataKeys, Indexed, Purpose, SealError, Sealer};
use kernel::{Timestamp, UserId};
use store::sea_orm::{
    self, ColumnTrait, ConnectionTrait, EntityTrait, FromQueryResult, IntoActiveModel, QueryFilter,
    QuerySelect,
};
use store::{Store, StoreError, WriteTx};
use uuid::Uuid;

/// How many ids one statement asks for; both stores bind many more.
const IDS_PER_STATEMENT: usize = 1_000;

pub(super) async fn insert_in_tx(tx: &WriteTx, user: Row) -> Result<(), StoreError> {
    let user: ActiveModel = user.into_active_model();
    Entity::insert(user).exec_without_returning(tx).await?;
    Ok(())
}

pub(super) async fn find(store: &Store, id: UserId) -> Result<Option<Row>, StoreError> {
    Ok(Entity::find_by_id(id.0).one(store.read()).await?)
}

pub(super) async fn any(store: &Store) -> Result<bool, StoreError> {
    Ok(Entity::find().one(store.read()).await?.is_some())
}

/// Whether there is a password hash that another system made.
pub(super) async fn has_imported_passwords(store: &Store) -> Result<bool, StoreError> {
    Ok(store.read().query_one_raw(store.statement(IMPORTED_PASSWORDS, [])).await?.is_some())
}

/// The condition is that of an index.
const IMPORTED_PASSWORDS: &str =
    "select 1 from users where substr(password_hash, 1, 15) = '$pbkdf2-sha256$' limit 1";

pub(super) async fn find_by_email(
    store: &Store,
    email_index: Vec<u8>,
) -> Result<Option<Row>, StoreError> {
    let found = Entity::find().filter(Column::EmailIndex.eq(email_index));
    Ok(found.one(store.read()).await?)
}

pub(super) async fn find_by_phone(
    store: &Store,
    phone_number_index: Vec<u8>,
) -> Result<Option<Row>, StoreError> {
    let found = Entity::find().filter(Column::PhoneNumberIndex.eq(phone_number_index));
    Ok(found.one(store.read()).await?)
}

/// The sealed names of these users.
pub(super) async fn display_names(
    store: &Store,
    users: &[UserId],
) -> Result<Vec<(Uuid, String)>, StoreError> {
    let mut names = Vec::with_capacity(users.len());
    for some in users.chunks(IDS_PER_STATEMENT) {
        let rows = Entity::find()
            .select_only()
            .column(Column::Id)
            .column(Column::SealedDisplayName)
            .filter(Column::Id.is_in(some.iter().map(|user| user.0)))
            .into_tuple::<(Uuid, String)>()
            .all(store.read())
            .await?;
        names.extend(rows);
    }
    Ok(names)
}

/// A user from before contacts were sealed: what the columns hold is in clear.
#[derive(FromQueryResult)]
pub(super) struct PlainUser {
    pub(super) id: Uuid,
    pub(super) sealed_email: String,
    pub(super) sealed_phone_number: String,
    pub(super) sealed_display_name: String,
}

/// The next users whose contacts are in clear.
pub(super) async fn plain(
    store: &Store,
    after: Uuid,
    limit: i64,
) -> Result<Vec<PlainUser>, StoreError> {
    let plain = PlainUser::find_by_statement(store.statement(
        "select id, sealed_email, sealed_phone_number, sealed_display_name from users \
         where email_index is null and id > $1 order by id limit $2",
        [after.into(), limit.into()],
    ));
    Ok(plain.all(store.read()).await?)
}

/// What takes the place of plain columns.
pub(super) struct SealedContacts {
    pub(super) email: String,
    pub(super) phone_number: String,
    pub(super) display_name: String,
    pub(super) email_index: Vec<u8>,
    pub(super) phone_number_index: Vec<u8>,
}

/// Seals a user; `false` if somebody else did.
pub(super) async fn seal_plain_in_tx(
    store: &Store,
    tx: &WriteTx,
    id: Uuid,
    sealed: SealedContacts,
) -> Result<bool, StoreError> {
    let done = tx
        .execute_raw(store.statement(
            "update users set sealed_email = $1, sealed_phone_number = $2, \
             sealed_display_name = $3, email_index = $4, phone_number_index = $5 \
             where id = $6 and email_index is null",
            [
                sealed.email.into(),
                sealed.phone_number.into(),
                sealed.display_name.into(),
                sealed.email_index.into(),
                sealed.phone_number_index.into(),
                id.into(),
            ],
        ))
        .await?;
    Ok(done.rows_affected() == 1)
}

/// Whether a change of the data that SQL cannot do is done.
pub(super) async fn is_finished(store: &Store, name: &str) -> Result<bool, StoreError> {
    #[derive(FromQueryResult)]
    struct Found {
        #[expect(dead_code, reason = "that there is a row is what counts")]
        finished_at: i64,
    }
    let found = Found::find_by_statement(
        store.statement("select finished_at from data_migrations where name = $1", [name.into()]),
    );
    Ok(found.one(store.read()).await?.is_some())
}

/// Records that such a change is done.
pub(super) async fn finish(store: &Store, name: &str, now: Timestamp) -> Result<(), StoreError> {
    let tx = store.begin().await?;
    tx.execute_raw(store.statement(
        "insert into data_migrations (name, finished_at) values ($1, $2) \
         on conflict (name) do nothing",
        [name.into(), now.as_micros().into()],
    ))
    .await?;
    Ok(tx.commit().await?)
}

/// Replaces a hash by another of the same password, unless the password was changed meanwhile.
pub(super) async fn replace_password_hash(
    store: &Store,
    user: &Model,
    new_hash: &str,
) -> Result<(), StoreError> {
    let tx = store.begin().await?;
    tx.execute_raw(store.statement(
        "update users set password_hash = $1 \
         where id = $2 and password_hash = $3 and status = $4",
        [new_hash.into(), user.id.into(), user.password_hash.as_str().into(), ACTIVE.into()],
    ))
    .await?;
    Ok(tx.commit().await?)
}

/// A change of a user's status.
pub(crate) struct StatusChange<'a> {
    pub(crate) from: &'a str,
    pub(crate) to: &'a str,
    pub(crate) reason: &'a str,
    pub(crate) by: UserId,
    pub(crate) at: Timestamp,
}

/// Changes a user's status; `false` if it is not the expected one. The row stays locked until the
/// transaction ends, which keeps sign-ins out.
pub(crate) async fn change_status_in_tx(
    store: &Store,
    tx: &WriteTx,
    id: UserId,
    change: &StatusChange<'_>,
) -> Result<bool, StoreError> {
    let changed = tx
        .execute_raw(store.statement(
            "update users set status = $1, status_reason = $2, status_changed_by = $3, \
             status_changed_at = $4 where id = $5 and status = $6",
            [
                change.to.into(),
                change.reason.into(),
                change.by.0.into(),
                change.at.as_micros().into(),
                id.0.into(),
                change.from.into(),
            ],
        ))
        .await?;
    Ok(changed.rows_affected() == 1)
}

/// Gives an active user a new password; `false` if it was changed since `user` was read, or the user
/// is not active any more. The row stays locked as above.
pub(crate) async fn change_password_in_tx(
    store: &Store,
    tx: &WriteTx,
    user: &Model,
    new_hash: &str,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let changed = tx
        .execute_raw(store.statement(
            "update users set password_hash = $1, password_changed_at = $2 \
             where id = $3 and password_changed_at = $4 and status = $5",
            [
                new_hash.into(),
                now.as_micros().into(),
                user.id.into(),
                user.password_changed_at.into(),
                ACTIVE.into(),
            ],
        ))
        .await?;
    Ok(changed.rows_affected() == 1)
}

/// Records a sign-in; `false` if the user is not active any more or has another password by now. The
/// row stays locked, so that whoever changes it next sees the session that is made meanwhile.
pub(crate) async fn note_log_in_in_tx(
    store: &Store,
    tx: &WriteTx,
    user: &Model,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let noted = tx
        .execute_raw(store.statement(
            "update users set last_log_in_at = $1 \
             where id = $2 and password_changed_at = $3 and status = $4",
            [
                now.as_micros().into(),
                user.id.into(),
                user.password_changed_at.into(),
                ACTIVE.into(),
            ],
        ))
        .await?;
    Ok(noted.rows_affected() == 1)
}

/// Takes a contact from somebody who only claims it, and returns who that was. What they said stays in
/// their row, but stands for nothing any more: nobody is found by it.
pub(crate) async fn take_from_claimant_in_tx(
    store: &Store,
    tx: &WriteTx,
    contact: Contact,
    index: Vec<u8>,
    by: UserId,
) -> Result<Option<UserId>, StoreError> {
    #[derive(FromQueryResult)]
    struct Claimant {
        id: Uuid,
    }
    let sql = match contact {
        Contact::Email => {
            "update users set email_index = null where email_index = $1 and id <> $2 \
             and email_verified_at is null returning id"
        }
        Contact::Phone => {
            "update users set phone_number_index = null where phone_number_index = $1 and id <> $2 \
             and phone_verified_at is null returning id"
        }
    };
    let taken = Claimant::find_by_statement(store.statement(sql, [index.into(), by.0.into()]));
    Ok(taken.one(tx).await?.map(|claimant| UserId(claimant.id)))
}

/// Marks a contact as a user's. A unique violation means that somebody else has shown that it is theirs.
pub(crate) async fn verify_contact_in_tx(
    store: &Store,
    tx: &WriteTx,
    id: UserId,
    contact: Contact,
    index: Vec<u8>,
    now: Timestamp,
) -> Result<(), StoreError> {
    let sql = match contact {
        Contact::Email => "update users set email_index = $1, email_verified_at = $2 where id = $3",
        Contact::Phone => {
            "update users set phone_number_index = $1, phone_verified_at = $2 where id = $3"
        }
    };
    let binds = [index.into(), now.as_micros().into(), id.0.into()];
    tx.execute_raw(store.statement(sql, binds)).await?;
    Ok(())
}

/// Locks the row of an active user as above; `false` if they are not active any more. Whoever changes
/// several things of one user begins with it, so that none waits for another in a circle.
pub(crate) async fn lock_active_in_tx(
    store: &Store,
    tx: &WriteTx,
    id: UserId,
) -> Result<bool, StoreError> {
    let locked = tx
        .execute_raw(store.statement(
            "update users set status = status where id = $1 and status = $2",
            [id.0.into(), ACTIVE.into()],
        ))
        .await?;
    Ok(locked.rows_affected() == 1)
}

/// Locks the row of a user as above, whether staff keep them out or not; `false` if they left.
pub(crate) async fn lock_unless_closed_in_tx(
    store: &Store,
    tx: &WriteTx,
    id: UserId,
) -> Result<bool, StoreError> {
    let locked = tx
        .execute_raw(store.statement(
            "update users set status = status where id = $1 and status <> $2",
            [id.0.into(), CLOSED.into()],
        ))
        .await?;
    Ok(locked.rows_affected() == 1)
}

/// What takes the place of a contact.
pub(crate) struct ChangedContact {
    contact: Contact,
    sealed: String,
    pub(crate) index: Vec<u8>,
}

impl ChangedContact {
    /// Seals a contact, which is normalised.
    pub(crate) fn seal(
        contact: Contact,
        id: UserId,
        new: &str,
        keys: &DataKeys,
        sealer: &Sealer<'_>,
    ) -> Result<Self, SealError> {
        let (purpose, kind) = match contact {
            Contact::Email => (Purpose::Email, Indexed::Email),
            Contact::Phone => (Purpose::PhoneNumber, Indexed::PhoneNumber),
        };
        let sealed = sealer.seal_text(purpose, id.0, new)?;
        Ok(Self { contact, sealed, index: keys.blind_index(kind, new) })
    }
}

/// Gives an active user another contact, which is verified; `false` if the user is not active any more.
/// The row stays locked as above.
pub(crate) async fn change_contact_in_tx(
    store: &Store,
    tx: &WriteTx,
    id: UserId,
    new: ChangedContact,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let sql = match new.contact {
        Contact::Email => {
            "update users set sealed_email = $1, email_index = $2, email_verified_at = $3 \
             where id = $4 and status = $5"
        }
        Contact::Phone => {
            "update users set sealed_phone_number = $1, phone_number_index = $2, \
             phone_verified_at = $3 where id = $4 and status = $5"
        }
    };
    let binds =
        [new.sealed.into(), new.index.into(), now.as_micros().into(), id.0.into(), ACTIVE.into()];
    Ok(tx.execute_raw(store.statement(sql, binds)).await?.rows_affected() == 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use store::testing::{TestDatabase, plan_with_indexes};

    store::on_every_store! { imported_passwords_are_looked_for_in_an_index }

    async fn imported_passwords_are_looked_for_in_an_index(database: TestDatabase) {
        let store = Store::open("identity", database.target()).await.unwrap();
        store.migrate(crate::MIGRATIONS).await.unwrap();
        let plan = plan_with_indexes(&store, IMPORTED_PASSWORDS, []).await;
        assert!(plan.contains("users_with_imported_passwords"), "{plan}");
        assert!(!has_imported_passwords(&store).await.unwrap());
    }
}
