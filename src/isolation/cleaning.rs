//! The bridge's end of the cleaner: starts it, tells it what runs, and starts another if it is gone.

use std::{
    collections::BTreeMap,
    io::{self, Write as _},
    os::unix::process::CommandExt as _,
    process::{Child, Command, Stdio},
};

use super::cleaner::{Notice, WORD};

/// The cleaner of this process, started with the first program.
#[derive(Debug)]
pub struct Cleaning {
    /// What the marks of our programs begin with.
    run: String,
    /// The process, while it lives.
    cleaner: Option<Child>,
    /// The groups that run, by the number of their program.
    groups: BTreeMap<u64, i32>,
    /// Whether it was said that there is none.
    is_told: bool,
}

impl Cleaning {
    /// For the programs of a run; nothing is started yet.
    pub fn new(run: String) -> Self {
        Self {
            run,
            cleaner: None,
            groups: BTreeMap::new(),
            is_told: false,
        }
    }

    /// A program runs, in a group of its own.
    pub fn add(&mut self, number: u64, group: i32) {
        self.groups.insert(number, group);
        self.tell(Notice::Started(number, group));
    }

    /// A program and its group have ended.
    pub fn remove(&mut self, number: u64) {
        if self.groups.remove(&number).is_some() {
            self.tell(Notice::Ended(number));
        }
    }

    fn tell(&mut self, notice: Notice) {
        let told = match self.try_tell(notice) {
            Ok(()) => Ok(()),
            // It was killed, or never was: another one learns everything anew.
            Err(_) => self.start().and_then(|()| self.try_tell(notice)),
        };
        if let Err(error) = told
            && !std::mem::replace(&mut self.is_told, true)
        {
            tracing::warn!(%error, "servers may outlive mcp-bridge if it is killed: the cleaner process does not start");
        }
    }

    fn try_tell(&mut self, notice: Notice) -> io::Result<()> {
        let cleaner = self.cleaner.as_mut();
        let input = cleaner.and_then(|cleaner| cleaner.stdin.as_mut());
        let input = input.ok_or(io::ErrorKind::BrokenPipe)?;
        input.write_all(notice.line().as_bytes())
    }

    /// Starts a cleaner and tells it of every group that runs. It has no environment: ours holds secrets.
    fn start(&mut self) -> io::Result<()> {
        if let Some(mut old) = self.cleaner.take() {
            // It is dead already, or does not read: nothing is lost with it.
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
            // Ctrl-C at a terminal is for us; the cleaner ends after us.
            .process_group(0)
            .spawn()?;
        self.cleaner = Some(cleaner);
        for (&number, &group) in &self.groups.clone() {
            self.try_tell(Notice::Started(number, group))?;
        }
        Ok(())
    }
}
