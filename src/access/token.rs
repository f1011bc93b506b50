//! Tokens, their hashes, and what is granted to them.

use std::fmt::{self, Write as _};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq as _};

use super::component::Pattern;
use super::rate::{self, SampleRate};
use super::scope::{Scope, Scopes};

/// By this a token is known where it should not be: in logs, in repositories.
const PREFIX: &str = "noetl_";
/// Random bytes of a token.
const SECRET_BYTES: usize = 32;
/// Letters of a token: the prefix, and base64 without padding.
const TOKEN_BYTES: usize = PREFIX.len() + (SECRET_BYTES * 4).div_ceil(3);
/// Letters of a name at most.
const NAME_BYTES_MAX: usize = 64;

/// A token, told once and then forgotten. It has no `Debug` form that shows it.
pub struct Token(String);

impl Token {
    /// The token of these random bytes.
    pub fn new(secret: [u8; SECRET_BYTES]) -> Self {
        Self(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(secret)))
    }

    /// As it is sent.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// What is kept of it.
    pub fn hash(&self) -> TokenHash {
        TokenHash(Sha256::digest(self.0.as_bytes()).into())
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Token(hidden)")
    }
}

/// The SHA-256 of a token. A token is 256 random bits, so that its hash needs no salt and no work:
/// nobody finds it by guessing.
#[derive(Clone, Copy)]
pub struct TokenHash([u8; 32]);

impl TokenHash {
    /// Of what came as a token; none where it does not look like one, which costs nothing.
    pub(super) fn of(presented: &[u8]) -> Option<Self> {
        let alike = presented.len() == TOKEN_BYTES && presented.starts_with(PREFIX.as_bytes());
        alike.then(|| Self(Sha256::digest(presented).into()))
    }

    /// Of its 64 hexadecimal digits.
    pub fn parse(digits: &str) -> Option<Self> {
        let digits = digits.as_bytes();
        if digits.len() != 64 {
            return None;
        }
        let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|one| u8::try_from(one).ok());
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = digit(pair[0])? << 4 | digit(pair[1])?;
        }
        Some(Self(bytes))
    }

    /// Whether both are the same, in a time that does not depend on where they differ.
    pub(super) fn equals(&self, other: &Self) -> Choice {
        self.0.ct_eq(&other.0)
    }
}

impl fmt::Display for TokenHash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}

impl fmt::Debug for TokenHash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("TokenHash(hidden)")
    }
}

/// The name by which people speak of a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenName(Arc<str>);

/// A text that is no name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a token's name has 1 to {NAME_BYTES_MAX} letters, digits, dots, dashes or underscores, and is \
     no token itself"
)]
pub struct InvalidName;

impl TokenName {
    /// The name of that text.
    ///
    /// # Errors
    /// Where it would not stand well in a line of the file, or looks like a token.
    pub fn new(text: &str) -> Result<Self, InvalidName> {
        let plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte));
        let fits = (1..=NAME_BYTES_MAX).contains(&text.len());
        if plain && fits && !text.starts_with(PREFIX) {
            Ok(Self(text.into()))
        } else {
            Err(InvalidName)
        }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What a token may do. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Grant {
    /// Its name.
    pub name: TokenName,
    /// Which calls.
    pub scopes: Scopes,
    /// As which components it may report; any where there are none.
    pub components: Arc<[Pattern]>,
    /// How many samples it may send; any number where there is none. One for all connections.
    pub rate: Option<Arc<SampleRate>>,
}

impl Grant {
    /// Whether it may make calls of that scope.
    pub fn allows(&self, scope: Scope) -> bool {
        self.scopes.has(scope)
    }

    /// Whether it may report and register as that component.
    pub fn may_be(&self, component: &str) -> bool {
        self.components.is_empty() || self.components.iter().any(|one| one.matches(component))
    }

    /// Its line in the file, without the end of the line.
    pub(super) fn line(&self, hash: &TokenHash) -> String {
        let mut line = format!("{} sha256:{hash} {}", self.name.as_str(), self.scopes);
        for (nth, pattern) in self.components.iter().enumerate() {
            let before = if nth == 0 { ' ' } else { ',' };
            write!(line, "{before}{pattern}").expect("writing to a String cannot fail");
        }
        if let Some(rate) = &self.rate {
            write!(line, " {}{}", rate::WORD, rate.per_second())
                .expect("writing to a String cannot fail");
        }
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_known_by_its_hash_and_shown_only_when_asked() {
        let token = Token::new([7; 32]);
        assert_eq!(token.reveal().len(), TOKEN_BYTES);
        assert_eq!(format!("{token:?} {:?}", token.hash()), "Token(hidden) TokenHash(hidden)");
        let hash = TokenHash::of(token.reveal().as_bytes()).unwrap();
        assert!(bool::from(hash.equals(&token.hash())));
        assert!(!bool::from(hash.equals(&Token::new([8; 32]).hash())));
        let read = TokenHash::parse(&hash.to_string()).unwrap();
        assert!(bool::from(read.equals(&hash)));
    }

    #[test]
    fn the_hash_is_the_sha256_of_the_text() {
        // `printf %s noetl_AAAA…A | sha256sum`, with 43 letters A.
        let token = Token::new([0; 32]);
        assert_eq!(token.reveal(), format!("noetl_{}", "A".repeat(43)));
        let known = TokenHash(Sha256::digest(format!("noetl_{}", "A".repeat(43))).into());
        assert!(bool::from(known.equals(&token.hash())));
    }

    #[test]
    fn what_does_not_look_like_a_token_is_not_hashed() {
        let token = Token::new([7; 32]);
        let text = token.reveal();
        for other in ["", "noetl_", &text[1..], &format!("{text}A"), &text.to_uppercase()] {
            assert!(TokenHash::of(other.as_bytes()).is_none(), "{other}");
        }
        for digits in ["", &"0".repeat(63), &"g".repeat(64), &"é".repeat(32)] {
            assert!(TokenHash::parse(digits).is_none(), "{digits}");
        }
    }

    #[test]
    fn names_stand_in_a_line_and_are_no_tokens() {
        assert_eq!(TokenName::new("gpu.fleet_1-a").unwrap().as_str(), "gpu.fleet_1-a");
        for wrong in ["", "a b", "#a", "é", &"a".repeat(65), Token::new([1; 32]).reveal()] {
            assert_eq!(TokenName::new(wrong), Err(InvalidName), "{wrong}");
        }
    }

    #[test]
    fn a_grant_without_patterns_is_for_any_component() {
        let grant = |patterns: &[&str]| Grant {
            name: TokenName::new("n").unwrap(),
            scopes: Scope::ALL.into_iter().collect(),
            components: patterns.iter().map(|one| Pattern::new(one).unwrap()).collect(),
            rate: None,
        };
        assert!(grant(&[]).may_be("anything"));
        let bound = grant(&["worker-*", "agent"]);
        assert!(bound.may_be("worker-7") && bound.may_be("agent"));
        assert!(!bound.may_be("agent-7") && !bound.may_be(""));
    }
}
