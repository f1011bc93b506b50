//! The way of most requests: those that are here whole by the time they are looked at.
//!
//! A worker sends the same kind of request over one connection for months, and each costs more in parsing
//! and building what HTTP can be than in what the report is. So a connection begins here: a request is
//! read into memory of the thread and told by its bytes. A plain report is in the log within the same poll; another
//! plain request meets the handlers that it would meet by hyper. The answer is one piece. What a connection
//! keeps between two requests is a socket and two timers. Anything else that comes, and what takes
//! longer than a second to come, is hyper's, with all that follows on the connection. See
//! docs/decisions/0016.

mod request;
mod response;
mod taken;
mod unread;

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use hyper::{StatusCode, header};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadBuf};

use super::front::Front;
use super::impatience::{Impatient, Turns};
use super::reply::Refusal;
use super::request_body::Request;
use crate::access::Remembered;
use crate::telemetry::Route;
pub use request::{Missing, Parsed, PlainRequest};
use response::Connection;
use taken::Taken;
use unread::Unread;

/// A list of all components may be longer, once.
const OUTPUT_BYTES_KEPT: usize = 64 << 10;

thread_local! {
    /// Where all connections of a thread read to, so that none keeps a buffer.
    static INPUT: RefCell<Box<[u8]>> = RefCell::new(vec![0; request::BYTES_MAX].into());
    /// Where their answers are put together.
    static OUTPUT: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// How the fast path of a connection ends.
pub(super) enum Ended {
    /// With the connection.
    Over,
    /// With these bytes, which are not for it.
    Other(Vec<u8>),
}

/// A connection on its fast path.
pub(super) struct FastPath<'a, S> {
    pub(super) stream: &'a mut Impatient<S>,
    pub(super) front: &'a Front,
    pub(super) turns: &'a Turns,
    pub(super) remembered: &'a Remembered,
    /// The request in progress is the last one.
    pub(super) stopping: &'a AtomicBool,
}

/// What there is to do next.
enum Step<'a> {
    /// Answer a report.
    Answer(Taken<'a>),
    /// Have another request handled.
    Handle(Box<Request>),
    End(Ended),
}

/// What bytes are.
enum Seen<'a> {
    /// Begun by a request of so many bytes, with which this is to be done.
    Request(usize, Step<'a>),
    /// A part of one.
    More(Missing),
    Other,
}

impl<'a, S: AsyncRead + AsyncWrite + Unpin> FastPath<'a, S> {
    /// Serves plain requests until something else comes, or the end.
    pub(super) async fn serve(mut self) -> Ended {
        let mut unread = Unread::default();
        loop {
            let answered = match poll_fn(|cx| self.poll_step(cx, &mut unread)).await {
                Step::End(ended) => return ended,
                Step::Answer(taken) => self.answer(taken).await,
                Step::Handle(mut request) => {
                    let handled = self.front.handle(&mut request, self.remembered);
                    let reply = Box::pin(handled).await;
                    self.send(Err(Box::new(reply))).await
                }
            };
            self.turns.next();
            match answered {
                Ok(Connection::Stays) => {}
                Ok(Connection::Ends) | Err(_) => return Ended::Over,
            }
        }
    }

