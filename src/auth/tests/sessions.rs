//! Session tokens that are checked with Open WebUI's API.

use axum::{Json, Router, extract::State, http::StatusCode, middleware::Next, routing::get};
use serde_json::json;

use super::{
    super::{claims::SessionTokenClaims, introspection::IntrospectionClient},
    *,
};
use crate::config::GatewaySettings;

/// The responses of the test server for `Bearer x`: user and groups, each a status and a body.
#[derive(Clone, Default)]
struct Answers(Arc<std::collections::HashMap<String, [(u16, Value); 2]>>);

fn answer(answers: &Answers, headers: &HeaderMap, which: usize) -> (StatusCode, Json<Value>) {
    let token = headers["authorization"].to_str().unwrap();
    match answers.0.get(token) {
        Some(both) => {
            let (status, body) = both[which].clone();
            (StatusCode::from_u16(status).unwrap(), Json(body))
        }
        None => (
            StatusCode::UNAUTHORIZED,
            Json(json!({"detail": "401 Unauthorized"})),
        ),
    }
}

/// Open WebUI's two routes.
fn routes(answers: Answers) -> Router {
    Router::new()
        .route(
            "/chat/api/v1/auths/",
            get(
                |State(answers): State<Answers>, headers: HeaderMap| async move {
                    answer(&answers, &headers, 0)
                },
            ),
        )
        .route(
            "/chat/api/v1/users/groups",
            get(
                |State(answers): State<Answers>, uri: http::Uri, headers: HeaderMap| async move {
                    assert_eq!(uri.query(), Some("include_inherited=true"));
                    answer(&answers, &headers, 1)
                },
            ),
        )
        .with_state(answers)
}

fn asking(url: url::Url, secret: Option<&str>) -> Authenticator {
    let identity = IdentitySettings {
        open_webui: OpenWebUiSettings {
            secret_key: secret.map(Secret::new),
            url: Some(url),
            ..OpenWebUiSettings::default()
        },
        gateway: Some(GatewaySettings {
            trusted_peers: vec!["10.0.0.0/8".parse().unwrap()],
            secret: None,
            secret_header: HeaderName::from_static("x-gateway-secret"),
            email_header: HeaderName::from_static("x-user-email"),
            groups_header: HeaderName::from_static("x-user-groups"),
            admin_header: HeaderName::from_static("x-user-admin"),
            workspace_header: HeaderName::from_static("x-tenant-id"),
            strips_headers: true,
            ignore_credentials: false,
        }),
        ..IdentitySettings::default()
    };
    proofs(identity, sources())
}

fn ann() -> Value {
    json!({"id": "u1", "email": "Ann@Example.org", "name": "Ann", "role": "user"})
}

fn session(id: &str) -> String {
    hs256(
        SECRET,
        &json!({"id": id, "exp": at(60), "iat": at(0), "jti": "t", "typ": "session"}),
    )
}

const ANN: (&str, AuthenticationMethod) = ("ann@example.org", AuthenticationMethod::Session);

/// The test server knows Ann, a pending user, an automation, and a token that causes a server
/// error.
fn answers() -> Answers {
    let groups = json!([{"id": "g1", "name": "dev", "parent_group_id": null}]);
    let none = json!([]);
    let refused = json!({"detail": "403"});
    let mut pending = ann();
    pending["role"] = json!("pending");
    let mut other = ann();
    other["id"] = json!("u9");
    let all = [
        ("u1", [(200, ann()), (200, groups.clone())]),
        ("pending", [(200, pending), (401, refused.clone())]),
        ("robot", [(403, refused.clone()), (200, groups)]),
        ("gone", [(401, refused.clone()), (401, refused)]),
        ("ill", [(500, none.clone()), (500, none.clone())]),
        ("odd", [(200, json!("odd")), (200, json!("odd"))]),
        (
            "large",
            [(200, json!("x".repeat(300_000))), (200, none.clone())],
        ),
        ("moved", [(307, none.clone()), (307, none.clone())]),
        ("other", [(200, other), (200, none)]),
    ];
    let known = all.map(|(id, both)| (bearer(&session(id)), both));
    Answers(Arc::new(known.into_iter().collect()))
}

