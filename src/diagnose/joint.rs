//! The set of faults that explains best what is seen, several at once.
//!
//! A set is worth the logarithm of its joint probability with the symptoms: each fault pays for itself, and each symptom is paid for once,
//! by whichever of the faults shows it most readily (of a noisy-OR the largest term), or else as something that came about by itself. That
//! is the uncapacitated facility location problem. Parts of it that have no fault in common are solved apart. In each the best set is first
//! looked for by greedy choice and by exchange, then proven or bettered by branch and bound. Up to [`EXACT`] faults a part is always solved
//! exactly; beyond, until so much work is done, counted in prices looked at and never in time, and the best set so far stands.

use std::collections::{BTreeMap, BinaryHeap};

/// A part of at most so many faults is solved exactly, whatever it takes: at most 2^12 sets.
pub const EXACT: usize = 12;

/// Prices that are looked at for a larger part by exchange, and by branch and bound. A price takes some nanoseconds.
const EXCHANGE_WORK: usize = 150_000;
const BRANCH_WORK: usize = 150_000;

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

/// Which fault is taken next by greedy choice.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Greed {
    /// The one that gains most.
    Gain,
    /// The one that saves most for what it costs (Chvátal 1979), so that several small faults are not taken for one large one that
    /// explains all of them badly.
    Ratio,
}

/// A fault in the order of greed; of two alike the earlier.
struct Keen(f64, usize);

impl PartialEq for Keen {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Keen {}

impl PartialOrd for Keen {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Keen {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.total_cmp(&other.0).then_with(|| other.1.cmp(&self.1))
    }
}

/// The search in one part.
struct Search<'p> {
    problem: &'p Problem,
    best: Vec<usize>,
    worth: f64,
    /// Prices looked at.
    work: usize,
}

impl<'p> Search<'p> {
    fn new(problem: &'p Problem) -> Self {
        Self {
            problem,
            best: Vec::new(),
            worth: problem.worth(&[]),
            work: 0,
        }
    }

    fn run(mut self) -> (Vec<usize>, bool) {
        for greed in [Greed::Ratio, Greed::Gain] {
            let mut set = self.fill(Vec::new(), None, greed);
            self.thin(&mut set);
            self.exchange(set);
        }
        self.work = 0;
        let open = (0..self.problem.faults.len()).collect();
        let paid = self.problem.unexplained.clone();
        let proven = self.branch(&mut Vec::new(), open, paid, 0.0);
        (self.best, proven)
    }

    /// Adds what gains anything, the best first, but not `without`.
    fn fill(&mut self, mut set: Vec<usize>, without: Option<usize>, greed: Greed) -> Vec<usize> {
        let mut paid = self.problem.paid(&set);
        let keen = |place: usize, paid: &[f64]| {
            let fault = &self.problem.faults[place];
            let saves = fault.saves(paid);
            let worth = match greed {
                Greed::Gain => fault.base + saves,
                Greed::Ratio => saves / -fault.base.min(-BETTER),
            };
            (fault.base + saves > BETTER).then_some(Keen(worth, place))
        };
        let mut work = 0;
        let others = (0..self.problem.faults.len()).filter(|place| !set.contains(place) && Some(*place) != without);
        let mut heap: BinaryHeap<Keen> = others
            .filter_map(|place| {
                work += self.problem.faults[place].prices.len();
                keen(place, &paid)
            })
            .collect();
        // What is explained already leaves less to gain, never more: whoever is still the best when looked at again is the best.
        while let Some(Keen(_, place)) = heap.pop() {
            work += self.problem.faults[place].prices.len();
            let Some(now) = keen(place, &paid) else { continue };
            if heap.peek().is_some_and(|next| *next > now) {
                heap.push(now);
                continue;
            }
            self.problem.faults[place].pay(&mut paid);
            set.push(place);
        }
        self.work += work;
        set
    }

    /// Takes out what the others make needless.
    fn thin(&mut self, set: &mut Vec<usize>) {
        let mut worth = self.problem.worth(set);
        let mut place = set.len();
        while place > 0 {
            place -= 1;
            self.work += self.size(set);
            let fault = set.remove(place);
            let without = self.problem.worth(set);
            if without > worth {
                worth = without;
            } else {
                set.insert(place, fault);
            }
        }
    }

    fn size(&self, set: &[usize]) -> usize {
        let sizes = set.iter().map(|place| self.problem.faults[*place].prices.len());
        self.problem.unexplained.len() + sizes.sum::<usize>()
    }

    /// Takes one out and fills up anew, or one in and takes out what it makes needless, as long as that is better.
    fn exchange(&mut self, mut set: Vec<usize>) {
        let mut worth = self.problem.worth(&set);
        let mut better = true;
        while better && self.work < EXCHANGE_WORK {
            better = false;
            for place in 0..self.problem.faults.len() {
                let mut other = if set.contains(&place) {
                    let rest = set.iter().copied().filter(|one| *one != place).collect();
                    self.fill(rest, Some(place), Greed::Ratio)
                } else {
                    set.iter().copied().chain([place]).collect()
                };
                self.thin(&mut other);
                let now = self.problem.worth(&other);
                if now > worth + BETTER {
                    (set, worth, better) = (other, now, true);
                }
                if self.work >= EXCHANGE_WORK {
                    break;
                }
            }
        }
        self.offer(&set, worth);
    }

    fn offer(&mut self, set: &[usize], worth: f64) {
        if worth > self.worth + BETTER {
            self.worth = worth;
            self.best = set.to_vec();
            self.best.sort_unstable();
        }
    }

