//! [`Segment`]: one file of the journal, `<instance>-<number>.jsonl`.
//!
//! Whoever has the lock of a segment owns it, writes it, ships it and deletes it. A process keeps
//! the locks of all its segments for as long as they are there, so a free lock means that their
//! process is gone; the kernel frees locks also after `kill -9`.

use std::{
    collections::BTreeMap,
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io,
    os::unix::fs::{DirBuilderExt as _, FileExt as _, MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
};

/// How many numbers are tried for a new segment before something else must be wrong.
const NUMBERS_TRIED: u64 = 16;

/// One file of the journal, locked by us.
#[derive(Debug)]
pub(super) struct Segment {
    /// Its place in the order of its instance.
    pub number: u64,
    /// Where it is.
    path: PathBuf,
    /// Open for reading and appending, and locked.
    file: File,
    /// Whether nothing will be added any more.
    is_finished: AtomicBool,
}

impl Segment {
    /// Creates the next segment of an instance, and its folder where that is missing.
    pub(super) fn create(folder: &Path, instance: &str, first: u64) -> io::Result<Self> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)?;
        for number in first..first.saturating_add(NUMBERS_TRIED) {
            let path = folder.join(format!("{instance}-{number}.jsonl"));
            let opened = OpenOptions::new()
                .read(true)
                .append(true)
                .create_new(true)
                .mode(0o600)
                .open(&path);
            match opened {
                Ok(file) => {
                    // Another process may have taken it for a leftover between the two steps.
                    if lock(&file, &path)? {
                        return Ok(Self::new(number, path, file, false));
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        Err(io::Error::other("no segment stays ours"))
    }

    /// Takes over a segment of an instance that is gone; `None` while it has an owner.
    fn adopt(number: u64, path: PathBuf) -> io::Result<Option<Self>> {
        let file = match OpenOptions::new().read(true).append(true).open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        Ok(lock(&file, &path)?.then(|| Self::new(number, path, file, true)))
    }

    fn new(number: u64, path: PathBuf, file: File, is_finished: bool) -> Self {
        Self {
            number,
            path,
            file,
            is_finished: AtomicBool::new(is_finished),
        }
    }

    /// Appends with one system call; says how many bytes went.
    pub(super) fn append(&self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            match io::Write::write(&mut &self.file, bytes) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => return result,
            }
        }
    }

    /// Reads what stands at an offset, until the buffer is full or the file ends.
    pub(super) fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut filled = 0;
        while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match self.file.read_at(rest, offset + filled as u64) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }

    /// Its size, bytes.
    pub(super) fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    /// Cuts off what a failed append left behind.
    pub(super) fn truncate(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    /// Waits until the disk has it.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    /// Says that nothing will be added any more.
    pub(super) fn finish(&self) {
        self.is_finished.store(true, Ordering::Release);
    }

    /// Whether nothing will be added any more.
    pub(super) fn is_finished(&self) -> bool {
        self.is_finished.load(Ordering::Acquire)
    }

    /// Whether its name still leads to it.
    pub(super) fn is_in_place(&self) -> bool {
        is_at(&self.file, &self.path)
    }

    /// Removes its name; the lock goes with the last user.
    pub(super) fn delete(&self) -> io::Result<()> {
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Where it is, for messages.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

/// Locks a file and makes sure that its name still leads to it: a previous owner deletes it before
/// the lock is free.
fn lock(file: &File, path: &Path) -> io::Result<bool> {
    match file.try_lock() {
        Ok(()) => Ok(is_at(file, path)),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

fn is_at(file: &File, path: &Path) -> bool {
    match (file.metadata(), fs::metadata(path)) {
        (Ok(ours), Ok(there)) => ours.dev() == there.dev() && ours.ino() == there.ino(),
        (Ok(_) | Err(_), _) => false,
    }
}

/// The segments in a folder, by instance, each instance's in order.
pub(super) fn list(folder: &Path) -> io::Result<BTreeMap<String, BTreeMap<u64, PathBuf>>> {
    let mut found: BTreeMap<String, BTreeMap<u64, PathBuf>> = BTreeMap::new();
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(found),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str());
        let parts = name
            .and_then(|name| name.strip_suffix(".jsonl"))
            .and_then(|stem| stem.rsplit_once('-'));
        if let Some((instance, number)) = parts
            && let Ok(number) = number.parse()
        {
            found
                .entry(instance.to_owned())
                .or_default()
                .insert(number, path);
        }
    }
    Ok(found)
}

/// Takes over all segments of an instance that is gone, or none: one owner joins the begins and the
/// ends of its calls. The first one's lock decides, since a living process has all of them.
pub(super) fn adopt(paths: BTreeMap<u64, PathBuf>) -> io::Result<Option<Vec<Segment>>> {
    let mut segments = Vec::with_capacity(paths.len());
    for (number, path) in paths {
        match Segment::adopt(number, path)? {
            Some(segment) => segments.push(segment),
            None => return Ok(None),
        }
    }
    Ok(Some(segments))
}

/// Deletes a segment that nobody owns.
pub(super) fn delete_if_free(path: &Path) -> io::Result<bool> {
    match Segment::adopt(0, path.to_owned())? {
        Some(segment) => segment.delete().map(|()| true),
        None => Ok(false),
    }
}
