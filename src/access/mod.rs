//! May they: groups and grants decide, and [`Grant`] is the only way to a server's session.
//!
//! [`Access::view`] gathers what is known of a caller, from memory where it can; [`View`] then
//! decides without waiting. What cannot be read is refused, never guessed.

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
pub use view::{Explanation, View};
