//! The only code that speaks MCP: sessions and their transports.

mod decode;
mod error;
mod http;
mod openapi;
mod sse;

pub use error::{CallError, ConnectError};
