//! SQL without a schema, as the scripts of the Python proxy have it: the search path that makes it reach
//! our tables, and copies of these tables elsewhere that it reaches instead.

use sqlx::AssertSqlSafe;

use super::{Store, StoreError, pool::DatabaseTarget, table_copy::TableCopy};

/// The inherited tables, with what makes two rows the same. The key is as it stands in the table, for the
/// statement that takes rows over.
const TABLES: [InheritedTable; 5] = [
    InheritedTable {
        name: "user_group_membership",
        same: "lower(user_email), group_name",
        columns: "user_email, group_name",
    },
    InheritedTable {
        name: "group_tenant_mapping",
        same: "group_name, tenant_id",
        columns: "group_name, tenant_id",
    },
    InheritedTable {
        name: "user_admin_status",
        same: "lower(user_email), is_admin",
        columns: "user_email, is_admin",
    },
    InheritedTable {
        name: "tenant_server_keys",
        same: "tenant_id, server_id, key_name",
        columns: "tenant_id, server_id, key_name, key_value",
    },
    InheritedTable {
        name: "tenant_endpoint_overrides",
        same: "tenant_id, server_id, endpoint_url",
        columns: "tenant_id, server_id, endpoint_url",
    },
];

/// Tables of these names outside our schema that we may read: quoted with their schema, and plain. None
/// before our tables were made, since rows in `public` are taken over then.
const COPIES: &str = "SELECT quote_ident(n.nspname) || '.' || quote_ident(c.relname), CAST(c.relname AS text) \
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
    WHERE c.relname IN ('user_group_membership', 'group_tenant_mapping', 'user_admin_status', \
        'tenant_server_keys', 'tenant_endpoint_overrides') \
    AND c.relkind IN ('r', 'p') AND n.nspname <> 'mcp_proxy' AND n.nspname NOT LIKE 'pg\\_%' \
    AND has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT') \
    AND to_regclass('mcp_proxy.bridge_migration') IS NOT NULL \
    ORDER BY 1 LIMIT 20";

/// What a session of our role begins with.
const SEARCH_PATH: &str = "SELECT reset_val FROM pg_catalog.pg_settings WHERE name = 'search_path'";

/// Adds our schema behind all others, for new sessions of our role in this database. Every role may say
/// this of itself.
const EXTEND_PATH: &str = "DO $path$
DECLARE
    found text := (SELECT reset_val FROM pg_catalog.pg_settings WHERE name = 'search_path');
BEGIN
    EXECUTE format('ALTER ROLE %I IN DATABASE %I SET search_path = %s', session_user, current_database(),
        concat_ws(', ', nullif(trim(found), ''), 'mcp_proxy'));
END
$path$";

/// A table of the Python proxy.
struct InheritedTable {
    name: &'static str,
    same: &'static str,
    columns: &'static str,
}

impl Store {
    /// Looks for copies of the inherited tables, whether or not the store runs. Always empty for SQLite,
    /// which has no schemas.
    pub async fn copies(&self) -> Result<Vec<TableCopy>, StoreError> {
        if self.read.is_sqlite() {
            return Ok(Vec::new());
        }
        self.within(self.timeout, self.find_copies()).await
    }

    async fn find_copies(&self) -> Result<Vec<TableCopy>, StoreError> {
        let found: Vec<(String, String)> = self.read.fetch(COPIES, &[]).await?;
        let mut copies = Vec::with_capacity(found.len());
        for (copy, name) in found {
            let Some(inherited) = TABLES.iter().find(|it| it.name == name) else {
                continue;
            };
            let same = inherited.same;
            let sql = format!(
                "SELECT COUNT(*) FROM (SELECT {same} FROM {copy} EXCEPT SELECT {same} FROM mcp_proxy.{name}) AS rest"
            );
            let counted: Result<Vec<(i64,)>, _> = self.read.fetch(AssertSqlSafe(sql), &[]).await;
            let rows_missing = match counted {
                Ok(rows) => rows.first().map(|&(count,)| count),
                Err(error @ StoreError::Down(_)) => return Err(error),
                // A table that only has the name.
                Err(_) => None,
            };
            copies.push(TableCopy {
                copy,
                table: inherited.name,
                columns: inherited.columns,
                rows_missing,
            });
        }
        Ok(copies)
    }

    /// Warns of copies, once as long as they stay the same.
    pub(super) async fn warn_of_copies(&self) {
        match self.copies().await {
            Ok(copies) => {
                let is_news = **self.copies_told.load() != copies;
                if is_news {
                    for copy in &copies {
                        tracing::warn!("{}; {}", copy.problem(), copy.advice());
                    }
                    self.copies_told.store(copies.into());
                }
            }
            Err(error) => {
                tracing::debug!(%error, "copies of the access tables were not looked for");
            }
        }
    }

    /// Makes SQL without a schema reach our tables, as the scripts of the Python proxy expect it, for
    /// sessions of our role that begin after this. Our schema comes last, so that nothing else means
    /// another table than before.
    pub(super) async fn extend_search_path(&self) {
        let DatabaseTarget::Postgres(_) = &self.target else {
            return;
        };
        let extended = self.within(self.timeout, async {
            let path: Vec<(String,)> = self.read.fetch(SEARCH_PATH, &[]).await?;
            let path = path.first().map_or("", |(path,)| path.as_str());
            if has_our_schema(path) {
                return Ok(false);
            }
            let mut tx = self.write.begin().await?;
            tx.execute(EXTEND_PATH, &[]).await?;
            tx.commit().await?;
            Ok(true)
        });
        match extended.await {
            Ok(true) => tracing::info!(
                "`mcp_proxy` is in the search path of our database role now: SQL without a schema reaches its tables"
            ),
            Ok(false) => {}
            Err(error) => tracing::info!(
                %error,
                "`mcp_proxy` is not in the search path of our database role: write `mcp_proxy.` before the tables in SQL"
            ),
        }
    }
}

/// Whether a search path names our schema.
fn has_our_schema(path: &str) -> bool {
    path.split(',')
        .any(|schema| schema.trim().trim_matches('"') == "mcp_proxy")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_search_path_is_read_by_its_schemas() {
        for (path, has) in [
            ("\"$user\", public", false),
            ("", false),
            ("mcp_proxy", true),
            ("\"$user\", public, \"mcp_proxy\"", true),
            ("my_mcp_proxy, public", false),
        ] {
            assert_eq!(has_our_schema(path), has, "{path}");
        }
    }

    #[test]
    fn a_copy_is_told_with_the_statement_that_takes_its_rows_over() {
        let copy = |rows_missing| TableCopy {
            copy: "public.group_tenant_mapping".to_owned(),
            table: "group_tenant_mapping",
            columns: "group_name, tenant_id",
            rows_missing,
        };
        let two = copy(Some(2));
        assert!(
            two.problem()
                .contains("2 rows of the copy are missing there")
        );
        assert!(two.advice().contains(
            "`INSERT INTO mcp_proxy.group_tenant_mapping (group_name, tenant_id) SELECT group_name, tenant_id \
             FROM public.group_tenant_mapping ON CONFLICT DO NOTHING`"
        ));
        for quiet in [copy(Some(0)), copy(None)] {
            assert!(!quiet.problem().contains("missing"), "{}", quiet.problem());
            assert!(!quiet.advice().contains("INSERT"), "{}", quiet.advice());
        }
        assert!(copy(Some(1)).problem().contains("1 row of"));
    }
}
