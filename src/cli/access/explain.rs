//! `access explain`: shows which rule decides. It uses the same code that decides calls.

use std::sync::Arc;

use anyhow::Context as _;

use super::run::{AccessContext, columns};
use crate::{
    access::{AccessControl, AccessExplanation, AccessRule},
    auth::{AuthenticationMethod, Caller},
    bridge::explain_tool,
    cli::output::print,
    name::BridgeName,
    store::{DirectoryUser, StoreError},
};

/// A user as the database describes them, and notes on what the database does not know.
struct KnownUser {
    /// The user as a caller.
    caller: Caller,
    /// Sentences about what is not known.
    notes: Vec<String>,
}

/// Explains whether a user may use a bridge or a tool, and prints the result.
pub async fn run(
    desk: &AccessContext,
    user: &str,
    bridge: &str,
    tool: Option<&str>,
) -> anyhow::Result<()> {
    desk.warn_of_bridge(bridge);
    let KnownUser { caller, mut notes } = known(desk, user).await?;
    let access = AccessControl::new(
        &desk.config,
        Some(Arc::clone(&desk.store)),
        &desk.sources.tracker,
    );
    let view = access.permissions(&Arc::new(caller)).await?;
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
                    "no running bridge has listed the tools of `{bridge}` yet, so it is not checked whether the tool `{tool}` exists"
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

/// Finds the caller that the command line names: an API key by its name, otherwise a user by e-mail address.
async fn known(desk: &AccessContext, user: &str) -> anyhow::Result<KnownUser> {
    if let Some(caller) = key(desk, user).await? {
        return Ok(KnownUser {
            caller,
            notes: Vec::new(),
        });
    }
    let mut caller = Caller::user(None, Some(user), AuthenticationMethod::Session);
    let mut notes = Vec::new();
    if !user.contains('@') {
        notes.push(format!(
            "`{user}` is neither an e-mail address nor the name of an API key"
        ));
    }
    if let Some(directory) = &desk.sources.directory {
        match directory.user_of_email(user).await {
            Ok(Some(account)) => add(&mut caller, &account, &mut notes),
            Ok(None) => notes.push("Open WebUI has no user with this e-mail address".to_owned()),
            Err(StoreError::Query(why)) => notes.push(format!(
                "the groups in Open WebUI could not be read: {why}; they apply to users who have no groups in the database of mcp-bridge"
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
            "groups that arrive with a request (from a gateway, a token or a key that has `forwards`) replace these groups; they are not shown here"
                .to_owned(),
        );
    }
    Ok(KnownUser { caller, notes })
}

/// Adds the role and the groups that a user has in Open WebUI.
fn add(caller: &mut Caller, account: &DirectoryUser, notes: &mut Vec<String>) {
    let groups = account
        .groups
        .iter()
        .flat_map(|group| [&group.name, &group.id]);
    caller.open_webui_groups = groups.map(|it| Arc::from(it.as_str())).collect();
    caller.is_admin = account.role == "admin";
    if account.role == "pending" || !account.is_active {
        notes.push(
            "this user cannot sign in to Open WebUI: the account is pending or inactive".to_owned(),
        );
    }
}

/// Finds the API key of this name, configured or stored.
async fn key(desk: &AccessContext, name: &str) -> anyhow::Result<Option<Caller>> {
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
            ..Caller::named(name, AuthenticationMethod::ApiKey)
        }
    }))
}

/// Renders an explanation as text.
fn render(it: &AccessExplanation, bridge: &str, tool: Option<&str>, notes: &[String]) -> String {
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
            format!("{}; {} if the tool is read-only", it.rule, other.rule)
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
    if it.rule != AccessRule::Open {
        let mut allowed = or_none(it.allowing.clone());
        if let Some(other) = it.if_it_reads.as_ref().filter(|it| !it.allowing.is_empty()) {
            let more = other.allowing.join(", ");
            allowed = format!("{allowed}; if the tool is read-only, also {more}");
        }
        rows.push(["allowed to".to_owned(), allowed]);
    }
    text.push_str(&columns(&rows));
    for note in notes {
        text.extend(["\nnote: ", note, "\n"]);
    }
    text
}

/// Renders the decision as a sentence: yes, no, or what it depends on.
fn verdict(it: &AccessExplanation, what: &str) -> String {
    match (it.is_allowed(), &it.if_it_reads) {
        (Some(is_allowed), _) => {
            let verdict = if is_allowed { "may" } else { "may not" };
            format!("{} {verdict} use {what}: {}", it.caller, why(&it.rule))
        }
        (None, other) => {
            let rule = other.as_ref().map_or(&it.rule, |other| &other.rule);
            format!(
                "it depends on the tool whether {} may use {what}: {}, if the server declares the tool read-only (`readOnlyHint`); otherwise {}",
                it.caller,
                why(rule),
                why(&it.rule)
            )
        }
    }
}

/// Renders a rule as a sentence.
fn why(rule: &AccessRule) -> String {
    match rule {
        AccessRule::Operator => "the caller is the mcp-bridge command line".to_owned(),
        AccessRule::Open => {
            "no access rules are configured, so every caller may call every tool".to_owned()
        }
        AccessRule::Loopback => "only this machine can reach mcp-bridge".to_owned(),
        AccessRule::AdminGroup(group) => format!("members of `{group}` may use everything"),
        AccessRule::Grant(group) => format!("group `{group}` has a grant"),
        AccessRule::NarrowedGrant(group) => {
            format!("group `{group}` has a grant for some tools, including this one")
        }
        AccessRule::NoGrant => "no group of the caller has a grant".to_owned(),
        AccessRule::Narrowed => {
            "the groups of the caller have grants for some of its tools, but not for this one"
                .to_owned()
        }
    }
}
