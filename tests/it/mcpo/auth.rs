//! Who may call: `observed_auth.txt`, 16 variants of the header in 6 modes.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use reqwest::Method;
use serde_json::Value;

use super::{mcpo, probe, probe_words, recorded, with_config};
use crate::harness::Bridge;

/// The key of the recording.
const KEY: &str = "top-secret";

/// The header of each variant.
fn header(variant: &str) -> Option<(&'static str, String)> {
    let basic = |text: &str| format!("Basic {}", STANDARD.encode(text));
    let value = match variant {
        "none" => return None,
        "x-api-key" => return Some(("x-api-key", KEY.to_owned())),
        "bearer ok" => format!("Bearer {KEY}"),
        "bearer lower" => format!("bearer {KEY}"),
        "BEARER upper" => format!("BEARER {KEY}"),
        "bearer bad" => "Bearer wrong".to_owned(),
        "bearer empty" => "Bearer ".to_owned(),
        "bearer 2sp" => format!("Bearer  {KEY}"),
        "bearer trail" => format!("Bearer {KEY} "),
        "raw key" => KEY.to_owned(),
        "basic ok" => basic(&format!("user:{KEY}")),
        "basic bad" => basic("user:wrong"),
        "basic nocolon" => basic(KEY),
        "basic garbage" => "Basic !!!".to_owned(),
        "digest" => "Digest abc".to_owned(),
        "empty" => String::new(),
        other => panic!("no header for `{other}`"),
    };
    Some(("authorization", value))
}

/// One line of the table.
#[derive(Debug)]
struct Row<'a> {
    variant: &'a str,
    method: Method,
    path: &'a str,
    status: u16,
    /// The beginning of the body.
    body: String,
    /// `WWW-Authenticate`, or `None`.
    challenge: &'a str,
}

impl<'a> Row<'a> {
    /// Reads a line: `bearer bad     POST /r_text   403 '{"detail":…}' www=None`.
    fn read(line: &'a str) -> Option<Self> {
        let (variant, rest) = line.split_at_checked(15)?;
        let (method, rest) = rest.split_once(' ')?;
        let method = match method {
            "GET" => Method::GET,
            "POST" => Method::POST,
            _ => return None,
        };
        let (path, rest) = rest.split_once(' ')?;
        let (status, rest) = rest.trim_start().split_once(' ')?;
        let (body, challenge) = rest.rsplit_once(" www=")?;
        Some(Self {
            variant: variant.trim(),
            method,
            path,
            status: status.parse().unwrap(),
            body: String::from_utf8(super::unquoted(body.trim_matches('\''))).unwrap(),
            challenge,
        })
    }

    /// What we do otherwise on purpose: the status and why.
    fn difference(&self, is_open: bool, is_strict: bool) -> Option<(u16, &'static str)> {
        let is_call = self.method == Method::POST;
        match self.variant {
            _ if is_open => None,
            "basic ok" if is_call => Some((200, "B14: who may read the page may call")),
            "bearer lower" | "BEARER upper" | "bearer 2sp" if is_strict => {
                let status = if self.path == "/nope" { 404 } else { 200 };
                Some((
                    status,
                    "the key is right; RFC 9110 §11.1: a scheme has no case",
                ))
            }
            _ => None,
        }
    }
}

/// Starts a mode of the recording.
async fn start(mode: &str) -> Bridge {
    let options: &[&str] = match mode {
        "single --api-key" | "config --api-key" => &["--api-key", KEY],
        "single --api-key --strict-auth" | "config strict" => &["-k", KEY, "--strict-auth"],
        "single --strict-auth no key" => &["--strict-auth"],
        "api-key empty" => &["--api-key", ""],
        other => panic!("no mode `{other}`"),
    };
    let tools = "s_prims_opt,r_text";
    if mode.starts_with("config") {
        return with_config(&[("one", probe(tools))], options).ready().await;
    }
    let mut words: Vec<String> = options.iter().map(|word| (*word).to_owned()).collect();
    words.push("--".to_owned());
    words.extend(probe_words(tools));
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    mcpo(&words).ready().await
}

