//! The shipped `bridges.toml` and `examples/catalogue.toml` as users meet them: what is on with nothing in the
//! environment, and what each vendor's server is shown when its variables are set.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{Request, State},
    response::Response,
};
use http::StatusCode;
use tokio::{net::TcpListener, task::JoinHandle};

use crate::harness::{BadHttp, Setup, fixture};

/// What a vendor documents: the bridge, its endpoint without scheme, the headers that prove who we are.
type Documented = (
    &'static str,
    &'static str,
    &'static [(&'static str, &'static str)],
);

/// Every server of both files that takes a key.
const BY_KEY: &[Documented] = &[
    (
        "github",
        "api.githubcopilot.com/mcp/",
        &[("authorization", "Bearer fake-GITHUB_TOKEN")],
    ),
    (
        // somebody@example.com:fake-ATLASSIAN_API_KEY
        "atlassian",
        "mcp.atlassian.com/v1/mcp",
        &[(
            "authorization",
            "Basic c29tZWJvZHlAZXhhbXBsZS5jb206ZmFrZS1BVExBU1NJQU5fQVBJX0tFWQ==",
        )],
    ),
    (
        "linear",
        "mcp.linear.app/mcp",
        &[("authorization", "Bearer fake-LINEAR_API_KEY")],
    ),
    (
        "monday",
        "mcp.monday.com/mcp",
        &[("authorization", "Bearer fake-MONDAY_API_KEY")],
    ),
    (
        "pulumi",
        "mcp.ai.pulumi.com/mcp",
        &[
            ("authorization", "Bearer fake-PULUMI_ACCESS_TOKEN"),
            ("x-pulumi-org", "fake-PULUMI_ORG"),
        ],
    ),
    (
        "datadog",
        "mcp.datadoghq.com/v1/mcp",
        &[
            ("dd_api_key", "fake-DATADOG_API_KEY"),
            ("dd_application_key", "fake-DATADOG_APP_KEY"),
        ],
    ),
    (
        "snowflake",
        "snowflake.example.com/mcp-servers/one",
        &[("authorization", "Bearer fake-SNOWFLAKE_PAT")],
    ),
    (
        "dbt",
        "dbt.example.com/api/ai/v1/mcp/",
        &[
            ("authorization", "Token fake-DBT_TOKEN"),
            ("x-dbt-prod-environment-id", "fake-DBT_PROD_ENV_ID"),
        ],
    ),
    (
        "sonarqube-server",
        "sonarqube.example.com/mcp",
        &[("authorization", "Bearer fake-SONARQUBE_TOKEN")],
    ),
    (
        "new-relic",
        "mcp.newrelic.com/mcp/",
        &[("api-key", "fake-NEW_RELIC_API_KEY")],
    ),
    (
        "splunk",
        "splunk.example.com:8089/services/mcp",
        &[("authorization", "Bearer fake-SPLUNK_TOKEN")],
    ),
    (
        // somebody:fake-JENKINS_API_TOKEN
        "jenkins",
        "jenkins.example.com/mcp-server/mcp",
        &[(
            "authorization",
            "Basic c29tZWJvZHk6ZmFrZS1KRU5LSU5TX0FQSV9UT0tFTg==",
        )],
    ),
    (
        "zoom",
        "mcp-us.zoom.us/mcp/zoom/streamable",
        &[("authorization", "Bearer fake-ZOOM_ACCESS_TOKEN")],
    ),
    (
        "stripe",
        "mcp.stripe.com",
        &[("authorization", "Bearer fake-STRIPE_API_KEY")],
    ),
    (
        "apify",
        "mcp.apify.com",
        &[("authorization", "Bearer fake-APIFY_TOKEN")],
    ),
    (
        "close",
        "mcp.close.com/mcp",
        &[("authorization", "Bearer fake-CLOSE_API_KEY")],
    ),
    (
        "telnyx",
        "api.telnyx.com/v2/mcp",
        &[("authorization", "Bearer fake-TELNYX_API_KEY")],
    ),
    (
        "polar-signals",
        "api.polarsignals.com/api/mcp/",
        &[("authorization", "Bearer fake-POLAR_SIGNALS_TOKEN")],
    ),
    (
        "short-io",
        "ai-assistant.short.io/mcp",
        &[("authorization", "Bearer fake-SHORT_IO_API_KEY")],
    ),
    (
        "needle",
        "mcp.needle.app/mcp",
        &[("authorization", "Bearer fake-NEEDLE_API_KEY")],
    ),
    (
        "bright-data",
        "mcp.brightdata.com/mcp",
        &[("authorization", "Bearer fake-BRIGHT_DATA_TOKEN")],
    ),
    (
        "zapier",
        "mcp.zapier.com/api/mcp/mcp",
        &[("authorization", "Bearer fake-ZAPIER_MCP_KEY")],
    ),
    (
        "cortex",
        "mcp.cortex.io/mcp",
        &[("authorization", "Bearer fake-CORTEX_API_KEY")],
    ),
];

