//! [`JournalSegment`]: one file of the journal, `<instance>-<number>.jsonl`.
//!
//! The process that holds the lock of a segment owns it: it writes the segment, ships it, and
//! deletes it. A process keeps the locks of all its segments as long as they exist, so a free lock
//! means that the owner has exited. The kernel releases locks even after `kill -9`.

use std::{
    collections::BTreeMap,
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io,
    os::unix::fs::{DirBuilderExt as _, FileExt as _, MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
};

/// How many numbers are tried for a new segment before the error is reported.
const NUMBERS_TRIED: u64 = 16;

/// One file of the journal, locked by this process.
#[derive(Debug)]
pub(super) struct JournalSegment {
    /// Its position in the order of its instance.
    pub number: u64,
    /// Its path.
    path: PathBuf,
    /// Open for reading and appending, and locked.
    file: File,
    /// Whether nothing will be added anymore.
    is_finished: AtomicBool,
}

impl JournalSegment {
    /// Creates the next segment of an instance. Creates the folder if it is missing.
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
                    // Another process may have mistaken the new file for a leftover before it was
                    // locked.
                    if lock(&file, &path)? {
                        return Ok(Self::new(number, path, file, false));
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        Err(io::Error::other(
            "another process takes over each new segment",
        ))
    }

    /// Takes over a segment whose process has exited; `None` if the process still runs.
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

    /// Appends with one system call. Returns how many bytes were written.
    pub(super) fn append(&self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            match io::Write::write(&mut &self.file, bytes) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => return result,
            }
        }
    }

    /// Reads from an offset until the buffer is full or the file ends.
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

    /// Its size in bytes.
    pub(super) fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    /// Removes what a failed append left behind.
    pub(super) fn truncate(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    /// Waits until the disk has stored the data.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    /// Marks the segment as finished: nothing will be added anymore.
    pub(super) fn finish(&self) {
        self.is_finished.store(true, Ordering::Release);
    }

    /// Whether nothing will be added anymore.
    pub(super) fn is_finished(&self) -> bool {
        self.is_finished.load(Ordering::Acquire)
    }

    /// Whether its path still refers to this file.
    pub(super) fn is_in_place(&self) -> bool {
        is_at(&self.file, &self.path)
    }

    /// Removes the file. The lock is released when the last handle closes.
    pub(super) fn delete(&self) -> io::Result<()> {
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Its path, for messages.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

/// Locks a file and checks that its path still refers to it: a previous owner deletes the file
/// before it releases the lock.
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

/// The segments in a folder, by instance, in order.
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

/// Takes over all segments of an instance that has exited, or none: one owner must match the starts
/// and the ends of its calls. The first lock decides, because a running process holds all of them.
pub(super) fn adopt(paths: BTreeMap<u64, PathBuf>) -> io::Result<Option<Vec<JournalSegment>>> {
    let mut segments = Vec::with_capacity(paths.len());
    for (number, path) in paths {
        match JournalSegment::adopt(number, path)? {
            Some(segment) => segments.push(segment),
            None => return Ok(None),
        }
    }
    Ok(Some(segments))
}

/// Deletes a segment that has no owner.
pub(super) fn delete_if_free(path: &Path) -> io::Result<bool> {
    match JournalSegment::adopt(0, path.to_owned())? {
        Some(segment) => segment.delete().map(|()| true),
        None => Ok(false),
    }
}
