//! What a token may do.

use std::fmt;

/// A kind of call. None includes another: a token has each that it needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Report, register, send heartbeats.
    Write,
    /// Query, scrape, list.
    Read,
    /// Change what is kept: partitions.
    Admin,
}

impl Scope {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Write, Self::Read, Self::Admin];

    /// Its word in the file, on the command line and in answers.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Write => "write",
            Self::Read => "read",
            Self::Admin => "admin",
        }
    }

    /// The scope of that word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == word)
    }

    fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// The scopes of a token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scopes(u8);

impl Scopes {
    /// Whether `scope` is among them.
    pub fn has(self, scope: Scope) -> bool {
        self.0 & scope.bit() != 0
    }

    /// Whether there are none.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Those of a list such as `write,read`, at least one.
    pub fn parse(list: &str) -> Option<Self> {
        list.split(',').map(Scope::parse).collect()
    }
}

impl FromIterator<Scope> for Scopes {
    fn from_iter<I: IntoIterator<Item = Scope>>(scopes: I) -> Self {
        Self(scopes.into_iter().fold(0, |bits, scope| bits | scope.bit()))
    }
}

impl fmt::Display for Scopes {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: Vec<_> =
            Scope::ALL.into_iter().filter(|scope| self.has(*scope)).map(Scope::as_str).collect();
        formatter.write_str(&words.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_are_read_as_they_are_written() {
        for list in ["write", "read", "admin", "write,read", "write,read,admin"] {
            assert_eq!(Scopes::parse(list).unwrap().to_string(), list);
        }
        assert_eq!(Scopes::parse("admin,write").unwrap().to_string(), "write,admin");
        for wrong in ["", "Write", "write,", "all", "write read"] {
            assert_eq!(Scopes::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn no_scope_includes_another() {
        for one in Scope::ALL {
            for other in Scope::ALL {
                assert_eq!(Scopes::from_iter([one]).has(other), one == other);
            }
        }
    }
}
