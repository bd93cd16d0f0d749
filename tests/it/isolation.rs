//! The programs that a bridge starts: what they can read of it, as whom they run, and that none is left.

use std::{
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown},
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::harness::{Bridge, Setup, is_alive, until, until_gone};

/// A user without any rights.
const NOBODY: u32 = 65534;
/// How soon everything is gone after the bridge was killed; a loaded machine may take longer.
const GONE_WITHIN: Duration = Duration::from_secs(5);

/// The script in the folder of the bridge, where every user can read it.
const NOSY: &str = "command = '{python}'\nargs = ['{dir}/nosy.py']\n";

/// A folder that every user may enter, with the server in it.
fn setup(toml: &str) -> Setup {
    let python = if fs::exists("/usr/bin/python3").unwrap() {
        "/usr/bin/python3"
    } else {
        "python3"
    };
    let setup = Setup::bare();
    let toml = toml.replace("{nosy}", NOSY).replace("{python}", python);
    setup.write("bridges.toml", &toml);
    setup.write("nosy.py", include_str!("servers/nosy.py"));
    fs::set_permissions(setup.path(), fs::Permissions::from_mode(0o755)).unwrap();
    setup
}

/// Whether the tests run as root.
fn is_root() -> bool {
    fs::metadata("/proc/self").unwrap().uid() == 0
}

/// A bridge as the user of the tests.
fn as_ourselves(toml: &str) -> Setup {
    setup(toml).args(["--config", "{dir}/bridges.toml"])
}

/// A bridge without rights, whoever runs the tests.
fn unprivileged(toml: &str) -> Setup {
    if !is_root() {
        return as_ourselves(toml);
    }
    let setup = setup(toml);
    // The build folder may be closed to others.
    let (binary, copy) = (
        env!("CARGO_BIN_EXE_mcp-bridge"),
        setup.path().join("mcp-bridge"),
    );
    if fs::hard_link(binary, &copy).is_err() {
        fs::copy(binary, &copy).unwrap();
    }
    for path in [
        setup.path().to_path_buf(),
        setup.path().join("bridges.toml"),
    ] {
        chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
    }
    let user = [format!("--reuid={NOBODY}"), format!("--regid={NOBODY}")];
    setup
        .program("setpriv".as_ref())
        .args(user)
        .args(["--clear-groups", "{dir}/mcp-bridge"])
        .args(["--config", "{dir}/bridges.toml"])
}

/// What a tool of the server answers.
async fn ask(bridge: &Bridge, path: &str, body: &str) -> Value {
    let answer = bridge.post(path, body).await;
    assert_eq!(answer.status, 200, "{path}: {}", answer.text);
    answer.json()
}

/// Every attempt must have been refused.
fn assert_refused(attempts: &Value, who: &str) {
    let attempts = attempts.as_object().unwrap();
    assert!(attempts.len() > 20, "{attempts:?}");
    for (what, seen) in attempts {
        let seen = seen.as_str().unwrap();
        assert!(
            [
                "refused: Permission denied",
                "refused: Operation not permitted"
            ]
            .contains(&seen),
            "{who}, {what}: {seen}"
        );
    }
}

/// The ids of the processes that the server started, and its own.
async fn family(bridge: &Bridge, name: &str) -> Vec<u64> {
    let family = ask(bridge, &format!("/{name}/family"), "{}").await;
    let mut pids: Vec<u64> = family
        .as_object()
        .unwrap()
        .values()
        .map(|pid| pid.as_u64().unwrap())
        .collect();
    let me = ask(bridge, &format!("/{name}/me"), "{}").await;
    pids.push(me["pid"].as_u64().unwrap());
    assert_eq!(pids.len(), 5, "{family}");
    assert!(pids.iter().all(|pid| is_alive(*pid)), "{family}");
    pids
}

/// The process that cleans up after the bridge.
fn cleaner_of(bridge: &Bridge) -> Option<u64> {
    let parent = format!("PPid:\t{}\n", bridge.child.id()?);
    let processes = fs::read_dir("/proc").ok()?.flatten();
    processes
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .find(|pid| {
            let read =
                |file: &str| fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap_or_default();
            is_alive(*pid)
                && read("cmdline").contains("\0__cleaner\0")
                && read("status").contains(&parent)
        })
}

async fn assert_gone(pids: &[u64], what: &str) {
    let began = Instant::now();
    for pid in pids {
        until_gone(*pid).await;
    }
    assert!(
        began.elapsed() < GONE_WITHIN,
        "{what}: {:?}",
        began.elapsed()
    );
}

