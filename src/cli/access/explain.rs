//! `access explain`: which rule decides, by the very code that decides calls.

use std::sync::Arc;

use anyhow::Context as _;

use super::run::{Desk, columns};
use crate::{
    access::{Access, Explanation, Rule},
    auth::{Caller, Proof},
    bridge::explain_tool,
    cli::output::print,
    name::BridgeName,
    store::{Account, StoreError},
};

/// A user as far as the tables know them, and what they cannot say.
struct Known {
    /// As a caller.
    caller: Caller,
    /// What is not known, in sentences.
    notes: Vec<String>,
}

/// Explains.
pub async fn run(desk: &Desk, user: &str, bridge: &str, tool: Option<&str>) -> anyhow::Result<()> {
    desk.warn_of_bridge(bridge);
    let Known { caller, mut notes } = known(desk, user).await?;
    let access = Access::new(
        &desk.config,
        Some(Arc::clone(&desk.store)),
        &desk.sources.tracker,
    );
    let view = access.view(&Arc::new(caller)).await?;
    let configured = desk.bridge(bridge);
    let name = match configured {
        Some(bridge) => bridge.name.clone(),
        None => BridgeName::mcpo(bridge)?,
    };
    let explanation = match tool {
        None => view.explain(&name, None),
        Some(tool) => {
            let tools = desk.known_tools(bridge).await?;
            if tools.is_none() && configured.is_some() {
                notes.push(format!(
                    "the tools of `{bridge}` are not known yet, since no running bridge has listed them; whether there is a tool `{tool}` is not checked"
                ));
            }
            explain_tool(&view, &name, configured, tool, tools.as_ref())?
        }
    };
    if let Some(Err(off)) = configured.map(|it| &it.transport) {
        notes.push(format!("the bridge is off: {}", off.0));
    }
    print(&render(&explanation, bridge, tool, &notes));
    Ok(())
}

/// Whom the command line means: an API key by its name, else a user by their e-mail.
async fn known(desk: &Desk, user: &str) -> anyhow::Result<Known> {
    if let Some(caller) = key(desk, user).await? {
        return Ok(Known {
            caller,
            notes: Vec::new(),
        });
    }
    let mut caller = Caller::user(None, Some(user), Proof::Session);
    let mut notes = Vec::new();
    if !user.contains('@') {
        notes.push(format!("`{user}` is no e-mail and no API key"));
    }
    if let Some(directory) = &desk.sources.directory {
        match directory.user_of_email(user).await {
            Ok(Some(account)) => add(&mut caller, &account, &mut notes),
            Ok(None) => notes.push("Open WebUI knows no user of this e-mail".to_owned()),
            Err(StoreError::Query(why)) => notes.push(format!(
                "Open WebUI's groups could not be read: {why}; they count where the tables here have none"
            )),
            Err(error) => return Err(error).context("Open WebUI's database"),
        }
    }
    let identity = &desk.config.identity;
    if identity.gateway.is_some()
        || !identity.oidc.is_empty()
        || identity.keys.iter().any(|key| key.forwards)
    {
        notes.push(
            "groups that come with a request, from a gateway, a token or a forwarding key, count instead of these; they are not known here"
                .to_owned(),
        );
    }
    Ok(Known { caller, notes })
}

/// What Open WebUI says of a user.
fn add(caller: &mut Caller, account: &Account, notes: &mut Vec<String>) {
    let groups = account
        .groups
        .iter()
        .flat_map(|group| [&group.name, &group.id]);
    caller.open_webui_groups = groups.map(|it| Arc::from(it.as_str())).collect();
    caller.is_admin = account.role == "admin";
    if account.role == "pending" || !account.is_active {
        notes.push("Open WebUI does not let this user in: pending, or switched off".to_owned());
    }
}

