//! The bytes of a spooled report.

use bytes::Bytes;
use flate2::Crc;

use super::Damage;
use crate::transport::{Encoding, Report};

const MAGIC: &[u8; 4] = b"NMSP";
const VERSION: u8 = 1;
/// Magic, version, encoding, length of the key, samples, length of the body, checksum.
const HEAD_BYTES: usize = 4 + 1 + 1 + 2 + 4 + 4 + 4;
const CHECKSUM_AT: usize = HEAD_BYTES - 4;

/// The file of a report.
pub(crate) fn encode(report: &Report) -> Vec<u8> {
    let mut file = Vec::with_capacity(HEAD_BYTES + report.key.len() + report.body.len());
    file.extend_from_slice(MAGIC);
    file.push(VERSION);
    file.push(match report.encoding {
        Encoding::Identity => 0,
        Encoding::Gzip => 1,
    });
    // Keys have 128 bytes at most and bodies about a mebibyte.
    file.extend_from_slice(&(report.key.len() as u16).to_le_bytes());
    file.extend_from_slice(&report.samples.to_le_bytes());
    file.extend_from_slice(&(report.body.len() as u32).to_le_bytes());
    file.extend_from_slice(&[0; 4]);
    file.extend_from_slice(report.key.as_bytes());
    file.extend_from_slice(&report.body);
    let checksum = checksum_of(&file);
    file[CHECKSUM_AT..HEAD_BYTES].copy_from_slice(&checksum.to_le_bytes());
    file
}

/// The report of a file.
pub(crate) fn decode(file: &[u8]) -> Result<Report, Damage> {
    let head = file.first_chunk::<HEAD_BYTES>().ok_or(Damage::Cut)?;
    if &head[..4] != MAGIC {
        return Err(Damage::Cut);
    }
    if head[4] != VERSION {
        return Err(Damage::Version);
    }
    let key_length = usize::from(u16::from_le_bytes([head[6], head[7]]));
    let word = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    let body_at = HEAD_BYTES + key_length;
    if file.len() != body_at + word(12) as usize {
        return Err(Damage::Cut);
    }
    if checksum_of(file) != word(CHECKSUM_AT) {
        return Err(Damage::Checksum);
    }
    let encoding = match head[5] {
        0 => Encoding::Identity,
        1 => Encoding::Gzip,
        _ => return Err(Damage::Version),
    };
    let key = String::from_utf8(file[HEAD_BYTES..body_at].to_vec()).map_err(|_| Damage::Cut)?;
    let body = Bytes::copy_from_slice(&file[body_at..]);
    Ok(Report { key, encoding, body, samples: word(8) })
}

/// CRC-32 (that of gzip) of all but the checksum's own place.
fn checksum_of(file: &[u8]) -> u32 {
    let mut crc = Crc::new();
    crc.update(&file[..CHECKSUM_AT]);
    crc.update(&file[HEAD_BYTES..]);
    crc.sum()
}
