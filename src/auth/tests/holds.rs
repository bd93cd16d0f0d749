//! Invalid credentials end the authentication, even if valid credentials are sent with them and
//! anonymous callers are allowed.

use serde_json::json;

use super::{gateway::gateway, *};

const PEER: Option<&str> = Some("10.1.2.3");

/// The headers of a request; a header may occur several times.
type Sent<'a> = Vec<(&'static str, &'a str)>;

fn everything(secret: Option<&str>) -> Authenticator {
    let peers: &[&str] = if secret.is_some() {
        &[]
    } else {
        &["10.0.0.0/8"]
    };
    let identity = IdentitySettings {
        anonymous: AnonymousAccess::Allowed,
        keys: vec![key("team", "own-key", false), key("chat", "chat-key", true)],
        open_webui: OpenWebUiSettings {
            jwt_secret: Some(Secret::new(JWT_SECRET)),
            jwt_alone: true,
            ..open_webui()
        },
        gateway: Some(gateway(peers, secret)),
        ..IdentitySettings::default()
    };
    proofs(identity, sources())
}

fn signed_header(changes: &Value) -> String {
    let mut claims = json!({
        "sub": "u1", "email": "ann@example.org", "role": "user", "iss": "open-webui",
        "iat": at(0), "exp": at(300),
    });
    for (name, value) in changes.as_object().unwrap() {
        claims[name] = value.clone();
    }
    hs256(JWT_SECRET, &claims)
}

fn jwt(token: &str) -> Sent<'_> {
    vec![("x-openwebui-user-jwt", token)]
}

