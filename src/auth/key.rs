//! The key that opens the vault. It is never in the database: it is in the environment, in the
//! operating system's keyring (a feature of the build), or in a file that only its owner may read.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use chacha20poly1305::aead::Generate;
use chacha20poly1305::{Key as CipherKey, XChaCha20Poly1305};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::error::{Error, Result};

/// The environment variable that holds a key, 32 bytes as hex or base64.
pub const KEY_VARIABLE: &str = "MEDTAINER_KEY";

/// A key.
pub(super) struct Key(Zeroizing<[u8; 32]>);

impl Key {
    /// A new one, from the operating system's generator.
    fn random() -> Result<Self> {
        let mut random = CipherKey::try_generate().map_err(|error| {
            Error::internal("the operating system gave no random numbers").because(error)
        })?;
        let mut bytes = Zeroizing::new([0; 32]);
        bytes.copy_from_slice(&random);
        zeroize::Zeroize::zeroize(random.as_mut_slice());
        Ok(Key(bytes))
    }

    /// Reads hex or base64, either alphabet, padded or not.
    fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let bytes = Zeroizing::new(if text.len() == 64 {
            from_hex(text)?
        } else {
            from_base64(text.trim_end_matches('='))?
        });
        let mut key = Zeroizing::new([0; 32]);
        if bytes.len() != key.len() {
            return None;
        }
        key.copy_from_slice(&bytes);
        Some(Key(key))
    }

    fn to_hex(&self) -> Zeroizing<String> {
        let mut hex = Zeroizing::new(String::with_capacity(65));
        for byte in self.0.iter() {
            for digit in [byte >> 4, byte & 15] {
                hex.push(char::from_digit(digit.into(), 16).unwrap_or('0'));
            }
        }
        hex
    }

    pub fn cipher(&self) -> XChaCha20Poly1305 {
        use chacha20poly1305::KeyInit;

        XChaCha20Poly1305::new((&*self.0).into())
    }

    /// A name for the key that does not give it away.
    pub fn id(&self) -> String {
        let mut hash = Sha256::new();
        hash.update(b"medtainer key id");
        hash.update(self.0.as_slice());
        hash.finalize()[..6]
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }
}

/// The places a key may be in, in their order.
#[derive(Clone)]
pub struct KeyRing {
    given: Option<SecretString>,
    file: PathBuf,
}

impl KeyRing {
    /// The value of [`KEY_VARIABLE`], if it is set, and the directory of the key file.
    pub fn new(given: Option<SecretString>, config_dir: &Path) -> Self {
        KeyRing {
            given: given.filter(|key| !key.expose_secret().trim().is_empty()),
            file: config_dir.join("key"),
        }
    }

    /// Where the key file is, or would be.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// The key for new values; makes one when there is none anywhere.
    pub(super) async fn for_sealing(&self) -> Result<Key> {
        if let Some(key) = self.given()? {
            return Ok(key);
        }
        if let Some(key) = from_keyring(&self.file).await? {
            return Ok(key);
        }
        if let Some(key) = self.filed()? {
            return Ok(key);
        }
        self.make().await
    }

    /// The key of that name, wherever it is.
    pub(super) async fn for_opening(&self, id: &str) -> Result<Key> {
        let mut seen = false;
        let mut fits = |key: Option<Key>| {
            seen |= key.is_some();
            key.filter(|key| key.id() == id)
        };
        if let Some(key) = fits(self.given()?) {
            return Ok(key);
        }
        if let Some(key) = fits(from_keyring(&self.file).await?) {
            return Ok(key);
        }
        if let Some(key) = fits(self.filed()?) {
            return Ok(key);
        }
        let message = if seen {
            format!("stored credentials were encrypted with another key (`{id}`)")
        } else {
            format!("the key of stored credentials (`{id}`) is missing")
        };
        Err(Error::auth(message).hint(format!(
            "Set `{KEY_VARIABLE}` to that key or bring back `{}`; else store them anew with `medtainer auth login`.",
            self.file.display()
        )))
    }

    fn given(&self) -> Result<Option<Key>> {
        let Some(text) = &self.given else {
            return Ok(None);
        };
        Key::parse(text.expose_secret()).map(Some).ok_or_else(|| {
            Error::auth(format!(
                "`{KEY_VARIABLE}` is not a key: it takes 32 bytes as hex or base64"
            ))
            .hint("`openssl rand -hex 32` makes one; without the variable medtainer keeps its own.")
        })
    }

