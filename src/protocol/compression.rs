//! Content encodings of a body.
//!
//! Owns the names in `Content-Encoding` and the inflating. Guarantees that a body costs no more
//! memory than its limit, one chunk and a window of at most 8 MiB, whatever it claims; that a
//! stream which is cut short or followed by other bytes is refused. Refuses to know what the
//! bytes mean.

use std::io::{self, BufRead, Read};

use flate2::bufread::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};

/// How much is inflated between two looks at the limit.
const CHUNK_BYTES: usize = 64 << 10;

/// The largest zstd window, 2^23 bytes: what RFC 8878 recommends that every decoder support.
const ZSTD_WINDOW_LOG_MAX: u32 = 23;

/// The first chunk of snappy's framing format. No raw block begins so: its fourth tag would
/// copy from before the start.
const SNAPPY_STREAM_IDENTIFIER: &[u8] = b"\xff\x06\x00\x00sNaPpY";

/// A content encoding that bodies may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// As it is.
    Identity,
    /// `gzip` or `x-gzip`, one member or several.
    Gzip,
    /// `deflate`: zlib as the RFC says, or raw as some senders understand it.
    Deflate,
    /// `zstd`, one frame or several.
    Zstd,
    /// `snappy`: a raw block, or the framing format.
    Snappy,
}

/// A `Content-Encoding` that is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("send the body with one Content-Encoding of gzip, deflate, zstd or snappy, or with none")]
pub struct UnsupportedEncoding;

impl UnsupportedEncoding {
    /// The stable code in an answer (415).
    pub fn code(&self) -> &'static str {
        "unsupported_encoding"
    }
}

/// Why a body could not be decompressed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecompressError {
    /// The content is longer than the limit.
    #[error("the body is longer than {0} bytes after decompression; send it in parts")]
    TooLarge(usize),
    /// Not a whole stream of that encoding and nothing else.
    #[error("the body is not valid {0}; check that it is sent whole and compressed once")]
    Corrupt(&'static str),
}

impl DecompressError {
    /// The stable code in an answer: 413 for the first, 400 for the second.
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooLarge(_) => "body_too_large",
            Self::Corrupt(_) => "corrupt_body",
        }
    }
}

impl Encoding {
    /// Reads the value of `Content-Encoding`, in any case; an empty one is [`Self::Identity`].
    ///
    /// # Errors
    /// [`UnsupportedEncoding`] for an unknown name or a list of several.
    pub fn parse(header: &str) -> Result<Self, UnsupportedEncoding> {
        let name = header.trim();
        let known = [
            ("", Self::Identity),
            ("identity", Self::Identity),
            ("gzip", Self::Gzip),
            ("x-gzip", Self::Gzip),
            ("deflate", Self::Deflate),
            ("zstd", Self::Zstd),
            ("snappy", Self::Snappy),
        ];
        known
            .into_iter()
            .find_map(|(known, encoding)| known.eq_ignore_ascii_case(name).then_some(encoding))
            .ok_or(UnsupportedEncoding)
    }

    /// The name in `Content-Encoding`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Gzip => "gzip",
            Self::Deflate => "deflate",
            Self::Zstd => "zstd",
            Self::Snappy => "snappy",
        }
    }
}

/// Replaces the content of `out` with the decompressed `input`, at most `limit_bytes` of it.
///
/// # Errors
/// [`DecompressError`]; `out` then holds nothing of use.
pub fn decompress(
    encoding: Encoding,
    input: &[u8],
    out: &mut Vec<u8>,
    limit_bytes: usize,
) -> Result<(), DecompressError> {
    out.clear();
    let inflated = match encoding {
        Encoding::Identity => read_within(input, out, limit_bytes),
        Encoding::Gzip => read_within(MultiGzDecoder::new(input), out, limit_bytes),
        Encoding::Deflate => deflate(input, out, limit_bytes),
        Encoding::Zstd => zstd(input, out, limit_bytes),
        Encoding::Snappy if input.starts_with(SNAPPY_STREAM_IDENTIFIER) => {
            read_within(snap::read::FrameDecoder::new(input), out, limit_bytes)
        }
        Encoding::Snappy => snappy_block(input, out, limit_bytes),
    };
    match inflated {
        Ok(Within::Limit) => Ok(()),
        Ok(Within::Exceeded) => Err(DecompressError::TooLarge(limit_bytes)),
        // The reader is memory, so an I/O error can only be the content's fault.
        Err(_) => Err(DecompressError::Corrupt(encoding.as_str())),
    }
}

/// Whether the content kept within its limit.
enum Within {
    Limit,
    Exceeded,
}

fn deflate(input: &[u8], out: &mut Vec<u8>, limit_bytes: usize) -> io::Result<Within> {
    // RFC 1950: compression method 8, and the two bytes are a multiple of 31.
    let is_zlib = input.first_chunk::<2>().is_some_and(|&header| {
        header[0] & 0x0f == 8 && u16::from_be_bytes(header).is_multiple_of(31)
    });
    if is_zlib {
        let mut decoder = ZlibDecoder::new(input);
        let within = read_within(&mut decoder, out, limit_bytes)?;
        nothing_left(decoder.into_inner(), within)
    } else {
        let mut decoder = DeflateDecoder::new(input);
        let within = read_within(&mut decoder, out, limit_bytes)?;
        nothing_left(decoder.into_inner(), within)
    }
}

fn zstd(input: &[u8], out: &mut Vec<u8>, limit_bytes: usize) -> io::Result<Within> {
    if input.is_empty() {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let mut decoder = zstd::stream::read::Decoder::with_buffer(input)?;
    decoder.window_log_max(ZSTD_WINDOW_LOG_MAX)?;
    read_within(decoder, out, limit_bytes)
}

fn snappy_block(input: &[u8], out: &mut Vec<u8>, limit_bytes: usize) -> io::Result<Within> {
    let claimed = snap::raw::decompress_len(input)?;
    if claimed > limit_bytes {
        return Ok(Within::Exceeded);
    }
    out.resize(claimed, 0);
    snap::raw::Decoder::new().decompress(input, out)?;
    Ok(Within::Limit)
}

/// Reads to the end, or until one byte more than the limit has come.
fn read_within(mut source: impl Read, out: &mut Vec<u8>, limit_bytes: usize) -> io::Result<Within> {
    let enough = limit_bytes.saturating_add(1);
    let mut filled = 0;
    while filled < enough {
        let wanted = filled.saturating_add(CHUNK_BYTES).min(enough);
        if wanted > out.capacity() {
            // Doubling, but never past the limit as the vector's own growth would go.
            let capacity = out.capacity().saturating_mul(2).clamp(wanted, enough.max(wanted));
            out.reserve_exact(capacity - out.len());
        }
        out.resize(wanted, 0);
        match source.read(&mut out[filled..])? {
            0 => {
                out.truncate(filled);
                return Ok(Within::Limit);
            }
            read => filled += read,
        }
    }
    Ok(Within::Exceeded)
}

fn nothing_left(mut rest: impl BufRead, within: Within) -> io::Result<Within> {
    match within {
        Within::Limit if !rest.fill_buf()?.is_empty() => Err(io::ErrorKind::InvalidData.into()),
        within => Ok(within),
    }
}

#[cfg(test)]
#[path = "compression_tests.rs"]
mod tests;
