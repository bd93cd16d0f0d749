//! `oauth` of a bridge: how to sign in to its server.

use toml::Spanned;
use url::Url;

use crate::{
    config::{
        OAuthGrant, OAuthSettings, ResourceName, TokenAuthMethod,
        bridges::{
            resolver::{BridgeResolver, warn_of_literal},
            table::{OAuthTable, ResourceSetting},
        },
        read::{Text, plain},
    },
    secret::Secret,
};

/// The values of `grant`.
const GRANTS: &[(&str, OAuthGrant)] = &[
    ("authorization_code", OAuthGrant::AuthorizationCode),
    ("client_credentials", OAuthGrant::ClientCredentials),
];

/// The values of `token_endpoint_auth_method`.
const METHODS: &[(&str, TokenAuthMethod)] = &[
    ("none", TokenAuthMethod::None),
    ("client_secret_post", TokenAuthMethod::Post),
    ("client_secret_basic", TokenAuthMethod::Basic),
];

/// Validates and resolves the table.
pub fn resolve(resolver: &mut BridgeResolver<'_, '_>, table: Spanned<OAuthTable>) -> OAuthSettings {
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
        (false, false, true) => Some("`client_secret` needs `client_id`"),
        (true, true, true) | (false, true, _) | (false, false, false) => None,
    };
    let method = table.token_endpoint_auth_method;
    let auth_method = method.and_then(|text| auth_method(resolver, text, has_id, has_secret));
    if let Some(problem) = problem {
        resolver.reader.refuse(
            &span,
            problem,
            "write `oauth = { client_id = \"${SOME_ID}\", client_secret = \"${SOME_SECRET}\" }`",
        );
    }
    if let Some(text) = &table.client_secret {
        let name = Spanned::new(text.span(), "client_secret".to_owned());
        warn_of_literal(resolver, &name, text);
    }
    let (client_id, no_id) = value(resolver, table.client_id);
    let (client_secret, no_secret) = value(resolver, table.client_secret);
    // A blank id is for servers that accept the bridge without one. A secret needs its id.
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
    let resource = table.resource.and_then(|text| resource(resolver, &text));
    let issuer = table.issuer.and_then(|text| issuer(resolver, text));
    let metadata_url = table
        .metadata_url
        .and_then(|text| metadata_url(resolver, text));
    OAuthSettings {
        client_id: client_id.map(Text::into_inner),
        client_secret: client_secret.map(|text| Secret::new(text.into_inner())),
        scopes: scopes.unwrap_or_default(),
        grant,
        client_metadata_url: document.and_then(|text| document_url(resolver, text)),
        private_network: private_network
            .and_then(|flag| resolver.reader.flag("private_network", &flag))
            .unwrap_or(false),
        resource: resource.unwrap_or(ResourceName::Discovered),
        issuer: issuer.map(Box::new),
        metadata_url: metadata_url.map(Box::new),
        auth_method,
    }
}

/// Reads the authentication method. `None`: blank, or already reported.
fn auth_method(
    resolver: &mut BridgeResolver<'_, '_>,
    text: Text,
    has_id: bool,
    has_secret: bool,
) -> Option<TokenAuthMethod> {
    let (text, _why) = value(resolver, Some(text));
    let text = text?;
    let key = "token_endpoint_auth_method";
    let method = resolver.reader.choice(key, &text, METHODS)?;
    let problem = match (method, has_id, has_secret) {
        (TokenAuthMethod::None, _, true) => "sends no secret, but `client_secret` is set",
        (TokenAuthMethod::Post | TokenAuthMethod::Basic, true, false) => {
            "sends a secret, but `client_secret` is not set"
        }
        (TokenAuthMethod::None | TokenAuthMethod::Post | TokenAuthMethod::Basic, _, _) => {
            return Some(method);
        }
    };
    resolver.reader.refuse(
        &text.span(),
        format!("`{key} = \"{}\"` {problem}", method.as_str()),
        format!("leave `{key}` out, or make the two agree"),
    );
    None
}

