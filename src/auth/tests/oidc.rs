//! Bearer tokens of OpenID issuers, with real keys and a real server.

use axum::{Json, Router, routing::get};
use serde_json::json;

use super::{
    issuer::{Pair, Provider, issuer},
    *,
};
use crate::{
    auth::issuer_keys::{IssuerKeyCache, KeyFetchIntervals},
    config::IssuerSettings,
};

pub(super) fn trusting(issuer: IssuerSettings, sources: AuthSources) -> Authenticator {
    let identity = IdentitySettings {
        oidc: vec![issuer],
        ..IdentitySettings::default()
    };
    proofs(identity, sources)
}

/// No pause between two fetches.
const EAGER: KeyFetchIntervals = KeyFetchIntervals {
    stale: Duration::from_hours(1),
    unknown: Duration::ZERO,
    cold: Duration::ZERO,
};

fn paced(pace: KeyFetchIntervals) -> AuthSources {
    AuthSources {
        keys: Arc::new(IssuerKeyCache::with_pace(pace)),
        ..sources()
    }
}

pub(super) async fn caller(
    proofs: &Authenticator,
    token: &str,
) -> Result<Arc<Caller>, AuthenticationError> {
    ask(proofs, &[("authorization", &bearer(token))], None).await
}

const SILENT: AuthenticationError =
    AuthenticationError::Unavailable("the issuer of the token is not responding");

#[tokio::test]
async fn tokens_of_every_kind_of_key_are_accepted() {
    let pairs = [
        Pair::rsa("r", Algorithm::RS256),
        Pair::rsa("p", Algorithm::PS384),
        Pair::ec("e"),
        Pair::ec384("f"),
        Pair::ed("d"),
    ];
    let published = pairs.iter().map(|pair| pair.jwk.clone()).collect();
    let provider = Provider::serve("127.0.0.1:0", published).await;
    let proofs = trusting(issuer(provider.stand.url("/realm")), sources());
    for pair in &pairs {
        let found = caller(&proofs, &pair.sign(&provider.claims(json!({}))))
            .await
            .unwrap();
        assert_eq!(
            (&*found.id, found.proof),
            ("ann@example.org", AuthenticationMethod::Oidc)
        );
        assert_eq!(&*found.workspace, "acme");
        // Without a key ID, every suitable key is tried.
        let claims = provider.claims(json!({"aud": ["x", "api://bridge"]}));
        let nameless = signed(pair.algorithm, &pair.key, &claims);
        caller(&proofs, &nameless).await.unwrap();
    }
    assert_eq!(provider.stand.asked(), 2, "configuration and keys, once");
}

