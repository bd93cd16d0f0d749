//! [`AdmissionControl`] and [`RequestPlace`]: the limit on concurrent requests, shared among callers.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::time::{sleep, timeout};

use crate::{
    config::LimitSettings,
    rate::{CallerKey, FairShare, FairShareError, FairSharePool, SharePolicy},
};

/// The number of places that administrators have when all other places are taken.
const RESERVED: usize = 16;

/// The limit on requests whose sender is not yet identified: its minimum and maximum.
const ENTERING: (usize, usize) = (16, 512);

/// Bodies and answers smaller than this are not counted, in bytes. The limit on requests bounds
/// them well enough.
pub const UNCOUNTED_BYTES: usize = 16 << 10;

/// The memory for the answers of all callers, as a multiple of the largest answer.
const ANSWERS_TIMES: usize = 3;

/// The memory for the bodies of all callers, as a multiple of the largest body.
const BODIES_TIMES: usize = 12;

/// The minimum of that memory, in bytes.
const HELD_BYTES_MIN: usize = 64 << 20;

/// How long an answer waits for its caller to read earlier answers.
const ANSWER_WAIT: Duration = Duration::from_secs(5);

/// How often a waiting answer checks for room.
const ANSWER_LOOK: Duration = Duration::from_millis(20);

/// Admits a limited number of requests. Further requests are refused at once and do not wait.
#[derive(Debug, Clone)]
pub struct AdmissionControl(Arc<AdmissionState>);

/// The state that all requests share.
#[derive(Debug)]
struct AdmissionState {
    /// Requests whose sender is not yet identified.
    entering: AtomicUsize,
    entering_max: usize,
    /// The places of callers.
    places: Arc<FairSharePool>,
    /// Extra places for administrators.
    reserved: Arc<FairSharePool>,
    /// Bytes of request bodies.
    bodies: Arc<FairSharePool>,
    /// Bytes of unread answers.
    answers: Arc<FairSharePool>,
    /// Bytes of unread answers, including answers that wait for room.
    produced: Arc<FairSharePool>,
    /// Answers that wait for room. Each caller can have one.
    patient: Arc<FairSharePool>,
}

/// The place of one request. Until its sender is identified, it counts toward a small limit; then
/// it counts for its caller.
#[derive(Debug)]
pub struct RequestPlace {
    bounds: Arc<AdmissionState>,
    state: Mutex<PlaceState>,
}

/// The caller of the request, and what it holds.
#[derive(Debug, Default)]
struct PlaceState {
    caller: Option<CallerKey>,
    place: Option<FairShare>,
    body: Option<FairShare>,
}

/// The bytes of an answer that is not read completely. They are released on drop.
#[derive(Debug)]
pub struct ResponseMemory {
    _unread: FairShare,
    _produced: FairShare,
}

/// Why a request has no place, or no memory for its body or its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PlaceError {
    /// Too many requests wait for their sender to be identified.
    #[error("too many requests are waiting to be authenticated; try again in a moment")]
    Entering,
    /// All places for requests are taken.
    #[error("{}", match .0 {
        FairShareError::Own => "you have reached the limit of concurrent requests for one caller; wait until one of them has ended, then try again",
        FairShareError::All => "too many requests at once; try again in a moment",
    })]
    Place(FairShareError),
    /// The memory for request bodies is used up.
    #[error("{}", match .0 {
        FairShareError::Own => "your requests in progress use all the memory that one caller may use; send fewer large requests at once",
        FairShareError::All => "too many large requests are being sent; try again in a moment",
    })]
    Body(FairShareError),
    /// The memory for unread answers is used up.
    #[error("{}", match .0 {
        FairShareError::Own => "your unread answers use all the memory that one caller may use; the call was made, but its answer was dropped: read your answers, or make fewer large calls at once",
        FairShareError::All => "unread answers of all callers use all the memory for answers; the call was made, but its answer was dropped",
    })]
    Answer(FairShareError),
}

