//! [`TableLayout`]: which tables and columns exist. It comes from the database's catalog, not from the
//! version.

use std::collections::BTreeSet;

/// What PostgreSQL finds along the search path.
pub(super) const PROBE_POSTGRES: &str = "SELECT t.name, CAST(a.attname AS TEXT) \
    FROM (VALUES ('user'), ('auth'), ('group'), ('group_member'), ('api_key'), ('config')) AS t(name) \
    JOIN pg_attribute a ON a.attrelid = to_regclass(quote_ident(t.name)) \
    WHERE a.attnum > 0 AND NOT a.attisdropped";
/// What the SQLite file contains.
pub(super) const PROBE_SQLITE: &str = "SELECT t.name, c.name \
    FROM sqlite_master t JOIN pragma_table_info(t.name) c \
    WHERE t.name IN ('user', 'auth', 'group', 'group_member', 'api_key', 'config')";

/// How a user is looked up. Each query has one value, `$1`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum UserQuery {
    /// By ID.
    Id,
    /// By e-mail address in lower case.
    Email,
    /// By API key.
    Key,
}

/// Which tables and columns exist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TableLayout {
    columns: BTreeSet<(String, String)>,
    is_sqlite: bool,
}

impl TableLayout {
    /// Builds the layout from the rows of a probe.
    pub(super) fn new(rows: Vec<(String, String)>, is_sqlite: bool) -> Self {
        Self {
            columns: rows.into_iter().collect(),
            is_sqlite,
        }
    }

    fn has(&self, table: &str, column: &str) -> bool {
        self.columns
            .contains(&(table.to_owned(), column.to_owned()))
    }

    /// Whether sessions have stamps (since 0.12.0).
    pub(super) fn has_stamp(&self) -> bool {
        self.has("auth", "session_stamp")
    }

    /// The query for the names of all groups; `None` if the tables have none.
    pub(super) fn groups(&self) -> Option<&'static str> {
        let is_there = self.has("group", "id") && self.has("group", "name");
        is_there.then_some("SELECT DISTINCT COALESCE(g.name, '') FROM \"group\" g LIMIT 10000")
    }

    /// The query, built from constant parts; `None` if the tables do not allow this lookup.
    pub(super) fn query(&self, by: UserQuery) -> Option<String> {
        if !self.has("user", "id") {
            return None;
        }
        let condition = match by {
            UserQuery::Id => "u.id = $1",
            UserQuery::Email => "lower(u.email) = lower($1)",
            UserQuery::Key if self.has("api_key", "key") => {
                "u.id IN (SELECT k.user_id FROM api_key k WHERE k.key = $1)"
            }
            UserQuery::Key if self.has("user", "api_key") => "u.api_key = $1",
            UserQuery::Key => return None,
        };
        let members = self.members();
        let above = if self.has("group", "parent_group_id") {
            // UNION instead of UNION ALL: it ends even if parent groups form a cycle.
            "UNION SELECT eff.user_id, CAST(p.parent_group_id AS TEXT) FROM \"group\" p \
             JOIN eff ON CAST(p.id AS TEXT) = eff.group_id WHERE p.parent_group_id IS NOT NULL"
        } else {
            ""
        };
        let auth = self.auth();
        let (auth_join, group_join) = (self.auth_join(), self.group_join());
        let group = if group_join.is_empty() {
            "CAST(NULL AS TEXT), CAST(NULL AS TEXT)"
        } else {
            "CAST(g.id AS TEXT), COALESCE(g.name, '')"
        };
        let config = self.config();
        Some(format!(
            "WITH RECURSIVE me AS (SELECT u.id, u.email, u.name, u.role FROM \"user\" u \
             WHERE {condition}), eff (user_id, group_id) AS ({members} {above}) \
             SELECT CAST(me.id AS TEXT), COALESCE(me.email, ''), COALESCE(me.name, ''), \
             COALESCE(me.role, ''), {auth}, {config}, {group} FROM me {auth_join} {group_join}"
        ))
    }

    /// The groups that users are direct members of.
    fn members(&self) -> &'static str {
        if self.has("group_member", "group_id") && self.has("group", "id") {
            "SELECT me.id, CAST(m.group_id AS TEXT) FROM me JOIN group_member m ON m.user_id = me.id"
        } else if !self.has("group", "user_ids") {
            "SELECT me.id, CAST(NULL AS TEXT) FROM me WHERE 1 = 0"
        } else if self.is_sqlite {
            "SELECT me.id, CAST(l.id AS TEXT) FROM me JOIN \"group\" l ON EXISTS (SELECT 1 FROM \
             json_each(CASE WHEN json_valid(l.user_ids) AND json_type(l.user_ids) = 'array' \
             THEN l.user_ids ELSE '[]' END) e WHERE e.value = me.id)"
        } else {
            "SELECT me.id, CAST(l.id AS TEXT) FROM me JOIN \"group\" l ON EXISTS (SELECT 1 FROM \
             json_array_elements_text(CASE WHEN \
             json_typeof(CAST(CAST(l.user_ids AS TEXT) AS json)) = 'array' \
             THEN CAST(CAST(l.user_ids AS TEXT) AS json) ELSE CAST('[]' AS json) END) AS e(id) \
             WHERE e.id = me.id)"
        }
    }

    /// Whether the account is active, its session stamp, and its second factor.
    fn auth(&self) -> String {
        let active = if self.has("auth", "active") {
            "COALESCE(a.active, FALSE)"
        } else {
            "FALSE"
        };
        let stamp = if self.has_stamp() {
            "a.session_stamp"
        } else {
            "CAST(NULL AS TEXT)"
        };
        let mfa = if self.has("auth", "mfa") {
            "CAST(a.mfa AS TEXT)"
        } else {
            "CAST(NULL AS TEXT)"
        };
        format!("{active}, {stamp}, {mfa}")
    }

    /// The three settings of the second factor.
    fn config(&self) -> &'static str {
        const NONE: &str = "CAST(NULL AS TEXT), CAST(NULL AS TEXT), CAST(NULL AS TEXT)";
        if !self.has("auth", "mfa") {
            NONE
        } else if self.has("config", "key") {
            "(SELECT CAST(c.value AS TEXT) FROM config c WHERE c.key = 'auth.mfa.enable'), \
             (SELECT CAST(c.value AS TEXT) FROM config c WHERE c.key = 'auth.mfa.allow_oauth_bypass'), \
             (SELECT CAST(c.value AS TEXT) FROM config c WHERE c.key = 'auth.mfa.allow_trusted_header_bypass')"
        } else if self.has("config", "data") {
            "(SELECT CAST(c.data AS TEXT) FROM config c ORDER BY c.id DESC LIMIT 1), \
             CAST(NULL AS TEXT), CAST(NULL AS TEXT)"
        } else {
            NONE
        }
    }

    fn auth_join(&self) -> &'static str {
        if self.has("auth", "id") {
            "LEFT JOIN auth a ON a.id = me.id"
        } else {
            ""
        }
    }

    fn group_join(&self) -> &'static str {
        if self.has("group", "id") {
            "LEFT JOIN eff ON eff.user_id = me.id \
             LEFT JOIN \"group\" g ON CAST(g.id AS TEXT) = eff.group_id"
        } else {
            ""
        }
    }
}
