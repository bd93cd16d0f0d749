//! Identities that are forged, stale, contradictory or out of reach, and texts that mean to be more
//! than texts. Nothing of it passes, and no server hears of it.

mod headers;
mod outages;
mod paths;
mod texts;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode, get_current_timestamp};
use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Answer, Bridge, Issuer, OpenWebUi, Postgres, Setup, User, token};

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
        .admin_key("BAD_ADMIN", ADMIN)
        .env("BAD_DEV", DEV)
}

/// With SQLite, Open WebUI's users in a file of their own, and this section for the gateway.
async fn bridge(issuer: &str, gateway: &str) -> Bridge {
    let text = format!("[database]\nopen_webui = '{{dir}}/webui.db'\n{IDENTITY}{gateway}{BRIDGES}");
    let setup = setup(&text, issuer);
    OpenWebUi::in_sqlite(&setup.path().join("webui.db")).await;
    setup.ready().await
}

/// With PostgreSQL and a short patience.
fn with_postgres(database: &Postgres, more: &str) -> Setup {
    let text = format!(
        "[database]\nurl = '{}'\ntimeout = '1s'\n{IDENTITY}{GATEWAY}[access]\ncache_ttl = '1s'\n{more}{BRIDGES}",
        database.url
    );
    setup(&text, "http://127.0.0.1:9/none")
}

fn bearer(text: impl Into<String>) -> Headers {
    vec![("authorization", format!("Bearer {}", text.into()))]
}

fn and(mut headers: Headers, name: &'static str, value: &str) -> Headers {
    headers.push((name, value.to_owned()));
    headers
}

async fn call(bridge: &Bridge, headers: &Headers) -> Answer {
    bridge.caller(headers).post("/one/echo", HI).await
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
            let answer = bridge.caller(&headers).send(method, path, HI).await;
            if (answer.status, answer.code().as_str()) != (status, code) {
                wrong.push(format!("{name} {path}: {} {}", answer.status, answer.text));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(seen(bridge), before, "a refused call reached a server");
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

/// A token in three parts, by hand.
fn by_hand(header: &Value, claims: &Value, signature: &str) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}.{signature}", part(header), part(claims))
}

fn with(mut claims: Value, name: &str, value: Value) -> Value {
    claims[name] = value;
    claims
}

/// What proves nothing.
fn no(name: &'static str, headers: Headers) -> Row {
    (name, headers, 401, "unauthorized")
}

/// Sessions of Open WebUI that are none.
fn sessions(now: u64) -> Vec<Row> {
    let claims = User::Alice.claims();
    let good = User::Alice.token(SECRET);
    let with = |name: &str, value: Value| bearer(token(SECRET, &with(claims.clone(), name, value)));
    let none = |alg: &str| bearer(by_hand(&json!({ "alg": alg, "typ": "JWT" }), &claims, ""));
    let forged = |secret: &str| bearer(token(secret, &claims));
    let secret = EncodingKey::from_secret(SECRET.as_bytes()).unwrap();
    let hs512 = encode(&Header::new(Algorithm::HS512), &claims, &secret).unwrap();
    let unnamed = by_hand(&json!({ "typ": "JWT" }), &claims, "");
    let (unsigned, _) = good.rsplit_once('.').unwrap();
    vec![
        no("forged", forged("another secret, 0123456789012345")),
        no("with an empty secret", forged("")),
        no("expired", with("exp", (now - 1).into())),
        no("expiry is a text", with("exp", "never".into())),
        no("not yet", with("nbf", (now + 3_600).into())),
        no("from the future", with("iat", (now + 3_600).into())),
        no("none", none("none")),
        no("None", none("None")),
        no("nOnE", none("nOnE")),
        no("no algorithm", bearer(unnamed)),
        no("another algorithm", bearer(hs512)),
        no("cut off", bearer(&good[..good.len() - 10])),
        no("cut in the claims", bearer(&good[..60])),
        no("no signature", bearer(format!("{unsigned}."))),
        no("two parts", bearer(unsigned)),
        no("four parts", bearer(format!("{good}.{good}"))),
        no("only dots", bearer("ey..")),
        no("another kind", with("typ", "mfa".into())),
        no("a stale stamp", with("session_stamp", "old".into())),
        no("nobody's id", with("id", "id-nobody".into())),
        no("an id of SQL", with("id", "' OR '1'='1".into())),
        no("an id that is a number", with("id", 1.into())),
        no("pending", bearer(User::Carol.token(SECRET))),
        no("switched off", bearer(User::Dave.token(SECRET))),
        no("a key of nobody", bearer("sk-nobody")),
        no("a key of a pending user", bearer(User::Carol.api_key())),
    ]
}

/// What an issuer's good token says.
fn claims_of(issuer: &Issuer, now: u64) -> Value {
    json!({
        "iss": issuer.url, "aud": "the-bridge", "exp": now + 600, "iat": now, "sub": "s",
        "email": "x@example.org", "groups": ["staff"],
    })
}

