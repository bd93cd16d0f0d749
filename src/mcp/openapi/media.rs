//! Content types: the kinds of bodies, and the choice between several.

use serde_json::Value;

use crate::mcp::http::BodyKind;

/// The kind of a content type, in order of preference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum MediaKind {
    /// JSON.
    Json,
    /// `application/x-www-form-urlencoded`
    Form,
    /// `multipart/form-data`
    Parts,
    /// Text, including XML.
    Text,
    /// Any other bytes.
    Bytes,
    /// A multipart type that is not a form. It cannot be written.
    Unknown,
}

/// One entry of `content`.
#[derive(Debug, Clone, Copy)]
pub struct MediaType<'a> {
    /// The content type as written.
    pub kind: &'a str,
    /// The kind of the content type.
    pub family: MediaKind,
    /// The entry's value.
    pub said: &'a Value,
}

impl<'a> MediaType<'a> {
    /// Returns the preferred content type of a body or response.
    pub fn best(owner: &'a Value) -> Option<Self> {
        let content = owner.get("content")?.as_object()?;
        let all = content.iter().map(|(kind, said)| Self {
            kind,
            family: MediaKind::of(kind),
            said,
        });
        all.min_by_key(|media| media.family)
    }

    /// Returns the schema, or one that accepts everything if there is none.
    pub fn schema(&self) -> &'a Value {
        self.said.get("schema").unwrap_or(&Value::Bool(true))
    }
}

impl MediaKind {
    /// Returns the kind of a content type.
    fn of(kind: &str) -> Self {
        let kind = essence(kind);
        if kind == "*/*" || BodyKind::of(&kind) == BodyKind::Json {
            Self::Json
        } else if kind == "application/x-www-form-urlencoded" {
            Self::Form
        } else if kind == "multipart/form-data" || kind == "multipart/*" {
            Self::Parts
        } else if kind.starts_with("multipart/") {
            Self::Unknown
        } else if is_textual(&kind) {
            Self::Text
        } else {
            Self::Bytes
        }
    }
}

/// Returns a content type in lower case, without its parameters.
pub fn essence(kind: &str) -> String {
    let kind = kind.split(';').next().unwrap_or_default();
    kind.trim().to_ascii_lowercase()
}

/// Whether a result of [`essence`] is a text type.
pub fn is_textual(kind: &str) -> bool {
    kind.starts_with("text/")
        || ["/xml", "+xml", "yaml", "/javascript", "/graphql"]
            .iter()
            .any(|end| kind.ends_with(end))
        || BodyKind::of(kind) == BodyKind::Json
}

/// Returns the schema of a JSON content type.
pub fn json_schema(owner: &Value) -> Option<&Value> {
    let media = MediaType::best(owner)?;
    (media.family == MediaKind::Json).then(|| media.schema())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_says_most_is_preferred() {
        for (kinds, kind, family) in [
            (
                vec!["application/xml", "application/json; charset=utf-8"],
                "application/json; charset=utf-8",
                MediaKind::Json,
            ),
            (
                vec!["multipart/form-data", "application/x-www-form-urlencoded"],
                "application/x-www-form-urlencoded",
                MediaKind::Form,
            ),
            (
                vec!["application/merge-patch+json"],
                "application/merge-patch+json",
                MediaKind::Json,
            ),
            (
                vec!["application/octet-stream", "Multipart/Form-Data"],
                "Multipart/Form-Data",
                MediaKind::Parts,
            ),
            (vec!["image/*", "text/csv"], "text/csv", MediaKind::Text),
            (
                vec!["application/soap+xml"],
                "application/soap+xml",
                MediaKind::Text,
            ),
            (vec!["application/pdf"], "application/pdf", MediaKind::Bytes),
            (
                vec!["multipart/mixed"],
                "multipart/mixed",
                MediaKind::Unknown,
            ),
        ] {
            let content: serde_json::Map<_, _> = kinds
                .iter()
                .map(|it| ((*it).to_owned(), json!({})))
                .collect();
            let body = json!({ "content": content });
            let media = MediaType::best(&body).unwrap();
            assert_eq!((media.kind, media.family), (kind, family));
        }
        assert!(MediaType::best(&json!({ "content": {} })).is_none());
    }
}
