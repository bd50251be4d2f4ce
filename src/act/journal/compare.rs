//! Does the audit log hold what the journal beside it holds? Records that a rewrite of the journal made up are left out; all others were
//! written to the audit log first.

use std::io;
use std::path::Path;

use serde_json::json;

use super::audit::{Audit, AuditError, files, records as records_of};
use super::{Record, State, decode};
use crate::act::runner::Entry;
use crate::clock::wall_clock;
use crate::engine::OperatorCommand;

/// By what a record is known again, in the journal as in the audit log; `None` for one that a rewrite of the journal may have made up.
pub(super) fn known_by(record: &Record) -> Option<String> {
    Some(match record {
        Record::Epoch { epoch } if *epoch > 0 => format!("epoch {epoch}"),
        Record::Epoch { .. } | Record::Seq { .. } | Record::Service(_) | Record::Numbers { .. } => return None,
        Record::Plan {
            entry: Entry::Plan { plan },
            ..
        } => format!("plan {}", plan.id),
        // When is set anew by a rewrite.
        Record::Plan { entry, .. } => format!("entry {}", json!(entry)),
        Record::Said {
            at,
            word: OperatorCommand::Deny { incident, by, .. },
            ..
        } => format!("no of {by} to incident {incident} at {at}"),
        Record::Word { .. } | Record::Said { .. } | Record::Left { .. } | Record::Over { .. } => {
            json!(record).to_string()
        }
    })
}

/// The journal's records in their order; none if there is no journal.
pub(super) fn journal(dir: &Path) -> Result<Vec<Record>, AuditError> {
    let path = dir.join("journal");
    let bytes = match std::fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(AuditError::Io { path, error }),
    };
    let decoded = decode(&bytes).map_err(|error| AuditError::Journal {
        path,
        problem: error.to_string(),
    })?;
    Ok(decoded.records)
}

/// What the journal of that folder tells, whoever holds it now; nothing if there is none.
pub fn look(dir: &Path) -> Result<State, AuditError> {
    Ok(State::read(&journal(dir)?))
}

/// Of these records those that the audit log does not hold, in their order.
pub(super) fn missing(dir: &Path, records: &[Record]) -> Result<Vec<(String, Record)>, AuditError> {
    let mut wanted: Vec<(String, Record)> = Vec::new();
    let mut seen = std::collections::BTreeSet::new();
    for record in records {
        if let Some(key) = known_by(record)
            && seen.insert(key.clone())
        {
            wanted.push((key, record.clone()));
        }
    }
    // The latest file first: it holds nearly always all of them.
    for path in files(dir).into_iter().rev() {
        if seen.is_empty() {
            break;
        }
        let read = records_of(&path, |record| {
            if let Some(key) = known_by(&record) {
                seen.remove(&key);
            }
        });
        read.map_err(|error| AuditError::Io { path, error })?;
    }
    wanted.retain(|(key, _)| seen.contains(key));
    Ok(wanted)
}

/// The audit log is not waited for, so a power loss can cost it lines that the journal still has.
pub(super) fn mend(dir: &Path, audit: &mut Audit, records: &[Record]) -> io::Result<()> {
    let missing = missing(dir, records).map_err(io::Error::other)?;
    if !missing.is_empty() {
        tracing::warn!(
            records = missing.len(),
            "the audit log had lost records that the journal holds: they are written into it again"
        );
    }
    for (_, record) in missing {
        audit.recover(wall_clock(), &record)?;
    }
    Ok(())
}
