//! What a `prometheus::Registry` holds, as samples.

use prometheus::Registry;
use prometheus::proto::{Metric, MetricFamily, MetricType as Kind};

use super::{Metrics, write_histogram, write_summary};
use crate::snapshot::{Sample, Snapshot};
use crate::vocabulary::MetricType;

impl Metrics {
    /// Reports what `registry` holds, too. Metrics of the same name and labels as one that is
    /// reported already are refused, which is counted.
    pub fn add_prometheus(&self, registry: Registry) {
        self.add_source(move |snapshot| {
            registry.gather().iter().for_each(|family| write_family(family, snapshot));
        });
    }
}

fn write_family(family: &MetricFamily, snapshot: &mut Snapshot) {
    for metric in family.get_metric() {
        let labels: Vec<_> =
            metric.get_label().iter().map(|label| (label.name(), label.value())).collect();
        let sample = |metric_type, value| Sample {
            labels: &labels,
            help: family.help(),
            ..Sample::new(family.name(), metric_type, value)
        };
        match family.get_field_type() {
            Kind::COUNTER => {
                snapshot.push(&sample(MetricType::Counter, metric.get_counter().get_value()));
            }
            Kind::HISTOGRAM => write_buckets(&sample(MetricType::Histogram, 0.0), metric, snapshot),
            Kind::SUMMARY => {
                let summary = metric.get_summary();
                let quantiles: Vec<_> = summary
                    .get_quantile()
                    .iter()
                    .map(|one| (one.quantile(), one.value()))
                    .collect();
                let blank = sample(MetricType::Summary, 0.0);
                let (count, sum) = (summary.sample_count(), summary.sample_sum());
                write_summary(snapshot, &blank, &quantiles, count, sum);
            }
            Kind::GAUGE => {
                snapshot.push(&sample(MetricType::Gauge, metric.get_gauge().get_value()));
            }
            // No metric of that crate is untyped, and the contract has no such type.
            Kind::UNTYPED => {}
        }
    }
}

fn write_buckets(blank: &Sample<'_>, metric: &Metric, snapshot: &mut Snapshot) {
    let histogram = metric.get_histogram();
    let mut buckets: Vec<_> = histogram
        .get_bucket()
        .iter()
        .map(|bucket| (bucket.upper_bound(), bucket.cumulative_count()))
        .collect();
    // The crate leaves the last bucket out.
    if buckets.last().is_none_or(|(bound, _)| bound.is_finite()) {
        buckets.push((f64::INFINITY, histogram.get_sample_count()));
    }
    write_histogram(snapshot, blank, &buckets, histogram.get_sample_sum());
}
