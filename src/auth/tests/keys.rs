//! API keys, and the users that forwarders act for.

use super::*;

/// A key that acts for itself, one that forwards, and no other method of authentication.
fn keyed(open_webui: OpenWebUiSettings) -> Authenticator {
    let hashed = ApiKey {
        key: ApiKeyValue::Sha256(sha2_of("hashed-key")),
        ..key("hashed", "", false)
    };
    let identity = IdentitySettings {
        keys: vec![
            key("team", "own-key", false),
            key("chat", "chat-key", true),
            hashed,
        ],
        open_webui,
        ..IdentitySettings::default()
    };
    proofs(identity, sources())
}

fn sha2_of(text: &str) -> [u8; 32] {
    use sha2::{Digest as _, Sha256};
    Sha256::digest(text).into()
}

const CHAT: (&str, &str) = ("authorization", "Bearer chat-key");
const ANN: (&str, AuthenticationMethod) =
    ("ann@example.org", AuthenticationMethod::ForwardedHeaders);

#[tokio::test]
async fn a_key_is_the_caller_in_every_form() {
    let team = Ok(("team", AuthenticationMethod::ApiKey));
    let cases: Vec<Case<'_>> = vec![
        (
            "bearer",
            vec![("authorization", "Bearer own-key")],
            team.clone(),
        ),
        (
            "basic",
            vec![("authorization", "Basic dTpvd24ta2V5")],
            team.clone(),
        ),
        (
            "hashed",
            vec![("authorization", "Bearer hashed-key")],
            Ok(("hashed", AuthenticationMethod::ApiKey)),
        ),
        (
            "wrong",
            vec![("authorization", "Bearer own-kex")],
            Err(AuthenticationError::Key),
        ),
        (
            "long",
            vec![("authorization", "Bearer own-key2")],
            Err(AuthenticationError::Key),
        ),
        ("nothing", vec![], Err(AuthenticationError::Missing)),
        (
            "blank",
            vec![("authorization", "")],
            Err(AuthenticationError::Missing),
        ),
        (
            "no text",
            vec![("authorization", "Bearer \u{fc}")],
            Err(AuthenticationError::Missing),
        ),
        (
            "the hash itself",
            vec![("authorization", "Basic dTp3cm9uZw==")],
            Err(AuthenticationError::Password),
        ),
        (
            "headers of other proofs do not matter",
            vec![
                ("authorization", "Bearer own-key"),
                ("x-user-email", "ann@example.org"),
                ("x-user-admin", "true"),
                ("x-user-groups", "MCP-Admin"),
                ("x-tenant-id", "other"),
            ],
            team,
        ),
        (
            "`?user_email=` and X-Auth-Source are nothing",
            vec![
                ("x-auth-source", "entra-token"),
                ("x-openwebui-user-email", "ann@example.org"),
            ],
            Err(AuthenticationError::Missing),
        ),
    ];
    check(&keyed(OpenWebUiSettings::default()), None, &cases).await;
    let proofs = keyed(OpenWebUiSettings::default());
    let sent = [
        ("authorization", "Bearer own-key"),
        ("x-user-groups", "MCP-Admin"),
    ];
    let caller = ask(&proofs, &sent, None).await.unwrap();
    assert_eq!((groups(&caller), &*caller.workspace), (vec!["bots"], "w1"));
}

