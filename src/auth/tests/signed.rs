//! `X-OpenWebUI-User-Jwt` on its own.

use serde_json::json;

use super::*;

fn signing() -> Authenticator {
    with(None, true)
}

fn with(audience: Option<&str>, alone: bool) -> Authenticator {
    let identity = IdentitySettings {
        open_webui: OpenWebUiSettings {
            jwt_secret: Some(Secret::new(JWT_SECRET)),
            jwt_audience: audience.map(str::to_owned),
            jwt_alone: alone,
            ..OpenWebUiSettings::default()
        },
        keys: vec![key("team", "own-key", false), key("chat", "chat-key", true)],
        ..IdentitySettings::default()
    };
    proofs(identity, sources())
}

fn jwt(token: &str) -> (&'static str, &str) {
    ("x-openwebui-user-jwt", token)
}

#[tokio::test]
async fn the_signed_header_needs_another_proof_with_it() {
    let own = hs256(JWT_SECRET, &claims(json!({"aud": "the-bridge"})));
    let listed = hs256(JWT_SECRET, &claims(json!({"aud": ["x", "the-bridge"]})));
    let other = hs256(JWT_SECRET, &claims(json!({"aud": "other"})));
    let odd = hs256(JWT_SECRET, &claims(json!({"aud": 1})));
    let plain = hs256(JWT_SECRET, &claims(json!({})));
    let chat = ("authorization", "Bearer chat-key");
    let ann = Ok(("ann@example.org", AuthenticationMethod::SignedHeader));
    let alone = Err(AuthenticationError::SignedAlone);
    let flaw = Err(AuthenticationError::Token);
    let cases: Vec<Case<'_>> = vec![
        ("alone", vec![jwt(&plain)], alone.clone()),
        ("beside a forwarder", vec![chat, jwt(&plain)], ann.clone()),
        (
            "beside another key",
            vec![("authorization", "Bearer own-key"), jwt(&plain)],
            Ok(("team", AuthenticationMethod::ApiKey)),
        ),
        (
            "beside a wrong key",
            vec![("authorization", "Bearer x"), jwt(&plain)],
            Err(AuthenticationError::Key),
        ),
        ("for an audience", vec![jwt(&own)], flaw.clone()),
        (
            "for an audience, beside a forwarder",
            vec![chat, jwt(&own)],
            flaw.clone(),
        ),
    ];
    check(&with(None, false), None, &cases).await;
    let cases: Vec<Case<'_>> = vec![
        ("alone", vec![jwt(&plain)], alone),
        ("for us", vec![jwt(&own)], ann.clone()),
        ("for us and others", vec![jwt(&listed)], ann.clone()),
        ("for others", vec![jwt(&other)], flaw.clone()),
        ("for a number", vec![jwt(&odd)], flaw),
        ("for all, beside a forwarder", vec![chat, jwt(&plain)], ann),
    ];
    check(&with(Some("the-bridge"), false), None, &cases).await;
}

/// Valid claims with some of them replaced. Null removes a claim.
fn claims(changes: Value) -> Value {
    let mut claims = json!({
        "sub": "u1", "email": "Ann@Example.org", "name": "Ann", "role": "user",
        "iss": "open-webui", "iat": at(0), "exp": at(300),
    });
    let Value::Object(changes) = changes else {
        panic!("an object")
    };
    for (name, value) in changes {
        claims[name] = value;
    }
    claims
}

#[tokio::test]
async fn the_signed_header_is_a_proof_by_itself_where_the_operator_says_so() {
    let proofs = signing();
    let good = hs256(JWT_SECRET, &claims(json!({})));
    let sent = [("x-openwebui-user-jwt", good.as_str())];
    let caller = ask(&proofs, &sent, None).await.unwrap();
    assert_eq!(
        (&*caller.id, caller.proof),
        ("ann@example.org", AuthenticationMethod::SignedHeader)
    );
    assert!(!caller.is_admin && caller.groups.is_none());
    let admin = hs256(JWT_SECRET, &claims(json!({"role": "admin", "email": null})));
    let caller = ask(&proofs, &[("x-openwebui-user-jwt", &admin)], None)
        .await
        .unwrap();
    assert_eq!((&*caller.id, caller.is_admin), ("u1", true));
    // Plain headers may only repeat the signed values.
    for (header, value, expected) in [
        ("x-openwebui-user-email", "ann@example.org", Ok(())),
        (
            "x-openwebui-user-email",
            "bob@example.org",
            Err(AuthenticationError::Contradiction),
        ),
        (
            "x-openwebui-user-id",
            "u2",
            Err(AuthenticationError::Contradiction),
        ),
        (
            "x-user-email",
            "bob@example.org",
            Err(AuthenticationError::Contradiction),
        ),
    ] {
        let found = ask(&proofs, &[sent[0], (header, value)], None).await;
        assert_eq!(found.map(|_| ()), expected, "{header}: {value}");
    }
}

