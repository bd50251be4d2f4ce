//! How far out in its own tail a score lies: peaks over a threshold, streaming.
//!
//! Follows the 98 % quantile of what it is fed and the mean excess above it. An exponential tail is assumed; what comes out is
//! minus the logarithm of the probability to see as much, and 0 below the quantile. No refit, no window.

const QUANTILE: f32 = 0.98;

/// `-ln(1 - QUANTILE)`: what lies at the quantile is worth.
const AT_QUANTILE: f32 = 3.912_023;

/// Slowest step of the quantile and of the mean deviation that scales it.
const STEP: f32 = 0.002;

/// Until so many scores were seen it steps faster.
const SETTLED: u16 = 1000;

/// Weight of a new excess in their mean.
const WEIGHT: f32 = 0.02;

/// An excess counts at most this many times the mean one, so that one event does not hide the next.
const CLIP: f32 = 6.0;

/// So many excesses are each learned from before those of a run are one: the first say little of how far others may go.
const RUNS_FROM: u16 = 12;

/// See the module.
#[derive(Debug, Clone, Default)]
pub struct Tail {
    quantile: f32,
    deviation: f32,
    excess: f32,
    seen: u16,
    exceeded: u16,
}

impl Tail {
    /// Minus the log of the probability of `score`, which is learned from afterwards.
    pub fn push(&mut self, score: f32) -> f32 {
        if self.seen == 0 {
            self.quantile = score;
            self.seen = 1;
            return 0.0;
        }
        let above = score - self.quantile;
        let surprise = self.surprise(above);
        if above > 0.0 {
            self.learn(above);
        }
        self.follow(above);
        surprise
    }

    /// The same of scores that hang together, such as moving averages: those that lie in the tail one after the other are one event, and it is learned
    /// from when it is over, by the furthest of them. What departs slowly would make itself usual else. `run` is the furthest so far.
    pub fn push_run(&mut self, score: f32, run: &mut f32) -> f32 {
        if self.exceeded < RUNS_FROM {
            return self.push(score);
        }
        let above = score - self.quantile;
        if above > 0.0 {
            *run = run.max(above);
        } else if *run > 0.0 {
            self.learn(std::mem::take(run));
        }
        let surprise = self.surprise(above);
        self.follow(above);
        surprise
    }

    fn surprise(&self, above: f32) -> f32 {
        match above > 0.0 {
            true if self.excess > 0.0 => AT_QUANTILE + above / self.excess,
            true => AT_QUANTILE,
            false => 0.0,
        }
    }

    fn learn(&mut self, above: f32) {
        if self.excess > 0.0 {
            self.exceeded = self.exceeded.saturating_add(1);
            let weight = WEIGHT.max(1.0 / (f32::from(self.exceeded) + 1.0));
            self.excess += weight * (above.min(CLIP * self.excess) - self.excess);
        } else {
            self.excess = above;
        }
    }

    /// The quantile and the deviation follow.
    fn follow(&mut self, above: f32) {
        self.seen = self.seen.saturating_add(1);
        let (weight, pace) = if self.seen < SETTLED {
            let seen = f32::from(self.seen);
            (1.0 / seen, 2.0 / (seen + 2.0))
        } else {
            (STEP, STEP)
        };
        self.deviation += weight * (above.abs() - self.deviation);
        let step = pace * self.deviation;
        self.quantile += step * if above > 0.0 { QUANTILE } else { QUANTILE - 1.0 };
    }

    /// A little of what the next score will read.
    pub fn touch(&self) -> u64 {
        u64::from(self.seen)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Evenly spread over 0..1, without a pattern.
    fn spread(n: u32) -> f32 {
        (n as f32 * 0.618_034).fract()
    }

    #[test]
    fn about_one_in_fifty_lies_in_the_tail() {
        let mut tail = Tail::default();
        let out = (0..20_000).filter(|n| tail.push(spread(*n)) > 0.0).count();
        assert!((200..800).contains(&out), "{out} of 20000");
    }

    #[test]
    fn further_out_is_worth_more() {
        let fed = || {
            let mut tail = Tail::default();
            for n in 0..5000 {
                tail.push(spread(n));
            }
            tail
        };
        let (near, far) = (fed().push(1.2), fed().push(5.0));
        assert!(near > AT_QUANTILE && far > 2.0 * near, "{near} {far}");
        assert!(fed().push(0.5).abs() < 1e-6);
    }

    #[test]
    fn what_departs_slowly_does_not_make_itself_usual() {
        // A moving average that leaves its band step by step.
        let departs = |push: &mut dyn FnMut(f32) -> f32| {
            let mut average = 0.0;
            let seen = (0..2000).map(|n| {
                let away = (n as f32 - 1900.0).max(0.0) * 0.02;
                average += 0.1 * (spread(n) - 0.5 + away - average);
                push(average.abs())
            });
            seen.fold(0.0, f32::max)
        };
        let (mut plain, mut runs, mut run) = (Tail::default(), Tail::default(), 0.0);
        let hidden = departs(&mut |score| plain.push(score));
        let told = departs(&mut |score| runs.push_run(score, &mut run));
        assert!(told > 2.0 * hidden, "{told} {hidden}");
    }

    #[test]
    fn a_tail_that_was_heavy_before_is_worth_less() {
        let mut calm = Tail::default();
        let mut wild = Tail::default();
        for n in 0..5000 {
            calm.push(spread(n));
            wild.push(if n % 100 == 0 { 10.0 } else { spread(n) });
        }
        assert!(calm.push(10.0) > 4.0 * wild.push(10.0));
    }
}
