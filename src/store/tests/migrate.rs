//! Migrations: they run once, never backward, and on top of the Python proxy's tables.

use super::super::*;
use crate::store::testing::{Base, admin, url_of};

/// The tables as the Python proxy's own script creates them, in a schema.
fn inherited(schema: &str) -> String {
    format!(
        "CREATE SCHEMA IF NOT EXISTS {schema};
         CREATE TABLE {schema}.user_group_membership (user_email VARCHAR(255) NOT NULL, group_name VARCHAR(255) NOT NULL,
            created_at TIMESTAMP DEFAULT NOW(), PRIMARY KEY (user_email, group_name));
         CREATE INDEX idx_user_group_email ON {schema}.user_group_membership (user_email);
         CREATE TABLE {schema}.group_tenant_mapping (group_name VARCHAR(255) NOT NULL, tenant_id VARCHAR(255) NOT NULL,
            created_at TIMESTAMP DEFAULT NOW(), PRIMARY KEY (group_name, tenant_id));
         CREATE TABLE {schema}.user_admin_status (user_email VARCHAR(255) PRIMARY KEY, is_admin BOOLEAN DEFAULT FALSE,
            created_at TIMESTAMP DEFAULT NOW(), updated_at TIMESTAMP DEFAULT NOW());
         INSERT INTO {schema}.user_group_membership VALUES ('Ann@Example.com', 'MCP-GitHub');
         INSERT INTO {schema}.group_tenant_mapping VALUES ('MCP-GitHub', 'github');
         INSERT INTO {schema}.user_admin_status VALUES ('admin@example.com', TRUE), ('bob@example.com', NULL);"
    )
}

/// Checks that those rows are used.
async fn assert_adopted(store: &Store) {
    let ann = store.member("ann@example.com").await.unwrap();
    assert_eq!(ann.groups, ["MCP-GitHub"]);
    assert!(store.member("Admin@example.com").await.unwrap().is_admin);
    assert!(!store.member("bob@example.com").await.unwrap().is_admin);
    assert_eq!(store.grants().await.unwrap().len(), 1);
    assert_eq!(store.users().await.unwrap().len(), 3);
}

