//! Notices that a file of the configuration changed.
//!
//! We ask once a second instead of listening to the kernel: that works alike for editors that
//! write a new file over the old one, the `..data` links of a ConfigMap, single files mounted
//! into a container, and network disks, and costs a few `stat` calls. Only a change of the content
//! counts, and only once it has settled.

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

/// How often we look.
const INTERVAL: Duration = Duration::from_secs(1);

/// A file this fresh may change again without its time showing it: disks and network disks keep
/// time in steps of up to two seconds.
const FRESH: Duration = Duration::from_secs(3);

/// Says when the sources of a configuration changed. The task behind it ends with the token, or
/// when this is dropped.
#[derive(Debug, Clone)]
pub struct Watch {
    ticks: watch::Receiver<u64>,
    sources: Arc<Mutex<Vec<PathBuf>>>,
}

impl Watch {
    /// Starts watching files. What they contain now is what later content is compared with: start
    /// with the configuration before it is loaded, [`Watch::follow`] what it names, and no change
    /// slips in between.
    pub fn start(sources: Vec<PathBuf>, tracker: &TaskTracker, stop: CancellationToken) -> Self {
        Self::start_every(INTERVAL, sources, tracker, stop)
    }

    fn start_every(
        interval: Duration,
        sources: Vec<PathBuf>,
        tracker: &TaskTracker,
        stop: CancellationToken,
    ) -> Self {
        let mut seen = Seen::default();
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

    /// Waits for the next change; `None` once watching has ended. Several changes before a call
    /// are one.
    pub async fn changed(&mut self) -> Option<()> {
        self.ticks.changed().await.ok()
    }

    /// Watches other files from now on, as a reload may ask. Files that were watched before are
    /// compared with what they held then, so that nothing is missed in between.
    pub fn follow(&self, sources: Vec<PathBuf>) {
        *self.sources.lock().unwrap_or_else(PoisonError::into_inner) = sources;
    }
}

async fn run(
    interval: Duration,
    mut seen: Seen,
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
        // A network disk may take its time.
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

/// What the files held when we last looked, and when somebody was last told.
#[derive(Debug, Default)]
struct Seen {
    files: BTreeMap<PathBuf, File>,
}

/// One file.
#[derive(Debug, Default)]
struct File {
    stamp: Option<Stamp>,
    /// Of the content last read; `None` for no file.
    content: Option<[u8; 32]>,
    /// `content` when somebody was last told.
    told: Option<[u8; 32]>,
    /// Whether `told` says anything: not for a file that is new here.
    is_told: bool,
}

/// What changes when a file is written, or another one put in its place.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    length: u64,
    modified: Option<SystemTime>,
}

impl Seen {
    /// Looks at the files; whether any content differs from the last look.
    fn look(&mut self, sources: &[PathBuf]) -> bool {
        self.files.retain(|path, _| sources.contains(path));
        let mut moving = false;
        for path in sources {
            let file = self.files.entry(path.clone()).or_default();
            // Through symbolic links: a ConfigMap changes by its link.
            let stamp = fs::metadata(path).ok().map(|metadata| Stamp::of(&metadata));
            let fresh = stamp.as_ref().is_some_and(Stamp::is_fresh);
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

    /// Whether anything differs from what was told; now it has been told. A file that is new here
    /// was just read by whoever named it.
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

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        let (device, inode) = identity(metadata);
        Self {
            device,
            inode,
            length: metadata.len(),
            modified: metadata.modified().ok(),
        }
    }

    /// Also true for a clock of a network disk that is ahead of ours.
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

    fn watch(paths: &[&Path]) -> (Watch, CancellationToken, TaskTracker) {
        let (tracker, stop) = (TaskTracker::new(), CancellationToken::new());
        let paths = paths.iter().map(|path| path.to_path_buf()).collect();
        let watch = Watch::start_every(TICK, paths, &tracker, stop.clone());
        (watch, stop, tracker)
    }

    async fn ticks(watch: &mut Watch) -> bool {
        time::timeout(TICK * 400, watch.changed()).await.is_ok()
    }

    async fn stays_silent(watch: &mut Watch) -> bool {
        time::timeout(TICK * 20, watch.changed()).await.is_err()
    }

    #[tokio::test]
    async fn writing_in_place_and_renaming_over_are_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bridges.toml");
        fs::write(&path, "a").unwrap();
        let (mut watch, _stop, _tracker) = watch(&[&path]);
        assert!(stays_silent(&mut watch).await);

        // Same length, and on a coarse clock the same time.
        fs::write(&path, "b").unwrap();
        assert!(ticks(&mut watch).await);

        let new = folder.path().join(".bridges.toml.swp");
        fs::write(&new, "c").unwrap();
        fs::rename(&new, &path).unwrap();
        assert!(ticks(&mut watch).await);

        // Same content in another file: nothing to reload.
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
