//! The only code that speaks MCP: sessions and their transports.

mod decode;
mod error;

pub use error::{CallError, ConnectError};
