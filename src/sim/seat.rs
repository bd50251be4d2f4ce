//! The agents of a world, one handled at a time: what is its own is put in place before it is, and kept in its seat else.

use std::time::Duration;

use super::agent::Agent;
use super::disk::Disk;
use super::world::{Ev, World};
use crate::model::Timestamp;

/// The wall clock of each agent is so far ahead of the one before it.
const SKEW: Duration = Duration::from_millis(1_300);

/// What belongs to one agent.
#[derive(Default)]
pub struct Seat {
    agent: Option<Agent>,
    life: u32,
    disk: Disk,
    cut_off: bool,
    blind: bool,
    asleep: Timestamp,
    lead: Option<u64>,
    lease_until: Timestamp,
}

impl World {
    /// From here on that agent is meant.
    pub fn sit(&mut self, seat: usize) {
        if seat == self.seat {
            return;
        }
        for at in [self.seat, seat] {
            let Some(other) = self.seats.get_mut(at) else { continue };
            std::mem::swap(&mut self.agent, &mut other.agent);
            std::mem::swap(&mut self.life, &mut other.life);
            std::mem::swap(&mut self.disk, &mut other.disk);
            std::mem::swap(&mut self.cut_off, &mut other.cut_off);
            std::mem::swap(&mut self.blind, &mut other.blind);
            std::mem::swap(&mut self.asleep, &mut other.asleep);
            std::mem::swap(&mut self.lead, &mut other.lead);
            std::mem::swap(&mut self.lease_until, &mut other.lease_until);
        }
        self.seat = seat;
    }

    /// Does something to every agent in turn.
    pub fn each(&mut self, mut what: impl FnMut(&mut Self)) {
        let here = self.seat;
        for seat in 0..self.seats.len() {
            self.sit(seat);
            what(self);
        }
        self.sit(here);
    }

    /// A moment by the wall clock of the agent that is handled now: each agent's goes differently.
    pub fn clock(&self, at: Timestamp) -> Timestamp {
        at + SKEW * u32::try_from(self.seat).unwrap_or(0)
    }

    /// What was meant for an earlier life reaches nobody.
    pub fn new_life(&mut self) {
        self.life = u32::try_from(self.lives.len()).unwrap_or(u32::MAX);
        self.lives.push(self.seat);
    }

    /// Does the agent that is handled now really hold the right to act?
    pub fn truly_leads(&self) -> bool {
        match &self.store {
            None => self.now < self.lease_until,
            Some(store) => store.leads(self.life, self.now),
        }
    }
}

impl Ev {
    /// The life that it belongs to.
    pub const fn life(&self) -> Option<u32> {
        match self {
            Self::Tick { life }
            | Self::Look { life, .. }
            | Self::Seen { life, .. }
            | Self::Renew { life }
            | Self::Written { life, .. }
            | Self::ToGate { life, .. }
            | Self::Answer { life, .. }
            | Self::Deadline { life, .. }
            | Self::Again { life, .. }
            | Self::ToStore { life, .. }
            | Self::FromStore { life, .. }
            | Self::Beat { life }
            | Self::PutAgain { life, .. }
            | Self::Die { life } => Some(*life),
            Self::Fault
            | Self::Trouble
            | Self::Strike(..)
            | Self::LeaderBlind(_)
            | Self::Person
            | Self::Heal(_)
            | Self::Start { .. } => None,
        }
    }

    /// On its way, whether or not its sender stands still.
    pub const fn is_under_way(&self) -> bool {
        matches!(self, Self::ToGate { .. } | Self::ToStore { .. } | Self::Die { .. })
    }
}
