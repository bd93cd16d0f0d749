-- The bridge's own tables. Times are microseconds since 1970 UTC, lists are JSON. Every row belongs
-- to a workspace, except those of `bridge_seed`.

-- Grants that are limited to some tools. `id` is the SHA-256 of the other columns, so that each
-- grant is stored once. A grant of workspace `*` applies to callers of all workspaces.
CREATE TABLE bridge_grant (
    id TEXT NOT NULL PRIMARY KEY,
    workspace_id TEXT NOT NULL DEFAULT 'default' CHECK (workspace_id <> ''),
    group_name TEXT NOT NULL,
    bridge TEXT NOT NULL,
    tools TEXT NOT NULL DEFAULT '[]',
    read_only BOOLEAN NOT NULL DEFAULT FALSE,
    created_at BIGINT NOT NULL
);
CREATE INDEX idx_bridge_grant_group ON bridge_grant (workspace_id, group_name, bridge);

-- The lines of [access] that were copied into the tables. Each is copied once, so that grants which
-- administrators revoked do not come back. `id` is the SHA-256 of the line; the rest is for people.
CREATE TABLE bridge_seed (
    id TEXT NOT NULL PRIMARY KEY,
    action TEXT NOT NULL,
    target TEXT NOT NULL,
    sown_at BIGINT NOT NULL
);

-- API keys, stored as the SHA-256 of their text.
CREATE TABLE bridge_key (
    workspace_id TEXT NOT NULL DEFAULT 'default' CHECK (workspace_id <> ''),
    name TEXT NOT NULL,
    hash BLOB NOT NULL UNIQUE,
    group_names TEXT NOT NULL DEFAULT '[]',
    forwards BOOLEAN NOT NULL DEFAULT FALSE,
    expires_at BIGINT,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (workspace_id, name)
);

-- The audit trail of calls.
CREATE TABLE bridge_call (
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
CREATE INDEX idx_bridge_call_time ON bridge_call (called_at, id);
CREATE INDEX idx_bridge_call_workspace ON bridge_call (workspace_id, called_at, id);
-- Callers may send any text as a name. Texts that are too long for an index entry are not indexed.
CREATE INDEX idx_bridge_call_caller ON bridge_call (lower(caller), called_at) WHERE length(caller) <= 320;
CREATE INDEX idx_bridge_call_bridge ON bridge_call (bridge, called_at) WHERE length(bridge) <= 255;
CREATE INDEX idx_bridge_call_request ON bridge_call (request_id) WHERE length(request_id) <= 255;
CREATE INDEX idx_bridge_call_started ON bridge_call (instance) WHERE outcome = 'started';

-- The audit trail of administrative changes.
CREATE TABLE bridge_change (
    id TEXT NOT NULL PRIMARY KEY,
    workspace_id TEXT NOT NULL DEFAULT 'default' CHECK (workspace_id <> ''),
    changed_at BIGINT NOT NULL,
    actor TEXT NOT NULL,
    proof TEXT NOT NULL,
    action TEXT NOT NULL,
    target TEXT NOT NULL
);
CREATE INDEX idx_bridge_change_time ON bridge_change (workspace_id, changed_at, id);
