-- One record may stand for several refusals alike: how many there were besides the first.

ALTER TABLE bridge_call ADD COLUMN repeats BIGINT NOT NULL DEFAULT 0;
