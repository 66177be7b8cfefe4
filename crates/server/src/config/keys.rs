//! What access tokens are signed with, and what secrets and personal data are sealed with.

use super::Config;
use adapters::{Pkcs11Config, Pkcs11Keys};
use identity::{DataKeyFile, SigningKeyFolder};
use kernel::IdSource;
use ports::{RsaKeySize, SigningKeySource};
use serde::Deserialize;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// What access tokens are signed with.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct SigningKeySettings {
    /// Where they are.
    pub(crate) source: SigningKeyPlace,
    /// How old a key gets before the next is made; 0 for ever.
    pub(crate) rotate_every_days: u32,
    /// How large new keys are: 2048, 3072 or 4096.
    pub(crate) rsa_bits: u32,
}

/// Where signing keys can be.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub(crate) enum SigningKeyPlace {
    /// In files in `jwt.keys_dir`.
    #[default]
    File,
    /// In a hardware security module.
    Pkcs11,
}

/// The hardware security module, where signing keys are in one.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Pkcs11Settings {
    /// The vendor's library.
    pub(crate) module: PathBuf,
    /// The label of the token.
    pub(crate) token_label: String,
    /// A file with the PIN, such as a mounted secret.
    pub(crate) pin_file: PathBuf,
    /// The label of the keys: another one for each database.
    pub(crate) key_label: String,
    /// How many calls may be made at once.
    pub(crate) sessions_max: usize,
}

/// What secrets and personal data are sealed with.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct DataKeys {
    /// A file that is there, such as a mounted secret; when not set, `data-keys` beside the signing key,
    /// made at the first start.
    pub(crate) file: Option<PathBuf>,
}

impl SigningKeySettings {
    /// What keeps the program from starting with these settings.
    pub(super) fn refusals(&self, pkcs11: &Pkcs11Settings) -> Vec<String> {
        let mut refusals = Vec::new();
        if self.source == SigningKeyPlace::Pkcs11 {
            let missing = [
                ("module", pkcs11.module.as_os_str().is_empty()),
                ("token_label", pkcs11.token_label.is_empty()),
                ("pin_file", pkcs11.pin_file.as_os_str().is_empty()),
                ("key_label", pkcs11.key_label.is_empty()),
            ];
            for (name, _) in missing.into_iter().filter(|(_, is_missing)| *is_missing) {
                refusals
                    .push(format!("signing_keys.source is \"pkcs11\", which needs pkcs11.{name}"));
            }
        }
        if RsaKeySize::from_bits(self.rsa_bits).is_none() {
            refusals.push(format!(
                "signing_keys.rsa_bits is {}; keys have 2048, 3072 or 4096 bits",
                self.rsa_bits
            ));
        }
        refusals
    }

    /// How old a key gets; `None` when the next one is an operator's to make.
    pub(crate) fn rotate_every(&self) -> Option<Duration> {
        let days = self.rotate_every_days;
        (days > 0).then(|| Duration::from_hours(u64::from(days).saturating_mul(24)))
    }

    fn key_size(&self) -> RsaKeySize {
        // Another number was refused at the start.
        RsaKeySize::from_bits(self.rsa_bits).unwrap_or_default()
    }
}

impl Config {
    /// Where the signing keys are.
    pub(crate) fn signing_key_source(&self, ids: Arc<dyn IdSource>) -> Arc<dyn SigningKeySource> {
        let key_size = self.signing_keys.key_size();
        match self.signing_keys.source {
            SigningKeyPlace::File => {
                Arc::new(SigningKeyFolder::new(self.keys_dir(), key_size, ids))
            }
            SigningKeyPlace::Pkcs11 => Arc::new(Pkcs11Keys::new(Pkcs11Config {
                module: self.pkcs11.module.clone(),
                token_label: self.pkcs11.token_label.clone(),
                pin_file: self.pkcs11.pin_file.clone(),
                key_label: self.pkcs11.key_label.clone(),
                sessions_max: self.pkcs11.sessions_max,
                key_size,
            })),
        }
    }

    /// The data keys as a server has them, which makes them if it may.
    pub(crate) fn data_keys_to_serve(&self, ids: &dyn IdSource) -> DataKeyFile {
        match &self.data_keys.file {
            Some(file) => DataKeyFile::at(file.clone()),
            None => DataKeyFile::in_folder(&self.keys_dir(), ids.next()),
        }
    }

    /// The data keys as a command has them: one that made its own would seal with what is lost when its
    /// machine is.
    pub(crate) fn data_keys(&self) -> DataKeyFile {
        let beside_the_signing_key = || self.keys_dir().join(identity::DATA_KEYS_FILE);
        DataKeyFile::at(self.data_keys.file.clone().unwrap_or_else(beside_the_signing_key))
    }

    /// The folder of keys.
    pub(crate) fn keys_dir(&self) -> PathBuf {
        self.jwt.keys_dir.clone().unwrap_or_else(|| self.data_dir.join("keys"))
    }
}

impl Default for SigningKeySettings {
    fn default() -> Self {
        let source = SigningKeyPlace::default();
        Self { source, rotate_every_days: 90, rsa_bits: RsaKeySize::default().bits() }
    }
}

impl Default for Pkcs11Settings {
    fn default() -> Self {
        Self {
            module: PathBuf::new(),
            token_label: String::new(),
            pin_file: PathBuf::new(),
            key_label: "finitech-signing".to_owned(),
            sessions_max: 4,
        }
    }
}
