//! Exact: local search for an answer, bounds for a proof, branch and bound for what lies between.
//!
//! Bounded in time: what is not finished is reported as a gap. Best bound first, so that the gap falls from both ends.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use super::bound::{Bound, Part, bound, toll};
use super::instance::Instance;
use super::local::Local;
use super::state::{NOWHERE, State};
use super::{Budget, Placement, Solver};

/// See the module.
pub struct Exact;

/// The share of the budget that goes into the first answer.
const FIRST: f64 = 0.25;

/// Rounds of the first bound, and of each one after a decision.
const ROOT_ROUNDS: u32 = 1500;
const NODE_ROUNDS: u32 = 60;

/// Open parts that are kept at once; beyond it the search ends with what is proven so far.
const MOST_OPEN: usize = 20_000;

/// A part of the problem that may still hold a better answer.
struct Node {
    bound: f64,
    of: Vec<f64>,
    /// Item, agent, and whether it must go there.
    decided: Vec<(u32, u32, bool)>,
    branch: Option<(u32, u32)>,
    number: u64,
}

impl PartialEq for Node {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}
impl Eq for Node {}
impl PartialOrd for Node {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Node {
    /// The lowest bound is the greatest; among equals the oldest, so that chance of memory decides nothing.
    fn cmp(&self, other: &Self) -> Ordering {
        other.bound.total_cmp(&self.bound).then(other.number.cmp(&self.number))
    }
}

impl Solver for Exact {
    fn name(&self) -> &'static str {
        "exact"
    }

    fn solve(&self, instance: &Instance, budget: Budget<'_>) -> Placement {
        let early = || budget.gone.map_or(0.0, |gone| gone() / FIRST);
        let first = Budget {
            work: ((budget.work as f64 * FIRST) as u64).max(1),
            gone: budget.gone.is_some().then_some(&early as &dyn Fn() -> f64),
            seed: budget.seed,
        };
        let mut best = Local.solve(instance, first);
        let mut work = first.work.min(budget.work);
        if budget.gone.is_some() {
            work = 0;
        }
        let proven = prove(instance, &mut best, &budget, &mut work);
        let known = best.bound.unwrap_or(i64::MIN);
        best.bound = proven.map(|proven| proven.max(known)).or(best.bound);
        best
    }
}

/// Pairs that one unit of work stands for.
const PAIRS_PER_MOVE: u64 = 40;

/// Rounded up, but for the dust of sums of floating point numbers.
pub(super) fn whole(bound: f64) -> i64 {
    (bound - 1e-4 - bound.abs() * 1e-12).ceil() as i64
}

/// Raises the bound until it meets the best answer or the budget ends; finds better answers on the way.
fn prove(instance: &Instance, best: &mut Placement, budget: &Budget<'_>, work: &mut u64) -> Option<i64> {
    let items = instance.items();
    let start: Vec<f64> = (0..items)
        .map(|item| {
            let list = instance.candidates(item);
            let second = list
                .get(1)
                .or(list.first())
                .map(|agent| instance.cost(item, *agent as usize));
            second.map_or(instance.left_out(item), |cost| cost.min(instance.left_out(item))) as f64
        })
        .collect();
    let everything = Part::new(instance, |_, _| true);
    let mut root = Bound {
        value: f64::NEG_INFINITY,
        of: start,
        chosen: Vec::new(),
        by: Vec::new(),
        agents: Vec::new(),
    };
    // In slices, so that the end of the time is seen.
    for _ in 0..ROOT_ROUNDS / 100 {
        let next = bound(instance, &everything, &root.of, best.value as f64 - 0.5, 100);
        *work += 100 * everything.pairs() as u64 / PAIRS_PER_MOVE;
        let gained = next.value - root.value;
        if next.value > root.value {
            root = next;
        }
        if whole(root.value) >= best.value || budget.gone(*work) >= 1.0 || gained < 1e-3 {
            break;
        }
    }
    if root.chosen.is_empty() {
        return None;
    }
    if whole(root.value) >= best.value {
        return Some(best.value);
    }
    adopt(instance, &root, best);
    // A pair that would cost more than the best answer is in no better one.
    let slack = best.value as f64 - root.value;
    let keep = |item: usize, agent: usize| {
        let price = |item: usize| toll(instance, &root.of, item, agent) - root.of[item];
        let mut extra = instance.cost(item, agent) as f64 + price(item);
        if root.agents[agent] >= 0.0 {
            let gains: f64 = everything.by_agent[agent]
                .iter()
                .filter(|(other, _)| *other as usize != item)
                .map(|(other, cost)| (-(*cost as f64 + price(*other as usize))).max(0.0))
                .sum();
            extra += (instance.open(agent) as f64 - gains).max(0.0);
        }
        extra < slack
    };
    let pruned = Part::new(instance, keep);
    let mut open = BinaryHeap::new();
    let mut number = 0;
    let branch = ambiguous(&root, instance, &pruned);
    open.push(Node {
        bound: root.value,
        of: root.of,
        decided: Vec::new(),
        branch,
        number,
    });
    loop {
        let Some(node) = open.pop() else {
            return Some(best.value);
        };
        let lowest = whole(node.bound).min(best.value);
        if lowest >= best.value {
            return Some(best.value);
        }
        let Some((item, agent)) = node.branch else {
            return Some(lowest);
        };
        if budget.gone(*work) >= 1.0 || open.len() >= MOST_OPEN {
            return Some(lowest);
        }
        for must in [true, false] {
            let mut decided = node.decided.clone();
            decided.push((item, agent, must));
            let Some((part, placed)) = narrowed(instance, &pruned, &decided) else {
                continue;
            };
            let found = bound(instance, &part, &node.of, best.value as f64 - 0.5, NODE_ROUNDS);
            *work += u64::from(NODE_ROUNDS) * part.pairs() as u64 / PAIRS_PER_MOVE;
            let value = found.value.max(node.bound);
            if whole(value) >= best.value {
                continue;
            }
            adopt(instance, &found, best);
            number += 1;
            let branch = ambiguous(&found, instance, &part);
            if branch.is_none() {
                // Everything is decided: this is one answer, and it has been counted.
                take(&placed, best);
                continue;
            }
            open.push(Node {
                bound: value,
                of: found.of,
                decided,
                branch,
                number,
            });
        }
    }
}

