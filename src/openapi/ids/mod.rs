//! The names by which models call tools: operation ids, and the bridge that each of them belongs to.

use std::{
    collections::{HashMap, HashSet},
    fmt::Write,
    sync::Arc,
};

use sha2::{Digest, Sha256};

use super::mcpo;
use crate::name::{BridgeName, ToolName};

/// The longest name that model providers accept, in characters.
pub const ID_CHARACTERS_MAX: usize = 64;

/// The longest text before a tool in an operation id, in characters. The unchanged start of a shortened id is
/// longer, so that shortening never changes the bridge that an id belongs to.
const PREFIX_CHARACTERS_MAX: usize = 40;

/// The number of hexadecimal digits of a hash in an id.
const DIGITS: usize = 8;

/// Determines which bridge an operation id or a flat path `{bridge}_{tool}` belongs to.
///
/// Each bridge has a prefix: its name with `_` instead of characters other than `[A-Za-z0-9_-]`. A text
/// belongs to the bridge with the longest name or prefix that the text starts with, followed by `_`. Every id
/// of a tool belongs to the bridge of that tool: with the bridges `git` and `git_hub`, tool `hub_get_me` of
/// `git` is not `git_hub_get_me`.
///
/// Only the names of the configured bridges matter, never their tools or whether a bridge is up.
#[derive(Debug, Clone, Default)]
pub struct OperationIdOwners {
    /// The bridges, by name and by prefix.
    by_start: HashMap<Arc<str>, BridgeName>,
    /// The prefixes, by bridge.
    prefixes: HashMap<BridgeName, Arc<str>>,
    /// The longest name or prefix, in bytes.
    longest: usize,
}

impl OperationIdOwners {
    /// Creates the value for the bridges of a configuration, in any order.
    pub fn new<'a>(bridges: impl IntoIterator<Item = &'a BridgeName>) -> Self {
        let mut bridges: Vec<&BridgeName> = bridges.into_iter().collect();
        bridges.sort_unstable();
        bridges.dedup();
        let mut owners = Self::default();
        for bridge in &bridges {
            let name = Arc::from(bridge.as_str());
            owners.by_start.insert(name, (*bridge).clone());
        }
        for bridge in bridges {
            let prefix = owners.free_prefix(bridge);
            owners.by_start.insert(Arc::clone(&prefix), bridge.clone());
            owners.prefixes.insert(bridge.clone(), prefix);
        }
        let lengths = owners.by_start.keys().map(|start| start.len());
        owners.longest = lengths.max().unwrap_or_default();
        owners
    }

    /// Returns the bridge that a text belongs to, and the text after `{bridge}_`.
    pub fn owner<'a>(&self, text: &'a str) -> Option<(&BridgeName, &'a str)> {
        // Longer starts are never looked up, because a caller chooses the length of a path.
        let end = text.floor_char_boundary(self.longest + 1);
        let mut places = text.get(..end)?.rmatch_indices('_');
        places.find_map(|(at, _)| {
            let bridge = self.by_start.get(text.get(..at)?)?;
            Some((bridge, text.get(at + 1..)?))
        })
    }

    /// Returns the operation ids of a bridge's tools, in the given order: at most 64 characters of
    /// `[A-Za-z0-9_-]`, unique over all bridges.
    ///
    /// An id is `{prefix}_{tool}`; a tool whose name already starts with `{bridge}_` keeps its name. If that
    /// would belong to another bridge, the id is `{prefix}_{hash}_{tool}`. An id of more than 64 characters
    /// is cut and gets a hash. If two tools have the same id, the one with the fewest changes keeps it (then
    /// the first by name), and the other gets a hash. An id therefore depends only on the names of the
    /// bridges and on the tools of its own bridge.
    pub fn ids<'a>(
        &self,
        bridge: &BridgeName,
        tools: impl IntoIterator<Item = &'a ToolName>,
    ) -> Vec<String> {
        let tools: Vec<_> = tools.into_iter().collect();
        let mut claims: Vec<PreferredId> = tools
            .iter()
            .map(|tool| self.preferred_id(bridge, tool.as_str()))
            .collect();
        let mut order: Vec<usize> = (0..tools.len()).collect();
        order.sort_by_key(|&at| (claims.get(at).map(|claim| claim.changes), tools.get(at)));
        let mut taken: HashSet<String> = HashSet::with_capacity(tools.len());
        let mut beaten = Vec::new();
        for at in order {
            if let Some(claim) = claims.get(at)
                && !taken.insert(claim.id.clone())
            {
                beaten.push(at);
            }
        }
        for at in beaten {
            let (Some(claim), Some(tool)) = (claims.get_mut(at), tools.get(at)) else {
                continue;
            };
            let near = |attempt| hashed(&claim.id, &format!("{bridge}\0{tool}\0{attempt}"));
            let free = (0..=u32::MAX)
                .flat_map(|attempt| [near(attempt), self.far_id(bridge, tool.as_str(), attempt)])
                .find(|id| self.belongs(id, bridge) && !taken.contains(id));
            if let Some(id) = free {
                taken.insert(id.clone());
                claim.id = id;
            }
        }
        claims.into_iter().map(|claim| claim.id).collect()
    }

    /// Returns the preferred id of a tool, which belongs to its bridge.
    fn preferred_id(&self, bridge: &BridgeName, tool: &str) -> PreferredId {
        let full = format!("{}_{tool}", self.prefix(bridge));
        let is_named_after_bridge = tool
            .strip_prefix(bridge.as_str())
            .and_then(|rest| rest.strip_prefix('_'))
            .is_some_and(|rest| !rest.is_empty());
        let changes = |kind: u8, id: &str, wanted: &str| if id == wanted { kind } else { 2 };
        if is_named_after_bridge {
            let id = shortened(plain(tool), tool);
            if self.belongs(&id, bridge) {
                let changes = changes(0, &id, tool);
                return PreferredId { id, changes };
            }
        }
        let id = shortened(plain(&full), &full);
        if self.belongs(&id, bridge) {
            let changes = changes(1, &id, &full);
            return PreferredId { id, changes };
        }
        // The loop ends, because only the operator chooses the names of bridges and servers cannot.
        let id = (0..=u32::MAX)
            .map(|attempt| self.far_id(bridge, tool, attempt))
            .find(|id| self.belongs(id, bridge));
        PreferredId {
            id: id.unwrap_or_default(),
            changes: 3,
        }
    }

    /// `{prefix}_{hash}_{tool}`
    fn far_id(&self, bridge: &BridgeName, tool: &str, attempt: u32) -> String {
        let hash = digits(&format!("{bridge}\0{tool}\0{attempt}"));
        let full = format!("{}_{hash}_{tool}", self.prefix(bridge));
        shortened(plain(&full), &full)
    }

    /// Returns the text that the ids of a bridge start with, before `_`.
    fn prefix(&self, bridge: &BridgeName) -> &str {
        self.prefixes.get(bridge).map_or("", |prefix| prefix)
    }

    /// Whether an id belongs to a bridge.
    fn belongs(&self, id: &str, bridge: &BridgeName) -> bool {
        self.owner(id).is_some_and(|(owner, _)| owner == bridge)
    }

    /// Returns the text that the ids of a bridge start with. If it is the name or the prefix of another
    /// bridge, it gets a hash.
    fn free_prefix(&self, bridge: &BridgeName) -> Arc<str> {
        let name = bridge.as_str();
        let is_free = |prefix: &str| {
            self.by_start
                .get(prefix)
                .is_none_or(|owner| owner == bridge)
        };
        let wanted = plain(name);
        if wanted.len() <= PREFIX_CHARACTERS_MAX && is_free(&wanted) {
            return Arc::from(wanted);
        }
        let start: String = wanted
            .chars()
            .take(PREFIX_CHARACTERS_MAX - DIGITS - 1)
            .collect();
        (0..=u32::MAX)
            .map(|attempt| format!("{start}-{}", digits(&format!("{name}\0{attempt}"))))
            .find(|prefix| is_free(prefix))
            .map_or_else(|| Arc::from(wanted), Arc::from)
    }
}

