//! JSON whose members change from message to message: read in one pass, without a tree, and without writing down a name that is known.
//!
//! In: text. Out: what the reading by name says of it, or nothing at all. Never: a meaning of its own; what is rare (an escape in a name or a text, a name
//! twice in one object, very many members or levels) is left to the reading by name.

use std::hash::BuildHasher;

use foldhash::fast::FixedState;
use hashbrown::HashTable;

use super::json::{DEPTH_MAX, TIMES, joined};
use super::shape::{Token, token};
use super::{Context, Notes, scalar, time};
use crate::model::{Batch, SeriesId, Timestamp};

/// Members of one payload. Larger ones are read by name.
const FOUND_MAX: usize = 512;

/// Names that one subscription remembers. The series of further ones are asked of the catalog each time.
const NAMES_MAX: usize = 65_536;

/// Series that are remembered of one topic; beyond that they are asked of the catalog.
const SERIES_MAX: usize = 4096;

/// Lists within lists that are read over.
const SKIP_MAX: usize = 16;

/// Stands between the names of a path: no name holds it unescaped, and it sorts before all that they hold, so that paths sort level by level.
const LEVEL: char = '\0';

const HASHER: FixedState = FixedState::with_seed(0x666c_6f77);

/// What one subscription has met; the buffers go from payload to payload.
#[derive(Default)]
pub struct Flow {
    names: Names,
    found: Vec<Found>,
    /// Paths of nested members, one behind the other.
    paths: String,
}

/// Paths by number, and numbers by path.
#[derive(Default)]
struct Names {
    list: Vec<Box<str>>,
    index: HashTable<u32>,
}

impl Names {
    /// The number of a path, new if there is room.
    fn number(&mut self, path: &str) -> Option<u32> {
        let hash = HASHER.hash_one(path);
        let Self { list, index } = self;
        if let Some(number) = index.find(hash, |&number| *list[number as usize] == *path) {
            return Some(*number);
        }
        if list.len() >= NAMES_MAX {
            return None;
        }
        let number = u32::try_from(list.len()).ok()?;
        list.push(path.into());
        index.insert_unique(hash, number, |&other| HASHER.hash_one(&*list[other as usize]));
        Some(number)
    }
}

/// The series of one topic by the numbers of their paths: a table with open places, so that a topic's is one short stretch of memory.
#[derive(Default)]
pub struct Known {
    slots: Box<[(u32, u32)]>,
    used: usize,
}

const FREE: (u32, u32) = (u32::MAX, u32::MAX);

impl Known {
    /// Reads a little of it, so that it is near when it is asked.
    pub fn touch(&self) -> u64 {
        self.slots.first().map_or(0, |slot| slot.1.into())
    }

    /// The place of a path's number, or the free one where it belongs. The table is never full.
    fn place(slots: &[(u32, u32)], name: u32) -> Option<usize> {
        let mask = slots.len().checked_sub(1)?;
        let first = (name.wrapping_mul(0x9e37_79b1) >> 7) as usize;
        (0..slots.len())
            .map(|step| (first + step) & mask)
            .find(|place| slots[*place].0 == name || slots[*place] == FREE)
    }

    fn find(&self, name: u32) -> Option<SeriesId> {
        let (known, series) = self.slots[Self::place(&self.slots, name)?];
        (known == name).then_some(SeriesId(series))
    }

    fn insert(&mut self, name: u32, series: SeriesId) {
        if self.used >= SERIES_MAX {
            return;
        }
        if (self.used + 1) * 4 > self.slots.len() * 3 {
            let mut larger = vec![FREE; (self.slots.len() * 2).max(8)].into_boxed_slice();
            for slot in self.slots.iter().filter(|slot| **slot != FREE) {
                if let Some(place) = Self::place(&larger, slot.0) {
                    larger[place] = *slot;
                }
            }
            self.slots = larger;
        }
        if let Some(place) = Self::place(&self.slots, name) {
            self.slots[place] = (name, series.0);
            self.used += 1;
        }
    }
}

/// A member, its path, and what it held.
struct Found {
    /// The first bytes of the path, by which most are told apart.
    front: u64,
    from: u32,
    length: u32,
    /// The path stands among the nested ones, not in the text itself.
    nested: bool,
    /// It is the time where there is one.
    clock: bool,
    got: Got,
}

#[derive(Clone, Copy)]
enum Got {
    /// An object, a list, or nothing.
    Nothing,
    Number {
        value: f64,
        exact: bool,
    },
    /// From where to where in the text.
    Word(u32, u32),
}

