//! What access tokens are signed with, and what secrets and personal data are sealed with.

use super::Config;
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
    /// How old a key gets before the next is made; 0 for ever.
    pub(crate) rotate_every_days: u32,
    /// How large new keys are: 2048, 3072 or 4096.
    pub(crate) rsa_bits: u32,
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
    pub(super) fn refusals(&self) -> Vec<String> {
        let mut refusals = Vec::new();
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
        let size = self.signing_keys.key_size();
        Arc::new(SigningKeyFolder::new(self.keys_dir(), size, ids))
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
        Self { rotate_every_days: 90, rsa_bits: RsaKeySize::default().bits() }
    }
}
