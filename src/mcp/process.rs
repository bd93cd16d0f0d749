//! Child processes: started in a group of their own, ended as a group, never left behind.

use std::{
    collections::VecDeque,
    io,
    path::Path,
    process::{ExitStatus, Stdio as Pipe},
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::{
    io::{AsyncBufRead, BufReader},
    process::{Child, ChildStderr, ChildStdin, ChildStdout, Command},
    task::JoinHandle,
    time::timeout,
};
use tokio_util::task::TaskTracker;

use super::{
    allowance::{Allowance, Pace},
    error::ConnectError,
    lines::{Line, Lines},
};
use crate::{
    config::{RunAs, Stdio},
    isolation::{self, Registration},
    name::BridgeName,
    plain_text,
    secret::Redactor,
};

/// How long a server may take to end after its stdin closed, before SIGTERM.
const CLOSE_GRACE: Duration = Duration::from_secs(2);
/// How long it may take after SIGTERM, before SIGKILL.
const TERM_GRACE: Duration = Duration::from_secs(3);
/// How long its stderr may take to end after it; grandchildren may hold it open.
const STDERR_GRACE: Duration = Duration::from_millis(200);
/// Lines of stderr kept for people.
const TAIL_LINES: usize = 50;
/// The longest line of stderr kept, in bytes.
const STDERR_LINE_BYTES_MAX: usize = 4 << 10;
/// How much stderr is read at once and in the long run.
const STDERR_PACE: Pace = Pace {
    burst: 4 << 20,
    per_second: 1 << 20,
};
/// Counted for each line of stderr beside its bytes, because a line is searched for secrets.
const STDERR_LINE_COST: usize = 256;
/// Bytes of a line that is too long cost one of this many: they are only passed over.
const STDERR_PASSED_DIVISOR: usize = 16;
/// What is read of stderr before the reader looks again whether it has to rest, in bytes.
const STDERR_STEP: u64 = 64 << 10;
/// Lines of stderr logged in one second; a flood is counted instead.
const LOGGED_LINES_PER_SECOND: u32 = 50;

/// The last words of a server: its stderr and how it ended. Outlives the process.
#[derive(Debug, Default)]
pub struct LastWords {
    /// The last lines on stderr, secrets redacted.
    lines: Mutex<VecDeque<String>>,
    /// How the process ended, once it has.
    exit: OnceLock<String>,
    /// Why the program could not be executed (errno), if it could not.
    not_started: OnceLock<i32>,
}

impl LastWords {
    /// The last lines on stderr, oldest first.
    pub fn lines(&self) -> Vec<String> {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.iter().cloned().collect()
    }

    /// `exit status: 1`, once the process has ended.
    pub fn exit(&self) -> Option<&str> {
        self.exit.get().map(String::as_str)
    }

    /// What to say about a program that could not be executed.
    pub fn not_started(&self, stdio: &Stdio) -> Option<ConnectError> {
        let number = *self.not_started.get()?;
        let error = io::Error::from_raw_os_error(number);
        Some(spawn_error(stdio, exec_reason(&error, stdio)))
    }

    /// Adds a line and drops the oldest over the bound.
    fn push(&self, line: String) {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() == TAIL_LINES {
            lines.pop_front();
        }
        lines.push_back(line);
    }

    /// Notes how the process ended; the first note stays.
    fn ended(&self, status: io::Result<ExitStatus>) {
        self.exit.get_or_init(|| match status {
            Ok(status) => status.to_string(),
            Err(error) => format!("unknown exit status: {error}"),
        });
    }
}

/// A running server: its process group dies with this value.
#[derive(Debug)]
pub struct Process {
    /// The group's leader.
    child: Child,
    /// The group, until it was killed and the leader reaped.
    group: Option<Pid>,
    /// What it leaves behind.
    last_words: Arc<LastWords>,
    /// Reads its stderr, until that ended.
    stderr: Option<JoinHandle<()>>,
    /// How long it may take to end after its stdin closed.
    grace: Duration,
    /// Dropped when the group has ended, so that what left the group is ended too.
    registration: Option<Registration>,
}

/// The pipes of a started server.
#[derive(Debug)]
pub struct Pipes {
    /// Where our messages go.
    pub stdin: ChildStdin,
    /// Where its messages come from.
    pub stdout: ChildStdout,
}

impl Process {
    /// Starts the program, with a task that drains its stderr. A program that does not exist is
    /// noticed later: [`LastWords::not_started`].
    pub async fn start(
        bridge: &BridgeName,
        stdio: &Stdio,
        redactor: Redactor,
        tracker: &TaskTracker,
    ) -> Result<(Self, Pipes), ConnectError> {
        let started = isolation::spawn(command(stdio)).await;
        let isolation::Started {
            mut child,
            registration,
        } = started.map_err(|error| spawn_error(stdio, spawn_reason(&error, stdio)))?;
        let group = child
            .id()
            .and_then(|id| i32::try_from(id).ok())
            .and_then(Pid::from_raw);
        let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (Some(input), Some(output), Some(errors)) = pipes else {
            let reason = "the system gave it no pipes".to_owned();
            return Err(spawn_error(stdio, reason));
        };
        let last_words = Arc::new(LastWords::default());
        let stderr = tracker.spawn(drain_stderr(
            bridge.clone(),
            errors,
            Arc::clone(&last_words),
            redactor,
        ));
        let process = Self {
            child,
            group,
            last_words,
            stderr: Some(stderr),
            grace: CLOSE_GRACE,
            registration: Some(registration),
        };
        let pipes = Pipes {
            stdin: input,
            stdout: output,
        };
        Ok((process, pipes))
    }

    /// What the server leaves behind, also after its end.
    pub fn last_words(&self) -> Arc<LastWords> {
        Arc::clone(&self.last_words)
    }

    /// The number of its process group, which is its own.
    pub fn group(&self) -> Option<u32> {
        self.child.id()
    }

    /// Whether it has exited; if so, it is reaped and its status is kept.
    pub fn has_exited(&mut self) -> bool {
        match self.child.try_wait() {
            Ok(None) => false,
            Ok(Some(status)) => {
                self.last_words.ended(Ok(status));
                true
            }
            Err(error) => {
                tracing::debug!(%error, "the state of a server's process is unknown");
                false
            }
        }
    }

    /// Waits a moment for an exit that is about to happen, so that its status is known.
    pub async fn note_exit(&mut self) {
        if let Ok(status) = timeout(Duration::from_millis(500), self.child.wait()).await {
            self.hear_out().await;
            self.last_words.ended(status);
        }
    }

    /// Waits for the last line on stderr, which may come in after the exit status.
    async fn hear_out(&mut self) {
        if let Some(stderr) = &mut self.stderr
            && timeout(STDERR_GRACE, stderr).await.is_ok()
        {
            self.stderr = None;
        }
    }

    /// Has [`Self::end`] send SIGTERM at once: the server misbehaves.
    pub fn hurry(&mut self) {
        self.grace = Duration::ZERO;
    }

    /// Ends the group: waits for the leader, whose stdin must be closed by now; then SIGTERM;
    /// then SIGKILL for all that is left (MCP 2025-11-25, lifecycle, shutdown).
    pub async fn end(&mut self) {
        let mut ended = timeout(self.grace, self.child.wait()).await;
        if ended.is_err() {
            self.signal(Signal::TERM);
            ended = timeout(TERM_GRACE, self.child.wait()).await;
        }
        // Grandchildren outlive a leader that ended well.
        self.signal(Signal::KILL);
        let status = match ended {
            Ok(status) => status,
            Err(_) => self.child.wait().await,
        };
        self.group = None;
        self.registration = None;
        self.hear_out().await;
        // What is read slowly because there was too much of it is of no use any more.
        if let Some(stderr) = self.stderr.take() {
            stderr.abort();
        }
        self.last_words.ended(status);
    }

    /// Signals the whole group; one that is gone already is fine.
    fn signal(&self, signal: Signal) {
        if let Some(group) = self.group
            && let Err(error) = kill_process_group(group, signal)
            && error != rustix::io::Errno::SRCH
        {
            tracing::warn!(%error, ?signal, "cannot signal a server's process group");
        }
    }
}

impl Drop for Process {
    /// The net under every path that ends without [`Process::end`]: a cancelled connect, a panic.
    /// The runtime reaps the leader.
    fn drop(&mut self) {
        self.signal(Signal::KILL);
    }
}

/// The command as configured, in a new process group.
fn command(stdio: &Stdio) -> Command {
    let mut command = isolation::command(&stdio.command, &stdio.args);
    if !stdio.inherit_env {
        command.env_clear().envs(crate::config::child_environment());
    }
    if let Some(user) = &stdio.user {
        for name in crate::config::OWN_FOLDERS {
            command.env_remove(name);
        }
        command.envs(user.environment());
        // The standard library gives up all supplementary groups with it.
        command.uid(user.uid).gid(user.gid);
    }
    for (name, value) in &stdio.env {
        command.env(name, value.expose());
    }
    if let Some(folder) = working_folder(stdio) {
        command.current_dir(folder);
    }
    command
        .stdin(Pipe::piped())
        .stdout(Pipe::piped())
        .stderr(Pipe::piped())
        .process_group(0)
        .kill_on_drop(true);
    command
}

/// Where the program runs. `None`: where we do; another user may not be able to enter that folder.
fn working_folder(stdio: &Stdio) -> Option<&Path> {
    let home = || stdio.user.as_ref().map(RunAs::folder);
    stdio.cwd.as_deref().or_else(home)
}

fn spawn_error(stdio: &Stdio, reason: String) -> ConnectError {
    ConnectError::Spawn {
        command: stdio.command.clone(),
        reason,
    }
}

/// Says what to do about a process that does not start: its folder, or the program where no stage of
/// ours starts it.
fn spawn_reason(error: &io::Error, stdio: &Stdio) -> String {
    match (error.kind(), working_folder(stdio)) {
        (io::ErrorKind::NotFound, Some(folder)) if !folder.is_dir() => {
            format!(
                "its working directory `{}` does not exist",
                folder.display()
            )
        }
        (io::ErrorKind::PermissionDenied, Some(folder)) if stdio.user.is_some() => {
            format!(
                "its user may not enter its working directory `{}`, or may not execute mcp-bridge itself",
                folder.display()
            )
        }
        _ => exec_reason(error, stdio),
    }
}

/// Says what to do about a program that cannot be executed.
fn exec_reason(error: &io::Error, stdio: &Stdio) -> String {
    match (error.kind(), &stdio.user) {
        (io::ErrorKind::NotFound, _) => {
            "no such program on PATH; install it or write its full path".to_owned()
        }
        (io::ErrorKind::PermissionDenied, None) => "the file is not executable for us".to_owned(),
        // A folder on PATH that the user may not enter counts as well.
        (io::ErrorKind::PermissionDenied, Some(user)) if !stdio.command.contains('/') => {
            let name = &user.name;
            format!("there is no program of this name on PATH that the user `{name}` may execute")
        }
        (io::ErrorKind::PermissionDenied, Some(user)) => {
            format!("the file is not executable for the user `{}`", user.name)
        }
        _ => error.to_string(),
    }
}

/// Reads stderr to its end, so that a full pipe does not block the server: the last lines are kept,
/// a bounded number a second is logged. A server that floods it (4 MiB at once, or more than 1 MiB a
/// second for long) is read at that rate alone, so that it waits for us and not our other servers.
async fn drain_stderr(
    bridge: BridgeName,
    stderr: ChildStderr,
    last_words: Arc<LastWords>,
    redactor: Redactor,
) {
    let lines = Lines::new(
        BufReader::with_capacity(64 << 10, stderr),
        STDERR_LINE_BYTES_MAX,
    )
    .with_ends(STDERR_LINE_BYTES_MAX);
    if let Err(error) = copy_lines(&bridge, lines, &last_words, &redactor).await {
        tracing::debug!(bridge.name = %bridge, %error, "a server's stderr broke");
    }
}

/// The loop of [`drain_stderr`].
async fn copy_lines<R: AsyncBufRead + Unpin>(
    bridge: &BridgeName,
    mut lines: Lines<R>,
    last_words: &LastWords,
    redactor: &Redactor,
) -> io::Result<()> {
    let mut second = tokio::time::Instant::now();
    let (mut logged, mut muted) = (0_u32, 0_u64);
    let (mut is_open, mut is_first) = (true, true);
    let mut allowance = Allowance::new(STDERR_PACE, std::time::Instant::now());
    while is_open {
        rest(&mut allowance).await;
        let text = if let Some(line) = lines.next().await? {
            allowance.take(cost_of(&line), std::time::Instant::now());
            if let (Line::Whole(line), true) = (&line, std::mem::take(&mut is_first))
                && let Some(number) = isolation::not_started(line)
            {
                last_words.not_started.get_or_init(|| number);
                continue;
            }
            words_of(&line, redactor)
        } else {
            // Last words need no newline.
            is_open = false;
            words_of(&lines.rest(), redactor)
        };
        if text.is_empty() {
            continue;
        }
        if second.elapsed() >= Duration::from_secs(1) {
            if muted > 0 {
                tracing::info!(bridge.name = %bridge, lines = muted, "a server floods its stderr; lines were left out");
            }
            (second, logged, muted) = (tokio::time::Instant::now(), 0, 0);
        }
        if logged < LOGGED_LINES_PER_SECOND {
            logged += 1;
            tracing::info!(bridge.name = %bridge, stderr = %text, "the server says");
        } else {
            muted += 1;
        }
        last_words.push(text);
    }
    Ok(())
}

/// Waits until stderr may be read on.
async fn rest(allowance: &mut Allowance) {
    let wait = allowance.wait_for(STDERR_STEP, std::time::Instant::now());
    if !wait.is_zero() {
        tokio::time::sleep(wait).await;
    }
}

/// What a line of stderr costs us.
fn cost_of(line: &Line<'_>) -> u64 {
    let cost = match line {
        Line::Whole(line) => line.len() + STDERR_LINE_COST,
        Line::TooLong { head, .. } => head.len() + STDERR_LINE_COST,
        Line::Passing(bytes) => bytes.div_ceil(STDERR_PASSED_DIVISOR),
    };
    u64::try_from(cost).unwrap_or(u64::MAX)
}

/// What is kept of a line: plain text without secrets. Colors go first, because they may stand within a
/// secret.
fn words_of(line: &Line<'_>, redactor: &Redactor) -> String {
    let (bytes, is_whole) = match line {
        Line::Passing(_) => return String::new(),
        Line::Whole(line) => (line, true),
        Line::TooLong { head, .. } => (head, false),
    };
    let text = String::from_utf8_lossy(bytes);
    let text = plain_text::without_escape_sequences(text.trim_end());
    if is_whole {
        plain_text::line(&redactor.redact(&text)).into_owned()
    } else {
        format!("{} …", plain_text::line(&redactor.redact_beginning(&text)))
    }
}
