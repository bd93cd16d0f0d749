//! The OpenAPI document of the admin API: who gets it, and whether the answers of a running bridge are as it says.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Answer, Bridge, Postgres, Setup, until};

const ADMIN: &str = "key-of-the-administrators";
const PLAIN: &str = "key-of-a-script-in-no-group";
const DOCUMENT: &str = "/openapi.json";

const TOML: &str = "
[database]
url = '${DB:-}'
secret_key = '${BRIDGE_SECRET_KEY:-}'
[identity.keys.ops]
key = '${ADMIN}'
groups = ['MCP-Admin']
[identity.keys.script]
key = '${PLAIN}'
[access.groups]
readers = ['bad']
[bridges.bad]
{bad good}
[bridges.off]
url = 'https://example.org/${NOT_SET}'
[bridges.dying]
{bad exit-stderr}
";

fn setup() -> Setup {
    Setup::toml(TOML).env("ADMIN", ADMIN).env("PLAIN", PLAIN)
}

/// A request with a key and a JSON body.
async fn send(bridge: &Bridge, key: &str, method: Method, path: &str, body: &Value) -> Answer {
    let authorization = format!("Bearer {key}");
    let headers = [
        ("authorization", authorization.as_str()),
        ("content-type", "application/json"),
    ];
    let body = match body {
        Value::Null => String::new(),
        body => body.to_string(),
    };
    bridge
        .send(method, &format!("/admin/api{path}"), &headers, &body)
        .await
}

/// The document, and which of its operations were tried.
struct Checked {
    document: Value,
    tried: BTreeSet<String>,
}

impl Checked {
    async fn of(bridge: &Bridge) -> Self {
        until(async || {
            send(bridge, ADMIN, Method::GET, "/users", &Value::Null)
                .await
                .status
                == 200
        })
        .await;
        let answer = send(bridge, ADMIN, Method::GET, DOCUMENT, &Value::Null).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        let mut document = answer.json();
        close(&mut document["components"]["schemas"]);
        Self {
            document,
            tried: BTreeSet::new(),
        }
    }

    /// Sends a request, and compares the answer with the document.
    async fn send(
        &mut self,
        bridge: &Bridge,
        (key, method): (&str, Method),
        (route, path): (&str, &str),
        body: Value,
    ) -> Answer {
        let answer = send(bridge, key, method.clone(), path, &body).await;
        let name = format!("{method} {route}");
        let whole = format!("/admin/api{route}");
        let operation = &self.document["paths"][&whole][method.as_str().to_lowercase()];
        let response = &operation["responses"][answer.status.to_string()];
        let shared = response["$ref"].as_str();
        let shared = shared.and_then(|it| self.document.pointer(it.trim_start_matches('#')));
        let response = shared.unwrap_or(response);
        assert!(
            !response.is_null(),
            "{name}: {} {}",
            answer.status,
            answer.text
        );
        let kind = answer.header("content-type").split(';').next().unwrap();
        let content = &response["content"][kind];
        assert!(!content.is_null(), "{name}: {kind} {response:#}");
        if kind == "application/json" {
            self.check(&name, &content["schema"], &answer.json());
        }
        if answer.status == 200 && !body.is_null() {
            let given = &operation["requestBody"]["content"]["application/json"]["schema"];
            assert!(!given.is_null(), "{name} has no body");
            self.check(&name, given, &body);
        }
        self.tried.insert(name);
        answer
    }

    /// Validates a value.
    fn check(&self, name: &str, schema: &Value, value: &Value) {
        let schema = json!({ "allOf": [schema], "components": self.document["components"] });
        let validator = jsonschema::validator_for(&schema).unwrap();
        let faults: Vec<_> = validator
            .iter_errors(value)
            .map(|fault| format!("{}: {fault}", fault.instance_path()))
            .collect();
        assert!(faults.is_empty(), "{name}: {faults:#?} in {value:#}");
    }

    /// GET as administrator.
    async fn get(&mut self, bridge: &Bridge, path: &str) -> Value {
        let route = path.split('?').next().unwrap();
        let answer = self.get_at(bridge, route, path).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text);
        answer.json()
    }

    /// GET of a path with a name in it.
    async fn get_at(&mut self, bridge: &Bridge, route: &str, path: &str) -> Answer {
        let by = (ADMIN, Method::GET);
        self.send(bridge, by, (route, path), Value::Null).await
    }

    /// A change as administrator.
    async fn change(&mut self, bridge: &Bridge, method: Method, path: &str, body: Value) -> Value {
        let answer = self.send(bridge, (ADMIN, method), (path, path), body).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text);
        answer.json()
    }

    /// The operations with this method that were not tried.
    fn missed(&self, method: &str) -> Vec<String> {
        let paths = self.document["paths"].as_object().unwrap().iter();
        let with_method = paths.filter(|(_, item)| !item[method].is_null());
        with_method
            .map(|(path, _)| {
                let route = path.strip_prefix("/admin/api").unwrap();
                format!("{} {route}", method.to_uppercase())
            })
            .filter(|name| !self.tried.contains(name))
            .collect()
    }
}

