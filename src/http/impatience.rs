//! Ends a connection whose client keeps it waiting where hyper would wait for ever, or too long: for
//! the rest of a request's head that has begun, and for an answer to be taken.
//!
//! hyper has one limit for a head and the silence before it, which would have to be as long as clients may
//! be silent, and none for writing.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

/// How long a client may keep a connection waiting.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// From the first byte of a request's head to its last.
    pub(super) head: Duration,
    /// From the moment when the client takes no more of an answer until it has taken all of it.
    pub(super) answer: Duration,
}

/// Counts how many times a request was begun or answered on a connection.
#[derive(Clone, Debug, Default)]
pub(super) struct Turns(Arc<AtomicU32>);

/// What was counted at a moment: odd while a request is in progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Turn(u32);

impl Turn {
    /// No request is in progress.
    pub(super) fn is_idle(self) -> bool {
        self.0.is_multiple_of(2)
    }
}

impl Turns {
    /// A request's head is complete, or its answer is decided.
    pub(super) fn next(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn now(&self) -> Turn {
        Turn(self.0.load(Ordering::Relaxed))
    }
}

/// A stream with limits.
pub(super) struct Impatient<S> {
    stream: S,
    /// What was read and given back.
    unread: Bytes,
    limits: Limits,
    turns: Turns,
    /// The turn at which bytes came that belong to a head.
    head_begun: Option<Turn>,
    /// Both timers are made only when there is something to wait for, which there seldom is.
    head_timer: Option<Pin<Box<Sleep>>>,
    answer_timer: Option<Pin<Box<Sleep>>>,
}

impl<S> Impatient<S> {
    /// `turns` must be told of every request on this stream.
    pub(super) fn new(stream: S, limits: Limits, turns: Turns) -> Self {
        Self {
            stream,
            unread: Bytes::new(),
            limits,
            turns,
            head_begun: None,
            head_timer: None,
            answer_timer: None,
        }
    }

    /// Gives bytes back that were read, to be read before all others.
    pub(super) fn unread(&mut self, bytes: Vec<u8>) {
        debug_assert!(self.unread.is_empty(), "bytes are given back once");
        self.unread = bytes.into();
    }

    fn head_came(&mut self, bytes: usize) {
        let turn = self.turns.now();
        if self.head_begun != Some(turn) {
            self.head_begun = (turn.is_idle() && bytes > 0).then_some(turn);
            self.head_timer = None;
        }
    }

    fn wait_for_head(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.head_begun != Some(self.turns.now()) {
            self.head_begun = None;
            self.head_timer = None;
            return Poll::Pending;
        }
        let limit = self.limits.head;
        wait(&mut self.head_timer, limit, cx).map(Err)
    }

    /// Has an operation on the way out wait no longer than the limit.
    fn bounded<T>(
        &mut self,
        cx: &mut Context<'_>,
        polled: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        match polled {
            Poll::Ready(done) => Poll::Ready(done),
            Poll::Pending => wait(&mut self.answer_timer, self.limits.answer, cx).map(Err),
        }
    }
}

fn wait(
    timer: &mut Option<Pin<Box<Sleep>>>,
    limit: Duration,
    cx: &mut Context<'_>,
) -> Poll<io::Error> {
    let timer = timer.get_or_insert_with(|| Box::pin(tokio::time::sleep(limit)));
    timer.as_mut().poll(cx).map(|()| io::ErrorKind::TimedOut.into())
}

impl<S: AsyncRead + Unpin> AsyncRead for Impatient<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let room = buffer.remaining();
        if !self.unread.is_empty() {
            let bytes = room.min(self.unread.len());
            buffer.put_slice(&self.unread.split_to(bytes));
            if self.unread.is_empty() {
                // A part of a buffer keeps all of it.
                self.unread = Bytes::new();
            }
            self.head_came(bytes);
            return Poll::Ready(Ok(()));
        }
        match Pin::new(&mut self.stream).poll_read(cx, buffer) {
            Poll::Ready(done) => {
                self.head_came(room - buffer.remaining());
                Poll::Ready(done)
            }
            Poll::Pending => self.wait_for_head(cx),
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Impatient<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.bounded(cx, polled)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // hyper flushes when it has written all that it has.
        let polled = Pin::new(&mut self.stream).poll_flush(cx);
        if polled.is_ready() {
            self.answer_timer = None;
        }
        self.bounded(cx, polled)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.bounded(cx, polled)
    }

    /// hyper then joins head and body of an answer and has them sent by one plain call, which costs
    /// the kernel a tenth less than the vectored one does.
    fn is_write_vectored(&self) -> bool {
        false
    }
}