/// Tokens of an OpenID issuer that are none.
fn openid(issuer: &Issuer, other: &Issuer, now: u64) -> Vec<Row> {
    let claims = claims_of(issuer, now);
    let good = issuer.sign("one", &claims);
    let with =
        |name: &str, value: Value| bearer(issuer.sign("one", &with(claims.clone(), name, value)));
    let confused = |secret: &[u8]| {
        let mut header = Header::new(Algorithm::HS256);
        header.kid = Some("one".to_owned());
        bearer(encode(&header, &claims, &EncodingKey::from_secret(secret).unwrap()).unwrap())
    };
    let public = issuer.public_key();
    let text = URL_SAFE_NO_PAD.encode(public);
    let none = by_hand(&json!({ "alg": "none", "kid": "one" }), &claims, "");
    let longer = format!("{}.evil.example", issuer.url);
    vec![
        no("openid: forged", bearer(other.sign("one", &claims))),
        no(
            "openid: another issuer",
            with("iss", other.url.clone().into()),
        ),
        no("openid: a longer issuer", with("iss", longer.into())),
        no("openid: another audience", with("aud", "somebody".into())),
        no("openid: no audience", with("aud", Value::Null)),
        no("openid: expired", with("exp", (now - 600).into())),
        no("openid: no expiry", with("exp", Value::Null)),
        no("openid: not yet", with("nbf", (now + 3_600).into())),
        no("openid: from the future", with("iat", (now + 3_600).into())),
        no("openid: unknown key", bearer(issuer.sign("two", &claims))),
        no("openid: none", bearer(none)),
        no("openid: the public key as a secret", confused(public)),
        no("openid: its text as a secret", confused(text.as_bytes())),
        no("openid: our own secret", confused(SECRET.as_bytes())),
        no("openid: cut off", bearer(&good[..good.len() - 10])),
    ]
}

/// What the good signed header says.
fn signed_claims(now: u64) -> Value {
    json!({
        "sub": "id-alice", "email": "alice@example.org", "role": "user", "iss": "open-webui",
        "iat": now, "exp": now + 300,
    })
}

/// Signed headers that are none.
fn signed(now: u64) -> Vec<Row> {
    let claims = signed_claims(now);
    let header = |text: String| vec![("x-openwebui-user-jwt", text)];
    let with =
        |name: &str, value: Value| header(token(JWT_SECRET, &with(claims.clone(), name, value)));
    let none = by_hand(&json!({ "alg": "none" }), &claims, "");
    vec![
        no("signed: forged", header(token("another", &claims))),
        no(
            "signed: with the session's secret",
            header(token(SECRET, &claims)),
        ),
        no("signed: expired", with("exp", (now - 1).into())),
        no("signed: another issuer", with("iss", "evil".into())),
        no("signed: not yet", with("nbf", (now + 3_600).into())),
        no("signed: from the future", with("iat", (now + 3_600).into())),
        no("signed: pending", with("role", "pending".into())),
        no("signed: none", header(none)),
        no("signed as a bearer", bearer(token(JWT_SECRET, &claims))),
    ]
}

#[tokio::test]
async fn tokens_that_prove_nothing_are_refused() {
    let issuer = Issuer::start().await;
    let other = Issuer::start().await;
    let bridge = bridge(&issuer.url, GATEWAY).await;
    let now = get_current_timestamp();
    // What the bad ones are made of is good.
    let of_issuer = issuer.sign("one", &claims_of(&issuer, now));
    let of_header = token(JWT_SECRET, &signed_claims(now));
    for headers in [
        bearer(User::Alice.token(SECRET)),
        bearer(of_issuer.as_str()),
        and(bearer(FORWARDER), "x-openwebui-user-jwt", &of_header),
    ] {
        let answer = call(&bridge, &headers).await;
        assert_eq!(answer.status, 200, "{headers:?}: {}", answer.text);
    }
    all_are_refused(&bridge, sessions(now)).await;
    all_are_refused(&bridge, openid(&issuer, &other, now)).await;
    all_are_refused(&bridge, signed(now)).await;
    assert_eq!(seen(&bridge), 3);
    let log = bridge.log();
    assert!(!log.contains("panicked"), "{log}");
    assert!(
        !log.contains(&of_issuer) && !log.contains(&of_header),
        "{log}"
    );
}

#[tokio::test]
async fn tokens_of_any_size_are_refused() {
    let bridge = bridge("http://127.0.0.1:9/none", GATEWAY).await;
    // Read and refused, and more than a head may hold.
    for (bytes, statuses) in [
        (17 << 10, [401, 401]),
        (100 << 10, [401, 431]),
        (300 << 10, [431, 0]),
    ] {
        let long = format!("ey{}.x.y", "A".repeat(bytes));
        for header in [
            format!("authorization: Bearer {long}"),
            format!("authorization: Bearer {}", "k".repeat(bytes)),
            format!("x-openwebui-user-jwt: {long}"),
            format!("cookie: token={long}"),
        ] {
            let head = format!(
                "POST /one/echo HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{header}\r\n"
            );
            let request = format!("{head}content-length: {}\r\n\r\n{HI}", HI.len());
            let status = head_too_large(&bridge, &request).await;
            assert!(statuses.contains(&status), "{bytes}: {status}");
        }
    }
    assert_eq!(seen(&bridge), 0);
    assert!(!bridge.log().contains("panicked"), "{}", bridge.log());
}
