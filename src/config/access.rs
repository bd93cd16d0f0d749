//! `[access]`: who may call which tools.

use std::time::Duration;

use serde::Deserialize;
use toml::{
    Spanned,
    de::{DeArray, DeTable, DeValue},
};

use super::{
    AccessSettings, BridgeSettings, SeedGrant, SeedGroup,
    diagnostic::{Span, nearest},
    reader::{ConfigReader, Text},
    setting::ListSetting,
};
use crate::name::{BridgeName, is_hidden};

/// The section in the file, without `groups`. Defaults are those of [`AccessSettings`].
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct AccessTable {
    admin_groups: Option<Spanned<ListSetting>>,
    default_groups: Option<Spanned<ListSetting>>,
    admins: Option<Spanned<ListSetting>>,
    cache_ttl: Option<Text>,
    /// Parsed separately before the rest; the field is needed for the list of known keys.
    #[serde(rename = "groups")]
    _groups: Option<bool>,
}

/// `{ bridge = "sonarqube", tools = ["get_*"], read_only = true }`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct GrantTable {
    bridge: Option<Text>,
    tools: Option<Spanned<Vec<Text>>>,
    read_only: Option<bool>,
}

/// The column width in the database tables, in bytes.
const NAME_BYTES_MAX: usize = 255;

/// Revoking a grant must take effect within minutes, even if the notification is lost.
const CACHE_TTL_MAX: Duration = Duration::from_mins(10);

/// Reads the section. The names of bridges in the file help to detect typos.
pub(super) fn read(
    reader: &mut ConfigReader<'_>,
    span: &Span,
    mut table: DeTable<'_>,
    bridges: &[BridgeSettings],
) -> AccessSettings {
    let mut access = AccessSettings {
        is_configured: !table.is_empty(),
        ..AccessSettings::default()
    };
    if let Some((_, groups)) = table.remove_entry("groups") {
        access.groups = read_groups(reader, groups, bridges);
    }
    let Some(table) = reader.table::<AccessTable>("access", span, table) else {
        return access;
    };
    let default: Vec<_> = access.admin_groups.iter().map(String::as_str).collect();
    access.admin_groups = reader.names("admin_groups", table.admin_groups.as_ref(), &default);
    if let Some(list) = &table.default_groups {
        access.default_groups = super::setting::plain(reader.words(list));
    }
    if let Some(list) = &table.admins {
        access.admins = read_admins(reader, list);
    }
    if let Some(text) = table.cache_ttl.and_then(|text| reader.required(&text))
        && let Some(duration) = reader.duration_up_to("cache_ttl", &text, CACHE_TTL_MAX)
    {
        access.cache_ttl = duration;
    }
    access
}

fn read_admins(reader: &mut ConfigReader<'_>, list: &Spanned<ListSetting>) -> Vec<String> {
    let mut admins = Vec::new();
    for word in reader.words(list) {
        let email = word.get_ref().to_ascii_lowercase();
        if !is_email(&email) {
            reader
                .problems
                .error(
                    &word.span(),
                    format!("`admins`: `{}` is not an e-mail address", word.get_ref()),
                )
                .hint("write `[\"ada@example.org\"]`, or several with commas in one variable");
        } else if !admins.contains(&email) {
            admins.push(email);
        }
    }
    admins
}

/// Whether a text looks like an e-mail address. Only the mail server can really tell.
pub(crate) fn is_email(text: &str) -> bool {
    let odd = |character: char| character.is_whitespace() || is_hidden(character);
    text.len() <= NAME_BYTES_MAX
        && !text.contains(odd)
        && !text.contains([',', ';', '<', '>'])
        && text.split_once('@').is_some_and(|(name, host)| {
            let is_host = !host.is_empty() && !host.starts_with('.') && !host.ends_with('.');
            !name.is_empty() && is_host && !host.contains('@')
        })
}

fn read_groups(
    reader: &mut ConfigReader<'_>,
    groups: Spanned<DeValue<'_>>,
    bridges: &[BridgeSettings],
) -> Vec<SeedGroup> {
    let span = groups.span();
    let DeValue::Table(groups) = groups.into_inner() else {
        reader
            .problems
            .error(&span, "`groups`: expected a table")
            .hint("write `[access.groups]` and below it `developers = [\"github\"]`");
        return Vec::new();
    };
    let mut seeds = Vec::new();
    for (key, value) in groups {
        let name = key.get_ref().trim();
        if name.is_empty() || name.len() > NAME_BYTES_MAX {
            reader.problems.error(
                &key.span(),
                format!("a group has a name of 1 to {NAME_BYTES_MAX} characters"),
            );
            continue;
        }
        if name.contains(is_hidden) {
            reader
                .problems
                .error(
                    &key.span(),
                    format!("the group {name:?} has an invisible character, so it may look like another group"),
                )
                .hint("type the name again, without control, zero-width and text-direction characters");
            continue;
        }
        let at = value.span();
        let DeValue::Array(grants) = value.into_inner() else {
            reader
                .problems
                .error(&at, format!("`{name}`: expected a list of bridges"))
                .hint(format!("write `{name} = [\"github\"]`"));
            continue;
        };
        seeds.push(SeedGroup {
            name: name.to_owned(),
            grants: read_grants(reader, name, grants, bridges),
        });
    }
    seeds
}

