//! The beginning and end of a login outside [`super::flow`]: [`adopt`] takes over a login of another program,
//! and [`revoke`] ends one.

use rmcp::transport::auth::StoredCredentials;
use serde_json::{Value, json};
use url::Url;

use super::{
    account::{ClientRegistration, ImportedLogin, OAuthAccount},
    discovery::discover,
    error::OAuthError,
    form::ResourceIndicator,
    traffic::OAuthFlowClient,
};
use crate::{
    config::{OAuthSettings, TokenAuthMethod},
    secret::Secret,
};

/// Takes over a login that another program made. Discovery finds the endpoint that refreshes it.
pub async fn adopt(
    server: &Url,
    settings: &OAuthSettings,
    login: &ImportedLogin,
) -> Result<OAuthAccount, OAuthError> {
    let traffic =
        OAuthFlowClient::new(server, settings.private_network, ResourceIndicator::Unsaid)?;
    let found = discover(server, settings, &traffic, false).await?;
    let issuer = found.metadata.issuer.clone();
    let ends_at = login
        .ends_at
        .map(|at| u64::try_from(at).unwrap_or_default());
    let tokens = json!({
        "access_token": login.access_token.expose(),
        "token_type": "bearer",
        "expires_in": ends_at,
        "refresh_token": login.refresh_token.as_ref().map(Secret::expose),
        "scope": login.scopes.join(" "),
    });
    let tokens = serde_json::from_value(without_nulls(tokens))
        .map_err(|error| OAuthError::Refused(error.to_string()))?;
    let credentials = StoredCredentials::new(
        login.client_id.clone(),
        Some(tokens),
        login.scopes.clone(),
        Some(0),
    );
    Ok(OAuthAccount {
        client: ClientRegistration {
            server: server.clone(),
            metadata: found.metadata,
            client_id: login.client_id.clone(),
            client_secret: login
                .client_secret
                .as_ref()
                .map(|secret| secret.expose().to_owned()),
            auth_method: login.auth_method.as_deref().and_then(TokenAuthMethod::read),
            secret_ends_at: None,
            scopes: login.scopes.clone(),
            redirect_url: login.redirect_url.clone(),
            resource: found.resource,
            refuses_resource: false,
        },
        credentials: credentials.with_issuer(issuer),
        wanted: Vec::new(),
    })
}

/// Tells the authorization server that a login has ended (RFC 7009), if it supports that. Its answer changes
/// nothing for the bridge.
pub async fn revoke(account: &OAuthAccount, settings: &OAuthSettings) -> Result<(), OAuthError> {
    use oauth2::TokenResponse as _;
    let client = &account.client;
    let endpoint = client.metadata.additional_fields.get("revocation_endpoint");
    let Some(endpoint) = endpoint.and_then(Value::as_str) else {
        return Ok(());
    };
    let traffic = OAuthFlowClient::new(
        &client.server,
        settings.private_network,
        ResourceIndicator::Unsaid,
    )?;
    let tokens = account.credentials.token_response.as_ref();
    let Some(tokens) = tokens else { return Ok(()) };
    let (token, hint) = match tokens.refresh_token() {
        Some(token) => (token.secret(), "refresh_token"),
        None => (tokens.access_token().secret(), "access_token"),
    };
    let id = client.client_id.as_str();
    let fields = [
        ("token", token.as_str()),
        ("token_type_hint", hint),
        ("client_id", id),
    ];
    let secret = client.secret_to_show(settings);
    let with = |secret| [&fields[..], &[("client_secret", secret)]].concat();
    let first = match secret {
        Some(secret) => traffic.post_form(endpoint, &with(secret), None).await,
        None => traffic.post_form(endpoint, &fields, None).await,
    };
    match (first, secret) {
        // The other method of RFC 6749 §2.3.1.
        (Err(OAuthError::Refused(_)), Some(secret)) => {
            let basic = Some((id, secret));
            traffic.post_form(endpoint, &fields, basic).await
        }
        // The Python SDK 1, and FastMCP on top of it, require a secret even from a client without one.
        (Err(OAuthError::Refused(_)), None) => traffic.post_form(endpoint, &with(""), None).await,
        (first, _) => first,
    }
}

/// Returns an object without its null members.
fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(members) => members
            .into_iter()
            .filter(|(_, value)| !value.is_null())
            .collect(),
        other => other,
    }
}
