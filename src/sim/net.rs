//! The simulated network: who reaches whom, and how messages fare.

use std::time::Duration;

use super::plant::{self, OTHERS};
use super::storm::Ill;
use super::world::{Ev, World};
use crate::act::runner::Applied;
use crate::model::{Reach, Span};

impl World {
    /// May that instance write now?
    pub fn may_write(&self, name: &str) -> bool {
        let own = self
            .services
            .iter()
            .any(|service| service.own_gates && service.instances.iter().any(|i| i == name));
        let alive = self.ill.get(name) != Some(&Ill::Dead) && !self.hosts_down.contains(plant::host(name));
        self.gates.get(name).is_some_and(|gate| gate.open) && (alive || !own)
    }

    /// What somebody sees who tries to reach it.
    fn reach(&self, target: &str) -> Reach {
        if self.cut_off || self.blind || self.cut.contains(target) {
            return Reach::Unreachable;
        }
        if OTHERS.contains(&target) {
            return Reach::Good { took: Span::millis(1) };
        }
        if self.hosts_down.contains(plant::host(target)) {
            return Reach::Unreachable;
        }
        if self.gates.get(target).is_some_and(|gate| gate.stopped) {
            return Reach::Refused;
        }
        match self.ill.get(target) {
            None => Reach::Good { took: Span::millis(1) },
            Some(Ill::Dead) => Reach::Refused,
            Some(Ill::Hung) => Reach::NoAnswer,
            Some(Ill::Failing) => Reach::Failing { detail: "503".into() },
        }
    }

    /// Does it serve, seen from the agent?
    pub fn serves(&self, target: &str) -> bool {
        self.reach(target).is_good()
    }

    /// What stands in the way to a gate: nothing, a refusal, or silence.
    pub fn way_to_gate(&self, instance: &str) -> Result<(), Applied> {
        let own = self
            .services
            .iter()
            .any(|s| s.own_gates && s.instances.iter().any(|name| name == instance));
        let silence = || Err(Applied::Unknown("no answer in time".into()));
        if self.cut_off || self.blind {
            return silence();
        }
        match self.reach(instance) {
            _ if !own => Ok(()),
            Reach::Refused => Err(Applied::NoEffect("connection refused".into())),
            Reach::Unreachable | Reach::NoAnswer => silence(),
            _ => Ok(()),
        }
    }

    pub fn look(&mut self, target: String, asked: Option<u64>) {
        let reach = self.reach(&target);
        let took = match reach {
            Reach::Unreachable | Reach::NoAnswer => Duration::from_millis(300),
            _ => self.ms(1, 20),
        };
        let life = self.life;
        if asked.is_none() {
            let again = self.pace.looks;
            let target = target.clone();
            self.after(
                again,
                Ev::Look {
                    life,
                    target,
                    asked: None,
                },
            );
        }
        self.after(
            took,
            Ev::Seen {
                life,
                target,
                reach,
                asked,
            },
        );
    }

    /// How a message fares: for each time that it arrives, after how long. `worst`: the network is at its worst.
    pub fn fares(&mut self, worst: bool) -> Vec<Duration> {
        let quick = self.ms(1, 30);
        if !self.storm {
            return vec![quick];
        }
        let late = if worst { 45 } else { 15 };
        match self.rng.u32(0..100) {
            0..=4 => {
                self.stats.lost += 1;
                Vec::new()
            }
            5..=9 => {
                self.stats.twice += 1;
                let other = self.ms(1, 20_000);
                vec![quick, other]
            }
            share if share < 10 + late => {
                self.stats.late += 1;
                vec![self.ms(500, 20_000)]
            }
            _ => vec![quick],
        }
    }

    /// The agent will die soon, unless it has died before.
    pub fn doom(&mut self, one_in: u32) {
        if self.storm && self.rng.u32(0..one_in) == 0 {
            let (life, wait) = (self.life, self.ms(0, 300));
            self.after(wait, Ev::Die { life });
        }
    }
}
