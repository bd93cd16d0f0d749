//! `[access]`: who may call which tools.

use std::time::Duration;

use serde::Deserialize;
use toml::{
    Spanned,
    de::{DeArray, DeTable, DeValue},
};

use crate::{
    config::{
        BridgeSettings,
        read::{
            BadValue, ConfigReader, KEY, SectionRules, Span, glob, keys_of, list_of, nearest,
            parsed, reads, value, words_of,
        },
    },
    name::{BridgeName, is_hidden},
};

/// `[access]`: who may call which tools.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AccessSettings {
    /// Whether the file contains the section. Without it, and with API keys alone, every key may call
    /// everything.
    #[serde(skip)]
    pub is_configured: bool,
    /// Groups that may use everything and administer the bridge. Default `MCP-Admin`.
    #[serde(deserialize_with = "value::names")]
    pub admin_groups: Vec<String>,
    /// Groups of every authenticated caller. Default none.
    #[serde(deserialize_with = "value::words")]
    pub default_groups: Vec<String>,
    /// E-mail addresses of administrators, who join the first admin group. Seeded.
    #[serde(deserialize_with = "admins")]
    pub admins: Vec<String>,
    /// How long grants are cached if no notification of a change arrives. Default 10 s.
    #[serde(deserialize_with = "value::duration::<600, _>")]
    pub cache_ttl: Duration,
    /// `[access.groups]`: each entry is seeded once and never deleted.
    #[serde(skip)]
    pub groups: Vec<SeedGroup>,
}

/// One entry of `[access.groups]`.
#[derive(Debug, Clone, PartialEq)]
pub struct SeedGroup {
    /// The name of the group, which may be any text.
    pub name: String,
    /// The grants of its members.
    pub grants: Vec<SeedGrant>,
}

/// A grant of a group.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SeedGrant {
    /// The bridge, which may be disabled or missing.
    #[serde(deserialize_with = "bridge")]
    pub bridge: BridgeName,
    /// Globs for tool names; empty for all tools.
    #[serde(default, deserialize_with = "tools")]
    pub tools: Vec<String>,
    /// Whether only tools are granted that declare to change nothing (MCP `readOnlyHint`).
    #[serde(default)]
    pub read_only: bool,
}

impl Default for AccessSettings {
    fn default() -> Self {
        Self {
            is_configured: false,
            admin_groups: vec!["MCP-Admin".to_owned()],
            default_groups: Vec::new(),
            admins: Vec::new(),
            cache_ttl: Duration::from_secs(10),
            groups: Vec::new(),
        }
    }
}

/// The column width in the database tables, in bytes.
const NAME_BYTES_MAX: usize = 255;

const RULES: SectionRules = SectionRules {
    empty: &["admin_groups", "default_groups", "admins"],
    ..SectionRules::NONE
};

/// Reads the section. The names of bridges in the file help to detect typos.
pub fn read(
    reader: &mut ConfigReader<'_>,
    span: &Span,
    mut table: DeTable<'_>,
    bridges: &[BridgeSettings],
) -> AccessSettings {
    let is_configured = !table.is_empty();
    let known = [keys_of::<AccessSettings>(), &["groups"]].concat();
    reader.refuse_unknown("access", &mut table, &known);
    let groups = table.remove_entry("groups");
    let groups = groups.map(|(_, groups)| read_groups(reader, groups, bridges));
    let (access, _notes) = reader.section::<AccessSettings>("access", span, table, &RULES);
    AccessSettings {
        is_configured,
        groups: groups.unwrap_or_default(),
        ..access.unwrap_or_default()
    }
}

