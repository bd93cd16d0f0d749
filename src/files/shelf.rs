//! [`MemoryFileStore`]: files in memory, for a bridge without a database.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use tokio::time::Instant;

use super::FileId;
use crate::store::{FileBounds, FileOwner, FileRow, StoreError};

/// Files in memory, in the order in which they were stored.
#[derive(Debug)]
pub struct MemoryFileStore {
    bounds: FileBounds,
    kept: Mutex<Vec<MemoryFile>>,
}

/// One stored file.
#[derive(Debug)]
struct MemoryFile {
    id: FileId,
    owner: FileOwner,
    file: FileRow<Bytes>,
    ends: Instant,
}

impl MemoryFileStore {
    /// An empty shelf.
    pub fn new(bounds: FileBounds) -> Self {
        Self {
            bounds,
            kept: Mutex::default(),
        }
    }

    /// Stores a file. If the owner has no room left, the oldest files of the same owner are
    /// deleted.
    pub fn keep(
        &self,
        id: &FileId,
        owner: &FileOwner,
        file: FileRow<Bytes>,
        ttl: Duration,
    ) -> Result<(), StoreError> {
        let size = file.content.len();
        let mut kept = self.lock();
        sweep(&mut kept);
        let sizes = kept.iter().rev().filter(|it| it.owner == *owner);
        let staying = self
            .bounds
            .staying(sizes.map(|it| it.file.content.len()), size);
        let own = kept.iter().filter(|it| it.owner == *owner).count();
        let mut going = own - staying;
        kept.retain(|it| {
            let goes = it.owner == *owner && going > 0;
            going -= usize::from(goes);
            !goes
        });
        let bytes = kept.iter().map(|it| it.file.content.len()).sum();
        if !self.bounds.has_room(kept.len(), bytes, size) {
            return Err(FileBounds::full());
        }
        kept.push(MemoryFile {
            id: id.clone(),
            owner: owner.clone(),
            file,
            ends: Instant::now() + ttl,
        });
        Ok(())
    }

    /// Returns a file of this owner.
    pub fn open(&self, id: &FileId, owner: &FileOwner) -> Option<FileRow<Bytes>> {
        let now = Instant::now();
        let kept = self.lock();
        let mut found = kept.iter();
        let found = found.find(|it| it.id == *id && it.owner == *owner && it.ends > now)?;
        Some(found.file.clone())
    }

    /// Deletes expired files and returns how many.
    pub fn sweep(&self) -> u64 {
        sweep(&mut self.lock())
    }

    fn lock(&self) -> MutexGuard<'_, Vec<MemoryFile>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn sweep(kept: &mut Vec<MemoryFile>) -> u64 {
    let (now, before) = (Instant::now(), kept.len());
    kept.retain(|it| it.ends > now);
    u64::try_from(before - kept.len()).unwrap_or_default()
}
