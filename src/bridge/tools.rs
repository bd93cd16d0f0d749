//! [`ToolList`]: the published tools of one bridge, compiled once and swapped as one value.

use std::{
    collections::HashMap,
    sync::{Arc, OnceLock},
};

use serde_json::Value;

use super::{cooldown::CheckCooldowns, demand::LazySchema};
use crate::{
    config::{self, Flavor, RemoteKind, TransportSettings, UnknownArgumentPolicy},
    mcp,
    name::ToolName,
    openapi::{DocumentFlavor, Operation},
    schema::SchemaFlavor,
    secret::Redactor,
    telemetry::ToolOutcomes,
    tool::Tool,
};

/// How many steps compiling the schemas of one list may take: about ten seconds. The remaining
/// tools accept any object.
const LIST_STEPS: u64 = 1_000_000_000;

/// How many flaws of one list are recorded.
const WARNINGS_MAX: usize = 200;

/// One published tool with everything a call needs.
#[derive(Debug)]
pub struct ToolEntry {
    /// The server's definition, under its published name.
    pub tool: Tool,
    /// Parses and checks arguments, see [`ToolEntry::check`].
    pub(super) arguments: LazySchema,
    /// Its part of the merged document.
    pub operation: Arc<Operation>,
    /// Its part of the bridge's document in mcpo's shape, if the configuration asks for it.
    pub mcpo: Option<Arc<Operation>>,
    /// How its last expensive checks affect the next ones.
    pub(super) checking: CheckCooldowns,
    /// How its calls ended since the start.
    pub(super) outcome: OnceLock<Arc<ToolOutcomes>>,
}

/// The tools of one bridge.
#[derive(Debug, Default)]
pub struct ToolList {
    /// In the server's order.
    pub entries: Vec<Arc<ToolEntry>>,
    /// By published name and by alias.
    by_name: HashMap<ToolName, Arc<ToolEntry>>,
    /// Flaws of the server's list: tools that were left out or degraded.
    pub warnings: Vec<String>,
    /// Flaws that were found while the list was read. They are among the warnings.
    pub(super) flaws: Arc<[String]>,
}

impl ToolList {
    /// The tool with this name.
    pub fn get(&self, name: &str) -> Option<&Arc<ToolEntry>> {
        self.by_name.get(name)
    }

    /// The callable names, each with its tool.
    pub(super) fn names(&self) -> impl Iterator<Item = (&ToolName, &Arc<ToolEntry>)> {
        self.by_name.iter()
    }

    /// Compiles a server's list: redacts secrets, filters, renames, leaves out what cannot be
    /// served, and takes over unchanged tools from `old`. CPU-bound: hundreds of schemas take a
    /// while.
    pub fn compile(
        list: Vec<Value>,
        flaws: Arc<[String]>,
        config: &config::BridgeSettings,
        flavor: Flavor,
        old: &Self,
        redactor: &Redactor,
    ) -> Self {
        let mut set = Self::default();
        for flaw in flaws.iter() {
            set.warn(redactor.redact(flaw).into_owned());
        }
        set.flaws = flaws;
        let mut steps_left = LIST_STEPS;
        let own = own_secrets(config);
        for mut entry in list {
            if holds_secret(&entry, &own) {
                let warning = "a tool is left out: its name contains a secret of its own bridge";
                set.warn(warning.to_owned());
                continue;
            }
            if mcp::lighten(&mut entry) {
                let name = entry.get("name").and_then(Value::as_str);
                let name: String = name.unwrap_or_default().chars().take(100).collect();
                set.warn(format!(
                    "tool `{name}`: its definition is too large; any object is accepted"
                ));
            }
            clean(&mut entry, redactor);
            match Tool::from_wire(entry) {
                Ok(mut tool) => {
                    tool.alias = tool.alias.filter(|_| has_aliases(config));
                    set.add(tool, config, flavor, old, &mut steps_left);
                }
                Err(error) => set.warn(error.to_string()),
            }
        }
        for (alias, server_name) in &config.aliases {
            if config.tools.denies(alias.as_str()) {
                let warning = format!("alias `{alias}` is left out: `tools_deny` matches it");
                set.warn(warning);
            } else {
                set.add_alias(alias, server_name);
            }
        }
        set.add_own_aliases();
        set.warn_of_unused_names(config);
        set
    }

    /// Adds one tool, unless a filter excludes it or its name is taken.
    fn add(
        &mut self,
        mut tool: Tool,
        config: &config::BridgeSettings,
        flavor: Flavor,
        old: &Self,
        steps_left: &mut u64,
    ) {
        if !config.tools.allows(tool.server_name.as_str()) {
            return;
        }
        let renamed = config
            .rename
            .iter()
            .find(|(_new, server_name)| tool.is_called(server_name));
        if let Some((new, _)) = renamed {
            tool.name = new.clone();
        }
        // `tools_deny` also applies to the new name and to the alias.
        let is_denied = |name: &ToolName| config.tools.denies(name.as_str());
        if is_denied(&tool.name) || tool.alias.as_ref().is_some_and(is_denied) {
            return;
        }
        if self.by_name.contains_key(&tool.name) {
            let name = &tool.name;
            let warning = format!("tool `{name}` is listed twice; the first one is served");
            self.warn(warning);
            return;
        }
        let same = old
            .get(tool.name.as_str())
            .filter(|entry| entry.tool == tool);
        let entry = match same {
            Some(entry) => Arc::clone(entry),
            None => Arc::new(self.compile_entry(tool, config, flavor, steps_left)),
        };
        self.by_name
            .insert(entry.tool.name.clone(), Arc::clone(&entry));
        self.entries.push(entry);
    }

