//! An answer in the making, with what it costs and what is left on each agent kept up to date.

use super::instance::{FORBIDDEN, Instance, RuleKind};

/// Where items are that are left out.
pub const NOWHERE: u32 = u32::MAX;

/// See the module. Capacities may be overrun here; whoever must not overrun them asks [`State::fits`] first.
#[derive(Debug, Clone)]
pub struct State<'a> {
    /// The problem.
    pub of: &'a Instance,
    at: Vec<u32>,
    load: Vec<i64>,
    on: Vec<Vec<u32>>,
    position: Vec<u32>,
    in_domain: Vec<Vec<u32>>,
    value: i64,
}

impl<'a> State<'a> {
    /// Everything is left out.
    pub fn empty(of: &'a Instance) -> Self {
        Self {
            of,
            at: vec![NOWHERE; of.items()],
            load: vec![0; of.agents() * of.resources()],
            on: vec![Vec::new(); of.agents()],
            position: vec![0; of.items()],
            in_domain: of.rules().iter().map(|rule| vec![0; rule.domains]).collect(),
            value: (0..of.items()).map(|item| of.left_out(item)).sum(),
        }
    }

    /// As that answer says.
    pub fn from(of: &'a Instance, at: &[u32]) -> Self {
        let mut state = Self::empty(of);
        for (item, agent) in at.iter().enumerate().filter(|(_, agent)| **agent != NOWHERE) {
            state.attach(item, *agent as usize);
        }
        state
    }

    /// Where each item is.
    pub fn at(&self) -> &[u32] {
        &self.at
    }

    /// Costs, openings and prices of what is left out.
    pub const fn value(&self) -> i64 {
        self.value
    }

    /// The items on an agent, in no particular order.
    pub fn on(&self, agent: usize) -> &[u32] {
        &self.on[agent]
    }

    /// What the agent carries of each resource.
    pub fn load(&self, agent: usize) -> &[i64] {
        let resources = self.of.resources();
        &self.load[agent * resources..(agent + 1) * resources]
    }

    /// Puts an item that is nowhere onto an agent.
    pub fn attach(&mut self, item: usize, agent: usize) {
        debug_assert!(self.at[item] == NOWHERE && self.of.cost(item, agent) != FORBIDDEN);
        self.value += self.of.cost(item, agent) - self.of.left_out(item);
        if self.on[agent].is_empty() {
            self.value += self.of.open(agent);
        }
        let from = agent * self.of.resources();
        for (load, demand) in self.load[from..].iter_mut().zip(self.of.demand(item, agent)) {
            *load += demand;
        }
        self.at[item] = agent as u32;
        self.position[item] = self.on[agent].len() as u32;
        self.on[agent].push(item as u32);
        for rule in self.of.rules_of(item) {
            let domain = self.of.rules()[*rule as usize].domain[agent];
            self.in_domain[*rule as usize][domain as usize] += 1;
        }
    }

    /// Takes an item off its agent and says which that was.
    pub fn detach(&mut self, item: usize) -> Option<usize> {
        if self.at[item] == NOWHERE {
            return None;
        }
        let agent = self.at[item] as usize;
        self.at[item] = NOWHERE;
        let place = self.position[item] as usize;
        self.on[agent].swap_remove(place);
        if let Some(moved) = self.on[agent].get(place) {
            self.position[*moved as usize] = place as u32;
        }
        self.value += self.of.left_out(item) - self.of.cost(item, agent);
        if self.on[agent].is_empty() {
            self.value -= self.of.open(agent);
        }
        let from = agent * self.of.resources();
        for (load, demand) in self.load[from..].iter_mut().zip(self.of.demand(item, agent)) {
            *load -= demand;
        }
        for rule in self.of.rules_of(item) {
            let domain = self.of.rules()[*rule as usize].domain[agent];
            self.in_domain[*rule as usize][domain as usize] -= 1;
        }
        Some(agent)
    }

    /// Room enough is left on the agent for an item that is not on it.
    pub fn has_room(&self, item: usize, agent: usize) -> bool {
        let (load, capacity) = (self.load(agent), self.of.capacity(agent));
        let demand = self.of.demand(item, agent);
        load.iter()
            .zip(capacity)
            .zip(demand)
            .all(|((load, capacity), demand)| load + demand <= *capacity)
    }

    /// No rule is broken if the item, which is nowhere now, goes there.
    pub fn is_lawful(&self, item: usize, agent: usize) -> bool {
        self.of.rules_of(item).iter().all(|number| {
            let rule = &self.of.rules()[*number as usize];
            let counts = &self.in_domain[*number as usize];
            let here = counts[rule.domain[agent] as usize];
            match rule.kind {
                RuleKind::Apart { most } => here < most,
                RuleKind::Together => here > 0 || counts.iter().all(|count| *count == 0),
            }
        })
    }

    /// The item, which is nowhere now, may go there: allowed, room enough, lawful.
    pub fn fits(&self, item: usize, agent: usize) -> bool {
        self.of.cost(item, agent) != FORBIDDEN && self.has_room(item, agent) && self.is_lawful(item, agent)
    }

    /// What putting the item there would add to the value, beside saving the price of leaving it out.
    pub fn price(&self, item: usize, agent: usize) -> i64 {
        let opening = if self.on[agent].is_empty() {
            self.of.open(agent)
        } else {
            0
        };
        self.of.cost(item, agent) + opening
    }
}
