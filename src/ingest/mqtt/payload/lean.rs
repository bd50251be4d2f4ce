//! A JSON text as a tree that borrows from it: what a payload of an unknown shape is read by, where `serde_json::Value` would copy every name and sort it into
//! a tree of its own.
//!
//! Members stand in the order of their names, and of two with one name the last counts, as there.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use super::{fits_double, scalar, time};
use crate::model::Timestamp;

/// One value.
#[derive(Debug, Clone, PartialEq)]
pub enum Lean<'a> {
    /// `null`, or a list, in which nothing is looked for.
    Nothing,
    /// `true` or `false`.
    Switch(bool),
    /// A number without a fraction.
    Whole(i64),
    /// One beyond that.
    Large(u64),
    /// Any other number.
    Number(f64),
    /// A text.
    Text(Cow<'a, str>),
    /// Members by their names.
    Object(Vec<(Cow<'a, str>, Lean<'a>)>),
}

impl<'a> Lean<'a> {
    /// What a path has found.
    pub fn of(value: &'a Value) -> Self {
        match value {
            Value::Null | Value::Array(_) => Self::Nothing,
            Value::Bool(on) => Self::Switch(*on),
            Value::Number(number) => match (number.as_i64(), number.as_u64()) {
                (Some(whole), _) => Self::Whole(whole),
                (None, Some(large)) => Self::Large(large),
                (None, None) => number.as_f64().map_or(Self::Nothing, Self::Number),
            },
            Value::String(text) => Self::Text(Cow::Borrowed(text)),
            Value::Object(members) => {
                let lean = |(name, member): (&'a String, &'a Value)| (Cow::Borrowed(name.as_str()), Self::of(member));
                Self::Object(members.iter().map(lean).collect())
            }
        }
    }

    /// The member of that name.
    pub fn get(&self, name: &str) -> Option<&Self> {
        let Self::Object(members) = self else { return None };
        members
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, member)| member)
    }

    /// As a number, if it is one, and whether it holds all its digits.
    pub fn number(&self) -> Option<(f64, bool)> {
        match self {
            Self::Switch(on) => Some((f64::from(u8::from(*on)), true)),
            Self::Whole(whole) => Some((*whole as f64, fits_double((*whole).into()))),
            Self::Large(large) => Some((*large as f64, fits_double((*large).into()))),
            Self::Number(number) => Some((*number, true)),
            Self::Text(text) => scalar::value(text).ok(),
            Self::Nothing | Self::Object(_) => None,
        }
    }

    /// As a time, if it is one without doubt.
    pub fn time(&self) -> Option<Timestamp> {
        let time = match self {
            Self::Whole(whole) => time::of_whole(*whole),
            Self::Large(large) => time::of_number(*large as f64),
            Self::Number(number) => time::of_number(*number),
            Self::Text(text) => time::of_text(text),
            Self::Nothing | Self::Switch(_) | Self::Object(_) => return None,
        };
        time.ok()
    }
}

impl<'de> Deserialize<'de> for Lean<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reading)
    }
}

struct Reading;

impl<'de> Visitor<'de> for Reading {
    type Value = Lean<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any valid JSON value")
    }

    fn visit_bool<E: Error>(self, on: bool) -> Result<Lean<'de>, E> {
        Ok(Lean::Switch(on))
    }

    fn visit_i64<E: Error>(self, whole: i64) -> Result<Lean<'de>, E> {
        Ok(Lean::Whole(whole))
    }

    fn visit_u64<E: Error>(self, whole: u64) -> Result<Lean<'de>, E> {
        Ok(i64::try_from(whole).map_or(Lean::Large(whole), Lean::Whole))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Lean<'de>, E> {
        Ok(Lean::Number(number))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Lean<'de>, E> {
        Ok(Lean::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Lean<'de>, E> {
        Ok(Lean::Text(Cow::Borrowed(text)))
    }

    fn visit_unit<E: Error>(self) -> Result<Lean<'de>, E> {
        Ok(Lean::Nothing)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Lean<'de>, A::Error> {
        // Read all the same: what is wrong in it makes the text wrong.
        while list.next_element::<Lean<'de>>()?.is_some() {}
        Ok(Lean::Nothing)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Lean<'de>, A::Error> {
        let mut members: Vec<(Cow<'de, str>, Lean<'de>)> = Vec::with_capacity(8);
        while let Some((Name(name), member)) = map.next_entry()? {
            members.push((name, member));
        }
        members.sort_by(|(a, _), (b, _)| a.cmp(b));
        members.reverse();
        members.dedup_by(|later, first| later.0 == first.0);
        members.reverse();
        Ok(Lean::Object(members))
    }
}

/// A name, borrowed where there is nothing escaped in it.
struct Name<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Name<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match deserializer.deserialize_str(Reading)? {
            Lean::Text(name) => Ok(Self(name)),
            _ => Err(D::Error::custom("a name is due")),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text() -> impl Strategy<Value = String> {
        let leaf = prop_oneof![
            any::<i64>().prop_map(|n| n.to_string()),
            any::<u64>().prop_map(|n| n.to_string()),
            any::<f64>()
                .prop_filter("finite", |n| n.is_finite())
                .prop_map(|n| format!("{n:?}")),
            "(true|false|null)",
            "\"(on|2\\.5|a\\\\\"b|\\\\u0041)\"",
            "(nul|-|01|1e999|\\[1,|\\{|)",
        ];
        leaf.prop_recursive(4, 24, 5, |inner| {
            let name = "(a|b|ts|c d|\\\\u0061|\\\\\")";
            prop_oneof![
                prop::collection::vec((name, inner.clone()), 0..5).prop_map(|members| {
                    let members: Vec<String> = members
                        .iter()
                        .map(|(name, value)| format!("\"{name}\": {value}"))
                        .collect();
                    format!("{{{}}}", members.join(","))
                }),
                prop::collection::vec(inner, 0..3).prop_map(|items| format!("[{}]", items.join(", "))),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        /// It holds what `Value` holds, and takes what `Value` takes.
        #[test]
        fn it_is_what_the_library_reads(text in text()) {
            let lean = serde_json::from_str::<Lean<'_>>(&text);
            let value = serde_json::from_str::<Value>(&text);
            match (&lean, &value) {
                (Ok(lean), Ok(value)) => {
                    prop_assert_eq!(lean, &Lean::of(value));
                    prop_assert_eq!(lean.time(), time::of_json(value).ok());
                }
                (Err(a), Err(b)) => prop_assert_eq!(a.to_string(), b.to_string()),
                _ => return Err(TestCaseError::fail(format!("{text:?}: {lean:?} and {value:?}"))),
            }
        }
    }
}
