//! Security headers for browsers. They are set in one place, so that every new page has them.

use axum::response::Response;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method,
    header::{
        CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY,
        X_CONTENT_TYPE_OPTIONS,
    },
};

/// The policy of a page that sets no policy of its own: it loads nothing, and no other page can
/// frame it.
const POLICY: &str =
    "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
/// Which pages share a browsing context group (HTML Living Standard, cross-origin opener policy).
const OPENER_POLICY: HeaderName = HeaderName::from_static("cross-origin-opener-policy");
/// Which origins may load a response without CORS (Fetch standard, cross-origin resource policy).
const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

/// Adds the headers that a handler did not set. Every response gets `nosniff` and cannot be
/// embedded by other origins. Documents also get a policy, no referrer and their own window group.
pub fn protect(response: &mut Response, method: &Method) {
    let headers = response.headers_mut();
    add(headers, X_CONTENT_TYPE_OPTIONS, "nosniff");
    add(headers, RESOURCE_POLICY, "same-origin");
    if is_document(headers) {
        add(headers, CONTENT_SECURITY_POLICY, POLICY);
        add(headers, REFERRER_POLICY, "no-referrer");
        add(headers, OPENER_POLICY, "same-origin");
    }
    // A response may contain the caller's data. Documents and files that browsers may cache set
    // their own header.
    if matches!(*method, Method::GET | Method::HEAD) {
        add(headers, CACHE_CONTROL, "no-store");
    }
}

fn add(headers: &mut HeaderMap, name: HeaderName, value: &'static str) {
    headers
        .entry(name)
        .or_insert(HeaderValue::from_static(value));
}

/// Whether a browser would show the response as a document that can run scripts.
fn is_document(headers: &HeaderMap) -> bool {
    let Some(kind) = headers.get(CONTENT_TYPE) else {
        return false;
    };
    let kind = kind.as_bytes().to_ascii_lowercase();
    let essence = kind.split(|byte| *byte == b';').next().unwrap_or_default();
    let essence = essence.trim_ascii();
    essence == b"text/html" || essence == b"text/xml" || essence.ends_with(b"xml")
}

#[cfg(test)]
mod tests {
    use axum::{body::Body, response::IntoResponse as _};

    use super::*;

    #[test]
    fn documents_get_a_policy_and_everything_is_of_its_type() {
        for (kind, has_policy) in [
            ("text/html", true),
            ("Text/HTML ; charset=utf-8", true),
            ("application/xhtml+xml", true),
            ("image/svg+xml", true),
            ("application/json", false),
            ("text/plain", false),
            ("text/css; charset=utf-8", false),
        ] {
            let mut response = ([(CONTENT_TYPE, kind)], Body::empty()).into_response();
            protect(&mut response, &Method::GET);
            let headers = response.headers();
            assert_eq!(headers[X_CONTENT_TYPE_OPTIONS], "nosniff", "{kind}");
            assert_eq!(headers[CACHE_CONTROL], "no-store", "{kind}");
            assert_eq!(
                headers.contains_key(CONTENT_SECURITY_POLICY),
                has_policy,
                "{kind}"
            );
        }
    }

    #[test]
    fn what_a_handler_says_stays() {
        let own = [
            (CONTENT_TYPE, "text/html"),
            (CONTENT_SECURITY_POLICY, "sandbox"),
            (CACHE_CONTROL, "no-cache"),
        ];
        let mut response = (own, Body::empty()).into_response();
        protect(&mut response, &Method::GET);
        let headers = response.headers();
        assert_eq!(headers[CONTENT_SECURITY_POLICY], "sandbox");
        assert_eq!(headers[CACHE_CONTROL], "no-cache");
        assert_eq!(headers[REFERRER_POLICY], "no-referrer");
        let mut posted = Body::empty().into_response();
        protect(&mut posted, &Method::POST);
        assert!(!posted.headers().contains_key(CACHE_CONTROL));
    }
}
