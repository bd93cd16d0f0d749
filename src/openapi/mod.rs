//! OpenAPI 3.1 documents of tools. Pure, no I/O.
//!
//! A tool is translated once, into an [`Operation`] that contains the finished JSON. Documents are assembled
//! from these parts and served from memory. The same input gives the same bytes.

mod document;
mod ids;
mod mcpo;
mod operation;
#[cfg(test)]
mod tests;

pub use document::{DocumentMetadata, RenderedDocument, for_bridge, merged};
pub use ids::{OperationIdOwners, mcpo_ids};
pub use mcpo::available_tools;
pub use operation::{DocumentFlavor, Operation};
