-- Credentials for the servers of bridges. Secrets are sealed (encrypted) with the operator's key.

-- Accounts at the servers of bridges. Subject '' is the account that all callers share. Until
-- `refreshing_until`, one replica renews the tokens and the others wait.
CREATE TABLE mcp_proxy.bridge_account (
    workspace_id TEXT NOT NULL DEFAULT 'default' CHECK (workspace_id <> ''),
    bridge TEXT NOT NULL,
    subject TEXT NOT NULL,
    sealed BYTEA NOT NULL,
    refreshing_until BIGINT,
    updated_at BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (workspace_id, bridge, subject)
);

-- Logins in progress. `id` is the SHA-256 of the state that the browser brings back.
CREATE TABLE mcp_proxy.bridge_login (
    id TEXT NOT NULL PRIMARY KEY,
    sealed BYTEA NOT NULL,
    expires_at BIGINT NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE INDEX idx_bridge_login_expiry ON mcp_proxy.bridge_login (expires_at);

-- The last known tools of a bridge that has one session per caller.
CREATE TABLE mcp_proxy.bridge_known_tools (
    bridge TEXT NOT NULL PRIMARY KEY,
    tools TEXT NOT NULL,
    updated_at BIGINT NOT NULL
);

-- Accounts belong to workspaces, like the tables of migration 2.
ALTER TABLE mcp_proxy.bridge_account ENABLE ROW LEVEL SECURITY;
ALTER TABLE mcp_proxy.bridge_account FORCE ROW LEVEL SECURITY;
CREATE POLICY bridge_workspace ON mcp_proxy.bridge_account
    USING (current_setting('mcp_bridge.workspace', true) IN (workspace_id, '*'))
    WITH CHECK (current_setting('mcp_bridge.workspace', true) IN (workspace_id, '*'));

DO $grant$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'mcp_bridge_scoped') THEN
        GRANT SELECT, INSERT, UPDATE, DELETE ON mcp_proxy.bridge_account TO mcp_bridge_scoped;
    END IF;
EXCEPTION WHEN insufficient_privilege THEN
    RAISE WARNING 'mcp_bridge_scoped cannot be given its rights: %', SQLERRM;
END
$grant$;

-- The Python proxy's keys and endpoints of groups, with its columns, keys and indexes. Existing
-- tables are used unchanged. If the tables are in `public`, where the proxy's first version created
-- them, their rows are copied once. So are the rows of `tenant_server_endpoints`, the name that the
-- proxy's code used, while its script created `tenant_endpoint_overrides`. Nothing is deleted.
DO $create$
DECLARE
    source record;
    created text[] := '{}';
BEGIN
    IF to_regclass('mcp_proxy.tenant_server_keys') IS NULL THEN
        CREATE TABLE mcp_proxy.tenant_server_keys (
            tenant_id VARCHAR(255) NOT NULL,
            server_id VARCHAR(255) NOT NULL,
            key_name VARCHAR(255) NOT NULL,
            key_value TEXT NOT NULL,
            created_at TIMESTAMP DEFAULT NOW(),
            updated_at TIMESTAMP DEFAULT NOW(),
            PRIMARY KEY (tenant_id, server_id, key_name)
        );
        created := created || 'tenant_server_keys'::text;
    END IF;
    IF to_regclass('mcp_proxy.tenant_endpoint_overrides') IS NULL THEN
        CREATE TABLE mcp_proxy.tenant_endpoint_overrides (
            tenant_id VARCHAR(255) NOT NULL,
            server_id VARCHAR(255) NOT NULL,
            endpoint_url TEXT NOT NULL,
            created_at TIMESTAMP DEFAULT NOW(),
            PRIMARY KEY (tenant_id, server_id)
        );
        created := created || 'tenant_endpoint_overrides'::text;
    END IF;

    FOR source IN
        SELECT t.relation, t.target, t.fields
        FROM (VALUES
            ('public.tenant_server_keys', 'tenant_server_keys', 'tenant_id, server_id, key_name, key_value'),
            ('public.tenant_endpoint_overrides', 'tenant_endpoint_overrides', 'tenant_id, server_id, endpoint_url'),
            ('mcp_proxy.tenant_server_endpoints', 'tenant_endpoint_overrides', 'tenant_id, server_id, endpoint_url'),
            ('public.tenant_server_endpoints', 'tenant_endpoint_overrides', 'tenant_id, server_id, endpoint_url')
        ) AS t(relation, target, fields)
        WHERE to_regclass(t.relation) IS NOT NULL
          AND (t.target = ANY (created) OR t.relation LIKE '%.tenant_server_endpoints')
    LOOP
        BEGIN
            EXECUTE format(
                'INSERT INTO mcp_proxy.%1$I (%2$s) SELECT %2$s FROM %3$s ON CONFLICT DO NOTHING',
                source.target, source.fields, source.relation
            );
        EXCEPTION WHEN insufficient_privilege OR undefined_column OR datatype_mismatch
            OR not_null_violation OR string_data_right_truncation THEN
            RAISE WARNING 'the rows of % are not taken over: %', source.relation, SQLERRM;
        END;
    END LOOP;
