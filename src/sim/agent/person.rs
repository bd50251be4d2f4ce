//! The person on call: comes some minutes after a trouble, and answers what agents ask. Mostly yes, sometimes no, sometimes nothing at all.

use crate::engine::{Input, OperatorCommand};
use crate::model::{Decision, Verdict};
use crate::sim::world::World;

impl World {
    /// Answers every question that stands, of every agent that can be reached.
    pub fn person_looks(&mut self) {
        self.each(|world| {
            if world.cut_off || world.asleep > world.now {
                return;
            }
            let asking: Vec<Verdict> = world
                .agent
                .iter()
                .flat_map(|agent| agent.engine.verdicts())
                .filter(|verdict| verdict.decision == Decision::Ask)
                .cloned()
                .collect();
            for Verdict { incident, service, .. } in asking {
                let by = "person".to_owned();
                let word = match world.rng.u32(0..6) {
                    0..=3 => OperatorCommand::Approve { incident, service, by },
                    4 => OperatorCommand::Deny { incident, service, by },
                    _ => continue,
                };
                world.stats.answers += 1;
                world.memory.word = world.now;
                world.note(|| format!("a person says: {word:?}"));
                world.feed(Input::Operator(word));
            }
            world.settle();
            world.wind();
        });
    }
}
