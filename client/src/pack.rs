//! From a document to a report: a key of its own, and compression where that pays.

use std::io::Write;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;

use crate::snapshot::Document;
use crate::transport::{Encoding, Report};

/// Makes reports of documents: a key that nobody else has, and compression where it pays.
#[derive(Debug)]
pub struct Packer {
    instance: String,
    next: u64,
    compress_above: u64,
}

impl Packer {
    /// For one process. `compress_above` is the size in bytes from which on documents are
    /// compressed.
    ///
    /// # Errors
    /// Where the operating system has no random bytes.
    pub fn new(compress_above: u64) -> Result<Self, getrandom::Error> {
        let mut random = [0; 16];
        getrandom::fill(&mut random)?;
        let instance = format!("{:032x}", u128::from_ne_bytes(random));
        Ok(Self { instance, next: 0, compress_above })
    }

    /// The report of a document.
    pub fn pack(&mut self, document: Document) -> Report {
        let key = format!("{}-{}", self.instance, self.next);
        self.next += 1;
        let samples = document.samples;
        if document.body.len() as u64 > self.compress_above
            && let Ok(body) = gzip(&document.body)
        {
            return Report { key, encoding: Encoding::Gzip, body, samples };
        }
        Report { key, encoding: Encoding::Identity, body: document.body.into(), samples }
    }
}

fn gzip(body: &[u8]) -> std::io::Result<Bytes> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 4), Compression::fast());
    encoder.write_all(body)?;
    encoder.finish().map(Bytes::from)
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn large_documents_are_compressed_and_keys_are_never_the_same() {
        let document = |length| Document { body: vec![b'x'; length], samples: 3 };
        let mut packer = Packer::new(100).unwrap();
        let small = packer.pack(document(100));
        assert_eq!((small.encoding, small.samples), (Encoding::Identity, 3));
        assert_eq!(small.body, document(100).body);
        let large = packer.pack(document(101));
        assert_eq!(large.encoding, Encoding::Gzip);
        let mut plain = Vec::new();
        flate2::read::GzDecoder::new(&large.body[..]).read_to_end(&mut plain).unwrap();
        assert_eq!(plain, document(101).body);
        let other = Packer::new(100).unwrap().pack(document(1));
        let keys = [small.key, large.key, other.key];
        assert!(keys[0] != keys[1] && keys[0] != keys[2], "{keys:?}");
        assert!(keys.iter().all(|key| key.len() <= crate::vocabulary::KEY_BYTES_MAX));
    }
}
