-- Gives mcp-bridge a PostgreSQL role of its own. Run it with psql (15 or newer) as the superuser or the owner of Open
-- WebUI's database, in that database. You can run it again at any time: it then changes nothing, or only the password.
--
--   BRIDGE_POSTGRES_PASSWORD=... psql -X -f deploy/postgres/bridge-role.sql "$SUPERUSER_URL"
--
-- The role, `mcp_bridge` unless BRIDGE_POSTGRES_USER names another:
--
-- * owns the schema `mcp_proxy` and everything in it, including objects of the Python proxy that had another owner;
-- * may read the columns of Open WebUI's tables that mcp-bridge asks for (src/store/directory), and of the table `config`
--   only the three settings of the second factor;
-- * may do nothing else: it cannot create roles or databases, has no superuser rights, and writes only to its schema.
--
-- For the role that runs this file, SQL without a schema reaches the tables in `mcp_proxy`, too.
--
-- Open WebUI creates its tables when it first starts, and changes them when it is upgraded. An event trigger grants the same
-- columns again whenever that happens. An event trigger needs a superuser. Without a superuser, run this file again after
-- Open WebUI's first start and after each of its upgrades.

\set ON_ERROR_STOP on
\set QUIET on
\set role mcp_bridge
\getenv role BRIDGE_POSTGRES_USER
\getenv password BRIDGE_POSTGRES_PASSWORD
\if :{?password}
\else
    \warn 'error: BRIDGE_POSTGRES_PASSWORD is not set'
    \quit 1
\endif

BEGIN;
-- Keeps the statement with the password out of the server log, even if it fails. Only a superuser may set this.
SELECT rolsuper AS is_superuser FROM pg_roles WHERE rolname = current_user \gset
\if :is_superuser
    SET LOCAL log_statement = 'none';
    SET LOCAL log_min_duration_statement = -1;
    SET LOCAL log_min_error_statement = 'panic';
\endif
SET LOCAL client_min_messages = 'warning';

-- --- the role

SELECT format('CREATE ROLE %I', :'role')
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = :'role') \gexec
\if :is_superuser
    ALTER ROLE :"role" NOSUPERUSER NOREPLICATION NOBYPASSRLS;
\endif
ALTER ROLE :"role" LOGIN NOCREATEDB NOCREATEROLE PASSWORD :'password';
\if :is_superuser
\else
    -- Only a member of a role may transfer ownership to it.
    GRANT :"role" TO CURRENT_USER;
\endif
SELECT format('GRANT CONNECT ON DATABASE %I TO %I', current_database(), :'role') \gexec
-- Databases that were created before PostgreSQL 15 may still have this right.
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
SELECT format('GRANT USAGE ON SCHEMA public TO %I', :'role') \gexec

-- --- its schema

CREATE SCHEMA IF NOT EXISTS mcp_proxy;
ALTER SCHEMA mcp_proxy OWNER TO :"role";
SELECT format('ALTER %s mcp_proxy.%I OWNER TO %I',
    CASE c.relkind WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW' WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END,
    c.relname, :'role')
FROM pg_class c
WHERE c.relnamespace = 'mcp_proxy'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm', 'S')
    AND c.relowner <> (SELECT oid FROM pg_roles WHERE rolname = :'role')
    -- The sequence of a column changes its owner together with the table.
    AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = c.oid AND d.deptype IN ('a', 'i') AND c.relkind = 'S')
\gexec
SELECT format('ALTER ROUTINE %s OWNER TO %I', p.oid::regprocedure, :'role')
FROM pg_proc p
WHERE p.pronamespace = 'mcp_proxy'::regnamespace
    AND p.proowner <> (SELECT oid FROM pg_roles WHERE rolname = :'role')
\gexec
-- The first version of the Python proxy kept its tables in `public`. The bridge copies their rows once.
SELECT format('GRANT SELECT ON public.%I TO %I', t.name, :'role')
FROM (VALUES ('user_group_membership'), ('group_tenant_mapping'), ('user_admin_status'), ('tenant_server_keys'),
    ('tenant_endpoint_overrides'), ('tenant_server_endpoints')) AS t(name)
WHERE to_regclass('public.' || t.name) IS NOT NULL
\gexec

-- --- the data of Open WebUI that it may read. You own these functions, so the bridge cannot change them.

CREATE SCHEMA IF NOT EXISTS mcp_bridge_directory;
REVOKE ALL ON SCHEMA mcp_bridge_directory FROM PUBLIC;

