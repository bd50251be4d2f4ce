//! A payload that is one value: a number or a switch word.

use super::{Context, DecodeError, Decoded, Decoder, Memo, Notes, fits_double};
use crate::model::Batch;

/// See the module.
pub struct Scalar;

/// Rust reads "inf" and "infinity" as numbers; a device that means a value does not write them so.
const NO_NUMBERS: [&str; 3] = ["nan", "inf", "infinity"];

/// A number or a switch word, and whether it holds all its digits.
pub fn value(text: &str) -> Result<(f64, bool), DecodeError> {
    read(text).ok_or_else(|| DecodeError::Scalar(text.trim().chars().take(64).collect()))
}

/// The same for a text that may well be neither.
pub fn read(text: &str) -> Option<(f64, bool)> {
    let text = text.trim();
    let is = |words: &[&str]| words.iter().any(|word| text.eq_ignore_ascii_case(word));
    if is(&["true", "on", "yes", "open"]) {
        return Some((1.0, true));
    }
    if is(&["false", "off", "no", "closed"]) {
        return Some((0.0, true));
    }
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    if NO_NUMBERS.iter().any(|word| unsigned.eq_ignore_ascii_case(word)) {
        return None;
    }
    let number: f64 = text.parse().ok()?;
    // A number of that many digits that a device writes out is a counter or an identifier.
    let exact = number.abs() < 9e15 || text.parse().map_or(true, fits_double);
    Some((number, exact))
}

impl Decoder for Scalar {
    fn read(&mut self, context: &Context<'_>, _: &mut Memo, payload: &[u8], out: &mut Batch) -> Decoded {
        let text = std::str::from_utf8(payload).map_err(|_| DecodeError::Utf8)?;
        let (value, exact) = value(text)?;
        out.samples.push(context.sample(context.signal, value, None));
        let mut notes = Notes::default();
        notes.integer(exact);
        Ok(notes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ingest::mqtt::payload::tests::{Bench, read};

    #[test]
    fn numbers_and_switch_words_are_values_and_units_are_not_guessed() {
        let yaml = "{filter: a, decode: scalar}";
        let (samples, errors, _) = read(yaml, "a/temp", &[b"21.5", b" -3e2\n", b"ON", b"false"]);
        assert_eq!(
            samples,
            ["21.5", "-300", "1", "0"].map(|v| format!("dev/temp={v}@1767225600000"))
        );
        assert!(errors.is_empty());
        let wrong: [&[u8]; 6] = [b"21.5 C", b" ", b"NaN", b"-Infinity", b"19,25", b"\xff"];
        let (samples, errors, _) = read(yaml, "a/temp", &wrong);
        assert!(samples.is_empty());
        assert_eq!(errors.len(), wrong.len());
        assert!(errors[0].contains("'21.5 C'"));
    }

    /// To a subscriber that is there already, a retained message that is deleted looks like an empty message that is not retained.
    #[test]
    fn an_empty_payload_deletes_and_is_neither_a_value_nor_a_fault() {
        for name in ["scalar", "json", "sparkplug", "thingsboard", "thingsboard-gateway"] {
            for retained in [true, false] {
                let mut bench = Bench::new(&format!("{{filter: a, decode: {name}}}"));
                bench.retained = retained;
                let (batch, notes) = bench.feed("spBv1.0/g/NBIRTH/n", b"");
                assert!(batch.is_empty());
                assert_eq!(notes, Ok(Notes::empty()), "{name}");
            }
        }
    }

    #[test]
    fn a_counter_of_too_many_digits_is_noted() {
        let mut bench = Bench::new("{filter: a, decode: scalar}");
        let (batch, notes) = bench.feed("a/count", b"9007199254740993");
        assert_eq!((batch.samples.len(), notes.unwrap().digits_lost), (1, 1));
        let (_, notes) = bench.feed("a/count", b"9007199254740992");
        assert_eq!(notes.unwrap().digits_lost, 0);
    }
}
