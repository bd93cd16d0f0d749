//! Open WebUI's own tables, of any release. They are only read.

mod account;
mod layout;
mod open;

pub use account::DirectoryUser;
pub use open::UserDirectory;
