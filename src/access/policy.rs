//! [`AccessPolicy`]: all grants, compiled for fast decisions. Pure.
//!
//! Groups are numbered, so that a caller's groups are a bit set and a decision checks only the few
//! grants of one bridge.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use globset::{Glob, GlobBuilder, GlobSet, GlobSetBuilder};

use super::AccessRule;
use crate::{name::ToolName, store::GrantRow, tool::Tool};

/// All grants.
#[derive(Debug, Default)]
pub struct AccessPolicy {
    /// The rows that it was compiled from.
    rows: Vec<GrantRow>,
    /// The number of each group that has a grant.
    numbers: HashMap<Arc<str>, usize>,
    /// The grants by bridge.
    bridges: BTreeMap<String, BridgeGrants>,
}

/// The grants to one bridge, by group.
#[derive(Debug, Default)]
struct BridgeGrants {
    /// Grants for all tools.
    whole: Vec<GranteeGroup>,
    /// Grants for some tools.
    narrowed: Vec<NarrowedGrant>,
    /// All patterns of these grants, compiled together so that each name is matched only once.
    globs: GlobSet,
    /// The single patterns, by number.
    patterns: Vec<Glob>,
}

/// The callers that a grant applies to.
#[derive(Debug)]
struct GranteeGroup {
    /// The group.
    group: Arc<str>,
    /// Its number.
    number: usize,
    /// Only callers of this workspace; `None` for all.
    workspace: Option<String>,
}

/// A grant for some tools.
#[derive(Debug)]
struct NarrowedGrant {
    /// The callers that it applies to.
    holder: GranteeGroup,
    /// The numbers of its patterns; `None` for any name.
    tools: Option<Vec<usize>>,
    /// Only tools that are declared as read-only.
    read_only: bool,
}

/// What a caller wants to do with a bridge.
#[derive(Debug, Clone, Copy)]
pub enum AccessRequest<'a> {
    /// See it in a list.
    Anything,
    /// Use a tool of which only the name is known.
    Named(&'a str),
    /// Use a tool.
    Tool(&'a Tool),
}

/// A set of groups that have grants.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GroupSet(Vec<u64>);

/// The groups and the workspace of a caller.
#[derive(Debug, Clone, Copy)]
pub struct AccessSubject<'a> {
    /// Their groups.
    pub numbers: &'a GroupSet,
    /// Their workspace.
    pub workspace: &'a str,
}

impl AccessPolicy {
    /// Compiles the rows of the tables. CPU-bound: thousands of patterns take a while.
    pub fn compile(mut rows: Vec<GrantRow>) -> Self {
        rows.sort_by(|a, b| (&a.group, &a.bridge).cmp(&(&b.group, &b.bridge)));
        let mut policy = Self::default();
        let mut known = HashMap::new();
        for row in &rows {
            policy.add(row, &mut known);
        }
        for (bridge, grants) in &mut policy.bridges {
            grants.globs = globs(bridge, &grants.patterns);
        }
        policy.rows = rows;
        policy
    }

    /// The numbers of these groups. Groups without grants have no number.
    pub fn group_set<'a>(&self, groups: impl IntoIterator<Item = &'a Arc<str>>) -> GroupSet {
        let mut numbers = GroupSet(vec![0; self.numbers.len().div_ceil(64)]);
        for number in groups.into_iter().filter_map(|it| self.numbers.get(it)) {
            numbers.insert(*number);
        }
        numbers
    }

    /// Decides by the grants, in the order of group names. A grant for all tools takes precedence
    /// over a narrowed one.
    pub fn decide(
        &self,
        bridge: &str,
        asker: AccessSubject<'_>,
        wanted: AccessRequest<'_>,
    ) -> AccessRule {
        let Some(grants) = self.bridges.get(bridge) else {
            return AccessRule::NoGrant;
        };
        if let Some(holder) = grants.whole.iter().find(|it| it.is_met_by(asker)) {
            return AccessRule::Grant(Arc::clone(&holder.group));
        }
        let mut own = grants
            .narrowed
            .iter()
            .filter(|it| it.holder.is_met_by(asker))
            .peekable();
        if own.peek().is_none() {
            return AccessRule::NoGrant;
        }
        let matched = grants.matched(wanted);
        match own.find(|it| it.includes(wanted, &matched)) {
            Some(found) => AccessRule::NarrowedGrant(Arc::clone(&found.holder.group)),
            None => AccessRule::Narrowed,
        }
    }

    /// The groups that would allow it in this workspace, sorted and without duplicates.
    pub fn allowing(
        &self,
        bridge: &str,
        workspace: &str,
        wanted: AccessRequest<'_>,
    ) -> Vec<String> {
        let Some(grants) = self.bridges.get(bridge) else {
            return Vec::new();
        };
        let matched = grants.matched(wanted);
        let narrowed = grants.narrowed.iter();
        let narrowed = narrowed.filter(|it| it.includes(wanted, &matched));
        let holders = grants.whole.iter().chain(narrowed.map(|it| &it.holder));
        let mut groups: Vec<String> = holders
            .filter(|holder| holder.is_in(workspace))
            .map(|holder| holder.group.to_string())
            .collect();
        groups.sort();
        groups.dedup();
        groups
    }

    /// Adds one row. A pattern that is used in several rows is compiled once.
    fn add(&mut self, row: &GrantRow, known: &mut HashMap<String, Option<Glob>>) {
        let holder = self.grantee(row);
        let grants = self.bridges.entry(row.bridge.clone()).or_default();
        if row.tools.is_empty() && !row.read_only {
            grants.whole.push(holder);
        } else {
            let tools = (!row.tools.is_empty()).then(|| grants.number(&row.tools, known));
            grants.narrowed.push(NarrowedGrant {
                holder,
                tools,
                read_only: row.read_only,
            });
        }
    }

    /// The callers that a row applies to. Assigns a number to its group.
    fn grantee(&mut self, row: &GrantRow) -> GranteeGroup {
        let next = self.numbers.len();
        let known = self.numbers.get_key_value(row.group.as_str());
        let known = known.map(|(group, number)| (Arc::clone(group), *number));
        let (group, number) = known.unwrap_or_else(|| (row.group.as_str().into(), next));
        self.numbers.insert(Arc::clone(&group), number);
        GranteeGroup {
            group,
            number,
            workspace: row.workspace.clone(),
        }
    }
}