    /// Compiles one tool. Parts of its schema that cannot be kept become warnings.
    fn compile_entry(
        &mut self,
        tool: Tool,
        config: &config::BridgeSettings,
        flavor: Flavor,
        steps_left: &mut u64,
    ) -> ToolEntry {
        let (arguments, lost) =
            LazySchema::try_out(&tool.input_schema, steps_left, habits(config, flavor));
        let operation = Operation::new(&config.name, &tool, DocumentFlavor::Native);
        let mcpo = (flavor != Flavor::Native)
            .then(|| Arc::new(Operation::new(&config.name, &tool, DocumentFlavor::Mcpo)));
        let name = &tool.name;
        for warning in lost.iter().chain(operation.warnings()) {
            self.warn(format!("tool `{name}`: {warning}"));
        }
        ToolEntry {
            tool,
            arguments,
            operation: Arc::new(operation),
            mcpo,
            checking: CheckCooldowns::default(),
            outcome: OnceLock::new(),
        }
    }

    /// Records a flaw of the list, up to [`WARNINGS_MAX`].
    fn warn(&mut self, warning: String) {
        match self.warnings.len() {
            0..WARNINGS_MAX => self.warnings.push(warning),
            WARNINGS_MAX => self
                .warnings
                .push("the list has more flaws; fix these first".to_owned()),
            _ => {}
        }
    }

    /// Makes a tool callable by a second name. Documents do not list that name.
    fn add_alias(&mut self, alias: &ToolName, server_name: &ToolName) {
        let target = self
            .entries
            .iter()
            .find(|entry| entry.tool.is_called(server_name));
        match target {
            Some(_) if self.by_name.contains_key(alias) => self.warn(format!(
                "alias `{alias}` is left out: the server has a tool of that name"
            )),
            Some(entry) => {
                self.by_name.insert(alias.clone(), Arc::clone(entry));
            }
            None => self.warn(format!(
                "alias `{alias}` is left out: the server has no tool `{server_name}`"
            )),
        }
    }

    /// Makes tools callable by the second name that their server gives them. Documents do not list
    /// that name. Names of tools and the operator's aliases take precedence.
    fn add_own_aliases(&mut self) {
        for entry in &self.entries {
            if let Some(alias) = &entry.tool.alias {
                let free = self.by_name.entry(alias.clone());
                free.or_insert_with(|| Arc::clone(entry));
            }
        }
    }

    /// Warns of a rename whose tool does not exist; that is usually a typo.
    fn warn_of_unused_names(&mut self, config: &config::BridgeSettings) {
        for (new, server_name) in &config.rename {
            let is_known = self
                .entries
                .iter()
                .any(|entry| entry.tool.is_called(server_name));
            if !is_known {
                self.warn(format!(
                    "rename to `{new}` has no effect: the server has no tool `{server_name}`"
                ));
            }
        }
    }
}

/// Whether the tools of a bridge have second names. Only tools that are generated from an OpenAPI
/// document do.
fn has_aliases(config: &config::BridgeSettings) -> bool {
    match &config.transport {
        Ok(TransportSettings::Remote(remote)) => remote.kind == RemoteKind::OpenApi,
        Ok(TransportSettings::Stdio(_)) | Err(_) => false,
    }
}

/// How much arguments are corrected.
fn habits(config: &config::BridgeSettings, flavor: Flavor) -> SchemaFlavor {
    match flavor {
        Flavor::Native => SchemaFlavor {
            refuses_unknown: config.unknown_arguments == UnknownArgumentPolicy::Refuse,
            ..SchemaFlavor::NATIVE
        },
        Flavor::Mcpo | Flavor::McpoSingle => SchemaFlavor::MCPO,
    }
}

/// Removes the secrets that [`ToolList::compile`] would, from a list that is stored as the server
/// wrote it.
pub(super) fn without_secrets(
    list: &mut Vec<Value>,
    config: &config::BridgeSettings,
    redactor: &Redactor,
) {
    let own = own_secrets(config);
    list.retain(|tool| !holds_secret(tool, &own));
    for tool in list {
        clean(tool, redactor);
    }
}

/// A redactor for the secrets that the configuration gives to the server of a bridge.
fn own_secrets(config: &config::BridgeSettings) -> Redactor {
    let own = Redactor::default();
    own.set_configured(config.secrets());
    own
}

/// Whether the name of a tool contains a secret that its server was given. The tool is called by
/// that name, so the name cannot be changed. Other secrets are ignored: otherwise a server could
/// learn them by checking which tools are missing, and one bridge's secrets could remove another
/// bridge's tools.
pub(super) fn holds_secret(tool: &Value, own: &Redactor) -> bool {
    let name = tool.get("name").and_then(Value::as_str);
    name.is_some_and(|name| own.finds(name.as_bytes()))
}

/// Redacts secrets from the definition of a tool, except its name.
fn clean(tool: &mut Value, redactor: &Redactor) {
    let name = tool.get_mut("name").map(Value::take);
    redactor.clean_json(tool);
    if let (Some(name), Some(place)) = (name, tool.get_mut("name")) {
        *place = name;
    }
}
