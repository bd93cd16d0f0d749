-- One record may stand for several similar refusals. This is their number without the first.

ALTER TABLE mcp_proxy.bridge_call ADD COLUMN repeats BIGINT NOT NULL DEFAULT 0;
