//! [`SessionPool`]: the sessions of a bridge: the shared one, and one for each other owner.
//!
//! The supervisor opens the shared session. The first call of another owner opens that owner's
//! session; the number of these sessions is bounded. A session without calls ends after a while.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use arc_swap::{ArcSwap, ArcSwapOption};
use tokio::{
    sync::{OwnedMutexGuard, SetOnce},
    time::{Instant, sleep, timeout},
};
use tokio_util::task::{
    TaskTracker,
    task_tracker::{TaskTrackerToken, TrackedFuture},
};

use super::{error::CallFailure, status::Backoff};
use crate::{
    credential::SessionOwner,
    mcp::{DetectedProtocol, ServerSession},
};

/// How long the calls in flight may still run after their session must end. The successor of a
/// bridge waits for them.
const FINISH_MAX: Duration = Duration::from_secs(5);
/// The shortest pause between two looks at whether a session is idle.
const IDLE_POLL: Duration = Duration::from_millis(20);
/// After a failure to open a session, calls that waited for it get the same error for this long.
const TOLD: Duration = Duration::from_secs(1);

/// Why a session ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum SessionEndReason {
    /// The bridge ends.
    Stopped,
    /// A new session was requested, or the server no longer accepts the token of this one.
    Restart,
    /// Its owner disconnected the account, or another owner needs the place.
    Released,
    /// No call arrived within the idle limit.
    Idle,
    /// The session is lost, for this reason.
    Lost(String),
    /// The bridge ended the session because of what its server sent.
    Ended(&'static str),
}

/// The sessions of one bridge.
#[derive(Debug)]
pub(super) struct SessionPool {
    /// The entry of [`SessionOwner::Shared`].
    shared: ArcSwap<PoolEntry>,
    /// The entries of all other owners.
    owned: Mutex<HashMap<SessionOwner, Arc<PoolEntry>>>,
    /// The maximum number of sessions, without the shared one.
    max: usize,
    /// A session ends after this long without a call, unless it is the shared one.
    idle: Duration,
    /// What one connect learned about the server, for the next.
    known: Mutex<DetectedProtocol>,
    /// The tasks that open and serve sessions.
    tasks: TaskTracker,
}

/// The place of one owner: at most one session from its start to its end.
#[derive(Debug)]
pub(super) struct PoolEntry {
    /// The owner.
    owner: SessionOwner,
    /// The session ends after this long without a call.
    idle: Option<Duration>,
    /// Held by the one task that opens the session.
    turn: Arc<tokio::sync::Mutex<OpenBackoff>>,
    /// The session, while there is one.
    session: ArcSwapOption<ServerSession>,
    /// Calls that use the session or wait for it. All entries of the shared session have them in
    /// common.
    calls: TaskTracker,
    /// When the last of these calls ended.
    last_call: Arc<Mutex<Instant>>,
    /// Why the session must end, once it must.
    end: SetOnce<SessionEndReason>,
}

/// The turn to open a session.
pub(super) type OpenTurn = OwnedMutexGuard<OpenBackoff>;

/// What went wrong when the session was last opened.
#[derive(Debug, Default)]
pub(super) struct OpenBackoff {
    /// Counts consecutive failures.
    backoff: Backoff,
    /// The error to return without another attempt, and until when.
    last: Option<(Instant, CallFailure)>,
}

/// A call that uses the session of an entry or waits for it. The session does not become idle while
/// the call runs.
#[derive(Debug)]
pub(super) struct SessionCheckout {
    /// The entry.
    entry: Arc<PoolEntry>,
    /// Counts the call.
    _call: TaskTrackerToken,
}

impl SessionPool {
    /// A pool without sessions. It holds at most `max` sessions besides the shared one. The shared
    /// session ends after `shared_idle` without a call, any other after `idle`.
    pub fn new(max: usize, idle: Duration, shared_idle: Option<Duration>) -> Self {
        Self {
            shared: ArcSwap::from_pointee(PoolEntry::new(SessionOwner::Shared, shared_idle)),
            owned: Mutex::default(),
            max,
            idle,
            known: Mutex::default(),
            tasks: TaskTracker::new(),
        }
    }