#[tokio::test]
async fn a_session_is_whose_open_webui_says() {
    let stand = Stand::serve("127.0.0.1:0", routes(answers())).await;
    let ill = AuthenticationError::Unavailable("Open WebUI is not responding");
    for secret in [None, Some(SECRET)] {
        let proofs = asking(stand.url("/chat/"), secret);
        let tokens: Vec<(&str, Verdict)> = vec![
            ("u1", Ok(ANN)),
            ("pending", Err(AuthenticationError::Pending)),
            ("robot", Ok(("robot", AuthenticationMethod::Session))),
            ("gone", Err(AuthenticationError::SignedOut)),
            ("ill", Err(ill.clone())),
            ("odd", Err(ill.clone())),
            ("large", Err(ill.clone())),
            ("moved", Err(ill.clone())),
            ("other", Err(AuthenticationError::Token)),
            ("unknown", Err(AuthenticationError::SignedOut)),
        ];
        for (id, expected) in tokens {
            let token = bearer(&session(id));
            check(
                &proofs,
                None,
                &[("session", vec![("authorization", &token)], expected)],
            )
            .await;
        }
        let token = bearer(&session("u1"));
        let caller = ask(&proofs, &[("authorization", &token)], None)
            .await
            .unwrap();
        let known: Vec<&str> = caller.open_webui_groups.iter().map(AsRef::as_ref).collect();
        assert_eq!((known, caller.is_admin), (vec!["g1", "dev"], false));
    }
}

#[tokio::test]
async fn an_answer_counts_for_a_while_and_silence_does_not() {
    let stand = Stand::serve("127.0.0.1:0", routes(answers())).await;
    let proofs = asking(stand.url("/chat"), None);
    let token = bearer(&session("u1"));
    let sent = [("authorization", token.as_str())];
    // Many concurrent checks share one check, which takes two requests.
    let all = (0..50).map(|_| ask(&proofs, &sent, None));
    for found in futures::future::join_all(all).await {
        found.unwrap();
    }
    assert_eq!(stand.asked(), 2);
    let address = stand.leave().await;
    assert!(ask(&proofs, &sent, None).await.is_ok(), "from memory");
    let other = bearer(&session("robot"));
    let sent = [("authorization", other.as_str())];
    let refusal = ask(&proofs, &sent, None).await.unwrap_err();
    assert_eq!(
        (refusal.code().as_str(), refusal.is_outage()),
        ("identity_unavailable", true)
    );
    let _stand = Stand::serve(&address.to_string(), routes(answers())).await;
    assert!(ask(&proofs, &sent, None).await.is_ok(), "it is back");
}

#[tokio::test]
async fn made_up_tokens_do_not_make_users_wait() {
    async fn slowly(request: axum::extract::Request, next: Next) -> axum::response::Response {
        tokio::time::sleep(Duration::from_millis(100)).await;
        next.run(request).await
    }
    let routes = routes(answers()).layer(axum::middleware::from_fn(slowly));
    let stand = Stand::serve("127.0.0.1:0", routes).await;
    let api = IntrospectionClient::new(
        sources().http,
        &stand.url("/chat"),
        Duration::from_millis(300),
    );
    let api = api.unwrap();
    let known = session("u1");
    let claims = SessionTokenClaims::default();
    api.session(&known, &claims).await.unwrap();
    // Cached sessions are checked again after a while.
    tokio::time::sleep(Duration::from_millis(400)).await;
    let flood = (0..250).map(|number| {
        let (api, claims) = (&api, &claims);
        async move { api.session(&format!("made-up-{number}"), claims).await }
    });
    let user = async {
        tokio::time::sleep(Duration::from_millis(20)).await;
        let began = std::time::Instant::now();
        (api.session(&known, &claims).await, began.elapsed())
    };
    let (flood, (user, took)) = tokio::join!(futures::future::join_all(flood), user);
    assert!(user.is_ok(), "{user:?}");
    assert!(took < Duration::from_secs(1), "{took:?}");
    let refused = |is: fn(&AuthenticationError) -> bool| {
        let refusals = flood.iter().filter_map(|it| it.as_ref().err());
        refusals.filter(|it| is(it)).count()
    };
    assert_eq!(
        refused(AuthenticationError::is_outage),
        250 - 32,
        "few may wait"
    );
    assert_eq!(refused(|it| *it == AuthenticationError::SignedOut), 32);
    // These are cached for a while.
    let asked = stand.asked();
    assert!(api.session("made-up-0", &claims).await.is_err());
    assert_eq!(stand.asked(), asked);
}

