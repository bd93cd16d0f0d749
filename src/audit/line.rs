//! [`JournalEntryRef`] and [`JournalEntry`]: the lines of the journal, as written and as read.
//!
//! A line is one JSON object and a newline. It is valid only with its newline: a line that a crash
//! or a full disk cut short has none and is never read as a record.

use std::{borrow::Cow, cell::RefCell};

use serde::{Deserialize, Serialize};

use crate::{
    plain_text,
    secret::Redactor,
    store::{CallRecord, ChangeRecord},
};

/// A buffer that grew beyond this size for one large record is freed, in bytes.
pub(super) const BUFFER_BYTES_KEPT: usize = 64 * 1024;

/// Texts that callers choose are cut to this many bytes. This keeps lines small, and PostgreSQL's
/// indexes do not accept keys above 2,704 bytes.
const TEXT_BYTES_MAX: usize = 512;

/// How many groups of a call are kept.
const GROUPS_MAX: usize = 64;

/// The maximum size of recorded arguments, in bytes. The caller has already cut them to 4 KiB; this
/// is a second check.
const ARGUMENTS_BYTES_MAX: usize = 8 * 1024;

/// A line to write.
#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum JournalEntryRef<'a> {
    /// A call began or was refused: the whole record.
    Call(&'a CallRecord),
    /// A call ended: only the new fields.
    End(&'a CallEnd<'a>),
    /// A change.
    Change(&'a ChangeRecord),
}

/// A line as read.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum JournalEntry {
    /// A call began, or one was refused.
    Call(Box<CallRecord>),
    /// A call ended.
    End(CallEnd<'static>),
    /// A change.
    Change(Box<ChangeRecord>),
}

/// How a call ended. The line that began it contains the rest.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct CallEnd<'a> {
    /// The ID of the call.
    pub id: Cow<'a, str>,
    /// `ok`, or the code of the error.
    pub outcome: Cow<'a, str>,
    /// The HTTP status.
    pub status: u16,
    /// The duration of the call in microseconds.
    pub duration_us: i64,
    /// The size of the response body in bytes.
    pub response_bytes: i64,
}

impl CallEnd<'_> {
    /// Adds the end to the record that the call began with.
    pub(super) fn complete(self, record: &mut CallRecord) {
        record.outcome = self.outcome.into_owned();
        record.status = self.status;
        record.duration_us = self.duration_us;
        record.response_bytes = self.response_bytes;
    }
}

thread_local! {
    /// One buffer per thread, so that a record needs no allocation.
    static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Passes the bytes of a line, including the newline, to `write`.
pub(super) fn with_bytes<T>(
    line: &JournalEntryRef<'_>,
    write: impl FnOnce(&[u8]) -> T,
) -> Result<T, serde_json::Error> {
    BUFFER.with_borrow_mut(|buffer| {
        buffer.clear();
        serde_json::to_writer(&mut *buffer, line)?;
        buffer.push(b'\n');
        let written = write(buffer);
        if buffer.capacity() > BUFFER_BYTES_KEPT {
            *buffer = Vec::new();
        }
        Ok(written)
    })
}

/// Redacts secrets from texts that callers choose, before the texts are cut: a caller may send a
/// secret as the name of a tool. Characters that could mislead a reader of the record are escaped.
pub(super) fn clean(record: &mut CallRecord, redactor: &Redactor) {
    let texts = [
        &mut record.workspace,
        &mut record.request_id,
        &mut record.rule,
        &mut record.bridge,
        &mut record.tool,
    ];
    for text in texts
        .into_iter()
        .chain(&mut record.caller)
        .chain(&mut record.groups)
        .chain(&mut record.arguments)
    {
        clean_text(text, redactor);
    }
}

/// Redacts secrets from a change.
pub(super) fn clean_change(change: &mut ChangeRecord, redactor: &Redactor) {
    for text in [&mut change.workspace, &mut change.actor, &mut change.target] {
        clean_text(text, redactor);
    }
}

/// Redacts secrets from a text.
fn clean_text(text: &mut String, redactor: &Redactor) {
    redactor.clean(text);
    // PostgreSQL cannot store a NUL byte.
    if text.contains('\0') {
        *text = text.replace('\0', "\u{fffd}");
    }
    if let Cow::Owned(plain) = plain_text::line(text) {
        *text = plain;
    }
}

/// Cuts texts that callers choose, so that a record stays small.
pub(super) fn bound(record: &mut CallRecord) {
    record.groups.truncate(GROUPS_MAX);
    let texts = [
        &mut record.workspace,
        &mut record.request_id,
        &mut record.rule,
        &mut record.bridge,
        &mut record.tool,
    ];
    for text in texts
        .into_iter()
        .chain(&mut record.caller)
        .chain(&mut record.groups)
    {
        cut(text, TEXT_BYTES_MAX);
    }
    if let Some(arguments) = &mut record.arguments {
        cut(arguments, ARGUMENTS_BYTES_MAX);
    }
}

/// Cuts a text at a character boundary.
fn cut(text: &mut String, bytes_max: usize) {
    if text.len() > bytes_max {
        text.truncate(text.floor_char_boundary(bytes_max));
    }
}

/// The complete lines at the start of `bytes`, without their newlines, each with the offset after
/// it. The caller skips empty lines.
pub(super) fn lines(bytes: &[u8]) -> impl Iterator<Item = (&[u8], usize)> {
    let mut start = 0;
    memchr::memchr_iter(b'\n', bytes).map(move |end| {
        let line = bytes.get(start..end).unwrap_or_default();
        start = end + 1;
        (line, start)
    })
}

/// Reads a line.
pub(super) fn parse(line: &[u8]) -> Result<JournalEntry, serde_json::Error> {
    let mut entry = serde_json::from_slice(line)?;
    if let JournalEntry::Call(record) = &mut entry
        && let Some((instance, _number)) = record.id.rsplit_once('-')
    {
        instance.clone_into(&mut record.instance);
    }
    Ok(entry)
}
