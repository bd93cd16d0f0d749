//! [`KnownTools`]: the names of a bridge's tools and which of them only read, as they were last published.
//! They are kept in the database, so that `mcp-bridge access` decides as the running bridge does.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;

use super::{context::BridgeContext, tools::ToolList};
use crate::{
    access::{AccessExplanation, Permissions},
    config,
    credential::CredentialProvider,
    name::{BridgeName, ToolName},
    near, plain_text,
    store::{Store, StoreError},
    tool::Tool,
};

/// How long to wait after the database first did not take a list, and at most.
const RETRY_FIRST: Duration = Duration::from_millis(100);
const RETRY_MAX: Duration = Duration::from_mins(1);

/// How many names a sentence gives as what may have been meant.
const NEAREST_MAX: usize = 3;
/// How much of a name goes into a sentence, in characters.
const NAME_CHARS_SHOWN: usize = 100;

/// The tools of a bridge, as far as access needs to know them.
#[derive(Debug, Default)]
pub struct KnownTools {
    /// The published tools.
    tools: Vec<Tool>,
    /// By published name and by second name, the place in `tools`.
    by_name: HashMap<String, usize>,
}

/// One tool as it stands in the database.
#[derive(Debug, Serialize, Deserialize)]
struct StoredTool {
    /// The name that callers use.
    name: String,
    /// The name that the server uses.
    server_name: String,
    /// Whether the server says that the tool only reads.
    read_only: bool,
    /// Its second names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    aliases: Vec<String>,
}

/// Writes the lists of a bridge into the database, the newest last.
#[derive(Debug, Default)]
pub(super) struct ToolListWriter {
    /// Counts the lists.
    turns: Arc<AtomicU64>,
    /// The list that was last written, and its number.
    written: Arc<Mutex<(u64, String)>>,
}

impl KnownTools {
    /// Reads what the database has of a bridge. `None`: the bridge never published its tools.
    pub async fn read(store: &Store, bridge: &BridgeName) -> Result<Option<Self>, StoreError> {
        let written = store.listed_tools(bridge.as_str()).await?;
        Ok(written.as_deref().and_then(Self::from_json))
    }

    /// The tool of a name, published or second.
    pub fn get(&self, name: &str) -> Option<&Tool> {
        self.tools.get(*self.by_name.get(name)?)
    }

    /// All tools, each once.
    pub fn tools(&self) -> &[Tool] {
        &self.tools
    }

    fn add(&mut self, tool: Tool, aliases: impl IntoIterator<Item = String>) {
        let place = self.tools.len();
        for name in aliases {
            self.by_name.entry(name).or_insert(place);
        }
        self.by_name.insert(tool.name.to_string(), place);
        self.tools.push(tool);
    }

    /// The published tools.
    pub(super) fn of(set: &ToolList) -> Option<Self> {
        Self::from_json(&to_json(set))
    }

    /// Reads what [`to_json`] wrote.
    pub(super) fn from_json(text: &str) -> Option<Self> {
        let written: Vec<StoredTool> = serde_json::from_str(text).ok()?;
        let mut known = Self::default();
        for entry in written {
            let name = ToolName::parse(&entry.name)?;
            let server_name = ToolName::parse(&entry.server_name)?;
            let tool = Tool::sketch(name, server_name, entry.read_only);
            known.add(tool, entry.aliases);
        }
        Some(known)
    }
}

/// A bridge that has tools, and none of this name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("bridge `{bridge}` has no tool `{tool}` now{meant}")]
pub struct UnknownToolError {
    /// The bridge.
    bridge: String,
    /// The name, as much of it as goes into a sentence.
    tool: String,
    /// What may have been meant, as the end of a sentence.
    meant: String,
}

