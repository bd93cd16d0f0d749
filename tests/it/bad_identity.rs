//! Identities that are forged, stale, contradictory or out of reach, and texts that mean to be more
//! than texts. Nothing of it passes, and no server hears of it.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode, get_current_timestamp};
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::{Connection as _, PgConnection};

use crate::harness::{
    Answer, Bridge, Issuer, OpenWebUi, Postgres, Setup, User, free_port, token, until,
};

const SECRET: &str = "the secret of open webui, 0123456789";
const JWT_SECRET: &str = "signs the header of the user, 0123456789";
const GATEWAY_SECRET: &str = "the secret of the gateway, 0123456789";
const FORWARDER: &str = "the key of the connection, 0123456789";
const ADMIN: &str = "the key of an administrator, 0123456789";
const DEV: &str = "the key of a developer, 0123456789";

const HI: &str = r#"{"message": "hi"}"#;

const IDENTITY: &str = "
[identity.open_webui]
secret_key = '${BAD_SECRET}'
jwt_secret = '${BAD_JWT_SECRET}'
[identity.oidc.test]
issuer = '${BAD_ISSUER}'
audience = 'the-bridge'
[identity.keys.chat]
key = '${BAD_FORWARDER}'
forwards = true
[identity.keys.admin]
key = '${BAD_ADMIN}'
groups = ['MCP-Admin']
[identity.keys.dev]
key = '${BAD_DEV}'
groups = ['staff']
";

const GATEWAY: &str = "
[identity.gateway]
enabled = true
secret = '${BAD_GATEWAY_SECRET}'
";

const BRIDGES: &str = "
[access.groups]
staff = ['one']
'Project Managers' = ['one']
'größe-日本' = ['one']
[bridges.one]
{bad good --record {dir}/one.jsonl}
[bridges.two]
{bad good --record {dir}/two.jsonl}
";

