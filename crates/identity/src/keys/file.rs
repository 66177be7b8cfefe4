//! Files of keys. They are made once and never overwritten, but for a signing key that the next one
//! follows.

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jsonwebtoken::EncodingKey;
use ports::{PrivateFileError, create_private_file, read_private_file};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;
use uuid::Uuid;

/// Why there is no signing key to work with.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// The file could not be used.
    #[error(transparent)]
    File(#[from] PrivateFileError),
    /// The file is not a private RSA key of at least 2048 bits.
    #[error("{path} does not hold a PKCS#8 RSA key of at least 2048 bits; restore or remove it")]
    NotAKey {
        /// The file.
        path: PathBuf,
    },
    /// No key could be generated.
    #[error("cannot generate a key")]
    Generation,
}

const FILE_NAME: &str = "signing-key.pem";
const NEXT_FILE_NAME: &str = "signing-key.next.pem";
/// RFC 7468 section 2: base64 in lines of 64 characters.
const PEM_LINE_LENGTH: usize = 64;

/// The private key of this folder, in both forms that are needed of it.
pub(super) struct PrivateKey {
    pub(super) signing: EncodingKey,
    pub(super) pair: KeyPair,
}

/// Reads the folder's key, after making it if it is missing. Of several processes that make one at
/// once the first wins and all read the same. `unique` tells their temporary files apart.
pub(super) fn load_or_create(folder: &Path, unique: Uuid) -> Result<PrivateKey, KeyFileError> {
    let path = folder.join(FILE_NAME);
    create_private_file(&path, unique, generate)?;
    read(&path)
}

/// The folder's key.
pub(super) fn load(folder: &Path) -> Result<PrivateKey, KeyFileError> {
    read(&folder.join(FILE_NAME))
}

/// The key that waits to take the folder's place, after making it if it is missing.
pub(super) fn load_or_create_next(folder: &Path, unique: Uuid) -> Result<PrivateKey, KeyFileError> {
    let path = folder.join(NEXT_FILE_NAME);
    create_private_file(&path, unique, generate)?;
    read(&path)
}

/// The key that waits, if there is one.
pub(super) fn load_next(folder: &Path) -> Result<Option<PrivateKey>, KeyFileError> {
    match read(&folder.join(NEXT_FILE_NAME)) {
        Ok(next) => Ok(Some(next)),
        Err(KeyFileError::File(PrivateFileError::File { source, .. }))
            if source.kind() == io::ErrorKind::NotFound =>
        {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Puts the key that waits in place. Of several processes one does; the others find it done.
pub(super) fn promote(folder: &Path) -> Result<(), KeyFileError> {
    let path = folder.join(NEXT_FILE_NAME);
    match fs::rename(&path, folder.join(FILE_NAME)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        renamed => Ok(renamed.map_err(|source| PrivateFileError::File { path, source })?),
    }
}

/// When the folder's key was written.
pub(super) fn modified(folder: &Path) -> Result<SystemTime, KeyFileError> {
    let path = folder.join(FILE_NAME);
    let modified = fs::metadata(&path).and_then(|metadata| metadata.modified());
    Ok(modified.map_err(|source| PrivateFileError::File { path, source })?)
}

fn generate() -> Result<String, KeyFileError> {
    let der = KeyPair::generate(KeySize::Rsa2048)
        .and_then(|pair| pair.as_der())
        .map_err(|_| KeyFileError::Generation)?;
    let mut pem = String::from("-----BEGIN PRIVATE KEY-----");
    for (at, character) in STANDARD.encode(der.as_ref()).char_indices() {
        if at.is_multiple_of(PEM_LINE_LENGTH) {
            pem.push('\n');
        }
        pem.push(character);
    }
    pem.push_str("\n-----END PRIVATE KEY-----\n");
    Ok(pem)
}

fn read(path: &Path) -> Result<PrivateKey, KeyFileError> {
    let pem = read_private_file(path)?;
    let not_a_key = || KeyFileError::NotAKey { path: path.to_owned() };
    let signing = EncodingKey::from_rsa_pem(&pem).map_err(|_| not_a_key())?;
    let pair = KeyPair::from_der(signing.as_bytes()).map_err(|_| not_a_key())?;
    Ok(PrivateKey { signing, pair })
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_lc_rs::signature::KeyPair as _;

    fn modulus(key: &PrivateKey) -> Vec<u8> {
        key.pair.public_key().modulus().big_endian_without_leading_zero().to_vec()
    }

    #[test]
    fn processes_that_start_at_once_end_with_one_key() {
        let folder = tempfile::tempdir().unwrap();
        let keys = folder.path().join("keys");
        let starting: Vec<_> = (0..4_u128)
            .map(|process| {
                let keys = keys.clone();
                std::thread::spawn(move || load_or_create(&keys, Uuid::from_u128(process)).unwrap())
            })
            .collect();
        let moduli: Vec<_> =
            starting.into_iter().map(|one| modulus(&one.join().unwrap())).collect();
        assert!(moduli.iter().all(|one| *one == moduli[0]));
        assert_eq!(moduli[0].len(), 256, "2048 bits");
        let names: Vec<_> =
            fs::read_dir(&keys).unwrap().map(|one| one.unwrap().file_name()).collect();
        assert_eq!(names, [FILE_NAME], "no temporary file stays");
    }

    #[cfg(unix)]
    #[test]
    fn the_key_is_its_owners_alone() {
        use std::os::unix::fs::{MetadataExt, PermissionsExt};
        let folder = tempfile::tempdir().unwrap();
        let keys = folder.path().join("keys");
        load_or_create(&keys, Uuid::nil()).unwrap();
        let file = keys.join(FILE_NAME);
        assert_eq!(fs::metadata(&keys).unwrap().mode() & 0o777, 0o700);
        assert_eq!(fs::metadata(&file).unwrap().mode() & 0o777, 0o600);
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        let refused = load_or_create(&keys, Uuid::nil());
        assert!(matches!(refused, Err(KeyFileError::File(PrivateFileError::TooOpen { .. }))));
    }

    #[test]
    fn a_file_that_is_no_key_is_refused_and_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(FILE_NAME);
        create_private_file::<KeyFileError>(&file, Uuid::nil(), || Ok("not a key".into())).unwrap();
        let refused = load_or_create(folder.path(), Uuid::nil());
        assert!(matches!(refused, Err(KeyFileError::NotAKey { .. })));
        assert_eq!(fs::read_to_string(&file).unwrap(), "not a key");
    }
}