/// Says why a caller may or may not call a tool. The command line and the admin API decide it here, with the
/// same facts. While nothing is known of the bridge's tools, the name alone decides, and where it depends on
/// whether the tool only reads, the explanation says so.
pub fn explain_tool(
    view: &Permissions,
    bridge: &BridgeName,
    config: Option<&config::BridgeSettings>,
    tool: &str,
    known: Option<&KnownTools>,
) -> Result<AccessExplanation, UnknownToolError> {
    let unlisted = || {
        let names = known.map_or(&[][..], KnownTools::tools).iter();
        let near = near::nearest(tool, names.map(|tool| tool.name.as_str()), NEAREST_MAX);
        let meant = match near.as_slice() {
            [] => String::new(),
            near => format!("; did you mean {}?", near::either(near)),
        };
        let shown: String = tool.chars().take(NAME_CHARS_SHOWN).collect();
        UnknownToolError {
            bridge: bridge.to_string(),
            tool: plain_text::line(&shown).into_owned(),
            meant,
        }
    };
    if let Some(known) = known {
        let found = known.get(tool).ok_or_else(unlisted)?;
        return Ok(view.explain(bridge, Some(found)));
    }
    let name = ToolName::parse(tool).ok_or_else(unlisted)?;
    let names = |config: &config::BridgeSettings| {
        let server_name = config.rename.get(tool).or_else(|| config.aliases.get(tool));
        server_name.cloned()
    };
    let server_name = config.and_then(names).unwrap_or_else(|| name.clone());
    Ok(view.explain_unheard(bridge, &Tool::sketch(name, server_name, false)))
}

/// What stands in the database of these tools.
fn to_json(set: &ToolList) -> String {
    let mut aliases = HashMap::<&ToolName, Vec<String>>::new();
    for (name, entry) in set.names() {
        if *name != entry.tool.name {
            aliases
                .entry(&entry.tool.name)
                .or_default()
                .push(name.to_string());
        }
    }
    let written = set.entries.iter().map(|entry| {
        let tool = &entry.tool;
        let mut aliases = aliases.remove(&tool.name).unwrap_or_default();
        aliases.sort();
        StoredTool {
            name: tool.name.to_string(),
            server_name: tool.server_name.to_string(),
            read_only: tool.read_only,
            aliases,
        }
    });
    let written: Vec<_> = written.collect();
    serde_json::to_string(&written).unwrap_or_default()
}

impl ToolListWriter {
    /// Writes down what is published now, beside the work of the bridge.
    pub fn note(&self, context: &BridgeContext, bridge: &BridgeName, set: &Arc<ToolList>) {
        if !context.notes_tools {
            return;
        }
        let turn = self.turns.fetch_add(1, Ordering::Relaxed) + 1;
        let note = PendingToolList {
            turn,
            turns: Arc::clone(&self.turns),
            written: Arc::clone(&self.written),
            credentials: Arc::clone(&context.credentials),
            bridge: bridge.clone(),
            set: Arc::clone(set),
        };
        let stop = context.stop.clone();
        context.tracker.spawn(async move {
            let mut wait = RETRY_FIRST;
            while !note.is_settled().await {
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = tokio::time::sleep(wait) => wait = (wait * 2).min(RETRY_MAX),
                }
            }
        });
    }
}

/// One list on its way into the database.
struct PendingToolList {
    /// Its number.
    turn: u64,
    /// The number of the newest list.
    turns: Arc<AtomicU64>,
    /// The list that was last written, and its number.
    written: Arc<Mutex<(u64, String)>>,
    /// Where it goes.
    credentials: Arc<CredentialProvider>,
    /// Whose list it is.
    bridge: BridgeName,
    /// The list.
    set: Arc<ToolList>,
}

impl PendingToolList {
    /// Writes the list down; false if that has to be tried again. A newer list makes it needless.
    async fn is_settled(&self) -> bool {
        let mut last = self.written.lock().await;
        if self.turn < last.0 || self.turn < self.turns.load(Ordering::Relaxed) {
            return true;
        }
        let text = to_json(&self.set);
        if text == last.1 {
            return true;
        }
        match self.credentials.note_listed(&self.bridge, &text).await {
            Ok(()) => {
                *last = (self.turn, text);
                true
            }
            Err(error) => {
                tracing::debug!(bridge.name = %self.bridge, %error, "the names of the tools are not in the database yet");
                // What is too large will be so again.
                matches!(error, StoreError::Invalid(_))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tool_is_known_by_every_name_that_it_is_called_by() {
        let text = r#"[{"name":"get","server_name":"fetch","read_only":true,"aliases":["old"]},
            {"name":"put","server_name":"put","read_only":false}]"#;
        let known = KnownTools::from_json(text).unwrap();
        for name in ["get", "old"] {
            let tool = known.get(name).unwrap();
            assert!(tool.read_only && tool.server_name.as_str() == "fetch");
        }
        assert!(!known.get("put").unwrap().read_only);
        assert!(known.get("fetch").is_none());
        assert_eq!(known.tools().len(), 2);
        assert!(KnownTools::from_json("{}").is_none());
    }
}
