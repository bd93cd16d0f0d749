//! Tool filters of other clients. A tool that is hidden there must not become visible here: a list that
//! cannot be read disables its bridge.

use crate::config::{
    clients::tree::{SpannedField, SpannedValue, ValueContent},
    exact_glob,
};

/// Keys with lists of visible tools.
const ALLOW: &[&str] = &[
    "includeTools",
    "include_tools",
    "includedTools",
    "allowedTools",
    "allowed_tools",
    "enabledTools",
    "enabled_tools",
    "available_tools",
    "toolsAllow",
    "tools_allow",
    "tools",
];
/// Keys with lists of hidden tools. `disabledTools` belongs to mcpo and follows its rules.
const DENY: &[&str] = &[
    "excludeTools",
    "exclude_tools",
    "excludedTools",
    "excluded_tools",
    "deniedTools",
    "denied_tools",
    "blockedTools",
    "blocked_tools",
    "toolsDeny",
    "tools_deny",
];
/// The filter of `TBXark/mcp-proxy`, in `options`.
const TOOL_FILTER: &str = "toolFilter";
/// Matches all tools.
const ALL: &str = "*";

/// The combined lists of a server. Patterns are globs.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct ClientToolFilter {
    /// The visible tools. `None` means all.
    pub(super) allow: Option<Vec<SpannedValue>>,
    /// The hidden tools.
    pub(super) deny: Vec<SpannedValue>,
    /// A list that cannot be read.
    pub(super) unreadable: Option<String>,
}

impl ClientToolFilter {
    /// Takes the lists out of the fields of a server.
    pub(super) fn take(fields: &mut Vec<SpannedField>) -> Self {
        let mut filter = Self::default();
        let mut kept = Vec::new();
        for mut field in fields.drain(..) {
            let key = field.name.as_str();
            let is_taken = if field.value.tree == ValueContent::Null {
                false
            } else if ALLOW.contains(&key) {
                filter.allow(key, &field.value)
            } else if DENY.contains(&key) {
                filter.deny(key, &field.value)
            } else if key == TOOL_FILTER {
                filter.tool_filter(&field.value)
            } else if key == "options" {
                filter.options(&mut field.value)
            } else {
                false
            };
            if !is_taken {
                kept.push(field);
            }
        }
        *fields = kept;
        filter
    }

    /// Reads a list of names, or a switch for each name. Returns whether it could be read.
    fn allow(&mut self, key: &str, value: &SpannedValue) -> bool {
        if let Some(switches) = value.map() {
            return self.switches(key, switches);
        }
        let Some(names) = names(value) else {
            return self.cannot_read(key);
        };
        if names.iter().any(|name| name.text() == Some(ALL)) {
            return true;
        }
        self.only(&names, value);
        true
    }

    /// Restricts the visible tools to these, combined with other such lists.
    fn only(&mut self, names: &[SpannedValue], value: &SpannedValue) {
        let globs = globs(names);
        let kept = match self.allow.take() {
            None => globs,
            Some(before) => before
                .into_iter()
                .filter(|glob| globs.iter().any(|other| other.tree == glob.tree))
                .collect(),
        };
        // An empty allow list would allow everything.
        if kept.is_empty() {
            self.deny.push(SpannedValue::of_text(&value.at, ALL));
        }
        self.allow = Some(kept);
    }

    fn deny(&mut self, key: &str, value: &SpannedValue) -> bool {
        let Some(names) = names(value) else {
            return self.cannot_read(key);
        };
        self.deny.extend(globs(&names));
        true
    }

    /// `{"delete_repo": false}`, `{"delete_repo": {"enabled": false}}`
    fn switches(&mut self, key: &str, switches: &[SpannedField]) -> bool {
        for field in switches {
            let switch = match &field.value.tree {
                ValueContent::Map(_) => field
                    .value
                    .get("enabled")
                    .map_or(Some(true), SpannedValue::switch),
                ValueContent::Switch(_)
                | ValueContent::Null
                | ValueContent::Number(_)
                | ValueContent::Text(_)
                | ValueContent::List(_) => field.value.switch(),
            };
            match switch {
                Some(true) => {}
                Some(false) => {
                    let name = SpannedValue::of_text(&field.at, field.name.as_str());
                    self.deny.extend(globs(&[name]));
                }
                None => return self.cannot_read(key),
            }
        }
        true
    }

