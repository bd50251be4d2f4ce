//! Search among feasible answers only: ruin and recreate, shifts, swaps and ejections, with annealed acceptance.

use super::Budget;
use super::greedy::{insert, sizes};
use super::instance::{FORBIDDEN, Instance};
use super::rng::Rng;
use super::state::{NOWHERE, State};

/// See the module.
pub struct Strict<'a> {
    state: State<'a>,
    size: Vec<f64>,
    rng: Rng,
    best: (i64, Vec<u32>),
    /// Items that are left out.
    bank: Vec<u32>,
    /// What one place costs more than the cheapest, in the mean: the measure of heat.
    unit: f64,
}

/// Items that one ruin takes off at most.
const RUIN: usize = 14;

/// Ruins between two looks at the budget.
const ROUNDS: usize = 64;

/// Shifts and swaps that are tried before each ruin.
const SMALL: usize = 8;

impl<'a> Strict<'a> {
    /// From a feasible answer.
    pub fn new(state: State<'a>, seed: u64) -> Self {
        let best = (state.value(), state.at().to_vec());
        let mut size = sizes(state.of);
        let mean = size.iter().sum::<f64>() / size.len().max(1) as f64;
        for size in &mut size {
            *size /= mean.max(1e-12);
        }
        let bank = (0..state.of.items() as u32)
            .filter(|item| state.at()[*item as usize] == NOWHERE)
            .collect();
        let unit = unit(state.of);
        Self {
            state,
            size,
            rng: Rng::new(seed),
            best,
            bank,
            unit,
        }
    }

