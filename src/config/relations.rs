//! What has to hold among several settings.

use super::settings::Settings;

/// One relation among settings.
#[derive(Debug)]
pub(super) struct Relation {
    /// The settings it is about.
    pub(super) keys: &'static [&'static str],
    /// What has to hold, and why.
    pub(super) rule: &'static str,
    /// Whether it holds.
    pub(super) holds: fn(&Settings) -> bool,
}

/// Every relation that is checked.
pub(super) const RELATIONS: &[Relation] = &[
    Relation {
        keys: &["listen", "token-file", "allow-anonymous"],
        rule: "a server that others reach needs tokens: name their file with --token-file (make one \
               with `noetl-metrics token create`), listen on 127.0.0.1, or let everybody in with \
               --allow-anonymous",
        holds: |settings| {
            let guarded = settings.token_file.is_some() || settings.allow_anonymous;
            guarded || settings.listen.ip().is_loopback()
        },
    },
    Relation {
        keys: &["token-file", "allow-anonymous"],
        rule: "tokens mean nothing where everybody is let in; take one of both away",
        holds: |settings| settings.token_file.is_none() || !settings.allow_anonymous,
    },
    Relation {
        keys: &["tls-cert", "tls-key"],
        rule: "TLS needs a certificate and its private key; name both or neither",
        holds: |settings| settings.tls_cert.is_some() == settings.tls_key.is_some(),
    },
    Relation {
        keys: &["tls-client-ca", "tls-cert"],
        rule: "certificates of clients are asked for in TLS only; name tls-cert and tls-key as well",
        holds: |settings| settings.tls_client_ca.is_none() || settings.tls_cert.is_some(),
    },
    Relation {
        keys: &["log-segment-bytes"],
        rule: "a segment must be a multiple of 4KiB, because disks sync whole pages",
        holds: |settings| settings.log_segment_bytes.is_multiple_of(4096),
    },
    Relation {
        keys: &["log-segment-bytes", "log-budget-bytes"],
        rule: "a segment must be at most a quarter of the log's budget, because space comes back \
               only in whole segments",
        holds: |settings| settings.log_segment_bytes <= settings.log_budget_bytes / 4,
    },
    Relation {
        keys: &["body-bytes-max", "log-segment-bytes"],
        rule: "a body must be at most half a segment, because a report is never split over two",
        holds: |settings| settings.body_bytes_max as u64 <= settings.log_segment_bytes / 2,
    },
    Relation {
        keys: &["body-bytes-max", "in-flight-bytes-max"],
        rule: "the bodies in flight must be allowed the size of one body, or the largest report \
               is never taken",
        holds: |settings| settings.body_bytes_max <= settings.in_flight_bytes_max,
    },
    Relation {
        keys: &["labels-max", "name-bytes-max", "label-value-bytes-max", "body-bytes-max"],
        rule: "a metric with all its labels at their longest must fit into a body",
        holds: |settings| {
            let label_bytes = settings.name_bytes_max + settings.label_value_bytes_max;
            settings.name_bytes_max + settings.labels_max * label_bytes <= settings.body_bytes_max
        },
    },
    Relation {
        keys: &["component-series-max", "series-max"],
        rule: "one component must be allowed at most what all together are, or it is never held to it",
        holds: |settings| settings.component_series_max <= settings.series_max,
    },
    Relation {
        keys: &["component-new-series-per-minute-max", "new-series-per-minute-max"],
        rule: "one component must be allowed at most as many new series a minute as all together",
        holds: |settings| {
            settings.component_new_series_per_minute_max <= settings.new_series_per_minute_max
        },
    },
    Relation {
        keys: &["stale-after", "idle-after"],
        rule: "a series must stay in memory for at least as long as on the Prometheus page",
        holds: |settings| settings.stale_after <= settings.idle_after,
    },
    Relation {
        keys: &["runtime-sweep-interval", "runtime-offline-seconds"],
        rule: "heartbeats must be written at least twice in the time after which a component is \
               offline",
        holds: |settings| settings.runtime_sweep_interval <= settings.runtime_offline_seconds / 2,
    },
    Relation {
        keys: &["batch-age-max", "query-timeout"],
        rule: "a batch must be flushed within half a query's time, because a query waits for what \
               was acknowledged before it",
        holds: |settings| settings.batch_age_max <= settings.query_timeout / 2,
    },
    Relation {
        keys: &["future-max", "partitions-ahead", "partition-interval"],
        rule: "the partitions made ahead must cover every timestamp that is accepted",
        holds: |settings| {
            let interval_us = settings.partition_interval.micros().unsigned_abs();
            let ahead_us = u128::from(settings.partitions_ahead) * u128::from(interval_us);
            settings.future_max.as_micros() <= ahead_us
        },
    },
    Relation {
        keys: &["metrics-retention", "partition-interval", "past-partitions-max"],
        rule: "the partitions that are kept must be allowed to exist, or late samples are rejected",
        holds: |settings| {
            let interval_us = settings.partition_interval.micros().unsigned_abs();
            let kept = settings
                .metrics_retention
                .map_or(0, |long| long.as_micros().div_ceil(u128::from(interval_us)));
            kept <= u128::from(settings.past_partitions_max)
        },
    },
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Setting;

    fn broken(given: &[(&str, &'static str)]) -> Vec<&'static str> {
        let settings = Settings::read(|key| {
            let given = given.iter().find(|(given, _)| *given == key).map(|(_, text)| *text);
            given.unwrap_or_else(|| Setting::find(key).unwrap().default)
        })
        .unwrap();
        let broken = RELATIONS.iter().filter(|relation| !(relation.holds)(&settings));
        broken.map(|relation| relation.keys[0]).collect()
    }

    #[test]
    fn the_defaults_go_together() {
        assert_eq!(broken(&[]), [""; 0]);
    }

    #[test]
    fn each_relation_is_checked_at_its_edge() {
        let check = |given: &[(&str, &'static str)], want: &[&str]| {
            assert_eq!(broken(given), want, "{given:?}");
        };
        check(&[("listen", "[::1]:80")], &[]);
        check(&[("listen", "0.0.0.0:80")], &["listen"]);
        check(&[("listen", "0.0.0.0:80"), ("token-file", "tokens")], &[]);
        check(&[("listen", "[::]:80"), ("allow-anonymous", "true")], &[]);
        check(&[("token-file", "tokens"), ("allow-anonymous", "true")], &["token-file"]);
        check(&[("tls-cert", "c"), ("tls-key", "k"), ("tls-client-ca", "a")], &[]);
        check(&[("tls-cert", "c")], &["tls-cert"]);
        check(&[("tls-key", "k")], &["tls-cert"]);
        check(&[("tls-client-ca", "a")], &["tls-client-ca"]);
        check(&[("log-segment-bytes", "2GiB")], &[]);
        check(&[("log-segment-bytes", "2049MiB")], &["log-segment-bytes"]);
        check(&[("log-segment-bytes", "128MB")], &[]);
        check(&[("log-segment-bytes", "128000001")], &["log-segment-bytes"]);
        check(&[("log-segment-bytes", "32MiB")], &[]);
        check(&[("log-segment-bytes", "31MiB")], &["body-bytes-max"]);
        check(&[("in-flight-bytes-max", "16MiB")], &[]);
        check(&[("in-flight-bytes-max", "15MiB")], &["body-bytes-max"]);
        check(&[("body-bytes-max", "148KiB")], &[]);
        check(&[("body-bytes-max", "144KiB")], &["labels-max"]);
        check(&[("series-max", "2000")], &[]);
        check(&[("series-max", "1999")], &["component-series-max"]);
        check(&[("new-series-per-minute-max", "100")], &[]);
        check(&[("new-series-per-minute-max", "99")], &["component-new-series-per-minute-max"]);
        check(&[("idle-after", "5m")], &[]);
        check(&[("idle-after", "4m")], &["stale-after"]);
        check(&[("runtime-offline-seconds", "30s")], &[]);
        check(&[("runtime-offline-seconds", "29s")], &["runtime-sweep-interval"]);
        check(&[("batch-age-max", "15s")], &[]);
        check(&[("batch-age-max", "16s")], &["batch-age-max"]);
        check(&[("partition-interval", "hour"), ("future-max", "7h")], &[]);
        check(&[("partition-interval", "hour"), ("future-max", "8h")], &["future-max"]);
        check(&[("metrics-retention", "1000d")], &[]);
        check(&[("metrics-retention", "1001d")], &["metrics-retention"]);
        check(&[("metrics-retention", "off"), ("past-partitions-max", "0")], &[]);
        check(
            &[("metrics-retention", "42d"), ("partition-interval", "hour")],
            &["metrics-retention"],
        );
    }

    #[test]
    fn relations_name_settings() {
        let keys = RELATIONS.iter().flat_map(|relation| relation.keys);
        for key in keys {
            assert!(Setting::find(key).is_some(), "{key}");
        }
    }
}
