//! Which tools of a bridge are published, and under which names.

use std::collections::BTreeMap;

use globset::{GlobSet, GlobSetBuilder};

use crate::{
    config::{
        Diagnostic, ToolFilter,
        bridges::resolver::BridgeResolver,
        read::{ConfigReader, Span, Text, value},
    },
    name::{TOOL_NAME_BYTES_MAX, ToolName},
};

/// Compiles the patterns.
pub fn compile(reader: &mut ConfigReader<'_>, tools: &mut ToolFilter) {
    // What closes is compared without regard to case: `delete_*` means `Delete_All` too.
    let deny: Vec<_> = tools.deny.iter().map(|text| text.to_lowercase()).collect();
    tools.allow_set = globs(reader, "tools_allow", &tools.allow);
    tools.deny_set = globs(reader, "tools_deny", &deny);
}

fn globs(reader: &mut ConfigReader<'_>, key: &str, patterns: &[String]) -> GlobSet {
    let mut set = GlobSetBuilder::new();
    for glob in patterns.iter().filter_map(|text| value::glob(text).ok()) {
        set.add(glob);
    }
    set.build().unwrap_or_else(|error| {
        // Each one compiled, all together are too large.
        reader
            .problems
            .add(Diagnostic::error(format!("`{key}`: {error}")));
        GlobSet::empty()
    })
}

/// The glob that matches a name and nothing else.
pub(crate) fn exact_glob(name: &str) -> String {
    globset::escape(&name.replace('\\', "\\\\"))
}

/// New name → server's name.
pub type Names = BTreeMap<ToolName, ToolName>;

/// Renames and aliases: every new name stands for one tool, every tool has one new name.
pub fn names(
    resolver: &mut BridgeResolver<'_, '_>,
    rename: &BTreeMap<Text, Text>,
    aliases: &BTreeMap<Text, Text>,
) -> (Names, Names) {
    let renames = pairs(resolver, "rename", rename);
    let second = pairs(resolver, "aliases", aliases);
    let mut taken: BTreeMap<&ToolName, &ToolName> = BTreeMap::new();
    for (new, old) in &renames {
        if let Some(first) = taken.insert(old, new) {
            let span = span_of(rename, new);
            resolver.reader.refuse(
                &span,
                format!("`{old}` cannot be renamed to both `{first}` and `{new}`"),
                format!("keep one, and put the other under `aliases`: `{new} = \"{old}\"`"),
            );
        }
    }
    for new in second.keys() {
        if renames.contains_key(new) {
            let span = span_of(aliases, new);
            resolver.reader.refuse(
                &span,
                format!("`{new}` is both under `rename` and under `aliases`"),
                "keep one of them",
            );
        }
    }
    (renames, second)
}

fn pairs(resolver: &mut BridgeResolver<'_, '_>, key: &str, table: &BTreeMap<Text, Text>) -> Names {
    let mut names = Names::new();
    for (new, old) in table {
        let Some(expanded) = resolver.expand(old) else {
            continue;
        };
        match (
            ToolName::parse(new.get_ref()),
            ToolName::parse(expanded.get_ref()),
        ) {
            (Some(new_name), Some(old_name)) if new_name != old_name => {
                names.insert(new_name, old_name);
            }
            (Some(same), Some(_)) => {
                resolver.reader.refuse(
                    &new.span(),
                    format!("`{key}`: `{same}` refers to itself"),
                    format!("write the new name first: `NEW = \"{same}\"`, or remove the line"),
                );
            }
            _ => {
                resolver.reader.refuse(
                    &new.span(),
                    format!("`{key}`: the name of a tool has 1 to {TOOL_NAME_BYTES_MAX} bytes"),
                    "write `NEW = \"NAME_AT_THE_SERVER\"`",
                );
            }
        }
    }
    names
}

fn span_of(table: &BTreeMap<Text, Text>, name: &ToolName) -> Span {
    table
        .keys()
        .find(|key| key.get_ref() == name.as_str())
        .map(Text::span)
        .unwrap_or_default()
}