/// Compares only the rows, because everything else is built from them.
impl PartialEq for AccessPolicy {
    fn eq(&self, other: &Self) -> bool {
        self.rows == other.rows
    }
}

impl BridgeGrants {
    /// The numbers of patterns. New patterns get the next number. An invalid pattern gets none and
    /// matches nothing.
    fn number(
        &mut self,
        texts: &[String],
        known: &mut HashMap<String, Option<Glob>>,
    ) -> Vec<usize> {
        let mut numbers = Vec::with_capacity(texts.len());
        for text in texts {
            let glob = known.entry(text.clone()).or_insert_with(|| glob(text));
            let Some(glob) = glob else { continue };
            let number = self.patterns.iter().position(|it| it == glob);
            numbers.push(number.unwrap_or_else(|| {
                self.patterns.push(glob.clone());
                self.patterns.len() - 1
            }));
        }
        numbers
    }

    /// The numbers of the patterns that match a tool, by its published name or by the server's
    /// name.
    fn matched(&self, wanted: AccessRequest<'_>) -> Vec<usize> {
        match wanted {
            AccessRequest::Anything => Vec::new(),
            AccessRequest::Named(name) => self.globs.matches(name),
            AccessRequest::Tool(tool) => {
                let mut matched = self.globs.matches(tool.name.as_str());
                if tool.server_name != tool.name {
                    matched.extend(self.globs.matches(tool.server_name.as_str()));
                }
                matched
            }
        }
    }
}

impl GranteeGroup {
    /// Whether the grant applies to this caller.
    fn is_met_by(&self, asker: AccessSubject<'_>) -> bool {
        asker.numbers.contains(self.number) && self.is_in(asker.workspace)
    }

    /// Whether the grant applies to this workspace.
    fn is_in(&self, workspace: &str) -> bool {
        self.workspace.as_deref().is_none_or(|own| own == workspace)
    }
}

impl NarrowedGrant {
    /// Whether the grant includes the requested tool, which matches these patterns.
    fn includes(&self, wanted: AccessRequest<'_>, matched: &[usize]) -> bool {
        let globs = self.tools.as_ref();
        let is_named = || globs.is_none_or(|own| own.iter().any(|it| matched.contains(it)));
        match wanted {
            AccessRequest::Anything => true,
            AccessRequest::Named(_) => is_named(),
            AccessRequest::Tool(tool) => (!self.read_only || tool.read_only) && is_named(),
        }
    }
}

impl GroupSet {
    /// Adds a number.
    fn insert(&mut self, number: usize) {
        if let Some(word) = self.0.get_mut(number / 64) {
            *word |= 1 << (number % 64);
        }
    }

    /// Whether it contains a number.
    fn contains(&self, number: usize) -> bool {
        let word = self.0.get(number / 64).copied().unwrap_or_default();
        word >> (number % 64) & 1 == 1
    }
}

/// Checks that a pattern is valid. The error says what is wrong with it.
pub fn check_glob(text: &str) -> Result<(), String> {
    let parsed = parse(text).map_err(|error| error.kind().to_string());
    parsed.map(|_glob| ())
}

/// For each glob, which of the tools it matches, by the name that callers use or by the server's own. A glob
/// that cannot be read matches none.
pub fn matched(globs: &[String], tools: &[Tool]) -> Vec<Vec<bool>> {
    let matched = |text: &String| {
        let matcher = parse(text).ok().map(|glob| glob.compile_matcher());
        let is_match = |name: &ToolName| {
            let matcher = matcher.as_ref();
            matcher.is_some_and(|it| it.is_match(name.as_str()))
        };
        let tools = tools.iter();
        tools
            .map(|tool| is_match(&tool.name) || is_match(&tool.server_name))
            .collect()
    };
    globs.iter().map(matched).collect()
}

/// Compiles a pattern, with the syntax of those in `[bridges.NAME]`.
fn parse(text: &str) -> Result<Glob, globset::Error> {
    GlobBuilder::new(text).backslash_escape(true).build()
}

/// Compiles a pattern from the tables.
fn glob(text: &str) -> Option<Glob> {
    parse(text)
        .inspect_err(|error| {
            tracing::warn!("a grant has an invalid tool pattern, which matches nothing: {error}");
        })
        .ok()
}

/// Compiles all patterns of a bridge.
fn globs(bridge: &str, patterns: &[Glob]) -> GlobSet {
    let mut set = GlobSetBuilder::new();
    for glob in patterns {
        set.add(glob.clone());
    }
    set.build().unwrap_or_else(|error| {
        tracing::warn!(
            bridge.name = bridge,
            "the tool patterns of the grants are too large and match nothing: {error}"
        );
        GlobSet::empty()
    })
}
