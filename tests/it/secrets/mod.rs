//! Secrets are planted wherever one can be, servers tell them wherever a server can say anything, and every byte that
//! the program writes is searched for them: log, answers, databases, journal, command line, `/proc`.

mod drive;
mod planted;
mod seen;

use std::{collections::BTreeMap, ffi::OsStr, fs, path::Path};

use base64::{Engine as _, prelude::*};
use reqwest::Method;
use serde_json::{Map, Value, json};
use tokio::process::Child;

use self::{
    drive::Run,
    planted::{PLANTED, Place, filled, text_of},
    seen::{Medium, Seen},
};
use crate::harness::{OpenWebUi, Postgres, Setup, User, fixture, port_in, python, redis_url};

/// No secret: it is put wherever secrets are, and shows that the search would find them there.
const SHOWN: &str = "shown-on-purpose-7Q";

/// Everything that any library logs.
const TRACE: &str = "trace,rmcp=trace,hyper=trace,hyper_util=trace,h2=trace,reqwest=trace,rustls=trace,sqlx=trace,redis=trace";

/// What there is to call.
const TOOLS: [&str; 10] = [
    "leak_text",
    "leak_json",
    "leak_structured",
    "leak_blob",
    "leak_fail",
    "leak_rpc",
    "leak_number",
    "leak_odd",
    "leak_strange",
    "leak_die",
];

/// What the servers behind a URL do: the name of a bridge, and its path.
const REMOTES: [(&str, &str); 16] = [
    ("ok", "mcp/ok"),
    ("events", "mcp/events"),
    ("status-401", "mcp/401"),
    ("status-403", "mcp/403"),
    ("status-404", "mcp/404"),
    ("status-429", "mcp/429"),
    ("status-500", "mcp/500"),
    ("html", "mcp/html"),
    ("text", "mcp/text"),
    ("number", "mcp/number"),
    ("type", "mcp/type"),
    ("refuses", "mcp/refuses"),
    ("redirect", "mcp/redirect"),
    ("foreign", "sse/foreign"),
    ("openapi", "openapi/ok"),
    ("openapi-bad", "openapi/bad"),
];

/// The whole configuration, `<NAME>` for secrets; `{port}` is that of the server behind a URL.
fn configuration(database: &str, telemetry: &str, file: &Path, port: u16) -> String {
    let planted = file.display();
    let program = |name: &str, mode: &str, more: &str| {
        format!(
            "[bridges.{name}]\ncommand = 'python3'\n\
             args = ['{{tests}}/it/servers/leaky.py', '{mode}', '{planted}', '{SHOWN}']\n\
             env = {{ STDIO_TOKEN = '${{STDIO_TOKEN}}', STDIO_SECRET = '<STDIO_SECRET>', \
             DSN = 'https://<DSN_PASSWORD>@sentry.example.org/7', PART = 'a ${{PART_TOKEN}} b', \
             PIN_PASSWORD = '${{PIN_PASSWORD}}', KEY_FILE = '${{file:KEY_FILE}}' }}\n{more}\n"
        )
    };
    let mut bridges = [
        program("program", "stdio", "inherit_env = true"),
        program("dies", "dies", ""),
        program("dies-listing", "dies-listing", ""),
        program("program-refuses", "refuses", ""),
        program(
            "garbage",
            "garbage",
            "description = 'It has ${STDIO_TOKEN} and <STDIO_SECRET>'",
        ),
    ]
    .concat();
    let kinds = |path: &str| match path.split('/').next() {
        Some("sse") => "sse",
        Some("openapi") => "openapi",
        _ => "http",
    };
    let remotes = REMOTES.into_iter().chain([("old", "sse/ok")]);
    bridges.extend(remotes.map(|(name, path)| {
        format!(
            "[bridges.{name}]\n\
             url = 'http://user:<%URL_PASSWORD>@127.0.0.1:{port}/s/${{URL_PATH_KEY}}/{path}?token=${{URL_TOKEN}}&plain=yes'\n\
             transport = '{}'\n\
             headers = {{ Authorization = 'Bearer ${{REMOTE_BEARER}}', X-Api-Key = '<REMOTE_API_KEY>', \
             X-Odd = '${{ODD_HEADER}}', X-Basic = 'Basic ${{BASIC}}' }}\n",
            kinds(path)
        )
    }));
    filled(&format!(
        "[database]\n{database}\nredis_url = '${{REDIS_URL}}'\nsecret_key = '${{BRIDGE_SECRET_KEY}}'\n\
         [telemetry]\n{telemetry}\notlp_endpoint = 'http://127.0.0.1:{port}/collector'\n\
         otlp_headers = 'authorization=Bearer%20<COLLECTOR_TOKEN>'\n\
         [audit]\narguments = true\n\
         [identity.keys.ops]\nkey = '<OPS_KEY>'\ngroups = ['MCP-Admin']\n\
         [identity.keys.dev]\nkey = '${{DEV_KEY}}'\n\
         [identity.keys.chat]\nkey = '${{file:CHAT_KEY}}'\nforwards = true\n\
         [identity.open_webui]\nsecret_key = '${{WEBUI_SECRET_KEY}}'\njwt_secret = '${{JWT_SECRET}}'\n\
         url = 'http://bridge:<DIRECTORY_PASSWORD>@127.0.0.1:9/'\n\
         [identity.gateway]\nenabled = true\nsecret = '${{GATEWAY_SECRET}}'\n\
         [access]\nadmins = 'root@example.org'\n{bridges}"
    ))
}

