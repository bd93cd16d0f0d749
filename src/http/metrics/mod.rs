//! `GET /metrics`: numbers for Prometheus (docs/metrics.md lists them).
//!
//! Everything is gathered when it is asked for, from what the parts of the program keep; nothing of
//! callers is among it. A label has a bounded set of values: bridges that are configured, tools that
//! exist, codes of ours.

mod bridges;
mod metering;
mod page;
mod process;
mod route;

pub use metering::Metering;
pub use route::{metrics, open_router};
