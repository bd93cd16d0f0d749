//! [`Keyring`]: finds the operator's key when the first text has to be sealed or opened.
//!
//! `BRIDGE_SECRET_KEY` wins; else the key file, which is made beside a SQLite database on first
//! need. Beside PostgreSQL none is made: each replica would make its own.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::Duration,
};

use secrecy::zeroize::Zeroizing;

use crate::{
    config::{Database, DatabaseUrl},
    secret::Secret,
    vault::Vault,
};

/// The shortest key, in bytes: 128 bits in hex. Whoever has the database can try all shorter ones.
const KEY_MIN: usize = 32;
/// The longest key file that is read, in bytes.
const FILE_MAX: u64 = 4096;
/// How often an empty key file is looked at again: another process may be writing it.
const TRIES: u32 = 3;
/// The pause between such looks.
const PAUSE: Duration = Duration::from_millis(20);

/// Why there is no key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// None is configured, and none may be made.
    #[error(
        "stored credentials need a key: set BRIDGE_SECRET_KEY (openssl rand -hex 32), the same on \
         every replica"
    )]
    Unset,
    /// None is configured, and the file that had it is not there.
    #[error(
        "the key of stored credentials is not there: {} does not exist; put it back, or set \
         BRIDGE_SECRET_KEY",
        .0.display()
    )]
    NoFile(PathBuf),
    /// It could be guessed.
    #[error(
        "{from} is too short for a key: it has {length} characters, at least {KEY_MIN} are needed \
         (openssl rand -hex 32)"
    )]
    Short {
        /// Which text: a variable, a file.
        from: String,
        /// Its length.
        length: usize,
    },
    /// Others may read the file, and we may not change that.
    #[error(
        "the key file {} can be read by other users; run `chmod 600` on it, or name a mounted \
         secret as `secret_key = \"${{file:…}}\"`",
        .0.display()
    )]
    Open(PathBuf),
    /// The file cannot be read or made.
    #[error("the key file {} {problem}", path.display())]
    File {
        /// Where it is.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
}

/// Where the key is. Nothing is read or made before it is needed.
#[derive(Debug)]
pub struct Keyring {
    /// `BRIDGE_SECRET_KEY`.
    configured: Option<Secret>,
    /// Keys that only open.
    old: Vec<Secret>,
    /// The key file.
    file: PathBuf,
    /// Whether the file is made when there is no key.
    may_create: bool,
    /// The keys, once found.
    vault: OnceLock<Arc<Vault>>,
    /// Held while they are looked for.
    looking: Mutex<()>,
}

impl Keyring {
    /// Where `[database]` says. Reads nothing yet.
    pub fn new(database: &Database) -> Self {
        Self {
            configured: database.secret_key.clone(),
            old: database.secret_keys_old.clone(),
            file: database.secret_key_file.clone(),
            may_create: matches!(database.url, DatabaseUrl::Sqlite(_)),
            vault: OnceLock::new(),
            looking: Mutex::new(()),
        }
    }

    /// The keys, to open what is sealed. Makes none: what a new one would open does not exist.
    pub fn to_open(&self) -> Result<Arc<Vault>, KeyError> {
        self.find(false)
    }

    /// The keys, to seal something. Makes the key file if it may and must.
    pub fn to_seal(&self) -> Result<Arc<Vault>, KeyError> {
        self.find(self.may_create)
    }

    /// Looks once; what is found is kept, a failure is not.
    fn find(&self, create: bool) -> Result<Arc<Vault>, KeyError> {
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

    fn in_file(&self, create: bool) -> Result<Secret, KeyError> {
        match read(&self.file) {
            Ok(Some(key)) => Ok(key),
            Ok(None) if create => make(&self.file),
            Ok(None) if self.may_create => Err(KeyError::NoFile(self.file.clone())),
            Ok(None) => Err(KeyError::Unset),
            Err(error) => Err(error),
        }
    }
}

/// Refuses a key that can be guessed.
fn long_enough(key: &Secret, from: &str) -> Result<(), KeyError> {
    let length = key.expose().trim().len();
    if length < KEY_MIN {
        let from = from.to_owned();
        return Err(KeyError::Short { from, length });
    }
    Ok(())
}

/// Reads a key file; `None` if there is none.
fn read(path: &Path) -> Result<Option<Secret>, KeyError> {
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
        // Another process made it a moment ago and is about to write.
        std::thread::sleep(PAUSE);
    }
    Err(KeyError::File {
        path: path.to_owned(),
        problem: "is empty; put the key back, or delete the file if nothing was ever stored under \
                  it"
        .to_owned(),
    })
}

/// Makes a key file, ours alone. Whoever is second reads what the first one made.
fn make(path: &Path) -> Result<Secret, KeyError> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = match options.open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            return read(path)?.ok_or_else(|| KeyError::NoFile(path.to_owned()));
        }
        Err(error) => return Err(failed(path, "cannot be made", &error)),
    };
    let key = Secret::new(fresh());
    let written = file
        .write_all(key.expose().as_bytes())
        .and_then(|()| file.write_all(b"\n"))
        .and_then(|()| file.sync_all());
    if let Err(error) = written {
        // What is half a key must not stay and be taken for one.
        let _gone = std::fs::remove_file(path).is_ok();
        return Err(failed(path, "cannot be written", &error));
    }
    warn_of_folder(path);
    tracing::warn!(
        "made the key of stored credentials, {}; keep a copy of it beside the backups of the \
         database, neither is of use without the other",
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

/// Takes the file away from other users if it is ours; refuses it if we cannot.
#[cfg(unix)]
fn tighten(path: &Path, file: &File) -> Result<(), KeyError> {
    use std::os::unix::fs::PermissionsExt as _;
    /// Others may do something with it.
    const OPEN: u32 = 0o077;
    let look = || {
        file.metadata()
            .map_err(|error| failed(path, "cannot be looked at", &error))
    };
    let before = look()?;
    if !before.is_file() {
        return Err(KeyError::File {
            path: path.to_owned(),
            problem: "is no file".to_owned(),
        });
    }
    let before = before.permissions().mode();
    if before & OPEN == 0 {
        return Ok(());
    }
    let ours = std::fs::Permissions::from_mode(before & !OPEN);
    // Some file systems say yes and change nothing.
    if file.set_permissions(ours).is_err() || look()?.permissions().mode() & OPEN != 0 {
        return Err(KeyError::Open(path.to_owned()));
    }
    tracing::warn!(
        "other users could read the key file {}; now only we can. If somebody may have, set a new \
         BRIDGE_SECRET_KEY and run `mcp-bridge secrets rotate`",
        path.display()
    );
    Ok(())
}

/// Other systems have no such bits.
#[cfg(not(unix))]
fn tighten(_path: &Path, _file: &File) -> Result<(), KeyError> {
    Ok(())
}

/// Says it if others may put a key of theirs in the place of a new one.
#[cfg(unix)]
fn warn_of_folder(path: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    /// Others may write there.
    const WRITABLE: u32 = 0o022;
    /// What is there stays its owner's all the same.
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

/// Other systems have no such bits.
#[cfg(not(unix))]
fn warn_of_folder(_path: &Path) {}

fn failed(path: &Path, problem: &str, error: &io::Error) -> KeyError {
    KeyError::File {
        path: path.to_owned(),
        problem: format!("{problem}: {error}"),
    }
}

#[cfg(test)]
mod tests;
