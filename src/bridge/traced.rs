//! Calls a tool as a span of a trace, if traces are collected.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::{call::ToolCall, handle::Bridge};
use crate::{
    error_code::ErrorCode,
    mcp::{CallError, ServerSession},
    telemetry::CalledTool,
};

/// The part of a result that says whether it is an error.
#[derive(Deserialize)]
struct ResultErrorFlag {
    /// Whether the tool marks its result as an error.
    #[serde(rename = "isError", default)]
    is_error: bool,
}

impl Bridge {
    /// Calls a tool in a session. If the call is traced, passes the trace context to the server.
    pub(super) async fn traced(
        &self,
        session: &ServerSession,
        order: ToolCall<'_>,
        arguments: Map<String, Value>,
        limit: Duration,
    ) -> Result<String, CallError> {
        let Some(request) = order.span else {
            return session
                .call(order.tool, arguments, order.passed, order.ear, limit)
                .await;
        };
        let span = request.call(&CalledTool {
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

/// Whether the tool marks its result as an error. A result that cannot be parsed does not count as
/// an error of the tool.
fn is_error(result: &str) -> bool {
    serde_json::from_str::<ResultErrorFlag>(result).is_ok_and(|verdict| verdict.is_error)
}

/// The JSON-RPC code of an error.
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
