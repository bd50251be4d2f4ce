//! The store that several agents agree through, as etcd behaves: a lead that hangs on a lease, entries written on the condition that the lead is
//! still the one of that revision.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::Mutant;
use super::world::{Ev, World};
use crate::act::journal::{Record, ServiceRecord};
use crate::act::runner::Entry;
use crate::model::{EntityName, PlanId, Reach, ServiceName, Timestamp};

/// See the module.
#[derive(Default)]
pub struct Store {
    revision: u64,
    lead: Option<Lead>,
    kept: Kept,
    /// What each agent sees.
    sights: BTreeMap<usize, Vec<Sight>>,
    /// Every intent that was ever written: plan, candidate, step, back.
    intents: BTreeSet<(PlanId, usize, usize, bool)>,
    /// It answers nobody.
    pub down: bool,
}

struct Lead {
    life: u32,
    created: u64,
    expires: Timestamp,
}

/// What the store holds.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Kept {
    /// How services stand, and which plan runs.
    pub services: BTreeMap<ServiceName, (ServiceRecord, Option<PlanId>)>,
    /// Entries of the plans under way.
    pub entries: BTreeMap<(ServiceName, u64), Record>,
    /// What was written last of each service.
    pub last: BTreeMap<ServiceName, (PlanId, u64)>,
}

/// An instance as an agent sees it.
#[derive(Debug, Clone)]
pub struct Sight {
    /// Which.
    pub entity: EntityName,
    /// How.
    pub reach: Reach,
    /// When.
    pub at: Timestamp,
    /// Whoever sees it seeks the lead.
    pub may_lead: bool,
}

/// What is asked.
#[expect(clippy::large_enum_variant, reason = "one at a time, and boxed on its way")]
#[derive(Debug, Clone)]
pub enum Ask {
    /// I live: keep my lead, or give me the one that is free.
    Beat {
        /// When it was sent.
        sent: Timestamp,
        /// By the agent of which seat.
        seat: usize,
        /// False: it stands aside.
        seeks: bool,
        /// What it sees.
        sights: Vec<Sight>,
    },
    /// I lead no more, whoever is to do it.
    GiveBack {
        /// Since which revision.
        created: u64,
    },
    /// Write that, if I still lead.
    Put {
        /// By which lead.
        created: u64,
        /// Whose service.
        service: ServiceName,
        /// Its number.
        number: u64,
        /// What was written last before it.
        before: Option<(PlanId, u64)>,
        /// The entry.
        record: Record,
        /// How the service stands then.
        after: Option<ServiceRecord>,
        /// Which call.
        call: u64,
        /// Which plan.
        plan: PlanId,
    },
}

/// What is answered.
#[derive(Debug, Clone)]
pub enum Told {
    /// You lead, since that revision; and what there is.
    Lead {
        /// When the question was sent.
        sent: Timestamp,
        /// Since which revision.
        created: u64,
        /// What there is.
        kept: Kept,
        /// What each agent sees.
        sights: Vec<(usize, Vec<Sight>)>,
    },
    /// You do not.
    Follow {
        /// What there is.
        kept: Kept,
        /// Another one does.
        led: bool,
        /// What each agent sees.
        sights: Vec<(usize, Vec<Sight>)>,
    },
    /// It is written, or refused.
    Put {
        /// Which plan.
        plan: PlanId,
        /// Which call.
        call: u64,
        /// False: another one leads.
        good: bool,
    },
}

impl Store {
    /// Does that life lead at that time?
    pub fn leads(&self, life: u32, now: Timestamp) -> bool {
        self.lead
            .as_ref()
            .is_some_and(|lead| lead.life == life && now < lead.expires)
    }

    /// Whose life leads.
    pub fn leader(&self) -> Option<u32> {
        self.lead.as_ref().map(|lead| lead.life)
    }

    /// Was that intent ever written?
    pub fn intends(&self, plan: &PlanId, candidate: usize, step: usize, undo: bool) -> bool {
        let candidate = if undo { 0 } else { candidate };
        self.intents.contains(&(plan.clone(), candidate, step, undo))
    }

