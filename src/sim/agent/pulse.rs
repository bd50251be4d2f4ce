//! When an agent ticks: soon while anything is under way, seldom while nothing is.

use super::Agent;
use crate::engine::{Effects, Input};
use crate::model::Incident;
use crate::sim::world::{Ev, World};

impl Agent {
    /// Something is under way that may go on with time alone.
    fn is_busy(&self) -> bool {
        !self.runners.is_empty() || self.engine.incidents().any(Incident::is_open)
    }
}

impl World {
    pub(super) fn tick(&mut self) {
        let mut effects = Effects::default();
        let now = self.clock(self.now);
        if let Some(agent) = &mut self.agent {
            agent.engine.handle(Input::Tick(now), &mut effects);
        }
        self.heed(effects);
    }

    /// Sees to the next tick.
    pub(super) fn wind(&mut self) {
        let Some(agent) = &mut self.agent else { return };
        let busy = self.storm || agent.is_busy();
        let wait = if busy { self.pace.quick } else { self.pace.quiet };
        let at = self.now + wait;
        if agent.due <= self.now || agent.due > at {
            agent.due = at;
            let life = self.life;
            self.after(wait, Ev::Tick { life });
        }
    }
}
