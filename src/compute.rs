//! [`ComputePool`]: runs CPU-bound work on untrusted data outside the async worker threads.
//!
//! A bounded number of jobs runs at the same time. The job itself holds its place, not the caller
//! that waits for it, so callers who hang up do not free a place that is still in use.

use std::{sync::Arc, thread::available_parallelism, time::Duration};

use tokio::{
    runtime::{Handle, RuntimeFlavor},
    sync::{OwnedSemaphorePermit, Semaphore},
    task::block_in_place,
    time::{Instant, timeout_at},
};

/// Work on fewer bytes takes less time than moving the other tasks to another thread.
const SHORT_BYTES: usize = 256 << 10;

/// The maximum number of places of [`ComputePool::new`].
const PLACES_MAX: usize = 4;

/// Runs CPU-bound work on this many bytes on the current thread. If they are many, the other tasks
/// of the thread continue on another one in the meantime.
pub fn in_place<T>(bytes: usize, work: impl FnOnce() -> T) -> T {
    let has_others = || {
        let handle = Handle::try_current();
        handle.is_ok_and(|handle| handle.runtime_flavor() == RuntimeFlavor::MultiThread)
    };
    if bytes > SHORT_BYTES && has_others() {
        block_in_place(work)
    } else {
        work()
    }
}

/// The threads for one kind of work.
#[derive(Debug, Clone)]
pub struct ComputePool {
    /// One permit for each job that may run at the same time.
    places: Arc<Semaphore>,
}

/// Why there is no result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ComputeError {
    /// No place became free while the caller waited.
    #[error("too many jobs of this kind are running")]
    Busy,
    /// The work panicked, or the runtime is shutting down.
    #[error("the job failed")]
    Failed,
}

impl ComputePool {
    /// A pool with half as many places as CPU cores, at least one and at most four, because each job
    /// also takes memory.
    pub fn new() -> Self {
        let cores = available_parallelism().map_or(1, std::num::NonZero::get);
        Self::with_places((cores / 2).clamp(1, PLACES_MAX))
    }

    /// A pool with this many places.
    pub fn with_places(places: usize) -> Self {
        Self {
            places: Arc::new(Semaphore::new(places)),
        }
    }

    /// Runs work as soon as a place is free.
    pub async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, ComputeError> {
        let place = Arc::clone(&self.places).acquire_owned().await;
        start(place.map_err(|_closed| ComputeError::Failed)?, work).await
    }

    /// Runs work if, within `patience`, a place is free both in the pool and in `share`, which is
    /// the part of one user of the pool.
    pub async fn run_soon<T: Send + 'static>(
        &self,
        share: &Arc<Semaphore>,
        patience: Duration,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, ComputeError> {
        let until = Instant::now() + patience;
        let own = place(share, until).await?;
        let place = place(&self.places, until).await?;
        start((own, place), work).await
    }
}

/// A place, if one becomes free in time.
async fn place(
    places: &Arc<Semaphore>,
    until: Instant,
) -> Result<OwnedSemaphorePermit, ComputeError> {
    match timeout_at(until, Arc::clone(places).acquire_owned()).await {
        Ok(place) => place.map_err(|_closed| ComputeError::Failed),
        Err(_) => Err(ComputeError::Busy),
    }
}

/// Runs work that holds its place.
async fn start<T: Send + 'static>(
    place: impl Send + 'static,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, ComputeError> {
    let running = tokio::task::spawn_blocking(move || {
        let result = work();
        drop(place);
        result
    });
    running.await.map_err(|_failed| ComputeError::Failed)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use tokio_util::task::TaskTracker;

    use super::*;

    #[tokio::test]
    async fn a_place_is_held_until_the_work_ends() {
        let pool = ComputePool::with_places(1);
        let share = Arc::new(Semaphore::new(2));
        let soon = Duration::from_millis(20);
        let (end, ended) = mpsc::channel::<()>();
        let work = pool.run_soon(&share, soon, move || ended.recv().is_ok());
        let left = tokio::time::timeout(soon * 3, work).await;
        assert!(left.is_err(), "the work goes on, its caller is gone");
        let second = pool.run_soon(&share, soon, || ()).await;
        assert_eq!(second, Err(ComputeError::Busy));
        end.send(()).unwrap();
        assert_eq!(pool.run(|| 7).await, Ok(7));
        assert_eq!(share.available_permits(), 2);
    }

    #[tokio::test]
    async fn one_party_does_not_take_the_places_of_others() {
        let pool = ComputePool::with_places(2);
        let (mine, yours) = (Arc::new(Semaphore::new(1)), Arc::new(Semaphore::new(1)));
        let soon = Duration::from_millis(20);
        let (end, ended) = mpsc::channel::<()>();
        let (first_pool, share) = (pool.clone(), Arc::clone(&mine));
        let first = TaskTracker::new().spawn(async move {
            let work = move || ended.recv().is_ok();
            first_pool.run_soon(&share, soon, work).await
        });
        tokio::time::sleep(soon).await;
        assert_eq!(
            pool.run_soon(&mine, soon, || ()).await,
            Err(ComputeError::Busy)
        );
        assert_eq!(pool.run_soon(&yours, soon, || ()).await, Ok(()));
        end.send(()).unwrap();
        assert_eq!(first.await.unwrap(), Ok(true));
    }
}
