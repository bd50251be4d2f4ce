//! Change points, Bayesian and online (after Adams and others, 2007): how probable it is that the series became another one just now.
//!
//! Each sample either goes on with the run at hand or begins a new one. Of every length of the run its probability and what the values of
//! such a run would be like are kept; lengths beyond a bound are one.

use statrs::function::gamma::ln_gamma;

/// A run ends with this probability at each sample.
const HAZARD: f64 = 1.0 / 500.0;

/// Longest run that is told from longer ones.
const LONGEST: usize = 200;

/// A run shorter than this is a change.
const RECENT: usize = 3;

/// What is taken for known of a new run's level and spread, in samples, before its first value: hardly anything.
const KAPPA: f64 = 0.05;
const ALPHA: f64 = 1.0;

/// See the module.
pub struct RunLength {
    /// By length: probability, mean, and sum of squares (beta of the inverse gamma).
    runs: Vec<(f64, f64, f64)>,
    /// Of each length, what does not depend on the values.
    constants: Vec<f64>,
    centre: f64,
    spread: f64,
}

impl RunLength {
    /// That knows a past.
    pub fn learned(past: &[f32]) -> Self {
        let count = past.len().max(1) as f64;
        let centre = past.iter().map(|place| f64::from(*place)).sum::<f64>() / count;
        let squares: f64 = past.iter().map(|place| (f64::from(*place) - centre).powi(2)).sum();
        let constants = (0..=LONGEST)
            .map(|length| {
                let alpha = ALPHA + length as f64 / 2.0;
                ln_gamma(alpha + 0.5) - ln_gamma(alpha)
            })
            .collect();
        let mut runs = Self {
            runs: vec![(1.0, 0.0, 1.0)],
            constants,
            centre,
            spread: (squares / count).sqrt().max(1e-6),
        };
        for place in past {
            runs.push(*place);
        }
        runs
    }

    /// Probability that a new run began within the last few samples, this one included.
    pub fn push(&mut self, place: f32) -> f32 {
        let value = ((f64::from(place) - self.centre) / self.spread).clamp(-1e3, 1e3);
        let (mut ended, mut total) = (0.0, 0.0);
        let mut next = Vec::with_capacity(self.runs.len() + 1);
        next.push((0.0, 0.0, 1.0));
        for (length, (probability, mean, beta)) in self.runs.iter().enumerate() {
            let (kappa, alpha) = (KAPPA + length as f64, ALPHA + length as f64 / 2.0);
            // Student's t: what a run of that length expects next.
            let scale = beta * (kappa + 1.0) / (alpha * kappa);
            let off = (value - mean).powi(2) / scale;
            let freedom = 2.0 * alpha;
            let log = self.constants[length]
                - 0.5 * (freedom * std::f64::consts::PI * scale).ln()
                - f64::midpoint(freedom, 1.0) * (off / freedom).ln_1p();
            let seen = probability * log.exp().max(f64::MIN_POSITIVE);
            ended += seen * HAZARD;
            let on = seen * (1.0 - HAZARD);
            total += seen;
            next.push((
                on,
                (kappa * mean + value) / (kappa + 1.0),
                beta + kappa * (value - mean).powi(2) / (2.0 * (kappa + 1.0)),
            ));
        }
        if total.is_nan() || total <= 0.0 {
            return 0.0;
        }
        next[0].0 = ended;
        if next.len() > LONGEST + 1 {
            // The longest two become one: so long a run has nothing left to learn from a sample.
            let longest = next.pop().unwrap_or_default();
            if let Some(last) = next.last_mut() {
                last.0 += longest.0;
            }
        }
        for (probability, _, _) in &mut next {
            *probability /= total;
        }
        self.runs = next;
        self.runs.iter().take(RECENT).map(|run| run.0).sum::<f64>() as f32
    }
}
