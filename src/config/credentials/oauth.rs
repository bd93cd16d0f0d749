//! `oauth` of a bridge: how to sign in at its server.

use serde::Deserialize;
use toml::Spanned;
use url::Url;

use super::headers::warn_of_literal;
use crate::{
    config::{
        OAuth, OAuthGrant,
        bridge::Resolver,
        reader::Text,
        setting::{Flag, List, plain},
    },
    secret::Secret,
};

/// What `grant` may say.
const GRANTS: &[(&str, OAuthGrant)] = &[
    ("authorization_code", OAuthGrant::AuthorizationCode),
    ("client_credentials", OAuthGrant::ClientCredentials),
];

/// As it stands in the file; an empty table is enough. Defaults are those of [`OAuth`].
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(in crate::config) struct OAuthTable {
    pub(in crate::config) client_id: Option<Text>,
    pub(in crate::config) client_secret: Option<Text>,
    pub(in crate::config) scopes: Option<Spanned<List>>,
    pub(in crate::config) grant: Option<Text>,
    pub(in crate::config) client_metadata_url: Option<Text>,
    pub(in crate::config) private_network: Option<Spanned<Flag>>,
}

/// Checks and resolves the table.
pub(in crate::config) fn resolve(
    resolver: &mut Resolver<'_, '_>,
    table: Spanned<OAuthTable>,
) -> OAuth {
    let span = table.span();
    let table = table.into_inner();
    let grant = table.grant.and_then(|text| {
        let text = resolver.expand(&text)?;
        resolver.reader.choice("grant", &text, GRANTS)
    });
    let grant = grant.unwrap_or(OAuthGrant::AuthorizationCode);
    let is_machine = grant == OAuthGrant::ClientCredentials;
    let (has_id, has_secret) = (table.client_id.is_some(), table.client_secret.is_some());
    let problem = match (is_machine, has_id, has_secret) {
        (true, false, _) | (true, _, false) => {
            Some("`grant = \"client_credentials\"` needs `client_id` and `client_secret`")
        }
        (false, false, true) => Some("`client_secret` needs `client_id` beside it"),
        (true, true, true) | (false, true, _) | (false, false, false) => None,
    };
    if let Some(problem) = problem {
        resolver.reader.problems.error(&span, problem).hint(
            "write `oauth = { client_id = \"${SOME_ID}\", client_secret = \"${SOME_SECRET}\" }`",
        );
    }
    if let Some(text) = &table.client_secret {
        let name = Spanned::new(text.span(), "client_secret".to_owned());
        warn_of_literal(resolver, &name, text);
    }
    let (client_id, no_id) = value(resolver, table.client_id);
    let (client_secret, no_secret) = value(resolver, table.client_secret);
    // A blank id is for servers that take us without one; a secret is nothing without its id.
    let is_id_needed = is_machine || client_secret.is_some();
    let needed = [
        no_id.filter(|_| is_id_needed),
        no_secret.filter(|_| is_machine),
    ];
    for why in needed.into_iter().flatten() {
        resolver.miss(why);
    }
    let scopes = table.scopes.map(|list| {
        let words = resolver.words(&list, &[',', ' ']);
        plain(words)
    });
    let document = table.client_metadata_url;
    let private_network = table.private_network;
    OAuth {
        client_id: client_id.map(Text::into_inner),
        client_secret: client_secret.map(|text| Secret::new(text.into_inner())),
        scopes: scopes.unwrap_or_default(),
        grant,
        client_metadata_url: document.and_then(|text| document_url(resolver, text)),
        private_network: private_network
            .and_then(|flag| resolver.reader.flag("private_network", &flag))
            .unwrap_or(false),
    }
}

/// A value that may be blank, or why it is.
fn value(resolver: &mut Resolver<'_, '_>, text: Option<Text>) -> (Option<Text>, Option<String>) {
    match text.and_then(|text| resolver.optional(&text)) {
        Some(Ok(value)) => (Some(value), None),
        Some(Err(why)) => (None, Some(why)),
        None => (None, None),
    }
}

/// Where a document about us stands (draft-ietf-oauth-client-id-metadata-document §3). `None`:
/// blank, or reported.
fn document_url(resolver: &mut Resolver<'_, '_>, text: Text) -> Option<Url> {
    const EXAMPLE: &str = "https://tools.example.org/mcp-bridge.json";
    let (text, _why) = value(resolver, Some(text));
    let text = text?;
    let url = resolver
        .reader
        .web_url("client_metadata_url", &text, EXAMPLE)?;
    let is_good = url.scheme() == "https"
        && url.path() != "/"
        && url.fragment().is_none()
        && url.username().is_empty()
        && url.password().is_none();
    if !is_good {
        resolver
            .reader
            .problems
            .error(
                &text.span(),
                "`client_metadata_url` is an `https:` URL with a path, without user and fragment",
            )
            .hint(format!("write `\"{EXAMPLE}\"`"));
    }
    is_good.then_some(url)
}