/// Forbids properties that a schema does not name, so that an answer cannot have more than the document says.
fn close(schemas: &mut Value) {
    for schema in schemas.as_object_mut().unwrap().values_mut() {
        let schema = schema.as_object_mut().unwrap();
        if schema.contains_key("properties") {
            schema.insert("additionalProperties".to_owned(), false.into());
        }
    }
}

/// Rows of every kind.
async fn fill(checked: &mut Checked, bridge: &Bridge) {
    let post = Method::POST;
    for (path, body) in [
        (
            "/groups",
            json!({ "group_name": "few", "server_ids": ["bad", "nowhere"] }),
        ),
        (
            "/users/groups",
            json!({ "email": "Ann@example.org", "group_name": "few" }),
        ),
        (
            "/users/groups",
            json!({ "email": "Ann@example.org", "group_name": "few2" }),
        ),
        ("/admins", json!({ "email": "root@example.org" })),
        (
            "/grants",
            json!({ "group": "few", "bridge": "bad", "tools": ["e*"] }),
        ),
        (
            "/grants",
            json!({ "group": "new", "bridge": "bad", "read_only": true }),
        ),
        (
            "/keys",
            json!({ "name": "robot", "expires_at": "2099-01-01T00:00:00Z" }),
        ),
        (
            "/tenant-keys",
            json!({ "tenant_id": "few", "server_id": "bad", "key_name": "TOKEN", "key_value": "hunter2hunter2" }),
        ),
        (
            "/endpoints",
            json!({ "tenant_id": "few", "server_id": "off", "endpoint_url": "https://example.com/mcp" }),
        ),
    ] {
        checked.change(bridge, post.clone(), path, body).await;
    }
    for (key, status) in [(ADMIN, 200), (PLAIN, 403)] {
        let authorization = format!("Bearer {key}");
        let headers = [("authorization", authorization.as_str())];
        let body = r#"{"message": "hi"}"#;
        let answer = bridge.send(Method::POST, "/bad/echo", &headers, body).await;
        assert_eq!(answer.status, status, "{}", answer.text);
    }
    let restarted = ("/bridges/{name}/restart", "/bridges/bad/restart");
    let answer = checked
        .send(bridge, (ADMIN, post), restarted, Value::Null)
        .await;
    assert_eq!(answer.status, 200, "{}", answer.text);
}

/// Every GET, with rows of every kind.
async fn read(checked: &mut Checked, bridge: &Bridge) {
    for path in [
        "/me",
        "/users",
        "/groups",
        "/grants",
        "/grants?group=few",
        "/keys",
        "/tenant-keys",
        "/endpoints",
        "/servers",
        "/bridges",
        "/accounts",
        "/calls?limit=1",
        "/calls?outcome=forbidden",
        "/changes",
        "/explain?user=ann@example.org&bridge=bad",
        "/explain?user=ann@example.org&bridge=bad&tool=echo",
        "/explain?user=bob@example.org&bridge=nowhere",
        "/plan",
        DOCUMENT,
    ] {
        let body = checked.get(bridge, path).await;
        let is_empty = body["count"] == 0;
        assert!(!is_empty || path == "/accounts", "{path}: {body}");
    }
    for (route, path, status) in [
        ("/groups/{name}", "/groups/few", 200),
        ("/groups/{name}", "/groups/none", 404),
        ("/groups/{name}", "/groups/%FF", 422),
        ("/tenant-keys/{group}", "/tenant-keys/few", 200),
        ("/tenant-keys/{group}", "/tenant-keys/none", 200),
        ("/calls", "/calls?format=csv", 200),
        ("/calls", "/calls?format=jsonl", 200),
        ("/calls", "/calls?limit=0", 422),
        ("/changes", "/changes?since=soon", 422),
        ("/explain", "/explain?user=x", 422),
    ] {
        let answer = checked.get_at(bridge, route, path).await;
        assert_eq!(answer.status, status, "{path}: {}", answer.text);
    }
    assert_eq!(checked.missed("get"), Vec::<String>::new());
}