/// Returns mcpo's operation ids for the document of one bridge: `tool_{tool}_post`, of any length and with
/// any characters. The first tool of a name keeps it.
pub fn mcpo_ids<'a>(
    bridge: &BridgeName,
    tools: impl IntoIterator<Item = &'a ToolName>,
) -> Vec<String> {
    let mut taken: HashSet<String> = HashSet::new();
    tools
        .into_iter()
        .map(|tool| {
            let mut id = mcpo::operation_id(tool.as_str());
            let mut attempt = 0_u32;
            while !taken.insert(id.clone()) {
                id = hashed(&id, &format!("{bridge}\0{tool}\0{attempt}"));
                attempt += 1;
            }
            id
        })
        .collect()
}

/// Returns the native id that a tool would have if its bridge were the only one.
pub fn native_id(bridge: &BridgeName, tool: &ToolName) -> String {
    OperationIdOwners::new([bridge])
        .preferred_id(bridge, tool.as_str())
        .id
}

/// The preferred id of a tool.
struct PreferredId {
    /// The id.
    id: String,
    /// The number of changes from `{bridge}_{tool}`. Fewer changes take precedence.
    changes: u8,
}

/// Returns an id of at most 64 characters. `meaning` is the text that it stands for.
fn shortened(id: String, meaning: &str) -> String {
    if id.len() > ID_CHARACTERS_MAX {
        hashed(&id, meaning)
    } else {
        id
    }
}

/// Cuts an id and appends the hash of the text that it stands for.
fn hashed(id: &str, meaning: &str) -> String {
    let start: String = id.chars().take(ID_CHARACTERS_MAX - DIGITS - 1).collect();
    format!("{start}_{}", digits(meaning))
}

/// Returns eight hexadecimal digits of the hash of a text.
fn digits(meaning: &str) -> String {
    let mut digits = fingerprint(meaning.as_bytes());
    digits.truncate(DIGITS);
    digits
}

/// Returns sixteen hexadecimal digits of the hash of `text`.
pub fn fingerprint(text: &[u8]) -> String {
    let mut digits = String::with_capacity(16);
    for byte in Sha256::digest(text).iter().take(8) {
        // Writing to a string cannot fail.
        write!(digits, "{byte:02x}").unwrap_or_default();
    }
    digits
}

/// Replaces characters that are not allowed in ids and component keys with `_`.
pub fn plain(text: &str) -> String {
    text.chars()
        .map(|character| match character {
            'A'..='Z' | 'a'..='z' | '0'..='9' | '_' | '-' => character,
            _ => '_',
        })
        .collect()
}

#[cfg(test)]
mod tests;
