//! The cleaner: this binary, started as `mcp-bridge __cleaner RUN`. It reads from stdin which
//! programs are running. When the pipe closes because the bridge has ended for any reason, it ends
//! what is left of them.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs,
    io::{self, BufRead as _},
    process::ExitCode,
    thread,
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

/// The argument that selects the cleaner.
pub const WORD: &str = "__cleaner";
/// The environment variable of every program of a bridge, inherited by all its child processes. Its
/// value is `RUN.NUMBER`. A process keeps it even if it leaves its parent, group and session.
pub const MARK: &str = "MCP_BRIDGE_CHILD";
/// How often all processes are checked. A process that was forked during one check is found by the
/// next.
const LOOKS: u32 = 20;
/// The pause after a check that found a process.
const PAUSE: Duration = Duration::from_millis(10);

/// A message to the cleaner, one per line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CleanerMessage {
    /// A program was started. Contains its number and its process group.
    Started(u64, i32),
    /// The program and its group have ended.
    Ended(u64),
}

impl CleanerMessage {
    /// The message as a line.
    pub fn line(self) -> String {
        match self {
            Self::Started(number, group) => format!("+{number} {group}\n"),
            Self::Ended(number) => format!("-{number}\n"),
        }
    }

    fn parse(line: &str) -> Option<Self> {
        if let Some(number) = line.strip_prefix('-') {
            return number.parse().ok().map(Self::Ended);
        }
        let (number, group) = line.strip_prefix('+')?.split_once(' ')?;
        Some(Self::Started(number.parse().ok()?, group.parse().ok()?))
    }
}

/// Reads messages until the pipe closes, and then ends everything that is left.
pub fn run(words: &[OsString]) -> ExitCode {
    let Some(run) = words.first().and_then(|word| word.to_str()) else {
        return ExitCode::from(2);
    };
    // After this, only root can manipulate the cleaner. Without it the cleaner still works.
    let _is_hard = super::harden().is_ok();
    let mut groups = BTreeMap::new();
    for line in io::stdin().lock().lines().map_while(Result::ok) {
        match CleanerMessage::parse(&line) {
            Some(CleanerMessage::Started(number, group)) => {
                groups.insert(number, group);
            }
            Some(CleanerMessage::Ended(number)) => {
                groups.remove(&number);
                end_marked(|mark| mark == format!("{run}.{number}"));
            }
            None => {}
        }
    }
    for group in groups.into_values().filter_map(Pid::from_raw) {
        // The group may have ended already.
        let _killed = kill_process_group(group, Signal::KILL).is_ok();
    }
    end_marked(|mark| mark.strip_prefix(run).is_some_and(|it| it.starts_with('.')));
    ExitCode::SUCCESS
}

/// Kills all processes with a matching mark until none is left.
fn end_marked(is_meant: impl Fn(&str) -> bool) {
    for _ in 0..LOOKS {
        let mut found = false;
        for pid in processes().filter(|pid| mark_of(*pid).is_some_and(|mark| is_meant(&mark))) {
            let Some(pid) = Pid::from_raw(pid) else {
                continue;
            };
            found |= kill_process(pid, Signal::KILL).is_ok();
        }
        if !found {
            return;
        }
        thread::sleep(PAUSE);
    }
}

fn processes() -> impl Iterator<Item = i32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// The mark of a process. A zombie has none, and a process of another user does not show it.
fn mark_of(pid: i32) -> Option<String> {
    let environment = fs::read(format!("/proc/{pid}/environ")).ok()?;
    mark_in(&environment).map(str::to_owned)
}

/// The mark in an environment, which consists of `NAME=value` entries with a NUL after each.
fn mark_in(environment: &[u8]) -> Option<&str> {
    let mut variables = environment.split(|byte| *byte == 0);
    let value = variables
        .find_map(|variable| variable.strip_prefix(MARK.as_bytes())?.strip_prefix(b"="))?;
    str::from_utf8(value).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notices_are_read_as_they_were_written() {
        for notice in [CleanerMessage::Started(3, 4711), CleanerMessage::Ended(3)] {
            assert_eq!(
                CleanerMessage::parse(notice.line().trim_end()),
                Some(notice)
            );
        }
        for bad in ["", "+", "-", "+1", "+1 x", "-x", "1 2"] {
            assert_eq!(CleanerMessage::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_mark_is_the_value_of_its_variable_alone() {
        for (environment, mark) in [
            ("A=1\0MCP_BRIDGE_CHILD=x.1\0B=2\0", Some("x.1")),
            ("MCP_BRIDGE_CHILD=x.12", Some("x.12")),
            ("MCP_BRIDGE_CHILDREN=x.1\0", None),
            ("A=MCP_BRIDGE_CHILD=x.1\0", None),
            ("", None),
        ] {
            assert_eq!(mark_in(environment.as_bytes()), mark, "{environment:?}");
        }
    }
}
