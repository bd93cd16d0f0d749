//! Resolves a request path to a bridge, a tool or a document. The function is pure except that it
//! reads the roster.

use std::sync::Arc;

use http::Method;
use percent_encoding::percent_decode_str;

use crate::{
    bridge::{Bridge, BridgeSet},
    config::{Config, Flavor},
};

/// What a path refers to.
#[derive(Debug, Clone)]
pub enum PathTarget {
    /// `/{bridge}` or `/{bridge}/`
    Bridge(Arc<Bridge>),
    /// `/{bridge}/openapi.json`
    Document(Arc<Bridge>),
    /// `/{bridge}/docs`
    Docs(Arc<Bridge>),
    /// `/{bridge}/{tool}`: the decoded name. The tool may not exist.
    Tool(Arc<Bridge>, String),
    /// Any other path, decoded and without its leading slash.
    Unknown(String),
}

/// Resolves a raw request path. The path must begin with `path_prefix`, which is removed.
///
/// Bridge names match exactly, including case. Ambiguous paths (`//`, `..`, `%2F` in a bridge name)
/// match nothing.
///
/// Documents and pages are read with GET. A POST to their path calls a tool of that name.
pub fn resolve(
    roster: &BridgeSet,
    settings: &Config,
    method: &Method,
    raw_path: &str,
) -> PathTarget {
    let flavor = settings.flavor;
    let Some(path) = decode(raw_path) else {
        return PathTarget::Unknown(raw_path.trim_start_matches('/').to_owned());
    };
    if flavor == Flavor::McpoSingle {
        let rest = path.strip_prefix('/').unwrap_or(&path);
        return match roster.bridges().first() {
            Some(bridge) => within(bridge, rest, method),
            None => PathTarget::Unknown(rest.to_owned()),
        };
    }
    let Some(rest) = path.strip_prefix(&settings.server.path_prefix) else {
        return PathTarget::Unknown(path.trim_start_matches('/').to_owned());
    };
    if flavor == Flavor::Native && hides_slash(raw_path, &settings.server.path_prefix) {
        return PathTarget::Unknown(rest.to_owned());
    }
    // Names under mcpo's rules may contain slashes; the longest match wins. Native names contain
    // none.
    let mut found = None;
    for (at, _) in rest.match_indices('/').chain([(rest.len(), "")]) {
        let (name, inner) = rest.split_at(at);
        if let Some(bridge) = roster.get(name) {
            found = Some((bridge, inner));
        }
        if flavor == Flavor::Native {
            break;
        }
    }
    match found {
        Some((bridge, inner)) => within(bridge, inner.strip_prefix('/').unwrap_or(inner), method),
        None => PathTarget::Unknown(rest.to_owned()),
    }
}

/// Resolves the part after the bridge.
fn within(bridge: &Arc<Bridge>, rest: &str, method: &Method) -> PathTarget {
    let bridge = Arc::clone(bridge);
    let is_read = *method != Method::POST;
    match rest {
        "" => PathTarget::Bridge(bridge),
        "openapi.json" if is_read => PathTarget::Document(bridge),
        "docs" | "docs/" | "redoc" if is_read => PathTarget::Docs(bridge),
        tool => {
            let is_known = |name: &str| bridge.live.tools.load().get(name).is_some();
            // mcpo redirects `/tool/` to `/tool`, and clients lose the body in the redirect. The
            // bridge accepts both.
            let name = match tool.strip_suffix('/') {
                Some(bare) if !is_known(tool) && is_known(bare) => bare.to_owned(),
                _ => tool.to_owned(),
            };
            PathTarget::Tool(bridge, name)
        }
    }
}

/// Whether decoding splits the first segment. A proxy in front of the bridge that filters paths
/// would have seen another path.
fn hides_slash(raw_path: &str, path_prefix: &str) -> bool {
    let rest = raw_path.strip_prefix(path_prefix).unwrap_or(raw_path);
    let first = rest.split('/').next().unwrap_or_default();
    first.to_ascii_lowercase().contains("%2f")
}

/// Percent-decodes a path. `None` if it is not valid UTF-8.
fn decode(raw: &str) -> Option<String> {
    let text = percent_decode_str(raw).decode_utf8().ok()?;
    Some(text.into_owned())
}
