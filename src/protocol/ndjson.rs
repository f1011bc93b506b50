//! The lines of an `application/x-ndjson` body, one report each.
//!
//! Owns the cutting into lines and their numbers. Guarantees that lines are found without a copy
//! and that their number is bounded. Refuses to know what stands on a line.

use std::ops::Range;

/// The most lines that are not blank in one body.
pub const LINES_MAX: u32 = 100_000;

/// One line that is not blank.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The line's number in the body, from 1; blank lines count.
    pub number: u32,
    /// Where the line stands in the body, without its line end.
    pub bytes: Range<usize>,
}

/// The body has more lines than are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the body has more than {LINES_MAX} lines; send it in parts")]
pub struct TooManyLines;

/// Walks over the lines of a body that it does not borrow, so that each line can be decoded in
/// place before the next is looked for.
///
/// Lines end with LF or CR LF, the last one also with the body; blank lines are skipped.
#[derive(Debug, Default)]
pub struct LineCursor {
    next_byte: usize,
    lines_passed: u32,
    lines_taken: u32,
}

impl LineCursor {
    /// The next line of `body`, which must be the same at every call behind the lines already
    /// returned; `None` at its end.
    ///
    /// # Errors
    /// [`TooManyLines`] after [`LINES_MAX`] lines.
    pub fn next_line(&mut self, body: &[u8]) -> Result<Option<Line>, TooManyLines> {
        while self.next_byte < body.len() {
            let rest = &body[self.next_byte..];
            let length = rest.iter().position(|&byte| byte == b'\n').unwrap_or(rest.len());
            let bytes = self.next_byte..self.next_byte + length;
            self.next_byte = bytes.end + 1;
            self.lines_passed = self.lines_passed.saturating_add(1);
            let line = &body[bytes.clone()];
            if line.trim_ascii().is_empty() {
                continue;
            }
            if self.lines_taken == LINES_MAX {
                return Err(TooManyLines);
            }
            self.lines_taken += 1;
            let carriage_return = usize::from(line.ends_with(b"\r"));
            let bytes = bytes.start..bytes.end - carriage_return;
            return Ok(Some(Line { number: self.lines_passed, bytes }));
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_cut_and_numbered() {
        let check = |body: &str, expected: &[(u32, &str)]| {
            let mut cursor = LineCursor::default();
            let mut lines = Vec::new();
            while let Some(line) = cursor.next_line(body.as_bytes()).unwrap() {
                lines.push((line.number, &body[line.bytes]));
            }
            assert_eq!(lines, expected, "{body:?}");
            assert_eq!(cursor.next_line(body.as_bytes()), Ok(None), "the end stays the end");
        };
        check("", &[]);
        check("\n\n \r\n", &[]);
        check("{}", &[(1, "{}")]);
        check("{}\n", &[(1, "{}")]);
        check("{}\r\n", &[(1, "{}")]);
        check("a\nb\r\n\n \t\nc", &[(1, "a"), (2, "b"), (5, "c")]);
        check("\n\na\rb\n", &[(3, "a\rb")]);
    }

    #[test]
    fn the_number_of_lines_is_bounded() {
        let mut body = "x\n".repeat(LINES_MAX as usize);
        body.push_str("\n\n");
        let count = |body: &str| {
            let mut cursor = LineCursor::default();
            let mut count = 0;
            while let Some(line) = cursor.next_line(body.as_bytes())? {
                count = line.number;
            }
            Ok(count)
        };
        assert_eq!(count(&body), Ok(LINES_MAX), "blank lines are free");
        body.push('x');
        assert_eq!(count(&body), Err(TooManyLines));
    }
}
