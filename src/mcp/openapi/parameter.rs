//! The parameters of an operation: their location and format.

use std::collections::BTreeSet;

use http::HeaderName;
use serde_json::Value;

use super::schema::ResolvableDocument;

/// A parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperationParameter {
    /// The argument with its value.
    pub argument: String,
    /// Its name in the request.
    pub name: String,
    /// Its location.
    pub place: ParameterLocation,
    /// The format of its value.
    pub style: ParameterStyle,
}

/// The location of a parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ParameterLocation {
    /// The query.
    Query,
    /// A header.
    Header(HeaderName),
    /// A cookie.
    Cookie,
    /// The path, which is split at its parameters.
    Path,
}

/// The format of a value (OpenAPI 3.1, style values).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParameterStyle {
    /// `a=1&a=2`
    Repeated,
    /// `a=1,2`, with this separator.
    Joined(char),
    /// `a[b]=1`
    Deep,
    /// `a={"b":1}`
    Json,
    /// `1,2`; with `explode`, an object becomes `a=1,b=2`.
    Simple {
        /// Whether each name is joined to its value.
        explode: bool,
    },
    /// `.1.2`
    Label {
        /// Whether each item gets a dot.
        explode: bool,
    },
    /// `;a=1;a=2`
    Matrix {
        /// Whether each item gets the name.
        explode: bool,
    },
}

/// Returns the parameters of an operation: its own, then those of its path that it does not override.
pub fn parameters_of<'a>(
    document: ResolvableDocument<'a>,
    item: &'a Value,
    operation: &'a Value,
) -> Vec<&'a Value> {
    let mut seen = BTreeSet::new();
    [operation, item]
        .into_iter()
        .filter_map(|owner| owner.get("parameters").and_then(Value::as_array))
        .flatten()
        .map(|parameter| document.resolve(parameter))
        .filter(|parameter| seen.insert((text(parameter, "name"), text(parameter, "in"))))
        .collect()
}

/// Returns the location of a parameter. Returns `None` for headers that belong to the transport or to the
/// operator's credentials.
pub fn place_of(place: &str, name: &str) -> Option<ParameterLocation> {
    match place {
        "path" => Some(ParameterLocation::Path),
        "query" => Some(ParameterLocation::Query),
        // The name of a cookie is a token, like that of a header.
        "cookie" => HeaderName::from_bytes(name.as_bytes())
            .is_ok()
            .then_some(ParameterLocation::Cookie),
        "header" => {
            let name: HeaderName = name.parse().ok()?;
            let owned = [
                http::header::ACCEPT,
                http::header::AUTHORIZATION,
                http::header::CONNECTION,
                http::header::CONTENT_LENGTH,
                http::header::CONTENT_TYPE,
                http::header::COOKIE,
                http::header::HOST,
                http::header::TRANSFER_ENCODING,
            ];
            (!owned.contains(&name)).then_some(ParameterLocation::Header(name))
        }
        _ => None,
    }
}

/// Returns the format of a parameter, or of a form field with an encoding.
pub fn style_of(said: &Value, place: &str) -> ParameterStyle {
    if said.get("content").is_some() {
        return ParameterStyle::Json;
    }
    let is_pairs = matches!(place, "query" | "cookie");
    let default = if is_pairs { "form" } else { "simple" };
    let style = text(said, "style").unwrap_or(default);
    let explode = said
        .get("explode")
        .and_then(Value::as_bool)
        .unwrap_or(is_pairs && style == "form");
    match (place, style) {
        ("path", "label") => ParameterStyle::Label { explode },
        ("path", "matrix") => ParameterStyle::Matrix { explode },
        ("path" | "header", _) => ParameterStyle::Simple { explode },
        (_, "deepObject") => ParameterStyle::Deep,
        _ if explode => ParameterStyle::Repeated,
        (_, "spaceDelimited") => ParameterStyle::Joined(' '),
        (_, "pipeDelimited") => ParameterStyle::Joined('|'),
        (_, "tabDelimited") => ParameterStyle::Joined('\t'),
        _ => ParameterStyle::Joined(','),
    }
}

/// Returns the text under a key.
pub fn text<'a>(owner: &'a Value, key: &str) -> Option<&'a str> {
    owner.get(key).and_then(Value::as_str)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn styles_have_the_defaults_of_their_place() {
        let cases = [
            ("query", json!({}), ParameterStyle::Repeated),
            ("cookie", json!({}), ParameterStyle::Repeated),
            (
                "query",
                json!({ "explode": false }),
                ParameterStyle::Joined(','),
            ),
            (
                "query",
                json!({ "style": "pipeDelimited" }),
                ParameterStyle::Joined('|'),
            ),
            (
                "query",
                json!({ "style": "spaceDelimited", "explode": true }),
                ParameterStyle::Repeated,
            ),
            (
                "query",
                json!({ "style": "deepObject" }),
                ParameterStyle::Deep,
            ),
            ("query", json!({ "content": {} }), ParameterStyle::Json),
            ("path", json!({}), ParameterStyle::Simple { explode: false }),
            (
                "path",
                json!({ "style": "label" }),
                ParameterStyle::Label { explode: false },
            ),
            (
                "path",
                json!({ "style": "matrix", "explode": true }),
                ParameterStyle::Matrix { explode: true },
            ),
            (
                "header",
                json!({ "style": "form" }),
                ParameterStyle::Simple { explode: false },
            ),
        ];
        for (place, said, expected) in cases {
            assert_eq!(style_of(&said, place), expected, "{place} {said}");
        }
    }

    #[test]
    fn headers_of_others_are_left_out() {
        assert_eq!(place_of("header", "authorization"), None);
        assert_eq!(place_of("header", "no name"), None);
        assert_eq!(place_of("cookie", "a=b; c"), None);
        assert_eq!(
            place_of("cookie", "session"),
            Some(ParameterLocation::Cookie)
        );
        assert_eq!(place_of("body", "x"), None);
    }
}
