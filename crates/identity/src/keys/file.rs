//! Signing keys in a folder: every `signing-key*.pem` in it is one.

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jsonwebtoken::EncodingKey;
use kernel::IdSource;
use ports::{
    PrivateFileError, RsaKeySize, RsaPublicKey, Signer, SigningKeySource, SigningKeysError,
    create_private_file, read_private_file,
};
use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

/// Why there is no key to work with.
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

/// What the names of all key files begin and end with.
const NAME: (&str, &str) = ("signing-key", ".pem");
/// RFC 7468 section 2: base64 in lines of 64 characters.
const PEM_LINE_LENGTH: usize = 64;

/// Signing keys in files of this machine, or in secrets that are mounted as such.
#[derive(Clone)]
pub struct SigningKeyFolder(Arc<Folder>);

struct Folder {
    path: PathBuf,
    size: RsaKeySize,
    ids: Arc<dyn IdSource>,
    /// What was read, and how old the files were.
    read: Mutex<HashMap<PathBuf, (SystemTime, Arc<FileSigner>)>>,
}

/// A key that was read into memory.
struct FileSigner {
    pair: KeyPair,
    public: RsaPublicKey,
}

impl SigningKeyFolder {
    /// The keys of a folder, which is made with the first of them, and the size of new ones.
    pub fn new(path: PathBuf, size: RsaKeySize, ids: Arc<dyn IdSource>) -> Self {
        Self(Arc::new(Folder { path, size, ids, read: Mutex::default() }))
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Folder) -> Result<T, KeyFileError> + Send + 'static,
    ) -> Result<T, SigningKeysError> {
        let folder = self.0.clone();
        let done = tokio::task::spawn_blocking(move || work(&folder)).await;
        let done = done.map_err(|error| SigningKeysError::Unavailable(error.into()))?;
        done.map_err(|error| match error {
            KeyFileError::File(PrivateFileError::File { ref source, .. })
                if is_refused(source.kind()) =>
            {
                SigningKeysError::ReadOnly { place: self.name() }
            }
            error => SigningKeysError::Unavailable(error.into()),
        })
    }
}

#[async_trait::async_trait]
impl SigningKeySource for SigningKeyFolder {
    fn name(&self) -> String {
        self.0.path.display().to_string()
    }

    async fn load(&self) -> Result<Vec<Arc<dyn Signer>>, SigningKeysError> {
        let signers = self.blocking(Folder::load).await?;
        Ok(signers.into_values().map(|(_, signer)| signer as Arc<dyn Signer>).collect())
    }

    async fn generate(&self, beside: usize) -> Result<(), SigningKeysError> {
        self.blocking(move |folder| folder.generate(beside)).await
    }

    async fn destroy(&self, key: &RsaPublicKey) -> Result<(), SigningKeysError> {
        let key = key.clone();
        self.blocking(move |folder| folder.destroy(&key)).await
    }
}

#[async_trait::async_trait]
impl Signer for FileSigner {
    fn public_key(&self) -> &RsaPublicKey {
        &self.public
    }

    async fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SigningKeysError> {
        let mut signature = vec![0; self.pair.public_modulus_len()];
        self.pair
            .sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature)
            .map_err(|error| SigningKeysError::Unavailable(error.into()))?;
        Ok(signature)
    }
}

impl Folder {
    /// Every key that is there; files that are as they were are not read again.
    fn load(&self) -> Result<HashMap<PathBuf, (SystemTime, Arc<FileSigner>)>, KeyFileError> {
        let mut found = HashMap::new();
        for path in self.paths()? {
            match self.load_one(&path) {
                Ok(one) => {
                    found.insert(path, one);
                }
                // Another process removed it this instant.
                Err(KeyFileError::File(error)) if is_missing(&error) => {}
                Err(error) => return Err(error),
            }
        }
        *self.read.lock().unwrap_or_else(PoisonError::into_inner) = found.clone();
        Ok(found)
    }