CREATE OR REPLACE FUNCTION mcp_bridge_directory.grant_columns(reader text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $grant$
DECLARE
    item record;
BEGIN
    FOR item IN
        SELECT c.oid::regclass AS relation, string_agg(format('%I', a.attname), ', ' ORDER BY a.attnum) AS fields
        FROM (VALUES
            ('user', ARRAY['id', 'email', 'name', 'role', 'api_key']),
            ('auth', ARRAY['id', 'active', 'session_stamp', 'mfa']),
            ('group', ARRAY['id', 'name', 'parent_group_id', 'user_ids']),
            ('group_member', ARRAY['group_id', 'user_id']),
            ('api_key', ARRAY['user_id', 'key'])
        ) AS t(name, fields)
        JOIN pg_class c ON c.relname = t.name AND c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v')
        JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = ANY (t.fields) AND NOT a.attisdropped
        GROUP BY c.oid
    LOOP
        EXECUTE format('GRANT SELECT (%s) ON %s TO %I', item.fields, item.relation, reader);
    END LOOP;
END
$grant$;
REVOKE ALL ON FUNCTION mcp_bridge_directory.grant_columns(text) FROM PUBLIC;

-- `config` also contains the keys of model providers and of logins. The bridge reads this view instead of the table,
-- because the schema comes first in its search path. The view uses a function, so that Open WebUI can change its table.
CREATE OR REPLACE FUNCTION mcp_bridge_directory.settings() RETURNS TABLE (key text, value json)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $settings$
DECLARE
    relation regclass := to_regclass('public.config');
BEGIN
    IF EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = relation AND a.attname = 'key' AND NOT a.attisdropped) THEN
        RETURN QUERY EXECUTE
            'SELECT CAST(c.key AS text), CAST(CAST(c.value AS text) AS json) FROM public.config c WHERE c.key IN '
            '(''auth.mfa.enable'', ''auth.mfa.allow_oauth_bypass'', ''auth.mfa.allow_trusted_header_bypass'')';
    ELSIF EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = relation AND a.attname = 'data' AND NOT a.attisdropped) THEN
        -- Older releases store one JSON document for each change. The last one is current.
        RETURN QUERY EXECUTE
            'SELECT ''auth.mfa.enable'', CAST(CAST(c.data AS text) AS json) #> ''{auth,mfa,enable}'' '
            'FROM public.config c ORDER BY c.id DESC LIMIT 1';
    END IF;
END
$settings$;
REVOKE ALL ON FUNCTION mcp_bridge_directory.settings() FROM PUBLIC;
CREATE OR REPLACE VIEW mcp_bridge_directory.config AS SELECT key, value FROM mcp_bridge_directory.settings();

SELECT format('GRANT USAGE ON SCHEMA mcp_bridge_directory TO %I', :'role') \gexec
SELECT format('GRANT SELECT ON mcp_bridge_directory.config TO %I', :'role') \gexec
SELECT format('GRANT EXECUTE ON FUNCTION mcp_bridge_directory.settings() TO %I', :'role') \gexec
-- `mcp_proxy` comes last: SQL without a schema finds the access tables, and all other names keep their meaning.
SELECT format('ALTER ROLE %I IN DATABASE %I SET search_path = mcp_bridge_directory, public, mcp_proxy', :'role', current_database()) \gexec
-- Sets the same for the current user, who may run scripts of the Python proxy, unless the user has another search path.
SELECT format('ALTER ROLE %I IN DATABASE %I SET search_path = "$user", public, mcp_proxy', session_user, current_database())
FROM pg_settings
WHERE name = 'search_path' AND reset_val = '"$user", public' AND session_user <> :'role' \gexec
SELECT mcp_bridge_directory.grant_columns(:'role') \g /dev/null

-- --- the event trigger for new and changed tables of Open WebUI

\if :is_superuser
    SELECT set_config('mcp_bridge.reader', :'role', true) \g /dev/null
    DO $body$
    BEGIN
        EXECUTE format($make$
            CREATE OR REPLACE FUNCTION mcp_bridge_directory.tables_changed() RETURNS event_trigger
            LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $trigger$
            BEGIN
                IF EXISTS (
                    SELECT FROM pg_event_trigger_ddl_commands() AS command
                    JOIN pg_class c ON c.oid = command.objid AND command.classid = 'pg_class'::regclass
                    WHERE c.relnamespace = 'public'::regnamespace
                        AND c.relname IN ('user', 'auth', 'group', 'group_member', 'api_key')
                ) THEN
                    PERFORM mcp_bridge_directory.grant_columns(%L);
                END IF;
            EXCEPTION WHEN OTHERS THEN
                -- An error here must not stop an upgrade of Open WebUI.
                RAISE WARNING 'mcp-bridge did not get its column rights: %%', SQLERRM;
            END
            $trigger$
        $make$, current_setting('mcp_bridge.reader'));
    END
    $body$;
    REVOKE ALL ON FUNCTION mcp_bridge_directory.tables_changed() FROM PUBLIC;
    DROP EVENT TRIGGER IF EXISTS mcp_bridge_directory;
    CREATE EVENT TRIGGER mcp_bridge_directory ON ddl_command_end
        WHEN TAG IN ('CREATE TABLE', 'CREATE TABLE AS', 'SELECT INTO', 'ALTER TABLE', 'CREATE VIEW')
        EXECUTE FUNCTION mcp_bridge_directory.tables_changed();
\else
    \warn 'note: without a superuser there is no event trigger; run this file again after Open WebUI starts for the first time and after each upgrade'
\endif

COMMIT;
