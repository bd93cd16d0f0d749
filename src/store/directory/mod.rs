//! Open WebUI's own tables, of whatever release (Open WebUI contract §9); only read.

mod account;
mod layout;
mod open;

pub use account::Account;
pub use open::Directory;
