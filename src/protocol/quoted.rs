//! A client's own words inside a message: cut short and made printable.

use std::fmt;

/// The most bytes of a client's text that a message repeats.
const QUOTED_BYTES_MAX: usize = 60;

/// Displays a client's text in quotation marks: its first [`QUOTED_BYTES_MAX`] bytes, with
/// control characters escaped so that a message stays one line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Quoted<'a>(pub(crate) &'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = &self.0[..self.0.floor_char_boundary(QUOTED_BYTES_MAX)];
        let cut = if head.len() < self.0.len() { "…" } else { "" };
        write!(f, "'{}{cut}'", head.escape_debug())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quotation_is_short_and_printable() {
        let check = |text: &str, expected: &str| assert_eq!(Quoted(text).to_string(), expected);
        check("", "''");
        check("gauge", "'gauge'");
        check("a\nb\0", "'a\\nb\\0'");
        check(&"x".repeat(60), &format!("'{}'", "x".repeat(60)));
        check(&"x".repeat(61), &format!("'{}…'", "x".repeat(60)));
        check(&format!("x{}", "ü".repeat(40)), &format!("'x{}…'", "ü".repeat(29)));
    }
}
