//! Headers that contradict, that nobody vouches for, and lists of groups of every shape.

use jsonwebtoken::get_current_timestamp;
use reqwest::Method;
use serde_json::json;

use super::{
    DEV, GATEWAY, GATEWAY_SECRET, HI, JWT_SECRET, Row, SECRET, all_are_refused, and, bearer,
    bridge, call, head_too_large, seen,
};
use crate::harness::{Bridge, Issuer, User, token};

#[tokio::test]
async fn two_users_in_one_request_are_refused() {
    let issuer = Issuer::start().await;
    let bridge = bridge(&issuer.url, GATEWAY).await;
    let alice = || bearer(User::Alice.token(SECRET));
    let now = get_current_timestamp();
    let signed = |user: User| {
        let claims = json!({
            "sub": user.id(), "email": user.email(), "role": "user", "iss": "open-webui",
            "iat": now, "exp": now + 300,
        });
        token(JWT_SECRET, &claims)
    };
    let by_gateway = |headers, email: &str| {
        and(
            and(headers, "x-gateway-secret", GATEWAY_SECRET),
            "x-user-email",
            email,
        )
    };
    let oidc = || {
        let claims = json!({ "sub": "s", "email": "alice@example.org", "groups": ["staff"] });
        bearer(issuer.token("the-bridge", claims))
    };
    let no = |name, headers| -> Row { (name, headers, 401, "unauthorized") };
    let rows = vec![
        no(
            "another e-mail",
            and(alice(), "x-user-email", "bob@example.org"),
        ),
        no(
            "another e-mail of Open WebUI",
            and(alice(), "x-openwebui-user-email", "bob@example.org"),
        ),
        no("another id", and(alice(), "x-openwebui-user-id", "id-bob")),
        no(
            "another signed user",
            and(alice(), "x-openwebui-user-jwt", &signed(User::Bob)),
        ),
        no(
            "another user of the gateway",
            by_gateway(alice(), "bob@example.org"),
        ),
        no(
            "oidc: another e-mail",
            and(oidc(), "x-user-email", "bob@example.org"),
        ),
        no(
            "oidc: another user of the gateway",
            by_gateway(oidc(), "bob@example.org"),
        ),
        no(
            "signed: another e-mail",
            and(
                vec![("x-openwebui-user-jwt", signed(User::Alice))],
                "x-openwebui-user-email",
                "bob@example.org",
            ),
        ),
        no(
            "two e-mails",
            and(
                and(alice(), "x-user-email", "alice@example.org"),
                "x-user-email",
                "bob@example.org",
            ),
        ),
        no(
            "a list",
            and(alice(), "x-user-email", "alice@example.org,bob@example.org"),
        ),
        no("a template", and(alice(), "x-user-email", "{{USER_EMAIL}}")),
        no(
            "a key that vouches for nobody",
            by_gateway(bearer(DEV), "bob@example.org"),
        ),
    ];
    all_are_refused(&bridge, rows).await;
}

#[tokio::test]
async fn a_user_in_other_letters_is_the_same_user() {
    let bridge = bridge("http://127.0.0.1:9/none", GATEWAY).await;
    let alice = || bearer(User::Alice.token(SECRET));
    let by_gateway = and(alice(), "x-gateway-secret", GATEWAY_SECRET);
    for headers in [
        and(alice(), "x-user-email", "ALICE@EXAMPLE.ORG"),
        and(alice(), "x-openwebui-user-email", "Alice@example.Org"),
        and(alice(), "x-openwebui-user-id", "id-alice"),
        and(by_gateway, "x-user-email", "aLICE@example.org"),
    ] {
        let answer = call(&bridge, &headers).await;
        assert_eq!(answer.status, 200, "{headers:?}: {}", answer.text);
    }
}

