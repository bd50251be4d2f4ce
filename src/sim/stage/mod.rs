//! The stage: a case of a fault pattern played as raw telemetry, with noise, through the whole engine.
//!
//! In: a case as it stands in `rules/patterns/tests/`, and a seed. Out: a recorded incident: config, inputs, decisions and the truth. Never: a symptom put
//! into the engine by hand; what the case says that shows is acted out by whoever would show it, and the detectors have to find it.
//!
//! [`script`] says who does what when, [`item`] is what comes of it, [`instruments`] and [`signals`] what is measured, [`plant`] what the agent is told of it all, [`truth`] what is right.

mod instruments;
mod item;
mod plant;
mod script;
mod signals;
mod truth;

use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;

use crate::agent::engine_setup;
use crate::capsule::Truth;
use crate::config::Config;
use crate::detect::Sequential;
use crate::diagnose::{Library, PatternCase};
use crate::engine::{Effects, Engine, Input, PlanEvent, Record};
use crate::model::plan::Outcome;
use crate::model::{
    Batch, Catalog, Check, EntityName, Event, EventKind, FaultName, Lease, PlanId, ServiceName, Timestamp,
};
use crate::plan::Playbooks;

use item::Item;
use script::Script;
pub use script::acts_out;

/// When the stage's clock begins; seeds move it.
const BEGIN: Timestamp = Timestamp::from_secs(1_767_600_000);

/// How long a plan takes here, and a probe that was asked for.
const MOVED_AFTER: Duration = Duration::from_millis(600);
const PROBED_AFTER: Duration = Duration::from_millis(30);

/// An incident that was acted out.
pub struct Staged {
    /// What it was about, as a sentence.
    pub sentence: String,
    /// The agent's config.
    pub config: String,
    /// Names to numbers, for the inputs.
    pub catalog: Catalog,
    /// Everything that the engine was fed.
    pub inputs: Vec<Input>,
    /// Everything that it decided.
    pub log: Vec<Record>,
    /// What really happened, and what is right.
    pub truth: Vec<Truth>,
    /// What must not be named.
    pub never: Vec<FaultName>,
}

/// Acts a case out. The same seed gives the same incident, bit for bit.
pub fn stage(case: &PatternCase, library: &Arc<Library>, seed: u64) -> Result<Staged, String> {
    let mut rng = Rng::with_seed(seed);
    let begin = BEGIN + Duration::from_secs(rng.u64(0..86_400));
    let topology = case.topology()?;
    let script = Script::of(case, &topology)?;
    let config = plant::config(case, &topology, &script);
    let parsed = Config::parse(&config).map_err(|error| format!("the stage's config: {}", error.message))?;
    let catalog = Catalog::new();
    let playbooks = Arc::new(Playbooks::builtin());
    let setup = engine_setup(
        &parsed,
        Arc::clone(library),
        playbooks,
        catalog.clone(),
        Box::new(Sequential),
    );
    let mut stage = Stage {
        engine: Engine::new(setup).map_err(|error| error.to_string())?,
        effects: Effects::default(),
        script: &script,
        begin,
        catalog,
        inputs: Vec::new(),
        log: Vec::new(),
        later: Vec::new(),
    };
    let items = script.items(&stage.catalog, begin, &mut rng);
    stage.play(items);
    let truth = truth::truth(case, &script, &topology, library, &parsed.services, begin)?;
    Ok(Staged {
        sentence: case.case.clone(),
        config,
        catalog: stage.catalog,
        inputs: stage.inputs,
        log: stage.log,
        truth,
        never: case.never.clone(),
    })
}

struct Stage<'a> {
    engine: Engine,
    effects: Effects,
    script: &'a Script,
    begin: Timestamp,
    catalog: Catalog,
    inputs: Vec<Input>,
    log: Vec<Record>,
    /// What answers what the engine asked for.
    later: Vec<(Timestamp, Answer)>,
}

enum Answer {
    Probe {
        id: u64,
        entity: EntityName,
    },
    Moved {
        plan: PlanId,
        service: ServiceName,
        active: EntityName,
    },
}

