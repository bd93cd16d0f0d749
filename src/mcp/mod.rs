//! The only code that speaks MCP: [`Session`]s and their transports.
//!
//! ```text
//! Connector ── connect ──▶ Session ── call, list_tools, close
//!                             │
//!        stdio · Streamable HTTP · HTTP+SSE · OpenAPI service
//! ```

mod connect;
mod credential;
mod decode;
mod demo;
mod error;
mod guard;
mod http;
mod lines;
mod listener;
pub mod oauth;
mod openapi;
mod outbox;
mod pages;
mod process;
mod progress;
mod session;
mod sse;
mod stdio;

pub use connect::{Connector, Known};
pub use credential::{Courier, Credential, NoToken};
pub use demo::demo_server;
pub use error::{CallError, ConnectError};
pub use guard::guarded_client;
#[cfg(fuzzing)]
pub use http::frames_of;
pub use http::{http_client, install_tls};
pub use process::LastWords;
pub use progress::{Ear, Progress};
pub use session::{ServerInfo, Session};
