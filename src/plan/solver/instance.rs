//! The bare problem: items, agents, whole numbers. Names, units and zones have been left behind by whoever made it.

/// The cost of a pair that is not allowed.
pub const FORBIDDEN: i64 = i64::MAX;

/// Not more than `most` of `members` in one domain; or, where `together` is set, all placed members in one domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Items that the rule is about.
    pub members: Vec<u32>,
    /// The domain of each agent: a number below `domains`.
    pub domain: Vec<u32>,
    /// How many domains there are.
    pub domains: usize,
    /// The kind of rule.
    pub kind: RuleKind,
}

/// What a [`Rule`] asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RuleKind {
    /// At most so many in one domain.
    Apart {
        /// How many.
        most: u32,
    },
    /// All in one domain.
    Together,
}

/// Items to be put on agents at least cost: a generalised assignment problem with several resources, agents that cost
/// something to open, items that may be left out at a price, and rules on who stays apart or together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance {
    items: usize,
    agents: usize,
    resources: usize,
    cost: Vec<i64>,
    demand: Vec<i64>,
    capacity: Vec<i64>,
    open: Vec<i64>,
    left_out: Vec<i64>,
    rules: Vec<Rule>,
    rules_of: Vec<Vec<u32>>,
    candidates: Vec<Vec<u32>>,
}

/// Why numbers make no problem.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InstanceError {
    /// A table has the wrong length.
    #[error("the table of {what} holds {found} numbers, {expected} are needed")]
    Length {
        /// Which table.
        what: &'static str,
        /// How many it must hold.
        expected: usize,
        /// How many it holds.
        found: usize,
    },
    /// A number is out of its range.
    #[error("{what} must lie in 0..={BIGGEST}, {found} does not")]
    Range {
        /// Which number.
        what: &'static str,
        /// The number.
        found: i64,
    },
    /// A rule names what is not there.
    #[error("rule {rule} names an item, an agent or a domain that is not there")]
    Rule {
        /// Which rule, counted from 0.
        rule: usize,
    },
}

/// No single number is larger, so that no sum over an instance overflows.
pub const BIGGEST: i64 = 1 << 42;

/// The tables of an instance, each row by row: `cost[item][agent]`, `demand[item][agent][resource]`, `capacity[agent][resource]`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tables {
    /// How many resources there are.
    pub resources: usize,
    /// [`FORBIDDEN`] where the item may not go.
    pub cost: Vec<i64>,
    /// What the item takes there.
    pub demand: Vec<i64>,
    /// What the agent has.
    pub capacity: Vec<i64>,
    /// What it costs to use the agent at all.
    pub open: Vec<i64>,
    /// What it costs to leave the item out.
    pub left_out: Vec<i64>,
    /// Who stays apart or together.
    pub rules: Vec<Rule>,
}

fn length(what: &'static str, found: usize, expected: usize) -> Result<(), InstanceError> {
    if found == expected {
        return Ok(());
    }
    Err(InstanceError::Length { what, expected, found })
}

fn range(what: &'static str, numbers: &[i64]) -> Result<(), InstanceError> {
    match numbers.iter().find(|number| !(0..=BIGGEST).contains(*number)) {
        Some(found) => Err(InstanceError::Range { what, found: *found }),
        None => Ok(()),
    }
}

impl Instance {
    /// Checks the tables and sorts each item's candidates, the cheapest first.
    pub fn new(tables: Tables) -> Result<Self, InstanceError> {
        let Tables {
            resources,
            cost,
            demand,
            capacity,
            open,
            left_out,
            mut rules,
        } = tables;
        let (items, agents) = (left_out.len(), open.len());
        length("costs", cost.len(), items * agents)?;
        length("demands", demand.len(), items * agents * resources)?;
        length("capacities", capacity.len(), agents * resources)?;
        let allowed: Vec<i64> = cost.iter().copied().filter(|cost| *cost != FORBIDDEN).collect();
        range("a cost", &allowed)?;
        range("a demand", &demand)?;
        range("a capacity", &capacity)?;
        range("a cost of opening", &open)?;
        range("a price of leaving out", &left_out)?;
        let mut rules_of: Vec<Vec<u32>> = vec![Vec::new(); items];
        for (number, rule) in rules.iter_mut().enumerate() {
            rule.members.sort_unstable();
            rule.members.dedup();
            let known = rule.members.iter().all(|item| (*item as usize) < items)
                && rule.domain.len() == agents
                && rule.domain.iter().all(|domain| (*domain as usize) < rule.domains);
            if !known {
                return Err(InstanceError::Rule { rule: number });
            }
            for item in &rule.members {
                rules_of[*item as usize].push(number as u32);
            }
        }
        let candidates = (0..items)
            .map(|item| {
                let row = &cost[item * agents..(item + 1) * agents];
                let mut fit: Vec<u32> = (0..agents as u32)
                    .filter(|agent| row[*agent as usize] != FORBIDDEN)
                    .collect();
                // An agent that could not hold the item even when empty is none.
                fit.retain(|agent| {
                    let agent = *agent as usize;
                    (0..resources)
                        .all(|r| demand[(item * agents + agent) * resources + r] <= capacity[agent * resources + r])
                });
                fit.sort_by_key(|agent| (row[*agent as usize], *agent));
                fit
            })
            .collect();
        Ok(Self {
            items,
            agents,
            resources,
            cost,
            demand,
            capacity,
            open,
            left_out,
            rules,
            rules_of,
            candidates,
        })
    }

    /// How many items there are.
    pub const fn items(&self) -> usize {
        self.items
    }

    /// How many agents there are.
    pub const fn agents(&self) -> usize {
        self.agents
    }

    /// How many resources there are.
    pub const fn resources(&self) -> usize {
        self.resources
    }

    /// What the item costs there; [`FORBIDDEN`] if it may not go there.
    pub fn cost(&self, item: usize, agent: usize) -> i64 {
        self.cost[item * self.agents + agent]
    }

    /// What the item takes there of each resource.
    pub fn demand(&self, item: usize, agent: usize) -> &[i64] {
        let from = (item * self.agents + agent) * self.resources;
        &self.demand[from..from + self.resources]
    }

    /// What the agent has of each resource.
    pub fn capacity(&self, agent: usize) -> &[i64] {
        &self.capacity[agent * self.resources..(agent + 1) * self.resources]
    }

    /// What it costs to use the agent at all.
    pub fn open(&self, agent: usize) -> i64 {
        self.open[agent]
    }

    /// What it costs to leave the item out.
    pub fn left_out(&self, item: usize) -> i64 {
        self.left_out[item]
    }

    /// Who stays apart or together.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// The numbers of the rules that are about the item.
    pub fn rules_of(&self, item: usize) -> &[u32] {
        &self.rules_of[item]
    }

    /// Where the item may go, the cheapest first.
    pub fn candidates(&self, item: usize) -> &[u32] {
        &self.candidates[item]
    }
}