/// Servers that take a key and are not in the list: what is spoken there is not what the stand-in speaks.
const NOT_HERE: [&str; 2] = ["dodo-payments", "grafana-cloud"];

/// Variables with a value of their own; all others are `fake-NAME`.
const VARIABLES: [(&str, &str); 6] = [
    ("ATLASSIAN_USER", "somebody@example.com"),
    ("JENKINS_USER", "somebody"),
    ("DBT_HOST", "dbt.example.com"),
    ("SPLUNK_HOST", "splunk.example.com"),
    ("DD_MCP_DOMAIN", ""),
    ("NEW_RELIC_MCP_URL", ""),
];

/// Variables that are whole URLs.
const PLACES: [(&str, &str); 3] = [
    ("SNOWFLAKE_MCP_URL", "snowflake.example.com/mcp-servers/one"),
    ("SONARQUBE_MCP_URL", "sonarqube.example.com/mcp"),
    ("JENKINS_URL", "jenkins.example.com"),
];

/// The vendors, all at once: a path is host and path of the vendor's endpoint. Who shows the documented
/// credential reaches a real MCP server, anybody else gets 401.
struct Vendors {
    port: u16,
    seen: Arc<Seen>,
    serving: JoinHandle<()>,
    _server: BadHttp,
}

struct Seen {
    server: String,
    http: reqwest::Client,
    refused: Mutex<Vec<String>>,
}