    fn poll_step(&mut self, cx: &mut Context<'_>, unread: &mut Unread) -> Poll<Step<'a>> {
        loop {
            if let Some(news) = unread.news() {
                let seen = self.look(news);
                if let Some(step) = self.follow(seen, unread) {
                    return Poll::Ready(step);
                }
            }
            match INPUT.with_borrow_mut(|input| self.poll_read(cx, input, unread)) {
                Poll::Ready(Some(step)) => return Poll::Ready(step),
                Poll::Ready(None) => {}
                Poll::Pending => {
                    let stops = self.stopping.load(Ordering::Relaxed);
                    return match stops || unread.poll_patience(cx).is_ready() {
                        true => Poll::Ready(self.end(unread)),
                        false => Poll::Pending,
                    };
                }
            }
        }
    }

    /// Reads once. `None` where all of it is in `unread` now.
    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        input: &mut [u8],
        unread: &mut Unread,
    ) -> Poll<Option<Step<'a>>> {
        let mut input = ReadBuf::new(input);
        if ready!(Pin::new(&mut *self.stream).poll_read(cx, &mut input)).is_err() {
            return Poll::Ready(Some(Step::End(Ended::Over)));
        }
        let bytes = input.filled();
        if bytes.is_empty() {
            return Poll::Ready(Some(self.end(unread)));
        }
        let seen = unread.is_empty().then(|| self.look(bytes));
        let served = if let Some(Seen::Request(served, _)) = seen { served } else { 0 };
        let kept = match &bytes[served..] {
            [] => Ok(()),
            rest => unread.keep(rest, self.front.api().map(|api| &api.bodies)),
        };
        Poll::Ready(match seen {
            Some(Seen::Request(_, step)) => Some(step),
            // Where the budget is exceeded, hyper finds the same and says so.
            _ if kept.is_err() => Some(self.end(unread)),
            Some(seen) => {
                unread.looked_at();
                self.follow(seen, unread)
            }
            None => None,
        })
    }

    fn look(&self, bytes: &[u8]) -> Seen<'a> {
        let front: &'a Front = self.front;
        let api = front.api();
        let body_bytes_max = api.map_or(usize::MAX, |api| api.settings.limits.body_bytes_max);
        let request = match Parsed::of(bytes, body_bytes_max) {
            Parsed::Incomplete(missing) => return Seen::More(missing),
            Parsed::Other => return Seen::Other,
            Parsed::Plain(request) => request,
        };
        self.begin();
        let report = api.filter(|_| request.is_report);
        let taken = report.and_then(|api| Taken::of(api, self.remembered, &request));
        let step = match taken {
            Some(taken) => Step::Answer(taken),
            None => match request.to_request() {
                Some(request) => Step::Handle(Box::new(request)),
                None => return Seen::Other,
            },
        };
        Seen::Request(request.bytes(), step)
    }

    /// What follows for bytes that are in `unread`.
    fn follow(&self, seen: Seen<'a>, unread: &mut Unread) -> Option<Step<'a>> {
        match seen {
            Seen::Request(served, step) => {
                unread.served(served);
                Some(step)
            }
            Seen::More(Missing::Body) => {
                self.begin();
                None
            }
            Seen::More(Missing::Head) => None,
            Seen::Other => Some(self.end(unread)),
        }
    }

    /// A request's head is complete.
    fn begin(&self) {
        if self.turns.now().is_idle() {
            self.turns.next();
        }
    }

    fn end(&self, unread: &mut Unread) -> Step<'a> {
        // Who goes on begins the request again.
        if !self.turns.now().is_idle() {
            self.turns.next();
        }
        Step::End(if unread.is_empty() { Ended::Over } else { Ended::Other(unread.take()) })
    }

    async fn answer(&mut self, taken: Taken<'a>) -> io::Result<Connection> {
        let (api, began) = (taken.api, taken.began);
        let outcome = taken.outcome().await;
        let status = outcome.as_ref().map_or_else(|refusal| refusal.status(), |_| StatusCode::OK);
        let took = began.elapsed().as_secs_f64();
        api.parts.telemetry.http.answered(Route::Report, status.as_u16(), took);
        self.send(outcome).await
    }

    /// Sends a report's answer, or another reply.
    async fn send(&mut self, outcome: Result<Vec<u8>, Refusal>) -> io::Result<Connection> {
        let says_so = |reply: &Refusal| reply.headers().contains_key(header::CONNECTION);
        let ends = self.stopping.load(Ordering::Relaxed) || outcome.as_ref().is_err_and(says_so);
        let connection = if ends { Connection::Ends } else { Connection::Stays };
        let mut outcome = Some(outcome);
        let stream = &mut *self.stream;
        // Nearly always all of it is taken at once.
        let rest = poll_fn(|cx| {
            OUTPUT.with_borrow_mut(|out| {
                match outcome.take() {
                    Some(Ok(answer)) => response::accepted(out, &answer, connection),
                    Some(Err(refusal)) => response::rendered(out, *refusal, connection),
                    None => {}
                }
                let sent = match Pin::new(&mut *stream).poll_write(cx, out) {
                    Poll::Ready(sent) => sent,
                    Poll::Pending => Ok(0),
                };
                let rest = sent.map(|sent| out[sent..].to_vec());
                out.clear();
                out.shrink_to(OUTPUT_BYTES_KEPT);
                Poll::Ready(rest)
            })
        })
        .await?;
        stream.write_all(&rest).await?;
        stream.flush().await?;
        if connection == Connection::Ends {
            stream.shutdown().await?;
        }
        Ok(connection)
    }
}

#[cfg(test)]
mod tests;
