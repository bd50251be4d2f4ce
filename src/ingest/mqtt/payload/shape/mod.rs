//! Payloads that look like the one before: the same members in the same order. Then each value has its place, and its series is known
//! without any name being looked up.
//!
//! In: text whose like has been read by name before. Out: the same samples in the same order, or nothing at all. Never: a meaning of its
//! own; whatever differs from the shape in any way is left to the reading by name.

mod fill;
mod plan;
mod skim;
mod tree;

use std::hash::BuildHasher;

use foldhash::fast::FixedState;
use smallvec::SmallVec;

use super::{Context, Notes, flow};
use crate::model::{Batch, SeriesId};

pub use plan::Target;
use plan::{Name, Shape};
use skim::Outline;
pub use skim::{Token, token};

/// Shapes that one subscription remembers. Payloads of any further shape are read by name.
const SHAPES_MAX: usize = 256;

/// Shapes that one topic is tried for, the latest first.
const KEPT_MAX: usize = 4;

/// A payload that fits no shape counts so much, one that fits takes one back, and at this many a topic is read by name for good: learning shapes that come once
/// costs more than those that come again save.
const MISS: u8 = 4;
const MISSES_MAX: u8 = 32 * MISS;

/// What is remembered of one topic. Most have one shape: it stands here and not behind a pointer, because topics come in random order.
#[derive(Default)]
pub struct Memo {
    kept: SmallVec<[Kept; 1]>,
    misses: u8,
    /// For payloads that look like none before.
    series: Option<Box<flow::Known>>,
}

impl Memo {
    /// Reads what the next payload will ask for, so that it is near when its turn comes.
    pub fn touch(&self) -> u64 {
        let kept = self.kept.first();
        let series = kept.and_then(|kept| kept.series.of(0)).map_or(0, |series| series.0);
        let word = kept.and_then(|kept| kept.words().first()).copied().unwrap_or_default();
        u64::from(series) ^ word ^ self.series.as_ref().map_or(0, |series| series.touch())
    }

    /// The series of a topic that has no shape.
    pub(super) fn series(&mut self) -> &mut flow::Known {
        self.series.get_or_insert_default()
    }

    /// A payload not long ago was like none before: of a topic whose members stay there is nothing else to remember.
    pub const fn varies(&self) -> bool {
        self.misses > 0
    }
}

struct Kept {
    shape: u32,
    series: Numbers,
    words: Option<Box<Words>>,
}

/// By slot, the hash of the word that was told last; 0 for none. Most topics say numbers only and have none.
struct Words(Vec<u64>);

impl Kept {
    fn words(&self) -> &[u64] {
        self.words.as_ref().map_or(&[], |words| &words.0)
    }
}

/// The series of a shape's slots.
enum Numbers {
    /// One after the other from this one on: so they were handed out if nobody else asked while a device's first message was read.
    From(u32),
    Each(Box<[SeriesId]>),
}

impl Numbers {
    fn of(&self, slot: usize) -> Option<SeriesId> {
        match self {
            Self::From(first) => Some(SeriesId(first.wrapping_add(u32::try_from(slot).ok()?))),
            Self::Each(series) => series.get(slot).copied(),
        }
    }
}

impl FromIterator<SeriesId> for Numbers {
    fn from_iter<I: IntoIterator<Item = SeriesId>>(series: I) -> Self {
        let each: Vec<SeriesId> = series.into_iter().collect();
        match each.first() {
            Some(first) if each.iter().zip(first.0..).all(|(series, next)| series.0 == next) => Self::From(first.0),
            _ => Self::Each(each.into()),
        }
    }
}

/// What one place of a payload held.
#[derive(Clone, Debug, PartialEq)]
enum Got {
    Nothing,
    Number(f64),
    /// A word that was told before.
    SameWord,
    Word(String),
}

/// The shapes of one subscription.
pub struct Shapes {
    target: Target,
    known: Vec<Shape>,
    /// Of each shape: how the text was written that it was learned from.
    outlines: Vec<Option<Outline>>,
    /// By slot; reused from payload to payload.
    got: Vec<Got>,
    full: bool,
}

