//! A payload that is one value: a number or a switch word.

use super::{Context, DecodeError, Decoder};
use crate::model::Batch;

/// See the module.
pub struct Scalar;

/// A number or a switch word.
pub fn value(text: &str) -> Result<f64, DecodeError> {
    let text = text.trim();
    match text.to_ascii_lowercase().as_str() {
        "true" | "on" | "yes" | "open" => Ok(1.0),
        "false" | "off" | "no" | "closed" => Ok(0.0),
        // Rust reads "inf" and "infinity" as numbers; a device that means a value does not write them so.
        "nan" | "inf" | "-inf" | "+inf" | "infinity" | "-infinity" | "+infinity" => Err(wrong(text)),
        _ => text.parse().map_err(|_| wrong(text)),
    }
}

fn wrong(text: &str) -> DecodeError {
    DecodeError::Scalar(text.chars().take(64).collect())
}

impl Decoder for Scalar {
    fn decode(&mut self, context: &Context<'_>, payload: &[u8], out: &mut Batch) -> Result<(), DecodeError> {
        let text = std::str::from_utf8(payload).map_err(|_| DecodeError::Utf8)?;
        if text.is_empty() && context.retained {
            // An empty retained payload deletes; there is no value in it.
            return Ok(());
        }
        out.samples.push(context.sample(context.signal, value(text)?, None));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::ingest::mqtt::payload::tests::read;

    #[test]
    fn numbers_and_switch_words_are_values_and_units_are_not_guessed() {
        let yaml = "{filter: a, decode: scalar}";
        let (samples, errors, _) = read(yaml, "a/temp", &[b"21.5", b" -3e2\n", b"ON", b"false"]);
        assert_eq!(
            samples,
            ["21.5", "-300", "1", "0"].map(|v| format!("dev/temp={v}@1767225600000"))
        );
        assert!(errors.is_empty());
        let (samples, errors, _) = read(yaml, "a/temp", &[b"21.5 C", b"", b"NaN", b"\xff"]);
        assert!(samples.is_empty());
        assert_eq!(errors.len(), 4);
        assert!(errors[0].contains("'21.5 C'"));
    }
}
