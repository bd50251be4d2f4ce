//! An agent among several: what `agent::sharing` and the conductor do with the real store.

use std::time::Duration;

use super::{Live, Waits};
use crate::act::journal::{Record, ServiceRecord, State};
use crate::act::runner::Runner;
use crate::agent::restored_one;
use crate::engine::Input;
use crate::model::{Lease, PlanId, ServiceName, Share, Timestamp};
use crate::sim::Mutant;
use crate::sim::store::{Ask, Kept, Told};
use crate::sim::world::{Ev, World};

/// An entry whose answer has not come is sent again after so long.
const AGAIN: Duration = Duration::from_millis(700);

impl World {
    pub(super) fn beat(&mut self) {
        let life = self.life;
        self.after(self.pace.beats, Ev::Beat { life });
        let (seeks, sights) = self.judges();
        let (sent, seat) = (self.now, self.seat);
        self.ask_store(&Ask::Beat {
            sent,
            seat,
            seeks,
            sights,
        });
    }

    pub(super) fn told_by_store(&mut self, told: Told) {
        match told {
            // As a client that waits for no answer so long.
            Told::Lead { sent, .. } if self.now.since(sent) >= self.pace.acts() => {}
            Told::Lead {
                sent,
                created,
                kept,
                sights,
            } => {
                self.hears(sights, true);
                // An answer that comes late may tell of a lead that was lost since then: the time of its question says until when it is good.
                if self.lead.is_some_and(|lead| lead > created) {
                    return;
                }
                if self.gives_back(created) {
                    return;
                }
                if self.lead != Some(created) {
                    self.lose();
                    self.take(created, kept);
                }
                let until = (sent + self.pace.acts()).max(self.lease_until);
                self.lease_until = until;
                self.share(created, until);
            }
            Told::Follow { kept, led, sights } => {
                self.hears(sights, led);
                if self.lead.is_some() && self.now >= self.lease_until {
                    self.lose();
                }
                if self.lead.is_none() {
                    self.follow(&kept);
                }
            }
            Told::Put { plan, call, good } => self.put_answered(&plan, call, good),
        }
    }

    fn share(&mut self, epoch: u64, until: Timestamp) {
        let until = match self.mutant {
            Some(Mutant::LeaseNotChecked) => Timestamp::MAX,
            _ => self.clock(until),
        };
        let services = self
            .services
            .iter()
            .map(|service| service.name.as_str().into())
            .collect();
        self.feed(Input::Share(Share {
            part: "base".into(),
            services,
            lease: Lease { epoch, seq: 0, until },
        }));
    }

    /// The lead is another's: whatever is under way is dropped where it stands.
    pub(super) fn lose(&mut self) {
        if self.lead.take().is_none() {
            return;
        }
        self.note(|| "loses the lead".into());
        self.lease_until = Timestamp::EPOCH;
        if let Some(agent) = &mut self.agent {
            agent.runners.clear();
            agent.ready.clear();
        }
        let services = self
            .services
            .iter()
            .map(|service| service.name.as_str().into())
            .collect();
        let (part, lease) = ("base".into(), Lease::default());
        self.feed(Input::Share(Share { part, services, lease }));
    }

    fn take(&mut self, created: u64, kept: Kept) {
        self.note(|| format!("leads since {created}, {} entries to go on with", kept.entries.len()));
        // Whoever takes over tells its engine everything anew: it has dropped what it knew of plans when the lead was lost.
        if let Some(agent) = &mut self.agent {
            agent.heard.clear();
        }
        self.follow(&kept);
        self.lead = Some(created);
        let records: Vec<Record> = kept
            .services
            .into_values()
            .map(|(record, _)| Record::Service(record))
            .chain(kept.entries.into_values())
            .collect();
        let state = State::read(&records);
        if let Some(agent) = &mut self.agent {
            agent.known = state.clone();
            agent.last = kept.last;
        }
        for (plan, entries) in state.open.values() {
            if let Some(runner) = Runner::restore(plan.clone(), entries) {
                self.stats.resumed += 1;
                self.take_on(runner);
            }
        }
    }

    /// The engine hears where services run.
    fn follow(&mut self, kept: &Kept) {
        for (service, (record, plan)) in &kept.services {
            let Some(agent) = &mut self.agent else { return };
            let heard = (record.clone(), plan.clone());
            if agent.heard.get(service) == Some(&heard) {
                continue;
            }
            agent.heard.insert(service.clone(), heard);
            if let Some(event) = restored_one(record, plan.clone(), &agent.services) {
                self.feed(Input::Plan(event));
            }
        }
    }

    /// Puts an entry where all agents look, before the disk has it.
    pub(super) fn put(&mut self, id: &PlanId, record: Record) {
        let Some(call) = self.call(id) else { return };
        if let Some(live) = self.live(id) {
            live.waits = Waits::Store(call, Box::new(record));
        }
        let now = self.now;
        if let Some(live) = self.live(id) {
            live.put_began = Some(now);
        }
        self.send_put(id, call);
    }

    fn send_put(&mut self, id: &PlanId, call: u64) {
        let Some(agent) = &self.agent else { return };
        let Some(Live {
            waits: Waits::Store(_, record),
            runner,
            ..
        }) = agent.runners.get(id)
        else {
            return;
        };
        let (number, after) = agent.known.after(record);
        let ask = Ask::Put {
            created: self.lead.unwrap_or(0),
            service: runner.plan().service.clone(),
            number,
            before: agent.last.get(&runner.plan().service).cloned(),
            record: (**record).clone(),
            after,
            call,
            plan: id.clone(),
        };
        self.ask_store(&ask);
        let (life, plan) = (self.life, id.clone());
        self.after(AGAIN, Ev::PutAgain { life, plan, call });
    }

    pub(super) fn put_again(&mut self, id: &PlanId, call: u64) {
        let waits = self
            .live(id)
            .is_some_and(|live| matches!(&live.waits, Waits::Store(of, _) if *of == call));
        if waits {
            self.send_put(id, call);
        }
    }

    fn put_answered(&mut self, id: &PlanId, call: u64, good: bool) {
        let Some(live) = self.live(id) else { return };
        let Waits::Store(of, record) = &live.waits else { return };
        if *of != call {
            return;
        }
        let (record, service) = ((**record).clone(), live.runner.plan().service.clone());
        if !good {
            self.note(|| format!("{id}: the store says that another one leads"));
            self.lose();
            return;
        }
        let began = live.put_began.take().unwrap_or(Timestamp::EPOCH);
        if let Some(agent) = &mut self.agent {
            let number = agent.known.after(&record).0;
            agent.last.insert(service, (id.clone(), number));
            agent.known.apply(&record);
            // Its own words are no news.
            if let Record::Plan { entry, .. } = &record
                && let Some((service, heard)) = heard_after(&agent.known, entry.of(), &record)
            {
                agent.heard.insert(service, heard);
            }
        }
        self.write_down(id, record, began);
    }
}

fn heard_after(known: &State, id: &PlanId, record: &Record) -> Option<(ServiceName, (ServiceRecord, Option<PlanId>))> {
    use crate::act::runner::Entry;
    let Record::Plan { entry, .. } = record else {
        return None;
    };
    let service = match entry {
        Entry::Plan { plan } => plan.service.clone(),
        Entry::End { .. } => {
            let mut found = known.services.keys();
            found.find(|service| id.0.starts_with(&format!("{service}-")))?.clone()
        }
        _ => return None,
    };
    let plan = matches!(entry, Entry::Plan { .. }).then(|| id.clone());
    let record = known.services.get(&service)?.clone();
    Some((service, (record, plan)))
}