impl AdmissionControl {
    /// A gate for `requests_max` requests, with memory for bodies and answers in proportion to the
    /// largest of each.
    pub fn new(requests_max: usize, limits: &LimitSettings) -> Self {
        let (least, most) = ENTERING;
        let bytes = |largest: usize, times: usize| {
            let all = largest.saturating_mul(times).max(HELD_BYTES_MIN);
            // A caller's share is at least the largest body or answer.
            (all, SharePolicy::Capped(all / 8 * 3))
        };
        let (bodies, of_bodies) = bytes(limits.body_bytes_max, BODIES_TIMES);
        let (answers, of_answers) = bytes(limits.result_bytes_max, ANSWERS_TIMES);
        Self(Arc::new(AdmissionState {
            entering: AtomicUsize::new(0),
            entering_max: (requests_max / 4).clamp(least, most),
            places: FairSharePool::new(requests_max, SharePolicy::Dynamic),
            reserved: FairSharePool::new(RESERVED, SharePolicy::Dynamic),
            bodies: FairSharePool::new(bodies, of_bodies),
            answers: FairSharePool::new(answers, of_answers),
            produced: FairSharePool::new(answers, SharePolicy::Capped(answers / 8 * 5)),
            patient: FairSharePool::new(usize::MAX, SharePolicy::Capped(1)),
        }))
    }

    /// A place for a request whose sender is not yet identified, or `None` if all are taken.
    pub fn enter(&self) -> Option<Arc<RequestPlace>> {
        let before = self.0.entering.fetch_add(1, Ordering::Relaxed);
        // Dropping the seat decrements the counter again.
        let seat = RequestPlace {
            bounds: Arc::clone(&self.0),
            state: Mutex::default(),
        };
        (before < self.0.entering_max).then(|| Arc::new(seat))
    }
}

impl RequestPlace {
    /// Assigns the place to the caller, within the caller's share of all places.
    pub fn claim(&self, caller: CallerKey) -> Result<(), FairShareError> {
        self.claim_of(&self.bounds.places, caller)
    }

    /// The same with a place that is reserved for administrators.
    pub fn claim_reserved(&self, caller: CallerKey) -> Result<(), FairShareError> {
        self.claim_of(&self.bounds.reserved, caller)
    }

    fn claim_of(
        &self,
        places: &Arc<FairSharePool>,
        caller: CallerKey,
    ) -> Result<(), FairShareError> {
        let mut state = self.lock();
        if state.place.is_some() {
            return Ok(());
        }
        state.place = Some(places.take(caller, 1)?);
        state.caller = Some(caller);
        drop(state);
        self.bounds.entering.fetch_sub(1, Ordering::Relaxed);
        Ok(())
    }

    /// Counts bytes of the request body. They are held until the request ends.
    pub fn hold_body(&self, bytes: usize) -> Result<(), PlaceError> {
        let mut state = self.lock();
        let Some(caller) = state.caller else {
            return Ok(());
        };
        let held = match &mut state.body {
            Some(body) => body.grow(bytes),
            empty => self.bounds.bodies.take(caller, bytes).map(|share| {
                *empty = Some(share);
            }),
        };
        held.map_err(PlaceError::Body)
    }

    /// Counts bytes of an answer until the caller has read them. If there is no room, it waits
    /// briefly for the caller to read earlier answers.
    pub async fn hold_answer(&self, bytes: usize) -> Result<Option<ResponseMemory>, PlaceError> {
        let Some(caller) = self.lock().caller else {
            return Ok(None);
        };
        let bounds = &self.bounds;
        let produced = bounds
            .produced
            .take(caller, bytes)
            .map_err(PlaceError::Answer)?;
        let unread = match bounds.answers.take(caller, bytes) {
            Ok(unread) => unread,
            Err(full) => {
                let _patient = bounds
                    .patient
                    .take(caller, 1)
                    .map_err(|_| PlaceError::Answer(full))?;
                let room = room_for(&bounds.answers, caller, bytes);
                timeout(ANSWER_WAIT, room)
                    .await
                    .map_err(|_| PlaceError::Answer(full))?
            }
        };
        Ok(Some(ResponseMemory {
            _unread: unread,
            _produced: produced,
        }))
    }

    /// Locks the state. It stays consistent even if a thread panicked while it held the lock.
    fn lock(&self) -> MutexGuard<'_, PlaceState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for RequestPlace {
    fn drop(&mut self) {
        if self.lock().place.is_none() {
            self.bounds.entering.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// Waits until a caller has room for this many bytes.
async fn room_for(shares: &Arc<FairSharePool>, caller: CallerKey, bytes: usize) -> FairShare {
    loop {
        sleep(ANSWER_LOOK).await;
        if let Ok(share) = shares.take(caller, bytes) {
            return share;
        }
    }
}
