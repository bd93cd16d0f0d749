//! A stdio MCP server without an SDK, as fast as one can be: what the benchmark calls.
//!
//! `raw_echo [TOOLS]` lists `echo`, and as many more tools as are asked for.

use std::io::{self, BufRead, Write};

use serde_json::{Value, json};

fn main() -> anyhow::Result<()> {
    let count: usize = std::env::args()
        .nth(1)
        .map_or(Ok(1), |count| count.parse())?;
    let mut output = io::stdout().lock();
    for line in io::stdin().lock().lines() {
        let message: Value = serde_json::from_str(&line?)?;
        let Some(id) = message.get("id") else {
            continue;
        };
        let answer = match result(&message, count) {
            Some(result) => json!({"jsonrpc": "2.0", "id": id, "result": result}),
            None => {
                json!({"jsonrpc": "2.0", "id": id, "error": {"code": -32601, "message": "no such method"}})
            }
        };
        writeln!(output, "{answer}")?;
        output.flush()?;
    }
    Ok(())
}

/// What a request is answered with; none if its method is not known.
fn result(message: &Value, count: usize) -> Option<Value> {
    Some(match message["method"].as_str()? {
        "initialize" => json!({
            "protocolVersion": "2025-06-18",
            "capabilities": {"tools": {}},
            "serverInfo": {"name": "raw-echo", "version": "1"},
        }),
        "tools/list" => json!({"tools": (0..count).map(tool).collect::<Vec<_>>()}),
        "tools/call" => {
            let said = message["params"]["arguments"]["message"].as_str();
            json!({"content": [{"type": "text", "text": format!("Echo: {}", said.unwrap_or_default())}]})
        }
        "ping" => json!({}),
        _ => return None,
    })
}

/// The first is `echo`; the others have arguments of the usual kinds.
fn tool(number: usize) -> Value {
    if number == 0 {
        return json!({
            "name": "echo",
            "description": "Gives the message back",
            "inputSchema": {
                "type": "object",
                "properties": {"message": {"type": "string", "description": "What to say"}},
                "required": ["message"],
            },
        });
    }
    json!({
        "name": format!("tool_{number}"),
        "description": format!("Finds the entries of list {number} that match a query, newest first."),
        "inputSchema": {
            "type": "object",
            "properties": {
                "query": {"type": "string", "description": "What to look for"},
                "limit": {"type": "integer", "minimum": 1, "maximum": 100, "default": 20},
                "order": {"type": "string", "enum": ["newest", "oldest"], "default": "newest"},
                "labels": {"type": "array", "items": {"type": "string"}},
                "filter": {
                    "type": "object",
                    "properties": {"author": {"type": ["string", "null"]}, "open": {"type": "boolean"}},
                },
            },
            "required": ["query"],
        },
    })
}