fn read_grants(
    reader: &mut ConfigReader<'_>,
    group: &str,
    values: DeArray<'_>,
    bridges: &[BridgeSettings],
) -> Vec<SeedGrant> {
    let mut grants: Vec<SeedGrant> = Vec::new();
    for value in values {
        let span = value.span();
        let grant = match value.into_inner() {
            DeValue::String(bridge) => {
                let text = Spanned::new(span.clone(), bridge.into_owned());
                read_bridge(reader, &text, bridges).map(|bridge| SeedGrant {
                    bridge,
                    tools: Vec::new(),
                    read_only: false,
                })
            }
            DeValue::Table(table) => read_narrowed(reader, group, &span, table, bridges),
            DeValue::Integer(_)
            | DeValue::Float(_)
            | DeValue::Boolean(_)
            | DeValue::Datetime(_)
            | DeValue::Array(_) => {
                reader
                    .problems
                    .error(&span, format!("`{group}`: a grant names a bridge"))
                    .hint("write `\"github\"`, or `{ bridge = \"github\", tools = [\"get_*\"] }`");
                None
            }
        };
        let Some(grant) = grant else { continue };
        let is_whole = |grant: &SeedGrant| grant.tools.is_empty() && !grant.read_only;
        let twin = grants.iter().find(|other| {
            other.bridge == grant.bridge
                && (**other == grant || is_whole(other) || is_whole(&grant))
        });
        if twin.is_some() {
            reader
                .problems
                .warning(
                    &span,
                    format!(
                        "`{group}` has `{}` twice; the wider grant applies",
                        grant.bridge
                    ),
                )
                .hint("keep one of them");
        }
        grants.push(grant);
    }
    grants
}

fn read_narrowed(
    reader: &mut ConfigReader<'_>,
    group: &str,
    span: &Span,
    table: DeTable<'_>,
    bridges: &[BridgeSettings],
) -> Option<SeedGrant> {
    let before = reader.problems.len();
    let table: GrantTable = reader.table("access.groups", span, table)?;
    let Some(bridge) = &table.bridge else {
        if reader.problems.len() == before {
            reader
                .problems
                .error(span, format!("`{group}`: this grant has no `bridge`"))
                .hint("write `{ bridge = \"github\", tools = [\"get_*\"] }`");
        }
        return None;
    };
    let bridge = read_bridge(reader, bridge, bridges);
    let mut tools = Vec::new();
    if let Some(list) = table.tools {
        if list.get_ref().is_empty() {
            reader
                .problems
                .error(&list.span(), "`tools` is empty")
                .hint("leave `tools` out to allow all tools, or remove the grant to allow none");
        }
        for text in list.into_inner() {
            // Skipping it silently would widen the grant.
            let Some(text) = reader.required(&text) else {
                continue;
            };
            if text.get_ref().trim().is_empty() {
                reader
                    .problems
                    .error(&text.span(), "`tools`: the name of a tool is missing")
                    .hint("remove it, or write `\"*\"` for all tools");
            } else if reader.glob("tools", &text).is_some() {
                tools.push(text.into_inner());
            }
        }
    }
    Some(SeedGrant {
        bridge: bridge?,
        tools,
        read_only: table.read_only.unwrap_or(false),
    })
}

/// Reads the name of a bridge. The bridge need not be in the file, but a similar name suggests a typo.
fn read_bridge(
    reader: &mut ConfigReader<'_>,
    text: &Text,
    bridges: &[BridgeSettings],
) -> Option<BridgeName> {
    let text = reader.required(text)?;
    let name = match BridgeName::parse(text.get_ref().trim()) {
        Ok(name) => name,
        Err(bad) => {
            reader
                .problems
                .error(&text.span(), bad.to_string())
                .hint("write the name of a bridge, as in `[bridges.github]`");
            return None;
        }
    };
    let known = || bridges.iter().map(|bridge| bridge.name.as_str());
    if !known().any(|known| known == name.as_str())
        && let Some(near) = nearest(name.as_str(), known())
    {
        reader
            .problems
            .warning(&text.span(), format!("there is no bridge `{name}`"))
            .hint(format!("did you mean `{near}`?"));
    }
    Some(name)
}
