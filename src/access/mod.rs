//! Authorization by groups and grants. A [`CallAuthorization`] is the only way to call a server.
//!
//! [`AccessControl::permissions`] collects what is known about a caller, from memory if possible; [`Permissions`] then
//! decides without waiting. If data cannot be read, the call is refused.

mod advice;
mod gather;
mod known_groups;
mod memory;
mod policy;
mod rule;
mod settings;
#[cfg(test)]
mod tests;
mod view;

pub use advice::{GroupMention, bounds_advice, bridge_advice, group_advice, variable_advice};
pub use gather::AccessControl;
pub use known_groups::known_groups;
pub use policy::check_glob;
pub use rule::{AccessRefusal, AccessRule, CallAuthorization};
pub use view::{AccessExplanation, GroupSource, Permissions};
