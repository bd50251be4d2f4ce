//! Where a series usually lies and how wide it is: what makes one volt and one million bytes comparable.
//!
//! Learned from its first samples and looked over once more later, from a thinned sample of all until then. Inside the usual
//! span the placing is straight; far outside it is logarithmic, so that a series which once was a hundred times as large
//! still tells ten from twenty.

/// Straight up to about one over this many spans, logarithmic beyond.
const BEND: f32 = 0.35;

/// Further out, in spans, all is the same.
const LARGEST: f32 = 1e18;

/// Added to a magnitude in spans before its logarithm is taken: zero has one as well.
const NEAR_ZERO: f32 = 0.05;

/// Samples kept to learn from.
pub const KEPT: usize = 128;

/// See the module.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Frame {
    centre: f64,
    span: f64,
    log_span: f32,
}

impl Frame {
    /// Where `value` lies: 0 is the centre, 1 is one usual span above it.
    pub fn place(&self, value: f64) -> f32 {
        let spans = ((value - self.centre) / self.span) as f32;
        let size = (spans * BEND).abs().min(LARGEST);
        // The inverse of the hyperbolic sine, written so that it calls for one square root. Near zero it is good to a ten-millionth of
        // a span, far below a step of any coordinate, and a plain logarithm is twice as fast as that of one more.
        let bent = (1.0 + (size + size * (size / (1.0 + (1.0 + size * size).sqrt())))).ln();
        (bent / BEND).copysign(spans)
    }

    /// How large `value` is, apart from its sign, in usual spans of the logarithm.
    pub fn magnitude(&self, value: f64) -> f32 {
        (((value.abs() / self.span) as f32).min(f32::MAX) + NEAR_ZERO).ln() / self.log_span
    }

    /// The value that lies at `place`.
    pub fn value(&self, place: f32) -> f64 {
        self.centre + f64::from((place * BEND).sinh() / BEND) * self.span
    }

    /// The size of the value whose magnitude that is.
    pub fn size(&self, magnitude: f32) -> f64 {
        f64::from(((magnitude * self.log_span).exp() - NEAR_ZERO).max(0.0)) * self.span
    }
}

/// Collects what a frame is learned from: all samples at first, then every second one, every fourth one and so on.
#[derive(Debug, Clone)]
pub struct Learner {
    origin: f64,
    /// Offset from the origin, with the time of day.
    kept: Vec<(f32, i16)>,
    stride: u32,
    skipped: u32,
}

impl Learner {
    /// Around the first value.
    pub fn new(origin: f64) -> Self {
        Self {
            origin,
            kept: Vec::new(),
            stride: 1,
            skipped: 0,
        }
    }

    /// Takes in a value and its time of day.
    pub fn push(&mut self, value: f64, turn: i16) {
        self.skipped += 1;
        if self.skipped < self.stride {
            return;
        }
        self.skipped = 0;
        if self.kept.len() >= KEPT {
            let mut odd = false;
            self.kept.retain(|_| {
                odd = !odd;
                odd
            });
            self.stride *= 2;
        }
        self.kept.push(((value - self.origin) as f32, turn));
    }

    /// What was kept, in order.
    pub fn kept(&self) -> impl Iterator<Item = (f64, i16)> + '_ {
        self.kept
            .iter()
            .map(|(offset, turn)| (self.origin + f64::from(*offset), *turn))
    }

    /// The frame of what was kept.
    pub fn frame(&self) -> Frame {
        let values: Vec<f64> = self.kept().map(|(value, _)| value).collect();
        let (span, centre) = spread(values.clone());
        // A constant signal has no span of its own: a hundredth of its level stands in.
        let span = [span, centre.abs() / 100.0]
            .into_iter()
            .find(|span| *span > 0.0 && span.is_finite())
            .unwrap_or(1.0);
        let logs = values
            .iter()
            .map(|value| f64::from(((value.abs() / span) as f32).min(f32::MAX) + NEAR_ZERO).ln());
        let log_span = spread(logs.collect()).0 as f32;
        Frame {
            centre,
            span,
            log_span: if log_span > 0.0 { log_span } else { 1.0 },
        }
    }
}

/// From the 2 % to the 98 % quantile, the standard deviation where that is nothing; and the median.
fn spread(mut values: Vec<f64>) -> (f64, f64) {
    values.sort_by(f64::total_cmp);
    let quantile = |q: f64| {
        let place = q * values.len().saturating_sub(1) as f64;
        let below = values.get(place as usize).copied().unwrap_or(0.0);
        let above = values.get(place.ceil() as usize).copied().unwrap_or(below);
        below + (above - below) * place.fract()
    };
    let median = quantile(0.5);
    let span = quantile(0.98) - quantile(0.02);
    if span > 0.0 {
        return (span, median);
    }
    let count = values.len().max(1) as f64;
    let mean = values.iter().sum::<f64>() / count;
    let variance = values.iter().map(|value| (value - mean) * (value - mean)).sum::<f64>() / count;
    // The mean of equal numbers is not always that number.
    let deviation = variance.sqrt();
    let rounding = 1e-9 * mean.abs();
    (if deviation > rounding { deviation } else { 0.0 }, median)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn learned(values: impl Iterator<Item = f64>) -> Frame {
        let mut learner = Learner::new(0.0);
        for value in values {
            learner.push(value, 0);
        }
        learner.frame()
    }

    #[test]
    fn a_usual_span_is_one_unit_near_the_centre() {
        let frame = learned((0..=100).map(|n| 50.0 + f64::from(n)));
        assert!(frame.place(100.0).abs() < 1e-6);
        let near = frame.place(110.0);
        assert!((near - 10.0 / 96.0).abs() < 0.01, "{near}");
        assert!(frame.place(100.0 + 96e6) < 60.0, "far away it bends");
    }

    #[test]
    fn placing_can_be_undone() {
        let frame = learned((0..=100).map(|n| 50.0 + f64::from(n)));
        for value in [-3000.0, 60.0, 1e5] {
            assert!((frame.value(frame.place(value)) / value - 1.0).abs() < 1e-3);
            assert!((frame.size(frame.magnitude(value)) / value.abs() - 1.0).abs() < 1e-3);
        }
    }

    #[test]
    fn what_never_moved_has_a_frame_as_well() {
        assert!(learned((0..200).map(|_| 20.0)).place(21.0) > 1.0);
        assert!(learned((0..200).map(|_| 0.0)).place(1.0).is_finite());
        let constant = learned((0..200).map(|_| 0.1));
        assert!(constant.place(0.1002) < 1.0 && constant.magnitude(0.1).abs() < 10.0);
        assert!(learned([].into_iter()).place(1.0).is_finite());
    }

    #[test]
    fn a_small_signal_on_a_large_level_is_seen() {
        let mut learner = Learner::new(1e12);
        for n in 0..128 {
            learner.push(1e12 + f64::from(n % 10), 0);
        }
        let frame = learner.frame();
        assert!((frame.place(1e12 + 40.0) - frame.place(1e12)).abs() > 2.0);
    }

    #[test]
    fn thinning_keeps_all_times_alike() {
        let mut learner = Learner::new(0.0);
        for n in 0..1000 {
            learner.push(f64::from(n), 0);
        }
        let kept: Vec<f64> = learner.kept().map(|(value, _)| value).collect();
        assert!(kept.len() <= KEPT && kept.len() > KEPT / 2);
        assert!(
            kept.iter()
                .filter(|value| **value < 500.0)
                .count()
                .abs_diff(kept.len() / 2)
                < 12
        );
    }
}
