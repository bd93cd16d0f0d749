//! [`DirectoryUser`]: what Open WebUI knows about a user.

use serde_json::Value;

/// A user of Open WebUI.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DirectoryUser {
    /// Their ID.
    pub id: String,
    /// Their e-mail address as stored in Open WebUI.
    pub email: String,
    /// Their name.
    pub name: String,
    /// `user`, `admin` or `pending`.
    pub role: String,
    /// Whether their `auth` row exists and is active.
    pub is_active: bool,
    #[expect(
        clippy::option_option,
        reason = "a missing column differs from a missing value"
    )]
    /// `auth.session_stamp`. The outer `None` means that this release has no such column.
    pub session_stamp: Option<Option<String>>,
    /// Whether Open WebUI requires a second factor for their sessions (`auth.mfa.enable`). Such a
    /// session needs `mfa_verified`, and [`DirectoryUser::has_mfa`].
    pub wants_mfa: bool,
    /// Whether they have a usable second factor: `auth.mfa` has a secret and no pending reset.
    pub has_mfa: bool,
    /// The `auth_method`s whose sessions do not need a second factor (`oauth`, `trusted_header`),
    /// as configured in Open WebUI.
    pub mfa_bypass: Vec<String>,
    /// Their groups, including parent groups.
    pub groups: Vec<DirectoryGroup>,
}

/// A group of Open WebUI.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirectoryGroup {
    /// Its ID.
    pub id: String,
    /// Its name, which need not be unique.
    pub name: String,
}

/// A row of the query: user, auth (active, stamp, mfa), config (enable, two bypasses), group.
pub(super) type Row = (
    String,
    String,
    String,
    String,
    bool,
    Option<String>,
    Option<String>,
    Option<String>,
    Option<String>,
    Option<String>,
    Option<String>,
    Option<String>,
);

/// Combines rows into accounts. Each row has one group of its user.
pub(super) fn accounts(rows: Vec<Row>, has_stamp: bool) -> Vec<DirectoryUser> {
    let mut accounts: Vec<DirectoryUser> = Vec::new();
    for (id, email, name, role, is_active, stamp, mfa, enable, oauth, header, group, title) in rows
    {
        let group = group
            .zip(title)
            .map(|(id, name)| DirectoryGroup { id, name });
        if let Some(known) = accounts.iter_mut().find(|account| account.id == id) {
            known.groups.extend(group);
            continue;
        }
        let bypass = [("oauth", oauth), ("trusted_header", header)];
        accounts.push(DirectoryUser {
            id,
            email,
            name,
            role,
            is_active,
            session_stamp: has_stamp.then_some(stamp),
            wants_mfa: is_true(enable.as_deref()),
            has_mfa: mfa.as_deref().is_some_and(is_usable),
            mfa_bypass: bypass
                .into_iter()
                .filter(|(_, value)| is_true(value.as_deref()))
                .map(|(method, _)| method.to_owned())
                .collect(),
            groups: Vec::from_iter(group),
        });
    }
    for account in &mut accounts {
        account
            .groups
            .sort_by(|a, b| (&a.name, &a.id).cmp(&(&b.name, &b.id)));
        account.groups.dedup();
    }
    accounts
}

/// A value of `config`: JSON `true`, or the complete old single row with `auth.mfa.enable`.
fn is_true(json: Option<&str>) -> bool {
    let value = json.and_then(|json| serde_json::from_str::<Value>(json).ok());
    match value {
        Some(Value::Object(_)) => {
            value.and_then(|all| all.pointer("/auth/mfa/enable").cloned())
                == Some(Value::Bool(true))
        }
        other => other == Some(Value::Bool(true)),
    }
}

/// Whether `auth.mfa` contains a usable second factor.
fn is_usable(mfa: &str) -> bool {
    let Ok(mfa) = serde_json::from_str::<Value>(mfa) else {
        return false;
    };
    let has_secret = mfa
        .get("secret")
        .and_then(Value::as_str)
        .is_some_and(|secret| !secret.is_empty());
    has_secret && mfa.get("reset_required") != Some(&Value::Bool(true))
}
