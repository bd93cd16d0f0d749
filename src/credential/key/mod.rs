//! [`EncryptionKeys`]: finds the operator's encryption key when the first text must be sealed or opened.
//!
//! `BRIDGE_SECRET_KEY` takes precedence over the key file. With SQLite, the key file is created
//! next to the database when it is first needed. With PostgreSQL none is created, because each
//! replica would create a different one.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::Duration,
};

use secrecy::zeroize::Zeroizing;

use crate::{
    config::{DatabaseSettings, DatabaseUrl},
    secret::Secret,
    vault::Vault,
};

/// The minimum length of a key in bytes: 128 bits in hex. A thief of the database could try all
/// shorter keys.
const KEY_MIN: usize = 32;
/// The maximum size of a key file in bytes.
const FILE_MAX: u64 = 4096;
/// How often an empty key file is read again: another process may be writing it.
const TRIES: u32 = 3;
/// The pause between these attempts.
const PAUSE: Duration = Duration::from_millis(20);

/// Why there is no key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EncryptionKeyError {
    /// No key is configured, and none may be created.
    #[error(
        "stored credentials need a key: set BRIDGE_SECRET_KEY (openssl rand -hex 32), the same on \
         every replica"
    )]
    Unset,
    /// No key is configured, and the key file is missing.
    #[error(
        "the key of stored credentials is missing: {} does not exist; restore it, or set \
         BRIDGE_SECRET_KEY",
        .0.display()
    )]
    NoFile(PathBuf),
    /// The key is short enough to be guessed.
    #[error(
        "{from} is too short for a key: it has {length} characters, at least {KEY_MIN} are needed \
         (openssl rand -hex 32)"
    )]
    Short {
        /// Where the key comes from: a variable or a file.
        from: String,
        /// The length of the key.
        length: usize,
    },
    /// Other users can read the file, and its permissions cannot be changed.
    #[error(
        "the key file {} can be read by other users; run `chmod 600` on it, or name a mounted \
         secret as `secret_key = \"${{file:…}}\"`",
        .0.display()
    )]
    Open(PathBuf),
    /// The file cannot be read or created.
    #[error("the key file {} {problem}", path.display())]
    File {
        /// The path of the file.
        path: PathBuf,
        /// What is wrong with the file.
        problem: String,
    },
}

/// Finds the keys. Nothing is read or created before it is needed.
#[derive(Debug)]
pub struct EncryptionKeys {
    /// `BRIDGE_SECRET_KEY`.
    configured: Option<Secret>,
    /// Earlier keys, which are used only to open.
    old: Vec<Secret>,
    /// The key file.
    file: PathBuf,
    /// Whether the file is created if there is no key.
    may_create: bool,
    /// The keys, after they were found.
    vault: OnceLock<Arc<Vault>>,
    /// Held while they are looked up.
    looking: Mutex<()>,
}

impl EncryptionKeys {
    /// A keyring according to `[database]`. Reads nothing yet.
    pub fn new(database: &DatabaseSettings) -> Self {
        Self {
            configured: database.secret_key.clone(),
            old: database.secret_keys_old.clone(),
            file: database.secret_key_file.clone(),
            may_create: matches!(database.url, DatabaseUrl::Sqlite(_)),
            vault: OnceLock::new(),
            looking: Mutex::new(()),
        }
    }

    /// The keys for opening sealed texts. Never creates a key, because a new one could not open
    /// anything.
    pub fn to_open(&self) -> Result<Arc<Vault>, EncryptionKeyError> {
        self.find(false)
    }

    /// The keys for sealing. Creates the key file if that is necessary and allowed.
    pub fn to_seal(&self) -> Result<Arc<Vault>, EncryptionKeyError> {
        self.find(self.may_create)
    }

    /// Looks up the keys once. A success is cached, a failure is not.
    fn find(&self, create: bool) -> Result<Arc<Vault>, EncryptionKeyError> {
        if let Some(vault) = self.vault.get() {
            return Ok(Arc::clone(vault));
        }
        let _looking = self.looking.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(vault) = self.vault.get() {
            return Ok(Arc::clone(vault));
        }
        for old in &self.old {
            long_enough(old, "a key in `secret_keys_old`")?;
        }
        let key = match &self.configured {
            Some(key) => {
                long_enough(key, "BRIDGE_SECRET_KEY")?;
                key.clone()
            }
            None => self.in_file(create)?,
        };
        let vault = Arc::new(Vault::new(&key, &self.old));
        Ok(Arc::clone(self.vault.get_or_init(|| vault)))
    }

    fn in_file(&self, create: bool) -> Result<Secret, EncryptionKeyError> {
        match read(&self.file) {
            Ok(Some(key)) => Ok(key),
            Ok(None) if create => make(&self.file),
            Ok(None) if self.may_create => Err(EncryptionKeyError::NoFile(self.file.clone())),
            Ok(None) => Err(EncryptionKeyError::Unset),
            Err(error) => Err(error),
        }
    }
}

