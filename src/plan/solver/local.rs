//! Local search: greedy first, then better until the budget is used up. It may be stopped at any time.

use super::exact::whole;
use super::greedy::{placement, portfolio};
use super::instance::Instance;
use super::prices::{Prices, prices, reduced};
use super::soft::Soft;
use super::state::{NOWHERE, State};
use super::strict::Strict;
use super::{Budget, Placement, Solver};

/// See the module.
pub struct Local;

/// Rounds of pricing; they take a few hundredths of a second at 40,000 pairs.
const PRICING: u32 = 1200;

/// The share of the budget in which capacities may be overrun on the way.
const CROSSING: f64 = 0.92;

/// Places that are dearer than an item's best by more than so many times what parts the best two, in the mean, are not tried.
const DEAREST: f64 = 10.0;

/// Sweeps of one repair. What is overrun is by then so dear that only an answer which no search would find is still missing.
const REPAIRS: u32 = 200;

/// Descents of heat, each from the best of all before, with the prices of the beginning.
const DESCENTS: u32 = 12;

impl Solver for Local {
    fn name(&self) -> &'static str {
        "local"
    }

    fn solve(&self, instance: &Instance, budget: Budget<'_>) -> Placement {
        let mut best = portfolio(instance, None);
        let mut work = 0;
        let mut bound = None;
        let mut from = 0.0;
        // Where an item takes more here than there, a cheap place may be a dear one: prices tell, and the border is worth crossing.
        if varied(instance) {
            let prices = prices(instance, PRICING);
            bound = prices.bound.is_finite().then(|| whole(prices.bound));
            let priced = portfolio(instance, Some(&prices.of));
            if priced.value() < best.value() {
                best = priced;
            }
            if let Some(at) = anneal(instance, &prices, &best, &budget, (0.0, CROSSING), &mut work) {
                best = State::from(instance, &at);
            }
            from = CROSSING;
        }
        let mut strict = Strict::new(best, budget.seed);
        strict.search(&budget, (from, 1.0), &mut work);
        Placement {
            bound,
            ..placement(&strict.into_best())
        }
    }
}

/// Some item's demand depends on where it is.
fn varied(instance: &Instance) -> bool {
    (0..instance.items()).any(|item| {
        let list = instance.candidates(item);
        list.windows(2)
            .any(|two| instance.demand(item, two[0] as usize) != instance.demand(item, two[1] as usize))
    })
}

/// Across the border of what is feasible. The answer is better than `best`, or there is none.
fn anneal(
    instance: &Instance,
    prices: &Prices,
    best: &State<'_>,
    budget: &Budget<'_>,
    share: (f64, f64),
    work: &mut u64,
) -> Option<Vec<u32>> {
    let (mut start, mut spread, mut counted) = (best.clone(), 0.0, 0);
    for item in 0..instance.items() {
        let mut two = (f64::INFINITY, f64::INFINITY);
        let mut cheapest = NOWHERE;
        for agent in instance.candidates(item) {
            let cost = reduced(instance, &prices.of, item, *agent as usize);
            if cost < two.0 {
                two = (cost, two.0);
                cheapest = *agent;
            } else if cost < two.1 {
                two.1 = cost;
            }
        }
        if two.1.is_finite() {
            spread += two.1 - two.0;
            counted += 1;
        }
        // Whoever found no room begins where it would like to be.
        if start.at()[item] == NOWHERE && cheapest != NOWHERE && start.is_lawful(item, cheapest as usize) {
            start.attach(item, cheapest as usize);
        }
    }
    let spread = (spread / f64::from(counted.max(1))).max(1e-6);
    let mean = prices.of.iter().sum::<f64>() / prices.of.len().max(1) as f64;
    let mut soft = Soft::new(instance, prices, spread * DEAREST, start.at(), budget.seed);
    let length = (share.1 - share.0) / f64::from(DESCENTS);
    for descent in 0..DESCENTS {
        let part = (
            share.0 + length * f64::from(descent),
            share.0 + length * f64::from(descent + 1),
        );
        if descent > 0 {
            soft.restart();
        }
        let (cold, floor) = (spread * 0.1, mean * 0.2 + 1e-3);
        soft.cool(spread * 2.0, cold, floor, budget, part, work);
        // On a starved machine a descent is a few sweeps long and ends outside. An answer comes before a good one, even where it takes a little longer.
        if descent == 0 || budget.gone(*work) >= share.1 {
            soft.repair(cold, floor, REPAIRS, work);
        }
        if budget.gone(*work) >= share.1 {
            break;
        }
    }
    soft.best()
        .filter(|(value, _)| *value < best.value())
        .map(|(_, at)| at.clone())
}