impl Found {
    fn path<'a>(&self, text: &'a str, paths: &'a str) -> &'a str {
        let whole = if self.nested { paths } else { text };
        let from = self.from as usize;
        whole.get(from..from + self.length as usize).unwrap_or_default()
    }
}

/// The first eight bytes as a number that sorts as they do.
fn front(whole: &[u8], from: usize, length: usize) -> u64 {
    let mut eight = [0; 8];
    if let Some(bytes) = whole.get(from..from + 8) {
        eight.copy_from_slice(bytes);
    } else if let Some(bytes) = whole.get(from..) {
        eight[..bytes.len()].copy_from_slice(bytes);
    }
    let word = u64::from_be_bytes(eight);
    match length {
        0 => 0,
        1..8 => word & (u64::MAX << (64 - 8 * length)),
        _ => word,
    }
}

/// A path as a signal's name.
fn signal(path: &str) -> String {
    path.split(LEVEL)
        .fold(String::new(), |prefix, name| joined(&prefix, name))
}

impl Flow {
    /// Reads a payload without a mapping. `None` leaves `out` as it was.
    pub fn read(&mut self, context: &Context<'_>, known: &mut Known, text: &str, out: &mut Batch) -> Option<Notes> {
        self.found.clear();
        self.paths.clear();
        u32::try_from(text.len()).ok()?;
        let mut scan = Scan {
            text,
            bytes: text.as_bytes(),
            at: 0,
            found: &mut self.found,
            paths: &mut self.paths,
            times: [None; TIMES.len()],
        };
        scan.space();
        scan.object(None, 0)?;
        scan.space();
        if scan.at != text.len() {
            return None;
        }
        let at = scan.times.into_iter().flatten().next().flatten();
        let Self { names, found, paths } = self;
        let path = |member: &Found| member.path(text, paths);
        found.sort_unstable_by(|a, b| a.front.cmp(&b.front).then_with(|| path(a).cmp(path(b))));
        let twice = |pair: &[Found]| pair[0].front == pair[1].front && path(&pair[0]) == path(&pair[1]);
        if found.windows(2).any(twice) {
            return None;
        }
        let said = |member: &&Found| !matches!(member.got, Got::Nothing) && !(member.clock && at.is_some());
        // Nothing is told before it is sure that there is something to tell.
        found.iter().find(said)?;
        let mut notes = Notes::default();
        for member in found.iter().filter(said) {
            let path = path(member);
            match member.got {
                Got::Nothing => {}
                Got::Number { value, exact } => {
                    notes.integer(exact);
                    let series = names.series(context, known, path, member.nested);
                    out.samples.push(context.sample_in(series, value, at));
                }
                Got::Word(from, to) => {
                    let word = text.get(from as usize..to as usize).unwrap_or_default();
                    out.events.push(context.word(&signal(path), word.to_owned(), at));
                }
            }
        }
        Some(notes)
    }
}

impl Names {
    fn series(&mut self, context: &Context<'_>, known: &mut Known, path: &str, nested: bool) -> SeriesId {
        let number = self.number(path);
        if let Some(series) = number.and_then(|number| known.find(number)) {
            return series;
        }
        let entity = context.entity.as_str();
        let series = if nested {
            context.catalog.series(entity, &signal(path))
        } else {
            context.catalog.series(entity, path)
        };
        if let Some(number) = number.filter(|_| series != SeriesId::REFUSED) {
            known.insert(number, series);
        }
        series
    }
}

struct Scan<'a, 'f> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
    found: &'f mut Vec<Found>,
    paths: &'f mut String,
    /// Of the members that may be the time: whether they are there, and whether they read as one.
    times: [Option<Option<Timestamp>>; TIMES.len()],
}

