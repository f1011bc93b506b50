//! The names of components that a token is bound to.

use std::fmt;

use super::rate;

/// Bytes of a pattern at most: those of a component's name.
const BYTES_MAX: usize = 255;

/// A name in which `*` stands for any text, also for none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern(Box<str>);

/// A text that is no pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a component pattern has 1 to {BYTES_MAX} bytes, neither spaces nor commas nor control \
     characters, and begins with neither # nor {word}; write * where a name has some",
    word = rate::WORD
)]
pub struct InvalidPattern;

impl Pattern {
    /// The pattern of that text.
    ///
    /// # Errors
    /// Where the text has no place in a line of the file.
    pub fn new(text: &str) -> Result<Self, InvalidPattern> {
        let misplaced = |letter: char| letter.is_whitespace() || letter.is_control();
        let fits = (1..=BYTES_MAX).contains(&text.len());
        let is_other = text.starts_with('#') || text.starts_with(rate::WORD);
        if fits && !text.contains(',') && !text.contains(misplaced) && !is_other {
            Ok(Self(text.into()))
        } else {
            Err(InvalidPattern)
        }
    }

    /// Whether it is the pattern of `name`: with every `*` taking as little as it may, and more
    /// only when the rest does not fit, so that the time is bounded by the product of the lengths.
    pub fn matches(&self, name: &str) -> bool {
        let (pattern, name) = (self.0.as_bytes(), name.as_bytes());
        let (mut at, mut in_name) = (0, 0);
        // Behind the last star, and the end of what it took of the name.
        let mut star: Option<(usize, usize)> = None;
        while in_name < name.len() {
            if pattern.get(at) == Some(&b'*') {
                at += 1;
                star = Some((at, in_name));
            } else if pattern.get(at) == Some(&name[in_name]) {
                at += 1;
                in_name += 1;
            } else if let Some((behind, taken)) = star {
                (at, in_name) = (behind, taken + 1);
                star = Some((behind, taken + 1));
            } else {
                return false;
            }
        }
        pattern[at..].iter().all(|byte| *byte == b'*')
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_star_stands_for_any_text() {
        let check = |pattern: &str, fits: &[&str], others: &[&str]| {
            let compiled = Pattern::new(pattern).unwrap();
            for name in fits {
                assert!(compiled.matches(name), "{pattern} {name}");
            }
            for name in others {
                assert!(!compiled.matches(name), "{pattern} {name}");
            }
        };
        check("worker-1", &["worker-1"], &["worker-11", "worker-", "", "Worker-1"]);
        check("worker-*", &["worker-", "worker-1", "worker-*"], &["worker", "a-worker-1"]);
        check("*-gpu", &["-gpu", "a-gpu", "a-gpu-gpu"], &["a-gpu-b"]);
        check("a*b*c", &["abc", "a1b2c", "abbcc"], &["ab", "acb", "abcd"]);
        check("*", &["", "anything at all", "é"], &[]);
        check("**", &["", "x"], &[]);
    }

    #[test]
    fn what_has_no_place_in_a_line_is_no_pattern() {
        for wrong in
            ["", "a b", "a,b", "a\tb", "a\u{0}", "#a", "samples-per-second=*", &"a".repeat(256)]
        {
            assert_eq!(Pattern::new(wrong), Err(InvalidPattern), "{wrong:?}");
        }
    }

    /// The definition, without any thought of time.
    fn plainly(pattern: &[u8], name: &[u8]) -> bool {
        match pattern {
            [] => name.is_empty(),
            [b'*', rest @ ..] => (0..=name.len()).any(|taken| plainly(rest, &name[taken..])),
            [byte, rest @ ..] => name.first() == Some(byte) && plainly(rest, &name[1..]),
        }
    }

    proptest! {
        #[test]
        fn the_search_agrees_with_the_definition(pattern in "[ab*]{1,8}", name in "[ab]{0,10}") {
            let fits = Pattern::new(&pattern).unwrap().matches(&name);
            prop_assert_eq!(fits, plainly(pattern.as_bytes(), name.as_bytes()));
        }
    }
}
