//! What a second opinion adds: the same scores, held back where neither of the dear detectors agrees.
//!
//! A score far above the threshold stands by itself. Any other counts only if the random cut forest finds the sample rare too, or a
//! change point is probable.

use crate::detect::gated::{Counts, Gates, PAST};
use crate::detect::univariate::Portfolio;

/// In thresholds: so strange a score needs nobody to agree.
const BEYOND_DOUBT: f32 = 1.5;

/// Agreement: a surprise of the forest (it is 0 for 49 samples of 50), or this probability of a change.
const CHANGED: f32 = 0.5;

/// Judges one series a second time. `places` are where its values lie, `scores` what the portfolio made of them.
pub fn opinions(places: &[Option<f32>], scores: &[f64]) -> (Vec<f64>, Counts) {
    let mut gates = Gates::new(1);
    let mut past: Vec<f32> = Vec::new();
    let judged = places.iter().zip(scores).map(|(place, score)| {
        let Some(place) = place else {
            return *score;
        };
        let cheap = *score as f32 / Portfolio::threshold();
        let opinion = gates.offer(0, *place, cheap, || past.iter().copied());
        past.push(*place);
        if past.len() > 2 * PAST {
            past.drain(..PAST);
        }
        let agreed = opinion.is_none_or(|opinion| opinion.forest > 0.0 || opinion.change >= CHANGED);
        if agreed || cheap >= BEYOND_DOUBT { *score } else { 0.0 }
    });
    let judged = judged.collect();
    (judged, gates.counts())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_strange_is_judged_twice() {
        let places: Vec<Option<f32>> = (0..1000_u16)
            .map(|n| Some((f32::from(n) * 0.618_034).fract()))
            .collect();
        let mut scores = vec![0.0; 1000];
        scores[600] = f64::from(Portfolio::threshold()) * 1.2;
        let (judged, counts) = opinions(&places, &scores);
        assert_eq!((counts.opened, counts.offered), (1, 1000));
        assert!(counts.judged < 200, "{counts:?}");
        assert!(judged[600].abs() < f64::EPSILON, "a value as any other: nobody agrees");
        scores[600] *= 2.0;
        assert!(opinions(&places, &scores).0[600] > 1.0, "beyond doubt");
    }
}
