//! How far a statistic stands above its own usual peaks, and what that has to be for so many false alarms a day.
//!
//! Time is cut into stretches of rows; of each the highest value is remembered, as mean and spread of its logarithm. Peaks of
//! nearly anything have a tail that falls off exponentially on that scale, so that `ln(stretches a day / false alarms a day)`
//! spreads above the mean is the bar. What few stretches were seen of has to stand further out.

/// Rows of a stretch.
const STRETCH: u16 = 64;

/// Stretches to know before anything is said.
const NEEDED: u16 = 3;

/// Standard deviation of what is left of a Gumbel distribution to its scale.
const SCALE: f32 = 0.78;

/// Least spread, and the smallest value that has a logarithm.
const SPREAD_MIN: f32 = 0.05;
const TINY: f32 = 1e-3;

/// A peak counts at most so many deviations, so that one event does not hide the next.
const CLIP: f32 = 6.0;

/// How much further out it has to stand after one stretch; half of it after two, and so on.
const YOUNG: f32 = 3.0;

/// The same where others show what spread is usual.
const YOUNG_AMONG: f32 = 2.0;

/// Stretches that are remembered.
const MEMORY: u16 = 1000;

/// Of bell-shaped noise: how far a peak stands above a row, in logarithms, and by how much more where there are bursts; the bar at which its
/// tail and the exponential one agree, and which part of what is beyond it does not need.
const BELL_REACH: f32 = 1.6;
const BURST_REACH: f32 = 0.5;
const BELL_EQUAL: f32 = 5.5;
const LIGHTER: f32 = 0.4;

/// What is usual among others is worth so many stretches of one's own.
const BORROWED: f32 = 6.0;

/// See the module.
#[derive(Debug, Clone)]
pub struct Peaks {
    peak: f32,
    mean: f32,
    variance: f32,
    /// Sum of the logarithms of the stretch at hand, and their usual mean.
    sum: f32,
    level: f32,
    rows: u16,
    stretches: u16,
}

impl Default for Peaks {
    fn default() -> Self {
        Self {
            peak: f32::MIN,
            mean: 0.0,
            variance: 0.0,
            sum: 0.0,
            level: 0.0,
            rows: 0,
            stretches: 0,
        }
    }
}

impl Peaks {
    /// Spreads by which `value` is above the mean of the peaks before it; 0 while that is unknown.
    pub fn push(&mut self, value: f32) -> f32 {
        self.push_among(value, STRETCH, 0.0)
    }

    /// The same of one among several alike, whose logarithms' peaks usually have the variance `usual` (0 if that is not known), by
    /// stretches of so many rows.
    pub fn push_among(&mut self, value: f32, rows: u16, usual: f32) -> f32 {
        let log = (value.max(0.0) + TINY).ln();
        let above = if self.stretches < NEEDED {
            0.0
        } else {
            let own = f32::from(self.stretches);
            // Who varies more than others does so by nature; who seems to vary less has not been seen for long.
            let (variance, young) = if usual > 0.0 {
                let shrunk = (own * self.variance + BORROWED * usual) / (own + BORROWED);
                (self.variance.max(shrunk), YOUNG_AMONG / (own + BORROWED))
            } else {
                (self.variance, YOUNG / own)
            };
            let spread = (variance.sqrt() * SCALE).max(SPREAD_MIN);
            ((log - self.mean) / spread / (1.0 + young)).max(0.0)
        };
        self.peak = self.peak.max(log);
        self.sum += log;
        self.rows += 1;
        if self.rows >= rows {
            self.close();
        }
        above
    }

    /// What of a bar by an exponential tail has to be reached. The logarithm of bell-shaped noise falls off faster than that, the more so the
    /// further out, and such noise is known by how little its peaks stand above its rows.
    pub fn tempered(&self, bar: f32) -> f32 {
        let bursts = ((self.mean - self.level - BELL_REACH) / BURST_REACH).clamp(0.0, 1.0);
        bar - LIGHTER * (1.0 - bursts) * (bar - BELL_EQUAL).max(0.0)
    }