    /// All sets that hold `chosen` and any of `open`, which pay so much so far. Were they all looked at, or ruled out?
    ///
    /// What a fault costs is shared out over what it could save; no set saves more than the sum, over the symptoms, of what is left of the
    /// best saving there.
    fn branch(&mut self, chosen: &mut Vec<usize>, mut open: Vec<usize>, paid: Vec<f64>, cost: f64) -> bool {
        let worth = cost + paid.iter().sum::<f64>();
        self.offer(chosen, worth);
        loop {
            let mut hoped: BTreeMap<u32, f64> = BTreeMap::new();
            let mut next: Option<Keen> = None;
            let mut gains = Vec::with_capacity(open.len());
            for place in open {
                let fault = &self.problem.faults[place];
                self.work += fault.prices.len();
                let saves = fault.saves(&paid);
                let gain = fault.base + saves;
                if gain <= BETTER {
                    continue;
                }
                let left = gain / saves;
                for (symptom, price) in &fault.prices {
                    let saved = price - paid.get(*symptom as usize).copied().unwrap_or(0.0);
                    if saved > 0.0 {
                        let most = hoped.entry(*symptom).or_insert(0.0);
                        *most = most.max(saved * left);
                    }
                }
                let keen = Keen(gain, place);
                if next.as_ref().is_none_or(|best| keen > *best) {
                    next = Some(keen);
                }
                gains.push(place);
            }
            open = gains;
            let Some(Keen(_, place)) = next else { return true };
            if worth + hoped.values().sum::<f64>() <= self.worth + BETTER {
                return true;
            }
            if self.problem.faults.len() > EXACT && self.work >= BRANCH_WORK {
                return false;
            }
            open.retain(|other| *other != place);
            let mut with = paid.clone();
            self.problem.faults[place].pay(&mut with);
            let cost = cost + self.problem.faults[place].base;
            chosen.push(place);
            let done = self.branch(chosen, open.clone(), with, cost);
            chosen.pop();
            if !done {
                return false;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Every set, one after the other.
    fn best_of_all(problem: &Problem) -> f64 {
        let sets = 0..1_u32 << problem.faults.len();
        let worths = sets.map(|bits| {
            let set: Vec<usize> = (0..problem.faults.len())
                .filter(|place| bits >> place & 1 == 1)
                .collect();
            problem.worth(&set)
        });
        worths.fold(f64::NEG_INFINITY, f64::max)
    }

    fn problem(faults: impl Strategy<Value = usize>) -> impl Strategy<Value = Problem> {
        let symptoms = 1..12_usize;
        (symptoms, faults).prop_flat_map(|(symptoms, faults)| {
            let prices = prop::collection::btree_map(0..symptoms as u32, -4.0..0.0_f64, 1..=symptoms);
            let fault = (-12.0..-0.5_f64, prices).prop_map(|(base, prices)| Candidate {
                base,
                prices: prices.into_iter().collect(),
            });
            let unexplained = prop::collection::vec(-6.0..-1.0_f64, symptoms);
            (unexplained, prop::collection::vec(fault, faults))
                .prop_map(|(unexplained, faults)| Problem { unexplained, faults })
        })
    }

    proptest! {
        #[test]
        fn of_few_faults_the_best_set_is_found_and_proven(problem in problem(0..=EXACT)) {
            let choice = problem.solve();
            prop_assert!(choice.proven);
            prop_assert!((problem.worth(&choice.faults) - best_of_all(&problem)).abs() < 1e-6);
        }

        #[test]
        fn the_order_of_the_faults_changes_nothing_of_what_is_found(problem in problem(0..=EXACT)) {
            let mut turned = problem.clone();
            turned.faults.reverse();
            let last = problem.faults.len().saturating_sub(1);
            let mut other: Vec<usize> = turned.solve().faults.iter().map(|place| last - place).collect();
            other.sort_unstable();
            prop_assert_eq!(problem.solve().faults, other);
        }

        #[test]
        fn of_many_no_single_exchange_betters_what_is_found(problem in problem(30..60_usize)) {
            let choice = problem.solve();
            let worth = problem.worth(&choice.faults);
            for place in 0..problem.faults.len() {
                let mut other = choice.faults.clone();
                match other.binary_search(&place) {
                    Ok(at) => {
                        other.remove(at);
                    }
                    Err(at) => other.insert(at, place),
                }
                prop_assert!(problem.worth(&other) <= worth + 1e-6);
            }
        }
    }

    /// Gateways of three devices each and the broker behind all of them, which costs so much.
    fn gateways(count: u32, broker: f64) -> Problem {
        let devices = |gateway: u32| (gateway * 3..gateway * 3 + 3).map(|device| (device, -0.05));
        let mut faults: Vec<Candidate> = (0..count)
            .map(|gateway| Candidate {
                base: -3.0,
                prices: devices(gateway).collect(),
            })
            .collect();
        faults.push(Candidate {
            base: broker,
            prices: (0..count).flat_map(devices).collect(),
        });
        Problem {
            unexplained: vec![-3.9; count as usize * 3],
            faults,
        }
    }

    #[test]
    fn three_small_causes_are_preferred_to_one_large_one_that_explains_them_badly() {
        assert_eq!(gateways(3, -16.0).solve().faults, [0, 1, 2]);
        assert_eq!(gateways(3, -8.0).solve().faults, [3]);
        assert_eq!(gateways(40, -119.0).solve().faults, [40]);
        assert_eq!(gateways(40, -121.0).solve().faults, (0..40).collect::<Vec<_>>());
    }

    #[test]
    fn what_nobody_explains_well_is_left_over() {
        let mut problem = gateways(2, -30.0);
        problem.unexplained[5] = -0.01;
        problem.unexplained[4] = -0.01;
        problem.faults[1].base = -4.0;
        assert_eq!(problem.solve().faults, [0]);
        assert_eq!(Problem::default().solve().faults, Vec::<usize>::new());
    }
}
