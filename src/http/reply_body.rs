//! The bodies of answers: in one piece, in the pieces in which they are kept, or made as they are
//! taken.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::Stream;
use hyper::body::{Body, Frame, SizeHint};

use crate::exposition::PageText;

/// A body.
pub(super) struct ReplyBody(Source);

enum Source {
    Whole(Bytes),
    Parts { parts: Arc<[Bytes]>, next: usize, left: u64 },
    Text(Box<PageText>),
    Stream { stream: Pin<Box<dyn Stream<Item = Result<Bytes, Broken>> + Send>>, rest: Bytes },
}

/// Bytes of a frame at most. A frame that is taken shows that the client still reads.
const FRAME_BYTES_MAX: usize = 64 << 10;

/// The rest of a body cannot be made. The connection ends, so that the client sees that it has
/// not got all.
#[derive(Debug, thiserror::Error)]
#[error("the rest of an answer could not be made: {0}")]
pub(super) struct Broken(pub(super) String);

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

    /// The body, where it is in one piece.
    ///
    /// # Panics
    /// Where it is not: see [`super::routes::Handler::answers_whole`].
    pub(super) fn into_whole(self) -> Bytes {
        match self.0 {
            Source::Whole(bytes) => bytes,
            Source::Parts { .. } | Source::Text(_) | Source::Stream { .. } => {
                unreachable!("a call that answers whole does so")
            }
        }
    }

    /// What `stream` yields, asked for as it is taken.
    pub(super) fn stream(
        stream: impl Stream<Item = Result<Bytes, Broken>> + Send + 'static,
    ) -> Self {
        Self(Source::Stream { stream: Box::pin(stream), rest: Bytes::new() })
    }
}

impl Body for ReplyBody {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
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
            Source::Stream { stream, rest } => {
                while rest.is_empty() {
                    match ready!(stream.as_mut().poll_next(cx)) {
                        Some(Ok(bytes)) => *rest = bytes,
                        Some(Err(broken)) => {
                            tracing::warn!(error = %broken, "an answer breaks off");
                            return Poll::Ready(Some(Err(broken)));
                        }
                        None => return Poll::Ready(None),
                    }
                }
                Some(rest.split_to(rest.len().min(FRAME_BYTES_MAX)))
            }
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
            Source::Stream { .. } => SizeHint::default(),
        }
    }
}
