-- Servers are upgraded one after the other, so that some meet a schema that is newer than they know: in
-- the middle of an upgrade, and after a step back. Whether they may use it only the newer release can
-- tell, and here it does. A migration that only adds leaves the row alone; one that takes something away
-- sets it to the first version whose servers do without.

CREATE TABLE noetl.schema_floor (
    only_row  boolean  PRIMARY KEY DEFAULT true CHECK (only_row),
    oldest    bigint   NOT NULL
);

INSERT INTO noetl.schema_floor (oldest) VALUES (8);

COMMENT ON TABLE noetl.schema_floor IS 'Which servers may use this schema: those that know at least this version of it. One row.';
COMMENT ON COLUMN noetl.schema_floor.oldest IS 'A version of noetl.schema_migration. A server that does not know it refuses to start.';
