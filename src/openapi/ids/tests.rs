//! Tests of which bridge an id belongs to.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::{ID_CHARACTERS_MAX, OperationIdOwners, fingerprint, mcpo_ids};
use crate::name::{BridgeName, ToolName};

fn bridge(name: &str) -> BridgeName {
    BridgeName::mcpo(name).unwrap()
}

fn tool(name: &str) -> ToolName {
    ToolName::parse(name).unwrap()
}

/// The bridges of a configuration.
fn owners(names: &[&str]) -> OperationIdOwners {
    let bridges: Vec<BridgeName> = names.iter().map(|name| bridge(name)).collect();
    OperationIdOwners::new(&bridges)
}

/// The ids of a bridge's tools.
fn ids(owners: &OperationIdOwners, name: &str, tools: &[&str]) -> Vec<String> {
    let tools: Vec<ToolName> = tools.iter().map(|name| tool(name)).collect();
    owners.ids(&bridge(name), &tools)
}

/// The bridge that a text belongs to, and its tool.
fn owner<'a>(owners: &OperationIdOwners, text: &'a str) -> Option<(String, &'a str)> {
    let (owner, rest) = owners.owner(text)?;
    Some((owner.to_string(), rest))
}

#[test]
fn a_tool_does_not_take_the_id_of_another_bridge() {
    let both = owners(&["git", "git_hub"]);
    assert_eq!(ids(&both, "git_hub", &["get_me"]), ["git_hub_get_me"]);
    // Conflicts by the full name of a tool, and by a part of it.
    let taken = ids(
        &both,
        "git",
        &["git_hub_get_me", "hub_get_me", "hub_", "log"],
    );
    assert_eq!(taken[0], "git_git_hub_get_me");
    assert!(taken[1].starts_with("git_") && taken[1].ends_with("_hub_get_me"));
    assert_eq!(taken[3], "git_log");
    for id in &taken {
        assert!(!id.starts_with("git_hub_"), "{id}");
    }
    // A single bridge has no conflicts.
    assert_eq!(
        ids(&owners(&["git"]), "git", &["hub_get_me"]),
        ["git_hub_get_me"]
    );
}

#[test]
fn a_flat_path_belongs_to_the_longest_bridge_in_it() {
    let some = owners(&["git", "git_hub", "my.server", "my_server", "Git"]);
    for (path, name, rest) in [
        ("git_log", "git", "log"),
        ("git_hub_get_me", "git_hub", "get_me"),
        ("git_hub", "git", "hub"),
        ("Git_hub_get_me", "Git", "hub_get_me"),
        ("my.server_x", "my.server", "x"),
        ("my_server_x_y", "my_server", "x_y"),
        ("git__x", "git", "_x"),
    ] {
        assert_eq!(owner(&some, path), Some((name.to_owned(), rest)), "{path}");
    }
    for path in ["git", "nothing_x", "_x", "", "githu_b", "gït_x"] {
        assert_eq!(owner(&some, path), None, "{path}");
    }
    assert_eq!(owner(&OperationIdOwners::default(), "git_log"), None);
    // A long path is cheap.
    assert_eq!(owner(&some, &"_".repeat(1 << 20)), None);
}

#[test]
fn bridges_that_read_alike_have_ids_of_their_own() {
    let alike = owners(&["my.server", "my_server"]);
    assert_eq!(ids(&alike, "my_server", &["x"]), ["my_server_x"]);
    let other = ids(&alike, "my.server", &["x"]);
    assert!(
        other[0].starts_with("my_server-") && other[0].ends_with("_x"),
        "{}",
        other[0]
    );
}

#[test]
fn a_server_that_makes_names_collide_hurts_itself_alone() {
    let mut names = vec!["a b".to_owned(), "a.b".to_owned()];
    // The name that the other bridge would get.
    for attempt in 0..3 {
        let hash = fingerprint(format!("x\0a.b\0{attempt}").as_bytes());
        let digits = hash.get(..8).unwrap();
        names.push(format!("a_b_{digits}"));
        names.push(format!("{digits}_a_b"));
    }
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let some = owners(&["x", "x_a", "x_a_b"]);
    let given = ids(&some, "x", &names);
    let unique: BTreeSet<&String> = given.iter().collect();
    assert_eq!(unique.len(), names.len(), "{given:?}");
    for id in &given {
        assert_eq!(owner(&some, id).unwrap().0, "x", "{id}");
    }
    assert_eq!(
        ids(&some, "x_a", &["b", "c"]),
        ids(&owners(&["x", "x_a", "x_a_b"]), "x_a", &["b", "c"])
    );
}

#[test]
fn mcpo_names_tools_as_it_always_did() {
    let names = ["a-b", "a_b", "get-current.time"].map(tool);
    let given = mcpo_ids(&bridge("x"), &names);
    assert_eq!(given[0], "tool_a_b_post");
    assert!(given[1].starts_with("tool_a_b_post_"), "{}", given[1]);
    assert_eq!(given[2], "tool_get_current_time_post");
}

/// Names that are easily confused.
fn names() -> impl Strategy<Value = Vec<String>> {
    let name = prop_oneof![
        "(git|Git|hub|a|b)([_.-](git|hub|a|b|)){0,4}",
        "[a-b_.-]{1,6}",
        "[a-z_]{30,80}",
        "[aä获 /_-]{1,4}",
    ];
    prop::collection::vec(name.prop_filter("a name", |name| !name.is_empty()), 1..8)
}

proptest! {
    #[test]
    fn an_id_belongs_to_the_bridge_of_its_tool(
        bridges in names(),
        tools in prop::collection::vec((0usize..8, names()), 1..8),
    ) {
        let bridges: BTreeSet<BridgeName> = bridges.iter().map(|name| bridge(name)).collect();
        let bridges: Vec<BridgeName> = bridges.into_iter().collect();
        let owners = OperationIdOwners::new(&bridges);
        let turned = OperationIdOwners::new(bridges.iter().rev());
        let mut all = BTreeSet::new();
        for (number, own) in bridges.iter().enumerate() {
            let mut names: BTreeSet<ToolName> = BTreeSet::new();
            for (at, more) in &tools {
                if at % bridges.len() == number {
                    names.extend(more.iter().map(|name| tool(name)));
                    // A tool with the name of another bridge's tool, and of its own.
                    for other in &bridges {
                        names.extend(more.iter().map(|name| tool(&format!("{other}_{name}"))));
                    }
                }
            }
            let names: Vec<ToolName> = names.into_iter().collect();
            let given = owners.ids(own, &names);
            prop_assert_eq!(&turned.ids(own, &names), &given);
            let mut backwards = owners.ids(own, names.iter().rev());
            backwards.reverse();
            prop_assert_eq!(&backwards, &given, "the order of the tools counts");
            for (name, id) in names.iter().zip(&given) {
                prop_assert!(id.len() <= ID_CHARACTERS_MAX);
                prop_assert!(id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte)));
                prop_assert_eq!(owners.owner(id).map(|(owner, _)| owner), Some(own), "{} is {}", name, id);
                prop_assert!(all.insert(id.clone()), "{} is there twice", id);
                // An id must not begin like the ids of another bridge.
                for other in bridges.iter().filter(|other| *other != own) {
                    let start = format!("{other}_");
                    let is_longer = other.as_str().len() > own.as_str().len();
                    prop_assert!(!is_longer || !id.starts_with(&start), "{id} reads as {other}'s");
                }
            }
        }
    }
}