impl Shapes {
    /// For a mapping.
    pub const fn new(target: Target) -> Self {
        Self {
            target,
            known: Vec::new(),
            outlines: Vec::new(),
            got: Vec::new(),
            full: false,
        }
    }

    /// Reads a payload of a known shape. `None` leaves `out` as it was.
    pub fn read(&mut self, context: &Context<'_>, memo: &mut Memo, text: &str, out: &mut Batch) -> Option<Notes> {
        for place in 0..memo.kept.len() {
            let kept = &mut memo.kept[place];
            let shape = self.known.get(kept.shape as usize)?;
            let outline = self.outlines.get(kept.shape as usize).and_then(Option::as_ref);
            if let Some(filled) = fill::read(shape, outline, kept.words(), text, &mut self.got) {
                for (slot, (got, name)) in self.got.iter_mut().zip(&shape.names).enumerate() {
                    match std::mem::replace(got, Got::Nothing) {
                        Got::Number(value) => {
                            let series = kept.series.of(slot).unwrap_or(SeriesId::REFUSED);
                            out.samples.push(context.sample_in(series, value, filled.at));
                        }
                        Got::Word(text) => {
                            let none = || Box::new(Words(vec![0; shape.names.len()]));
                            if let Some(word) = kept.words.get_or_insert_with(none).0.get_mut(slot) {
                                *word = hash(&text);
                            }
                            let signal = name.of(context);
                            out.events.push(context.word(signal, text, filled.at));
                        }
                        Got::SameWord | Got::Nothing => {}
                    }
                }
                memo.misses = memo.misses.saturating_sub(1);
                memo.kept.swap(0, place);
                return Some(filled.notes);
            }
        }
        None
    }

    /// Remembers the shape of a payload that was read by name with success. True when the bound is reached for the first time.
    pub fn learn(&mut self, context: &Context<'_>, memo: &mut Memo, text: &str) -> bool {
        if memo.misses >= MISSES_MAX {
            return false;
        }
        memo.misses += MISS;
        if memo.misses >= MISSES_MAX {
            // Nothing of it will be tried again.
            memo.kept = SmallVec::new();
            return false;
        }
        let Some(shape) = plan::shape(&self.target, text) else {
            return false;
        };
        let same = self.known.iter().position(|known| *known == shape);
        let place = match same {
            Some(place) => place,
            None if self.known.len() >= SHAPES_MAX => return !std::mem::replace(&mut self.full, true),
            None => {
                self.outlines.push(Outline::of(&shape, text));
                self.known.push(shape);
                self.known.len() - 1
            }
        };
        let names = &self.known[place].names;
        let place = place as u32;
        let kept = Kept {
            shape: place,
            series: names
                .iter()
                .map(|name| context.catalog.series(context.entity.as_str(), name.of(context)))
                .collect(),
            words: None,
        };
        memo.kept.retain(|other| other.shape != place);
        memo.kept.truncate(KEPT_MAX - 1);
        memo.kept.insert(0, kept);
        false
    }
}

impl Name {
    fn of<'a>(&'a self, context: &'a Context<'_>) -> &'a str {
        match self {
            Self::Member(name) => name,
            Self::Topic => context.signal,
        }
    }
}

