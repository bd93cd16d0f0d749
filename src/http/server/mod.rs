//! Listens, accepts connections within the limits, serves them, and drains them at the end.

mod accept;
mod connections;
mod listener;
mod serve;
mod watched;

pub use connections::{ClientConnection, ClientPeer, OpenRequestGuard, UnreadResponseGuard};
pub use serve::{BoundListener, bind};
