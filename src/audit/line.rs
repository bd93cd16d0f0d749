//! [`Line`] and [`Entry`]: the lines of the journal, as they are written and as they are read.
//!
//! A line is one JSON object and a newline. It counts once its newline is there: what a crash or a
//! full disk cut short has none and is never taken for a record.

use std::{borrow::Cow, cell::RefCell};

use serde::{Deserialize, Serialize};

use crate::{
    plain_text,
    secret::Redactor,
    store::{CallRecord, ChangeRecord},
};

/// A buffer that grew beyond this for one large record is given back, in bytes.
pub(super) const BUFFER_BYTES_KEPT: usize = 64 * 1024;

/// Texts that callers choose are cut to this, in bytes: a line stays small, and PostgreSQL's
/// indexes take no key above 2,704 bytes.
const TEXT_BYTES_MAX: usize = 512;

/// Groups that are kept of a call.
const GROUPS_MAX: usize = 64;

/// The largest arguments that are kept; whoever fills them in cuts to 4 KiB before, so this only
/// keeps a promise.
const ARGUMENTS_BYTES_MAX: usize = 8 * 1024;

/// A line to write.
#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Line<'a> {
    /// A call began, or one was refused: the whole record.
    Call(&'a CallRecord),
    /// A call ended: what is new.
    End(&'a End<'a>),
    /// A change.
    Change(&'a ChangeRecord),
}

/// A line that was read.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Entry {
    /// A call began, or one was refused.
    Call(Box<CallRecord>),
    /// A call ended.
    End(End<'static>),
    /// A change.
    Change(Box<ChangeRecord>),
}

/// How a call ended; the rest stands in the line that began it.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct End<'a> {
    /// The call.
    pub id: Cow<'a, str>,
    /// `ok`, or the code of the error.
    pub outcome: Cow<'a, str>,
    /// The HTTP status.
    pub status: u16,
    /// How long it took, microseconds.
    pub duration_us: i64,
    /// Size of the response body.
    pub response_bytes: i64,
}

impl End<'_> {
    /// Completes the record that the call began with.
    pub(super) fn complete(self, record: &mut CallRecord) {
        record.outcome = self.outcome.into_owned();
        record.status = self.status;
        record.duration_us = self.duration_us;
        record.response_bytes = self.response_bytes;
    }
}

thread_local! {
    /// One buffer a thread, for as long as it lives: a record costs no allocation.
    static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Hands the bytes of a line, newline included, to `write`.
pub(super) fn with_bytes<T>(
    line: &Line<'_>,
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

/// Takes secrets out of what others choose, before it is cut: a caller may take one for the name of
/// a tool. Characters that change how a record is read are written out.
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

/// The same for a change.
pub(super) fn clean_change(change: &mut ChangeRecord, redactor: &Redactor) {
    for text in [&mut change.workspace, &mut change.actor, &mut change.target] {
        clean_text(text, redactor);
    }
}

/// The same for a text.
fn clean_text(text: &mut String, redactor: &Redactor) {
    redactor.clean(text);
    // PostgreSQL stores no NUL.
    if text.contains('\0') {
        *text = text.replace('\0', "\u{fffd}");
    }
    if let Cow::Owned(plain) = plain_text::line(text) {
        *text = plain;
    }
}

/// Cuts what callers choose, so that a record stays small whatever they send.
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

/// Cuts a text between two characters.
fn cut(text: &mut String, bytes_max: usize) {
    if text.len() > bytes_max {
        text.truncate(text.floor_char_boundary(bytes_max));
    }
}

/// The complete lines at the begin of `bytes`, without their newlines, each with the offset after
/// it. Empty lines are skipped over by their reader.
pub(super) fn lines(bytes: &[u8]) -> impl Iterator<Item = (&[u8], usize)> {
    let mut start = 0;
    memchr::memchr_iter(b'\n', bytes).map(move |end| {
        let line = bytes.get(start..end).unwrap_or_default();
        start = end + 1;
        (line, start)
    })
}

/// Reads a line.
pub(super) fn parse(line: &[u8]) -> Result<Entry, serde_json::Error> {
    let mut entry = serde_json::from_slice(line)?;
    if let Entry::Call(record) = &mut entry
        && let Some((instance, _number)) = record.id.rsplit_once('-')
    {
        instance.clone_into(&mut record.instance);
    }
    Ok(entry)
}
