//! The bodies of answers: in one piece, in the pieces in which they are kept, or made as they are
//! taken.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};

use crate::exposition::PageText;

/// A body.
pub(super) struct ReplyBody(Source);

enum Source {
    Whole(Bytes),
    Parts { parts: Arc<[Bytes]>, next: usize, left: u64 },
    Text(Box<PageText>),
}

impl ReplyBody {
    pub(super) fn whole(body: impl Into<Bytes>) -> Self {
        Self(Source::Whole(body.into()))
    }

    /// The parts one behind the other, `bytes` in all.
    pub(super) fn parts(parts: Arc<[Bytes]>, bytes: u64) -> Self {
        Self(Source::Parts { parts, next: 0, left: bytes })
    }

    pub(super) fn text(text: PageText) -> Self {
        Self(Source::Text(Box::new(text)))
    }
}

impl Body for ReplyBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let next = match &mut self.0 {
            Source::Whole(bytes) if bytes.is_empty() => None,
            Source::Whole(bytes) => Some(std::mem::take(bytes)),
            Source::Parts { parts, next, left } => {
                let part = parts.get(*next).cloned();
                *next += 1;
                *left -= part.as_ref().map_or(0, |part| part.len() as u64);
                part
            }
            Source::Text(text) => text.next(),
        };
        Poll::Ready(next.map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.size_hint().exact() == Some(0)
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Source::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Source::Parts { left, .. } => SizeHint::with_exact(*left),
            Source::Text(text) => SizeHint::with_exact(text.bytes_left()),
        }
    }
}
