//! The verdict about a request: from the header that it came with to what it may do.

use std::sync::Arc;

use arc_swap::{ArcSwap, ArcSwapOption};
use subtle::ConstantTimeEq as _;

use super::file::TokenTable;
use super::rate::{OverRate, SampleRate};
use super::scope::Scope;
use super::token::{Grant, TokenHash};

/// Bytes of a header that are looked at; a token has 49.
const HEADER_BYTES_MAX: usize = 256;

/// Lets requests in, or not. One for all connections.
pub struct Gate {
    /// None where everybody may do everything.
    edition: Option<ArcSwap<Edition>>,
}

/// The tokens of one reading of the file.
struct Edition {
    number: u64,
    table: TokenTable,
}

/// The last header of a connection, and what came of it.
#[derive(Default)]
pub struct Remembered(ArcSwapOption<Judged>);

struct Judged {
    header: Box<[u8]>,
    edition: u64,
    grant: Option<Grant>,
}

/// Who sent a request that was let in.
#[derive(Clone)]
pub struct Caller(Option<Arc<Judged>>);

/// Why a request is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// It came without a token.
    #[error("this call needs a token; send it as Authorization: Bearer noetl_...")]
    Missing,
    /// No token of the server's file is that one.
    #[error("this token is not known here, or was revoked; have the server's operator make one")]
    Unknown,
    /// The token has another scope.
    #[error("this call needs a token with the scope {}", .0.as_str())]
    Scope(Scope),
}

impl Gate {
    /// A gate that is open: every call needs nothing.
    pub fn open() -> Self {
        Self { edition: None }
    }

    /// A gate that these tokens open.
    pub fn with_tokens(table: TokenTable) -> Self {
        Self { edition: Some(ArcSwap::from_pointee(Edition { number: 0, table })) }
    }

    /// Whether everybody may do everything.
    pub fn is_open(&self) -> bool {
        self.edition.is_none()
    }

    /// Has only these tokens open it from the next request on, on every connection. An open gate
    /// stays open.
    /// What a token has left of its rate stays as it is, where its name and rate do.
    pub fn replace(&self, mut table: TokenTable) {
        if let Some(edition) = &self.edition {
            let before = edition.load();
            table.carry_on(&before.table);
            let number = before.number + 1;
            edition.store(Arc::new(Edition { number, table }));
        }
    }

    /// Who sent a request with that `Authorization`, if they may make a call of the scope.
    ///
    /// # Errors
    /// Where they may not.
    pub fn admit(
        &self,
        connection: &Remembered,
        authorization: Option<&[u8]>,
        scope: Scope,
    ) -> Result<Caller, Denied> {
        let Some(edition) = &self.edition else { return Ok(Caller(None)) };
        let edition = edition.load();
        let header = authorization.ok_or(Denied::Missing)?;
        let judged = match connection.0.load_full() {
            Some(judged) if judged.is_of(header, edition.number) => judged,
            _ => {
                let token = bearer(header).ok_or(Denied::Missing)?;
                let grant = TokenHash::of(token).and_then(|hash| edition.table.find(&hash));
                let judged = Arc::new(Judged {
                    header: header.into(),
                    edition: edition.number,
                    grant: grant.cloned(),
                });
                connection.0.store(Some(Arc::clone(&judged)));
                judged
            }
        };
        match &judged.grant {
            None => Err(Denied::Unknown),
            Some(grant) if !grant.allows(scope) => Err(Denied::Scope(scope)),
            Some(_) => Ok(Caller(Some(judged))),
        }
    }
}

impl Judged {
    fn is_of(&self, header: &[u8], edition: u64) -> bool {
        self.edition == edition && bool::from(self.header.ct_eq(header))
    }
}

impl Caller {
    /// The server itself, or anybody where the gate is open.
    pub fn trusted() -> &'static Self {
        static TRUSTED: Caller = Caller(None);
        &TRUSTED
    }

    /// Whether it may report and register as that component.
    pub fn may_be(&self, component: &str) -> bool {
        match &self.0 {
            None => true,
            Some(judged) => judged.grant.as_ref().is_some_and(|grant| grant.may_be(component)),
        }
    }

    /// Whether it may send samples now.
    ///
    /// # Errors
    /// Where its token has none left.
    pub fn may_send(&self) -> Result<(), OverRate> {
        self.rate().map_or(Ok(()), SampleRate::admit)
    }

    /// Notes that it sent so many samples, which its token pays for.
    pub fn charge(&self, samples: usize) {
        if let Some(rate) = self.rate() {
            rate.charge(samples);
        }
    }

    fn rate(&self) -> Option<&SampleRate> {
        self.0.as_ref()?.grant.as_ref()?.rate.as_deref()
    }
}

