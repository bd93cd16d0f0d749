-- Files that tools made for their callers, each for a day. `id` is the SHA-256 of what stands in the link, so that this
-- table alone opens no link. The time is in microseconds since 1970, the size in bytes.
CREATE TABLE bridge_file (
    id TEXT NOT NULL PRIMARY KEY,
    workspace_id TEXT NOT NULL DEFAULT 'default' CHECK (workspace_id <> ''),
    subject TEXT NOT NULL,
    bridge TEXT NOT NULL,
    name TEXT NOT NULL,
    media_type TEXT NOT NULL,
    size BIGINT NOT NULL,
    content BLOB NOT NULL,
    expires_at BIGINT NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE INDEX idx_bridge_file_expiry ON bridge_file (expires_at);
CREATE INDEX idx_bridge_file_subject ON bridge_file (workspace_id, subject);
