//! HTTP as clients speak it: properly, by ureq, and as they should not, byte by byte.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::{Value, json};
use ureq::http::HeaderMap;
use ureq::{Agent, Body, RequestBuilder, SendBody};

use crate::output::PATIENCE;

/// The path of reports.
pub(crate) const REPORT: &str = "/api/metrics/report";

/// A client that keeps its connections.
#[derive(Clone)]
pub(crate) struct Client {
    agent: Agent,
    base: String,
}

/// An answer, received whole.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Client {
    pub(crate) fn new(address: SocketAddr) -> Self {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(PATIENCE))
            .build();
        Self { agent: config.into(), base: format!("http://{address}") }
    }

    /// `GET`, with everything after the address as `path`.
    pub(crate) fn get(&self, path: &str) -> Answer {
        self.get_with(path, &[])
    }

    pub(crate) fn get_with(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        let request = with(self.agent.get(format!("{}{path}", self.base)), headers);
        Answer::of(request.call().unwrap())
    }

    pub(crate) fn head(&self, path: &str) -> Answer {
        Answer::of(self.agent.head(format!("{}{path}", self.base)).call().unwrap())
    }

    pub(crate) fn delete(&self, path: &str) -> Answer {
        Answer::of(self.agent.delete(format!("{}{path}", self.base)).call().unwrap())
    }

    /// `POST` of a report; headers given here win over the usual content type.
    pub(crate) fn post(&self, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        self.try_post(headers, body).unwrap()
    }

    /// The same where the server may not answer.
    pub(crate) fn try_post(
        &self,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<Answer, ureq::Error> {
        let mut request = with(self.agent.post(format!("{}{REPORT}", self.base)), headers);
        if !headers.iter().any(|(name, _)| *name == "content-type") {
            request = request.header("content-type", "application/json");
        }
        request.send(body).map(Answer::of)
    }

    /// `POST` of JSON to any path.
    pub(crate) fn post_json(&self, path: &str, body: &Value) -> Answer {
        self.post_to(path, body.to_string().as_bytes())
    }

    /// `POST` of what is said to be JSON to any path.
    pub(crate) fn post_to(&self, path: &str, body: &[u8]) -> Answer {
        let request = self.agent.post(format!("{}{path}", self.base));
        Answer::of(request.header("content-type", "application/json").send(body).unwrap())
    }

    /// The same with a header `Authorization`.
    pub(crate) fn post_authorized(&self, path: &str, bearer: &str, body: &[u8]) -> Answer {
        let request = self.agent.post(format!("{}{path}", self.base));
        let headers = [("content-type", "application/json"), ("authorization", bearer)];
        Answer::of(with(request, &headers).send(body).unwrap())
    }

    /// `DELETE` with JSON.
    pub(crate) fn delete_json(&self, path: &str, body: &Value) -> Answer {
        let request = self.agent.delete(format!("{}{path}", self.base)).force_send_body();
        let request = request.header("content-type", "application/json");
        Answer::of(request.send(body.to_string()).unwrap())
    }

    /// `POST` of a body whose length is not told.
    pub(crate) fn post_chunked(&self, mut body: &[u8]) -> Answer {
        let request = self.agent.post(format!("{}{REPORT}", self.base));
        Answer::of(request.send(SendBody::from_reader(&mut body)).unwrap())
    }

    /// Reports, and expects that all of it is taken.
    pub(crate) fn report(&self, report: &Value) -> Value {
        let answer = self.post(&[], &serde_json::to_vec(report).unwrap()).ok();
        assert_eq!(answer["durable"], true, "{answer}");
        assert_eq!(answer["metrics_rejected"], Value::Null, "{answer}");
        answer
    }

    /// The answer to a query.
    pub(crate) fn query(&self, parameters: &[(&str, &str)]) -> Value {
        self.try_query(parameters).ok()
    }

    /// The same where the query may be refused.
    pub(crate) fn try_query(&self, parameters: &[(&str, &str)]) -> Answer {
        let request = self.agent.get(format!("{}/api/metrics/query", self.base));
        let request = request.query_pairs(parameters.iter().copied());
        Answer::of(request.call().unwrap())
    }

    /// The samples of a component, newest first.
    pub(crate) fn samples_of(&self, component: &str) -> Vec<Value> {
        let mut answer = self.query(&[("component_name", component)]);
        match answer["metrics"].take() {
            Value::Array(samples) => samples,
            other => panic!("metrics is {other}"),
        }
    }
}

