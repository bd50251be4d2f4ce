//! Steady: a series that has been plain noise about one level for as long as it is known, and no longer is.
//!
//! What watches a level or a noise in general learns for a day, because most series have a rhythm, regimes or bursts. One that has none shows
//! that within some hundred samples: by its tail (kurtosis), by how far its moving average wanders compared with that of an autoregressive
//! process of its variance and correlation, and by how far it ever went. Such a series is known soon, and what leaves it by many of
//! its own deviations is told. Any other series is not judged here at all.
//!
//! What is strange is learned from when it is over, by how far it went; what stays strange is another series, and learned anew.

/// Weights of a new sample in the quick and in the slow average; roughness is averaged as slowly.
const QUICK: f64 = 1.0 / 8.0;
const SLOW: f64 = 1.0 / 32.0;

/// Samples before anything is said of values and levels, and of noise.
const READY: u32 = 160;
const ROUGH_READY: u32 = 192;

/// Samples of which nothing is remembered as far out, and after which what lies far out counts for less.
const WARM_UP: u32 = 64;

/// What is usual is an average of so many samples.
const MEMORY: f64 = 8192.0;

/// A sample counts at most so many deviations, the square of a step at most so many times what it usually is.
const CLIP: f64 = 4.0;
const STEP_CLIP: f64 = 25.0;

/// Kurtosis of plain noise: 3 for bell-shaped one.
const KURTOSIS: f64 = 4.4;

/// So many samples that do not depend on one another are needed to know a level, and none is known of what hardly forgets.
const INDEPENDENT: f64 = 80.0;
const CORRELATED: f64 = 0.94;
const CORRELATED_MOST: f64 = 0.95;
const CORRELATED_LEAST: f64 = -0.5;

/// How many times as much as such a process would its average may wander: of what is judged by its level, and of what is judged by its noise.
const WANDERS: f64 = 2.0;
const ROUGH_WANDERS: f64 = 5.0;

/// Samples after which what stays strange is another series, and for which nothing more is told after an alarm is over.
const STAYS: u16 = 2048;
const AFTER: u16 = 512;

/// What is looked at: the sample itself, its quick and its slow average, in deviations of each, and how many times rougher than
/// usual it is, less one.
const LOOKS: [Rules; 4] = [
    Rules::of(4.5, 4.5, 7.0, 1.7),
    Rules::of(4.0, 5.0, 7.0, 1.8),
    Rules::of(2.8, 4.5, 8.0, 1.8),
    Rules::of(1.2, 1.5, 6.0, 6.0),
];
const ROUGH: usize = 3;

struct Rules {
    /// From here on it is strange, and not learned from.
    strange: f64,
    /// A series that ever went further is not steady.
    furthest: f64,
    /// What is told: at least this, and so many times as far as ever before.
    bar: f64,
    times: f64,
}

impl Rules {
    const fn of(strange: f64, furthest: f64, bar: f64, times: f64) -> Self {
        Self {
            strange,
            furthest,
            bar,
            times,
        }
    }
}

/// What is no longer as it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Left {
    /// A value, or a few of them.
    Value,
    /// The level.
    Level,
    /// The noise.
    Noise,
}

const LEFT: [Left; 4] = [Left::Value, Left::Value, Left::Level, Left::Noise];

/// See the module.
#[derive(Debug, Clone, Default)]
pub struct Steady {
    seen: u32,
    /// Of the samples: mean, variance, fourth central moment, and mean product of neighbours.
    mean: f64,
    variance: f64,
    fourth: f64,
    lag: f64,
    last: f64,
    quick: f64,
    slow: f64,
    slow_variance: f64,
    /// Mean squares of steps: lately, and usually.
    rough: f64,
    usually_rough: f64,
    /// How far each look ever went, and how far it goes now.
    furthest: [f32; 4],
    goes: [f32; 4],
    strange: u16,
    after: u16,
}

