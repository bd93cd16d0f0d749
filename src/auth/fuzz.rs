//! Entry point of the fuzz target: arbitrary headers against a configuration with every
//! authentication method that needs neither a database nor a network.

use std::sync::LazyLock;

use futures::FutureExt as _;
use http::{HeaderMap, HeaderName, HeaderValue, header::AUTHORIZATION};

use super::{AuthSources, AuthenticationMethod, Authenticator, RequestCredentials, headers};
use crate::{
    config::{
        AccessSettings, ApiKey, ApiKeyValue, AuditSettings, Config, Flavor, GatewaySettings,
        IdentitySettings, LimitSettings, OpenWebUiSettings, ServerSettings, TelemetrySettings,
    },
    secret::Secret,
};

/// The text of the only key that forwards.
const KEY: &str = "key";
/// The secret of the gateway.
const GATEWAY: &str = "gateway";

static PROOFS: LazyLock<Authenticator> = LazyLock::new(|| {
    let config = Config {
        flavor: Flavor::Native,
        server: ServerSettings::default(),
        database: None,
        identity: IdentitySettings {
            keys: vec![ApiKey {
                name: "bot".to_owned(),
                key: ApiKeyValue::Plain(Secret::new(KEY)),
                groups: Vec::new(),
                forwards: true,
                workspace: "default".to_owned(),
            }],
            open_webui: OpenWebUiSettings {
                secret_key: Some(Secret::new("a session secret that no input knows")),
                jwt_secret: Some(Secret::new("a header secret that no input knows")),
                ..OpenWebUiSettings::default()
            },
            gateway: Some(GatewaySettings {
                trusted_peers: Vec::new(),
                secret: Some(Secret::new(GATEWAY)),
                secret_header: HeaderName::from_static("x-gateway-secret"),
                email_header: HeaderName::from_static("x-user-email"),
                groups_header: HeaderName::from_static("x-user-groups"),
                admin_header: HeaderName::from_static("x-user-admin"),
                workspace_header: HeaderName::from_static("x-tenant-id"),
                strips_headers: false,
                ignore_credentials: false,
            }),
            ..IdentitySettings::default()
        },
        access: AccessSettings::default(),
        limits: LimitSettings::default(),
        audit: AuditSettings::off(),
        telemetry: TelemetrySettings::default(),
        bridges: Vec::new(),
    };
    Authenticator::new(&config, AuthSources::default())
});

/// Authenticates with these headers and checks which callers can result.
pub fn fuzz_headers(data: &[u8]) {
    let mut sent = HeaderMap::new();
    for line in data.split(|byte| *byte == b'\n').take(64) {
        let mut parts = line.splitn(2, |byte| *byte == b':');
        let (Some(name), Some(value)) = (parts.next(), parts.next()) else {
            continue;
        };
        let name = HeaderName::from_bytes(name.trim_ascii());
        let value = HeaderValue::from_bytes(value.trim_ascii());
        if let (Ok(name), Ok(value)) = (name, value) {
            sent.append(name, value);
        }
    }
    let evidence = RequestCredentials {
        headers: &sent,
        peer: None,
    };
    // No lookup is needed, so the future is ready at once.
    let Some(Ok(caller)) = PROOFS.authenticate(&evidence).now_or_never() else {
        return;
    };
    let credentials = headers::authorization(&sent).ok().flatten();
    let is_gateway = sent
        .get_all("x-gateway-secret")
        .iter()
        .all(|value| value.as_bytes() == GATEWAY.as_bytes());
    assert!(is_gateway, "a wrong secret was passed over: {caller:?}");
    assert!(
        sent.get_all(AUTHORIZATION).iter().count() <= 1,
        "one of two was taken: {caller:?}"
    );
    assert!(
        !sent.contains_key("x-openwebui-user-jwt"),
        "an invalid signature was accepted: {caller:?}"
    );
    match caller.proof {
        AuthenticationMethod::ApiKey | AuthenticationMethod::ForwardedHeaders => {
            assert!(credentials.is_some(), "{caller:?}");
        }
        AuthenticationMethod::Gateway => assert!(
            credentials.is_none() && sent.contains_key("x-gateway-secret"),
            "{caller:?}"
        ),
        proof => assert_eq!(
            proof,
            AuthenticationMethod::ApiKey,
            "nothing here proves it"
        ),
    }
    if let Some(email) = &caller.email {
        assert!(!email.is_empty() && !email.contains(|c: char| c.is_ascii_uppercase()));
        assert!(!email.contains(crate::name::is_hidden), "{email:?}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Headers that authenticate, that do not, and that only look as if they did.
    const LINES: [&str; 24] = [
        "authorization: Bearer key",
        "authorization: Bearer no",
        "authorization: Basic dTprZXk=",
        "authorization: Basic ?",
        "authorization: Digest key",
        "authorization:",
        "authorization: Bearer eyJhbGciOiJub25lIn0.e30.",
        "cookie: token=x",
        "cookie: token=",
        "cookie: a=b; token=eyJhbGciOiJub25lIn0.e30.",
        "x-openwebui-user-jwt: eyJhbGciOiJub25lIn0.e30.",
        "x-openwebui-user-jwt:",
        "x-openwebui-user-id: u1",
        "x-openwebui-user-email: Ann@Example.org",
        "x-openwebui-user-role: admin",
        "x-gateway-secret: gateway",
        "x-gateway-secret: no",
        "x-gateway-secret:",
        "x-user-email: ann@example.org",
        "x-user-email: {{USER_EMAIL}}",
        "x-user-email:",
        "x-user-groups: MCP-Admin",
        "x-tenant-id: *",
        "x-forwarded-for: 203.0.113.7",
    ];

    #[test]
    fn no_three_headers_turn_a_broken_proof_into_a_caller() {
        crate::mcp::install_tls();
        for one in LINES {
            for two in LINES {
                for three in LINES {
                    fuzz_headers(format!("{one}\n{two}\n{three}").as_bytes());
                }
            }
        }
    }
}
