//! An HTTP service without MCP: the operations of its OpenAPI document are its tools.
//!
//! There is no connection to keep. The bridge reads the document once, and each call is one request.
//!
//! ```text
//! document ── yaml, swagger ──▶ OpenAPI 3 ── operation (input, parameter, body, naming) ──▶ tools
//! arguments ── request (value, payload) ──▶ HTTP ── answer ──▶ result
//! ```

mod answer;
mod body;
mod document;
mod flaws;
mod input;
mod media;
mod names;
mod naming;
mod operation;
mod parameter;
mod payload;
mod refusal;
mod request;
mod schema;
mod session;
mod swagger;
mod value;
mod yaml;

pub use session::OpenApiSession;

#[cfg(test)]
mod tests;