reads! {
    /// Reads the e-mail addresses of administrators.
    admins -> Vec<String> = |it| words_of(it, |word| {
        let email = word.to_ascii_lowercase();
        if is_email(&email) {
            return Ok(email);
        }
        let hint = "write `[\"ada@example.org\"]`, or several with commas in one variable";
        Err(BadValue::new(
            format!("{KEY}: `{word}` is not an e-mail address"),
            hint,
        ))
    });
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
    let hint = "write `[access.groups]` and below it `developers = [\"github\"]`";
    let Some((_span, groups)) = reader.table_in(groups, "`groups`: expected a table", hint) else {
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
            reader.refuse(
                    &key.span(),
                    format!("the group {name:?} has an invisible character, so it may look like another group"), "type the name again, without control, zero-width and text-direction characters");
            continue;
        }
        let at = value.span();
        let DeValue::Array(grants) = value.into_inner() else {
            reader.refuse(
                &at,
                format!("`{name}`: expected a list of bridges"),
                format!("write `{name} = [\"github\"]`"),
            );
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
        let table = match value.into_inner() {
            DeValue::Table(table) => table,
            bridge @ DeValue::String(_) => {
                let key = Spanned::new(span.clone(), "bridge".into());
                [(key, Spanned::new(span.clone(), bridge))]
                    .into_iter()
                    .collect()
            }
            DeValue::Integer(_)
            | DeValue::Float(_)
            | DeValue::Boolean(_)
            | DeValue::Datetime(_)
            | DeValue::Array(_) => {
                reader.refuse(
                    &span,
                    format!("`{group}`: a grant names a bridge"),
                    "write `\"github\"`, or `{ bridge = \"github\", tools = [\"get_*\"] }`",
                );
                continue;
            }
        };
        let grant = read_grant(reader, group, &span, table, bridges);
        let Some(grant) = grant else { continue };
        let is_whole = |grant: &SeedGrant| grant.tools.is_empty() && !grant.read_only;
        let twin = grants.iter().find(|other| {
            other.bridge == grant.bridge
                && (**other == grant || is_whole(other) || is_whole(&grant))
        });
        if twin.is_some() {
            reader.warn(
                &span,
                format!(
                    "`{group}` has `{}` twice; the wider grant applies",
                    grant.bridge
                ),
                "keep one of them",
            );
        }
        grants.push(grant);
    }
    grants
}

fn read_grant(
    reader: &mut ConfigReader<'_>,
    group: &str,
    span: &Span,
    table: DeTable<'_>,
    bridges: &[BridgeSettings],
) -> Option<SeedGrant> {
    let is_empty = |value: &Spanned<DeValue<'_>>| matches!(value.get_ref(), DeValue::Array(items) if items.is_empty());
    if let Some(tools) = table.get("tools").filter(|value| is_empty(value)) {
        reader.refuse(
            &tools.span(),
            "`tools` is empty",
            "leave `tools` out to allow all tools, or remove the grant to allow none",
        );
    }
    let rules = &SectionRules::NONE;
    let (grant, notes) = reader.section::<SeedGrant>("access.groups", span, table, rules);
    let Some(at) = notes.at("bridge") else {
        if notes.is_whole(reader) {
            reader.refuse(
                span,
                format!("`{group}`: this grant has no `bridge`"),
                "write `{ bridge = \"github\", tools = [\"get_*\"] }`",
            );
        }
        return None;
    };
    let grant = grant?;
    // The bridge need not be in the file, but a similar name suggests a typo.
    let known = || bridges.iter().map(|bridge| bridge.name.as_str());
    let name = grant.bridge.as_str();
    if !known().any(|known| known == name)
        && let Some(near) = nearest(name, known())
    {
        reader.warn(
            at,
            format!("there is no bridge `{name}`"),
            format!("did you mean `{near}`?"),
        );
    }
    Some(grant)
}

parsed! {
    /// Reads the name of a bridge.
    bridge -> BridgeName = |text| BridgeName::parse(text.trim()).map_err(|bad| {
        let hint = "write the name of a bridge, as in `[bridges.github]`";
        BadValue::new(bad.to_string(), hint)
    });
}

reads! {
    /// Reads the globs of a grant. A blank one is refused, because skipping it would widen the grant.
    tools -> Vec<String> = |it| list_of(it, |text| {
        if text.trim().is_empty() {
            let hint = "remove it, or write `\"*\"` for all tools";
            return Err(BadValue::new(
                format!("{KEY}: the name of a tool is missing"),
                hint,
            ));
        }
        glob(text).map(|_glob| text.to_owned())
    });
}
