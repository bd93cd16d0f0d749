//! Rate limits: calls per minute of a caller, of a group, and to a bridge.

mod local;
mod rates;
mod shares;

#[cfg(test)]
mod tests;

pub use rates::{RateLimitError, RateLimits};
pub use shares::{ByCaller, CallerKey, FairShare, FairShareError, FairSharePool, SharePolicy};
