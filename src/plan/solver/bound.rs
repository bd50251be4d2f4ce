//! Bounds from below: multipliers of the items leave one small knapsack per agent.
//!
//! Stronger than prices of capacities where agents cost something to open. Staying apart has multipliers as well, one for each domain of a
//! rule; staying together is not counted, and the bound holds without it all the more.

use super::instance::{Instance, RuleKind};

/// A part of the problem: candidates that are left, by agent.
#[derive(Debug, Clone)]
pub(super) struct Part {
    /// The items that may still go to each agent, with their cost.
    pub by_agent: Vec<Vec<(u32, i64)>>,
    /// Whether the item may still be left out.
    pub may_stay_out: Vec<bool>,
}

/// What a round of bounding found.
#[derive(Debug, Clone)]
pub(super) struct Bound {
    /// No answer of the part costs less.
    pub value: f64,
    /// The multiplier of each item at that bound; after them, those of each rule's domains.
    pub of: Vec<f64>,
    /// How often each item was chosen by an agent at that bound.
    pub chosen: Vec<u32>,
    /// The agent that chose it last.
    pub by: Vec<u32>,
    /// What each agent contributes, and what it would with nothing open.
    pub agents: Vec<f64>,
}

/// How many items an agent may want for its knapsack to be solved exactly.
const EXACT_WANTS: usize = 14;

impl Part {
    /// The whole problem, without pairs that `keep` refuses.
    pub(super) fn new(instance: &Instance, keep: impl Fn(usize, usize) -> bool) -> Self {
        let mut by_agent = vec![Vec::new(); instance.agents()];
        for item in 0..instance.items() {
            for agent in instance.candidates(item) {
                let agent = *agent as usize;
                if keep(item, agent) {
                    by_agent[agent].push((item as u32, instance.cost(item, agent)));
                }
            }
        }
        Self {
            by_agent,
            may_stay_out: vec![true; instance.items()],
        }
    }

    /// How many pairs are left.
    pub(super) fn pairs(&self) -> usize {
        self.by_agent.iter().map(Vec::len).sum()
    }
}

/// Where each rule's multipliers begin, and how many numbers there are in all.
fn begins(instance: &Instance) -> (Vec<usize>, usize) {
    let mut next = instance.items();
    let begins = instance.rules().iter().map(|rule| {
        next += rule.domains;
        next - rule.domains
    });
    let begins = begins.collect();
    (begins, next)
}

/// What the rules add to the price of the item there.
pub(super) fn toll(instance: &Instance, of: &[f64], item: usize, agent: usize) -> f64 {
    let rules = instance.rules_of(item);
    if rules.is_empty() {
        return 0.0;
    }
    let mut begin = instance.items();
    let (mut sum, mut at) = (0.0, 0);
    for rule in rules {
        // Rules of an item are in their order.
        while at < *rule as usize {
            begin += instance.rules()[at].domains;
            at += 1;
        }
        sum += of
            .get(begin + instance.rules()[at].domain[agent] as usize)
            .copied()
            .unwrap_or(0.0);
    }
    sum
}

/// Scratch space of the knapsacks.
#[derive(Default)]
struct Wants {
    /// Item and what is gained by taking it.
    list: Vec<(f64, u32)>,
    order: Vec<(f64, u32)>,
    left: Vec<i64>,
    taken: Vec<u32>,
    best: Vec<u32>,
    steps: u32,
}

/// Steps after which an exact knapsack gives up for the fractional bound.
const STEPS: u32 = 4000;

impl Wants {
    /// The most that the agent can gain, or a bound of it; `best` holds who is taken.
    fn solve(&mut self, instance: &Instance, agent: usize) -> f64 {
        self.best.clear();
        let capacity = instance.capacity(agent);
        let all: f64 = self.list.iter().map(|(gain, _)| gain).sum();
        let fits = (0..instance.resources()).all(|r| {
            let sum: i64 = self
                .list
                .iter()
                .map(|(_, item)| instance.demand(*item as usize, agent)[r])
                .sum();
            sum <= capacity[r]
        });
        if fits {
            self.best.extend(self.list.iter().map(|(_, item)| *item));
            return all;
        }
        if self.list.len() <= EXACT_WANTS {
            self.list.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
            self.left.clear();
            self.left.extend_from_slice(capacity);
            self.taken.clear();
            self.steps = 0;
            let mut most = 0.0;
            self.branch(instance, agent, 0, 0.0, all, &mut most);
            if self.steps < STEPS {
                return most;
            }
        }
        self.fractional(instance, agent)
    }

    fn branch(&mut self, instance: &Instance, agent: usize, at: usize, gain: f64, rest: f64, most: &mut f64) {
        self.steps += 1;
        if gain > *most {
            *most = gain;
            self.best.clone_from(&self.taken);
        }
        if at == self.list.len() || gain + rest <= *most || self.steps >= STEPS {
            return;
        }
        let (own, item) = self.list[at];
        let demand = instance.demand(item as usize, agent);
        if self.left.iter().zip(demand).all(|(left, demand)| demand <= left) {
            for (left, demand) in self.left.iter_mut().zip(demand) {
                *left -= demand;
            }
            self.taken.push(item);
            self.branch(instance, agent, at + 1, gain + own, rest - own, most);
            self.taken.pop();
            for (left, demand) in self.left.iter_mut().zip(demand) {
                *left += demand;
            }
        }
        self.branch(instance, agent, at + 1, gain, rest - own, most);
    }

