//! `GET /metrics`: metrics for Prometheus (docs/metrics.md lists them).
//!
//! The values are collected at each scrape from the state that the program keeps anyway. No value
//! identifies a caller. Each label has a bounded set of values: configured bridges, existing tools,
//! error codes.

mod bridges;
mod metering;
mod page;
mod process;
mod route;

pub use metering::ScrapeState;
pub use route::{metrics, open_router};