impl<'a> Scan<'a, '_> {
    fn space(&mut self) {
        while matches!(self.bytes.get(self.at), Some(b' ' | b'\n' | b'\t' | b'\r')) {
            self.at += 1;
        }
    }

    fn next(&mut self) -> Option<u8> {
        let byte = *self.bytes.get(self.at)?;
        self.at += 1;
        Some(byte)
    }

    fn token(&mut self) -> Option<Token<'a>> {
        let (token, length) = token(self.text, self.at)?;
        self.at += length;
        Some(token)
    }

    /// Hands each member's name and place to `each`, which reads its value.
    fn members(&mut self, mut each: impl FnMut(&mut Self, &'a str, usize) -> Option<()>) -> Option<()> {
        if self.next()? != b'{' {
            return None;
        }
        self.space();
        if self.bytes.get(self.at) == Some(&b'}') {
            self.at += 1;
            return Some(());
        }
        loop {
            let from = self.at + 1;
            let Token::Text(name) = self.token()? else {
                return None;
            };
            self.space();
            if self.next()? != b':' {
                return None;
            }
            self.space();
            each(self, name, from)?;
            self.space();
            match self.next()? {
                b',' => self.space(),
                b'}' => return Some(()),
                _ => return None,
            }
        }
    }

    /// The members of an object, `prefix` being where its own path stands among the nested ones or in the text.
    fn object(&mut self, own: Option<usize>, depth: usize) -> Option<()> {
        self.members(|scan, name, from| {
            if scan.found.len() >= FOUND_MAX {
                return None;
            }
            let place = scan.found.len();
            let member = scan.member(own, name, from);
            let clock = TIMES.iter().position(|time| member.clock && *time == name);
            scan.found.push(member);
            if let Some(clock) = clock {
                // It is there, whatever it holds.
                scan.times[clock] = Some(None);
            }
            match scan.bytes.get(scan.at)? {
                b'{' if depth < DEPTH_MAX => scan.object(Some(place), depth + 1),
                b'{' => None,
                b'[' => scan.skip(0),
                _ => {
                    let token = scan.token()?;
                    let got = scan.got(token)?;
                    scan.found[place].got = got;
                    if let Some(clock) = clock {
                        scan.times[clock] = Some(time_of(token));
                    }
                    Some(())
                }
            }
        })
    }

    fn member(&mut self, own: Option<usize>, name: &str, from: usize) -> Found {
        let (nested, from, length) = match own {
            None => (false, from, name.len()),
            Some(own) => {
                let from = self.paths.len();
                let own = &self.found[own];
                let (start, end) = (own.from as usize, (own.from + own.length) as usize);
                if own.nested {
                    self.paths.extend_from_within(start..end);
                } else {
                    self.paths.push_str(self.text.get(start..end).unwrap_or_default());
                }
                self.paths.push(LEVEL);
                self.paths.push_str(name);
                (true, from, self.paths.len() - from)
            }
        };
        let whole = if nested { self.paths.as_bytes() } else { self.bytes };
        Found {
            front: front(whole, from, length),
            from: from as u32,
            length: length as u32,
            nested,
            clock: !nested && TIMES.contains(&name),
            got: Got::Nothing,
        }
    }

    /// What a value that was just read says.
    fn got(&self, token: Token<'a>) -> Option<Got> {
        let number = |value, exact| Got::Number { value, exact };
        Some(match token {
            Token::Null => Got::Nothing,
            Token::Switch(on) => number(f64::from(u8::from(on)), true),
            Token::Whole(whole) => number(whole as f64, super::fits_double(whole.into())),
            Token::Number(value) => number(value, true),
            Token::Text(text) => match scalar::read(text) {
                Some((value, exact)) => number(value, exact),
                // It ends right before the quote that was read last.
                None => Got::Word((self.at - 1 - text.len()) as u32, (self.at - 1) as u32),
            },
        })
    }

    /// Reads over a value, which has to be JSON all the same.
    fn skip(&mut self, depth: usize) -> Option<()> {
        match self.bytes.get(self.at)? {
            b'[' | b'{' if depth >= SKIP_MAX => None,
            b'{' => self.members(|scan, _, _| scan.skip(depth + 1)),
            b'[' => {
                self.at += 1;
                self.space();
                if self.bytes.get(self.at) == Some(&b']') {
                    self.at += 1;
                    return Some(());
                }
                loop {
                    self.skip(depth + 1)?;
                    self.space();
                    match self.next()? {
                        b',' => self.space(),
                        b']' => return Some(()),
                        _ => return None,
                    }
                }
            }
            _ => self.token().map(drop),
        }
    }
}

