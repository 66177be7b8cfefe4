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
        Ok(active(found))
    }

    async fn find_by_email(&self, email: &str) -> Result<Option<UserId>, DirectoryError> {
        let Some(email) = EmailAddress::parse(email) else {
            return Ok(None);
        };
        let index = row::email_index(&self.keys, &email);
        let found = repo::find_by_email(&self.store, index).await.map_err(unavailable)?;
        Ok(active(found))
    }

    async fn is_active(&self, user: UserId) -> Result<bool, DirectoryError> {
        let found = repo::find(&self.store, user).await.map_err(unavailable)?;
        Ok(active(found).is_some())
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

fn active(found: Option<Row>) -> Option<UserId> {
    found.filter(|user| user.status == entity::ACTIVE).map(|user| UserId(user.id))
}

fn unavailable(error: StoreError) -> DirectoryError {
    DirectoryError(Box::new(error))
}
