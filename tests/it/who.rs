//! Every way to prove who one is, with every outcome, on every face: the status, what is shown, that
//! a refused call never reaches its server, and the record of it (requirements §1.16).

use std::collections::BTreeMap;

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Bridge, Issuer, OpenWebUi, Postgres, Setup, User, token, until};

const SECRET: &str = "the secret of open webui, 0123456789";
const JWT_SECRET: &str = "signs the header of the user, 0123456789";
const GATEWAY_SECRET: &str = "the secret of the gateway, 0123456789";
const FORWARDER: &str = "the key of the connection, 0123456789";
const ADMIN: &str = "the key of an administrator, 0123456789";
const AUDIENCE: &str = "the-bridge";

const BRIDGES: &str = "
[identity.open_webui]
secret_key = '${WHO_SECRET}'
jwt_secret = '${WHO_JWT_SECRET}'
jwt_alone = true
[identity.gateway]
enabled = true
secret = '${WHO_GATEWAY_SECRET}'
[identity.oidc.test]
issuer = '${WHO_ISSUER}'
audience = 'the-bridge'
[identity.keys.forwarder]
key = '${WHO_FORWARDER}'
forwards = true
[identity.keys.admin]
key = '${WHO_ADMIN}'
groups = ['MCP-Admin']
[identity.keys.may]
key = '${WHO_ADMIN}-may'
groups = ['staff']
[identity.keys.elsewhere]
key = '${WHO_ADMIN}-elsewhere'
groups = ['sales']
[identity.keys.nowhere]
key = '${WHO_ADMIN}-nowhere'

[access]
admins = ['fay@example.org']
[access.groups]
staff = ['open', 'off']
sales = ['other']

[bridges.open]
{bad good --record {dir}/open.jsonl}
[bridges.other]
{bad good --record {dir}/other.jsonl}
[bridges.off]
enabled = false
{bad good --record {dir}/off.jsonl}
";

/// What a caller may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum May {
    /// Use `open`, and `off` if it were on.
    Open,
    /// Use `other` alone: the wrong group.
    Other,
    /// Nothing: in no group.
    Nothing,
    /// Everything: in the group of administrators.
    Everything,
}

const ALL: [May; 4] = [May::Open, May::Other, May::Nothing, May::Everything];

impl May {
    /// Who of Open WebUI's users that is.
    fn user(self) -> User {
        match self {
            Self::Open => User::Alice,
            Self::Other => User::Bob,
            Self::Nothing => User::Erin,
            Self::Everything => User::Fay,
        }
    }

    /// The group that says so, for proofs that carry groups.
    fn group(self) -> &'static str {
        match self {
            Self::Open => "staff",
            Self::Other => "sales",
            Self::Nothing => "visitors",
            Self::Everything => "MCP-Admin",
        }
    }

    /// The bridges they see.
    fn sees(self) -> Vec<&'static str> {
        match self {
            Self::Open => vec!["off", "open"],
            Self::Other => vec!["other"],
            Self::Nothing => vec![],
            Self::Everything => vec!["off", "open", "other"],
        }
    }

    /// The status and code of a call to `open`.
    fn call(self) -> (u16, &'static str) {
        match self {
            Self::Open | Self::Everything => (200, ""),
            Self::Other | Self::Nothing => (403, "forbidden"),
        }
    }

    /// The same for `off`.
    fn call_off(self) -> (u16, &'static str) {
        match self {
            Self::Open | Self::Everything => (503, "disabled"),
            Self::Other | Self::Nothing => (403, "forbidden"),
        }
    }
}

