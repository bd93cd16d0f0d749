//! E-mail claims of OpenID issuers: which of them identify a user.

use serde_json::json;

use super::{
    issuer::{Pair, Provider, issuer},
    oidc::{caller, trusting},
    *,
};
use crate::config::IssuerSettings;

#[expect(clippy::too_many_lines, reason = "a table")]
#[tokio::test]
async fn an_email_counts_only_where_the_issuer_has_verified_it() {
    let pair = Pair::ed("d");
    let provider = Provider::serve("127.0.0.1:0", vec![pair.jwk.clone()]).await;
    let with = |claims: &[&str], emails_verified| {
        let config = IssuerSettings {
            email_claims: claims.iter().map(|it| (*it).to_owned()).collect(),
            emails_verified,
            ..issuer(provider.stand.url("/realm"))
        };
        trusting(config, sources())
    };
    let (closed, open) = (with(&["email"], false), with(&["email"], true));
    let (upn, both) = (
        with(&["upn"], false),
        with(&["email", "preferred_username"], false),
    );
    let none = with(&[], false);
    let boss = "boss@example.com";
    let unverified = || Err(AuthenticationError::EmailUnverified);
    let flaw = || Err(AuthenticationError::Token);
    let table: Vec<(&Authenticator, Value, Result<&str, AuthenticationError>)> = vec![
        (
            &closed,
            json!({"email_verified": true}),
            Ok("ann@example.org"),
        ),
        (
            &closed,
            json!({"email_verified": "true"}),
            Ok("ann@example.org"),
        ),
        (&closed, json!({"email_verified": false}), unverified()),
        (&closed, json!({"email_verified": "false"}), unverified()),
        (&closed, json!({"email_verified": "True"}), unverified()),
        (&closed, json!({"email_verified": 1}), unverified()),
        (&closed, json!({"email_verified": [true]}), unverified()),
        (&closed, json!({"email_verified": null}), unverified()),
        (
            &closed,
            json!({"email_verified": false, "preferred_username": boss, "upn": boss}),
            unverified(),
        ),
        (
            &closed,
            json!({"email": null, "preferred_username": boss}),
            Err(AuthenticationError::EmailUnproven("preferred_username")),
        ),
        (
            &closed,
            json!({"email": "", "upn": boss}),
            Err(AuthenticationError::EmailUnproven("upn")),
        ),
        (
            &closed,
            json!({"email": null, "preferred_username": "ann"}),
            Ok("s1"),
        ),
        (
            &closed,
            json!({"email": null, "sub": boss}),
            Ok("realm:boss@example.com"),
        ),
        (&closed, json!({"email": [boss]}), flaw()),
        (&closed, json!({"email": {"x": boss}}), flaw()),
        (&closed, json!({"email": 1}), flaw()),
        (&closed, json!({"email": "no-at"}), flaw()),
        (&closed, json!({"email": "a@b@example.com"}), flaw()),
        (&closed, json!({"email": "a b@example.com"}), flaw()),
        (
            &closed,
            json!({"email": "a@example.com,b@example.com"}),
            flaw(),
        ),
        (&closed, json!({"email": "boss@example.com\u{0}"}), flaw()),
        (&closed, json!({"email": "boss@example.com."}), flaw()),
        (
            &closed,
            json!({"email": "b\u{200b}oss@example.com"}),
            flaw(),
        ),
        (&closed, json!({"email": "BOSS@EXAMPLE.COM"}), Ok(boss)),
        (
            &closed,
            json!({"email": "mi\u{212a}e@example.com"}),
            Ok("mi\u{212a}e@example.com"),
        ),
        (
            &closed,
            json!({"email": "boss@ex\u{e4}mple.com"}),
            Ok("boss@ex\u{e4}mple.com"),
        ),
        (
            &open,
            json!({"email_verified": null}),
            Ok("ann@example.org"),
        ),
        (&open, json!({"email_verified": false}), unverified()),
        (&upn, json!({"upn": boss, "email_verified": null}), Ok(boss)),
        (&upn, json!({"upn": "boss"}), Ok("s1")),
        (
            &both,
            json!({"email_verified": false, "preferred_username": boss}),
            unverified(),
        ),
        (&none, json!({"preferred_username": boss}), Ok("s1")),
    ];
    for (proofs, changes, expected) in table {
        let found = caller(proofs, &pair.sign(&provider.claims(changes.clone()))).await;
        let found = found.map(|caller| caller.id.to_string());
        assert_eq!(
            found.as_deref(),
            expected.as_ref().map(|it| *it),
            "{changes}"
        );
    }
}