#[expect(clippy::too_many_lines, reason = "a table")]
#[tokio::test]
async fn bad_tokens_are_refused() {
    let pair = Pair::ec("e");
    let rsa = Pair::rsa("r", Algorithm::RS256);
    let mut encrypting = Pair::ec("enc");
    encrypting.jwk["use"] = json!("enc");
    let mut other_use = Pair::rsa("ps", Algorithm::RS256);
    other_use.jwk["alg"] = json!("PS256");
    let mut foreign = Pair::ec("e");
    foreign.jwk = json!({"kid": "e"});
    let oct = json!({"kty": "oct", "k": "c2VjcmV0", "kid": "o", "alg": "HS256"});
    let published = [&pair, &rsa, &encrypting, &other_use].map(|pair| pair.jwk.clone());
    let published = published
        .into_iter()
        .chain([oct, json!({"kty": "XX"})])
        .collect();
    let provider = Provider::serve("127.0.0.1:0", published).await;
    let with = |changes| pair.sign(&provider.claims(changes));
    let good = with(json!({}));
    let (head, tail) = good.rsplit_once('.').unwrap();
    let claims = provider.claims(json!({}));
    // The attacker uses the issuer's public key as an HMAC secret.
    let modulus = rsa.jwk["n"].as_str().unwrap();
    let mut confused = Header::new(Algorithm::HS256);
    confused.kid = Some("r".to_owned());
    let confused = encode(
        &confused,
        &claims,
        &EncodingKey::from_secret(modulus.as_bytes()).unwrap(),
    );
    let mut symmetric = Header::new(Algorithm::HS256);
    symmetric.kid = Some("o".to_owned());
    let symmetric = encode(
        &symmetric,
        &claims,
        &EncodingKey::from_secret(b"secret").unwrap(),
    );
    let logout = json!({"alg": "ES256", "typ": "logout+jwt", "kid": "e"});
    let table = [
        ("forged", foreign.sign(&claims), AuthenticationError::Token),
        (
            "expired",
            with(json!({"exp": at(-61)})),
            AuthenticationError::Expired,
        ),
        (
            "no end",
            with(json!({"exp": null})),
            AuthenticationError::Token,
        ),
        (
            "not yet",
            with(json!({"nbf": at(90)})),
            AuthenticationError::Immature,
        ),
        (
            "from the future",
            with(json!({"iat": at(90)})),
            AuthenticationError::Immature,
        ),
        (
            "another issuer",
            with(json!({"iss": "https://evil.example"})),
            AuthenticationError::Issuer,
        ),
        (
            "slash",
            with(json!({"iss": format!("{}/", provider.stand.url("/realm"))})),
            AuthenticationError::Issuer,
        ),
        (
            "no issuer",
            with(json!({"iss": null})),
            AuthenticationError::Issuer,
        ),
        (
            "a list of issuers",
            with(json!({"iss": [provider.stand.url("/realm")]})),
            AuthenticationError::Token,
        ),
        (
            "another audience",
            with(json!({"aud": "other"})),
            AuthenticationError::Token,
        ),
        (
            "other audiences",
            with(json!({"aud": ["other", "more"]})),
            AuthenticationError::Token,
        ),
        (
            "no audience",
            with(json!({"aud": null})),
            AuthenticationError::Token,
        ),
        (
            "no e-mail and no subject",
            with(json!({"email": null, "sub": null})),
            AuthenticationError::Token,
        ),
        (
            "for encryption",
            encrypting.sign(&claims),
            AuthenticationError::Token,
        ),
        (
            "key for another algorithm",
            other_use.sign(&claims),
            AuthenticationError::Token,
        ),
        (
            "public key as secret",
            confused.unwrap(),
            AuthenticationError::Token,
        ),
        (
            "a published secret",
            symmetric.unwrap(),
            AuthenticationError::Token,
        ),
        (
            "none",
            forged(&json!({"alg": "none"}), &claims, ""),
            AuthenticationError::Token,
        ),
        (
            "kind",
            forged(&logout, &claims, tail),
            AuthenticationError::Token,
        ),
        (
            "unknown key",
            Pair::ec("new").sign(&claims),
            AuthenticationError::Token,
        ),
        ("cut off", cut(&good), AuthenticationError::Token),
        (
            "no signature",
            format!("{head}."),
            AuthenticationError::Token,
        ),
        (
            "100 KB",
            format!("{head}.{}", "A".repeat(100_000)),
            AuthenticationError::TooLong,
        ),
        ("no token", "opaque".to_owned(), AuthenticationError::Key),
    ];
    let proofs = trusting(issuer(provider.stand.url("/realm")), sources());
    for (what, token, refusal) in table {
        let token = bearer(&token);
        check(
            &proofs,
            None,
            &[(what, vec![("authorization", &token)], Err(refusal))],
        )
        .await;
    }
    assert!(
        caller(&proofs, &with(json!({"exp": at(-30)})))
            .await
            .is_ok(),
        "leeway"
    );
    assert!(caller(&proofs, &good).await.is_ok());
    assert_eq!(
        provider.stand.asked(),
        2,
        "unknown keys do not drive fetches"
    );
}

#[tokio::test]
async fn users_groups_and_workspace_come_from_claims() {
    let pair = Pair::ed("d");
    let provider = Provider::serve("127.0.0.1:0", vec![pair.jwk.clone()]).await;
    let proofs = trusting(issuer(provider.stand.url("/realm")), sources());
    let table: [(Value, &str, &[&str]); 8] = [
        (
            json!({"groups": ["a", " b ", "", "a"], "roles": ["r"]}),
            "ann@example.org",
            &["a", "b", "r"],
        ),
        (json!({"roles": "Admin"}), "ann@example.org", &["Admin"]),
        (json!({"groups": ["a", 1, null]}), "ann@example.org", &["a"]),
        (json!({"groups": {"a": 1}}), "ann@example.org", &[]),
        (json!({"groups": []}), "ann@example.org", &[]),
        (
            json!({"email": null, "preferred_username": "Bob@example.org"}),
            "bob@example.org",
            &[],
        ),
        (
            json!({"email_verified": false, "preferred_username": "eve@example.org", "groups": ["a"]}),
            "s1",
            &["a"],
        ),
        (
            json!({"roles": ["r"], "_claim_names": {"groups": "src1"}}),
            "ann@example.org",
            &[],
        ),
    ];
    for (changes, id, expected) in table {
        let found = caller(&proofs, &pair.sign(&provider.claims(changes.clone())))
            .await
            .unwrap();
        assert_eq!(
            (&*found.id, groups(&found)),
            (id, expected.to_vec()),
            "{changes}"
        );
        assert_eq!(found.groups.is_some(), !expected.is_empty(), "{changes}");
    }
    let token = bearer(&pair.sign(&provider.claims(json!({}))));
    let other = [
        ("authorization", token.as_str()),
        ("x-user-email", "bob@example.org"),
    ];
    assert_eq!(
        ask(&proofs, &other, None).await.unwrap_err(),
        AuthenticationError::Contradiction
    );
}

