//! [`Catalogue`]: everything the bridges publish, built anew after each change and swapped whole.

use std::{collections::HashMap, sync::Arc};

use super::{handle::Bridge, toolset::Entry};
use crate::{
    config::{Config, Flavor},
    name::BridgeName,
    openapi::{self, Document, Frame, Style, available_tools, operation_ids},
};

/// What is published.
#[derive(Debug, Default)]
pub struct Catalogue {
    /// Whether every bridge had its first attempt before this was built.
    is_settled: bool,
    /// `/openapi.json`
    merged: Document,
    /// `/{bridge}/openapi.json`
    by_bridge: HashMap<BridgeName, Document>,
    /// `/{bridge}_{tool}`, the Python proxy's old form, and every operation id.
    flat: HashMap<String, (Arc<Bridge>, Arc<Entry>)>,
}

impl Catalogue {
    /// Builds everything from what the bridges know now. CPU-bound for thousands of tools.
    pub(super) fn build(config: &Config, bridges: &[Arc<Bridge>]) -> Self {
        // Asked before the tools are read: what settles in between is published next time.
        let is_settled = bridges.iter().all(|bridge| bridge.is_settled());
        let sets: Vec<_> = bridges
            .iter()
            .map(|bridge| (bridge, bridge.live.tools.load_full()))
            .collect();
        let tools: Vec<(&Arc<Bridge>, &Arc<Entry>)> = sets
            .iter()
            .flat_map(|(bridge, set)| set.entries.iter().map(move |entry| (*bridge, entry)))
            .collect();
        let names = tools
            .iter()
            .map(|(bridge, entry)| (bridge.name(), &entry.tool.name));
        let ids = operation_ids(Style::Native, names);
        let by_bridge = sets
            .iter()
            .map(|(bridge, set)| {
                let document = of_bridge(config, bridge, &set.entries, &tools, &ids);
                (bridge.name().clone(), document)
            })
            .collect();
        Self {
            is_settled,
            merged: merged(config, bridges, &tools, &ids),
            by_bridge,
            flat: flat(&tools, &ids),
        }
    }

    /// Whether every bridge had its first attempt before this was built.
    pub fn is_settled(&self) -> bool {
        self.is_settled
    }

    /// The document of all tools.
    pub fn merged(&self) -> &Document {
        &self.merged
    }

    /// The document of one bridge.
    pub fn of_bridge(&self, bridge: &BridgeName) -> Option<&Document> {
        self.by_bridge.get(bridge)
    }

    /// The tool of a flat path or operation id.
    pub fn flat(&self, name: &str) -> Option<(Arc<Bridge>, Arc<Entry>)> {
        self.flat.get(name).cloned()
    }
}

/// Every operation id, and the Python proxy's form where it is not an id of another tool.
fn flat(
    tools: &[(&Arc<Bridge>, &Arc<Entry>)],
    ids: &[String],
) -> HashMap<String, (Arc<Bridge>, Arc<Entry>)> {
    let mut flat = HashMap::with_capacity(tools.len() * 2);
    let target =
        |(bridge, entry): &(&Arc<Bridge>, &Arc<Entry>)| (Arc::clone(bridge), Arc::clone(entry));
    for (tool, id) in tools.iter().zip(ids) {
        flat.insert(id.clone(), target(tool));
    }
    for tool in tools {
        let (bridge, entry) = tool;
        let name = format!("{}_{}", bridge.name(), entry.tool.name);
        flat.entry(name).or_insert_with(|| target(tool));
    }
    flat
}

