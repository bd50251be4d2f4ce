//! The list of injected faults. Only their times are given to what is scored.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::service_of;
use crate::eval::diagnose::case::{Case, Truth};
use crate::eval::diagnose::table::{ReadError, text};
use crate::model::Timestamp;

/// The two times of a fault may differ by so many seconds; beyond, the number is in another time zone or mistyped, and the text counts.
const APART_S: i64 = 300;

/// As the list has it.
#[derive(Deserialize)]
struct Fault {
    #[serde(rename = "inject_time")]
    time: String,
    #[serde(rename = "inject_timestamp")]
    timestamp: String,
    #[serde(rename = "inject_pod")]
    pod: String,
    #[serde(rename = "inject_type")]
    kind: String,
}

pub(super) fn read(path: &Path) -> Result<Vec<(i64, Case)>, ReadError> {
    let file = list(path)?;
    let content = |what: String| ReadError::Content {
        path: file.clone(),
        what,
    };
    let hours: BTreeMap<String, Vec<Fault>> =
        serde_json::from_str(&text(&file)?).map_err(|error| content(format!("not a fault list: {error}")))?;
    let mut faults = Vec::new();
    for fault in hours.into_values().flatten() {
        let at = time(&fault).ok_or_else(|| content(format!("no time in {:?}, {:?}", fault.time, fault.timestamp)))?;
        let case = Case {
            name: format!("{} {} {}", fault.time, service_of(&fault.pod), fault.kind),
            group: None,
            truth: Truth {
                node: service_of(&fault.pod).to_owned(),
                kind: Some(fault.kind),
            },
        };
        faults.push((at, case));
    }
    Ok(faults)
}

fn list(path: &Path) -> Result<PathBuf, ReadError> {
    let layout = |what: &str| ReadError::Layout {
        path: path.to_owned(),
        format: "nezha",
        what: what.to_owned(),
    };
    let entries = std::fs::read_dir(path).map_err(|source| ReadError::Open {
        path: path.to_owned(),
        source,
    })?;
    let mut found: Vec<PathBuf> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| {
            path.file_name()
                .is_some_and(|name| name.to_string_lossy().ends_with("fault_list.json"))
        })
        .collect();
    found.sort();
    found
        .into_iter()
        .next()
        .ok_or_else(|| layout("no *fault_list.json in it; give one day's folder"))
}

fn time(fault: &Fault) -> Option<i64> {
    let number: Option<i64> = fault.timestamp.trim().parse().ok();
    let text = format!("{}Z", fault.time.trim().replace(' ', "T"));
    let text = text.parse::<Timestamp>().ok().map(|time| time.nanos() / super::NS);
    match (text, number) {
        (Some(text), Some(number)) if (text - number).abs() <= APART_S => Some(number),
        (Some(text), _) => Some(text),
        (None, number) => number,
    }
}
