//! Progress lines in the Open WebUI chat that a call came from, while the call runs.
//!
//! ```text
//! Chats ── follow ──▶ Talk (with the call) ── Ear ──▶ Teller (a task) ── lines ──▶ Open WebUI
//! ```
//!
//! Best effort: an error here never delays a call and never makes it fail.

mod chats;
mod line;
mod place;
mod teller;

pub use chats::ChatClient;
pub use place::MessageRef;
pub use teller::{ProgressEnd, ProgressFeed};