    /// `{"mode": "block", "list": ["delete_repo"]}`
    fn tool_filter(&mut self, value: &SpannedValue) -> bool {
        let mode = value
            .get("mode")
            .and_then(SpannedValue::text)
            .unwrap_or_default();
        let list = value.get("list");
        if list.is_none_or(SpannedValue::is_empty) {
            // The client does not filter anything.
            return true;
        }
        match (mode.to_lowercase().as_str(), list) {
            ("allow", Some(list)) => self.allow(TOOL_FILTER, list),
            ("block" | "deny", Some(list)) => self.deny(TOOL_FILTER, list),
            _ => self.cannot_read(TOOL_FILTER),
        }
    }

    /// Handles the filter in `options`. Returns whether `options` is then empty.
    fn options(&mut self, value: &mut SpannedValue) -> bool {
        let ValueContent::Map(inner) = &mut value.tree else {
            return false;
        };
        let Some(at) = inner.iter().rposition(|field| field.name == TOOL_FILTER) else {
            return false;
        };
        if self.tool_filter(&inner[at].value) {
            inner.retain(|field| field.name != TOOL_FILTER);
        }
        inner.is_empty()
    }

    fn cannot_read(&mut self, key: &str) -> bool {
        self.unreadable = Some(format!("`{key}` filters tools in an unknown way"));
        false
    }
}

/// Returns the names of a list, or a single name. `None` for any other value.
fn names(value: &SpannedValue) -> Option<Vec<SpannedValue>> {
    let name = |node: &SpannedValue| {
        let text = node.text().or_else(|| node.get("name")?.text())?;
        // Gemini CLI treats `tool(arguments)` as the tool.
        let text = text.split('(').next().unwrap_or(text).trim();
        (!text.is_empty()).then(|| SpannedValue::of_text(&node.at, text))
    };
    match &value.tree {
        ValueContent::List(elements) => elements.iter().map(name).collect(),
        ValueContent::Text(_) => name(value).map(|name| vec![name]),
        ValueContent::Null
        | ValueContent::Switch(_)
        | ValueContent::Number(_)
        | ValueContent::Map(_) => None,
    }
}

/// Converts names to globs. A single `*` matches all tools.
fn globs(names: &[SpannedValue]) -> Vec<SpannedValue> {
    let glob = |node: &SpannedValue| {
        let name = node.text().unwrap_or_default();
        let glob = if name == ALL {
            ALL.to_owned()
        } else {
            exact_glob(name)
        };
        SpannedValue::of_text(&node.at, glob)
    };
    names.iter().map(glob).collect()
}

/// Converts a pattern of opencode's `tools` that hides tools of a server. There, tool names are prefixed with
/// the server's name, `*` matches any text and `?` one character.
pub(super) fn of_opencode(pattern: &str, server: &str) -> Option<String> {
    let prefix: String = server
        .chars()
        .map(|it| {
            if it.is_ascii_alphanumeric() || "_-".contains(it) {
                it
            } else {
                '_'
            }
        })
        .chain(['_'])
        .collect();
    if let Some(rest) = pattern.strip_prefix(&prefix) {
        return Some(glob_of(rest));
    }
    let (head, tail) = pattern.split_once('*')?;
    prefix
        .starts_with(head)
        .then(|| glob_of(&format!("*{tail}")))
}

