//! Annealing across the border of what is feasible: an overrun capacity costs its price, and the price follows the overrun.

use super::Budget;
use super::instance::{FORBIDDEN, Instance};
use super::prices::{Prices, reduced};
use super::rng::Rng;
use super::state::{NOWHERE, State};

/// See the module.
pub struct Soft<'a> {
    state: State<'a>,
    weight: Vec<f64>,
    prices: Vec<f64>,
    over: i64,
    near: Vec<Vec<u32>>,
    rng: Rng,
    best: Option<(i64, Vec<u32>)>,
}

/// By how much an overrun gets dearer with each sweep of a repair.
const REPAIR: f64 = 1.2;

/// Places of an item that are tried in any case.
const FEWEST: usize = 4;

fn over(load: i64, capacity: i64) -> i64 {
    (load - capacity).max(0)
}

impl<'a> Soft<'a> {
    /// From a start, which need not be feasible. Places that are dearer than an item's best by more than `dearest` are not tried.
    pub fn new(of: &'a Instance, prices: &Prices, dearest: f64, start: &[u32], seed: u64) -> Self {
        let near: Vec<Vec<u32>> = (0..of.items())
            .map(|item| {
                let mut list = of.candidates(item).to_vec();
                list.sort_by(|a, b| {
                    let price = |agent: &u32| reduced(of, &prices.of, item, *agent as usize);
                    price(a).total_cmp(&price(b)).then(a.cmp(b))
                });
                let price = |agent: &u32| reduced(of, &prices.of, item, *agent as usize);
                let limit = list.first().map_or(0.0, price) + dearest;
                let worth = list.partition_point(|agent| price(agent) <= limit);
                list.truncate(worth.max(FEWEST));
                list
            })
            .collect();
        let state = State::from(of, start);
        let mut soft = Self {
            weight: prices.of.clone(),
            prices: prices.of.clone(),
            over: 0,
            near,
            rng: Rng::new(seed),
            best: None,
            state,
        };
        soft.over = (0..of.agents()).map(|agent| soft.over_of(agent)).sum();
        soft
    }

    fn over_of(&self, agent: usize) -> i64 {
        let capacity = self.state.of.capacity(agent);
        self.state
            .load(agent)
            .iter()
            .zip(capacity)
            .map(|(load, capacity)| over(*load, *capacity))
            .sum()
    }

    /// The weighed change of an agent's overrun when `sub` leaves and `add` comes; and the plain one.
    fn change(&self, agent: usize, sub: Option<usize>, add: Option<usize>) -> (f64, i64) {
        let of = self.state.of;
        let resources = of.resources();
        let (load, capacity) = (self.state.load(agent), of.capacity(agent));
        let (mut weighed, mut plain) = (0.0, 0);
        for r in 0..resources {
            let mut after = load[r];
            if let Some(item) = sub {
                after -= of.demand(item, agent)[r];
            }
            if let Some(item) = add {
                after += of.demand(item, agent)[r];
            }
            let change = over(after, capacity[r]) - over(load[r], capacity[r]);
            if change != 0 {
                plain += change;
                weighed += change as f64 * self.weight[agent * resources + r];
            }
        }
        (weighed, plain)
    }

    fn pick_agent(&mut self, item: usize) -> Option<usize> {
        let list = &self.near[item];
        let u = self.rng.unit();
        let place = (list.len() as f64 * u * u * u) as usize;
        list.get(place).map(|agent| *agent as usize)
    }

    fn accept(&mut self, delta: f64, heat: f64) -> bool {
        delta <= 0.0 || (heat > 0.0 && self.rng.unit() < (-delta / heat).exp())
    }

    fn shift(&mut self, item: usize, to: usize, heat: f64) -> bool {
        let of = self.state.of;
        let from = self.state.at()[item];
        let mut delta = self.state.price(item, to) as f64;
        let (there, mut plain) = self.change(to, None, Some(item));
        delta += there;
        if from == NOWHERE {
            delta -= of.left_out(item) as f64;
        } else {
            let from = from as usize;
            delta -= of.cost(item, from) as f64;
            if self.state.on(from).len() == 1 {
                delta -= of.open(from) as f64;
            }
            let (here, less) = self.change(from, Some(item), None);
            delta += here;
            plain += less;
        }
        if !self.accept(delta, heat) {
            return false;
        }
        self.state.detach(item);
        if !self.state.is_lawful(item, to) {
            if from != NOWHERE {
                self.state.attach(item, from as usize);
            }
            return false;
        }
        self.state.attach(item, to);
        self.over += plain;
        true
    }

