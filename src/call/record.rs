//! The audit record of a call: what is recorded of a request, its caller and its arguments.

use serde_json::{Map, Value};

use super::origin::RequestOrigin;
use crate::{
    access::Permissions,
    audit::AuditLog,
    auth::Caller,
    config::{DEFAULT_WORKSPACE, looks_secret},
    error_code::ErrorCode,
    secret::Redactor,
    store::CallRecord,
};

/// How much of a name that a caller sent is recorded, in bytes.
const NAME_BYTES_MAX: usize = 200;
/// The largest number of groups that are recorded.
const GROUPS_MAX: usize = 64;
/// How much of the arguments is recorded, in bytes.
const ARGUMENTS_BYTES_MAX: usize = 4 << 10;

/// What a caller was sent at the end of a call, for the audit record.
#[derive(Debug, Clone, Copy)]
pub struct SentAnswer {
    /// The status of the HTTP response.
    pub status: u16,
    /// The size of its body, in bytes.
    pub bytes: u64,
}

impl SentAnswer {
    /// An answer with this status and a body of this size.
    pub fn new(status: u16, bytes: usize) -> Self {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        Self { status, bytes }
    }
}

/// A record with the requested bridge, the requested tool and the sender's address.
pub fn record_of(origin: &RequestOrigin, bridge: &str, tool: &str) -> CallRecord {
    CallRecord {
        request_id: origin.request_id.clone(),
        peer: origin.peer.map(|peer| peer.to_string()),
        workspace: DEFAULT_WORKSPACE.to_owned(),
        proof: "none".to_owned(),
        rule: "none".to_owned(),
        bridge: cut(bridge).to_owned(),
        tool: cut(tool).to_owned(),
        ..CallRecord::default()
    }
}

/// Records the caller.
pub fn add_caller(record: &mut CallRecord, caller: &Caller) {
    record.caller = Some(caller.id.to_string());
    caller.proof.as_str().clone_into(&mut record.proof);
    record.workspace = caller.workspace.to_string();
}

/// Records the caller's groups.
pub fn add_groups(record: &mut CallRecord, view: &Permissions) {
    let groups = view.groups().iter().take(GROUPS_MAX);
    record.groups = groups.map(ToString::to_string).collect();
}

/// Records the arguments, without known secrets and without values that look like secrets.
pub fn add_arguments(record: &mut CallRecord, arguments: &Map<String, Value>, redactor: &Redactor) {
    let mut hidden = without_secrets(Value::Object(arguments.clone()));
    redactor.clean_json(&mut hidden);
    let mut text = hidden.to_string();
    if text.len() > ARGUMENTS_BYTES_MAX {
        text.truncate(text.floor_char_boundary(ARGUMENTS_BYTES_MAX));
        text.push('…');
    }
    record.arguments = Some(text);
}

/// Writes the record of a call that was refused before its server was contacted.
pub fn record_refusal(audit: &AuditLog, mut record: CallRecord, code: ErrorCode, sent: SentAnswer) {
    code.as_str().clone_into(&mut record.outcome);
    record.status = sent.status;
    record.response_bytes = i64::try_from(sent.bytes).unwrap_or(i64::MAX);
    audit.refused(record);
}

/// The beginning of a name.
fn cut(name: &str) -> &str {
    name.get(..name.floor_char_boundary(NAME_BYTES_MAX))
        .unwrap_or(name)
}

/// Replaces values by stars if their key looks like the name of a secret.
fn without_secrets(value: Value) -> Value {
    match value {
        Value::Object(members) => members
            .into_iter()
            .map(|(key, value)| {
                let is_secret = looks_secret(&key) && !value.is_null();
                let value = if is_secret {
                    Value::from("***")
                } else {
                    without_secrets(value)
                };
                (key, value)
            })
            .collect(),
        Value::Array(items) => items.into_iter().map(without_secrets).collect(),
        other => other,
    }
}
