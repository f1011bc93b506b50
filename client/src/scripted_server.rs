//! A server that answers what a test says, and remembers what it was sent.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::settings::ServerUrl;

/// A request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub(crate) line: String,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Received {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value).next()
    }
}

/// What the server does with a request.
#[derive(Clone, Debug)]
pub(crate) enum Reaction {
    /// Answers these bytes.
    Answer(String),
    /// Closes the connection without a word.
    Close,
    /// Says nothing.
    Hang,
}

/// An answer of the contract.
pub(crate) fn answer(status: &str, headers: &str, body: &str) -> Reaction {
    let length = body.len();
    Reaction::Answer(format!(
        "HTTP/1.1 {status}\r\n{headers}content-length: {length}\r\n\r\n{body}"
    ))
}

/// A report was taken.
pub(crate) fn taken() -> Reaction {
    answer("200 OK", "", r#"{"status":"ok","runtime_id":1,"metrics_inserted":1,"durable":true}"#)
}

type React = dyn Fn(&Received) -> Reaction + Send + Sync;

/// The server; it ends with the test's runtime.
pub(crate) struct ScriptedServer {
    pub(crate) url: ServerUrl,
    received: UnboundedReceiver<Received>,
    pub(crate) connections: Arc<Mutex<u32>>,
}

impl ScriptedServer {
    pub(crate) async fn start(
        react: impl Fn(&Received) -> Reaction + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
        let (sender, received) = unbounded_channel();
        let react: Arc<React> = Arc::new(react);
        let connections = Arc::new(Mutex::new(0));
        let count = Arc::clone(&connections);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                *count.lock().unwrap() += 1;
                tokio::spawn(serve(stream, Arc::clone(&react), sender.clone()));
            }
        });
        Self { url, received, connections }
    }

    /// The next request.
    pub(crate) async fn next(&mut self) -> Received {
        self.received.recv().await.unwrap()
    }

    /// The next request to that path.
    pub(crate) async fn next_to(&mut self, path: &str) -> Received {
        loop {
            let received = self.next().await;
            if received.line.split(' ').nth(1) == Some(path) {
                return received;
            }
        }
    }
}

async fn serve(mut stream: TcpStream, react: Arc<React>, sender: UnboundedSender<Received>) {
    let mut bytes = Vec::new();
    loop {
        let end = loop {
            if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
                break at;
            }
            let mut more = [0; 4096];
            match stream.read(&mut more).await {
                Ok(read) if read > 0 => bytes.extend_from_slice(&more[..read]),
                _ => return,
            }
        };
        let text = String::from_utf8(bytes[..end].to_vec()).unwrap();
        let (line, head) = text.split_once("\r\n").unwrap();
        let mut received =
            Received { line: line.to_owned(), head: head.to_owned(), body: Vec::new() };
        let length: usize = received.header("content-length").map_or(0, |l| l.parse().unwrap());
        bytes.drain(..end + 4);
        while bytes.len() < length {
            let mut more = [0; 4096];
            let read = stream.read(&mut more).await.unwrap();
            bytes.extend_from_slice(&more[..read]);
        }
        received.body = bytes.drain(..length).collect();
        let reaction = react(&received);
        drop(sender.send(received));
        match reaction {
            Reaction::Answer(text) => stream.write_all(text.as_bytes()).await.unwrap(),
            Reaction::Close => return,
            Reaction::Hang => std::future::pending().await,
        }
    }
}
