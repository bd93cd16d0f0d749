//! Detects changes of the configuration files.
//!
//! The task polls once per second instead of using kernel notifications. Polling works with editors that
//! replace the file, the `..data` links of a ConfigMap, single files mounted into a container, and network
//! disks, and costs only a few `stat` calls. A change counts only if the content differs and has settled.

use std::{
    collections::BTreeMap,
    fs::{self, Metadata},
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use sha2::{Digest as _, Sha256};
use tokio::{sync::watch, task, time};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// The polling interval.
const INTERVAL: Duration = Duration::from_secs(1);

/// A file that is newer than this may change again with the same timestamp, because local and network disks
/// store times in steps of up to two seconds.
const FRESH: Duration = Duration::from_secs(3);

/// Reports changes of the configuration's sources. Its task ends with the token, or when this value is
/// dropped.
#[derive(Debug, Clone)]
pub struct ConfigWatcher {
    ticks: watch::Receiver<u64>,
    sources: Arc<Mutex<Vec<PathBuf>>>,
}

impl ConfigWatcher {
    /// Starts to watch files. Later content is compared with their current content. To miss no change, start
    /// with the configuration before it is loaded, and then [`ConfigWatcher::follow`] the files that it names.
    pub fn start(sources: Vec<PathBuf>, tracker: &TaskTracker, stop: CancellationToken) -> Self {
        Self::start_every(INTERVAL, sources, tracker, stop)
    }

    fn start_every(
        interval: Duration,
        sources: Vec<PathBuf>,
        tracker: &TaskTracker,
        stop: CancellationToken,
    ) -> Self {
        let mut seen = WatchedFiles::default();
        seen.look(&sources);
        seen.settle();
        let sources = Arc::new(Mutex::new(sources));
        let (sender, ticks) = watch::channel(0);
        let task = run(interval, seen, Arc::clone(&sources), sender);
        tracker.spawn(async move {
            stop.run_until_cancelled(task).await;
        });
        Self { ticks, sources }
    }

    /// Waits for the next change; `None` when watching has ended. Several changes between two calls count as
    /// one.
    pub async fn changed(&mut self) -> Option<()> {
        self.ticks.changed().await.ok()
    }

    /// Watches other files from now on, for example after a reload. Files that were already watched are
    /// compared with their former content, so that no change is missed.
    pub fn follow(&self, sources: Vec<PathBuf>) {
        *self.sources.lock().unwrap_or_else(PoisonError::into_inner) = sources;
    }
}

async fn run(
    interval: Duration,
    mut seen: WatchedFiles,
    sources: Arc<Mutex<Vec<PathBuf>>>,
    sender: watch::Sender<u64>,
) {
    loop {
        tokio::select! {
            () = time::sleep(interval) => {}
            () = sender.closed() => return,
        }
        let now = sources
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        // A network disk may be slow.
        let looked = task::spawn_blocking(move || {
            let moving = seen.look(&now);
            (seen, moving)
        });
        let Ok((back, moving)) = looked.await else {
            return;
        };
        seen = back;
        if !moving && seen.settle() {
            sender.send_modify(|tick| *tick += 1);
        }
    }
}

/// The contents of the files at the last poll, and at the last report.
#[derive(Debug, Default)]
struct WatchedFiles {
    files: BTreeMap<PathBuf, WatchedFile>,
}

/// One file.
#[derive(Debug, Default)]
struct WatchedFile {
    stamp: Option<FileStamp>,
    /// The hash of the content at the last poll; `None` if the file does not exist.
    content: Option<[u8; 32]>,
    /// The value of `content` at the last report.
    told: Option<[u8; 32]>,
    /// Whether `told` is valid. It is not for a file that is new here.
    is_told: bool,
}

/// Metadata that changes when a file is written or replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
struct FileStamp {
    device: u64,
    inode: u64,
    length: u64,
    modified: Option<SystemTime>,
}

impl WatchedFiles {
    /// Polls the files. Returns whether any content differs from the last poll.
    fn look(&mut self, sources: &[PathBuf]) -> bool {
        self.files.retain(|path, _| sources.contains(path));
        let mut moving = false;
        for path in sources {
            let file = self.files.entry(path.clone()).or_default();
            // Follows symbolic links: a ConfigMap changes its link.
            let stamp = fs::metadata(path)
                .ok()
                .map(|metadata| FileStamp::of(&metadata));
            let fresh = stamp.as_ref().is_some_and(FileStamp::is_fresh);
            if stamp == file.stamp && !fresh {
                continue;
            }
            file.stamp = stamp;
            let content = fs::read(path)
                .ok()
                .map(|bytes| Sha256::digest(&bytes).into());
            moving |= content != file.content;
            file.content = content;
        }
        moving
    }

    /// Returns whether anything differs from the last report, and marks it as reported. A file that is new
    /// here was just read by the code that named it.
    fn settle(&mut self) -> bool {
        let mut changed = false;
        for file in self.files.values_mut() {
            changed |= file.is_told && file.told != file.content;
            file.told = file.content;
            file.is_told = true;
        }
        changed
    }
}

impl FileStamp {
    fn of(metadata: &Metadata) -> Self {
        let (device, inode) = identity(metadata);
        Self {
            device,
            inode,
            length: metadata.len(),
            modified: metadata.modified().ok(),
        }
    }

    /// Also true if the clock of a network disk is ahead.
    fn is_fresh(&self) -> bool {
        self.modified.is_none_or(|modified| {
            modified.elapsed().is_ok_and(|age| age < FRESH) || modified > SystemTime::now()
        })
    }
}

#[cfg(unix)]
fn identity(metadata: &Metadata) -> (u64, u64) {
    use std::os::unix::fs::MetadataExt as _;

    (metadata.dev(), metadata.ino())
}

#[cfg(not(unix))]
fn identity(_: &Metadata) -> (u64, u64) {
    (0, 0)
}

#[cfg(test)]
mod tests {
    use std::{os::unix::fs::symlink, path::Path};

    use super::*;

    const TICK: Duration = Duration::from_millis(15);

    fn watch(paths: &[&Path]) -> (ConfigWatcher, CancellationToken, TaskTracker) {
        let (tracker, stop) = (TaskTracker::new(), CancellationToken::new());
        let paths = paths.iter().map(|path| path.to_path_buf()).collect();
        let watch = ConfigWatcher::start_every(TICK, paths, &tracker, stop.clone());
        (watch, stop, tracker)
    }

    async fn ticks(watch: &mut ConfigWatcher) -> bool {
        time::timeout(TICK * 400, watch.changed()).await.is_ok()
    }

    async fn stays_silent(watch: &mut ConfigWatcher) -> bool {
        time::timeout(TICK * 20, watch.changed()).await.is_err()
    }

    #[tokio::test]
    async fn writing_in_place_and_renaming_over_are_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bridges.toml");
        fs::write(&path, "a").unwrap();
        let (mut watch, _stop, _tracker) = watch(&[&path]);
        assert!(stays_silent(&mut watch).await);

        // Same length and, with a coarse clock, the same time.
        fs::write(&path, "b").unwrap();
        assert!(ticks(&mut watch).await);

        let new = folder.path().join(".bridges.toml.swp");
        fs::write(&new, "c").unwrap();
        fs::rename(&new, &path).unwrap();
        assert!(ticks(&mut watch).await);

        // Same content in another file: no reload is needed.
        fs::write(&new, "c").unwrap();
        fs::rename(&new, &path).unwrap();
        assert!(stays_silent(&mut watch).await);
    }

    #[tokio::test]
    async fn a_file_that_goes_and_comes_back_unchanged_within_a_look_is_no_change() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bridges.toml");
        fs::write(&path, "a").unwrap();
        let (mut watch, _stop, _tracker) = watch(&[&path]);
        fs::remove_file(&path).unwrap();
        fs::write(&path, "a").unwrap();
        assert!(stays_silent(&mut watch).await);

        fs::remove_file(&path).unwrap();
        assert!(ticks(&mut watch).await);
        fs::write(&path, "a").unwrap();
        assert!(ticks(&mut watch).await);
    }

    #[tokio::test]
    async fn the_dance_of_a_config_map_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let volume = folder.path();
        let version = |name: &str, text: &str| {
            fs::create_dir(volume.join(name)).unwrap();
            fs::write(volume.join(name).join("bridges.toml"), text).unwrap();
        };
        version("..2026_1", "one");
        symlink("..2026_1", volume.join("..data")).unwrap();
        symlink("..data/bridges.toml", volume.join("bridges.toml")).unwrap();
        let (mut watch, _stop, _tracker) = watch(&[&volume.join("bridges.toml")]);
        assert!(stays_silent(&mut watch).await);

        version("..2026_2", "two");
        symlink("..2026_2", volume.join("..data_tmp")).unwrap();
        fs::rename(volume.join("..data_tmp"), volume.join("..data")).unwrap();
        fs::remove_dir_all(volume.join("..2026_1")).unwrap();
        assert!(ticks(&mut watch).await);
        assert!(stays_silent(&mut watch).await);
    }

    #[tokio::test]
    async fn a_file_that_is_not_there_yet_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(".env");
        let (mut watch, _stop, _tracker) = watch(&[&path]);
        fs::write(&path, "A=1").unwrap();
        assert!(ticks(&mut watch).await);
    }

    #[tokio::test]
    async fn new_sources_are_picked_up_and_old_ones_let_go() {
        let folder = tempfile::tempdir().unwrap();
        let (one, two) = (folder.path().join("one"), folder.path().join("two"));
        fs::write(&one, "1").unwrap();
        fs::write(&two, "1").unwrap();
        let (mut watch, _stop, _tracker) = watch(&[&one]);
        watch.follow(vec![two.clone()]);
        assert!(stays_silent(&mut watch).await);
        fs::write(&one, "2").unwrap();
        assert!(stays_silent(&mut watch).await);
        fs::write(&two, "2").unwrap();
        assert!(ticks(&mut watch).await);
    }

    #[tokio::test]
    async fn watching_ends_with_the_token_and_with_the_last_listener() {
        let (mut first, stop, tracker) = watch(&[Path::new("/nowhere")]);
        stop.cancel();
        assert_eq!(first.changed().await, None);
        tracker.close();
        tracker.wait().await;

        let (second, _stop, tracker) = watch(&[Path::new("/nowhere")]);
        drop(second);
        tracker.close();
        tracker.wait().await;
    }
}
