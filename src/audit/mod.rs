//! What happened: every call, allowed or refused (design §9).
//!
//! A call is written to the journal, a file, before its server is contacted and again when it
//! ended; the shipper carries the journal into the database, in batches, when it can be reached.
//! A process that is killed loses nothing that was written; a power cut may lose the last second.

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

#[cfg(test)]
mod tests;

pub use export::{Format, Pages, object, render};
pub use outcomes::{OUTCOMES, check_outcome};
pub use trail::{Audit, AuditDown, AuditHealth, Begun};
pub use when::{instant, readable};
