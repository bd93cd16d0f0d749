//! [`ToolCatalog`]: everything the bridges publish, rebuilt after each change and swapped as a whole.

use std::{collections::HashMap, sync::Arc};

use moka::future::Cache;

use super::{handle::Bridge, roster::BridgeSet, tools::ToolEntry};
use crate::{
    access::Permissions,
    config::{Config, Flavor},
    name::BridgeName,
    openapi::{
        self, DocumentFlavor, DocumentMetadata, RenderedDocument, available_tools, mcpo_ids,
    },
    secret::Redactor,
};

/// How many bytes of partial documents are cached. A partial document serves callers who may not
/// call every tool.
const PARTS_BYTES_MAX: u64 = 32 << 20;

/// The published tools and documents.
#[derive(Debug)]
pub struct ToolCatalog {
    /// Whether every bridge had its first attempt before this was built.
    is_settled: bool,
    /// The configuration that it was built from.
    config: Arc<Config>,
    /// Redacts secrets from the text around the tools. The tools themselves are already redacted.
    redactor: Redactor,
    /// The bridges, in the order of the file.
    bridges: Vec<Arc<Bridge>>,
    /// Every tool, in the order of documents.
    tools: Vec<CatalogEntry>,
    /// `/openapi.json`
    merged: RenderedDocument,
    /// `/{bridge}/openapi.json`
    by_bridge: HashMap<BridgeName, RenderedDocument>,
    /// Every tool by its operation ID.
    by_id: HashMap<String, (Arc<Bridge>, Arc<ToolEntry>)>,
    /// Documents for callers who may call only some tools.
    parts: Cache<DocumentScope, RenderedDocument>,
}

/// A tool with its operation ID.
#[derive(Debug)]
struct CatalogEntry {
    /// The bridge.
    bridge: Arc<Bridge>,
    /// The tool.
    entry: Arc<ToolEntry>,
    /// Its operation ID, the same in every document.
    id: String,
}

/// Which tools a document contains.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct DocumentScope {
    /// The document of this bridge, or `None` for the document at the root.
    bridge: Option<BridgeName>,
    /// One bit for each tool of the catalogue.
    tools: Vec<u64>,
}

impl ToolCatalog {
    /// Builds everything from what the bridges know now. CPU-bound for thousands of tools.
    pub(super) fn build(config: &Arc<Config>, roster: &BridgeSet, redactor: &Redactor) -> Self {
        let bridges = roster.bridges();
        // This is read before the tools: a bridge that settles in between is published next time.
        let is_settled = bridges.iter().all(|bridge| bridge.is_settled());
        let tools = catalog_entries(roster);
        let all: Vec<_> = tools.iter().collect();
        let by_bridge = bridges
            .iter()
            .map(|bridge| {
                let document = of_bridge(config, bridge, &all, redactor);
                (bridge.name().clone(), document)
            })
            .collect();
        let size = |_: &DocumentScope, it: &RenderedDocument| {
            u32::try_from(it.body.len()).unwrap_or(u32::MAX)
        };
        Self {
            is_settled,
            merged: merged(config, bridges, &all, redactor),
            by_bridge,
            by_id: by_id(&tools),
            parts: Cache::builder()
                .max_capacity(PARTS_BYTES_MAX)
                .weigher(size)
                .build(),
            config: Arc::clone(config),
            redactor: redactor.clone(),
            bridges: bridges.to_vec(),
            tools,
        }
    }

    /// Whether every bridge had its first attempt before this was built.
    pub fn is_settled(&self) -> bool {
        self.is_settled
    }

    /// The document of all tools, or of the tools of one bridge.
    pub fn whole(&self, bridge: Option<&BridgeName>) -> Option<&RenderedDocument> {
        match bridge {
            None => Some(&self.merged),
            Some(bridge) => self.by_bridge.get(bridge),
        }
    }

    /// Which tools a caller may call; `None` if the caller may call all.
    pub(super) fn document_scope(
        &self,
        bridge: Option<&BridgeName>,
        view: &Permissions,
    ) -> Option<DocumentScope> {
        if view.is_unbounded() {
            return None;
        }
        let mut is_whole = true;
        let mut tools = vec![0; self.tools.len().div_ceil(64)];
        for (number, it) in self.tools.iter().enumerate() {
            if bridge.is_some_and(|only| only != it.bridge.name()) {
                continue;
            }
            if !view.may_call(it.bridge.name(), &it.entry.tool) {
                is_whole = false;
            } else if let Some(word) = tools.get_mut(number / 64) {
                *word |= 1 << (number % 64);
            }
        }
        let bridge = bridge.cloned();
        (!is_whole).then_some(DocumentScope { bridge, tools })
    }

    /// The cached partial documents.
    pub(super) fn scoped_documents(&self) -> &Cache<DocumentScope, RenderedDocument> {
        &self.parts
    }

    /// Builds the document of some tools, or an empty one if the bridge no longer exists. CPU-bound
    /// for thousands of tools.
    pub(super) fn build_scoped(&self, part: &DocumentScope) -> RenderedDocument {
        let tools: Vec<&CatalogEntry> = self
            .tools
            .iter()
            .enumerate()
            .filter(|(number, _)| part.has(*number))
            .map(|(_, it)| it)
            .collect();
        let only = part.bridge.as_ref();
        let bridge = self.bridges.iter().find(|it| Some(it.name()) == only);
        match bridge {
            Some(bridge) => of_bridge(&self.config, bridge, &tools, &self.redactor),
            None => merged(&self.config, &self.bridges, &tools, &self.redactor),
        }
    }

    /// The tool with this operation ID.
    pub fn by_id(&self, id: &str) -> Option<(Arc<Bridge>, Arc<ToolEntry>)> {
        self.by_id.get(id).cloned()
    }
}

