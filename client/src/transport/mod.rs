//! One connection to the server, and what its answers ask for.
//!
//! Guarantees that every request ends within its timeout, and that no answer, however long or odd,
//! is more than an outcome. Refuses to know when to try again: that is the caller's, by [`Backoff`].

mod answer;
mod backoff;
#[cfg(feature = "tls")]
mod tls;
#[cfg(not(feature = "tls"))]
#[path = "without_tls.rs"]
mod tls;

use std::error::Error;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{
    AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, DATE, HOST, RETRY_AFTER, USER_AGENT,
};
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;

pub use answer::{Answer, Outcome, Rejects};
pub use backoff::Backoff;
use tls::Tls;
pub use tls::TlsError;

use crate::settings::{ServerUrl, Settings, Token};
use crate::vocabulary::REPORT_PATH;

/// Bytes of an answer that are looked at.
const ANSWER_BYTES_MAX: usize = 1 << 20;

/// Why there is no answer: the request may have arrived, or not.
#[derive(Debug, thiserror::Error)]
pub enum NoAnswer {
    /// The server does not take connections.
    #[error("connect to {server}: {source}")]
    Connect {
        /// The server.
        server: String,
        /// What the operating system says.
        source: std::io::Error,
    },
    /// TLS does not come about.
    #[error("speak TLS with {server}: {source}")]
    Tls {
        /// The server.
        server: String,
        /// What went wrong.
        source: std::io::Error,
    },
    /// One of the two does not trust the other's certificate. That does not pass by itself.
    #[error("agree with {server} on certificates: {problem}")]
    Certificate {
        /// The server.
        server: String,
        /// What is wrong with which.
        problem: String,
    },
    /// The connection broke.
    #[error("speak to {server}: {}", with_causes(source))]
    Broken {
        /// The server.
        server: String,
        /// What broke.
        source: hyper::Error,
    },
    /// The answer's body cannot be read, or is too long.
    #[error("read the answer of {server}: {source}")]
    Body {
        /// The server.
        server: String,
        /// What is wrong with it.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// It took too long.
    #[error("{server} did not answer within {timeout:?}")]
    TimedOut {
        /// The server.
        server: String,
        /// How long was waited.
        timeout: Duration,
    },
    /// What was to be sent is no request.
    #[error("make a request for {server}: {source}")]
    Request {
        /// The server.
        server: String,
        /// What is wrong with it.
        source: hyper::http::Error,
    },
}

/// The body of a report with what identifies it. Each attempt sends the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The idempotency key.
    pub key: String,
    /// Whether the body is compressed.
    pub encoding: Encoding,
    /// The bytes as they are sent.
    pub body: Bytes,
    /// How many samples they hold.
    pub samples: u32,
}

/// How a body is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// Not at all.
    Identity,
    /// By gzip.
    Gzip,
}

/// Speaks to one server, one request at a time.
#[derive(Debug)]
pub struct Transport {
    server: ServerUrl,
    tls: Option<Tls>,
    token: Option<Token>,
    token_file: Option<PathBuf>,
    timeout: Duration,
    connection: Option<Connection>,
}

#[derive(Debug)]
struct Connection {
    sender: SendRequest<Full<Bytes>>,
    driver: JoinHandle<()>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Transport {
    /// To the server of the settings, as they say; a request may take as long as `timeout`.
    /// Nothing is connected before the first one.
    ///
    /// # Errors
    /// Where the files of TLS cannot be used.
    pub fn new(settings: &Settings, timeout: Duration) -> Result<Self, TlsError> {
        let server = settings.server_url.clone();
        let tls = Tls::to(&server, &settings.tls)?;
        let (token, token_file) = (settings.token.clone(), settings.token_file.clone());
        Ok(Self { server, tls, token, token_file, timeout, connection: None })
    }

    /// Sends a report.
    ///
    /// # Errors
    /// Where there is no answer. The report may have been taken; sent again, it is not doubled.
    pub async fn report(&mut self, report: &Report) -> Result<Answer, NoAnswer> {
        let request = || {
            let request = Request::builder().header("idempotency-key", &report.key);
            match report.encoding {
                Encoding::Identity => request,
                Encoding::Gzip => request.header(CONTENT_ENCODING, "gzip"),
            }
        };
        self.send(request, &Method::POST, REPORT_PATH, report.body.clone()).await
    }

    /// Sends JSON.
    ///
    /// # Errors
    /// Where there is no answer.
    pub async fn json(
        &mut self,
        method: Method,
        path: &str,
        body: &serde_json::Value,
    ) -> Result<Answer, NoAnswer> {
        self.send(Request::builder, &method, path, body.to_string().into()).await
    }

    /// Sends a request, and again where the token was refused and its file has another by now.
    async fn send(
        &mut self,
        request: impl Fn() -> hyper::http::request::Builder,
        method: &Method,
        path: &str,
        body: Bytes,
    ) -> Result<Answer, NoAnswer> {
        let answer = self.send_once(request(), method, path, body.clone()).await?;
        if matches!(answer.status, 401 | 403) && self.has_another_token().await {
            return self.send_once(request(), method, path, body).await;
        }
        Ok(answer)
    }

    /// Reads the token again. A file that is away or in the middle of its replacement changes
    /// nothing.
    async fn has_another_token(&mut self) -> bool {
        let Some(file) = self.token_file.clone() else { return false };
        let read = tokio::task::spawn_blocking(move || Token::read(&file).ok()).await;
        match read.unwrap_or_default() {
            Some(token) if self.token.as_ref() != Some(&token) => {
                self.token = Some(token);
                true
            }
            _ => false,
        }
    }

    async fn send_once(
        &mut self,
        request: hyper::http::request::Builder,
        method: &Method,
        path: &str,
        body: Bytes,
    ) -> Result<Answer, NoAnswer> {
        let request = match &self.token {
            Some(token) => request.header(AUTHORIZATION, token.header()),
            None => request,
        };
        let request = request
            .method(method)
            .uri(format!("{}{path}", self.server.path()))
            .header(HOST, self.server.authority())
            .header(USER_AGENT, concat!("noetl-metrics-client/", env!("CARGO_PKG_VERSION")))
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(body))
            .map_err(|source| NoAnswer::Request { server: self.server.to_string(), source })?;
        let (limit, server) = (self.timeout, self.server.to_string());
        // Whatever ends the attempt, a connection in the middle of something is not used again:
        // it is taken out here and put back by a request that is through.
        match timeout(limit, self.exchange(request)).await {
            Ok(answer) => answer,
            Err(_) => Err(NoAnswer::TimedOut { server, timeout: limit }),
        }
    }

