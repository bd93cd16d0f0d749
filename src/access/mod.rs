//! Authorization by groups and grants. A [`Grant`] is the only way to call a server.
//!
//! [`Access::view`] collects what is known about a caller, from memory if possible; [`View`] then
//! decides without waiting. If data cannot be read, the call is refused.

mod gather;
mod memory;
mod policy;
mod rule;
#[cfg(test)]
mod tests;
mod view;

pub use gather::Access;
pub use policy::check_glob;
pub use rule::{Denial, Grant, Rule};
pub use view::{Explanation, View};