#[tokio::test]
async fn a_program_of_the_same_user_reads_nothing_of_the_bridge() {
    let setup = unprivileged("[bridges.nosy]\n{nosy}").env("SECRET_TOKEN", "s3cr3t-t0ken-value");
    let bridge = setup.ready().await;
    assert_refused(&ask(&bridge, "/nosy/peek", "{}").await, "the server");
    let id = bridge.child.id().unwrap();
    let deep = format!(r#"{{"deep": true, "pid": {id}}}"#);
    assert_refused(&ask(&bridge, "/nosy/peek", &deep).await, "its grandchild");
    let cleaner = cleaner_of(&bridge).expect("the cleaner runs");
    let cleaner = format!(r#"{{"pid": {cleaner}}}"#);
    assert_refused(
        &ask(&bridge, "/nosy/peek", &cleaner).await,
        "the server, of the cleaner",
    );
    // We can still read what we need of ourselves.
    let metrics = bridge.get("/metrics").await.text;
    for name in [
        "process_open_fds ",
        "process_max_fds ",
        "process_resident_memory_bytes ",
    ] {
        assert!(metrics.contains(name), "{name} in {metrics}");
    }
}

/// What the process of the tests itself has open, and what it ignores: children inherit that.
fn inherited() -> (Vec<String>, u64) {
    let files = fs::read_dir("/proc/self/fd").unwrap().flatten();
    let files = files.filter_map(|entry| fs::read_link(entry.path()).ok());
    let files = files
        .map(|link| link.to_str().unwrap().to_owned())
        .collect();
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let ignored = status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:\t"));
    (files, u64::from_str_radix(ignored.unwrap(), 16).unwrap())
}

#[tokio::test]
async fn a_program_inherits_its_pipes_and_the_limits_of_the_operator() {
    let (files, ignored) = inherited();
    let limited = format!(
        "ulimit -Sc $(ulimit -Hc); ulimit -Sn 777; umask 027; exec {} --config bridges.toml",
        env!("CARGO_BIN_EXE_mcp-bridge")
    );
    let setup = setup("[bridges.nosy]\n{nosy}").program("sh".as_ref());
    let bridge = setup.args(["-c", &limited]).ready().await;
    let me = ask(&bridge, "/nosy/me", "{}").await;
    for (number, link) in me["opened"].as_object().unwrap() {
        let link = link.as_str().unwrap().to_owned();
        let is_its_own = ["0", "1", "2"].contains(&number.as_str()) && link.starts_with("pipe:");
        assert!(is_its_own || files.contains(&link), "{number}: {link}");
    }
    assert_eq!(me["files"][0], 777);
    assert_eq!(me["umask"], 0o027);
    assert_eq!(me["core"][0], me["core"][1]);
    assert_eq!(me["SigBlk"], "0000000000000000");
    // Python itself ignores SIGPIPE and SIGXFSZ, and glibc's posix_spawn its own signals 32 and 33.
    let own = u64::from_str_radix(me["SigIgn"].as_str().unwrap(), 16).unwrap();
    assert_eq!(own & !0x1_8100_1000 & !ignored, 0, "{me}");
    assert!(me["argv0"].as_str().unwrap().ends_with("python3"), "{me}");
    assert_eq!(me["ppid"], bridge.child.id().unwrap());
    let limits = format!("/proc/{}/limits", bridge.child.id().unwrap());
    let limits = fs::read_to_string(limits).unwrap();
    let core = limits
        .lines()
        .find(|line| line.starts_with("Max core file size"));
    assert_eq!(
        core.unwrap().split_whitespace().nth(4),
        Some("0"),
        "{limits}"
    );
}

#[tokio::test]
async fn a_killed_bridge_leaves_no_process() {
    let toml = "[bridges.deaf]\n{nosy}[bridges.later]\nlazy = true\nidle_stop = '1s'\n{nosy}"
        .replacen("{nosy}", &NOSY.replace("nosy.py'", "nosy.py', 'deaf'"), 1);
    let mut bridge = as_ourselves(&toml).ready().await;
    let pids = family(&bridge, "deaf").await;
    let cleaner = cleaner_of(&bridge).expect("the cleaner runs");
    bridge.kill().await;
    assert_gone(&pids, "killed").await;
    until_gone(cleaner).await;

    // One whose cleaner was killed has another before the next program runs.
    bridge.start_again().await;
    let pids = family(&bridge, "deaf").await;
    let cleaner = cleaner_of(&bridge).expect("the cleaner runs");
    let kill = std::process::Command::new("kill")
        .args(["-9", &cleaner.to_string()])
        .status();
    assert!(kill.unwrap().success());
    until_gone(cleaner).await;
    ask(&bridge, "/later/me", "{}").await;
    assert!(cleaner_of(&bridge).is_some());
    bridge.kill().await;
    assert_gone(&pids, "with a second cleaner").await;
}

#[tokio::test]
async fn a_server_that_is_removed_or_stopped_leaves_no_process() {
    let mut bridge = as_ourselves("[bridges.a]\n{nosy}[bridges.b]\n{nosy}")
        .ready()
        .await;
    let (a, b) = (family(&bridge, "a").await, family(&bridge, "b").await);
    let toml = bridge.read("bridges.toml");
    let (_, rest) = toml.split_once("[bridges.b]").unwrap();
    bridge.write("bridges.toml", &format!("[bridges.b]{rest}"));
    bridge.signal("HUP");
    for pid in a {
        until_gone(pid).await;
    }
    assert!(
        b.iter().all(|pid| is_alive(*pid)),
        "those of the other server live on"
    );
    bridge.signal("TERM");
    assert_eq!(bridge.exit_code().await, 0);
    assert_gone(&b, "stopped").await;
}

#[tokio::test]
async fn a_server_that_crashes_leaves_no_process() {
    let bridge = as_ourselves("[bridges.a]\n{nosy}").ready().await;
    let pids = family(&bridge, "a").await;
    let server = pids.last().unwrap().to_string();
    let kill = std::process::Command::new("kill")
        .args(["-9", &server])
        .status();
    assert!(kill.unwrap().success());
    assert_gone(&pids, "crashed").await;
    bridge.until("a", "ready").await;
}

#[tokio::test]
async fn a_program_runs_as_the_user_of_its_bridge() {
    let toml = "[bridges.apart]\nuser = '65534:65534'\n{nosy}[bridges.own]\nuser = 47114\ncwd = '{dir}'\nenv = { HOME = '/tmp' }\n{nosy}";
    let setup = as_ourselves(toml).env("SECRET_TOKEN", "s3cr3t-t0ken-value");
    if !is_root() {
        let bridge = setup.ready().await;
        let reason = bridge.server("apart").await["reason"].clone();
        let expected =
            "`user = \"65534:65534\"` needs mcp-bridge to run as root, but it runs as user";
        assert!(reason.as_str().unwrap().starts_with(expected), "{reason}");
        return;
    }
    setup.write(".env", "API_TOKEN=s3cr3t-t0ken-value\n");
    let dotenv = setup.path().join(".env");
    fs::set_permissions(&dotenv, fs::Permissions::from_mode(0o600)).unwrap();
    let mut bridge = setup.ready().await;
    let me = ask(&bridge, "/apart/me", "{}").await;
    let all = Value::from(vec!["65534"; 4]);
    assert_eq!(
        (&me["uid"], &me["gid"], &me["groups"]),
        (&all, &all, &Value::from(Vec::<String>::new()))
    );
    assert_eq!(
        (&me["env"]["USER"], &me["env"]["LOGNAME"]),
        (&"nobody".into(), &"nobody".into())
    );
    assert_ne!(me["env"]["HOME"], "/root");
    assert_eq!(bridge.server("apart").await["user"], "nobody");
    assert_refused(&ask(&bridge, "/apart/peek", "{}").await, "another user");
    let read = format!(r#"{{"path": {:?}}}"#, dotenv.to_str().unwrap());
    assert_eq!(
        ask(&bridge, "/apart/read", &read).await,
        "refused: Permission denied"
    );
    // A number that nobody has, without a group.
    let unknown = bridge.server("own").await;
    let reason = unknown["reason"].as_str().unwrap();
    assert!(
        reason.contains("write `user = \"47114:GROUP\"`"),
        "{reason}"
    );

    bridge.write(
        "bridges.toml",
        &bridge
            .read("bridges.toml")
            .replace("47114\n", "'47114:47115'\n"),
    );
    bridge.signal("HUP");
    bridge.until("own", "ready").await;
    let me = ask(&bridge, "/own/me", "{}").await;
    assert_eq!(
        (&me["uid"][0], &me["gid"][0], &me["env"]["HOME"]),
        (&"47114".into(), &"47115".into(), &"/tmp".into())
    );
    assert_eq!(me["cwd"].as_str(), bridge.dir.path().to_str());
    let pids = family(&bridge, "apart").await;
    bridge.signal("TERM");
    assert_eq!(bridge.exit_code().await, 0);
    assert_gone(&pids, "another user").await;
}

#[tokio::test]
async fn a_program_that_another_user_may_not_execute_says_so() {
    if !is_root() {
        return a_program_runs_only_as_root().await;
    }
    let toml = "[bridges.x]\ncommand = '{dir}/closed'\nuser = 'nobody'\n";
    let setup = as_ourselves(toml);
    setup.write("closed", "#!/bin/sh\n");
    let bridge = setup.listening().await;
    until(async || bridge.server("x").await["reason"].is_string()).await;
    let reason = bridge.server("x").await["reason"].clone();
    let expected = "the file is not executable for the user `nobody`";
    assert!(reason.as_str().unwrap().contains(expected), "{reason}");
}

async fn a_program_runs_only_as_root() {
    let bridge = as_ourselves("[bridges.x]\ncommand = 'true'\nuser = 'nobody'\n")
        .ready()
        .await;
    let reason = bridge.server("x").await["reason"].clone();
    assert!(
        reason
            .as_str()
            .unwrap()
            .contains("needs mcp-bridge to run as root"),
        "{reason}"
    );
}
