//! The key of this process that checkpoints of the ledger are signed with.

use anyhow::Context;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use kernel::IdSource;
use ledger::CheckpointSigner;
use ports::{PrivateFileError, create_private_file, read_private_file};
use std::path::Path;

const FILE_NAME: &str = "checkpoint-key";
const KEY_BYTES: usize = 32;

/// Reads the key of the folder, after making it if it is missing. `name` is the ledger's.
pub(crate) fn load_or_create(
    folder: &Path,
    name: &str,
    ids: &dyn IdSource,
) -> anyhow::Result<CheckpointSigner> {
    let path = folder.join(FILE_NAME);
    let mut fresh = [0; KEY_BYTES];
    aws_lc_rs::rand::fill(&mut fresh).context("this machine gives no random numbers")?;
    create_private_file(&path, ids.next(), || {
        Ok::<_, PrivateFileError>(format!("{}\n", STANDARD.encode(fresh)))
    })?;
    let text = String::from_utf8(read_private_file(&path)?).unwrap_or_default();
    let seed = STANDARD.decode(text.trim()).ok().and_then(|seed| seed.try_into().ok());
    let seed: [u8; KEY_BYTES] = seed.with_context(|| {
        format!("{} does not hold a key of 32 bytes in base64; restore it", path.display())
    })?;
    CheckpointSigner::try_new(name, &seed).context("ledger.name")
}

#[cfg(test)]
mod tests {
    use super::*;
    use ports::SystemIds;

    #[test]
    fn the_key_is_made_once_and_kept() {
        let folder = tempfile::tempdir().unwrap();
        let key = || {
            load_or_create(folder.path(), "bank/ledger", &SystemIds).map(|key| key.verifier_key())
        };
        let first = key().unwrap();
        assert_eq!(key().unwrap(), first);
        std::fs::write(folder.path().join(FILE_NAME), "not a key").unwrap();
        let error = key().unwrap_err().to_string();
        assert!(error.contains("restore it"), "{error}");
    }
}
