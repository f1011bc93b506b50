use bytes::Bytes;

use super::*;
use crate::transport::Encoding;

fn report(n: u32) -> Report {
    let body = Bytes::from(format!("{{\"n\":{n}}}"));
    Report { key: format!("key-{n}"), encoding: Encoding::Gzip, body, samples: n }
}

#[test]
fn every_cut_and_every_flipped_bit_is_noticed() {
    let file = encode(&report(7));
    assert_eq!(decode(&file), Ok(report(7)));
    for length in 0..file.len() {
        assert_eq!(decode(&file[..length]), Err(Damage::Cut), "cut at {length}");
    }
    for bit in 0..file.len() * 8 {
        let mut flipped = file.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(decode(&flipped).is_err(), "bit {bit}");
    }
    let longer = [file.as_slice(), b"x"].concat();
    assert_eq!(decode(&longer), Err(Damage::Cut));
}

#[test]
fn the_format_is_that_of_its_page() {
    // The checksum was computed by zlib.
    let expected = [
        b"NMSP\x01\x01\x05\x00\x07\x00\x00\x00\x07\x00\x00\x00".as_slice(),
        &[0x4d, 0xb0, 0xa3, 0x29],
        b"key-7{\"n\":7}",
    ];
    assert_eq!(encode(&report(7)), expected.concat());
}

#[test]
fn what_is_there_is_found_again_and_what_is_no_report_is_not() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("spool");
    let mut spool = Spool::open(&path, 1000).unwrap();
    let bytes: Vec<u64> = [3, 1, 2].map(|n| spool.write(n, &report(n as u32)).unwrap()).to_vec();
    drop(spool);
    // A power failure in the middle of a report, a worker killed in the middle, somebody's file.
    let whole = encode(&report(9));
    fs::write(path.join("0000000000000009.report"), &whole[..whole.len() / 2]).unwrap();
    fs::write(path.join("000000000000000a.report"), b"").unwrap();
    fs::write(path.join("000000000000000b.draft"), b"NMSP").unwrap();
    fs::write(path.join("README"), b"notes").unwrap();
    let spool = Spool::open(&path, 1000).unwrap();
    assert_eq!(spool.found(), [(1, bytes[1]), (2, bytes[2]), (3, bytes[0])]);
    assert_eq!(spool.damaged(), 2);
    assert_eq!(spool.read(2), Ok(report(2)));
    let mut names: Vec<_> =
        fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort_unstable();
    let expected = ["1", "2", "3"].map(|n| format!("000000000000000{n}.report"));
    assert_eq!(names[..3], expected.map(std::ffi::OsString::from));
    assert_eq!(names[3..], ["README", "lock"]);
    spool.remove(2);
    assert_eq!(spool.read(2), Err(Damage::Gone));
}

#[test]
fn what_another_version_wrote_is_left_to_it() {
    let directory = tempfile::tempdir().unwrap();
    let path = |number: u64| directory.path().join(format!("{number:016x}.report"));
    let mut later = encode(&report(4));
    later[4] = 2;
    fs::write(path(4), &later).unwrap();
    let mut spool = Spool::open(directory.path(), 1000).unwrap();
    assert_eq!((spool.found(), spool.damaged(), spool.first_free()), (&[][..], 0, 5));
    spool.write(spool.first_free(), &report(5)).unwrap();
    drop(spool);
    let spool = Spool::open(directory.path(), 1000).unwrap();
    assert_eq!((spool.found().len(), spool.damaged(), spool.first_free()), (1, 0, 6));
    assert_eq!(fs::read(path(4)).unwrap(), later);
}

#[test]
fn a_spool_has_one_worker() {
    let directory = tempfile::tempdir().unwrap();
    let spool = Spool::open(directory.path(), 1000).unwrap();
    let second = Spool::open(directory.path(), 1000).unwrap_err();
    assert!(matches!(second, SpoolError::InUse { .. }), "{second}");
    drop(spool);
    Spool::open(directory.path(), 1000).unwrap();
    let file = directory.path().join("README");
    fs::write(&file, b"").unwrap();
    assert!(matches!(Spool::open(&file, 1000), Err(SpoolError::Io { .. })));
}
