//! An HTTP service that is no MCP server: the POST operations of its OpenAPI document are tools.
//!
//! There is no connection to keep. The document is read once; each call is one request.

mod answer;
mod names;
mod operation;
mod request;
mod schema;
mod session;

pub use session::OpenApiSession;

#[cfg(test)]
mod tests;
