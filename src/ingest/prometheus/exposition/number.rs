//! Values and time stamps.

use super::Format;

/// A number as Prometheus reads it: decimal, with exponent, NaN and infinities; no hexadecimal, no underscores.
pub fn number(word: &[u8]) -> Option<f64> {
    // The parser knows more words for infinity and not-a-number than the format does.
    if let Ok(value) = fast_float2::parse::<f64, _>(word)
        && value.is_finite()
    {
        return Some(value);
    }
    let (sign, rest) = match word {
        [b'+', rest @ ..] => (1.0, rest),
        [b'-', rest @ ..] => (-1.0, rest),
        rest => (1.0, rest),
    };
    let is = |text: &str| rest.eq_ignore_ascii_case(text.as_bytes());
    if is("inf") || is("infinity") {
        return Some(sign * f64::INFINITY);
    }
    // A number beyond what a double can hold is none, as in Prometheus.
    (is("nan") && rest.len() == word.len()).then_some(f64::NAN)
}

/// Milliseconds in the text format, seconds in `OpenMetrics`.
pub fn stamp(word: &[u8], format: Format) -> Option<i64> {
    match format {
        Format::Text => {
            if word.is_empty() || !word.iter().all(u8::is_ascii_digit) {
                return None;
            }
            std::str::from_utf8(word).ok()?.parse().ok()
        }
        Format::OpenMetrics => {
            let seconds = number(word).filter(|seconds| seconds.is_finite())?;
            Some((seconds * 1e3).round() as i64)
        }
    }
}
