-- Two copies of a log directory that both go on have one log_id and come to the same positions with
-- different reports. What tells them apart is the record that ends at the position.

ALTER TABLE noetl.ingest_node
    ADD COLUMN mark bigint CHECK (mark BETWEEN 0 AND 4294967295);

COMMENT ON COLUMN noetl.ingest_node.mark IS 'The mark of the record that ends at position (docs/format/log.md), which tells copies of a log apart; NULL when it is not known.';
