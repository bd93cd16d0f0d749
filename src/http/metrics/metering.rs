//! [`ScrapeState`]: the state that metrics keep from one scrape to the next.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use http::StatusCode;
use tokio::sync::Mutex;
use tokio_util::task::TaskTracker;

use crate::telemetry::{AtomicCounter, ProcessGroupUsage, by_group};

/// How long one reading of all processes stays valid. A client that scrapes in a loop cannot keep
/// the bridge busy.
const LOOK_TTL: Duration = Duration::from_secs(1);

/// The classes of HTTP statuses.
const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// The state that is kept between scrapes.
#[derive(Debug, Default)]
pub struct ScrapeState {
    /// Responses by the class of their status.
    answers: [AtomicCounter; CLASSES.len()],
    /// The last reading of all processes.
    look: Mutex<Option<UsageSnapshot>>,
}

/// One reading of all processes.
#[derive(Debug, Clone)]
struct UsageSnapshot {
    at: Instant,
    groups: Arc<HashMap<u32, ProcessGroupUsage>>,
}

impl ScrapeState {
    /// Counts a response.
    pub fn answered(&self, status: StatusCode) {
        let class = usize::from(status.as_u16() / 100).saturating_sub(1);
        if let Some(count) = self.answers.get(class) {
            count.one();
        }
    }

    /// The number of responses by the class of their status.
    pub(super) fn answers(&self) -> impl Iterator<Item = (&'static str, u64)> {
        CLASSES
            .into_iter()
            .zip(self.answers.iter().map(AtomicCounter::get))
    }

    /// What each process group uses. Only one task reads at a time, and at most once a second.
    pub(super) async fn usage(
        &self,
        tracker: &TaskTracker,
    ) -> Arc<HashMap<u32, ProcessGroupUsage>> {
        let mut look = self.look.lock().await;
        if let Some(look) = look.as_ref().filter(|look| look.at.elapsed() < LOOK_TTL) {
            return Arc::clone(&look.groups);
        }
        let groups = tracker.spawn_blocking(by_group).await;
        let groups = Arc::new(groups.unwrap_or_default());
        *look = Some(UsageSnapshot {
            at: Instant::now(),
            groups: Arc::clone(&groups),
        });
        groups
    }
}
