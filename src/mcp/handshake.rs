//! Decodes the answers to `initialize` and `server/discover` as leniently as results: members that are only
//! displayed may be missing or malformed.

use rmcp::model::{DiscoverResult, InitializeResult};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use crate::json::read_lenient;

/// The protocol version of a server that does not state one: the first revision.
const OLDEST: &str = "2024-11-05";
/// The features of a server that have a capability each.
const PARTS: [&str; 3] = ["prompts", "resources", "tools"];

/// Decodes the result of `initialize`.
pub fn initialize_result(raw: &str) -> Option<InitializeResult> {
    strictly(raw).or_else(|| {
        let mut result = members_of(raw)?;
        let version = result.remove("protocolVersion").unwrap_or_default();
        result.insert(
            "protocolVersion".to_owned(),
            json!(text(&version).unwrap_or(OLDEST)),
        );
        clean(&mut result);
        serde_json::from_value(Value::Object(result)).ok()
    })
}

/// Decodes the result of `server/discover`.
pub fn discover_result(raw: &str) -> Option<DiscoverResult> {
    strictly(raw).or_else(|| {
        let mut result = members_of(raw)?;
        clean(&mut result);
        for (name, default) in [
            ("resultType", json!("complete")),
            ("ttlMs", json!(0)),
            ("cacheScope", json!("private")),
        ] {
            result.insert(name.to_owned(), default);
        }
        serde_json::from_value(Value::Object(result)).ok()
    })
}

/// Decodes a result that follows the specification.
fn strictly<T: DeserializeOwned>(raw: &str) -> Option<T> {
    serde_json::from_str(raw).ok()
}

/// The members of a result; `null` has none.
fn members_of(raw: &str) -> Option<Map<String, Value>> {
    match read_lenient(raw).ok()? {
        Value::Object(members) => Some(members),
        Value::Null => Some(Map::new()),
        _ => None,
    }
}

/// Repairs the members that are only displayed, or removes them.
fn clean(result: &mut Map<String, Value>) {
    let server = result.remove("serverInfo").unwrap_or_default();
    let of_server = |name: &str| text(server.get(name).unwrap_or(&Value::Null)).unwrap_or_default();
    // Some servers send only their name.
    let name = text(&server).unwrap_or_else(|| of_server("name"));
    let info = json!({"name": name, "version": of_server("version")});
    result.insert("serverInfo".to_owned(), info);
    let capabilities = result.remove("capabilities").unwrap_or_default();
    result.insert(
        "capabilities".to_owned(),
        Value::Object(capabilities_of(&capabilities)),
    );
    if !result.get("instructions").is_some_and(Value::is_string) {
        result.remove("instructions");
    }
    if !result.get("_meta").is_some_and(Value::is_object) {
        result.remove("_meta");
    }
}

/// Reads the capabilities in any form: an object, `true`, or a list of names.
fn capabilities_of(said: &Value) -> Map<String, Value> {
    let mut capabilities = Map::new();
    for part in PARTS {
        let is_listed = said
            .as_array()
            .is_some_and(|names| names.iter().any(|name| name == part));
        let has_it = match said.get(part) {
            None | Some(Value::Null | Value::Bool(false)) => is_listed,
            Some(_) => true,
        };
        if has_it {
            let changes = said.get(part).and_then(|said| said.get("listChanged"));
            let changes = changes.and_then(Value::as_bool).unwrap_or_default();
            capabilities.insert(part.to_owned(), json!({"listChanged": changes}));
        }
    }
    capabilities
}

/// Returns the value if it is a text that is not empty.
fn text(value: &Value) -> Option<&str> {
    value.as_str()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_only_shown_may_be_missing_or_odd() {
        for (raw, version, name) in [
            (
                r#"{"protocolVersion":"2025-06-18","capabilities":{},"serverInfo":{"name":"s","version":"1"}}"#,
                "2025-06-18",
                "s",
            ),
            (
                r#"{"capabilities":{},"serverInfo":{"name":"s","version":"1"}}"#,
                "2024-11-05",
                "s",
            ),
            (
                r#"{"protocolVersion":"2025-06-18","capabilities":{"tools":{}}}"#,
                "2025-06-18",
                "",
            ),
            (
                r#"{"protocolVersion":"2025-06-18","serverInfo":{"name":"s"}}"#,
                "2025-06-18",
                "s",
            ),
            (
                r#"{"protocolVersion":"2025-06-18","serverInfo":"s","capabilities":null}"#,
                "2025-06-18",
                "s",
            ),
            (
                r#"{"protocolVersion":"2025-06-18","serverInfo":{"name":7},"capabilities":{"tools":true}}"#,
                "2025-06-18",
                "",
            ),
            (
                r#"{"protocolVersion":20250618,"capabilities":["tools"],"instructions":["a"]}"#,
                "2024-11-05",
                "",
            ),
            (
                r#"{"serverInfo":{"name":"\ud83d"}}"#,
                "2024-11-05",
                "\u{fffd}",
            ),
            ("null", "2024-11-05", ""),
        ] {
            let result = initialize_result(raw).unwrap();
            assert_eq!(result.protocol_version.to_string(), version, "{raw}");
            assert_eq!(result.server_info.name, name, "{raw}");
        }
        assert!(initialize_result("\"ok\"").is_none());
        assert!(initialize_result("[]").is_none());
    }

    #[test]
    fn the_answer_of_a_newer_server_is_read_as_leniently() {
        let raw =
            r#"{"supportedVersions":["2026-07-28"],"capabilities":{"tools":true},"ttlMs":"1"}"#;
        let result = discover_result(raw).unwrap();
        assert_eq!(result.supported_versions.len(), 1);
        assert!(result.capabilities.tools.is_some());
        assert!(discover_result("{}").is_none(), "no version is guessed");
    }

    #[test]
    fn capabilities_are_understood_in_every_form() {
        for (said, has_tools) in [
            (json!({"tools": {}}), true),
            (json!({"tools": {"listChanged": true}}), true),
            (json!({"tools": true}), true),
            (json!(["tools"]), true),
            (json!({"tools": false}), false),
            (json!({"tools": null}), false),
            (json!({}), false),
            (json!(null), false),
            (json!("tools"), false),
        ] {
            let found = capabilities_of(&said).contains_key("tools");
            assert_eq!(found, has_tools, "{said}");
        }
    }
}
