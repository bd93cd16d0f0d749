//! The bridge's identity at an authorization server: [`identity`], and the registration of a new client (RFC
//! 7591).

use std::time::{SystemTime, UNIX_EPOCH};

use rmcp::transport::auth::AuthorizationMetadata;
use serde_json::{Map, Value, json};
use url::Url;

use super::{
    account::{AUTH_METHODS, ClientRegistration},
    answer,
    error::{OAuthError, OAuthRefusal},
    parameters::LoginParameters,
    traffic::{OAuthFlowClient, is_loopback, place},
};
use crate::config::TokenAuthMethod;

/// The client name that authorization servers show to users.
const CLIENT_NAME: &str = "mcp-bridge";
/// The maximum number of attempts to register.
const TRIALS_MAX: usize = 4;

/// The bridge's identity at an authorization server.
#[derive(Default)]
pub struct ClientInformation {
    /// The client id.
    pub client_id: String,
    /// The client secret.
    pub client_secret: Option<String>,
    /// The authentication method, if the registration states it.
    pub auth_method: Option<TokenAuthMethod>,
    /// When the secret expires, in seconds since 1970.
    pub secret_ends_at: Option<u64>,
}

/// Returns the identity to use: the operator's client, an existing registration, a metadata document if the
/// server accepts those, or a new registration (MCP 2026-07-28, client registration).
pub async fn identity(
    asked: &LoginParameters<'_>,
    traffic: &OAuthFlowClient,
    metadata: &AuthorizationMetadata,
    scopes: &[String],
) -> Result<ClientInformation, OAuthError> {
    let settings = asked.settings;
    if let Some(id) = &settings.client_id {
        return Ok(ClientInformation {
            client_id: id.clone(),
            client_secret: settings
                .client_secret
                .as_ref()
                .map(|it| it.expose().to_owned()),
            ..ClientInformation::default()
        });
    }
    // A client with fewer scopes may not ask for more. The credentials of one authorization server are not
    // sent to another one that the server moved to (SEP-2352).
    let serves = |known: &&ClientRegistration| {
        let has_scopes = scopes.iter().all(|scope| known.scopes.contains(scope));
        let has_method = settings
            .auth_method
            .is_none_or(|wanted| known.registered_for(wanted));
        known.is_of(metadata) && has_scopes && has_method && !known.is_over(now())
    };
    if let Some(known) = asked.known.filter(serves) {
        return Ok(ClientInformation {
            client_id: known.client_id.clone(),
            client_secret: known.client_secret.clone(),
            auth_method: known.auth_method,
            secret_ends_at: known.secret_ends_at,
        });
    }
    let takes_documents = metadata
        .additional_fields
        .get("client_id_metadata_document_supported")
        .and_then(Value::as_bool);
    if let (Some(document), Some(true)) = (&settings.client_metadata_url, takes_documents) {
        return Ok(ClientInformation {
            client_id: document.to_string(),
            ..ClientInformation::default()
        });
    }
    register(asked, traffic, metadata, scopes).await
}

/// The current time, in seconds since 1970.
fn now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.unwrap_or_default().as_secs()
}

/// Registers a client. If the server refuses a part of the request, tries again with less.
async fn register(
    asked: &LoginParameters<'_>,
    traffic: &OAuthFlowClient,
    metadata: &AuthorizationMetadata,
    scopes: &[String],
) -> Result<ClientInformation, OAuthError> {
    let endpoint = metadata.registration_endpoint.as_deref().ok_or_else(|| {
        OAuthError::Registration("its metadata names no `registration_endpoint`".to_owned())
    })?;
    let endpoint: Url = endpoint.parse().map_err(|error| {
        OAuthError::Discovery(format!(
            "its `registration_endpoint` is not a valid URL: {error}"
        ))
    })?;
    let mut wish = RegistrationRequest::new(asked.settings.auth_method, metadata, scopes);
    for _ in 1..TRIALS_MAX {
        let answered = traffic
            .post_json(&endpoint, &wish.body(asked.redirect_url))
            .await?;
        let Some(refusal) = answered.refusal else {
            return read(&answered.body, wish.method).ok_or_else(|| {
                let words = format!("{} answered without a `client_id`", place(&endpoint));
                OAuthError::Registration(words)
            });
        };
        if refusal.is_passing() {
            return Err(OAuthError::Unavailable(refusal.text));
        }
        match wish.lighter(&refusal) {
            Some(lighter) => wish = lighter,
            None => return Err(OAuthError::Registration(refusal.text)),
        }
    }
    let words = format!("{} refuses every way to register", place(&endpoint));
    Err(OAuthError::Registration(words))
}

