-- A foreign key is checked by a query for each row: the two of a new series cost more than all else
-- that is done to register it. Within a transaction the server writes a component before its
-- series and a series before its slots, by ids that it has just been given, and it never deletes
-- one; so nothing was ever found by these checks.

ALTER TABLE noetl.series DROP CONSTRAINT series_runtime_id_fkey;
ALTER TABLE noetl.series_slot DROP CONSTRAINT series_slot_series_id_fkey;

COMMENT ON COLUMN noetl.series.runtime_id IS 'The component, a row of noetl.runtime; delete its series first if you delete one by hand.';
COMMENT ON COLUMN noetl.series_slot.series_id IS 'A row of noetl.series. A series may stand in several groups, once in each.';
