//! Nobody learns a secret by asking: what a caller sends is answered the same whether it holds one or not.

use std::fmt::Write as _;

use base64::{Engine as _, prelude::*};
use reqwest::Method;

use crate::harness::{Answer, Bridge, Setup};

/// A secret of the operator, and texts of the same length that are none.
const SECRET: &str = "t0p-s3cr3t.77aZ";
const NEAR: &str = "t0p-s3cr3t.77aY";
/// The key of a caller who may call everything.
const KEY: (&str, &str) = ("authorization", "Bearer oq7-key-of-the-test-31Zz");

/// A bridge of everybody, and a secret that no caller has.
async fn bridge() -> Bridge {
    Setup::toml(
        "[identity]\nanonymous = true\n\
         [identity.keys.ops]\nkey = 'oq7-key-of-the-test-31Zz'\ngroups = ['MCP-Admin']\n\
         [identity.gateway]\nenabled = true\nsecret = 't0p-s3cr3t.77aZ'\n\
         [bridges.good]\n{bad good}\n",
    )
    .ready()
    .await
}

/// Has a server repeat a message.
async fn echo(bridge: &Bridge, body: &str) -> Answer {
    bridge.send(Method::POST, "/good/echo", &[KEY], body).await
}

/// An answer without what differs from one to the next, and with a word in place of the text that was
/// sent.
fn shape(answer: &Answer, text: &str) -> String {
    let mut shape = format!("{}\n", answer.status);
    for (name, value) in &answer.headers {
        let value = String::from_utf8_lossy(value.as_bytes());
        if name != "date" && (name != "x-request-id" || value.contains("s3cr3t")) {
            shape.extend([name.as_str(), ": ", &value, "\n"]);
        }
    }
    shape.push_str(&answer.text);
    let id = answer.header("x-request-id").to_owned();
    let shape = shape.replace(text, "TEXT");
    if id.contains("s3cr3t") {
        shape
    } else {
        shape.replace(&id, "ID")
    }
}

/// A text as it stands in a URL.
fn percent(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        write!(encoded, "%{byte:02X}").unwrap();
    }
    encoded
}

/// A text in JSON, every character escaped.
fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for byte in text.bytes() {
        write!(escaped, "\\u{byte:04x}").unwrap();
    }
    escaped
}

/// The ways in which a guess is written.
const SPELLINGS: [fn(&str) -> String; 6] = [
    str::to_owned,
    |text| BASE64_STANDARD.encode(text),
    |text| BASE64_URL_SAFE_NO_PAD.encode(format!("user:{text}")),
    percent,
    |text| format!("Bearer {text}"),
    |text| format!("a {text} b {text}"),
];

