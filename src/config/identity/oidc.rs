//! `[identity.oidc.NAME]`: issuers of accepted bearer tokens.

use serde::Deserialize;
use toml::{Spanned, de::DeValue};
use url::{Host, Url};

use crate::config::read::{
    BadValue, ConfigReader, KEY, Parsed, SectionRules, parsed, value, web_url,
};

/// `[identity.oidc.NAME]`: an issuer of accepted bearer tokens (OpenID Connect Discovery 1.0, RFC 9068).
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IssuerSettings {
    /// The name in logs.
    #[serde(skip)]
    pub name: String,
    /// The exact `iss`. Its configuration is read from `/.well-known/openid-configuration` below it.
    #[serde(deserialize_with = "secure_url")]
    pub issuer: Url,
    /// The accepted values of `aud`. Never empty.
    #[serde(rename = "audience", default, deserialize_with = "value::words")]
    pub audiences: Vec<String>,
    /// The URL of its keys, which replaces discovery.
    #[serde(default, deserialize_with = "jwks_url")]
    pub jwks_url: Option<Url>,
    /// The claims with the e-mail address; the first one present is used. `email` needs `email_verified`;
    /// other claims are trusted because the operator chose them. Default `email`.
    #[serde(default = "email_claims", deserialize_with = "value::words")]
    pub email_claims: Vec<String>,
    /// Whether `email` is accepted if the token has no `email_verified`. Default false.
    #[serde(default)]
    pub emails_verified: bool,
    /// The claims with groups, which are combined. Default `groups`, `roles`.
    #[serde(default = "groups_claims", deserialize_with = "value::words")]
    pub groups_claims: Vec<String>,
    /// The claim with the workspace. Default `tid`.
    #[serde(default = "workspace_claim")]
    pub workspace_claim: String,
}

const RULES: SectionRules = SectionRules {
    optional: &["issuer", "jwks_url"],
    empty: &[
        "audience",
        "email_claims",
        "groups_claims",
        "workspace_claim",
    ],
    ..SectionRules::NONE
};

/// The default claims with the e-mail address.
pub fn email_claims() -> Vec<String> {
    vec!["email".to_owned()]
}

/// The default claims with groups.
pub fn groups_claims() -> Vec<String> {
    vec!["groups".to_owned(), "roles".to_owned()]
}

/// The default claim with the workspace.
pub fn workspace_claim() -> String {
    "tid".to_owned()
}

/// Reads one issuer; `None` if it is disabled.
pub(super) fn read(
    reader: &mut ConfigReader<'_>,
    name: &str,
    value: Spanned<DeValue<'_>>,
) -> Option<IssuerSettings> {
    let message = format!("`{name}`: expected a table");
    let hint = format!("write `[identity.oidc.{name}]` and below it `issuer = \"https://…\"`");
    let (at, table) = reader.table_in(value, message, hint)?;
    let at = &at;
    let section = format!("identity.oidc.{name}");
    let (issuer, notes) = reader.section::<IssuerSettings>(&section, at, table, &RULES);
    if notes.at("issuer").is_none() && notes.is_whole(reader) {
        reader.refuse(
            at,
            format!("`[{section}]` has no `issuer`"),
            "add `issuer = \"${OIDC_ISSUER}\"`",
        );
    }
    if let Some(why) = notes.why_blank("issuer") {
        reader.turn_off(&format!("OpenID issuer `{name}`"), why.clone());
    }
    let mut issuer = issuer?;
    name.clone_into(&mut issuer.name);
    if issuer.audiences.is_empty() && notes.is_whole(reader) {
        reader.refuse(
                notes.at("audience").unwrap_or(at),
                "without an `audience`, a token that the issuer made for any other program would be accepted", "write `audience = \"${OIDC_AUDIENCE}\"`: the client id, or what `aud` says in its tokens");
    }
    if notes.at("email_claims").is_none() && is_entra(&issuer.issuer) {
        reader.warn(
                at,
                "tokens of Microsoft Entra do not show whether an e-mail address is verified, so users are identified only by their subject", "write `email_claims = [\"upn\"]`: within one tenant only its administrators assign that name (docs/access.md)");
    }
    Some(issuer)
}

parsed! {
    /// Reads the URL of the issuer.
    secure_url -> Url = parse_secure_url;
    /// Reads the URL of the issuer's keys.
    jwks_url -> Option<Url> = |text| parse_secure_url(text).map(Some);
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

/// Parses a URL that must be `https:`, unless it is on this machine. An attacker on the network path can
/// replace keys that travel over plain HTTP.
fn parse_secure_url(text: &str) -> Parsed<Url> {
    let url = web_url(text, "https://login.example.org/realm")?;
    let is_local = match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    };
    if url.scheme() == "https" || is_local {
        return Ok(url);
    }
    let message =
        format!("{KEY} is not `https:`, so an attacker on the network path could sign tokens");
    Err(BadValue::new(message, "write `https://…`"))
}
