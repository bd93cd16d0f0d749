//! Child processes. Each one starts in its own process group, and the bridge ends the whole group.

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
    allowance::{RefillRate, TokenBucket},
    error::ConnectError,
    lines::{BoundedLine, LineReader},
};
use crate::{
    config::{RunAsUser, StdioSettings},
    isolation::{self, ProgramRegistration},
    name::BridgeName,
    plain_text,
    secret::Redactor,
};

/// How long a server may take to exit after its stdin closed, before SIGTERM.
const CLOSE_GRACE: Duration = Duration::from_secs(2);
/// How long it may take to exit after SIGTERM, before SIGKILL.
const TERM_GRACE: Duration = Duration::from_secs(3);
/// How long its stderr may stay open after the exit. Grandchildren may keep it open.
const STDERR_GRACE: Duration = Duration::from_millis(200);
/// How many lines of stderr are kept.
const TAIL_LINES: usize = 50;
/// The longest line of stderr kept, in bytes.
const STDERR_LINE_BYTES_MAX: usize = 4 << 10;
/// The rate at which stderr is read, at once and in the long run.
const STDERR_PACE: RefillRate = RefillRate {
    burst: 4 << 20,
    per_second: 1 << 20,
};
/// The cost of each line of stderr, in addition to its bytes, because each line is searched for secrets.
const STDERR_LINE_COST: usize = 256;
/// The divisor for the bytes of an overlong line, which are discarded without processing.
const STDERR_PASSED_DIVISOR: usize = 16;
/// How much of stderr is read before the reader checks the rate again, in bytes.
const STDERR_STEP: u64 = 64 << 10;
/// Lines of stderr that are logged per second. Further lines are only counted.
const LOGGED_LINES_PER_SECOND: u32 = 50;

/// The last output of a server: its stderr and its exit status. It outlives the process.
#[derive(Debug, Default)]
pub struct LastOutput {
    /// The last lines of stderr, with secrets redacted.
    lines: Mutex<VecDeque<String>>,
    /// The exit status, once the process has exited.
    exit: OnceLock<String>,
    /// Why the program could not be executed (errno), if so.
    not_started: OnceLock<i32>,
}

impl LastOutput {
    /// Returns the last lines of stderr, oldest first.
    pub fn lines(&self) -> Vec<String> {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.iter().cloned().collect()
    }

    /// Returns `exit status: 1`, once the process has exited.
    pub fn exit(&self) -> Option<&str> {
        self.exit.get().map(String::as_str)
    }

    /// Returns the error for a program that could not be executed.
    pub fn not_started(&self, stdio: &StdioSettings) -> Option<ConnectError> {
        let number = *self.not_started.get()?;
        let error = io::Error::from_raw_os_error(number);
        Some(spawn_error(stdio, exec_reason(&error, stdio)))
    }

    /// Adds a line and drops the oldest one above the limit.
    fn push(&self, line: String) {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() == TAIL_LINES {
            lines.pop_front();
        }
        lines.push_back(line);
    }

    /// Records how the process exited. Only the first record counts.
    fn ended(&self, status: io::Result<ExitStatus>) {
        self.exit.get_or_init(|| match status {
            Ok(status) => status.to_string(),
            Err(error) => format!("unknown exit status: {error}"),
        });
    }
}

/// A running server. Dropping this value kills its process group.
#[derive(Debug)]
pub struct ServerProcess {
    /// The leader of the group.
    child: Child,
    /// The process group, until it was killed and its leader was reaped.
    group: Option<Pid>,
    /// Its last output.
    last_words: Arc<LastOutput>,
    /// The task that reads its stderr, until that ends.
    stderr: Option<JoinHandle<()>>,
    /// How long it may take to exit after its stdin closed.
    grace: Duration,
    /// Dropped when the group has ended, so that processes that left the group are ended too.
    registration: Option<ProgramRegistration>,
}

/// The pipes of a started server.
#[derive(Debug)]
pub struct ProcessPipes {
    /// Takes the messages to the server.
    pub stdin: ChildStdin,
    /// Returns the messages of the server.
    pub stdout: ChildStdout,
}

