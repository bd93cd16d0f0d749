//! The call of a server as a span of a trace, where traces are collected.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::{call::Order, handle::Bridge};
use crate::{
    error_code::ErrorCode,
    mcp::{CallError, Session},
    telemetry::Called,
};

/// What a result says of itself.
#[derive(Deserialize)]
struct Verdict {
    /// Whether the tool calls it an error.
    #[serde(rename = "isError", default)]
    is_error: bool,
}

impl Bridge {
    /// Calls a tool in a session. Where a trace is kept of it, its server is told to go on with that.
    pub(super) async fn traced(
        &self,
        session: &Session,
        order: Order<'_>,
        arguments: Map<String, Value>,
        limit: Duration,
    ) -> Result<String, CallError> {
        let Some(request) = order.span else {
            return session
                .call(order.tool, arguments, order.passed, order.ear, limit)
                .await;
        };
        let span = request.call(&Called {
            bridge: self.name(),
            tool: order.tool,
            protocol: &session.server.protocol,
            is_child: session.group.is_some(),
        });
        let mut passed = order.passed.clone();
        span.put_into(&mut passed);
        let result = session
            .call(order.tool, arguments, &passed, order.ear, limit)
            .await;
        let (error, rpc) = match &result {
            Ok(result) => (is_error(result).then_some(ErrorCode::ToolError), None),
            Err(error) => (Some(error.code()), code(error)),
        };
        span.end(error, rpc);
        result
    }
}

/// Whether the tool calls its result an error. What cannot be read is no error of the tool.
fn is_error(result: &str) -> bool {
    serde_json::from_str::<Verdict>(result).is_ok_and(|verdict| verdict.is_error)
}

/// The number of a JSON-RPC error.
fn code(error: &CallError) -> Option<i64> {
    match error {
        CallError::Rpc { code, .. } => Some(*code),
        CallError::Timeout(_)
        | CallError::Lost
        | CallError::NotSent(_)
        | CallError::Auth(..)
        | CallError::NoToken(_)
        | CallError::RateLimited { .. }
        | CallError::TooLarge(_)
        | CallError::Http(..)
        | CallError::Protocol(_) => None,
    }
}
