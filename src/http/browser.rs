//! Checks on requests that a browser may send without its user's intent: the host that it resolved,
//! and the page that sent the request.
//!
//! A page of another origin can make a browser send requests (cross-site request forgery). A page
//! whose host name was repointed to the bridge's address can also read the responses (DNS
//! rebinding). Where callers need no credentials, only these checks stop such pages.

use std::net::IpAddr;

use axum::extract::Request;
use http::{
    HeaderMap,
    header::{AUTHORIZATION, HOST, ORIGIN},
    uri::Authority,
};

use super::{error::ApiError, sender::RequestSender, state::AppState};
use crate::{
    auth::{AuthenticationMethod, Caller},
    config::{AnonymousAccess, Flavor},
    error_code::ErrorCode,
};

/// The header in which a browser reports where a request comes from (W3C Fetch Metadata). Pages
/// cannot set it.
const SEC_FETCH_SITE: &str = "sec-fetch-site";

/// Suffixes that no public DNS server resolves: names of the local network or of a cluster. A page
/// on the internet cannot have such a name, so it cannot use one for DNS rebinding (RFC 6762 §3,
/// RFC 8375, ICANN's `internal`, Kubernetes' `svc`).
const PRIVATE_SUFFIXES: [&str; 7] = [
    ".localhost",
    ".local",
    ".internal",
    ".lan",
    ".home.arpa",
    ".svc",
    ".svc.cluster.local",
];

/// Refuses requests that name two hosts. In open loopback mode it also refuses requests for a
/// foreign host, on every route. A request with credentials passes here; the host is checked again
/// if the credentials prove nothing. Probes are always answered. Under mcpo's rules without a key,
/// public names are refused unless the operator allows their origin.
pub fn check_hosts(state: &AppState, request: &Request) -> Result<(), ApiError> {
    let settings = state.settings.load();
    let config = &settings.config;
    let named = || host(request.headers(), request.uri().authority());
    if config.flavor != Flavor::Native {
        return match config.identity.anonymous {
            AnonymousAccess::Allowed => {
                check_public_name(named()?, &config.server.cors_allow_origins)
            }
            _ => Ok(()),
        };
    }
    if matches!(request.uri().path(), "/health" | "/ready") {
        return Ok(());
    }
    let named = named()?;
    let is_open = config.identity.anonymous == AnonymousAccess::Loopback;
    if is_open && !request.headers().contains_key(AUTHORIZATION) {
        return check_name(named);
    }
    Ok(())
}

/// The host of a request: `:authority` of HTTP/2 (RFC 9113 §8.3.1), the authority of an absolute
/// request target (RFC 9112 §3.2.2), or the header `Host`. Two different hosts are refused.
pub fn host<'a>(
    headers: &'a HeaderMap,
    authority: Option<&'a Authority>,
) -> Result<Option<&'a str>, ApiError> {
    let mut named = authority.map(Authority::as_str);
    for value in headers.get_all(HOST) {
        let text = value.to_str().map_err(|_| two_hosts())?;
        match named {
            Some(other) if !other.eq_ignore_ascii_case(text) => return Err(two_hosts()),
            Some(_) => {}
            None => named = Some(text),
        }
    }
    Ok(named)
}

/// Refuses a host name that is not this machine's own (DNS rebinding).
pub fn check_host(sender: &RequestSender) -> Result<(), ApiError> {
    check_name(host(&sender.headers, sender.authority.as_ref())?)
}

/// Refuses a request that a page of another origin may have caused, unless CORS allows that origin.
pub fn check_origin(allowed: &[String], sender: &RequestSender) -> Result<(), ApiError> {
    let origin = sender.headers.get(ORIGIN);
    let origin = origin.and_then(|origin| origin.to_str().ok());
    if is_same_origin(sender) || is_allowed_origin(allowed, origin.unwrap_or_default()) {
        return Ok(());
    }
    Err(ApiError::new(
        ErrorCode::ForbiddenOrigin,
        "a page of this origin may not call the bridge without a key; set a key, or allow the origin with `cors_allow_origins` in [server] (`--cors-allow-origins` on mcpo's command line)",
    ))
}

