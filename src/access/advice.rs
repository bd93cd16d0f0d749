//! What an administrator is told of a change that may be a slip of the pen. Pure: nothing here refuses
//! anything.

use super::policy::matched;
use crate::{
    config::{self, CredentialScope},
    near,
    tool::Tool,
};

/// How many names a sentence gives as what may have been meant.
const NEAREST_MAX: usize = 3;
/// How many variables of a bridge a sentence names.
const VARIABLES_NAMED_MAX: usize = 5;

/// Where a group is named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GroupMention {
    /// In a grant, or with a key for a server.
    Grant,
    /// As the group of a new member.
    Member,
}

/// What a grant with these bounds reaches now, in a sentence, and what in it may be misspelt. `tools` are
/// those that the bridge has now; `None` where they are not known.
pub fn bounds_advice(
    bridge: &str,
    globs: &[String],
    read_only: bool,
    tools: Option<&[Tool]>,
) -> (Option<String>, Vec<String>) {
    if globs.is_empty() && !read_only {
        return (None, Vec::new());
    }
    let Some(tools) = tools else {
        let said = format!(
            "the tools of `{bridge}` are not known yet, so what this matches cannot be counted"
        );
        return (Some(said), Vec::new());
    };
    let matches = matched(globs, tools);
    let mut warnings = Vec::new();
    for (glob, matches) in globs.iter().zip(&matches) {
        if !matches.contains(&true) {
            let names = tools.iter().map(|tool| tool.name.as_str());
            let near = near::nearest(glob.trim_matches('*'), names, NEAREST_MAX);
            warnings.push(format!(
                "`{glob}` matches no tool of `{bridge}` now{}",
                meant(&near)
            ));
        }
    }
    let is_named =
        |place: usize| globs.is_empty() || matches.iter().any(|it| it.get(place) == Some(&true));
    let named = tools
        .iter()
        .enumerate()
        .filter(|(place, _)| is_named(*place));
    let reached = named.filter(|(_, tool)| tool.read_only || !read_only);
    let (reached, all) = (reached.count(), tools.len());
    if reached == 0 && warnings.is_empty() {
        warnings.push(if globs.is_empty() {
            format!("no tool of `{bridge}` says now that it only reads")
        } else {
            format!("no tool of `{bridge}` that this names says now that it only reads")
        });
    }
    let plural = if all == 1 { "tool" } else { "tools" };
    let said = format!("this matches {reached} of {all} {plural} of `{bridge}` now");
    (Some(said), warnings)
}

/// What to say of a group that is not known yet.
pub fn group_advice(group: &str, at: GroupMention, known: &[String]) -> Option<String> {
    if known.iter().any(|it| it == group) {
        return None;
    }
    let near = near::nearest(group, known.iter().map(String::as_str), NEAREST_MAX);
    let nothing = match at {
        GroupMention::Grant => "0 members",
        GroupMention::Member => "0 grants",
    };
    Some(format!("new group `{group}`, {nothing}{}", meant(&near)))
}

/// What to say of a bridge that the configuration does not have.
pub fn bridge_advice<'a>(
    bridge: &str,
    mut configured: impl Iterator<Item = &'a str> + Clone,
) -> Option<String> {
    if configured.clone().any(|it| it == bridge) {
        return None;
    }
    let near = near::nearest(bridge, configured.by_ref(), NEAREST_MAX);
    Some(format!(
        "no bridge of the configuration is called `{bridge}`{}",
        meant(&near)
    ))
}

/// What to say of a variable in the place of which a group has a value, where its bridge does not read it.
pub fn variable_advice(bridge: &config::BridgeSettings, variable: &str) -> Option<String> {
    let name = &bridge.name;
    if !bridge.reads_variable(variable) {
        let read = || bridge.variables.0.iter().map(String::as_str);
        let near = near::nearest(variable, read(), NEAREST_MAX);
        let known = match read().count() {
            0 => "; its configuration refers to no variable".to_owned(),
            _ if !near.is_empty() => meant(&near),
            1..=VARIABLES_NAMED_MAX => {
                format!("; it reads {}", near::either(&read().collect::<Vec<_>>()))
            }
            _ => String::new(),
        };
        return Some(format!(
            "bridge `{name}` does not read `{variable}`, so this value has no effect{known}"
        ));
    }
    (bridge.credential == CredentialScope::Caller).then(|| {
        format!("bridge `{name}` calls with each caller's own account, so this value has no effect")
    })
}

/// What may have been meant, as the end of a sentence.
fn meant(near: &[&str]) -> String {
    if near.is_empty() {
        return String::new();
    }
    format!("; did you mean {}?", near::either(near))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::ToolName;

    /// Names for callers and for the server, and whether they only read.
    const TOOLS: [(&str, &str, bool); 3] = [
        ("get_contact", "get_contact", true),
        ("list_deals", "list_deals", true),
        ("remove", "delete_contact", false),
    ];

    fn advice(globs: &[&str], read_only: bool) -> (Option<String>, Vec<String>) {
        let name = |text| ToolName::parse(text).unwrap();
        let tools = TOOLS.map(|(own, server, reads)| Tool::sketch(name(own), name(server), reads));
        let globs: Vec<_> = globs.iter().map(ToString::to_string).collect();
        bounds_advice("crm", &globs, read_only, Some(&tools))
    }

    #[test]
    fn what_a_grant_reaches_is_counted() {
        for (globs, read_only, reached) in [
            (&["get_*"][..], false, Some(1)),
            (&["*"], false, Some(3)),
            (&["*"], true, Some(2)),
            (&[], true, Some(2)),
            (&["delete_*"], false, Some(1)),
            (&["get_*", "*_contact"], false, Some(2)),
            (&[], false, None),
        ] {
            let (said, warnings) = advice(globs, read_only);
            let expected =
                reached.map(|count| format!("this matches {count} of 3 tools of `crm` now"));
            assert_eq!((said, warnings.len()), (expected, 0), "{globs:?}");
        }
    }

    #[test]
    fn what_reaches_nothing_is_told() {
        let (said, warnings) = advice(&["gett_*", "get_contcat", "list_*"], false);
        assert!(said.unwrap().contains("matches 1 of 3"));
        assert_eq!(warnings.len(), 2, "{warnings:?}");
        assert!(warnings[0].starts_with("`gett_*` matches no tool of `crm` now"));
        assert!(
            warnings[1].ends_with("did you mean `get_contact`?"),
            "{warnings:?}"
        );
        let (_, warnings) = advice(&["remove"], true);
        assert!(warnings[0].contains("only reads"), "{warnings:?}");
        let (said, warnings) = bounds_advice("crm", &["x".to_owned()], false, None);
        assert!(said.unwrap().contains("not known yet") && warnings.is_empty());
    }

    #[test]
    fn a_new_group_is_told_with_what_may_be_meant() {
        let known = ["sales", "support"].map(str::to_owned);
        assert_eq!(group_advice("sales", GroupMention::Grant, &known), None);
        assert_eq!(
            group_advice("slaes", GroupMention::Grant, &known).unwrap(),
            "new group `slaes`, 0 members; did you mean `sales`?"
        );
        assert_eq!(
            group_advice("marketing", GroupMention::Member, &known).unwrap(),
            "new group `marketing`, 0 grants"
        );
    }
}
