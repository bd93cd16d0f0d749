//! `GET /metrics`: what a scrape of the real program says after calls, errors, a killed child, a
//! reload; and who may read it.

use std::{collections::BTreeMap, time::Duration};

use prometheus_parse::{Scrape, Value};

use crate::harness::{Bridge, PATIENCE, Setup, client, free_port, until};

/// The series of a reading, by name and labels: `calls_total{bridge="a"}`.
struct Series(BTreeMap<String, f64>);

impl Series {
    /// Reads a text as Prometheus does.
    fn read(text: &str) -> Self {
        let lines = text.lines().map(|line| Ok(line.to_owned()));
        let scrape = Scrape::parse(lines).unwrap();
        let mut series = BTreeMap::new();
        for sample in scrape.samples {
            let mut labels: Vec<_> = sample
                .labels
                .iter()
                .map(|(name, value)| format!("{name}={value}"))
                .collect();
            labels.sort();
            let key = format!("{}{{{}}}", sample.metric, labels.join(","));
            let value = match sample.value {
                Value::Counter(it) | Value::Gauge(it) | Value::Untyped(it) => it,
                Value::Histogram(buckets) => buckets.last().map_or(0.0, |it| it.count),
                Value::Summary(_) => panic!("no summary is published: {key}"),
            };
            assert!(series.insert(key.clone(), value).is_none(), "twice: {key}");
        }
        Self(series)
    }

    /// The value of a series.
    #[track_caller]
    fn get(&self, key: &str) -> f64 {
        let found = self.0.get(key);
        *found.unwrap_or_else(|| panic!("no {key} among {:#?}", self.0.keys()))
    }

    /// Whether there is a series with this piece in its name or labels.
    fn has(&self, piece: &str) -> bool {
        self.0.keys().any(|key| key.contains(piece))
    }
}

/// Reads them.
async fn scrape(bridge: &Bridge) -> Series {
    let answer = bridge.get("/metrics").await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(answer.header("content-type"), "text/plain; version=0.0.4");
    Series::read(&answer.text)
}

/// Numbers that were counted are whole.
#[track_caller]
fn assert_counted(series: &Series, key: &str, expected: u32) {
    let value = series.get(key);
    assert!(
        (value - f64::from(expected)).abs() < 0.5,
        "{key} is {value}, not {expected}"
    );
}

