//! [`EmbeddedFile`]: bytes in a result that a caller is given by a link.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};

use crate::plain_text::is_harmful;

/// Smaller ones stay in the answer, in bytes: a link to them is hardly shorter.
const FILE_BYTES_MIN: usize = 256;
/// The longest name, in characters.
const NAME_CHARS_MAX: usize = 120;
/// What a file is whose type is not told, or is none (RFC 9110 §8.3).
const UNKNOWN: &str = "application/octet-stream";

/// An embedded resource of bytes (`MCP 2025-11-25, server/tools, embedded resources`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmbeddedFile {
    /// The last part of its URI, fit for a file system.
    pub name: String,
    /// Its type without parameters, `application/pdf`.
    pub media_type: String,
    /// Its bytes.
    pub content: Vec<u8>,
}

/// Takes a file, and gives what stands in its place in the answer.
pub type Keep<'a> = &'a mut dyn FnMut(EmbeddedFile) -> String;

impl EmbeddedFile {
    /// Takes the file out of a block of content. `None` for every other block, which stays as it is: for
    /// text, for pictures, sounds and pages, which are shown in place, and for a few bytes.
    pub fn take(block: &mut Value) -> Option<Self> {
        let block = block.as_object_mut()?;
        if block.get("type")?.as_str()? != "resource" {
            return None;
        }
        let resource = block.get_mut("resource")?.as_object_mut()?;
        if resource.get("text").is_some_and(Value::is_string) {
            return None;
        }
        let media_type = media_type(resource.get("mimeType"));
        let is_shown = ["image/", "audio/"]
            .iter()
            .any(|kind| media_type.starts_with(kind));
        if is_shown || media_type == "text/html" || is_page(resource) {
            return None;
        }
        let blob = resource.get("blob")?.as_str()?;
        // Some servers send a data URI (RFC 2397) where the protocol wants the base64 alone.
        let data = match blob.strip_prefix("data:") {
            Some(uri) => uri.split_once(";base64,")?.1,
            None => blob,
        };
        let content = BASE64_STANDARD.decode(data).ok()?;
        (content.len() >= FILE_BYTES_MIN).then(|| Self {
            name: name(resource.get("uri")),
            media_type,
            content,
        })
    }
}

/// A `ui://` resource is a page unless it says otherwise.
fn is_page(resource: &Map<String, Value>) -> bool {
    let uri = resource.get("uri").and_then(Value::as_str);
    !resource.contains_key("mimeType") && uri.is_some_and(|uri| uri.starts_with("ui://"))
}

/// The type without parameters, in lower case.
fn media_type(told: Option<&Value>) -> String {
    let told = told.and_then(Value::as_str).unwrap_or_default();
    let essence = told.split(';').next().unwrap_or_default().trim();
    let is_token = |text: &str| {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&byte);
        !text.is_empty() && text.len() <= 100 && text.bytes().all(is_plain)
    };
    match essence.split_once('/') {
        Some((kind, name)) if is_token(kind) && is_token(name) => essence.to_ascii_lowercase(),
        _ => UNKNOWN.to_owned(),
    }
}

/// The last part of a URI as a file name: no folder, no character that a system forbids or people cannot
/// see.
fn name(uri: Option<&Value>) -> String {
    let uri = uri.and_then(Value::as_str).unwrap_or_default();
    let path = uri.split(['?', '#']).next().unwrap_or_default();
    let last = path.rsplit('/').next().unwrap_or_default();
    let decoded = percent_decode_str(last).decode_utf8_lossy();
    let last = decoded.rsplit(['/', '\\']).next().unwrap_or_default();
    let is_fit = |character: &char| !is_harmful(*character) && !"<>:\"/\\|?*".contains(*character);
    let fit: String = last.chars().filter(is_fit).take(NAME_CHARS_MAX).collect();
    let fit = fit.trim().trim_matches('.').trim();
    if fit.is_empty() {
        return "file".to_owned();
    }
    fit.to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn resource(uri: &str, media_type: &str, blob: &str) -> Value {
        json!({ "type": "resource", "resource": { "uri": uri, "mimeType": media_type, "blob": blob } })
    }

    #[test]
    fn files_are_taken_and_what_is_shown_in_place_stays() {
        let blob = BASE64_STANDARD.encode([7; 300]);
        let uri = format!("data:application/pdf;base64,{blob}");
        for (block, taken) in [
            (
                resource("file:///a/b.pdf", "application/pdf", &blob),
                Some(("b.pdf", "application/pdf")),
            ),
            (
                resource("file:///a/b.pdf", "", &uri),
                Some(("b.pdf", UNKNOWN)),
            ),
            (
                resource("x://y/Sales%20Q1.xlsx?v=1", "Text/CSV; charset=x", &blob),
                Some(("Sales Q1.xlsx", "text/csv")),
            ),
            (
                resource("x://y/..%2f..%2Fetc%2fpasswd", "a/b/c", &blob),
                Some(("passwd", UNKNOWN)),
            ),
            (
                resource("x://y/%E2%80%AEfdp.exe%0d%0a\"", "a/b\r\nX: y", &blob),
                Some(("fdp.exe", UNKNOWN)),
            ),
            (resource("x://y/..", "a/b", &blob), Some(("file", "a/b"))),
            (resource("", "a/b", &blob), Some(("file", "a/b"))),
            (resource("x://y", "image/png", &blob), None),
            (resource("x://y", "AUDIO/wav", &blob), None),
            (resource("x://y", "text/html", &blob), None),
            (resource("x://y", "a/b", "not base64!"), None),
            (resource("x://y", "a/b", "aGk="), None),
            (
                json!({ "type": "resource", "resource": { "uri": "ui://page", "blob": blob } }),
                None,
            ),
            (
                json!({ "type": "resource", "resource": { "uri": "x", "text": "t", "blob": blob } }),
                None,
            ),
            (
                json!({ "type": "resource", "resource": { "uri": "x" } }),
                None,
            ),
            (
                json!({ "type": "image", "data": blob, "mimeType": "a/b" }),
                None,
            ),
            (json!({ "type": "text", "text": blob }), None),
            (json!("text"), None),
        ] {
            let mut left = block.clone();
            let file = EmbeddedFile::take(&mut left);
            let found = file
                .as_ref()
                .map(|it| (it.name.as_str(), it.media_type.as_str()));
            assert_eq!(found, taken, "{block}");
            assert!(file.is_none_or(|it| it.content == [7; 300]), "{block}");
            assert_eq!(left, block);
        }
    }

    #[test]
    fn a_long_name_is_cut() {
        let uri = json!(format!("x://y/{}.xlsx", "ü".repeat(500)));
        assert_eq!(name(Some(&uri)).chars().count(), NAME_CHARS_MAX);
    }
}
