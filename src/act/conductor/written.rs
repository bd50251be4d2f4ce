//! An entry on its way to where it counts: first where all agents look, then on the own disk.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use super::{Shared, Yielded};
use crate::act::intents::{Intent, NotWritten};
use crate::act::journal::Record;
use crate::act::runner::Entry;
use crate::model::Plan;

/// What cannot be written is tried again after so long.
const AGAIN: Duration = Duration::from_secs(1);
const AGAIN_SHARED: Duration = Duration::from_millis(250);

/// Nothing goes on before all agents can know of it: whoever leads next must find every intent. A store that is down stops the plan here.
pub(super) async fn share(shared: &Shared, plan: &Plan, record: &Record) -> Result<(), Yielded> {
    let Some(intents) = &shared.intents else {
        return Ok(());
    };
    let (number, after) = {
        let journal = shared.journal.lock().unwrap_or_else(PoisonError::into_inner);
        journal.state().after(record)
    };
    let last = matches!(
        record,
        Record::Plan {
            entry: Entry::End { .. },
            ..
        }
    );
    let intent = Intent {
        service: &plan.service,
        plan: &plan.id,
        number,
        record,
        after: after.as_ref(),
        last,
    };
    let mut said = false;
    loop {
        match intents.write(intent).await {
            Ok(()) => return Ok(()),
            Err(NotWritten::NotOurs(why)) => return Err(Yielded(why)),
            Err(NotWritten::Later(why)) => {
                if !said {
                    tracing::error!(plan = %plan.id, "cannot write where all agents look; nothing is done: {why}");
                }
                said = true;
            }
        }
        tokio::time::sleep(AGAIN_SHARED).await;
    }
}

/// Nothing goes on before the disk has it: a journal that cannot be written stops the plan here, and the operator finds the reason in the
/// log again and again.
pub(super) async fn keep(shared: &Arc<Shared>, plan: &Plan, record: &Record) {
    loop {
        let (shared, record) = (Arc::clone(shared), record.clone());
        let written = tokio::task::spawn_blocking(move || {
            let mut journal = shared.journal.lock().unwrap_or_else(PoisonError::into_inner);
            journal.append(&record)
        });
        match written.await {
            Ok(Ok(())) => return,
            Ok(Err(error)) => tracing::error!(plan = %plan.id, %error, "cannot write the journal; nothing is done"),
            Err(error) => tracing::error!(plan = %plan.id, %error, "cannot write the journal; nothing is done"),
        }
        tokio::time::sleep(AGAIN).await;
    }
}
