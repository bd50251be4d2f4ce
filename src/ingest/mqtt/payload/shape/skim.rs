//! Reads a text that is written as the one before, to the letter: the same bytes between the values. A device's firmware writes no other.
//!
//! In: text. Out: its values in their order, or nothing at all. Never: a text taken for JSON that is none: the bytes between come from a
//! text that was, and each value is held to the grammar.

use super::plan::{Node, Shape};

/// What stands between the values of a text, and what the values are for.
pub struct Outline {
    /// Before each value.
    parts: Vec<(Box<[u8]>, Node)>,
    /// Behind the last.
    end: Box<[u8]>,
}

/// A value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Token<'a> {
    /// A text without escapes.
    Text(&'a str),
    /// A switch.
    Switch(bool),
    /// Nothing.
    Null,
    /// A whole number.
    Whole(i64),
    /// Any other number.
    Number(f64),
}

impl Outline {
    /// Of a text of that shape. `None` for shapes with places for lists or for anything: there the bytes between say too little.
    pub fn of(shape: &Shape, text: &str) -> Option<Self> {
        if !matches!(shape.root, Node::Object(_)) {
            return None;
        }
        let mut leaves = Vec::new();
        collect(&shape.root, &mut leaves)?;
        let bytes = text.as_bytes();
        let (mut parts, mut from, mut at) = (Vec::new(), 0, 0);
        for leaf in leaves {
            at = value_from(bytes, at)?;
            let (_, length) = token(text, at)?;
            parts.push((bytes.get(from..at)?.into(), leaf));
            at += length;
            from = at;
        }
        let end = bytes.get(from..)?;
        let closes = end.iter().all(|byte| *byte == b'}' || byte.is_ascii_whitespace());
        closes.then(|| Self { parts, end: end.into() })
    }

    /// Hands each value to `each`, until it wants no more. `None` if the text is not written so.
    pub fn skim<'a>(&self, text: &'a str, mut each: impl FnMut(&Node, Token<'a>) -> Option<()>) -> Option<()> {
        let bytes = text.as_bytes();
        let mut at = 0;
        for (before, leaf) in &self.parts {
            at += bytes.get(at..)?.starts_with(before).then_some(before.len())?;
            let (value, length) = token(text, at)?;
            each(leaf, value)?;
            at += length;
        }
        (bytes.get(at..)? == &*self.end).then_some(())
    }
}

/// The leaves in the order of the text.
fn collect(node: &Node, leaves: &mut Vec<Node>) -> Option<()> {
    match node {
        Node::Leaf(leaf) => leaves.push(Node::Leaf(leaf.clone())),
        Node::Object(members) => {
            for (_, node) in members {
                collect(node, leaves)?;
            }
        }
        Node::List(_) | Node::AnyList | Node::AnyNested | Node::Any => return None,
    }
    Some(())
}

/// Where the next value that is no object begins, in a text that is known to be JSON without lists.
fn value_from(bytes: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match bytes.get(at)? {
            b'"' => {
                at += 1;
                while *bytes.get(at)? != b'"' {
                    at += if bytes[at] == b'\\' { 2 } else { 1 };
                }
                at += 1;
            }
            b':' => {
                at += 1;
                at += bytes.get(at..)?.iter().position(|byte| !byte.is_ascii_whitespace())?;
                if bytes.get(at) != Some(&b'{') {
                    return Some(at);
                }
            }
            _ => at += 1,
        }
    }
}

/// The value that begins there, and its length. `None` for what is better read by the library: escapes, numbers of very many digits.
pub fn token(text: &str, at: usize) -> Option<(Token<'_>, usize)> {
    let bytes = text.as_bytes().get(at..)?;
    match bytes.first()? {
        b'"' => {
            let inside = bytes.get(1..)?;
            let length = inside
                .iter()
                .position(|byte| *byte == b'"' || *byte == b'\\' || *byte < 0x20)?;
            if inside[length] != b'"' {
                return None;
            }
            Some((Token::Text(text.get(at + 1..at + 1 + length)?), length + 2))
        }
        b't' => bytes.starts_with(b"true").then_some((Token::Switch(true), 4)),
        b'f' => bytes.starts_with(b"false").then_some((Token::Switch(false), 5)),
        b'n' => bytes.starts_with(b"null").then_some((Token::Null, 4)),
        _ => number(bytes),
    }
}

