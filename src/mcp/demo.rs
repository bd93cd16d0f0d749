//! The MCP server inside the binary. The quick start needs nothing but cargo, and the tests have a server
//! that is always available.

use std::{
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use anyhow::Context as _;
use rmcp::{
    ErrorData, RoleServer, ServerHandler, ServiceExt as _,
    model::{
        CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, Implementation,
        ListToolsResult, PaginatedRequestParams, ServerCapabilities, ServerConfig, Tool,
    },
    service::RequestContext,
    transport::stdio_pipes,
};
use serde_json::{Map, Value, json};

/// Serves on standard input and output until the input ends.
pub async fn demo_server() -> anyhow::Result<()> {
    let server = DemoServer
        .serve(stdio_pipes())
        .await
        .context("no MCP client on standard input")?;
    server.waiting().await.context("the demo server failed")?;
    Ok(())
}

/// The demo server.
#[derive(Debug, Clone, Copy)]
struct DemoServer;

impl ServerHandler for DemoServer {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
            .with_server_info(Implementation::new("demo", env!("CARGO_PKG_VERSION")))
            .with_instructions("A few harmless tools to try the bridge with.")
    }

    async fn list_tools(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        Ok(ListToolsResult::with_all_items(tools()))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let arguments = request.arguments.unwrap_or_default();
        let result = match request.name.as_ref() {
            "echo" => echo(&arguments),
            "add" => add(&arguments),
            "get_time" => Ok(json!({ "unix_seconds": unix_seconds() })),
            "roll_dice" => roll_dice(&arguments),
            other => {
                let message = format!("there is no tool `{other}`");
                return Err(ErrorData::invalid_params(message, None));
            }
        };
        Ok(match result {
            Ok(Value::String(text)) => CallToolResult::success(vec![ContentBlock::text(text)]),
            Ok(value) => CallToolResult::structured(value),
            Err(problem) => CallToolResult::error(vec![ContentBlock::text(problem)]),
        }
        .into())
    }
}

/// The tools of the demo server.
fn tools() -> Vec<Tool> {
    vec![
        tool(
            "echo",
            "Repeats a message.",
            json!({
                "type": "object",
                "properties": {
                    "message": { "type": "string", "description": "What to repeat." },
                    "style": {
                        "type": "string", "enum": ["plain", "shout", "whisper"],
                        "default": "plain", "description": "How to say it."
                    }
                },
                "required": ["message"]
            }),
        ),
        tool(
            "add",
            "Adds two numbers.",
            json!({
                "type": "object",
                "properties": {
                    "a": { "type": "number", "description": "The first number." },
                    "b": { "type": "number", "description": "The second number." }
                },
                "required": ["a", "b"]
            }),
        ),
        tool(
            "get_time",
            "Tells the time, in seconds since 1970-01-01 UTC.",
            json!({ "type": "object", "properties": {} }),
        ),
        tool(
            "roll_dice",
            "Rolls dice and gives each result and the sum.",
            json!({
                "type": "object",
                "properties": {
                    "count": {
                        "type": "integer", "minimum": 1, "maximum": 100, "default": 1,
                        "description": "How many dice."
                    },
                    "sides": {
                        "type": "integer", "minimum": 2, "maximum": 1000, "default": 6,
                        "description": "How many sides each has."
                    }
                }
            }),
        ),
    ]
}

/// Builds one entry of the tool list.
fn tool(name: &'static str, description: &'static str, schema: Value) -> Tool {
    let schema = match schema {
        Value::Object(schema) => schema,
        _ => Map::new(),
    };
    Tool::new(name, description, Arc::new(schema))
}

/// `echo`
fn echo(arguments: &Map<String, Value>) -> Result<Value, String> {
    let message = arguments
        .get("message")
        .and_then(Value::as_str)
        .ok_or("`message` is missing")?;
    let text = match arguments.get("style").and_then(Value::as_str) {
        Some("shout") => message.to_uppercase(),
        Some("whisper") => message.to_lowercase(),
        _ => message.to_owned(),
    };
    Ok(Value::String(text))
}

/// `add`
fn add(arguments: &Map<String, Value>) -> Result<Value, String> {
    let number = |key: &str| {
        let number = arguments.get(key).and_then(Value::as_f64);
        number.ok_or_else(|| format!("`{key}` is not a number"))
    };
    Ok(json!({ "sum": number("a")? + number("b")? }))
}

/// `roll_dice`
fn roll_dice(arguments: &Map<String, Value>) -> Result<Value, String> {
    let number = |key: &str, default: u64| {
        arguments
            .get(key)
            .and_then(Value::as_u64)
            .unwrap_or(default)
    };
    let (count, sides) = (number("count", 1), number("sides", 6));
    if !(1..=100).contains(&count) || !(2..=1000).contains(&sides) {
        return Err("`count` must be 1 to 100 and `sides` 2 to 1000".to_owned());
    }
    let rolls: Vec<u64> = (0..count).map(|_| rand::random_range(1..=sides)).collect();
    Ok(json!({ "rolls": rolls, "sum": rolls.iter().sum::<u64>() }))
}

/// Seconds since the epoch; zero if the clock shows an earlier time.
fn unix_seconds() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}
