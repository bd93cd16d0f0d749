//! Reading tables of the file into the types of the configuration.
//!
//! References are replaced in the parsed table first ([`section`]). Then serde reads the table straight into the
//! public type, and the functions in [`value`] parse its values.

pub(super) mod diagnostic;
pub(super) mod environment;
pub(super) mod lint;
pub(super) mod reader;
pub(super) mod reference;
pub(super) mod section;
pub(super) mod setting;
pub(super) mod value;