type Headers = Vec<(&'static str, String)>;

fn setup(text: &str, issuer: &str) -> Setup {
    Setup::toml(text)
        .env("BAD_SECRET", SECRET)
        .env("BAD_JWT_SECRET", JWT_SECRET)
        .env("BAD_GATEWAY_SECRET", GATEWAY_SECRET)
        .env("BAD_ISSUER", issuer)
        .env("BAD_FORWARDER", FORWARDER)
        .env("BAD_ADMIN", ADMIN)
        .env("BAD_DEV", DEV)
}

/// With SQLite, Open WebUI's users in a file of their own, and this section for the gateway.
async fn bridge(issuer: &str, gateway: &str) -> Bridge {
    let text = format!("[database]\nopen_webui = '{{dir}}/webui.db'\n{IDENTITY}{gateway}{BRIDGES}");
    let setup = setup(&text, issuer);
    OpenWebUi::in_sqlite(&setup.path().join("webui.db")).await;
    setup.ready().await
}

fn bearer(text: impl Into<String>) -> Headers {
    vec![("authorization", format!("Bearer {}", text.into()))]
}

fn and(mut headers: Headers, name: &'static str, value: &str) -> Headers {
    headers.push((name, value.to_owned()));
    headers
}

async fn send(
    bridge: &Bridge,
    method: Method,
    path: &str,
    headers: &Headers,
    body: &str,
) -> Answer {
    let headers: Vec<_> = headers
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    bridge.send(method, path, &headers, body).await
}

async fn call(bridge: &Bridge, headers: &Headers) -> Answer {
    send(bridge, Method::POST, "/one/echo", headers, HI).await
}

/// How many calls reached a server.
fn seen(bridge: &Bridge) -> usize {
    bridge.calls("one.jsonl").len() + bridge.calls("two.jsonl").len()
}

/// A request, and how it must be refused.
type Row = (&'static str, Headers, u16, &'static str);

/// Sends each on every face; collects what is wrong, and that no server heard of it.
async fn all_are_refused(bridge: &Bridge, rows: Vec<Row>) {
    let before = seen(bridge);
    let mut wrong = Vec::new();
    for (name, headers, status, code) in rows {
        for (method, path) in [
            (Method::POST, "/one/echo"),
            (Method::POST, "/one_echo"),
            (Method::GET, "/one"),
        ] {
            let answer = send(bridge, method, path, &headers, HI).await;
            if (answer.status, answer.code().as_str()) != (status, code) {
                wrong.push(format!("{name} {path}: {} {}", answer.status, answer.text));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(seen(bridge), before, "a refused call reached a server");
}

/// A token in three parts, by hand.
fn by_hand(header: &Value, claims: &Value, signature: &str) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}.{signature}", part(header), part(claims))
}

fn with(mut claims: Value, name: &str, value: impl Into<Value>) -> Value {
    claims[name] = value.into();
    claims
}

#[tokio::test]
async fn tokens_that_prove_nothing_are_refused() {
    let issuer = Issuer::start().await;
    let other_issuer = Issuer::start().await;
    let bridge = bridge(&issuer.url, GATEWAY).await;
    let now = get_current_timestamp();

    let claims = User::Alice.claims();
    let good = User::Alice.token(SECRET);
    assert_eq!(call(&bridge, &bearer(good.as_str())).await.status, 200);
    let session = |claims: &Value| bearer(token(SECRET, claims));
    let none = |alg: &str| bearer(by_hand(&json!({ "alg": alg, "typ": "JWT" }), &claims, ""));
    let secret = EncodingKey::from_secret(SECRET.as_bytes());
    let hs512 = encode(&Header::new(Algorithm::HS512), &claims, &secret).unwrap();
    let (unsigned, _) = good.rsplit_once('.').unwrap();
    let no = |name, headers| -> Row { (name, headers, 401, "unauthorized") };
    let mut rows = vec![
        no(
            "forged",
            bearer(token("another secret, 0123456789012345", &claims)),
        ),
        no("with an empty secret", bearer(token("", &claims))),
        no("expired", session(&with(claims.clone(), "exp", now - 1))),
        no(
            "expiry is a text",
            session(&with(claims.clone(), "exp", "never")),
        ),
        no(
            "not yet",
            session(&with(claims.clone(), "nbf", now + 3_600)),
        ),
        no(
            "from the future",
            session(&with(claims.clone(), "iat", now + 3_600)),
        ),
        no("none", none("none")),
        no("None", none("None")),
        no("nOnE", none("nOnE")),
        no(
            "no algorithm",
            bearer(by_hand(&json!({ "typ": "JWT" }), &claims, "")),
        ),
        no("another algorithm", bearer(hs512)),
        no("cut off", bearer(&good[..good.len() - 10])),
        no("cut in the claims", bearer(&good[..60])),
        no("no signature", bearer(format!("{unsigned}."))),
        no("two parts", bearer(unsigned)),
        no("four parts", bearer(format!("{good}.{good}"))),
        no("only dots", bearer("ey..")),
        no("another kind", session(&with(claims.clone(), "typ", "mfa"))),
        no(
            "a stale stamp",
            session(&with(claims.clone(), "session_stamp", "old")),
        ),
        no(
            "nobody's id",
            session(&with(claims.clone(), "id", "id-nobody")),
        ),
        no(
            "an id of SQL",
            session(&with(claims.clone(), "id", "' OR '1'='1")),
        ),
        no(
            "an id that is a number",
            session(&with(claims.clone(), "id", 1)),
        ),
        no("pending", bearer(User::Carol.token(SECRET))),
        no("switched off", bearer(User::Dave.token(SECRET))),
        no("a key of nobody", bearer("sk-nobody")),
        no("a key of a pending user", bearer(User::Carol.api_key())),
    ];

    // The same of an OpenID issuer.
    let claims = json!({
        "iss": issuer.url, "aud": "the-bridge", "exp": now + 600, "iat": now, "sub": "s",
        "email": "x@example.org", "groups": ["staff"],
    });
    let good = issuer.sign("one", &claims);
    assert_eq!(call(&bridge, &bearer(good.as_str())).await.status, 200);
    let oidc =
        |name: &str, value: Value| bearer(issuer.sign("one", &with(claims.clone(), name, value)));
    let confused = |secret: &[u8]| {
        let mut header = Header::new(Algorithm::HS256);
        header.kid = Some("one".to_owned());
        bearer(encode(&header, &claims, &EncodingKey::from_secret(secret)).unwrap())
    };
    let public = issuer.public_key();
    let x = URL_SAFE_NO_PAD.encode(public);
    let header = json!({ "alg": "none", "kid": "one" });
    rows.extend([
        no("oidc: forged", bearer(other_issuer.sign("one", &claims))),
        no(
            "oidc: another issuer",
            oidc("iss", other_issuer.url.clone().into()),
        ),
        no(
            "oidc: a longer issuer",
            oidc("iss", format!("{}.evil.example", issuer.url).into()),
        ),
        no("oidc: another audience", oidc("aud", "somebody".into())),
        no("oidc: no audience", oidc("aud", Value::Null)),
        no("oidc: expired", oidc("exp", (now - 600).into())),
        no("oidc: no expiry", oidc("exp", Value::Null)),
        no("oidc: not yet", oidc("nbf", (now + 3_600).into())),
        no("oidc: from the future", oidc("iat", (now + 3_600).into())),
        no("oidc: unknown key", bearer(issuer.sign("two", &claims))),
        no("oidc: none", bearer(by_hand(&header, &claims, ""))),
        no("oidc: the public key as a secret", confused(public)),
        no("oidc: its text as a secret", confused(x.as_bytes())),
        no("oidc: our own secret", confused(SECRET.as_bytes())),
        no("oidc: cut off", bearer(&good[..good.len() - 10])),
    ]);

    // The same of the signed header.
    let claims = json!({
        "sub": "id-alice", "email": "alice@example.org", "role": "user", "iss": "open-webui",
        "iat": now, "exp": now + 300,
    });
    let signed = |secret: &str, name: &str, value: Value| -> Headers {
        let claims = with(claims.clone(), name, value);
        vec![("x-openwebui-user-jwt", token(secret, &claims))]
    };
    let good = signed(JWT_SECRET, "x", Value::Null);
    assert_eq!(call(&bridge, &good).await.status, 200);
    rows.extend([
        no("signed: forged", signed("another", "x", Value::Null)),
        no(
            "signed: with the session's secret",
            signed(SECRET, "x", Value::Null),
        ),
        no(
            "signed: expired",
            signed(JWT_SECRET, "exp", (now - 1).into()),
        ),
        no(
            "signed: another issuer",
            signed(JWT_SECRET, "iss", "evil".into()),
        ),
        no(
            "signed: not yet",
            signed(JWT_SECRET, "nbf", (now + 3_600).into()),
        ),
        no(
            "signed: from the future",
            signed(JWT_SECRET, "iat", (now + 3_600).into()),
        ),
        no(
            "signed: pending",
            signed(JWT_SECRET, "role", "pending".into()),
        ),
        no(
            "signed: none",
            vec![(
                "x-openwebui-user-jwt",
                by_hand(&json!({ "alg": "none" }), &claims, ""),
            )],
        ),
        no("signed as a bearer", bearer(token(JWT_SECRET, &claims))),
    ]);
    all_are_refused(&bridge, rows).await;

    // Tokens of any size: refused, or not even read.
    for bytes in [17 << 10, 100 << 10, 300 << 10] {
        for headers in [
            bearer(format!("ey{}.x.y", "A".repeat(bytes))),
            bearer("k".repeat(bytes)),
            vec![(
                "x-openwebui-user-jwt",
                format!("ey{}.x.y", "A".repeat(bytes)),
            )],
            vec![("cookie", format!("token=ey{}.x.y", "A".repeat(bytes)))],
        ] {
            let answer = call(&bridge, &headers).await;
            assert!(
                [401, 431].contains(&answer.status),
                "{bytes}: {}",
                answer.status
            );
        }
    }
    assert_eq!(seen(&bridge), 3);
    let log = bridge.log();
    assert!(
        !log.contains("panicked") && !log.contains(good[0].1.as_str()),
        "{log}"
    );
}

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
    // The same user in other letters is the same user.
    for headers in [
        and(alice(), "x-user-email", "ALICE@EXAMPLE.ORG"),
        and(alice(), "x-openwebui-user-email", "Alice@example.Org"),
        and(alice(), "x-openwebui-user-id", "id-alice"),
        and(alice(), "x-openwebui-user-jwt", &signed(User::Alice)),
        by_gateway(alice(), "aLICE@example.org"),
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
        assert_eq!((answer.status, answer.code().as_str()), (403, "forbidden"));
        let answer = send(&bridge, Method::GET, "/admin/api/users", &erin, "").await;
        assert_eq!(answer.status, 403, "{}", answer.text);
        for query in [
            "?user_email=alice@example.org",
            "?email=alice@example.org&token=x",
            "?user=alice",
        ] {
            for path in ["/one/echo", "/admin/api/users"] {
                let method = if path == "/one/echo" {
                    Method::POST
                } else {
                    Method::GET
                };
                let answer =
                    send(&bridge, method, &format!("{path}{query}"), &Vec::new(), HI).await;
                assert_eq!(answer.status, 401, "{path}{query}: {}", answer.text);
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
    for bytes in [500 << 10, 2 << 20] {
        let request = format!(
            "POST /one/echo HTTP/1.1\r\nhost: localhost\r\nx-gateway-secret: {GATEWAY_SECRET}\r\nx-user-email: z@example.org\r\nx-user-groups: staff,{}\r\ncontent-length: 2\r\n\r\n{{}}",
            "g".repeat(bytes)
        );
        let status = head_too_large(&bridge, &request).await;
        assert!([0, 400, 431].contains(&status), "{bytes}: {status}");
    }
    let headers: String = (0..2_000).map(|n| format!("x-a-{n}: b\r\n")).collect();
    let (status, _) = bridge.line("POST /one/echo", &headers, HI).await;
    assert!([400, 431].contains(&status), "{status}");
    assert_eq!(seen(&bridge), before);
    assert_eq!(bridge.get("/health").await.status, 200);
    assert!(!bridge.log().contains("panicked"), "{}", bridge.log());
}

/// The status of a request that may be cut off while it is sent; 0 where the connection was reset
/// before the answer could be read.
async fn head_too_large(bridge: &Bridge, request: &str) -> u16 {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let mut stream = bridge.connect().await;
    // The other end may be gone before all is written.
    stream.write_all(request.as_bytes()).await.ok();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.ok();
    let text = String::from_utf8_lossy(&answer);
    text.split(' ')
        .nth(1)
        .and_then(|it| it.parse().ok())
        .unwrap_or(0)
}

#[tokio::test]
async fn a_blank_secret_switches_off_and_an_empty_one_is_a_mistake() {
    for blank in ["", " \t "] {
        let setup = Setup::toml(&format!(
            "[database]\nopen_webui = '{{dir}}/webui.db'\n[identity.open_webui]\nsecret_key = '${{BAD_SECRET}}'\njwt_secret = '${{BAD_JWT_SECRET}}'\n[identity.keys.dev]\nkey = '${{BAD_DEV}}'\n[identity.keys.off]\nkey = '${{BAD_OFF}}'\n{BRIDGES}"
        ));
        OpenWebUi::in_sqlite(&setup.path().join("webui.db")).await;
        let bridge = setup
            .env("BAD_SECRET", blank)
            .env("BAD_JWT_SECRET", blank)
            .env("BAD_OFF", blank)
            .env("BAD_DEV", DEV)
            .ready()
            .await;
        let now = get_current_timestamp();
        let signed = json!({ "sub": "id-alice", "iss": "open-webui", "exp": now + 300 });
        for secret in [blank, "x"] {
            let signed = vec![("x-openwebui-user-jwt", token(secret, &signed))];
            for headers in [
                bearer(User::Alice.token(secret)),
                signed,
                bearer(blank),
                bearer(""),
            ] {
                let answer = call(&bridge, &headers).await;
                assert_eq!(answer.status, 401, "{headers:?}: {}", answer.text);
            }
        }
        assert_eq!(seen(&bridge), 0);
    }
    for (section, name) in [
        (
            "[identity.open_webui]\nurl = 'http://localhost:1'\nsecret_key = ''",
            "secret_key",
        ),
        ("[identity.open_webui]\njwt_secret = ' '", "jwt_secret"),
        ("[identity.gateway]\nenabled = true\nsecret = ''", "secret"),
        ("[identity.keys.team]\nkey = ''", "key"),
    ] {
        let (code, log) = Setup::toml(&format!("{section}\n[bridges.one]\n{{bad good}}\n"))
            .output()
            .await;
        assert_eq!(code, 2, "{section}: {log}");
        assert!(
            log.contains("error: ") && log.contains(name),
            "{section}: {log}"
        );
        assert!(!log.contains("listening"), "{log}");
    }
}

fn with_postgres(database: &Postgres, more: &str) -> Setup {
    let text = format!(
        "[database]\nurl = '{}'\ntimeout = '1s'\n{IDENTITY}{GATEWAY}[access]\ncache_ttl = '1s'\n{more}{BRIDGES}",
        database.url
    );
    setup(&text, "http://127.0.0.1:9/none")
}

#[tokio::test]
async fn a_database_that_goes_away_or_stands_still_lets_nobody_in() {
    let database = Postgres::create().await;
    OpenWebUi::in_postgres(&database).await;
    let bridge = with_postgres(&database, "").ready().await;
    let alice = bearer(User::Alice.token(SECRET));
    assert_eq!(call(&bridge, &alice).await.status, 200);

    // Away in the middle of a call: the call was let in and ends well.
    let slow = send(
        &bridge,
        Method::POST,
        "/one/slow",
        &alice,
        r#"{"seconds": 1}"#,
    );
    let outage = async {
        until(async || seen(&bridge) == 2).await;
        database.shut_out().await;
    };
    let (answer, ()) = tokio::join!(slow, outage);
    assert_eq!(answer.status, 200, "{}", answer.text);
    // Who was not asked for before is not guessed.
    let answer = call(&bridge, &bearer(User::Bob.token(SECRET))).await;
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (503, "store_unavailable")
    );
    assert!(!answer.header("retry-after").is_empty());
    until(async || call(&bridge, &alice).await.status == 503).await;
    database.let_in().await;
    until(async || call(&bridge, &alice).await.status == 200).await;

    // There, but somebody holds the tables.
    let mut holder = PgConnection::connect(&database.url).await.unwrap();
    let lock = "BEGIN; LOCK TABLE mcp_proxy.group_tenant_mapping, mcp_proxy.user_group_membership IN ACCESS EXCLUSIVE MODE";
    sqlx::raw_sql(lock).execute(&mut holder).await.unwrap();
    until(async || call(&bridge, &alice).await.status == 503).await;
    let before = seen(&bridge);
    let began = Instant::now();
    let both = bearer(User::Bob.token(SECRET));
    let (first, second) = tokio::join!(call(&bridge, &alice), call(&bridge, &both));
    for answer in [first, second] {
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (503, "store_unavailable")
        );
    }
    assert!(
        began.elapsed() < Duration::from_secs(3),
        "{:?}",
        began.elapsed()
    );
    assert_eq!(seen(&bridge), before);
    let began = Instant::now();
    assert_eq!(bridge.get("/health").await.status, 200);
    assert!(
        began.elapsed() < Duration::from_millis(500),
        "{:?}",
        began.elapsed()
    );
    holder.close().await.unwrap();
    until(async || call(&bridge, &alice).await.status == 200).await;
}

#[tokio::test]
async fn open_webui_out_of_reach_is_an_outage_and_no_permission() {
    let port = free_port();
    let text = format!("{IDENTITY}{BRIDGES}").replace(
        "jwt_secret = '${BAD_JWT_SECRET}'",
        &format!("url = 'http://127.0.0.1:{port}'"),
    );
    let bridge = setup(&text, "http://127.0.0.1:9/none").ready().await;
    let began = Instant::now();
    let answer = call(&bridge, &bearer(User::Alice.token(SECRET))).await;
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (503, "identity_unavailable")
    );
    assert!(!answer.header("retry-after").is_empty());
    assert!(
        began.elapsed() < Duration::from_secs(5),
        "{:?}",
        began.elapsed()
    );
    // What is forged is refused without asking.
    let answer = call(
        &bridge,
        &bearer(User::Alice.token("another secret, 01234567890")),
    )
    .await;
    assert_eq!(answer.status, 401);
    assert_eq!(seen(&bridge), 0);
    assert_eq!(
        call(&bridge, &bearer(DEV)).await.status,
        200,
        "keys need nobody"
    );
}

#[tokio::test]
async fn an_issuer_out_of_reach_counts_only_while_its_keys_are_known() {
    let mut issuer = Issuer::start().await;
    issuer.stop().await;
    let bridge = bridge(&issuer.url, GATEWAY).await;
    let claims = json!({ "sub": "s", "email": "x@example.org", "groups": ["staff"] });
    let good = bearer(issuer.token("the-bridge", claims.clone()));
    for _ in 0..3 {
        let answer = call(&bridge, &good).await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (503, "identity_unavailable")
        );
    }
    assert_eq!(seen(&bridge), 0);
    issuer.start_again().await;
    until(async || call(&bridge, &good).await.status == 200).await;
    issuer.stop().await;
    for _ in 0..3 {
        assert_eq!(call(&bridge, &good).await.status, 200, "the keys are known");
    }
    let before = seen(&bridge);
    let mut unknown = claims;
    unknown["iss"] = issuer.url.clone().into();
    unknown["aud"] = "the-bridge".into();
    unknown["exp"] = (get_current_timestamp() + 600).into();
    let answer = call(&bridge, &bearer(issuer.sign("two", &unknown))).await;
    assert!([401, 503].contains(&answer.status), "{}", answer.text);
    assert_eq!(seen(&bridge), before);
}

