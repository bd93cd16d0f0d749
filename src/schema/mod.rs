//! JSON Schema, as servers write it: published for OpenAPI clients, and applied to arguments.

mod arguments;

pub use arguments::{ArgumentSchema, Refusal};
