//! [`Policy`]: all grants, compiled for the question that every call asks; pure.
//!
//! Groups are numbered, so that a caller's groups are a set of bits and a decision looks at the few
//! grants of one bridge.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use globset::{Glob, GlobBuilder, GlobSet, GlobSetBuilder};

use super::Rule;
use crate::{name::ToolName, store::GrantRow, tool::Tool};

/// Everything that is granted.
#[derive(Debug, Default)]
pub struct Policy {
    /// What it was compiled from.
    rows: Vec<GrantRow>,
    /// The number of each group that has a grant.
    numbers: HashMap<Arc<str>, usize>,
    /// By bridge.
    bridges: BTreeMap<String, Grants>,
}

/// The grants to one bridge, by group.
#[derive(Debug, Default)]
struct Grants {
    /// To all of its tools.
    whole: Vec<Holder>,
    /// To some of them.
    narrowed: Vec<Narrowed>,
    /// Every glob of those, compiled together: a name is looked at once.
    globs: GlobSet,
    /// One by one, by number.
    patterns: Vec<Glob>,
}

/// Whom a grant counts for.
#[derive(Debug)]
struct Holder {
    /// The group.
    group: Arc<str>,
    /// Its number.
    number: usize,
    /// Only callers of this workspace; `None` for all.
    workspace: Option<String>,
}

/// A grant to some tools.
#[derive(Debug)]
struct Narrowed {
    /// Whom it counts for.
    holder: Holder,
    /// The numbers of its globs; `None` for any name.
    tools: Option<Vec<usize>>,
    /// Only tools that say they change nothing.
    read_only: bool,
}

/// What a caller wants of a bridge.
#[derive(Debug, Clone, Copy)]
pub enum Wanted<'a> {
    /// Anything at all: to see it in a list.
    Anything,
    /// A tool of which only the name is known.
    Named(&'a str),
    /// A tool.
    Tool(&'a Tool),
}

/// A set of groups that have grants.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Numbers(Vec<u64>);

/// Who asks: their groups, and their workspace.
#[derive(Debug, Clone, Copy)]
pub struct Asker<'a> {
    /// Their groups.
    pub numbers: &'a Numbers,
    /// Their workspace.
    pub workspace: &'a str,
}

impl Policy {
    /// Compiles what the tables say. CPU-bound: thousands of globs take a while.
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

    /// The numbers of groups; those without any grant have none.
    pub fn numbers<'a>(&self, groups: impl IntoIterator<Item = &'a Arc<str>>) -> Numbers {
        let mut numbers = Numbers(vec![0; self.numbers.len().div_ceil(64)]);
        for number in groups.into_iter().filter_map(|it| self.numbers.get(it)) {
            numbers.insert(*number);
        }
        numbers
    }

    /// Decides by the grants: a whole one before a narrowed one, by the names of groups.
    pub fn decide(&self, bridge: &str, asker: Asker<'_>, wanted: Wanted<'_>) -> Rule {
        let Some(grants) = self.bridges.get(bridge) else {
            return Rule::NoGrant;
        };
        if let Some(holder) = grants.whole.iter().find(|it| it.is_met_by(asker)) {
            return Rule::Grant(Arc::clone(&holder.group));
        }
        let mut own = grants
            .narrowed
            .iter()
            .filter(|it| it.holder.is_met_by(asker))
            .peekable();
        if own.peek().is_none() {
            return Rule::NoGrant;
        }
        let matched = grants.matched(wanted);
        match own.find(|it| it.includes(wanted, &matched)) {
            Some(found) => Rule::NarrowedGrant(Arc::clone(&found.holder.group)),
            None => Rule::Narrowed,
        }
    }

    /// The groups that would allow it in this workspace, each once, by name.
    pub fn allowing(&self, bridge: &str, workspace: &str, wanted: Wanted<'_>) -> Vec<String> {
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

    /// Adds one row. The same globs stand in many: each is read once.
    fn add(&mut self, row: &GrantRow, known: &mut HashMap<String, Option<Glob>>) {
        let holder = self.holder(row);
        let grants = self.bridges.entry(row.bridge.clone()).or_default();
        if row.tools.is_empty() && !row.read_only {
            grants.whole.push(holder);
        } else {
            let tools = (!row.tools.is_empty()).then(|| grants.number(&row.tools, known));
            grants.narrowed.push(Narrowed {
                holder,
                tools,
                read_only: row.read_only,
            });
        }
    }

    /// Whom a row counts for; numbers its group.
    fn holder(&mut self, row: &GrantRow) -> Holder {
        let next = self.numbers.len();
        let known = self.numbers.get_key_value(row.group.as_str());
        let known = known.map(|(group, number)| (Arc::clone(group), *number));
        let (group, number) = known.unwrap_or_else(|| (row.group.as_str().into(), next));
        self.numbers.insert(Arc::clone(&group), number);
        Holder {
            group,
            number,
            workspace: row.workspace.clone(),
        }
    }
}