/// Texts that mean to be more than texts.
const INJECTIONS: [&str; 6] = [
    "'; DROP TABLE mcp_proxy.group_tenant_mapping; --",
    "' OR '1'='1",
    "\" OR 1=1 --",
    "%' UNION SELECT version() --",
    "$1) OR (1=1",
    "\\'; DELETE FROM user_group_membership; --",
];

#[tokio::test]
async fn sql_is_text_in_sqlite() {
    let bridge = bridge("http://127.0.0.1:9/none", GATEWAY).await;
    sql_is_text(&bridge).await;
}

#[tokio::test]
async fn sql_is_text_in_postgres() {
    let database = Postgres::create().await;
    OpenWebUi::in_postgres(&database).await;
    let bridge = with_postgres(&database, "").ready().await;
    sql_is_text(&bridge).await;
}

fn encoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes())
        .collect::<String>()
        .replace('+', "%20")
}

async fn admin(bridge: &Bridge, method: Method, path: &str, body: &Value) -> Answer {
    let headers = and(bearer(ADMIN), "content-type", "application/json");
    let body = if body.is_null() {
        String::new()
    } else {
        body.to_string()
    };
    send(
        bridge,
        method,
        &format!("/admin/api{path}"),
        &headers,
        &body,
    )
    .await
}

