//! One connection from its accept to its end.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

use super::front::Front;
use super::head_timer::HeadTimer;
use super::impatience::{Impatient, Limits, Turns};
use crate::access::Remembered;
use crate::shutdown::Stop;

/// Headers of one request.
const HEADERS_MAX: usize = 64;
/// Bytes of one request's head.
const HEAD_BYTES_MAX: usize = 16 << 10;
/// Bytes that hyper buffers of one connection; bodies do not count.
const BUFFER_BYTES_MAX: usize = 64 << 10;

/// How long a client may keep a connection.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionTimes {
    /// Without a request, and for a request's head.
    pub keep_alive: Duration,
    /// For a request's head once it has begun.
    pub head: Duration,
    /// Taking an answer.
    pub answer: Duration,
}

/// Serves requests on `stream` until the client leaves, is slower than `times` allow, or
/// the server stops; then the request in progress is answered first.
pub(super) async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    front: Arc<Front>,
    times: ConnectionTimes,
    mut stop: Stop,
) {
    let turns = Turns::default();
    let limits = Limits { head: times.head, answer: times.answer };
    let stream = Impatient::new(stream, limits, turns.clone());
    let remembered = Remembered::default();
    let handle = service_fn(|request| async {
        turns.next();
        let reply = front.handle(request, &remembered).await;
        turns.next();
        Ok::<_, Infallible>(reply)
    });
    let timer = HeadTimer::new();
    let connection = http1::Builder::new()
        .timer(timer.clone())
        .header_read_timeout(times.keep_alive)
        .max_headers(HEADERS_MAX)
        .max_header_size(HEAD_BYTES_MAX)
        .max_buf_size(BUFFER_BYTES_MAX)
        // Otherwise hyper makes ready to read on while a request is worked on, only to see the client
        // leave; and since that request's bytes are still in its buffer, it takes a new one, for
        // each request. A client that leaves is seen when the answer is written.
        .half_close(true)
        .serve_connection(TokioIo::new(stream), handle);
    let mut connection = pin!(connection);
    let mut due = pin!(timer.due(times.keep_alive));
    let mut stopping = false;
    let ended = loop {
        tokio::select! {
            biased;
            ended = connection.as_mut() => break ended,
            // The next turn polls the connection, which ends itself.
            () = due.as_mut() => due.set(timer.due(times.keep_alive)),
            () = stop.requested(), if !stopping => {
                stopping = true;
                connection.as_mut().graceful_shutdown();
            }
        }
    };
    if let Err(error) = ended {
        // A client that breaks off or speaks no HTTP is no trouble of ours.
        tracing::debug!(%error, "a connection broke");
    }
}
