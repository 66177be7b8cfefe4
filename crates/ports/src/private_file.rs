//! Files of secrets: made once, never overwritten, for their owner alone.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use uuid::Uuid;

/// Why a file of secrets could not be used.
#[derive(Debug, thiserror::Error)]
pub enum PrivateFileError {
    /// The file or its folder could not be read or written.
    #[error("cannot read or make the key file {path}")]
    File {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// Others may read the file.
    #[error("other users of this machine may read {path}; run: chmod 600 {path}")]
    TooOpen {
        /// The file.
        path: PathBuf,
    },
}

#[cfg(unix)]
const OTHERS_MAY: u32 = 0o007;

/// Writes what `make` gives into a file that its owner alone may touch, unless the file is there. Of
/// several processes that do so at once the first wins and all read the same; `unique` tells their
/// temporary files apart.
pub fn create_private_file<E: From<PrivateFileError>>(
    path: &Path,
    unique: Uuid,
    make: impl FnOnce() -> Result<String, E>,
) -> Result<(), E> {
    let failed = |source| PrivateFileError::File { path: path.to_owned(), source };
    if path.try_exists().map_err(failed)? {
        return Ok(());
    }
    let text = make()?;
    if let Some(folder) = path.parent() {
        create_folder(folder).map_err(failed)?;
    }
    publish(&text, &path.with_extension(format!("new.{unique}")), path).map_err(failed)?;
    Ok(())
}

/// Reads such a file, unless others may.
pub fn read_private_file(path: &Path) -> Result<Vec<u8>, PrivateFileError> {
    let failed = |source| PrivateFileError::File { path: path.to_owned(), source };
    #[cfg(unix)]
    {
        let metadata = fs::metadata(path).map_err(failed)?;
        if std::os::unix::fs::MetadataExt::mode(&metadata) & OTHERS_MAY != 0 {
            return Err(PrivateFileError::TooOpen { path: path.to_owned() });
        }
    }
    fs::read(path).map_err(failed)
}

/// Nobody ever sees half a file, and nobody's file is replaced: a link, unlike a rename, fails when the
/// name is taken.
fn publish(text: &str, temporary: &Path, path: &Path) -> io::Result<()> {
    let linked =
        write_private(text, temporary).and_then(|()| match fs::hard_link(temporary, path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            linked => linked,
        });
    let removed = fs::remove_file(temporary);
    linked.and(removed)
}

fn write_private(text: &str, path: &Path) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// A folder for its owner alone, and those above it, unless they are there.
pub(crate) fn create_folder(folder: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn make(text: &str) -> impl FnOnce() -> Result<String, PrivateFileError> {
        let text = text.to_owned();
        || Ok(text)
    }

    #[test]
    fn a_file_is_made_once_and_is_its_owners_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys").join("one");
        create_private_file(&path, Uuid::nil(), make("first")).unwrap();
        create_private_file(&path, Uuid::nil(), make("second")).unwrap();
        assert_eq!(read_private_file(&path).unwrap(), b"first");
        let names = fs::read_dir(folder.path().join("keys")).unwrap().count();
        assert_eq!(names, 1, "no temporary file stays");
        #[cfg(unix)]
        {
            use std::os::unix::fs::{MetadataExt, PermissionsExt};
            assert_eq!(fs::metadata(path.parent().unwrap()).unwrap().mode() & 0o777, 0o700);
            assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
            fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
            let refused = read_private_file(&path);
            assert!(matches!(refused, Err(PrivateFileError::TooOpen { .. })), "{refused:?}");
        }
    }
}
