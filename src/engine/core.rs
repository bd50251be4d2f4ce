//! The engine's state, and the order in which one input changes it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crate::decide::{Ledger, Policy, Senses, ServiceState};
use crate::detect::{self, Detection, Parallel};
use crate::diagnose::{self, Diagnosis, Library};
use crate::model::{
    Batch, Catalog, EntityName, Event, EventKind, Incident, IncidentId, Lease, Plan, PlanId, Service, ServiceName,
    Share, Timestamp, Token, Topology, TopologyChange, Verdict,
};
use crate::plan::Playbooks;

use super::ahead::Ahead;
use super::asking::DeniedBefore;
use super::company::siblings;
use super::drills::{Drills, Schedule};
use super::exposure::Exposure;
use super::look_back::Turn;
use super::operator::Ready;
use super::{Effects, Input, Notification, PlanEvent, Record, RuleDesk, RuleSettings, settling};

/// What an engine is made of.
pub struct Setup {
    /// The entity that this agent is.
    pub agent: EntityName,
    /// Names to numbers, shared with the sources.
    pub catalog: Catalog,
    /// The topology that the config states.
    pub topology: Vec<TopologyChange>,
    /// What must stay up.
    pub services: Vec<Service>,
    /// What the operator allows.
    pub policy: Policy,
    /// Rules of the detectors.
    pub detect: detect::Settings,
    /// How incidents are grouped and causes weighed.
    pub diagnose: diagnose::Settings,
    /// Fault patterns.
    pub library: Arc<Library>,
    /// Step templates.
    pub playbooks: Arc<Playbooks>,
    /// How many parts the detectors' state is split into. Decisions do not depend on it.
    pub shards: usize,
    /// Prometheus rules.
    pub rules: RuleSettings,
    /// When drills are due.
    pub drills: Vec<Schedule>,
    /// How the parts are worked on. Decisions do not depend on it.
    pub parallel: Box<dyn Parallel + Send>,
}

/// A setup that no engine can be made of.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The detectors' rules contradict themselves.
    #[error(transparent)]
    Detect(#[from] detect::SettingsError),
    /// A Prometheus rule cannot be carried out.
    #[error("rules.alerts: {0}")]
    Rules(String),
    /// It leaves out where a service runs.
    #[error("{0}")]
    LeavesOut(String),
}

/// The pure core. See [`crate::engine`].
pub struct Engine {
    pub(super) agent: EntityName,
    pub(super) now: Timestamp,
    /// Its first tick.
    pub(super) begun: Option<Timestamp>,
    pub(super) topology: Topology,
    /// What the config states of it.
    pub(super) stated: Vec<TopologyChange>,
    pub(super) policy: Policy,
    /// When windows of maintenance were last looked for.
    pub(super) windows_seen: Timestamp,
    pub(super) detection: Detection,
    pub(super) rules: RuleDesk,
    catalog: Catalog,
    pub(super) diagnosis: Diagnosis,
    pub(super) senses: Senses,
    /// Who goes up and down again and again.
    pub(super) flapping: BTreeSet<EntityName>,
    pub(super) services: BTreeMap<ServiceName, Service>,
    pub(super) states: BTreeMap<ServiceName, ServiceState>,
    pub(super) playbooks: Arc<Playbooks>,
    pub(super) ledger: Ledger,
    pub(super) lease: Lease,
    pub(super) shares: BTreeMap<String, Share>,
    /// The last token that a plan for a service was given.
    pub(super) given: BTreeMap<ServiceName, Token>,
    pub(super) ahead: Ahead,
    pub(super) exposure: Exposure,
    pub(super) drills: Drills,
    pub(super) held: bool,
    pub(super) ready: Ready,
    /// The end of the maintenance of every service, those that a new config brings too.
    pub(super) all_rest_until: Timestamp,
    /// With whoever said yes.
    pub(super) approved: BTreeMap<(IncidentId, ServiceName), String>,
    /// Since when a question stands that only a person's word, or its time limit, can answer.
    pub(super) asked: BTreeMap<(IncidentId, ServiceName), Timestamp>,
    /// With whoever said no.
    pub(super) denied: BTreeMap<(IncidentId, ServiceName), String>,
    /// What an earlier run was told no to, and has not shown itself again.
    pub(super) denied_before: Vec<DeniedBefore>,
    pub(super) verdicts: BTreeMap<(IncidentId, Option<ServiceName>), Verdict>,
    /// Those of them that the last review has reached.
    pub(super) standing: BTreeSet<(IncidentId, Option<ServiceName>)>,
    /// Where a service will go once it may: kept from those of a lower priority. As of the last review.
    pub(super) kept_room: BTreeMap<ServiceName, EntityName>,
    pub(super) plans: BTreeMap<PlanId, Plan>,
    /// Steps of these that have failed for good, in their order, and why.
    pub(super) failed: BTreeMap<PlanId, Vec<(usize, String)>>,
    pub(super) told: BTreeMap<IncidentId, Notification>,
    pub(super) probe_seq: u64,
    pub(super) probe_sent: BTreeMap<EntityName, Timestamp>,
    asks: Vec<(PlanId, usize, bool)>,
    pending: Vec<Event>,
    parallel: Box<dyn Parallel + Send>,
    pub(super) detect_settings: detect::Settings,
    pub(super) shards: usize,
    pub(super) changed: bool,
    reviewed: Timestamp,
    pub(super) turn: Turn,
}

