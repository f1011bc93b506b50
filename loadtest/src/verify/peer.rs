//! What VictoriaMetrics or Prometheus says it has taken.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use crate::wire::{Target, get};

/// Samples taken since the server started, whatever their protocol.
pub(crate) async fn samples_taken(target: &Target) -> Result<u64> {
    let (status, page) = get(target, "/metrics", Duration::from_secs(10))
        .await
        .with_context(|| format!("read {target}/metrics"))?;
    ensure!(status == 200, "{target}/metrics answered {status}");
    Ok(sum(&page))
}

/// Beginnings of the lines that count them. Newer versions of Prometheus count by type.
const COUNTERS: [&str; 3] = [
    "vm_rows_inserted_total{",
    "prometheus_tsdb_head_samples_appended_total ",
    "prometheus_tsdb_head_samples_appended_total{",
];

#[expect(clippy::cast_sign_loss, reason = "a counter is not negative")]
fn sum(page: &str) -> u64 {
    let samples: f64 = page
        .lines()
        .filter(|line| COUNTERS.iter().any(|counter| line.starts_with(counter)))
        .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
        .sum();
    samples as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_all_protocols_are_added() {
        let page = "# comment\nvm_rows_inserted_total{type=\"jsonline\"} 40\n\
                    vm_rows_inserted_total{type=\"influx\"} 2\nvm_rows_merged_total{} 7\n";
        assert_eq!(sum(page), 42);
        let prometheus = "# TYPE prometheus_tsdb_head_samples_appended_total counter\n\
                          prometheus_tsdb_head_samples_appended_total 1.25e+06\n";
        assert_eq!(sum(prometheus), 1_250_000);
        assert_eq!(sum(""), 0);
    }
}
