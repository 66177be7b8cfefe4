use super::row::{self, Model as Row};
use super::{entity, repo};
use crate::contacts::{EmailAddress, PhoneNumber};
use crate::secrets::DataKeys;
use async_trait::async_trait;
use identity_api::{DirectoryError, UserDirectory};
use kernel::UserId;
use std::collections::HashMap;
use std::sync::Arc;
use store::{Store, StoreError};

/// What other modules may ask about users.
pub(crate) struct Directory {
    pub(crate) store: Store,
    pub(crate) keys: Arc<DataKeys>,
}

#[async_trait]
impl UserDirectory for Directory {
    async fn find_by_phone(&self, phone_number: &str) -> Result<Option<UserId>, DirectoryError> {
        let Some(phone_number) = PhoneNumber::parse(phone_number) else {
            return Ok(None);
        };
        let index = row::phone_number_index(&self.keys, &phone_number);
        let found = repo::find_by_phone(&self.store, index).await.map_err(unavailable)?;
        Ok(active(found, |user| user.phone_verified_at))
    }

    async fn find_by_email(&self, email: &str) -> Result<Option<UserId>, DirectoryError> {
        let Some(email) = EmailAddress::parse(email) else {
            return Ok(None);
        };
        let index = row::email_index(&self.keys, &email);
        let found = repo::find_by_email(&self.store, index).await.map_err(unavailable)?;
        Ok(active(found, |user| user.email_verified_at))
    }

    async fn is_active(&self, user: UserId) -> Result<bool, DirectoryError> {
        let found = repo::find(&self.store, user).await.map_err(unavailable)?;
        Ok(found.is_some_and(|user| user.status == entity::ACTIVE))
    }

    async fn display_names(
        &self,
        users: &[UserId],
    ) -> Result<HashMap<UserId, String>, DirectoryError> {
        let names = repo::display_names(&self.store, users).await.map_err(unavailable)?;
        let opened = names.into_iter().map(|(id, sealed)| {
            let name = row::open_display_name(&self.keys, id, &sealed).map_err(unavailable)?;
            Ok((UserId(id), name))
        });
        opened.collect()
    }
}

/// An active user who has shown that the contact is theirs: what is only claimed may be somebody else's.
fn active(found: Option<Row>, verified_at: impl Fn(&Row) -> Option<i64>) -> Option<UserId> {
    let found = found.filter(|user| user.status == entity::ACTIVE && verified_at(user).is_some());
    found.map(|user| UserId(user.id))
}

/// The active user who may sign in by this e-mail address or phone number, for operators.
pub(crate) async fn find_active(
    store: &Store,
    keys: &DataKeys,
    identifier: &str,
) -> Result<Option<UserId>, StoreError> {
    let found = match (EmailAddress::parse(identifier), PhoneNumber::parse(identifier)) {
        (Some(email), _) => repo::find_by_email(store, row::email_index(keys, &email)).await?,
        (None, Some(phone_number)) => {
            repo::find_by_phone(store, row::phone_number_index(keys, &phone_number)).await?
        }
        (None, None) => None,
    };
    Ok(active(found, |user| Some(user.created_at)))
}

fn unavailable(error: StoreError) -> DirectoryError {
    DirectoryError(Box::new(error))
}
