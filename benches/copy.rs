//! What a sample costs on its way into the bytes of a COPY.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use noetl_metrics::model::{GroupId, LogPosition, NodeNumber, ReportId, Timestamp};
use noetl_metrics::postgres::copy::{CopyBuffer, NO_OFFSETS, RowHead};

const ROWS: u64 = 10_000;

/// Batches of 10,000 rows of as many groups in no order, as the flush gets them: rows of 10 and of
/// 50 values, the latter also with offsets and with every second slot absent.
fn copy(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("copy");
    let mut bench = |name: &str, present: u64, offsets: bool| {
        let samples = u64::from(present.count_ones());
        let values: Vec<f64> = (0..samples).map(|n| n as f64).collect();
        group.throughput(Throughput::Elements(ROWS * samples));
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let mut buffer = CopyBuffer::new();
                for row in 0..ROWS {
                    let values = black_box(&values).iter().copied();
                    if offsets {
                        buffer.push(head(row), present, values, Some(0..samples as u32));
                    } else {
                        buffer.push(head(row), present, values, NO_OFFSETS);
                    }
                }
                buffer.finish();
                let mut chunks = buffer.chunks();
                let mut bytes = 0;
                while let Some(chunk) = chunks.next() {
                    bytes += black_box(chunk).len();
                }
                bytes
            });
        });
    };
    bench("10_values", (1 << 10) - 1, false);
    bench("50_values", (1 << 50) - 1, false);
    bench("50_values_with_offsets", (1 << 50) - 1, true);
    bench("32_values_in_64_slots", 0x5555_5555_5555_5555, false);
}

fn head(row: u64) -> RowHead {
    let node = NodeNumber::new(0).expect("0 is a node number");
    RowHead {
        group: GroupId::new(node, row * 7919 % ROWS),
        ts: Timestamp::MIN,
        received_at: Timestamp::MIN,
        report: ReportId::new(node, LogPosition::new(row)),
    }
}

criterion_group!(benches, copy);
criterion_main!(benches);
