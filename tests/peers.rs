//! Real MCP servers of npm and `PyPI`, all behind one running bridge: do they come up, list their tools and answer,
//! do the broken ones leave them alone, and is nothing left of them afterwards.
//!
//! `scripts/peers` installs them; `tests/peers/peers.json` says how each is started and what it should do.

#![expect(
    clippy::print_stdout,
    reason = "what took how long is worth reading in CI"
)]

#[path = "peers/catalogue.rs"]
mod catalogue;
#[path = "peers/processes.rs"]
mod processes;
#[path = "peers/shipped.rs"]
mod shipped;
#[path = "peers/stage.rs"]
mod stage;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use catalogue::{Bridge, Call, Catalogue};
use serde_json::{Value, json};
use shipped::Shipped;
use stage::{Answer, Stage};

/// How long after `/ready` a broken server may take to be found out.
const FAILING_WITHIN: Duration = Duration::from_secs(40);
/// How long the bridge may take to stop, with some fifty servers to stop, one of which ignores SIGTERM.
const STOPPED_WITHIN: Duration = Duration::from_secs(15);

/// One long test, because all of it is about the servers side by side. What goes wrong is collected, so that one bad
/// server does not hide another.
#[tokio::test(flavor = "multi_thread")]
async fn real_servers_work_side_by_side() {
    assert!(
        Path::new(".peers/py/checks/stamp").exists(),
        "the servers to test against are not installed: run `scripts/test`, or `scripts/peers` for them alone"
    );
    let catalogue = Catalogue::read();
    let began = Instant::now();
    let mut stage = Stage::start(&catalogue).await;
    println!(
        "{} bridges settled after {:?}",
        catalogue.bridges.len(),
        began.elapsed()
    );

    let mut broken = good_servers_are_ready(&stage, &catalogue).await;
    broken.extend(tools_are_published(&stage, &catalogue).await);
    let at_first = processes::by_bridge(&stage.run);
    broken.extend(calls_answer(&stage, &catalogue).await);
    broken.extend(failing_servers_say_why(&stage, &catalogue).await);
    for check in ["spec.py", "convert.py", "fuzz.py"] {
        broken.extend(check_passes(&stage, check));
    }
    // After all that, and dozens of restarts of the broken ones:
    broken.extend(good_servers_are_ready(&stage, &catalogue).await);
    broken.extend(nobody_was_restarted(&stage, &catalogue, &at_first));
    broken.extend(nothing_is_left(&mut stage, &at_first));

    println!("all done after {:?}", began.elapsed());
    assert!(
        broken.is_empty(),
        "{} faults:\n- {}\nthe bridge's last words:\n{}",
        broken.len(),
        broken.join("\n- "),
        stage.log_tail(60),
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_shipped_programs_start_and_answer() {
    assert!(
        Path::new(".peers/py/v1/stamp").exists(),
        "the servers to test against are not installed: run `scripts/test`, or `scripts/peers` for them alone"
    );
    let shipped = Shipped::start().await;
    let faults = shipped.faults().await;
    assert!(
        faults.is_empty(),
        "{}\n{}",
        faults.join("\n"),
        shipped.log()
    );

    // Names that the team's documents use, by alias or not: a server without its service says so, it is found.
    for (path, arguments, status, text) in [
        (
            "/sonarqube/search_projects",
            json!({}),
            422,
            "Network request failed",
        ),
        ("/trello/list_boards", json!({}), 422, "Trello API Error"),
        (
            "/filesystem/list_directory",
            json!({ "path": "." }),
            200,
            "hello.txt",
        ),
        (
            "/excel/create_excel",
            json!({ "path": "sales.xlsx" }),
            200,
            "sales.xlsx",
        ),
        (
            "/postgresql/execute_query",
            json!({ "query": "select 6 * 7 as answer" }),
            200,
            "answer: 42",
        ),
        (
            "/postgresql/execute_query",
            json!({ "query": "create table shipped (id int)" }),
            200,
            "read-only transaction",
        ),
    ] {
        let answer = shipped.call(path, arguments).await;
        assert_eq!(answer.0, status, "{path}: {}", answer.3);
        assert!(answer.3.contains(text), "{path}: {}", answer.3);
    }
    assert!(shipped.folder().join("workbooks/sales.xlsx").exists());
    workbooks_and_pages_of_the_former_services(&shipped).await;

    let (status, kind, place, page) = shipped
        .call("/dashboard/create_dashboard", shipped::board())
        .await;
    assert_eq!((status, place.as_str()), (200, "inline"), "{page}");
    assert!(kind.starts_with("text/html"), "{kind}");
    assert!(page.contains("<h1>Sales &lt;b&gt;</h1>"), "{page}");
    assert!(page.contains("1,234.5") && page.contains("<svg"), "{page}");
    let simple = json!({ "title": "t", "labels": ["a", "b"], "values": [1, null] });
    let answer = shipped
        .call("/dashboard/create_simple_dashboard", simple)
        .await;
    assert_eq!((answer.0, answer.2.as_str()), (200, "inline"));
    let wrong = json!({ "title": "t", "charts": [{ "kind": "pie", "labels": ["a"], "series": [{ "values": [-1] }] }] });
    let answer = shipped.call("/dashboard/create_dashboard", wrong).await;
    assert!(
        answer.0 == 422 && answer.3.contains("below zero"),
        "{}",
        answer.3
    );
}

/// The calls of the Python services that came before, and the file behind the link of each workbook.
async fn workbooks_and_pages_of_the_former_services(shipped: &Shipped) {
    let rows = json!({ "title": "Sales", "headers": ["month", "amount"], "data": [["May", 3], ["June", 5]] });
    let records = json!([{ "month": "May", "amount": 3 }]);
    for (path, arguments) in [
        ("/excel/create_excel", rows.clone()),
        ("/excel/create_simple_excel", rows),
        (
            "/excel/create_excel_from_json",
            json!({ "title": "Sales", "data": records }),
        ),
        (
            "/excel/create_excel_from_json",
            json!({ "json_data": records.to_string() }),
        ),
        ("/excel/export_workbook", json!({ "path": "sales.xlsx" })),
    ] {
        let answer = shipped.call(path, arguments.clone()).await;
        assert_eq!(answer.0, 200, "{path} {arguments}: {}", answer.3);
        let (status, kind, bytes) = shipped.open(&answer.3).await;
        assert_eq!(
            (status, kind.as_str()),
            (
                200,
                "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
            ),
            "{path}"
        );
        // A workbook is a ZIP archive.
        assert!(bytes.starts_with(b"PK") && bytes.len() > 4_000, "{path}");
    }
    let drawn = json!({ "title": "Sales", "charts": [{ "type": "bar", "data": { "May": 3 } }] });
    for (path, arguments) in [
        (
            "/dashboard/create_dashboard",
            json!({ "specification": drawn }),
        ),
        (
            "/dashboard/create_dashboard",
            json!({ "specification": drawn.to_string() }),
        ),
        (
            "/dashboard/create_simple_dashboard",
            json!({ "title": "Sales", "data": { "May": 3 } }),
        ),
    ] {
        let (status, kind, _, page) = shipped.call(path, arguments).await;
        assert!(
            status == 200 && kind.starts_with("text/html"),
            "{path}: {page}"
        );
        assert!(
            page.contains("<h1>Sales</h1>") && page.contains("<svg"),
            "{page}"
        );
    }
}

/// Every package in the locks of the servers to test against: `npm:NAME@VERSION`, `pypi:NAME@VERSION`.
fn locked() -> BTreeSet<String> {
    let mut locked = BTreeSet::new();
    let groups = fs::read_dir("tests/peers/npm").expect("tests/peers/npm is readable");
    let groups = groups.map(|group| group.expect("a folder entry").path());
    // The image has programs that are not started in the tests.
    for group in groups.chain([PathBuf::from("deploy/image/npm")]) {
        let path = group.join("package-lock.json");
        let text = fs::read_to_string(&path).expect("each group has a lock");
        assert!(
            !text.contains("\"resolved\""),
            "{} names a registry",
            path.display()
        );
        let lock: Value = serde_json::from_str(&text).expect("a lock is JSON");
        for (path, package) in lock["packages"].as_object().expect("a lock has packages") {
            if let (Some(name), Some(version)) = (
                path.strip_prefix("node_modules/"),
                package["version"].as_str(),
            ) {
                locked.insert(format!("npm:{name}@{version}"));
            }
        }
    }
    for lock in fs::read_dir("tests/peers/py").expect("tests/peers/py is readable") {
        let text =
            fs::read_to_string(lock.expect("a folder entry").path()).expect("a lock is text");
        for line in text.lines() {
            if line.starts_with("    --hash=sha256:") {
                continue;
            }
            let (name, version) = line
                .split_once("==")
                .expect("every line of a lock is an exact version or a checksum of it");
            // `NAME==VERSION \\`: its checksums follow, and without one nothing is installed.
            let version = version
                .strip_suffix(" \\")
                .expect("every version has a checksum");
            locked.insert(format!("pypi:{name}@{version}"));
        }
    }
    locked
}

#[test]
fn the_catalogue_and_the_locks_agree() {
    let locked = locked();
    let missing: Vec<_> = Catalogue::read()
        .packages()
        .into_iter()
        .filter(|package| !locked.contains(package))
        .collect();
    assert!(
        missing.is_empty(),
        "not in any lock of tests/peers: {missing:?}"
    );
}

/// What `npx` and `uvx` start in an example has a version, the one in the locks; for the team it is what `bridges.toml` starts.
#[test]
fn the_examples_start_packages_that_exist() {
    let started = |path: &Path| {
        let text = fs::read_to_string(path).expect("an example is text");
        let document: toml::Table = text.parse().expect("an example is TOML");
        let bridges = document.get("bridges").and_then(toml::Value::as_table);
        let mut packages = Vec::new();
        let bridges = bridges.into_iter().flat_map(toml::Table::values);
        for bridge in bridges
            .flat_map(|it| [Some(it), it.get("with_key")])
            .flatten()
        {
            let index = match bridge.get("command").and_then(toml::Value::as_str) {
                Some("npx") => "npm",
                Some("uvx") => "pypi",
                _ => continue,
            };
            let args = bridge["args"].as_array().expect("a list");
            let mut words = args.iter().filter_map(toml::Value::as_str);
            let named = words.find_map(|word| {
                let source = word.strip_prefix("--from=");
                source.or((!word.starts_with('-')).then_some(word))
            });
            packages.push(format!("{index}:{}", named.expect("a package")));
        }
        packages
    };
    let locked = locked();
    let shipped = started(Path::new("bridges.toml"));
    assert!(shipped.len() >= 9, "{shipped:?}");
    let mut count = 0;
    for example in fs::read_dir("examples").expect("examples is readable") {
        let path = example.expect("a folder entry").path();
        let is_catalogue = path.ends_with("catalogue.toml");
        if path.extension().is_none_or(|it| it != "toml") || is_catalogue {
            continue;
        }
        let is_team = path.ends_with("team.toml");
        for package in started(&path) {
            count += 1;
            let (name, version) = package.rsplit_once('@').expect("a version");
            assert!(
                version.starts_with(|it: char| it.is_ascii_digit()),
                "{}: {package} is not pinned",
                path.display()
            );
            let is_locked = locked.contains(&package);
            // Those that no lock has are told apart by their name.
            let is_known = locked
                .iter()
                .any(|it| it.rsplit_once('@').is_some_and(|it| it.0 == name));
            assert!(
                is_locked || !is_known,
                "{}: {package} has another version in the locks",
                path.display()
            );
            assert!(
                !is_team || is_locked && shipped.contains(&package),
                "{package} is not in bridges.toml and a lock"
            );
        }
    }
    assert!(count >= 8, "{count} packages in all examples");
    for package in &shipped {
        assert!(
            locked.contains(package),
            "bridges.toml: {package} is in no lock"
        );
    }
}

async fn good_servers_are_ready(stage: &Stage, catalogue: &Catalogue) -> Vec<String> {
    let servers = stage.servers().await;
    let mut broken = Vec::new();
    for bridge in catalogue.good() {
        let Some(server) = servers.get(&bridge.name) else {
            broken.push(format!("{}: not in /servers", bridge.name));
            continue;
        };
        if server.status != "ready" {
            broken.push(format!(
                "{}: {} ({})",
                bridge.name, server.status, server.reason
            ));
        } else if server.tools < bridge.tools {
            broken.push(format!(
                "{}: {} tools, expected {}",
                bridge.name, server.tools, bridge.tools
            ));
        }
    }
    broken
}

async fn tools_are_published(stage: &Stage, catalogue: &Catalogue) -> Vec<String> {
    let document = stage.get_json("/openapi.json").await;
    let mut published: BTreeMap<&str, usize> = BTreeMap::new();
    for path in document["paths"]
        .as_object()
        .into_iter()
        .flat_map(|paths| paths.keys())
    {
        let bridge = path
            .trim_start_matches('/')
            .split('/')
            .next()
            .unwrap_or_default();
        *published.entry(bridge).or_default() += 1;
    }
    let mut broken = Vec::new();
    for bridge in catalogue.good() {
        let count = published.get(bridge.name.as_str()).copied().unwrap_or(0);
        if count < bridge.tools {
            broken.push(format!(
                "{}: {count} paths in /openapi.json, expected {}",
                bridge.name, bridge.tools
            ));
        }
        let own = stage
            .get_json(&format!("/{}/openapi.json", bridge.name))
            .await;
        let count = own["paths"].as_object().map_or(0, serde_json::Map::len);
        if count < bridge.tools {
            broken.push(format!(
                "{}: {count} paths in its own document, expected {}",
                bridge.name, bridge.tools
            ));
        }
    }
    broken
}

async fn calls_answer(stage: &Stage, catalogue: &Catalogue) -> Vec<String> {
    let mut broken = Vec::new();
    for bridge in catalogue.good() {
        let Some(call) = &bridge.call else { continue };
        let answer = stage
            .post(&format!("/{}/{}", bridge.name, call.tool), &call.arguments)
            .await;
        if let Err(what) = judge(call, &answer) {
            broken.push(format!(
                "{}/{}: {what}: {} {}",
                bridge.name, call.tool, answer.status, answer.text
            ));
        }
    }
    broken
}

fn judge(call: &Call, answer: &Answer) -> Result<(), &'static str> {
    let right = match call.outcome.as_str() {
        "ok" => answer.status == 200,
        "tool_error" => {
            answer.status == 422
                && answer.json["code"] == "tool_error"
                && answer.json["detail"]["message"].is_string()
        }
        "rpc_error" => {
            [400, 404, 422, 500].contains(&answer.status)
                && answer.json["code"] != "tool_error"
                && answer.json["detail"]["message"].is_string()
        }
        _ => false,
    };
    if !right {
        return Err("not the expected outcome");
    }
    if answer.status != 200 && !answer.json["request_id"].is_string() {
        return Err("an error without a request_id");
    }
    match &call.contains {
        Some(text) if !answer.text.contains(text) => Err("not the expected text"),
        _ => Ok(()),
    }
}

async fn failing_servers_say_why(stage: &Stage, catalogue: &Catalogue) -> Vec<String> {
    let mut broken = Vec::new();
    for bridge in catalogue.failing() {
        let until = Instant::now() + FAILING_WITHIN;
        loop {
            let what = match stage.servers().await.get(&bridge.name) {
                Some(server) => stage.failure_is_told(bridge, server),
                None => Err("not in /servers".to_owned()),
            };
            match what {
                Ok(()) => break,
                Err(what) if Instant::now() > until => {
                    broken.push(format!("{}: {what}", bridge.name));
                    break;
                }
                Err(_) => tokio::time::sleep(Duration::from_millis(200)).await,
            }
        }
        broken.extend(call_is_refused(stage, bridge).await);
    }
    broken
}

/// A call to a bridge that is down is answered at once, never held until something gives up.
async fn call_is_refused(stage: &Stage, bridge: &Bridge) -> Option<String> {
    let expected = bridge.fails.as_ref()?;
    let asked = Instant::now();
    let answer = stage
        .post(
            &format!("/{}/any_tool", bridge.name),
            &Value::Object(serde_json::Map::new()),
        )
        .await;
    let right = match (answer.status, answer.json["code"].as_str()) {
        (503, Some("disabled")) => expected.status.as_deref() == Some("disabled"),
        (503, Some("unavailable")) => expected.status.is_none() && answer.retry_after,
        (404, Some(_)) => expected.or_empty,
        _ => false,
    };
    (!right || asked.elapsed() > Duration::from_secs(2)).then(|| {
        format!(
            "{}: a call is answered {} {} (Retry-After: {}) after {:?}",
            bridge.name,
            answer.status,
            answer.text,
            answer.retry_after,
            asked.elapsed()
        )
    })
}

/// Runs one program of `tests/peers/checks` against the bridge.
fn check_passes(stage: &Stage, program: &str) -> Option<String> {
    let began = Instant::now();
    let output = Command::new(".peers/py/checks/bin/python")
        .arg(Path::new("tests/peers/checks").join(program))
        .arg(&stage.url)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("the checks have a Python");
    let said = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    println!(
        "{program}: {:?}: {}",
        began.elapsed(),
        said.lines().last().unwrap_or_default()
    );
    (!output.status.success()).then(|| format!("{program}: {}\n{said}", output.status))
}

/// Whoever was up has the same processes as in the beginning.
fn nobody_was_restarted(
    stage: &Stage,
    catalogue: &Catalogue,
    at_first: &BTreeMap<String, Vec<u32>>,
) -> Vec<String> {
    if !processes::VISIBLE {
        return Vec::new();
    }
    let now = processes::by_bridge(&stage.run);
    let none = Vec::new();
    let mut broken = Vec::new();
    for bridge in catalogue.good().filter(|bridge| bridge.is_stdio()) {
        let (first, now) = (
            at_first.get(&bridge.name).unwrap_or(&none),
            now.get(&bridge.name).unwrap_or(&none),
        );
        if first.is_empty() {
            broken.push(format!("{}: has no process", bridge.name));
        } else if !first.iter().any(|pid| now.contains(pid)) {
            broken.push(format!(
                "{}: restarted: {first:?} became {now:?}",
                bridge.name
            ));
        }
    }
    broken
}

fn nothing_is_left(stage: &mut Stage, at_first: &BTreeMap<String, Vec<u32>>) -> Vec<String> {
    let mut broken = Vec::new();
    let began = Instant::now();
    match stage.stop(STOPPED_WITHIN) {
        Some(status) if status.code() == Some(0) => println!("stopped after {:?}", began.elapsed()),
        Some(status) => broken.push(format!("SIGTERM ended the bridge with {status}")),
        None => broken.push(format!("still running {STOPPED_WITHIN:?} after SIGTERM")),
    }
    if processes::VISIBLE {
        let running: usize = at_first.values().map(Vec::len).sum();
        assert!(
            running > 30,
            "only {running} processes were seen while all was up: the look-out is blind"
        );
        let left = processes::by_bridge(&stage.run);
        if !left.is_empty() {
            broken.push(format!("these were left running: {left:?}"));
            processes::kill(left.values().flatten().copied());
        }
    }
    broken
}
