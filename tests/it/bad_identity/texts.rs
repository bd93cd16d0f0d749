//! Texts that mean to be more than texts, and the admin API for those who may not.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::{Value, json};

use super::{
    ADMIN, DEV, FORWARDER, GATEWAY, GATEWAY_SECRET, HI, Headers, SECRET, and, bearer, bridge, call,
    with_postgres,
};
use crate::harness::{Bridge, OpenWebUi, Postgres, User};

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

async fn sql_is_text(bridge: &Bridge) {
    let grants = async || {
        let answer = bridge.admin_api().get("/grants").await;
        answer.ok()["grants"].as_array().unwrap().clone()
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

/// Every text of a change that the admin API takes.
fn changes(text: &str) -> Vec<(Method, String, Value)> {
    let (post, delete) = (Method::POST, Method::DELETE);
    let path = encoded(text);
    let email = format!("{}@example.org", text.replace([' ', ',', ';'], ""));
    let of_all = |bodies: Vec<(&Method, &str, Value)>| {
        let bodies = bodies.into_iter();
        bodies
            .map(|(method, path, body)| (method.clone(), path.to_owned(), body))
            .collect()
    };
    of_all(vec![
        (&post, "/grants", json!({ "group": text, "bridge": "one" })),
        (&post, "/grants", json!({ "group": "g", "bridge": text })),
        (
            &post,
            "/grants",
            json!({ "group": "g", "bridge": "one", "tools": [text] }),
        ),
        (&delete, "/grants", json!({ "group": "g", "bridge": text })),
        (
            &post,
            "/groups",
            json!({ "group_name": text, "server_ids": ["one"] }),
        ),
        (
            &post,
            "/groups",
            json!({ "group_name": "g", "server_ids": [text] }),
        ),
        (
            &Method::PUT,
            &format!("/groups/{path}"),
            json!({ "server_ids": ["one"] }),
        ),
        (&delete, &format!("/groups/{path}x"), Value::Null),
        (
            &post,
            "/users/groups",
            json!({ "email": email, "group_name": text }),
        ),
        (
            &post,
            "/users/groups",
            json!({ "email": text, "group_name": "g" }),
        ),
        (
            &delete,
            "/users/groups",
            json!({ "email": email, "group_name": text }),
        ),
        (&post, "/admins", json!({ "email": email })),
        (&delete, "/admins", json!({ "email": email })),
        (&post, "/keys", json!({ "name": text, "groups": [text] })),
        (&post, "/keys", json!({ "name": "k", "expires_at": text })),
        (&delete, "/keys", json!({ "name": text })),
        (&post, &format!("/bridges/{path}/restart"), Value::Null),
    ])
}

/// Every text of a question that the admin API takes.
fn questions(text: &str) -> Vec<(Method, String, Value)> {
    let text = encoded(text);
    let paths = [
        format!("/groups/{text}"),
        format!("/grants?group={text}&bridge={text}"),
        format!("/calls?caller={text}&bridge={text}&tool={text}"),
        format!("/calls?outcome={text}"),
        format!("/calls?request_id={text}"),
        format!("/calls?cursor=1.{text}"),
        format!("/calls?since={text}"),
        format!("/changes?actor={text}"),
        format!("/explain?user={text}&bridge={text}&tool={text}"),
    ];
    paths.map(|path| (Method::GET, path, Value::Null)).to_vec()
}

/// Every header that names somebody.
const NAMING: [&str; 6] = [
    "x-user-email",
    "x-user-groups",
    "x-tenant-id",
    "x-request-id",
    "x-openwebui-user-id",
    "x-openwebui-user-role",
];

/// Every field, header and path that takes text.
async fn through_every_field(bridge: &Bridge, text: &str) {
    let mut answers = Vec::new();
    for (method, path, body) in changes(text).into_iter().chain(questions(text)) {
        let answer = bridge.admin_api().send(method.clone(), &path, &body).await;
        answers.push((format!("{method} {path} {body}"), answer));
    }
    for name in NAMING {
        let gateway = vec![("x-gateway-secret", GATEWAY_SECRET.to_owned())];
        for headers in [and(gateway, name, text), and(bearer(FORWARDER), name, text)] {
            answers.push((name.to_owned(), call(bridge, &headers).await));
        }
    }
    for key in [text.to_owned(), format!("sk-{text}")] {
        answers.push((format!("key {key}"), call(bridge, &bearer(key)).await));
    }
    let path = encoded(text);
    for path in [
        format!("/one/{path}"),
        format!("/{path}/echo"),
        format!("/one_{path}"),
    ] {
        let answer = bridge.as_bearer(DEV).post(&path, HI).await;
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
        let (code, said) = bridge.cli(&words).await.said();
        assert!([0, 1, 2].contains(&code), "{words:?}: {code}");
        for trouble in ["syntax", "panicked", "database is"] {
            assert!(!said.contains(trouble), "{words:?}: {said}");
        }
    }
}

/// The routes of the admin API, from its own description: method and path.
async fn admin_routes(bridge: &Bridge) -> Vec<(Method, String)> {
    let document = bridge.admin_api().get("/openapi.json").await.ok();
    let mut found = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        let path = path
            .split('/')
            .map(|part| if part.starts_with('{') { "one" } else { part })
            .collect::<Vec<_>>()
            .join("/");
        for (name, method) in [
            ("get", Method::GET),
            ("post", Method::POST),
            ("put", Method::PUT),
            ("delete", Method::DELETE),
        ] {
            if item.get(name).is_some() {
                found.push((method, path.clone()));
            }
        }
    }
    assert!(found.len() >= 34, "{found:?}");
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
        ("no credentials", Vec::new(), 401),
        ("a wrong key", bearer("wrong"), 401),
        (
            "a forged token",
            bearer(User::Root.token("another secret, 012345678901234")),
            401,
        ),
        (
            "no gateway",
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
    for (method, path) in admin_routes(&bridge).await {
        for (who, headers, status) in &senders {
            let headers = and(headers.clone(), "content-type", "application/json");
            let answer = bridge
                .caller(&headers)
                .send(method.clone(), &path, "{}")
                .await;
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
        let answer = bridge
            .caller(&headers)
            .send(method.clone(), &path, "{}")
            .await;
        if [401, 403, 405].contains(&answer.status) || answer.status >= 500 {
            wrong.push(format!(
                "{method} {path} by an administrator: {} {}",
                answer.status, answer.text
            ));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    let changes = bridge.admin_api().get("/changes").await.json();
    let is_ours = |it: &Value| it["actor"] == "admin" || it["actor"] == "configuration";
    let all = changes["changes"].as_array().unwrap();
    assert!(all.iter().all(is_ours), "{changes}");
}
