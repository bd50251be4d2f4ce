//! Tables: wide, with a column a signal, or long, with a row a value. Told apart by the names of their columns.

use std::collections::BTreeSet;

use super::Recorded;
use crate::ingest::mqtt::{plain, time_of_text, value_of_text};
use crate::model::{EntityKind, EntityName, Event, EventKind, Sample, Timestamp, TopologyChange};

const TIMES: [&str; 8] = [
    "time",
    "timestamp",
    "ts",
    "datetime",
    "date",
    "_time",
    "time_utc",
    "when",
];
const ENTITIES: [&str; 10] = [
    "entity",
    "device",
    "device_id",
    "deviceid",
    "host",
    "instance",
    "asset",
    "machine",
    "unit",
    "sensor_id",
];
const SIGNALS: [&str; 8] = [
    "signal", "metric", "sensor", "tag", "variable", "field", "_field", "name",
];
const VALUES: [&str; 4] = ["value", "_value", "val", "reading"];

/// Columns of one table.
const COLUMNS_MAX: usize = 10_000;

/// Rows of cells (RFC 4180), each with the number of its first line; a quoted cell may hold line ends.
fn rows(text: &str, separator: char) -> impl Iterator<Item = (usize, Vec<String>)> + '_ {
    let mut chars = text.chars().peekable();
    let mut line = 1;
    std::iter::from_fn(move || {
        chars.peek()?;
        let begun = line;
        let (mut row, mut cell, mut quoted) = (Vec::new(), String::new(), false);
        loop {
            match chars.next() {
                None => break,
                Some('"') if quoted => {
                    if chars.next_if_eq(&'"').is_some() {
                        cell.push('"');
                    } else {
                        quoted = false;
                    }
                }
                Some('"') if cell.is_empty() => quoted = true,
                Some('\n') if !quoted => {
                    line += 1;
                    break;
                }
                Some('\r') if !quoted && chars.peek().is_none_or(|next| *next == '\n') => {}
                Some(c) if c == separator && !quoted && row.len() < COLUMNS_MAX => row.push(std::mem::take(&mut cell)),
                Some(c) => {
                    line += usize::from(c == '\n');
                    cell.push(c);
                }
            }
        }
        row.push(cell);
        Some((begun, row))
    })
}

/// A time; without a zone it is UTC's.
fn time(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    let at = time_of_text(text).ok();
    at.or_else(|| time_of_text(&format!("{}Z", text.replacen(' ', "T", 1))).ok())
        .or_else(|| time_of_text(&text.replacen(' ', "T", 1)).ok())
        .or_else(|| {
            // A date alone.
            time_of_text(&format!("{text}T00:00:00Z")).ok()
        })
}

/// What stands in one place of a table.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    /// Nothing.
    Empty,
    /// A text, of whatever it may be.
    Text(String),
    /// A number.
    #[cfg_attr(not(feature = "parquet"), allow(dead_code, reason = "tables of text hold text"))]
    Number(f64),
    /// A time.
    #[cfg_attr(not(feature = "parquet"), allow(dead_code, reason = "tables of text hold text"))]
    Time(Timestamp),
}

impl Cell {
    fn text(text: &str) -> Self {
        match text.trim() {
            "" => Self::Empty,
            text => Self::Text(text.to_owned()),
        }
    }

    fn time(&self) -> Option<Timestamp> {
        match self {
            Self::Time(at) => Some(*at),
            Self::Text(text) => time(text),
            Self::Number(number) => time_of_text(&number.to_string()).ok(),
            Self::Empty => None,
        }
    }
}

impl std::fmt::Display for Cell {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Empty => Ok(()),
            Self::Text(text) => f.write_str(text),
            Self::Number(number) => number.fmt(f),
            Self::Time(at) => at.fmt(f),
        }
    }
}

/// A table of text.
pub fn read(recorded: &mut Recorded, text: &str, file: &str, stem: &str) -> Result<(), String> {
    let head = text.lines().next().unwrap_or_default();
    let separator = [',', ';', '\t']
        .into_iter()
        .max_by_key(|separator| head.matches(*separator).count())
        .unwrap_or(',');
    let mut rows = rows(text, separator);
    let Some((_, names)) = rows.next() else {
        return Err("the table is empty".into());
    };
    let names = names.iter().map(|name| name.trim().to_owned()).collect();
    let mut sheet = Sheet::new(names, recorded, stem)?;
    for (line, row) in rows {
        let row: Vec<Cell> = row.iter().map(|cell| Cell::text(cell)).collect();
        sheet.row(recorded, &format!("{file}:{line}"), &row);
    }
    Ok(())
}

