//! Workspaces: which rows are visible to the store and to raw SQL.

use std::str::FromStr as _;

use sqlx::{Connection as _, PgConnection};

use super::{super::*, actor, grant, of_workspace};
use crate::{
    config::{DatabaseSettings, DatabaseUrl},
    secret::Secret,
    store::testing::{Base, admin, postgres, url_of},
};

/// The URL of a PostgreSQL base.
fn url(base: &Base) -> &str {
    match &base.url {
        DatabaseUrl::Postgres(url) => url.expose(),
        DatabaseUrl::Sqlite(_) => panic!("made as PostgreSQL"),
    }
}

/// Creates rows of two workspaces and checks what each one sees.
async fn assert_workspaces_apart(store: &Store) {
    let (default, other, operator) = (actor(), of_workspace("other"), of_workspace("*"));
    assert!(
        store
            .grant(&default, &grant("devs", "github", &["a"]))
            .await
            .unwrap()
    );
    assert!(
        store
            .grant(&other, &grant("devs", "github", &["a"]))
            .await
            .unwrap()
    );
    let foreign = GrantRow {
        workspace: Some("other".to_owned()),
        ..grant("devs", "time", &["a"])
    };
    assert!(matches!(
        store.grant(&default, &foreign).await,
        Err(StoreError::Invalid(_))
    ));
    assert!(store.grant(&operator, &foreign).await.unwrap());
    assert_eq!(store.grants().await.unwrap().len(), 3);
    assert_eq!(store.revoke(&default, "devs", "time").await.unwrap(), 0);
    assert_eq!(store.revoke(&default, "devs", "github").await.unwrap(), 1);
    assert_eq!(store.revoke(&other, "devs", "github").await.unwrap(), 1);
    assert_eq!(store.revoke(&operator, "devs", "time").await.unwrap(), 1);

    let seen = async |workspace: Option<&str>| {
        let workspace = workspace.map(str::to_owned);
        let filter = ChangeFilter {
            workspace,
            limit: 99,
            ..ChangeFilter::default()
        };
        store.changes(&filter).await.unwrap().len()
    };
    // Two of its own, and two of the operator.
    assert_eq!(seen(Some("default")).await, 4);
    assert_eq!(seen(Some("other")).await, 4);
    assert_eq!(seen(Some("")).await, 0);
    assert_eq!(seen(None).await, 6);
    for workspace in ["default", "other"] {
        let call = CallRecord {
            id: workspace.to_owned(),
            workspace: workspace.to_owned(),
            ..CallRecord::default()
        };
        store.put_calls(&[call]).await.unwrap();
        let account = AccountKey {
            workspace: workspace.to_owned(),
            bridge: "linear".to_owned(),
            subject: "ann@example.com".to_owned(),
        };
        store.put_account(None, &account, b"x").await.unwrap();
    }
    let filter = CallFilter {
        workspace: Some("other".to_owned()),
        limit: 9,
        ..CallFilter::default()
    };
    let calls = store.calls(&filter).await.unwrap();
    assert_eq!(
        calls.iter().map(|it| it.id.as_str()).collect::<Vec<_>>(),
        ["other"]
    );
}

#[tokio::test]
async fn workspaces_are_apart_in_both_databases() {
    for base in Base::both().await {
        assert_workspaces_apart(&base.store().await).await;
    }
}

#[tokio::test]
async fn policies_bind_the_plain_owner() {
    let base = Base::postgres().await;
    let name = base.name().to_owned();
    let role = format!("o_{name}");
    admin(&format!(
        "CREATE ROLE {role} LOGIN PASSWORD 'x'; ALTER DATABASE {name} OWNER TO {role}"
    ))
    .await;
    let mut owner = url::Url::parse(&url_of(&name)).unwrap();
    owner.set_username(&role).unwrap();
    let config = DatabaseSettings {
        url: DatabaseUrl::Postgres(Secret::new(owner.to_string())),
        ..base.config()
    };
    let store = Store::open(&config).unwrap();
    store.migrate().await.unwrap();
    assert_workspaces_apart(&store).await;

    // Raw SQL on a connection of the tables' owner, to whom FORCE applies.
    let mut raw = PgConnection::connect(owner.as_str()).await.unwrap();
    assert_raw(&mut raw, "SELECT 1").await;
    raw.close().await.unwrap();
    drop(store);
    drop(base);
    admin(&format!("DROP ROLE {role}")).await;
}