#[tokio::test]
async fn every_header_in_every_mode_is_answered_as_by_mcpo_or_fixed() {
    let text = recorded("observed_auth.txt");
    let modes = text.split("===== ").skip(1);
    let (mut rows, mut wrong) = (0, Vec::new());
    for section in modes {
        let (mode, section) = section.split_once('\n').unwrap();
        let is_strict = mode.ends_with("--strict-auth") || mode.ends_with("strict");
        let is_open = ["single --strict-auth no key", "api-key empty"].contains(&mode);
        let bridge = start(mode).await;
        for row in section.lines().filter_map(Row::read) {
            rows += 1;
            if let Some(complaint) = check(&bridge, &row, is_open, is_strict).await {
                wrong.push(format!("{mode}: {row:?}\n    {complaint}"));
            }
        }
        check_document(&bridge, mode.starts_with("config"), is_open).await;
        check_bad_bodies(&bridge, mode.starts_with("config"), is_open).await;
    }
    assert_eq!(rows, 240, "the recording changed");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Replays one line; what is wrong with the answer.
async fn check(bridge: &Bridge, row: &Row<'_>, is_open: bool, is_strict: bool) -> Option<String> {
    let header = header(row.variant);
    let headers: Vec<(&str, &str)> = header
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    let answer = bridge
        .send(row.method.clone(), row.path, &headers, "")
        .await;
    let difference = row.difference(is_open, is_strict);
    let status = difference.map_or(row.status, |(status, _why)| status);
    if answer.status != status {
        return Some(format!("{} {}", answer.status, answer.text));
    }
    if difference.is_some_and(|(ours, _)| ours == row.status) {
        return Some("no longer differs".to_owned());
    }
    let challenge = if status == row.status {
        row.challenge
    } else {
        "None"
    };
    let ours = answer.headers.get("www-authenticate");
    let ours = ours.map_or("None", |value| value.to_str().unwrap());
    if ours != challenge {
        return Some(format!("its challenge is {ours}"));
    }
    let is_same = if status != row.status || status == 404 {
        // Our 404 says more than `Not Found`.
        true
    } else if row.body.starts_with("{\"detail\"") {
        let theirs: Value = serde_json::from_str(&row.body).unwrap();
        answer.json()["detail"] == theirs["detail"]
    } else if row.body.trim_start().starts_with("<!DOCTYPE html>") {
        answer.header("content-type").starts_with("text/html")
    } else {
        answer.text.starts_with(&row.body)
    };
    (!is_same).then(|| answer.text.clone())
}

/// The document asks for the key where one is asked for, in mcpo's place.
async fn check_document(bridge: &Bridge, is_config: bool, is_open: bool) {
    let path = if is_config {
        "/one/openapi.json"
    } else {
        "/openapi.json"
    };
    let key = format!("Bearer {KEY}");
    let answer = bridge
        .send(Method::GET, path, &[("authorization", &key)], "")
        .await;
    let document = answer.json();
    let schemes = document["components"].get("securitySchemes");
    assert_eq!(schemes.is_none(), is_open);
    assert_eq!(document.get("security"), None);
    for (path, item) in document["paths"].as_object().unwrap() {
        let operation = item["post"].as_object().unwrap();
        if is_open {
            assert_eq!(operation.get("security"), None);
            continue;
        }
        assert_eq!(
            operation["security"],
            serde_json::json!([{"HTTPBearer": []}])
        );
        let keys: Vec<&str> = operation.keys().map(String::as_str).collect();
        let body = ["requestBody"].iter().filter(|_| path == "/s_prims_opt");
        let wanted: Vec<&str> = ["summary", "description", "operationId"]
            .iter()
            .chain(body)
            .chain(&["responses", "security"])
            .copied()
            .collect();
        assert_eq!(keys, wanted);
    }
}

/// Nobody learns from a stranger's body: mcpo parses JSON before it asks who sends it.
async fn check_bad_bodies(bridge: &Bridge, is_config: bool, is_open: bool) {
    let path = if is_config {
        "/one/s_prims_opt"
    } else {
        "/s_prims_opt"
    };
    for (body, open) in [("{\"b\": \"bad\"}", 422), ("{bad", 400)] {
        let wanted = if is_open { open } else { 401 };
        assert_eq!(bridge.post(path, body).await.status, wanted, "{body}");
    }
}
