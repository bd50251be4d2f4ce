//! What several agents see of what one of them suspects, and who therefore stands aside. Nothing is said while nothing is suspected.
//!
//! A look of another agent counts as old as it can be: written right after the last time that we have looked for news.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use super::probing;
use crate::act::Prober;
use crate::clock::{boot_clock, wall_clock};
use crate::config::Config;
use crate::coordinate::{Aside, Change, Lead, PATIENCE, Store, parts};
use crate::engine::Input;
use crate::model::service::ProbeSpec;
use crate::model::{Check, Entity, EntityName, Event, EventKind, Reach};

/// While something is suspected it is told this often.
const TELL_EVERY: Duration = Duration::from_millis(400);

/// An own look that is older is no suspicion any more, and not worth telling.
const OWN_MAX_AGE: Duration = Duration::from_secs(10);
const TOLD_MAX_AGE: Duration = Duration::from_secs(2);

/// A suspicion of another agent that is not repeated ends after so long.
const HEARD_MAX_AGE: Duration = Duration::from_secs(3);

/// What others suspect is looked at this often.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Entities that one agent may tell of.
const TOLD_MAX: usize = 1000;

/// See the module. Cloning shares it.
#[derive(Clone)]
pub struct Sights {
    prober: Arc<Prober>,
    inbox: mpsc::Sender<Input>,
    agent: EntityName,
    state: Arc<Mutex<State>>,
}

