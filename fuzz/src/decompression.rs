//! Decompression: within its limit whatever comes, and the inverse of compression.

use std::io::Write;

use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use noetl_metrics::protocol::{DecompressError, Encoding, decompress};

const ENCODINGS: [Encoding; 5] =
    [Encoding::Identity, Encoding::Gzip, Encoding::Deflate, Encoding::Zstd, Encoding::Snappy];
/// Two limits, which must agree on everything that fits the smaller one.
const LIMITS: [usize; 2] = [1 << 10, 256 << 10];
/// What `out` may take beyond the limit: one chunk, and what a growing vector rounds up.
const SLACK_BYTES: usize = 128 << 10;

/// The bytes as a body of each encoding, and as the content of one.
pub(super) fn run(bytes: &[u8]) {
    for encoding in ENCODINGS {
        let [small, large] = LIMITS.map(|limit| inflate(encoding, bytes, limit));
        match (small, large) {
            (Ok(small), large) => assert_eq!(Ok(small), large, "{encoding:?}"),
            (Err(DecompressError::TooLarge(_)), Ok(large)) => {
                assert!(large.len() > LIMITS[0], "{encoding:?}: {} bytes fit", large.len());
            }
            // Too long for the small limit, and broken further on.
            (Err(DecompressError::TooLarge(_)), Err(_)) => {}
            (Err(DecompressError::Corrupt(_)), large) => {
                assert!(large.is_err(), "{encoding:?}: a larger limit makes no body of it");
            }
        }
    }
    let plain = &bytes[..bytes.len().min(LIMITS[1])];
    if plain.is_empty() {
        // The encoder of snappy's frames writes nothing at all then, which is no body.
        return;
    }
    for (encoding, body) in compressed(plain) {
        let inflated = inflate(encoding, &body, LIMITS[1]);
        assert_eq!(inflated.as_deref(), Ok(plain), "{encoding:?}");
        // Cut short, a stream is no stream; a raw snappy block says how long it is.
        if let Some(cut) = body.split_last().map(|(_, cut)| cut)
            && let Ok(inflated) = inflate(encoding, cut, LIMITS[1])
        {
            assert!(inflated != plain, "{encoding:?}: cut and still whole");
        }
    }
}

fn inflate(encoding: Encoding, body: &[u8], limit: usize) -> Result<Vec<u8>, DecompressError> {
    let mut out = vec![7; 3];
    decompress(encoding, body, &mut out, limit)?;
    assert!(out.len() <= limit, "{encoding:?} exceeds its limit");
    assert!(out.capacity() <= 2 * limit + SLACK_BYTES, "{encoding:?} takes {}", out.capacity());
    Ok(out)
}

fn compressed(plain: &[u8]) -> Vec<(Encoding, Vec<u8>)> {
    const MEMORY: &str = "memory is written without error";
    let level = Compression::fast();
    let mut gzip = GzEncoder::new(Vec::new(), level);
    let mut zlib = ZlibEncoder::new(Vec::new(), level);
    let mut raw = DeflateEncoder::new(Vec::new(), level);
    let mut frames = snap::write::FrameEncoder::new(Vec::new());
    let encoders: [&mut dyn Write; 4] = [&mut gzip, &mut zlib, &mut raw, &mut frames];
    for encoder in encoders {
        encoder.write_all(plain).expect(MEMORY);
    }
    vec![
        (Encoding::Gzip, gzip.finish().expect(MEMORY)),
        (Encoding::Deflate, zlib.finish().expect(MEMORY)),
        (Encoding::Deflate, raw.finish().expect(MEMORY)),
        (Encoding::Zstd, zstd::bulk::compress(plain, 1).expect(MEMORY)),
        (Encoding::Snappy, snap::raw::Encoder::new().compress_vec(plain).expect(MEMORY)),
        (Encoding::Snappy, frames.into_inner().expect(MEMORY)),
    ]
}