async fn sql_is_text(bridge: &Bridge) {
    let grants = async || {
        let answer = admin(bridge, Method::GET, "/grants", &Value::Null).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.json()["grants"].as_array().unwrap().clone()
    };
    let before = grants().await;
    assert_eq!(before.len(), 3);
    for text in INJECTIONS {
        through_every_field(bridge, text).await;
        through_the_command_line(bridge, text).await;
    }
    // Nothing is gone, and what was added is what was written.
    let after = grants().await;
    for grant in &before {
        assert!(after.contains(grant), "{grant} is gone");
    }
    let groups: BTreeSet<_> = after
        .iter()
        .map(|it| it["group"].as_str().unwrap())
        .collect();
    for text in INJECTIONS.iter().filter(|text| !text.contains(',')) {
        assert!(groups.contains(text), "{text} in {groups:?}");
    }
    assert_eq!(call(bridge, &bearer(DEV)).await.status, 200);
    assert_eq!(
        call(bridge, &bearer(User::Alice.token(SECRET)))
            .await
            .status,
        200
    );
    assert_eq!(
        call(bridge, &bearer(User::Erin.token(SECRET))).await.status,
        403
    );
    let log = bridge.log();
    assert!(
        !log.contains("syntax error") && !log.contains("panicked"),
        "{log}"
    );
}