/// What the columns of a table mean.
pub struct Sheet {
    names: Vec<String>,
    at: usize,
    whose: Option<usize>,
    /// Of a long table: where the signal and the value stand.
    long: Option<(usize, usize)>,
    default: EntityName,
    met: BTreeSet<EntityName>,
}

impl Sheet {
    /// By the names of its columns; `stem` is whose all of it is, if nothing else says so.
    pub fn new(names: Vec<String>, recorded: &Recorded, stem: &str) -> Result<Self, String> {
        let column = |known: &[&str]| {
            known
                .iter()
                .find_map(|known| names.iter().position(|name| name.eq_ignore_ascii_case(known)))
        };
        let Some(at) = column(&TIMES) else {
            return Err(format!("no column is a time; one is to be called {}", TIMES.join(", ")));
        };
        let (whose, long) = (column(&ENTITIES), column(&SIGNALS).zip(column(&VALUES)));
        let entity = recorded.entity.clone().filter(|entity| !entity.contains('{'));
        Ok(Self {
            default: entity.as_deref().unwrap_or(stem).into(),
            names,
            at,
            whose,
            long,
            met: BTreeSet::new(),
        })
    }

    /// Takes in a row.
    pub fn row(&mut self, recorded: &mut Recorded, place: &str, row: &[Cell]) {
        if row.iter().all(|cell| *cell == Cell::Empty) {
            return;
        }
        let cell = |column: usize| row.get(column).filter(|cell| **cell != Cell::Empty);
        let Some(seen) = cell(self.at).and_then(Cell::time) else {
            let said = cell(self.at).map(ToString::to_string).unwrap_or_default();
            recorded.bad(place, &format!("'{said}' is no time"));
            return;
        };
        let named = self
            .whose
            .and_then(cell)
            .map(|cell| EntityName::from(cell.to_string().as_str()));
        let entity = named.unwrap_or_else(|| self.default.clone());
        let mut put = |signal: &str, cell: &Cell| match value(cell) {
            Ok(Some(value)) => {
                let series = recorded.catalog.series(entity.as_str(), signal);
                recorded.samples.push(Sample {
                    series,
                    retained: false,
                    at: seen,
                    seen,
                    value,
                });
            }
            Ok(None) => {}
            Err(error) => recorded.bad(place, &format!("{signal}: {error}")),
        };
        match self.long {
            Some((signal, value)) => {
                if let (Some(signal), Some(value)) = (cell(signal), cell(value)) {
                    put(&signal.to_string(), value);
                }
            }
            None => {
                let own = |column: &usize| *column != self.at && Some(*column) != self.whose;
                for (column, name) in self.names.iter().enumerate().filter(|(column, _)| own(column)) {
                    if let Some(found) = cell(column) {
                        put(name, found);
                    }
                }
            }
        }
        if self.met.insert(entity.clone()) {
            recorded.events.push(Event {
                entity: entity.clone(),
                at: seen,
                seen,
                kind: EventKind::Topology(TopologyChange::Entity {
                    entity: plain(&entity, EntityKind::Device),
                }),
            });
        }
    }
}

/// The value of a cell; none where it says that it is not known, which is written in many ways.
fn value(cell: &Cell) -> Result<Option<f64>, String> {
    let unknown = |text: &str| {
        ["nan", "null", "na", "n/a", "none", "-", "?"]
            .iter()
            .any(|word| text.eq_ignore_ascii_case(word))
    };
    match cell {
        Cell::Number(number) => Ok(Some(*number).filter(|number| number.is_finite())),
        Cell::Empty => Ok(None),
        Cell::Time(at) => Err(format!("{at} is a time and no number")),
        Cell::Text(text) => match value_of_text(text) {
            Ok(value) => Ok(Some(value)),
            Err(_) if unknown(text) => Ok(None),
            Err(error) => Err(error.to_string()),
        },
    }
}
