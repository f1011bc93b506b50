use std::io::Write;

use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};

use super::*;

const LIMIT: usize = 1 << 20;

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

fn zlib(content: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

fn raw_deflate(content: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

fn zstandard(content: &[u8]) -> Vec<u8> {
    zstd::stream::encode_all(content, 3).unwrap()
}

fn snappy(content: &[u8]) -> Vec<u8> {
    snap::raw::Encoder::new().compress_vec(content).unwrap()
}

fn snappy_framed(content: &[u8]) -> Vec<u8> {
    let mut encoder = snap::write::FrameEncoder::new(Vec::new());
    encoder.write_all(content).unwrap();
    encoder.into_inner().unwrap()
}

/// Every way to compress, under the name that a client gives it.
type Compressor = fn(&[u8]) -> Vec<u8>;
const COMPRESSORS: [(Encoding, Compressor); 6] = [
    (Encoding::Gzip, gzip),
    (Encoding::Deflate, zlib),
    (Encoding::Deflate, raw_deflate),
    (Encoding::Zstd, zstandard),
    (Encoding::Snappy, snappy),
    (Encoding::Snappy, snappy_framed),
];

fn report() -> Vec<u8> {
    (0..5_000).flat_map(|n| format!("{{\"metric_value\":{n}}},").into_bytes()).collect()
}

fn inflate(encoding: Encoding, input: &[u8], limit: usize) -> Result<Vec<u8>, DecompressError> {
    let mut out = b"of an earlier body".to_vec();
    decompress(encoding, input, &mut out, limit).map(|()| out)
}

#[test]
fn the_names_of_encodings() {
    let check = |header, expected| assert_eq!(Encoding::parse(header).ok(), expected, "{header}");
    check("", Some(Encoding::Identity));
    check("identity", Some(Encoding::Identity));
    check("gzip", Some(Encoding::Gzip));
    check(" GZip ", Some(Encoding::Gzip));
    check("x-gzip", Some(Encoding::Gzip));
    check("deflate", Some(Encoding::Deflate));
    check("zstd", Some(Encoding::Zstd));
    check("snappy", Some(Encoding::Snappy));
    check("br", None);
    check("gzip, gzip", None);
    check("gzip,identity", None);
}

#[test]
fn what_was_compressed_comes_back() {
    for (encoding, compress) in COMPRESSORS {
        for content in [report(), b"{}".to_vec()] {
            assert_eq!(inflate(encoding, &compress(&content), LIMIT), Ok(content), "{encoding:?}");
        }
    }
    assert_eq!(inflate(Encoding::Identity, b"{}", LIMIT), Ok(b"{}".to_vec()));
}

#[test]
fn several_members_are_one_body() {
    for (encoding, compress) in [COMPRESSORS[0], COMPRESSORS[3]] {
        let two = [compress(b"one "), compress(b"two")].concat();
        assert_eq!(inflate(encoding, &two, LIMIT), Ok(b"one two".to_vec()), "{encoding:?}");
    }
}

#[test]
fn the_limit_holds_to_the_byte() {
    let content = report();
    for (encoding, compress) in
        COMPRESSORS.into_iter().chain([(Encoding::Identity, <[u8]>::to_vec as Compressor)])
    {
        let compressed = compress(&content);
        let length = content.len();
        assert!(inflate(encoding, &compressed, length).is_ok(), "{encoding:?}");
        for limit in [length - 1, 100, 0] {
            let refused = Err(DecompressError::TooLarge(limit));
            assert_eq!(inflate(encoding, &compressed, limit), refused, "{encoding:?}");
        }
    }
}

#[test]
fn a_bomb_costs_no_more_than_the_limit() {
    let content = vec![b' '; 64 << 20];
    for (encoding, compress) in COMPRESSORS {
        let bomb = compress(&content);
        let mut out = Vec::new();
        let refused = decompress(encoding, &bomb, &mut out, LIMIT);
        assert_eq!(refused, Err(DecompressError::TooLarge(LIMIT)), "{encoding:?}");
        assert!(out.capacity() <= LIMIT + CHUNK_BYTES, "{encoding:?}: {}", out.capacity());
    }
}

#[test]
fn a_stream_cut_short_is_corrupt() {
    let content = &report()[..500];
    for (encoding, compress) in COMPRESSORS {
        let compressed = compress(content);
        for end in 0..compressed.len() {
            // A framed snappy stream has no end mark: after a whole chunk it may stop.
            let result = inflate(encoding, &compressed[..end], LIMIT);
            let framed = compressed.starts_with(SNAPPY_STREAM_IDENTIFIER);
            if framed && end == SNAPPY_STREAM_IDENTIFIER.len() {
                assert_eq!(result, Ok(Vec::new()));
            } else {
                let corrupt = Err(DecompressError::Corrupt(encoding.as_str()));
                assert_eq!(result, corrupt, "{encoding:?} cut at {end}");
            }
        }
    }
}

#[test]
fn bytes_after_the_stream_are_corrupt() {
    for (encoding, compress) in COMPRESSORS {
        let mut compressed = compress(b"{}");
        compressed.extend_from_slice(b"garbage");
        let corrupt = Err(DecompressError::Corrupt(encoding.as_str()));
        assert_eq!(inflate(encoding, &compressed, LIMIT), corrupt, "{encoding:?}");
    }
}

#[test]
fn a_zstd_window_over_8_mib_is_refused() {
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 3).unwrap();
    encoder.window_log(27).unwrap();
    encoder.write_all(b"{}").unwrap();
    let compressed = encoder.finish().unwrap();
    assert_eq!(inflate(Encoding::Zstd, &compressed, LIMIT), Err(DecompressError::Corrupt("zstd")));
}

proptest::proptest! {
    #[test]
    fn arbitrary_bytes_are_refused_without_panic(
        bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200),
    ) {
        for (encoding, _) in COMPRESSORS {
            if let Ok(content) = inflate(encoding, &bytes, 4_096) {
                assert!(content.len() <= 4_096);
            }
        }
    }
}