    fn swap(&mut self, item: usize, other: usize, heat: f64) -> bool {
        let of = self.state.of;
        let (a, b) = (self.state.at()[item], self.state.at()[other]);
        if a == NOWHERE || b == NOWHERE || a == b {
            return false;
        }
        let (a, b) = (a as usize, b as usize);
        let (there, here) = (of.cost(item, b), of.cost(other, a));
        if there == FORBIDDEN || here == FORBIDDEN {
            return false;
        }
        let mut delta = (there + here - of.cost(item, a) - of.cost(other, b)) as f64;
        let (at_b, plain_b) = self.change(b, Some(other), Some(item));
        delta += at_b;
        if delta > heat * 30.0 + 1e12 {
            return false;
        }
        let (at_a, plain_a) = self.change(a, Some(item), Some(other));
        delta += at_a;
        if !self.accept(delta, heat) {
            return false;
        }
        self.state.detach(item);
        self.state.detach(other);
        if self.state.is_lawful(item, b) {
            self.state.attach(item, b);
            if self.state.is_lawful(other, a) {
                self.state.attach(other, a);
                self.over += plain_a + plain_b;
                return true;
            }
            self.state.detach(item);
        }
        self.state.attach(item, a);
        self.state.attach(other, b);
        false
    }

    fn reweigh(&mut self, floor: f64, grow: f64, decay: f64) {
        let of = self.state.of;
        let resources = of.resources();
        for agent in 0..of.agents() {
            for (r, capacity) in of.capacity(agent).iter().enumerate() {
                let weight = &mut self.weight[agent * resources + r];
                let load = self.state.load(agent)[r];
                if load > *capacity {
                    *weight = (*weight * grow).max(floor);
                } else if load < *capacity {
                    *weight = (*weight * decay).max(floor);
                }
            }
        }
    }

    /// So many moves that every item has its turn several times; how many they were.
    fn sweep(&mut self, heat: f64) -> u64 {
        let items = self.state.of.items();
        let every = (items as u64 * 10).max(500);
        for _ in 0..every {
            let item = self.rng.below(items);
            let Some(to) = self.pick_agent(item) else { continue };
            let moved = if self.rng.below(4) == 0 {
                to as u32 != self.state.at()[item] && self.shift(item, to, heat)
            } else {
                let on = self.state.on(to).len();
                if on == 0 {
                    to as u32 != self.state.at()[item] && self.shift(item, to, heat)
                } else {
                    let other = self.state.on(to)[self.rng.below(on)] as usize;
                    self.swap(item, other, heat)
                }
            };
            if moved && self.over == 0 && self.best.as_ref().is_none_or(|(value, _)| self.state.value() < *value) {
                self.best = Some((self.state.value(), self.state.at().to_vec()));
            }
        }
        every
    }

    /// Back within the border, whatever it costs, where a descent ended outside: what is overrun gets ever dearer, until nothing is.
    pub fn repair(&mut self, heat: f64, floor: f64, sweeps: u32, work: &mut u64) {
        for _ in 0..sweeps {
            if self.best.is_some() {
                return;
            }
            *work += self.sweep(heat);
            self.reweigh(floor, REPAIR, 1.0);
        }
    }

    /// One descent of heat from `hot` to `cold` within a share of the budget.
    pub fn cool(&mut self, hot: f64, cold: f64, floor: f64, budget: &Budget<'_>, share: (f64, f64), work: &mut u64) {
        let mut heat = hot;
        loop {
            *work += self.sweep(heat);
            let gone = budget.gone(*work);
            if gone >= share.1 {
                return;
            }
            let along = ((gone - share.0) / (share.1 - share.0)).clamp(0.0, 1.0);
            let loose = (1.0 - along / 0.7).max(0.0);
            self.reweigh(floor, 1.02 + 0.06 * loose, 1.0 - 0.03 * loose);
            heat = hot * (cold / hot).powf(along);
        }
    }

    /// Back to the best that was feasible, and to the first prices.
    pub fn restart(&mut self) {
        self.weight.clone_from(&self.prices);
        if let Some((_, at)) = &self.best {
            self.state = State::from(self.state.of, at);
            self.over = 0;
        }
    }

    /// The best feasible answer that was met, with its value.
    pub fn best(&self) -> Option<&(i64, Vec<u32>)> {
        self.best.as_ref()
    }
}
