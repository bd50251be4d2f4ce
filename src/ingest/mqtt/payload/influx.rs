//! Influx line protocol, as Telegraf and many devices write it.
//!
//! <https://docs.influxdata.com/influxdb/v2/reference/syntax/line-protocol/>. A line's entity is its tag `host`, `device`, `device_id` or `sensor`, else the
//! topic's; a field is the signal `measurement_field{tag="…"}`, as Telegraf's Prometheus output names it. A bad line is counted with its place, and the others count.

use super::tell::{Book, Tell, text};
use super::{Context, DecodeError, Decoded, Decoder, Memo, fits_double, generic, time};
use crate::model::{Batch, EntityName, Timestamp};

/// Tags that name the entity, best first.
const WHOSE: [&str; 5] = ["device", "device_id", "deviceId", "sensor", "host"];

/// See the module.
#[derive(Default)]
pub struct Influx {
    book: Book,
}

/// One line taken apart.
#[derive(Debug, Default, PartialEq)]
struct Line {
    measurement: String,
    tags: Vec<(String, String)>,
    fields: Vec<(String, Field)>,
    time: Option<i64>,
}

#[derive(Debug, PartialEq)]
enum Field {
    Number(f64, bool),
    Word(String),
}

/// What is wrong, and at which byte of the line.
type Wrong = (usize, &'static str);

struct Cursor<'a> {
    text: &'a str,
    at: usize,
}

impl Cursor<'_> {
    fn peek(&self) -> Option<char> {
        self.text.get(self.at..)?.chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += c.len_utf8();
        Some(c)
    }

    fn eat(&mut self, wanted: char) -> bool {
        let eaten = self.peek() == Some(wanted);
        if eaten {
            self.at += wanted.len_utf8();
        }
        eaten
    }

    /// Up to one of `ends`; a backslash before one of `escaped` is taken away.
    fn name(&mut self, ends: &[char], escaped: &[char]) -> Result<String, Wrong> {
        let (begin, mut name) = (self.at, String::new());
        while let Some(c) = self.peek().filter(|c| !ends.contains(c)) {
            self.at += c.len_utf8();
            if c == '\\'
                && let Some(next) = self.peek().filter(|next| escaped.contains(next))
            {
                self.at += next.len_utf8();
                name.push(next);
            } else {
                name.push(c);
            }
        }
        if name.is_empty() {
            Err((begin, "a name is due"))
        } else {
            Ok(name)
        }
    }

    fn field(&mut self) -> Result<Field, Wrong> {
        let begin = self.at;
        if self.eat('"') {
            let mut word = String::new();
            loop {
                match self.next() {
                    None => return Err((begin, "a string without its end")),
                    Some('"') => return Ok(Field::Word(word)),
                    Some('\\') if matches!(self.peek(), Some('"' | '\\')) => word.extend(self.next()),
                    Some(c) => word.push(c),
                }
            }
        }
        let rest = self.text.get(begin..).unwrap_or_default();
        let raw = rest.split([',', ' ', '\n']).next().unwrap_or_default();
        self.at += raw.len();
        let whole = raw.strip_suffix(['i', 'u']);
        match (raw, whole) {
            ("t" | "T" | "true" | "True" | "TRUE", _) => Ok(Field::Number(1.0, true)),
            ("f" | "F" | "false" | "False" | "FALSE", _) => Ok(Field::Number(0.0, true)),
            (_, Some(whole)) => {
                let number: i128 = whole.parse().map_err(|_| (begin, "no integer"))?;
                let fits = i128::from(i64::MIN) <= number && number <= i128::from(u64::MAX);
                if fits {
                    Ok(Field::Number(number as f64, fits_double(number)))
                } else {
                    Err((begin, "an integer of more than 64 bits"))
                }
            }
            _ => {
                let plain = raw
                    .bytes()
                    .all(|b| b.is_ascii_digit() || matches!(b, b'+' | b'-' | b'.' | b'e' | b'E'));
                let number = raw.parse::<f64>().ok().filter(|number| plain && number.is_finite());
                number
                    .map(|number| Field::Number(number, true))
                    .ok_or((begin, "neither a number, a boolean nor a string"))
            }
        }
    }
}

