//! What the server offers, as models read it.

use std::sync::Arc;

use rmcp::model::{Tool, ToolAnnotations};
use serde_json::{Map, Value, json};

use super::board::{CHARTS_MAX, LABELS_MAX, SERIES_MAX};

/// Both tools.
pub fn list() -> Vec<Tool> {
    vec![
        tool(
            "create_dashboard",
            "Shows numbers as one page with charts, figures and tables, which the user sees in the chat.",
            json!({
                "type": "object",
                "properties": {
                    "title": { "type": "string", "description": "The heading of the page." },
                    "subtitle": { "type": "string", "description": "A line below it: the period, the source." },
                    "charts": {
                        "type": "array", "minItems": 1, "maxItems": CHARTS_MAX,
                        "description": "In the order in which they are shown.",
                        "items": chart(),
                    },
                    "specification": {
                        "description": "Instead of `charts`: the page as one object or text, in the words of a chart \
                                        library or of a table. `charts` is more exact.",
                    },
                },
            }),
        ),
        tool(
            "create_simple_dashboard",
            "Shows one list of numbers as a page with a single chart, which the user sees in the chat.",
            json!({
                "type": "object",
                "properties": {
                    "title": { "type": "string", "description": "The heading of the page." },
                    "kind": kind(),
                    "labels": labels(),
                    "values": values(),
                    "unit": unit(),
                    "data": {
                        "description": "Instead of `labels` and `values`: an object of numbers by name, a list of \
                                        records, or rows.",
                    },
                    "headers": {
                        "type": "array", "items": { "type": "string" },
                        "description": "The names of the columns, where `data` is rows.",
                    },
                    "chart_type": { "type": "string", "description": "Another name of `kind`." },
                },
                "required": ["title"],
            }),
        ),
    ]
}

/// One chart.
fn chart() -> Value {
    json!({
        "type": "object",
        "properties": {
            "kind": kind(),
            "title": { "type": "string", "description": "The heading of the chart." },
            "unit": unit(),
            "labels": labels(),
            "series": {
                "type": "array", "minItems": 1, "maxItems": SERIES_MAX,
                "description": "Lines, groups of bars or columns of a table. A pie has one. With `numbers` a \
                                second one is what the first is compared with.",
                "items": {
                    "type": "object",
                    "properties": {
                        "name": { "type": "string", "description": "What the legend says." },
                        "values": values(),
                    },
                    "required": ["values"],
                },
            },
        },
        "required": ["kind", "labels", "series"],
    })
}

fn kind() -> Value {
    json!({
        "type": "string", "enum": ["bar", "line", "pie", "numbers", "table"], "default": "bar",
        "description": "bar: amounts side by side. line: a course over time. pie: parts of a whole. \
                        numbers: a few large figures. table: everything, to be looked up.",
    })
}

fn unit() -> Value {
    json!({ "type": "string", "description": "What the numbers count: €, %, hours." })
}

fn labels() -> Value {
    json!({
        "type": "array", "items": { "type": "string" }, "minItems": 1, "maxItems": LABELS_MAX,
        "description": "What each number is of: months, teams.",
    })
}

fn values() -> Value {
    json!({
        "type": "array", "items": { "type": ["number", "null"] },
        "description": "One number for each label; null where there is none.",
    })
}

fn tool(name: &'static str, description: &'static str, schema: Value) -> Tool {
    let schema = match schema {
        Value::Object(schema) => schema,
        _ => Map::new(),
    };
    Tool::new(name, description, Arc::new(schema))
        .with_annotations(ToolAnnotations::new().read_only(true).open_world(false))
}
