//! The storm: what goes wrong in a world, and how it is mended.

use super::plant;
use super::world::{Ev, World};
use crate::engine::{Input, OperatorCommand};

/// What is wrong with an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ill {
    Dead,
    Hung,
    Failing,
}

/// What goes wrong.
#[derive(Debug, Clone)]
pub enum Fault {
    Instance(String, Ill),
    Host(&'static str),
    Cut(String),
    CutOff,
    Lease,
    Disk,
    Hold,
    Front,
    Agent,
}

impl World {
    /// Something goes wrong, and later something else.
    pub fn fault(&mut self) {
        if !self.storm {
            return;
        }
        let instances: Vec<String> = self.gates.keys().cloned().collect();
        let any = self.rng.usize(0..instances.len());
        // Mostly whoever is active now: that is where a plan begins.
        let active = instances.iter().find(|name| self.may_write(name)).cloned();
        let instance = active
            .filter(|_| self.rng.u32(0..3) > 0)
            .unwrap_or_else(|| instances[any].clone());
        let ill = [Ill::Dead, Ill::Failing, Ill::Hung, Ill::Failing][self.rng.usize(0..4)];
        let fault = match self.rng.u32(0..16) {
            0..=6 => Fault::Instance(instance, ill),
            7 => Fault::Host(plant::host(&instance)),
            8 => Fault::Cut(instance),
            9 => Fault::CutOff,
            10 => Fault::Lease,
            11 => Fault::Disk,
            12 => Fault::Hold,
            13 | 14 => Fault::Front,
            _ => Fault::Agent,
        };
        self.note(|| format!("fault: {fault:?}"));
        match &fault {
            Fault::Instance(name, ill) => {
                self.ill.insert(name.clone(), *ill);
            }
            Fault::Host(host) => {
                self.hosts_down.insert(host);
            }
            Fault::Cut(name) => {
                self.cut.insert(name.clone());
            }
            Fault::CutOff => self.cut_off = true,
            Fault::Lease => self.lease_lost = true,
            Fault::Disk => self.disk.broken = true,
            Fault::Hold => self.hold(true),
            Fault::Front => {
                let mutant = self.mutant;
                for service in self.services.iter().filter(|service| !service.own_gates) {
                    for name in &service.instances {
                        if let Some(gate) = self.gates.get_mut(name) {
                            gate.restart(mutant);
                        }
                    }
                }
            }
            Fault::Agent => self.crash(),
        }
        let lasts = self.ms(500, 15_000);
        self.after(lasts, Ev::Heal(fault));
        let next = self.ms(500, 8_000);
        self.after(next, Ev::Fault);
    }

    /// It is over.
    pub fn heal(&mut self, fault: &Fault) {
        self.note(|| format!("over: {fault:?}"));
        match fault {
            Fault::Instance(name, _) => {
                if self.ill.remove(name) == Some(Ill::Dead) {
                    self.restart_gate(&name.clone());
                }
            }
            Fault::Host(host) => {
                if self.hosts_down.remove(host) {
                    let names: Vec<String> = self
                        .gates
                        .keys()
                        .filter(|name| plant::host(name) == *host)
                        .cloned()
                        .collect();
                    for name in names {
                        self.restart_gate(&name);
                    }
                }
            }
            Fault::Cut(name) => {
                self.cut.remove(name);
            }
            Fault::CutOff => self.cut_off = false,
            Fault::Lease => self.lease_lost = false,
            Fault::Disk => self.disk.broken = false,
            Fault::Hold => self.hold(false),
            Fault::Front | Fault::Agent => {}
        }
    }

    fn restart_gate(&mut self, name: &str) {
        let own = self
            .services
            .iter()
            .any(|s| s.own_gates && s.instances.iter().any(|other| other == name));
        let mutant = self.mutant;
        if let Some(gate) = self.gates.get_mut(name).filter(|_| own) {
            gate.restart(mutant);
        }
    }

    fn hold(&mut self, on: bool) {
        self.held = on;
        if self.agent.is_some() {
            self.feed(Input::Operator(OperatorCommand::Hold { on, by: "sim".into() }));
        }
    }

    /// The storm is over.
    pub fn mend(&mut self) {
        self.note(|| "all is mended".into());
        self.ill.clear();
        self.hosts_down.clear();
        self.cut.clear();
        self.cut_off = false;
        self.lease_lost = false;
        self.disk.broken = false;
        self.hold(false);
    }

    /// The agent dies, wherever it stands, and comes back.
    pub fn crash(&mut self) {
        if self.agent.take().is_none() {
            return;
        }
        self.stats.crashes += 1;
        self.note(|| "the agent dies".into());
        let share = self.rng.f64();
        self.disk.crash(share);
        self.life += 1;
        let wait = self.ms(50, 6_000);
        self.after(wait, Ev::Start);
    }
}
