//! Receives bodies: each within a limit and a deadline, all of them within a budget.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::FutureExt;
use http_body_util::BodyExt;
use hyper::body::Body;

use super::request_body::RequestBody;

/// Bytes of bodies that are being received or worked on, over all connections.
#[derive(Debug)]
pub(super) struct BodyBudget {
    used: AtomicUsize,
    limit: usize,
}

/// A body, and its share of the budget while it lives.
#[derive(Debug)]
pub(super) struct Received {
    pub(super) bytes: Bytes,
    share: Share,
}

impl Received {
    /// Puts what the body became by decompression in its place. Both have been in memory for a
    /// moment, so both count until this is dropped.
    pub(super) fn replace(&mut self, plain: Vec<u8>) -> Result<(), BodyError> {
        self.share.grow(plain.len())?;
        self.bytes = plain.into();
        Ok(())
    }
}

impl AsRef<[u8]> for Received {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// What one body takes of the budget.
#[derive(Debug)]
pub(super) struct Share {
    budget: Arc<BodyBudget>,
    bytes: usize,
}

/// Why a body was not received.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum BodyError {
    /// Longer than a body may be.
    #[error("the body is longer than {limit} bytes; send it in parts")]
    TooLarge { limit: usize },
    /// The bodies of all connections together use their budget up.
    #[error("the server is receiving as many bytes as it may hold; try again in a moment")]
    OverBudget,
    /// It did not arrive in time.
    #[error("the body did not arrive within {seconds} s; send it faster, or in parts")]
    TooSlow { seconds: u64 },
    /// The connection broke, or the framing is wrong.
    #[error("the body did not arrive whole: {0}")]
    Broken(String),
}

impl BodyBudget {
    pub(super) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { used: AtomicUsize::new(0), limit })
    }
}

impl Share {
    pub(super) fn new(budget: &Arc<BodyBudget>) -> Self {
        Self { budget: Arc::clone(budget), bytes: 0 }
    }

    /// Takes so many bytes more, and has them where the budget is exceeded, too.
    pub(super) fn grow(&mut self, bytes: usize) -> Result<(), BodyError> {
        let before = self.budget.used.fetch_add(bytes, Ordering::Relaxed);
        self.bytes += bytes;
        if before + bytes > self.budget.limit { Err(BodyError::OverBudget) } else { Ok(()) }
    }

    /// Gives so many of its bytes back.
    pub(super) fn shrink(&mut self, bytes: usize) {
        let bytes = bytes.min(self.bytes);
        self.bytes -= bytes;
        self.budget.used.fetch_sub(bytes, Ordering::Relaxed);
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.shrink(self.bytes);
    }
}

/// Receives `body`. A body that comes in one piece, as most do, is not copied.
pub(super) async fn receive(
    body: &mut RequestBody,
    limit: usize,
    budget: &Arc<BodyBudget>,
    deadline: Duration,
) -> Result<Received, BodyError> {
    if body.size_hint().lower() > limit as u64 {
        return Err(BodyError::TooLarge { limit });
    }
    let mut share = Share::new(budget);
    let bytes = {
        let mut receiving = pin!(collect(body, limit, &mut share));
        // Most bodies come with their heads: only for others a clock is read and a timer made.
        match receiving.as_mut().now_or_never() {
            Some(received) => received?,
            None => Box::pin(tokio::time::timeout(deadline, receiving))
                .await
                .map_err(|_| BodyError::TooSlow { seconds: deadline.as_secs() })??,
        }
    };
    Ok(Received { bytes, share })
}

async fn collect(
    body: &mut RequestBody,
    limit: usize,
    share: &mut Share,
) -> Result<Bytes, BodyError> {
    let mut first = Bytes::new();
    let mut rest = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| BodyError::Broken(error.to_string()))?;
        // Trailers say nothing that is needed here.
        let Ok(data) = frame.into_data() else { continue };
        if first.len() + rest.len() + data.len() > limit {
            return Err(BodyError::TooLarge { limit });
        }
        share.grow(data.len())?;
        if first.is_empty() && rest.is_empty() {
            first = data;
        } else {
            if rest.is_empty() {
                rest.extend_from_slice(&std::mem::take(&mut first));
            }
            rest.extend_from_slice(&data);
        }
    }
    Ok(if rest.is_empty() { first } else { rest.freeze() })
}

/// Reads and drops what is left of a refused body, up to `limit` bytes. Returns whether that was
/// all: then the connection can go on.
pub(super) async fn discard(body: &mut RequestBody, limit: usize, deadline: Duration) -> bool {
    let draining = async {
        let mut left = limit;
        while let Some(frame) = body.frame().await {
            let bytes = frame.ok().map(|frame| frame.data_ref().map_or(0, Bytes::len));
            let Some(rest) = bytes.and_then(|bytes| left.checked_sub(bytes)) else { return false };
            left = rest;
        }
        true
    };
    tokio::time::timeout(deadline, draining).await.unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_budget_is_shared_and_given_back() {
        let budget = BodyBudget::new(100);
        let share = || Share::new(&budget);
        let (mut one, mut two) = (share(), share());
        assert_eq!(one.grow(60), Ok(()));
        assert_eq!(two.grow(41), Err(BodyError::OverBudget));
        drop(two);
        let mut three = share();
        assert_eq!(three.grow(40), Ok(()));
        one.shrink(50);
        assert_eq!(three.grow(50), Ok(()));
        one.shrink(11);
        assert_eq!(budget.used.load(Ordering::Relaxed), 90);
        drop((one, three));
        assert_eq!(budget.used.load(Ordering::Relaxed), 0);
    }
}
