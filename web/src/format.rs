//! Numbers as people read them.

use time::OffsetDateTime;

const PREFIXES: [&str; 9] = ["", "k", "M", "G", "T", "P", "E", "Z", "Y"];

/// Four digits and a prefix: `1.234 T`.
#[must_use]
pub fn scaled(value: f64) -> String {
    if !value.is_finite() || value < 0.0 {
        return "–".into();
    }
    // The sum of nothing is −0 in Rust.
    let (mut value, mut prefix) = (value + 0.0, 0);
    while value >= 999.95 && prefix + 1 < PREFIXES.len() {
        (value, prefix) = (value / 1000.0, prefix + 1);
    }
    let digits = match value {
        _ if value == 0.0 => 0,
        v if v < 0.01 => return format!("{value:.2e} "),
        v if v < 10.0 => 2,
        v if v < 100.0 => 1,
        _ => usize::from(prefix > 0),
    };
    format!("{value:.digits$} {}", PREFIXES.get(prefix).unwrap_or(&""))
}

/// `1.234 TH/s`.
#[must_use]
pub fn hashrate(per_second: f64) -> String {
    format!("{}H/s", scaled(per_second))
}

/// A quantity of a unit on an axis: all of its values have the prefix and the decimals that its step wants.
#[must_use]
pub fn on_axis(value: f64, step: f64, top: f64, unit: &str) -> String {
    let (mut scale, mut prefix) = (1.0, 0);
    while top / scale >= 1000.0 && prefix + 1 < PREFIXES.len() {
        (scale, prefix) = (scale * 1000.0, prefix + 1);
    }
    let digits = (0..3).find(|digits| is_whole(step / scale, *digits)).unwrap_or(3);
    let prefix = PREFIXES.get(prefix).unwrap_or(&"");
    format!("{:.digits$} {prefix}{unit}", value / scale)
}

/// Units of space, each 1024 of the one before.
const BYTES: [&str; 9] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB", "ZiB", "YiB"];

/// `1.23 TiB`.
#[must_use]
pub fn space(bytes: f64) -> String {
    if !bytes.is_finite() || bytes < 0.0 {
        return "–".into();
    }
    let (value, unit) = in_unit(bytes + 0.0, bytes);
    let digits = match value {
        _ if value == 0.0 || unit == 0 => 0,
        v if v < 10.0 => 2,
        v if v < 100.0 => 1,
        _ => 0,
    };
    format!("{value:.digits$} {}", BYTES.get(unit).unwrap_or(&""))
}

/// Space on an axis, as [`on_axis`].
#[must_use]
pub fn space_on_axis(value: f64, step: f64, top: f64) -> String {
    let ((value, unit), (step, _)) = (in_unit(value, top), in_unit(step, top));
    let digits = (0..2).find(|digits| is_whole(step, *digits)).unwrap_or(2);
    format!("{value:.digits$} {}", BYTES.get(unit).unwrap_or(&""))
}

/// Bytes in the unit that suits the largest of them, and which that is.
fn in_unit(bytes: f64, most: f64) -> (f64, usize) {
    let (mut scale, mut unit) = (1.0, 0);
    while most / scale >= 1023.95 && unit + 1 < BYTES.len() {
        (scale, unit) = (scale * 1024.0, unit + 1);
    }
    (bytes / scale, unit)
}

/// Is it a whole number with so many decimals?
fn is_whole(step: f64, digits: usize) -> bool {
    let steps = step * 10f64.powi(digits as i32);
    (steps - steps.round()).abs() < 1e-6 * steps
}

/// A bare quantity: `12.3 k`.
#[must_use]
pub fn quantity(value: f64) -> String {
    scaled(value).trim_end().to_owned()
}

/// `12 345`.
#[must_use]
pub fn grouped(number: i128) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3 + 1);
    if number < 0 {
        out.push('−');
    }
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push('\u{202f}');
        }
        out.push(digit);
    }
    out
}

/// `12.34 %`.
#[must_use]
pub fn percent(fraction: f64) -> String {
    let percent = fraction * 100.0 + 0.0;
    match percent {
        p if !p.is_finite() => "–".into(),
        p if p == 0.0 || p >= 1000.0 => format!("{p:.0} %"),
        p if p >= 0.1 => format!("{p:.2} %"),
        p if p >= 0.0001 => format!("{p:.4} %"),
        p => format!("{p:.1e} %"),
    }
}

