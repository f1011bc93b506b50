//! The file of tokens: one a line, `NAME sha256:HASH SCOPES [PATTERNS] [samples-per-second=N]`.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::Arc;

use subtle::{Choice, ConditionallySelectable as _};

use super::component::Pattern;
use super::rate::{self, SampleRate};
use super::scope::Scopes;
use super::token::{Grant, TokenHash, TokenName};

/// Tokens of a file at most: an unknown one is compared with all of them.
pub const TOKENS_MAX: usize = 10_000;

/// The tokens of a file.
#[derive(Debug, Default)]
pub struct TokenTable {
    entries: Vec<(TokenHash, Grant)>,
}

/// A file that cannot be used, by the number of the line. What stands there is not repeated.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct TokenFileError {
    line: usize,
    problem: FileProblem,
}

/// What is wrong with a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileProblem {
    /// Not three to five words.
    Shape,
    /// The first word is no name.
    Name,
    /// The second word is no hash.
    Hash,
    /// The third word has no scopes.
    Scopes,
    /// The word behind the scopes has no patterns.
    Components,
    /// The last word has no rate.
    Rate,
    /// An earlier line has the name.
    NameTwice,
    /// An earlier line has the hash.
    HashTwice,
    /// There are too many.
    TooMany,
}

impl fmt::Display for FileProblem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Shape => {
                "write NAME sha256:HASH SCOPES, then PATTERNS for single components, and last \
                 samples-per-second=N for a limit"
            }
            Self::Name => "the name has other letters than a-z, A-Z, 0-9, dot, dash, underscore",
            Self::Hash => {
                "the second word is not sha256: and 64 hexadecimal digits; if a token stands \
                 there, it is not secret any more: remove it, and have `noetl-metrics token \
                 create` make another"
            }
            Self::Scopes => "the scopes are write, read and admin, with commas and no spaces",
            Self::Components => "the patterns need commas and no spaces between them",
            Self::Rate => "samples-per-second= needs a whole number from 1 to 1000000000",
            Self::NameTwice => "an earlier line has this name; each token needs its own",
            Self::HashTwice => "an earlier line has this hash; remove one of them",
            Self::TooMany => "there are 10,000 tokens before it, which is the limit; remove some",
        })
    }
}

impl TokenTable {
    /// The tokens of a file's text. Blank lines and those that begin with `#` are skipped.
    ///
    /// # Errors
    /// The first line that is wrong.
    pub fn parse(text: &str) -> Result<Self, TokenFileError> {
        let mut table = Self::default();
        // Names have no colon, and written hashes have one.
        let mut seen = HashSet::new();
        for (nth, line) in text.lines().enumerate() {
            let failed = |problem| TokenFileError { line: nth + 1, problem };
            if is_blank(line) {
                continue;
            }
            if table.len() == TOKENS_MAX {
                return Err(failed(FileProblem::TooMany));
            }
            let (hash, grant) = read_line(line).map_err(failed)?;
            if !seen.insert(grant.name.as_str().to_owned()) {
                return Err(failed(FileProblem::NameTwice));
            }
            if !seen.insert(format!("sha256:{hash}")) {
                return Err(failed(FileProblem::HashTwice));
            }
            table.entries.push((hash, grant));
        }
        Ok(table)
    }

