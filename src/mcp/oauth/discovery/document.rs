//! Parses discovery documents as they occur in practice: after a byte order mark, with a text instead of a
//! list, an object instead of a name, or an endpoint without its origin.

use rmcp::transport::auth::AuthorizationMetadata;
use serde_json::{Map, Value, json};
use url::Url;

use super::super::{account::AUTH_METHODS, answer::unmarked};

/// The maximum number of authorization servers of a document that are tried.
const SERVERS_MAX: usize = 8;
/// The maximum number of scopes that are taken from a document.
const SCOPES_MAX: usize = 200;

/// A server's protected resource metadata (RFC 9728 §2).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ResourceMetadata {
    /// The server's own identifier.
    pub name: Option<String>,
    /// The authorization servers, as the document lists them.
    pub servers: Vec<String>,
    /// The scopes to ask for.
    pub scopes: Vec<String>,
}

/// Parses a server's metadata. Returns `None` if the body is a different document.
pub fn resource(body: &[u8]) -> Option<ResourceMetadata> {
    let document = object(body)?;
    let resource = document.get("resource").and_then(Value::as_str);
    let names = ["authorization_server", "authorization_servers"];
    let is_document = resource.is_some() || names.iter().any(|name| document.contains_key(*name));
    if !is_document {
        return None;
    }
    let mut servers = Vec::new();
    for name in names.iter().filter_map(|name| document.get(*name)) {
        let items = match name {
            Value::Array(items) => items.as_slice(),
            one => std::slice::from_ref(one),
        };
        let texts = items.iter().filter_map(server_name);
        for text in texts.map(str::trim).filter(|text| !text.is_empty()) {
            if servers.len() < SERVERS_MAX && !servers.iter().any(|it| it == text) {
                servers.push(text.to_owned());
            }
        }
    }
    let scopes = document.get("scopes_supported").and_then(words);
    Some(ResourceMetadata {
        name: resource.map(str::to_owned),
        servers,
        scopes: scopes.unwrap_or_default(),
    })
}

/// Returns the name of an authorization server: a text, or an object that contains it.
fn server_name(value: &Value) -> Option<&str> {
    let inner = value.get("issuer").or_else(|| value.get("url"));
    value.as_str().or_else(|| inner?.as_str())
}

/// Parses the metadata of an authorization server that was found at `place`. Returns `None` if the body is a
/// different document.
pub fn server(body: &[u8], place: &Url) -> Option<AuthorizationMetadata> {
    let mut document = object(body)?;
    for key in [
        "authorization_endpoint",
        "token_endpoint",
        "registration_endpoint",
        "revocation_endpoint",
    ] {
        let Some(text) = document.get(key).and_then(Value::as_str) else {
            document.remove(key);
            continue;
        };
        let endpoint = match text.parse::<Url>() {
            Ok(_) => text.to_owned(),
            Err(_) => place.join(text).ok()?.to_string(),
        };
        document.insert(key.to_owned(), json!(endpoint));
    }
    for key in ["issuer", "jwks_uri"] {
        if !document.get(key).is_some_and(Value::is_string) {
            document.remove(key);
        }
    }
    for key in ["scopes_supported", "response_types_supported", AUTH_METHODS] {
        let words = document.remove(key).as_ref().and_then(words);
        if let Some(words) = words.filter(|words| !words.is_empty()) {
            document.insert(key.to_owned(), json!(words));
        }
    }
    // An empty list offers no method, while a missing list says nothing.
    let key = "code_challenge_methods_supported";
    if let Some(methods) = document.remove(key).as_ref().and_then(words) {
        document.insert(key.to_owned(), json!(methods));
    }
    serde_json::from_value(Value::Object(document)).ok()
}

/// Returns the words of a list, or of a text in its place.
fn words(value: &Value) -> Option<Vec<String>> {
    let words: Vec<&str> = match value {
        Value::Array(items) => items.iter().filter_map(Value::as_str).collect(),
        Value::String(text) => text
            .split(|it: char| it == ',' || it.is_whitespace())
            .collect(),
        _ => return None,
    };
    let words = words.into_iter().filter(|word| !word.is_empty());
    Some(words.take(SCOPES_MAX).map(str::to_owned).collect())
}

/// Returns the object in a body.
fn object(body: &[u8]) -> Option<Map<String, Value>> {
    match serde_json::from_slice(unmarked(body)) {
        Ok(Value::Object(object)) => Some(object),
        Ok(_) | Err(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: &str = r#""authorization_endpoint":"https://a/authorize","token_endpoint":"/token""#;

    fn read(text: &str) -> Option<AuthorizationMetadata> {
        let place = "https://a/x/.well-known/openid-configuration";
        server(text.as_bytes(), &place.parse().unwrap())
    }

    #[test]
    fn a_server_is_read_as_it_writes() {
        for (text, servers) in [
            (
                r#"{"resource":"r","authorization_servers":["https://a"]}"#,
                &["https://a"][..],
            ),
            (
                r#"{"resource":"r","authorization_servers":"https://a"}"#,
                &["https://a"],
            ),
            (
                r#"{"authorization_servers":[{"issuer":"https://a"},{"url":"https://b"},7]}"#,
                &["https://a", "https://b"],
            ),
            (
                r#"{"authorization_server":"https://a","authorization_servers":["https://a"," "]}"#,
                &["https://a"],
            ),
            (r#"{"resource":"r","authorization_servers":null}"#, &[]),
        ] {
            assert_eq!(
                resource(text.as_bytes()).expect(text).servers,
                servers,
                "{text}"
            );
        }
        let marked = "\u{feff}{\"resource\":\"r\",\"scopes_supported\":\"read write\"}";
        assert_eq!(
            resource(marked.as_bytes()).unwrap().scopes,
            ["read", "write"]
        );
        for none in ["", "[]", "<html></html>", "{}", r#"{"issuer":"https://a"}"#] {
            assert_eq!(resource(none.as_bytes()), None, "{none}");
        }
        let many: Vec<String> = (0..50).map(|n| format!("https://a/{n}")).collect();
        let many = json!({ "authorization_servers": many }).to_string();
        assert_eq!(
            resource(many.as_bytes()).unwrap().servers.len(),
            SERVERS_MAX
        );
    }

    #[test]
    fn an_authorization_server_is_read_as_it_writes() {
        let text = format!(
            "\u{feff}{{{TWO},\"issuer\":7,\"jwks_uri\":null,\"scopes_supported\":\"a b\",\"response_types_supported\":[],\"{AUTH_METHODS}\":\"client_secret_post\"}}"
        );
        let metadata = read(&text).unwrap();
        assert_eq!(metadata.token_endpoint, "https://a/token");
        assert_eq!(
            (metadata.issuer, metadata.response_types_supported),
            (None, None)
        );
        assert_eq!(metadata.scopes_supported.unwrap(), ["a", "b"]);
        assert_eq!(
            metadata.additional_fields[AUTH_METHODS],
            json!(["client_secret_post"])
        );
        assert_eq!(metadata.code_challenge_methods_supported, None);
        let empty = format!("{{{TWO},\"code_challenge_methods_supported\":[]}}");
        let methods = read(&empty).unwrap().code_challenge_methods_supported;
        assert_eq!(methods, Some(Vec::new()), "it names none");
        for none in [
            "",
            "{}",
            "<html></html>",
            r#"{"token_endpoint":"https://a/t"}"#,
        ] {
            assert!(read(none).is_none(), "{none}");
        }
    }
}
