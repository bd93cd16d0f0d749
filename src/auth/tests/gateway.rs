//! Headers of a gateway, sent by the gateway and by others.

use super::*;
use crate::config::GatewaySettings;

const ANN: (&str, &str) = ("x-user-email", "ann@example.org");
const PEER: Option<&str> = Some("10.1.2.3");

pub(super) fn gateway(peers: &[&str], secret: Option<&str>) -> GatewaySettings {
    GatewaySettings {
        trusted_peers: peers.iter().map(|peer| peer.parse().unwrap()).collect(),
        secret: secret.map(Secret::new),
        secret_header: HeaderName::from_static("x-gateway-secret"),
        email_header: HeaderName::from_static("x-user-email"),
        groups_header: HeaderName::from_static("x-user-groups"),
        admin_header: HeaderName::from_static("x-user-admin"),
        workspace_header: HeaderName::from_static("x-tenant-id"),
        strips_headers: false,
        ignore_credentials: false,
    }
}

fn behind(gateway: GatewaySettings) -> Authenticator {
    let identity = IdentitySettings {
        gateway: Some(gateway),
        keys: vec![key("team", "own-key", false), key("chat", "chat-key", true)],
        ..IdentitySettings::default()
    };
    proofs(identity, sources())
}

#[tokio::test]
async fn only_the_gateway_is_believed() {
    let secret = ("x-gateway-secret", "s3cret");
    let wrong = ("x-gateway-secret", "s3creT");
    let ann = Ok(("ann@example.org", AuthenticationMethod::Gateway));
    let no = Err(AuthenticationError::Untrusted);
    let peers = &["10.0.0.0/8", "fd00::/8"][..];
    let no_peers = &[][..];
    let table = [
        (peers, None, Some("10.1.2.3"), vec![ANN], &ann),
        (peers, None, Some("::ffff:10.1.2.3"), vec![ANN], &ann),
        (peers, None, Some("fd00::1"), vec![ANN], &ann),
        (peers, None, Some("11.1.2.3"), vec![ANN], &no),
        (peers, None, Some("::1"), vec![ANN], &no),
        (peers, None, None, vec![ANN], &no),
        (peers, None, Some("11.1.2.3"), vec![ANN, secret], &no),
        (no_peers, Some("s3cret"), None, vec![ANN, secret], &ann),
        (no_peers, Some("s3cret"), Some("10.1.2.3"), vec![ANN], &no),
        (no_peers, Some("s3cret"), None, vec![ANN, wrong], &no),
        (
            no_peers,
            Some("s3cret"),
            None,
            vec![ANN, secret, secret],
            &no,
        ),
        (
            peers,
            Some("s3cret"),
            Some("10.1.2.3"),
            vec![ANN, secret],
            &ann,
        ),
        (peers, Some("s3cret"), Some("10.1.2.3"), vec![ANN], &no),
        (
            peers,
            Some("s3cret"),
            Some("11.1.2.3"),
            vec![ANN, secret],
            &no,
        ),
        (no_peers, None, Some("10.1.2.3"), vec![ANN], &no),
    ];
    for (peers, secret, peer, sent, expected) in table {
        let proofs = behind(gateway(peers, secret));
        check(&proofs, peer, &[("gateway", sent, expected.clone())]).await;
    }
}

#[tokio::test]
async fn a_refusal_of_others_tells_no_secret() {
    let proofs = behind(gateway(&["10.0.0.0/8"], Some("s3cret")));
    let refusal = ask(&proofs, &[ANN], None).await.unwrap_err();
    let text = refusal.to_string();
    assert!(text.contains("gateway") && !text.contains("10.0") && !text.contains("s3cret"));
    assert_eq!(
        (refusal.code().as_str(), refusal.is_outage()),
        ("unauthorized", false)
    );
}

