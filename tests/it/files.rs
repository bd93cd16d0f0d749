//! Files that tools make: a link in the answer, which opens for its caller and for nobody else, on every replica.

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Answer, Bridge, OpenWebUi, Postgres, Setup, User, until};

const SECRET: &str = "the secret of open webui, 0123456789";
const ADMIN: &str = "the key of an administrator, 0123456789";
const PUBLIC: &str = "https://tools.example.org/bridge";

/// A bridge that hands out links, one that does not, and one with the name that is in the links.
fn setup(database: &str) -> Setup {
    let program = "command = 'python3'\nargs = ['{dir}/files.py']\n";
    let setup = Setup::toml(&format!(
        "[server]\npublic_url = '{PUBLIC}'\n[database]\nurl = '{database}'\nopen_webui = '{database}'\n\
         [identity.open_webui]\nsecret_key = '${{FI_SECRET}}'\n\
         [identity.keys.admin]\nkey = '${{FI_ADMIN}}'\ngroups = ['MCP-Admin']\n\
         [access.groups]\nstaff = ['makes', 'plain', 'files']\nsales = ['makes']\n\
         [bridges.makes]\nfile_links = true\nenv = {{ LEAK = '${{FI_ADMIN}}' }}\n{program}\
         [bridges.plain]\n{program}\
         [bridges.files]\n{program}"
    ))
    .env("FI_SECRET", SECRET)
    .admin_key("FI_ADMIN", ADMIN);
    setup.write("files.py", include_str!("servers/files.py"));
    setup
}

fn bearer(user: User) -> String {
    format!("Bearer {}", user.token(SECRET))
}

async fn make(bridge: &Bridge, authorization: &str, path: &str, arguments: Value) -> Answer {
    let headers = [("authorization", authorization)];
    let body = arguments.to_string();
    bridge.send(Method::POST, path, &headers, &body).await
}

/// The path of the link in an answer.
fn path(answer: &Answer) -> String {
    let told = answer.ok();
    let link = told[1].as_str().unwrap_or_default();
    let path = link.strip_prefix(PUBLIC);
    path.unwrap_or_else(|| panic!("no link: {told}")).to_owned()
}

async fn open(bridge: &Bridge, path: &str, headers: &[(&str, &str)]) -> Answer {
    bridge.send(Method::GET, path, headers, "").await
}

#[tokio::test]
async fn a_link_opens_for_its_caller_on_every_replica() {
    let database = Postgres::create().await;
    OpenWebUi::in_postgres(&database).await;
    let (first, second) = tokio::join!(setup(&database.url).ready(), setup(&database.url).ready());
    let alice = bearer(User::Alice);
    let arguments = json!({ "name": "Zahlen ü \"1\".xlsx", "type": "application/x-made; a=b" });
    let answer = make(&first, &alice, "/makes/make", arguments).await;
    assert_eq!(answer.json()[0], "made");
    let link = path(&answer);
    assert_eq!(link.len(), "/files/".len() + 43, "{link}");

    let cookie = format!("theme=dark; token={}", User::Alice.token(SECRET));
    let as_browser = [
        ("cookie", cookie.as_str()),
        ("sec-fetch-site", "cross-site"),
        ("accept", "text/html,*/*"),
    ];
    for headers in [&[("authorization", alice.as_str())][..], &as_browser] {
        let file = open(&second, &link, headers).await;
        assert_eq!(
            (file.status, file.text.as_str()),
            (200, "x".repeat(300).as_str())
        );
        for (name, value) in [
            ("content-type", "application/x-made"),
            (
                "content-disposition",
                "attachment; filename=\"Zahlen _ 1.xlsx\"; filename*=UTF-8''Zahlen%20%C3%BC%201.xlsx",
            ),
            ("cache-control", "private, no-store"),
            ("x-content-type-options", "nosniff"),
            (
                "content-security-policy",
                "default-src 'none'; sandbox; frame-ancestors 'none'",
            ),
        ] {
            assert_eq!(file.header(name), value, "{name}");
        }
    }
    let head = second.send(Method::HEAD, &link, &as_browser, "").await;
    assert_eq!((head.status, head.header("content-length")), (200, "300"));

    // Others: one who may call the same tool, an administrator's key, nobody, a wrong token.
    let (bob, admin) = (bearer(User::Bob), format!("Bearer {ADMIN}"));
    for (headers, status) in [
        (vec![("authorization", bob.as_str())], 404),
        (vec![("authorization", &admin)], 404),
        (vec![], 401),
        (vec![("authorization", "Bearer no-such-key")], 401),
        (vec![("accept", "text/html")], 401),
    ] {
        let refused = open(&first, &link, &headers).await;
        assert_eq!(refused.status, status, "{headers:?}: {}", refused.text);
        assert!(!refused.text.contains("xxx"), "{}", refused.text);
    }
    let page = open(&first, &link, &[("accept", "text/html")]).await;
    assert!(
        page.text.contains("<html") && page.text.contains("ign in to Open WebUI"),
        "{}",
        page.text
    );
    // The table alone opens nothing.
    let ids = database
        .column("SELECT id FROM mcp_proxy.bridge_file")
        .await;
    assert!(ids.iter().all(|id| !link.contains(id.as_str())), "{ids:?}");

    // Who may no longer call may no longer download.
    let grant = json!({ "group": "staff", "bridge": "makes" });
    first.admin_api().delete("/grants", grant).await.ok();
    until(async || open(&second, &link, &as_browser).await.status == 403).await;
}