/// Whether a request comes from a page of the bridge, or from no page. The browser's own report has
/// precedence, because a gateway may have changed the host. A link from another site may be
/// followed (`Sec-Fetch-Site: cross-site`, no `Origin`, a safe method).
pub fn is_same_origin(sender: &RequestSender) -> bool {
    let headers = &sender.headers;
    let mut sites = headers.get_all(SEC_FETCH_SITE).iter();
    let site = sites.next();
    let has_origin = headers.contains_key(ORIGIN);
    if let Some(site) = site {
        let is_own = matches!(site.as_bytes(), b"same-origin" | b"none") && sites.next().is_none();
        return is_own || (!has_origin && sender.method.is_safe());
    }
    if !has_origin {
        return true;
    }
    let mut origins = headers.get_all(ORIGIN).iter();
    let (Some(origin), None) = (origins.next(), origins.next()) else {
        return false;
    };
    let Ok(Some(host)) = host(headers, sender.authority.as_ref()) else {
        return false;
    };
    origin.to_str().is_ok_and(|origin| {
        origin
            .split_once("://")
            .is_some_and(|(_scheme, authority)| authority.eq_ignore_ascii_case(host))
    })
}

/// Whether CORS allows pages of this origin to call the bridge.
pub fn is_allowed_origin(allowed: &[String], origin: &str) -> bool {
    allowed.iter().any(|it| it == "*" || it == origin)
}

/// Whether any page in a browser could act as this caller. This is so if the caller proved nothing,
/// or if the browser attaches the proof by itself, for the bridge or for the gateway in front of
/// it.
pub fn may_be_forged(caller: &Caller) -> bool {
    let is_ambient = matches!(
        caller.proof,
        AuthenticationMethod::Anonymous
            | AuthenticationMethod::Loopback
            | AuthenticationMethod::Gateway
    );
    is_ambient || caller.via_cookie
}

/// Refuses a host name that is not this machine's own. A client that sends no host is not a
/// browser.
fn check_name(host: Option<&str>) -> Result<(), ApiError> {
    let Some(host) = host else {
        return Ok(());
    };
    let name = without_port(host);
    let is_local = name == "localhost"
        || name.ends_with(".localhost")
        || name.trim_matches(['[', ']']).parse::<IpAddr>().is_ok();
    if is_local {
        return Ok(());
    }
    Err(ApiError::new(
        ErrorCode::ForbiddenHost,
        "without a key this bridge accepts only `localhost` and IP addresses as its host name; set a key in [identity.keys]",
    ))
}

/// Refuses a public name that may have been repointed to the bridge's address (DNS rebinding),
/// unless the operator allows its origin. Clients in a private network use an address, a name
/// without a dot (a service of a compose file), or a private name.
fn check_public_name(host: Option<&str>, allowed: &[String]) -> Result<(), ApiError> {
    let Some(host) = host else {
        return Ok(());
    };
    let name = without_port(host);
    let name = name.strip_suffix('.').unwrap_or(&name);
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    let is_label = !name.is_empty() && name.bytes().all(is_plain);
    let is_private = PRIVATE_SUFFIXES.iter().any(|it| name.ends_with(it));
    let is_address = name.trim_matches(['[', ']']).parse::<IpAddr>().is_ok();
    let is_named = allowed.iter().any(|origin| {
        let authority = origin.split_once("://").map(|(_scheme, it)| it);
        origin == "*" || authority.is_some_and(|it| without_port(it) == name)
    });
    if is_label || is_private || is_address || is_named {
        return Ok(());
    }
    Err(ApiError::new(
        ErrorCode::ForbiddenHost,
        "without a key the bridge refuses this host name, because a page on the internet could use it; set `--api-key`, or allow the origin with `--cors-allow-origins http://NAME`",
    ))
}

/// The host in lower case, without its port.
fn without_port(host: &str) -> String {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    name.to_ascii_lowercase()
}

