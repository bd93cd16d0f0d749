//! [`Files`]: what tools made for their callers, kept for a day.
//!
//! Where there is a database the files stand in it, so that every replica has them; else in memory.
//! What one caller keeps is bounded, and what all callers keep together.

mod id;
mod shelf;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

pub use self::id::FileId;
use self::shelf::Shelf;
use crate::{
    auth::{Caller, Proof},
    credential::Owner,
    store::{FileBounds, FileOwner, FileRow, Store, StoreError},
};

/// The largest file, in bytes.
pub const FILE_BYTES_MAX: usize = 10 << 20;
/// How long a file is kept.
pub const FILE_TTL: Duration = Duration::from_hours(24);
/// How often files that are over are deleted.
const SWEEP_EVERY: Duration = Duration::from_mins(10);

/// What may be kept in a database.
const BOUNDS: FileBounds = FileBounds {
    own_count: 50,
    own_bytes: 50 << 20,
    all_count: 10_000,
    all_bytes: 1 << 30,
};
/// What may be kept in memory.
const BOUNDS_OF_MEMORY: FileBounds = FileBounds {
    own_count: 50,
    own_bytes: 16 << 20,
    all_count: 1_000,
    all_bytes: 64 << 20,
};

/// The files that are kept.
#[derive(Debug)]
pub struct Files {
    /// For how long.
    ttl: Duration,
    /// Where.
    place: Place,
}

/// Where files are kept.
#[derive(Debug)]
enum Place {
    /// In the database: for every replica, and over restarts.
    Database(Arc<Store>),
    /// In memory, until we end.
    Memory(Shelf),
}

impl Files {
    /// Keeps files in the database, where there is one.
    pub fn new(store: Option<Arc<Store>>) -> Self {
        Self {
            ttl: FILE_TTL,
            place: store.map_or_else(
                || Place::Memory(Shelf::new(BOUNDS_OF_MEMORY)),
                Place::Database,
            ),
        }
    }

    /// Keeps a file for its owner.
    pub async fn keep(
        &self,
        id: &FileId,
        owner: &FileOwner,
        file: FileRow<Bytes>,
    ) -> Result<(), StoreError> {
        match &self.place {
            Place::Database(store) => {
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
            Place::Memory(memory) => memory.keep(id, owner, file, self.ttl),
        }
    }

    /// A file of this owner; `None` for one of others, and for one that is over.
    pub async fn open(
        &self,
        id: &FileId,
        owner: &FileOwner,
    ) -> Result<Option<FileRow<Bytes>>, StoreError> {
        match &self.place {
            Place::Database(store) => {
                let found = store.file(&id.hashed(), owner).await?;
                Ok(found.map(|file| FileRow {
                    bridge: file.bridge,
                    name: file.name,
                    media_type: file.media_type,
                    content: file.content.into(),
                }))
            }
            Place::Memory(memory) => Ok(memory.open(id, owner)),
        }
    }

    /// Deletes what is over, again and again, until it is told to stop.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        let mut ticks = interval(SWEEP_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = ticks.tick() => {}
            }
            let swept = match &self.place {
                Place::Database(store) => store.sweep_files().await,
                Place::Memory(memory) => Ok(memory.sweep()),
            };
            match swept {
                Ok(0) => {}
                Ok(gone) => tracing::debug!(files = gone, "deleted files that were kept for a day"),
                // The next round tries again, and no file is handed out after its day.
                Err(error) => tracing::debug!(%error, "old files could not be deleted"),
            }
        }
    }
}

/// Whose the files of a caller are. Callers who prove nothing share theirs: the link alone tells their
/// files apart, and it cannot be guessed.
pub fn owner_of(caller: &Caller) -> FileOwner {
    let (workspace, subject) = match Owner::caller(caller) {
        Some(Owner::Caller { workspace, subject }) => (workspace.to_string(), subject.to_string()),
        Some(Owner::Shared | Owner::Group { .. }) | None => {
            let subject = match caller.proof {
                Proof::Anonymous => "anonymous".to_owned(),
                // The holder of a key that speaks for others, without naming one of them.
                _ => format!("{}:{}", caller.proof.as_str(), caller.id),
            };
            (caller.workspace.to_string(), subject)
        }
    };
    FileOwner { workspace, subject }
}

#[cfg(test)]
mod tests;