impl Stage<'_> {
    fn play(&mut self, items: Vec<(Timestamp, Item)>) {
        let mut items = items.into_iter().peekable();
        let end = self.begin + self.script.ends();
        let mut now = self.begin;
        let lease = Lease {
            epoch: 1,
            seq: 0,
            until: end + Duration::from_secs(3600),
        };
        self.feed(Input::Lease(lease), now);
        while now <= end {
            now = now + self.script.tick();
            let mut batch = Batch::default();
            while let Some((_, item)) = items.next_if(|(seen, _)| *seen <= now) {
                match item {
                    Item::Sample(sample) => batch.samples.push(sample),
                    Item::Event(event) => batch.events.push(event),
                }
            }
            for (at, answer) in std::mem::take(&mut self.later) {
                if at > now {
                    self.later.push((at, answer));
                    continue;
                }
                match answer {
                    Answer::Probe { id, entity } => batch.events.push(self.looked(id, entity, at)),
                    Answer::Moved { plan, service, active } => {
                        let outcome = Outcome::Done { active };
                        let ended = PlanEvent::Ended {
                            plan,
                            service,
                            at,
                            outcome,
                        };
                        self.feed(Input::Plan(ended), now);
                    }
                }
            }
            if !batch.is_empty() {
                self.feed(Input::Batch(batch), now);
            }
            self.feed(Input::Tick(now), now);
        }
    }

    fn feed(&mut self, input: Input, now: Timestamp) {
        self.inputs.push(input.clone());
        self.engine.handle(input, &mut self.effects);
        self.log.append(&mut self.effects.log);
        for request in self.effects.probes.drain(..) {
            let answer = Answer::Probe {
                id: request.id,
                entity: request.entity,
            };
            self.later.push((now + PROBED_AFTER, answer));
        }
        for plan in self.effects.start.drain(..) {
            let answer = Answer::Moved {
                plan: plan.id,
                service: plan.service,
                active: plan.to,
            };
            self.later.push((now + MOVED_AFTER, answer));
        }
        self.effects.clear();
    }

    fn looked(&self, id: u64, entity: EntityName, at: Timestamp) -> Event {
        let reach = self.script.reach(&entity, at.since(self.begin));
        Event {
            kind: EventKind::Reach {
                vantage: script::AGENT.into(),
                check: Check::Probe,
                reach,
                asked: Some(id),
            },
            entity,
            at,
            seen: at,
        }
    }
}

/// A name for a folder: the first words of a sentence.
pub fn slug(sentence: &str) -> String {
    let words: String = sentence
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() {
                c.to_ascii_lowercase()
            } else {
                ' '
            }
        })
        .collect();
    let mut slug = String::new();
    for word in words.split_whitespace() {
        if slug.len() + 1 + word.len() > 48 {
            break;
        }
        if !slug.is_empty() {
            slug.push('-');
        }
        slug.push_str(word);
    }
    slug
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnose::read_cases;

    const CASE: &str = "
- case: an instance dies, and its standby lives
  entities: {service: [app-a, app-b], database: [db]}
  edges: [app-a depends_on db, app-b depends_on db]
  instances: [[app-a, app-b]]
  shows: [0s app-a refused]
  well: [app-b, db]
  after: 5s
  expect: [{fault: service-crashed, at: app-a}]
  never: [service-hung]
";

    fn staged(seed: u64) -> Staged {
        let case = read_cases(CASE).unwrap().remove(0);
        stage(&case, &Arc::new(Library::builtin()), seed).unwrap()
    }

    #[test]
    fn one_seed_is_one_incident() {
        let (one, again, other) = (staged(3), staged(3), staged(4));
        assert_eq!(one.inputs, again.inputs);
        assert_eq!(one.log, again.log);
        assert_ne!(one.inputs, other.inputs, "another seed, another noise");
    }

    #[test]
    fn a_death_that_is_acted_out_is_found_and_cured() {
        let staged = staged(1);
        let named = |record: &Record| match record {
            Record::Incident { incident, .. } => incident
                .top()
                .is_some_and(|top| top.fault.as_str() == "service-crashed"),
            _ => false,
        };
        assert!(staged.log.iter().any(named));
        let plans = staged.log.iter().filter(|record| matches!(record, Record::Plan { .. }));
        assert_eq!(plans.count(), 1);
        assert_eq!(staged.truth[0].verdict.decision, crate::model::Decision::Act);
    }

    #[test]
    fn a_sentence_becomes_a_short_name() {
        assert_eq!(
            slug("The broker's port: open, silent!"),
            "the-broker-s-port-open-silent"
        );
        assert!(slug(&"long ".repeat(40)).len() <= 48);
    }
}
