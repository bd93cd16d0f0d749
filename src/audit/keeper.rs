//! The keeper: syncs the journal to disk once a second and maintains its files.

use std::{
    fs::{self, File},
    io,
    path::Path,
    sync::{Arc, atomic::Ordering},
    time::{Duration, SystemTime},
};

use tokio_util::sync::CancellationToken;

use super::{segment, writer::AuditWriter};

/// The time span that a power failure may lose.
const SYNC_INTERVAL: Duration = Duration::from_secs(1);

/// How often old files are removed if there is no database, in seconds.
const PRUNE_INTERVAL: u64 = 60;

/// What happens to finished files.
#[derive(Debug, Clone, Copy)]
pub(super) enum SegmentRetention {
    /// The shipper deletes them.
    Shipped,
    /// There is no database, so the files are the audit trail. They are kept for this long, or
    /// forever with `None`.
    Kept(Option<Duration>),
}

/// Maintains the journal until `stop`.
pub(super) async fn run(
    writer: Arc<AuditWriter>,
    files: SegmentRetention,
    stop: CancellationToken,
) {
    let mut synced = 0;
    for second in 0_u64.. {
        let is_last = tokio::time::timeout(SYNC_INTERVAL, stop.cancelled())
            .await
            .is_ok();
        let writer = Arc::clone(&writer);
        // The disk may be slow, and no call should wait for it.
        let kept = tokio::task::spawn_blocking(move || {
            writer.put_refusals(is_last);
            let number = keep(&writer, synced);
            if let SegmentRetention::Kept(retention) = files {
                writer.journal.release_finished();
                // Without a database there is no backlog.
                writer.condition.backlog.store(0, Ordering::Relaxed);
                if second.is_multiple_of(PRUNE_INTERVAL)
                    && let Err(error) = prune_files(&writer, retention)
                {
                    tracing::error!(%error, "cannot remove old files of the audit journal");
                }
            }
            number
        });
        match kept.await {
            Ok(number) => synced = number,
            Err(error) => {
                tracing::error!(%error, "the maintenance task of the audit journal failed");
            }
        }
        if is_last {
            return;
        }
    }
}

/// Runs once. Returns the number of the first segment that is not completely on the disk.
fn keep(writer: &AuditWriter, synced: u64) -> u64 {
    let journal = &writer.journal;
    journal.flush();
    if let Some(path) = journal.leave_deleted() {
        tracing::error!(
            path = %path.display(),
            "a file of the audit journal was deleted while in use; starting a new one"
        );
        // Create the new file now, so that the next record does not depend on the deleted one.
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
                .unsynced(&format!("the journal cannot be synced to disk: {error}"));
            return next;
        }
        if segment.is_finished() {
            next = segment.number + 1;
        } else if let Err(error) = sync_folder(journal.folder()) {
            tracing::warn!(%error, "cannot sync the folder of the audit journal");
        }
    }
    writer.condition.synced();
    next
}

/// A new file name is on the disk only after its folder is synced.
fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Removes files that are older than the retention, and the oldest files while the total is too
/// large.
fn prune_files(writer: &AuditWriter, retention: Option<Duration>) -> io::Result<()> {
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
            tracing::info!(path = %path.display(), "removed an old file of the audit journal");
            bytes = bytes.saturating_sub(len);
        }
    }
    Ok(())
}
