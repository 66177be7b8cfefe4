//! Data keys for tests.

use crate::DATA_KEYS_FILE;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ports::{PrivateFileError, create_private_file};
use std::path::Path;
use uuid::Uuid;

/// Gives a folder these data keys, each one byte repeated, in place of those that it has.
pub fn write_data_keys(folder: &Path, keys: &[u8]) {
    let file = folder.join(DATA_KEYS_FILE);
    if file.exists() {
        std::fs::remove_file(&file).expect("a file of the test's own");
    }
    let line = |key: &u8| format!("{}\n", STANDARD.encode([*key; crate::KEY_BYTES]));
    let text = keys.iter().map(line).collect();
    create_private_file::<PrivateFileError>(&file, Uuid::nil(), || Ok(text))
        .expect("a file in a folder of the test's own");
}
