use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, DuplexStream, duplex};
use tokio::task::JoinHandle;

use super::*;
use crate::http::Readiness;
use crate::http::impatience::Limits;
use crate::telemetry::Telemetry;

const REPORT: &str = "POST /api/metrics/report HTTP/1.1\r\ncontent-length: 4\r\n\r\nbody";
const OTHER: &str = "GET /docs HTTP/1.1\r\n\r\n";
const START_WAIT: Duration = Duration::from_secs(5);

/// A connection to a server that has no API, and how its fast path ended.
struct Connected {
    client: DuplexStream,
    turns: Turns,
    stopping: Arc<AtomicBool>,
    served: JoinHandle<Ended>,
}

fn connect() -> Connected {
    let (client, server) = duplex(1 << 20);
    let limits = Limits { head: Duration::from_secs(10), answer: Duration::from_secs(10) };
    let turns = Turns::default();
    let stopping = Arc::new(AtomicBool::new(false));
    let served = tokio::spawn({
        let (turns, stopping) = (turns.clone(), Arc::clone(&stopping));
        async move {
            let mut stream = Impatient::new(server, limits, turns.clone());
            let readiness = Arc::new(Readiness::starting());
            let front = Front::new(readiness, Arc::new(Telemetry::new()));
            let (remembered, stopping) = (&Remembered::default(), &*stopping);
            let (stream, front, turns) = (&mut stream, &front, &turns);
            FastPath { stream, front, turns, remembered, stopping }.serve().await
        }
    });
    Connected { client, turns, stopping, served }
}

impl Connected {
    /// Has the client say something to a server that listens.
    async fn send(&mut self, text: &str) {
        self.client.write_all(text.as_bytes()).await.unwrap();
    }

    /// The bytes that hyper gets, or none where the connection is over.
    async fn ended(self) -> Option<String> {
        let turns = self.turns.clone();
        let ended = self.served.await.unwrap();
        assert!(turns.now().is_idle(), "whoever goes on begins the request");
        match ended {
            Ended::Over => None,
            Ended::Other(bytes) => Some(String::from_utf8(bytes).unwrap()),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_no_report_goes_on_byte_for_byte() {
    let nearly = REPORT.replace("content-length", "expect: 100-continue\r\ncontent-length");
    for text in [OTHER, &nearly] {
        for cut in 0..text.len() {
            let mut connected = connect();
            connected.send(&text[..cut]).await;
            tokio::task::yield_now().await;
            // What has ended by now takes no more.
            let sent = connected.client.write_all(&text.as_bytes()[cut..]).await.is_ok();
            let ended = connected.ended().await.unwrap();
            assert!(!ended.is_empty() && text.starts_with(&ended), "{ended}");
            assert!(ended == text || ended == text[..cut], "{sent}: {ended}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_that_does_not_come_whole_goes_on_after_a_second() {
    for (cut, is_idle) in [(10, true), (REPORT.len() - 4, false), (REPORT.len() - 1, false)] {
        let began = tokio::time::Instant::now();
        let mut connected = connect();
        // Each byte is progress, and does not renew the second.
        for at in 0..cut {
            connected.send(&REPORT[at..=at]).await;
        }
        tokio::time::sleep(Duration::from_millis(999)).await;
        assert!(!connected.served.is_finished());
        assert_eq!(connected.turns.now().is_idle(), is_idle, "{cut} bytes");
        assert_eq!(connected.ended().await.unwrap(), REPORT[..cut]);
        assert!(began.elapsed() < Duration::from_millis(1100), "{:?}", began.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn a_report_to_a_server_that_starts_is_refused_in_the_end_and_the_connection_goes_on() {
    let mut connected = connect();
    connected.send(&[REPORT, REPORT].concat()).await;
    for nth in 0..2 {
        let began = tokio::time::Instant::now();
        let mut answer = Vec::new();
        while !answer.ends_with(b"}") {
            connected.client.read_buf(&mut answer).await.unwrap();
        }
        let answer = String::from_utf8(answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 503 Service Unavailable\r\n"), "{nth}: {answer}");
        assert!(!answer.contains("connection: close"), "{nth}: {answer}");
        assert_eq!(began.elapsed().as_secs(), START_WAIT.as_secs(), "{nth}");
    }
    connected.send(OTHER).await;
    assert_eq!(connected.ended().await.as_deref(), Some(OTHER));
}

#[tokio::test(start_paused = true)]
async fn what_a_server_that_starts_can_tell_it_tells() {
    let mut connected = connect();
    for _ in 0..2 {
        connected.send("GET /health HTTP/1.1\r\n\r\n").await;
        let mut answer = Vec::new();
        while !answer.ends_with(b"}") {
            connected.client.read_buf(&mut answer).await.unwrap();
        }
        assert!(answer.starts_with(b"HTTP/1.1 200 OK\r\n"), "{}", answer.escape_ascii());
    }
    connected.send(OTHER).await;
    assert_eq!(connected.ended().await.as_deref(), Some(OTHER));
}

#[tokio::test(start_paused = true)]
async fn silence_ends_with_the_client_and_half_a_report_is_judged_by_hyper() {
    let mut connected = connect();
    connected.client.shutdown().await.unwrap();
    assert_eq!(connected.ended().await, None);
    let mut connected = connect();
    connected.send(&REPORT[..20]).await;
    connected.client.shutdown().await.unwrap();
    assert_eq!(connected.ended().await.as_deref(), Some(&REPORT[..20]));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_stops_answers_what_has_come_and_says_that_it_was_the_last() {
    let mut connected = connect();
    connected.send(REPORT).await;
    tokio::time::sleep(Duration::from_millis(1)).await;
    connected.stopping.store(true, Ordering::Relaxed);
    let mut answer = String::new();
    connected.client.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    assert!(answer.contains("\r\nconnection: close\r\n"), "{answer}");
    assert_eq!(connected.ended().await, None);
}