    /// What the tokens may do, in the order of the lines.
    pub fn grants(&self) -> impl Iterator<Item = &Grant> {
        self.entries.iter().map(|(_, grant)| grant)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none, so that nobody gets in.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Has tokens that have the name and the rate of one in `before` go on with what that has left.
    pub(super) fn carry_on(&mut self, before: &Self) {
        let known: HashMap<_, _> =
            before.grants().map(|grant| (grant.name.as_str(), &grant.rate)).collect();
        for (_, grant) in &mut self.entries {
            if let (Some(rate), Some(Some(known))) =
                (&mut grant.rate, known.get(grant.name.as_str()))
                && rate.per_second() == known.per_second()
            {
                *rate = Arc::clone(known);
            }
        }
    }

    /// The grant of that hash. All of them are compared, whichever it is.
    pub(super) fn find(&self, hash: &TokenHash) -> Option<&Grant> {
        let none = u32::MAX;
        let found = self.entries.iter().zip(0_u32..).fold(none, |found, ((known, _), nth)| {
            let same: Choice = known.equals(hash);
            u32::conditional_select(&found, &nth, same)
        });
        self.entries.get(found as usize).map(|(_, grant)| grant)
    }
}

fn is_blank(line: &str) -> bool {
    let line = line.trim_start();
    line.is_empty() || line.starts_with('#')
}

fn read_line(line: &str) -> Result<(TokenHash, Grant), FileProblem> {
    let mut words = line.split_whitespace();
    let mut word = || words.next().ok_or(FileProblem::Shape);
    let (name, hash, scopes) = (word()?, word()?, word()?);
    let (mut patterns, mut rate) = ("", None);
    for (nth, word) in words.enumerate() {
        if let Some(digits) = word.strip_prefix(rate::WORD).filter(|_| rate.is_none()) {
            rate = Some(SampleRate::parse(digits).map_err(|_| FileProblem::Rate)?);
        } else if nth == 0 {
            patterns = word;
        } else {
            return Err(FileProblem::Shape);
        }
    }
    let name = TokenName::new(name).map_err(|_| FileProblem::Name)?;
    let hash = hash.strip_prefix("sha256:").and_then(TokenHash::parse).ok_or(FileProblem::Hash)?;
    let scopes = Scopes::parse(scopes).ok_or(FileProblem::Scopes)?;
    let patterns = patterns.split(',').filter(|_| !patterns.is_empty());
    let components = patterns.map(Pattern::new).collect::<Result<_, _>>();
    let components = components.map_err(|_| FileProblem::Components)?;
    Ok((hash, Grant { name, scopes, components, rate: rate.map(Arc::new) }))
}

/// Why a file is not changed.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum FileChange {
    /// The file is wrong as it is.
    #[error(transparent)]
    Wrong(#[from] TokenFileError),
    /// The name is taken.
    #[error("there is a token of this name; choose another, or revoke that one first")]
    Taken,
    /// No token has the name.
    #[error("there is no token of this name; `noetl-metrics token list` shows the names")]
    Absent,
    /// No further one has room.
    #[error("there are {TOKENS_MAX} tokens, which is the limit; revoke some")]
    Full,
}

/// The text with one more token.
///
/// # Errors
/// Where the text is wrong, or has the name already.
pub fn add(text: &str, grant: &Grant, hash: &TokenHash) -> Result<String, FileChange> {
    let table = TokenTable::parse(text)?;
    if table.grants().any(|one| one.name == grant.name) {
        return Err(FileChange::Taken);
    }
    if table.len() == TOKENS_MAX {
        return Err(FileChange::Full);
    }
    let gap = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
    Ok(format!("{text}{gap}{}\n", grant.line(hash)))
}

/// The text without the token of that name; all other lines stay as they are.
///
/// # Errors
/// Where the text is wrong, or no token has the name.
pub fn remove(text: &str, name: &TokenName) -> Result<String, FileChange> {
    let table = TokenTable::parse(text)?;
    if !table.grants().any(|one| one.name == *name) {
        return Err(FileChange::Absent);
    }
    let named = |line: &&str| line.split_whitespace().next() == Some(name.as_str());
    Ok(text.split_inclusive('\n').filter(|line| !named(line)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::Token;

    fn token(seed: u8) -> Token {
        Token::new([seed; 32])
    }

    fn grant(name: &str, patterns: &[&str]) -> Grant {
        Grant {
            name: TokenName::new(name).unwrap(),
            scopes: Scopes::parse("write").unwrap(),
            components: patterns.iter().map(|one| Pattern::new(one).unwrap()).collect(),
            rate: None,
        }
    }

    #[test]
    fn what_is_added_is_found_and_what_is_removed_is_not() {
        let text = "# the fleet's tokens";
        let text = add(text, &grant("one", &["worker-*", "x"]), &token(1).hash()).unwrap();
        let text = add(&text, &grant("two", &[]), &token(2).hash()).unwrap();
        assert_eq!(add(&text, &grant("two", &[]), &token(3).hash()), Err(FileChange::Taken));
        let table = TokenTable::parse(&text).unwrap();
        let name_of = |table: &TokenTable, seed| {
            table.find(&token(seed).hash()).map(|grant| grant.name.as_str().to_owned())
        };
        assert_eq!(name_of(&table, 1).as_deref(), Some("one"));
        assert_eq!(name_of(&table, 2).as_deref(), Some("two"));
        assert_eq!(name_of(&table, 3), None);
        assert_eq!(table.grants().next().unwrap().line(&token(1).hash()), {
            format!("one sha256:{} write worker-*,x", token(1).hash())
        });
        let one = TokenName::new("one").unwrap();
        let text = remove(&text, &one).unwrap();
        assert!(text.starts_with("# the fleet's tokens\ntwo sha256:"), "{text}");
        let table = TokenTable::parse(&text).unwrap();
        assert_eq!((name_of(&table, 1), table.len()), (None, 1));
        assert_eq!(remove(&text, &one), Err(FileChange::Absent));
    }

    #[test]
    fn a_wrong_line_is_named_and_not_repeated() {
        let hash = token(1).hash();
        let check = |line: &str, want: FileProblem| {
            let text = format!("# a comment\n\n{line}\n");
            let error = TokenTable::parse(&text).unwrap_err();
            assert_eq!(error, TokenFileError { line: 3, problem: want }, "{line}");
        };
        check("one", FileProblem::Shape);
        check(&format!("one sha256:{hash}"), FileProblem::Shape);
        check(&format!("one sha256:{hash} write a b"), FileProblem::Shape);
        check(&format!("one sha256:{hash} write samples-per-second=5 a"), FileProblem::Shape);
        check(&format!("one sha256:{hash} write a samples-per-second=5 b"), FileProblem::Shape);
        let twice = "samples-per-second=5 samples-per-second=5";
        check(&format!("one sha256:{hash} write {twice}"), FileProblem::Shape);
        check(&format!("one sha256:{hash} write a samples-per-second=0"), FileProblem::Rate);
        check(&format!("one sha256:{hash} write samples-per-second="), FileProblem::Rate);
        check(&format!("o,ne sha256:{hash} write"), FileProblem::Name);
        check(&format!("one {hash} write"), FileProblem::Hash);
        check(&format!("one sha256:{hash}0 write"), FileProblem::Hash);
        check(&format!("one sha256:{hash} all"), FileProblem::Scopes);
        check(&format!("one sha256:{hash} write a,,b"), FileProblem::Components);
        let pasted = format!("one {} write", token(9).reveal());
        let error = TokenTable::parse(&pasted).unwrap_err();
        assert!(!format!("{error} {error:?}").contains(token(9).reveal()));
    }

    #[test]
    fn a_rate_is_written_and_read_with_and_without_patterns() {
        for patterns in [&[][..], &["worker-*", "x"]] {
            let rate = Some(Arc::new(SampleRate::new(1500).unwrap()));
            let grant = Grant { rate, ..grant("one", patterns) };
            let text = add("", &grant, &token(1).hash()).unwrap();
            assert!(text.ends_with(" samples-per-second=1500\n"), "{text}");
            let table = TokenTable::parse(&text).unwrap();
            let read = table.grants().next().unwrap();
            assert_eq!(read.rate.as_ref().map(|rate| rate.per_second()), Some(1500));
            assert_eq!(read.components, grant.components);
        }
    }

    #[test]
    fn no_name_and_no_hash_stands_twice() {
        let (one, two) = (token(1).hash(), token(2).hash());
        let check = |second: String, want: FileProblem| {
            let text = format!("one sha256:{one} write\n{second}\n");
            let error = TokenTable::parse(&text).unwrap_err();
            assert_eq!(error, TokenFileError { line: 2, problem: want }, "{second}");
        };
        check(format!("one sha256:{two} read"), FileProblem::NameTwice);
        check(
            format!("two sha256:{} read", one.to_string().to_uppercase()),
            FileProblem::HashTwice,
        );
    }
}
