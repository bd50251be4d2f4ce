//! The set of faults that explains best what is seen, several at once.
//!
//! A set is worth the logarithm of its joint probability with the symptoms: each fault pays for itself, and each symptom is paid for once,
//! by whichever of the faults shows it most readily (of a noisy-OR the largest term), or else as something that came about by itself. That
//! is the uncapacitated facility location problem. Parts of it that have no fault in common are solved apart. In each the best set is first
//! looked for by greedy choice and by exchange, then proven or bettered by branch and bound. Up to [`EXACT`] faults a part is always solved
//! exactly; beyond, until so much work is done, counted in prices looked at and never in time, and the best set so far stands.

mod search;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use search::Search;

/// A part of at most so many faults is solved exactly, whatever it takes: at most 2^12 sets.
pub const EXACT: usize = 12;

/// A set must be better by more than rounding.
const BETTER: f64 = 1e-9;

/// A fault that may be among the causes.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// What it costs by itself: its own improbability, and that of all that it should show and does not. Never above 0.
    pub base: f64,
    /// The symptoms that it pays for, by number, and how it prices each; at most 0.
    pub prices: Vec<(u32, f64)>,
}

/// What is to be explained, and by what it may be.
#[derive(Debug, Clone, Default)]
pub struct Problem {
    /// What each symptom costs that nobody explains.
    pub unexplained: Vec<f64>,
    /// All that may be chosen. Of sets that are worth the same, the one of the earlier candidates is found.
    pub faults: Vec<Candidate>,
}

/// The best set.
#[derive(Debug, Clone, PartialEq)]
pub struct Choice {
    /// Numbers of candidates, rising.
    pub faults: Vec<usize>,
    /// No set is better: all of them were ruled out.
    pub proven: bool,
}

impl Problem {
    /// What a set is worth.
    pub fn worth(&self, set: &[usize]) -> f64 {
        let faults = set.iter().filter_map(|place| self.faults.get(*place));
        self.paid(set).iter().sum::<f64>() + faults.map(|fault| fault.base).sum::<f64>()
    }

    /// What each symptom costs with those faults.
    fn paid(&self, set: &[usize]) -> Vec<f64> {
        let mut paid = self.unexplained.clone();
        for fault in set.iter().filter_map(|place| self.faults.get(*place)) {
            fault.pay(&mut paid);
        }
        paid
    }

    /// The best set of faults.
    pub fn solve(&self) -> Choice {
        let mut choice = Choice {
            faults: Vec::new(),
            proven: true,
        };
        for part in self.parts() {
            let (faults, proven) = Search::new(&self.only(&part)).run();
            choice
                .faults
                .extend(faults.into_iter().filter_map(|place| part.get(place)));
            choice.proven &= proven;
        }
        choice.faults.sort_unstable();
        choice
    }

    /// What the best set is worth that holds that fault beside those of `choice` that are then still needed.
    pub fn with(&self, choice: &[usize], fault: usize) -> f64 {
        let mut set: Vec<usize> = [fault].into_iter().chain(choice.iter().copied()).collect();
        let mut worth = self.worth(&set);
        for place in (1..set.len()).rev() {
            let other = set.remove(place);
            let without = self.worth(&set);
            if without > worth {
                worth = without;
            } else {
                set.insert(place, other);
            }
        }
        worth
    }

    /// Those faults, and the symptoms that they pay for, with numbers of their own.
    fn only(&self, faults: &[usize]) -> Self {
        let mut numbers: BTreeMap<u32, u32> = BTreeMap::new();
        let mut only = Self::default();
        for fault in faults.iter().filter_map(|place| self.faults.get(*place)) {
            let prices = fault.prices.iter().map(|(symptom, price)| {
                let number = *numbers.entry(*symptom).or_insert_with(|| {
                    only.unexplained
                        .push(self.unexplained.get(*symptom as usize).copied().unwrap_or(0.0));
                    only.unexplained.len() as u32 - 1
                });
                (number, *price)
            });
            let prices = prices.collect();
            only.faults.push(Candidate {
                base: fault.base,
                prices,
            });
        }
        only
    }

    /// Faults that are worth anything at all, apart where they have no symptom in common.
    fn parts(&self) -> Vec<Vec<usize>> {
        let mut parent: Vec<usize> = (0..self.unexplained.len()).collect();
        let root = |parent: &mut Vec<usize>, mut at: usize| {
            while parent[at] != at {
                parent[at] = parent[parent[at]];
                at = parent[at];
            }
            at
        };
        // What is worth nothing where nothing else explains anything never is: the more is explained, the less is left to gain.
        let worthy: Vec<usize> = (0..self.faults.len())
            .filter(|place| self.faults[*place].gain(&self.unexplained) > BETTER)
            .collect();
        for place in &worthy {
            let mut symptoms = self.faults[*place].prices.iter().map(|(symptom, _)| *symptom as usize);
            let Some(first) = symptoms.next() else { continue };
            for symptom in symptoms {
                let (a, b) = (root(&mut parent, first), root(&mut parent, symptom));
                parent[a.max(b)] = a.min(b);
            }
        }
        let mut parts: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for place in worthy {
            if let Some((symptom, _)) = self.faults[place].prices.first() {
                parts
                    .entry(root(&mut parent, *symptom as usize))
                    .or_default()
                    .push(place);
            }
        }
        parts.into_values().collect()
    }
}

impl Candidate {
    fn pay(&self, paid: &mut [f64]) {
        for (symptom, price) in &self.prices {
            if let Some(paid) = paid.get_mut(*symptom as usize) {
                *paid = paid.max(*price);
            }
        }
    }

    /// What it saves where so much is paid so far, without what it costs itself.
    fn saves(&self, paid: &[f64]) -> f64 {
        let saved = self.prices.iter().map(|(symptom, price)| {
            let paid = paid.get(*symptom as usize).copied().unwrap_or(0.0);
            (price - paid).max(0.0)
        });
        saved.sum()
    }

    fn gain(&self, paid: &[f64]) -> f64 {
        self.base + self.saves(paid)
    }
}