/// An API key of this name, configured or stored.
async fn key(desk: &Desk, name: &str) -> anyhow::Result<Option<Caller>> {
    let mut configured = desk.config.identity.keys.iter();
    let found = if let Some(key) = configured.find(|key| key.name == name) {
        Some((key.groups.clone(), key.workspace.clone()))
    } else {
        let mut stored = desk.store.keys().await?.into_iter();
        let found = stored.find(|key| key.name == name);
        found.map(|key| (key.groups, key.workspace))
    };
    Ok(found.map(|(groups, workspace)| {
        let groups: Arc<[Arc<str>]> = groups.iter().map(|it| Arc::from(it.as_str())).collect();
        Caller {
            groups: (!groups.is_empty()).then_some(groups),
            workspace: workspace.into(),
            ..Caller::named(name, Proof::ApiKey)
        }
    }))
}

/// For people.
fn render(it: &Explanation, bridge: &str, tool: Option<&str>, notes: &[String]) -> String {
    let what = match tool {
        Some(tool) => format!("tool `{tool}` of bridge `{bridge}`"),
        None => format!("bridge `{bridge}`"),
    };
    let mut text = format!("{}\n\n", verdict(it, &what));
    let groups: Vec<_> = it
        .groups
        .iter()
        .map(|(group, origin)| format!("{group} ({})", origin.as_str()))
        .collect();
    let or_none = |list: Vec<String>| {
        if list.is_empty() {
            "none".to_owned()
        } else {
            list.join(", ")
        }
    };
    let rule = match &it.if_it_reads {
        Some(other) if other.rule != it.rule => {
            format!("{}; {} if the tool only reads", it.rule, other.rule)
        }
        Some(_) | None => it.rule.to_string(),
    };
    let mut rows = vec![
        ["rule".to_owned(), rule],
        ["identity".to_owned(), it.proof.to_owned()],
        [
            "e-mail".to_owned(),
            it.email.clone().unwrap_or_else(|| "none".to_owned()),
        ],
        ["workspace".to_owned(), it.workspace.clone()],
        ["groups".to_owned(), or_none(groups)],
        [
            "administers".to_owned(),
            if it.is_admin { "yes" } else { "no" }.to_owned(),
        ],
    ];
    if it.rule != Rule::Open {
        let mut allowed = or_none(it.allowing.clone());
        if let Some(other) = it.if_it_reads.as_ref().filter(|it| !it.allowing.is_empty()) {
            let more = other.allowing.join(", ");
            allowed = format!("{allowed}; if the tool only reads, also {more}");
        }
        rows.push(["allowed to".to_owned(), allowed]);
    }
    text.push_str(&columns(&rows));
    for note in notes {
        text.extend(["\nnote: ", note, "\n"]);
    }
    text
}

/// Yes, no, or what it depends on, in a sentence.
fn verdict(it: &Explanation, what: &str) -> String {
    match (it.is_allowed(), &it.if_it_reads) {
        (Some(is_allowed), _) => {
            let verdict = if is_allowed { "may" } else { "may not" };
            format!("{} {verdict} use {what}: {}", it.caller, why(&it.rule))
        }
        (None, other) => {
            let rule = other.as_ref().map_or(&it.rule, |other| &other.rule);
            format!(
                "it depends whether {} may use {what}: {}, if the server says that the tool only reads (`readOnlyHint`); otherwise {}",
                it.caller,
                why(rule),
                why(&it.rule)
            )
        }
    }
}

/// A rule as a sentence.
fn why(rule: &Rule) -> String {
    match rule {
        Rule::Operator => "it is the program itself".to_owned(),
        Rule::Open => {
            "no access rules are configured, so whoever is identified may call everything"
                .to_owned()
        }
        Rule::Loopback => "nothing but this machine can reach the bridge".to_owned(),
        Rule::AdminGroup(group) => format!("members of `{group}` may use everything"),
        Rule::Grant(group) => format!("group `{group}` has a grant"),
        Rule::NarrowedGrant(group) => {
            format!("group `{group}` has a grant for some tools, and this is one of them")
        }
        Rule::NoGrant => "none of their groups has a grant".to_owned(),
        Rule::Narrowed => {
            "their groups have grants for some of its tools, and this is none of them".to_owned()
        }
    }
}