/// Never 0, which stands for no word.
fn hash(word: &str) -> u64 {
    FixedState::with_seed(0x776f_7264).hash_one(word) | 1
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::ingest::mqtt::payload::tests::Bench;
    use crate::model::EventKind;

    const MAPPINGS: [&str; 6] = [
        "{}",
        "{values: '$.a'}",
        "{values: '$.a.b', time: '$.ts'}",
        "{signals: {x: '$.a', y: '$.b[1].c'}}",
        "{values: '$', time: '$.a.ts', signals: {x: \"$['b']\"}}",
        "{values: '$..a', time: '$.time'}",
    ];

    fn yaml(mapping: &str) -> String {
        format!("{{filter: a, decode: json, json: {mapping}}}")
    }

    fn leaf() -> impl Strategy<Value = String> {
        prop_oneof![
            any::<i64>().prop_map(|n| n.to_string()),
            any::<u64>().prop_map(|n| n.to_string()),
            (0..3000).prop_map(|n| format!("{}", f64::from(n) / 8.0)),
            Just("1767225601000".into()),
            Just("\"2026-01-01T00:00:02Z\"".into()),
            "(true|false|null)",
            "\"(on|21.5|run|stop|-0|9007199254740993|\\\\\\\\u0041)\"",
        ]
    }

    fn document() -> impl Strategy<Value = String> {
        leaf().prop_recursive(4, 24, 5, |inner| {
            let member = ("(ts|time|timestamp|a|b|c)", inner.clone());
            prop_oneof![
                prop::collection::vec(member, 0..5).prop_map(|members| {
                    let members: Vec<String> = members.iter().map(|(k, v)| format!("\"{k}\": {v}")).collect();
                    format!("{{{}}}", members.join(", "))
                }),
                prop::collection::vec(inner, 0..4).prop_map(|items| format!("[{}]", items.join(", "))),
            ]
        })
    }

    /// Two documents of one shape or of different ones.
    fn documents() -> impl Strategy<Value = Vec<String>> {
        prop_oneof![
            prop::collection::vec(document(), 2..5),
            // Alike but for their values.
            (document(), prop::collection::vec(0..100_u32, 2..5)).prop_map(|(text, numbers)| {
                let vary = |n: &u32| {
                    text.replace("21.5", &n.to_string())
                        .replace("run", &format!("run{}", n % 2))
                };
                numbers.iter().map(vary).collect()
            }),
        ]
    }

    /// What is said and no word that was said last as well.
    fn words(events: &[crate::model::Event]) -> Vec<(String, String)> {
        let word = |event: &crate::model::Event| match &event.kind {
            EventKind::Text { signal, text } => (signal.clone(), text.clone()),
            other => panic!("{other:?}"),
        };
        events.iter().map(word).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        /// The reading by shape against the reading by name, which a decoder without memory always does.
        #[test]
        fn a_shape_changes_nothing_of_what_is_read(mapping in 0..MAPPINGS.len(), texts in documents()) {
            let mut warm = Bench::new(&yaml(MAPPINGS[mapping]));
            for text in texts.iter().chain(&texts) {
                let mut cold = Bench::new(&yaml(MAPPINGS[mapping]));
                let (expected, expected_notes) = cold.feed("t/s", text.as_bytes());
                let (got, got_notes) = warm.feed("t/s", text.as_bytes());
                prop_assert_eq!(warm.words(&got), cold.words(&expected), "{}", text);
                prop_assert_eq!(got_notes, expected_notes);
                let (got, expected) = (words(&got.events), words(&expected.events));
                prop_assert!(got.iter().all(|word| expected.contains(word)));
            }
        }
    }

    #[test]
    fn a_word_is_told_again_when_it_has_changed() {
        let mut bench = Bench::new(&yaml("{}"));
        let mut told = Vec::new();
        for mode in ["auto", "auto", "auto", "hand", "hand", "auto"] {
            let (batch, _) = bench.feed("a", format!("{{\"mode\": \"{mode}\", \"t\": 1}}").as_bytes());
            assert_eq!(batch.samples.len(), 1);
            told.extend(words(&batch.events).into_iter().map(|(_, word)| word));
        }
        // The first by name, the second because the shape does not know the first.
        assert_eq!(told, ["auto", "auto", "hand", "auto"]);
    }

    #[test]
    fn no_name_is_looked_up_for_what_looks_like_the_one_before() {
        let mut bench = Bench::new(&yaml("{}"));
        let (first, _) = bench.feed("a", br#"{"t": 1, "deep": {"p": 2}, "list": [1, 2]}"#);
        // Another catalog would hand out other numbers; the ones that come are remembered.
        bench.catalog = crate::model::Catalog::new();
        let (second, _) = bench.feed("a", br#"{"t": 3, "deep": {"p": 4}, "list": []}"#);
        let series = |batch: &crate::model::Batch| batch.samples.iter().map(|s| s.series).collect::<Vec<_>>();
        assert_eq!(series(&first), series(&second));
        assert_eq!(bench.catalog.series_count(), 0);
    }
}