fn two_hosts() -> ApiError {
    ApiError::new(
        ErrorCode::ForbiddenHost,
        "the request names two different hosts, or a host that is not valid; send one `Host` header that matches the request target",
    )
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue, Method};

    use super::*;
    use crate::call::RequestOrigin;

    fn sender(method: Method, authority: Option<&str>, all: &[(&str, &str)]) -> RequestSender {
        let mut headers = HeaderMap::new();
        for (name, value) in all {
            headers.append(
                HeaderName::from_bytes(name.as_bytes()).unwrap(),
                HeaderValue::from_bytes(value.as_bytes()).unwrap(),
            );
        }
        RequestSender {
            origin: RequestOrigin {
                headers,
                peer: None,
                request_id: String::new(),
                span: None,
                seat: None,
            },
            method,
            authority: authority.map(|it| it.parse().unwrap()),
            connection: None,
            is_multiplexed: false,
        }
    }

    /// The host of the request target, and the headers.
    type Sent<'a> = (Option<&'a str>, &'a [(&'a str, &'a str)]);

    #[test]
    fn only_this_machine_is_a_host_without_keys() {
        let localhost = ("host", "localhost");
        let cases: [(Sent<'_>, bool); 15] = [
            ((None, &[]), true),
            ((None, &[localhost]), true),
            ((None, &[("host", "[::1]:8000")]), true),
            ((None, &[("host", "")]), false),
            ((None, &[("host", "evil.example")]), false),
            ((None, &[("host", "evil.example:8000")]), false),
            ((None, &[("host", "b\u{fc}cher.example")]), false),
            ((None, &[localhost, localhost]), true),
            ((None, &[localhost, ("host", "evil.example")]), false),
            ((Some("localhost:8000"), &[]), true),
            ((Some("evil.example"), &[]), false),
            ((Some("evil.example:8000"), &[]), false),
            ((Some("evil.example"), &[localhost]), false),
            ((Some("localhost"), &[("host", "evil.example")]), false),
            ((Some("localhost@evil.example"), &[]), false),
        ];
        for ((authority, headers), expected) in cases {
            let found = check_host(&sender(Method::GET, authority, headers));
            assert_eq!(found.is_ok(), expected, "{authority:?} {headers:?}");
        }
    }

    #[test]
    fn a_public_name_is_foreign_under_mcpos_rules_without_a_key() {
        let named: &[&str] = &["https://tools.example.com", "http://x.example:3000"];
        let cases: [(&str, &[&str], bool); 23] = [
            ("127.0.0.1:8000", &[], true),
            ("192.168.1.7", &[], true),
            ("[::1]:8000", &[], true),
            ("localhost:8000", &[], true),
            ("mcpo:8000", &[], true),
            ("MCPO_1", &[], true),
            ("host.docker.internal:8000", &[], true),
            ("mcpo.tools.svc.cluster.local:8000", &[], true),
            ("mcpo.tools.svc", &[], true),
            ("nas.lan", &[], true),
            ("", &[], false),
            ("evil.example", &[], false),
            ("evil.example.:8000", &[], false),
            ("127.0.0.1.evil.example:8000", &[], false),
            ("localhost.evil.example", &[], false),
            ("evil.example/localhost", &[], false),
            ("evil@localhost", &[], false),
            ("b\u{fc}cher", &[], false),
            ("tools.example.com:8000", named, true),
            ("x.example", named, true),
            ("evil.example", named, false),
            ("example.com", named, false),
            ("evil.example", &["*"], true),
        ];
        for (host, allowed, expected) in cases {
            let allowed: Vec<String> = allowed.iter().map(|it| (*it).to_owned()).collect();
            let found = check_public_name(Some(host), &allowed);
            assert_eq!(found.is_ok(), expected, "{host} {allowed:?}");
        }
        assert!(check_public_name(None, &[]).is_ok());
    }

    #[test]
    fn a_browser_says_whose_page_it_speaks_for() {
        let site = |value| (SEC_FETCH_SITE, value);
        let (host, own) = (("host", "b.example"), ("origin", "https://b.example"));
        let other = ("origin", "https://evil.example");
        let cases: [(Method, Sent<'_>, bool); 18] = [
            (Method::POST, (None, &[host]), true),
            (Method::POST, (None, &[host, own]), true),
            (Method::POST, (Some("b.example"), &[own]), true),
            (Method::POST, (Some("b.example"), &[other]), false),
            (Method::POST, (Some("evil.example"), &[host, other]), false),
            (Method::POST, (None, &[host, other]), false),
            (Method::POST, (None, &[host, own, other]), false),
            (Method::POST, (None, &[host, ("origin", "null")]), false),
            (Method::POST, (None, &[own]), false),
            (Method::POST, (None, &[host, site("same-origin")]), true),
            (Method::POST, (None, &[host, site("none")]), true),
            (
                Method::POST,
                (None, &[host, other, site("same-origin")]),
                true,
            ),
            (Method::POST, (None, &[host, site("cross-site")]), false),
            (Method::DELETE, (None, &[host, site("same-site")]), false),
            (
                Method::POST,
                (None, &[host, own, site("cross-site")]),
                false,
            ),
            (
                Method::POST,
                (None, &[host, site("none"), site("cross-site")]),
                false,
            ),
            (Method::GET, (None, &[host, site("cross-site")]), true),
            (
                Method::GET,
                (None, &[host, other, site("cross-site")]),
                false,
            ),
        ];
        for (method, (authority, headers), expected) in cases {
            let found = is_same_origin(&sender(method, authority, headers));
            assert_eq!(found, expected, "{authority:?} {headers:?}");
        }
    }
}
