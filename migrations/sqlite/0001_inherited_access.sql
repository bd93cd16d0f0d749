-- The access tables of the Python proxy, with its columns, keys, indexes and views.

CREATE TABLE IF NOT EXISTS user_group_membership (
    user_email VARCHAR(255) NOT NULL,
    group_name VARCHAR(255) NOT NULL,
    created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
    PRIMARY KEY (user_email, group_name)
);
CREATE INDEX IF NOT EXISTS idx_user_group_membership_user_email ON user_group_membership (user_email);
CREATE INDEX IF NOT EXISTS idx_user_group_membership_group_name ON user_group_membership (group_name);
CREATE INDEX IF NOT EXISTS idx_bridge_member_email ON user_group_membership (lower(user_email));

CREATE TABLE IF NOT EXISTS group_tenant_mapping (
    group_name VARCHAR(255) NOT NULL,
    tenant_id VARCHAR(255) NOT NULL,
    created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
    PRIMARY KEY (group_name, tenant_id)
);
CREATE INDEX IF NOT EXISTS idx_group_tenant_mapping_group_name ON group_tenant_mapping (group_name);
CREATE INDEX IF NOT EXISTS idx_group_tenant_mapping_tenant_id ON group_tenant_mapping (tenant_id);

CREATE TABLE IF NOT EXISTS user_admin_status (
    user_email VARCHAR(255) NOT NULL PRIMARY KEY,
    is_admin BOOLEAN DEFAULT FALSE,
    created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
    updated_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP
);

CREATE VIEW IF NOT EXISTS user_server_access AS
SELECT DISTINCT m.user_email, g.tenant_id AS server_id
FROM user_group_membership m
JOIN group_tenant_mapping g ON g.group_name = m.group_name;

CREATE VIEW IF NOT EXISTS group_summary AS
SELECT n.group_name,
       COUNT(DISTINCT m.user_email) AS user_count,
       COUNT(DISTINCT g.tenant_id) AS server_count
FROM (
    SELECT group_name FROM user_group_membership
    UNION
    SELECT group_name FROM group_tenant_mapping
) n
LEFT JOIN user_group_membership m ON m.group_name = n.group_name
LEFT JOIN group_tenant_mapping g ON g.group_name = n.group_name
GROUP BY n.group_name;
