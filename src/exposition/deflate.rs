//! gzip in pieces that are compressed once and strung together again and again.
//!
//! A piece is deflated by itself and ends at a whole byte, so pieces in any order make one deflate
//! stream, and a gzip member (RFC 1952) is that stream between ten bytes and eight. Its checksum
//! comes from those of the pieces. One member, since not every client reads on behind the first.

use std::sync::Arc;

use bytes::Bytes;
use flate2::{Compress, Compression, Crc, Decompress, FlushCompress, FlushDecompress, Status};

/// No name, no time, fastest compression, unknown system.
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 4, 255];
/// An empty last block.
const END: [u8; 2] = [3, 0];
/// Bytes of text that are inflated at a time.
const TEXT_BYTES: usize = 64 << 10;

/// A piece of a page.
#[derive(Clone, Debug)]
pub(super) struct Piece {
    deflated: Bytes,
    crc: Arc<Crc>,
    text_bytes: usize,
}

/// Makes pieces. Kept, for its tables are large.
#[derive(Debug)]
pub(super) struct Deflater {
    compress: Compress,
    buffer: Vec<u8>,
}

impl Default for Deflater {
    fn default() -> Self {
        Self { compress: Compress::new(Compression::fast(), false), buffer: Vec::new() }
    }
}

impl Piece {
    pub(super) fn compressed_bytes(&self) -> usize {
        self.deflated.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.text_bytes == 0
    }
}

impl Deflater {
    pub(super) fn piece(&mut self, text: &[u8]) -> Piece {
        let mut crc = Crc::new();
        crc.update(text);
        self.compress.reset();
        self.buffer.clear();
        let mut taken = 0;
        loop {
            self.buffer.reserve((text.len() - taken) / 4 + 128);
            let before = self.compress.total_in();
            self.compress
                .compress_vec(&text[taken..], &mut self.buffer, FlushCompress::Full)
                .expect("deflating into a Vec cannot fail");
            taken += (self.compress.total_in() - before) as usize;
            // Room that was left says that the flush is complete.
            if taken == text.len() && self.buffer.len() < self.buffer.capacity() {
                break;
            }
        }
        Piece {
            deflated: Bytes::copy_from_slice(&self.buffer),
            crc: Arc::new(crc),
            text_bytes: text.len(),
        }
    }
}

/// A gzip member.
#[derive(Clone, Debug)]
pub(super) struct Gzip {
    parts: Arc<[Bytes]>,
    compressed_bytes: u64,
    text_bytes: u64,
}

impl Gzip {
    /// The pieces' texts one behind the other.
    pub(super) fn of<'a>(pieces: impl Iterator<Item = &'a Piece>) -> Self {
        let mut parts = vec![Bytes::from_static(&HEADER)];
        let mut crc = Crc::new();
        let mut text_bytes = 0;
        for piece in pieces {
            parts.push(piece.deflated.clone());
            crc.combine(&piece.crc);
            text_bytes += piece.text_bytes as u64;
        }
        let mut end = END.to_vec();
        end.extend_from_slice(&crc.sum().to_le_bytes());
        // The format wants the length modulo 2^32.
        end.extend_from_slice(&(text_bytes as u32).to_le_bytes());
        parts.push(end.into());
        let compressed_bytes = parts.iter().map(|part| part.len() as u64).sum();
        Self { parts: parts.into(), compressed_bytes, text_bytes }
    }

    /// Whether both are the same to the byte.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.parts == other.parts
    }

    pub(super) fn parts(&self) -> &Arc<[Bytes]> {
        &self.parts
    }

    pub(super) fn compressed_bytes(&self) -> u64 {
        self.compressed_bytes
    }

    pub(super) fn text_bytes(&self) -> u64 {
        self.text_bytes
    }

    pub(super) fn text(&self) -> PageText {
        PageText {
            parts: Arc::clone(&self.parts),
            part: 1,
            offset: 0,
            left: self.text_bytes,
            decompress: Decompress::new(false),
        }
    }
}

/// The text of a page, inflated as it is taken, so that it is never in memory as a whole.
#[derive(Debug)]
pub struct PageText {
    parts: Arc<[Bytes]>,
    part: usize,
    offset: usize,
    left: u64,
    decompress: Decompress,
}

impl PageText {
    /// Bytes still to come.
    pub fn bytes_left(&self) -> u64 {
        self.left
    }
}

impl Iterator for PageText {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        if self.left == 0 {
            return None;
        }
        let mut text = Vec::with_capacity(TEXT_BYTES.min(self.left as usize));
        while text.len() < text.capacity() {
            let part = self.parts.get(self.part)?;
            let before = self.decompress.total_in();
            let status = self
                .decompress
                .decompress_vec(&part[self.offset..], &mut text, FlushDecompress::None)
                .expect("what this server deflated can be inflated");
            self.offset += (self.decompress.total_in() - before) as usize;
            if self.offset == part.len() {
                (self.part, self.offset) = (self.part + 1, 0);
            }
            if status == Status::StreamEnd {
                break;
            }
        }
        self.left -= text.len() as u64;
        Some(text.into())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn pieces_make_one_gzip_member_in_any_order() {
        let mut deflater = Deflater::default();
        let noise: String =
            (0..90_000_u32).map(|n| format!("{:x} ", n.wrapping_mul(2_654_435_761))).collect();
        let texts = ["", "a 1\n", "b{c=\"d\"} 2\n", &noise, &"long ".repeat(40_000)];
        let pieces = texts.map(|text| deflater.piece(text.as_bytes()));
        for order in [vec![], vec![0], vec![1, 2, 3, 4, 0], vec![4, 3, 3, 2, 1], vec![2]] {
            let expected: String = order.iter().map(|&at: &usize| texts[at]).collect();
            let gzip = Gzip::of(order.iter().map(|&at| &pieces[at]));
            let bytes = gzip.parts().concat();
            assert_eq!(gzip.compressed_bytes(), bytes.len() as u64);
            assert_eq!(gzip.text_bytes(), expected.len() as u64);
            let mut decoder = flate2::bufread::GzDecoder::new(&*bytes);
            let mut inflated = String::new();
            decoder.read_to_string(&mut inflated).unwrap();
            assert!(decoder.into_inner().is_empty(), "nothing stands behind the member");
            assert!(inflated == expected);
            let mut text = gzip.text();
            let taken: Vec<u8> = text.by_ref().flatten().collect();
            assert!(taken == expected.as_bytes());
            assert_eq!(text.bytes_left(), 0);
        }
    }
}
