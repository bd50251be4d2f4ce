//! Whether a channel still does what the others say of it: the correlation of the two, over the latest rows.
//!
//! What is left of a channel grows with everything that moves; a correlation does not, so a relation that is lost shows in calm
//! and in wild times alike. It is that of
//! the quickest moves, of which there are many that do not depend on one another.

/// Over how many rows.
const LATELY_ROWS: f64 = 128.0;

/// Where hardly anything moves, so much of what is usual is taken for seen.
const CALM: f64 = 0.05;

/// A move counts at most so many deviations: a single burst is no relation, nor the loss of one.
const CLIP: f64 = 3.0;

/// What is usual is an average of so many rows.
const USUAL_ROWS: f64 = 4096.0;

/// Nobody does exactly what is said of it, and nobody the opposite.
const MOST: f64 = 0.999;

/// What a channel did in one row, and what the others say that it did; in deviations of the channel.
#[derive(Debug, Clone, Copy, Default)]
pub struct Told {
    pub moved: f64,
    pub said: f64,
}

/// Of one channel: mean products of what was done with what was said, with itself, and of what was said with itself.
#[derive(Debug, Clone, Default)]
pub struct Follows {
    lately: [f64; 3],
    usually: [f64; 3],
}

impl Follows {
    /// With the next row, which is one of `rows`: how badly the two agree, as the odds of their correlation (so that equal ratios mean
    /// equal changes, Fisher's z). 1 is no relation, less is a good one.
    pub fn push(&mut self, told: Told, rows: u32) -> f64 {
        let [moved, said] = [told.moved, told.said].map(|deviations| deviations.clamp(-CLIP, CLIP));
        let products = [moved * said, moved * moved, said * said];
        for (means, most) in [(&mut self.lately, LATELY_ROWS), (&mut self.usually, USUAL_ROWS)] {
            let weight = (1.0 / most).max(1.0 / f64::from(rows.max(1)));
            for (mean, product) in means.iter_mut().zip(products) {
                *mean += weight * (product - *mean);
            }
        }
        let [both, own, others]: [f64; 3] = std::array::from_fn(|n| self.lately[n] + CALM * self.usually[n]);
        let follows = both / (own * others).sqrt().max(f64::MIN_POSITIVE);
        let follows = follows.clamp(-MOST, MOST);
        (1.0 - follows) / (1.0 + follows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::multivariate::testing::Noise;

    /// The odds after so many rows, in which a share of what is said is true.
    fn after(follows: &mut Follows, rows: std::ops::Range<u32>, share: f64, size: f64) -> f64 {
        let mut noise = Noise::new(3);
        let mut odds = 1.0;
        for row in rows {
            let said = size * noise.normal();
            let moved = share * said + size * (1.0 - share) * noise.normal();
            odds = follows.push(Told { moved, said }, row + 1);
        }
        odds
    }

    #[test]
    fn who_follows_no_more_is_seen_in_calm_times_as_well() {
        for size in [1.0, 0.3] {
            let mut follows = Follows::default();
            let good = after(&mut follows, 0..4000, 0.8, 1.0);
            assert!(good < 0.1, "{good}");
            let lost = after(&mut follows, 4000..4600, 0.0, size);
            assert!(lost > 0.4, "{size}: {lost}");
        }
    }

    #[test]
    fn a_burst_of_both_and_a_standstill_change_little() {
        let mut follows = Follows::default();
        after(&mut follows, 0..4000, 0.8, 1.0);
        let burst = after(&mut follows.clone(), 4000..4300, 0.8, 20.0);
        let still = after(&mut follows, 4000..4300, 0.0, 0.0);
        assert!(burst < 0.1 && still < 0.1, "{burst} {still}");
    }

    #[test]
    fn nothing_known_is_no_relation() {
        let odds = Follows::default().push(Told::default(), 1);
        assert!((odds - 1.0).abs() < 1e-9, "{odds}");
    }
}
