-- A change of access notifies every replica, even if another program makes it.

CREATE OR REPLACE FUNCTION mcp_proxy.bridge_notify() RETURNS trigger
LANGUAGE plpgsql AS $notify$
BEGIN
    PERFORM pg_catalog.pg_notify('mcp_bridge_access', '');
    RETURN NULL;
END
$notify$;

DO $trigger$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY[
        'user_group_membership', 'group_tenant_mapping', 'user_admin_status',
        'bridge_grant', 'bridge_key'
    ] LOOP
        BEGIN
            IF NOT EXISTS (
                SELECT FROM pg_trigger
                WHERE tgrelid = to_regclass('mcp_proxy.' || name) AND tgname = 'bridge_changed'
            ) THEN
                EXECUTE format(
                    'CREATE TRIGGER bridge_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE '
                    'ON mcp_proxy.%I FOR EACH STATEMENT EXECUTE FUNCTION mcp_proxy.bridge_notify()',
                    name
                );
            END IF;
        EXCEPTION WHEN insufficient_privilege THEN
            RAISE WARNING 'changes of mcp_proxy.% by other programs are noticed late: %', name, SQLERRM;
        END;
    END LOOP;
END
$trigger$;
