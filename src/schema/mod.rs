//! JSON Schema, as servers write it: published for OpenAPI clients, and applied to arguments.