/// What was granted decides all the rest.
impl PartialEq for Policy {
    fn eq(&self, other: &Self) -> bool {
        self.rows == other.rows
    }
}

impl Grants {
    /// The numbers of globs; new ones get the next. One that cannot be read has none, and so
    /// includes nothing.
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

    /// The numbers of the globs that a tool matches, by the name that callers use or by the
    /// server's own.
    fn matched(&self, wanted: Wanted<'_>) -> Vec<usize> {
        match wanted {
            Wanted::Anything => Vec::new(),
            Wanted::Named(name) => self.globs.matches(name),
            Wanted::Tool(tool) => {
                let mut matched = self.globs.matches(tool.name.as_str());
                if tool.server_name != tool.name {
                    matched.extend(self.globs.matches(tool.server_name.as_str()));
                }
                matched
            }
        }
    }
}

impl Holder {
    /// Whether it counts for this caller.
    fn is_met_by(&self, asker: Asker<'_>) -> bool {
        asker.numbers.contains(self.number) && self.is_in(asker.workspace)
    }

    /// Whether it counts in this workspace.
    fn is_in(&self, workspace: &str) -> bool {
        self.workspace.as_deref().is_none_or(|own| own == workspace)
    }
}

impl Narrowed {
    /// Whether it includes what is wanted, which matches these globs.
    fn includes(&self, wanted: Wanted<'_>, matched: &[usize]) -> bool {
        let globs = self.tools.as_ref();
        let is_named = || globs.is_none_or(|own| own.iter().any(|it| matched.contains(it)));
        match wanted {
            Wanted::Anything => true,
            Wanted::Named(_) => is_named(),
            Wanted::Tool(tool) => (!self.read_only || tool.read_only) && is_named(),
        }
    }
}

impl Numbers {
    /// Adds one.
    fn insert(&mut self, number: usize) {
        if let Some(word) = self.0.get_mut(number / 64) {
            *word |= 1 << (number % 64);
        }
    }

    /// Whether it is one of them.
    fn contains(&self, number: usize) -> bool {
        let word = self.0.get(number / 64).copied().unwrap_or_default();
        word >> (number % 64) & 1 == 1
    }
}

/// Whether a glob can be read; says what is wrong with it.
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

/// A glob, written as those of `[bridges.NAME]`.
fn parse(text: &str) -> Result<Glob, globset::Error> {
    GlobBuilder::new(text).backslash_escape(true).build()
}

/// A glob of the tables.
fn glob(text: &str) -> Option<Glob> {
    parse(text)
        .inspect_err(|error| {
            tracing::warn!("a grant has a glob that cannot be read and includes nothing: {error}");
        })
        .ok()
}

/// All globs of a bridge.
fn globs(bridge: &str, patterns: &[Glob]) -> GlobSet {
    let mut set = GlobSetBuilder::new();
    for glob in patterns {
        set.add(glob.clone());
    }
    set.build().unwrap_or_else(|error| {
        tracing::warn!(
            bridge.name = bridge,
            "the globs of the grants are too large and include nothing: {error}"
        );
        GlobSet::empty()
    })
}
