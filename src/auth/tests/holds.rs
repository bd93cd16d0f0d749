//! Invalid credentials end the authentication, even if valid credentials are sent with them and
//! anonymous callers are allowed.

use serde_json::json;

use super::{gateway::gateway, *};

const PEER: Option<&str> = Some("10.1.2.3");

/// The headers of a request; a header may occur several times.
type Sent<'a> = Vec<(&'static str, &'a str)>;

fn everything(secret: Option<&str>) -> Proofs {
    let peers: &[&str] = if secret.is_some() {
        &[]
    } else {
        &["10.0.0.0/8"]
    };
    let identity = Identity {
        anonymous: Anonymous::Allowed,
        keys: vec![key("team", "own-key", false), key("chat", "chat-key", true)],
        open_webui: OpenWebUi {
            jwt_secret: Some(Secret::new(JWT_SECRET)),
            jwt_alone: true,
            ..open_webui()
        },
        gateway: Some(gateway(peers, secret)),
        ..Identity::default()
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
    proofs: &Proofs,
    broken: &[(&'static str, Sent<'_>, Refusal)],
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
    let broken: Vec<(&str, Sent<'_>, Refusal)> = vec![
        ("a wrong key", authorization("Bearer no"), Refusal::Key),
        (
            "a wrong `sk-` key",
            authorization("Bearer sk-1"),
            Refusal::SessionKey,
        ),
        (
            "a password",
            authorization("Basic dTpwdw=="),
            Refusal::Password,
        ),
        ("no base64", authorization("Basic ?"), Refusal::Format),
        ("no scheme", authorization("own-key"), Refusal::Scheme),
        (
            "another scheme",
            authorization("Digest own-key"),
            Refusal::Scheme,
        ),
        ("a blank", authorization(""), Refusal::Missing),
        ("no key", authorization("Bearer"), Refusal::Scheme),
        ("not ASCII", authorization("Bearer ö"), Refusal::Missing),
        (
            "a good one, twice",
            vec![own, own],
            Refusal::Repeated("authorization".to_owned()),
        ),
        (
            "a good one and another",
            vec![own, ("authorization", "Bearer no")],
            Refusal::Repeated("authorization".to_owned()),
        ),
        ("a forged session", authorization(&forged), Refusal::Token),
        (
            "an expired session",
            authorization(&expired),
            Refusal::Expired,
        ),
        ("a foreign token", authorization(&foreign), Refusal::Issuer),
        (
            "a cookie of no token",
            vec![("cookie", "token=x")],
            Refusal::Token,
        ),
        (
            "a forged cookie",
            vec![("cookie", &cookie_forged)],
            Refusal::Token,
        ),
        (
            "an expired cookie",
            vec![("cookie", &cookie_expired)],
            Refusal::Expired,
        ),
        (
            "two cookies",
            vec![("cookie", "token=a"), ("cookie", "b=c; token=d")],
            Refusal::Repeated("cookie `token`".to_owned()),
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
    let broken: Vec<(&str, Sent<'_>, Refusal)> = vec![
        ("forged", jwt(&forged), Refusal::Token),
        ("expired", jwt(&expired), Refusal::Expired),
        ("pending", jwt(&pending), Refusal::Pending),
        ("another audience", jwt(&elsewhere), Refusal::Token),
        (
            "blank",
            jwt(""),
            Refusal::Header("x-openwebui-user-jwt".to_owned()),
        ),
        (
            "twice",
            [jwt(&good), jwt(&good)].concat(),
            Refusal::Repeated("x-openwebui-user-jwt".to_owned()),
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
    let broken: Vec<(&str, Sent<'_>, Refusal)> = vec![
        ("wrong", vec![(secret, "no")], Refusal::Untrusted),
        ("blank", vec![(secret, "")], Refusal::Untrusted),
        (
            "twice",
            vec![(secret, "s3cret"), (secret, "s3cret")],
            Refusal::Untrusted,
        ),
    ];
    check_all(&everything(Some("s3cret")), &broken, &valid).await;
}

#[tokio::test]
async fn a_forwarder_that_names_a_user_badly_is_not_the_caller() {
    let chat = ("authorization", "Bearer chat-key");
    let identity = Identity {
        keys: vec![key("chat", "chat-key", true)],
        ..Identity::default()
    };
    let proofs = proofs(identity, sources());
    let good = signed_header(&json!({}));
    let email = "x-user-email";
    let name = Refusal::Header(email.to_owned());
    let cases: Vec<Case<'_>> = vec![
        ("no user", vec![chat], Ok(("chat", Proof::ApiKey))),
        ("blank", vec![chat, (email, "")], Err(Refusal::NoUser)),
        (
            "blank id",
            vec![chat, ("x-openwebui-user-id", " ")],
            Err(Refusal::NoUser),
        ),
        (
            "a signature that cannot be checked",
            vec![chat, ("x-openwebui-user-jwt", &good)],
            Err(Refusal::Uncheckable),
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
            Ok(("mi\u{212a}e@example.org", Proof::ForwardedHeaders)),
        ),
    ];
    check(&proofs, None, &cases).await;
}

#[tokio::test]
async fn what_a_gateway_passes_on_adds_nothing() {
    let identity = |strips_headers| Identity {
        open_webui: OpenWebUi {
            jwt_secret: Some(Secret::new(JWT_SECRET)),
            jwt_alone: true,
            ..OpenWebUi::default()
        },
        gateway: Some(crate::config::Gateway {
            strips_headers,
            ..gateway(&["10.0.0.0/8"], None)
        }),
        ..Identity::default()
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
    let identity = Identity {
        keys: vec![key("team", "own-key", false)],
        gateway: Some(crate::config::Gateway {
            ignore_credentials: true,
            ..gateway(&["10.0.0.0/8"], None)
        }),
        ..Identity::default()
    };
    let proofs = proofs(identity, sources());
    let ann = ("x-user-email", "ann@example.org");
    let basic = ("authorization", "Basic dTpwdw==");
    let cases: Vec<Case<'_>> = vec![
        (
            "named",
            vec![basic, ann],
            Ok(("ann@example.org", Proof::Gateway)),
        ),
        ("not named", vec![basic], Err(Refusal::Password)),
    ];
    check(&proofs, PEER, &cases).await;
    let cases: Vec<Case<'_>> = vec![("not the gateway", vec![basic, ann], Err(Refusal::Password))];
    check(&proofs, Some("9.9.9.9"), &cases).await;
}
