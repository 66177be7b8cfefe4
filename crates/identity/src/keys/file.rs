//! Files of keys. They are made once and never overwritten, but for a signing key that the next one
//! follows.

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jsonwebtoken::EncodingKey;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;
use uuid::Uuid;

/// Why there is no signing key to work with.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// The file or its folder could not be read or written.
    #[error("cannot read or make the key file {path}")]
    File {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The file is not a private RSA key of at least 2048 bits.
    #[error("{path} does not hold a PKCS#8 RSA key of at least 2048 bits; restore or remove it")]
    NotAKey {
        /// The file.
        path: PathBuf,
    },
    /// Others may read the file.
    #[error("other users of this machine may read {path}; run: chmod 600 {path}")]
    TooOpen {
        /// The file.
        path: PathBuf,
    },
    /// The file does not hold keys of 32 bytes.
    #[error("{path} does not hold data keys, one of 32 bytes in base64 a line; restore it")]
    NotDataKeys {
        /// The file.
        path: PathBuf,
    },
    /// Something in the database is sealed with keys that are not in the file.
    #[error(
        "{place} lacks data keys that the database needs ({names}); copy them from the machine \
             or backup that has them"
    )]
    MissingDataKeys {
        /// The file.
        place: String,
        /// Their names.
        names: String,
    },
    /// No key could be generated.
    #[error("cannot generate a key")]
    Generation,
}

const FILE_NAME: &str = "signing-key.pem";
const NEXT_FILE_NAME: &str = "signing-key.next.pem";
/// RFC 7468 section 2: base64 in lines of 64 characters.
const PEM_LINE_LENGTH: usize = 64;
#[cfg(unix)]
const OTHERS_MAY: u32 = 0o007;

/// The private key of this folder, in both forms that are needed of it.
pub(super) struct PrivateKey {
    pub(super) signing: EncodingKey,
    pub(super) pair: KeyPair,
}

/// Reads the folder's key, after making it if it is missing. Of several processes that make one at
/// once the first wins and all read the same. `unique` tells their temporary files apart.
pub(super) fn load_or_create(folder: &Path, unique: Uuid) -> Result<PrivateKey, KeyFileError> {
    let path = folder.join(FILE_NAME);
    create_private(&path, unique, generate)?;
    read(&path)
}

/// The folder's key.
pub(super) fn load(folder: &Path) -> Result<PrivateKey, KeyFileError> {
    read(&folder.join(FILE_NAME))
}

/// The key that waits to take the folder's place, after making it if it is missing.
pub(super) fn load_or_create_next(folder: &Path, unique: Uuid) -> Result<PrivateKey, KeyFileError> {
    let path = folder.join(NEXT_FILE_NAME);
    create_private(&path, unique, generate)?;
    read(&path)
}

/// The key that waits, if there is one.
pub(super) fn load_next(folder: &Path) -> Result<Option<PrivateKey>, KeyFileError> {
    match read(&folder.join(NEXT_FILE_NAME)) {
        Ok(next) => Ok(Some(next)),
        Err(KeyFileError::File { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
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
        renamed => renamed.map_err(|source| KeyFileError::File { path, source }),
    }
}

/// When the folder's key was written.
pub(super) fn modified(folder: &Path) -> Result<SystemTime, KeyFileError> {
    let path = folder.join(FILE_NAME);
    let modified = fs::metadata(&path).and_then(|metadata| metadata.modified());
    modified.map_err(|source| KeyFileError::File { path, source })
}

/// Writes what `make` gives into a file that its owner alone may touch, unless the file is there.
pub(crate) fn create_private(
    path: &Path,
    unique: Uuid,
    make: impl FnOnce() -> Result<String, KeyFileError>,
) -> Result<(), KeyFileError> {
    let failed = |source| KeyFileError::File { path: path.to_owned(), source };
    if path.try_exists().map_err(failed)? {
        return Ok(());
    }
    let text = make()?;
    if let Some(folder) = path.parent() {
        create_folder(folder).map_err(failed)?;
    }
    publish(&text, &path.with_extension(format!("new.{unique}")), path).map_err(failed)
}

/// Reads such a file, unless others may.
pub(crate) fn read_private(path: &Path) -> Result<Vec<u8>, KeyFileError> {
    let failed = |source| KeyFileError::File { path: path.to_owned(), source };
    #[cfg(unix)]
    {
        let metadata = fs::metadata(path).map_err(failed)?;
        if std::os::unix::fs::MetadataExt::mode(&metadata) & OTHERS_MAY != 0 {
            return Err(KeyFileError::TooOpen { path: path.to_owned() });
        }
    }
    fs::read(path).map_err(failed)
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

/// Nobody ever sees half a key, and nobody's key is replaced: a link, unlike a rename, fails when
/// the name is taken.
fn publish(pem: &str, temporary: &Path, path: &Path) -> io::Result<()> {
    let linked =
        write_private(pem, temporary).and_then(|()| match fs::hard_link(temporary, path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            linked => linked,
        });
    let removed = fs::remove_file(temporary);
    linked.and(removed)
}

fn write_private(pem: &str, path: &Path) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(pem.as_bytes())?;
    file.sync_all()
}

fn create_folder(folder: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

fn read(path: &Path) -> Result<PrivateKey, KeyFileError> {
    let pem = read_private(path)?;
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
        assert!(matches!(refused, Err(KeyFileError::TooOpen { .. })));
    }

    #[test]
    fn a_file_that_is_no_key_is_refused_and_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(FILE_NAME);
        write_private("not a key", &file).unwrap();
        let refused = load_or_create(folder.path(), Uuid::nil());
        assert!(matches!(refused, Err(KeyFileError::NotAKey { .. })));
        assert_eq!(fs::read_to_string(&file).unwrap(), "not a key");
    }
}