#[tokio::test]
async fn superusers_step_down_into_the_scoped_role() {
    let (store, base) = postgres().await;
    assert_workspaces_apart(&store).await;
    let options = sqlx::postgres::PgConnectOptions::from_str(url(&base)).unwrap();
    let mut raw = PgConnection::connect_with(&options).await.unwrap();
    assert_raw(&mut raw, "SET ROLE mcp_bridge_scoped").await;
    // The policies also apply to the store's transactions, whatever their SQL.
    let mut tx = store.begin_reading("other").await.unwrap();
    let rows: Vec<(String,)> = tx
        .fetch("SELECT workspace_id FROM bridge_call", &[])
        .await
        .unwrap();
    assert_eq!(rows, [("other".to_owned(),)]);
}

/// Creates two rows per table, one of `default` and one of `other`. The connection must see only
/// those of its workspace.
async fn assert_raw(connection: &mut PgConnection, role: &'static str) {
    sqlx::raw_sql(role).execute(&mut *connection).await.unwrap();
    let (count,): (i64,) = sqlx::query_as(
        "SELECT (SELECT COUNT(*) FROM mcp_proxy.bridge_call) \
         + (SELECT COUNT(*) FROM mcp_proxy.bridge_account)",
    )
    .fetch_one(&mut *connection)
    .await
    .unwrap();
    assert_eq!(
        count, 0,
        "a connection that names no workspace sees nothing"
    );
    for table in ["mcp_proxy.bridge_call", "mcp_proxy.bridge_account"] {
        assert_table(connection, table).await;
    }
}

async fn assert_table(connection: &mut PgConnection, table: &str) {
    let raw = |sql: String| sqlx::raw_sql(sqlx::AssertSqlSafe(sql));
    let scope = "SELECT set_config('mcp_bridge.workspace', $1, false)";
    for (setting, seen) in [("", 0), ("other", 1), ("x", 0), ("*", 2)] {
        sqlx::query(scope)
            .bind(setting)
            .execute(&mut *connection)
            .await
            .unwrap();
        let count = format!("SELECT COUNT(*) FROM {table}");
        let (count,): (i64,) = sqlx::query_as(sqlx::AssertSqlSafe(count))
            .fetch_one(&mut *connection)
            .await
            .unwrap();
        assert_eq!(count, seen, "{table} {setting:?}");
    }
    sqlx::query(scope)
        .bind("other")
        .execute(&mut *connection)
        .await
        .unwrap();
    let moved = raw(format!("UPDATE {table} SET workspace_id = 'default'"))
        .execute(&mut *connection)
        .await;
    assert!(
        moved
            .unwrap_err()
            .to_string()
            .contains("row-level security")
    );
    let gone = raw(format!(
        "DELETE FROM {table} WHERE workspace_id = 'default'"
    ))
    .execute(&mut *connection)
    .await
    .unwrap();
    assert_eq!(gone.rows_affected(), 0, "{table}");
}