/// The document at the root.
fn merged(
    config: &Config,
    bridges: &[Arc<Bridge>],
    tools: &[(&Arc<Bridge>, &Arc<Entry>)],
    ids: &[String],
) -> Document {
    let server = &config.server;
    if let (Flavor::McpoSingle, Some(bridge)) = (config.flavor, bridges.first()) {
        let entries: Vec<_> = tools.iter().map(|(_, entry)| Arc::clone(entry)).collect();
        return of_bridge(config, bridge, &entries, tools, ids);
    }
    let connected = bridges
        .iter()
        .filter(|bridge| bridge.live.server.load().is_some())
        .map(|bridge| bridge.name().as_str());
    let description = match config.flavor {
        Flavor::Native => server.description.clone(),
        Flavor::Mcpo | Flavor::McpoSingle => {
            available_tools(&server.description, &server.path_prefix, connected)
        }
    };
    let frame = Frame {
        title: &server.title,
        version: &server.version,
        description: &description,
        server: (!server.root_path.is_empty()).then_some(&server.root_path),
        path_prefix: server.path_prefix.trim_end_matches('/'),
        secured: !config.identity.keys.is_empty(),
    };
    let operations = tools
        .iter()
        .zip(ids)
        .map(|((_, entry), id)| (entry.operation.as_ref(), id.as_str()));
    openapi::merged(&frame, operations)
}

/// The document of one bridge: mcpo's where mcpo's rules are asked for, ours else.
fn of_bridge(
    config: &Config,
    bridge: &Arc<Bridge>,
    entries: &[Arc<Entry>],
    tools: &[(&Arc<Bridge>, &Arc<Entry>)],
    ids: &[String],
) -> Document {
    let is_mcpo = config.flavor != Flavor::Native;
    let info = Info::of(config, bridge, is_mcpo);
    let url = match config.flavor {
        Flavor::McpoSingle => config.server.root_path.clone(),
        Flavor::Native | Flavor::Mcpo => format!(
            "{}{}{}",
            config.server.root_path,
            config.server.path_prefix,
            bridge.name()
        ),
    };
    let frame = Frame {
        title: &info.title,
        version: &info.version,
        description: &info.description,
        server: (!url.is_empty()).then_some(url.as_str()),
        path_prefix: "",
        secured: !config.identity.keys.is_empty(),
    };
    if is_mcpo {
        let names = entries
            .iter()
            .map(|entry| (bridge.name(), &entry.tool.name));
        let ids = operation_ids(Style::Mcpo, names);
        let operations = entries
            .iter()
            .zip(&ids)
            .filter_map(|(entry, id)| Some((entry.mcpo.as_deref()?, id.as_str())));
        return openapi::for_bridge(&frame, Style::Mcpo, operations);
    }
    // The same ids as in the merged document: a prompt works with either.
    let operations = tools
        .iter()
        .zip(ids)
        .filter(|((owner, _), _)| Arc::ptr_eq(owner, bridge))
        .map(|((_, entry), id)| (entry.operation.as_ref(), id.as_str()));
    openapi::for_bridge(&frame, Style::Native, operations)
}

/// The `info` of a bridge's document.
struct Info {
    /// `title`
    title: String,
    /// `version`
    version: String,
    /// `description`
    description: String,
}

impl Info {
    /// The server's own words, with mcpo's substitutes where it says nothing (mcpo contract §4).
    fn of(config: &Config, bridge: &Bridge, is_mcpo: bool) -> Self {
        let server = bridge.live.server.load();
        let server = server.as_deref();
        let own_name = server.and_then(|server| server.name.clone());
        let instructions = server.and_then(|server| server.instructions.clone());
        let name = bridge.name();
        let description = match (&own_name, is_mcpo) {
            (_, false) => bridge
                .config
                .description
                .clone()
                .or(instructions)
                .unwrap_or_default(),
            (Some(own), true) => instructions.unwrap_or_else(|| format!("{own} MCP Server")),
            (None, true) => instructions
                .unwrap_or_else(|| format!("{name} MCP Server\n\n- [back to tool list](/docs)")),
        };
        Self {
            title: own_name.unwrap_or_else(|| name.to_string()),
            version: server
                .and_then(|server| server.version.clone())
                .unwrap_or_else(|| config.server.version.clone()),
            description,
        }
    }
}
