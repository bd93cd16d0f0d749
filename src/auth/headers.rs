//! Reads headers that name users and groups, in the form that gateways and Open WebUI write them.
//! Pure.

use std::{borrow::Cow, collections::HashSet, sync::Arc};

use http::{HeaderMap, HeaderName, header::AUTHORIZATION, header::COOKIE};

use super::AuthenticationError;
use crate::name::is_hidden;

/// The user's ID in Open WebUI.
pub const USER_ID: HeaderName = HeaderName::from_static("x-openwebui-user-id");
/// Their e-mail address, as Open WebUI sends it.
pub const USER_EMAIL: HeaderName = HeaderName::from_static("x-openwebui-user-email");
/// Their role in Open WebUI.
pub const USER_ROLE: HeaderName = HeaderName::from_static("x-openwebui-user-role");
/// All of these values in one signed token.
pub const USER_JWT: HeaderName = HeaderName::from_static("x-openwebui-user-jwt");
/// The e-mail address, as a gateway or a header template of an Open WebUI connection sends it.
pub const EMAIL: HeaderName = HeaderName::from_static("x-user-email");
/// Names of groups.
pub const GROUPS: HeaderName = HeaderName::from_static("x-user-groups");
/// IDs of groups.
pub const GROUP_IDS: HeaderName = HeaderName::from_static("x-user-group-ids");
/// The workspace, unless the gateway uses a header of its own for it.
pub const WORKSPACE: HeaderName = HeaderName::from_static("x-tenant-id");

/// Headers that only a proxy writes.
const PROXIED: [&str; 14] = [
    "forwarded",
    "via",
    "x-real-ip",
    "true-client-ip",
    "client-ip",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-forwarded",
    "cdn-loop",
    "remote-user",
    "remote-groups",
    "remote-email",
    "x-rewrite-url",
    "x-scheme",
];

/// Prefixes of headers that only a proxy writes.
const PROXIED_PREFIXES: [&str; 18] = [
    "x-forwarded-",
    "x-original-",
    "x-real-",
    "x-envoy-",
    "x-azure-",
    "x-arr-",
    "x-amzn-",
    "x-appengine-",
    "x-proxyuser-",
    "x-proxy-",
    "x-remote-",
    "x-auth-request-",
    "x-webauth-",
    "x-cloud-trace-",
    "cf-",
    "fly-",
    "fastly-",
    "tailscale-",
];

/// Open WebUI's cookie that contains the session token.
const COOKIE_NAME: &str = "token";

/// The longest name of a user or workspace, in bytes. An e-mail address has at most 320 (RFC 3696).
const NAME_BYTES_MAX: usize = 512;

/// A header's text, trimmed, with non-ASCII characters decoded; `None` if it is absent or blank.
pub fn text<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
) -> Result<Option<Cow<'a, str>>, AuthenticationError> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(AuthenticationError::Repeated(name.to_string()));
    }
    let text = str::from_utf8(value.as_bytes())
        .map_err(|_| AuthenticationError::Header(name.to_string()))?;
    let text = text.trim();
    if text.contains("{{") {
        return Err(AuthenticationError::Template(name.to_string()));
    }
    Ok((!text.is_empty()).then(|| decode(text)))
}

/// The name of one user or workspace. Refuses lists and characters that would break a log line.
pub fn name<'a>(
    headers: &'a HeaderMap,
    header: &HeaderName,
) -> Result<Option<Cow<'a, str>>, AuthenticationError> {
    let text = text(headers, header)?;
    match &text {
        Some(text) if !is_name(text) => Err(AuthenticationError::Header(header.to_string())),
        _ => Ok(text),
    }
}

/// Whether a text can be the name of one user.
pub fn is_name(text: &str) -> bool {
    let is_odd = |c: char| is_hidden(c) || c.is_whitespace() || matches!(c, ',' | ';');
    // In the tables `*` means every workspace, so it cannot be a name.
    !text.is_empty() && text != "*" && text.len() <= NAME_BYTES_MAX && !text.contains(is_odd)
}

/// A comma-separated list of groups: trimmed, without blanks and duplicates, in the order of the
/// header.
pub fn groups(
    headers: &HeaderMap,
    header: &HeaderName,
) -> Result<Vec<Arc<str>>, AuthenticationError> {
    let Some(text) = text(headers, header)? else {
        return Ok(Vec::new());
    };
    if text.contains(char::is_control) {
        return Err(AuthenticationError::Header(header.to_string()));
    }
    Ok(unique(text.split(',').map(str::trim)))
}