    /// The least of the fractional knapsacks over each resource alone.
    fn fractional(&mut self, instance: &Instance, agent: usize) -> f64 {
        let mut least = f64::INFINITY;
        for (r, capacity) in instance.capacity(agent).iter().enumerate() {
            self.order.clear();
            for (gain, item) in &self.list {
                let demand = instance.demand(*item as usize, agent)[r].max(0) as f64;
                self.order.push((gain / demand.max(1e-9), *item));
            }
            self.order.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
            let (mut left, mut gain) = (*capacity as f64, 0.0);
            self.taken.clear();
            for (ratio, item) in &self.order {
                let demand = instance.demand(*item as usize, agent)[r] as f64;
                if demand <= left {
                    left -= demand;
                    gain += ratio * demand.max(1e-9);
                    self.taken.push(*item);
                } else {
                    gain += ratio * left;
                    // Half in counts as in where most of it is.
                    if left * 2.0 > demand {
                        self.taken.push(*item);
                    }
                    break;
                }
            }
            if gain < least {
                least = gain;
                std::mem::swap(&mut self.best, &mut self.taken);
            }
        }
        least
    }
}

/// Subgradient steps on the multipliers, from `start`; stops early once the bound reaches `stop`.
pub(super) fn bound(instance: &Instance, part: &Part, start: &[f64], stop: f64, rounds: u32) -> Bound {
    let items = instance.items();
    let (begins, numbers) = begins(instance);
    let mut of = start.to_vec();
    of.resize(numbers, 0.0);
    let mut counts = vec![0.0_f64; numbers];
    let mut best = Bound {
        value: f64::NEG_INFINITY,
        of: of.clone(),
        chosen: vec![0; items],
        by: vec![u32::MAX; items],
        agents: vec![0.0; instance.agents()],
    };
    let mut wants = Wants::default();
    let (mut chosen, mut by) = (vec![0_u32; items], vec![u32::MAX; items]);
    let mut agents = vec![0.0; instance.agents()];
    let mut smooth = vec![0.0; numbers];
    let (mut step, mut stuck) = (1.0_f64, 0);
    for _ in 0..rounds {
        for (item, price) in of.iter_mut().enumerate().take(items) {
            // Who may stay out is worth no more than the price of that.
            if part.may_stay_out[item] {
                *price = price.min(instance.left_out(item) as f64);
            }
        }
        chosen.fill(0);
        counts.fill(0.0);
        let mut value: f64 = of[..items].iter().sum();
        for (rule, begin) in instance.rules().iter().zip(&begins) {
            for multiplier in &mut of[*begin..begin + rule.domains] {
                match rule.kind {
                    RuleKind::Apart { most } => value -= f64::from(most) * *multiplier,
                    RuleKind::Together => *multiplier = 0.0,
                }
            }
        }
        for (agent, list) in part.by_agent.iter().enumerate() {
            wants.list.clear();
            wants.list.extend(list.iter().filter_map(|(item, cost)| {
                let gain = of[*item as usize] - *cost as f64 - toll(instance, &of, *item as usize, agent);
                (gain > 1e-9).then_some((gain, *item))
            }));
            agents[agent] = 0.0;
            if wants.list.is_empty() {
                continue;
            }
            let open = instance.open(agent) as f64;
            if open > 0.0 && wants.list.iter().map(|(gain, _)| gain).sum::<f64>() <= open {
                continue;
            }
            let net = open - wants.solve(instance, agent);
            if net < 0.0 {
                agents[agent] = net;
                value += net;
                for item in &wants.best {
                    chosen[*item as usize] += 1;
                    by[*item as usize] = agent as u32;
                    for rule in instance.rules_of(*item as usize) {
                        let domain = instance.rules()[*rule as usize].domain[agent] as usize;
                        counts[begins[*rule as usize] + domain] += 1.0;
                    }
                }
            }
        }
        if value > best.value + 1e-7 {
            best.value = value;
            best.of.clone_from(&of);
            best.chosen.clone_from(&chosen);
            best.by.clone_from(&by);
            best.agents.clone_from(&agents);
            stuck = 0;
            if value >= stop {
                break;
            }
        } else {
            stuck += 1;
            if stuck >= 12 {
                stuck = 0;
                step *= 0.6;
                of.clone_from(&best.of);
                smooth.fill(0.0);
                if step < 2e-3 {
                    break;
                }
                continue;
            }
        }
        let mut norm = 0.0;
        for item in 0..items {
            // An item that stays out at its price is as good as placed once.
            let out = part.may_stay_out[item] && chosen[item] == 0 && of[item] >= instance.left_out(item) as f64;
            let slope = if out { 0.0 } else { 1.0 - f64::from(chosen[item]) };
            smooth[item] = 0.7 * smooth[item] + 0.3 * slope;
            norm += smooth[item] * smooth[item];
        }
        for (rule, begin) in instance.rules().iter().zip(&begins) {
            let RuleKind::Apart { most } = rule.kind else { continue };
            for at in *begin..begin + rule.domains {
                let slope = counts[at] - f64::from(most);
                smooth[at] = 0.7 * smooth[at] + 0.3 * slope;
                if of[at] <= 0.0 && smooth[at] < 0.0 {
                    smooth[at] = 0.0;
                }
                norm += smooth[at] * smooth[at];
            }
        }
        if norm <= 1e-12 {
            break;
        }
        let aim = if stop.is_finite() {
            stop
        } else {
            best.value + best.value.abs() * 0.02 + 1.0
        };
        let length = step * (aim - value).max(0.01 * step) / norm;
        for (price, slope) in of.iter_mut().zip(&smooth) {
            *price += length * slope;
        }
        for multiplier in &mut of[items..] {
            *multiplier = multiplier.max(0.0);
        }
    }
    best
}
