//! [`OtlpSettings`]: where traces are sent, from the file or from the variables of `OpenTelemetry`.

use http::{HeaderName, HeaderValue};
use percent_encoding::percent_decode_str;
use serde::Deserialize;
use url::Url;

use crate::{
    config::{
        Diagnostic, Environment,
        read::{BadValue, KEY, Parsed, parsed},
    },
    secret::Secret,
};

/// A collector of traces.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OtlpSettings {
    /// The URL of the collector, including the path.
    #[serde(rename = "otlp_endpoint", deserialize_with = "otlp_endpoint")]
    pub url: Url,
    /// The request headers, for example with credentials.
    #[serde(rename = "otlp_headers", default, deserialize_with = "otlp_headers")]
    pub headers: Vec<(HeaderName, Secret)>,
}

/// The endpoint for all telemetry (OTLP exporter specification). The path of traces is appended.
pub const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
/// The headers for that endpoint.
pub const HEADERS: &str = "OTEL_EXPORTER_OTLP_HEADERS";
/// The endpoint for traces, including the path.
const TRACES_ENDPOINT: &str = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";
/// The headers for that endpoint.
const TRACES_HEADERS: &str = "OTEL_EXPORTER_OTLP_TRACES_HEADERS";
/// The variable that disables all SDKs.
const DISABLED: &str = "OTEL_SDK_DISABLED";
/// The path of traces below a general endpoint.
const PATH: &str = "/v1/traces";

/// Reads the settings from the environment alone.
pub fn of_environment(environment: &Environment) -> Result<Option<OtlpSettings>, Box<Diagnostic>> {
    let set = |name| {
        environment
            .get(name)
            .map(str::trim)
            .filter(|it| !it.is_empty())
    };
    if set(DISABLED).is_some_and(|it| it.eq_ignore_ascii_case("true")) {
        return Ok(None);
    }
    let (name, url) = match (set(TRACES_ENDPOINT), set(ENDPOINT)) {
        (Some(whole), _) => (TRACES_ENDPOINT, web(whole)),
        (None, Some(base)) => (ENDPOINT, below(base)),
        (None, None) => return Ok(None),
    };
    let url = url.map_err(|reason| {
        let hint = "write `http://HOST:4318`, or leave it blank";
        Box::new(Diagnostic::error(format!("`{name}` {reason}")).with_hint(hint))
    })?;
    let headers = headers_of(environment)?;
    Ok(Some(OtlpSettings { url, headers }))
}

/// Reads the headers from the environment.
pub fn headers_of(environment: &Environment) -> Result<Vec<(HeaderName, Secret)>, Box<Diagnostic>> {
    let named = [TRACES_HEADERS, HEADERS]
        .into_iter()
        .find_map(|name| environment.get(name).map(|text| (name, text)));
    let Some((name, text)) = named else {
        return Ok(Vec::new());
    };
    headers(text).map_err(|reason| {
        let hint = "write `NAME=VALUE,NAME=VALUE`, values percent-encoded";
        Box::new(Diagnostic::error(format!("`{name}` {reason}")).with_hint(hint))
    })
}

/// The variables that are read without a reference.
pub const VARIABLES: [&str; 5] = [ENDPOINT, HEADERS, TRACES_ENDPOINT, TRACES_HEADERS, DISABLED];

/// Where traces go below an endpoint. The error completes a sentence.
pub fn below(base: &str) -> Result<Url, String> {
    let mut url = web(base)?;
    let path = url.path().trim_end_matches('/');
    let path = path.strip_suffix(PATH).unwrap_or(path);
    url.set_path(&format!("{path}{PATH}"));
    Ok(url)
}

/// Adds the key to a reason.
pub fn told<T>(found: Result<T, String>) -> Parsed<T> {
    found.map_err(|reason| BadValue::new(format!("{KEY}: {reason}"), ""))
}

parsed! {
    /// Reads the URL of a collector.
    otlp_endpoint -> Url = |text| told(below(text));
    /// Reads the headers for a collector.
    otlp_headers -> Vec<(HeaderName, Secret)> = |text| told(headers(text));
}

/// Parses an HTTP URL.
fn web(text: &str) -> Result<Url, String> {
    match Url::parse(text.trim()) {
        Ok(url) if matches!(url.scheme(), "http" | "https") => Ok(url),
        Ok(url) => Err(format!(
            "has the scheme `{}:`; it must be `http:` or `https:`",
            url.scheme()
        )),
        Err(error) => Err(format!("is not a valid URL: {error}")),
    }
}

/// Parses `NAME=VALUE,NAME=VALUE`, percent-encoded. The error completes a sentence, without the values.
pub fn headers(text: &str) -> Result<Vec<(HeaderName, Secret)>, String> {
    let pairs = text.split(',').map(str::trim).filter(|it| !it.is_empty());
    pairs
        .map(|pair| {
            let (name, value) = pair.split_once('=').ok_or("has a part without `=`")?;
            let value = percent_decode_str(value.trim()).decode_utf8_lossy();
            let name = HeaderName::try_from(name.trim())
                .map_err(|_| format!("has `{}`, which is not a valid header name", name.trim()))?;
            HeaderValue::from_str(&value)
                .map_err(|_| format!("has a value for `{name}` that HTTP forbids"))?;
            Ok((name, Secret::new(value.into_owned())))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_variables_of_open_telemetry_mean_what_its_specification_says() {
        let table = [
            (vec![], None),
            (vec![(ENDPOINT, " ")], None),
            (
                vec![(ENDPOINT, "http://c:4318")],
                Some("http://c:4318/v1/traces"),
            ),
            (
                vec![(ENDPOINT, "http://c:4318/")],
                Some("http://c:4318/v1/traces"),
            ),
            (
                vec![(ENDPOINT, "https://c/otlp/")],
                Some("https://c/otlp/v1/traces"),
            ),
            (
                vec![(ENDPOINT, "http://c/v1/traces")],
                Some("http://c/v1/traces"),
            ),
            (vec![(TRACES_ENDPOINT, "http://c/in")], Some("http://c/in")),
            (
                vec![(TRACES_ENDPOINT, "http://c/in"), (ENDPOINT, "http://d")],
                Some("http://c/in"),
            ),
            (vec![(ENDPOINT, "http://c"), (DISABLED, "TRUE")], None),
        ];
        for (pairs, expected) in table {
            let read = of_environment(&Environment::of(pairs.clone())).unwrap();
            let url = read.map(|otlp| otlp.url.to_string());
            assert_eq!(url.as_deref(), expected, "{pairs:?}");
        }
        for bad in ["c:4318", "ftp://c", "collector"] {
            let read = of_environment(&Environment::of([(ENDPOINT, bad)]));
            assert!(read.is_err(), "{bad}");
        }
    }

    #[test]
    fn headers_are_lists_with_percent_signs() {
        let read = headers("authorization=Bearer%20t0ken, x-scope = a=b,,").unwrap();
        let shown: Vec<_> = read
            .iter()
            .map(|(name, value)| (name.as_str(), value.expose()))
            .collect();
        assert_eq!(
            shown,
            [("authorization", "Bearer t0ken"), ("x-scope", "a=b")]
        );
        for bad in ["secret", "a b=secret", "x=%0Asecret"] {
            let reason = headers(bad).unwrap_err();
            assert!(!reason.contains("secret"), "{reason}");
        }
    }
}
