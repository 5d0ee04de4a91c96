//! The key that secrets are encrypted with at rest, and how: AES-256 in Galois/Counter Mode, a random
//! nonce before each text, bound to the place that it is kept in.

use std::fmt;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use rusqlite::OptionalExtension as _;
use zeroize::Zeroizing;

use crate::{Result, Store, StoreError};

/// What a key's text is at most, in bytes.
const MAX_TEXT: u64 = 4096;

/// What a key must decrypt, to be the right one.
const SEAL: &[u8] = b"dayfly";

/// A key.
pub struct Key(LessSafeKey);

/// A key cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// Its file cannot be read or made.
    #[error("failed to use the key file `{}`", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Its command cannot be run.
    #[error("failed to run the command that prints the key")]
    Command(#[source] io::Error),
    /// Its command failed.
    #[error("the command that prints the key ended with {0}")]
    Ended(std::process::ExitStatus),
    /// It is none.
    #[error("a key is 64 hexadecimal digits, as `openssl rand -hex 32` makes them")]
    Form,
}

impl Key {
    /// The key in a file; one is made where none is, readable by this user alone.
    ///
    /// # Errors
    /// If the file cannot be read or made, or holds something else.
    pub fn of_file(path: &Path) -> std::result::Result<Self, KeyError> {
        let failed = |source| KeyError::File { path: path.to_owned(), source };
        let made = match File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => make(path),
            opened => opened.map(drop),
        };
        made.map_err(failed)?;
        let mut text = Zeroizing::new(String::new());
        let read = File::open(path).and_then(|file| file.take(MAX_TEXT).read_to_string(&mut text));
        read.map_err(failed)?;
        Self::parse(&text)
    }

    /// The key that a shell command prints.
    ///
    /// # Errors
    /// If the command fails, or prints something else.
    pub fn of_command(command: &str) -> std::result::Result<Self, KeyError> {
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", command]).stdin(Stdio::null()).stderr(Stdio::inherit());
        let mut child = shell.stdout(Stdio::piped()).spawn().map_err(KeyError::Command)?;
        let mut text = Zeroizing::new(String::new());
        if let Some(out) = child.stdout.take() {
            out.take(MAX_TEXT).read_to_string(&mut text).map_err(KeyError::Command)?;
        }
        let status = child.wait().map_err(KeyError::Command)?;
        if !status.success() {
            return Err(KeyError::Ended(status));
        }
        Self::parse(&text)
    }

    /// The key that 64 hexadecimal digits are.
    ///
    /// # Errors
    /// If they are something else.
    pub fn parse(text: &str) -> std::result::Result<Self, KeyError> {
        let text = text.trim().as_bytes();
        let mut bytes = Zeroizing::new([0; 32]);
        if text.len() != 2 * bytes.len() {
            return Err(KeyError::Form);
        }
        let digit = |digit: u8| char::from(digit).to_digit(16).ok_or(KeyError::Form);
        for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
            *byte =
                u8::try_from(16 * digit(pair[0])? + digit(pair[1])?).map_err(|_| KeyError::Form)?;
        }
        let key = UnboundKey::new(&AES_256_GCM, &*bytes).map_err(|_| KeyError::Form)?;
        Ok(Self(LessSafeKey::new(key)))
    }

    /// Encrypts a text for a place.
    pub(crate) fn seal(&self, place: &str, text: &[u8]) -> Result<Vec<u8>> {
        let failed = |_| StoreError::record("encrypting failed");
        let nonce: [u8; NONCE_LEN] = random()?;
        let mut out = Vec::with_capacity(NONCE_LEN + text.len() + AES_256_GCM.tag_len());
        out.extend_from_slice(&nonce);
        let mut sealed = Zeroizing::new(text.to_vec());
        let nonce = Nonce::assume_unique_for_key(nonce);
        let tag = self.0.seal_in_place_separate_tag(nonce, Aad::from(place), &mut sealed);
        let tag = tag.map_err(failed)?;
        out.extend_from_slice(&sealed);
        out.extend_from_slice(tag.as_ref());
        Ok(out)
    }

    /// Decrypts what was encrypted for a place.
    pub(crate) fn open(&self, place: &str, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
        let (nonce, sealed) = sealed.split_at_checked(NONCE_LEN).ok_or(StoreError::Key)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| StoreError::Key)?;
        let mut text = Zeroizing::new(sealed.to_vec());
        let opened = self.0.open_in_place(nonce, Aad::from(place), &mut text);
        let length = opened.map_err(|_| StoreError::Key)?.len();
        text.truncate(length);
        Ok(text)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl Store {
    /// Refuses a key that what is here was not encrypted with.
    pub(crate) fn check_key(&self) -> Result<()> {
        const PLACE: &str = "seal";
        self.write(|db| {
            let found = db.query_row("SELECT sealed FROM seal", [], |row| row.get::<_, Vec<u8>>(0));
            match found.optional()? {
                Some(sealed) => self.key.open(PLACE, &sealed).map(drop),
                None => {
                    let sealed = self.key.seal(PLACE, SEAL)?;
                    db.execute("INSERT INTO seal VALUES (1, ?1)", [sealed])?;
                    Ok(())
                }
            }
        })
    }
}

/// Random bytes.
pub(crate) fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(StoreError::record)?;
    Ok(bytes)
}

/// Makes a key file; another process's counts if it is faster.
fn make(path: &Path) -> io::Result<()> {
    let mut bytes = Zeroizing::new([0_u8; 32]);
    getrandom::fill(&mut *bytes).map_err(io::Error::other)?;
    let digits = bytes.iter().map(|byte| format!("{byte:02x}"));
    let text = Zeroizing::new(digits.collect::<String>() + "\n");
    let folder = path.parent().filter(|it| !it.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let new = folder.join(format!(".key-{}", std::process::id()));
    let mut options = File::options();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&new)?;
    let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
    let linked = written.and_then(|()| match std::fs::hard_link(&new, path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        linked => linked,
    });
    let _ = std::fs::remove_file(&new);
    linked.and_then(|()| File::open(folder)?.sync_all())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_key_is_made_once_and_only_its_user_reads_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key");
        let sealed = Key::of_file(&file).unwrap().seal("a", b"text").unwrap();
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        let again = Key::of_file(&file).unwrap();
        assert_eq!(*again.open("a", &sealed).unwrap(), b"text");
        assert!(matches!(again.open("b", &sealed), Err(StoreError::Key)));
        let mut changed = sealed.clone();
        changed[20] ^= 1;
        assert!(matches!(again.open("a", &changed), Err(StoreError::Key)));
        assert!(matches!(again.open("a", &sealed[..5]), Err(StoreError::Key)));
        assert_ne!(again.seal("a", b"text").unwrap(), sealed);
        assert_eq!(folder.path().read_dir().unwrap().count(), 1);
    }

    #[test]
    fn a_command_prints_a_key() {
        let digits = "0f".repeat(32);
        let key = Key::of_command(&format!("echo {digits}")).unwrap();
        let sealed = key.seal("a", b"text").unwrap();
        assert_eq!(*Key::parse(&digits).unwrap().open("a", &sealed).unwrap(), b"text");
        assert!(matches!(Key::of_command("echo x"), Err(KeyError::Form)));
        assert!(matches!(Key::of_command("exit 3"), Err(KeyError::Ended(_))));
    }
}