impl Steady {
    /// Takes in the next value. The answer is how far the series has left what it was, in alarms (from 1 on it is one), and what left;
    /// nothing while that is not known, while an alarm stands, and while nobody would hear it: then it can still be told later.
    pub fn push(&mut self, value: f64, heard: bool) -> Option<(f32, Left)> {
        self.seen = self.seen.saturating_add(1);
        if self.seen == 1 {
            self.mean = value;
            self.last = value;
            self.quick = value;
            self.slow = value;
            return None;
        }
        self.quick += QUICK * (value - self.quick);
        self.slow += SLOW * (value - self.slow);
        let step = (value - self.last).powi(2);
        let step = if self.seen > WARM_UP && self.usually_rough > 0.0 {
            step.min(STEP_CLIP * self.usually_rough)
        } else {
            step
        };
        self.rough += SLOW.max(1.0 / f64::from(self.seen)) * (step - self.rough);
        let looks = self.looks(value);
        let open = self.open();
        let mut most = None;
        let mut strange = false;
        for (place, rules) in LOOKS.iter().enumerate().filter(|(place, _)| open[*place]) {
            strange |= looks[place] > rules.strange;
            let strength = looks[place] / rules.bar.max(rules.times * f64::from(self.furthest[place]));
            if heard && most.is_none_or(|(known, _)| strength as f32 > known) {
                most = Some((strength as f32, LEFT[place]));
            }
        }
        if self.after > 0 {
            self.after -= u16::from(!strange);
            most = None;
        }
        if most.is_some_and(|(strength, _)| strength >= 1.0) {
            self.after = AFTER;
        }
        self.follow(value, step, looks, strange);
        most
    }

    /// Lag-one correlation of its noise.
    fn correlation(&self) -> f64 {
        let correlation = self.lag / self.variance;
        if correlation.is_finite() {
            correlation.clamp(CORRELATED_LEAST, CORRELATED_MOST)
        } else {
            0.0
        }
    }

    /// Variance of a moving average, if the series is autoregressive.
    fn wandering(&self, weight: f64) -> f64 {
        let kept = self.correlation() * (1.0 - weight);
        self.variance * weight / (2.0 - weight) * (1.0 + kept) / (1.0 - kept)
    }

    /// See [`LOOKS`].
    fn looks(&self, value: f64) -> [f64; 4] {
        let slow = self.wandering(SLOW).max(self.slow_variance);
        let off = |value: f64, variance: f64| (value - self.mean).abs() / variance.sqrt().max(f64::MIN_POSITIVE);
        [
            off(value, self.variance),
            off(self.quick, self.wandering(QUICK)),
            off(self.slow, slow),
            self.rough / self.usually_rough.max(f64::MIN_POSITIVE) - 1.0,
        ]
    }

    /// Which looks know enough of the series to say that it is steady.
    fn open(&self) -> [bool; 4] {
        let correlation = self.correlation();
        let seen = f64::from(self.seen);
        let independent = seen.min(MEMORY) * (1.0 - correlation) / (1.0 + correlation);
        let wanders = self.slow_variance / self.wandering(SLOW);
        let tame = self.variance > 0.0 && self.fourth <= KURTOSIS * self.variance * self.variance;
        let level = self.seen >= READY && independent >= INDEPENDENT && correlation < CORRELATED && wanders <= WANDERS;
        let noise = self.seen >= ROUGH_READY && wanders <= ROUGH_WANDERS;
        std::array::from_fn(|place| {
            let known = if place == ROUGH { noise } else { level };
            tame && known && f64::from(self.furthest[place]) <= LOOKS[place].furthest
        })
    }

