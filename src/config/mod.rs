//! What the operator wrote, checked and resolved: [`Config`]. Nothing here opens a socket.

mod types;

pub use types::*;
