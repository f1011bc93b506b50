//! One connection from its accept to its end.

use std::convert::Infallible;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

use super::fast_path::{Ended, FastPath};
use super::front::Front;
use super::impatience::{Impatient, Limits, Turns};
use super::request_body::RequestBody;
use super::server::Held;
use crate::access::Remembered;
use crate::shutdown::Stop;

/// Headers of one request.
const HEADERS_MAX: usize = 64;
/// Bytes of one request's head.
const HEAD_BYTES_MAX: usize = 16 << 10;
/// Bytes that hyper buffers of one connection; bodies do not count.
const BUFFER_BYTES_MAX: usize = 64 << 10;

/// Looks in the time of `keep_alive`.
const LOOKS: u32 = 2;

/// How long a client may keep a connection.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionTimes {
    /// Without a request. It is ended at the latest when half as much has passed again.
    pub keep_alive: Duration,
    /// For a request's head once it has begun.
    pub head: Duration,
    /// Taking an answer.
    pub answer: Duration,
}

/// Serves requests on `stream` until the client leaves, is slower than `times` allow, or
/// the server stops; then the request in progress is answered first. `_held` is let go at the end.
pub(super) async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    _held: Held,
    front: Arc<Front>,
    times: ConnectionTimes,
    mut stop: Stop,
) {
    let turns = Turns::default();
    let limits = Limits { head: times.head, answer: times.answer };
    let mut stream = Impatient::new(stream, limits, turns.clone());
    let remembered = Remembered::default();
    let (front, turns, remembered) = (&*front, &turns, &remembered);
    let ended = {
        let stopping = &AtomicBool::new(false);
        let path = FastPath { stream: &mut stream, front, turns, remembered, stopping };
        let served = pin!(path.serve());
        let stops = |_: Pin<&mut _>| stopping.store(true, Ordering::Relaxed);
        while_wanted(served, turns, times.keep_alive, &mut stop, stops).await
    };
    if let Some(Ended::Other(unread)) = ended {
        stream.unread(unread);
        // In a box, for most connections never come here.
        Box::pin(by_hyper(stream, front, turns, remembered, times, stop)).await;
    }
}

/// Serves whatever may come.
async fn by_hyper(
    stream: Impatient<impl AsyncRead + AsyncWrite + Unpin>,
    front: &Front,
    turns: &Turns,
    remembered: &Remembered,
    times: ConnectionTimes,
    mut stop: Stop,
) {
    // The request stays here, and who works on it borrows it: given on, it would take its room in each
    // of their futures, which a connection keeps.
    let handle = service_fn(|request: hyper::Request<Incoming>| async move {
        let mut request = request.map(RequestBody::Incoming);
        turns.next();
        let reply = front.handle(&mut request, remembered).await;
        turns.next();
        Ok::<_, Infallible>(reply)
    });
    let mut http = http1::Builder::new();
    http
        // hyper's own clock would be read several times for each request, see `silence`.
        .header_read_timeout(None)
        .max_headers(HEADERS_MAX)
        .max_header_size(HEAD_BYTES_MAX)
        .max_buf_size(BUFFER_BYTES_MAX)
        // Otherwise hyper makes ready to read on while a request is worked on, only to see the client
        // leave; and since that request's bytes are still in its buffer, it takes a new one, for
        // each request. A client that leaves is seen when the answer is written.
        .half_close(true);
    let connection = pin!(http.serve_connection(TokioIo::new(stream), handle));
    let stops = http1::Connection::graceful_shutdown;
    let ended = while_wanted(connection, turns, times.keep_alive, &mut stop, stops).await;
    if let Some(Err(error)) = ended {
        // A client that breaks off or speaks no HTTP is no trouble of ours.
        tracing::debug!(%error, "a connection broke");
    }
}

/// What comes of `serving`; `None` where no request comes. It is told, by `stops`, when the server stops.
async fn while_wanted<F: Future>(
    mut serving: Pin<&mut F>,
    turns: &Turns,
    keep_alive: Duration,
    stop: &mut Stop,
    stops: impl Fn(Pin<&mut F>),
) -> Option<F::Output> {
    let mut silence = pin!(silence(turns, keep_alive));
    let mut stopping = false;
    loop {
        tokio::select! {
            biased;
            ended = serving.as_mut() => return Some(ended),
            () = silence.as_mut() => return None,
            () = stop.requested(), if !stopping => {
                stopping = true;
                stops(serving.as_mut());
            }
        }
    }
}

/// Resolves when no request has been in progress for `keep_alive`, and before half as much has
/// passed again.
///
/// Who looks now and then whether anything has happened need not note for each request when it
/// did: thousands of times a second that is a clock to be read, and a timer to be kept.
async fn silence(turns: &Turns, keep_alive: Duration) {
    let mut seen = turns.now();
    let mut looks = 0;
    while looks < LOOKS {
        tokio::time::sleep(keep_alive / LOOKS).await;
        let turn = turns.now();
        looks = if turn.is_idle() && turn == seen { looks + 1 } else { 0 };
        seen = turn;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEEP_ALIVE: Duration = Duration::from_secs(100);

    #[tokio::test(start_paused = true)]
    async fn silence_is_noticed_after_keep_alive_and_before_half_as_much_again() {
        let began = tokio::time::Instant::now();
        let turns = Turns::default();
        let silence = silence(&turns, KEEP_ALIVE);
        tokio::pin!(silence);
        let mut pass = async |seconds| {
            tokio::select! {
                biased;
                () = silence.as_mut() => panic!("silent after {:?}", began.elapsed()),
                () = tokio::time::sleep(Duration::from_secs(seconds)) => {}
            }
        };
        pass(99).await;
        turns.next();
        pass(1000).await;
        turns.next();
        let answered = tokio::time::Instant::now();
        pass(99).await;
        silence.await;
        assert!(answered.elapsed() >= KEEP_ALIVE, "{:?}", answered.elapsed());
        assert!(answered.elapsed() <= KEEP_ALIVE * 3 / 2, "{:?}", answered.elapsed());
    }
}