/// The groups without blanks and duplicates.
pub fn unique<'a>(groups: impl Iterator<Item = &'a str>) -> Vec<Arc<str>> {
    let mut seen = HashSet::new();
    groups
        .filter(|group| !group.is_empty() && seen.insert(*group))
        .map(Arc::from)
        .collect()
}

/// Refuses a request that repeats a header which identifies the sender: choosing one of them would
/// be a guess.
pub fn check_single<'a>(
    headers: &HeaderMap,
    mut more: impl Iterator<Item = &'a HeaderName>,
) -> Result<(), AuthenticationError> {
    // Most requests do not repeat any header.
    if headers.len() == headers.keys_len() {
        return Ok(());
    }
    let own = [
        AUTHORIZATION,
        USER_ID,
        USER_EMAIL,
        USER_ROLE,
        USER_JWT,
        EMAIL,
        GROUPS,
        GROUP_IDS,
        WORKSPACE,
    ];
    let repeated = |name: &&HeaderName| headers.get_all(*name).iter().nth(1).is_some();
    let found = own.iter().find(repeated).map(ToString::to_string);
    let found = found.or_else(|| more.find(repeated).map(ToString::to_string));
    match found {
        Some(name) => Err(AuthenticationError::Repeated(name)),
        None => Ok(()),
    }
}

/// The `Authorization` header of the client, trimmed; `None` if there is no such header.
pub fn authorization(headers: &HeaderMap) -> Result<Option<&str>, AuthenticationError> {
    let Some(value) = headers.get(AUTHORIZATION) else {
        return Ok(None);
    };
    let text = value.to_str().map_err(|_| AuthenticationError::Missing)?;
    Ok(Some(text.trim()))
}

/// The session token in Open WebUI's cookie. A blank cookie counts as absent, because some servers
/// delete it that way. HTTP/2 may send each cookie in a separate header (RFC 9113 §8.2.3). A second
/// cookie with that name may have been planted from another path or a parent domain, so the request
/// is refused.
pub fn cookie(headers: &HeaderMap) -> Result<Option<&str>, AuthenticationError> {
    let mut found = headers
        .get_all(COOKIE)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b';'))
        .filter_map(|pair| {
            let pair = pair.trim_ascii_start();
            let value = pair
                .strip_prefix(COOKIE_NAME.as_bytes())?
                .trim_ascii_start();
            value.strip_prefix(b"=")
        });
    let Some(value) = found.next() else {
        return Ok(None);
    };
    if found.next().is_some() {
        return Err(AuthenticationError::Repeated(format!(
            "cookie `{COOKIE_NAME}`"
        )));
    }
    let value =
        str::from_utf8(value).map_err(|_| AuthenticationError::Header("cookie".to_owned()))?;
    let value = value.trim().trim_matches('"');
    Ok((!value.is_empty()).then_some(value))
}

/// The header which shows that a proxy passed the request on, so that the peer is not the client.
/// Blank headers count too.
pub fn proxied(headers: &HeaderMap) -> Option<&HeaderName> {
    headers.keys().find(|name| {
        let name = name.as_str();
        PROXIED.contains(&name) || PROXIED_PREFIXES.iter().any(|it| name.starts_with(it))
    })
}

/// Refuses a request whose user headers name a different user than its credentials. Values that the
/// credentials do not contain are not compared.
pub fn check_user(
    headers: &HeaderMap,
    id: Option<&str>,
    email: Option<&str>,
) -> Result<(), AuthenticationError> {
    if let Some(id) = id
        && name(headers, &USER_ID)?.is_some_and(|other| other != id)
    {
        return Err(AuthenticationError::Contradiction);
    }
    if let Some(email) = email {
        for header in [USER_EMAIL, EMAIL] {
            if name(headers, &header)?.is_some_and(|other| !is_same_email(&other, email)) {
                return Err(AuthenticationError::Contradiction);
            }
        }
    }
    Ok(())
}

/// Whether two e-mail addresses are the same, ignoring the case of ASCII letters.
pub fn is_same_email(one: &str, other: &str) -> bool {
    one.eq_ignore_ascii_case(other)
}

/// Reverses Open WebUI's encoding, which escapes only non-ASCII characters: `%C3%A9` becomes `é`,
/// but `%41` stays, because Open WebUI does not escape `%`.
fn decode(text: &str) -> Cow<'_, str> {
    if !text.contains('%') {
        return Cow::Borrowed(text);
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        match (first, escaped(tail)) {
            (b'%', Some(byte)) if !byte.is_ascii() => {
                bytes.push(byte);
                rest = tail.get(2..).unwrap_or_default();
            }
            _ => {
                bytes.push(first);
                rest = tail;
            }
        }
    }
    String::from_utf8(bytes).map_or(Cow::Borrowed(text), Cow::Owned)
}

