//! Numbers as JSON writes them, read from the front of some bytes.

/// Powers of ten that a 64-bit float holds exactly.
const EXACT_POWERS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16,
    1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
];
/// Integers up to this one are exact as a 64-bit float.
const EXACT_INTEGER_MAX: u64 = 1 << 53;
/// Digits that fit 64 bits, whichever they are.
const DIGITS_MAX: usize = 19;

/// The number at the front of `bytes` and its length in bytes; `None` when there is none, when it
/// is beyond the range of a 64-bit float, and for a zero with a sign, which a reader may take for
/// an integer or not.
#[inline]
pub(super) fn float(bytes: &[u8]) -> Option<(f64, usize)> {
    let negative = bytes.first() == Some(&b'-');
    let start = usize::from(negative);
    let mut mantissa = 0;
    let integer = digits(&bytes[start..], &mut mantissa);
    if integer == 0 || (integer > 1 && bytes[start] == b'0') {
        return None;
    }
    let mut end = start + integer;
    let mut fraction = 0;
    if bytes.get(end) == Some(&b'.') {
        fraction = digits(&bytes[end + 1..], &mut mantissa);
        if fraction == 0 {
            return None;
        }
        end += 1 + fraction;
    }
    let exponent = exponent_bytes(&bytes[end..])?;
    end += exponent;
    let simple = exponent == 0 && integer + fraction <= DIGITS_MAX;
    let magnitude = if simple && (fraction == 0 || mantissa <= EXACT_INTEGER_MAX) {
        // One rounding at most: a quotient of two exact numbers, or an integer. At most 18 digits
        // are a fraction.
        mantissa as f64 / EXACT_POWERS[fraction]
    } else {
        let unsigned = str::from_utf8(&bytes[start..end]).ok()?;
        unsigned.parse::<f64>().ok()?
    };
    if !magnitude.is_finite() || (negative && magnitude == 0.0) {
        return None;
    }
    Some((if negative { -magnitude } else { magnitude }, end))
}

/// The integer at the front of `bytes`, without a sign, a fraction or an exponent, and its length.
#[inline]
pub(super) fn natural(bytes: &[u8]) -> Option<(u64, usize)> {
    let mut number = 0;
    let end = digits(bytes, &mut number);
    let plain = end > 0 && end <= DIGITS_MAX && (end == 1 || bytes[0] != b'0');
    let whole = !matches!(bytes.get(end), Some(b'.' | b'e' | b'E'));
    (plain && whole).then_some((number, end))
}

/// Counts the digits at the front of `bytes` and appends them to `number`, which has a meaning
/// only while they are at most [`DIGITS_MAX`] in all.
#[inline]
fn digits(bytes: &[u8], number: &mut u64) -> usize {
    let mut count = 0;
    while let Some(digit) = bytes.get(count).map(|byte| byte.wrapping_sub(b'0'))
        && digit <= 9
    {
        *number = number.wrapping_mul(10).wrapping_add(digit.into());
        count += 1;
    }
    count
}

/// The length of the exponent at the front of `bytes`, 0 when there is none; `None` when it has no
/// digits.
#[inline]
fn exponent_bytes(bytes: &[u8]) -> Option<usize> {
    if !matches!(bytes.first(), Some(b'e' | b'E')) {
        return Some(0);
    }
    let sign = usize::from(matches!(bytes.get(1), Some(b'+' | b'-')));
    let digits = digits(&bytes[1 + sign..], &mut 0);
    (digits > 0).then_some(1 + sign + digits)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_json_calls_a_number_is_read_and_nothing_else() {
        let check = |text: &str, expected: Option<(f64, usize)>| {
            let read = float(text.as_bytes());
            assert_eq!(
                read.map(|(value, end)| (value.to_bits(), end)),
                expected.map(|(value, end)| (value.to_bits(), end)),
                "{text}"
            );
        };
        check("0", Some((0.0, 1)));
        check("7,", Some((7.0, 1)));
        check("-7}", Some((-7.0, 2)));
        check("45.25 ", Some((45.25, 5)));
        check("0.1", Some((0.1, 3)));
        check("1e3", Some((1000.0, 3)));
        check("1E-3]", Some((0.001, 4)));
        check("9007199254740993", Some((9007199254740992.0, 16)));
        check("9007199254740993.0", Some((9007199254740992.0, 18)));
        check("18446744073709551616", Some((18446744073709551616.0, 20)));
        check("0.30000000000000004", Some((0.30000000000000004, 19)));
        check("123456789012345678901234567890.5", Some((1.2345678901234568e29, 32)));
        check("1.7976931348623157e308", Some((f64::MAX, 22)));
        check("4.9e-324", Some((5e-324, 8)));
        for none in
            ["", "-", "+1", ".5", "01", "-01", "1.", "1.e3", "1e", "1e+", "x", "NaN", "null"]
        {
            check(none, None);
        }
        check("1e400", None);
        check("-0", None);
        check("-0.0", None);
        check("-1e-400", None);
    }

    #[test]
    fn naturals_have_no_sign_fraction_or_exponent() {
        let check = |text: &str, expected| assert_eq!(natural(text.as_bytes()), expected, "{text}");
        check("0}", Some((0, 1)));
        check("1704110400,", Some((1_704_110_400, 10)));
        check("1704110400123456789", Some((1_704_110_400_123_456_789, 19)));
        for none in ["", "-1", "01", "1.5", "1e3", "17041104001234567890", "x"] {
            check(none, None);
        }
    }

    proptest! {
        #[test]
        fn every_float_is_read_as_the_standard_library_reads_it(
            text in "-?(0|[1-9][0-9]{0,24})(\\.[0-9]{1,24})?([eE][+-]?[0-9]{1,3})?"
        ) {
            let expected: f64 = text.parse().unwrap();
            let plain = expected.is_finite() && !(text.starts_with('-') && expected == 0.0);
            let read = float(text.as_bytes()).map(|(value, end)| (value.to_bits(), end));
            prop_assert_eq!(read, plain.then_some((expected.to_bits(), text.len())));
        }
    }
}
