//! The error for arguments that cannot become a request.

use crate::mcp::error::CallError;

/// JSON-RPC's code for invalid arguments.
const INVALID_PARAMS: i64 = -32_602;

/// The error for an invalid argument.
pub fn invalid(message: String) -> CallError {
    CallError::Rpc {
        code: INVALID_PARAMS,
        message,
        data: None,
    }
}
