//! What identity seals, and for what ([`sealing`]).

pub use sealing::{DATA_KEYS_FILE, DataKeyFile, Resealed};
pub(crate) use sealing::{DataKeys, SealError, Sealer};

use crate::Error;
use crate::audit::{self, NewEntry};
use kernel::{Clock, Timestamp};
use ports::DataKeySource;
use sealing::{Encoding, SealedColumn};
use serde_json::json;
use store::{Store, StoreError};

/// What is sealed, by table and column. Each has keys of its own, derived from the data keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// The shared secret of a second factor.
    Totp,
    /// A user's e-mail address.
    Email,
    /// A user's phone number.
    PhoneNumber,
    /// What others see of a user.
    DisplayName,
    /// An e-mail address that is to take the place of a user's.
    NewEmail,
    /// A phone number that is to.
    NewPhoneNumber,
    /// What somebody calls a passkey of theirs.
    PasskeyName,
    /// The key of the blind indexes.
    IndexKey,
}

impl Purpose {
    /// Never to be changed: what is sealed under it would not open any more.
    const fn name(self) -> sealing::Purpose {
        sealing::Purpose(match self {
            Self::Totp => "finitech/identity/totp",
            Self::Email => "finitech/identity/users.sealed_email",
            Self::PhoneNumber => "finitech/identity/users.sealed_phone_number",
            Self::DisplayName => "finitech/identity/users.sealed_display_name",
            Self::NewEmail => "finitech/identity/contact_codes.sealed_new_email",
            Self::NewPhoneNumber => "finitech/identity/contact_codes.sealed_new_phone_number",
            Self::PasskeyName => "finitech/identity/passkeys.sealed_name",
            Self::IndexKey => "finitech/identity/index_keys.sealed_key",
        })
    }
}

impl From<Purpose> for sealing::Purpose {
    fn from(purpose: Purpose) -> Self {
        purpose.name()
    }
}

/// What can be looked for although it is sealed. Equal texts of two kinds have different indexes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Indexed {
    /// An e-mail address, normalised.
    Email,
    /// A phone number, normalised.
    PhoneNumber,
    /// What somebody typed who is not registered.
    Stranger,
}

impl From<Indexed> for sealing::Indexed {
    /// Never to be changed: nobody would be found any more.
    fn from(kind: Indexed) -> Self {
        Self(match kind {
            Indexed::Email => "finitech/identity/email",
            Indexed::PhoneNumber => "finitech/identity/phone-number",
            Indexed::Stranger => "finitech/identity/stranger",
        })
    }
}

/// Every column that holds something sealed; whoever adds one adds it here, or its values stay under
/// the keys that they were sealed with.
const SEALED_COLUMNS: &[SealedColumn] = &[
    SealedColumn::new(Purpose::IndexKey.name(), "index_keys", "id", "sealed_key", Encoding::Bytes),
    SealedColumn::new(
        Purpose::Totp.name(),
        "user_totp",
        "user_id",
        "sealed_secret",
        Encoding::Bytes,
    ),
    SealedColumn::new(Purpose::Email.name(), "users", "id", "sealed_email", Encoding::Base64),
    SealedColumn::new(
        Purpose::PhoneNumber.name(),
        "users",
        "id",
        "sealed_phone_number",
        Encoding::Base64,
    ),
    SealedColumn::new(
        Purpose::DisplayName.name(),
        "users",
        "id",
        "sealed_display_name",
        Encoding::Base64,
    ),
    SealedColumn::new(
        Purpose::PasskeyName.name(),
        "passkeys",
        "id",
        "sealed_name",
        Encoding::Base64,
    ),
    // Of the rows of a user one at most has a value.
    SealedColumn::new(
        Purpose::NewEmail.name(),
        "contact_codes",
        "user_id",
        "sealed_new_email",
        Encoding::Base64,
    ),
    SealedColumn::new(
        Purpose::NewPhoneNumber.name(),
        "contact_codes",
        "user_id",
        "sealed_new_phone_number",
        Encoding::Base64,
    ),
];

/// The data keys, on identity's store.
pub(crate) async fn data_keys(
    store: &Store,
    source: &dyn DataKeySource,
    now: Timestamp,
) -> Result<DataKeys, Error> {
    Ok(DataKeys::init(store, source, Purpose::IndexKey.name(), now).await?)
}

/// Seals everything with the newest key and forgets the others.
pub(crate) async fn reseal(
    store: &Store,
    source: &dyn DataKeySource,
    clock: &dyn Clock,
    progress: impl Fn(u64),
) -> Result<Resealed, Error> {
    let resealed = sealing::reseal_values(store, source, SEALED_COLUMNS, clock, progress).await?;
    let sealing::ResealedValues { key, values } = resealed;
    let tx = store.begin().await?;
    let forgotten_keys = sealing::forget_other_keys_in_tx(store, &tx, &key).await?;
    let details = json!({ "key": key, "values": values, "forgottenKeys": forgotten_keys });
    let (action, at) = ("data_keys_resealed", clock.now());
    let entry = NewEntry { actor: None, action, object: None, details, at };
    audit::append_in_tx(store, &tx, entry).await?;
    tx.commit().await.map_err(StoreError::from)?;
    Ok(Resealed { key, values, forgotten_keys })
}