    fn load_one(&self, path: &Path) -> Result<(SystemTime, Arc<FileSigner>), KeyFileError> {
        let modified = fs::metadata(path).and_then(|metadata| metadata.modified());
        let modified =
            modified.map_err(|source| PrivateFileError::File { path: path.to_owned(), source })?;
        let known = self.read.lock().unwrap_or_else(PoisonError::into_inner).get(path).cloned();
        match known.filter(|(at, _)| *at == modified) {
            Some(known) => Ok(known),
            None => Ok((modified, Arc::new(read(path)?))),
        }
    }

    fn paths(&self) -> Result<Vec<PathBuf>, KeyFileError> {
        let failed = |source| PrivateFileError::File { path: self.path.clone(), source };
        let entries = match fs::read_dir(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(failed)?,
        };
        let mut paths = Vec::new();
        for entry in entries {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name();
            if name.to_str().is_some_and(|name| name.starts_with(NAME.0) && name.ends_with(NAME.1))
            {
                paths.push(entry.path());
            }
        }
        Ok(paths)
    }

    fn generate(&self, beside: usize) -> Result<(), KeyFileError> {
        // Root may write where nobody is meant to.
        if fs::metadata(&self.path).is_ok_and(|folder| folder.permissions().readonly()) {
            let (path, source) = (self.path.clone(), io::ErrorKind::PermissionDenied.into());
            return Err(PrivateFileError::File { path, source }.into());
        }
        if self.paths()?.len() > beside {
            return Ok(());
        }
        let (unique, (begin, end)) = (self.ids.next(), NAME);
        let name = match beside {
            // Of several processes that begin at once the first makes it, and all read the same.
            0 => format!("{begin}{end}"),
            _ => format!("{begin}-{unique}{end}"),
        };
        create_private_file(&self.path.join(name), unique, || pem(self.size))
    }

    fn destroy(&self, key: &RsaPublicKey) -> Result<(), KeyFileError> {
        for (path, (_, signer)) in self.load()? {
            if signer.public == *key {
                fs::remove_file(&path).map_err(|source| PrivateFileError::File { path, source })?;
            }
        }
        Ok(())
    }
}

fn is_refused(kind: io::ErrorKind) -> bool {
    matches!(kind, io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem)
}

fn is_missing(error: &PrivateFileError) -> bool {
    matches!(error, PrivateFileError::File { source, .. }
        if source.kind() == io::ErrorKind::NotFound)
}

