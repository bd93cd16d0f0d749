//! The only code that speaks MCP: [`Session`]s and their transports.
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

pub use connect::{Connector, Known};
pub use credential::{Courier, Credential, NoToken};
pub use demo::demo_server;
pub use error::{CallError, ConnectError};
pub use guard::guarded_client;
#[cfg(fuzzing)]
pub use http::frames_of;
pub use http::{http_client, install_tls};
#[cfg(fuzzing)]
pub use inbox::{STDIO_KEPT_MAX, stdio_of};
pub use process::LastWords;
pub use progress::{Ear, Progress};
pub use session::{ServerInfo, Session};
pub use unasked::Bounds;
pub use weight::lighten;