/// Deletes the rows again.
async fn clear(checked: &mut Checked, bridge: &Bridge) {
    let put = (ADMIN, Method::PUT);
    let group = ("/groups/{name}", "/groups/few");
    let body = json!({ "server_ids": ["bad"] });
    let answer = checked.send(bridge, put, group, body).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    for (path, body) in [
        (
            "/users/groups",
            json!({ "email": "ann@example.org", "group_name": "few" }),
        ),
        ("/admins", json!({ "email": "root@example.org" })),
        (
            "/grants",
            json!({ "group": "few", "bridge": "bad", "tools": ["e*"] }),
        ),
        ("/keys", json!({ "name": "robot" })),
        (
            "/tenant-keys",
            json!({ "tenant_id": "few", "server_id": "bad", "key_name": "TOKEN" }),
        ),
        (
            "/endpoints",
            json!({ "tenant_id": "few", "server_id": "off" }),
        ),
    ] {
        checked.change(bridge, Method::DELETE, path, body).await;
    }
    let delete = || (ADMIN, Method::DELETE);
    let answer = checked.send(bridge, delete(), group, Value::Null).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    for (method, path, body, status) in [
        (Method::DELETE, "/keys", json!({ "name": "ops" }), 404),
        (
            Method::DELETE,
            "/endpoints",
            json!({ "tenant_id": "x", "server_id": "x" }),
            404,
        ),
        (
            Method::DELETE,
            "/accounts",
            json!({ "bridge": "nowhere", "subject": "" }),
            404,
        ),
        (Method::POST, "/keys", json!({ "name": "ops" }), 409),
        (Method::POST, "/keys", json!({ "label": "x" }), 422),
        (
            Method::POST,
            "/groups",
            json!({ "group_name": "a,b", "server_ids": [] }),
            400,
        ),
    ] {
        let by = (ADMIN, method);
        let answer = checked.send(bridge, by, (path, path), body).await;
        assert_eq!(answer.status, status, "{path}: {}", answer.text);
    }
    for method in ["post", "put", "delete"] {
        assert_eq!(checked.missed(method), Vec::<String>::new());
    }
}

#[tokio::test]
async fn answers_are_as_the_document_says() {
    let database = Postgres::create().await;
    let secret = "0123456789abcdef0123456789abcdef0123456789abcdef";
    for setup in [setup(), setup().env("DB", &database.url)] {
        let bridge = setup.env("BRIDGE_SECRET_KEY", secret).ready().await;
        let mut checked = Checked::of(&bridge).await;
        fill(&mut checked, &bridge).await;
        until(async || {
            let answer = send(&bridge, ADMIN, Method::GET, "/calls", &Value::Null).await;
            answer.json()["count"] == 2
        })
        .await;
        read(&mut checked, &bridge).await;
        clear(&mut checked, &bridge).await;

        bridge.write("bridges.toml", "[bridges.bad]\ncomand = 'x'\n");
        let plan = checked.get(&bridge, "/plan").await;
        assert_eq!(plan["valid"], false);
    }
}

#[tokio::test]
async fn the_document_is_for_administrators_and_stays_the_same() {
    let bridge = setup().ready().await;
    let path = "/admin/api/openapi.json";
    let stranger = bridge.send(Method::GET, path, &[], "").await;
    assert_eq!(stranger.status, 401, "{}", stranger.text);
    let other = send(&bridge, PLAIN, Method::GET, DOCUMENT, &Value::Null).await;
    assert_eq!((other.status, other.code()), (403, "forbidden".to_owned()));

    let first = send(&bridge, ADMIN, Method::GET, DOCUMENT, &Value::Null).await;
    assert_eq!(first.status, 200, "{}", first.text);
    assert_eq!(first.header("content-type"), "application/json");
    assert!(first.header("cache-control").contains("private"));
    assert_eq!(first.json()["openapi"], "3.1.0");
    let second = send(&bridge, ADMIN, Method::GET, DOCUMENT, &Value::Null).await;
    assert_eq!(first.text, second.text);
    let authorization = format!("Bearer {ADMIN}");
    let headers = [
        ("authorization", authorization.as_str()),
        ("if-none-match", first.header("etag")),
    ];
    let known = bridge.send(Method::GET, path, &headers, "").await;
    assert_eq!((known.status, known.text.as_str()), (304, ""));
    // It is not where the routes of the Python proxy were.
    assert_eq!(bridge.get("/admin/openapi.json").await.status, 404);
}
