//! [`RejectFile`]: records that can be neither read nor stored, kept in a file for the operator.

use std::{
    fs::OpenOptions,
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use serde::Serialize;

/// The file in the folder of the segments.
const NAME: &str = "rejected.jsonl";

/// The maximum size of the file in bytes. Further records appear only in the log.
const BYTES_MAX: u64 = 16 * 1024 * 1024;

/// A line of the file.
#[derive(Debug, Serialize)]
struct RejectedRecord<'a> {
    time: String,
    reason: &'a str,
    record: &'a str,
}

/// The file of rejected records.
#[derive(Debug)]
pub(super) struct RejectFile(PathBuf);

impl RejectFile {
    /// The file in the folder of the journal.
    pub(super) fn new(folder: &Path) -> Self {
        Self(folder.join(NAME))
    }

    /// Writes a record to the file and logs an error.
    pub(super) fn put(&self, record: &str, reason: &str) {
        match self.write(record, reason) {
            Ok(()) => tracing::error!(
                reason,
                file = %self.0.display(),
                "an audit record could not be processed and was put aside"
            ),
            Err(error) => tracing::error!(
                reason,
                record,
                %error,
                file = %self.0.display(),
                "an audit record could not be put aside; this log line is the only copy"
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
                "it has reached its limit of {BYTES_MAX} bytes: check it and remove it"
            )));
        }
        let mut line = serde_json::to_vec(&RejectedRecord {
            time: Timestamp::now().to_string(),
            reason,
            record,
        })?;
        line.push(b'\n');
        file.write_all(&line)
    }
}