struct State {
    aside: Aside,
    /// What keeps this agent from leading anything.
    hindered: bool,
    probed: BTreeMap<EntityName, (Entity, ProbeSpec)>,
    own: BTreeMap<EntityName, (Reach, Instant)>,
    /// What others suspect: since when, and when it was last said.
    suspected: BTreeMap<EntityName, (Instant, Instant)>,
    asked: BTreeMap<EntityName, Instant>,
    told: Option<Instant>,
    told_any: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Seen {
    entity: EntityName,
    reach: Reach,
    age_ms: u64,
    /// Whoever tells it would lead the part that it belongs to.
    may_lead: bool,
}

impl Sights {
    /// Nothing is seen yet.
    pub fn new(config: &Config, prober: Arc<Prober>, inbox: mpsc::Sender<Input>) -> Self {
        let state = State {
            aside: Aside::new(PATIENCE, &[], &BTreeMap::new()),
            hindered: false,
            probed: BTreeMap::new(),
            own: BTreeMap::new(),
            suspected: BTreeMap::new(),
            asked: BTreeMap::new(),
            told: None,
            told_any: false,
        };
        let sights = Self {
            prober,
            inbox,
            agent: config.agent.name.clone(),
            state: Arc::new(Mutex::new(state)),
        };
        sights.reloaded(config);
        sights
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Other services from now on.
    pub fn reloaded(&self, config: &Config) {
        let topology = config.topology();
        let mut probed = BTreeMap::new();
        for service in &config.services {
            for instance in service.instances() {
                if let Some(entity) = topology.entity(instance.as_str()) {
                    probed.insert(instance.clone(), (entity.clone(), service.probe.clone()));
                }
            }
        }
        let mut state = self.state();
        state.own.retain(|entity, _| probed.contains_key(entity));
        state.probed = probed;
        state.aside.recut(&config.services, &parts(&config.services, &topology));
    }

    /// The parts of which this agent stands aside, judged anew. `hindered`: it could lead nothing.
    pub fn judge(&self, hindered: bool, lead: impl Fn(&str) -> Lead) -> (BTreeSet<String>, Vec<Change>) {
        let mut state = self.state();
        state.hindered = hindered;
        let changes = state.aside.judge(boot_clock(), lead);
        (state.aside.parts(), changes)
    }

    /// Notes what this agent has seen itself.
    pub fn note(&self, event: &Event) {
        let EventKind::Reach {
            vantage,
            check: Check::Probe,
            reach,
            ..
        } = &event.kind
        else {
            return;
        };
        let mut state = self.state();
        if *vantage == self.agent && state.probed.contains_key(&event.entity) {
            state.own.insert(event.entity.clone(), (reach.clone(), Instant::now()));
            state.aside.saw(&event.entity, reach, boot_clock());
        }
    }

    /// What another agent tells. `after`: it was written after that.
    pub async fn heard(&self, agent: &str, value: &[u8], after: Option<Instant>) {
        // Told at an unknown time, and so of no time.
        let Some(after) = after else { return };
        if agent == self.agent.as_str() {
            return;
        }
        let Ok(seen) = serde_json::from_slice::<Vec<Seen>>(value) else {
            tracing::warn!(agent, "what another agent sees cannot be read");
            return;
        };
        let now = Instant::now();
        for seen in seen.into_iter().take(TOLD_MAX) {
            let age = Duration::from_millis(seen.age_ms) + after.elapsed();
            if !self.suspect(agent, &seen, now, age) {
                continue;
            }
            let at = wall_clock() - age;
            let event = Event {
                entity: seen.entity,
                at,
                seen: at,
                kind: EventKind::Reach {
                    vantage: agent.into(),
                    check: Check::Probe,
                    reach: seen.reach,
                    asked: None,
                },
            };
            super::send(&self.inbox, Input::Event(event)).await;
        }
    }

    /// False if it is none of what this agent knows.
    fn suspect(&self, agent: &str, seen: &Seen, now: Instant, age: Duration) -> bool {
        let mut state = self.state();
        if !state.probed.contains_key(&seen.entity) {
            return false;
        }
        let at = boot_clock().saturating_sub(age);
        state
            .aside
            .heard(&agent.into(), &seen.entity, &seen.reach, seen.may_lead, at);
        if seen.reach.is_bad() {
            let since = state.suspected.get(&seen.entity).map_or(now, |(since, _)| *since);
            state.suspected.insert(seen.entity.clone(), (since, now));
        }
        true
    }

    /// Tells the others, and looks at what they suspect, if there is anything.
    pub async fn tell(&self, store: &dyn Store) {
        let now = Instant::now();
        let (seen, asked) = {
            let mut state = self.state();
            state
                .suspected
                .retain(|_, (_, said)| now.duration_since(*said) < HEARD_MAX_AGE);
            (state.worth_telling(now), state.worth_asking(now))
        };
        for (entity, spec) in asked {
            let (prober, agent, inbox) = (Arc::clone(&self.prober), self.agent.clone(), self.inbox.clone());
            tokio::spawn(async move {
                let event = probing::look(&prober, &entity, &spec, &agent, Check::Probe, None).await;
                super::send(&inbox, Input::Event(event)).await;
            });
        }
        let Some(seen) = seen else { return };
        let Ok(value) = serde_json::to_vec(&seen) else { return };
        if let Err(error) = store.tell(&format!("sight/{}", self.agent), &value, true).await {
            tracing::debug!(%error, "the others do not know what is seen from here");
        }
    }
}

impl State {
    /// What is worth telling now; an empty list says once that it is over.
    fn worth_telling(&mut self, now: Instant) -> Option<Vec<Seen>> {
        if self.told.is_some_and(|told| now.duration_since(told) < TELL_EVERY) {
            return None;
        }
        let mut seen = Vec::new();
        for (entity, (reach, at)) in &self.own {
            let age = now.duration_since(*at);
            let own = reach.is_bad() && age < OWN_MAX_AGE;
            // Only what was looked at after the suspicion speaks for or against it.
            let asked = self.suspected.get(entity).is_some_and(|(since, _)| at > since);
            if (own || asked) && age < TOLD_MAX_AGE {
                let part = self.aside.part_of(entity);
                seen.push(Seen {
                    entity: entity.clone(),
                    reach: reach.clone(),
                    age_ms: u64::try_from(age.as_millis()).unwrap_or(u64::MAX),
                    may_lead: !self.hindered && part.is_some_and(|part| !self.aside.stands(part)),
                });
            }
        }
        if seen.is_empty() && !self.told_any {
            return None;
        }
        seen.truncate(TOLD_MAX);
        self.told = Some(now);
        self.told_any = !seen.is_empty();
        Some(seen)
    }

