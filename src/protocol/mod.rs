//! The formats on the wire: reports in, answers out.
//!
//! Owns the decoder of reports ([`report`]), the forms of a timestamp ([`timestamp`]), the lines
//! of an NDJSON body ([`ndjson`]), the bodies of the registry's calls ([`runtime`]), content encodings ([`compression`]) and the JSON of the
//! answers ([`answer`]). Guarantees that no input panics, that every buffer is bounded and that
//! decoding a metric allocates nothing once the buffers are warm. Refuses to know sockets,
//! files and clocks: bytes come in, bytes and samples go out, and `now` is a parameter.

pub mod answer;
pub mod compression;
pub mod ndjson;
pub mod parameters;
mod quoted;
pub mod report;
pub mod runtime;
pub mod timestamp;

pub use compression::{DecompressError, Encoding, UnsupportedEncoding, decompress};
pub(crate) use quoted::Quoted;
pub use report::{
    ComponentRef, DecodeSettings, DecodedReport, Form, OUTLINE_DOCUMENT_BYTES_MAX, Outline,
    Reading, ReportDecoder, ReportError,
};
