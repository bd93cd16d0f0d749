//! The places where metadata is looked up, and the names that mean the same place.

use url::Url;

/// The places of a server's metadata (RFC 9728 §3.1), the most likely first.
pub fn of_resource(server: &Url) -> Vec<Url> {
    let name = "/.well-known/oauth-protected-resource";
    let path = server.path().trim_matches('/');
    if path.is_empty() {
        return vec![at(server, name)];
    }
    vec![
        at(server, &format!("{name}/{path}")),
        at(server, &format!("/{path}{name}")),
        at(server, name),
    ]
}

/// The places of an authorization server's metadata (RFC 8414 §3.1, OpenID Connect Discovery §4, MCP
/// authorization), the most likely first.
pub fn of_issuer(issuer: &Url) -> Vec<Url> {
    let (oauth, openid) = (
        "/.well-known/oauth-authorization-server",
        "/.well-known/openid-configuration",
    );
    let path = issuer.path().trim_matches('/');
    if path.is_empty() {
        return vec![at(issuer, oauth), at(issuer, openid)];
    }
    vec![
        at(issuer, &format!("{oauth}/{path}")),
        at(issuer, &format!("{openid}/{path}")),
        at(issuer, &format!("/{path}{openid}")),
        at(issuer, &format!("/{path}{oauth}")),
        at(issuer, oauth),
        at(issuer, openid),
    ]
}

/// Whether a document at a place may belong to an issuer that no other document named: the place is one of
/// the issuer's own. For an issuer with a path, the last two places belong to its host.
pub fn is_own(place: &Url, issuer: &str) -> bool {
    let Ok(issuer) = issuer.parse::<Url>() else {
        return false;
    };
    let own = if issuer.path() == "/" { 2 } else { 4 };
    of_issuer(&issuer).iter().take(own).any(|it| it == place)
}

/// Whether two names mean the same place: they differ only in a trailing slash, or in details that URLs
/// ignore. RFC 8414 §3.3 requires identical text. Both names have their metadata at the same place of the
/// same origin, so another party cannot use this to impersonate the issuer.
pub fn is_same(one: &str, other: &str) -> bool {
    let read = |text: &str| text.parse::<Url>().ok();
    let (Some(one), Some(other)) = (read(one), read(other)) else {
        return one == other;
    };
    one.origin().is_tuple()
        && one.origin() == other.origin()
        && one.path().trim_end_matches('/') == other.path().trim_end_matches('/')
        && one.query() == other.query()
        && one.fragment().is_none()
        && other.fragment().is_none()
}

/// Whether a resource is the server or a parent path of it (RFC 9728 §3.3, ignoring a trailing slash).
pub fn covers(resource: &str, server: &Url) -> bool {
    let Ok(resource) = resource.parse::<Url>() else {
        return false;
    };
    let above = resource.path().trim_end_matches('/');
    let below = server.path().strip_prefix(above);
    resource.fragment().is_none()
        && resource.origin().is_tuple()
        && resource.origin() == server.origin()
        && below.is_some_and(|below| below.is_empty() || below.starts_with('/'))
}

/// A path at an origin.
fn at(origin: &Url, path: &str) -> Url {
    let mut url = origin.clone();
    url.set_query(None);
    url.set_fragment(None);
    url.set_path(path);
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        text.parse().unwrap()
    }

    #[test]
    fn names_that_differ_in_a_slash_mean_one_place_and_no_others_do() {
        for (one, other, same) in [
            ("https://a", "https://a/", true),
            ("https://a/x", "https://a/x/", true),
            ("https://A:443/x", "https://a/x", true),
            ("https://a/x", "https://a/y", false),
            ("https://a/x", "https://a", false),
            ("https://a/X", "https://a/x", false),
            ("https://a", "http://a", false),
            ("https://a", "https://a:444", false),
            ("https://a", "https://a.b", false),
            ("https://a/x?y", "https://a/x", false),
            ("https://a/x#y", "https://a/x#y", false),
            ("api://a", "api://b", false),
        ] {
            assert_eq!(is_same(one, other), same, "{one} {other}");
            assert_eq!(is_same(other, one), same, "{other} {one}");
        }
    }

    #[test]
    fn a_resource_covers_what_is_below_it() {
        for (resource, server, covered) in [
            ("https://a/mcp", "https://a/mcp", true),
            ("https://a/mcp/", "https://a/mcp", true),
            ("https://a/mcp", "https://a/mcp/", true),
            ("https://a", "https://a/mcp", true),
            ("https://a/", "https://a/x/mcp", true),
            ("https://a/x", "https://a/x/mcp?k=1", true),
            ("https://a/m", "https://a/mcp", false),
            ("https://a/mcp/x", "https://a/mcp", false),
            ("https://a/sse", "https://a/mcp", false),
            ("http://a/mcp", "https://a/mcp", false),
            ("https://b/mcp", "https://a/mcp", false),
            ("api://a", "https://a/mcp", false),
            ("", "https://a/mcp", false),
        ] {
            assert_eq!(
                covers(resource, &url(server)),
                covered,
                "{resource} {server}"
            );
        }
    }

    #[test]
    fn a_document_is_that_of_an_issuer_whose_own_place_it_stands_at() {
        for (place, issuer, own) in [
            (
                "https://a/.well-known/oauth-authorization-server",
                "https://a",
                true,
            ),
            (
                "https://a/.well-known/oauth-authorization-server",
                "https://a/",
                true,
            ),
            (
                "https://a/.well-known/openid-configuration",
                "https://a",
                true,
            ),
            (
                "https://a/.well-known/oauth-authorization-server/x",
                "https://a/x",
                true,
            ),
            (
                "https://a/.well-known/oauth-authorization-server/x",
                "https://a/x/",
                true,
            ),
            (
                "https://a/x/.well-known/openid-configuration",
                "https://a/x",
                true,
            ),
            (
                "https://a/x/.well-known/oauth-authorization-server",
                "https://a/x",
                true,
            ),
            (
                "https://a/.well-known/oauth-authorization-server/x",
                "https://a",
                false,
            ),
            (
                "https://a/.well-known/oauth-authorization-server",
                "https://a/x",
                false,
            ),
            (
                "https://a/.well-known/oauth-authorization-server",
                "https://b",
                false,
            ),
            (
                "https://a/.well-known/oauth-authorization-server",
                "no",
                false,
            ),
        ] {
            assert_eq!(is_own(&url(place), issuer), own, "{place} {issuer}");
        }
    }

    #[test]
    fn the_places_of_a_server_without_path_are_asked_once() {
        let texts = |urls: Vec<Url>| {
            urls.iter()
                .map(|it| it.path().to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(
            texts(of_resource(&url("https://a/?q"))),
            ["/.well-known/oauth-protected-resource"]
        );
        assert_eq!(texts(of_resource(&url("https://a/m/"))).len(), 3);
        assert_eq!(texts(of_issuer(&url("https://a"))).len(), 2);
    }
}
