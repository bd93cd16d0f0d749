//! [`Gate`] and [`Seat`]: the bound on requests served at once, shared out among callers.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::time::{sleep, timeout};

use super::error::ApiError;
use crate::{
    config::Limits,
    error_code::ErrorCode,
    rate::{CallerKey, Full, Policy, Share, Shares},
};

/// Requests that are served for administrators when all places are taken.
const RESERVED: usize = 16;

/// Requests whose sender is not known yet, at least and at most.
const ENTERING: (usize, usize) = (16, 512);

/// Bodies and answers of less than this are not counted, in bytes: they are bounded by the number of
/// requests.
pub const UNCOUNTED_BYTES: usize = 16 << 10;

/// What answers of all callers may hold, as a multiple of the largest one.
const ANSWERS_TIMES: usize = 3;

/// What bodies of all callers may hold, as a multiple of the largest one.
const BODIES_TIMES: usize = 12;

/// The least of that, in bytes.
const HELD_BYTES_MIN: usize = 64 << 20;

/// How long an answer waits until its caller has read the answers before it.
const ANSWER_WAIT: Duration = Duration::from_secs(5);

/// How often it looks whether they did.
const ANSWER_LOOK: Duration = Duration::from_millis(20);

/// Lets a bounded number of requests in; the rest is refused at once, not queued.
#[derive(Debug, Clone)]
pub struct Gate(Arc<Bounds>);

/// What requests share.
#[derive(Debug)]
struct Bounds {
    /// Requests whose sender is not known yet.
    entering: AtomicUsize,
    entering_max: usize,
    /// Requests of callers.
    places: Arc<Shares>,
    /// More of them, for administrators.
    reserved: Arc<Shares>,
    /// Bytes of request bodies.
    bodies: Arc<Shares>,
    /// Bytes of answers that are not read.
    answers: Arc<Shares>,
    /// Bytes of answers that are not read, and of those that wait for them.
    produced: Arc<Shares>,
    /// Answers that wait, one of a caller at a time.
    patient: Arc<Shares>,
}

/// The place of one request. Before its sender is known it is one of few; then it is the caller's.
#[derive(Debug)]
pub struct Seat {
    bounds: Arc<Bounds>,
    state: Mutex<State>,
}

/// Whose it is.
#[derive(Debug, Default)]
struct State {
    caller: Option<CallerKey>,
    place: Option<Share>,
    body: Option<Share>,
}

/// The bytes of an answer that is not wholly read; given back on drop.
#[derive(Debug)]
pub struct Held {
    _unread: Share,
    _produced: Share,
}

impl Gate {
    /// A gate with so many places, and room for bodies and answers by the largest of each.
    pub fn new(requests_max: usize, limits: &Limits) -> Self {
        let (least, most) = ENTERING;
        let bytes = |largest: usize, times: usize| {
            let all = largest.saturating_mul(times).max(HELD_BYTES_MIN);
            // At least the largest.
            (all, Policy::Capped(all / 8 * 3))
        };
        let (bodies, of_bodies) = bytes(limits.body_bytes_max, BODIES_TIMES);
        let (answers, of_answers) = bytes(limits.result_bytes_max, ANSWERS_TIMES);
        Self(Arc::new(Bounds {
            entering: AtomicUsize::new(0),
            entering_max: (requests_max / 4).clamp(least, most),
            places: Shares::new(requests_max, Policy::Dynamic),
            reserved: Shares::new(RESERVED, Policy::Dynamic),
            bodies: Shares::new(bodies, of_bodies),
            answers: Shares::new(answers, of_answers),
            produced: Shares::new(answers, Policy::Capped(answers / 8 * 5)),
            patient: Shares::new(usize::MAX, Policy::Capped(1)),
        }))
    }

    /// A place for a request whose sender is not known yet, while there is one.
    pub fn enter(&self) -> Option<Arc<Seat>> {
        let before = self.0.entering.fetch_add(1, Ordering::Relaxed);
        // Its drop takes the number back.
        let seat = Seat {
            bounds: Arc::clone(&self.0),
            state: Mutex::default(),
        };
        (before < self.0.entering_max).then(|| Arc::new(seat))
    }

    /// The refusal of a request whose sender is not known yet.
    pub fn refusal() -> ApiError {
        busy("too many requests wait until it is known who sent them; try again in a moment")
    }
}

impl Seat {
    /// Makes the place the caller's, within its share of all places.
    pub fn claim(&self, caller: CallerKey) -> Result<(), Full> {
        self.claim_of(&self.bounds.places, caller)
    }

    /// The same out of what is reserved for administrators.
    pub fn claim_reserved(&self, caller: CallerKey) -> Result<(), Full> {
        self.claim_of(&self.bounds.reserved, caller)
    }

    fn claim_of(&self, places: &Arc<Shares>, caller: CallerKey) -> Result<(), Full> {
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

    /// Counts bytes of the request's body that are held until the request has ended.
    pub fn hold_body(&self, bytes: usize) -> Result<(), ApiError> {
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
        held.map_err(|full| match full {
            Full::Own => busy(
                "your requests that are being sent hold as many bytes as those of one caller may; send fewer large ones at once",
            ),
            Full::All => busy("too many large requests are being sent; try again in a moment"),
        })
    }

    /// Counts bytes of an answer until the caller has read them. One that does not fit waits for a
    /// moment while the caller reads those before it.
    pub async fn hold_answer(&self, bytes: usize) -> Result<Option<Held>, ApiError> {
        let Some(caller) = self.lock().caller else {
            return Ok(None);
        };
        let bounds = &self.bounds;
        let refused = |full| match full {
            Full::Own => busy(
                "the answers that you have not read hold as many bytes as those of one caller may; the call was made, and its answer is dropped: read your answers, or make fewer large calls at once",
            ),
            Full::All => busy(
                "answers that are not read hold all the memory that there is for them; the call was made, and its answer is dropped",
            ),
        };
        let produced = bounds.produced.take(caller, bytes).map_err(refused)?;
        let unread = match bounds.answers.take(caller, bytes) {
            Ok(unread) => unread,
            Err(full) => {
                let _patient = bounds.patient.take(caller, 1).map_err(|_| refused(full))?;
                let room = room_for(&bounds.answers, caller, bytes);
                timeout(ANSWER_WAIT, room)
                    .await
                    .map_err(|_| refused(full))?
            }
        };
        Ok(Some(Held {
            _unread: unread,
            _produced: produced,
        }))
    }

    /// A thread that panicked in here left nothing half done.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        if self.lock().place.is_none() {
            self.bounds.entering.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// Waits until there is room for so many bytes of a caller.
async fn room_for(shares: &Arc<Shares>, caller: CallerKey, bytes: usize) -> Share {
    loop {
        sleep(ANSWER_LOOK).await;
        if let Ok(share) = shares.take(caller, bytes) {
            return share;
        }
    }
}

/// The refusal of a caller for whom there is no place.
pub fn refusal(full: Full) -> ApiError {
    match full {
        Full::Own => busy(
            "you have as many requests under way as one caller may have; wait until one of them has ended, then try again",
        ),
        Full::All => busy("too many requests at once; try again in a moment"),
    }
}

fn busy(detail: &str) -> ApiError {
    let mut error = ApiError::new(ErrorCode::Busy, detail);
    error.retry_after = Some("1".to_owned());
    error
}