#[tokio::test]
async fn keys_rotate_and_survive_an_outage() {
    let (old, new) = (Pair::ec("old"), Pair::ec("new"));
    let provider = Provider::serve("127.0.0.1:0", vec![old.jwk.clone()]).await;
    let config = issuer(provider.stand.url("/realm"));
    let sources = paced(EAGER);
    let proofs = trusting(config.clone(), sources.clone());
    let claims = provider.claims(json!({}));
    let (first, second) = (old.sign(&claims), new.sign(&claims));
    let all = (0..20).map(|_| caller(&proofs, &first));
    for found in futures::future::join_all(all).await {
        found.unwrap();
    }
    assert_eq!(provider.stand.asked(), 2, "one flight");
    assert_eq!(
        caller(&proofs, &second).await.unwrap_err(),
        AuthenticationError::Token
    );
    provider.publish(vec![old.jwk.clone(), new.jwk.clone()]);
    caller(&proofs, &second).await.unwrap();

    let address = provider.stand.leave().await;
    caller(&proofs, &first).await.unwrap();
    assert_eq!(
        caller(&proofs, &Pair::ec("x").sign(&claims))
            .await
            .unwrap_err(),
        SILENT
    );
    // A reload keeps the keys. A start without the issuer has none.
    let reloaded = trusting(config.clone(), sources);
    drop(proofs);
    caller(&reloaded, &first).await.unwrap();
    let cold = trusting(config, paced(EAGER));
    let refusal = caller(&cold, &first).await.unwrap_err();
    assert_eq!(
        (refusal.code().as_str(), refusal),
        ("identity_unavailable", SILENT)
    );
    let _back = Provider::serve(&address.to_string(), vec![old.jwk.clone()]).await;
    caller(&cold, &first).await.unwrap();
}

#[tokio::test]
async fn stale_keys_count_while_new_ones_are_fetched() {
    let (old, new) = (Pair::ec("old"), Pair::ec("new"));
    let provider = Provider::serve("127.0.0.1:0", vec![old.jwk.clone()]).await;
    let mut config = issuer(provider.stand.url("/realm"));
    config.jwks_url = Some(provider.stand.url("/realm/keys"));
    let pace = KeyFetchIntervals {
        stale: Duration::ZERO,
        ..EAGER
    };
    let sources = paced(pace);
    let proofs = trusting(config, sources.clone());
    let token = old.sign(&provider.claims(json!({})));
    caller(&proofs, &token).await.unwrap();
    assert_eq!(provider.stand.asked(), 1, "no discovery");
    provider.publish(vec![new.jwk.clone()]);
    caller(&proofs, &token).await.unwrap();
    sources.tracker.close();
    sources.tracker.wait().await;
    assert_eq!(
        caller(&proofs, &token).await.unwrap_err(),
        AuthenticationError::Token,
        "withdrawn"
    );
}

#[tokio::test]
async fn an_issuer_must_be_who_it_says() {
    let pair = Pair::ec("e");
    let provider = Provider::serve("127.0.0.1:0", vec![pair.jwk.clone()]).await;
    let router = Router::new().route(
        "/.well-known/openid-configuration",
        get({
            let keys = provider.stand.url("/realm/keys");
            move || async move { Json(json!({"issuer": "http://other.example", "jwks_uri": keys})) }
        }),
    );
    let imposter = Stand::serve("127.0.0.1:0", router).await;
    let proofs = trusting(issuer(imposter.url("")), paced(EAGER));
    let iss = imposter.url("").to_string();
    let token = pair.sign(&provider.claims(json!({"iss": iss.trim_end_matches('/')})));
    assert_eq!(caller(&proofs, &token).await.unwrap_err(), SILENT);
}

#[tokio::test]
async fn keys_are_read_with_care() {
    let pair = Pair::ec("e");
    let provider = Provider::serve("127.0.0.1:0", vec![pair.jwk.clone()]).await;
    let elsewhere = provider.stand.url("/realm/keys").to_string();
    let large = json!({"keys": [pair.jwk], "padding": "x".repeat(300_000)});
    let router = Router::new()
        .route(
            "/moved",
            get(move || async move { axum::response::Redirect::temporary(&elsewhere) }),
        )
        .route("/large", get(move || async move { Json(large) }))
        .route("/empty", get(async || Json(json!({"keys": []}))))
        .route("/page", get(async || "<html>"))
        .route("/silent", get(std::future::pending::<()>));
    let stand = Stand::serve("127.0.0.1:0", router).await;
    let token = pair.sign(&provider.claims(json!({})));
    for path in ["/moved", "/large", "/empty", "/page", "/nothing", "/silent"] {
        let mut config = issuer(provider.stand.url("/realm"));
        config.jwks_url = Some(stand.url(path));
        let start = std::time::Instant::now();
        let proofs = trusting(config, sources());
        let all = (0..10).map(|_| caller(&proofs, &token));
        for found in futures::future::join_all(all).await {
            assert_eq!(found.unwrap_err(), SILENT, "{path}");
        }
        assert!(start.elapsed() < Duration::from_secs(5), "{path}");
    }
    assert_eq!(provider.stand.asked(), 0, "no other host is asked");
    assert_eq!(stand.asked(), 6, "once each");
}
