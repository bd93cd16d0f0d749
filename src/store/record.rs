//! The records of the audit trail, as stored in the journal and in the tables. A field that is
//! missing in a line of the journal has its default value, because an older version may have
//! written the line.

use serde::{Deserialize, Serialize};

/// One call, allowed or refused.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CallRecord {
    /// A unique ID: the instance and a number.
    pub id: String,
    /// The run of the program that wrote the record. The journal has it in the ID already.
    #[serde(skip_serializing)]
    pub instance: String,
    /// The workspace of the caller.
    pub workspace: String,
    /// When the call arrived, in microseconds since 1970 UTC.
    pub time: i64,
    /// The same as `X-Request-Id` in the response.
    pub request_id: String,
    /// The caller: their e-mail address, or the name of their API key, or their user ID. `None` if
    /// unauthenticated.
    pub caller: Option<String>,
    /// How they authenticated: `api_key`, `session`, …; or `none`.
    pub proof: String,
    /// The groups that were used for the decision, at most 64.
    pub groups: Vec<String>,
    /// The rule that decided: `grant developers`, `no_grant`, …
    pub rule: String,
    /// The requested bridge.
    pub bridge: String,
    /// The requested tool.
    pub tool: String,
    /// The address of the request's sender.
    pub peer: Option<String>,
    /// `ok`, or the `code` of the error; `started` while the call runs, `cancelled` if the caller
    /// hung up, `interrupted` if the server stopped.
    pub outcome: String,
    /// The HTTP status; 0 if there is none yet.
    #[serde(skip_serializing_if = "is_zero")]
    pub status: u16,
    /// The duration in microseconds.
    #[serde(skip_serializing_if = "is_zero")]
    pub duration_us: i64,
    /// The size of the request body in bytes.
    #[serde(skip_serializing_if = "is_zero")]
    pub request_bytes: i64,
    /// The size of the response body in bytes.
    #[serde(skip_serializing_if = "is_zero")]
    pub response_bytes: i64,
    /// The arguments, redacted and shortened, if the operator enabled this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub arguments: Option<String>,
    /// How many further refusals this record stands for. Refusals of one address or caller are
    /// combined.
    #[serde(skip_serializing_if = "is_zero")]
    pub repeats: i64,
}

/// Whether the journal can omit this number.
fn is_zero<T: Default + PartialEq>(number: &T) -> bool {
    *number == T::default()
}

/// A filter for calls. `None` matches all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CallFilter {
    /// The workspace. With `None`, all workspaces; on PostgreSQL only the operator sees these.
    pub workspace: Option<String>,
    /// Calls from this time on, in microseconds since 1970.
    pub since: Option<i64>,
    /// Calls before this time.
    pub until: Option<i64>,
    /// Calls after this record in the order of the result: the `(time, id)` of the last record of a
    /// page.
    pub before: Option<(i64, String)>,
    /// The caller, ignoring the case of letters.
    pub caller: Option<String>,
    /// The bridge.
    pub bridge: Option<String>,
    /// The tool.
    pub tool: Option<String>,
    /// The outcome.
    pub outcome: Option<String>,
    /// The request ID.
    pub request_id: Option<String>,
    /// The maximum number of records.
    pub limit: u32,
}

/// One change by an administrator.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ChangeRecord {
    /// A unique ID.
    pub id: String,
    /// The workspace of the change.
    pub workspace: String,
    /// When it was made, in microseconds since 1970 UTC.
    pub time: i64,
    /// Who made it: an e-mail address, the name of an API key, or `operator` for the command line.
    pub actor: String,
    /// How they authenticated.
    pub proof: String,
    /// The action: `grant`, `revoke`, `add_member`, `restart`, …
    pub action: String,
    /// The target of the action, for example `developers github`.
    pub target: String,
}

/// A filter for changes. `None` matches all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ChangeFilter {
    /// The workspace.
    pub workspace: Option<String>,
    /// Changes from this time on, in microseconds since 1970.
    pub since: Option<i64>,
    /// Changes before this time.
    pub until: Option<i64>,
    /// Who made them.
    pub actor: Option<String>,
    /// The maximum number of records.
    pub limit: u32,
}