    /// Runs a task that [`Self::ended`] waits for.
    pub fn track<F: Future>(&self, task: F) -> TrackedFuture<F> {
        self.tasks.track_future(task)
    }

    /// Ends all sessions of owners and waits until they have ended.
    pub async fn ended(&self) {
        self.clear();
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// Whether an owner has a place.
    pub fn has(&self, owner: &SessionOwner) -> bool {
        self.lock().contains_key(owner)
    }

    /// The number of open sessions, without the shared one.
    pub fn owned(&self) -> usize {
        let entries = self.lock();
        entries.values().filter(|entry| entry.is_open()).count()
    }

    /// Whether the shared session is open.
    pub fn has_shared(&self) -> bool {
        self.shared.load().is_open()
    }

    /// The open sessions.
    pub fn sessions(&self) -> Vec<Arc<ServerSession>> {
        let shared = self.shared.load().session.load_full();
        let entries = self.lock();
        let owned = entries.values().filter_map(|it| it.session.load_full());
        shared.into_iter().chain(owned).collect()
    }

    /// What is known about the server.
    pub fn known(&self) -> DetectedProtocol {
        *self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stores what is known about the server.
    pub fn learn(&self, known: DetectedProtocol) {
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = known;
    }

    /// Uses the shared session, if it is open.
    pub fn shared(&self) -> Option<(SessionCheckout, Arc<ServerSession>)> {
        let checkout = SessionCheckout::of(&self.shared.load());
        let session = checkout.entry.session()?;
        Some((checkout, session))
    }

    /// Counts a call that waits for the shared session.
    pub fn wait_for_shared(&self) -> SessionCheckout {
        SessionCheckout::of(&self.shared.load())
    }

    /// Replaces the entry of the shared session by one without a session.
    pub fn renew_shared(&self) -> Arc<PoolEntry> {
        let old = self.shared.load();
        let entry = Arc::new(PoolEntry {
            calls: old.calls.clone(),
            last_call: Arc::clone(&old.last_call),
            ..PoolEntry::new(SessionOwner::Shared, old.idle)
        });
        self.shared.store(Arc::clone(&entry));
        entry
    }

    /// Uses the entry of an owner. Without a free place, the owner whose last call is longest ago
    /// loses theirs. Returns `None` if every owner has a call in flight.
    pub fn entry(&self, owner: &SessionOwner) -> Option<SessionCheckout> {
        let mut entries = self.lock();
        if let Some(entry) = entries.get(owner).filter(|entry| !entry.must_end()) {
            return Some(SessionCheckout::of(entry));
        }
        if !entries.contains_key(owner) && entries.len() >= self.max {
            let longest = entries
                .values()
                .filter(|entry| entry.calls.is_empty())
                .max_by_key(|entry| entry.idle_for())
                .map(Arc::clone)?;
            longest.end(SessionEndReason::Released);
            entries.remove(&longest.owner);
        }
        let entry = Arc::new(PoolEntry::new(owner.clone(), Some(self.idle)));
        let checkout = SessionCheckout::of(&entry);
        entries.insert(owner.clone(), entry);
        Some(checkout)
    }

    /// Ends the session of an owner, if there is one.
    pub fn dismiss(&self, owner: &SessionOwner) {
        if let Some(entry) = self.lock().remove(owner) {
            entry.end(SessionEndReason::Released);
        }
    }

    /// Withdraws a session and closes it. With `calls_finish`, its calls in flight get some time to
    /// end; otherwise they are aborted. Returns whether all of them ended.
    pub async fn retire(
        &self,
        entry: &Arc<PoolEntry>,
        session: &ServerSession,
        calls_finish: bool,
    ) -> bool {
        self.release(entry);
        entry.session.store(None);
        let is_calm = !calls_finish || session.has_ended() || entry.calls_ended().await;
        session.close().await;
        is_calm
    }

    /// Gives up an entry. Its owner may have a new one by now.
    pub fn release(&self, entry: &Arc<PoolEntry>) {
        entry.end(SessionEndReason::Released);
        let mut entries = self.lock();
        if entries
            .get(&entry.owner)
            .is_some_and(|it| Arc::ptr_eq(it, entry))
        {
            entries.remove(&entry.owner);
        }
    }

    /// Ends all sessions, except the shared one.
    pub fn clear(&self) {
        let entries = std::mem::take(&mut *self.lock());
        let entries = entries.into_values();
        entries.for_each(|entry| entry.end(SessionEndReason::Released));
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<SessionOwner, Arc<PoolEntry>>> {
        self.owned.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PoolEntry {
    fn new(owner: SessionOwner, idle: Option<Duration>) -> Self {
        let calls = TaskTracker::new();
        // Calls can begin anyway. This makes `wait` return when none is left.
        calls.close();
        Self {
            owner,
            idle,
            turn: Arc::default(),
            session: ArcSwapOption::empty(),
            calls,
            last_call: Arc::new(Mutex::new(Instant::now())),
            end: SetOnce::new(),
        }
    }

    /// The owner.
    pub fn owner(&self) -> &SessionOwner {
        &self.owner
    }

    /// The session, if calls may use it.
    pub fn session(&self) -> Option<Arc<ServerSession>> {
        self.session.load_full().filter(|_| !self.must_end())
    }

    /// Attaches the session that was opened for this entry.
    pub fn attach(&self, session: ServerSession) -> Arc<ServerSession> {
        let session = Arc::new(session);
        self.session.store(Some(Arc::clone(&session)));
        session
    }

    /// Waits for the turn to open the session.
    pub async fn turn(&self) -> OpenTurn {
        Arc::clone(&self.turn).lock_owned().await
    }

    /// Ends the session. The first reason counts.
    pub fn end(&self, reason: SessionEndReason) {
        self.end.set(reason).ok();
    }

    /// Whether the session must end.
    pub fn must_end(&self) -> bool {
        self.end.initialized()
    }

    /// Waits until the session must end.
    pub async fn given_up(&self) {
        self.end.wait().await;
    }

    /// Waits until the session must end, or made no call within the idle limit.
    pub async fn over(&self) -> SessionEndReason {
        let Some(limit) = self.idle else {
            return self.end.wait().await.clone();
        };
        loop {
            let left = limit.saturating_sub(self.idle_for());
            tokio::select! {
                reason = self.end.wait() => return reason.clone(),
                () = sleep(left.max(IDLE_POLL)) => {
                    if self.calls.is_empty() && self.idle_for() >= limit {
                        return SessionEndReason::Idle;
                    }
                }
            }
        }
    }

    /// Whether there is a session.
    fn is_open(&self) -> bool {
        self.session.load().is_some()
    }

    /// How long ago the last call ended.
    fn idle_for(&self) -> Duration {
        if !self.calls.is_empty() {
            return Duration::ZERO;
        }
        self.last_call().elapsed()
    }

    /// Waits until all calls have ended, up to [`FINISH_MAX`]. Returns whether they have.
    async fn calls_ended(&self) -> bool {
        timeout(FINISH_MAX, self.calls.wait()).await.is_ok()
    }

    fn last_call(&self) -> MutexGuard<'_, Instant> {
        self.last_call
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl OpenBackoff {
    /// The error to return without another attempt, if the last attempt failed recently.
    pub fn told(&self) -> Option<CallFailure> {
        let (until, failure) = self.last.as_ref()?;
        (Instant::now() < *until).then(|| failure.clone())
    }

    /// Makes the calls that wait for the same turn fail with the same error.
    pub fn told_to_all(&mut self, failure: &CallFailure) {
        self.last = Some((Instant::now() + TOLD, failure.clone()));
    }

    /// Notes a failure and when the next attempt may start.
    pub fn failed(&mut self, failure: &CallFailure) {
        let (_phase, delay) = self.backoff.ended(Duration::ZERO, rand::random());
        self.last = Some((Instant::now() + delay, failure.clone()));
    }

    /// Notes that the session was opened.
    pub fn over(&mut self) {
        self.backoff.reset();
        self.last = None;
    }
}

impl SessionCheckout {
    fn of(entry: &Arc<PoolEntry>) -> Self {
        Self {
            entry: Arc::clone(entry),
            _call: entry.calls.token(),
        }
    }

    /// The entry that the call uses.
    pub fn entry(&self) -> &Arc<PoolEntry> {
        &self.entry
    }
}

impl Drop for SessionCheckout {
    fn drop(&mut self) {
        *self.entry.last_call() = Instant::now();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDLE: Duration = Duration::from_millis(200);

    fn owner(name: &str) -> SessionOwner {
        SessionOwner::Group {
            name: name.into(),
            revision: 1,
        }
    }

    #[tokio::test]
    async fn a_call_that_waits_for_the_shared_session_keeps_it_from_being_idle() {
        let pool = SessionPool::new(2, IDLE, Some(IDLE));
        sleep(IDLE * 2).await;
        let waiting = pool.wait_for_shared();
        let entry = pool.renew_shared();
        assert!(timeout(IDLE * 2, entry.over()).await.is_err());
        drop(waiting);
        let began = Instant::now();
        assert_eq!(entry.over().await, SessionEndReason::Idle);
        assert!(began.elapsed() >= IDLE, "{:?}", began.elapsed());
    }

    #[tokio::test]
    async fn without_a_free_place_the_owner_who_called_longest_ago_loses_theirs() {
        let pool = SessionPool::new(2, IDLE, None);
        let (first, second, third) = (owner("first"), owner("second"), owner("third"));
        let entry = Arc::clone(pool.entry(&first).unwrap().entry());
        sleep(IDLE_POLL).await;
        let used = pool.entry(&second).unwrap();
        assert!(!entry.must_end());
        let third_used = pool.entry(&third).unwrap();
        assert!(entry.must_end() && !pool.has(&first));
        assert!(pool.entry(&first).is_none(), "both others have a call");
        assert!(pool.shared().is_none(), "no session was opened");
        drop(used);
        sleep(IDLE_POLL).await;
        drop(third_used);
        assert!(pool.entry(&first).is_some() && pool.has(&third));
    }

    #[tokio::test]
    async fn the_first_reason_to_end_counts_and_the_owner_gets_a_new_entry() {
        let pool = SessionPool::new(2, IDLE, None);
        let old = Arc::clone(pool.entry(&owner("a")).unwrap().entry());
        let lost = SessionEndReason::Lost("why".to_owned());
        old.end(lost.clone());
        old.end(SessionEndReason::Restart);
        assert_eq!(old.over().await, lost);
        let new = Arc::clone(pool.entry(&owner("a")).unwrap().entry());
        assert!(!Arc::ptr_eq(&old, &new));
        // The end of the old session does not end the new one.
        pool.release(&old);
        assert!(pool.has(&owner("a")) && !new.must_end());
        pool.clear();
        assert!(!pool.has(&owner("a")) && new.must_end());
    }

    #[tokio::test]
    async fn a_session_that_must_end_waits_for_its_calls() {
        let pool = SessionPool::new(2, IDLE, None);
        let used = pool.entry(&owner("a")).unwrap();
        let entry = Arc::clone(used.entry());
        assert!(timeout(IDLE, entry.calls_ended()).await.is_err());
        let ending = async {
            sleep(IDLE).await;
            drop(used);
        };
        assert!(tokio::join!(entry.calls_ended(), ending).0);
    }
}