/// A folder with the configuration, and all that it refers to.
fn setup(database: &str, telemetry: &str, file: &Path, port: u16) -> Setup {
    let mut setup = Setup::toml("");
    setup.write(
        "bridges.toml",
        &configuration(database, telemetry, file, port),
    );
    let mut dotenv = String::new();
    for it in PLANTED {
        match it.place {
            Place::Environment => setup = setup.env(it.name, it.text),
            Place::Dotenv => dotenv.extend([it.name, "='", it.text, "'\n"]),
            Place::File => fs::write(setup.path().join(it.name), format!("{}\n", it.text)).unwrap(),
            Place::Literal | Place::Part | Place::Reload => {}
        }
    }
    fs::write(setup.path().join(".env"), dotenv).unwrap();
    let basic = format!("somebody:{}", text_of("BASIC_PASSWORD"));
    setup.env("BASIC", &BASE64_STANDARD.encode(basic))
}

/// What servers tell: these secrets.
fn plant(file: &Path, is_told: impl Fn(&str) -> bool) {
    let all: Map<String, Value> = PLANTED
        .iter()
        .filter(|it| is_told(it.name))
        .map(|it| (it.name.to_owned(), json!(it.text)))
        .collect();
    fs::write(file, json!(all).to_string()).unwrap();
}

/// The server behind a URL, and its port. It ends with the first.
async fn remote(file: &Path) -> (Child, u16) {
    plant(file, |name| name != "NEXT_SECRET");
    let arguments = [OsStr::new("http"), file.as_os_str()];
    let (child, line) = python("leaky.py", arguments).await;
    (child, port_in(&line))
}

/// Nothing was seen of the secrets, and of what may be seen everything.
fn judge(seen: &Seen, extra: &[(&str, &str)]) {
    let secrets = PLANTED.iter().map(|it| (it.name, it.text));
    find_none(seen, secrets.chain(extra.iter().copied()));
    let shown: Vec<Medium> = seen
        .search_all([("shown", SHOWN)])
        .iter()
        .map(|it| it.medium)
        .collect();
    for medium in Medium::ALL {
        assert!(shown.contains(&medium), "{medium:?} is not searched");
    }
    let left_out = "a tool is left out: its name contains a secret";
    assert!(!seen.search([("a warning", left_out)]).is_empty());
    assert!(seen.size() > 1 << 20, "{} bytes are not much", seen.size());
}

