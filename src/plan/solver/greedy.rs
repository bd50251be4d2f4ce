//! Greedy: the dearest to leave out first, and among them whoever has most to lose by waiting.

use super::instance::Instance;
use super::prices::reduced;
use super::rng::Rng;
use super::state::{NOWHERE, State};
use super::{Budget, Placement, Solver};

/// In one pass, in several orders; the best of them.
pub struct Greedy;

/// In which order items of one price of leaving out are placed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// The largest first.
    Size,
    /// Whose second best place is much worse than the best.
    Regret,
    /// With the fewest places.
    Choice,
    /// The largest of those with few places.
    Both,
}

impl Order {
    pub(super) const ALL: [Self; 4] = [Self::Size, Self::Regret, Self::Choice, Self::Both];
}

impl Solver for Greedy {
    fn name(&self) -> &'static str {
        "greedy"
    }

    fn solve(&self, instance: &Instance, _: Budget<'_>) -> Placement {
        placement(&portfolio(instance, None))
    }
}

pub(super) fn placement(state: &State<'_>) -> Placement {
    Placement {
        at: state
            .at()
            .iter()
            .map(|agent| (*agent != NOWHERE).then_some(*agent))
            .collect(),
        value: state.value(),
        bound: None,
    }
}

/// The best of all orders.
pub(super) fn portfolio<'a>(instance: &'a Instance, prices: Option<&[f64]>) -> State<'a> {
    let mut best: Option<State<'a>> = None;
    for order in Order::ALL {
        let state = pass(instance, prices, order);
        if best.as_ref().is_none_or(|best| state.value() < best.value()) {
            best = Some(state);
        }
    }
    best.unwrap_or_else(|| State::empty(instance))
}

/// Each item's demand as a share of what there is of each resource, summed up.
pub(super) fn sizes(instance: &Instance) -> Vec<f64> {
    let mut total = vec![0_i64; instance.resources()];
    for agent in 0..instance.agents() {
        for (total, capacity) in total.iter_mut().zip(instance.capacity(agent)) {
            *total += capacity;
        }
    }
    (0..instance.items())
        .map(|item| {
            let candidates = instance.candidates(item);
            let mut size = 0.0;
            // Demands differ by agent where the problem says so; a few of the cheapest tell enough.
            for agent in candidates.iter().take(4) {
                for (demand, total) in instance.demand(item, *agent as usize).iter().zip(&total) {
                    size += *demand as f64 / (*total).max(1) as f64;
                }
            }
            size / candidates.len().clamp(1, 4) as f64
        })
        .collect()
}

fn pass<'a>(instance: &'a Instance, prices: Option<&[f64]>, order: Order) -> State<'a> {
    let size = sizes(instance);
    let cost = |item: usize, agent: u32| match prices {
        Some(prices) => reduced(instance, prices, item, agent as usize),
        None => instance.cost(item, agent as usize) as f64,
    };
    let mut items: Vec<(f64, usize)> = (0..instance.items())
        .map(|item| {
            let candidates = instance.candidates(item);
            let few = 1.0 / candidates.len().max(1) as f64;
            let urgency = match order {
                Order::Size => size[item],
                Order::Choice => few,
                Order::Both => size[item] * few.sqrt(),
                Order::Regret => {
                    let mut best = (f64::INFINITY, f64::INFINITY);
                    for agent in candidates {
                        let cost = cost(item, *agent);
                        if cost < best.0 {
                            best = (cost, best.0);
                        } else if cost < best.1 {
                            best.1 = cost;
                        }
                    }
                    best.1 - best.0
                }
            };
            (urgency, item)
        })
        .collect();
    let dear = |item: usize| instance.left_out(item);
    items.sort_by(|a, b| dear(b.1).cmp(&dear(a.1)).then(b.0.total_cmp(&a.0)).then(a.1.cmp(&b.1)));
    let mut state = State::empty(instance);
    for (_, item) in items {
        insert(&mut state, prices, item, None);
    }
    state
}

/// Puts an item where it costs least, if anywhere; with a blink now and then, a better place is overlooked.
pub(super) fn insert(state: &mut State<'_>, prices: Option<&[f64]>, item: usize, blink: Option<&mut Rng>) -> bool {
    let instance = state.of;
    let mut best: Option<(f64, usize)> = None;
    let mut blink = blink;
    for agent in instance.candidates(item) {
        let agent = *agent as usize;
        let base = match prices {
            Some(prices) => reduced(instance, prices, item, agent),
            None => instance.cost(item, agent) as f64,
        };
        if best.is_some_and(|(least, _)| base >= least) {
            if prices.is_none() {
                // Candidates are sorted by cost: none that follows is cheaper.
                break;
            }
            continue;
        }
        let cost = base + (state.price(item, agent) - instance.cost(item, agent)) as f64;
        if best.is_none_or(|(least, _)| cost < least) && state.fits(item, agent) {
            if let Some(rng) = blink.as_deref_mut()
                && rng.bits().is_multiple_of(64)
            {
                continue;
            }
            best = Some((cost, agent));
        }
    }
    match best {
        Some((cost, agent)) if cost < instance.left_out(item) as f64 => {
            state.attach(item, agent);
            true
        }
        _ => false,
    }
}