#[tokio::test]
async fn the_user_of_the_token_wins_over_headers() {
    let stand = Stand::serve("127.0.0.1:0", routes(answers())).await;
    let proofs = asking(stand.url("/chat"), Some(SECRET));
    let token = bearer(&session("u1"));
    let token = ("authorization", token.as_str());
    let other = Err(AuthenticationError::Contradiction);
    let cases: Vec<Case<'_>> = vec![
        (
            "same id",
            vec![token, ("x-openwebui-user-id", "u1")],
            Ok(ANN),
        ),
        (
            "same e-mail",
            vec![token, ("x-openwebui-user-email", "ANN@example.org")],
            Ok(ANN),
        ),
        (
            "same in both",
            vec![token, ("x-user-email", "ann@example.org")],
            Ok(ANN),
        ),
        (
            "other id",
            vec![token, ("x-openwebui-user-id", "u2")],
            other.clone(),
        ),
        (
            "other e-mail",
            vec![token, ("x-openwebui-user-email", "bob@example.org")],
            other.clone(),
        ),
        (
            "other gateway e-mail",
            vec![token, ("x-user-email", "bob@example.org")],
            other.clone(),
        ),
    ];
    check(&proofs, None, &cases).await;
    check(&proofs, Some("10.0.0.1"), &cases).await;
    let sent = [
        token,
        ("x-user-groups", "dev"),
        ("x-user-admin", "true"),
        ("x-tenant-id", "w"),
    ];
    let caller = ask(&proofs, &sent, None).await.unwrap();
    assert_eq!(
        (caller.groups.as_ref(), &*caller.workspace),
        (None, "default")
    );
    let caller = ask(&proofs, &sent, Some("10.0.0.1")).await.unwrap();
    assert_eq!((groups(&caller), &*caller.workspace), (vec!["dev"], "w"));
    assert!(!caller.is_admin, "the gateway adds groups and no more");
}

#[tokio::test]
async fn the_cookie_counts_where_no_authorization_is_sent() {
    let stand = Stand::serve("127.0.0.1:0", routes(answers())).await;
    let proofs = asking(stand.url("/chat"), Some(SECRET));
    let cookie = format!("theme=dark; token={}", session("u1"));
    let cookie = ("cookie", cookie.as_str());
    let caller = ask(&proofs, &[cookie], None).await.unwrap();
    assert!(caller.via_cookie && &*caller.id == "ann@example.org");
    let token = bearer(&session("u1"));
    let caller = ask(&proofs, &[cookie, ("authorization", &token)], None)
        .await
        .unwrap();
    assert!(!caller.via_cookie);
    let cases: Vec<Case<'_>> = vec![
        (
            "a wrong key wins",
            vec![cookie, ("authorization", "Bearer x")],
            Err(AuthenticationError::Key),
        ),
        (
            "no token",
            vec![("cookie", "token=x")],
            Err(AuthenticationError::Token),
        ),
        (
            "no such cookie",
            vec![("cookie", "theme=dark")],
            Err(AuthenticationError::Missing),
        ),
    ];
    check(&proofs, None, &cases).await;
    let cases: Vec<Case<'_>> = vec![(
        "a stale cookie behind a gateway",
        vec![("cookie", "token=x"), ("x-user-email", "ann@example.org")],
        Err(AuthenticationError::Token),
    )];
    check(&proofs, Some("10.0.0.1"), &cases).await;
}