impl ServerProcess {
    /// Starts the program and a task that drains its stderr. A program that does not exist is detected later:
    /// [`LastOutput::not_started`].
    pub async fn start(
        bridge: &BridgeName,
        stdio: &StdioSettings,
        redactor: Redactor,
        tracker: &TaskTracker,
    ) -> Result<(Self, ProcessPipes), ConnectError> {
        let started = isolation::spawn(command(stdio)).await;
        let isolation::RunningProgram {
            mut child,
            registration,
        } = started.map_err(|error| spawn_error(stdio, spawn_reason(&error, stdio)))?;
        let group = child
            .id()
            .and_then(|id| i32::try_from(id).ok())
            .and_then(Pid::from_raw);
        let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (Some(input), Some(output), Some(errors)) = pipes else {
            let reason = "the operating system provided no pipes".to_owned();
            return Err(spawn_error(stdio, reason));
        };
        let last_words = Arc::new(LastOutput::default());
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
        let pipes = ProcessPipes {
            stdin: input,
            stdout: output,
        };
        Ok((process, pipes))
    }

    /// The last output of the server, also after its exit.
    pub fn last_output(&self) -> Arc<LastOutput> {
        Arc::clone(&self.last_words)
    }

    /// The id of its process group.
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

    /// Waits briefly for an imminent exit, so that the exit status is known.
    pub async fn note_exit(&mut self) {
        if let Ok(status) = timeout(Duration::from_millis(500), self.child.wait()).await {
            self.hear_out().await;
            self.last_words.ended(status);
        }
    }

    /// Waits for the last line of stderr, which may arrive after the exit status.
    async fn hear_out(&mut self) {
        if let Some(stderr) = &mut self.stderr
            && timeout(STDERR_GRACE, stderr).await.is_ok()
        {
            self.stderr = None;
        }
    }

    /// Makes [`Self::end`] send SIGTERM at once, because the server misbehaves.
    pub fn hurry(&mut self) {
        self.grace = Duration::ZERO;
    }

    /// Ends the group. Waits for the leader, whose stdin must already be closed, then sends SIGTERM, then
    /// SIGKILL to all remaining processes (MCP 2025-11-25, lifecycle, shutdown).
    pub async fn end(&mut self) {
        let mut ended = timeout(self.grace, self.child.wait()).await;
        if ended.is_err() {
            self.signal(Signal::TERM);
            ended = timeout(TERM_GRACE, self.child.wait()).await;
        }
        // Grandchildren can outlive a leader that exited normally.
        self.signal(Signal::KILL);
        let status = match ended {
            Ok(status) => status,
            Err(_) => self.child.wait().await,
        };
        self.group = None;
        self.registration = None;
        self.hear_out().await;
        // The rest of a flooded stderr, which is read slowly, is no longer needed.
        if let Some(stderr) = self.stderr.take() {
            stderr.abort();
        }
        self.last_words.ended(status);
    }

    /// Sends a signal to the whole group. A group that is already gone is not an error.
    fn signal(&self, signal: Signal) {
        if let Some(group) = self.group
            && let Err(error) = kill_process_group(group, signal)
            && error != rustix::io::Errno::SRCH
        {
            tracing::warn!(%error, ?signal, "cannot signal a server's process group");
        }
    }
}

impl Drop for ServerProcess {
    /// Kills the group on every path that ends without [`ServerProcess::end`]: a canceled connect or a panic. The
    /// runtime reaps the leader.
    fn drop(&mut self) {
        self.signal(Signal::KILL);
    }
}

