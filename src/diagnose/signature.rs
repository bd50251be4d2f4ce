//! Signatures of faults in one machine's many signals, learned from runs in which each was at work.
//!
//! What a stretch of time looks like against the normal run: how far each signal has shifted, how much it swings, how rough it is. A fault's signature is the
//! mean of that over its training run; a new stretch is the fault's whose signature it resembles most (Gaussian naive Bayes with one spread for all faults,
//! which needs no more than one run of each). Features of one machine hang together, so their evidence is tempered, by cross-validation within the training runs.

/// What is added to a spread before its logarithm is taken, in normal spreads: below it nothing can be told from rounding.
const FLOOR: f64 = 0.05;

/// A shift of a third of the normal spread is where the scale turns from straight to logarithmic.
const BEND: f64 = 3.0;

/// Least variance of a feature.
const VARIANCE_MIN: f64 = 0.05;

/// Stretches of training are taken every so many rows.
const STEP: usize = 10;

/// Temperatures from one up to this are tried, in so many steps.
const HOTTEST: f64 = 512.0;
const TRIED: u32 = 240;

/// Cases that were wrong before any was seen.
const WRONG_BEFOREHAND: f64 = 0.5;

/// Nothing is impossible.
const LEAST: f64 = 1e-6;

/// See the module.
pub struct Signatures {
    level: Vec<f64>,
    spread: Vec<f64>,
    length: usize,
    /// Of each fault: its name and its mean features.
    faults: Vec<(String, Vec<f64>)>,
    variance: Vec<f64>,
    temperature: f64,
    run_temperature: f64,
}

/// A stretch or a run that was not learned from: which fault it is of, its weight, its scores.
type Held = (usize, f64, Vec<f64>);

/// The temperature by which what was held back surprises least.
fn least_surprise(held: &[Held]) -> f64 {
    let weight: f64 = held.iter().map(|(_, weight, _)| weight).sum();
    let surprise = |temperature: f64| {
        let (mut truth, mut doubt) = (0.0, 0.0);
        for (right, weight, scores) in held {
            let probabilities = super::calibrate::probabilities(scores, temperature);
            let top = probabilities.iter().copied().fold(0.0, f64::max);
            truth -= weight * probabilities.get(*right).copied().unwrap_or(0.0).max(LEAST).ln();
            doubt -= weight * (1.0 - top).max(LEAST).ln();
        }
        truth + WRONG_BEFOREHAND * doubt / weight.max(LEAST)
    };
    let tried = (0..=TRIED).map(|step| (HOTTEST.ln() * f64::from(step) / f64::from(TRIED)).exp());
    tried
        .min_by(|a, b| surprise(*a).total_cmp(&surprise(*b)))
        .unwrap_or(1.0)
}

/// Rows in time, columns signals.
type Rows = [Vec<f64>];

impl Signatures {
    /// From a normal run and a run of each fault, in stretches of `length` rows. `None` if there is too little of anything.
    pub fn learn(normal: &Rows, runs: &[(String, Vec<Vec<f64>>)], length: usize) -> Option<Self> {
        let width = normal.first()?.len();
        let column = |at: usize| normal.iter().filter_map(move |row| row.get(at).copied());
        let (level, spread): (Vec<f64>, Vec<f64>) = (0..width)
            .map(|at| {
                let (mean, variance) = moments(column(at));
                (mean, variance.sqrt().max(1e-9))
            })
            .unzip();
        let mut learned = Self {
            level,
            spread,
            length,
            faults: Vec::new(),
            variance: Vec::new(),
            temperature: 1.0,
            run_temperature: 1.0,
        };
        let stretches: Vec<(&str, Vec<Vec<f64>>)> = runs
            .iter()
            .map(|(name, rows)| (name.as_str(), learned.stretches(rows, STEP)))
            .filter(|(_, stretches)| stretches.len() >= 4)
            .collect();
        if stretches.len() < 2 {
            return None;
        }
        let (temperature, run_temperature) = learned.cross_validated(&stretches);
        let whole: Vec<(&str, &[Vec<f64>])> = stretches.iter().map(|(name, all)| (*name, all.as_slice())).collect();
        learned.fit(&whole);
        learned.temperature = temperature;
        learned.run_temperature = run_temperature;
        Some(learned)
    }