/// Reads the server's resource identifier at the authorization server. `None`: blank, or already reported.
fn resource(
    resolver: &mut BridgeResolver<'_, '_>,
    text: &Spanned<ResourceSetting>,
) -> Option<ResourceName> {
    let name = match text.get_ref() {
        ResourceSetting::Plain(true) => return Some(ResourceName::Discovered),
        ResourceSetting::Plain(false) => return Some(ResourceName::Unsaid),
        ResourceSetting::Text(name) => Spanned::new(text.span(), name.clone()),
    };
    let (name, _why) = value(resolver, Some(name));
    let name = name?;
    let name = name.get_ref();
    match name.to_lowercase().as_str() {
        "true" => return Some(ResourceName::Discovered),
        "false" => return Some(ResourceName::Unsaid),
        _ => {}
    }
    if Url::parse(name).is_ok_and(|url| url.fragment().is_none()) {
        return Some(ResourceName::Named(name.clone()));
    }
    resolver.reader.refuse(
        &text.span(),
        "`resource` is a URI with its scheme and without fragment, or `false`",
        "write `\"api://some-id\"`, or `false` to name none",
    );
    None
}

/// Reads the issuer of tokens (RFC 8414 §2). `None`: blank, or already reported.
fn issuer(resolver: &mut BridgeResolver<'_, '_>, text: Text) -> Option<Url> {
    const EXAMPLE: &str = "https://login.example.com/realm";
    let named = named_url(resolver, "issuer", text, EXAMPLE)?;
    let (url, span) = (named.get_ref(), named.span());
    if url.query().is_none() && !url.path().contains("/.well-known/") {
        return Some(named.into_inner());
    }
    resolver.reader.refuse(
            &span,
            "`issuer` is the identifier of an authorization server, without a query and without `/.well-known/`", "use `metadata_url` for the address of its metadata");
    None
}

/// Reads the URL of metadata. `None`: blank, or already reported.
fn metadata_url(resolver: &mut BridgeResolver<'_, '_>, text: Text) -> Option<Url> {
    const EXAMPLE: &str = "https://login.example.com/.well-known/oauth-authorization-server";
    named_url(resolver, "metadata_url", text, EXAMPLE).map(Spanned::into_inner)
}

/// Reads a URL of the operator without parts that may be secret.
fn named_url(
    resolver: &mut BridgeResolver<'_, '_>,
    key: &str,
    text: Text,
    example: &str,
) -> Option<Spanned<Url>> {
    let (text, _why) = value(resolver, Some(text));
    let text = text?;
    let url = resolver.reader.web_url(key, &text, example)?;
    if url.username().is_empty() && url.password().is_none() && url.fragment().is_none() {
        return Some(Spanned::new(text.span(), url));
    }
    resolver.reader.refuse(
        &text.span(),
        format!("`{key}` must be a URL without a user and without a fragment"),
        format!("write `\"{example}\"`"),
    );
    None
}

/// Returns a value that may be blank, or the reason.
fn value(
    resolver: &mut BridgeResolver<'_, '_>,
    text: Option<Text>,
) -> (Option<Text>, Option<String>) {
    match text.and_then(|text| resolver.optional(&text)) {
        Some(Ok(value)) => (Some(value), None),
        Some(Err(why)) => (None, Some(why)),
        None => (None, None),
    }
}

/// Reads the URL of the bridge's client metadata document (draft-ietf-oauth-client-id-metadata-document §3).
/// `None`: blank, or already reported.
fn document_url(resolver: &mut BridgeResolver<'_, '_>, text: Text) -> Option<Url> {
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
        resolver.reader.refuse(
                &text.span(),
                "`client_metadata_url` must be an `https:` URL with a path, without a user and without a fragment", format!("write `\"{EXAMPLE}\"`"));
    }
    is_good.then_some(url)
}
