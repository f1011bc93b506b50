-- Retention drops whole partitions, but not one that was written to within a day, for somebody fills
-- in old values just now. Which those are is written down where it happens, so that nobody has to
-- read a partition for it: a row for each span of time that was over when something came for it.

CREATE TABLE noetl.late_write (
    starts_at   timestamptz NOT NULL,
    ends_at     timestamptz NOT NULL,
    written_at  timestamptz NOT NULL,
    PRIMARY KEY (starts_at, ends_at)
)
WITH (fillfactor = 50);

COMMENT ON TABLE noetl.late_write IS 'Spans of time that something was written for after they were over; their partitions are kept for another day.';
COMMENT ON COLUMN noetl.late_write.starts_at IS 'Where the span begins.';
COMMENT ON COLUMN noetl.late_write.ends_at IS 'Where it ends, exclusive.';
COMMENT ON COLUMN noetl.late_write.written_at IS 'When something was last written for it, to within an hour.';