#[expect(clippy::too_many_lines, reason = "a table")]
#[tokio::test]
async fn a_bad_session_is_refused_before_open_webui_is_asked() {
    let stand = Stand::serve("127.0.0.1:0", routes(answers())).await;
    let proofs = asking(stand.url("/chat"), Some(SECRET));
    let with = |claims: Value| hs256(SECRET, &claims);
    let good = session("u1");
    let (head, _) = good.rsplit_once('.').unwrap();
    let key = EncodingKey::from_secret(SECRET.as_bytes()).unwrap();
    let claims = json!({"id": "u1"});
    let rs256 = json!({"alg": "RS256", "typ": "JWT"});
    let table = [
        (
            "forged",
            hs256("another", &claims),
            AuthenticationError::Token,
        ),
        (
            "expired",
            with(json!({"id": "u1", "exp": at(-1)})),
            AuthenticationError::Expired,
        ),
        (
            "from the future",
            with(json!({"id": "u1", "iat": at(120)})),
            AuthenticationError::Immature,
        ),
        (
            "not yet",
            with(json!({"id": "u1", "nbf": at(60)})),
            AuthenticationError::Immature,
        ),
        (
            "kind",
            with(json!({"id": "u1", "typ": "reset"})),
            AuthenticationError::Token,
        ),
        (
            "kind of kind",
            with(json!({"id": "u1", "typ": 1})),
            AuthenticationError::Token,
        ),
        (
            "no user ID",
            with(json!({"exp": at(60)})),
            AuthenticationError::Token,
        ),
        ("blank", with(json!({"id": ""})), AuthenticationError::Token),
        (
            "a number",
            with(json!({"id": 1})),
            AuthenticationError::Token,
        ),
        (
            "odd end",
            with(json!({"id": "u1", "exp": "x"})),
            AuthenticationError::Token,
        ),
        (
            "HS384",
            signed(Algorithm::HS384, &key, &claims),
            AuthenticationError::Token,
        ),
        (
            "none",
            forged(&json!({"alg": "none"}), &claims, ""),
            AuthenticationError::Token,
        ),
        (
            "another algorithm",
            forged(&rs256, &claims, "AAAA"),
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
        (
            "100 KB of a key",
            "k".repeat(100_000),
            AuthenticationError::TooLong,
        ),
        ("no JSON", "eyJ.e.e".to_owned(), AuthenticationError::Token),
        (
            "the signed header as bearer",
            with(json!({"sub": "u1", "id": "u1", "iss": "open-webui", "exp": at(60)})),
            AuthenticationError::Issuer,
        ),
        ("a key", "no-key".to_owned(), AuthenticationError::Key),
        (
            "a key of Open WebUI",
            "sk-0123456789".to_owned(),
            AuthenticationError::SessionKey,
        ),
    ];
    for (what, token, refusal) in table {
        let token = bearer(&token);
        check(
            &proofs,
            None,
            &[(what, vec![("authorization", &token)], Err(refusal))],
        )
        .await;
    }
    assert_eq!(stand.asked(), 0);
}

#[tokio::test]
async fn nothing_is_decided_without_a_place_to_ask() {
    let identity = IdentitySettings {
        open_webui: open_webui(),
        ..IdentitySettings::default()
    };
    let proofs = proofs(identity, sources());
    let token = bearer(&session("u1"));
    let refusal = ask(&proofs, &[("authorization", &token)], None)
        .await
        .unwrap_err();
    assert_eq!(refusal.code().as_str(), "identity_unavailable");
}