/// Only the operator can revoke narrowed grants of the operator.
#[tokio::test]
async fn what_counts_everywhere_is_not_for_every_administrator() {
    for base in Base::both().await {
        let store = base.store().await;
        let (default, other, operator) = (actor(), of_workspace("other"), of_workspace("*"));
        let everywhere = grant("devs", "github", &["a"]);
        assert!(store.grant(&operator, &everywhere).await.unwrap());
        let starred = GrantRow {
            workspace: Some("*".to_owned()),
            ..everywhere.clone()
        };
        assert!(!store.grant(&operator, &starred).await.unwrap());
        let refused = store.grant(&other, &starred).await;
        assert!(
            matches!(refused, Err(StoreError::Invalid(_))),
            "{refused:?}"
        );
        assert_eq!(
            store.grants().await.unwrap(),
            std::slice::from_ref(&everywhere)
        );

        // Their own grant is revoked. After that they are told why the others stay.
        assert!(store.grant(&other, &everywhere).await.unwrap());
        assert_eq!(store.revoke(&other, "devs", "github").await.unwrap(), 1);
        let refused = store.revoke(&other, "devs", "github").await;
        assert!(
            matches!(&refused, Err(StoreError::Invalid(why)) if why.contains("every workspace")),
            "{refused:?}"
        );
        assert_eq!(store.delete_group(&other, "devs").await.unwrap(), (0, 0));
        assert_eq!(store.revoke(&other, "devs", "wiki").await.unwrap(), 0);
        assert_eq!(
            store.grants().await.unwrap(),
            std::slice::from_ref(&everywhere)
        );

        assert!(store.grant(&other, &everywhere).await.unwrap());
        assert_eq!(store.revoke(&default, "devs", "github").await.unwrap(), 1);
        assert_eq!(store.revoke(&operator, "devs", "github").await.unwrap(), 1);
        assert!(store.grant(&operator, &everywhere).await.unwrap());
        assert_eq!(store.delete_group(&default, "devs").await.unwrap(), (0, 1));
    }
}

#[tokio::test]
async fn grants_of_all_workspaces_are_read_in_each_and_written_in_none() {
    let (store, base) = postgres().await;
    let operator = of_workspace("*");
    store
        .grant(&operator, &grant("devs", "github", &["a"]))
        .await
        .unwrap();
    store
        .grant(&of_workspace("other"), &grant("devs", "github", &["a"]))
        .await
        .unwrap();
    let mut raw = PgConnection::connect(url(&base)).await.unwrap();
    sqlx::raw_sql("SET ROLE mcp_bridge_scoped")
        .execute(&mut raw)
        .await
        .unwrap();
    for (setting, seen, written) in [
        (None, 0, 0),
        (Some(""), 0, 0),
        (Some("x"), 1, 0),
        (Some("other"), 2, 1),
        (Some("*"), 2, 2),
    ] {
        if let Some(setting) = setting {
            sqlx::query("SELECT set_config('mcp_bridge.workspace', $1, false)")
                .bind(setting)
                .execute(&mut raw)
                .await
                .unwrap();
        }
        let (count,): (i64,) = sqlx::query_as("SELECT COUNT(*) FROM mcp_proxy.bridge_grant")
            .fetch_one(&mut raw)
            .await
            .unwrap();
        assert_eq!(count, seen, "{setting:?}");
        for sql in [
            "UPDATE mcp_proxy.bridge_grant SET read_only = TRUE",
            "BEGIN; DELETE FROM mcp_proxy.bridge_grant",
        ] {
            let touched = sqlx::raw_sql(sql).execute(&mut raw).await.unwrap();
            assert_eq!(touched.rows_affected(), written, "{setting:?} {sql}");
        }
        sqlx::raw_sql("ROLLBACK").execute(&mut raw).await.unwrap();
    }
    sqlx::raw_sql("SELECT set_config('mcp_bridge.workspace', 'other', false)")
        .execute(&mut raw)
        .await
        .unwrap();
    let wide = sqlx::raw_sql("UPDATE mcp_proxy.bridge_grant SET workspace_id = '*'")
        .execute(&mut raw)
        .await;
    assert!(wide.unwrap_err().to_string().contains("row-level security"));
    // Only the program itself may access the seeded lines.
    let seeds = sqlx::raw_sql("DELETE FROM mcp_proxy.bridge_seed")
        .execute(&mut raw)
        .await;
    assert!(seeds.unwrap_err().to_string().contains("permission denied"));
}
