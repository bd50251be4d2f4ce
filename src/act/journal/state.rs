//! What a journal tells: the epoch, where services run, which plans are not over.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::said::{self, Denial};
use super::word::{same, still_counts, supersedes};
use crate::act::runner::Entry;
use crate::engine::{About, OperatorCommand};
use crate::model::plan::Outcome;
use crate::model::{EntityName, IncidentId, Plan, PlanId, PlanKind, ServiceName, Timestamp};

/// A record on disk.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "record", rename_all = "snake_case")]
pub enum Record {
    /// An agent took over; epochs only grow.
    Epoch {
        /// Which.
        epoch: u64,
    },
    /// The latest plan number of this epoch, when older records were left out.
    Seq {
        /// Which.
        seq: u64,
    },
    /// Where a service runs, when older records were left out, or as another agent has left it.
    Service(ServiceRecord),
    /// An operator's word that outlives the agent: a hold, a maintenance; the latest drill of each service, links that were used.
    Word {
        /// When.
        at: Timestamp,
        /// What was said.
        word: OperatorCommand,
    },
    /// What a person said of an incident or a plan: done once, kept for the audit log.
    Said {
        /// When.
        at: Timestamp,
        /// What was said, and by whom.
        word: OperatorCommand,
        /// What of, for a yes, a no and a confirmation.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        about: Option<About>,
    },
    /// An incident that somebody said no to is over: the no with it.
    Over {
        /// When.
        at: Timestamp,
        /// Which.
        incident: IncidentId,
    },
    /// Incidents up to this number may have been told of: the next run goes on behind it.
    Numbers {
        /// The highest.
        incidents: u64,
    },
    /// A plan is no longer this agent's: another one goes on with it.
    Left {
        /// When.
        at: Timestamp,
        /// Which plan.
        plan: PlanId,
    },
    /// An entry of a plan.
    Plan {
        /// When.
        at: Timestamp,
        /// The entry.
        #[serde(flatten)]
        entry: Entry,
    },
}

/// Where a service runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ServiceRecord {
    /// Which service.
    pub service: ServiceName,
    /// Its active instance, if a plan has ever moved it.
    pub active: Option<EntityName>,
    /// When it was last moved.
    pub moved: Option<Timestamp>,
    /// Nodes that plans since then have named: never forgotten before a plan has ended well (FAILOVER.md 5.2, 4).
    pub named: BTreeSet<EntityName>,
    /// Instances of other services that were stopped, or are about to be, to make room for it.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub took: BTreeSet<EntityName>,
    /// When a plan for it was last taken back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub taken_back: Option<Timestamp>,
    /// A plan left it in a state that a person must look at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handed_over: Option<String>,
    /// The latest failovers that were begun: when, and away from where. Budgets count them, whoever began them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub begun: Vec<(Timestamp, EntityName)>,
}

impl ServiceRecord {
    /// More than any budget of one service; older ones are forgotten first.
    const BEGUN_MAX: usize = 64;

    /// Of a service that no plan has named yet.
    pub fn new(service: ServiceName) -> Self {
        Self {
            service,
            active: None,
            moved: None,
            named: BTreeSet::new(),
            took: BTreeSet::new(),
            taken_back: None,
            handed_over: None,
            begun: Vec::new(),
        }
    }

    /// The same as of `now`. What stands there with a later time was written by a clock that was ahead: it counts from now on, for else it would hold up moves
    /// until that time has come.
    #[must_use]
    pub fn by(&self, now: Timestamp) -> Self {
        let mut record = self.clone();
        record.moved = record.moved.map(|at| at.min(now));
        record.taken_back = record.taken_back.map(|at| at.min(now));
        for (at, _) in &mut record.begun {
            *at = now.min(*at);
        }
        record
    }
}

/// Everything that a journal tells.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct State {
    /// The latest epoch.
    pub epoch: u64,
    /// The latest plan number in it.
    pub seq: u64,
    /// Services that any plan has named.
    pub services: BTreeMap<ServiceName, ServiceRecord>,
    /// Plans that are not over, with their entries.
    pub open: BTreeMap<PlanId, (Plan, Vec<Entry>)>,
    /// Operators' words that still count, in their order.
    pub words: Vec<(Timestamp, OperatorCommand)>,
    /// What people said no to, as far as it is not over.
    pub denials: Vec<Denial>,
    /// The highest number that an incident may have been told of by.
    pub incidents: u64,
}

impl State {
    /// From records in their order.
    pub fn read(records: &[Record]) -> Self {
        let mut state = Self::default();
        for record in records {
            state.apply(record);
        }
        state
    }

    /// Takes in the next record.
    pub fn apply(&mut self, record: &Record) {
        match record {
            Record::Epoch { epoch } => {
                // Leads of several parts have epochs of their own; what counts is the highest.
                if *epoch > self.epoch {
                    self.epoch = *epoch;
                    self.seq = 0;
                }
            }
            Record::Seq { seq } => self.seq = self.seq.max(*seq),
            Record::Service(record) => {
                self.services.insert(record.service.clone(), record.clone());
            }
            Record::Plan { at, entry } => self.plan(*at, entry),
            Record::Word { at, word } => {
                if self.outdates(word) {
                    return;
                }
                self.words.retain(|(_, other)| !supersedes(word, other));
                self.words.push((*at, word.clone()));
            }
            Record::Said { at, word, about } => said::apply(&mut self.denials, *at, word, about.as_ref()),
            Record::Over { incident, .. } => self.denials.retain(|denial| denial.incident != *incident),
            Record::Numbers { incidents } => self.incidents = self.incidents.max(*incidents),
            Record::Left { plan, .. } => {
                self.open.remove(plan);
            }
        }
    }

