//! Checks the arguments of calls: at once where it costs little, else on a thread of its own.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use serde_json::{Map, Value};

use super::{handle::Bridge, toolset::Entry};
use crate::{
    compute::ComputeError,
    schema::{Effort, Refusal},
};

/// How long a call waits for its check to begin, where that takes a thread of its own.
const CHECK_WAIT_MAX: Duration = Duration::from_millis(200);

/// For how long it counts that the schema of a tool was too complex for small arguments.
const REST: Duration = Duration::from_secs(5);

/// Bodies up to so many bytes are not to blame for the cost of their check.
const SMALL_BODY_BYTES: usize = 64 << 10;

/// Arguments that fit.
#[derive(Debug)]
pub struct Accepted {
    /// What is sent to the server.
    pub arguments: Map<String, Value>,
    /// The same as JSON, where checking again would take long: as values they take many times the memory.
    spare: Option<Vec<u8>>,
}

/// Arguments that are not passed on.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Unaccepted {
    /// They do not fit, or cannot be checked.
    #[error(transparent)]
    Refused(Refusal),
    /// The checks of other calls are under way.
    #[error(
        "the arguments of other calls are being checked, which takes long for this bridge; try again in a moment"
    )]
    Busy,
}

impl Accepted {
    /// The arguments again, for a second attempt.
    pub fn again(&self, entry: &Entry, body: &[u8]) -> Map<String, Value> {
        match &self.spare {
            Some(spare) => serde_json::from_slice(spare).unwrap_or_default(),
            // What was accepted once is accepted again: it took a light effort.
            None => entry.check(body, Effort::Light).unwrap_or_default(),
        }
    }
}

impl Bridge {
    /// Runs work on a large result, as soon as there is a place for it.
    pub async fn digest<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, ComputeError> {
        self.opener.context.replies.run(work).await
    }

    /// Checks the body of a call of a tool.
    pub async fn accept(&self, entry: &Arc<Entry>, body: &Bytes) -> Result<Accepted, Unaccepted> {
        match entry.accept_at_once(body) {
            Err(Refusal::TooCostly) => {}
            checked => {
                let arguments = checked.map_err(Unaccepted::Refused)?;
                let spare = None;
                return Ok(Accepted { arguments, spare });
            }
        }
        if entry.checking.rests.is_running() {
            return Err(Unaccepted::Refused(Refusal::TooCostly));
        }
        let (checked, bytes) = (Arc::clone(entry), body.clone());
        let work = move || checked.accept_fully(&bytes);
        let pool = &self.opener.context.checks;
        match pool.run_soon(&self.checks, CHECK_WAIT_MAX, work).await {
            Ok(outcome) => outcome.map_err(Unaccepted::Refused),
            Err(_) if entry.checking.rests.is_running() => {
                Err(Unaccepted::Refused(Refusal::TooCostly))
            }
            Err(ComputeError::Busy | ComputeError::Failed) => Err(Unaccepted::Busy),
        }
    }
}

impl Entry {
    /// Checks the body of a call, see [`ArgumentSchema::accept`].
    pub fn check(&self, body: &[u8], effort: Effort) -> Result<Map<String, Value>, Refusal> {
        let schema = self.arguments.get(&self.tool.input_schema, effort);
        schema.ok_or(Refusal::TooCostly)?.accept(body, effort)
    }

    /// Checks a body with all the effort that one call may cost.
    fn accept_fully(&self, body: &[u8]) -> Result<Accepted, Refusal> {
        if self.checking.rests.is_running() {
            return Err(Refusal::TooCostly);
        }
        let checked = self.check(body, Effort::Full);
        if checked == Err(Refusal::TooCostly) && body.len() <= SMALL_BODY_BYTES {
            self.checking.rests.start();
        }
        let arguments = checked?;
        let spare = serde_json::to_vec(&arguments).ok();
        Ok(Accepted { arguments, spare })
    }

    /// Checks a body with the effort that it may cost on a thread that others wait for.
    fn accept_at_once(&self, body: &[u8]) -> Result<Map<String, Value>, Refusal> {
        let schema = self.arguments.get(&self.tool.input_schema, Effort::Light);
        let schema = schema.ok_or(Refusal::TooCostly)?;
        if self.checking.is_costly.is_running() {
            return schema.accept(body, Effort::Minimal);
        }
        let checked = schema.accept(body, Effort::Light);
        if checked == Err(Refusal::TooCostly) && body.len() <= SMALL_BODY_BYTES {
            self.checking.is_costly.start();
        }
        checked
    }
}

/// What the costly checks of a tool mean for the next ones, for [`REST`].
#[derive(Debug, Default)]
pub(super) struct Checking {
    /// Checks that others wait for take the minimal effort.
    is_costly: Timer,
    /// Checks on a thread of their own are refused: the schema is too complex.
    rests: Timer,
}

/// Runs for [`REST`] after each start: milliseconds since the first start of any, or zero.
#[derive(Debug, Default)]
struct Timer(AtomicU64);

/// When the first timer was started.
static FIRST: OnceLock<Instant> = OnceLock::new();

impl Timer {
    /// Starts it.
    fn start(&self) {
        self.0.store(Self::now() + millis(REST), Ordering::Relaxed);
    }

    /// Whether it was started a moment ago.
    fn is_running(&self) -> bool {
        let until = self.0.load(Ordering::Relaxed);
        until != 0 && Self::now() < until
    }

    /// Milliseconds since the first start.
    fn now() -> u64 {
        millis(FIRST.get_or_init(Instant::now).elapsed())
    }
}

/// Whole milliseconds.
fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