    async fn exchange(&mut self, request: Request<Full<Bytes>>) -> Result<Answer, NoAnswer> {
        let server = || self.server.to_string();
        let kept = match self.connection.take() {
            // A connection that the server has closed meanwhile is known by now, mostly.
            Some(mut kept) => kept.sender.ready().await.is_ok().then_some(kept),
            None => None,
        };
        let mut connection = match kept {
            Some(kept) => kept,
            None => self.connect().await?,
        };
        let sent = connection.sender.send_request(request).await;
        let response = sent.map_err(|source| match tls::about_certificates(&source) {
            // By TLS 1.3 a server says what it thinks of a certificate when the request is under way.
            Some(problem) => NoAnswer::Certificate { server: server(), problem },
            None => NoAnswer::Broken { server: server(), source },
        })?;
        let answer =
            read(response).await.map_err(|source| NoAnswer::Body { server: server(), source })?;
        self.connection = Some(connection);
        Ok(answer)
    }

    async fn connect(&self) -> Result<Connection, NoAnswer> {
        let failed = |source| NoAnswer::Connect { server: self.server.to_string(), source };
        let address = (self.server.host(), self.server.port());
        let stream = TcpStream::connect(address).await.map_err(failed)?;
        stream.set_nodelay(true).map_err(failed)?;
        match &self.tls {
            None => self.speak(stream).await,
            Some(tls) => self.speak(tls.connect(stream).await?).await,
        }
    }

    async fn speak(
        &self,
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    ) -> Result<Connection, NoAnswer> {
        let (sender, connection) = handshake(TokioIo::new(stream))
            .await
            .map_err(|source| NoAnswer::Broken { server: self.server.to_string(), source })?;
        // What goes wrong with it, the request under way is told.
        let driver = tokio::spawn(async move { drop(connection.await) });
        Ok(Connection { sender, driver })
    }
}

/// An error with what is behind it: hyper's own words are `connection error`.
fn with_causes(error: &hyper::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text += &format!(": {cause}");
        next = cause.source();
    }
    text
}

async fn read(
    response: Response<Incoming>,
) -> Result<Answer, Box<dyn std::error::Error + Send + Sync>> {
    let (head, body) = response.into_parts();
    let text = |name| {
        head.headers.get(name).and_then(|value: &hyper::header::HeaderValue| value.to_str().ok())
    };
    let retry_after = text(RETRY_AFTER).and_then(|seconds| seconds.trim().parse().ok());
    let server_time = text(DATE).and_then(|date| httpdate::parse_http_date(date).ok());
    let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await?.to_bytes();
    Ok(Answer {
        status: head.status.as_u16(),
        retry_after: retry_after.map(Duration::from_secs),
        ahead_s: server_time.map(|server| seconds_between(server, SystemTime::now())),
        body,
    })
}

/// How many seconds `later` is after `earlier`, less than nothing where it is before it.
fn seconds_between(earlier: SystemTime, later: SystemTime) -> f64 {
    match later.duration_since(earlier) {
        Ok(ahead) => ahead.as_secs_f64(),
        Err(behind) => -behind.duration().as_secs_f64(),
    }
}

#[cfg(test)]
mod tests;
