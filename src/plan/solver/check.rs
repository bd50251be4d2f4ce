//! An independent checker: counts everything anew from the tables, with no help from any solver's own bookkeeping.

use super::instance::{FORBIDDEN, Instance, RuleKind};

/// What is wrong with an answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Wrong {
    /// The answer is about another number of items.
    #[error("the answer speaks of {found} items, the problem has {expected}")]
    Length {
        /// Items of the problem.
        expected: usize,
        /// Items of the answer.
        found: usize,
    },
    /// An item is where it may not be.
    #[error("item {item} may not go to agent {agent}")]
    Forbidden {
        /// Which item.
        item: usize,
        /// Where it was put.
        agent: usize,
    },
    /// An agent has more on it than it can carry.
    #[error("agent {agent} has {capacity} of resource {resource} and would need {load}")]
    Overloaded {
        /// Which agent.
        agent: usize,
        /// Which resource.
        resource: usize,
        /// What it has.
        capacity: i64,
        /// What is asked of it.
        load: i64,
    },
    /// A rule does not hold.
    #[error("rule {rule} is broken")]
    Rule {
        /// Which rule.
        rule: usize,
    },
}

/// The value of an answer, or the first thing that is wrong with it.
pub fn check(instance: &Instance, at: &[Option<u32>]) -> Result<i64, Wrong> {
    let (items, agents, resources) = (instance.items(), instance.agents(), instance.resources());
    if at.len() != items {
        return Err(Wrong::Length {
            expected: items,
            found: at.len(),
        });
    }
    let mut load = vec![0_i64; agents * resources];
    let mut used = vec![false; agents];
    let mut value = 0_i64;
    for (item, place) in at.iter().enumerate() {
        let Some(agent) = place.map(|agent| agent as usize) else {
            value += instance.left_out(item);
            continue;
        };
        if agent >= agents || instance.cost(item, agent) == FORBIDDEN {
            return Err(Wrong::Forbidden { item, agent });
        }
        value += instance.cost(item, agent);
        used[agent] = true;
        for (resource, demand) in instance.demand(item, agent).iter().enumerate() {
            load[agent * resources + resource] += demand;
        }
    }
    for agent in 0..agents {
        value += if used[agent] { instance.open(agent) } else { 0 };
        for (resource, capacity) in instance.capacity(agent).iter().enumerate() {
            let load = load[agent * resources + resource];
            if load > *capacity {
                return Err(Wrong::Overloaded {
                    agent,
                    resource,
                    capacity: *capacity,
                    load,
                });
            }
        }
    }
    for (number, rule) in instance.rules().iter().enumerate() {
        let mut in_domain = vec![0_u32; rule.domains];
        let mut members = rule.members.clone();
        members.sort_unstable();
        members.dedup();
        for item in members {
            if let Some(agent) = at[item as usize] {
                in_domain[rule.domain[agent as usize] as usize] += 1;
            }
        }
        let holds = match rule.kind {
            RuleKind::Apart { most } => in_domain.iter().all(|count| *count <= most),
            RuleKind::Together => in_domain.iter().filter(|count| **count > 0).count() <= 1,
        };
        if !holds {
            return Err(Wrong::Rule { rule: number });
        }
    }
    Ok(value)
}
