-- A number that grows with every change of access, even if another process makes it.

CREATE TABLE bridge_generation (
    id INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    generation BIGINT NOT NULL
);
INSERT INTO bridge_generation (id, generation) VALUES (1, 0);

CREATE TRIGGER user_group_membership_changed_by_insert AFTER INSERT ON user_group_membership
BEGIN UPDATE bridge_generation SET generation = generation + 1 WHERE id = 1; END;

CREATE TRIGGER user_group_membership_changed_by_update AFTER UPDATE ON user_group_membership
BEGIN UPDATE bridge_generation SET generation = generation + 1 WHERE id = 1; END;

CREATE TRIGGER user_group_membership_changed_by_delete AFTER DELETE ON user_group_membership
BEGIN UPDATE bridge_generation SET generation = generation + 1 WHERE id = 1; END;

CREATE TRIGGER group_tenant_mapping_changed_by_insert AFTER INSERT ON group_tenant_mapping
BEGIN UPDATE bridge_generation SET generation = generation + 1 WHERE id = 1; END;

CREATE TRIGGER group_tenant_mapping_changed_by_update AFTER UPDATE ON group_tenant_mapping
BEGIN UPDATE bridge_generation SET generation = generation + 1 WHERE id = 1; END;

CREATE TRIGGER group_tenant_mapping_changed_by_delete AFTER DELETE ON group_tenant_mapping
BEGIN UPDATE bridge_generation SET generation = generation + 1 WHERE id = 1; END;

CREATE TRIGGER user_admin_status_changed_by_insert AFTER INSERT ON user_admin_status
BEGIN UPDATE bridge_generation SET generation = generation + 1 WHERE id = 1; END;

CREATE TRIGGER user_admin_status_changed_by_update AFTER UPDATE ON user_admin_status
BEGIN UPDATE bridge_generation SET generation = generation + 1 WHERE id = 1; END;

CREATE TRIGGER user_admin_status_changed_by_delete AFTER DELETE ON user_admin_status
BEGIN UPDATE bridge_generation SET generation = generation + 1 WHERE id = 1; END;

CREATE TRIGGER bridge_grant_changed_by_insert AFTER INSERT ON bridge_grant
BEGIN UPDATE bridge_generation SET generation = generation + 1 WHERE id = 1; END;

CREATE TRIGGER bridge_grant_changed_by_update AFTER UPDATE ON bridge_grant
BEGIN UPDATE bridge_generation SET generation = generation + 1 WHERE id = 1; END;

CREATE TRIGGER bridge_grant_changed_by_delete AFTER DELETE ON bridge_grant
BEGIN UPDATE bridge_generation SET generation = generation + 1 WHERE id = 1; END;

CREATE TRIGGER bridge_key_changed_by_insert AFTER INSERT ON bridge_key
BEGIN UPDATE bridge_generation SET generation = generation + 1 WHERE id = 1; END;

CREATE TRIGGER bridge_key_changed_by_update AFTER UPDATE ON bridge_key
BEGIN UPDATE bridge_generation SET generation = generation + 1 WHERE id = 1; END;

CREATE TRIGGER bridge_key_changed_by_delete AFTER DELETE ON bridge_key
BEGIN UPDATE bridge_generation SET generation = generation + 1 WHERE id = 1; END;
