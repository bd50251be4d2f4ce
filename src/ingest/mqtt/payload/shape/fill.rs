//! Reads a text against a shape in one pass: no tree, no names, no memory taken but for words that have changed.

use std::fmt;

use serde::Deserializer;
use serde::de::{DeserializeSeed, Error, IgnoredAny, MapAccess, SeqAccess, Visitor, value};

use super::plan::{Clock, Leaf, Node, Shape};
use super::skim::{Outline, Token};
use super::{Got, hash};
use crate::ingest::mqtt::payload::{Notes, fits_double, scalar, time};
use crate::model::Timestamp;

/// What a text held besides its values.
pub struct Filled {
    /// Its time.
    pub at: Option<Timestamp>,
    /// What was lost on the way.
    pub notes: Notes,
}

/// Fills `got` by slot. `None` if the text is not of that shape or holds no value.
pub fn read(shape: &Shape, outline: Option<&Outline>, words: &[u64], text: &str, got: &mut Vec<Got>) -> Option<Filled> {
    let mut fill = |fill: &dyn Fn(&mut Filling<'_>) -> Option<()>| {
        got.clear();
        got.resize(shape.names.len(), Got::Nothing);
        let mut filling = Filling {
            words,
            got,
            at: None,
            notes: Notes::default(),
        };
        fill(&mut filling)?;
        let Filling { got, at, notes, .. } = filling;
        let found = got.iter().any(|got| *got != Got::Nothing);
        found.then_some(Filled { at, notes })
    };
    let skimmed = outline.and_then(|outline| {
        fill(&|filling| outline.skim(text, |node, token| Place { node, filling }.meet(token).ok()))
    });
    skimmed.or_else(|| {
        fill(&|filling| {
            let mut json = serde_json::Deserializer::from_str(text);
            let node = &shape.root;
            Place { node, filling }.deserialize(&mut json).ok()?;
            json.end().ok()
        })
    })
}

struct Filling<'a> {
    words: &'a [u64],
    got: &'a mut Vec<Got>,
    at: Option<Timestamp>,
    notes: Notes,
}

/// A place of the shape, about to meet what the text has there.
struct Place<'a, 'f> {
    node: &'a Node,
    filling: &'a mut Filling<'f>,
}

impl<'de> DeserializeSeed<'de> for Place<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        match self.node {
            Node::Any => deserializer.deserialize_ignored_any(IgnoredAny).map(drop),
            _ => deserializer.deserialize_any(self),
        }
    }
}

impl Place<'_, '_> {
    fn meet(self, token: Token<'_>) -> Result<(), value::Error> {
        match token {
            Token::Text(text) => self.visit_str(text),
            Token::Switch(on) => self.visit_bool(on),
            Token::Null => self.visit_unit(),
            Token::Whole(whole) => self.visit_i64(whole),
            Token::Number(number) => self.visit_f64(number),
        }
    }
}

/// The text is not of the shape. Nobody reads the words.
fn other<E: Error>() -> E {
    E::custom("")
}

impl Filling<'_> {
    fn time<E: Error>(&mut self, clock: Clock, read: impl FnOnce() -> Option<Timestamp>) -> Result<(), E> {
        match (clock, clock != Clock::None) {
            (_, false) => Ok(()),
            (Clock::Time, _) => {
                self.at = Some(read().ok_or_else(other)?);
                Ok(())
            }
            _ => read().map_or(Ok(()), |_| Err(other())),
        }
    }

    fn number(&mut self, leaf: &Leaf, value: f64, exact: bool) {
        for slot in &leaf.slots {
            self.notes.digits_lost += u32::from(!exact);
            self.got[*slot] = Got::Number(value);
        }
    }
}

impl<'de> Visitor<'de> for Place<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("what the shape says")
    }

    fn visit_bool<E: Error>(self, on: bool) -> Result<(), E> {
        let Node::Leaf(leaf) = self.node else {
            return Err(other());
        };
        self.filling.time(leaf.clock, || None)?;
        self.filling.number(leaf, f64::from(u8::from(on)), true);
        Ok(())
    }

    fn visit_i64<E: Error>(self, whole: i64) -> Result<(), E> {
        let Node::Leaf(leaf) = self.node else {
            return Err(other());
        };
        self.filling.time(leaf.clock, || time::of_whole(whole).ok())?;
        self.filling.number(leaf, whole as f64, fits_double(whole.into()));
        Ok(())
    }

    fn visit_u64<E: Error>(self, whole: u64) -> Result<(), E> {
        if let Ok(whole) = i64::try_from(whole) {
            return self.visit_i64(whole);
        }
        let Node::Leaf(leaf) = self.node else {
            return Err(other());
        };
        self.filling.time(leaf.clock, || time::of_number(whole as f64).ok())?;
        self.filling.number(leaf, whole as f64, fits_double(whole.into()));
        Ok(())
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<(), E> {
        let Node::Leaf(leaf) = self.node else {
            return Err(other());
        };
        self.filling.time(leaf.clock, || time::of_number(number).ok())?;
        self.filling.number(leaf, number, true);
        Ok(())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        let Node::Leaf(leaf) = self.node else {
            return Err(other());
        };
        self.filling.time(leaf.clock, || time::of_text(text).ok())?;
        if leaf.slots.is_empty() {
            return Ok(());
        }
        if let Some((number, exact)) = scalar::read(text) {
            self.filling.number(leaf, number, exact);
            return Ok(());
        }
        let hash = hash(text);
        for slot in &leaf.slots {
            let same = self.filling.words.get(*slot) == Some(&hash);
            self.filling.got[*slot] = if same {
                Got::SameWord
            } else {
                Got::Word(text.to_owned())
            };
        }
        Ok(())
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        let Node::Leaf(leaf) = self.node else {
            return Err(other());
        };
        self.filling.time(leaf.clock, || None)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        if let Node::List(nodes) = self.node {
            for node in nodes {
                let filling = &mut *self.filling;
                list.next_element_seed(Place { node, filling })?.ok_or_else(other)?;
            }
        } else if !matches!(self.node, Node::AnyList | Node::AnyNested) {
            return Err(other());
        }
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        match self.node {
            Node::Object(members) => {
                for (name, node) in members {
                    if map.next_key_seed(Key(name))? != Some(true) {
                        return Err(other());
                    }
                    let filling = &mut *self.filling;
                    map.next_value_seed(Place { node, filling })?;
                }
                match map.next_key::<IgnoredAny>()? {
                    None => Ok(()),
                    Some(_) => Err(other()),
                }
            }
            Node::AnyNested => {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(())
            }
            _ => Err(other()),
        }
    }
}

/// True if a member is called so.
struct Key<'a>(&'a str);

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Key<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<bool, E> {
        Ok(name == self.0)
    }
}
