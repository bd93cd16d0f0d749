//! The records of the audit trail, as they stand in the journal and in the tables. What a line of the
//! journal lacks has its default: an older version may have written it.

use serde::{Deserialize, Serialize};

/// One call, allowed or refused (design §9).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CallRecord {
    /// Unique: the instance and a number.
    pub id: String,
    /// The run of the program that wrote it. The journal has it in the id already.
    #[serde(skip_serializing)]
    pub instance: String,
    /// Whose it is.
    pub workspace: String,
    /// When the call came, microseconds since 1970 UTC.
    pub time: i64,
    /// As in the `X-Request-Id` of the answer.
    pub request_id: String,
    /// Their e-mail, else the name of the key, else the user's id; `None` for nobody.
    pub caller: Option<String>,
    /// How they proved it: `api_key`, `session`, …; `none`.
    pub proof: String,
    /// The groups that counted, at most 64 of them.
    pub groups: Vec<String>,
    /// The rule that decided: `grant developers`, `no_grant`, …
    pub rule: String,
    /// The bridge, as asked for.
    pub bridge: String,
    /// The tool, as asked for.
    pub tool: String,
    /// The address that the request came from.
    pub peer: Option<String>,
    /// `ok`, or the `code` of the error; `started` while it runs, `cancelled` when the caller went
    /// away, `interrupted` when we did.
    pub outcome: String,
    /// The HTTP status; 0 while there is none.
    #[serde(skip_serializing_if = "is_zero")]
    pub status: u16,
    /// How long it took, microseconds.
    #[serde(skip_serializing_if = "is_zero")]
    pub duration_us: i64,
    /// Size of the request body.
    #[serde(skip_serializing_if = "is_zero")]
    pub request_bytes: i64,
    /// Size of the response body.
    #[serde(skip_serializing_if = "is_zero")]
    pub response_bytes: i64,
    /// The arguments, redacted and cut; only when the operator asked for them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub arguments: Option<String>,
    /// How many more refusals this record stands for: those of one address or caller are gathered.
    #[serde(skip_serializing_if = "is_zero")]
    pub repeats: i64,
}

/// Whether the journal can do without a number.
fn is_zero<T: Default + PartialEq>(number: &T) -> bool {
    *number == T::default()
}

/// Which calls. `None` asks for all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CallFilter {
    /// Of this workspace; `None` for all of them, which on PostgreSQL only the operator is shown.
    pub workspace: Option<String>,
    /// From this time on, microseconds since 1970.
    pub since: Option<i64>,
    /// Before this time.
    pub until: Option<i64>,
    /// Before this record in the order of the answer: the `(time, id)` of the last one of a page.
    pub before: Option<(i64, String)>,
    /// Of this caller, in any case of letters.
    pub caller: Option<String>,
    /// To this bridge.
    pub bridge: Option<String>,
    /// To this tool.
    pub tool: Option<String>,
    /// With this outcome.
    pub outcome: Option<String>,
    /// With this request id.
    pub request_id: Option<String>,
    /// How many at most.
    pub limit: u32,
}

/// One change that an administrator made.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ChangeRecord {
    /// Unique.
    pub id: String,
    /// Whose it is.
    pub workspace: String,
    /// When, microseconds since 1970 UTC.
    pub time: i64,
    /// Who: an e-mail, the name of a key, `operator` for the command line.
    pub actor: String,
    /// How they proved it.
    pub proof: String,
    /// What was done: `grant`, `revoke`, `add_member`, `restart`, …
    pub action: String,
    /// To what: `developers github`, say.
    pub target: String,
}

/// Which changes. `None` asks for all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ChangeFilter {
    /// Of this workspace.
    pub workspace: Option<String>,
    /// From this time on, microseconds since 1970.
    pub since: Option<i64>,
    /// Before this time.
    pub until: Option<i64>,
    /// By this actor.
    pub actor: Option<String>,
    /// How many at most.
    pub limit: u32,
}
