//! `migrate`: creates or updates the tables of the database without serving.

use std::process::ExitCode;

use tokio::runtime::Runtime;

use super::{
    args::ConfigOptions,
    output::{complain, diagnose, fail, print},
    serve,
};
use crate::{config::DatabaseSettings, store::Store};

/// Migrates the configured database and prints the applied migrations.
pub fn main(start: &ConfigOptions) -> ExitCode {
    let plan = serve::plan(start);
    let loaded = match (plan.source)() {
        Ok(loaded) => loaded,
        Err(problems) => {
            diagnose(&problems);
            return ExitCode::from(plan.bad_config);
        }
    };
    for warning in &loaded.warnings {
        complain(&warning.to_string());
    }
    let Some(database) = &loaded.config.database else {
        print("no database is configured; nothing to do\n");
        return ExitCode::SUCCESS;
    };
    let result = Runtime::new()
        .map_err(anyhow::Error::from)
        .and_then(|runtime| runtime.block_on(migrate(database)));
    match result {
        Ok(report) => {
            print(&report);
            ExitCode::SUCCESS
        }
        Err(error) => fail(&error),
    }
}

/// Migrates the database and returns one line for each applied migration.
async fn migrate(database: &DatabaseSettings) -> anyhow::Result<String> {
    let applied = Store::open(database)?.migrate().await?;
    if applied.is_empty() {
        return Ok("the database is up to date; nothing to do\n".to_owned());
    }
    Ok(format!("applied {}\n", applied.join("\napplied ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing::Base;

    #[tokio::test]
    async fn the_second_run_has_nothing_to_do() {
        let base = Base::sqlite();
        let first = migrate(&base.config()).await.unwrap();
        assert!(
            first.starts_with("applied 0001 inherited_access\n"),
            "{first}"
        );
        let second = migrate(&base.config()).await.unwrap();
        assert_eq!(second, "the database is up to date; nothing to do\n");
    }
}