/// Every field and header of the program that takes text.
async fn through_every_field(bridge: &Bridge, text: &str) {
    let path = encoded(text);
    let email = format!("{}@example.org", text.replace([' ', ',', ';'], ""));
    let group = json!({ "group": text, "bridge": "one" });
    let mut answers = Vec::new();
    for (method, path, body) in [
        (Method::POST, "/grants".to_owned(), group),
        (
            Method::POST,
            "/grants".to_owned(),
            json!({ "group": "g", "bridge": text }),
        ),
        (
            Method::POST,
            "/grants".to_owned(),
            json!({ "group": "g", "bridge": "one", "tools": [text] }),
        ),
        (
            Method::DELETE,
            "/grants".to_owned(),
            json!({ "group": "g", "bridge": text }),
        ),
        (
            Method::POST,
            "/groups".to_owned(),
            json!({ "group_name": text, "server_ids": ["one"] }),
        ),
        (
            Method::POST,
            "/groups".to_owned(),
            json!({ "group_name": "g", "server_ids": [text] }),
        ),
        (
            Method::PUT,
            format!("/groups/{path}"),
            json!({ "server_ids": ["one"] }),
        ),
        (Method::GET, format!("/groups/{path}"), Value::Null),
        (Method::DELETE, format!("/groups/{path}x"), Value::Null),
        (
            Method::POST,
            "/users/groups".to_owned(),
            json!({ "email": email, "group_name": text }),
        ),
        (
            Method::POST,
            "/users/groups".to_owned(),
            json!({ "email": text, "group_name": "g" }),
        ),
        (
            Method::DELETE,
            "/users/groups".to_owned(),
            json!({ "email": email, "group_name": text }),
        ),
        (
            Method::POST,
            "/admins".to_owned(),
            json!({ "email": email }),
        ),
        (
            Method::DELETE,
            "/admins".to_owned(),
            json!({ "email": email }),
        ),
        (
            Method::POST,
            "/keys".to_owned(),
            json!({ "name": text, "groups": [text] }),
        ),
        (
            Method::POST,
            "/keys".to_owned(),
            json!({ "name": "k", "expires_at": text }),
        ),
        (Method::DELETE, "/keys".to_owned(), json!({ "name": text })),
        (
            Method::POST,
            format!("/bridges/{path}/restart"),
            Value::Null,
        ),
        (
            Method::GET,
            format!("/grants?group={path}&bridge={path}"),
            Value::Null,
        ),
        (
            Method::GET,
            format!(
                "/calls?caller={path}&bridge={path}&tool={path}&outcome={path}&request_id={path}"
            ),
            Value::Null,
        ),
        (Method::GET, format!("/calls?cursor=1.{path}"), Value::Null),
        (Method::GET, format!("/calls?since={path}"), Value::Null),
        (Method::GET, format!("/changes?actor={path}"), Value::Null),
        (
            Method::GET,
            format!("/explain?user={path}&bridge={path}&tool={path}"),
            Value::Null,
        ),
    ] {
        let answer = admin(bridge, method.clone(), &path, &body).await;
        answers.push((format!("{method} {path} {body}"), answer));
    }
    for name in [
        "x-user-email",
        "x-user-groups",
        "x-tenant-id",
        "x-request-id",
        "x-openwebui-user-id",
        "x-openwebui-user-role",
    ] {
        let gateway = vec![
            ("x-gateway-secret", GATEWAY_SECRET.to_owned()),
            (name, text.to_owned()),
        ];
        answers.push((
            format!("{name} of the gateway"),
            call(bridge, &gateway).await,
        ));
        let forwarder = and(bearer(FORWARDER), name, text);
        answers.push((
            format!("{name} beside a key"),
            call(bridge, &forwarder).await,
        ));
    }
    answers.push(("a key".to_owned(), call(bridge, &bearer(text)).await));
    answers.push((
        "a key of Open WebUI".to_owned(),
        call(bridge, &bearer(format!("sk-{text}"))).await,
    ));
    for path in [
        format!("/one/{path}"),
        format!("/{path}/echo"),
        format!("/one_{path}"),
    ] {
        let answer = send(bridge, Method::POST, &path, &bearer(DEV), HI).await;
        assert!(
            [403, 404].contains(&answer.status),
            "{path}: {}",
            answer.text
        );
        answers.push((path, answer));
    }
    for (what, answer) in answers {
        assert!(
            answer.status < 500,
            "{what}: {} {}",
            answer.status,
            answer.text
        );
        assert!(!answer.text.contains("syntax"), "{what}: {}", answer.text);
    }
}

