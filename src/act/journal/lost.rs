//! A journal that knows less than the audit log beside it: it was emptied, removed, or replaced by an older one. Everything goes to the audit log
//! first, so the journal is made anew from that one; but an agent that has lost its memory once acts upon nothing until a person says so.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;

use super::audit::{files, records};
use super::compare::known_by;
use super::{Record, State};
use crate::act::runner::Entry;
use crate::engine::OperatorCommand;
use crate::model::Timestamp;
use crate::model::plan::Outcome;

/// Who says the hold that such a journal begins with; what was wrong follows.
const BY: &str = "the journal, made anew from the audit log: ";

/// What a plan that was open then ends with: nobody knows what has become of it since.
const LEFT: &str =
    "the journal was lost while this move was under way: look how far it came, and put right by hand what is half done";

/// Epoch and number: no token is ever given twice.
type Newest = (u64, u64);

/// What the journal with these records, which tell that state, lacks, in words; nothing if it knows what the audit log knows. The last line may be one that a crash kept from the journal: it was never
/// acted upon. `garbage`: the journal ends with what no crash leaves, which may stand where records stood.
pub(super) fn lacks(dir: &Path, journal: &[Record], state: &State, garbage: bool) -> io::Result<Option<String>> {
    let known: Newest = (state.epoch, state.seq);
    let mut last = None;
    for path in files(dir).into_iter().rev() {
        let mut written = read(&path)?;
        if last.is_none() {
            last = written.pop();
            let before = written.last().and_then(known_by).filter(|_| garbage);
            let keys: BTreeSet<String> = journal.iter().filter_map(known_by).collect();
            if before.is_some_and(|key| !keys.contains(&key)) {
                return Ok(Some("records at its end are damaged".into()));
            }
        }
        let Some(newest) = written.iter().filter_map(token).max() else {
            continue;
        };
        return Ok((newest > known).then(|| {
            let told = |(epoch, seq): Newest| format!("epoch {epoch}, plan {seq}");
            format!(
                "it knew of nothing behind {}; the audit log goes up to {}",
                told(known),
                told(newest)
            )
        }));
    }
    Ok(None)
}

/// The records of a journal that knows what the audit log knows: plans that were open are left to a person, and so is whether anything is acted upon.
pub(super) fn anew(dir: &Path, why: &str, now: Timestamp) -> io::Result<Vec<Record>> {
    let mut all = Vec::new();
    for path in files(dir) {
        all.extend(read(&path)?);
    }
    let state = State::read(&all);
    let mut records = state.compact(now);
    records.extend(state.open.keys().map(|plan| Record::Plan {
        at: now,
        entry: Entry::End {
            plan: plan.clone(),
            outcome: Outcome::HandedOver { reason: LEFT.into() },
        },
    }));
    let by = format!("{BY}{why}");
    let word = OperatorCommand::Hold { on: true, by };
    records.push(Record::Word { at: now, word });
    Ok(records)
}

impl State {
    /// What the journal had lost when it was made anew from the audit log, as long as nobody has released the hold that it began with.
    pub fn lost(&self) -> Option<(Timestamp, &str)> {
        self.words.iter().find_map(|(at, word)| match word {
            OperatorCommand::Hold { on: true, by } => Some((*at, by.strip_prefix(BY)?)),
            _ => None,
        })
    }
}

fn token(record: &Record) -> Option<Newest> {
    match record {
        Record::Epoch { epoch } => Some((*epoch, 0)),
        Record::Plan {
            entry: Entry::Plan { plan },
            ..
        } => Some((plan.token.epoch, plan.token.seq)),
        _ => None,
    }
}

/// The records of one of its files.
fn read(path: &Path) -> io::Result<Vec<Record>> {
    let mut all = Vec::new();
    records(path, |record| all.push(record))?;
    Ok(all)
}