#[expect(clippy::too_many_lines, reason = "a table")]
#[tokio::test]
async fn a_forwarder_vouches_for_the_user_beside_its_key() {
    let templated = |value| vec![CHAT, ("x-user-email", value)];
    let cases: Vec<Case<'_>> = vec![
        (
            "alone",
            vec![CHAT],
            Ok(("chat", AuthenticationMethod::ApiKey)),
        ),
        ("blank", templated(" "), Err(AuthenticationError::NoUser)),
        ("templated", templated("ann@example.org"), Ok(ANN)),
        ("case of letters", templated(" Ann@Example.ORG "), Ok(ANN)),
        (
            "encoded",
            templated("J%C3%BCrgen@example.org"),
            Ok(("jürgen@example.org", AuthenticationMethod::ForwardedHeaders)),
        ),
        (
            "raw UTF-8",
            templated("JÜRGEN@example.org"),
            Ok(("jÜrgen@example.org", AuthenticationMethod::ForwardedHeaders)),
        ),
        (
            "as the password of Basic",
            vec![
                ("authorization", "Basic eDpjaGF0LWtleQ=="),
                ("x-user-email", "ann@example.org"),
            ],
            Ok(ANN),
        ),
        (
            "own header",
            vec![CHAT, ("x-openwebui-user-email", "ann@example.org")],
            Ok(ANN),
        ),
        (
            "id alone",
            vec![CHAT, ("x-openwebui-user-id", "u1")],
            Ok(("u1", AuthenticationMethod::ForwardedHeaders)),
        ),
        (
            "both agree",
            vec![
                CHAT,
                ("x-openwebui-user-email", "Ann@example.org"),
                ("x-user-email", "ann@example.org"),
            ],
            Ok(ANN),
        ),
        (
            "both differ",
            vec![
                CHAT,
                ("x-openwebui-user-email", "ann@example.org"),
                ("x-user-email", "bob@example.org"),
            ],
            Err(AuthenticationError::Contradiction),
        ),
        (
            "template as it stands",
            templated("{{USER_EMAIL}}"),
            Err(AuthenticationError::Template("x-user-email".to_owned())),
        ),
        (
            "groups template",
            vec![
                CHAT,
                ("x-user-email", "ann@example.org"),
                ("x-user-groups", "{{USER_GROUPS}}"),
            ],
            Err(AuthenticationError::Template("x-user-groups".to_owned())),
        ),
        (
            "twice",
            vec![
                CHAT,
                ("x-user-email", "ann@example.org"),
                ("x-user-email", "bob@example.org"),
            ],
            Err(AuthenticationError::Repeated("x-user-email".to_owned())),
        ),
        (
            "a list",
            templated("ann@example.org, bob@example.org"),
            Err(AuthenticationError::Header("x-user-email".to_owned())),
        ),
        (
            "groups without a user",
            vec![CHAT, ("x-user-groups", "dev")],
            Err(AuthenticationError::NoUser),
        ),
        (
            "pending",
            vec![
                CHAT,
                ("x-openwebui-user-id", "u1"),
                ("x-openwebui-user-role", "pending"),
            ],
            Err(AuthenticationError::Pending),
        ),
        (
            "no key",
            vec![
                ("x-openwebui-user-id", "u1"),
                ("x-user-email", "ann@example.org"),
            ],
            Err(AuthenticationError::Missing),
        ),
    ];
    check(&keyed(OpenWebUiSettings::default()), None, &cases).await;
}

#[tokio::test]
async fn a_forwarded_user_has_the_groups_and_role_that_were_sent() {
    let proofs = keyed(OpenWebUiSettings::default());
    let sent = [
        CHAT,
        ("x-user-email", "ann@example.org"),
        ("x-user-groups", " ops , sales,,ops, Entwickler f%C3%BCr Ö"),
        ("x-user-group-ids", "g1,g2"),
        ("x-user-admin", "true"),
        ("x-tenant-id", "acme"),
    ];
    let caller = ask(&proofs, &sent, None).await.unwrap();
    let expected = vec!["ops", "sales", "Entwickler für Ö", "g1", "g2"];
    assert_eq!(groups(&caller), expected);
    assert_eq!(&*caller.workspace, "acme");
    assert!(!caller.is_admin, "X-User-Admin is for gateways");

    let sent = [
        CHAT,
        ("x-openwebui-user-id", "u1"),
        ("x-openwebui-user-role", "admin"),
    ];
    let caller = ask(&proofs, &sent, None).await.unwrap();
    assert!(caller.is_admin && caller.groups.is_none() && &*caller.workspace == "w1");

    let many: Vec<String> = (0..10_000).map(|n| format!("group {n}")).collect();
    let many = many.join(",");
    let sent = [
        CHAT,
        ("x-user-email", "ann@example.org"),
        ("x-user-groups", &many),
    ];
    let caller = ask(&proofs, &sent, None).await.unwrap();
    assert_eq!(groups(&caller).len(), 10_000);
}

