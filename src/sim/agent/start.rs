//! How a life of the agent begins: with what the journal tells.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::Agent;
use crate::act::journal::{Record, State};
use crate::act::runner::Runner;
use crate::agent::{engine_setup, restored};
use crate::coordinate::{Aside, parts};
use crate::detect::Sequential;
use crate::engine::{Engine, Input, OperatorCommand};
use crate::model::{Catalog, PlanId, Timestamp};
use crate::sim::Mutant;
use crate::sim::law::RECORD;
use crate::sim::pace::Kind;
use crate::sim::plant::{self, Book, OTHERS, Told};
use crate::sim::world::{Ev, World};

impl World {
    /// A new life: reads the journal, takes the next epoch, tells the engine, goes on with what was interrupted.
    pub fn start_agent(&mut self) {
        if self.disk.broken {
            let seat = self.seat;
            self.after(Duration::from_secs(1), Ev::Start { seat });
            return;
        }
        let state = match self.disk.open() {
            Ok(state) => state,
            Err(error) => {
                return self
                    .memory
                    .notice(RECORD, format!("the journal does not open: {error}"));
            }
        };
        let (epoch, noted) = if self.mutant == Some(Mutant::EpochNotCounted) {
            (1, state.epoch > 0)
        } else {
            (state.epoch + 1, false)
        };
        if !noted {
            let record = Record::Epoch { epoch };
            let none = PlanId(String::new());
            self.disk.begin(&none, &record);
            self.disk.end(&none, &record);
        }
        self.note(|| {
            format!(
                "the agent starts, epoch {epoch}, {} plans to go on with",
                state.open.len()
            )
        });
        match engine(self.kind, self.book, epoch) {
            Ok(agent) => self.agent = Some(agent),
            Err(error) => return self.memory.notice(RECORD, error),
        }
        self.memory.upset = self.now;
        let life = self.life;
        if self.store.is_some() {
            self.after(Duration::ZERO, Ev::Beat { life });
        } else {
            self.recover(&state);
            self.after(Duration::ZERO, Ev::Renew { life });
        }
        let looked_at: Vec<String> = self.gates.keys().cloned().chain(OTHERS.map(String::from)).collect();
        for target in looked_at {
            let wait = self.ms(0, 900);
            let asked = None;
            self.after(wait, Ev::Look { life, target, asked });
        }
        if self.held {
            // As the journal, or the store, has kept it.
            let by = "sim".to_owned();
            self.feed(Input::Operator(OperatorCommand::Hold { on: true, by }));
        }
        self.settle();
        self.wind();
    }

    fn recover(&mut self, state: &State) {
        let services = self
            .agent
            .iter()
            .flat_map(|agent| agent.services.clone())
            .collect::<Vec<_>>();
        for event in restored(state, &services) {
            self.feed(Input::Plan(event));
        }
        for (plan, entries) in state.open.values() {
            if let Some(runner) = Runner::restore(plan.clone(), entries) {
                self.stats.resumed += 1;
                self.take_on(runner);
            }
        }
    }
}

fn engine(kind: Kind, book: Book, epoch: u64) -> Result<Agent, String> {
    let Told {
        config,
        library,
        playbooks,
    } = plant::told(kind, book)?;
    let (library, playbooks) = (Arc::clone(library), Arc::clone(playbooks));
    let setup = engine_setup(config, library, playbooks, Catalog::new(), Box::new(Sequential));
    let parts = parts(&config.services, &config.topology());
    Ok(Agent {
        aside: Aside::new(kind.pace().patience, &config.services, &parts),
        left: None,
        sees: BTreeMap::new(),
        led: (true, Timestamp::EPOCH),
        engine: Engine::new(setup).map_err(|error| error.to_string())?,
        epoch,
        runners: BTreeMap::new(),
        ready: VecDeque::new(),
        calls: 0,
        due: Timestamp::EPOCH,
        services: config.services.clone(),
        known: State::default(),
        last: BTreeMap::new(),
        heard: BTreeMap::new(),
    })
}