/// The token in a header of the scheme Bearer, whose name may be in any case (RFC 9110, 11.1).
fn bearer(header: &[u8]) -> Option<&[u8]> {
    if header.len() > HEADER_BYTES_MAX {
        return None;
    }
    let (scheme, token) = header.split_at_checked(6)?;
    let spaced = scheme.eq_ignore_ascii_case(b"bearer") && token.starts_with(b" ");
    spaced.then(|| token.trim_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::Token;

    fn line(seed: u8, rest: &str) -> String {
        format!("t{seed} sha256:{} {rest}\n", Token::new([seed; 32]).hash())
    }

    fn header(seed: u8) -> Vec<u8> {
        format!("Bearer {}", Token::new([seed; 32]).reveal()).into_bytes()
    }

    fn gate(text: &str) -> Gate {
        Gate::with_tokens(TokenTable::parse(text).unwrap())
    }

    fn verdict(gate: &Gate, header: Option<&[u8]>, scope: Scope) -> Result<(), Denied> {
        gate.admit(&Remembered::default(), header, scope).map(drop)
    }

    #[test]
    fn a_call_needs_a_token_of_its_scope() {
        let gate = gate(&format!("{}{}", line(1, "write"), line(2, "read,admin")));
        let check = |header: Option<&[u8]>, scope, want: Result<(), Denied>| {
            assert_eq!(verdict(&gate, header, scope), want, "{scope:?}");
        };
        check(None, Scope::Write, Err(Denied::Missing));
        check(Some(b""), Scope::Write, Err(Denied::Missing));
        check(Some(b"Basic dTpw"), Scope::Write, Err(Denied::Missing));
        check(Some(b"Bearernoetl_"), Scope::Write, Err(Denied::Missing));
        check(Some(b"Bearer x"), Scope::Write, Err(Denied::Unknown));
        check(Some(&header(3)), Scope::Write, Err(Denied::Unknown));
        check(Some(&[b'a'; 300]), Scope::Write, Err(Denied::Missing));
        check(Some(&header(1)), Scope::Write, Ok(()));
        check(Some(&header(1)), Scope::Read, Err(Denied::Scope(Scope::Read)));
        check(Some(&header(2)), Scope::Read, Ok(()));
        check(Some(&header(2)), Scope::Admin, Ok(()));
        check(Some(&header(2)), Scope::Write, Err(Denied::Scope(Scope::Write)));
        let mut lower = header(1);
        lower[..6].make_ascii_lowercase();
        check(Some(&lower), Scope::Write, Ok(()));
    }

    #[test]
    fn an_open_gate_asks_for_nothing_and_stays_open() {
        let gate = Gate::open();
        gate.replace(TokenTable::default());
        for scope in Scope::ALL {
            assert_eq!(verdict(&gate, None, scope), Ok(()));
            assert_eq!(verdict(&gate, Some(b"Bearer whatever"), scope), Ok(()));
        }
        assert!(gate.admit(&Remembered::default(), None, Scope::Write).unwrap().may_be("x"));
    }

    #[test]
    fn an_empty_file_lets_nobody_in() {
        assert_eq!(verdict(&gate(""), Some(&header(1)), Scope::Read), Err(Denied::Unknown));
    }

    #[test]
    fn what_a_connection_remembers_ends_with_the_file() {
        let gate = gate(&line(1, "write worker-*"));
        let connection = Remembered::default();
        let admit = |seed| gate.admit(&connection, Some(&header(seed)), Scope::Write);
        for _ in 0..2 {
            let caller = admit(1).unwrap();
            assert!(caller.may_be("worker-1") && !caller.may_be("other"));
            assert!(matches!(admit(2), Err(Denied::Unknown)));
        }
        gate.replace(TokenTable::parse(&line(2, "write")).unwrap());
        assert!(matches!(admit(1), Err(Denied::Unknown)));
        assert!(admit(2).unwrap().may_be("other"));
    }

    #[test]
    fn all_connections_of_a_token_share_its_rate_and_a_new_file_keeps_it() {
        let text = |rate| line(1, &format!("write samples-per-second={rate}"));
        let gate = gate(&text(10));
        let caller = || gate.admit(&Remembered::default(), Some(&header(1)), Scope::Write).unwrap();
        assert_eq!(caller().may_send(), Ok(()));
        caller().charge(1_000_000);
        assert!(caller().may_send().is_err());
        gate.replace(TokenTable::parse(&text(10)).unwrap());
        assert!(caller().may_send().is_err(), "what was sent is not forgotten");
        gate.replace(TokenTable::parse(&text(20)).unwrap());
        assert_eq!(caller().may_send(), Ok(()), "another rate begins anew");
        caller().charge(1_000_000);
        gate.replace(TokenTable::parse(&line(1, "write")).unwrap());
        caller().charge(usize::MAX);
        assert_eq!(caller().may_send(), Ok(()));
        assert_eq!(Caller::trusted().may_send(), Ok(()));
    }

    #[test]
    fn a_header_that_came_before_takes_no_memory() {
        let gate = gate(&line(1, "write worker-* samples-per-second=1000000"));
        let (connection, header) = (Remembered::default(), header(1));
        let once = || {
            let caller = gate.admit(&connection, Some(&header), Scope::Write).unwrap();
            assert!(caller.may_be("worker-1") && caller.may_send().is_ok());
            caller.charge(10);
        };
        once();
        let counted = allocation_counter::measure(|| (0..100).for_each(|_| once()));
        assert_eq!(counted.count_total, 0);
    }
}
