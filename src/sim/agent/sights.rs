//! What agents tell one another of what they see, and who therefore stands aside: what `agent::sights` and a member of the real store do.

use std::time::Duration;

use crate::coordinate::{Change, Lead};
use crate::model::{EntityName, Reach, Timestamp};
use crate::sim::Mutant;
use crate::sim::store::{Ask, Sight};
use crate::sim::world::World;

/// All services of the plant hang together.
const PART: &str = "base";

fn moment(at: Timestamp) -> Duration {
    at.since(Timestamp::EPOCH)
}

impl World {
    /// A look of its own has come back.
    pub(super) fn notes(&mut self, target: &str, reach: &Reach) {
        let now = self.now;
        if let Some(agent) = &mut self.agent {
            agent.aside.saw(&target.into(), reach, moment(now));
            if agent.aside.part_of(&target.into()).is_some() {
                agent.sees.insert(target.into(), (reach.clone(), now));
            }
        }
    }

    /// What the store tells of the others, and of whether anybody leads.
    pub(super) fn hears(&mut self, sights: Vec<(usize, Vec<Sight>)>, led: bool) {
        let (now, here) = (self.now, self.seat);
        let Some(agent) = &mut self.agent else { return };
        agent.led = (led, now);
        for (seat, sights) in sights.into_iter().filter(|(seat, _)| *seat != here) {
            let name: EntityName = format!("agent-{seat}").as_str().into();
            for sight in sights {
                let at = moment(sight.at);
                agent
                    .aside
                    .heard(&name, &sight.entity, &sight.reach, sight.may_lead, at);
            }
        }
    }

    /// Judges anew whether it stands aside. Whether it seeks the lead then, and what it tells.
    pub(super) fn judges(&mut self) -> (bool, Vec<Sight>) {
        let (now, leads, known) = (self.now, self.lead.is_some(), self.pace.acts());
        let Some(agent) = &mut self.agent else {
            return (false, Vec::new());
        };
        let (led, said) = agent.led;
        let lead = match (leads, led) {
            (true, _) if agent.runners.is_empty() => Lead::Ours,
            (true, _) => Lead::AtWork,
            (false, _) if now.since(said) > known => Lead::Unknown,
            (false, true) => Lead::Anothers,
            (false, false) => Lead::Free,
        };
        let lead = match self.mutant {
            Some(Mutant::NobodyGivesWay) => Lead::Unknown,
            _ => lead,
        };
        let changes = agent.aside.judge(moment(now), |_| lead);
        let seeks = !agent.aside.stands(PART);
        let sight = |(entity, (reach, at)): (&EntityName, &(Reach, Timestamp))| Sight {
            entity: entity.clone(),
            reach: reach.clone(),
            at: *at,
            may_lead: seeks,
        };
        let sights = agent.sees.iter().map(sight).collect();
        for change in changes {
            let aside = matches!(change, Change::Aside { .. });
            self.stats.stood_aside += u64::from(aside);
            let seat = self.seat;
            self.note(|| format!("the agent of seat {seat}: {change:?}"));
        }
        (seeks, sights)
    }

    /// As a member of the real store has it: a lead that it stands aside from is lost first, given back then, and never counted upon again.
    pub(super) fn gives_back(&mut self, created: u64) -> bool {
        let Some(agent) = &mut self.agent else { return true };
        if agent.aside.stands(PART) {
            agent.left = Some(created);
        }
        if agent.left != Some(created) {
            return false;
        }
        if self.lead.is_some() {
            self.lose();
        } else {
            self.ask_store(&Ask::GiveBack { created });
        }
        true
    }
}
