//! Servers of `it/servers`, which are written in Python.

use std::{ffi::OsStr, process::Stdio};

use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
    time::timeout,
};

use super::{PATIENCE, fixture};

/// Starts a server, and waits for its first line, which tells where it listens. It ends with the value.
pub async fn python(
    script: &str,
    arguments: impl IntoIterator<Item: AsRef<OsStr>>,
) -> (Child, String) {
    let mut child = Command::new("python3")
        .arg(fixture("it/servers").join(script))
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let read = timeout(PATIENCE, stdout.read_line(&mut line)).await;
    read.unwrap_or_else(|_| panic!("{script} does not say where it listens"))
        .unwrap();
    (child, line.trim().to_owned())
}

/// The port in a first line: `PORT 1234`, or the number alone.
pub fn port_in(line: &str) -> u16 {
    let port = line.trim_start_matches("PORT ").parse();
    port.unwrap_or_else(|_| panic!("no port: {line:?}"))
}