/// A new key as RFC 7468 writes one.
fn pem(size: RsaKeySize) -> Result<String, KeyFileError> {
    let size = match size {
        RsaKeySize::Bits2048 => KeySize::Rsa2048,
        RsaKeySize::Bits3072 => KeySize::Rsa3072,
        RsaKeySize::Bits4096 => KeySize::Rsa4096,
    };
    let der = KeyPair::generate(size)
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

fn read(path: &Path) -> Result<FileSigner, KeyFileError> {
    let pem = read_private_file(path)?;
    let not_a_key = || KeyFileError::NotAKey { path: path.to_owned() };
    let der = EncodingKey::from_rsa_pem(&pem).map_err(|_| not_a_key())?;
    let pair = KeyPair::from_der(der.as_bytes()).map_err(|_| not_a_key())?;
    let public = RsaPublicKey {
        modulus: pair.public_key().modulus().big_endian_without_leading_zero().to_vec(),
        exponent: pair.public_key().exponent().big_endian_without_leading_zero().to_vec(),
    };
    Ok(FileSigner { pair, public })
}

#[cfg(test)]
mod tests {
    use super::*;
    use kernel::IdSource;
    use ports::SystemIds;

    fn folder(path: &Path) -> Folder {
        Folder {
            path: path.join("keys"),
            size: RsaKeySize::Bits2048,
            ids: Arc::new(SystemIds),
            read: Mutex::default(),
        }
    }

    fn moduli(folder: &Folder) -> Vec<Vec<u8>> {
        folder.load().unwrap().into_values().map(|(_, one)| one.public.modulus.clone()).collect()
    }

    fn first_file(folder: &Folder) -> PathBuf {
        folder.path.join("signing-key.pem")
    }

    #[test]
    fn processes_that_start_at_once_end_with_one_key() {
        let scratch = tempfile::tempdir().unwrap();
        let starting: Vec<_> = (0..4)
            .map(|_| {
                let folder = folder(scratch.path());
                std::thread::spawn(move || {
                    folder.generate(0).unwrap();
                    moduli(&folder)
                })
            })
            .collect();
        let seen: Vec<_> = starting.into_iter().map(|one| one.join().unwrap()).collect();
        assert!(seen.iter().all(|one| *one == seen[0]));
        assert_eq!(seen[0].len(), 1);
        assert_eq!(seen[0][0].len(), 256, "2048 bits");
        let names: Vec<_> = fs::read_dir(scratch.path().join("keys"))
            .unwrap()
            .map(|one| one.unwrap().file_name())
            .collect();
        assert_eq!(names, ["signing-key.pem"], "no temporary file stays");
    }

    #[test]
    fn keys_are_made_beside_each_other_and_destroyed_one_by_one() {
        let scratch = tempfile::tempdir().unwrap();
        let folder = Folder { size: RsaKeySize::Bits3072, ..folder(scratch.path()) };
        assert!(folder.load().unwrap().is_empty(), "there is no folder yet");
        folder.generate(0).unwrap();
        let first = moduli(&folder).remove(0);
        assert_eq!(first.len(), 384, "3072 bits");
        folder.generate(1).unwrap();
        folder.generate(1).unwrap();
        assert_eq!(moduli(&folder).len(), 2, "somebody else made it");
        folder.generate(2).unwrap();
        assert!(first_file(&folder).exists());
        let key = RsaPublicKey { modulus: first.clone(), exponent: vec![1, 0, 1] };
        folder.destroy(&key).unwrap();
        assert!(!first_file(&folder).exists());
        assert_eq!(moduli(&folder).len(), 2);
        folder.destroy(&key).unwrap();
        assert!(!moduli(&folder).contains(&first));
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn a_folder_that_nobody_may_write_to_is_told_apart_from_a_broken_one() {
        use std::os::unix::fs::PermissionsExt;
        let scratch = tempfile::tempdir().unwrap();
        let keys = SigningKeyFolder(Arc::new(folder(scratch.path())));
        keys.generate(0).await.unwrap();
        let path = scratch.path().join("keys");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o555)).unwrap();
        let refused = keys.generate(1).await;
        assert!(matches!(refused, Err(SigningKeysError::ReadOnly { .. })), "{refused:?}");
        assert_eq!(keys.load().await.unwrap().len(), 1, "the key that is there counts");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
    }

    #[cfg(unix)]
    #[test]
    fn the_key_is_its_owners_alone() {
        use std::os::unix::fs::{MetadataExt, PermissionsExt};
        let scratch = tempfile::tempdir().unwrap();
        let folder = folder(scratch.path());
        folder.generate(0).unwrap();
        let file = first_file(&folder);
        assert_eq!(fs::metadata(&folder.path).unwrap().mode() & 0o777, 0o700);
        assert_eq!(fs::metadata(&file).unwrap().mode() & 0o777, 0o600);
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        let refused = folder.load().err();
        assert!(
            matches!(refused, Some(KeyFileError::File(PrivateFileError::TooOpen { .. }))),
            "{refused:?}"
        );
    }

    #[test]
    fn a_file_that_is_no_key_is_refused_and_left_alone() {
        let scratch = tempfile::tempdir().unwrap();
        let folder = folder(scratch.path());
        let file = first_file(&folder);
        create_private_file::<KeyFileError>(&file, SystemIds.next(), || Ok("not a key".into()))
            .unwrap();
        assert!(matches!(folder.load(), Err(KeyFileError::NotAKey { .. })));
        assert_eq!(fs::read_to_string(&file).unwrap(), "not a key");
    }
}
