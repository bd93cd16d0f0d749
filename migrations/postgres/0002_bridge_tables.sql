-- The bridge's own tables. Times are microseconds since 1970 UTC, lists are JSON. Every row belongs
-- to a workspace, except those of `bridge_seed`.

-- Grants that are limited to some tools. `id` is the SHA-256 of the other columns, so that each
-- grant is stored once. A grant of workspace `*` applies to callers of all workspaces.
CREATE TABLE mcp_proxy.bridge_grant (
    id TEXT NOT NULL PRIMARY KEY,
    workspace_id TEXT NOT NULL DEFAULT 'default' CHECK (workspace_id <> ''),
    group_name TEXT NOT NULL,
    bridge TEXT NOT NULL,
    tools TEXT NOT NULL DEFAULT '[]',
    read_only BOOLEAN NOT NULL DEFAULT FALSE,
    created_at BIGINT NOT NULL
);
CREATE INDEX idx_bridge_grant_group ON mcp_proxy.bridge_grant (workspace_id, group_name, bridge);

-- The lines of [access] that were copied into the tables. Each is copied once, so that grants which
-- administrators revoked do not come back. `id` is the SHA-256 of the line; the rest is for people.
CREATE TABLE mcp_proxy.bridge_seed (
    id TEXT NOT NULL PRIMARY KEY,
    action TEXT NOT NULL,
    target TEXT NOT NULL,
    sown_at BIGINT NOT NULL
);

-- API keys, stored as the SHA-256 of their text.
CREATE TABLE mcp_proxy.bridge_key (
    workspace_id TEXT NOT NULL DEFAULT 'default' CHECK (workspace_id <> ''),
    name TEXT NOT NULL,
    hash BYTEA NOT NULL UNIQUE,
    group_names TEXT NOT NULL DEFAULT '[]',
    forwards BOOLEAN NOT NULL DEFAULT FALSE,
    expires_at BIGINT,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (workspace_id, name)
);

-- The audit trail of calls.
CREATE TABLE mcp_proxy.bridge_call (
    id TEXT NOT NULL PRIMARY KEY,
    instance TEXT NOT NULL,
    workspace_id TEXT NOT NULL DEFAULT 'default' CHECK (workspace_id <> ''),
    called_at BIGINT NOT NULL,
    request_id TEXT NOT NULL,
    caller TEXT,
    proof TEXT NOT NULL,
    group_names TEXT NOT NULL DEFAULT '[]',
    rule TEXT NOT NULL,
    bridge TEXT NOT NULL,
    tool TEXT NOT NULL,
    peer TEXT,
    outcome TEXT NOT NULL,
    status BIGINT NOT NULL,
    duration_us BIGINT NOT NULL,
    request_bytes BIGINT NOT NULL,
    response_bytes BIGINT NOT NULL,
    arguments TEXT
);
CREATE INDEX idx_bridge_call_time ON mcp_proxy.bridge_call (called_at, id);
CREATE INDEX idx_bridge_call_workspace ON mcp_proxy.bridge_call (workspace_id, called_at, id);
-- Callers may send any text as a name. Texts that are too long for an index entry are not indexed.
CREATE INDEX idx_bridge_call_caller ON mcp_proxy.bridge_call (lower(caller), called_at) WHERE length(caller) <= 320;
CREATE INDEX idx_bridge_call_bridge ON mcp_proxy.bridge_call (bridge, called_at) WHERE length(bridge) <= 255;
CREATE INDEX idx_bridge_call_request ON mcp_proxy.bridge_call (request_id) WHERE length(request_id) <= 255;
CREATE INDEX idx_bridge_call_started ON mcp_proxy.bridge_call (instance) WHERE outcome = 'started';

-- The audit trail of administrative changes.
CREATE TABLE mcp_proxy.bridge_change (
    id TEXT NOT NULL PRIMARY KEY,
    workspace_id TEXT NOT NULL DEFAULT 'default' CHECK (workspace_id <> ''),
    changed_at BIGINT NOT NULL,
    actor TEXT NOT NULL,
    proof TEXT NOT NULL,
    action TEXT NOT NULL,
    target TEXT NOT NULL
);
CREATE INDEX idx_bridge_change_time ON mcp_proxy.bridge_change (workspace_id, changed_at, id);

-- Row-level security: a connection sees the rows of the workspace in `mcp_bridge.workspace`, all
-- rows for `*`, and no rows if it is not set. FORCE applies this to the owner of the tables too.
DO $policy$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['bridge_grant', 'bridge_key', 'bridge_call', 'bridge_change'] LOOP
        EXECUTE format('ALTER TABLE mcp_proxy.%I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('ALTER TABLE mcp_proxy.%I FORCE ROW LEVEL SECURITY', name);
        EXECUTE format(
            'CREATE POLICY bridge_workspace ON mcp_proxy.%I '
            'USING (current_setting(''mcp_bridge.workspace'', true) IN (workspace_id, ''*'')) '
            'WITH CHECK (current_setting(''mcp_bridge.workspace'', true) IN (workspace_id, ''*''))',
            name
        );
    END LOOP;
END
$policy$;

-- A grant of workspace `*` applies to every workspace, so all of them may read it. Only `*` may
-- write it.
CREATE POLICY bridge_every_workspace ON mcp_proxy.bridge_grant FOR SELECT
    USING (workspace_id = '*' AND current_setting('mcp_bridge.workspace', true) <> '');

-- All workspaces may also read the operator's changes, which affect all of them.
CREATE POLICY bridge_every_workspace ON mcp_proxy.bridge_change FOR SELECT
    USING (workspace_id = '*' AND current_setting('mcp_bridge.workspace', true) <> '');

-- Superusers and roles with BYPASSRLS ignore policies. Their transactions switch to this role, which
-- cannot log in and does not ignore policies. Roles belong to the whole cluster: another database
-- may be creating it at this moment.
DO $role$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'mcp_bridge_scoped') THEN
        CREATE ROLE mcp_bridge_scoped NOLOGIN NOSUPERUSER NOBYPASSRLS;
    END IF;
EXCEPTION
    WHEN insufficient_privilege OR duplicate_object OR unique_violation THEN
        NULL;
END
$role$;

DO $member$
BEGIN
    IF NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user)
        AND (SELECT rolbypassrls FROM pg_roles WHERE rolname = current_user)
    THEN
        EXECUTE format('GRANT mcp_bridge_scoped TO %I', current_user);
    END IF;
EXCEPTION WHEN OTHERS THEN
    RAISE WARNING 'row-level security does not hold for %: %', current_user, SQLERRM;
END
$member$;

DO $grant$
DECLARE
    name text;
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'mcp_bridge_scoped') THEN
        RETURN;
    END IF;
    GRANT USAGE ON SCHEMA mcp_proxy TO mcp_bridge_scoped;
    FOREACH name IN ARRAY ARRAY['bridge_grant', 'bridge_key', 'bridge_call', 'bridge_change'] LOOP
        EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON mcp_proxy.%I TO mcp_bridge_scoped', name);
    END LOOP;
EXCEPTION WHEN insufficient_privilege THEN
    RAISE WARNING 'mcp_bridge_scoped cannot be given its rights: %', SQLERRM;
END
$grant$;
