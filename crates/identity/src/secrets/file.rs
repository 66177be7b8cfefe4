//! The file of data keys. It is made once; more keys are added by an operator.

use super::KEY_BYTES;
use crate::keys::KeyFileError;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ports::{create_private_file, read_private_file};
use std::path::{Path, PathBuf};
use uuid::Uuid;

const FILE_NAME: &str = "data-keys";

pub(super) fn path(folder: &Path) -> PathBuf {
    folder.join(FILE_NAME)
}

/// The keys, oldest first; at least one.
pub(super) fn load_or_create(
    folder: &Path,
    unique: Uuid,
) -> Result<Vec<[u8; KEY_BYTES]>, KeyFileError> {
    let path = path(folder);
    create_private_file(&path, unique, || {
        let mut key = [0; KEY_BYTES];
        aws_lc_rs::rand::fill(&mut key).map_err(|_| KeyFileError::Generation)?;
        Ok::<_, KeyFileError>(format!("{}\n", STANDARD.encode(key)))
    })?;
    let bytes = read_private_file(&path)?;
    let keys = std::str::from_utf8(&bytes).ok().and_then(parse);
    keys.ok_or(KeyFileError::NotDataKeys { path })
}

fn parse(text: &str) -> Option<Vec<[u8; KEY_BYTES]>> {
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    let keys = lines.map(|line| STANDARD.decode(line.trim()).ok()?.try_into().ok());
    keys.collect::<Option<Vec<_>>>().filter(|keys| !keys.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_made_once_and_kept() {
        let folder = tempfile::tempdir().unwrap();
        let first = load_or_create(folder.path(), Uuid::nil()).unwrap();
        assert_eq!(first.len(), 1);
        assert_ne!(first[0], [0; KEY_BYTES]);
        assert_eq!(load_or_create(folder.path(), Uuid::nil()).unwrap(), first);
        let file = path(folder.path());
        let text = std::fs::read_to_string(&file).unwrap();
        std::fs::write(&file, format!("{text}\n{}\n", STANDARD.encode([7; KEY_BYTES]))).unwrap();
        let both = load_or_create(folder.path(), Uuid::nil()).unwrap();
        assert_eq!(both, [first[0], [7; KEY_BYTES]]);
    }

    #[test]
    fn what_is_no_key_is_refused() {
        for text in ["", "\n", "AAAA\n", "not base64"] {
            assert_eq!(parse(text), None, "{text:?}");
        }
    }
}
