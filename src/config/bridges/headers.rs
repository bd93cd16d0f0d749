//! The request headers for a server behind a URL, and whether the bridge signs in with OAuth instead.

use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{HeaderName, HeaderValue, header::AUTHORIZATION};
use toml::Spanned;

use crate::{
    config::{
        CredentialScope, Environment, OAuthSettings,
        bridges::{
            oauth,
            resolver::{BridgeResolver, warn_of_literal},
            table::{BasicAuthTable, BridgeTable},
            with_key::either,
        },
        read::{ListSetting, Text, reference::ReferenceScope},
    },
    secret::Secret,
};

/// Headers of callers that are never forwarded: credentials for the bridge, headers of one connection or one
/// body, and headers of MCP itself.
const KEPT: &[&str] = &[
    "authorization",
    "cookie",
    "proxy-authorization",
    "host",
    "connection",
    "transfer-encoding",
    "x-openwebui-user-jwt",
    "x-gateway-secret",
];

/// Prefixes of such headers.
const KEPT_PREFIXES: &[&str] = &["content-", "mcp-"];

/// What is shown to the server.
#[derive(Debug)]
pub struct CredentialSettings {
    /// Headers that are sent with every request.
    pub headers: Vec<(HeaderName, Secret)>,
    /// The OAuth settings, unless a key makes them unnecessary.
    pub oauth: Option<OAuthSettings>,
}

/// Reads all credentials. With `oauth`, a key whose variables are missing does not disable the bridge: it
/// signs in instead. A complete key takes precedence, unless each caller uses their own credentials, because
/// all callers would share the key's account.
pub fn read(
    resolver: &mut BridgeResolver<'_, '_>,
    table: &mut BridgeTable,
    credential: CredentialScope,
) -> CredentialSettings {
    let basic_auth = table.server.basic_auth.take();
    let other = std::mem::take(&mut resolver.key_missing);
    let Some(sign_in) = table.oauth.take() else {
        let (headers, missing) =
            resolver.apart(|resolver| keys(resolver, &table.server.headers, basic_auth));
        for why in either(missing, &other) {
            resolver.miss(why);
        }
        return CredentialSettings {
            headers,
            oauth: None,
        };
    };
    let (mut headers, missing) =
        resolver.apart(|resolver| keys(resolver, &table.server.headers, basic_auth));
    let has_key = missing.is_empty() && headers.iter().any(|(name, _)| *name == AUTHORIZATION);
    if has_key && credential != CredentialScope::Caller {
        // Read in any case, so that problems show before the key is removed.
        let (_unused, _missing) = resolver.apart(|resolver| oauth::resolve(resolver, sign_in));
        return CredentialSettings {
            headers,
            oauth: None,
        };
    }
    let missing = if missing.is_empty() {
        other
    } else {
        either(missing, &other)
    };
    headers.retain(|(name, _)| *name != AUTHORIZATION);
    let (oauth, no_client) = resolver.apart(|resolver| oauth::resolve(resolver, sign_in));
    if missing.is_empty() {
        for why in no_client {
            resolver.miss(why);
        }
    } else if !no_client.is_empty() {
        // The reason names both, because the operator may fix either.
        let (key, client) = (missing.join("; "), no_client.join("; "));
        resolver.miss(format!("{key}, and for a login {client}"));
    }
    resolver.keys_missing = missing;
    CredentialSettings {
        headers,
        oauth: Some(oauth),
    }
}

/// Reads `headers` and `basic_auth`.
fn keys(
    resolver: &mut BridgeResolver<'_, '_>,
    table: &BTreeMap<Text, Text>,
    basic_auth: Option<Spanned<BasicAuthTable>>,
) -> Vec<(HeaderName, Secret)> {
    let mut found = headers(resolver, table);
    let Some(basic_auth) = basic_auth else {
        return found;
    };
    let mut names = table.keys().map(Text::get_ref);
    if names.any(|name| name.eq_ignore_ascii_case(AUTHORIZATION.as_str())) {
        resolver.reader.refuse(
            &basic_auth.span(),
            "`basic_auth` sets the header `Authorization`, which is also in `headers`",
            "keep one of them",
        );
    } else if let Some(value) = basic(resolver, basic_auth) {
        found.push((AUTHORIZATION, value));
    }
    found
}

/// Returns the value of the header (RFC 7617).
fn basic(resolver: &mut BridgeResolver<'_, '_>, table: Spanned<BasicAuthTable>) -> Option<Secret> {
    let span = table.span();
    let table = table.into_inner();
    let (Some(user), Some(password)) = (table.user, table.password) else {
        resolver.reader.refuse(
            &span,
            "`basic_auth` needs `user` and `password`",
            "write `basic_auth = { user = \"${SOME_USER}\", password = \"${SOME_TOKEN}\" }`",
        );
        return None;
    };
    warn_of_literal(
        resolver,
        &Spanned::new(password.span(), "password".to_owned()),
        &password,
    );
    // Both are read, so that both are reported if both are missing.
    let (user, password) = if is_elsewhere(resolver) {
        (
            of_group(resolver, &user, false),
            of_group(resolver, &password, true),
        )
    } else {
        (needed(resolver, &user), needed(resolver, &password))
    };
    let (user, password) = (user?, password?);
    if user.get_ref().contains(':') {
        resolver.reader.refuse(
            &user.span(),
            "`basic_auth`: `user` cannot contain a `:`, because the password begins after it",
            "put what follows the `:` into `password`",
        );
        return None;
    }
    let pair = format!("{}:{}", user.get_ref(), password.get_ref());
    Some(Secret::new(format!("Basic {}", STANDARD.encode(pair))))
}

