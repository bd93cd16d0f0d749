//! Normalizes the answers of authorization servers to the one form that RFC 6749 §5 defines and rmcp reads.
//! Vendors send numbers as texts, lists instead of texts, forms instead of JSON, and errors with status 200.

use std::time::Duration;

use serde_json::{Map, Value, json};
use url::form_urlencoded;

/// What vendors send instead of `invalid_grant`.
const GRANT_WORDS: [&str; 17] = [
    "invalid_grant",
    "bad_refresh_token",
    "bad_verification_code",
    "code_already_used",
    "code_expired",
    "expired_code",
    "expired_grant",
    "expired_token",
    "grant_expired",
    "invalid_authorization_code",
    "invalid_code",
    "invalid_refresh_token",
    "refresh_token_expired",
    "refresh_token_revoked",
    "revoked_token",
    "token_expired",
    "token_revoked",
];
/// What vendors send instead of `invalid_client`.
const CLIENT_WORDS: [&str; 5] = [
    "invalid_client",
    "bad_client_secret",
    "incorrect_client_credentials",
    "invalid_client_id",
    "invalid_client_secret",
];
/// Codes of temporary failures, whatever the status.
const PASSING_WORDS: [&str; 8] = [
    "internal_error",
    "rate_limited",
    "ratelimited",
    "server_error",
    "service_unavailable",
    "slow_down",
    "temporarily_unavailable",
    "too_many_requests",
];

/// An error, as a body describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OAuthErrorBody {
    /// The OAuth error code, if the vendor's code corresponds to one.
    pub code: Option<String>,
    /// The server's own texts: its code and its description, if present.
    pub words: Vec<String>,
}

/// Whether a code means a temporary failure.
pub fn is_passing(code: &str) -> bool {
    PASSING_WORDS.contains(&code)
}

/// Returns a body without its byte order mark.
pub fn unmarked(body: &[u8]) -> &[u8] {
    body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body)
}

/// Returns the object in a body, whatever the content type: JSON, or a form as GitHub sends it.
pub fn object(body: &[u8]) -> Option<Map<String, Value>> {
    let body = unmarked(body).trim_ascii();
    if let Ok(Value::Object(object)) = serde_json::from_slice(body) {
        return Some(object);
    }
    let fields: Map<String, Value> = form_urlencoded::parse(body)
        .map(|(key, value)| (key.into_owned(), Value::String(value.into_owned())))
        .collect();
    let is_answer = fields.contains_key("access_token") || fields.contains_key("error");
    is_answer.then_some(fields)
}

/// Returns the error in an object: one with a member `error`, or Slack's `"ok": false`.
pub fn refused(object: &Map<String, Value>) -> Option<OAuthErrorBody> {
    let error = object.get("error").unwrap_or(&Value::Null);
    let word = match error {
        Value::String(word) if !word.trim().is_empty() => Some(word.trim().to_owned()),
        Value::Object(inner) => text_of(inner, &["code", "error", "type", "status", "name"]),
        Value::Number(number) if number.as_f64() != Some(0.0) => Some(number.to_string()),
        Value::Array(_) | Value::Bool(true) => None,
        _ if object.get("ok") == Some(&Value::Bool(false)) => None,
        _ => return None,
    };
    let keys = [
        "error_description",
        "description",
        "error_message",
        "message",
    ];
    let inner = error.as_object().and_then(|inner| text_of(inner, &keys));
    let description = text_of(object, &keys).or(inner);
    Some(OAuthErrorBody {
        code: word.as_deref().map(code),
        words: word.into_iter().chain(description).collect(),
    })
}

/// Returns the first text under one of the keys.
fn text_of(object: &Map<String, Value>, keys: &[&str]) -> Option<String> {
    let mut texts = keys.iter().filter_map(|key| object.get(*key)?.as_str());
    texts.find(|text| !text.is_empty()).map(str::to_owned)
}

/// Returns the OAuth error code for a vendor's code.
fn code(word: &str) -> String {
    let word = word.to_ascii_lowercase();
    if GRANT_WORDS.contains(&word.as_str()) {
        "invalid_grant".to_owned()
    } else if CLIENT_WORDS.contains(&word.as_str()) {
        "invalid_client".to_owned()
    } else {
        word
    }
}

