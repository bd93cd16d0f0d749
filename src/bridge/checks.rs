//! Checks the arguments of calls: immediately if that is cheap, otherwise on a separate thread.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use serde_json::{Map, Value};

use super::{handle::Bridge, tools::ToolEntry};
use crate::{
    compute::ComputeError,
    schema::{ArgumentError, CheckEffort},
};

/// How long a call waits for its check to start on a separate thread.
const CHECK_WAIT_MAX: Duration = Duration::from_millis(200);

/// If a body is at most this large and its check is expensive, the schema is the cause, not the
/// body.
const SMALL_BODY_BYTES: usize = 64 << 10;

/// Arguments that passed the check.
#[derive(Debug)]
pub struct AcceptedArguments {
    /// The arguments to send to the server.
    pub arguments: Map<String, Value>,
    /// The same arguments as JSON, kept if a second check would take long. As JSON values they take
    /// many times the memory.
    spare: Option<Vec<u8>>,
}

/// Arguments that are not passed on.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ArgumentCheckError {
    /// They do not match the schema, or cannot be checked.
    #[error(transparent)]
    Refused(ArgumentError),
    /// The check would have to wait too long for the checks of other calls.
    #[error("this bridge is busy checking the arguments of other calls; try again in a moment")]
    Busy,
}

impl AcceptedArguments {
    /// Rebuilds the arguments for a second attempt.
    pub fn again(&self, entry: &ToolEntry, body: &[u8]) -> Map<String, Value> {
        match &self.spare {
            Some(spare) => serde_json::from_slice(spare).unwrap_or_default(),
            // Arguments that were accepted once are accepted again: the first check took a light
            // effort.
            None => entry.check(body, CheckEffort::Light).unwrap_or_default(),
        }
    }
}

impl Bridge {
    /// Runs work on a large result as soon as a thread is free.
    pub async fn digest<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, ComputeError> {
        self.factory.context().replies.run(work).await
    }

    /// Checks the body of a tool call.
    pub async fn accept(
        &self,
        entry: &Arc<ToolEntry>,
        body: &Bytes,
    ) -> Result<AcceptedArguments, ArgumentCheckError> {
        match entry.accept_at_once(body) {
            Err(ArgumentError::TooCostly) => {}
            checked => {
                let arguments = checked.map_err(ArgumentCheckError::Refused)?;
                let spare = None;
                return Ok(AcceptedArguments { arguments, spare });
            }
        }
        if entry.checking.rests.is_running() {
            return Err(ArgumentCheckError::Refused(ArgumentError::TooCostly));
        }
        let (checked, bytes) = (Arc::clone(entry), body.clone());
        let work = move || checked.accept_fully(&bytes);
        let pool = &self.factory.context().checks;
        match pool
            .run_soon(self.limits.checks(), CHECK_WAIT_MAX, work)
            .await
        {
            Ok(outcome) => outcome.map_err(ArgumentCheckError::Refused),
            Err(_) if entry.checking.rests.is_running() => {
                Err(ArgumentCheckError::Refused(ArgumentError::TooCostly))
            }
            Err(ComputeError::Busy | ComputeError::Failed) => Err(ArgumentCheckError::Busy),
        }
    }
}

impl ToolEntry {
    /// Checks the body of a call; see [`ArgumentSchema::accept`](crate::schema::ArgumentSchema::accept).
    pub fn check(
        &self,
        body: &[u8],
        effort: CheckEffort,
    ) -> Result<Map<String, Value>, ArgumentError> {
        let schema = self.arguments.get(&self.tool.input_schema, effort);
        schema.ok_or(ArgumentError::TooCostly)?.accept(body, effort)
    }

    /// Checks a body with the full effort that one call may cost.
    fn accept_fully(&self, body: &[u8]) -> Result<AcceptedArguments, ArgumentError> {
        if self.checking.rests.is_running() {
            return Err(ArgumentError::TooCostly);
        }
        let checked = self.check(body, CheckEffort::Full);
        if checked == Err(ArgumentError::TooCostly) && body.len() <= SMALL_BODY_BYTES {
            self.checking.rests.start();
        }
        let arguments = checked?;
        let spare = serde_json::to_vec(&arguments).ok();
        Ok(AcceptedArguments { arguments, spare })
    }

    /// Checks a body with the effort that is acceptable on a thread of the async runtime.
    fn accept_at_once(&self, body: &[u8]) -> Result<Map<String, Value>, ArgumentError> {
        let schema = self
            .arguments
            .get(&self.tool.input_schema, CheckEffort::Light);
        let schema = schema.ok_or(ArgumentError::TooCostly)?;
        if self.checking.is_costly.is_running() {
            return schema.accept(body, CheckEffort::Minimal);
        }
        let checked = schema.accept(body, CheckEffort::Light);
        if checked == Err(ArgumentError::TooCostly) && body.len() <= SMALL_BODY_BYTES {
            self.checking.is_costly.start();
        }
        checked
    }
}