#[tokio::test]
async fn where_open_webui_signs_plain_headers_prove_nothing() {
    let open_webui = OpenWebUiSettings {
        jwt_secret: Some(Secret::new(JWT_SECRET)),
        ..OpenWebUiSettings::default()
    };
    let proofs = keyed(open_webui);
    let claims = serde_json::json!({
        "sub": "u1", "email": "ann@example.org", "role": "admin", "iss": "open-webui",
        "iat": at(0), "exp": at(300),
    });
    let token = hs256(JWT_SECRET, &claims);
    let jwt = ("x-openwebui-user-jwt", token.as_str());
    let signed = Ok(("ann@example.org", AuthenticationMethod::SignedHeader));
    let cases: Vec<Case<'_>> = vec![
        ("signed", vec![CHAT, jwt], signed.clone()),
        (
            "signed and templated",
            vec![CHAT, jwt, ("x-user-email", "ANN@example.org")],
            signed.clone(),
        ),
        (
            "signed and templated for another user",
            vec![CHAT, jwt, ("x-user-email", "bob@example.org")],
            Err(AuthenticationError::Contradiction),
        ),
        (
            "signed and plain for another user",
            vec![CHAT, jwt, ("x-openwebui-user-id", "u2")],
            Err(AuthenticationError::Contradiction),
        ),
        (
            "signed and plain for the same",
            vec![CHAT, jwt, ("x-openwebui-user-id", "u1")],
            signed,
        ),
        (
            "plain instead",
            vec![CHAT, ("x-openwebui-user-email", "ann@example.org")],
            Err(AuthenticationError::Unsigned),
        ),
        (
            "plain id instead",
            vec![CHAT, ("x-openwebui-user-id", "u1")],
            Err(AuthenticationError::Unsigned),
        ),
        (
            "templated alone",
            vec![CHAT, ("x-user-email", "ann@example.org")],
            Ok(ANN),
        ),
        (
            "no user",
            vec![CHAT],
            Ok(("chat", AuthenticationMethod::ApiKey)),
        ),
        (
            "a key that does not forward",
            vec![("authorization", "Bearer own-key"), jwt],
            Ok(("team", AuthenticationMethod::ApiKey)),
        ),
    ];
    check(&proofs, None, &cases).await;
    let caller = ask(&proofs, &[CHAT, jwt, ("x-user-group-ids", "g1")], None)
        .await
        .unwrap();
    assert_eq!(
        (groups(&caller), caller.is_admin, &*caller.workspace),
        (vec!["g1"], true, "w1")
    );
    // An unsigned role is ignored.
    let sent = [
        CHAT,
        ("x-user-email", "ann@example.org"),
        ("x-openwebui-user-role", "admin"),
    ];
    assert!(!ask(&proofs, &sent, None).await.unwrap().is_admin);
}

#[tokio::test]
async fn without_any_source_the_header_is_ignored() {
    for (anonymous, proof) in [
        (AnonymousAccess::Allowed, AuthenticationMethod::Anonymous),
        (AnonymousAccess::Loopback, AuthenticationMethod::Loopback),
    ] {
        let identity = IdentitySettings {
            anonymous,
            ..IdentitySettings::default()
        };
        let open = proofs(identity.clone(), sources());
        let anonymous = Ok(("anonymous", proof));
        let cases: Vec<Case<'_>> = vec![
            ("nothing", vec![], anonymous.clone()),
            (
                "a key",
                vec![("authorization", "Bearer x")],
                anonymous.clone(),
            ),
            (
                "a scheme",
                vec![("authorization", "Digest x")],
                anonymous.clone(),
            ),
            ("a cookie", vec![("cookie", "token=x")], anonymous.clone()),
        ];
        check(&open, None, &cases).await;
        let identity = IdentitySettings {
            keys: vec![key("team", "own-key", false)],
            ..identity
        };
        let keyed = proofs(identity, sources());
        let cases: Vec<Case<'_>> = vec![
            ("nothing", vec![], anonymous),
            (
                "a wrong key",
                vec![("authorization", "Bearer x")],
                Err(AuthenticationError::Key),
            ),
            (
                "a scheme",
                vec![("authorization", "Digest x")],
                Err(AuthenticationError::Scheme),
            ),
        ];
        check(&keyed, None, &cases).await;
    }
}
