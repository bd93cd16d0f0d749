//! The names that models call tools by: operation ids, unique in a document.

use std::{
    collections::{HashMap, HashSet},
    fmt::Write,
};

use sha2::{Digest, Sha256};

use super::{Style, mcpo};
use crate::name::{BridgeName, ToolName};

/// The longest name that model providers take, in characters (openwebui §3).
pub const ID_CHARACTERS_MAX: usize = 64;

/// Names each tool, in the order given.
///
/// [`Style::Native`]: `{bridge}_{tool}`, where a tool that already starts with `{bridge}_` keeps
/// its name; other characters than `[A-Za-z0-9_-]` become `_`; what is longer than 64 characters
/// is cut and gets a hash. Where two tools come out the same, the one that needed the least
/// change keeps the name (then the first by bridge and tool), whatever the order given, and the
/// others get a hash; so a tool's name depends on other bridges only where theirs collide with it.
/// These are also the names of the old flat route `POST /{bridge}_{tool}`.
///
/// [`Style::Mcpo`]: `tool_{tool}_post`, of any length and with any letters, as mcpo names them;
/// the first tool of a name keeps it.
pub fn operation_ids<'a>(
    style: Style,
    tools: impl IntoIterator<Item = (&'a BridgeName, &'a ToolName)>,
) -> Vec<String> {
    let tools: Vec<_> = tools.into_iter().collect();
    let mut claims: Vec<Claim> = tools
        .iter()
        .map(|(bridge, tool)| match style {
            Style::Native => native(bridge.as_str(), tool.as_str()),
            Style::Mcpo => Claim {
                id: mcpo::operation_id(tool.as_str()),
                changes: 0,
            },
        })
        .collect();

    let mut order: Vec<usize> = (0..tools.len()).collect();
    if style == Style::Native {
        order.sort_by_key(|&at| (claims.get(at).map(|claim| claim.changes), tools.get(at)));
    }
    let mut taken: HashSet<String> = HashSet::with_capacity(tools.len());
    let mut beaten = Vec::new();
    for at in order {
        if let Some(claim) = claims.get(at)
            && !taken.insert(claim.id.clone())
        {
            beaten.push(at);
        }
    }
    let mut tries: HashMap<usize, u32> = HashMap::new();
    while let Some(at) = beaten.pop() {
        let (Some(claim), Some((bridge, tool))) = (claims.get_mut(at), tools.get(at)) else {
            continue;
        };
        let attempt = tries.entry(at).or_default();
        let id = hashed(&claim.id, &format!("{bridge}\0{tool}\0{attempt}"));
        *attempt += 1;
        if taken.insert(id.clone()) {
            claim.id = id;
        } else {
            beaten.push(at);
        }
    }
    claims.into_iter().map(|claim| claim.id).collect()
}

/// The id that a tool of ours would have if it were the only one.
pub fn native_id(bridge: &BridgeName, tool: &ToolName) -> String {
    native(bridge.as_str(), tool.as_str()).id
}

/// Sixteen hexadecimal digits that stand for `text`.
pub fn fingerprint(text: &[u8]) -> String {
    let mut digits = String::with_capacity(16);
    for byte in Sha256::digest(text).iter().take(8) {
        // Writing to a string cannot fail.
        write!(digits, "{byte:02x}").unwrap_or_default();
    }
    digits
}

/// Keeps what an id and a component key may hold, and makes `_` of the rest.
pub fn plain(text: &str) -> String {
    text.chars()
        .map(|character| match character {
            'A'..='Z' | 'a'..='z' | '0'..='9' | '_' | '-' => character,
            _ => '_',
        })
        .collect()
}

/// The id that a tool asks for.
struct Claim {
    /// The id.
    id: String,
    /// How far it is from `{bridge}_{tool}`; less goes first.
    changes: u8,
}

/// The claim of a tool of ours.
fn native(bridge: &str, tool: &str) -> Claim {
    let full = format!("{bridge}_{tool}");
    let is_named_after_bridge = tool
        .strip_prefix(bridge)
        .and_then(|rest| rest.strip_prefix('_'))
        .is_some_and(|rest| !rest.is_empty());
    let wanted = if is_named_after_bridge { tool } else { &full };
    let id = plain(wanted);
    let changes = match (is_named_after_bridge, id == *wanted) {
        (true, true) => 0,
        (false, true) => 1,
        (_, false) => 2,
    };
    if id.len() > ID_CHARACTERS_MAX {
        return Claim {
            id: hashed(&id, &full),
            changes: 3,
        };
    }
    Claim { id, changes }
}

/// Cuts an id to make room for the hash of what it stands for.
fn hashed(id: &str, meaning: &str) -> String {
    /// Digits of the hash.
    const DIGITS: usize = 8;

    let start: String = id.chars().take(ID_CHARACTERS_MAX - DIGITS - 1).collect();
    let hash: String = fingerprint(meaning.as_bytes())
        .chars()
        .take(DIGITS)
        .collect();
    format!("{start}_{hash}")
}