/// The part in which those decisions hold, and the items that they place; none, if they do not fit together.
fn narrowed<'a>(instance: &'a Instance, part: &Part, decided: &[(u32, u32, bool)]) -> Option<(Part, State<'a>)> {
    let mut part = part.clone();
    let mut placed = State::empty(instance);
    for (item, agent, must) in decided {
        let (item, agent) = (*item as usize, *agent as usize);
        if *must {
            if !placed.fits(item, agent) {
                return None;
            }
            placed.attach(item, agent);
            part.may_stay_out[item] = false;
        } else {
            part.by_agent[agent].retain(|(listed, _)| *listed as usize != item);
        }
    }
    // Who is placed takes room and binds others by the rules.
    for (agent, list) in part.by_agent.iter_mut().enumerate() {
        list.retain(|(item, _)| match placed.at()[*item as usize] {
            NOWHERE => placed.fits(*item as usize, agent),
            at => at as usize == agent,
        });
    }
    Some((part, placed))
}

/// Where to decide next: an item that several agents want, or none, and the agent whose price is the best for it.
fn ambiguous(found: &Bound, instance: &Instance, part: &Part) -> Option<(u32, u32)> {
    let mut choices = vec![(0_u32, f64::INFINITY, u32::MAX); instance.items()];
    for (agent, list) in part.by_agent.iter().enumerate() {
        for (item, cost) in list {
            let choice = &mut choices[*item as usize];
            choice.0 += 1;
            let shy = if found.agents[agent] < 0.0 { 0.0 } else { 1e-3 };
            let item_price = toll(instance, &found.of, *item as usize, agent) - found.of[*item as usize];
            let price = *cost as f64 + item_price + shy;
            if price < choice.1 {
                *choice = (choice.0, price, agent as u32);
            }
        }
    }
    let undecided = |item: &usize| choices[*item].0 > 1 || (choices[*item].0 == 1 && part.may_stay_out[*item]);
    let torn = (0..instance.items()).filter(undecided).max_by(|a, b| {
        let score = |item: usize| {
            let off = (f64::from(found.chosen[item]) - 1.0).abs();
            (off, found.of[item])
        };
        let (x, y) = (score(*a), score(*b));
        x.0.total_cmp(&y.0).then(x.1.total_cmp(&y.1)).then(b.cmp(a))
    })?;
    Some((torn as u32, choices[torn].2))
}

/// Takes what the bound suggests for an answer, where it fits, and fills in the rest at the best price.
fn adopt(instance: &Instance, found: &Bound, best: &mut Placement) {
    let mut state = State::empty(instance);
    for item in 0..instance.items() {
        if found.chosen[item] > 0 && state.fits(item, found.by[item] as usize) {
            state.attach(item, found.by[item] as usize);
        }
    }
    for item in 0..instance.items() {
        if found.chosen[item] == 0 {
            super::greedy::insert(&mut state, None, item, None);
        }
    }
    take(&state, best);
}

fn take(state: &State<'_>, best: &mut Placement) {
    if state.value() < best.value {
        let bound = best.bound;
        *best = Placement {
            bound,
            ..super::greedy::placement(state)
        };
    }
}
