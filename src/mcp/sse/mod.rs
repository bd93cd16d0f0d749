//! The HTTP+SSE transport of MCP 2024-11-05, which rmcp no longer has.
//!
//! The client opens one event stream; its first event, `endpoint`, names the URL that takes the
//! client's messages; all answers come as `message` events. The session is the stream: when it
//! ends there is nothing to resume, and the bridge connects again.

mod connect;
mod reader;
mod transport;

pub use connect::connect;

#[cfg(test)]
mod tests;
