//! Solvers of the bare problem behind one trait: greedy (micro- to milliseconds), local search (any time), exact (proves, or says how far off
//! it may be). No names, no clock, no chance without a seed in here; the independent [`check()`] counts every answer anew.

mod bound;
mod check;
mod exact;
mod greedy;
mod instance;
mod local;
mod prices;
mod rng;
mod soft;
mod state;
mod strict;

pub use check::{Wrong, check};
pub use exact::Exact;
pub use greedy::Greedy;
pub use instance::{BIGGEST, FORBIDDEN, Instance, InstanceError, Rule, RuleKind, Tables};
pub use local::Local;
pub use rng::Rng;

/// How long a solver may work.
#[derive(Clone, Copy)]
pub struct Budget<'a> {
    /// Moves that may be tried: with a seed and this alone, the answer is always the same.
    pub work: u64,
    /// Which share of the time is gone, `0.0..=1.0`, by a clock of the shell's; it is asked every few hundred moves.
    pub gone: Option<&'a dyn Fn() -> f64>,
    /// Where chance begins.
    pub seed: u64,
}

impl<'a> Budget<'a> {
    /// So many moves.
    pub const fn moves(work: u64) -> Self {
        Self {
            work,
            gone: None,
            seed: 1,
        }
    }

    /// Until the shell says that the time is over.
    pub const fn until(gone: &'a dyn Fn() -> f64) -> Self {
        Self {
            work: u64::MAX,
            gone: Some(gone),
            seed: 1,
        }
    }

    /// Which share is gone after so many moves.
    pub fn gone(&self, work: u64) -> f64 {
        let counted = work as f64 / self.work.max(1) as f64;
        self.gone.map_or(counted, |gone| gone().max(counted))
    }
}

/// An answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Placement {
    /// The agent of each item; `None` is left out.
    pub at: Vec<Option<u32>>,
    /// What it costs.
    pub value: i64,
    /// No answer costs less, as far as the solver has proven anything.
    pub bound: Option<i64>,
}

impl Placement {
    /// How far it may be from the best: `(value − bound) / value`; `None` if nothing is proven.
    pub fn gap(&self) -> Option<f64> {
        let bound = self.bound?;
        Some(if self.value <= bound {
            0.0
        } else {
            (self.value - bound) as f64 / self.value as f64
        })
    }

    /// How many are left out.
    pub fn unplaced(&self) -> usize {
        self.at.iter().filter(|place| place.is_none()).count()
    }
}

/// Finds an answer. Same instance, same budget in moves, same seed: the same answer.
pub trait Solver: Send + Sync {
    /// What it is called.
    fn name(&self) -> &'static str;

    /// Its answer; it always passes [`check()`].
    fn solve(&self, instance: &Instance, budget: Budget<'_>) -> Placement;
}