async fn through_the_command_line(bridge: &Bridge, text: &str) {
    for words in [
        vec!["access", "grant", text, "one"],
        vec!["access", "add", "x@example.org", text],
        vec!["access", "remove", "x@example.org", text],
        vec!["access", "explain", text, "one", text],
        vec![
            "audit",
            "query",
            "--caller",
            text,
            "--bridge",
            text,
            "--tool",
            text,
            "--workspace",
            text,
        ],
        vec!["audit", "changes", "--actor", text],
    ] {
        let (code, stdout, stderr) = bridge.command(&words).await;
        assert!([0, 1, 2].contains(&code), "{words:?}: {code}");
        let said = format!("{stdout}{stderr}");
        for trouble in ["syntax", "panicked", "database is"] {
            assert!(!said.contains(trouble), "{words:?}: {said}");
        }
    }
}

/// The admin API, from its own list of routes: method and path.
fn admin_routes() -> Vec<(Method, String)> {
    let text = include_str!("../../src/http/admin/mod.rs");
    let routes = text.split(".route(").skip(1);
    let mut found = Vec::new();
    for route in routes {
        let end = route.find(".route(").unwrap_or(route.len());
        let route = &route[..end];
        let path = route.split('"').nth(1).unwrap().replace("{name}", "one");
        for (word, method) in [
            ("get(", Method::GET),
            ("post(", Method::POST),
            ("put(", Method::PUT),
            ("delete(", Method::DELETE),
        ] {
            if route.contains(word) {
                found.push((method, format!("/admin/api{path}")));
            }
        }
    }
    assert_eq!(found.len(), 23, "a route more or less: {found:?}");
    found
}