/// Nothing was seen of these.
fn find_none<'a>(seen: &Seen, secrets: impl Iterator<Item = (&'a str, &'a str)>) {
    let mut found: BTreeMap<_, Vec<String>> = BTreeMap::new();
    for it in seen.search(secrets) {
        found
            .entry((it.what, it.medium))
            .or_default()
            .push(it.report);
    }
    let told: Vec<String> = found
        .values()
        .map(|it| format!("{} times: {}", it.len(), it[0]))
        .collect();
    assert!(told.is_empty(), "\n{}", told.join("\n"));
}

/// Runs the whole of it on a configuration. Gives what was seen, and a key that was made meanwhile.
async fn everything(setup: Setup, file: &Path, session: Option<&str>) -> (Run, String) {
    let mut run = Run::start(setup, file.to_owned()).await;
    run.use_all().await;
    run.misuse_all().await;
    if let Some(token) = session {
        // Alice is somebody, and may call nothing.
        assert_eq!(run.call_with(&format!("Bearer {token}")).await, 403);
    }
    run.reload().await;
    let key = run.make_key().await;
    run.use_all().await;
    run.run_all().await;
    run.end().await;
    (run, key)
}

#[tokio::test]
async fn no_secret_is_seen_with_postgres_and_redis() {
    let database = Postgres::create().await;
    OpenWebUi::in_postgres(&database).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("planted.json");
    let (_server, port) = remote(&file).await;
    let setup = setup(
        "url = '${DB_URL}'",
        &format!("format = 'json'\nlevel = '{TRACE}'"),
        &file,
        port,
    )
    .env(
        "DB_URL",
        &with_login(&database.url, "postgres:<%DB_PASSWORD>"),
    )
    .env("REDIS_URL", &redis_with_password().await);
    let session = User::Alice.token(text_of("WEBUI_SECRET_KEY"));
    let (mut run, key) = everything(setup, &file, Some(&session)).await;
    let tables =
        "SELECT table_name::text FROM information_schema.tables WHERE table_schema = 'mcp_proxy'";
    for table in database.column(tables).await {
        let rows = database
            .column(&format!("SELECT t::text FROM mcp_proxy.{table} t"))
            .await;
        run.seen.add(Medium::Database, &table, rows.join("\n"));
    }
    judge(
        &run.seen,
        &[("a session token", &session), ("a key made here", &key)],
    );
}

#[tokio::test]
async fn no_secret_is_seen_with_sqlite_and_nobody_else() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("planted.json");
    let (_server, port) = remote(&file).await;
    let setup = setup("open_webui = '${DB_URL}'", "level = 'debug'", &file, port)
        .env(
            "DB_URL",
            &with_login("postgres://127.0.0.1:9/x", "u:<%DB_PASSWORD>"),
        )
        .env(
            "REDIS_URL",
            &with_login("redis://127.0.0.1:9/0", ":<%REDIS_PASSWORD>"),
        );
    let (mut run, key) = everything(setup, &file, None).await;
    let folder = run.bridge.dir.path().to_owned();
    run.seen.files(Medium::Database, &folder, "mcp-bridge.db");
    judge(&run.seen, &[("a key made here", &key)]);
}

/// A URL with a login in place of its own.
fn with_login(url: &str, login: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap();
    let place = rest.rsplit('@').next().unwrap();
    filled(&format!("{scheme}://{login}@{place}"))
}

