-- Files that tools made for their callers, each for a day. `id` is the SHA-256 of what stands in the link, so that this
-- table alone opens no link. The time is in microseconds since 1970, the size in bytes.
CREATE TABLE mcp_proxy.bridge_file (
    id TEXT NOT NULL PRIMARY KEY,
    workspace_id TEXT NOT NULL DEFAULT 'default' CHECK (workspace_id <> ''),
    subject TEXT NOT NULL,
    bridge TEXT NOT NULL,
    name TEXT NOT NULL,
    media_type TEXT NOT NULL,
    size BIGINT NOT NULL,
    content BYTEA NOT NULL,
    expires_at BIGINT NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE INDEX idx_bridge_file_expiry ON mcp_proxy.bridge_file (expires_at);
CREATE INDEX idx_bridge_file_subject ON mcp_proxy.bridge_file (workspace_id, subject);

-- Files belong to workspaces, as the tables of migration 2 do.
ALTER TABLE mcp_proxy.bridge_file ENABLE ROW LEVEL SECURITY;
ALTER TABLE mcp_proxy.bridge_file FORCE ROW LEVEL SECURITY;
CREATE POLICY bridge_workspace ON mcp_proxy.bridge_file
    USING (current_setting('mcp_bridge.workspace', true) IN (workspace_id, '*'))
    WITH CHECK (current_setting('mcp_bridge.workspace', true) IN (workspace_id, '*'));

DO $grant$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'mcp_bridge_scoped') THEN
        GRANT SELECT, INSERT, UPDATE, DELETE ON mcp_proxy.bridge_file TO mcp_bridge_scoped;
    END IF;
EXCEPTION WHEN insufficient_privilege THEN
    RAISE WARNING 'mcp_bridge_scoped cannot be given its rights: %', SQLERRM;
END
$grant$;
