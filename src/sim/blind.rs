//! A world in which whoever leads reaches the store and nothing else: what a move cures is moved all the same, and no lead passes without a reason.

use std::time::Duration;

use super::pace::Kind;
use super::storm::{Fault, Ill};
use super::world::{Ev, World};

/// What a move cures is moved by whoever sees it.
const CURED: &str = "what a move cures is moved though its leader is cut off";
/// An outage that all see is no reason, and none is a reason twice.
const STAYS: &str = "no lead passes without a reason";

/// A service whose gates are not at its instances: whatever ails one, it can be moved.
const FAILS: &str = "web";

/// Somebody goes blind at this time, and perhaps somebody else at that one.
const FIRST: (u64, u64) = (8_000, 12_000);
const SECOND: (u64, u64) = (60_000, 66_000);

/// How long after it the service fails: before another one leads, or later.
const FAILS_AFTER: (u64, u64) = (1_000, 30_000);

impl World {
    /// Sees to what goes wrong. In one world of four all agents go blind at once.
    pub fn blindness(&mut self) {
        let first = self.ms(FIRST.0, FIRST.1);
        let ill = [Ill::Dead, Ill::Hung, Ill::Failing][self.rng.usize(0..3)];
        let (mut fails, passes) = (first, self.rng.bool());
        if self.rng.u32(0..4) == 0 {
            self.all_blind = true;
            for seat in 0..self.seats.len() {
                self.after(first, Ev::Strike(Fault::Blind(seat), self.pace.whole));
            }
        } else if passes {
            let lasts = self.ms(15_000, 35_000);
            self.after(first, Ev::LeaderBlind(lasts));
            let second = self.ms(SECOND.0, SECOND.1);
            self.after(second, Ev::LeaderBlind(self.pace.whole));
            fails = if self.rng.bool() { first } else { second };
        } else {
            self.after(first, Ev::LeaderBlind(self.pace.whole));
        }
        let instance = self
            .gates
            .keys()
            .find(|name| name.starts_with(FAILS) && self.may_write(name))
            .cloned();
        let wait = fails + self.ms(FAILS_AFTER.0, FAILS_AFTER.1);
        if let Some(instance) = instance {
            self.after(wait, Ev::Strike(Fault::Instance(instance, ill), self.pace.whole));
        }
    }

    /// Whoever leads now reaches nothing but the store, for so long.
    pub fn leader_goes_blind(&mut self, lasts: Duration) {
        let life = self.store.as_ref().and_then(super::store::Store::leader);
        if let Some(seat) = life.and_then(|life| self.lives.get(life as usize).copied()) {
            self.strike(Fault::Blind(seat), lasts);
        }
    }

    /// What does not hold at the end of such a world, if anything.
    pub fn blind_at_the_end(&self) -> Option<(&'static str, String)> {
        if self.kind != Kind::Blind {
            return None;
        }
        let serves = |name: &String| self.may_write(name) && !self.ill.contains_key(name);
        let mut instances = self.gates.keys().filter(|name| name.starts_with(FAILS));
        if !self.all_blind && !instances.any(serves) {
            return Some((CURED, format!("{FAILS} is still broken")));
        }
        let takeovers = self.stats.taken_over;
        // Of all faults one is the service's own.
        let reasons = if self.all_blind { 0 } else { self.stats.faults - 1 };
        (takeovers != 1 + reasons).then(|| (STAYS, format!("{takeovers} took the lead, {reasons} had a reason")))
    }
}
