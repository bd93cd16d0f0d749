//! [`Pool`]: the sessions of a bridge that has one session per owner.
//!
//! The first call of an owner opens the session, their number is bounded, and idle sessions end. An
//! error in one of them is reported to its owner only and does not change the status of the bridge.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwapOption;
use moka::sync::Cache;
use tokio::{
    sync::OwnedMutexGuard,
    time::{Instant, sleep},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{await_login::SAME_AGAIN, error::Failure, handle::Lease, status::Backoff};
use crate::{
    credential::Owner,
    mcp::{Known, Session},
    secret::Secret,
};

/// How long an ending session waits for its calls in flight.
const FINISH_MAX: Duration = Duration::from_secs(5);
/// How often it checks whether they have ended.
const FINISH_POLL: Duration = Duration::from_millis(20);
/// After a failure to open a session, calls that waited for it get the same error for this long.
const TOLD: Duration = Duration::from_secs(1);
/// After the bridge ended a session because of what its server sent, its owner gets no new session
/// for this long.
const UNRULY_FOR: Duration = Duration::from_secs(10);
/// The maximum number of owners whose rejected token is remembered.
const REFUSED_MAX: u64 = 10_000;

/// The sessions of one bridge that belong to one owner each.
#[derive(Debug)]
pub(super) struct Pool {
    /// The place of each owner.
    seats: Mutex<HashMap<Owner, Arc<Seat>>>,
    /// The maximum number of sessions.
    max: usize,
    /// A session ends after this long without a call.
    idle: Duration,
    /// Counts sessions.
    generation: AtomicU64,
    /// What one connect learned about the server, for the next.
    known: Mutex<Known>,
    /// Tokens that the server rejected although they have not expired, and what their owner was
    /// told.
    pub refused: Cache<Owner, (Secret, Failure)>,
    /// Owners whose session was ended because of what its server sent, and the error that they get
    /// for a while.
    pub unruly: Cache<Owner, Failure>,
    /// The tasks that open and serve sessions.
    pub tasks: TaskTracker,
}

/// The place of one owner.
#[derive(Debug)]
pub(super) struct Seat {
    /// The owner.
    pub owner: Owner,
    /// Held by the one task that opens the session.
    pub turn: Arc<tokio::sync::Mutex<Trouble>>,
    /// The session, while there is one.
    lease: ArcSwapOption<Lease>,
    /// Calls that use the session or are about to.
    calls: AtomicUsize,
    /// When the last call ended.
    last_call: Mutex<Instant>,
    /// Ends the session.
    stop: CancellationToken,
}

/// The turn to open a session.
pub(super) type Turn = OwnedMutexGuard<Trouble>;

/// What went wrong when the session was last opened.
#[derive(Debug, Default)]
pub(super) struct Trouble {
    /// Counts consecutive failures.
    backoff: Backoff,
    /// The error to return without another attempt, and until when.
    last: Option<(Instant, Failure)>,
}

/// A call that uses a seat. The session does not end while the call runs.
#[derive(Debug)]
pub(super) struct Seated {
    /// The seat.
    pub seat: Arc<Seat>,
}

impl Pool {
    /// An empty pool.
    pub fn new(max: usize, idle: Duration) -> Self {
        Self {
            seats: Mutex::default(),
            max,
            idle,
            generation: AtomicU64::new(0),
            known: Mutex::default(),
            refused: Cache::builder()
                .max_capacity(REFUSED_MAX)
                .time_to_live(SAME_AGAIN)
                .build(),
            unruly: Cache::builder()
                .max_capacity(REFUSED_MAX)
                .time_to_live(UNRULY_FOR)
                .build(),
            tasks: TaskTracker::new(),
        }
    }

    /// Ends all sessions and waits until they have ended.
    pub async fn ended(&self) {
        self.clear();
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// Whether an owner has a place.
    pub fn has(&self, owner: &Owner) -> bool {
        self.lock().contains_key(owner)
    }

    /// The number of open sessions.
    pub fn len(&self) -> usize {
        let seats = self.lock();
        seats
            .values()
            .filter(|seat| seat.lease.load().is_some())
            .count()
    }

    /// The open sessions.
    pub fn leases(&self) -> Vec<Arc<Lease>> {
        let seats = self.lock();
        seats.values().filter_map(|seat| seat.lease()).collect()
    }

    /// What is known about the server.
    pub fn known(&self) -> Known {
        *self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stores what is known about the server.
    pub fn learn(&self, known: Known) {
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = known;
    }

    /// Returns the place of an owner. Without a free place, the owner whose last call is longest
    /// ago loses theirs. Returns `None` if every owner has a call in flight.
    pub fn sit(&self, owner: &Owner) -> Option<Seated> {
        let mut seats = self.lock();
        if let Some(seat) = seats.get(owner).filter(|seat| !seat.stop.is_cancelled()) {
            return Some(Seated::at(seat));
        }
        if !seats.contains_key(owner) && seats.len() >= self.max {
            let longest = seats
                .values()
                .filter(|seat| seat.calls.load(Ordering::Acquire) == 0)
                .max_by_key(|seat| seat.rested())
                .map(Arc::clone)?;
            longest.stop.cancel();
            seats.remove(&longest.owner);
        }
        let seat = Arc::new(Seat {
            owner: owner.clone(),
            turn: Arc::default(),
            lease: ArcSwapOption::empty(),
            calls: AtomicUsize::new(0),
            last_call: Mutex::new(Instant::now()),
            stop: CancellationToken::new(),
        });
        let seated = Seated::at(&seat);
        seats.insert(owner.clone(), seat);
        Some(seated)
    }

    /// Ends the session of an owner, if there is one.
    pub fn dismiss(&self, owner: &Owner) {
        if let Some(seat) = self.lock().remove(owner) {
            seat.stop.cancel();
        }
    }

    /// Attaches a session to its seat.
    pub fn seat(&self, seat: &Seat, session: Session) -> Arc<Lease> {
        let lease = Arc::new(Lease {
            generation: self.generation.fetch_add(1, Ordering::Relaxed) + 1,
            session,
        });
        seat.lease.store(Some(Arc::clone(&lease)));
        lease
    }

    /// Waits until a session may end: its owner lost the place, or made no call within the idle
    /// limit.
    pub async fn over(&self, seat: &Seat) {
        loop {
            let left = self.idle.saturating_sub(seat.rested());
            tokio::select! {
                () = seat.stop.cancelled() => return,
                () = sleep(left.max(FINISH_POLL)) => {
                    if seat.rested() >= self.idle && seat.calls.load(Ordering::Acquire) == 0 {
                        return;
                    }
                }
            }
        }
    }

    /// Withdraws a session, lets its calls finish, and closes it.
    pub async fn retire(&self, seat: &Arc<Seat>, lease: &Lease) {
        self.leave(seat);
        seat.lease.store(None);
        if !lease.session.has_ended() {
            seat.finish_calls().await;
        }
        lease.session.close().await;
    }

    /// Ends all sessions.
    pub fn clear(&self) {
        let seats: Vec<_> = std::mem::take(&mut *self.lock()).into_values().collect();
        for seat in seats {
            seat.stop.cancel();
        }
    }

    /// Gives up the seat, unless the owner has a new one by now.
    pub fn leave(&self, seat: &Arc<Seat>) {
        seat.stop.cancel();
        let mut seats = self.lock();
        if seats
            .get(&seat.owner)
            .is_some_and(|it| Arc::ptr_eq(it, seat))
        {
            seats.remove(&seat.owner);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Owner, Arc<Seat>>> {
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seat {
    /// The session, if it is up.
    pub fn lease(&self) -> Option<Arc<Lease>> {
        self.lease.load_full()
    }

    /// Whether its owner lost the seat.
    pub fn is_given_up(&self) -> bool {
        self.stop.is_cancelled()
    }

    /// Waits until its owner loses the seat.
    pub async fn given_up(&self) {
        self.stop.cancelled().await;
    }

    /// How long ago the last call ended.
    fn rested(&self) -> Duration {
        if self.calls.load(Ordering::Acquire) > 0 {
            return Duration::ZERO;
        }
        let last = self.last_call.lock();
        last.unwrap_or_else(PoisonError::into_inner).elapsed()
    }

    /// Waits until no call is in flight, up to [`FINISH_MAX`].
    async fn finish_calls(&self) {
        let until = Instant::now() + FINISH_MAX;
        while self.calls.load(Ordering::Acquire) > 0 && Instant::now() < until {
            sleep(FINISH_POLL).await;
        }
    }
}

impl Trouble {
    /// The error to return without another attempt, if the last attempt failed recently.
    pub fn told(&self) -> Option<Failure> {
        let (until, failure) = self.last.as_ref()?;
        (Instant::now() < *until).then(|| failure.clone())
    }

    /// Makes the calls that wait for the same turn fail with the same error.
    pub fn told_to_all(&mut self, failure: &Failure) {
        self.last = Some((Instant::now() + TOLD, failure.clone()));
    }

    /// Notes a failure and when the next attempt may start.
    pub fn failed(&mut self, failure: &Failure) {
        let (_phase, delay) = self.backoff.ended(Duration::ZERO, rand::random());
        self.last = Some((Instant::now() + delay, failure.clone()));
    }

    /// Notes that the session was opened.
    pub fn over(&mut self) {
        self.backoff.reset();
        self.last = None;
    }
}

impl Seated {
    fn at(seat: &Arc<Seat>) -> Self {
        seat.calls.fetch_add(1, Ordering::AcqRel);
        Self {
            seat: Arc::clone(seat),
        }
    }
}

impl Drop for Seated {
    fn drop(&mut self) {
        *self
            .seat
            .last_call
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Instant::now();
        self.seat.calls.fetch_sub(1, Ordering::AcqRel);
    }
}