impl DocumentScope {
    /// Whether it contains the tool with this number.
    fn has(&self, number: usize) -> bool {
        let word = self.tools.get(number / 64).copied().unwrap_or_default();
        word >> (number % 64) & 1 == 1
    }
}

/// Every tool with its operation ID.
fn catalog_entries(roster: &BridgeSet) -> Vec<CatalogEntry> {
    let mut published = Vec::new();
    for bridge in roster.bridges() {
        let set = bridge.live.tools.load_full();
        let names = set.entries.iter().map(|entry| &entry.tool.name);
        let ids = roster.id_owners().ids(bridge.name(), names);
        let tools = set.entries.iter().zip(ids);
        published.extend(tools.map(|(entry, id)| CatalogEntry {
            bridge: Arc::clone(bridge),
            entry: Arc::clone(entry),
            id,
        }));
    }
    published
}

/// Every tool by its operation ID.
fn by_id(tools: &[CatalogEntry]) -> HashMap<String, (Arc<Bridge>, Arc<ToolEntry>)> {
    let target = |it: &CatalogEntry| (Arc::clone(&it.bridge), Arc::clone(&it.entry));
    tools
        .iter()
        .map(|tool| (tool.id.clone(), target(tool)))
        .collect()
}

/// The document at the root, with these tools.
fn merged(
    config: &Config,
    bridges: &[Arc<Bridge>],
    tools: &[&CatalogEntry],
    redactor: &Redactor,
) -> RenderedDocument {
    let server = &config.server;
    if let (Flavor::McpoSingle, Some(bridge)) = (config.flavor, bridges.first()) {
        return of_bridge(config, bridge, tools, redactor);
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
    let frame = DocumentMetadata {
        title: &redactor.redact(&server.title),
        version: &redactor.redact(&server.version),
        description: &redactor.redact(&description),
        server: (!server.root_path.is_empty()).then_some(&server.root_path),
        path_prefix: server.path_prefix.trim_end_matches('/'),
        secured: !config.identity.keys.is_empty(),
        tags: &tags(config, bridges, redactor),
    };
    let operations = tools
        .iter()
        .map(|it| (it.entry.operation.as_ref(), it.id.as_str()));
    openapi::merged(&frame, operations)
}

/// The titles of bridges, and what each server says about how to use its tools, by bridge. mcpo's
/// documents do not contain them.
fn tags(config: &Config, bridges: &[Arc<Bridge>], redactor: &Redactor) -> Vec<(String, String)> {
    let told = |bridge: &Arc<Bridge>| {
        let server = bridge.live.server.load();
        let instructions = server.as_deref().and_then(|it| it.instructions.as_deref());
        let text = match (bridge.config.title.as_deref(), instructions) {
            (Some(title), Some(instructions)) => format!("{title}\n\n{instructions}"),
            (Some(text), None) | (None, Some(text)) => text.to_owned(),
            (None, None) => return None,
        };
        Some((
            bridge.name().to_string(),
            redactor.redact(&text).into_owned(),
        ))
    };
    match config.flavor {
        Flavor::Native => bridges.iter().filter_map(told).collect(),
        Flavor::Mcpo | Flavor::McpoSingle => Vec::new(),
    }
}

/// The document of one bridge, with its tools from this list: in mcpo's shape if the configuration
/// asks for it, otherwise in the native one.
fn of_bridge(
    config: &Config,
    bridge: &Arc<Bridge>,
    tools: &[&CatalogEntry],
    redactor: &Redactor,
) -> RenderedDocument {
    let own = tools.iter().filter(|it| Arc::ptr_eq(&it.bridge, bridge));
    let is_mcpo = config.flavor != Flavor::Native;
    let info = DocumentInfo::of(config, bridge, is_mcpo);
    let url = match config.flavor {
        Flavor::McpoSingle => config.server.root_path.clone(),
        Flavor::Native | Flavor::Mcpo => format!(
            "{}{}{}",
            config.server.root_path,
            config.server.path_prefix,
            bridge.name()
        ),
    };
    let frame = DocumentMetadata {
        title: &redactor.redact(&info.title),
        version: &redactor.redact(&info.version),
        description: &redactor.redact(&info.description),
        server: (!url.is_empty()).then_some(url.as_str()),
        path_prefix: "",
        secured: !config.identity.keys.is_empty(),
        tags: &tags(config, std::slice::from_ref(bridge), redactor),
    };
    if is_mcpo {
        let entries: Vec<_> = own.map(|it| &it.entry).collect();
        let names = entries.iter().map(|entry| &entry.tool.name);
        let ids = mcpo_ids(bridge.name(), names);
        let operations = entries
            .iter()
            .zip(&ids)
            .filter_map(|(entry, id)| Some((entry.mcpo.as_deref()?, id.as_str())));
        return openapi::for_bridge(&frame, DocumentFlavor::Mcpo, operations);
    }
    // Operation IDs are the same as in the merged document, so a prompt works with either.
    let operations = own.map(|it| (it.entry.operation.as_ref(), it.id.as_str()));
    openapi::for_bridge(&frame, DocumentFlavor::Native, operations)
}

/// The `info` of a bridge's document.
struct DocumentInfo {
    /// `title`
    title: String,
    /// `version`
    version: String,
    /// `description`
    description: String,
}

impl DocumentInfo {
    /// The server's own values, with mcpo's defaults where the server gives none.
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
            title: bridge
                .config
                .title
                .clone()
                .or(own_name)
                .unwrap_or_else(|| name.to_string()),
            version: server
                .and_then(|server| server.version.clone())
                .unwrap_or_else(|| config.server.version.clone()),
            description,
        }
    }
}
