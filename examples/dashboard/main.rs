//! An MCP server that turns numbers into a page with charts: `create_dashboard` answers one HTML page that loads
//! nothing from anywhere. With `embed_html = true` in its bridge, Open WebUI shows the page within the chat.
//!
//! `cargo build --release --example dashboard` builds it; it speaks MCP on standard input and output.

mod board;
mod charts;
mod numbers;
mod page;
mod shapes;
mod specification;
mod tools;

use anyhow::Context as _;
use rmcp::{
    ErrorData, RoleServer, ServerHandler, ServiceExt as _,
    model::{
        CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, Implementation,
        ListToolsResult, PaginatedRequestParams, ResourceContents, ServerCapabilities,
        ServerConfig,
    },
    service::RequestContext,
    transport::stdio_pipes,
};
use serde_json::Value;

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let server = Dashboard
        .serve(stdio_pipes())
        .await
        .context("no MCP client on standard input")?;
    server.waiting().await.context("the server failed")?;
    Ok(())
}

/// The server; it keeps nothing between calls.
#[derive(Debug, Clone, Copy)]
struct Dashboard;

impl ServerHandler for Dashboard {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
            .with_server_info(Implementation::new("dashboard", env!("CARGO_PKG_VERSION")))
            .with_instructions("Shows numbers as a page with charts.")
    }

    async fn list_tools(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        Ok(ListToolsResult::with_all_items(tools::list()))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let arguments = Value::Object(request.arguments.unwrap_or_default());
        let board = match request.name.as_ref() {
            "create_dashboard" => specification::board(arguments),
            "create_simple_dashboard" => specification::simple(arguments),
            other => {
                let message = format!("there is no tool `{other}`");
                return Err(ErrorData::invalid_params(message, None));
            }
        };
        Ok(match board {
            Ok(board) => CallToolResult::success(vec![ContentBlock::resource(
                ResourceContents::text(page::render(&board), "ui://dashboard")
                    .with_mime_type("text/html"),
            )]),
            Err(problem) => CallToolResult::error(vec![ContentBlock::text(problem)]),
        }
        .into())
    }
}