/// Converts a pattern of opencode to a glob.
fn glob_of(pattern: &str) -> String {
    let piece = |character: char| match character {
        '*' | '?' => character.to_string(),
        other => exact_glob(&other.to_string()),
    };
    pattern.chars().map(piece).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::clients::json_file;

    fn taken(json: &str) -> (Option<Vec<String>>, Vec<String>, bool, Vec<String>) {
        let root = json_file::parse(json).unwrap().unwrap();
        let mut fields = root.map().unwrap().to_vec();
        let filter = ClientToolFilter::take(&mut fields);
        let texts = |nodes: &[SpannedValue]| {
            nodes
                .iter()
                .filter_map(SpannedValue::scalar)
                .collect::<Vec<_>>()
        };
        (
            filter.allow.as_deref().map(texts),
            texts(&filter.deny),
            filter.unreadable.is_some(),
            fields.into_iter().map(|field| field.name).collect(),
        )
    }

    #[test]
    fn lists_of_other_clients_are_taken() {
        let some = |names: &[&str]| Some(names.iter().map(|&name| name.to_owned()).collect());
        let none: Vec<String> = Vec::new();
        let all = || vec!["*".to_owned()];
        for (json, allow, deny) in [
            (
                r#"{"includeTools": ["a", "b(x)"]}"#,
                some(&["a", "b"]),
                none.clone(),
            ),
            (r#"{"tools": ["*"]}"#, None, none.clone()),
            (r#"{"tools": "a"}"#, some(&["a"]), none.clone()),
            (r#"{"tools": []}"#, some(&[]), all()),
            (
                r#"{"includeTools": ["a", "b"], "tools": ["b"]}"#,
                some(&["b"]),
                none.clone(),
            ),
            (
                r#"{"includeTools": ["a"], "tools": ["b"]}"#,
                some(&[]),
                all(),
            ),
            (r#"{"excludeTools": ["d*"]}"#, None, vec!["d[*]".to_owned()]),
            (r#"{"excludeTools": ["*"]}"#, None, all()),
            (
                r#"{"tools": {"a": false, "b": {"enabled": false}, "c": {}, "d": true}}"#,
                None,
                vec!["a".to_owned(), "b".to_owned()],
            ),
            (
                r#"{"options": {"toolFilter": {"mode": "Block", "list": ["a"]}}}"#,
                None,
                vec!["a".to_owned()],
            ),
            (
                r#"{"options": {"toolFilter": {"mode": "allow", "list": ["a"]}}}"#,
                some(&["a"]),
                none.clone(),
            ),
            (
                r#"{"options": {"toolFilter": {"mode": "allow", "list": []}}}"#,
                None,
                none.clone(),
            ),
        ] {
            let taken = taken(json);
            assert_eq!((taken.0, taken.1), (allow, deny), "{json}");
            assert!(!taken.2 && taken.3.is_empty(), "{json}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_told_and_kept() {
        for json in [
            r#"{"includeTools": 1}"#,
            r#"{"tools": [1]}"#,
            r#"{"tools": {"a": "no"}}"#,
            r#"{"excludeTools": true}"#,
            r#"{"options": {"toolFilter": {"mode": "some", "list": ["a"]}}}"#,
        ] {
            let taken = taken(json);
            assert!(taken.2 && taken.3.len() == 1, "{json}");
        }
        let (_, _, is_unreadable, left) =
            taken(r#"{"options": {"cwd": "/x", "toolFilter": {}}, "tools": null}"#);
        assert_eq!(
            (is_unreadable, left),
            (false, vec!["options".to_owned(), "tools".to_owned()])
        );
    }

    #[test]
    fn patterns_of_opencode_are_cut_at_the_server() {
        for (pattern, glob) in [
            ("my_mcp_delete", Some("delete")),
            ("my_mcp_*", Some("*")),
            ("my_mcp*", Some("*")),
            ("*", Some("*")),
            ("*_delete", Some("*_delete")),
            ("my_mcp_del?[x]*", Some("del?[[]x[]]*")),
            ("other*", None),
            ("bash", None),
        ] {
            assert_eq!(of_opencode(pattern, "my.mcp").as_deref(), glob, "{pattern}");
        }
    }
}