#[tokio::test]
async fn a_file_ends_after_a_day() {
    let database = Postgres::create().await;
    OpenWebUi::in_postgres(&database).await;
    let bridge = setup(&database.url).ready().await;
    let admin = format!("Bearer {ADMIN}");
    let key = [("authorization", admin.as_str())];
    let link = path(&make(&bridge, &admin, "/makes/make", json!({})).await);
    assert_eq!(open(&bridge, &link, &key).await.status, 200);
    let day = "SELECT ((expires_at - created_at + 1800000000) / 3600000000)::text FROM mcp_proxy.bridge_file";
    assert_eq!(database.column(day).await, ["24"]);
    database
        .execute("UPDATE mcp_proxy.bridge_file SET expires_at = 1")
        .await;
    let over = open(&bridge, &link, &key).await;
    assert_eq!(over.status, 404, "{}", over.text);
    // The next file takes the old ones away.
    path(&make(&bridge, &admin, "/makes/make", json!({})).await);
    assert_eq!(
        database
            .column("SELECT count(*)::text FROM mcp_proxy.bridge_file")
            .await,
        ["1"]
    );
}

#[tokio::test]
async fn what_is_no_file_stays_in_the_answer_and_what_cannot_be_kept_is_told() {
    let database = Postgres::create().await;
    OpenWebUi::in_postgres(&database).await;
    let bridge = setup(&database.url).ready().await;
    let admin = format!("Bearer {ADMIN}");
    let key = [("authorization", admin.as_str())];
    // A bridge that hands out no links answers as before.
    for (path, arguments, expected) in [
        (
            "/plain/make",
            json!({}),
            "data:application/x-made;base64,eHh4",
        ),
        (
            "/makes/make",
            json!({ "type": "image/png" }),
            "data:image/png;base64,eHh4",
        ),
        (
            "/makes/make",
            json!({ "size": 3 }),
            "data:application/x-made;base64,eHh4",
        ),
        ("/makes/make", json!({ "type": "text/html" }), "xxx"),
        (
            "/makes/make",
            json!({ "size": 11 << 20 }),
            "(The file made.bin was not kept: it has 11534336 bytes",
        ),
        (
            "/makes/make",
            json!({ "leak": true }),
            "(The file made.bin was not kept: it contains a secret of the bridge.)",
        ),
    ] {
        let answer = make(&bridge, &admin, path, arguments.clone()).await;
        let told = answer.ok();
        let told = told[1].as_str().unwrap_or_default();
        assert!(
            told.starts_with(expected),
            "{path} {arguments}: {}",
            &told[..told.len().min(200)]
        );
    }
    // Ten files of one result, and no more.
    let answer = make(&bridge, &admin, "/makes/make", json!({ "count": 12 })).await;
    let told = answer.json();
    let links = told.as_array().unwrap().iter();
    assert_eq!(
        links
            .filter(|it| it.as_str().unwrap().starts_with(PUBLIC))
            .count(),
        10
    );
    let failed = make(&bridge, &admin, "/makes/fail", json!({})).await;
    assert!(
        failed.status == 422 && !failed.text.contains("/files/"),
        "{}",
        failed.text
    );
    assert_eq!(
        database
            .column("SELECT count(*)::text FROM mcp_proxy.bridge_file")
            .await,
        ["10"]
    );

    // A bridge of that name has its paths.
    let own = make(&bridge, &admin, "/files/make", json!({})).await;
    assert_eq!(own.status, 200, "{}", own.text);
    for path in ["/files", "/files/openapi.json", "/files/docs"] {
        assert_eq!(open(&bridge, path, &key).await.status, 200, "{path}");
    }
    assert_eq!(open(&bridge, "/files/make", &key).await.status, 405);

    // A file that cannot be kept is no link that opens nothing.
    database.shut_out().await;
    let lost = make(&bridge, &admin, "/makes/make", json!({})).await;
    lost.assert_error(503, "store_unavailable");
}

#[tokio::test]
async fn without_a_database_url_the_files_are_in_the_file_beside_the_configuration() {
    let toml =
        "[bridges.makes]\nfile_links = true\ncommand = 'python3'\nargs = ['{dir}/files.py']\n";
    let setup = Setup::toml(toml);
    setup.write("files.py", include_str!("servers/files.py"));
    let port = setup.port();
    let bridge = setup.ready().await;
    let answer = bridge.post("/makes/make", "{}").await;
    let told = answer.json();
    let link = told[1].as_str().unwrap_or_default();
    let path = link.strip_prefix(&format!("http://localhost:{port}"));
    let path = path.unwrap_or_else(|| panic!("no link: {told}"));
    let file = bridge.get(path).await;
    assert_eq!((file.status, file.text.len()), (200, 300), "{}", file.text);
}
