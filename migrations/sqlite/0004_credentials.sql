-- Credentials for the servers of bridges. Secrets are sealed (encrypted) with the operator's key.

-- Accounts at the servers of bridges. Subject '' is the account that all callers share. Until
-- `refreshing_until`, one replica renews the tokens and the others wait.
CREATE TABLE bridge_account (
    workspace_id TEXT NOT NULL DEFAULT 'default' CHECK (workspace_id <> ''),
    bridge TEXT NOT NULL,
    subject TEXT NOT NULL,
    sealed BLOB NOT NULL,
    refreshing_until BIGINT,
    updated_at BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (workspace_id, bridge, subject)
);

-- Logins in progress. `id` is the SHA-256 of the state that the browser brings back.
CREATE TABLE bridge_login (
    id TEXT NOT NULL PRIMARY KEY,
    sealed BLOB NOT NULL,
    expires_at BIGINT NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE INDEX idx_bridge_login_expiry ON bridge_login (expires_at);

-- The last known tools of a bridge that has one session per caller.
CREATE TABLE bridge_known_tools (
    bridge TEXT NOT NULL PRIMARY KEY,
    tools TEXT NOT NULL,
    updated_at BIGINT NOT NULL
);

-- The Python proxy's keys and endpoints of groups, with its columns, keys and indexes.
CREATE TABLE IF NOT EXISTS tenant_server_keys (
    tenant_id VARCHAR(255) NOT NULL,
    server_id VARCHAR(255) NOT NULL,
    key_name VARCHAR(255) NOT NULL,
    key_value TEXT NOT NULL,
    created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
    updated_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
    PRIMARY KEY (tenant_id, server_id, key_name)
);
CREATE INDEX IF NOT EXISTS idx_tenant_server_keys_tenant_id ON tenant_server_keys (tenant_id);
CREATE INDEX IF NOT EXISTS idx_tenant_server_keys_server_id ON tenant_server_keys (server_id);

CREATE TABLE IF NOT EXISTS tenant_endpoint_overrides (
    tenant_id VARCHAR(255) NOT NULL,
    server_id VARCHAR(255) NOT NULL,
    endpoint_url TEXT NOT NULL,
    created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
    PRIMARY KEY (tenant_id, server_id)
);
CREATE INDEX IF NOT EXISTS idx_tenant_endpoint_overrides_tenant_id ON tenant_endpoint_overrides (tenant_id);

-- A number that grows with every change of an account, a key or an endpoint. It is separate from
-- that of access because tokens are renewed all day. A claim of a renewal does not count.
CREATE TABLE bridge_account_generation (
    id INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    generation BIGINT NOT NULL
);
INSERT INTO bridge_account_generation (id, generation) VALUES (1, 0);

CREATE TRIGGER bridge_account_changed_by_insert AFTER INSERT ON bridge_account
BEGIN UPDATE bridge_account_generation SET generation = generation + 1 WHERE id = 1; END;

CREATE TRIGGER bridge_account_changed_by_update AFTER UPDATE OF sealed ON bridge_account
BEGIN UPDATE bridge_account_generation SET generation = generation + 1 WHERE id = 1; END;

CREATE TRIGGER bridge_account_changed_by_delete AFTER DELETE ON bridge_account
BEGIN UPDATE bridge_account_generation SET generation = generation + 1 WHERE id = 1; END;

CREATE TRIGGER tenant_server_keys_changed_by_insert AFTER INSERT ON tenant_server_keys
BEGIN UPDATE bridge_account_generation SET generation = generation + 1 WHERE id = 1; END;

CREATE TRIGGER tenant_server_keys_changed_by_update AFTER UPDATE ON tenant_server_keys
BEGIN UPDATE bridge_account_generation SET generation = generation + 1 WHERE id = 1; END;

CREATE TRIGGER tenant_server_keys_changed_by_delete AFTER DELETE ON tenant_server_keys
BEGIN UPDATE bridge_account_generation SET generation = generation + 1 WHERE id = 1; END;

CREATE TRIGGER tenant_endpoint_overrides_changed_by_insert AFTER INSERT ON tenant_endpoint_overrides
BEGIN UPDATE bridge_account_generation SET generation = generation + 1 WHERE id = 1; END;

CREATE TRIGGER tenant_endpoint_overrides_changed_by_update AFTER UPDATE ON tenant_endpoint_overrides
BEGIN UPDATE bridge_account_generation SET generation = generation + 1 WHERE id = 1; END;

CREATE TRIGGER tenant_endpoint_overrides_changed_by_delete AFTER DELETE ON tenant_endpoint_overrides
BEGIN UPDATE bridge_account_generation SET generation = generation + 1 WHERE id = 1; END;