    /// Temperatures for stretches and for whole runs, by cross-validation within the training runs: each stretch is scored by signatures of all others that do
    /// not overlap with it, and a run by the mean over its stretches, for those share its noise and its plant and are all but one piece of evidence. The
    /// temperature is that of the least surprise at the truth (temperature scaling; Guo et al., ICML 2017), with half a case that is wrong however
    /// sure it is called (Jeffreys): a handful of runs that are all named rightly prove no certainty.
    fn cross_validated(&mut self, stretches: &[(&str, Vec<Vec<f64>>)]) -> (f64, f64) {
        let apart = self.length / STEP;
        let (mut single, mut whole): (Vec<Held>, Vec<Held>) = (Vec::new(), Vec::new());
        for (right, (_, all)) in stretches.iter().enumerate() {
            let mut scores: Vec<Vec<f64>> = Vec::new();
            for (held, stretch) in all.iter().enumerate() {
                let far: Vec<Vec<f64>> = (0..all.len())
                    .filter(|other| other.abs_diff(held) >= apart)
                    .map(|other| all[other].clone())
                    .collect();
                if far.is_empty() {
                    continue;
                }
                let rest = |(place, (name, of_run)): (usize, &(&'_ str, Vec<Vec<f64>>))| {
                    let kept = if place == right { far.clone() } else { of_run.clone() };
                    ((*name).to_owned(), kept)
                };
                let rest: Vec<(String, Vec<Vec<f64>>)> = stretches.iter().enumerate().map(rest).collect();
                let rest: Vec<(&str, &[Vec<f64>])> = rest
                    .iter()
                    .map(|(name, kept)| (name.as_str(), kept.as_slice()))
                    .collect();
                self.fit(&rest);
                scores.push(self.scores(stretch));
            }
            let Some(width) = scores.first().map(Vec::len) else {
                continue;
            };
            let count = scores.len() as f64;
            let mean = |place: usize| scores.iter().map(|scores| scores[place]).sum::<f64>() / count;
            whole.push((right, 1.0, (0..width).map(mean).collect()));
            single.extend(scores.into_iter().map(|scores| (right, 1.0 / count, scores)));
        }
        (least_surprise(&single), least_surprise(&whole))
    }

    fn fit(&mut self, stretches: &[(&str, &[Vec<f64>])]) {
        let width = self.level.len() * 3;
        let mut sums = vec![0.0; width];
        self.faults.clear();
        for (name, stretches) in stretches {
            let feature = |at: usize| stretches.iter().filter_map(move |stretch| stretch.get(at).copied());
            let centre: Vec<f64> = (0..width)
                .map(|at| {
                    let (mean, variance) = moments(feature(at));
                    sums[at] += variance;
                    mean
                })
                .collect();
            self.faults.push(((*name).to_owned(), centre));
        }
        // One spread for all faults, each of which weighs the same.
        let count = self.faults.len().max(1) as f64;
        self.variance = sums.into_iter().map(|sum| sum / count + VARIANCE_MIN).collect();
    }

    /// The stretches of a run, each as its features.
    fn stretches(&self, rows: &Rows, step: usize) -> Vec<Vec<f64>> {
        rows.windows(self.length.max(2))
            .step_by(step.max(1))
            .map(|rows| self.features(rows))
            .collect()
    }

    fn features(&self, rows: &Rows) -> Vec<f64> {
        let mut features = Vec::with_capacity(self.level.len() * 3);
        for (at, (level, spread)) in self.level.iter().zip(&self.spread).enumerate() {
            let scaled = |row: &Vec<f64>| row.get(at).map_or(0.0, |value| (value - level) / spread);
            let (mean, variance) = moments(rows.iter().map(scaled));
            let steps = rows.windows(2).filter_map(|pair| match pair {
                [before, after] => Some(scaled(after) - scaled(before)),
                _ => None,
            });
            let (_, rough) = moments(steps);
            features.push((mean.abs() * BEND).ln_1p().copysign(mean));
            features.push((variance.sqrt() + FLOOR).ln());
            features.push((rough.sqrt() + FLOOR).ln());
        }
        features
    }

    fn scores(&self, features: &[f64]) -> Vec<f64> {
        let apart = |centre: &Vec<f64>| {
            let apart = features.iter().zip(centre).zip(&self.variance);
            -0.5 * apart.map(|((x, m), v)| (x - m).powi(2) / v).sum::<f64>()
        };
        self.faults.iter().map(|(_, centre)| apart(centre)).collect()
    }

    fn tempered(&self, features: &[f64], temperature: f64) -> Vec<(&str, f64)> {
        let probabilities = super::calibrate::probabilities(&self.scores(features), temperature);
        let names = self.faults.iter().map(|(name, _)| name.as_str());
        names.zip(probabilities).collect()
    }

    /// How probable each fault is for a run as a whole; nothing of a run that is too short.
    pub fn whole_run(&self, rows: &Rows, step: usize) -> Vec<(&str, f64)> {
        let scores: Vec<Vec<f64>> = self.stretches(rows, step).iter().map(|one| self.scores(one)).collect();
        let Some(width) = scores.first().map(Vec::len) else {
            return Vec::new();
        };
        let mean = |place: usize| scores.iter().map(|scores| scores[place]).sum::<f64>() / scores.len() as f64;
        let means: Vec<f64> = (0..width).map(mean).collect();
        let probabilities = super::calibrate::probabilities(&means, self.run_temperature);
        let names = self.faults.iter().map(|(name, _)| name.as_str());
        names.zip(probabilities).collect()
    }

    /// How probable each fault is for each stretch of a run, stretches following one another every `step` rows.
    pub fn of_run(&self, rows: &Rows, step: usize) -> Vec<Vec<(&str, f64)>> {
        self.stretches(rows, step)
            .iter()
            .map(|features| self.tempered(features, self.temperature))
            .collect()
    }
}

/// Mean and variance.
fn moments(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let (mut n, mut mean, mut sum) = (0.0, 0.0, 0.0);
    for value in values {
        n += 1.0;
        let off = value - mean;
        mean += off / n;
        sum += off * (value - mean);
    }
    (mean, if n > 0.0 { sum / n } else { 0.0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two signals; the first is off by `shift`, the second swings `swing` times as far.
    fn run(shift: f64, swing: f64, seed: u64) -> Vec<Vec<f64>> {
        let mut state = seed;
        let mut noise = move || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as f64 / f64::from(1_u32 << 31) - 0.5
        };
        (0..300)
            .map(|_| vec![10.0 + shift + noise(), 5.0 + swing * noise()])
            .collect()
    }

    #[test]
    fn a_shift_and_a_swing_are_told_apart_in_runs_that_were_not_learned_from() {
        let runs = [
            ("shift".to_owned(), run(2.0, 1.0, 2)),
            ("swing".to_owned(), run(0.0, 4.0, 3)),
        ];
        let learned = Signatures::learn(&run(0.0, 1.0, 1), &runs, 40).unwrap();
        for (name, rows) in [("shift", run(2.2, 1.0, 7)), ("swing", run(0.0, 3.5, 8))] {
            for stretch in learned.of_run(&rows, 40) {
                let best = stretch.iter().max_by(|a, b| a.1.total_cmp(&b.1)).unwrap();
                assert_eq!(best.0, name);
            }
        }
    }

    #[test]
    fn of_too_little_nothing_is_learned() {
        assert!(Signatures::learn(&[], &[], 40).is_none());
        let short = [("a".to_owned(), run(1.0, 1.0, 1)[..20].to_vec())];
        assert!(Signatures::learn(&run(0.0, 1.0, 1), &short, 40).is_none());
    }
}
