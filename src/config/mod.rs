//! What the operator wrote, checked and resolved: [`Config`]. Nothing here opens a socket.

mod child_env;
mod types;

pub use child_env::child_environment;
pub use types::*;
