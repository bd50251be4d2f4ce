//! A random cut forest over the values of one series, its score as the surprise that it is.

use crate::detect::univariate::Tail;

/// As the forest is usually run: so many trees of so many points.
const TREES: usize = 30;
const POINTS: usize = 256;

/// See the module.
pub struct Forest {
    trees: rcf3::Forest,
    tail: Tail,
}

impl Forest {
    /// That knows a past. The seed makes it the same in every run.
    pub fn learned(seed: u64, past: &[f32]) -> Option<Self> {
        let trees = rcf3::Forest::builder(1)
            .num_trees(TREES)
            .capacity(POINTS)
            .shingle_size(1)
            .seed(seed)
            .build()
            .ok()?;
        let mut forest = Self {
            trees,
            tail: Tail::default(),
        };
        for place in past {
            forest.push(*place);
        }
        Some(forest)
    }

    /// Surprise at the next value, which is learned from afterwards.
    pub fn push(&mut self, place: f32) -> f32 {
        let score = self.trees.update_and_score(&[place.clamp(-1e6, 1e6)]);
        // Logarithms, because scores grow by orders of magnitude.
        let score = score.ok().map(|score| score as f32).filter(|score| score.is_finite());
        score.map_or(0.0, |score| self.tail.push(score.max(0.0).ln_1p()))
    }
}