/// The URL of Redis, for a user with a password.
async fn redis_with_password() -> String {
    let client = redis::Client::open(redis_url()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let _ok: () = redis::cmd("ACL")
        .arg(&["SETUSER", "planted", "on", "~*", "&*", "+@all"])
        .arg(format!(">{}", text_of("REDIS_PASSWORD")))
        .query_async(&mut connection)
        .await
        .unwrap();
    with_login(&redis_url(), "planted:<%REDIS_PASSWORD>")
}

/// What every command line of mcpo below holds, or finds in our environment.
const OF_MCPO: [&str; 6] = [
    "OPS_KEY",
    "DEV_KEY",
    "URL_TOKEN",
    "STDIO_TOKEN",
    "PIN_PASSWORD",
    "UNUSED_API_KEY",
];

/// mcpo's command line with these words behind it.
fn mcpo(words: &[String]) -> Setup {
    let setup = Setup::bare();
    let port = setup.port().to_string();
    let setup = setup.args([
        "mcpo",
        "--host",
        "127.0.0.1",
        "--port",
        &port,
        "--log-level",
        "debug",
    ]);
    let setup = setup.args(["--api-key", text_of("OPS_KEY")]).args(words);
    let of_environment = PLANTED.iter().filter(|it| it.place == Place::Environment);
    of_environment.fold(setup, |setup, it| setup.env(it.name, it.text))
}

/// Starts it, calls and reads what it has, and finds nothing of what its servers tell.
async fn find_none_of_mcpo(
    setup: Setup,
    file: &Path,
    below: &[&str],
    is_told: impl Fn(&str) -> bool,
) {
    plant(file, &is_told);
    let mut run = Run::listen(setup, file.to_owned()).await;
    for path in ["/", "/openapi.json", "/docs", "/nothing"] {
        run.ask(Method::GET, path, "").await;
    }
    for below in below {
        for path in ["/openapi.json", "/docs"] {
            run.ask(Method::GET, &format!("{below}{path}"), "").await;
        }
        for tool in TOOLS {
            run.ask(Method::POST, &format!("{below}/{tool}"), "{}")
                .await;
        }
    }
    run.end().await;
    assert!(run.bridge.log().contains(SHOWN) && run.bridge.log().contains("***"));
    find_none(
        &run.seen,
        OF_MCPO.map(|name| (name, text_of(name))).into_iter(),
    );
}

#[tokio::test]
async fn no_secret_is_seen_under_mcpos_rules() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("planted.json");
    let (_server, port) = remote(&file).await;
    let url = filled(&format!(
        "http://user:<%URL_PASSWORD>@127.0.0.1:{port}/mcp/ok?token=<%URL_TOKEN>"
    ));
    let headers = json!({
        "Authorization": format!("Bearer {}", text_of("REMOTE_BEARER")),
        "X-Api-Key": text_of("REMOTE_API_KEY"),
    });
    let script = fixture("it/servers/leaky.py");
    let env = json!({ "A_TOKEN": "${STDIO_TOKEN}", "A_SECRET": text_of("STDIO_SECRET") });
    let servers = json!({ "mcpServers": {
        "program": { "command": "python3", "args": [script, "stdio", file, SHOWN], "env": env },
        "dies": { "command": "python3", "args": [script, "dies", file], "env": env },
        "remote": { "type": "streamable-http", "url": url, "headers": headers },
    } });
    let config = folder.path().join("mcp.json");
    fs::write(&config, servers.to_string()).unwrap();
    let setup = mcpo(&["--config".to_owned(), config.display().to_string()]);
    let remote = ["REMOTE_BEARER", "REMOTE_API_KEY", "URL_PASSWORD"];
    let is_told =
        |name: &str| OF_MCPO.contains(&name) || remote.contains(&name) || name == "STDIO_SECRET";
    find_none_of_mcpo(setup, &file, &["/program", "/remote"], is_told).await;

    let headers = headers.to_string();
    let words = [
        "--server-type",
        "streamable-http",
        "--header",
        &headers,
        "--",
        &url,
    ];
    let setup = mcpo(&words.map(str::to_owned));
    let is_told = |name: &str| OF_MCPO.contains(&name) || remote.contains(&name);
    find_none_of_mcpo(setup, &file, &[""], is_told).await;

    let token = filled("--token=<STDIO_TOKEN>");
    let (script, planted) = (script.display().to_string(), file.display().to_string());
    let secret = filled("A_SECRET=<STDIO_SECRET>");
    let words = [
        "--env", &secret, "--", "python3", &script, "stdio", &planted, SHOWN, &token,
    ];
    let setup = mcpo(&words.map(str::to_owned));
    let is_told = |name: &str| OF_MCPO.contains(&name) || name == "STDIO_SECRET";
    find_none_of_mcpo(setup, &file, &[""], is_told).await;
}
