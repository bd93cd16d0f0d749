//! JSON Schema, as servers write it: published for OpenAPI clients, and applied to arguments.

mod arguments;
mod publish;

pub use arguments::{ArgumentSchema, Refusal};
pub use publish::{Published, publish_input, publish_output};
