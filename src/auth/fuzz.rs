//! The door for the fuzz target: arbitrary headers against a configuration with every proof that
//! needs neither a database nor a network.

use std::sync::{Arc, LazyLock};

use futures::FutureExt as _;
use http::{HeaderMap, HeaderName, HeaderValue, header::AUTHORIZATION};

use super::{Evidence, Proof, Proofs, Sources, headers};
use crate::{
    config::{
        Access, ApiKey, Audit, Config, Flavor, Gateway, Identity, KeyText, Limits, OpenWebUi,
        Server, Telemetry,
    },
    secret::Secret,
};

/// The text of the one key that forwards.
const KEY: &str = "key";
/// The secret of the gateway.
const GATEWAY: &str = "gateway";

static PROOFS: LazyLock<Proofs> = LazyLock::new(|| {
    let config = Config {
        flavor: Flavor::Native,
        server: Server::default(),
        database: None,
        identity: Identity {
            keys: vec![ApiKey {
                name: "bot".to_owned(),
                key: KeyText::Plain(Secret::new(KEY)),
                groups: Vec::new(),
                forwards: true,
                workspace: "default".to_owned(),
            }],
            open_webui: OpenWebUi {
                secret_key: Some(Secret::new("a session secret that no input knows")),
                jwt_secret: Some(Secret::new("a header secret that no input knows")),
                ..OpenWebUi::default()
            },
            gateway: Some(Gateway {
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
            ..Identity::default()
        },
        access: Access::default(),
        limits: Limits::default(),
        audit: Audit::off(),
        telemetry: Telemetry::default(),
        bridges: Vec::new(),
    };
    Proofs::new(&config, Sources::default())
});

/// Reads the headers and checks who may come out of them.
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
    let evidence = Evidence {
        headers: &sent,
        peer: None,
    };
    // Nothing is asked of anybody, so that it is ready at once.
    let Some(Ok(caller)) = PROOFS.identify(&evidence).now_or_never() else {
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
        "a signature that nobody made: {caller:?}"
    );
    match caller.proof {
        Proof::ApiKey | Proof::ForwardedHeaders => assert!(credentials.is_some(), "{caller:?}"),
        Proof::Gateway => assert!(
            credentials.is_none() && sent.contains_key("x-gateway-secret"),
            "{caller:?}"
        ),
        proof => panic!("nothing here proves {proof:?}"),
    }
    if let Some(email) = &caller.email {
        assert!(!email.is_empty() && !email.contains(|c: char| c.is_ascii_uppercase()));
        assert!(!email.contains(crate::name::is_hidden), "{email:?}");
    }
}
