-- One record may stand for several refusals alike: how many there were besides the first.

ALTER TABLE mcp_proxy.bridge_call ADD COLUMN repeats BIGINT NOT NULL DEFAULT 0;
