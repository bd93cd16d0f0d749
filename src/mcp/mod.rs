//! The only code that speaks MCP: [`ServerSession`]s and their transports.
//!
//! ```text
//! Connector ── connect ──▶ Session ── call, list_tools, close
//!                             │
//!        stdio · Streamable HTTP · HTTP+SSE · OpenAPI service
//! ```

mod allowance;
mod aside;
mod connect;
mod credential;
mod decode;
mod demo;
mod envelope;
mod error;
mod exit;
mod guard;
mod handshake;
mod http;
mod inbox;
mod lines;
mod listener;
pub mod oauth;
mod openapi;
mod outbox;
mod pages;
mod preview;
mod process;
mod progress;
mod session;
mod sse;
mod stdio;
mod unasked;
mod watched;
mod weight;

pub use connect::ServerConnector;
pub use credential::{AuthorizedClient, TokenSource};
pub use demo::demo_server;
pub use error::{CallError, ConnectError, TokenError};
#[cfg(fuzzing)]
pub use http::frames_of;
pub use http::{guarded_client, http_client, install_tls};
#[cfg(fuzzing)]
pub use inbox::{STDIO_KEPT_MAX, stdio_of};
pub use process::LastOutput;
pub use progress::{ProgressMessage, ProgressSink};
pub use session::{DetectedProtocol, ServerInfo, ServerSession};
pub use unasked::AnswerLimits;
pub use weight::lighten;