type Headers = Vec<(&'static str, String)>;

/// Every way to prove to be somebody who may do that: its name in the records, the caller there.
fn proofs(issuer: &Issuer, may: May) -> Vec<(&'static str, String, Headers)> {
    let user = may.user();
    let (email, group) = (user.email(), may.group().to_owned());
    let bearer = |text: String| vec![("authorization", format!("Bearer {text}"))];
    let key = match may {
        May::Open => ("may", format!("{ADMIN}-may")),
        May::Other => ("elsewhere", format!("{ADMIN}-elsewhere")),
        May::Nothing => ("nowhere", format!("{ADMIN}-nowhere")),
        May::Everything => ("admin", ADMIN.to_owned()),
    };
    let signed = token(
        JWT_SECRET,
        &json!({
            "sub": user.id(), "email": email, "name": user.name(), "role": "user", "iss": "open-webui",
            "iat": jsonwebtoken::get_current_timestamp(),
            "exp": jsonwebtoken::get_current_timestamp() + 300,
        }),
    );
    let forwarded = |mut more: Headers| {
        more.extend(bearer(FORWARDER.to_owned()));
        more
    };
    vec![
        ("api_key", key.0.to_owned(), bearer(key.1)),
        ("session", email.clone(), bearer(user.token(SECRET))),
        ("session_key", email.clone(), bearer(user.api_key())),
        (
            "signed_header",
            email.clone(),
            vec![("x-openwebui-user-jwt", signed.clone())],
        ),
        (
            "signed_header",
            email.clone(),
            forwarded(vec![("x-openwebui-user-jwt", signed)]),
        ),
        (
            "forwarded_headers",
            email.clone(),
            forwarded(vec![
                ("x-user-email", email.clone()),
                ("x-user-groups", group.clone()),
            ]),
        ),
        (
            "gateway",
            email.clone(),
            vec![
                ("x-gateway-secret", GATEWAY_SECRET.to_owned()),
                ("x-user-email", email.to_uppercase()),
                ("x-user-groups", format!(" {group} ,, readers")),
            ],
        ),
        (
            "oidc",
            email.clone(),
            bearer(issuer.token(
                AUDIENCE,
                json!({ "sub": user.id(), "email": email, "groups": [group] }),
            )),
        ),
    ]
}

/// A bridge with all of them on; `database` is the text of that section.
async fn bridge(issuer: &Issuer, database: &str) -> Bridge {
    let setup = Setup::toml(&format!("[database]\n{database}\n{BRIDGES}"))
        .env("WHO_SECRET", SECRET)
        .env("WHO_JWT_SECRET", JWT_SECRET)
        .env("WHO_GATEWAY_SECRET", GATEWAY_SECRET)
        .env("WHO_ISSUER", &issuer.url)
        .env("WHO_FORWARDER", FORWARDER)
        .admin_key("WHO_ADMIN", ADMIN);
    OpenWebUi::in_sqlite(&setup.path().join("webui.db")).await;
    setup.ready().await
}

/// What the records must say of one call.
#[derive(Debug, PartialEq, Eq)]
struct Told {
    caller: Value,
    proof: String,
    bridge: String,
    outcome: String,
    status: u16,
}

#[tokio::test]
async fn every_proof_on_every_face_with_sqlite() {
    every_proof_on_every_face("open_webui = '{dir}/webui.db'").await;
}

#[tokio::test]
async fn every_proof_on_every_face_with_postgres() {
    let database = Postgres::create().await;
    OpenWebUi::in_postgres(&database).await;
    // Open WebUI's tables stand in the same database.
    every_proof_on_every_face(&format!("url = '{}'", database.url)).await;
}

async fn every_proof_on_every_face(database: &str) {
    let issuer = Issuer::start().await;
    let bridge = bridge(&issuer, database).await;
    let mut told = BTreeMap::new();
    let mut served = 0;
    for may in ALL {
        for (proof, caller, headers) in proofs(&issuer, may) {
            let case = format!("{proof} of {caller} ({may:?})");
            let post = Method::POST;
            let body = r#"{"message": "hi"}"#;
            for (path, name, wanted) in [
                ("/open/echo", "open", may.call()),
                ("/open_echo", "open", may.call()),
                ("/off/echo", "off", may.call_off()),
            ] {
                let answer = bridge.caller(&headers).send(post.clone(), path, body).await;
                let code = if answer.status == 200 {
                    String::new()
                } else {
                    answer.code()
                };
                assert_eq!(
                    (answer.status, code.as_str()),
                    wanted,
                    "{case} {path}: {}",
                    answer.text
                );
                served += usize::from(answer.status == 200);
                told.insert(
                    answer.header("x-request-id").to_owned(),
                    Told {
                        caller: caller.clone().into(),
                        proof: proof.to_owned(),
                        bridge: name.to_owned(),
                        outcome: if code.is_empty() {
                            "ok".to_owned()
                        } else {
                            code
                        },
                        status: answer.status,
                    },
                );
            }
            shows_what_they_may_use(&bridge, may, &headers, &case).await;
        }
    }
    // What was refused never reached a server.
    assert_eq!(bridge.calls("open.jsonl").len(), served);
    assert_eq!(
        bridge.calls("other.jsonl").len() + bridge.calls("off.jsonl").len(),
        0
    );
    let answer = bridge.post("/open/echo", "{}").await;
    answer.assert_error(401, "unauthorized");
    records_tell(&bridge, &told).await;
}

/// The lists and documents.
async fn shows_what_they_may_use(bridge: &Bridge, may: May, headers: &Headers, case: &str) {
    let caller = bridge.caller(headers);
    let get = |path| caller.get(path);
    for path in ["/servers", "/"] {
        let list = get(path).await.json();
        let mut ids: Vec<_> = list["servers"]
            .as_array()
            .unwrap()
            .iter()
            .map(|it| it["id"].as_str().unwrap().to_owned())
            .collect();
        ids.sort();
        assert_eq!(ids, may.sees(), "{case} {path}");
    }
    for name in ["open", "other", "off"] {
        let path = format!("/{name}");
        let answer = bridge.caller(headers).get(&path).await;
        let wanted = if may.sees().contains(&name) { 200 } else { 403 };
        assert_eq!(answer.status, wanted, "{case} /{name}: {}", answer.text);
    }
    let document = get("/openapi.json").await.json();
    let paths: Vec<_> = document["paths"]
        .as_object()
        .unwrap()
        .keys()
        .cloned()
        .collect();
    for name in ["open", "other"] {
        let is_there = paths
            .iter()
            .any(|path| path.starts_with(&format!("/{name}/")));
        assert_eq!(is_there, may.sees().contains(&name), "{case}: {paths:?}");
    }
}

/// Every call left its record, as it was.
async fn records_tell(bridge: &Bridge, told: &BTreeMap<String, Told>) {
    let records = async || {
        let answer = bridge.as_admin().get("/admin/api/calls?limit=1000").await;
        let calls = answer.ok()["calls"].as_array().unwrap().clone();
        let told = calls.into_iter().map(|it| {
            let text = |name: &str| it[name].as_str().unwrap_or_default().to_owned();
            let told = Told {
                caller: it["caller"].clone(),
                proof: text("proof"),
                bridge: text("bridge"),
                outcome: text("outcome"),
                status: u16::try_from(it["status"].as_u64().unwrap()).unwrap(),
            };
            (text("request_id"), told)
        });
        told.collect::<BTreeMap<_, _>>()
    };
    until(async || {
        let records = records().await;
        let is_over = |id| {
            records
                .get(id)
                .is_some_and(|told: &Told| told.outcome != "started")
        };
        told.keys().all(is_over)
    })
    .await;
    let records = records().await;
    for (id, wanted) in told {
        assert_eq!(records.get(id), Some(wanted), "{id}");
    }
}
