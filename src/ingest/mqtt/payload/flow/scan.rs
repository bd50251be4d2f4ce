//! One pass over a text: every member with its path and what it holds.

use super::super::json::{DEPTH_MAX, TIMES};
use super::super::shape::{Token, token};
use super::super::{fits_double, scalar, time};
use crate::model::Timestamp;

/// Members of one payload. Larger ones are read by name.
const FOUND_MAX: usize = 512;

/// Lists within lists that are read over.
const SKIP_MAX: usize = 16;

/// Stands between the names of a path: no name holds it unescaped, and it sorts before all that they hold, so that paths sort level by level.
pub const LEVEL: char = '\0';

/// A member, its path, and what it held.
pub struct Found {
    /// The first bytes of the path, by which most are told apart.
    pub front: u64,
    from: u32,
    length: u32,
    /// The path stands among the nested ones, not in the text itself.
    pub nested: bool,
    /// It is the time where there is one.
    pub clock: bool,
    pub got: Got,
}

#[derive(Clone, Copy)]
pub enum Got {
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
    /// Its path.
    pub fn path<'a>(&self, text: &'a str, paths: &'a str) -> &'a str {
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

/// A member that may be the time.
#[derive(Clone, Copy)]
pub enum Clock {
    /// It is not there.
    Absent,
    /// It is there and is none.
    Other,
    /// It is.
    Time(Timestamp),
}

impl Clock {
    /// The time.
    pub const fn time(self) -> Option<Timestamp> {
        match self {
            Self::Time(at) => Some(at),
            Self::Absent | Self::Other => None,
        }
    }
}

/// See the module.
pub struct Scan<'a, 'f> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
    found: &'f mut Vec<Found>,
    paths: &'f mut String,
    /// The members that may be the time.
    times: [Clock; TIMES.len()],
}

impl<'a, 'f> Scan<'a, 'f> {
    /// Finds all members of a text that is one object, and the first that may be its time. `None` for what is left to the reading by name.
    pub fn whole(text: &'a str, found: &'f mut Vec<Found>, paths: &'f mut String) -> Option<Clock> {
        u32::try_from(text.len()).ok()?;
        let mut scan = Scan {
            text,
            bytes: text.as_bytes(),
            at: 0,
            found,
            paths,
            times: [Clock::Absent; TIMES.len()],
        };
        scan.space();
        scan.object(None, 0)?;
        scan.space();
        let first = scan.times.into_iter().find(|clock| !matches!(clock, Clock::Absent));
        (scan.at == text.len()).then(|| first.unwrap_or(Clock::Absent))
    }

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
                scan.times[clock] = Clock::Other;
            }
            match scan.bytes.get(scan.at)? {
                // Where there is a time, all that is in it is none of the signals.
                b'{' if clock.is_some() => None,
                b'{' if depth < DEPTH_MAX => scan.object(Some(place), depth + 1),
                b'{' => None,
                b'[' => scan.skip(0),
                _ => {
                    let token = scan.token()?;
                    let got = scan.got(token);
                    scan.found[place].got = got;
                    if let Some(clock) = clock {
                        scan.times[clock] = time_of(token).map_or(Clock::Other, Clock::Time);
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
    fn got(&self, token: Token<'a>) -> Got {
        let number = |value, exact| Got::Number { value, exact };
        match token {
            Token::Null => Got::Nothing,
            Token::Switch(on) => number(f64::from(u8::from(on)), true),
            Token::Whole(whole) => number(whole as f64, fits_double(whole.into())),
            Token::Number(value) => number(value, true),
            Token::Text(text) => match scalar::read(text) {
                Some((value, exact)) => number(value, exact),
                // It ends right before the quote that was read last.
                None => Got::Word((self.at - 1 - text.len()) as u32, (self.at - 1) as u32),
            },
        }
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