/// A length of time in its two largest units: `3 d 4 h`.
#[must_use]
pub fn span(seconds: f64) -> String {
    if !seconds.is_finite() || seconds < 0.0 {
        return "–".into();
    }
    const UNITS: [(f64, &str); 5] =
        [(365.25 * 86_400.0, "y"), (86_400.0, "d"), (3600.0, "h"), (60.0, "min"), (1.0, "s")];
    let years = seconds / UNITS[0].0;
    if years >= 1000.0 {
        return format!("{} years", quantity(years));
    }
    let first = UNITS.iter().position(|(length, _)| seconds >= *length);
    let Some(first) = first else { return format!("{seconds:.0} s") };
    let (length, name) = UNITS[first];
    let whole = (seconds / length).floor();
    match UNITS.get(first + 1) {
        Some((smaller, smaller_name)) if whole < 10.0 => {
            let rest = ((seconds - whole * length) / smaller).floor();
            if rest > 0.0 {
                format!("{whole:.0} {name} {rest:.0} {smaller_name}")
            } else {
                format!("{whole:.0} {name}")
            }
        }
        _ => format!("{whole:.0} {name}"),
    }
}

/// `2026-11-21 08:03` in UTC.
#[must_use]
pub fn minute(unix_ms: u64) -> String {
    let moment = OffsetDateTime::from_unix_timestamp((unix_ms / 1000).cast_signed());
    moment.map_or_else(
        |_| "–".into(),
        |at| {
            let (y, m, d) = (at.year(), u8::from(at.month()), at.day());
            format!("{y}-{m:02}-{d:02} {:02}:{:02}", at.hour(), at.minute())
        },
    )
}

/// A decimal without the zeros that say nothing: at least two decimals stay.
#[must_use]
pub fn coins(decimal: &str) -> String {
    let Some((whole, part)) = decimal.split_once('.') else { return decimal.to_owned() };
    let part = part.trim_end_matches('0');
    let grouped = whole.parse::<i128>().map_or_else(|_| whole.to_owned(), grouped);
    let sign = if whole.starts_with("-0") { "−" } else { "" };
    format!("{sign}{grouped}.{part:0<2}")
}

/// The beginning and the end of a long name.
#[must_use]
pub fn short(text: &str) -> String {
    let characters: Vec<char> = text.chars().collect();
    match characters.len() {
        0..=20 => text.to_owned(),
        length => {
            let (head, tail) = (&characters[..8], &characters[length - 8..]);
            head.iter().chain(&['…']).chain(tail).collect()
        }
    }
}

/// A block's hash without its zeros at the beginning.
#[must_use]
pub fn short_hash(hash: &str) -> String {
    let end: String = hash.chars().skip(hash.len().saturating_sub(12)).collect();
    format!("…{end}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_has_no_sign() {
        assert_eq!((hashrate(-0.0).as_str(), percent(-0.0).as_str()), ("0 H/s", "0 %"));
    }

    #[test]
    fn numbers_are_short_and_keep_their_meaning() {
        let cases = [
            (hashrate(0.0), "0 H/s"),
            (hashrate(-0.0), "0 H/s"),
            (percent(-0.0), "0 %"),
            (hashrate(1_234_000_000_000.0), "1.23 TH/s"),
            (hashrate(999_960.0), "1.00 MH/s"),
            (hashrate(512.4), "512 H/s"),
            (hashrate(512_400.0), "512.4 kH/s"),
            (hashrate(f64::INFINITY), "–H/s"),
            (quantity(12_300.0), "12.3 k"),
            (percent(0.5), "50.00 %"),
            (percent(0.000_012_3), "0.0012 %"),
            (span(200_000.0), "2 d 7 h"),
            (span(59.0), "59 s"),
            (span(0.2), "0 s"),
            (span(1e12), "31.7 k years"),
            (coins("3.12500000"), "3.125"),
            (coins("12345.00000000"), "12\u{202f}345.00"),
            (coins("-0.50000000"), "−0.50"),
            (minute(1_700_000_000_000), "2023-11-14 22:13"),
            (on_axis(5e3, 5e3, 20e3, "H/s"), "5 kH/s"),
            (on_axis(2.5e12, 2.5e12, 10e12, "H/s"), "2.5 TH/s"),
            (on_axis(1e12, 0.25e12, 1e12, "H/s"), "1.00 TH/s"),
            (on_axis(0.0, 1.0, 1.0, "H/s"), "0 H/s"),
        ];
        for (made, wanted) in cases {
            assert_eq!(made, wanted);
        }
    }
}