fn with<B>(mut request: RequestBuilder<B>, headers: &[(&str, &str)]) -> RequestBuilder<B> {
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request
}

impl Answer {
    fn of(response: ureq::http::Response<Body>) -> Self {
        let (head, mut body) = response.into_parts();
        let body = body.with_config().limit(1 << 30).read_to_vec().unwrap();
        Self { status: head.status.as_u16(), headers: head.headers, body }
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&self.body)))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// The JSON of a 200.
    pub(crate) fn ok(&self) -> Value {
        assert_eq!(self.status, 200, "{}", String::from_utf8_lossy(&self.body));
        self.json()
    }

    /// The code of an error, which has to have the shape of all errors.
    pub(crate) fn error(&self, status: u16) -> String {
        let shown = String::from_utf8_lossy(&self.body);
        assert_eq!(self.status, status, "{shown}");
        assert_eq!(self.header("content-type"), Some("application/json"), "{shown}");
        let error = self.json();
        assert_eq!(error["status"], "error", "{shown}");
        assert!(error["detail"].as_str().is_some_and(|detail| detail.len() > 10), "{shown}");
        let passes = matches!(status, 429 | 503);
        assert_eq!(self.header("retry-after").is_some(), passes, "{shown}");
        error["error"].as_str().expect("an error has a code").to_owned()
    }
}

/// A report of one gauge `value` for each of `values`, a second apart from 2024-01-01T12:00:00Z.
pub(crate) fn gauges(component: &str, name: &str, values: &[f64]) -> Value {
    let metric = |(second, value): (usize, &f64)| {
        json!({"metric_name": name, "metric_type": "gauge", "metric_value": value,
               "timestamp": 1_704_110_400 + second})
    };
    let metrics: Vec<_> = values.iter().enumerate().map(metric).collect();
    json!({"component_name": component, "component_type": "worker_pool", "metrics": metrics})
}

/// A connection without a client around it.
pub(crate) struct Raw(TcpStream);

impl Raw {
    pub(crate) fn open(address: SocketAddr) -> Self {
        Self::of(TcpStream::connect(address).unwrap())
    }

    pub(crate) fn of(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Self(stream)
    }

    /// Sends all of it, or as much as the server lets come.
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        match self.0.write_all(bytes.as_ref()) {
            Err(error)
                if matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset) => {}
            sent => sent.unwrap(),
        }
    }

    /// Sends all of it; `false` when the server has ended the connection or lets nothing come.
    pub(crate) fn sends(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.0.write_all(bytes.as_ref()).is_ok()
    }

    /// Says that nothing more will be sent.
    pub(crate) fn finish(&self) {
        self.0.shutdown(Shutdown::Write).unwrap();
    }

    /// Reads one answer: its head and its body.
    pub(crate) fn answer(&mut self) -> (String, Vec<u8>) {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            self.0.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
        self.0.read_exact(&mut body).unwrap();
        (head, body)
    }

    /// Whether the server has closed the connection, without a word, when `within` is over.
    pub(crate) fn is_closed(&mut self, within: Duration) -> bool {
        self.0.set_read_timeout(Some(within)).unwrap();
        match self.0.read(&mut [0]) {
            Ok(0) => true,
            Ok(_) => panic!("the server said something"),
            Err(error) => error.kind() == ErrorKind::ConnectionReset,
        }
    }
}
