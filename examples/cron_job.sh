#!/bin/sh
# Runs a job and reports how it went: how long it took, its exit status, and when it last succeeded.
#
#   examples/cron_job.sh NAME COMMAND [ARGUMENT…]
#
# The server is $NOETL_SERVER_URL. The report is tried again for about two minutes under one
# Idempotency-Key, so it is stored once however often it has to be sent. The exit status is the job's;
# where the job went well and the report did not get through, it is 75 (EX_TEMPFAIL).
set -u

url=${NOETL_SERVER_URL:-http://localhost:8082}
name=${1:?usage: cron_job.sh NAME COMMAND [ARGUMENT...]}
shift

began=$(date +%s)
"$@"
status=$?
ended=$(date +%s)

success=
if [ "$status" -eq 0 ]; then
    success=",{\"metric_name\":\"job_last_success_timestamp_seconds\",\"metric_type\":\"gauge\",
               \"metric_value\":$ended,\"unit\":\"seconds\",
               \"help_text\":\"When the job last succeeded, since the Unix epoch\"}"
fi
# Only the name comes from outside; it is quoted as JSON wants it.
component=$(printf '%s' "$name" | sed 's/[\\"]/\\&/g')
printf '{"component_name":"%s","component_type":"cron_job","metrics":[
    {"metric_name":"job_duration_seconds","metric_type":"gauge","metric_value":%d,"unit":"seconds",
     "help_text":"How long the last run took"},
    {"metric_name":"job_exit_status","metric_type":"gauge","metric_value":%d,
     "help_text":"Exit status of the last run"}%s]}' \
    "$component" "$((ended - began))" "$status" "$success" |
    curl --silent --show-error --fail --output /dev/null --max-time 30 \
        --retry 8 --retry-connrefused --retry-max-time 120 \
        --header 'content-type: application/json' \
        --header "idempotency-key: $(hostname)-$$-$ended" \
        --data-binary @- "$url/api/metrics/report" || {
    printf 'the report of %s did not get through\n' "$name" >&2
    [ "$status" -ne 0 ] || exit 75
}
exit "$status"
