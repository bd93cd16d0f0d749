//! The bridge's side of the cleaner: starts it, tells it which programs run, and replaces it if it
//! has ended.

use std::{
    collections::BTreeMap,
    io::{self, Write as _},
    os::unix::process::CommandExt as _,
    process::{Child, Command, Stdio},
};

use super::cleaner::{CleanerMessage, WORD};

/// The cleaner of this process. It is started with the first program.
#[derive(Debug)]
pub struct CleanerHandle {
    /// The prefix of the marks of this process's programs.
    run: String,
    /// The cleaner process, while it runs.
    cleaner: Option<Child>,
    /// The running process groups, by the number of their program.
    groups: BTreeMap<u64, i32>,
    /// Whether the log already says that there is no cleaner.
    is_told: bool,
}

impl CleanerHandle {
    /// A cleaner for the programs of a run. Nothing is started yet.
    pub fn new(run: String) -> Self {
        Self {
            run,
            cleaner: None,
            groups: BTreeMap::new(),
            is_told: false,
        }
    }

    /// Registers a running program with its own process group.
    pub fn add(&mut self, number: u64, group: i32) {
        self.groups.insert(number, group);
        self.send(CleanerMessage::Started(number, group));
    }

    /// Removes a program that has ended together with its group.
    pub fn remove(&mut self, number: u64) {
        if self.groups.remove(&number).is_some() {
            self.send(CleanerMessage::Ended(number));
        }
    }

    fn send(&mut self, notice: CleanerMessage) {
        let told = match self.try_send(notice) {
            Ok(()) => Ok(()),
            // It was killed or never started. A new one gets the complete state.
            Err(_) => self.start().and_then(|()| self.try_send(notice)),
        };
        if let Err(error) = told
            && !std::mem::replace(&mut self.is_told, true)
        {
            tracing::warn!(%error, "cannot start the cleaner process; servers may keep running if mcp-bridge is killed");
        }
    }

    fn try_send(&mut self, notice: CleanerMessage) -> io::Result<()> {
        let cleaner = self.cleaner.as_mut();
        let input = cleaner.and_then(|cleaner| cleaner.stdin.as_mut());
        let input = input.ok_or(io::ErrorKind::BrokenPipe)?;
        input.write_all(notice.line().as_bytes())
    }

    /// Starts a cleaner and tells it all running groups. It gets no environment, because this
    /// process's environment contains secrets.
    fn start(&mut self) -> io::Result<()> {
        if let Some(mut old) = self.cleaner.take() {
            // It has ended or does not read, so killing it loses nothing.
            let _killed = old.kill().is_ok();
            old.wait()?;
        }
        let cleaner = Command::new(super::starter::OURSELVES)
            .arg0("mcp-bridge")
            .args([WORD, &self.run])
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // Ctrl-C in a terminal is meant for this process. The cleaner ends later.
            .process_group(0)
            .spawn()?;
        self.cleaner = Some(cleaner);
        for (&number, &group) in &self.groups.clone() {
            self.try_send(CleanerMessage::Started(number, group))?;
        }
        Ok(())
    }
}
