//! Open WebUI's own tables, of whatever release (Open WebUI contract §9); only read.

mod account;
mod layout;
mod open;

pub use account::{Account, MemberGroup};
pub use open::Directory;
