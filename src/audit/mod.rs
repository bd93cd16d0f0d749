//! The audit trail: every call, allowed or refused.
//!
//! A call is written to the journal, which is a file, before its server is contacted, and again
//! when it ends. The shipper moves the journal into the database in batches whenever the database
//! is reachable. If the process is killed, nothing that was written is lost. A power failure may
//! lose the last second.

mod condition;
mod export;
mod journal;
mod keeper;
mod line;
mod outcomes;
mod reader;
mod refusals;
mod rejects;
mod segment;
mod shipper;
mod sink;
mod trail;
mod when;
mod writer;

#[cfg(test)]
mod tests;

#[cfg(test)]
pub use export::object;
pub use export::{CallPages, ExportFormat, render};
pub use outcomes::{OUTCOMES, check_outcome};
pub use trail::{AuditLog, AuditWriteError, OpenAuditRecord};
pub use when::{instant, readable};