END
$create$;

-- An index for each column that has none under any name.
DO $index$
DECLARE
    item record;
BEGIN
    FOR item IN
        SELECT t.relation, t.field
        FROM (VALUES
            ('tenant_server_keys', 'tenant_id'),
            ('tenant_server_keys', 'server_id'),
            ('tenant_endpoint_overrides', 'tenant_id')
        ) AS t(relation, field)
        WHERE NOT EXISTS (
            SELECT FROM pg_index i
            JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
            WHERE i.indrelid = to_regclass('mcp_proxy.' || t.relation)
              AND i.indnatts = 1 AND a.attname = t.field
        )
    LOOP
        BEGIN
            EXECUTE format('CREATE INDEX IF NOT EXISTS %I ON mcp_proxy.%I (%I)',
                'idx_' || item.relation || '_' || item.field, item.relation, item.field);
        EXCEPTION WHEN insufficient_privilege THEN
            RAISE WARNING 'no index on %(%): %', item.relation, item.field, SQLERRM;
        END;
    END LOOP;
END
$index$;

-- A change of an account, a key or an endpoint notifies every replica, on a channel of its own
-- because tokens are renewed all day. A claim of a renewal does not count as a change.
CREATE OR REPLACE FUNCTION mcp_proxy.bridge_notify_accounts() RETURNS trigger
LANGUAGE plpgsql AS $notify$
BEGIN
    PERFORM pg_catalog.pg_notify('mcp_bridge_accounts', '');
    RETURN NULL;
END
$notify$;

CREATE TRIGGER bridge_changed AFTER INSERT OR UPDATE OF sealed OR DELETE OR TRUNCATE
    ON mcp_proxy.bridge_account
    FOR EACH STATEMENT EXECUTE FUNCTION mcp_proxy.bridge_notify_accounts();

DO $trigger$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['tenant_server_keys', 'tenant_endpoint_overrides'] LOOP
        BEGIN
            IF NOT EXISTS (
                SELECT FROM pg_trigger
                WHERE tgrelid = to_regclass('mcp_proxy.' || name) AND tgname = 'bridge_changed'
            ) THEN
                EXECUTE format(
                    'CREATE TRIGGER bridge_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE '
                    'ON mcp_proxy.%I FOR EACH STATEMENT '
                    'EXECUTE FUNCTION mcp_proxy.bridge_notify_accounts()',
                    name
                );
            END IF;
        EXCEPTION WHEN insufficient_privilege THEN
            RAISE WARNING 'changes of mcp_proxy.% by other programs are noticed late: %', name, SQLERRM;
        END;
    END LOOP;
END
$trigger$;