impl Vendors {
    async fn start() -> Self {
        let server = BadHttp::start("good").await;
        let seen = Arc::new(Seen {
            server: format!("http://127.0.0.1:{}/mcp", server.port),
            http: crate::harness::client(),
            refused: Mutex::default(),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let router = Router::new().fallback(serve).with_state(Arc::clone(&seen));
        let serving = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self {
            port,
            seen,
            serving,
            _server: server,
        }
    }
}

impl Drop for Vendors {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn serve(State(seen): State<Arc<Seen>>, request: Request) -> Response {
    let path = request.uri().path().trim_start_matches('/').to_owned();
    let documented = BY_KEY
        .iter()
        .find(|(_, place, _)| place.trim_end_matches('/') == path.trim_end_matches('/'));
    let is_shown = documented.is_some_and(|(_, place, headers)| {
        // A slash at the end is part of an endpoint.
        let is_exact = place.ends_with('/') == path.ends_with('/') || !place.contains('/');
        is_exact
            && headers.iter().all(|(name, value)| {
                let mut found = request.headers().get_all(*name).iter();
                found.next().is_some_and(|it| it == value) && found.next().is_none()
            })
    });
    if !is_shown {
        seen.refused.lock().unwrap().push(path);
        return status(StatusCode::UNAUTHORIZED);
    }
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, 1 << 20).await.unwrap();
    let mut onward = seen.http.request(parts.method, &seen.server).body(body);
    for (name, value) in &parts.headers {
        if name != http::header::HOST && name != http::header::CONTENT_LENGTH {
            onward = onward.header(name, value);
        }
    }
    let answer = onward.send().await.unwrap();
    let mut response = Response::builder().status(answer.status());
    for (name, value) in answer.headers() {
        if name != http::header::TRANSFER_ENCODING && name != http::header::CONNECTION {
            response = response.header(name, value);
        }
    }
    response
        .body(Body::from_stream(answer.bytes_stream()))
        .unwrap()
}

fn status(status: StatusCode) -> Response {
    Response::builder()
        .status(status)
        .body(Body::empty())
        .unwrap()
}

/// The tables of both files.
fn tables() -> toml::Table {
    let mut tables = toml::Table::new();
    for file in ["../bridges.toml", "../examples/catalogue.toml"] {
        let text = std::fs::read_to_string(fixture(file)).unwrap();
        let mut document: toml::Table = text.parse().unwrap();
        let toml::Value::Table(bridges) = document.remove("bridges").unwrap() else {
            panic!("a table")
        };
        tables.extend(bridges);
    }
    tables
}

/// The variables that a table refers to.
fn variables(table: &toml::Value) -> Vec<String> {
    let text = table.to_string();
    let names = text.split("${").skip(1).map(|rest| {
        rest.split(|character: char| !(character.is_ascii_alphanumeric() || character == '_'))
            .next()
            .unwrap_or_default()
            .to_owned()
    });
    names.collect()
}

#[tokio::test]
async fn every_server_that_takes_a_key_is_shown_the_one_its_vendor_documents() {
    let vendors = Vendors::start().await;
    let origin = format!("http://127.0.0.1:{}/", vendors.port);
    let mut bridges = toml::Table::new();
    let mut environment: BTreeMap<String, String> = BTreeMap::new();
    for (name, mut bridge) in tables() {
        let takes_key = bridge.get("headers").is_some() || bridge.get("basic_auth").is_some();
        let is_listed = BY_KEY.iter().any(|(listed, ..)| *listed == name);
        assert_eq!(
            takes_key && !NOT_HERE.contains(&name.as_str()),
            is_listed,
            "{name}"
        );
        if !is_listed {
            continue;
        }
        for variable in variables(&bridge) {
            let value = format!("fake-{variable}");
            environment.insert(variable, value);
        }
        let url = bridge["url"]
            .as_str()
            .unwrap()
            .replacen("https://", &origin, 1);
        bridge
            .as_table_mut()
            .unwrap()
            .insert("url".to_owned(), url.into());
        bridges.insert(name, bridge);
    }
    environment.retain(|name, _| !name.ends_with("_CREDENTIAL") && !name.contains("_CLIENT_"));
    environment.extend(VARIABLES.map(|(name, value)| (name.to_owned(), value.to_owned())));
    environment.extend(PLACES.map(|(name, place)| (name.to_owned(), format!("{origin}{place}"))));
    let mut document = toml::Table::new();
    document.insert("bridges".to_owned(), bridges.into());
    let mut setup = Setup::toml(&toml::to_string(&document).unwrap()).alone();
    for (name, value) in &environment {
        setup = setup.env(name, value);
    }
    let bridge = setup.ready().await;
    for (name, ..) in BY_KEY {
        let server = bridge.server(name).await;
        let refused = vendors.seen.refused.lock().unwrap().join(" ");
        assert_eq!(server["status"], "ready", "{server} {refused}");
        let answer = bridge
            .post(&format!("/{name}/echo"), r#"{"message": "hi"}"#)
            .await;
        assert_eq!(answer.status, 200, "{name}: {}", answer.text);
    }
    let log = bridge.log();
    for (_, _, headers) in BY_KEY {
        for (_, value) in *headers {
            let secret = value.rsplit(' ').next().unwrap();
            let is_secret = !secret.ends_with("_ORG") && !secret.ends_with("_ID");
            assert!(
                !is_secret || !log.contains(secret),
                "{secret} is in the log"
            );
        }
    }
}

#[tokio::test]
async fn with_nothing_but_a_folder_in_the_environment_two_bridges_are_on() {
    let shipped = std::fs::read_to_string(fixture("../bridges.toml")).unwrap();
    let setup = Setup::toml(&shipped).alone();
    std::fs::create_dir(setup.path().join("files")).unwrap();
    std::fs::write(setup.path().join("files/hello.txt"), "hello").unwrap();
    // The program that `npx` would download is installed already.
    let path = format!(
        "{}:{}",
        fixture("peers/bin").display(),
        std::env::var("PATH").unwrap()
    );
    let setup = setup.env("MCP_FILESYSTEM_DIR", "files");
    let bridge = setup.env("PATH", &path).ready().await;
    let list = bridge.get("/servers").await.json();
    let mut on = Vec::new();
    for server in list["servers"].as_array().unwrap() {
        let (name, status) = (server["id"].as_str().unwrap(), &server["status"]);
        if status == "ready" {
            on.push(name);
            continue;
        }
        assert_eq!(status, "disabled", "{server}");
        let reason = server["reason"].as_str().unwrap();
        let is_told = reason.contains(" is not set")
            || reason == format!("no user has logged in: mcp-bridge login {name}");
        assert!(is_told, "{name}: {reason}");
        let answer = bridge.post(&format!("/{name}/anything"), "{}").await;
        answer.assert_error(503, "disabled");
    }
    assert_eq!(on, ["demo", "filesystem"]);
    let listed = bridge
        .post("/filesystem/list_directory", r#"{"path": "."}"#)
        .await;
    assert_eq!(listed.status, 200, "{}", listed.text);
    assert!(listed.text.contains("hello.txt"), "{}", listed.text);
    // Neither the configuration nor a `.env` beside it is within reach.
    let outside = bridge
        .post(
            "/filesystem/read_text_file",
            r#"{"path": "../bridges.toml"}"#,
        )
        .await;
    assert_eq!(outside.code(), "tool_error", "{}", outside.text);

    let checked = bridge.cli(&["check"]).await.ok();
    for line in checked.lines().take_while(|line| *line != "who may call") {
        let words: Vec<_> = line.split_whitespace().collect();
        let is_on = ["demo", "filesystem"].contains(&words[0]);
        assert_eq!(words[1], if is_on { "on" } else { "off" }, "{line}");
    }
    assert!(checked.contains("27 bridges, 2 on, "), "{checked}");
}