    fn follow(&mut self, value: f64, step: f64, looks: [f64; 4], strange: bool) {
        let before = std::mem::replace(&mut self.last, value);
        if strange {
            self.strange += 1;
            if self.strange > STAYS {
                *self = Self {
                    after: self.after,
                    ..Self::default()
                };
                return;
            }
            for (goes, look) in self.goes.iter_mut().zip(looks) {
                *goes = goes.max(look as f32);
            }
            return;
        }
        self.strange = self.strange.saturating_sub(1);
        let went = std::mem::take(&mut self.goes);
        if self.seen > WARM_UP {
            for ((furthest, went), look) in self.furthest.iter_mut().zip(went).zip(looks) {
                *furthest = furthest.max(went).max(look as f32);
            }
        }
        let most = CLIP * self.variance.sqrt();
        let clipped = |off: f64| {
            if self.seen > WARM_UP && most > 0.0 {
                off.clamp(-most, most)
            } else {
                off
            }
        };
        let (off, one_before) = (clipped(value - self.mean), clipped(before - self.mean));
        let seen = f64::from(self.seen);
        let weight = (1.0 / seen).max(1.0 / MEMORY);
        self.mean += weight * off;
        self.variance += weight * (off * off * (1.0 - weight) - self.variance);
        self.fourth += weight * (off.powi(4) - self.fourth);
        self.lag += weight * (off * one_before - self.lag);
        if self.seen > WARM_UP / 2 {
            let weight = (1.0 / (seen - f64::from(WARM_UP / 2))).max(1.0 / MEMORY);
            self.slow_variance += weight * ((self.slow - self.mean).powi(2) - self.slow_variance);
        }
        self.usually_rough += weight * (step - self.usually_rough);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::multivariate::testing::Noise;

    /// The first thing told of what is made of bell-shaped noise, sample by sample.
    fn told(samples: u32, make: impl Fn(u32, f64) -> f64) -> Option<(u32, Left)> {
        let mut noise = Noise::new(11);
        let mut steady = Steady::default();
        (0..samples).find_map(|n| {
            let (strength, left) = steady.push(make(n, noise.normal()), true)?;
            (strength >= 1.0).then_some((n, left))
        })
    }

    #[test]
    fn what_leaves_plain_noise_is_told_after_some_hundred_samples() {
        let first = 250;
        let after = |n: u32| f64::from(n.saturating_sub(first));
        let stepped = told(500, |n, noise| 20.0 + noise + if n >= first { 4.0 } else { 0.0 });
        assert!(
            matches!(stepped, Some((n, _)) if (first..first + 20).contains(&n)),
            "{stepped:?}"
        );
        let crept = told(500, |n, noise| 20.0 + noise + 0.03 * after(n));
        assert!(matches!(crept, Some((n, _)) if n > first), "{crept:?}");
        let rough = told(500, |n, noise| if n >= first { 5.0 * noise } else { noise });
        assert!(
            matches!(rough, Some((n, _)) if (first..first + 60).contains(&n)),
            "{rough:?}"
        );
        let spiked = told(500, |n, noise| if n == first { 9.0 } else { noise });
        assert_eq!(spiked, Some((first, Left::Value)));
    }

    #[test]
    fn plain_noise_itself_is_not_told() {
        assert_eq!(told(200_000, |_, noise| noise), None);
        assert_eq!(told(0, |_, noise| noise), None);
    }

    #[test]
    fn a_series_with_a_life_of_its_own_is_not_judged() {
        let regimes = told(20_000, |n, noise| noise + if n / 90 % 2 == 0 { 0.0 } else { 8.0 });
        let rhythm = told(20_000, |n, noise| 0.2 * noise + 5.0 * (f64::from(n) * 0.01).sin());
        let bursts = told(20_000, |n, noise| if n % 50 < 3 { 12.0 * noise } else { noise });
        assert_eq!((regimes, rhythm, bursts), (None, None, None));
        assert_eq!(told(2_000, |_, _| 4.0), None, "it stands still");
    }

    #[test]
    fn one_departure_is_one_alarm_and_what_stays_is_learned_anew() {
        let mut noise = Noise::new(7);
        let mut steady = Steady::default();
        let mut alarms = Vec::new();
        for n in 0..12_000_u32 {
            let level = f64::from(n / 6000) * 6.0 + if n == 11_000 { 12.0 } else { 0.0 };
            let strength = steady
                .push(level + noise.normal(), true)
                .map_or(0.0, |(strength, _)| strength);
            if strength >= 1.0 {
                alarms.push(n);
            }
        }
        assert!(
            matches!(alarms[..], [step, 11_000] if (6000..6010).contains(&step)),
            "{alarms:?}"
        );
    }
}