    fn filed(&self) -> Result<Option<Key>> {
        let shown = self.file.display();
        let refused = |error: io::Error| {
            Error::auth(format!("the key file `{shown}` cannot be read"))
                .hint(format!("It must belong to you: `ls -l {shown}`."))
                .because(error)
        };
        let file = match File::open(&self.file) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(refused(error)),
        };
        let mode = file.metadata().map_err(refused)?.permissions().mode();
        if mode & 0o077 != 0 {
            return Err(Error::auth(format!(
                "others may read the key file `{shown}` (mode {:o})",
                mode & 0o777
            ))
            .hint(format!("Run `chmod 600 {shown}`.")));
        }
        let text = Zeroizing::new(io::read_to_string(file).map_err(refused)?);
        Key::parse(&text).map(Some).ok_or_else(|| {
            Error::auth(format!("the key file `{shown}` holds no key")).hint(
                "Bring it back from a backup; if there is none, remove it and run `medtainer auth login` again.",
            )
        })
    }

    /// Makes a key, unless another process was faster; then that one is the key.
    async fn make(&self) -> Result<Key> {
        let _alone = self.lock().await?;
        if let Some(key) = from_keyring(&self.file).await? {
            return Ok(key);
        }
        if let Some(key) = self.filed()? {
            return Ok(key);
        }
        let key = Key::random()?;
        if !into_keyring(&self.file, &key).await? {
            self.write(&key).map_err(|error| self.unwritable(error))?;
        }
        Ok(key)
    }

    /// Held while a key is made. The lock is on the directory, so it leaves nothing behind.
    async fn lock(&self) -> Result<File> {
        let dir = self.dir().to_owned();
        // Waiting for it must not stop the thread on which its holder may have to go on.
        let locked = tokio::task::spawn_blocking(move || {
            fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(&dir)?;
            let dir = File::open(dir)?;
            dir.lock()?;
            Ok(dir)
        });
        locked
            .await
            .unwrap_or_else(|error| Err(io::Error::other(error)))
            .map_err(|error| self.unwritable(error))
    }

    /// Whole or not at all: a process that is killed leaves no half key.
    fn write(&self, key: &Key) -> io::Result<()> {
        let draft = self
            .file
            .with_extension(format!("{}.tmp", std::process::id()));
        let written = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&draft)
            .and_then(|mut file| {
                file.write_all(key.to_hex().as_bytes())?;
                file.write_all(b"\n")?;
                file.sync_all()
            })
            .and_then(|()| fs::rename(&draft, &self.file))
            .and_then(|()| File::open(self.dir())?.sync_all());
        if written.is_err() {
            // What matters is the first error.
            let _ = fs::remove_file(&draft);
        }
        written
    }

    fn dir(&self) -> &Path {
        self.file.parent().unwrap_or(Path::new("."))
    }

    fn unwritable(&self, error: io::Error) -> Error {
        Error::auth(format!(
            "the key file `{}` cannot be written",
            self.file.display()
        ))
        .hint(format!(
            "Make its directory writable, or set `{KEY_VARIABLE}`."
        ))
        .because(error)
    }
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyRing")
            .field("file", &self.file)
            .finish_non_exhaustive()
    }
}

#[cfg(feature = "keyring")]
mod system {
    //! The operating system's keyring. Its calls block, and on Linux bring a runtime of their own.

    use super::{Error, Key, Path, Result};

    /// `None` where the machine has no keyring or it holds no key of ours.
    pub async fn read(file: &Path) -> Result<Option<Key>> {
        let name = file.display().to_string();
        let found = blocking(move || {
            let entry = keyring::Entry::new("medtainer", &name)?;
            entry.get_password().map(zeroize::Zeroizing::new)
        })
        .await?;
        match found {
            Ok(text) => Key::parse(&text).map(Some).ok_or_else(|| {
                Error::auth("the system's keyring holds a `medtainer` entry that is not a key")
                    .hint("Remove that entry and run `medtainer auth login` again.")
            }),
            Err(error) => {
                if !matches!(error, keyring::Error::NoEntry) {
                    tracing::debug!("no system keyring, using the key file");
                }
                Ok(None)
            }
        }
    }

    /// Whether the keyring took the key.
    pub async fn write(file: &Path, key: &Key) -> Result<bool> {
        let name = file.display().to_string();
        let text = key.to_hex();
        let written =
            blocking(move || keyring::Entry::new("medtainer", &name)?.set_password(&text)).await?;
        Ok(written.is_ok())
    }

    async fn blocking<T: Send + 'static>(
        work: impl FnOnce() -> keyring::Result<T> + Send + 'static,
    ) -> Result<keyring::Result<T>> {
        tokio::task::spawn_blocking(work)
            .await
            .map_err(|error| Error::internal("the system's keyring failed").because(error))
    }
}

async fn from_keyring(file: &Path) -> Result<Option<Key>> {
    #[cfg(feature = "keyring")]
    return system::read(file).await;
    #[cfg(not(feature = "keyring"))]
    {
        let _ = file;
        Ok(None)
    }
}

async fn into_keyring(file: &Path, key: &Key) -> Result<bool> {
    #[cfg(feature = "keyring")]
    return system::write(file, key).await;
    #[cfg(not(feature = "keyring"))]
    {
        let _ = (file, key);
        Ok(false)
    }
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    text.as_bytes()
        .chunks(2)
        .map(|pair| {
            let pair = std::str::from_utf8(pair).ok()?;
            let plain = pair.bytes().all(|byte| byte.is_ascii_hexdigit());
            plain.then(|| u8::from_str_radix(pair, 16).ok())?
        })
        .collect()
}

fn from_base64(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() * 3 / 4);
    let mut bits: u32 = 0;
    let mut count = 0;
    for letter in text.bytes() {
        let value = match letter {
            b'A'..=b'Z' => letter - b'A',
            b'a'..=b'z' => letter - b'a' + 26,
            b'0'..=b'9' => letter - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            _ => return None,
        };
        bits = (bits << 6) | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push(((bits >> count) & 0xff) as u8);
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_may_be_hex_or_base64() {
        let hex = "00ff10aa00ff10aa00ff10aa00ff10aa00ff10aa00ff10aa00ff10aa00ff10fb";
        let key = Key::parse(hex).unwrap();
        assert_eq!(*key.to_hex(), hex);
        for base64 in [
            "AP8QqgD/EKoA/xCqAP8QqgD/EKoA/xCqAP8QqgD/EPs=",
            "AP8QqgD_EKoA_xCqAP8QqgD_EKoA_xCqAP8QqgD_EPs\n",
        ] {
            assert_eq!(Key::parse(base64).unwrap().id(), key.id());
        }
        for none in [
            "",
            "secret",
            &hex[1..],
            "AP8QqgD/EKoA/xCqAP8Q",
            &hex.replace('a', "+"),
        ] {
            assert!(Key::parse(none).is_none(), "{none}");
        }
    }
}
