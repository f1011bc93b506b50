//! What was read of a connection and belongs to a request that is not whole, or not served yet.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::Sleep;

use crate::http::body::{BodyBudget, BodyError, Share};

/// How long the rest of a plain request is waited for. Then hyper goes on, which bounds and answers what is
/// slow.
const PATIENCE: Duration = Duration::from_secs(1);

/// The bytes, and their share of the budget of all bodies. Takes no memory while it is empty.
#[derive(Default)]
pub(super) struct Unread {
    bytes: Vec<u8>,
    share: Option<Share>,
    /// Nobody has looked at the bytes since they came here.
    is_new: bool,
    patience: Option<Pin<Box<Sleep>>>,
}

impl Unread {
    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The bytes, if nobody has looked at them yet.
    pub(super) fn news(&mut self) -> Option<&[u8]> {
        std::mem::take(&mut self.is_new).then_some(&self.bytes)
    }

    /// Somebody has looked at the bytes before they came here.
    pub(super) fn looked_at(&mut self) {
        self.is_new = false;
    }

    /// Keeps more, which counts in `budget` where there is one.
    ///
    /// # Errors
    /// Where they are too many; they are kept all the same.
    pub(super) fn keep(
        &mut self,
        bytes: &[u8],
        budget: Option<&Arc<BodyBudget>>,
    ) -> Result<(), BodyError> {
        self.bytes.extend_from_slice(bytes);
        self.is_new = true;
        let Some(budget) = budget else { return Ok(()) };
        self.share.get_or_insert_with(|| Share::new(budget)).grow(bytes.len())
    }

    /// Drops the first `bytes`: they have been served.
    pub(super) fn served(&mut self, bytes: usize) {
        self.patience = None;
        if bytes < self.bytes.len() {
            self.bytes.drain(..bytes);
            if let Some(share) = &mut self.share {
                share.shrink(bytes);
            }
            self.is_new = true;
        } else {
            *self = Self::default();
        }
    }

    /// All of them.
    pub(super) fn take(&mut self) -> Vec<u8> {
        std::mem::take(self).bytes
    }

    /// Ready when more has been waited for long enough; never where there is nothing.
    pub(super) fn poll_patience(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.bytes.is_empty() {
            return Poll::Pending;
        }
        let timer = self.patience.get_or_insert_with(|| Box::pin(tokio::time::sleep(PATIENCE)));
        timer.as_mut().poll(cx)
    }
}
