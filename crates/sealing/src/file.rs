//! The file of data keys: one key a line in base64. It is made once; more keys are added by an operator.

use super::cipher::KEY_BYTES;
use crate::DataKeyFileError;
use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ports::{DataKey, DataKeySource, DataKeysError, create_private_file, read_private_file};
use std::path::{Path, PathBuf};
use uuid::Uuid;

/// The name of the file of data keys, where it has not been given another.
pub const DATA_KEYS_FILE: &str = "data-keys";

/// Data keys in a file of this machine, or in a secret that is mounted as one.
#[derive(Clone, Debug)]
pub struct DataKeyFile {
    path: PathBuf,
    /// Tells the temporary files of processes apart; `None` where the file is somebody else's to make.
    unique: Option<Uuid>,
}

impl DataKeyFile {
    /// The file `data-keys` of a folder, made with one key if it is missing. `unique` is made for this.
    pub fn in_folder(folder: &Path, unique: Uuid) -> Self {
        Self { path: folder.join(DATA_KEYS_FILE), unique: Some(unique) }
    }

    /// A file that must be there, such as a mounted secret.
    pub fn at(path: PathBuf) -> Self {
        Self { path, unique: None }
    }

    fn read(&self) -> Result<Vec<DataKey>, DataKeyFileError> {
        if let Some(unique) = self.unique {
            create_private_file(&self.path, unique, || {
                let mut key = [0; KEY_BYTES];
                aws_lc_rs::rand::fill(&mut key).map_err(|_| DataKeyFileError::Generation)?;
                Ok::<_, DataKeyFileError>(format!("{}\n", STANDARD.encode(key)))
            })?;
        }
        let bytes = read_private_file(&self.path)?;
        let keys = std::str::from_utf8(&bytes).ok().and_then(parse);
        keys.ok_or_else(|| DataKeyFileError::NotDataKeys { path: self.path.clone() })
    }
}

#[async_trait]
impl DataKeySource for DataKeyFile {
    fn name(&self) -> String {
        self.path.display().to_string()
    }

    async fn load(&self) -> Result<Vec<DataKey>, DataKeysError> {
        let this = self.clone();
        let read = tokio::task::spawn_blocking(move || this.read()).await;
        let keys = read.map_err(|error| DataKeysError(error.into()))?;
        keys.map_err(|error| DataKeysError(error.into()))
    }
}

fn parse(text: &str) -> Option<Vec<DataKey>> {
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    let keys = lines.map(|line| {
        let key: [u8; KEY_BYTES] = STANDARD.decode(line.trim()).ok()?.try_into().ok()?;
        Some(DataKey::new(Box::new(key)))
    });
    keys.collect::<Option<Vec<_>>>().filter(|keys| !keys.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::ExposeSecret;

    fn exposed(file: &DataKeyFile) -> Vec<[u8; KEY_BYTES]> {
        file.read().unwrap().iter().map(|key| *key.expose_secret()).collect()
    }

    #[test]
    fn the_file_is_made_once_and_kept() {
        let folder = tempfile::tempdir().unwrap();
        let file = DataKeyFile::in_folder(folder.path(), Uuid::nil());
        let first = exposed(&file);
        assert_eq!(first.len(), 1);
        assert_ne!(first[0], [0; KEY_BYTES]);
        assert_eq!(exposed(&file), first);
        let text = std::fs::read_to_string(&file.path).unwrap();
        std::fs::write(&file.path, format!("{text}\n{}\n", STANDARD.encode([7; KEY_BYTES])))
            .unwrap();
        assert_eq!(exposed(&file), [first[0], [7; KEY_BYTES]]);
        assert_eq!(exposed(&DataKeyFile::at(file.path.clone())), [first[0], [7; KEY_BYTES]]);
    }

    #[test]
    fn a_file_of_somebody_else_is_not_made() {
        let folder = tempfile::tempdir().unwrap();
        let file = DataKeyFile::at(folder.path().join("data-keys"));
        assert!(matches!(file.read(), Err(DataKeyFileError::File { .. })));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn what_is_no_key_is_refused() {
        for text in ["", "\n", "AAAA\n", "not base64"] {
            assert!(parse(text).is_none(), "{text:?}");
        }
    }
}