    /// Of the logarithms of its peaks, once a few are known.
    pub fn variance(&self) -> Option<f32> {
        (self.stretches >= NEEDED).then_some(self.variance)
    }

    fn close(&mut self) {
        self.stretches = self.stretches.saturating_add(1).min(MEMORY);
        let mut off = self.peak - self.mean;
        if self.stretches == 1 {
            self.mean = self.peak;
            off = 0.0;
        } else if self.stretches > NEEDED {
            let limit = CLIP * self.variance.sqrt().max(SPREAD_MIN);
            off = off.clamp(-limit, limit);
        }
        let weight = 1.0 / f32::from(self.stretches);
        self.level += weight * (self.sum / f32::from(self.rows) - self.level);
        self.sum = 0.0;
        self.mean += weight * off;
        self.variance = (1.0 - weight) * (self.variance + weight * off * off);
        self.peak = f32::MIN;
        self.rows = 0;
    }

    /// What the value is of was learned anew: what was known of its peaks counts half.
    pub fn doubt(&mut self) {
        self.stretches = (self.stretches / 2).max(self.stretches.min(NEEDED));
    }

    /// What [`Self::push`] has to answer for an alarm, where rows are so many seconds apart and so many false alarms a day
    /// are allowed.
    pub fn bar(row_secs: f32, false_alarms_per_day: f32) -> f32 {
        Self::bar_over(STRETCH, row_secs, false_alarms_per_day)
    }

    /// The same by stretches of so many rows.
    pub fn bar_over(rows: u16, row_secs: f32, false_alarms_per_day: f32) -> f32 {
        let stretches_per_day = 86_400.0 / (row_secs.max(1e-3) * f32::from(rows));
        (stretches_per_day / false_alarms_per_day).ln().max(2.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::multivariate::testing::Noise;

    /// Alarms in so many rows of bell-shaped noise of growing age.
    fn alarms(rows: u32, bar: f32, heavy: bool) -> u32 {
        let mut noise = Noise::new(23);
        let mut peaks = Peaks::default();
        (0..rows)
            .map(|_| {
                let value = noise.normal().abs();
                let value = if heavy { value.powi(3) } else { value };
                u32::from(peaks.push(value as f32) >= bar)
            })
            .sum()
    }

    #[test]
    fn noise_of_any_tail_seldom_reaches_the_bar() {
        let bar = Peaks::bar(60.0, 0.1);
        // 100,000 rows are 69 days: seven alarms are allowed.
        assert!(alarms(100_000, bar, false) <= 7);
        assert!(alarms(100_000, bar, true) <= 7);
    }

    #[test]
    fn what_stands_out_is_told() {
        let mut noise = Noise::new(5);
        let mut peaks = Peaks::default();
        for _ in 0..2000 {
            peaks.push(noise.normal().abs() as f32);
        }
        assert!(peaks.push(12.0) >= Peaks::bar(60.0, 0.1));
        assert!(peaks.push(1.0) < 1.0);
    }

    #[test]
    fn nothing_is_said_of_what_is_hardly_known() {
        let mut peaks = Peaks::default();
        for _ in 0..u32::from(STRETCH * NEEDED) - 1 {
            peaks.push(1.0);
            assert!(peaks.clone().push(1e9).abs() < f32::EPSILON);
        }
    }

    #[test]
    fn who_sends_more_often_is_not_told_more_often() {
        assert!(Peaks::bar(1.0, 0.1) > Peaks::bar(60.0, 0.1));
        assert!(Peaks::bar(60.0, 0.01) > Peaks::bar(60.0, 0.1));
        assert!(Peaks::bar(f32::NAN, 0.1).is_finite() && Peaks::bar(1e12, 0.1) > 0.0);
    }
}
