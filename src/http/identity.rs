//! From a request's headers to a caller, with the checks that browsers need.

use std::sync::Arc;

use http::{
    HeaderMap, StatusCode,
    header::{HOST, ORIGIN},
};

use super::{error::ApiError, state::Settings};
use crate::{
    auth::{Caller, Evidence, Proof},
    config::Flavor,
};

/// Who sent the request, or why nobody may have.
pub async fn identify(settings: &Settings, headers: &HeaderMap) -> Result<Arc<Caller>, ApiError> {
    let config = &settings.config;
    let evidence = Evidence {
        headers,
        peer: None,
    };
    let caller = settings
        .proofs
        .identify(&evidence)
        .await
        .map_err(|refusal| {
            ApiError::unidentified(refusal, config.flavor, config.identity.strict)
        })?;
    // A key is proof enough. Without one, any page in a browser could speak for its user.
    if caller.proof != Proof::ApiKey && config.flavor == Flavor::Native {
        check_origin(&config.server.cors_allow_origins, headers)?;
    }
    if caller.proof == Proof::Loopback && config.flavor == Flavor::Native {
        check_host(headers)?;
    }
    Ok(caller)
}

/// Whether documents and pages need an identity.
pub async fn guard_documents(settings: &Settings, headers: &HeaderMap) -> Result<(), ApiError> {
    let config = &settings.config;
    if config.server.public_spec && !config.identity.strict {
        return Ok(());
    }
    identify(settings, headers).await.map(|_caller| ())
}

/// Whether CORS lets a page of this origin call us.
pub fn is_allowed_origin(allowed: &[String], origin: &str) -> bool {
    allowed.iter().any(|it| it == "*" || it == origin)
}

/// Refuses a page from elsewhere (cross-site request forgery).
fn check_origin(allowed: &[String], headers: &HeaderMap) -> Result<(), ApiError> {
    let Some(origin) = headers.get(ORIGIN) else {
        return Ok(());
    };
    let origin = origin.to_str().unwrap_or_default();
    let host = headers
        .get(HOST)
        .and_then(|host| host.to_str().ok())
        .unwrap_or_default();
    let is_same = origin
        .split_once("://")
        .is_some_and(|(_scheme, authority)| authority == host);
    if is_same || is_allowed_origin(allowed, origin) {
        return Ok(());
    }
    Err(ApiError::new(
        StatusCode::FORBIDDEN,
        "forbidden_origin",
        "a page of this origin may not call without a key; add it to `cors_allow_origins` in [server]",
    ))
}

/// Refuses a name that only pretends to be this machine (DNS rebinding).
fn check_host(headers: &HeaderMap) -> Result<(), ApiError> {
    let host = headers
        .get(HOST)
        .and_then(|host| host.to_str().ok())
        .unwrap_or("localhost");
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let name = name.to_ascii_lowercase();
    let is_local = name == "localhost"
        || name.ends_with(".localhost")
        || name
            .trim_matches(['[', ']'])
            .parse::<std::net::IpAddr>()
            .is_ok();
    if is_local {
        return Ok(());
    }
    Err(ApiError::new(
        StatusCode::FORBIDDEN,
        "forbidden_host",
        "without a key this bridge answers to `localhost` and IP addresses only; set a key in [identity.keys]",
    ))
}
