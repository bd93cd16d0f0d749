//! The decisions, as tables.

mod memory;

use std::{sync::Arc, time::Instant};

use proptest::prelude::*;
use serde_json::json;
use tokio_util::task::TaskTracker;

use super::{
    AccessControl, AccessRule, Permissions,
    policy::AccessPolicy,
    settings::GroupSettings,
    view::{CallerMembership, GroupSource},
};
use crate::{
    auth::{AuthenticationMethod, Caller},
    config::{Config, Environment},
    name::BridgeName,
    store::{GrantRow, StoreError},
    tool::Tool,
};

/// The configuration of this text.
fn config(text: &str) -> Config {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bridges.toml");
    std::fs::write(&path, text).unwrap();
    let loaded = crate::config::load(&path, &Environment::default());
    loaded.unwrap().config
}

/// A configuration in which groups and grants decide.
fn enforced() -> Config {
    let mut config = config("");
    config.access.is_configured = true;
    config
}

/// `developers github`, `writers@acme wiki: page_* list_*`, `readers github: read-only`
fn row(text: &str) -> GrantRow {
    let (whom, rest) = text.split_once(' ').unwrap();
    let (group, workspace) = match whom.split_once('@') {
        Some((group, workspace)) => (group, Some(workspace.to_owned())),
        None => (whom, None),
    };
    let (bridge, narrow) = rest.split_once(": ").unwrap_or((rest, ""));
    let words: Vec<&str> = narrow.split_whitespace().collect();
    GrantRow {
        workspace,
        group: group.to_owned(),
        bridge: bridge.to_owned(),
        tools: words
            .iter()
            .filter(|it| **it != "read-only")
            .map(|it| (*it).to_owned())
            .collect(),
        read_only: words.contains(&"read-only"),
    }
}

fn bridge(name: &str) -> BridgeName {
    BridgeName::parse(name).unwrap()
}

/// A tool. `new=old` is a renamed tool; a final `?` marks a read-only tool.
fn tool(text: &str) -> Tool {
    let bare = text.trim_end_matches('?');
    let (name, server_name) = bare.split_once('=').unwrap_or((bare, bare));
    let entry = json!({
        "name": server_name,
        "annotations": { "readOnlyHint": text.ends_with('?') },
    });
    let mut tool = Tool::from_wire(entry).unwrap();
    tool.name = crate::name::ToolName::parse(name).unwrap();
    tool
}

fn caller(proof: AuthenticationMethod) -> Caller {
    Caller {
        email: Some("ann@example.org".into()),
        ..Caller::named("ann@example.org", proof)
    }
}

/// A caller in these groups, with these grants.
fn view(config: &Config, grants: &[&str], groups: &[&str], caller: Caller) -> Permissions {
    let rules = Arc::new(GroupSettings::of(config));
    let policy = Arc::new(AccessPolicy::compile(
        grants.iter().map(|it| row(it)).collect(),
    ));
    let groups: Vec<Arc<str>> = groups.iter().map(|it| Arc::from(*it)).collect();
    let own = groups.iter().map(|it| (it, GroupSource::Table));
    let standing = Arc::new(CallerMembership::new(&rules, &policy, own, false));
    Permissions::bound(Arc::new(caller), standing)
}

/// Groups, bridge, tool, rule.
const DECISIONS: &[(&str, &str, &str, &str)] = &[
    ("", "github", "x", "no_grant"),
    ("nobody", "github", "x", "no_grant"),
    ("developers", "github", "x", "grant developers"),
    (
        "developers",
        "github",
        "anything at all",
        "grant developers",
    ),
    ("Developers", "github", "x", "no_grant"),
    ("developers", "GitHub", "x", "no_grant"),
    ("developers", "nothing", "x", "no_grant"),
    ("case", "github", "x", "no_grant"),
    ("Case", "github", "x", "grant Case"),
    ("MCP-Admin", "github", "x", "admin_group MCP-Admin"),
    ("MCP-Admin", "nothing", "x", "admin_group MCP-Admin"),
    ("mcp-admin", "github", "x", "no_grant"),
    (
        "developers MCP-Admin",
        "github",
        "x",
        "admin_group MCP-Admin",
    ),
    (
        "developers",
        "wiki",
        "page_new",
        "narrowed_grant developers",
    ),
    (
        "developers",
        "wiki",
        "read_page",
        "narrowed_grant developers",
    ),
    ("developers", "wiki", "Page_new", "narrowed"),
    ("developers", "wiki", "delete", "narrowed"),
    // A pattern matches the published name or the server's name.
    (
        "developers",
        "wiki",
        "make=page_new",
        "narrowed_grant developers",
    ),
    (
        "developers",
        "wiki",
        "page_make=new",
        "narrowed_grant developers",
    ),
    ("readers", "github", "x", "narrowed"),
    ("readers", "github", "x?", "narrowed_grant readers"),
    ("readers", "wiki", "page_new", "narrowed"),
    ("readers", "wiki", "page_get?", "narrowed_grant readers"),
    ("readers", "wiki", "other?", "narrowed"),
    ("bots", "github", "issue_1", "narrowed_grant bots"),
    ("bots", "github", "issue_12", "narrowed"),
    ("bots", "github", "copy", "narrowed_grant bots"),
    // An invalid pattern matches nothing.
    ("bots", "broken", "[", "narrowed"),
    // A grant for all tools takes precedence over a narrowed one, in any order of groups.
    ("readers developers", "github", "x?", "grant developers"),
    (
        "developers all-tools",
        "wiki",
        "page_new",
        "grant all-tools",
    ),
    (
        "readers developers",
        "wiki",
        "page_get?",
        "narrowed_grant developers",
    ),
    ("team", "wiki", "x", "no_grant"),
];

