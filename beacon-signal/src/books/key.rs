//! A key in a file: 64 hexadecimal digits, readable by its owner alone.

use beacon_sdk::Identity;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// A key cannot be read or made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The file cannot be read or written.
    #[error("{}: {source}; name a file in a folder that this program may write to", .file.display())]
    File {
        /// Where.
        file: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// What is in the file is no key.
    #[error(
        "{} holds no key, which is 64 hexadecimal digits: name another file, and a new key is made there",
        .0.display()
    )]
    NoKey(PathBuf),
    /// The system has no random numbers.
    #[error("no random numbers from the system: {0}")]
    Random(getrandom::Error),
}

/// A new key.
pub(super) fn new() -> Result<Identity, KeyError> {
    secret().map(Identity::from_secret)
}

fn secret() -> Result<[u8; 32], KeyError> {
    let mut secret = [0; 32];
    getrandom::fill(&mut secret).map_err(KeyError::Random)?;
    Ok(secret)
}

/// The key in `file`; a new one is made there if there is no such file.
///
/// # Errors
/// [`KeyError`] with the cause and the cure.
pub fn read_or_make(file: &Path) -> Result<Identity, KeyError> {
    read_or_make_secret(file).map(Identity::from_secret)
}

/// The same, as its 32 secret bytes.
pub(crate) fn read_or_make_secret(file: &Path) -> Result<[u8; 32], KeyError> {
    let failed = |source| KeyError::File { file: file.to_owned(), source };
    let text = match fs::read_to_string(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => match make(file, secret()?) {
            // Another program was quicker.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => fs::read_to_string(file),
            made => made,
        },
        read => read,
    };
    // A secret reads like a public key: 32 bytes in hexadecimal.
    let secret: Result<beacon_sdk::PublicKey, _> = text.map_err(failed)?.trim().parse();
    secret.map(|secret| *secret.as_bytes()).map_err(|_| KeyError::NoKey(file.to_owned()))
}

/// Writes the file whole or not at all, and never over another.
fn make(file: &Path, secret: [u8; 32]) -> io::Result<String> {
    let digits: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut partial = file.as_os_str().to_owned();
    partial.push(format!(".{}", std::process::id()));
    let partial = PathBuf::from(partial);
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let written = options.open(&partial).and_then(|mut open| {
        writeln!(open, "{digits}")?;
        open.sync_all()?;
        fs::hard_link(&partial, file)
    });
    let _ = fs::remove_file(&partial);
    written.map(|()| digits)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_made_once_and_read_after() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("issuer.key");
        let made = read_or_make(&file).unwrap().public();
        assert_eq!(read_or_make(&file).unwrap().public(), made);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing else is left");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        }
        fs::write(&file, "a shopping list").unwrap();
        let error = read_or_make(&file).unwrap_err().to_string();
        assert!(error.contains("holds no key") && error.contains("issuer.key"), "{error}");
        let nowhere = folder.path().join("no/such/folder/key");
        assert!(matches!(read_or_make(&nowhere), Err(KeyError::File { .. })));
    }
}