/// The contents of a registration request.
#[derive(Debug, Clone, PartialEq, Eq)]
struct RegistrationRequest {
    /// The authentication method at the token endpoint.
    method: TokenAuthMethod,
    /// Whether the server or the operator chose that method.
    is_given: bool,
    /// The scopes, separated by spaces.
    scope: Option<String>,
}

impl RegistrationRequest {
    /// Uses the operator's method, or the first supported one that the server offers. If the server offers
    /// none, the client needs no secret: MCP uses public clients with PKCE.
    fn new(
        wanted: Option<TokenAuthMethod>,
        metadata: &AuthorizationMetadata,
        scopes: &[String],
    ) -> Self {
        let offered = metadata.additional_fields.get(AUTH_METHODS);
        let offered = offered
            .and_then(Value::as_array)
            .map_or(&[][..], Vec::as_slice);
        let offers = |method: &TokenAuthMethod| {
            let mut offered = offered.iter().filter_map(Value::as_str);
            offered.any(|it| it == method.as_str())
        };
        let given = wanted.or_else(|| TokenAuthMethod::ALL.into_iter().find(offers));
        Self {
            method: given.unwrap_or(TokenAuthMethod::None),
            is_given: given.is_some(),
            scope: (!scopes.is_empty()).then(|| scopes.join(" ")),
        }
    }

    /// Returns the body of the request.
    fn body(&self, redirect_url: &Url) -> Value {
        let kind = if is_loopback(redirect_url) {
            "native"
        } else {
            "web"
        };
        let mut body = json!({
            "client_name": CLIENT_NAME,
            "redirect_uris": [redirect_url.as_str()],
            "grant_types": ["authorization_code", "refresh_token"],
            "token_endpoint_auth_method": self.method.as_str(),
            "response_types": ["code"],
            "application_type": kind,
        });
        if let Some(scope) = &self.scope {
            body["scope"] = json!(scope);
        }
        body
    }

    /// Returns what to try after a refusal: another method if this one is refused and was not chosen, or no
    /// scopes. The login asks for the scopes anyway.
    fn lighter(&self, refusal: &OAuthRefusal) -> Option<Self> {
        if matches!(refusal.status, 401 | 403) {
            return None;
        }
        let words = refusal.text.to_ascii_lowercase().replace(['_', '-'], " ");
        let is_of_method = [
            "auth method",
            "authentication method",
            "public client",
            "client authentication",
        ]
        .iter()
        .any(|it| words.contains(it));
        let mut methods = TokenAuthMethod::ALL.into_iter();
        if is_of_method && !self.is_given {
            let _at = methods.find(|it| *it == self.method);
            let method = methods.next()?;
            return Some(Self {
                method,
                ..self.clone()
            });
        }
        let code = refusal.code.as_deref();
        let may_be_scope = matches!(
            code,
            Some("invalid_client_metadata" | "invalid_scope" | "invalid_request")
        ) || words.contains("scope");
        (may_be_scope && self.scope.is_some()).then(|| Self {
            scope: None,
            ..self.clone()
        })
    }
}