async fn check_all(
    proofs: &Authenticator,
    broken: &[(&'static str, Sent<'_>, AuthenticationError)],
    valid: &[(&'static str, Sent<'_>)],
) {
    let mut wrong = Vec::new();
    for (what, sent, expected) in broken {
        for (beside, more) in valid {
            let all: Sent<'_> = sent.iter().chain(more).copied().collect();
            let found = ask(proofs, &all, PEER).await;
            if found.as_ref().err() != Some(expected) {
                wrong.push(format!("{what} beside {beside}: {found:?}"));
            }
        }
    }
    for (what, sent) in valid {
        let found = ask(proofs, sent, PEER).await;
        if found.is_err() {
            wrong.push(format!("{what} alone: {found:?}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "a table")]
async fn nothing_is_tried_after_credentials_that_do_not_hold() {
    let good = signed_header(&json!({}));
    let valid: Vec<(&str, Sent<'_>)> = vec![
        ("nothing", vec![]),
        ("a gateway", vec![("x-user-email", "ann@example.org")]),
        ("the signed header", vec![("x-openwebui-user-jwt", &good)]),
    ];
    let forged = bearer(&hs256("another", &json!({"id": "u1", "exp": at(300)})));
    let expired = bearer(&hs256(SECRET, &json!({"id": "u1", "exp": at(-1)})));
    let foreign = bearer(&hs256(
        "another",
        &json!({"iss": "https://x", "exp": at(9)}),
    ));
    let cookie_forged = format!("token={}", forged.trim_start_matches("Bearer "));
    let cookie_expired = format!("token={}", expired.trim_start_matches("Bearer "));
    let authorization = |value| vec![("authorization", value)];
    let own = ("authorization", "Bearer own-key");
    let broken: Vec<(&str, Sent<'_>, AuthenticationError)> = vec![
        (
            "a wrong key",
            authorization("Bearer no"),
            AuthenticationError::Key,
        ),
        (
            "a wrong `sk-` key",
            authorization("Bearer sk-1"),
            AuthenticationError::SessionKey,
        ),
        (
            "a password",
            authorization("Basic dTpwdw=="),
            AuthenticationError::Password,
        ),
        (
            "no base64",
            authorization("Basic ?"),
            AuthenticationError::Format,
        ),
        (
            "no scheme",
            authorization("own-key"),
            AuthenticationError::Scheme,
        ),
        (
            "another scheme",
            authorization("Digest own-key"),
            AuthenticationError::Scheme,
        ),
        ("a blank", authorization(""), AuthenticationError::Missing),
        (
            "no key",
            authorization("Bearer"),
            AuthenticationError::Scheme,
        ),
        (
            "not ASCII",
            authorization("Bearer ö"),
            AuthenticationError::Missing,
        ),
        (
            "a good one, twice",
            vec![own, own],
            AuthenticationError::Repeated("authorization".to_owned()),
        ),
        (
            "a good one and another",
            vec![own, ("authorization", "Bearer no")],
            AuthenticationError::Repeated("authorization".to_owned()),
        ),
        (
            "a forged session",
            authorization(&forged),
            AuthenticationError::Token,
        ),
        (
            "an expired session",
            authorization(&expired),
            AuthenticationError::Expired,
        ),
        (
            "a foreign token",
            authorization(&foreign),
            AuthenticationError::Issuer,
        ),
        (
            "a cookie of no token",
            vec![("cookie", "token=x")],
            AuthenticationError::Token,
        ),
        (
            "a forged cookie",
            vec![("cookie", &cookie_forged)],
            AuthenticationError::Token,
        ),
        (
            "an expired cookie",
            vec![("cookie", &cookie_expired)],
            AuthenticationError::Expired,
        ),
        (
            "two cookies",
            vec![("cookie", "token=a"), ("cookie", "b=c; token=d")],
            AuthenticationError::Repeated("cookie `token`".to_owned()),
        ),
    ];
    check_all(&everything(None), &broken, &valid).await;
}

#[tokio::test]
async fn nothing_is_tried_after_headers_that_do_not_hold() {
    let valid: Vec<(&str, Sent<'_>)> = vec![
        ("nothing", vec![]),
        ("a gateway", vec![("x-user-email", "ann@example.org")]),
        ("a key", vec![("authorization", "Bearer own-key")]),
        ("a forwarder", vec![("authorization", "Bearer chat-key")]),
    ];
    let forged = hs256(
        "another",
        &json!({"sub": "u1", "iss": "open-webui", "exp": at(9)}),
    );
    let expired = signed_header(&json!({"exp": at(-1)}));
    let pending = signed_header(&json!({"role": "pending"}));
    let elsewhere = signed_header(&json!({"aud": "another"}));
    let good = signed_header(&json!({}));
    let broken: Vec<(&str, Sent<'_>, AuthenticationError)> = vec![
        ("forged", jwt(&forged), AuthenticationError::Token),
        ("expired", jwt(&expired), AuthenticationError::Expired),
        ("pending", jwt(&pending), AuthenticationError::Pending),
        (
            "another audience",
            jwt(&elsewhere),
            AuthenticationError::Token,
        ),
        (
            "blank",
            jwt(""),
            AuthenticationError::Header("x-openwebui-user-jwt".to_owned()),
        ),
        (
            "twice",
            [jwt(&good), jwt(&good)].concat(),
            AuthenticationError::Repeated("x-openwebui-user-jwt".to_owned()),
        ),
    ];
    check_all(&everything(None), &broken, &valid).await;

    // A gateway that does not authenticate itself.
    let valid: Vec<(&str, Sent<'_>)> = vec![
        ("nothing", vec![]),
        ("a key", vec![("authorization", "Bearer own-key")]),
        ("the signed header", jwt(&good)),
    ];
    let secret = "x-gateway-secret";
    let broken: Vec<(&str, Sent<'_>, AuthenticationError)> = vec![
        (
            "wrong",
            vec![(secret, "no")],
            AuthenticationError::Untrusted,
        ),
        ("blank", vec![(secret, "")], AuthenticationError::Untrusted),
        (
            "twice",
            vec![(secret, "s3cret"), (secret, "s3cret")],
            AuthenticationError::Untrusted,
        ),
    ];
    check_all(&everything(Some("s3cret")), &broken, &valid).await;
}

#[tokio::test]
async fn a_forwarder_that_names_a_user_badly_is_not_the_caller() {
    let chat = ("authorization", "Bearer chat-key");
    let identity = IdentitySettings {
        keys: vec![key("chat", "chat-key", true)],
        ..IdentitySettings::default()
    };
    let proofs = proofs(identity, sources());
    let good = signed_header(&json!({}));
    let email = "x-user-email";
    let name = AuthenticationError::Header(email.to_owned());
    let cases: Vec<Case<'_>> = vec![
        (
            "no user",
            vec![chat],
            Ok(("chat", AuthenticationMethod::ApiKey)),
        ),
        (
            "blank",
            vec![chat, (email, "")],
            Err(AuthenticationError::NoUser),
        ),
        (
            "blank id",
            vec![chat, ("x-openwebui-user-id", " ")],
            Err(AuthenticationError::NoUser),
        ),
        (
            "a signature that cannot be checked",
            vec![chat, ("x-openwebui-user-jwt", &good)],
            Err(AuthenticationError::Uncheckable),
        ),
        (
            "hidden",
            vec![chat, (email, "ann\u{200b}@example.org")],
            Err(name.clone()),
        ),
        (
            "reversed",
            vec![chat, (email, "\u{202e}ann@example.org")],
            Err(name),
        ),
        (
            "another letter",
            vec![chat, (email, "mi\u{212a}e@example.org")],
            Ok((
                "mi\u{212a}e@example.org",
                AuthenticationMethod::ForwardedHeaders,
            )),
        ),
    ];
    check(&proofs, None, &cases).await;
}

#[tokio::test]
async fn what_a_gateway_passes_on_adds_nothing() {
    let identity = |strips_headers| IdentitySettings {
        open_webui: OpenWebUiSettings {
            jwt_secret: Some(Secret::new(JWT_SECRET)),
            jwt_alone: true,
            ..OpenWebUiSettings::default()
        },
        gateway: Some(crate::config::GatewaySettings {
            strips_headers,
            ..gateway(&["10.0.0.0/8"], None)
        }),
        ..IdentitySettings::default()
    };
    let good = signed_header(&json!({}));
    let sent = [
        ("x-openwebui-user-jwt", good.as_str()),
        ("x-user-groups", "MCP-Admin"),
        ("x-tenant-id", "acme"),
    ];
    let caller = ask(&proofs(identity(false), sources()), &sent, PEER)
        .await
        .unwrap();
    assert_eq!(
        (caller.groups.as_ref(), &*caller.workspace),
        (None, "default")
    );
    let caller = ask(&proofs(identity(true), sources()), &sent, PEER)
        .await
        .unwrap();
    assert_eq!(
        (groups(&caller), &*caller.workspace),
        (vec!["MCP-Admin"], "acme")
    );
}

#[tokio::test]
async fn credentials_may_be_for_the_gateway_alone() {
    let identity = IdentitySettings {
        keys: vec![key("team", "own-key", false)],
        gateway: Some(crate::config::GatewaySettings {
            ignore_credentials: true,
            ..gateway(&["10.0.0.0/8"], None)
        }),
        ..IdentitySettings::default()
    };
    let proofs = proofs(identity, sources());
    let ann = ("x-user-email", "ann@example.org");
    let basic = ("authorization", "Basic dTpwdw==");
    let cases: Vec<Case<'_>> = vec![
        (
            "named",
            vec![basic, ann],
            Ok(("ann@example.org", AuthenticationMethod::Gateway)),
        ),
        ("not named", vec![basic], Err(AuthenticationError::Password)),
    ];
    check(&proofs, PEER, &cases).await;
    let cases: Vec<Case<'_>> = vec![(
        "not the gateway",
        vec![basic, ann],
        Err(AuthenticationError::Password),
    )];
    check(&proofs, Some("9.9.9.9"), &cases).await;
}
