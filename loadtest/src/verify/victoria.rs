//! What VictoriaMetrics says it has taken.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use crate::wire::{Target, get};

/// Rows inserted since VictoriaMetrics started, whatever their protocol.
pub(crate) async fn rows_inserted(target: &Target) -> Result<u64> {
    let (status, page) = get(target, "/metrics", Duration::from_secs(10))
        .await
        .with_context(|| format!("read {target}/metrics"))?;
    ensure!(status == 200, "{target}/metrics answered {status}");
    Ok(sum_rows(&page))
}

fn sum_rows(page: &str) -> u64 {
    page.lines()
        .filter(|line| line.starts_with("vm_rows_inserted_total{"))
        .filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok())
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_all_protocols_are_added() {
        let page = "# comment\nvm_rows_inserted_total{type=\"jsonline\"} 40\n\
                    vm_rows_inserted_total{type=\"influx\"} 2\nvm_rows_merged_total{} 7\n";
        assert_eq!(sum_rows(page), 42);
        assert_eq!(sum_rows(""), 0);
    }
}