/// Reads a line, and says where it ends.
fn line(cursor: &mut Cursor<'_>) -> Result<Line, Wrong> {
    const KEY: [char; 3] = [',', '=', ' '];
    const KEY_ENDS: [char; 4] = [',', '=', ' ', '\n'];
    let mut line = Line {
        measurement: cursor.name(&[',', ' ', '\n'], &[',', ' '])?,
        ..Line::default()
    };
    while cursor.eat(',') {
        let key = cursor.name(&KEY_ENDS, &KEY)?;
        if !cursor.eat('=') {
            return Err((cursor.at, "'=' is due after a tag's name"));
        }
        line.tags.push((key, cursor.name(&KEY_ENDS, &KEY)?));
    }
    if !cursor.eat(' ') {
        return Err((cursor.at, "a space and fields are due"));
    }
    while cursor.eat(' ') {}
    loop {
        let key = cursor.name(&KEY_ENDS, &KEY)?;
        if !cursor.eat('=') {
            return Err((cursor.at, "'=' is due after a field's name"));
        }
        line.fields.push((key, cursor.field()?));
        if !cursor.eat(',') {
            break;
        }
    }
    while cursor.eat(' ') {}
    let rest = cursor.text.get(cursor.at..).unwrap_or_default();
    let raw = rest.split(['\n', ' ', '\r']).next().unwrap_or_default();
    if !raw.is_empty() {
        line.time = Some(raw.parse().map_err(|_| (cursor.at, "a time in whole numbers is due"))?);
        cursor.at += raw.len();
    }
    while cursor.eat(' ') || cursor.eat('\r') {}
    match cursor.peek() {
        None | Some('\n') => Ok(line),
        Some(_) => Err((cursor.at, "more than a measurement, fields and a time")),
    }
}

/// Every line with its number from 1. A string may hold line ends, so a line is known by reading it.
fn lines(text: &str) -> impl Iterator<Item = (usize, Result<Line, Wrong>)> + '_ {
    let mut cursor = Cursor { text, at: 0 };
    let mut number = 1;
    std::iter::from_fn(move || {
        loop {
            match cursor.peek()? {
                '\n' => {
                    number += 1;
                    cursor.at += 1;
                }
                ' ' | '\r' | '\t' => cursor.at += 1,
                '#' => skip(&mut cursor),
                _ => break,
            }
        }
        let (begin, begun) = (cursor.at, number);
        let read = line(&mut cursor).map_err(|(at, why)| (at - begin, why));
        if read.is_err() {
            cursor.at = begin;
            skip(&mut cursor);
        }
        number += text.get(begin..cursor.at).unwrap_or_default().matches('\n').count();
        Some((begun, read))
    })
}

fn skip(cursor: &mut Cursor<'_>) {
    let rest = cursor.text.get(cursor.at..).unwrap_or_default();
    cursor.at += rest.find('\n').unwrap_or(rest.len());
}

/// True if every line is one of this protocol.
pub fn looks_like(text: &str) -> bool {
    let mut any = false;
    // JSON and prose fail at once.
    !text.starts_with(['{', '[', '"'])
        && lines(text).all(|(_, line)| {
            any = true;
            line.is_ok()
        })
        && any
}

fn signal(line: &Line, field: &str, without: Option<&str>) -> String {
    let mut tags: Vec<&(String, String)> = line
        .tags
        .iter()
        .filter(|(key, _)| Some(key.as_str()) != without)
        .collect();
    tags.sort();
    let parts = crate::ingest::prometheus::exposition::SeriesParts {
        name: format!("{}_{field}", line.measurement),
        labels: tags.into_iter().cloned().collect(),
    };
    parts.signal(&[])
}

impl Decoder for Influx {
    fn speaker(&self, topic: &str) -> Option<EntityName> {
        // The payload names it; until then the topic stands in.
        Some(topic.into())
    }

