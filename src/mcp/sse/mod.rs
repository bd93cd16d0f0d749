//! The HTTP+SSE transport of MCP 2024-11-05, which rmcp no longer supports.
//!
//! The client opens one event stream. Its first event, `endpoint`, contains the URL that takes the client's
//! messages. All answers arrive as `message` events. The session is the stream: when it ends, there is
//! nothing to resume, and the bridge connects again.

mod connect;
mod reader;
mod transport;

pub use connect::connect;

#[cfg(test)]
mod tests;
