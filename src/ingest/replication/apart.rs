//! Standbys whose position is one in another log of changes than the primary's: never attached to it, or with changes of their own. Pure.
//!
//! A position alone does not tell: a replica that has never received anything stands where an idle primary stands, and one that took writes of its own stands
//! ahead of it. Both would be taken for up to date.

use std::collections::{BTreeMap, BTreeSet};

use super::ask::Standing;
use super::gtid::Changes;
use crate::model::EntityName;

/// Ahead of its primary in so many rounds, without receiving from it. One round may be the moment in which the primary died: what it sent last was read from the
/// standby and not yet from itself.
const ROUNDS: u8 = 2;

/// See the module.
#[derive(Debug, Default)]
pub struct Apart {
    /// The primary's log, as it was last heard.
    log: String,
    /// The primary's changes, as they were last heard.
    changes: Changes,
    /// Who has been seen to receive from a primary.
    attached: BTreeSet<EntityName>,
    /// Rounds in a row in which one was ahead without receiving.
    ahead: BTreeMap<EntityName, u8>,
    told: BTreeSet<EntityName>,
}

impl Apart {
    /// What all servers say in one round; the primary only if it is known and answers.
    pub fn hears(&mut self, primary: Option<&Standing>, standbys: &[(&EntityName, &Standing)]) {
        if let Some(primary) = primary {
            self.log.clone_from(&primary.log);
            self.changes.clone_from(&primary.changes);
        }
        for (name, standing) in standbys {
            if standing.attached {
                self.attached.insert((*name).clone());
                self.ahead.remove(*name);
            } else if let Some(primary) = primary {
                // Of whom nobody has seen that it belongs to this primary the first look is enough.
                let first = if self.attached.contains(*name) { 1 } else { ROUNDS };
                if standing.position > primary.position {
                    let rounds = self.ahead.entry((*name).clone()).or_default();
                    *rounds = rounds.saturating_add(first);
                } else if self.ahead.get(*name).is_some_and(|rounds| *rounds < ROUNDS) {
                    self.ahead.remove(*name);
                }
            }
            match self.is(name, standing) {
                true if self.told.insert((*name).clone()) => match self.changes.lacks(&standing.changes) {
                    Some(own) => tracing::warn!(
                        "{name} has changes of its own that the primary never had, up to {own}: somebody has written into it. How far it is behind is not told, and \
                         nothing is moved to it: copy it anew from the primary"
                    ),
                    None => tracing::warn!(
                        "{name} does not have the primary's changes but others, or none at all: it was never attached to it, or took writes of its own. How far it is \
                         behind is not told, and nothing is moved to it: copy it anew from the primary, or look why it does not receive"
                    ),
                },
                true => {}
                false if self.told.remove(*name) => tracing::info!("{name} has the primary's changes again"),
                false => {}
            }
        }
    }

    /// True while its position says nothing of what it has of the primary's changes.
    pub fn is(&self, name: &EntityName, standing: &Standing) -> bool {
        let other = !standing.log.is_empty() && !self.log.is_empty() && standing.log != self.log;
        other
            || self.changes.lacks(&standing.changes).is_some()
            || self.ahead.get(name).is_some_and(|rounds| *rounds >= ROUNDS)
    }
}