    /// What others suspect, and own suspicions of which the others must go on hearing.
    fn worth_asking(&mut self, now: Instant) -> Vec<(Entity, ProbeSpec)> {
        let own = self
            .own
            .iter()
            .filter(|(_, (reach, at))| reach.is_bad() && now.duration_since(*at) < OWN_MAX_AGE)
            .map(|(entity, _)| entity.clone());
        let wanted: Vec<EntityName> = self.suspected.keys().cloned().chain(own).collect();
        let mut ask = Vec::new();
        for entity in wanted {
            let fresh = |at: &Instant| now.duration_since(*at) < LOOK_EVERY;
            if self.asked.get(&entity).is_some_and(fresh) || self.own.get(&entity).is_some_and(|(_, at)| fresh(at)) {
                continue;
            }
            if let Some(found) = self.probed.get(&entity) {
                ask.push(found.clone());
                self.asked.insert(entity, now);
            }
        }
        ask
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Span;

    fn sights() -> (Sights, mpsc::Receiver<Input>) {
        crate::net::install_crypto();
        let config = "{agent: {name: here}, services: [{name: s, active: a, standbys: [{entity: b}], playbook: p, probe: {uses: tcp}}]}";
        let (inbox, heard) = mpsc::channel(8);
        let config = Config::parse(config).unwrap();
        (Sights::new(&config, Arc::new(Prober::new()), inbox), heard)
    }

    fn own(entity: &str, reach: Reach) -> Event {
        let (at, vantage) = (wall_clock(), "here".into());
        let kind = EventKind::Reach {
            vantage,
            check: Check::Probe,
            reach,
            asked: None,
        };
        Event {
            entity: entity.into(),
            at,
            seen: at,
            kind,
        }
    }

    #[tokio::test]
    async fn nothing_is_told_while_nothing_is_suspected() {
        let (sights, _heard) = sights();
        sights.note(&own("a", Reach::Good { took: Span::millis(1) }));
        assert_eq!(sights.state().worth_telling(Instant::now()), None);
        sights.note(&own("a", Reach::Refused));
        let told = sights.state().worth_telling(Instant::now()).unwrap();
        assert_eq!((told.len(), &told[0].reach), (1, &Reach::Refused));
        sights.note(&own("a", Reach::Good { took: Span::millis(1) }));
        // Once more, to say that it is over.
        let later = Instant::now() + TELL_EVERY;
        assert_eq!(sights.state().worth_telling(later), Some(Vec::new()));
        assert_eq!(sights.state().worth_telling(later + TELL_EVERY), None);
    }

    #[tokio::test]
    async fn what_was_seen_before_a_suspicion_does_not_speak_against_it() {
        let (sights, mut heard) = sights();
        sights.note(&own("a", Reach::Good { took: Span::millis(1) }));
        let refused = serde_json::to_vec(&[Seen {
            entity: "a".into(),
            reach: Reach::Refused,
            age_ms: 30,
            may_lead: true,
        }])
        .unwrap();
        sights.heard("there", &refused, None).await;
        assert!(heard.try_recv().is_err(), "told at an unknown time");
        sights.heard("here", &refused, Some(Instant::now())).await;
        assert!(heard.try_recv().is_err(), "our own words");
        sights.heard("there", &refused, Some(Instant::now())).await;
        let Ok(Input::Event(event)) = heard.try_recv() else {
            panic!("a look of another agent")
        };
        assert!(matches!(event.kind, EventKind::Reach { vantage, .. } if vantage.as_str() == "there"));
        assert_eq!(sights.state().worth_telling(Instant::now()), None);
        assert_eq!(sights.state().worth_asking(Instant::now() + LOOK_EVERY).len(), 1);
        sights.note(&own("a", Reach::Good { took: Span::millis(1) }));
        assert_eq!(sights.state().worth_telling(Instant::now()).unwrap().len(), 1);
    }

    #[tokio::test]
    async fn an_agent_that_cannot_lead_says_so() {
        let (sights, _heard) = sights();
        sights.note(&own("a", Reach::Refused));
        for (hindered, may_lead) in [(false, true), (true, false)] {
            sights.judge(hindered, |_| Lead::Anothers);
            let told = sights
                .state()
                .worth_telling(Instant::now() + TELL_EVERY * u32::from(hindered));
            assert_eq!(told.unwrap()[0].may_lead, may_lead);
        }
    }
}
