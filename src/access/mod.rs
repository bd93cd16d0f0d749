//! Authorization by groups and grants. A [`Grant`] is the only way to call a server.
//!
//! [`Access::view`] collects what is known about a caller, from memory if possible; [`View`] then
//! decides without waiting. If data cannot be read, the call is refused.

mod advice;
mod gather;
mod known_groups;
mod memory;
mod policy;
mod rule;
#[cfg(test)]
mod tests;
mod view;

pub use advice::{GroupAt, bounds_advice, bridge_advice, group_advice, variable_advice};
pub use gather::Access;
pub use known_groups::known_groups;
pub use policy::check_glob;
pub use rule::{Denial, Grant, Rule};
pub use view::{Explanation, Origin, View};