#[test]
fn the_decision_table() {
    let config = enforced();
    let grants = [
        "developers github",
        "developers wiki: page_* read_page",
        "readers github: read-only",
        "readers wiki: read-only page_*",
        "bots github: issue_? [a-c]*",
        "bots broken: [",
        "all-tools wiki",
        "team@acme wiki",
        "Case github",
    ];
    let mut wrong = Vec::new();
    for &(groups, on, wanted, rule) in DECISIONS {
        let groups: Vec<&str> = groups.split_whitespace().collect();
        let view = view(
            &config,
            &grants,
            &groups,
            caller(AuthenticationMethod::Session),
        );
        let (on, wanted) = (bridge(on), tool(wanted));
        let decided = view.authorize(&on, &wanted);
        let allowed = decided.is_ok();
        let said = match &decided {
            Ok(grant) => &grant.rule,
            Err(denial) => &denial.rule,
        };
        let is_alike = view.may_call(&on, &wanted) == allowed
            && view.explain(&on, Some(&wanted)).rule == *said
            && said.allows() == allowed;
        if said.to_string() != rule || !is_alike {
            wrong.push(format!("{groups:?} {on} {}: {said}", wanted.name));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a_grant_of_a_workspace_counts_there_alone() {
    let config = enforced();
    let grants = ["team@acme wiki", "team@other github: read-only"];
    for (workspace, wiki, github) in [
        ("acme", "grant team", "no_grant"),
        ("other", "no_grant", "narrowed_grant team"),
        ("default", "no_grant", "no_grant"),
    ] {
        let ann = Caller {
            workspace: workspace.into(),
            ..caller(AuthenticationMethod::Oidc)
        };
        let view = view(&config, &grants, &["team"], ann);
        let rule = |on| {
            view.explain(&bridge(on), Some(&tool("x?")))
                .rule
                .to_string()
        };
        assert_eq!(
            (rule("wiki").as_str(), rule("github").as_str()),
            (wiki, github)
        );
        let allowing = view.explain(&bridge("wiki"), None).allowing;
        assert_eq!(allowing.contains(&"team".to_owned()), workspace == "acme");
    }
}

#[test]
fn a_bridge_is_visible_to_callers_who_may_use_any_of_its_tools() {
    let config = enforced();
    let grants = [
        "readers wiki: page_* read-only",
        "writers wiki",
        "w2 wiki: make_*",
    ];
    for (groups, any, page, other) in [
        (vec!["readers"], true, true, false),
        (vec!["writers"], true, true, true),
        (vec!["readers", "w2"], true, true, false),
        (vec!["nobody"], false, false, false),
        (vec!["MCP-Admin"], true, true, true),
    ] {
        let view = view(
            &config,
            &grants,
            &groups,
            caller(AuthenticationMethod::Session),
        );
        let wiki = bridge("wiki");
        assert_eq!(view.enter(&wiki).is_ok(), any, "{groups:?}");
        assert_eq!(view.enter_for(&wiki, "page_x").is_ok(), page, "{groups:?}");
        assert_eq!(view.enter_for(&wiki, "other").is_ok(), other, "{groups:?}");
    }
}

#[test]
fn a_grant_is_for_one_tool() {
    let view = view(
        &enforced(),
        &["g wiki"],
        &["g"],
        caller(AuthenticationMethod::Session),
    );
    let grant = view
        .authorize(&bridge("wiki"), &tool("make=page_new"))
        .unwrap();
    let name = |text| crate::name::ToolName::parse(text).unwrap();
    assert!(grant.is_for(&bridge("wiki"), &name("page_new")));
    assert!(!grant.is_for(&bridge("wiki"), &name("make")));
    assert!(!grant.is_for(&bridge("github"), &name("page_new")));
}

#[test]
fn which_groups_would_allow_it_is_told_to_administrators_alone() {
    let config = enforced();
    let grants = [
        "b wiki",
        "a wiki: page_*",
        "c wiki: other",
        "a wiki: page_x",
    ];
    let ask = |caller| {
        let view = view(&config, &grants, &["nobody"], caller);
        view.authorize(&bridge("wiki"), &tool("page_x"))
            .unwrap_err()
    };
    assert_eq!(ask(caller(AuthenticationMethod::Session)).allowing, [""; 0]);
    let admin = Caller {
        is_admin: true,
        ..caller(AuthenticationMethod::Session)
    };
    let denial = ask(admin);
    assert_eq!(denial.rule, AccessRule::NoGrant);
    assert_eq!(denial.allowing, ["a", "b", "MCP-Admin"]);
}

#[test]
fn who_may_administer() {
    let config = enforced();
    for (groups, proof, is_marked, is_admin) in [
        (vec![], AuthenticationMethod::Session, false, false),
        (
            vec!["MCP-Admin"],
            AuthenticationMethod::Session,
            false,
            true,
        ),
        (vec![], AuthenticationMethod::Session, true, true),
        (vec![], AuthenticationMethod::ApiKey, false, false),
        (vec!["MCP-Admin"], AuthenticationMethod::ApiKey, false, true),
        (
            vec!["MCP-Admin"],
            AuthenticationMethod::Anonymous,
            true,
            false,
        ),
    ] {
        let by_proof = Caller {
            is_admin: is_marked,
            ..caller(proof)
        };
        let view = view(&config, &[], &groups, by_proof);
        assert_eq!(
            view.is_admin(),
            is_admin,
            "{groups:?} {proof:?} {is_marked}"
        );
    }
    for (proof, is_admin) in [
        (AuthenticationMethod::ApiKey, true),
        (AuthenticationMethod::Loopback, true),
        (AuthenticationMethod::Operator, true),
        (AuthenticationMethod::Anonymous, false),
    ] {
        let free = Permissions::free(Arc::new(Caller::named("x", proof)), AccessRule::Open);
        assert_eq!(free.is_admin(), is_admin, "{proof:?}");
    }
}

#[tokio::test]
async fn a_caller_who_needs_no_table_does_not_wait_for_one() {
    let tracker = TaskTracker::new();
    let open = AccessControl::new(&config(""), None, &tracker);
    let bound = AccessControl::new(&enforced(), None, &tracker);
    let rule = async |access: &AccessControl, caller: Caller| {
        let view = access.permissions(&Arc::new(caller)).await?;
        let rule = view.explain(&bridge("wiki"), None).rule.to_string();
        Ok::<_, StoreError>(rule)
    };
    for proof in [
        AuthenticationMethod::ApiKey,
        AuthenticationMethod::Anonymous,
    ] {
        let free = rule(&open, Caller::named("x", proof)).await;
        assert_eq!(free.unwrap(), "open", "{proof:?}");
        let asked = rule(&bound, Caller::named("x", proof)).await;
        assert!(matches!(asked, Err(StoreError::Down(_))), "{proof:?}");
    }
    for access in [&open, &bound] {
        let asked = rule(access, Caller::named("x", AuthenticationMethod::Loopback)).await;
        assert_eq!(asked.unwrap(), "loopback");
        let asked = rule(access, Caller::operator()).await;
        assert_eq!(asked.unwrap(), "operator");
    }
    let admin = Caller {
        groups: Some(Arc::from([Arc::from("x"), Arc::from("MCP-Admin")])),
        ..caller(AuthenticationMethod::Gateway)
    };
    assert_eq!(rule(&bound, admin).await.unwrap(), "admin_group MCP-Admin");
}

proptest! {
    #[test]
    fn nothing_is_allowed_without_a_grant_that_says_so(
        grants in prop::collection::vec((0..4_u8, 0..3_u8, 0..4_u8, any::<bool>(), 0..3_u8), 0..12),
        groups in prop::collection::vec(0..5_u8, 0..4),
        (on, wanted, reads, workspace) in (0..3_u8, 0..4_u8, any::<bool>(), 0..2_u8),
    ) {
        let rows: Vec<GrantRow> = grants
            .iter()
            .map(|(group, bridge, tool, read_only, workspace)| GrantRow {
                workspace: (*workspace > 0).then(|| format!("w{}", workspace - 1)),
                group: format!("g{group}"),
                bridge: format!("b{bridge}"),
                tools: if *tool == 3 { Vec::new() } else { vec![format!("t{tool}")] },
                read_only: *read_only,
            })
            .collect();
        let asked = tool(&format!("t{wanted}{}", if reads { "?" } else { "" }));
        let includes = |row: &GrantRow| {
            let is_own = groups.iter().any(|group| row.group == format!("g{group}"));
            let is_here = row.workspace.as_ref().is_none_or(|it| *it == format!("w{workspace}"));
            let is_named = row.tools.is_empty() || row.tools == [format!("t{wanted}")];
            row.bridge == format!("b{on}") && is_own && is_here && is_named
                && (!row.read_only || reads)
        };
        let expected = rows.iter().any(includes);
        let rules = Arc::new(GroupSettings::of(&enforced()));
        let policy = Arc::new(AccessPolicy::compile(rows));
        let own: Vec<Arc<str>> = groups.iter().map(|it| format!("g{it}").into()).collect();
        let own = own.iter().map(|it| (it, GroupSource::Table));
        let standing = Arc::new(CallerMembership::new(&rules, &policy, own, false));
        let ann = Caller { workspace: format!("w{workspace}").into(), ..caller(AuthenticationMethod::Session) };
        let view = Permissions::bound(Arc::new(ann), standing);
        let name = bridge(&format!("b{on}"));
        let decided = view.authorize(&name, &asked);
        prop_assert_eq!(decided.is_ok(), expected);
        prop_assert!(!expected || view.enter(&name).is_ok());
        prop_assert!(!expected || view.enter_for(&name, asked.name.as_str()).is_ok());
        match decided {
            Ok(grant) => prop_assert!(matches!(grant.rule, AccessRule::Grant(_) | AccessRule::NarrowedGrant(_))),
            Err(denial) => prop_assert!(matches!(denial.rule, AccessRule::NoGrant | AccessRule::Narrowed)),
        }
    }
}

/// 10,000 users in 200 groups, each with a grant for each of 100 bridges. Run it with `cargo
/// nextest run --release --run-ignored only --no-capture decisions_are_quick`.
#[test]
#[ignore = "a measurement"]
fn decisions_are_quick() {
    let rules = Arc::new(GroupSettings::of(&enforced()));
    let rows = (0..200_usize).flat_map(|group| {
        (0..100_usize).map(move |bridge| GrantRow {
            workspace: None,
            group: format!("group-{group}"),
            bridge: format!("bridge-{bridge}"),
            // Only the last group has grants for all tools. In the worst case all groups are
            // checked.
            tools: if group == 199 {
                Vec::new()
            } else {
                vec![format!("tool_{group}_*")]
            },
            read_only: false,
        })
    });
    let began = Instant::now();
    let policy = Arc::new(AccessPolicy::compile(rows.collect()));
    println!("20,000 grants compiled in {:?}", began.elapsed());
    let names: Vec<Arc<str>> = (0..200).map(|it| format!("group-{it}").into()).collect();
    let began = Instant::now();
    let views: Vec<Permissions> = (0..10_000)
        .map(|user| {
            let own = names
                .iter()
                .skip(user % 190)
                .take(10)
                .map(|it| (it, GroupSource::Table));
            let standing = Arc::new(CallerMembership::new(&rules, &policy, own, false));
            Permissions::bound(Arc::new(caller(AuthenticationMethod::Session)), standing)
        })
        .collect();
    println!("a view of 10 groups made in {:?}", began.elapsed() / 10_000);
    let bridges: Vec<BridgeName> = (0..100).map(|it| bridge(&format!("bridge-{it}"))).collect();
    let asked = tool("tool_100_x");
    let (mut allowed, mut worst) = (0_usize, std::time::Duration::ZERO);
    let began = Instant::now();
    for (user, view) in views.iter().enumerate() {
        let one = Instant::now();
        allowed += usize::from(view.authorize(&bridges[user % 100], &asked).is_ok());
        worst = worst.max(one.elapsed());
    }
    let mean = began.elapsed() / 10_000;
    println!("decided in {mean:?}, {worst:?} at most; {allowed} of 10,000 allowed");
    let everywhere = names.iter().take(199).map(|it| (it, GroupSource::Table));
    let standing = Arc::new(CallerMembership::new(&rules, &policy, everywhere, false));
    let view = Permissions::bound(Arc::new(caller(AuthenticationMethod::Session)), standing);
    let began = Instant::now();
    for on in &bridges {
        assert!(view.authorize(on, &tool("none")).is_err());
    }
    println!(
        "a member of 199 narrowed groups is refused in {:?}",
        began.elapsed() / 100
    );
}