/// Whether the headers are for a server that the operator did not configure.
fn is_elsewhere(resolver: &BridgeResolver<'_, '_>) -> bool {
    resolver.reader.environment.for_headers().is_some()
}

/// Returns a text for such a server. It may contain only the keys of the group: `None` if it needs other
/// values of the operator. If `keyed` is set, it must contain a key.
fn of_group(resolver: &BridgeResolver<'_, '_>, text: &Text, keyed: bool) -> Option<Text> {
    let own = resolver.reader.environment.for_headers()?;
    let expand = |environment: &Environment| {
        let scope = ReferenceScope {
            environment,
            folder: &resolver.reader.folder,
            lenient: false,
        };
        scope.expand(text.get_ref()).ok()
    };
    let (with, without) = (expand(&own)?, expand(&Environment::default())?);
    let is_own = with.missing.is_empty() && with.files.is_empty();
    let has_key = !without.missing.is_empty() || with.text != without.text;
    let is_plain = !keyed && !with.has_references;
    (is_own && (has_key || is_plain)).then(|| Text::new(text.span(), with.text))
}

/// Returns a value that must not be blank, whatever its default.
fn needed(resolver: &mut BridgeResolver<'_, '_>, text: &Text) -> Option<Text> {
    resolver
        .optional(text)?
        .map_err(|why| resolver.miss(why))
        .ok()
}

/// Reads `pass_headers`.
pub fn passed(
    resolver: &mut BridgeResolver<'_, '_>,
    list: Option<Spanned<ListSetting>>,
    table: &BTreeMap<Text, Text>,
) -> Vec<HeaderName> {
    let mut passed = Vec::new();
    for word in list
        .map(|list| resolver.words(&list, &[',']))
        .unwrap_or_default()
    {
        let written = word.get_ref();
        let Ok(name) = HeaderName::from_bytes(written.as_bytes()) else {
            resolver.reader.refuse(
                &word.span(),
                format!("`pass_headers`: {written:?} is not a valid header name"),
                "write letters, digits and `-`: `X-Request-Source`",
            );
            continue;
        };
        let is_kept = KEPT.contains(&name.as_str())
            || KEPT_PREFIXES
                .iter()
                .any(|prefix| name.as_str().starts_with(prefix));
        let is_ours = table
            .keys()
            .any(|other| other.get_ref().eq_ignore_ascii_case(name.as_str()));
        if is_kept || is_ours {
            let (problem, hint) = if is_ours {
                ("is already set in `headers`", "keep one of them")
            } else {
                (
                    "is meant for mcp-bridge or for one connection, and is never forwarded",
                    "let callers send a header with another name, and forward that one",
                )
            };
            resolver.reader.refuse(
                &word.span(),
                format!("`pass_headers`: `{written}` {problem}"),
                hint,
            );
        } else if !passed.contains(&name) {
            passed.push(name);
        }
    }
    passed
}

/// Reads the headers that are sent with every request.
fn headers(
    resolver: &mut BridgeResolver<'_, '_>,
    table: &BTreeMap<Text, Text>,
) -> Vec<(HeaderName, Secret)> {
    let mut headers: Vec<(HeaderName, Secret)> = Vec::new();
    for (name, written) in table {
        let Ok(header) = HeaderName::from_bytes(name.get_ref().as_bytes()) else {
            resolver.reader.refuse(
                &name.span(),
                format!("`headers`: {:?} is not a valid header name", name.get_ref()),
                "write letters, digits and `-`: `X-Api-Key`",
            );
            continue;
        };
        if headers.iter().any(|(other, _)| *other == header) {
            resolver.reader.refuse(
                &name.span(),
                format!("`headers`: `{header}` is set twice, in different case"),
                "keep one of them",
            );
            continue;
        }
        warn_of_literal(resolver, name, written);
        let value = if is_elsewhere(resolver) {
            of_group(resolver, written, true)
        } else {
            let value = resolver.expand(written);
            value.and_then(|value| resolver.unless_blank(written, value))
        };
        let Some(value) = value else {
            continue;
        };
        if HeaderValue::from_str(value.get_ref()).is_err() {
            resolver.reader.refuse(
                    &value.span(),
                    format!("`headers`: the value of `{header}` has a character that is not allowed in headers"), "check for a line break at the end of the variable or file");
            continue;
        }
        headers.push((header, Secret::new(value.into_inner())));
    }
    headers
}
