//! A user as the table has it: contacts and name sealed.

use super::entity::Model as User;
use crate::contacts::{EmailAddress, PhoneNumber};
use crate::secrets::{DataKeys, Indexed, Purpose, SealError, Sealer};
use store::StoreError;
use store::sea_orm;
use store::sea_orm::entity::prelude::*;

/// A row of `users`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "users")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) id: Uuid,
    pub(crate) sealed_email: String,
    pub(crate) sealed_phone_number: String,
    pub(crate) sealed_display_name: String,
    pub(crate) email_index: Option<Vec<u8>>,
    pub(crate) phone_number_index: Option<Vec<u8>>,
    pub(crate) password_hash: String,
    pub(crate) status: String,
    pub(crate) created_at: i64,
    pub(crate) password_changed_at: i64,
    pub(crate) status_reason: Option<String>,
    pub(crate) status_changed_at: Option<i64>,
    pub(crate) status_changed_by: Option<Uuid>,
    pub(crate) last_log_in_at: Option<i64>,
    pub(crate) email_verified_at: Option<i64>,
    pub(crate) phone_verified_at: Option<i64>,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// What stands for an e-mail address where it is looked for.
pub(crate) fn email_index(keys: &DataKeys, email: &EmailAddress) -> Vec<u8> {
    keys.blind_index(Indexed::Email, email.as_str())
}

/// What stands for a phone number where it is looked for.
pub(crate) fn phone_number_index(keys: &DataKeys, phone_number: &PhoneNumber) -> Vec<u8> {
    keys.blind_index(Indexed::PhoneNumber, phone_number.as_str())
}

/// The name that a row holds.
pub(super) fn open_display_name(
    keys: &DataKeys,
    id: Uuid,
    sealed: &str,
) -> Result<String, StoreError> {
    opened(keys, Purpose::DisplayName, id, sealed, "sealed_display_name")
}

impl Model {
    /// The row that keeps a user. The contacts are normalised.
    pub(super) fn seal(
        user: &User,
        keys: &DataKeys,
        sealer: &Sealer<'_>,
    ) -> Result<Self, SealError> {
        let seal = |purpose, text: &str| sealer.seal_text(purpose, user.id, text);
        Ok(Self {
            id: user.id,
            sealed_email: seal(Purpose::Email, &user.email)?,
            sealed_phone_number: seal(Purpose::PhoneNumber, &user.phone_number)?,
            sealed_display_name: seal(Purpose::DisplayName, &user.display_name)?,
            email_index: Some(keys.blind_index(Indexed::Email, &user.email)),
            phone_number_index: Some(keys.blind_index(Indexed::PhoneNumber, &user.phone_number)),
            password_hash: user.password_hash.clone(),
            status: user.status.clone(),
            created_at: user.created_at,
            password_changed_at: user.password_changed_at,
            status_reason: user.status_reason.clone(),
            status_changed_at: user.status_changed_at,
            status_changed_by: user.status_changed_by,
            last_log_in_at: user.last_log_in_at,
            email_verified_at: user.email_verified_at,
            phone_verified_at: user.phone_verified_at,
        })
    }

    /// The user that the row keeps.
    pub(super) fn open(self, keys: &DataKeys) -> Result<User, StoreError> {
        let open = |purpose, sealed: &str, column| opened(keys, purpose, self.id, sealed, column);
        let email = open(Purpose::Email, &self.sealed_email, "sealed_email")?;
        let phone_number =
            open(Purpose::PhoneNumber, &self.sealed_phone_number, "sealed_phone_number")?;
        let display_name =
            open(Purpose::DisplayName, &self.sealed_display_name, "sealed_display_name")?;
        Ok(User {
            id: self.id,
            email,
            phone_number,
            display_name,
            password_hash: self.password_hash,
            status: self.status,
            created_at: self.created_at,
            password_changed_at: self.password_changed_at,
            status_reason: self.status_reason,
            status_changed_at: self.status_changed_at,
            status_changed_by: self.status_changed_by,
            last_log_in_at: self.last_log_in_at,
            email_verified_at: self.email_verified_at,
            phone_verified_at: self.phone_verified_at,
        })
    }
}

fn opened(
    keys: &DataKeys,
    purpose: Purpose,
    id: Uuid,
    sealed: &str,
    column: &'static str,
) -> Result<String, StoreError> {
    keys.open_text(purpose, id, sealed).map_err(|error| {
        tracing::error!(user_id = %id, column, %error, "a sealed value does not open");
        StoreError::inconsistent("users", column, id)
    })
}