    /// Does that word say what is known already?
    pub fn knows(&self, word: &OperatorCommand) -> bool {
        self.outdates(word) || self.words.iter().any(|(_, known)| same(known, word))
    }

    /// Is it known how a drill went on?
    fn outdates(&self, word: &OperatorCommand) -> bool {
        let OperatorCommand::Drilled { drill } = word else {
            return false;
        };
        self.words.iter().any(|(_, known)| match known {
            OperatorCommand::Drilled { drill: known } => {
                known.service == drill.service && known.kind == drill.kind && known.is_later_than(drill)
            }
            _ => false,
        })
    }

    /// The number of that entry among those of its plan, and how the plan's service stands once the entry is written, if that changes.
    pub fn after(&self, record: &Record) -> (u64, Option<ServiceRecord>) {
        let Record::Plan { entry, .. } = record else {
            return (0, None);
        };
        let id = entry.of();
        let known = self.open.get(id);
        let number = known.map_or(0, |(_, entries)| entries.len() as u64 + 1);
        let service = match (entry, known) {
            (Entry::Plan { plan }, _) => &plan.service,
            (Entry::End { .. }, Some((plan, _))) => &plan.service,
            _ => return (number, None),
        };
        let mut then = Self {
            epoch: self.epoch,
            seq: self.seq,
            services: self
                .services
                .get(service)
                .map(|known| (service.clone(), known.clone()))
                .into_iter()
                .collect(),
            open: known.map(|known| (id.clone(), known.clone())).into_iter().collect(),
            ..Self::default()
        };
        then.apply(record);
        (number, then.services.remove(service))
    }

    fn plan(&mut self, at: Timestamp, entry: &Entry) {
        let id = match entry {
            Entry::Plan { plan } => {
                let is_new = !self.open.contains_key(&plan.id);
                self.seq = self.seq.max(if plan.token.epoch == self.epoch {
                    plan.token.seq
                } else {
                    0
                });
                let known = self
                    .services
                    .entry(plan.service.clone())
                    .or_insert_with(|| ServiceRecord::new(plan.service.clone()));
                // A plan that others have begun, and that is told again here, counts once.
                let made = (plan.made, plan.from.clone());
                if plan.kind == PlanKind::Failover && is_new && !known.begun.contains(&made) {
                    if known.begun.len() >= ServiceRecord::BEGUN_MAX {
                        known.begun.remove(0);
                    }
                    known.begun.push(made);
                }
                known.named.insert(plan.to.clone());
                known
                    .named
                    .extend(plan.alternatives.iter().map(|other| other.to.clone()));
                known.took.extend(plan.works_on_others().cloned());
                // Told twice it is still the same plan, with what it has done.
                self.open
                    .entry(plan.id.clone())
                    .or_insert_with(|| (plan.as_ref().clone(), Vec::new()));
                return;
            }
            entry => entry.of(),
        };
        if let Entry::End { outcome, .. } = entry {
            let Some((plan, _)) = self.open.remove(id) else { return };
            let Some(known) = self.services.get_mut(&plan.service) else {
                return;
            };
            let told_again = plan.kind == PlanKind::Reassert;
            match outcome {
                Outcome::HandedOver { reason } => known.handed_over = Some(reason.clone()),
                // Nothing was moved, and who has to be sealed is as before.
                _ if told_again => {}
                Outcome::Done { active } => {
                    known.active = Some(active.clone());
                    if !plan.kind.is_drill() {
                        known.moved = Some(at);
                    }
                    known.taken_back = None;
                    known.handed_over = None;
                    // Cut down to the completed plan's own target, never emptied.
                    known.named = [active.clone()].into();
                    let untouched = plan.never_stopped_at(active);
                    known.took.retain(|instance| !untouched.contains(instance));
                    let back: BTreeSet<&EntityName> = plan.gave_back_at(active).collect();
                    for record in self.services.values_mut() {
                        record.took.retain(|instance| !back.contains(instance));
                    }
                }
                Outcome::Compensated { .. } | Outcome::Untouched { .. } => {
                    if let Outcome::Untouched { made, .. } = outcome {
                        known.begun.retain(|(begun, _)| begun != made);
                    }
                    known.taken_back = Some(at);
                    for instance in plan.takes_room_of() {
                        known.took.remove(instance);
                    }
                }
            }
        } else if let Some((_, entries)) = self.open.get_mut(id) {
            entries.push(entry.clone());
        }
    }

    /// The fewest records that tell the same.
    pub fn compact(&self, now: Timestamp) -> Vec<Record> {
        let mut records = vec![Record::Epoch { epoch: self.epoch }];
        if self.seq > 0 {
            records.push(Record::Seq { seq: self.seq });
        }
        records.extend(self.services.values().cloned().map(Record::Service));
        let words = self.words.iter().filter(|(_, word)| still_counts(word, now));
        records.extend(words.map(|(at, word)| Record::Word {
            at: *at,
            word: word.clone(),
        }));
        records.extend(said::compact(&self.denials));
        if self.incidents > 0 {
            records.push(Record::Numbers {
                incidents: self.incidents,
            });
        }
        for (plan, entries) in self.open.values() {
            records.push(Record::Plan {
                at: now,
                entry: Entry::Plan {
                    plan: Box::new(plan.clone()),
                },
            });
            records.extend(entries.iter().map(|entry| Record::Plan {
                at: now,
                entry: entry.clone(),
            }));
        }
        records
    }
}

#[cfg(test)]
mod tests;
