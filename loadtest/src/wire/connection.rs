//! One keep-alive connection, and a plain GET for a server's own pages.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::wire::Target;
use crate::wire::response::{Head, Parsed, parse};

/// An answer to a report is far smaller; an error text may be longer.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// A server's own page, such as `/metrics`, is at most so long.
const PAGE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// An open connection with no request under way.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
    filled: usize,
}

impl Connection {
    /// Connects within `limit`.
    pub(crate) async fn open(target: &Target, limit: Duration) -> io::Result<Self> {
        let stream = timeout(limit, TcpStream::connect(target.authority())).await??;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: vec![0; 4096], filled: 0 })
    }

    /// Sends one request and reads its answer, both within `limit`. After an error nobody knows
    /// what the server has taken, and the connection must be dropped.
    pub(crate) async fn exchange(&mut self, request: &[u8], limit: Duration) -> io::Result<Head> {
        timeout(limit, self.exchange_unbounded(request)).await?
    }

    /// The body of an answer that `exchange` returned last.
    pub(crate) fn body(&self, head: &Head) -> &[u8] {
        &self.buffer[head.body.clone()]
    }

    async fn exchange_unbounded(&mut self, request: &[u8]) -> io::Result<Head> {
        self.filled = 0;
        self.stream.write_all(request).await?;
        loop {
            if self.filled == self.buffer.len() {
                if self.filled >= ANSWER_BYTES_MAX {
                    return Err(invalid("the answer is longer than 64 KiB".to_owned()));
                }
                self.buffer.resize(self.filled * 2, 0);
            }
            let read = self.stream.read(&mut self.buffer[self.filled..]).await?;
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.filled += read;
            if let Parsed::Complete(head) = parse(&self.buffer[..self.filled]).map_err(invalid)? {
                return Ok(head);
            }
        }
    }
}

fn invalid(reason: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}

/// Status and body of a page. Asks in HTTP/1.0, so that the body ends with the connection and no
/// server sends it in chunks.
pub(crate) async fn get(target: &Target, path: &str, limit: Duration) -> io::Result<(u16, String)> {
    timeout(limit, async {
        let mut stream = TcpStream::connect(target.authority()).await?;
        let request = format!(
            "GET {}{path} HTTP/1.0\r\nhost: {}\r\nconnection: close\r\n\r\n",
            target.base_path(),
            target.authority()
        );
        stream.write_all(request.as_bytes()).await?;
        let mut page = Vec::new();
        stream.take(PAGE_BYTES_MAX).read_to_end(&mut page).await?;
        let page = String::from_utf8_lossy(&page);
        let (head, body) =
            page.split_once("\r\n\r\n").ok_or_else(|| invalid("not HTTP".to_owned()))?;
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
        let status = status.ok_or_else(|| invalid(format!("no status in '{head}'")))?;
        Ok((status, body.to_owned()))
    })
    .await?
}
