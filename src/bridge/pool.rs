//! [`Pool`]: the sessions of a bridge that belong to somebody, one for each owner.
//!
//! They are opened by the first call, bounded in number, and end when nobody calls. What goes wrong with
//! one of them is told to its owner and says nothing of the bridge.

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

use super::{call::Failure, handle::Lease, login::SAME_AGAIN, status::Backoff};
use crate::{
    credential::Owner,
    mcp::{Known, Session},
    secret::Secret,
};

/// How long a session that ends waits for the calls it still has.
const FINISH_MAX: Duration = Duration::from_secs(5);
/// How often it looks.
const FINISH_POLL: Duration = Duration::from_millis(20);
/// How long those who waited while a session was opened are told why it was not.
const TOLD: Duration = Duration::from_secs(1);
/// How long no new session is opened for the owner of one that was ended because of what its server sent.
const UNRULY_FOR: Duration = Duration::from_secs(10);
/// Owners whose refused token is remembered, at most.
const REFUSED_MAX: u64 = 10_000;

/// The sessions of one bridge that belong to somebody.
#[derive(Debug)]
pub(super) struct Pool {
    /// By owner.
    seats: Mutex<HashMap<Owner, Arc<Seat>>>,
    /// So many at most.
    max: usize,
    /// A session ends after this long without a call.
    idle: Duration,
    /// Counts sessions.
    generation: AtomicU64,
    /// What one connect found out, for the next.
    known: Mutex<Known>,
    /// Tokens that the server refused though they count by our books, and what their owner was told.
    pub refused: Cache<Owner, (Secret, Failure)>,
    /// Owners whose session was ended because of what its server sent, and what they are told for a while.
    pub unruly: Cache<Owner, Failure>,
    /// What opens sessions and stays with them.
    pub tasks: TaskTracker,
}

/// The place of one owner.
#[derive(Debug)]
pub(super) struct Seat {
    /// Whose it is.
    pub owner: Owner,
    /// One opens the session at a time.
    pub turn: Arc<tokio::sync::Mutex<Trouble>>,
    /// The session, while there is one.
    lease: ArcSwapOption<Lease>,
    /// Calls that use it or are about to.
    calls: AtomicUsize,
    /// When the last call ended.
    last_call: Mutex<Instant>,
    /// Ends the session.
    stop: CancellationToken,
}

/// The turn to open a session.
pub(super) type Turn = OwnedMutexGuard<Trouble>;

/// What went wrong when the session was opened last.
#[derive(Debug, Default)]
pub(super) struct Trouble {
    /// Counts failures in a row.
    backoff: Backoff,
    /// What to answer until when, without another attempt.
    last: Option<(Instant, Failure)>,
}

/// A call at a seat; the session does not end under it.
#[derive(Debug)]
pub(super) struct Seated {
    /// The seat.
    pub seat: Arc<Seat>,
}

impl Pool {
    /// No session yet.
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

    /// Ends all sessions and waits until they have.
    pub async fn ended(&self) {
        self.clear();
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// Whether an owner has a place.
    pub fn has(&self, owner: &Owner) -> bool {
        self.lock().contains_key(owner)
    }

    /// How many sessions there are.
    pub fn len(&self) -> usize {
        let seats = self.lock();
        seats
            .values()
            .filter(|seat| seat.lease.load().is_some())
            .count()
    }

    /// The sessions there are.
    pub fn leases(&self) -> Vec<Arc<Lease>> {
        let seats = self.lock();
        seats.values().filter_map(|seat| seat.lease()).collect()
    }

    /// What is known of the server.
    pub fn known(&self) -> Known {
        *self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes what is known of the server.
    pub fn learn(&self, known: Known) {
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = known;
    }

    /// The place of an owner, made if there is room for it: whoever has not called for longest gives
    /// way. `None` while everybody calls.
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

    /// Puts a session at its seat.
    pub fn seat(&self, seat: &Seat, session: Session) -> Arc<Lease> {
        let lease = Arc::new(Lease {
            generation: self.generation.fetch_add(1, Ordering::Relaxed) + 1,
            session,
        });
        seat.lease.store(Some(Arc::clone(&lease)));
        lease
    }

    /// Waits until a session may end: because its owner gave way, or has not called for long enough.
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

    /// Withdraws a session, lets its calls finish, and ends it.
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

    /// Gives the seat up, unless another sits there by now.
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

    /// Whether its owner lost it.
    pub fn is_given_up(&self) -> bool {
        self.stop.is_cancelled()
    }

    /// Waits until its owner loses it.
    pub async fn given_up(&self) {
        self.stop.cancelled().await;
    }

    /// How long nobody has called.
    fn rested(&self) -> Duration {
        if self.calls.load(Ordering::Acquire) > 0 {
            return Duration::ZERO;
        }
        let last = self.last_call.lock();
        last.unwrap_or_else(PoisonError::into_inner).elapsed()
    }

    /// Waits until no call is in flight, for a while.
    async fn finish_calls(&self) {
        let until = Instant::now() + FINISH_MAX;
        while self.calls.load(Ordering::Acquire) > 0 && Instant::now() < until {
            sleep(FINISH_POLL).await;
        }
    }
}

impl Trouble {
    /// What to answer without another attempt, if the last one is not long ago.
    pub fn told(&self) -> Option<Failure> {
        let (until, failure) = self.last.as_ref()?;
        (Instant::now() < *until).then(|| failure.clone())
    }

    /// Has those who wait for the same turn told the same.
    pub fn told_to_all(&mut self, failure: &Failure) {
        self.last = Some((Instant::now() + TOLD, failure.clone()));
    }

    /// Notes a failure and when the next attempt may be made.
    pub fn failed(&mut self, failure: &Failure) {
        let (_phase, delay) = self.backoff.ended(Duration::ZERO, rand::random());
        self.last = Some((Instant::now() + delay, failure.clone()));
    }

    /// The session came up.
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
