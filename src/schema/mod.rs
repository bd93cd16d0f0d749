//! JSON Schemas of servers: published for OpenAPI clients, and applied to arguments.

mod arguments;
mod contradictions;
mod habits;
mod meter;
mod names;
mod publish;

pub use arguments::{ArgumentError, ArgumentSchema, BODY_VALUES_MAX, CheckEffort};
pub use habits::SchemaFlavor;
pub use meter::STACK_BYTES;
#[cfg(fuzzing)]
pub use meter::counted;
pub use publish::{PublishedSchema, publish_input, publish_output};
