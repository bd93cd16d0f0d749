//! [`TableCopy`]: a copy of one of our tables, with what to do about it.

/// A table of an inherited name outside our schema. Nothing here reads it, and SQL without a schema may
/// write to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableCopy {
    /// Its name with the schema, quoted where it has to be.
    pub copy: String,
    /// The table that counts.
    pub table: &'static str,
    /// Its columns, as a statement lists them.
    pub(super) columns: &'static str,
    /// How many rows it has that the other lacks; `None` where its columns are others.
    pub rows_missing: Option<i64>,
}

impl TableCopy {
    /// What is wrong.
    pub fn problem(&self) -> String {
        let (copy, table) = (&self.copy, self.table);
        let said = format!(
            "the database has a table `{copy}` that mcp-bridge does not read; what counts is `mcp_proxy.{table}`"
        );
        match self.rows_missing {
            Some(1) => format!("{said}, and 1 row of the copy is missing there"),
            Some(2..) => format!(
                "{said}, and {} rows of the copy are missing there",
                self.rows_missing.unwrap_or_default()
            ),
            Some(_) | None => format!("{said}, and SQL without a schema changes the copy"),
        }
    }

    /// What to do about it.
    pub fn advice(&self) -> String {
        let (copy, table, columns) = (&self.copy, self.table, self.columns);
        let drop = format!(
            "remove the copy, so that SQL without a schema reaches the other: `DROP TABLE {copy}`"
        );
        match self.rows_missing {
            Some(1..) => format!(
                "take over the rows that you want: `INSERT INTO mcp_proxy.{table} ({columns}) SELECT {columns} FROM {copy} ON CONFLICT DO NOTHING`; then {drop}"
            ),
            Some(_) | None => drop,
        }
    }
}
