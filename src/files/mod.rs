//! [`FileStore`]: keeps the files that tools make for their callers, each for a day.
//!
//! With a database, files are stored there, so that every replica can serve them. Without one, they
//! stay in memory. The number and size of files are bounded for each caller and for all callers
//! together.

mod id;
mod shelf;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

pub use self::id::FileId;
use self::shelf::MemoryFileStore;
use crate::{
    auth::{AuthenticationMethod, Caller},
    credential::SessionOwner,
    store::{FileBounds, FileOwner, FileRow, Store, StoreError},
};

/// The largest file, in bytes.
pub const FILE_BYTES_MAX: usize = 10 << 20;
/// How long a file is kept.
pub const FILE_TTL: Duration = Duration::from_hours(24);
/// How often expired files are deleted.
const SWEEP_EVERY: Duration = Duration::from_mins(10);

/// The bounds for files in a database.
const BOUNDS: FileBounds = FileBounds {
    own_count: 50,
    own_bytes: 50 << 20,
    all_count: 10_000,
    all_bytes: 1 << 30,
};
/// The bounds for files in memory.
const BOUNDS_OF_MEMORY: FileBounds = FileBounds {
    own_count: 50,
    own_bytes: 16 << 20,
    all_count: 1_000,
    all_bytes: 64 << 20,
};

/// The store of files.
#[derive(Debug)]
pub struct FileStore {
    /// How long a file is kept.
    ttl: Duration,
    /// Where files are stored.
    place: FileBackend,
}

/// Where files are stored.
#[derive(Debug)]
enum FileBackend {
    /// In the database. Files are shared by all replicas and survive a restart.
    Database(Arc<Store>),
    /// In memory, until the process ends.
    Memory(MemoryFileStore),
}

impl FileStore {
    /// Stores files in the database, if there is one.
    pub fn new(store: Option<Arc<Store>>) -> Self {
        Self {
            ttl: FILE_TTL,
            place: store.map_or_else(
                || FileBackend::Memory(MemoryFileStore::new(BOUNDS_OF_MEMORY)),
                FileBackend::Database,
            ),
        }
    }

    /// Stores a file for its owner.
    pub async fn keep(
        &self,
        id: &FileId,
        owner: &FileOwner,
        file: FileRow<Bytes>,
    ) -> Result<(), StoreError> {
        match &self.place {
            FileBackend::Database(store) => {
                let ttl = i64::try_from(self.ttl.as_micros()).unwrap_or(i64::MAX);
                let now = jiff::Timestamp::now().as_microsecond();
                let row = FileRow {
                    content: &file.content[..],
                    bridge: file.bridge,
                    name: file.name,
                    media_type: file.media_type,
                };
                let expires_at = now.saturating_add(ttl);
                store
                    .save_file(&id.hashed(), owner, &row, expires_at, &BOUNDS)
                    .await
            }
            FileBackend::Memory(memory) => memory.keep(id, owner, file, self.ttl),
        }
    }

    /// Returns a file of this owner, or `None` if it belongs to another owner or has expired.
    pub async fn open(
        &self,
        id: &FileId,
        owner: &FileOwner,
    ) -> Result<Option<FileRow<Bytes>>, StoreError> {
        match &self.place {
            FileBackend::Database(store) => {
                let found = store.file(&id.hashed(), owner).await?;
                Ok(found.map(|file| FileRow {
                    bridge: file.bridge,
                    name: file.name,
                    media_type: file.media_type,
                    content: file.content.into(),
                }))
            }
            FileBackend::Memory(memory) => Ok(memory.open(id, owner)),
        }
    }

    /// Deletes expired files at intervals until `stop` is cancelled.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        let mut ticks = interval(SWEEP_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = ticks.tick() => {}
            }
            let swept = match &self.place {
                FileBackend::Database(store) => store.sweep_files().await,
                FileBackend::Memory(memory) => Ok(memory.sweep()),
            };
            match swept {
                Ok(0) => {}
                Ok(gone) => tracing::debug!(files = gone, "deleted expired files"),
                // The next round tries again. An expired file is never served.
                Err(error) => tracing::debug!(%error, "expired files could not be deleted"),
            }
        }
    }
}

/// The owner of a caller's files. Callers without credentials share one owner. Only the link, which
/// cannot be guessed, separates their files.
pub fn owner_of(caller: &Caller) -> FileOwner {
    let (workspace, subject) = match SessionOwner::caller(caller) {
        Some(SessionOwner::Caller { workspace, subject }) => {
            (workspace.to_string(), subject.to_string())
        }
        Some(SessionOwner::Shared | SessionOwner::Group { .. }) | None => {
            let subject = match caller.proof {
                AuthenticationMethod::Anonymous => "anonymous".to_owned(),
                // The caller holds a key that may act for users, and the request names no user.
                _ => format!("{}:{}", caller.proof.as_str(), caller.id),
            };
            (caller.workspace.to_string(), subject)
        }
    };
    FileOwner { workspace, subject }
}

#[cfg(test)]
mod tests;