fn time_of(token: Token<'_>) -> Option<Timestamp> {
    match token {
        Token::Whole(whole) => time::of_whole(whole).ok(),
        Token::Number(number) => time::of_number(number).ok(),
        Token::Text(text) => time::of_text(text).ok(),
        Token::Switch(_) | Token::Null => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::ingest::mqtt::payload::json::Json;
    use crate::ingest::mqtt::payload::tests::Bench;
    use crate::model::{Catalog, EntityName};

    fn leaf() -> impl Strategy<Value = String> {
        prop_oneof![
            any::<i64>().prop_map(|n| n.to_string()),
            any::<u64>().prop_map(|n| n.to_string()),
            any::<f64>()
                .prop_filter("finite", |n| n.is_finite())
                .prop_map(|n| format!("{n:?}")),
            Just("1767225601000".into()),
            Just("\"2026-01-01T00:00:02Z\"".into()),
            "(true|false|null|-0|-0\\.0|1e400|01|nul|)",
            "\"(on|21\\.5|run|stop|9007199254740993|\\\\u0041| |é)\"",
        ]
    }

    fn document() -> impl Strategy<Value = String> {
        leaf().prop_recursive(10, 40, 5, |inner| {
            let name = "(ts|time|timestamp|a|b|a-c|a\\.b|temperature|temperature_2|temperature_10|\\\\u0061|é|)";
            let space = "( |\t|\r\n|)";
            prop_oneof![
                4 => (prop::collection::vec((name, inner.clone()), 0..5), space, space).prop_map(|(members, a, b)| {
                    let members: Vec<String> =
                        members.iter().map(|(name, value)| format!("{a}\"{name}\"{b}:{a}{value}{b}")).collect();
                    format!("{b}{{{}}}{a}", members.join(","))
                }),
                1 => prop::collection::vec(inner, 0..3).prop_map(|items| format!("[{}]", items.join(", "))),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4000))]

        /// Against the reading by name, of a topic whose members change.
        #[test]
        fn it_says_what_the_reading_by_name_says(texts in prop::collection::vec(document(), 1..6)) {
            let (entity, broker) = (EntityName::from("dev"), EntityName::from("broker"));
            let mut by_name = Bench::of(Box::new(Json::plain()));
            let (mut flow, mut known) = (Flow::default(), Known::default());
            for text in texts.iter().chain(&texts) {
                let context = Context {
                    topic: "t/s",
                    entity: &entity,
                    signal: "s",
                    retained: false,
                    seen: Timestamp::from_secs(1_767_225_600),
                    catalog: &by_name.catalog.clone(),
                    broker: &broker,
                };
                let mut out = Batch::default();
                let notes = flow.read(&context, &mut known, text, &mut out);
                let (expected, expected_notes) = by_name.feed("t/s", text.as_bytes());
                match notes {
                    None => prop_assert!(out.is_empty(), "{}", text),
                    Some(notes) => {
                        prop_assert_eq!(Ok(notes), expected_notes, "{}", text);
                        let bits = |batch: &Batch| -> Vec<_> {
                            batch.samples.iter().map(|s| (s.series, s.at, s.value.to_bits())).collect()
                        };
                        prop_assert_eq!(bits(&out), bits(&expected), "{}", text);
                        prop_assert_eq!(out.events, expected.events, "{}", text);
                    }
                }
            }
        }
    }

    #[test]
    fn what_devices_send_is_read_without_a_tree() {
        let mut flow = Flow::default();
        let (entity, broker, catalog) = (EntityName::from("dev"), EntityName::from("broker"), Catalog::new());
        let context = Context {
            topic: "t",
            entity: &entity,
            signal: "t",
            retained: false,
            seen: Timestamp::from_secs(1_767_225_600),
            catalog: &catalog,
            broker: &broker,
        };
        let mut read = |text: &str| {
            let mut out = Batch::default();
            let notes = flow.read(&context, &mut Known::default(), text, &mut out);
            notes.map(|_| (out.samples.len(), out.events.len()))
        };
        let nested = r#"{"ts": 1767225601000, "env": {"t": 21.5, "deep": {"h": "40"}}, "on": true, "list": [1, {"a": []}], "mode": "auto"}"#;
        assert_eq!(read(nested), Some((3, 1)));
        for left in [
            r#"{"a": 1, "a": 2}"#,
            r#"{"a": {"b": 1}, "a": {"c": 2}}"#,
            r#"{"\u0061": 1}"#,
            r#"{"a": 1} x"#,
            r#"{"a": 1,}"#,
            "{}",
            "21.5",
        ] {
            assert_eq!(read(left), None, "{left}");
        }
    }

    #[test]
    fn more_names_than_are_remembered_still_have_their_series() {
        let mut known = Known::default();
        for name in 0..10_000 {
            known.insert(name, SeriesId(name + 7));
        }
        for name in 0..10_000 {
            let expected = (name < SERIES_MAX as u32).then_some(SeriesId(name + 7));
            assert_eq!(known.find(name), expected);
        }
    }
}
