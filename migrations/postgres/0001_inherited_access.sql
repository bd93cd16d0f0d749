-- The access tables of the Python proxy, with its columns, keys, indexes and views. Existing tables
-- are used unchanged. If the tables are in `public`, where the proxy's first version created them,
-- their rows are copied once. Nothing is deleted.

DO $create$
DECLARE
    created text[] := '{}';
    name text;
BEGIN
    IF to_regclass('mcp_proxy.user_group_membership') IS NULL THEN
        CREATE TABLE mcp_proxy.user_group_membership (
            user_email VARCHAR(255) NOT NULL,
            group_name VARCHAR(255) NOT NULL,
            created_at TIMESTAMP DEFAULT NOW(),
            PRIMARY KEY (user_email, group_name)
        );
        created := created || 'user_group_membership'::text;
    END IF;
    IF to_regclass('mcp_proxy.group_tenant_mapping') IS NULL THEN
        CREATE TABLE mcp_proxy.group_tenant_mapping (
            group_name VARCHAR(255) NOT NULL,
            tenant_id VARCHAR(255) NOT NULL,
            created_at TIMESTAMP DEFAULT NOW(),
            PRIMARY KEY (group_name, tenant_id)
        );
        created := created || 'group_tenant_mapping'::text;
    END IF;
    IF to_regclass('mcp_proxy.user_admin_status') IS NULL THEN
        CREATE TABLE mcp_proxy.user_admin_status (
            user_email VARCHAR(255) PRIMARY KEY,
            is_admin BOOLEAN DEFAULT FALSE,
            created_at TIMESTAMP DEFAULT NOW(),
            updated_at TIMESTAMP DEFAULT NOW()
        );
        created := created || 'user_admin_status'::text;
    END IF;

    FOREACH name IN ARRAY created LOOP
        CONTINUE WHEN to_regclass('public.' || name) IS NULL;
        BEGIN
            EXECUTE format(
                'INSERT INTO mcp_proxy.%1$I (%2$s) SELECT %2$s FROM public.%1$I ON CONFLICT DO NOTHING',
                name,
                CASE name
                    WHEN 'user_group_membership' THEN 'user_email, group_name, created_at'
                    WHEN 'group_tenant_mapping' THEN 'group_name, tenant_id, created_at'
                    ELSE 'user_email, is_admin, created_at, updated_at'
                END
            );
        EXCEPTION WHEN insufficient_privilege OR undefined_column OR datatype_mismatch
            OR not_null_violation OR string_data_right_truncation THEN
            RAISE WARNING 'the rows of public.% are not taken over: %', name, SQLERRM;
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
            ('user_group_membership', 'user_email'),
            ('user_group_membership', 'group_name'),
            ('group_tenant_mapping', 'group_name'),
            ('group_tenant_mapping', 'tenant_id')
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
    BEGIN
        CREATE INDEX IF NOT EXISTS idx_bridge_member_email
            ON mcp_proxy.user_group_membership (lower(user_email));
    EXCEPTION WHEN insufficient_privilege THEN
        RAISE WARNING 'no index on lower(user_email): %', SQLERRM;
    END;
END
$index$;

DO $views$
BEGIN
    IF to_regclass('mcp_proxy.user_server_access') IS NULL THEN
        CREATE VIEW mcp_proxy.user_server_access AS
        SELECT DISTINCT m.user_email, g.tenant_id AS server_id
        FROM mcp_proxy.user_group_membership m
        JOIN mcp_proxy.group_tenant_mapping g ON g.group_name = m.group_name;
    END IF;
    IF to_regclass('mcp_proxy.group_summary') IS NULL THEN
        CREATE VIEW mcp_proxy.group_summary AS
        SELECT n.group_name,
               COUNT(DISTINCT m.user_email) AS user_count,
               COUNT(DISTINCT g.tenant_id) AS server_count
        FROM (
            SELECT group_name FROM mcp_proxy.user_group_membership
            UNION
            SELECT group_name FROM mcp_proxy.group_tenant_mapping
        ) n
        LEFT JOIN mcp_proxy.user_group_membership m ON m.group_name = n.group_name
        LEFT JOIN mcp_proxy.group_tenant_mapping g ON g.group_name = n.group_name
        GROUP BY n.group_name;
    END IF;
EXCEPTION WHEN insufficient_privilege THEN
    RAISE WARNING 'the views of the access tables are not made: %', SQLERRM;
END
$views$;