#[tokio::test]
async fn two_replicas_that_start_at_once_migrate_once() {
    for base in Base::both().await {
        let stores: Vec<_> = (0..4)
            .map(|_| Store::open(&base.config()).unwrap())
            .collect();
        let applied = futures::future::join_all(stores.iter().map(Store::migrate)).await;
        let mut counts: Vec<_> = applied.into_iter().map(|it| it.unwrap().len()).collect();
        counts.sort_unstable();
        assert_eq!(counts, [0, 0, 0, 6], "{:?}", base.url);
        for store in &stores {
            assert_eq!(store.health(), StoreHealth::Connected);
            store.grants().await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_newer_schema_is_refused() {
    for base in Base::both().await {
        let schema = if base.is_sqlite() { "" } else { "mcp_proxy." };
        drop(base.store().await);
        base.execute(&format!(
            "INSERT INTO {schema}bridge_migration VALUES (9999, 'later', 0)"
        ))
        .await;
        let store = Store::open(&base.config()).unwrap();
        let error = store.migrate().await.unwrap_err();
        assert!(
            matches!(error, StoreError::Newer { found: 9999, .. }),
            "{error}"
        );
        assert!(matches!(store.grants().await, Err(StoreError::Down(_))));
    }
}

#[tokio::test]
async fn nothing_is_answered_before_the_tables_are_there() {
    for base in Base::both().await {
        let store = Store::open(&base.config()).unwrap();
        assert!(matches!(store.grants().await, Err(StoreError::Down(_))));
        assert!(matches!(
            store.put_changes(&[ChangeRecord::default()]).await,
            Err(StoreError::Down(_))
        ));
    }
}

#[cfg(unix)]
#[tokio::test]
async fn the_file_is_ours_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let base = Base::sqlite();
    let store = base.store().await;
    store.grants().await.unwrap();
    let crate::config::DatabaseUrl::Sqlite(path) = &base.url else {
        panic!("SQLite is a file")
    };
    for entry in path.parent().unwrap().read_dir().unwrap() {
        let entry = entry.unwrap();
        let mode = entry.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{:?}", entry.path());
    }
}

#[tokio::test]
async fn the_tables_of_the_python_proxy_are_adopted_with_their_rows() {
    let base = Base::postgres().await;
    base.execute(&inherited("mcp_proxy")).await;
    let store = base.store().await;
    assert_adopted(&store).await;
    let actor = super::actor();
    // Rows that differ only in case belong to the same user.
    assert!(
        !store
            .add_member(&actor, "ann@example.com", "MCP-GitHub")
            .await
            .unwrap()
    );
    assert!(
        store
            .set_admin(&actor, "Bob@Example.com", true)
            .await
            .unwrap()
    );
    assert!(
        store
            .remove_member(&actor, "ann@example.com", "MCP-GitHub")
            .await
            .unwrap()
    );
    let Tables(indexes) = tables(&base).await;
    // The existing index is not duplicated.
    assert!(
        !indexes.contains(&"idx_user_group_membership_user_email".to_owned()),
        "{indexes:?}"
    );
    assert!(
        indexes.contains(&"idx_user_group_membership_group_name".to_owned()),
        "{indexes:?}"
    );
}

#[tokio::test]
async fn rows_of_the_first_version_in_public_are_copied_once() {
    let base = Base::postgres().await;
    base.execute(&inherited("public")).await;
    let store = base.store().await;
    assert_adopted(&store).await;
    store
        .delete_group(&super::actor(), "MCP-GitHub")
        .await
        .unwrap();
    let again = base.store().await;
    assert_eq!(again.grants().await.unwrap(), []);
    base.execute(
        "DO $$ BEGIN ASSERT (SELECT COUNT(*) FROM public.group_tenant_mapping) = 1; END $$",
    )
    .await;
}

#[tokio::test]
async fn the_views_of_the_python_proxy_are_there() {
    for base in Base::both().await {
        let store = base.store().await;
        let actor = super::actor();
        store
            .add_member(&actor, "ann@example.com", "devs")
            .await
            .unwrap();
        store
            .grant(&actor, &super::grant("devs", "github", &[]))
            .await
            .unwrap();
        let rows: Vec<(String, String)> = store
            .read
            .fetch("SELECT user_email, server_id FROM user_server_access", &[])
            .await
            .unwrap();
        assert_eq!(rows, [("ann@example.com".to_owned(), "github".to_owned())]);
        let rows: Vec<(String, i64, i64)> = store
            .read
            .fetch(
                "SELECT group_name, user_count, server_count FROM group_summary",
                &[],
            )
            .await
            .unwrap();
        assert_eq!(rows, [("devs".to_owned(), 1, 1)]);
    }
}

#[tokio::test]
async fn tables_of_another_owner_are_used_without_a_trigger() {
    let base = Base::postgres().await;
    let name = base.name().to_owned();
    let role = format!("r_{name}");
    admin(&format!(
        "CREATE ROLE {role} LOGIN PASSWORD 'x'; GRANT CREATE ON DATABASE {name} TO {role}"
    ))
    .await;
    base.execute(&inherited("mcp_proxy")).await;
    base.execute(&format!(
        "GRANT USAGE, CREATE ON SCHEMA mcp_proxy TO {role};
         GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA mcp_proxy TO {role}"
    ))
    .await;
    let mut url = url::Url::parse(&url_of(&name)).unwrap();
    url.set_username(&role).unwrap();
    url.set_password(Some("x")).unwrap();
    let mut config = base.config();
    config.url = crate::config::DatabaseUrl::Postgres(crate::secret::Secret::new(url.to_string()));
    let store = Store::open(&config).unwrap();
    store.migrate().await.unwrap();
    assert_adopted(&store).await;
    assert!(
        store
            .add_member(&super::actor(), "eve@example.com", "devs")
            .await
            .unwrap()
    );
    drop(store);
    drop(base);
    admin(&format!("DROP ROLE {role}")).await;
}

/// The names of the indexes in the bridge's schema.
struct Tables(Vec<String>);

async fn tables(base: &Base) -> Tables {
    let store = base.store().await;
    let rows: Vec<(String,)> = store
        .read
        .fetch(
            "SELECT CAST(indexname AS TEXT) FROM pg_indexes WHERE schemaname = 'mcp_proxy'",
            &[],
        )
        .await
        .unwrap();
    Tables(rows.into_iter().map(|(name,)| name).collect())
}

/// The Python proxy's tables of keys and endpoints, with rows, in a schema.
fn inherited_keys(schema: &str) -> String {
    format!(
        "CREATE SCHEMA IF NOT EXISTS {schema};
         CREATE TABLE {schema}.tenant_server_keys (tenant_id VARCHAR(255) NOT NULL, server_id VARCHAR(255) NOT NULL,
            key_name VARCHAR(255) NOT NULL, key_value TEXT NOT NULL, created_at TIMESTAMP DEFAULT NOW(),
            updated_at TIMESTAMP DEFAULT NOW(), PRIMARY KEY (tenant_id, server_id, key_name));
         CREATE INDEX idx_keys_tenant ON {schema}.tenant_server_keys (tenant_id);
         CREATE TABLE {schema}.tenant_endpoint_overrides (tenant_id VARCHAR(255) NOT NULL, server_id VARCHAR(255) NOT NULL,
            endpoint_url TEXT NOT NULL, created_at TIMESTAMP DEFAULT NOW(), PRIMARY KEY (tenant_id, server_id));
         INSERT INTO {schema}.tenant_server_keys VALUES ('MCP-GitHub', 'github', 'GITHUB_TOKEN', 'plain');
         INSERT INTO {schema}.tenant_endpoint_overrides VALUES ('MCP-GitHub', 'github', 'https://a');"
    )
}

/// The name that the proxy's code used.
const ENDPOINTS: &str =
    "CREATE TABLE mcp_proxy.tenant_server_endpoints (tenant_id VARCHAR(255), server_id VARCHAR(255), endpoint_url TEXT);
     INSERT INTO mcp_proxy.tenant_server_endpoints VALUES ('MCP-GitHub', 'github', 'https://b'), ('MCP-Wiki', 'wiki', 'https://c')";

/// All keys and endpoints, each as one text.
async fn keys_and_endpoints(store: &Store) -> Vec<String> {
    let rows: Vec<(String,)> = store
        .read
        .fetch(
            "SELECT tenant_id || ' ' || server_id || ' ' || key_name || ' ' || key_value \
             FROM tenant_server_keys UNION ALL \
             SELECT tenant_id || ' ' || server_id || ' ' || endpoint_url \
             FROM tenant_endpoint_overrides ORDER BY 1",
            &[],
        )
        .await
        .unwrap();
    rows.into_iter().map(|(row,)| row).collect()
}

#[tokio::test]
async fn keys_and_endpoints_of_the_python_proxy_are_taken_over() {
    for schema in ["mcp_proxy", "public"] {
        let base = Base::postgres().await;
        base.execute(&inherited_keys(schema)).await;
        base.execute("CREATE SCHEMA IF NOT EXISTS mcp_proxy").await;
        base.execute(ENDPOINTS).await;
        let store = base.store().await;
        let expected = [
            "MCP-GitHub github GITHUB_TOKEN plain",
            // The existing row wins.
            "MCP-GitHub github https://a",
            "MCP-Wiki wiki https://c",
        ];
        assert_eq!(keys_and_endpoints(&store).await, expected, "{schema}");
        // Rows are copied only once: deleted rows do not come back.
        base.execute("DELETE FROM mcp_proxy.tenant_endpoint_overrides")
            .await;
        let again = base.store().await;
        assert_eq!(keys_and_endpoints(&again).await, expected[..1], "{schema}");
        let Tables(indexes) = tables(&base).await;
        let wanted = ["idx_tenant_server_keys_server_id"];
        assert!(
            wanted.iter().all(|it| indexes.contains(&(*it).to_owned())),
            "{indexes:?}"
        );
        assert_eq!(
            indexes.contains(&"idx_tenant_server_keys_tenant_id".to_owned()),
            schema == "public",
            "the index that was there is not doubled: {indexes:?}"
        );
    }
}