/// Digits whose number an `i64` holds whatever they are.
const DIGITS_MAX: usize = 18;

/// Powers of ten that a double holds exactly.
const TENS: [f64; 16] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
];

/// Adds the digits that begin there to the number; how many there are.
fn digits(bytes: &[u8], from: usize, number: &mut u64) -> usize {
    let rest = bytes.get(from..).unwrap_or_default();
    let mut count = 0;
    for byte in rest {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            break;
        }
        *number = number.wrapping_mul(10).wrapping_add(digit.into());
        count += 1;
    }
    count
}

fn number(bytes: &[u8]) -> Option<(Token<'static>, usize)> {
    let sign = usize::from(bytes.first() == Some(&b'-'));
    let mut all = 0;
    let whole = digits(bytes, sign, &mut all);
    if whole == 0 || (whole > 1 && bytes.get(sign) == Some(&b'0')) {
        return None;
    }
    let (mut end, mut fraction) = (sign + whole, 0);
    if bytes.get(end) == Some(&b'.') {
        fraction = digits(bytes, end + 1, &mut all);
        if fraction == 0 {
            return None;
        }
        end += 1 + fraction;
    }
    let mut exponent = 0;
    if matches!(bytes.get(end), Some(b'e' | b'E')) {
        let signed = usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
        exponent = digits(bytes, end + 1 + signed, &mut 0);
        if exponent == 0 {
            return None;
        }
        end += 1 + signed + exponent;
    }
    if exponent == 0 && whole + fraction <= DIGITS_MAX {
        let magnitude = i64::try_from(all).ok()?;
        return Some(match (fraction, sign, magnitude) {
            (0, 0, _) => (Token::Whole(magnitude), end),
            (0, _, 0) => (Token::Number(-0.0), end),
            (0, ..) => (Token::Whole(-magnitude), end),
            // Of two numbers that a double holds, the quotient is the double next to the truth, which is what reading the digits gives.
            _ if fraction < TENS.len() && all < 1 << 53 => {
                let number = all as f64 / TENS[fraction];
                (Token::Number(if sign == 0 { number } else { -number }), end)
            }
            _ => (Token::Number(by_library(&bytes[..end])?), end),
        });
    }
    if fraction == 0 && exponent == 0 {
        return None;
    }
    Some((Token::Number(by_library(&bytes[..end])?), end))
}

fn by_library(digits: &[u8]) -> Option<f64> {
    let number: f64 = fast_float2::parse(digits).ok()?;
    number.is_finite().then_some(number)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(5000))]

        /// What is taken is what the library reads; what the library does not read is not taken.
        #[test]
        fn a_value_is_what_the_library_says(text in prop_oneof![
            "-?[0-9]{1,20}", "-?[0-9]{1,4}\\.[0-9]{0,20}", "-?[0-9]{0,3}(\\.[0-9]{1,3})?[eE][+-]?[0-9]{0,3}",
            "\"[^\"]{0,8}\"?", "(true|false|null|tru|nul|-|\\.5|\\+1|Infinity|NaN)", "\\PC{0,6}",
        ]) {
            let whole = token(&text, 0).filter(|(_, length)| *length == text.len());
            let library = serde_json::from_str::<serde_json::Value>(&text).ok();
            if let Some((got, _)) = whole {
                let Some(library) = library else {
                    return Err(TestCaseError::fail(format!("{text:?} is no JSON and was read as {got:?}")));
                };
                let same = match got {
                    Token::Text(text) => library.as_str() == Some(text),
                    Token::Switch(on) => library.as_bool() == Some(on),
                    Token::Null => library.is_null(),
                    Token::Whole(whole) => library.as_i64() == Some(whole),
                    Token::Number(number) => {
                        library.is_f64() && library.as_f64().map(f64::to_bits) == Some(number.to_bits())
                    }
                };
                prop_assert!(same, "{} is {:?} and was read as {:?}", text, library, got);
            }
        }
    }
}
