//! [`Rejects`]: records that can be neither read nor stored, put aside for a person.

use std::{
    fs::OpenOptions,
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use serde::Serialize;

/// The file beside the segments.
const NAME: &str = "rejected.jsonl";

/// How large it may grow, in bytes; beyond that such records stand in the log alone.
const BYTES_MAX: u64 = 16 * 1024 * 1024;

/// A line of the file.
#[derive(Debug, Serialize)]
struct Rejected<'a> {
    time: String,
    reason: &'a str,
    record: &'a str,
}

/// Where they are put.
#[derive(Debug)]
pub(super) struct Rejects(PathBuf);

impl Rejects {
    /// In the folder of the journal.
    pub(super) fn new(folder: &Path) -> Self {
        Self(folder.join(NAME))
    }

    /// Puts one aside and says so, loudly.
    pub(super) fn put(&self, record: &str, reason: &str) {
        match self.write(record, reason) {
            Ok(()) => tracing::error!(
                reason,
                file = %self.0.display(),
                "an audit record was put aside"
            ),
            Err(error) => tracing::error!(
                reason,
                record,
                %error,
                file = %self.0.display(),
                "an audit record could not be put aside; this line is all that is left of it"
            ),
        }
    }

    fn write(&self, record: &str, reason: &str) -> io::Result<()> {
        let mut file = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .open(&self.0)?;
        if file.metadata()?.len() > BYTES_MAX {
            return Err(io::Error::other(format!(
                "it holds more than {BYTES_MAX} bytes: look at it and remove it"
            )));
        }
        let mut line = serde_json::to_vec(&Rejected {
            time: Timestamp::now().to_string(),
            reason,
            record,
        })?;
        line.push(b'\n');
        file.write_all(&line)
    }
}