    /// The best answer that was met.
    pub fn into_best(self) -> State<'a> {
        State::from(self.state.of, &self.best.1)
    }

    fn accept(&mut self, delta: i64, heat: f64) -> bool {
        delta <= 0 || self.rng.unit() < (-(delta as f64) / heat).exp()
    }

    fn near(&mut self, item: usize) -> Option<usize> {
        let list = self.state.of.candidates(item);
        let u = self.rng.unit();
        let place = (list.len() as f64 * u * u * u) as usize;
        list.get(place).map(|agent| *agent as usize)
    }

    fn shift(&mut self, item: usize, heat: f64) {
        let Some(to) = self.near(item) else { return };
        let from = self.state.at()[item];
        if from == to as u32 || from == NOWHERE || !self.state.has_room(item, to) {
            return;
        }
        let before = self.state.value();
        self.state.detach(item);
        if self.state.is_lawful(item, to) {
            self.state.attach(item, to);
            let delta = self.state.value() - before;
            if self.accept(delta, heat) {
                return;
            }
            self.state.detach(item);
        }
        self.state.attach(item, from as usize);
    }

    fn swap(&mut self, item: usize, heat: f64) {
        let Some(to) = self.near(item) else { return };
        let from = self.state.at()[item];
        if from == to as u32 || from == NOWHERE || self.state.on(to).is_empty() {
            return;
        }
        let other = self.state.on(to)[self.rng.below(self.state.on(to).len())] as usize;
        let from = from as usize;
        let of = self.state.of;
        if of.cost(other, from) == FORBIDDEN {
            return;
        }
        let delta = of.cost(item, to) + of.cost(other, from) - of.cost(item, from) - of.cost(other, to);
        if !self.accept(delta, heat) {
            return;
        }
        self.state.detach(item);
        self.state.detach(other);
        if self.state.fits(item, to) {
            self.state.attach(item, to);
            if self.state.fits(other, from) {
                self.state.attach(other, from);
                return;
            }
            self.state.detach(item);
        }
        self.state.attach(item, from);
        self.state.attach(other, to);
    }

    /// Removes related items and puts them back, dear ones first.
    fn ruin(&mut self, heat: f64, most: usize) {
        let of = self.state.of;
        let before = self.state.value();
        let mut removed: Vec<(u32, u32)> = Vec::with_capacity(most + 8);
        if !self.bank.is_empty() && self.rng.below(2) == 0 {
            // Around someone who found no place: where it would like to be.
            let item = self.bank[self.rng.below(self.bank.len())] as usize;
            let list = of.candidates(item);
            for _ in 0..=self.rng.below(3) {
                if list.is_empty() {
                    break;
                }
                let agent = list[self.rng.below(list.len())] as usize;
                self.take_off(agent, &mut removed, 2 + most / 2);
            }
        } else if self.rng.below(10) < 3 {
            let item = self.rng.below(of.items());
            let at = self.state.at()[item];
            if at != NOWHERE {
                self.take_off(at as usize, &mut removed, most);
            }
        } else {
            let count = 2 + self.rng.below(most.max(3) - 1);
            let seed = self.rng.below(of.items());
            let list = of.candidates(seed);
            let mut tries = 0;
            self.take(seed, &mut removed);
            while removed.len() < count && tries < count * 3 && !list.is_empty() {
                tries += 1;
                let u = self.rng.unit();
                let agent = list[(list.len() as f64 * u * u) as usize] as usize;
                let on = self.state.on(agent);
                if !on.is_empty() {
                    let item = on[self.rng.below(on.len())] as usize;
                    self.take(item, &mut removed);
                }
            }
        }
        let mut queue: Vec<u32> = removed.iter().map(|(item, _)| *item).collect();
        // Too long a bank would cost more than it can win.
        for _ in 0..self.bank.len().min(12) {
            let item = self.bank[self.rng.below(self.bank.len())];
            if !queue.contains(&item) {
                queue.push(item);
            }
        }
        let order = self.rng.below(4);
        let key = |item: u32, rng: &mut Rng| -> f64 {
            match order {
                0 => rng.unit(),
                1 => self.size[item as usize],
                2 => -(of.candidates(item as usize).len() as f64),
                _ => self.size[item as usize] * (0.7 + 0.6 * rng.unit()),
            }
        };
        let mut rng = self.rng.clone();
        let mut keyed: Vec<(i64, f64, u32)> = queue
            .iter()
            .map(|item| (of.left_out(*item as usize), key(*item, &mut rng), *item))
            .collect();
        if rng.below(8) != 0 {
            keyed.sort_by(|a, b| b.0.cmp(&a.0).then(b.1.total_cmp(&a.1)));
        } else {
            keyed.sort_by(|a, b| b.1.total_cmp(&a.1));
        }
        let mut placed = Vec::with_capacity(keyed.len());
        for (_, _, item) in keyed {
            if insert(&mut self.state, None, item as usize, Some(&mut rng)) {
                placed.push(item);
            }
        }
        self.rng = rng;
        let delta = self.state.value() - before + self.bank_change(&queue, &removed);
        if self.accept(delta, heat) {
            self.bank.retain(|item| self.state.at()[*item as usize] == NOWHERE);
            for (item, _) in &removed {
                if self.state.at()[*item as usize] == NOWHERE {
                    self.bank.push(*item);
                }
            }
            return;
        }
        for item in placed {
            self.state.detach(item as usize);
        }
        for (item, agent) in removed {
            self.state.attach(item as usize, agent as usize);
        }
    }

    /// Smaller items in the bank are easier to place later: worth a little, far less than a place.
    fn bank_change(&self, queue: &[u32], removed: &[(u32, u32)]) -> i64 {
        let mut change = 0.0;
        for item in queue {
            let was_out = !removed.iter().any(|(removed, _)| removed == item);
            let is_out = self.state.at()[*item as usize] == NOWHERE;
            let worth = self.size[*item as usize] * self.unit * 6.0;
            change += worth * (f64::from(u8::from(is_out)) - f64::from(u8::from(was_out)));
        }
        change as i64
    }

    fn take(&mut self, item: usize, removed: &mut Vec<(u32, u32)>) {
        if let Some(agent) = self.state.detach(item) {
            removed.push((item as u32, agent as u32));
        }
    }

    fn take_off(&mut self, agent: usize, removed: &mut Vec<(u32, u32)>, most: usize) {
        while removed.len() < most {
            let on = self.state.on(agent);
            if on.is_empty() {
                break;
            }
            let item = on[self.rng.below(on.len())] as usize;
            self.take(item, removed);
        }
    }

    /// Searches within a share of the budget: while somebody is left out in great heat, the last part in little.
    pub fn search(&mut self, budget: &Budget<'_>, share: (f64, f64), work: &mut u64) {
        if self.state.of.items() == 0 {
            return;
        }
        let turn = share.0 + (share.1 - share.0) * 0.75;
        let unit = self.unit;
        if !self.bank.is_empty() {
            self.cool((unit * 5.0, unit * 0.1), budget, (share.0, turn), work);
            self.restart();
        }
        let from = budget.gone(*work).min(share.1);
        self.cool((unit * 0.4, unit * 0.01), budget, (from, share.1), work);
    }

    fn restart(&mut self) {
        self.state = State::from(self.state.of, &self.best.1);
        let at = self.state.at();
        self.bank = (0..at.len() as u32)
            .filter(|item| at[*item as usize] == NOWHERE)
            .collect();
    }

    fn cool(&mut self, (hot, cold): (f64, f64), budget: &Budget<'_>, share: (f64, f64), work: &mut u64) {
        let items = self.state.of.items();
        let began_short = !self.bank.is_empty();
        let mut heat = hot;
        while budget.gone(*work) < share.1 {
            for _ in 0..ROUNDS {
                for _ in 0..SMALL {
                    let item = self.rng.below(items);
                    if self.rng.below(2) == 0 {
                        self.shift(item, heat);
                    } else {
                        self.swap(item, heat);
                    }
                }
                self.ruin(heat, RUIN);
                if self.state.value() < self.best.0 {
                    self.best = (self.state.value(), self.state.at().to_vec());
                }
            }
            *work += (ROUNDS * (SMALL + RUIN)) as u64;
            // Everybody has found a place: the rest of the time goes into costs.
            if began_short && self.best.1.iter().all(|agent| *agent != NOWHERE) {
                return;
            }
            let length = (share.1 - share.0).max(1e-12);
            let along = ((budget.gone(*work) - share.0) / length).clamp(0.0, 1.0);
            heat = hot * (cold / hot).powf(along);
        }
    }
}

/// The mean over items of what their candidates cost above the cheapest, in the mean.
fn unit(of: &Instance) -> f64 {
    let (mut sum, mut count) = (0.0, 0);
    for item in 0..of.items() {
        let list = of.candidates(item);
        if let Some(first) = list.first() {
            let least = of.cost(item, *first as usize);
            let total: i64 = list.iter().map(|agent| of.cost(item, *agent as usize) - least).sum();
            sum += total as f64 / list.len() as f64;
            count += 1;
        }
    }
    (sum / f64::from(count.max(1))).max(1e-3)
}