/// While nothing changes, gates that open with time alone (hold-off, cool-down) are asked this often.
const REVIEW_EVERY: Duration = Duration::from_millis(20);

impl Engine {
    /// An engine that has seen nothing yet.
    pub fn new(setup: Setup) -> Result<Self, SetupError> {
        let topology = Topology::of(&setup.topology);
        let states = setup
            .services
            .iter()
            .map(|service| (service.name.clone(), ServiceState::new(service.active.clone())))
            .collect();
        Ok(Self {
            catalog: setup.catalog.clone(),
            detection: Detection::new(&setup.detect, setup.catalog, setup.shards)?,
            rules: RuleDesk::new(setup.rules).map_err(SetupError::Rules)?,
            diagnosis: Diagnosis::new(
                setup.diagnose,
                setup.library,
                setup.agent.clone(),
                siblings(&setup.services),
            ),
            agent: setup.agent,
            now: Timestamp::EPOCH,
            begun: None,
            topology,
            stated: setup.topology,
            policy: setup.policy,
            windows_seen: Timestamp::EPOCH,
            senses: Senses::default(),
            services: setup
                .services
                .into_iter()
                .map(|service| (service.name.clone(), service))
                .collect(),
            states,
            playbooks: setup.playbooks,
            ledger: Ledger::default(),
            lease: Lease {
                epoch: 0,
                seq: 0,
                until: Timestamp::EPOCH,
            },
            shares: BTreeMap::new(),
            given: BTreeMap::new(),
            ahead: Ahead::default(),
            exposure: Exposure::default(),
            drills: Drills::new(setup.drills),
            held: false,
            ready: Ready::default(),
            all_rest_until: Timestamp::EPOCH,
            approved: BTreeMap::new(),
            asked: BTreeMap::new(),
            denied: BTreeMap::new(),
            denied_before: Vec::new(),
            verdicts: BTreeMap::new(),
            standing: BTreeSet::new(),
            kept_room: BTreeMap::new(),
            plans: BTreeMap::new(),
            failed: BTreeMap::new(),
            told: BTreeMap::new(),
            probe_seq: 0,
            probe_sent: BTreeMap::new(),
            asks: Vec::new(),
            pending: Vec::new(),
            parallel: setup.parallel,
            detect_settings: setup.detect,
            shards: setup.shards,
            changed: true,
            flapping: BTreeSet::new(),
            reviewed: Timestamp::EPOCH,
            turn: Turn::default(),
        })
    }

    /// Takes in one input and adds what follows from it to `effects`.
    pub fn handle(&mut self, input: Input, effects: &mut Effects) {
        match input {
            Input::Batch(batch) => self.take(batch),
            Input::Event(event) => self.take(Batch {
                samples: Vec::new(),
                events: vec![event],
            }),
            Input::Plan(event) => self.plan_event(event, effects),
            Input::Operator(command) => {
                effects.log.push(Record::Operator {
                    at: self.now,
                    operator: command.clone(),
                });
                self.operator(command, effects);
                self.changed = true;
            }
            Input::Lease(lease) => self.renew(lease),
            Input::Share(share) => self.share(share, effects),
            Input::Stood(stood) => self.rules.stood(stood),
            Input::Numbers(next) => self.diagnosis.number_from(next),
            Input::Tick(now) => self.tick(now, effects),
        }
    }

    fn take(&mut self, mut batch: Batch) {
        self.name_owners(&mut batch.events);
        // What others see confirms or denies; symptoms are what this agent sees itself.
        let foreign = |event: &Event| matches!(&event.kind, EventKind::Reach { vantage, .. } if *vantage != self.agent);
        if batch.events.iter().any(foreign) {
            let (others, own) = batch.events.into_iter().partition(foreign);
            batch.events = own;
            self.pending.extend::<Vec<Event>>(others);
        }
        let lasting = |event: &&Event| {
            matches!(
                event.kind,
                EventKind::Reach { .. } | EventKind::Topology(_) | EventKind::Presence { .. }
            )
        };
        self.pending.extend(batch.events.iter().filter(lasting).cloned());
        batch.events.retain(|event| !self.sleeps(event));
        self.rules.take(&batch, &self.catalog);
        self.detection.batch(batch);
    }

