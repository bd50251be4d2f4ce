//! The storm: what goes wrong in a world, and how it is mended.

use std::time::Duration;

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
    CutOff(usize),
    /// It reaches the store, and nothing else.
    Blind(usize),
    Lease,
    Disk(usize),
    Hold,
    Front,
    Agent(usize),
    /// It stands still, and goes on later with what it knew.
    Stop(usize),
}

impl Fault {
    /// The agent that it befalls.
    const fn seat(&self) -> Option<usize> {
        match self {
            Self::CutOff(seat) | Self::Blind(seat) | Self::Disk(seat) | Self::Agent(seat) | Self::Stop(seat) => {
                Some(*seat)
            }
            _ => None,
        }
    }
}

impl World {
    /// Something goes wrong, and later something else.
    pub fn fault(&mut self) {
        if !self.storm {
            return;
        }
        let fault = self.any_fault();
        let lasts = self.ms(500, 15_000);
        self.strike(fault, lasts);
        let next = self.ms(500, 8_000);
        self.after(next, Ev::Fault);
    }

    /// What could go wrong now.
    pub fn any_fault(&mut self) -> Fault {
        let instances: Vec<String> = self.gates.keys().cloned().collect();
        let any = self.rng.usize(0..instances.len());
        // Mostly whoever is active now: that is where a plan begins.
        let active = instances.iter().find(|name| self.may_write(name)).cloned();
        let instance = active
            .filter(|_| self.rng.u32(0..3) > 0)
            .unwrap_or_else(|| instances[any].clone());
        let ill = [Ill::Dead, Ill::Failing, Ill::Hung, Ill::Failing][self.rng.usize(0..4)];
        let seat = self.rng.usize(0..self.seats.len());
        match self.rng.u32(0..18) {
            0..=6 => Fault::Instance(instance, ill),
            7 => Fault::Host(plant::host(&instance)),
            8 => Fault::Cut(instance),
            9 if self.stats.faults.is_multiple_of(2) => Fault::CutOff(seat),
            9 => Fault::Blind(seat),
            10 => Fault::Lease,
            11 => Fault::Disk(seat),
            12 => Fault::Hold,
            13 | 14 => Fault::Front,
            15 | 16 => Fault::Stop(seat),
            _ => Fault::Agent(seat),
        }
    }

    /// It goes wrong, for so long.
    pub fn strike(&mut self, fault: Fault, lasts: Duration) {
        self.stats.faults += 1;
        self.memory.upset = self.now;
        self.note(|| format!("fault: {fault:?}"));
        if let Some(seat) = fault.seat() {
            self.sit(seat);
        }
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
            Fault::CutOff(_) => self.cut_off = true,
            Fault::Blind(_) => self.blind = true,
            Fault::Lease => self.lose_store(true),
            Fault::Disk(_) => self.disk.broken = true,
            Fault::Stop(_) => {
                self.stats.stood_still += 1;
                self.asleep = self.now + lasts;
            }
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
            Fault::Agent(_) => self.crash(),
        }
        self.after(lasts, Ev::Heal(fault));
    }

    /// It is over.
    pub fn heal(&mut self, fault: &Fault) {
        self.note(|| format!("over: {fault:?}"));
        if let Some(seat) = fault.seat() {
            self.sit(seat);
        }
        match fault {
            Fault::Instance(name, _) => {
                self.was_seen(name);
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
            Fault::CutOff(_) => self.cut_off = false,
            Fault::Blind(_) => self.blind = false,
            Fault::Lease => self.lose_store(false),
            Fault::Disk(_) => self.disk.broken = false,
            Fault::Hold => self.hold(false),
            Fault::Front | Fault::Agent(_) | Fault::Stop(_) => {}
        }
        self.memory.upset = self.now;
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
        self.each(|world| {
            if world.agent.is_some() {
                world.feed(Input::Operator(OperatorCommand::Hold { on, by: "sim".into() }));
            }
        });
    }

    /// One agent by itself loses its lock; several lose their store.
    fn lose_store(&mut self, lost: bool) {
        match &mut self.store {
            Some(store) => store.down = lost,
            None => self.lease_lost = lost,
        }
    }

    /// The storm is over.
    pub fn mend(&mut self) {
        self.note(|| "all is mended".into());
        self.memory.upset = self.now;
        self.ill.clear();
        self.hosts_down.clear();
        self.cut.clear();
        self.lose_store(false);
        self.each(|world| {
            world.cut_off = false;
            world.blind = false;
            world.disk.broken = false;
        });
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
        self.new_life();
        self.lead = None;
        self.lease_until = crate::model::Timestamp::EPOCH;
        self.asleep = crate::model::Timestamp::EPOCH;
        let (wait, seat) = (self.ms(50, 6_000), self.seat);
        self.after(wait, Ev::Start { seat });
    }
}