    /// What is told, if anything, and whether it is of a new lead.
    fn answer(
        &mut self,
        life: u32,
        ask: Ask,
        now: Timestamp,
        lasts: Duration,
        mutant: Option<Mutant>,
    ) -> (Option<Told>, bool) {
        if self.lead.as_ref().is_some_and(|lead| now >= lead.expires) {
            self.lead = None;
        }
        match ask {
            Ask::GiveBack { created } => {
                self.lead.take_if(|lead| lead.created == created);
                (None, false)
            }
            Ask::Beat {
                sent,
                seat,
                seeks,
                sights,
            } => {
                self.sights.insert(seat, sights);
                let sights = self
                    .sights
                    .iter()
                    .map(|(seat, sights)| (*seat, sights.clone()))
                    .collect();
                let free = self.lead.is_none() && seeks;
                if free {
                    self.revision += 1;
                    let (created, expires) = (self.revision, now);
                    self.lead = Some(Lead { life, created, expires });
                }
                let (kept, led) = (self.kept.clone(), self.lead.is_some());
                match self.lead.as_mut().filter(|lead| lead.life == life) {
                    Some(lead) => {
                        lead.expires = now + lasts;
                        let created = lead.created;
                        let told = Told::Lead {
                            sent,
                            created,
                            kept,
                            sights,
                        };
                        (Some(told), free)
                    }
                    None => (Some(Told::Follow { kept, led, sights }), false),
                }
            }
            Ask::Put {
                created,
                service,
                number,
                before,
                record,
                after,
                call,
                plan,
            } => {
                let leads = self.lead.as_ref().is_some_and(|lead| lead.created == created);
                let last = self.kept.last.get(&service);
                let written = last.is_some_and(|last| *last == (plan.clone(), number));
                let follows = last == before.as_ref() || mutant == Some(Mutant::RepeatedWrites);
                let good = leads && (written || follows);
                if leads && follows {
                    self.revision += 1;
                    self.kept.last.insert(service.clone(), (plan.clone(), number));
                    self.write(service, number, record, after, &plan);
                }
                (Some(Told::Put { plan, call, good }), false)
            }
        }
    }

    fn write(&mut self, service: ServiceName, number: u64, record: Record, after: Option<ServiceRecord>, id: &PlanId) {
        let Record::Plan { entry, .. } = &record else { return };
        match entry {
            Entry::Intent { plan, candidate, step } => {
                self.intents.insert((plan.clone(), *candidate, *step, false));
            }
            Entry::UndoIntent { plan, step } => {
                self.intents.insert((plan.clone(), 0, *step, true));
            }
            _ => {}
        }
        let last = matches!(entry, Entry::End { .. });
        if let Some(after) = after {
            self.kept
                .services
                .insert(service.clone(), (after, (!last).then(|| id.clone())));
        }
        if last {
            self.kept.entries.retain(|(of, _), _| *of != service);
        } else {
            self.kept.entries.insert((service, number), record);
        }
    }
}

impl World {
    /// Something arrives at the store, perhaps from a life that is long over.
    pub fn at_store(&mut self, life: u32, ask: Ask) {
        let (now, lasts, mutant) = (self.now, self.pace.lease, self.mutant);
        let ends = match &ask {
            Ask::Put { record, .. } => Some(record.clone()),
            Ask::Beat { .. } | Ask::GiveBack { .. } => None,
        };
        let Some(store) = self.store.as_mut().filter(|store| !store.down) else {
            return;
        };
        let (told, is_new) = store.answer(life, ask, now, lasts, mutant);
        if is_new {
            self.stats.taken_over += 1;
            self.note(|| format!("life {life} leads"));
        }
        let Some(told) = told else {
            return self.note(|| format!("life {life} gives the lead back"));
        };
        if matches!(told, Told::Put { good: false, .. }) {
            self.stats.refused += 1;
        } else if let Some(record) = ends {
            self.recorded(&record);
        }
        if self.cut_off {
            return;
        }
        for wait in self.fares(false) {
            let answer = Box::new(told.clone());
            self.after(wait, Ev::FromStore { life, answer });
        }
    }

    /// Sends something to the store.
    pub fn ask_store(&mut self, ask: &Ask) {
        if self.cut_off {
            return;
        }
        let life = self.life;
        for wait in self.fares(false) {
            let ask = Box::new(ask.clone());
            self.after(wait, Ev::ToStore { life, ask });
        }
    }
}