/// Refuses a key that is short enough to be guessed.
fn long_enough(key: &Secret, from: &str) -> Result<(), EncryptionKeyError> {
    let length = key.expose().trim().len();
    if length < KEY_MIN {
        let from = from.to_owned();
        return Err(EncryptionKeyError::Short { from, length });
    }
    Ok(())
}

/// Reads a key file; `None` if there is none.
fn read(path: &Path) -> Result<Option<Secret>, EncryptionKeyError> {
    for _ in 0..TRIES {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(path, "cannot be opened", &error)),
        };
        tighten(path, &file)?;
        let mut text = Zeroizing::new(String::new());
        file.take(FILE_MAX)
            .read_to_string(&mut text)
            .map_err(|error| failed(path, "cannot be read", &error))?;
        let key = Secret::new(text.trim());
        if !key.expose().is_empty() {
            long_enough(&key, &format!("the key file {}", path.display()))?;
            return Ok(Some(key));
        }
        // Another process has just created it and is about to write.
        std::thread::sleep(PAUSE);
    }
    Err(EncryptionKeyError::File {
        path: path.to_owned(),
        problem: "is empty; restore the key, or delete the file if nothing was ever stored with \
                  it"
        .to_owned(),
    })
}

/// Creates a key file that only this user can read. If another process was faster, reads its key.
fn make(path: &Path) -> Result<Secret, EncryptionKeyError> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = match options.open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            return read(path)?.ok_or_else(|| EncryptionKeyError::NoFile(path.to_owned()));
        }
        Err(error) => return Err(failed(path, "cannot be created", &error)),
    };
    let key = Secret::new(fresh());
    let written = file
        .write_all(key.expose().as_bytes())
        .and_then(|()| file.write_all(b"\n"))
        .and_then(|()| file.sync_all());
    if let Err(error) = written {
        // An incomplete key must not be left behind and mistaken for a complete one.
        let _gone = std::fs::remove_file(path).is_ok();
        return Err(failed(path, "cannot be written", &error));
    }
    warn_of_folder(path);
    tracing::warn!(
        "created the key of stored credentials, {}; keep a copy of it with the backups of the \
         database; a backup is useless without the key",
        path.display()
    );
    Ok(key)
}

/// 256 random bits in hex.
fn fresh() -> String {
    format!(
        "{:032x}{:032x}",
        rand::random::<u128>(),
        rand::random::<u128>()
    )
}

/// Removes the access of other users if this user owns the file; otherwise refuses the file.
#[cfg(unix)]
fn tighten(path: &Path, file: &File) -> Result<(), EncryptionKeyError> {
    use std::os::unix::fs::PermissionsExt as _;
    /// Permission bits of other users.
    const OPEN: u32 = 0o077;
    let look = || {
        file.metadata()
            .map_err(|error| failed(path, "cannot be inspected", &error))
    };
    let before = look()?;
    if !before.is_file() {
        return Err(EncryptionKeyError::File {
            path: path.to_owned(),
            problem: "is not a regular file".to_owned(),
        });
    }
    let before = before.permissions().mode();
    if before & OPEN == 0 {
        return Ok(());
    }
    let ours = std::fs::Permissions::from_mode(before & !OPEN);
    // Some file systems report success without changing anything.
    if file.set_permissions(ours).is_err() || look()?.permissions().mode() & OPEN != 0 {
        return Err(EncryptionKeyError::Open(path.to_owned()));
    }
    tracing::warn!(
        "other users could read the key file {}; its permissions are now fixed. If a user may have read it, set a new \
         BRIDGE_SECRET_KEY and run `mcp-bridge secrets rotate`",
        path.display()
    );
    Ok(())
}

/// Other systems have no permission bits.
#[cfg(not(unix))]
fn tighten(_path: &Path, _file: &File) -> Result<(), EncryptionKeyError> {
    Ok(())
}

/// Warns if other users could replace a new key file.
#[cfg(unix)]
fn warn_of_folder(path: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    /// Write permission of other users.
    const WRITABLE: u32 = 0o022;
    /// The sticky bit: only the owner can replace a file in the folder.
    const STICKY: u32 = 0o1000;
    let Some(folder) = path.parent().filter(|it| !it.as_os_str().is_empty()) else {
        return;
    };
    let mode = folder.metadata().map(|it| it.permissions().mode());
    if mode.is_ok_and(|mode| mode & WRITABLE != 0 && mode & STICKY == 0) {
        tracing::warn!(
            "other users may replace the key file: they can write into {}; `chmod go-w` it",
            folder.display()
        );
    }
}

/// Other systems have no permission bits.
#[cfg(not(unix))]
fn warn_of_folder(_path: &Path) {}

fn failed(path: &Path, problem: &str, error: &io::Error) -> EncryptionKeyError {
    EncryptionKeyError::File {
        path: path.to_owned(),
        problem: format!("{problem}: {error}"),
    }
}

#[cfg(test)]
mod tests;
