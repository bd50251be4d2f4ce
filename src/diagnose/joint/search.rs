//! How the best set is looked for in one part: greedy choice, exchange, branch and bound.

use std::collections::{BTreeMap, BinaryHeap};

use super::{BETTER, EXACT, Problem};

/// Prices that are looked at for a larger part by exchange, and by branch and bound. A price takes some nanoseconds.
const EXCHANGE_WORK: usize = 150_000;
const BRANCH_WORK: usize = 150_000;

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
pub struct Search<'p> {
    problem: &'p Problem,
    best: Vec<usize>,
    worth: f64,
    /// Prices looked at.
    work: usize,
}

impl<'p> Search<'p> {
    /// Of one part.
    pub fn new(problem: &'p Problem) -> Self {
        Self {
            problem,
            best: Vec::new(),
            worth: problem.worth(&[]),
            work: 0,
        }
    }

    /// The best set, and whether that is proven.
    pub fn run(mut self) -> (Vec<usize>, bool) {
        for greed in [Greed::Ratio, Greed::Gain] {
            let mut set = self.fill(Vec::new(), None, greed);
            self.thin(&mut set);
            self.exchange(set);
        }
        self.work = 0;
        let open = (0..self.problem.faults.len()).collect();
        let paid = self.problem.unexplained.clone();
        let proven = self.branch(&mut Vec::new(), open, &paid, 0.0);
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
    fn branch(&mut self, chosen: &mut Vec<usize>, mut open: Vec<usize>, paid: &[f64], cost: f64) -> bool {
        let worth = cost + paid.iter().sum::<f64>();
        self.offer(chosen, worth);
        loop {
            let mut hoped: BTreeMap<u32, f64> = BTreeMap::new();
            let mut next: Option<Keen> = None;
            let mut gains = Vec::with_capacity(open.len());
            for place in open {
                let fault = &self.problem.faults[place];
                self.work += fault.prices.len();
                let saves = fault.saves(paid);
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
            let mut with = paid.to_vec();
            self.problem.faults[place].pay(&mut with);
            let cost = cost + self.problem.faults[place].base;
            chosen.push(place);
            let done = self.branch(chosen, open.clone(), &with, cost);
            chosen.pop();
            if !done {
                return false;
            }
        }
    }
}
