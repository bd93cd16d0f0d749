//! Checks the arguments of calls: at once where it costs little, else on a thread of its own.

use std::{
    sync::{Arc, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use serde_json::{Map, Value};
use tokio::time::Instant;

use super::{handle::Bridge, toolset::Entry};
use crate::{
    compute::ComputeError,
    schema::{Effort, Refusal},
};

/// How long a call waits for its check to begin, where that takes a thread of its own.
const CHECK_WAIT_MAX: Duration = Duration::from_millis(200);

/// A tool whose schema was too complex for small arguments gets no thread for so long.
const REST: Duration = Duration::from_secs(5);

/// Bodies up to so many bytes are not to blame for the cost of their check.
const SMALL_BODY_BYTES: usize = 64 << 10;

/// Arguments that fit.
#[derive(Debug)]
pub struct Accepted {
    /// What is sent to the server.
    pub arguments: Map<String, Value>,
    /// The same once more, where checking again would take long.
    spare: Option<Map<String, Value>>,
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
            Some(spare) => spare.clone(),
            // What was accepted once is accepted again.
            None => entry
                .arguments
                .accept(body, Effort::Light)
                .unwrap_or_default(),
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
        match entry.arguments.accept(body, Effort::Light) {
            Err(Refusal::TooCostly) => {}
            checked => {
                let arguments = checked.map_err(Unaccepted::Refused)?;
                let spare = None;
                return Ok(Accepted { arguments, spare });
            }
        }
        if entry.rests() {
            return Err(Unaccepted::Refused(Refusal::TooCostly));
        }
        let (checked, bytes) = (Arc::clone(entry), body.clone());
        let work = move || checked.accept_fully(&bytes);
        let pool = &self.opener.context.checks;
        match pool.run_soon(&self.checks, CHECK_WAIT_MAX, work).await {
            Ok(outcome) => outcome.map_err(Unaccepted::Refused),
            Err(_) if entry.rests() => Err(Unaccepted::Refused(Refusal::TooCostly)),
            Err(ComputeError::Busy | ComputeError::Failed) => Err(Unaccepted::Busy),
        }
    }
}

impl Entry {
    /// Checks a body with all the effort that one call may cost.
    fn accept_fully(&self, body: &[u8]) -> Result<Accepted, Refusal> {
        if self.rests() {
            return Err(Refusal::TooCostly);
        }
        let checked = self.arguments.accept(body, Effort::Full);
        if checked == Err(Refusal::TooCostly) && body.len() <= SMALL_BODY_BYTES {
            let mut rests_until = self
                .rests_until
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            *rests_until = Some(Instant::now() + REST);
        }
        let arguments = checked?;
        let spare = Some(arguments.clone());
        Ok(Accepted { arguments, spare })
    }

    /// Whether its schema was too complex a moment ago.
    fn rests(&self) -> bool {
        let rests_until = self
            .rests_until
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        rests_until.is_some_and(|until| Instant::now() < until)
    }
}