#[expect(clippy::too_many_lines, reason = "a table")]
#[tokio::test]
async fn a_bad_signed_header_is_refused() {
    let good = hs256(JWT_SECRET, &claims(json!({})));
    let with = |changes| hs256(JWT_SECRET, &claims(changes));
    let hs512 = signed(
        Algorithm::HS512,
        &EncodingKey::from_secret(JWT_SECRET.as_bytes()).unwrap(),
        &claims(json!({})),
    );
    let none = json!({"alg": "none", "typ": "JWT"});
    let critical = json!({"alg": "HS256", "crit": ["b64"], "b64": false});
    let (head, tail) = good.rsplit_once('.').unwrap();
    let table = [
        (
            "forged",
            hs256("another-secret", &claims(json!({}))),
            AuthenticationError::Token,
        ),
        (
            "empty secret",
            hs256("", &claims(json!({}))),
            AuthenticationError::Token,
        ),
        (
            "expired",
            with(json!({"exp": at(-1)})),
            AuthenticationError::Expired,
        ),
        (
            "no end",
            with(json!({"exp": null})),
            AuthenticationError::Token,
        ),
        (
            "end of text",
            with(json!({"exp": "tomorrow"})),
            AuthenticationError::Token,
        ),
        (
            "negative end",
            with(json!({"exp": -1})),
            AuthenticationError::Token,
        ),
        (
            "not yet",
            with(json!({"nbf": at(100)})),
            AuthenticationError::Immature,
        ),
        (
            "from the future",
            with(json!({"iat": at(100)})),
            AuthenticationError::Immature,
        ),
        (
            "another issuer",
            with(json!({"iss": "open-webui2"})),
            AuthenticationError::Token,
        ),
        (
            "no issuer",
            with(json!({"iss": null})),
            AuthenticationError::Token,
        ),
        (
            "no subject",
            with(json!({"sub": null})),
            AuthenticationError::Token,
        ),
        (
            "blank",
            with(json!({"sub": ""})),
            AuthenticationError::Token,
        ),
        (
            "a number",
            with(json!({"sub": 1})),
            AuthenticationError::Token,
        ),
        (
            "a list of e-mails",
            with(json!({"email": "a@b.c,d@e.f"})),
            AuthenticationError::Token,
        ),
        (
            "pending",
            with(json!({"role": "pending"})),
            AuthenticationError::Pending,
        ),
        ("another algorithm", hs512, AuthenticationError::Token),
        (
            "unsigned",
            forged(&none, &claims(json!({})), ""),
            AuthenticationError::Token,
        ),
        (
            "critical",
            forged(&critical, &claims(json!({})), tail),
            AuthenticationError::Token,
        ),
        ("cut off", cut(&good), AuthenticationError::Token),
        (
            "without signature",
            format!("{head}."),
            AuthenticationError::Token,
        ),
        ("two parts", head.to_owned(), AuthenticationError::Token),
        ("no token", "hello".to_owned(), AuthenticationError::Token),
        ("dots", "..".to_owned(), AuthenticationError::Token),
        (
            "100 KB",
            format!("{head}.{}", "A".repeat(100_000)),
            AuthenticationError::TooLong,
        ),
        (
            "a session",
            hs256(JWT_SECRET, &json!({"id": "u1"})),
            AuthenticationError::Token,
        ),
        (
            "a template",
            "{{USER_JWT}}".to_owned(),
            AuthenticationError::Template("x-openwebui-user-jwt".to_owned()),
        ),
    ];
    let cases: Vec<Case<'_>> = table
        .iter()
        .map(|(what, token, refusal)| {
            (
                *what,
                vec![("x-openwebui-user-jwt", token.as_str())],
                Err(refusal.clone()),
            )
        })
        .collect();
    check(&signing(), None, &cases).await;
}

#[tokio::test]
async fn without_the_secret_the_header_is_nothing() {
    let proofs = proofs(IdentitySettings::default(), sources());
    let token = hs256("", &claims(json!({})));
    let refusal = ask(&proofs, &[("x-openwebui-user-jwt", &token)], None).await;
    assert_eq!(refusal.unwrap_err(), AuthenticationError::Missing);
}