    fn tick(&mut self, now: Timestamp, effects: &mut Effects) {
        // A clock that was set back must not make the past happen again.
        self.now = self.now.max(now);
        self.begun.get_or_insert(self.now);
        self.open_windows();
        self.take_in_pending();
        let ordered = effects.start.len() + effects.permits.len();
        let mut alarms = Vec::new();
        self.rules.tick(self.now, &self.catalog, &mut alarms);
        self.name_owners(&mut alarms);
        if !alarms.is_empty() {
            self.detection.batch(Batch {
                samples: Vec::new(),
                events: alarms,
            });
        }
        let findings = self.detection.tick(self.now, &self.topology, &*self.parallel);
        self.note_flapping(&findings);
        let incidents = self
            .diagnosis
            .update(self.now, &findings, &self.topology, &self.detection);
        self.changed |= !findings.is_empty() || !incidents.is_empty();
        effects.log.extend(
            findings
                .into_iter()
                .map(|finding| Record::Finding { at: self.now, finding }),
        );
        let doubtful: Vec<IncidentId> = incidents
            .iter()
            .filter(|i| settling::in_doubt(i))
            .map(|i| i.id)
            .collect();
        for incident in incidents {
            self.tell_incident(&incident, effects);
            effects.log.push(Record::Incident { at: self.now, incident });
        }
        if self.changed || self.now.since(self.reviewed) >= REVIEW_EVERY {
            self.reviewed = self.now;
            self.changed = false;
            self.review(effects);
        }
        for id in doubtful {
            self.settle(id, effects);
        }
        for (plan, step, committed) in std::mem::take(&mut self.asks) {
            self.answer(plan, step, committed, effects);
        }
        self.drill(effects);
        self.look_back(effects);
        // Whoever waits for an order does not wait for plans that may never be needed.
        if effects.start.len() + effects.permits.len() == ordered {
            self.plan_ahead(effects);
        }
    }

    /// What was seen since the last tick, in an order that does not depend on the order of arrival.
    fn take_in_pending(&mut self) {
        let mut events = std::mem::take(&mut self.pending);
        events.sort_by_cached_key(|event| {
            (
                event.seen,
                event.entity.clone(),
                event.at,
                serde_json::to_string(&event.kind).unwrap_or_default(),
            )
        });
        for event in &events {
            self.senses.observe(event);
            if let EventKind::Reach { vantage, .. } = &event.kind
                && *vantage == self.agent
            {
                self.diagnosis.reaches(&event.entity);
            }
            if let EventKind::Topology(change) = &event.kind {
                self.topology.apply(change);
            }
        }
        self.changed |= !events.is_empty();
    }

    fn plan_event(&mut self, event: PlanEvent, effects: &mut Effects) {
        self.changed = true;
        if let PlanEvent::Asks { plan, step, committed } = event {
            // Answered at the next tick, which follows at once, with all that has arrived until then.
            self.asks.push((plan, step, committed));
            return;
        }
        effects.log.push(Record::PlanEvent {
            at: self.now,
            plan_event: event.clone(),
        });
        match event {
            PlanEvent::Ended {
                plan,
                service,
                at,
                outcome,
            } => self.plan_ended(&plan, &service, at, outcome, effects),
            PlanEvent::Restored {
                service,
                active,
                moved,
                named,
                took,
                running,
                taken_back,
                handed_over,
                begun,
            } => {
                self.begun_before(&service, begun);
                let mut before = None;
                if let Some(state) = self.states.get_mut(&service) {
                    state.active = active;
                    self.exposure.forget();
                    state.moved = moved;
                    state.running = running;
                    state.named = named.into_iter().collect();
                    state.took = took;
                    state.taken_back = taken_back;
                    before = std::mem::replace(&mut state.handed_over, handed_over);
                }
                self.lead_to(&service);
                self.tell_person(&service, before.as_deref(), effects);
            }
            PlanEvent::LookedBack { service, gone, .. } => self.looked_back(&service, gone, effects),
            PlanEvent::StepFailed { plan, step, error, .. } => {
                // Of a plan of an earlier run nothing more is known than the journal tells.
                if self.plans.contains_key(&plan) {
                    self.failed.entry(plan).or_default().push((step, error));
                }
            }
            PlanEvent::Asks { .. } | PlanEvent::StepDone { .. } => {}
        }
    }

    /// The incident of that number, if it is known.
    pub(super) fn incident(&self, id: IncidentId) -> Option<&Incident> {
        self.diagnosis.incident(id)
    }
}
