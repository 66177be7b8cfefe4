//! Identity in tests: of its own, and of modules that need somebody who is signed in.

use crate::{DataKeyFile, Dependencies, NewUser, PasswordHashConfig, SigningKeyFolder};
use kernel::{Clock, IdSource};
use ports::{DisabledMessages, RsaKeySize, SystemIds};
use std::path::Path;
use std::sync::Arc;
use store::Store;

/// Everybody's.
pub const PASSWORD: &str = "demo-Finitech-1";

/// Cheap hashes: the tests are not about their strength.
pub const CHEAP: PasswordHashConfig = PasswordHashConfig {
    memory_kib: 64,
    iterations: 1,
    lanes: 4,
    concurrent_max: 2,
    waiting_max: 64,
};

/// What identity needs: its keys are in this folder, and it sends no messages.
pub fn dependencies(store: &Store, keys_folder: &Path, clock: Arc<dyn Clock>) -> Dependencies {
    Dependencies {
        store: store.clone(),
        data_keys: Arc::new(DataKeyFile::in_folder(keys_folder, SystemIds.next())),
        signing_keys: Arc::new(signing_keys(keys_folder)),
        email: Arc::new(DisabledMessages),
        sms: Arc::new(DisabledMessages),
        breaches: None,
        clock,
        ids: Arc::new(SystemIds),
    }
}

/// The signing keys of a folder: small ones, because their strength is not what is tested.
pub fn signing_keys(keys_folder: &Path) -> SigningKeyFolder {
    SigningKeyFolder::new(keys_folder.to_owned(), RsaKeySize::Bits2048, Arc::new(SystemIds))
}

/// Somebody whose contacts follow from their name.
pub fn member_of_staff(name: &str) -> NewUser {
    let add = |sum: u32, byte| sum.wrapping_mul(31).wrapping_add(u32::from(byte)) % 10_000;
    let number = name.bytes().fold(0, add);
    NewUser {
        email: format!("{name}@staff.example.com"),
        phone_number: format!("+21261234{number:04}"),
        password: PASSWORD.into(),
        display_name: name.to_owned(),
    }
}