/// Parses the answer to a registration. Only the id is required; `asked` is the method that was requested.
fn read(body: &[u8], asked: TokenAuthMethod) -> Option<ClientInformation> {
    let object: Map<String, Value> = answer::object(body)?;
    let client_id = match object.get("client_id")? {
        Value::String(text) if !text.is_empty() => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    let secret = object.get("client_secret").and_then(Value::as_str);
    let secret = secret.filter(|secret| !secret.is_empty());
    let method = object
        .get("token_endpoint_auth_method")
        .and_then(Value::as_str);
    // If the server does not state a method, an unrequested secret is sent with the method in its metadata.
    let silent = (asked != TokenAuthMethod::None).then_some(asked);
    let method = method.and_then(TokenAuthMethod::read).or(silent);
    let ends_at = object
        .get("client_secret_expires_at")
        .and_then(answer::seconds);
    Some(ClientInformation {
        client_id,
        auth_method: secret.and(method),
        client_secret: secret.map(str::to_owned),
        secret_ends_at: secret.and(ends_at),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metadata(methods: &Value) -> AuthorizationMetadata {
        let mut metadata = AuthorizationMetadata::default();
        if !methods.is_null() {
            metadata
                .additional_fields
                .insert(AUTH_METHODS.to_owned(), methods.clone());
        }
        metadata
    }

    #[test]
    fn a_method_is_asked_for_that_the_server_offers() {
        use TokenAuthMethod::{Basic, None as Public, Post};
        for (offered, wanted, method) in [
            (json!(null), None, Public),
            (json!([]), None, Public),
            (json!(["none", "client_secret_basic"]), None, Public),
            (json!(["client_secret_post"]), None, Post),
            (json!(["client_secret_basic"]), None, Basic),
            (
                json!(["client_secret_basic", "client_secret_post"]),
                None,
                Post,
            ),
            (json!(["private_key_jwt"]), None, Public),
            (json!(["client_secret_post"]), Some(Basic), Basic),
        ] {
            let wish = RegistrationRequest::new(wanted, &metadata(&offered), &[]);
            assert_eq!(wish.method, method, "{offered}");
            let body = wish.body(&"http://localhost/callback".parse().unwrap());
            assert_eq!(body["token_endpoint_auth_method"], method.as_str());
            assert_eq!(body["application_type"], "native");
            assert_eq!(body.get("scope"), None);
        }
    }

    #[test]
    fn a_part_that_is_refused_is_left_out_once() {
        let refusal = |code: &str, words: &str, status| OAuthRefusal {
            code: Some(code.to_owned()),
            text: format!("{code}: {words}"),
            status,
        };
        let wish = RegistrationRequest::new(
            None,
            &metadata(&json!(null)),
            &["a".to_owned(), "b".to_owned()],
        );
        assert_eq!(wish.scope.as_deref(), Some("a b"));
        for refused in [
            refusal("invalid_client_metadata", "unknown scope", 400),
            refusal("invalid_client_metadata", "", 400),
            refusal("invalid_scope", "", 400),
            refusal("bad", "this Scope is not known", 422),
        ] {
            let lighter = wish.lighter(&refused).unwrap();
            assert_eq!(
                (lighter.scope.as_ref(), lighter.method),
                (None, TokenAuthMethod::None)
            );
            assert_eq!(lighter.lighter(&refused), None, "once");
        }
        let none = refusal(
            "invalid_client_metadata",
            "token_endpoint_auth_method none is not supported",
            400,
        );
        let post = wish.lighter(&none).unwrap();
        assert_eq!(
            (post.method, post.scope.as_deref()),
            (TokenAuthMethod::Post, Some("a b"))
        );
        let basic = post.lighter(&none).unwrap();
        assert_eq!(basic.method, TokenAuthMethod::Basic);
        assert_eq!(basic.lighter(&none), None);
        let given =
            RegistrationRequest::new(Some(TokenAuthMethod::None), &metadata(&json!(null)), &[]);
        assert_eq!(given.lighter(&none), None, "the operator's setting stays");
        assert_eq!(wish.lighter(&refusal("access_denied", "scope", 403)), None);
        assert_eq!(
            wish.lighter(&refusal("invalid_redirect_uri", "", 400)),
            None
        );
    }

    #[test]
    fn of_a_registration_only_the_id_is_needed() {
        let read = |text: &str, asked| read(text.as_bytes(), asked);
        let bare = read(r#"{"client_id":"cid"}"#, TokenAuthMethod::Post).unwrap();
        assert_eq!(
            (
                bare.client_id.as_str(),
                bare.client_secret,
                bare.auth_method
            ),
            ("cid", None, None)
        );
        let number = read(r#"{"client_id":12345}"#, TokenAuthMethod::None).unwrap();
        assert_eq!(number.client_id, "12345");
        for (expires, ends_at) in [
            ("0", None),
            ("\"0\"", None),
            ("1893456000", Some(1_893_456_000)),
            ("\"1893456000\"", Some(1_893_456_000)),
            ("null", None),
            ("\"never\"", None),
        ] {
            let text = format!(
                r#"{{"client_id":"c","client_secret":"s","client_secret_expires_at":{expires}}}"#
            );
            assert_eq!(
                read(&text, TokenAuthMethod::None).unwrap().secret_ends_at,
                ends_at,
                "{expires}"
            );
        }
        for (said, asked, method) in [
            (
                r#","token_endpoint_auth_method":"client_secret_post""#,
                TokenAuthMethod::None,
                Some(TokenAuthMethod::Post),
            ),
            (
                r#","token_endpoint_auth_method":"none""#,
                TokenAuthMethod::Basic,
                Some(TokenAuthMethod::None),
            ),
            (
                r#","token_endpoint_auth_method":"odd""#,
                TokenAuthMethod::Basic,
                Some(TokenAuthMethod::Basic),
            ),
            ("", TokenAuthMethod::Basic, Some(TokenAuthMethod::Basic)),
            ("", TokenAuthMethod::None, None),
        ] {
            let text = format!(r#"{{"client_id":"c","client_secret":"s"{said}}}"#);
            assert_eq!(read(&text, asked).unwrap().auth_method, method, "{text}");
        }
        let blank = read(
            r#"{"client_id":"c","client_secret":""}"#,
            TokenAuthMethod::Post,
        )
        .unwrap();
        assert_eq!((blank.client_secret, blank.auth_method), (None, None));
        for none in [
            "",
            "[]",
            "no json",
            "{}",
            r#"{"client_id":""}"#,
            r#"{"client_id":null}"#,
        ] {
            assert!(read(none, TokenAuthMethod::None).is_none(), "{none}");
        }
    }
}
