//! The pairs of a URL's query string, percent-decoded.
//!
//! Unlike the decoding of a form, nothing is guessed: a `%` without two hexadecimal digits and
//! bytes that are no UTF-8 are told to the sender, who would else get the answer to another
//! question.

use std::ops::RangeInclusive;

/// Splits at `&` and the first `=`; the name stays as it was sent, for the known ones need no
/// encoding. Empty parts, as in `a=1&&b=2`, are passed over.
pub fn pairs(query: &str) -> impl Iterator<Item = (&str, &str)> {
    query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
}

/// The text behind `+` and `%XX`; `None` when it is not properly encoded UTF-8.
pub fn decode(encoded: &str) -> Option<String> {
    let mut decoded = Vec::with_capacity(encoded.len());
    let mut rest = encoded.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        decoded.push(match first {
            b'+' => b' ',
            b'%' => {
                let ([high, low], tail) = tail.split_first_chunk()?;
                rest = tail;
                hex_digit(*high)? << 4 | hex_digit(*low)?
            }
            byte => *byte,
        });
    }
    String::from_utf8(decoded).ok()
}

/// The same, with words for the sender who is at fault.
pub fn text(encoded: &str) -> Result<String, &'static str> {
    decode(encoded).ok_or("a parameter is not percent-encoded UTF-8; encode it")
}

/// An integer, also as a language with only one kind of number writes it: `5.0`.
pub fn integer(text: &str) -> Option<i64> {
    let whole = text.split_once('.').and_then(|(whole, fraction)| {
        let nothing = !fraction.is_empty() && fraction.bytes().all(|digit| digit == b'0');
        nothing.then_some(whole)
    });
    whole.unwrap_or(text).parse().ok()
}

/// The number of a query string that has one parameter at most, `known`; `default` where it is
/// missing or empty.
///
/// # Errors
/// With words for the sender, where it is another parameter, another kind of value, out of `range`,
/// or given twice.
pub fn only_number(
    query: &str,
    known: &str,
    default: u32,
    range: RangeInclusive<u32>,
) -> Result<u32, String> {
    let mut found = None;
    for (name, value) in pairs(query) {
        if name != known {
            return Err(format!("the only parameter here is {known}"));
        }
        let number = match text(value)?.as_str() {
            "" => Some(default),
            text => integer(text).and_then(|number| u32::try_from(number).ok()),
        };
        let number = number.filter(|number| range.contains(number));
        if number.is_none() || found.is_some() {
            let (first, last) = (range.start(), range.end());
            return Err(format!("{known} is a whole number from {first} to {last}, given once"));
        }
        found = number;
    }
    Ok(found.unwrap_or(default))
}

fn hex_digit(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_string_is_split() {
        let check = |query: &str, expected: &[(&str, &str)]| {
            assert_eq!(pairs(query).collect::<Vec<_>>(), expected, "{query}");
        };
        check("", &[]);
        check("a=1&b=2", &[("a", "1"), ("b", "2")]);
        check("&a=1&&", &[("a", "1")]);
        check("a&b=&c=d=e", &[("a", ""), ("b", ""), ("c", "d=e")]);
    }

    #[test]
    fn integers_have_no_fraction_but_zeros() {
        let check = |text: &str, expected: Option<i64>| {
            assert_eq!(integer(text), expected, "{text}");
        };
        check("7", Some(7));
        check("-2248.0", Some(-2248));
        check("9007199254740993.00", Some(9_007_199_254_740_993));
        for other in ["", ".", ".0", "7.", "7.5", "7.0.0", "7e1", "9223372036854775808", "x"] {
            check(other, None);
        }
    }

    #[test]
    fn a_number_is_within_its_bounds_or_the_default() {
        let number = |query: &str| only_number(query, "days", 7, 0..=366);
        for (query, expected) in [
            ("", 7),
            ("days=", 7),
            ("days=0", 0),
            ("days=366", 366),
            ("days=1%30", 10),
            ("days=9.0", 9),
        ] {
            assert_eq!(number(query), Ok(expected), "{query}");
        }
        for wrong in
            ["days=367", "days=-1", "days=x", "days=4294967296", "days=1&days=1", "days=&days="]
        {
            let told = number(wrong).unwrap_err();
            assert_eq!(told, "days is a whole number from 0 to 366, given once", "{wrong}");
        }
        assert_eq!(number("day=7").unwrap_err(), "the only parameter here is days");
    }

    #[test]
    fn values_are_decoded_or_refused() {
        let check = |encoded: &str, expected: Option<&str>| {
            assert_eq!(decode(encoded).as_deref(), expected, "{encoded}");
        };
        check("", Some(""));
        check("a+b%20c%2B", Some("a b c+"));
        check("%7b%22k%22%3A%22v%22%7D", Some("{\"k\":\"v\"}"));
        check("%C3%BC%E2%82%AC", Some("ü€"));
        check("ü", Some("ü"));
        check("100%", None);
        check("%4", None);
        check("%+1", None);
        check("%zz", None);
        check("%C3", None);
        check("%FF", None);
    }
}