    fn read(&mut self, context: &Context<'_>, _: &mut Memo, payload: &[u8], out: &mut Batch) -> Decoded {
        let text = text(payload)?;
        let mut tell = Tell::new(context, &mut self.book, out);
        for (number, line) in lines(text) {
            let line = match line {
                Ok(line) => line,
                Err((at, why)) => {
                    tell.leave_out(DecodeError::Misshapen {
                        convention: "Influx line protocol",
                        problem: why.to_owned(),
                        place: format!("line {number}, byte {at}"),
                    });
                    continue;
                }
            };
            let tag = WHOSE
                .iter()
                .find_map(|key| line.tags.iter().find(|(tag, _)| tag == key));
            let entity: EntityName = match tag.filter(|_| !context.is_named()) {
                Some((_, value)) => value.as_str().into(),
                None => generic::whose(context),
            };
            let without = tag
                .filter(|(_, value)| *value == *entity.as_str())
                .map(|(key, _)| key.as_str());
            let at: Option<Timestamp> = line.time.and_then(|time| {
                let at = time::of_whole(time).ok();
                tell.notes.odd_times += u32::from(at.is_none());
                at
            });
            tell.meet(&entity, context.broker);
            for (name, field) in &line.fields {
                let signal = signal(&line, name, without);
                match field {
                    Field::Number(value, exact) => {
                        tell.notes.integer(*exact);
                        tell.value(&entity, &signal, *value, at)?;
                    }
                    Field::Word(word) => tell.word(&entity, &signal, word, at)?,
                }
            }
        }
        let nothing = tell.found() == 0;
        match tell.notes.fault.take_if(|_| nothing) {
            Some(fault) => Err(fault),
            None => tell.some("any line"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ingest::mqtt::payload::tests::{Bench, read, said};

    #[test]
    fn escapes_strings_and_types_are_read() {
        let text = "weather\\ station,loc=us\\,midwest temp\\=c=82.1,note=\"a \\\"b\\\", c\nd\",on=t,n=5i,big=9007199254740993i 1767225600000000000\n# c\nmem,host=h1 used=1u";
        let (samples, errors, events) = read("{filter: a, decode: influx}", "a", &[text.as_bytes()]);
        let tags = "{loc=\"us,midwest\"}";
        assert_eq!(
            samples,
            [
                format!("dev/weather station_temp=c{tags}=82.1@1767225600000"),
                format!("dev/weather station_on{tags}=1@1767225600000"),
                format!("dev/weather station_n{tags}=5@1767225600000"),
                format!("dev/weather station_big{tags}=9007199254740992@1767225600000"),
                "dev/mem_used{host=\"h1\"}=1@1767225600000".to_owned()
            ]
        );
        assert!(errors.is_empty());
        assert!(said(&events).contains(&format!("dev/weather station_note{tags}='a \"b\", c\nd'")));
    }

    #[test]
    fn a_bad_line_is_left_out_with_its_place_and_the_others_count() {
        let mut bench = Bench::new("{filter: a, decode: influx}");
        let (batch, notes) = bench.feed("a", b"a v=1\nb v=1x\nc v=2 soon\nd v=NaN\n\ne v=3");
        let notes = notes.unwrap();
        assert_eq!((batch.samples.len(), notes.left_out), (2, 3));
        assert!(notes.fault.unwrap().to_string().contains("line 2, byte 4"));
        let (_, notes) = bench.feed("a", b"21.5 C");
        assert!(notes.is_err());
    }

    proptest::proptest! {
        #[test]
        fn what_is_written_is_read(name in "[a-z ,=\\\\\"]{1,6}", tag in "[a-z ,=]{1,6}", word in "[ -~\n]{0,8}", value in -1e9..1e9_f64) {
            let escape = |text: &str, what: &[char]| text.chars().flat_map(|c| what.contains(&c).then_some('\\').into_iter().chain([c])).collect::<String>();
            // A backslash at the end of a name would escape what follows; the protocol cannot say it.
            proptest::prop_assume!(!name.contains('\\'));
            let text = format!(
                "{},t={} f={value:?},w=\"{}\" 1767225600000000000",
                escape(&name, &[',', ' ']), escape(&tag, &[',', ' ', '=']), escape(&word, &['"', '\\']));
            let read: Vec<_> = lines(&text).collect();
            // A name that begins with blanks is not told from an indented line.
            proptest::prop_assume!(!name.starts_with(' '));
            proptest::prop_assert_eq!(read.len(), 1);
            let line = read[0].1.as_ref().unwrap();
            proptest::prop_assert_eq!(&line.measurement, &name);
            proptest::prop_assert_eq!(&line.tags[0].1, &tag);
            proptest::prop_assert_eq!(&line.fields[0].1, &Field::Number(value, true));
            proptest::prop_assert_eq!(&line.fields[1].1, &Field::Word(word));
        }
    }
}
