//! From scores to probabilities that mean what they say.

/// No list of faults is complete and no evidence is beyond doubt: nothing is more certain than this.
const CERTAIN: f64 = 0.99;

/// Probabilities from log scores: a softmax softened by `temperature` (Guo et al., ICML 2017), capped at 0.99.
pub fn probabilities(log_scores: &[f64], temperature: f64) -> Vec<f64> {
    let temperature = if temperature > 0.0 { temperature } else { 1.0 };
    let top = log_scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if !top.is_finite() {
        return vec![0.0; log_scores.len()];
    }
    let weights: Vec<f64> = log_scores
        .iter()
        .map(|score| ((score - top) / temperature).exp())
        .collect();
    let sum: f64 = weights.iter().sum();
    weights.into_iter().map(|weight| (weight / sum).min(CERTAIN)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probabilities_add_up_and_keep_their_order() {
        let p = probabilities(&[-1.0, -2.0, -1.5], 1.0);
        assert!((p.iter().sum::<f64>() - 1.0).abs() < 1e-9);
        assert!(p[0] > p[2] && p[2] > p[1]);
    }

    #[test]
    fn nothing_is_certain() {
        assert!(probabilities(&[0.0, -100.0], 1.0)[0] <= CERTAIN);
        assert_eq!(probabilities(&[f64::NEG_INFINITY], 1.0), [0.0]);
    }
}
