//! [`CallRecordDraft`]: the audit record of one call. It is filled step by step, and each call is recorded
//! exactly once.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::{error::ApiError, sender::RequestSender};
use crate::{
    access::{AccessRule, Permissions},
    audit::{AuditLog, OpenAuditRecord},
    auth::Caller,
    config::{DEFAULT_WORKSPACE, Flavor, looks_secret},
    secret::Redactor,
    store::CallRecord,
};

/// How much of a name that a caller sent is recorded, in bytes.
const NAME_BYTES_MAX: usize = 200;
/// The largest number of groups that are recorded.
const GROUPS_MAX: usize = 64;
/// How much of the arguments is recorded, in bytes.
const ARGUMENTS_BYTES_MAX: usize = 4 << 10;

/// The record of a call that has not begun.
#[derive(Debug)]
pub struct CallRecordDraft {
    /// The audit trail that receives the record.
    audit: Arc<AuditLog>,
    /// What is known of the call.
    record: CallRecord,
}

impl CallRecordDraft {
    /// A record with the requested tool and the sender's address.
    pub fn new(audit: &Arc<AuditLog>, sender: &RequestSender, bridge: &str, tool: &str) -> Self {
        let record = CallRecord {
            request_id: sender.request_id.clone(),
            peer: sender.peer.map(|peer| peer.to_string()),
            workspace: DEFAULT_WORKSPACE.to_owned(),
            proof: "none".to_owned(),
            rule: "none".to_owned(),
            bridge: cut(bridge).to_owned(),
            tool: cut(tool).to_owned(),
            ..CallRecord::default()
        };
        Self {
            audit: Arc::clone(audit),
            record,
        }
    }

    /// Records the caller.
    pub fn identified(&mut self, caller: &Caller) {
        self.record.caller = Some(caller.id.to_string());
        caller.proof.as_str().clone_into(&mut self.record.proof);
        self.record.workspace = caller.workspace.to_string();
    }

    /// Records the caller's groups.
    pub fn viewed(&mut self, view: &Permissions) {
        let groups = view.groups().iter().take(GROUPS_MAX);
        self.record.groups = groups.map(ToString::to_string).collect();
    }

    /// Records the rule that decided.
    pub fn decided(&mut self, rule: &AccessRule) {
        self.record.rule = rule.to_string();
    }

    /// Records the size of the request body.
    pub fn received(&mut self, bytes: usize) {
        self.record.request_bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
    }

    /// Records the arguments, without known secrets and without values that look like secrets.
    pub fn received_arguments(&mut self, arguments: &Map<String, Value>, redactor: &Redactor) {
        let mut hidden = without_secrets(Value::Object(arguments.clone()));
        redactor.clean_json(&mut hidden);
        let mut text = hidden.to_string();
        if text.len() > ARGUMENTS_BYTES_MAX {
            text.truncate(text.floor_char_boundary(ARGUMENTS_BYTES_MAX));
            text.push('…');
        }
        self.record.arguments = Some(text);
    }

    /// Writes the record of a call that was refused before its server was contacted.
    pub fn refused(mut self, error: &ApiError, flavor: Flavor) {
        error.code.as_str().clone_into(&mut self.record.outcome);
        self.record.status = error.status.as_u16();
        let size = error.size(&self.record.request_id, flavor);
        self.record.response_bytes = i64::try_from(size).unwrap_or(i64::MAX);
        self.audit.refused(self.record);
    }

    /// Writes that the call begins.
    pub async fn begin(&mut self) -> Result<OpenAuditRecord, ApiError> {
        let record = std::mem::take(&mut self.record);
        self.audit.begin(record).await.map_err(|mut down| {
            // The call is refused now, and the refusal is recorded with this record.
            self.record = std::mem::take(&mut down.1);
            ApiError::unrecorded(down)
        })
    }
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