#[tokio::test]
async fn headers_that_anybody_may_send_mean_nothing() {
    let issuer = Issuer::start().await;
    let peers = "[identity.gateway]\nenabled = true\ntrusted_peers = ['10.0.0.0/8']\n";
    let both = format!("{peers}secret = '${{BAD_GATEWAY_SECRET}}'\n");
    for (gateway, secret) in [
        (GATEWAY, ""),
        (GATEWAY, "wrong"),
        (peers, GATEWAY_SECRET),
        (&both, GATEWAY_SECRET),
    ] {
        let bridge = bridge(&issuer.url, gateway).await;
        let claim = |headers| {
            let headers = and(headers, "x-user-email", "alice@example.org");
            let headers = and(headers, "x-user-groups", "MCP-Admin,staff");
            let headers = and(headers, "x-user-admin", "true");
            let headers = and(headers, "x-auth-source", "entra-token");
            let headers = and(headers, "x-forwarded-for", "10.0.0.1");
            let headers = and(headers, "x-real-ip", "10.0.0.1");
            let headers = and(headers, "forwarded", "for=10.0.0.1");
            if secret.is_empty() {
                headers
            } else {
                and(headers, "x-gateway-secret", secret)
            }
        };
        let erin = and(claim(Vec::new()), "x-user-email", "erin@example.org");
        let no = |name, headers| -> Row { (name, headers, 401, "unauthorized") };
        all_are_refused(
            &bridge,
            vec![
                no("nobody vouches", claim(Vec::new())),
                no("twice", erin),
                no(
                    "blank",
                    vec![
                        ("x-gateway-secret", String::new()),
                        ("x-user-email", "alice@example.org".to_owned()),
                    ],
                ),
            ],
        )
        .await;
        // They add nothing to a user who has proved who they are.
        let mut erin = bearer(User::Erin.token(SECRET));
        erin = and(erin, "x-user-groups", "MCP-Admin,staff");
        erin = and(erin, "x-user-admin", "true");
        erin = and(erin, "x-auth-source", "entra-token");
        let answer = call(&bridge, &erin).await;
        answer.assert_error(403, "forbidden");
        let answer = bridge.caller(&erin).get("/admin/api/users").await;
        assert_eq!(answer.status, 403, "{}", answer.text);
        for query in [
            "?user_email=alice@example.org",
            "?email=alice@example.org&token=x",
            "?user=alice",
        ] {
            for (method, path) in [
                (Method::POST, "/one/echo"),
                (Method::GET, "/admin/api/users"),
            ] {
                let path = format!("{path}{query}");
                let answer = bridge.caller::<&str>(&[]).send(method, &path, HI).await;
                assert_eq!(answer.status, 401, "{path}: {}", answer.text);
            }
        }
        assert_eq!(seen(&bridge), 0);
    }
}

/// A call as the gateway sends it, over a raw connection: any byte in a header.
async fn by_gateway(bridge: &Bridge, email: &str, groups: &str) -> (u16, String) {
    let headers = format!(
        "x-gateway-secret: {GATEWAY_SECRET}\r\nx-user-email: {email}\r\nx-user-groups: {groups}\r\n"
    );
    bridge.line("POST /one/echo", &headers, HI).await
}

#[tokio::test]
async fn groups_are_read_whatever_they_are_called_and_however_many() {
    let bridge = bridge("http://127.0.0.1:9/none", GATEWAY).await;
    let many: Vec<_> = (0..10_000).map(|n| format!("g{n}")).collect();
    let many = many.join(",");
    for (groups, status) in [
        ("staff", 200),
        (" , ,,staff,", 200),
        ("nobody,staff,staff", 200),
        ("Project Managers", 200),
        ("  Project Managers  ,x", 200),
        ("größe-日本", 200),
        ("gr%C3%B6%C3%9Fe-%E6%97%A5%E6%9C%AC", 200),
        ("", 403),
        ("Staff", 403),
        ("sta,ff", 403),
        ("Project, Managers", 403),
        ("Project%20Managers", 403),
        ("sta\u{200b}ff", 403),
        ("'staff'", 403),
        ("staff;x", 403),
        ("*", 403),
        ("staff%00", 403),
        (&many, 403),
        (&format!("{many},staff"), 200),
        ("{{USER_GROUPS}}", 401),
    ] {
        let shown: String = groups.chars().take(40).collect();
        let (got, text) = by_gateway(&bridge, "zoe@example.org", groups).await;
        assert_eq!(got, status, "{shown}: {text}");
    }
    // Blanks and letters of an e-mail.
    let (status, _) = by_gateway(&bridge, "  ZOE@Example.ORG ", "staff").await;
    assert_eq!(status, 200);
    for email in [
        "zoe@example.org, bob@example.org",
        "zoe example",
        "a\u{7f}b",
        "{{USER_EMAIL}}",
        &"z".repeat(2_000),
    ] {
        let (status, text) = by_gateway(&bridge, email, "staff").await;
        assert!([400, 401].contains(&status), "{email}: {text}");
    }
    // More than a head may hold.
    let before = seen(&bridge);
    for bytes in [300 << 10, 2 << 20] {
        let request = format!(
            "POST /one/echo HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\nx-gateway-secret: {GATEWAY_SECRET}\r\nx-user-email: z@example.org\r\nx-user-groups: staff,{}\r\ncontent-length: 2\r\n\r\n{{}}",
            "g".repeat(bytes)
        );
        let status = head_too_large(&bridge, &request).await;
        assert!([0, 400, 431].contains(&status), "{bytes}: {status}");
    }
    let headers = "x-a: b\r\n".repeat(2_000);
    let (status, _) = bridge.line("POST /one/echo", &headers, HI).await;
    assert!([400, 431].contains(&status), "{status}");
    assert_eq!(seen(&bridge), before);
    assert_eq!(bridge.get("/health").await.status, 200);
    assert!(!bridge.log().contains("panicked"), "{}", bridge.log());
}
