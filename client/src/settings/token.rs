//! The token that requests carry.

use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use hyper::header::HeaderValue;

/// Bytes of a token at most.
const TOKEN_BYTES_MAX: u64 = 4096;

/// A token. None of its forms shows it.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(HeaderValue);

impl Token {
    /// The token of that text, without the spaces and ends of lines around it.
    ///
    /// # Errors
    /// Where it has no place in a header. The text is not repeated.
    pub fn new(text: &str) -> Result<Self, InvalidToken> {
        let text = text.trim();
        let plain = text.bytes().all(|byte| byte.is_ascii_graphic());
        if text.is_empty() || !plain || text.len() as u64 > TOKEN_BYTES_MAX {
            return Err(InvalidToken);
        }
        let mut header =
            HeaderValue::try_from(format!("Bearer {text}")).map_err(|_| InvalidToken)?;
        header.set_sensitive(true);
        Ok(Self(header))
    }

    /// The token in a file.
    ///
    /// # Errors
    /// Where there is none.
    pub(crate) fn read(path: &Path) -> Result<Self, String> {
        let mut text = String::new();
        let read =
            File::open(path).and_then(|file| file.take(TOKEN_BYTES_MAX).read_to_string(&mut text));
        let describe = |error: io::Error| format!("cannot be read: {error}");
        read.map_err(describe)?;
        Self::new(&text).map_err(|error| error.to_string())
    }

    /// The value of `Authorization`.
    pub(crate) fn header(&self) -> HeaderValue {
        self.0.clone()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Token(hidden)")
    }
}

/// A text that is no token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("has no token: it is one word of letters, digits and signs, as `token create` printed it")]
pub struct InvalidToken;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_one_word_and_is_not_shown() {
        let token = Token::new(" noetl_abc\n").unwrap();
        assert_eq!(token.header().as_bytes(), b"Bearer noetl_abc");
        assert!(!format!("{token:?} {:?}", token.header()).contains("abc"));
        for wrong in ["", " \n", "a b", "a\nb", "\u{e9}", &"a".repeat(5000)] {
            assert_eq!(Token::new(wrong).err(), Some(InvalidToken));
        }
    }
}
