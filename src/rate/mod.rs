//! Rate limits: calls per minute of a caller, of a group, and to a bridge.

mod local;
mod rates;
mod shares;

#[cfg(test)]
mod tests;

pub use rates::{Rates, TooMany};
pub use shares::{ByCaller, CallerKey, Full, Policy, Share, Shares};
