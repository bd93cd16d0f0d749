//! Other commands of the program, in the folder of a bridge and with its variables.

use std::process::Stdio;

use tokio::{
    io::AsyncWriteExt as _,
    process::{Child, Command},
    time::timeout,
};

use super::{Bridge, PATIENCE};

/// What a command did.
#[derive(Debug)]
pub struct CliOutput {
    /// Its exit code; -1 after a signal.
    pub code: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl CliOutput {
    /// Standard output of a command that must succeed.
    #[track_caller]
    pub fn ok(self) -> String {
        assert_eq!(self.code, 0, "{}{}", self.stdout, self.stderr);
        self.stdout
    }

    /// The exit code, and everything that was printed.
    pub fn said(&self) -> (i32, String) {
        (self.code, format!("{}{}", self.stdout, self.stderr))
    }
}

impl Bridge {
    /// Starts a command; its output goes to pipes.
    pub fn begin_cli(&self, words: &[&str], input: Stdio) -> Child {
        self.cli_command(words).stdin(input).spawn().unwrap()
    }

    /// Runs a command without input to its end.
    pub async fn cli(&self, words: &[&str]) -> CliOutput {
        self.cli_with(words, &[], "").await
    }

    /// Runs a command with more variables and an input to its end.
    pub async fn cli_with(&self, words: &[&str], env: &[(&str, &str)], input: &str) -> CliOutput {
        let mut command = self.cli_command(words);
        let mut child = command.envs(env.iter().copied()).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        // A command that reads no input may have ended already.
        drop(stdin.write_all(input.as_bytes()).await);
        drop(stdin);
        let output = timeout(PATIENCE, child.wait_with_output()).await;
        let output = output.expect("it ends").unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        CliOutput {
            code: output.status.code().unwrap_or(-1),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
        }
    }

    fn cli_command(&self, words: &[&str]) -> Command {
        let mut command = self.start.command();
        command
            .args(["--config", "bridges.toml"])
            .args(words)
            .envs(self.start.env.iter().map(|(name, value)| (name, value)))
            .current_dir(self.dir.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }
}
