//! Where a server is, and which of its tools are left out.

use std::collections::BTreeMap;

use super::{table::ImportedBridge, text::quote};
use crate::config::clients::SpannedValue;

/// Writes `tools_deny`. mcpo has two names for it; the camelCase name takes precedence even if its list is empty.
pub(super) fn denied<'f>(
    table: &mut ImportedBridge<'_>,
    fields: &BTreeMap<&'f str, &SpannedValue>,
    done: &mut Vec<&'f str>,
) {
    let key = ["disabledTools", "disabled_tools"]
        .into_iter()
        .find(|key| fields.contains_key(key));
    let names = key.and_then(|key| fields.get(key)?.list());
    let globs = fields.get("tools_deny").and_then(|node| node.list());
    if names.is_none() && globs.is_none() {
        return;
    }
    done.extend(key.filter(|_| names.is_some()));
    done.push("tools_deny");
    table.denied(names.unwrap_or_default(), globs.unwrap_or_default());
}

/// Writes `command` or `url` by the rules of the loader. Returns true for `url`.
pub(super) fn place<'f>(
    table: &mut ImportedBridge<'_>,
    fields: &BTreeMap<&'f str, &SpannedValue>,
    done: &mut Vec<&'f str>,
) -> bool {
    let text = |key: &str| fields.get(key)?.text().filter(|text| !text.is_empty());
    let said = ["type", "transport"]
        .into_iter()
        .find_map(|key| Some((key, text(key)?)));
    let kind = said.map(|(_, word)| word.to_lowercase().replace(['-', '_', ' '], ""));
    let transport = match kind.as_deref() {
        Some("sse") => Some("sse"),
        Some("streamablehttp" | "http") => Some("streamable-http"),
        Some("openapi") => Some("openapi"),
        Some("auto") => Some("auto"),
        _ => None,
    };
    let url = ["url", "httpUrl", "serverUrl"]
        .into_iter()
        .find_map(|key| Some((key, text(key)?)));
    if let (Some((url_key, url)), true) = (url, transport.is_some() || said.is_none()) {
        done.push(url_key);
        table.has_place = true;
        table.text("url", url);
        let by_key = (url_key == "httpUrl").then_some("streamable-http");
        if let Some(transport) = transport.or(by_key) {
            table.line("transport", &quote(transport));
        }
        done.extend(said.map(|(key, _)| key));
        return true;
    }
    if let Some(command) = text("command").filter(|_| transport.is_none()) {
        done.push("command");
        table.has_place = true;
        table.text_in("command", command, table.own);
        if let Some(args) = fields.get("args").and_then(|node| node.list()) {
            done.push("args");
            table.args(args);
        }
        table.line(
            "inherit_env",
            "true # as before; remove it to pass on only what `env` names",
        );
        if let Some(cwd) = text("cwd") {
            done.push("cwd");
            table.text("cwd", cwd);
        } else if let Some(cwd) = fields
            .get("options")
            .and_then(|node| node.get("cwd")?.text())
        {
            table.text("cwd", cwd);
        }
        if said.is_some_and(|(_, word)| word == "stdio") {
            done.extend(said.map(|(key, _)| key));
        }
    }
    false
}
