//! `[identity.oidc.NAME]`: issuers of accepted bearer tokens.

use serde::Deserialize;
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};
use url::{Host, Url};

use crate::config::{
    IssuerSettings,
    diagnostic::Span,
    reader::{ConfigReader, Text},
    setting::{ListSetting, plain},
};

/// The table in the file. Defaults are those of [`IssuerSettings`].
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct IssuerTable {
    issuer: Option<Text>,
    audience: Option<Spanned<ListSetting>>,
    jwks_url: Option<Text>,
    email_claims: Option<Spanned<ListSetting>>,
    emails_verified: bool,
    groups_claims: Option<Spanned<ListSetting>>,
    workspace_claim: Option<Text>,
}

/// Reads one issuer; `None` if it is disabled.
pub(super) fn read(
    reader: &mut ConfigReader<'_>,
    name: &str,
    value: Spanned<DeValue<'_>>,
) -> Option<IssuerSettings> {
    let at = value.span();
    let DeValue::Table(table) = value.into_inner() else {
        reader
            .problems
            .error(&at, format!("`{name}`: expected a table"))
            .hint(format!(
                "write `[identity.oidc.{name}]` and below it `issuer = \"https://…\"`"
            ));
        return None;
    };
    read_table(reader, name, &at, table)
}

fn read_table(
    reader: &mut ConfigReader<'_>,
    name: &str,
    at: &Span,
    table: DeTable<'_>,
) -> Option<IssuerSettings> {
    let section = format!("identity.oidc.{name}");
    let before = reader.problems.len();
    let table: IssuerTable = reader.table(&section, at, table)?;
    let Some(issuer) = &table.issuer else {
        if reader.problems.len() == before {
            reader
                .problems
                .error(at, format!("`[{section}]` has no `issuer`"))
                .hint("add `issuer = \"${OIDC_ISSUER}\"`");
        }
        return None;
    };
    let issuer = match reader.optional(issuer)? {
        Ok(text) => secure_url(reader, "issuer", &text),
        Err(reason) => {
            reader.turn_off(&format!("OpenID issuer `{name}`"), reason);
            return None;
        }
    };
    let audience = table.audience.as_ref();
    let audiences = audience.map(|list| plain(reader.words(list)));
    let audiences = audiences.unwrap_or_default();
    if audiences.is_empty() && !reader.problems.has_errors_since(before) {
        let span = audience.map_or_else(|| at.clone(), Spanned::span);
        reader
            .problems
            .error(
                &span,
                "without an `audience`, a token that the issuer made for any other program would be accepted",
            )
            .hint("write `audience = \"${OIDC_AUDIENCE}\"`: the client id, or what `aud` says in its tokens");
    }
    let jwks_url = table.jwks_url.as_ref();
    let jwks_url = jwks_url.and_then(|text| reader.optional(text)?.ok());
    let jwks_url = jwks_url.and_then(|text| secure_url(reader, "jwks_url", &text));
    let email_claims = match &table.email_claims {
        // An empty list is a valid setting: tokens contain no e-mail address.
        Some(list) => plain(reader.words(list)),
        None => vec!["email".to_owned()],
    };
    if let Some(issuer) = &issuer
        && table.email_claims.is_none()
        && is_entra(issuer)
    {
        reader
            .problems
            .warning(
                at,
                "tokens of Microsoft Entra do not show whether an e-mail address is verified, so users are identified only by their subject",
            )
            .hint("write `email_claims = [\"upn\"]`: within one tenant only its administrators assign that name (docs/access.md)");
    }
    let groups_claims = match &table.groups_claims {
        Some(list) => plain(reader.words(list)),
        None => vec!["groups".to_owned(), "roles".to_owned()],
    };
    // Blank is a valid setting: tokens contain no workspace.
    let workspace = table.workspace_claim.as_ref();
    let workspace = workspace.and_then(|text| reader.optional(text));
    Some(IssuerSettings {
        name: name.to_owned(),
        issuer: issuer?,
        audiences,
        jwks_url,
        email_claims,
        emails_verified: table.emails_verified,
        groups_claims,
        workspace_claim: workspace.map_or_else(
            || "tid".to_owned(),
            |text| text.map(Text::into_inner).unwrap_or_default(),
        ),
    })
}

/// Whether an issuer is Microsoft Entra.
fn is_entra(issuer: &Url) -> bool {
    let hosts = [
        "login.microsoftonline.com",
        "login.microsoftonline.us",
        "login.partner.microsoftonline.cn",
        "sts.windows.net",
    ];
    issuer.host_str().is_some_and(|host| hosts.contains(&host))
}

/// Reads a URL that must be `https:`, unless it is on this machine. An attacker on the network path can
/// replace keys that travel over plain HTTP.
fn secure_url(reader: &mut ConfigReader<'_>, key: &str, text: &Text) -> Option<Url> {
    let url = reader.web_url(key, text, "https://login.example.org/realm")?;
    let is_local = match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    };
    if url.scheme() == "https" || is_local {
        return Some(url);
    }
    reader
        .problems
        .error(
            &text.span(),
            format!(
                "`{key}` is not `https:`, so an attacker on the network path could sign tokens"
            ),
        )
        .hint("write `https://…`");
    None
}