/// Writes an error in the form of RFC 6749 §5.2.
pub fn refusal(refused: &OAuthErrorBody) -> Vec<u8> {
    let code = refused.code.as_deref().unwrap_or("invalid_request");
    json!({ "error": code }).to_string().into_bytes()
}

/// Writes tokens in the form of RFC 6749 §5.1. Unreadable members are removed, so that error messages do not
/// repeat them.
pub fn tokens(mut object: Map<String, Value>) -> Vec<u8> {
    for key in ["access_token", "refresh_token"] {
        let is_token = |value: &Value| value.as_str().is_some_and(|text| !text.is_empty());
        if !object.get(key).is_some_and(is_token) {
            object.remove(key);
        }
    }
    // rmcp would reject any other type. The MCP server's own answer to the token explains more.
    object.insert("token_type".to_owned(), json!("Bearer"));
    let lifetime = object.remove("expires_in");
    if let Some(seconds) = lifetime.as_ref().and_then(seconds) {
        object.insert("expires_in".to_owned(), json!(seconds));
    }
    let scope = object.remove("scope");
    if let Some(scope) = scope.as_ref().and_then(scopes) {
        object.insert("scope".to_owned(), json!(scope));
    }
    Value::Object(object).to_string().into_bytes()
}

/// Parses a number of seconds: a number, or a text that contains one. Returns `None` if it is not positive:
/// vendors write 0 and -1 for a token that does not expire, and an expired token is rejected on use.
pub fn seconds(value: &Value) -> Option<u64> {
    let number = match value {
        Value::Number(number) => number.as_f64()?,
        Value::String(text) => text.trim().parse().ok()?,
        _ => return None,
    };
    let seconds = Duration::try_from_secs_f64(number).ok()?.as_secs();
    (seconds > 0).then_some(seconds)
}