/// Method, path, header and body of the requests; `{}` is the guess, which a header holds alone.
const REQUESTS: &[(&str, &str, &str, &str)] = &[
    ("GET", "/health", "x-request-id", ""),
    ("GET", "/nothing", "x-request-id", ""),
    ("GET", "/{}", "", ""),
    ("GET", "/{}/{}?{}={}", "", ""),
    ("HEAD", "/{}", "", ""),
    ("OPTIONS", "/{}", "", ""),
    ("OPTIONS", "/good/echo", "origin", ""),
    ("PUT", "/good/{}", "", ""),
    ("GET", "/good/{}", "", ""),
    ("POST", "/good/{}", "", "{}"),
    ("POST", "/good_{}", "", "{}"),
    ("POST", "/{}", "", "{}"),
    ("GET", "/{}/openapi.json", "", ""),
    ("GET", "/{}/docs", "", ""),
    ("GET", "/docs/assets/{}", "", ""),
    ("GET", "/oauth/{}/connect", "", ""),
    ("GET", "/servers", "user-agent", ""),
    ("GET", "/servers", "x-forwarded-for", ""),
    ("POST", "/good/echo", "x-request-id", r#"{"message": 7}"#),
    ("POST", "/good/echo", "traceparent", r#"{"message": "x"}"#),
    ("POST", "/good/echo", "", r#"{"message": ["{}"]}"#),
    ("POST", "/good/echo", "", r#"{"{}": "{}"}"#),
    ("POST", "/good/echo", "", r#"{"message": "{}" broken"#),
    ("POST", "/good/echo", "", r#"{"message": "{}"}"#),
    (
        "POST",
        "/good/echo",
        "",
        r#"{"message": "x", "more": "{}"}"#,
    ),
    ("POST", "/good_echo", "", r#"{"message": "{}"}"#),
    ("POST", "/good/fail", "", r#"{"message": "{}"}"#),
    (
        "POST",
        "/good/rpc_error",
        "",
        r#"{"code": -32000, "message": "{}", "data": {"{}": "{}"}}"#,
    ),
    ("POST", "/good/content", "", r#"{"kinds": ["{}"]}"#),
    ("POST", "/admin/api/keys", "", r#"{"name": ",{}"}"#),
    (
        "POST",
        "/admin/api/grants",
        "",
        r#"{"group": "{}", "bridge": "{}/"}"#,
    ),
    (
        "POST",
        "/admin/api/users/groups",
        "",
        r#"{"email": "{}", "group": "{}"}"#,
    ),
    ("DELETE", "/admin/api/groups/{}", "", ""),
    (
        "GET",
        "/admin/api/explain?user={}&bridge={}&tool={}",
        "",
        "",
    ),
    (
        "GET",
        "/admin/api/explain?user=x&bridge=good&tool={}",
        "",
        "",
    ),
    ("GET", "/admin/api/calls?since={}", "", ""),
    ("GET", "/admin/api/bridges/{}/restart", "", ""),
];

/// What comes of a request with a guess in it, the guess left out; `None` where a header cannot hold it.
async fn answered(
    bridge: &Bridge,
    (method, path, header, body): &(&str, &str, &str, &str),
    guess: &str,
) -> Option<String> {
    if !header.is_empty() && guess.contains(' ') {
        return None;
    }
    let encoded = percent_encoding::utf8_percent_encode(guess, percent_encoding::NON_ALPHANUMERIC);
    let path = path.replace("{}", &encoded.to_string());
    let body = body.replace("{}", guess);
    let mut headers = vec![("content-type", "application/json")];
    if path.starts_with("/admin") || path.starts_with("/good") {
        headers.push(KEY);
    }
    if !header.is_empty() {
        headers.push((*header, guess));
    }
    let method = Method::from_bytes(method.as_bytes()).unwrap();
    let answer = bridge.send(method, &path, &headers, &body).await;
    assert!(
        !answer.text.contains("***"),
        "{path} {body}: {}",
        answer.text
    );
    Some(shape(&answer, guess))
}

#[tokio::test]
async fn a_guess_is_answered_as_any_other_text() {
    let bridge = bridge().await;
    for request in REQUESTS {
        for (number, spelling) in SPELLINGS.iter().enumerate() {
            let guessed = answered(&bridge, request, &spelling(SECRET)).await;
            let near = answered(&bridge, request, &spelling(NEAR)).await;
            assert_eq!(guessed, near, "{request:?}, spelling {number}");
        }
    }
    // Escaped in the request, plain in the answer.
    for text in [SECRET, NEAR] {
        let body = format!(r#"{{"message": "{}"}}"#, escaped(text));
        assert_eq!(echo(&bridge, &body).await.text, format!("\"{text}\""));
    }
    // Forty thousand guesses in one call.
    let guesses: Vec<String> = (0..40_000)
        .map(|number| format!("t0p-s3cr3t.{number:04}"))
        .collect();
    let message = format!("{} {SECRET}", guesses.join(" "));
    let body = serde_json::json!({ "message": message }).to_string();
    let answer = echo(&bridge, &body).await;
    assert_eq!(answer.json(), message);
    // It is still taken out of what others wrote.
    assert!(!bridge.log().contains(SECRET), "{}", bridge.log());
    assert!(bridge.log().contains("***"));
}

#[tokio::test]
async fn a_server_does_not_hide_tools_of_others_by_naming_them() {
    let toml = "
[bridges.one]
{bad good}
env = { API_TOKEN = 'rpc_error', OTHER_TOKEN = 'grandchild', A_SECRET = 'unknown_content' }
[bridges.two]
{bad good}
";
    let bridge = Setup::toml(toml).ready().await;
    let two = bridge.get("/two").await.json();
    let tools = two["tools"].as_array().unwrap();
    let names: Vec<&str> = tools
        .iter()
        .filter_map(|tool| tool["name"].as_str())
        .collect();
    for name in ["rpc_error", "grandchild", "unknown_content", "echo"] {
        assert!(names.contains(&name), "{name} is not in {names:?}");
    }
    let answer = bridge.post("/two/unknown_content", "{}").await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let document = bridge.get("/openapi.json").await.text;
    assert!(document.contains("\"two_unknown_content\""));
    // Its own secret in a name of its own is another matter.
    assert!(!document.contains("\"one_unknown_content\""));
}
