//! Tables: wide, with a column a signal, or long, with a row a value. Told apart by the names of their columns.

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

/// See the module.
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
    let names: Vec<String> = names.iter().map(|name| name.trim().to_owned()).collect();
    let column = |known: &[&str]| {
        known
            .iter()
            .find_map(|known| names.iter().position(|name| name.eq_ignore_ascii_case(known)))
    };
    let Some(at) = column(&TIMES) else {
        return Err(format!("no column is a time; one is to be called {}", TIMES.join(", ")));
    };
    let (whose, signal, value) = (column(&ENTITIES), column(&SIGNALS), column(&VALUES));
    let long = signal.zip(value);
    let entity = recorded.entity.clone().filter(|entity| !entity.contains('{'));
    let default: EntityName = entity.as_deref().unwrap_or(stem).into();
    let mut met = std::collections::BTreeSet::new();
    for (line, row) in rows {
        if row.iter().all(|cell| cell.trim().is_empty()) {
            continue;
        }
        let place = format!("{file}:{line}");
        let cell = |column: usize| row.get(column).map(|cell| cell.trim()).filter(|cell| !cell.is_empty());
        let Some(seen) = cell(at).and_then(time) else {
            recorded.bad(&place, &format!("'{}' is no time", cell(at).unwrap_or_default()));
            continue;
        };
        let entity = whose.and_then(cell).map_or_else(|| default.clone(), EntityName::from);
        let mut put = |signal: &str, text: &str| match value_of_text(text) {
            Ok(value) => {
                let series = recorded.catalog.series(entity.as_str(), signal);
                recorded.samples.push(Sample {
                    series,
                    retained: false,
                    at: seen,
                    seen,
                    value,
                });
            }
            // What is not known is written in many ways.
            Err(_)
                if ["nan", "null", "na", "n/a", "none", "-", "?"]
                    .iter()
                    .any(|word| text.eq_ignore_ascii_case(word)) => {}
            Err(error) => recorded.bad(&place, &format!("{signal}: {error}")),
        };
        match long {
            Some((signal, value)) => {
                if let (Some(signal), Some(value)) = (cell(signal), cell(value)) {
                    put(signal, value);
                }
            }
            None => {
                for (column, name) in names
                    .iter()
                    .enumerate()
                    .filter(|(column, _)| *column != at && Some(*column) != whose)
                {
                    if let Some(text) = cell(column) {
                        put(name, text);
                    }
                }
            }
        }
        if met.insert(entity.clone()) {
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
    Ok(())
}
