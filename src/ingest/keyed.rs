//! Idempotency keys: a report whose key is known is not taken a second time.

use super::submit::Step;
use super::{Ingest, IngestError, Logged};
use crate::access::Caller;
use crate::protocol::answer;
use crate::registry::{BodyDigest, KeyDigest, KeyMemory, KeyState, LoadOutcome};

impl Ingest {
    /// Brings one report into the log, or finds that its key is there already, without waiting for
    /// anything. `loaded` is what came of the load that an earlier attempt asked for.
    pub(super) fn log_now(
        &self,
        document: &[u8],
        key: Option<KeyDigest>,
        caller: &Caller,
        loaded: Option<LoadOutcome>,
    ) -> Result<Step, IngestError> {
        let Some(key) = key else { return self.step(document, None, caller, loaded) };
        let body = BodyDigest::of(document);
        match self.parts.keys.claim(key, body, self.parts.clock.now().seconds()) {
            KeyState::Repeat(answer) => {
                let ticket = self.parts.appender.barrier()?;
                let repeated = answer::read_inserted(&answer);
                Ok(Step::Logged(Logged {
                    ticket,
                    answer: answer.into(),
                    stored: 0,
                    repeated,
                    rejects: Vec::new(),
                }))
            }
            KeyState::InFlight => Err(IngestError::KeyInFlight),
            KeyState::OtherBody => Err(IngestError::KeyReused),
            KeyState::First => {
                let mut claim = Claim { keys: &self.parts.keys, key, held: true };
                let step = self.step(document, Some((key, body)), caller, loaded)?;
                if let Step::Logged(logged) = &step {
                    // Time has passed meanwhile, and the clock may have been set back: what it showed
                    // before would have keys forgotten that are new.
                    let now_s = self.parts.clock.now().seconds();
                    self.parts.keys.settle(key, body, &logged.answer, now_s);
                    claim.held = false;
                }
                Ok(step)
            }
        }
    }
}

/// Gives a claimed key back unless the report entered the log: while its component is loaded, nobody
/// holds it.
struct Claim<'a> {
    keys: &'a KeyMemory,
    key: KeyDigest,
    held: bool,
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        if self.held {
            self.keys.release(self.key);
        }
    }
}