/// Returns scopes separated by spaces: from such a text, from one with commas, or from a list.
fn scopes(value: &Value) -> Option<String> {
    let words: Vec<&str> = match value {
        Value::String(text) if text.trim().contains(char::is_whitespace) => {
            text.split_whitespace().collect()
        }
        Value::String(text) => text.split(',').map(str::trim).collect(),
        Value::Array(items) => items
            .iter()
            .filter_map(Value::as_str)
            .flat_map(str::split_whitespace)
            .collect(),
        _ => return None,
    };
    let words: Vec<&str> = words.into_iter().filter(|word| !word.is_empty()).collect();
    (!words.is_empty()).then(|| words.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The result for a body with tokens.
    fn read(body: &[u8]) -> Value {
        serde_json::from_slice(&tokens(object(body).unwrap())).unwrap()
    }

    #[test]
    fn numbers_and_fields_of_a_token_answer_are_taken_as_vendors_write_them() {
        for (lifetime, seconds) in [
            ("3600", Some(3600)),
            ("\"3600\"", Some(3600)),
            ("\" 5250 \"", Some(5250)),
            ("\"3600.0\"", Some(3600)),
            ("3599.87", Some(3599)),
            ("3.6e3", Some(3600)),
            ("-1", None),
            ("\"-1\"", None),
            ("0", None),
            ("1e40", None),
            ("\"inf\"", None),
            ("\"NaN\"", None),
            ("\"soon\"", None),
            ("null", None),
            ("true", None),
            ("[3600]", None),
        ] {
            let body = format!(r#"{{"access_token":"t","expires_in":{lifetime}}}"#);
            let read = read(body.as_bytes());
            assert_eq!(
                read.get("expires_in").and_then(Value::as_u64),
                seconds,
                "{lifetime}"
            );
            assert_eq!(read.get("expires_in").is_some(), seconds.is_some());
        }
        for (scope, read_as) in [
            ("\"read write\"", Some("read write")),
            ("\"read,write\"", Some("read write")),
            ("\"a,b c\"", Some("a,b c")),
            ("[\"read\",\"write\"]", Some("read write")),
            ("[\"read write\",3]", Some("read write")),
            ("\"\"", None),
            ("[]", None),
            ("null", None),
            ("{}", None),
        ] {
            let body = format!(r#"{{"access_token":"t","scope":{scope}}}"#);
            let read = read(body.as_bytes());
            assert_eq!(
                read.get("scope").and_then(Value::as_str),
                read_as,
                "{scope}"
            );
        }
        for kind in [
            "",
            r#","token_type":null"#,
            r#","token_type":["x"]"#,
            r#","token_type":"user""#,
        ] {
            let body = format!(r#"{{"access_token":"t"{kind}}}"#);
            assert_eq!(read(body.as_bytes())["token_type"], "Bearer", "{kind}");
        }
    }

    #[test]
    fn a_body_is_read_whatever_stands_around_it() {
        for body in [
            &b"\xef\xbb\xbf{\"access_token\":\"t\"}"[..],
            b"\n {\"access_token\":\"t\"} \n",
            b"access_token=t&scope=read%2Cwrite&token_type=bearer",
            b"\xef\xbb\xbfscope=&access_token=t",
        ] {
            assert_eq!(read(body)["access_token"], "t");
        }
        for body in [
            &b""[..],
            b"<html></html>",
            b"[1]",
            b"null",
            b"a=b",
            b"\xff\xfe",
        ] {
            assert_eq!(object(body), None);
        }
    }

    #[test]
    fn what_is_no_token_is_left_out() {
        for body in [
            r#"{"access_token":"t","refresh_token":""}"#,
            r#"{"access_token":"t","refresh_token":null}"#,
            r#"{"access_token":"t","refresh_token":7}"#,
        ] {
            assert_eq!(read(body.as_bytes()).get("refresh_token"), None, "{body}");
        }
        for body in [r#"{"access_token":""}"#, r#"{"access_token":7}"#, "{}"] {
            assert_eq!(read(body.as_bytes()).get("access_token"), None, "{body}");
        }
    }

    #[test]
    fn a_body_with_an_error_is_a_refusal_and_vendors_words_mean_those_of_oauth() {
        for (body, code) in [
            (r#"{"error":"invalid_grant"}"#, Some("invalid_grant")),
            (r#"{"error":"bad_refresh_token"}"#, Some("invalid_grant")),
            (
                r#"{"error":"Bad_Verification_Code"}"#,
                Some("invalid_grant"),
            ),
            (
                r#"{"ok":false,"error":"token_revoked"}"#,
                Some("invalid_grant"),
            ),
            (
                r#"{"ok":false,"error":"invalid_refresh_token"}"#,
                Some("invalid_grant"),
            ),
            (
                "error=bad_verification_code&error_description=x",
                Some("invalid_grant"),
            ),
            (
                r#"{"error":{"code":"token_expired","message":"m"}}"#,
                Some("invalid_grant"),
            ),
            (
                r#"{"error":"incorrect_client_credentials"}"#,
                Some("invalid_client"),
            ),
            (
                r#"{"error":"invalid_target","access_token":"t"}"#,
                Some("invalid_target"),
            ),
            (r#"{"error":true}"#, None),
            (r#"{"ok":false}"#, None),
            (r#"{"error":400}"#, Some("400")),
        ] {
            let refused = refused(&object(body.as_bytes()).unwrap()).expect(body);
            assert_eq!(refused.code.as_deref(), code, "{body}");
        }
        for body in [
            r#"{"access_token":"t","error":null}"#,
            r#"{"access_token":"t","error":""}"#,
            r#"{"access_token":"t","error":false}"#,
            r#"{"access_token":"t","error":0}"#,
            r#"{"ok":true,"access_token":"t"}"#,
        ] {
            assert_eq!(refused(&object(body.as_bytes()).unwrap()), None, "{body}");
        }
    }

    #[test]
    fn a_refusal_keeps_the_vendors_own_words() {
        let body = br#"{"error":"bad_refresh_token","error_description":"It is over."}"#;
        let refused = refused(&object(body).unwrap()).unwrap();
        assert_eq!(refused.words, ["bad_refresh_token", "It is over."]);
        assert_eq!(refusal(&refused), br#"{"error":"invalid_grant"}"#);
    }
}
