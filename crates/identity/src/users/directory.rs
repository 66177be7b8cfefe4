use super::entity::Model;
use super::repo;
use crate::contacts::{EmailAddress, PhoneNumber};
use async_trait::async_trait;
use identity_api::{DirectoryError, UserDirectory};
use kernel::UserId;
use std::collections::HashMap;
use store::{Store, StoreError};

/// What other modules may ask about users.
pub(crate) struct Directory(pub(crate) Store);

#[async_trait]
impl UserDirectory for Directory {
    async fn find_by_phone(&self, phone_number: &str) -> Result<Option<UserId>, DirectoryError> {
        let Some(phone_number) = PhoneNumber::parse(phone_number) else {
            return Ok(None);
        };
        let found = repo::find_by_phone(&self.0, &phone_number).await.map_err(unavailable)?;
        Ok(active(found))
    }

    async fn find_by_email(&self, email: &str) -> Result<Option<UserId>, DirectoryError> {
        let Some(email) = EmailAddress::parse(email) else {
            return Ok(None);
        };
        let found = repo::find_by_email(&self.0, &email).await.map_err(unavailable)?;
        Ok(active(found))
    }

    async fn display_names(
        &self,
        users: &[UserId],
    ) -> Result<HashMap<UserId, String>, DirectoryError> {
        let names = repo::display_names(&self.0, users).await.map_err(unavailable)?;
        Ok(names.into_iter().map(|(id, name)| (UserId(id), name)).collect())
    }
}

fn active(found: Option<Model>) -> Option<UserId> {
    found.filter(Model::is_active).map(|user| UserId(user.id))
}

fn unavailable(error: StoreError) -> DirectoryError {
    DirectoryError(Box::new(error))
}