#[tokio::test]
async fn the_gateway_names_user_groups_role_and_workspace() {
    let proofs = behind(gateway(&["10.0.0.0/8"], None));
    let sent = [
        ("x-user-email", "Ann@Example.org"),
        ("x-user-groups", "dev, ops ,"),
        ("x-user-admin", "True"),
        ("x-tenant-id", "acme"),
    ];
    let caller = ask(&proofs, &sent, PEER).await.unwrap();
    assert_eq!(caller.email.as_deref(), Some("ann@example.org"));
    assert_eq!(groups(&caller), ["dev", "ops"]);
    assert_eq!((caller.is_admin, &*caller.workspace), (true, "acme"));

    let sent = [
        ANN,
        ("x-user-groups", " , "),
        ("x-user-admin", "false"),
        ("x-tenant-id", ""),
    ];
    let caller = ask(&proofs, &sent, PEER).await.unwrap();
    assert_eq!(caller.groups, None, "it said nothing of groups");
    assert_eq!((caller.is_admin, &*caller.workspace), (false, "default"));
}

#[tokio::test]
async fn the_gateway_and_credentials_must_agree() {
    let team = ("authorization", "Bearer own-key");
    let cases: Vec<Case<'_>> = vec![
        (
            "a key is a different caller",
            vec![team, ANN],
            Err(AuthenticationError::Contradiction),
        ),
        (
            "a key and no user",
            vec![team, ("x-user-email", "")],
            Ok(("team", AuthenticationMethod::ApiKey)),
        ),
        (
            "a forwarder and the same header",
            vec![("authorization", "Bearer chat-key"), ANN],
            Ok(("ann@example.org", AuthenticationMethod::ForwardedHeaders)),
        ),
        (
            "credentials that do not hold",
            vec![("authorization", "Basic dTpwdw=="), ANN],
            Err(AuthenticationError::Password),
        ),
        (
            "credentials for the gateway, without a user",
            vec![("authorization", "Basic dTpwdw==")],
            Err(AuthenticationError::Password),
        ),
        (
            "no user",
            vec![("x-user-email", "  ")],
            Err(AuthenticationError::Missing),
        ),
        (
            "twice",
            vec![ANN, ("x-user-email", "bob@example.org")],
            Err(AuthenticationError::Repeated("x-user-email".to_owned())),
        ),
        (
            "a template",
            vec![("x-user-email", "{{USER_EMAIL}}")],
            Err(AuthenticationError::Template("x-user-email".to_owned())),
        ),
    ];
    check(&behind(gateway(&["10.0.0.0/8"], None)), PEER, &cases).await;
    // From others, the headers are ignored.
    let cases: Vec<Case<'_>> = vec![
        (
            "a key",
            vec![team, ANN],
            Ok(("team", AuthenticationMethod::ApiKey)),
        ),
        (
            "a wrong key",
            vec![("authorization", "Bearer x"), ANN],
            Err(AuthenticationError::Key),
        ),
        (
            "twice",
            vec![ANN, ANN],
            Err(AuthenticationError::Repeated("x-user-email".to_owned())),
        ),
        (
            "no user",
            vec![("x-user-email", "")],
            Err(AuthenticationError::Missing),
        ),
    ];
    check(
        &behind(gateway(&["10.0.0.0/8"], None)),
        Some("9.9.9.9"),
        &cases,
    )
    .await;
}

#[tokio::test]
async fn others_may_be_anonymous() {
    let identity = IdentitySettings {
        gateway: Some(gateway(&["10.0.0.0/8"], None)),
        anonymous: AnonymousAccess::Allowed,
        ..IdentitySettings::default()
    };
    let proofs = proofs(identity, sources());
    let caller = ask(&proofs, &[], Some("9.9.9.9")).await.unwrap();
    assert_eq!(caller.proof, AuthenticationMethod::Anonymous);
    let refusal = ask(&proofs, &[ANN], Some("9.9.9.9")).await.unwrap_err();
    assert_eq!(
        refusal,
        AuthenticationError::Untrusted,
        "who names a user means one"
    );
    let caller = ask(&proofs, &[ANN], PEER).await.unwrap();
    assert_eq!(caller.proof, AuthenticationMethod::Gateway);
}
