use bytes::Bytes;

use super::*;
use crate::transport::Encoding;

fn report(n: usize, length: usize) -> Report {
    let body = Bytes::from(vec![b'x'; length]);
    Report { key: format!("key-{n}"), encoding: Encoding::Identity, body, samples: 1 }
}

/// Takes all out and returns the keys.
fn drain(queue: &mut Queue) -> Vec<String> {
    let mut keys = Vec::new();
    while let Some((number, report)) = queue.front() {
        keys.push(report.key.clone());
        queue.delivered(number);
    }
    assert_eq!((queue.len(), queue.bytes()), (0, 0));
    keys
}

#[test]
fn the_oldest_make_room_and_are_counted() {
    let mut queue = Queue::new(10 * (1000 + OVERHEAD_BYTES));
    for n in 0..25 {
        queue.push(report(n, 1000)).unwrap();
        assert!(queue.bytes() <= 10 * (1000 + OVERHEAD_BYTES));
    }
    assert_eq!((queue.len(), queue.dropped().overflowed), (10, 15));
    assert_eq!(drain(&mut queue), (15..25).map(|n| format!("key-{n}")).collect::<Vec<_>>());
    queue.push(report(99, 1 << 20)).unwrap();
    assert_eq!((queue.len(), queue.dropped().overflowed), (0, 16), "it never fits");
}

#[test]
fn a_report_that_was_dropped_on_its_way_takes_no_other_with_it() {
    let mut queue = Queue::new(2 * (1000 + OVERHEAD_BYTES));
    queue.push(report(0, 1000)).unwrap();
    let (number, _) = queue.front().unwrap();
    queue.push(report(1, 1000)).unwrap();
    queue.push(report(2, 1000)).unwrap();
    queue.delivered(number);
    assert_eq!(drain(&mut queue), ["key-1", "key-2"]);
    queue.push(report(3, 10)).unwrap();
    let (number, _) = queue.front().unwrap();
    queue.refused(number);
    assert_eq!(queue.dropped(), Dropped { overflowed: 1, damaged: 0, refused: 1 });
    assert!(queue.front().is_none());
}

#[test]
fn a_spool_is_bounded_and_goes_on_where_it_was() {
    let directory = tempfile::tempdir().unwrap();
    let open = |bytes_max| {
        Queue::new(10_000).with_spool(Spool::open(directory.path(), bytes_max).unwrap())
    };
    let mut queue = open(10_000);
    (0..20).for_each(|n| queue.push(report(n, 1000)).unwrap());
    assert!(queue.bytes() <= 10_000);
    let dropped = queue.dropped().overflowed as usize;
    assert!((10..20).contains(&dropped), "{dropped}");
    drop(queue);
    let mut queue = open(10_000);
    queue.push(report(20, 10)).unwrap();
    assert_eq!(drain(&mut queue), (dropped..21).map(|n| format!("key-{n}")).collect::<Vec<_>>());
    drop(queue);
    assert_eq!(open(10_000).len(), 0);
}

#[test]
fn a_disk_that_fails_leaves_the_memory_and_a_lost_file_is_counted() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("spool");
    let mut queue = Queue::new(10_000).with_spool(Spool::open(&path, 10_000).unwrap());
    queue.push(report(0, 10)).unwrap();
    std::fs::remove_dir_all(&path).unwrap();
    assert!(queue.push(report(1, 10)).is_err());
    assert!(queue.push(report(2, 10)).is_err());
    assert_eq!(drain(&mut queue), ["key-1", "key-2"]);
    assert_eq!(queue.dropped(), Dropped { overflowed: 0, damaged: 1, refused: 0 });
}
