-- For those who ask with SQL: samples of a span of time without reading every partition, a word on
-- every column of the views, and a role that may read and nothing else.

-- Written so that the planner puts it in the place of its call: one SELECT, STABLE, not STRICT, no
-- SET. The bounds then reach the partitions and the index on (group_id, ts).
CREATE FUNCTION noetl.samples(from_time timestamptz, to_time timestamptz)
RETURNS TABLE (
    metric_id       bigint,
    runtime_id      bigint,
    component_name  text,
    component_type  text,
    metric_name     text,
    metric_type     text,
    metric_value    float8,
    labels          jsonb,
    help_text       text,
    unit            text,
    "timestamp"     timestamptz,
    created_at      timestamptz
)
LANGUAGE sql STABLE PARALLEL SAFE ROWS 10000
AS $$
    SELECT r.report_id * 64 + p.slot, s.runtime_id, c.name, c.component_type, s.metric_name,
           s.metric_type, r.vals[p.slot + 1], s.labels, s.help_text, s.unit,
           r.ts + coalesce(r.offsets_us[p.slot + 1], 0) * interval '1 microsecond', r.received_at
      FROM noetl.report r
      JOIN noetl.series_slot p ON p.group_id = r.group_id
      JOIN noetl.series s ON s.series_id = p.series_id
      JOIN noetl.runtime c ON c.runtime_id = s.runtime_id
     WHERE r.ts >= from_time - interval '1 second'
       AND r.ts < to_time
       AND r.ts + coalesce(r.offsets_us[p.slot + 1], 0) * interval '1 microsecond' >= from_time
       AND r.ts + coalesce(r.offsets_us[p.slot + 1], 0) * interval '1 microsecond' < to_time
       AND r.vals[p.slot + 1] IS NOT NULL
$$;

COMMENT ON FUNCTION noetl.samples IS 'The samples from from_time (inclusive) to to_time (exclusive), as noetl.metrics has them. Reads only the partitions of that time.';

COMMENT ON VIEW noetl.metric IS 'One row per sample. For a span of time use noetl.samples(from, to): a condition on "timestamp" cannot prune partitions.';
COMMENT ON VIEW noetl.metrics IS 'noetl.metric with the component''s name and type. For a span of time use noetl.samples(from, to).';

COMMENT ON COLUMN noetl.metric.runtime_id IS 'The component, a row of noetl.runtime.';
COMMENT ON COLUMN noetl.metric.metric_name IS 'As reported.';
COMMENT ON COLUMN noetl.metric.metric_type IS 'counter, gauge, histogram or summary, as last reported.';
COMMENT ON COLUMN noetl.metric.labels IS 'An object of strings; {} when the series has none.';
COMMENT ON COLUMN noetl.metric.help_text IS 'As last reported; NULL when none.';
COMMENT ON COLUMN noetl.metric.unit IS 'As last reported; NULL when none.';

COMMENT ON COLUMN noetl.metrics.metric_id IS 'report_id * 64 + slot; unique.';
COMMENT ON COLUMN noetl.metrics.runtime_id IS 'The component, a row of noetl.runtime.';
COMMENT ON COLUMN noetl.metrics.component_name IS 'The component''s name, unique within its type.';
COMMENT ON COLUMN noetl.metrics.component_type IS 'Such as worker_pool, server_api, external.';
COMMENT ON COLUMN noetl.metrics.metric_name IS 'As reported.';
COMMENT ON COLUMN noetl.metrics.metric_type IS 'counter, gauge, histogram or summary, as last reported.';
COMMENT ON COLUMN noetl.metrics.metric_value IS 'NaN and the infinities are values.';
COMMENT ON COLUMN noetl.metrics.labels IS 'An object of strings; {} when the series has none.';
COMMENT ON COLUMN noetl.metrics.help_text IS 'As last reported; NULL when none.';
COMMENT ON COLUMN noetl.metrics.unit IS 'As last reported; NULL when none.';
COMMENT ON COLUMN noetl.metrics."timestamp" IS 'When the value was taken, as reported.';
COMMENT ON COLUMN noetl.metrics.created_at IS 'When the server took the report.';

COMMENT ON TABLE noetl.quarantine IS 'What PostgreSQL refused for its content; set aside so that the rest could go on. See noetl-metrics quarantine --help.';

-- A role belongs to the whole cluster. It may be there from another database, be made by one at this
-- very moment, or this user may not make roles; none of these is a reason to refuse the start.
DO $$
BEGIN
    CREATE ROLE noetl_reader NOLOGIN;
EXCEPTION WHEN duplicate_object OR unique_violation OR insufficient_privilege THEN
    NULL;
END $$;

DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'noetl_reader') THEN
        GRANT USAGE ON SCHEMA noetl TO noetl_reader;
        GRANT SELECT ON noetl.runtime, noetl.series, noetl.series_slot, noetl.report,
                        noetl.ingest_node, noetl.metric, noetl.metrics TO noetl_reader;
    END IF;
END $$;
