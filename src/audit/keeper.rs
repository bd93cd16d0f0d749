//! The keeper: once a second it asks the disk to have the journal, and looks after its files.

use std::{
    fs::{self, File},
    io,
    path::Path,
    sync::{Arc, atomic::Ordering},
    time::{Duration, SystemTime},
};

use tokio_util::sync::CancellationToken;

use super::{segment, trail::Writer};

/// What a power cut may lose.
const SYNC_INTERVAL: Duration = Duration::from_secs(1);

/// How often old files go where there is no database, in seconds.
const PRUNE_INTERVAL: u64 = 60;

/// What becomes of files that are finished.
#[derive(Debug, Clone, Copy)]
pub(super) enum Files {
    /// The shipper deletes them.
    Shipped,
    /// There is no database: they are the trail, and stay so long; `None` for ever.
    Kept(Option<Duration>),
}

/// Keeps the journal until `stop`.
pub(super) async fn run(writer: Arc<Writer>, files: Files, stop: CancellationToken) {
    let mut synced = 0;
    for second in 0_u64.. {
        let is_last = tokio::time::timeout(SYNC_INTERVAL, stop.cancelled())
            .await
            .is_ok();
        let writer = Arc::clone(&writer);
        // The disk may take its time; no call should wait for it.
        let kept = tokio::task::spawn_blocking(move || {
            writer.put_refusals(is_last);
            let number = keep(&writer, synced);
            if let Files::Kept(retention) = files {
                writer.journal.release_finished();
                // Nothing waits for a database that is not there.
                writer.condition.backlog.store(0, Ordering::Relaxed);
                if second.is_multiple_of(PRUNE_INTERVAL)
                    && let Err(error) = prune_files(&writer, retention)
                {
                    tracing::error!(%error, "old files of the audit journal cannot be removed");
                }
            }
            number
        });
        match kept.await {
            Ok(number) => synced = number,
            Err(error) => tracing::error!(%error, "the audit journal was not looked after"),
        }
        if is_last {
            return;
        }
    }
}

/// One look; answers the number of the first segment that is not wholly on the disk.
fn keep(writer: &Writer, synced: u64) -> u64 {
    let journal = &writer.journal;
    journal.flush();
    if let Some(path) = journal.leave_deleted() {
        tracing::error!(
            path = %path.display(),
            "a file of the audit journal was deleted while it was written; another one is begun"
        );
        // Creates the new one now: what comes next must not depend on the one that is gone.
        if let Err(error) = journal.probe() {
            writer.condition.unwritten(&error.to_string(), false);
        }
    }
    if writer.condition.is_journal_failing() && journal.probe().is_ok() {
        writer.condition.written();
    }
    let mut next = synced;
    for segment in journal.segments() {
        if segment.number < synced {
            continue;
        }
        if let Err(error) = segment.sync() {
            writer
                .condition
                .unsynced(&format!("the disk does not take the journal: {error}"));
            return next;
        }
        if segment.is_finished() {
            next = segment.number + 1;
        } else if let Err(error) = sync_folder(journal.folder()) {
            tracing::warn!(%error, "the folder of the audit journal cannot be synced");
        }
    }
    writer.condition.synced();
    next
}

/// A new name is on the disk once its folder is.
fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Removes files that are older than the retention, and the oldest while there are too many.
fn prune_files(writer: &Writer, retention: Option<Duration>) -> io::Result<()> {
    let journal = &writer.journal;
    let mut files = Vec::new();
    for (instance, paths) in segment::list(journal.folder())? {
        if instance != journal.instance() {
            files.extend(paths.into_values());
            continue;
        }
        let active = journal.active();
        let is_ours = |path: &Path| {
            active
                .as_ref()
                .is_some_and(|(segment, _)| segment.path() == path)
        };
        files.extend(paths.into_values().filter(|path| !is_ours(path)));
    }
    let mut aged = Vec::with_capacity(files.len());
    for path in files {
        let metadata = fs::metadata(&path)?;
        aged.push((metadata.modified()?, metadata.len(), path));
    }
    aged.sort();
    let mut bytes: u64 = aged.iter().map(|(_, len, _)| len).sum();
    let oldest = retention.and_then(|retention| SystemTime::now().checked_sub(retention));
    for (modified, len, path) in aged {
        let is_old = oldest.is_some_and(|oldest| modified < oldest);
        if !is_old && bytes <= journal.bytes_max() {
            break;
        }
        if segment::delete_if_free(&path)? {
            tracing::info!(path = %path.display(), "an old file of the audit journal was removed");
            bytes = bytes.saturating_sub(len);
        }
    }
    Ok(())
}
