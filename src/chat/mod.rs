//! Lines in the chat of Open WebUI that a call came from, while it runs (Open WebUI contract §4.3).
//!
//! ```text
//! Chats ── follow ──▶ Talk (with the call) ── Ear ──▶ Teller (a task) ── lines ──▶ Open WebUI
//! ```
//!
//! Best effort: whatever goes wrong here, the call does not wait, does not fail, and is not told.

mod chats;
mod line;
mod place;
mod teller;

pub use chats::Chats;
pub use place::Place;
pub use teller::{End, Talk};
