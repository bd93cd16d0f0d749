//! [`MergedToolList`]: the tools of a bridge that has one session per owner, merged from the list of each
//! session. A server may show different tools to different owners.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use serde_json::Value;
use tokio::time::Instant;

use crate::credential::SessionOwner;

/// The maximum number of gathered tools: the same as one session may list.
const GATHERED_MAX: usize = 10_000;
/// A tool that no session listed for this long is removed.
const FORGOTTEN_AFTER: Duration = Duration::from_hours(24);

/// The tool list of a session.
#[derive(Debug, Default)]
pub(super) struct SessionTools {
    /// The tools, as the server wrote them.
    pub list: Vec<Value>,
    /// Flaws that were found while the list was read.
    pub flaws: Arc<[String]>,
}

/// The tools, and which session listed which of them.
#[derive(Debug, Clone, Default)]
pub(super) struct MergedToolList {
    /// The tools of the newest list come first, followed by those that only other sessions listed.
    tools: Vec<ListedTool>,
    /// The tool names that each session listed last.
    shown: HashMap<SessionOwner, HashSet<String>>,
}

/// A tool as a server listed it.
#[derive(Debug, Clone)]
struct ListedTool {
    /// Its name.
    name: String,
    /// The complete definition.
    tool: Value,
    /// When a session last listed it.
    at: Instant,
}

impl MergedToolList {
    /// Adds the list of an owner's session, or the list that was stored before the start. Returns
    /// whether any tool changed. Removes the tools that this owner's previous list contained and
    /// that no other session lists.
    pub fn add(&mut self, owner: Option<&SessionOwner>, list: Vec<Value>, now: Instant) -> bool {
        let mut names = HashSet::with_capacity(list.len());
        let mut tools: Vec<ListedTool> = list
            .into_iter()
            .filter_map(|tool| ListedTool::new(tool, now))
            .filter(|listed| names.insert(listed.name.clone()))
            .collect();
        let before = match owner {
            Some(owner) => self.shown.insert(owner.clone(), names.clone()),
            None => None,
        };
        let before = before.unwrap_or_default();
        let old = std::mem::take(&mut self.tools);
        let was: Vec<(&str, &Value)> = old.iter().map(ListedTool::pair).collect();
        for listed in &old {
            if names.contains(&listed.name) {
                continue;
            }
            let is_shown = self.shown.values().any(|it| it.contains(&listed.name));
            let is_recent = now.saturating_duration_since(listed.at) < FORGOTTEN_AFTER;
            if is_shown || (is_recent && !before.contains(&listed.name)) {
                tools.push(ListedTool {
                    at: if is_shown { now } else { listed.at },
                    ..listed.clone()
                });
            }
        }
        tools.truncate(GATHERED_MAX);
        let is_new = !tools.iter().map(ListedTool::pair).eq(was);
        self.tools = tools;
        is_new
    }

    /// Forgets the session of an owner. Its tools stay.
    pub fn leave(&mut self, owner: &SessionOwner) {
        self.shown.remove(owner);
    }

    /// The same tools without the sessions, for the bridge that replaces this one.
    pub fn without_sessions(&self) -> Self {
        Self {
            tools: self.tools.clone(),
            shown: HashMap::new(),
        }
    }

    /// All tools.
    pub fn list(&self) -> Vec<Value> {
        self.tools.iter().map(|it| it.tool.clone()).collect()
    }
}

impl ListedTool {
    /// Reads the name. A definition without a name is not a tool.
    fn new(tool: Value, at: Instant) -> Option<Self> {
        let name = tool.get("name")?.as_str()?.to_owned();
        Some(Self { name, tool, at })
    }

    fn pair(&self) -> (&str, &Value) {
        (&self.name, &self.tool)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn owner(name: &str) -> SessionOwner {
        SessionOwner::Group {
            name: name.into(),
            revision: 1,
        }
    }

    fn list(names: &[&str]) -> Vec<Value> {
        names.iter().map(|name| json!({ "name": name })).collect()
    }

    fn names(gathered: &MergedToolList) -> Vec<String> {
        let list = gathered.list();
        let names = list.iter().filter_map(|tool| tool["name"].as_str());
        names.map(str::to_owned).collect()
    }

    #[test]
    fn tools_that_no_session_lists_are_removed() {
        let (mut gathered, now) = (MergedToolList::default(), Instant::now());
        let (a, b) = (owner("a"), owner("b"));
        assert!(gathered.add(Some(&a), list(&["x", "y"]), now));
        assert!(gathered.add(Some(&b), list(&["y", "z"]), now));
        assert_eq!(names(&gathered), ["y", "z", "x"]);
        assert!(!gathered.add(Some(&b), list(&["y", "z"]), now));
        // The owner's own tools are withdrawn; the tools of other owners stay.
        gathered.add(Some(&a), list(&["w"]), now);
        assert_eq!(names(&gathered), ["w", "y", "z"]);
        // After the session that listed them has ended, tools stay for a day.
        gathered.leave(&b);
        gathered.add(Some(&a), list(&["w"]), now);
        assert_eq!(names(&gathered), ["w", "y", "z"]);
        gathered.add(Some(&a), list(&["w"]), now + FORGOTTEN_AFTER);
        assert_eq!(names(&gathered), ["w"]);
    }

    #[test]
    fn a_server_with_new_names_for_each_session_does_not_grow_without_end() {
        let (mut gathered, now) = (MergedToolList::default(), Instant::now());
        for round in 0..30 {
            let fresh: Vec<_> = (0..1_000)
                .map(|it| json!({"name": format!("{round}-{it}")}))
                .collect();
            gathered.add(Some(&owner("a")), fresh, now);
            gathered.leave(&owner("a"));
        }
        assert_eq!(gathered.list().len(), GATHERED_MAX);
        assert_eq!(names(&gathered)[0], "29-0");
    }

    #[test]
    fn what_has_no_name_or_one_for_the_second_time_is_left_out() {
        let mut gathered = MergedToolList::default();
        let odd = vec![
            json!({}),
            json!({"name": 1}),
            json!({"name": "a"}),
            json!({"name": "a", "b": 1}),
        ];
        gathered.add(None, odd, Instant::now());
        assert_eq!(gathered.list(), [json!({"name": "a"})]);
    }
}