#[tokio::test]
async fn calls_are_counted_by_bridge_tool_and_outcome() {
    let bridge = Setup::toml(
        "[bridges.a]\n{bad good}\naliases = { say = 'echo' }\n[bridges.b]\n{bad good}\n[bridges.off]\n{bad good}\nenabled = false\n",
    )
    .ready()
    .await;
    for _ in 0..3 {
        assert_eq!(
            bridge.post("/a/echo", r#"{"message": "x"}"#).await.status,
            200
        );
    }
    bridge.post("/a/say", r#"{"message": "x"}"#).await;
    bridge.post("/a/echo", "{}").await;
    bridge.post("/a/fail", "{}").await;
    bridge.post("/a/rpc_error", "{}").await;
    bridge.post("/off/echo", "{}").await;
    for number in 0..20 {
        assert_eq!(
            bridge
                .post(&format!("/a/made-up-{number}"), "{}")
                .await
                .status,
            404
        );
        assert_eq!(
            bridge
                .post(&format!("/made-up-{number}/x"), "{}")
                .await
                .status,
            404
        );
    }
    let series = scrape(&bridge).await;
    let calls = |bridge, tool, code| {
        format!("mcp_bridge_calls_total{{bridge={bridge},code={code},tool={tool}}}")
    };
    // An alias is the tool that it stands for.
    assert_counted(&series, &calls("a", "echo", "ok"), 4);
    assert_counted(&series, &calls("a", "echo", "invalid_arguments"), 1);
    assert_counted(&series, &calls("a", "fail", "tool_error"), 1);
    assert_counted(&series, &calls("a", "rpc_error", "server_error"), 1);
    assert_counted(&series, &calls("a", "*", "not_found"), 20);
    assert_counted(&series, &calls("off", "*", "disabled"), 1);
    assert!(!series.has("made-up"), "callers make series");
    assert!(!series.has("tool=say"), "an alias makes a series");
    // Refusals take no time of the server.
    assert_counted(&series, "mcp_bridge_call_duration_seconds{bridge=a}", 6);
    assert_counted(
        &series,
        "mcp_bridge_call_duration_seconds_count{bridge=a}",
        6,
    );
    assert_counted(&series, "mcp_bridge_call_duration_seconds{bridge=b}", 0);
    assert_counted(&series, "mcp_bridge_status{bridge=a,status=ready}", 1);
    assert_counted(&series, "mcp_bridge_status{bridge=a,status=failed}", 0);
    assert_counted(&series, "mcp_bridge_status{bridge=off,status=disabled}", 1);
    assert_counted(&series, "mcp_bridge_sessions{bridge=a}", 1);
    assert_counted(&series, "mcp_bridge_sessions_started_total{bridge=a}", 1);
    assert_counted(&series, "mcp_bridge_database_up{}", 1);
    assert_counted(&series, "mcp_bridge_audit_lost_records_total{}", 0);
    assert_counted(&series, "mcp_bridge_audit_failing{}", 0);
    assert_counted(&series, "mcp_bridge_reload_successful{}", 1);
    assert!(series.get("mcp_bridge_tools{bridge=a}") > 10.0);
    assert!(series.get("mcp_bridge_http_requests_total{status=4xx}") > 40.0);
    assert!(series.get("process_resident_memory_bytes{}") > 1e6);
    assert!(series.get("process_open_fds{}") > 3.0);
    let version = env!("CARGO_PKG_VERSION");
    assert_counted(
        &series,
        &format!("mcp_bridge_build_info{{version={version}}}"),
        1,
    );
}

#[tokio::test]
async fn calls_in_flight_and_those_that_wait_are_seen_and_a_caller_who_leaves_is_counted() {
    let bridge = Setup::toml("[bridges.a]\n{bad good}\nconcurrency = 1\nqueue = 4\n")
        .ready()
        .await;
    let url = format!("{}/a/hang", bridge.base);
    let calling: Vec<_> = (0..3)
        .map(|_| tokio::spawn(client().post(&url).body("{}").send()))
        .collect();
    let is =
        async |key: &str, expected: f64| (scrape(&bridge).await.get(key) - expected).abs() < 0.5;
    until(async || is("mcp_bridge_calls_in_flight{bridge=a}", 1.0).await).await;
    until(async || is("mcp_bridge_calls_queued{bridge=a}", 2.0).await).await;
    assert!(is("mcp_bridge_calls_in_flight_max{bridge=a}", 1.0).await);
    assert!(is("mcp_bridge_calls_queued_max{bridge=a}", 4.0).await);
    for call in calling {
        call.abort();
    }
    until(async || is("mcp_bridge_calls_in_flight{bridge=a}", 0.0).await).await;
    let cancelled = "mcp_bridge_calls_total{bridge=a,code=cancelled,tool=hang}";
    until(async || {
        let series = scrape(&bridge).await;
        series.has(cancelled) && (series.get(cancelled) - 3.0).abs() < 0.5
    })
    .await;
}

#[tokio::test]
async fn the_processes_of_a_server_are_measured_as_a_group_and_its_death_is_counted() {
    let bridge = Setup::toml("[bridges.a]\n{bad good}\n").ready().await;
    let processes = "mcp_bridge_server_processes{bridge=a}";
    let memory = "mcp_bridge_server_resident_memory_bytes{bridge=a}";
    let cpu = "mcp_bridge_server_cpu_seconds_total{bridge=a}";
    let before = scrape(&bridge).await;
    assert_counted(&before, processes, 1);
    assert!(before.get(memory) > 1e6, "{}", before.get(memory));
    assert!(before.get(cpu) > 0.0);

    // A grandchild belongs to it.
    assert_eq!(bridge.post("/a/grandchild", "{}").await.status, 200);
    until(async || scrape(&bridge).await.get(processes) > 1.5).await;
    assert!(scrape(&bridge).await.get(memory) > before.get(memory));

    assert_eq!(bridge.post("/a/die", "{}").await.status, 502);
    let restarts = "mcp_bridge_restarts_total{bridge=a}";
    until(async || scrape(&bridge).await.get(restarts) > 0.5).await;
    bridge.until("a", "ready").await;
    until(async || {
        let series = scrape(&bridge).await;
        (series.get(processes) - 1.0).abs() < 0.5
    })
    .await;
    let after = scrape(&bridge).await;
    assert_counted(&after, restarts, 1);
    assert_counted(&after, "mcp_bridge_sessions_started_total{bridge=a}", 2);
    assert_counted(
        &after,
        "mcp_bridge_calls_total{bridge=a,code=upstream_closed,tool=die}",
        1,
    );
    assert!(after.get(cpu) >= before.get(cpu), "processor time shrank");
}

#[tokio::test]
async fn a_bridge_that_a_reload_removes_is_gone_and_one_that_it_changes_counts_on() {
    let bridge = Setup::toml("[bridges.a]\n{bad good}\n[bridges.b]\n{bad good}\n")
        .ready()
        .await;
    for path in ["/a/pid", "/b/pid"] {
        assert_eq!(bridge.post(path, "{}").await.status, 200);
    }
    let before = scrape(&bridge).await;
    assert!(before.has("bridge=b"));
    bridge.write("bridges.toml", "[bridges.a]\n{bad good}\ntimeout = '9s'\n");
    assert_eq!(bridge.post("/refresh", "").await.status, 200);
    assert_eq!(bridge.post("/a/pid", "{}").await.status, 200);
    let after = scrape(&bridge).await;
    assert!(!after.has("bridge=b"), "a bridge that is gone has series");
    assert_counted(
        &after,
        "mcp_bridge_calls_total{bridge=a,code=ok,tool=pid}",
        2,
    );
    assert!(after.get("mcp_bridge_reloads_total{result=applied}") > 0.5);
    let applied_at = after.get("mcp_bridge_reload_success_timestamp_seconds{}");
    assert!(applied_at >= before.get("mcp_bridge_reload_success_timestamp_seconds{}"));

    bridge.write("bridges.toml", "[bridges.a\n");
    assert_eq!(bridge.post("/refresh", "").await.status, 409);
    let refused = scrape(&bridge).await;
    assert!(refused.get("mcp_bridge_reloads_total{result=refused}") > 0.5);
    assert_counted(&refused, "mcp_bridge_reload_successful{}", 0);
    assert!(
        (refused.get("mcp_bridge_reload_success_timestamp_seconds{}") - applied_at).abs() < 5.0
    );
}

#[tokio::test]
async fn sessions_of_groups_are_counted_and_their_processes_are_measured_together() {
    const ADMIN: &str = "the-key-of-the-admin";
    let key = |name: &str, group: &str| {
        format!("[identity.keys.{name}]\nkey = 'the-key-of-the-{name}'\ngroups = ['{group}']\n")
    };
    let keys = [
        key("admin", "MCP-Admin"),
        key("one", "scarlet"),
        key("two", "azure"),
    ]
    .concat();
    let bridge = Setup::toml(&format!(
        "{keys}[access.groups]\nscarlet = ['own']\nazure = ['own']\n\
         [bridges.own]\n{{bad good}}\nenv = {{ TOKEN = '${{OWN_TOKEN}}' }}\ncredential = 'group'\nsessions_max = 7\n"
    ))
    .ready()
    .await;
    let send = async |key: &str, path: &str, body: &str| {
        let answer = bridge.as_bearer(key).post(path, body).await;
        answer.status
    };
    for group in ["scarlet", "azure"] {
        let body = format!(
            r#"{{"tenant_id": "{group}", "server_id": "own", "key_name": "OWN_TOKEN", "key_value": "t0ken-of-{group}"}}"#
        );
        until(async || send(ADMIN, "/admin/api/tenant-keys", &body).await == 200).await;
    }
    for key in ["the-key-of-the-one", "the-key-of-the-two"] {
        until(async || send(key, "/own/pid", "{}").await == 200).await;
    }
    let answer = bridge.as_bearer(ADMIN).get("/metrics").await;
    let series = Series::read(&answer.text);
    assert_counted(&series, "mcp_bridge_owned_sessions{bridge=own}", 2);
    assert_counted(&series, "mcp_bridge_owned_sessions_max{bridge=own}", 7);
    assert_counted(&series, "mcp_bridge_sessions{bridge=own}", 2);
    assert_counted(&series, "mcp_bridge_server_processes{bridge=own}", 2);
    // Grants were read, and remembered.
    assert!(series.get("mcp_bridge_lookups_total{memory=grants,result=hit}") > 0.5);
    for told in ["scarlet", "azure", "the-key", "t0ken"] {
        assert!(!answer.text.contains(told), "{told}");
    }
}

#[tokio::test]
async fn whoever_is_no_administrator_reads_no_metrics_unless_the_operator_says_so() {
    let keys = "[identity.keys.admin]\nkey = 'the-key-of-the-admin'\ngroups = ['MCP-Admin']\n\
        [identity.keys.other]\nkey = 'the-key-of-another'\ngroups = ['devs']\n\
        [access.groups]\ndevs = ['a']\n[bridges.a]\n{bad good}\n";
    let read = async |bridge: &Bridge, key: &str| {
        let answer = if key.is_empty() {
            bridge.get("/metrics").await
        } else {
            bridge.as_bearer(key).get("/metrics").await
        };
        answer.status
    };
    for (line, statuses) in [
        ("", [401, 403, 200]),
        ("metrics = 'admin'", [401, 403, 200]),
        ("metrics = 'open'", [200, 200, 200]),
        ("metrics = 'off'", [404, 404, 404]),
    ] {
        let bridge = Setup::toml(&format!("[telemetry]\n{line}\n{keys}"))
            .ready()
            .await;
        for (key, expected) in ["", "the-key-of-another", "the-key-of-the-admin"]
            .into_iter()
            .zip(statuses)
        {
            assert_eq!(read(&bridge, key).await, expected, "{line} {key}");
        }
    }

    // It applies with a reload.
    let bridge = Setup::toml(&format!("[telemetry]\nmetrics = 'off'\n{keys}"))
        .ready()
        .await;
    bridge.write(
        "bridges.toml",
        &format!("[telemetry]\nmetrics = 'open'\n{keys}"),
    );
    until(async || read(&bridge, "").await == 200).await;
}

#[tokio::test]
async fn metrics_stand_on_an_address_of_their_own_without_a_key() {
    let port = free_port();
    let bridge = Setup::toml(&format!(
        "[telemetry]\nmetrics = 'off'\nmetrics_listen = '127.0.0.1:{port}'\n\
         [identity.keys.a]\nkey = 'the-key-of-the-admin'\n[bridges.a]\n{{bad good}}\n"
    ))
    .ready()
    .await;
    assert_eq!(bridge.get("/metrics").await.status, 404);
    let get = async |path: &str| {
        let url = format!("http://127.0.0.1:{port}{path}");
        let answer = tokio::time::timeout(PATIENCE, client().get(url).send()).await;
        let answer = answer.expect("an answer in time").unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    let (status, text) = get("/metrics").await;
    assert_eq!(status, 200);
    assert_counted(
        &Series::read(&text),
        "mcp_bridge_status{bridge=a,status=ready}",
        1,
    );
    assert!(!text.contains("the-key"), "{text}");
    // Nothing else is there.
    for path in ["/", "/servers", "/health", "/a/pid"] {
        assert_eq!(get(path).await.0, 404, "{path}");
    }

    // Where it cannot stand, nothing starts.
    let taken =
        format!("[telemetry]\nmetrics_listen = '127.0.0.1:{port}'\n[bridges.a]\n{{bad good}}\n");
    let (code, printed) = Setup::toml(&taken).output().await;
    assert_eq!(code, 1, "{printed}");
    assert!(
        printed.contains("`metrics_listen` in [telemetry]"),
        "{printed}"
    );
}

#[tokio::test]
async fn many_readers_cost_one_look_at_the_processes_a_second() {
    let bridge = Setup::toml("[bridges.a]\n{bad good}\n").ready().await;
    let began = std::time::Instant::now();
    let readers = (0..50).map(|_| bridge.get("/metrics"));
    for answer in futures::future::join_all(readers).await {
        assert_eq!(answer.status, 200);
    }
    assert!(
        began.elapsed() < Duration::from_secs(5),
        "{:?}",
        began.elapsed()
    );
}