/// Builds the configured command in a new process group.
fn command(stdio: &StdioSettings) -> Command {
    let mut command = isolation::command(&stdio.command, &stdio.args);
    if !stdio.inherit_env {
        command.env_clear().envs(crate::config::child_environment());
    }
    if let Some(user) = &stdio.user {
        for name in crate::config::OWN_FOLDERS {
            command.env_remove(name);
        }
        command.envs(user.environment());
        // The standard library also drops all supplementary groups.
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

/// The folder in which the program runs. `None` means the bridge's own folder, which another user may not be
/// allowed to enter.
fn working_folder(stdio: &StdioSettings) -> Option<&Path> {
    let home = || stdio.user.as_ref().map(RunAsUser::folder);
    stdio.cwd.as_deref().or_else(home)
}

fn spawn_error(stdio: &StdioSettings, reason: String) -> ConnectError {
    ConnectError::Spawn {
        command: stdio.command.clone(),
        reason,
    }
}

/// Explains why a process does not start: its working directory is missing, or the program cannot be started.
fn spawn_reason(error: &io::Error, stdio: &StdioSettings) -> String {
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

/// Explains why a program cannot be executed.
fn exec_reason(error: &io::Error, stdio: &StdioSettings) -> String {
    match (error.kind(), &stdio.user) {
        (io::ErrorKind::NotFound, _) => {
            "no such program on PATH; install it or write its full path".to_owned()
        }
        (io::ErrorKind::PermissionDenied, None) => {
            "the bridge's user may not execute the file".to_owned()
        }
        // A folder on PATH that the user may not enter also causes this error.
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

/// Reads stderr to its end, so that a full pipe does not block the server. The last lines are kept, and a
/// limited number per second is logged. If a server floods stderr (4 MiB at once, or more than 1 MiB per
/// second for long), only that rate is read, so that this server waits and the others do not.
async fn drain_stderr(
    bridge: BridgeName,
    stderr: ChildStderr,
    last_words: Arc<LastOutput>,
    redactor: Redactor,
) {
    let lines = LineReader::new(
        BufReader::with_capacity(64 << 10, stderr),
        STDERR_LINE_BYTES_MAX,
    )
    .with_ends(STDERR_LINE_BYTES_MAX);
    if let Err(error) = copy_lines(&bridge, lines, &last_words, &redactor).await {
        tracing::debug!(bridge.name = %bridge, %error, "cannot read a server's stderr");
    }
}

/// The loop of [`drain_stderr`].
async fn copy_lines<R: AsyncBufRead + Unpin>(
    bridge: &BridgeName,
    mut lines: LineReader<R>,
    last_words: &LastOutput,
    redactor: &Redactor,
) -> io::Result<()> {
    let mut second = tokio::time::Instant::now();
    let (mut logged, mut muted) = (0_u32, 0_u64);
    let (mut is_open, mut is_first) = (true, true);
    let mut allowance = TokenBucket::new(STDERR_PACE, std::time::Instant::now());
    while is_open {
        rest(&mut allowance).await;
        let text = if let Some(line) = lines.next().await? {
            allowance.take(cost_of(&line), std::time::Instant::now());
            if let (BoundedLine::Whole(line), true) = (&line, std::mem::take(&mut is_first))
                && let Some(number) = isolation::not_started(line)
            {
                last_words.not_started.get_or_init(|| number);
                continue;
            }
            words_of(&line, redactor)
        } else {
            // The last line needs no line break.
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

/// Waits until stderr may be read again.
async fn rest(allowance: &mut TokenBucket) {
    let wait = allowance.wait_for(STDERR_STEP, std::time::Instant::now());
    if !wait.is_zero() {
        tokio::time::sleep(wait).await;
    }
}

/// The cost of a line of stderr.
fn cost_of(line: &BoundedLine<'_>) -> u64 {
    let cost = match line {
        BoundedLine::Whole(line) => line.len() + STDERR_LINE_COST,
        BoundedLine::TooLong { head, .. } => head.len() + STDERR_LINE_COST,
        BoundedLine::Passing(bytes) => bytes.div_ceil(STDERR_PASSED_DIVISOR),
    };
    u64::try_from(cost).unwrap_or(u64::MAX)
}

/// The text that is kept of a line: plain text without secrets. Color codes are removed first, because they
/// may split a secret.
fn words_of(line: &BoundedLine<'_>, redactor: &Redactor) -> String {
    let (bytes, is_whole) = match line {
        BoundedLine::Passing(_) => return String::new(),
        BoundedLine::Whole(line) => (line, true),
        BoundedLine::TooLong { head, .. } => (head, false),
    };
    let text = String::from_utf8_lossy(bytes);
    let text = plain_text::without_escape_sequences(text.trim_end());
    if is_whole {
        plain_text::line(&redactor.redact(&text)).into_owned()
    } else {
        format!("{} …", plain_text::line(&redactor.redact_beginning(&text)))
    }
}