#[tokio::test]
async fn the_admin_api_is_for_administrators_alone() {
    let bridge = bridge("http://127.0.0.1:9/none", GATEWAY).await;
    let named = |email: &str| {
        and(
            vec![("x-gateway-secret", GATEWAY_SECRET.to_owned())],
            "x-user-email",
            email,
        )
    };
    let senders: [(&str, Headers, u16); 10] = [
        ("nobody", Vec::new(), 401),
        ("a wrong key", bearer("wrong"), 401),
        (
            "a forged token",
            bearer(User::Root.token("another secret, 012345678901234")),
            401,
        ),
        (
            "nobody vouches",
            vec![
                ("x-user-email", "root@example.org".to_owned()),
                ("x-user-admin", "true".to_owned()),
            ],
            401,
        ),
        (
            "a claim",
            and(Vec::new(), "x-auth-source", "entra-token"),
            401,
        ),
        ("a plain key", bearer(DEV), 403),
        ("a forwarder alone", bearer(FORWARDER), 403),
        ("a plain user", bearer(User::Alice.token(SECRET)), 403),
        (
            "a plain user who claims it",
            and(bearer(User::Alice.token(SECRET)), "x-user-admin", "true"),
            403,
        ),
        ("a user of the gateway", named("alice@example.org"), 403),
    ];
    let mut wrong = Vec::new();
    for (method, path) in admin_routes() {
        for (who, headers, status) in &senders {
            let headers = and(headers.clone(), "content-type", "application/json");
            let answer = send(&bridge, method.clone(), &path, &headers, "{}").await;
            let code = if *status == 401 {
                "unauthorized"
            } else {
                "forbidden"
            };
            if (answer.status, answer.code().as_str()) != (*status, code) {
                wrong.push(format!(
                    "{method} {path} by {who}: {} {}",
                    answer.status, answer.text
                ));
            }
        }
        // And an administrator gets in, whatever becomes of it.
        let headers = and(bearer(ADMIN), "content-type", "application/json");
        let answer = send(&bridge, method.clone(), &path, &headers, "{}").await;
        if [401, 403, 405].contains(&answer.status) || answer.status >= 500 {
            wrong.push(format!(
                "{method} {path} by an administrator: {} {}",
                answer.status, answer.text
            ));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    let changes = admin(&bridge, Method::GET, "/changes", &Value::Null)
        .await
        .json();
    let is_ours = |it: &Value| it["actor"] == "admin" || it["actor"] == "configuration";
    let all = changes["changes"].as_array().unwrap();
    assert!(all.iter().all(is_ours), "{changes}");
}

/// Paths that mean to be another one, below the bridges `one` and `two`.
const TRICKS: &[&str] = &[
    "//two/echo",
    "///two/echo",
    "/two//echo",
    "//two//echo",
    "/./two/echo",
    "/two/./echo",
    "/one/../two/echo",
    "/one/..//two/echo",
    "/one/%2e%2e/two/echo",
    "/one/%2E%2E/two/echo",
    "/one/.%2e/two/echo",
    "/one/..%2ftwo/echo",
    "/one/..%2Ftwo%2Fecho",
    "/one%2f..%2ftwo/echo",
    "/one/%2e%2e%2ftwo%2fecho",
    "/one/..;/two/echo",
    "/one;/../two/echo",
    "/two;x=1/echo",
    "/one/..\\two\\echo",
    "/one/..%5ctwo%5cecho",
    "/two%2fecho",
    "/two%2Fecho",
    "/%2ftwo/echo",
    "/%74wo/echo",
    "/tw%6f/echo",
    "/two/%65cho",
    "/two/ech%6f",
    "/%2574wo/echo",
    "/two%252fecho",
    "/TWO/echo",
    "/Two/echo",
    "/two/ECHO",
    "/two./echo",
    "/two../echo",
    "/two%20/echo",
    "/%20two/echo",
    "/two%09/echo",
    "/two%00/echo",
    "/%00two/echo",
    "/two/echo%00",
    "/two/%00echo",
    "/two/echo.",
    "/two/echo%20",
    "/two/echo/",
    "/two/echo//",
    "/two/echo;x",
    "/two/echo/.",
    "/two/echo/..",
    "/two/echo%2f",
    "/two/echo?x",
    "/two/echo%3fx",
    "/two/echo%23x",
    "/one%c0%af..%c0%aftwo/echo",
    "/one/%c0%ae%c0%ae/two/echo",
    "/two%c0%80/echo",
    "/two/ech%c1%af",
    "/two/%ff",
    "/two/%e0%80%af",
    "/two%ef%bc%8fecho",
    "/%ef%bd%94wo/echo",
    "/two\u{2215}echo",
    "/two_echo",
    "//two_echo",
    "/TWO_ECHO",
    "/two_echo/",
    "/two%5fecho",
    "/two_%65cho",
    "/two_echo%00",
    "/two_echo%20",
    "/two_echo.",
    "/one/../two_echo",
    "/one/%2e%2e/two_echo",
    "/one_/../two_echo",
    "/one/two_echo",
    "/one/two/echo",
    "/one_two_echo",
    "/one/echo/../../two/echo",
    "/..",
    "/../two/echo",
    "/%2e%2e/two/echo",
    "/./.././two/echo",
    "/one/echo/..%2f..%2ftwo/echo",
    "/.%00./two/echo",
    "/docs/../two/echo",
    "/health/../two/echo",
    "/admin/../two/echo",
    "/openapi.json/../two/echo",
    "/refresh/../two/echo",
    "/two/echo%0d%0ax-user-email:%20root@example.org",
    "http://localhost/two/echo",
    "http://two/echo",
    "//localhost/two/echo",
    "two/echo",
    "*",
    "/two/%",
    "/two/%2",
    "/two/%zz",
];

#[tokio::test]
async fn no_path_leads_where_the_plain_one_does_not() {
    let bridge = bridge("http://127.0.0.1:9/none", GATEWAY).await;
    let plain = send(&bridge, Method::POST, "/two/echo", &bearer(DEV), HI).await;
    assert_eq!((plain.status, plain.code().as_str()), (403, "forbidden"));
    let key = |key: &str| format!("authorization: Bearer {key}\r\n");
    let mut wrong = Vec::new();
    for path in TRICKS {
        for method in ["POST", "GET", "PUT", "HEAD", "PATCH"] {
            for (who, headers) in [("dev", key(DEV)), ("nobody", String::new())] {
                let (status, text) = bridge.line(&format!("{method} {path}"), &headers, HI).await;
                if !(400..500).contains(&status) {
                    wrong.push(format!("{method} {path} by {who}: {text}"));
                }
            }
        }
        let admin_path = format!("/admin/api/users{path}");
        let (status, text) = bridge
            .line(&format!("GET {admin_path}"), &key(DEV), "")
            .await;
        if !(400..500).contains(&status) {
            wrong.push(format!("GET {admin_path}: {text}"));
        }
    }
    for path in [
        "//admin/api/users",
        "/admin//api/users",
        "/admin/api//users",
        "/ADMIN/api/users",
        "/admin/api/users/",
        "/admin/api/./users",
        "/one/../admin/api/users",
        "/one/%2e%2e/admin/api/users",
        "/admin%2fapi%2fusers",
        "/admin/api/users%00",
        "/admin/api/users%20",
        "/admin/api/users.",
        "/admin/api/%75sers",
        "/%61dmin/api/users",
        "/docs/../admin/api/users",
        "/admin/api;x/users",
        "/admin\\api\\users",
    ] {
        for method in ["GET", "POST"] {
            let (status, text) = bridge
                .line(&format!("{method} {path}"), &key(DEV), "")
                .await;
            if !(400..500).contains(&status) {
                wrong.push(format!("{method} {path}: {text}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(seen(&bridge), 0);
    // Whoever may use both: what begins with one bridge never reaches the other.
    for path in TRICKS.iter().filter(|it| it.starts_with("/one")) {
        bridge.line(&format!("POST {path}"), &key(ADMIN), HI).await;
    }
    assert_eq!(bridge.calls("two.jsonl").len(), 0);
    // Bytes that are no path at all.
    for line in [
        "POST /two\0/echo",
        "POST /two/echo\t",
        "POST /two\u{7f}/echo",
        "POST  /two/echo",
        "POST /tw\u{e4}o/echo",
    ] {
        let (status, text) = bridge.line(line, &key(DEV), HI).await;
        assert!((400..500).contains(&status), "{line:?}: {text}");
    }
    assert_eq!(seen(&bridge), 0);
    assert_eq!(call(&bridge, &bearer(DEV)).await.status, 200);
    assert!(!bridge.log().contains("panicked"), "{}", bridge.log());
}