/// The byte that the first two hexadecimal digits of a text stand for.
fn escaped(text: &[u8]) -> Option<u8> {
    let digits = str::from_utf8(text.get(..2)?).ok()?;
    u8::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn with(name: &HeaderName, value: &[u8]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(name, HeaderValue::from_bytes(value).unwrap());
        headers
    }

    #[test]
    fn groups_are_trimmed_and_blanks_and_doubles_dropped() {
        let cases: [(&str, &[&str]); 7] = [
            ("", &[]),
            (" , ,, ", &[]),
            ("dev", &["dev"]),
            (" dev , ops,dev ", &["dev", "ops"]),
            (
                "Project Managers,all tools",
                &["Project Managers", "all tools"],
            ),
            ("Entwickler f%C3%BCr %41", &["Entwickler für %41"]),
            ("Vertrieb-Ö,日本", &["Vertrieb-Ö", "日本"]),
        ];
        for (sent, expected) in cases {
            let found = groups(&with(&GROUPS, sent.as_bytes()), &GROUPS).unwrap();
            let found: Vec<&str> = found.iter().map(AsRef::as_ref).collect();
            assert_eq!(found, expected, "{sent}");
        }
        let many: Vec<String> = (0..10_000).map(|n| format!("group {n}")).collect();
        let found = groups(&with(&GROUPS, many.join(",").as_bytes()), &GROUPS).unwrap();
        assert_eq!(found.len(), 10_000);
    }

    #[test]
    fn bad_values_are_refused_by_the_name_of_their_header() {
        let name_of = EMAIL.to_string();
        let cases: [(&[u8], AuthenticationError); 8] = [
            (
                b"\xff@example.org",
                AuthenticationError::Header(name_of.clone()),
            ),
            (
                b"{{USER_EMAIL}}",
                AuthenticationError::Template(name_of.clone()),
            ),
            (
                b"a@example.org,b@example.org",
                AuthenticationError::Header(name_of.clone()),
            ),
            (
                b"a@example.org b@example.org",
                AuthenticationError::Header(name_of.clone()),
            ),
            (b"a;b", AuthenticationError::Header(name_of.clone())),
            (b"a\tb", AuthenticationError::Header(name_of.clone())),
            (
                "a\u{85}b".as_bytes(),
                AuthenticationError::Header(name_of.clone()),
            ),
            (&[b'a'; 513], AuthenticationError::Header(name_of.clone())),
        ];
        for (sent, expected) in cases {
            assert_eq!(name(&with(&EMAIL, sent), &EMAIL), Err(expected), "{sent:?}");
        }
        let mut twice = with(&EMAIL, b"a@example.org");
        twice.append(EMAIL, HeaderValue::from_static("b@example.org"));
        assert_eq!(
            name(&twice, &EMAIL),
            Err(AuthenticationError::Repeated(name_of))
        );
    }

    #[test]
    fn only_what_open_webui_encodes_is_decoded() {
        let cases = [
            ("J%C3%BCrgen@example.org", "Jürgen@example.org"),
            ("100%", "100%"),
            ("%4", "%4"),
            ("%0a", "%0a"),
            ("%zz", "%zz"),
            ("%ff", "%ff"),
            ("%C3", "%C3"),
        ];
        for (sent, expected) in cases {
            assert_eq!(decode(sent), expected);
        }
    }

    #[test]
    fn the_cookie_is_found_among_others() {
        let cases = [
            ("token=abc", Ok(Some("abc"))),
            ("theme=dark; token=abc; x=y", Ok(Some("abc"))),
            ("größe=1; token=abc", Ok(Some("abc"))),
            ("token=\"abc\"", Ok(Some("abc"))),
            ("mytoken=abc", Ok(None)),
            ("tokens=abc", Ok(None)),
            ("token=", Ok(None)),
            ("token", Ok(None)),
            (
                "token=one; token=two",
                Err(AuthenticationError::Repeated("cookie `token`".to_owned())),
            ),
            ("token=ö", Ok(Some("ö"))),
        ];
        for (sent, expected) in cases {
            assert_eq!(cookie(&with(&COOKIE, sent.as_bytes())), expected, "{sent}");
        }
        // HTTP/2 may split the cookie header.
        let mut crumbs = with(&COOKIE, b"theme=dark");
        crumbs.append(COOKIE, HeaderValue::from_static("token=abc"));
        assert_eq!(cookie(&crumbs), Ok(Some("abc")));
        crumbs.append(COOKIE, HeaderValue::from_static("token=x"));
        assert!(cookie(&crumbs).is_err());
    }
}
