//! Numbers as programs write them, read and written as the original does.
//!
//! Invariant: a constant written and read again is the same constant.

/// Letters of a number at most, which no real one has.
const CHARS_MAX: usize = 64;

/// `[-+]?(\d+(\.\d*)?|\.\d+)([eE][-+]?\d+)?` and nothing else, as the nearest float of its nearest double.
pub(super) fn read(text: &str) -> Option<f32> {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (digits, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((digits, exponent)) => (digits, Some(exponent)),
        None => (unsigned, None),
    };
    let plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let has_digits = !whole.is_empty() || !fraction.is_empty();
    let good_exponent = exponent.is_none_or(|text| {
        let text = text.strip_prefix(['-', '+']).unwrap_or(text);
        !text.is_empty() && plain(text)
    });
    if text.len() > CHARS_MAX || !has_digits || !plain(whole) || !plain(fraction) || !good_exponent
    {
        return None;
    }
    #[expect(clippy::cast_possible_truncation, reason = "constants are floats of 32 bits")]
    text.parse::<f64>().ok().map(|number| number as f32)
}

/// As Python prints the float's double: the shortest digits, an exponent below 1e-4 and from 1e16 on. An infinity is written so
/// that it is read as one.
pub(super) fn write(number: f32) -> String {
    if number.is_infinite() {
        return if number > 0.0 { "1e999" } else { "-1e999" }.into();
    }
    let text = format!("{:e}", f64::from(number));
    let (mantissa, exponent) = text.split_once('e').expect("as the format says");
    let exponent: i32 = exponent.parse().expect("as the format says");
    if (-4..16).contains(&exponent) {
        let plain = f64::from(number).to_string();
        return if plain.contains('.') { plain } else { format!("{plain}.0") };
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{:02}", exponent.abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_print_as_python_prints_them() {
        for (number, text) in [
            (0.1f32, "0.10000000149011612"),
            (1.0, "1.0"),
            (-0.0, "-0.0"),
            (1e-8, "9.99999993922529e-09"),
            (1e30, "1.0000000150474662e+30"),
            (0.0001, "9.999999747378752e-05"),
            (-2.5e-4, "-0.0002500000118743628"),
            (123_456_790.0, "123456792.0"),
            (f32::INFINITY, "1e999"),
        ] {
            assert_eq!(write(number), text);
            assert_eq!(read(text).unwrap().to_bits(), number.to_bits(), "{text}");
        }
    }

    #[test]
    fn what_the_original_does_not_read_is_no_number() {
        for text in ["", ".", "-", "1e", "1e+", "inf", "nan", "0x1", "1_0", "1.0f", " 1", "1..2"] {
            assert_eq!(read(text), None, "{text}");
        }
        for (text, number) in [("1.", 1.0f32), (".5", 0.5), ("+2", 2.0), ("1E3", 1000.0)] {
            assert_eq!(read(text), Some(number));
        }
    }
}
