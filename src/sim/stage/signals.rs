//! What is measured: a level with noise, and what a fault does to it.

use std::time::Duration;

use fastrand::Rng;

use crate::model::{SignalName, SymptomKind};

/// The level of every signal; what it means is the case's business.
pub const LEVEL: f64 = 40.0;

/// Share of the level by which it wavers.
const NOISE: f64 = 0.01;

/// Bounds of rules, between the level and where a fault takes it.
pub const ABOVE: f64 = LEVEL * 1.5;
/// See above.
pub const BELOW: f64 = LEVEL * 0.5;
/// Per second.
pub const RATE: f64 = LEVEL * 0.4;

/// What a fault does to a signal.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Shape {
    /// It jumps up.
    High,
    /// It falls down.
    Low,
    /// It rises fast.
    Rate,
    /// It creeps away.
    Drift,
    /// It jumps, by little as bounds go and by much as its noise goes.
    Anomaly,
    /// It stands still.
    Stuck,
}

impl Shape {
    /// That by which a symptom shows.
    pub const fn of(kind: SymptomKind) -> Option<Self> {
        Some(match kind {
            SymptomKind::High => Self::High,
            SymptomKind::Low => Self::Low,
            SymptomKind::Rate => Self::Rate,
            SymptomKind::Drift => Self::Drift,
            SymptomKind::Anomaly => Self::Anomaly,
            SymptomKind::Stuck => Self::Stuck,
            _ => return None,
        })
    }

    fn away(self, since: Duration) -> f64 {
        let seconds = since.as_secs_f64();
        match self {
            Self::High => LEVEL,
            Self::Low => -0.8 * LEVEL,
            Self::Rate => 3.0 * RATE * seconds,
            Self::Drift => NOISE * LEVEL * seconds,
            Self::Anomaly => 36.0 * NOISE * LEVEL,
            Self::Stuck => 0.0,
        }
    }
}

/// A signal of one entity.
pub struct Signal {
    /// Its name.
    pub name: SignalName,
    /// From one sample to the next.
    pub every: Duration,
    /// What happens to it from when on, or ends then.
    shapes: Vec<(Duration, Shape, bool)>,
}

impl Signal {
    /// With these shapes, by time.
    pub const fn new(name: SignalName, every: Duration, shapes: Vec<(Duration, Shape, bool)>) -> Self {
        Self { name, every, shapes }
    }

    /// From its beginning.
    pub const fn play(&self) -> Play<'_> {
        Play {
            signal: self,
            last: LEVEL,
        }
    }
}

/// A signal being played.
pub struct Play<'a> {
    signal: &'a Signal,
    last: f64,
}

impl Play<'_> {
    /// The value at that time.
    pub fn value(&mut self, at: Duration, rng: &mut Rng) -> f64 {
        let standing = |shape: Shape| {
            let mut of_shape = self.signal.shapes.iter().rev();
            let latest = of_shape.find(|(from, of, _)| *of == shape && *from <= at)?;
            (!latest.2).then_some(latest.0)
        };
        let mut value = LEVEL + LEVEL * NOISE * normal(rng);
        for shape in [Shape::High, Shape::Low, Shape::Rate, Shape::Drift, Shape::Anomaly] {
            if let Some(since) = standing(shape) {
                value += shape.away(at.saturating_sub(since));
            }
        }
        if standing(Shape::Stuck).is_some() {
            value = self.last;
        }
        // As a sensor would give it.
        self.last = (value * 100.0).round() / 100.0;
        self.last
    }
}

/// About a normal deviate: the sum of twelve (Irwin-Hall).
fn normal(rng: &mut Rng) -> f64 {
    (0..12).map(|_| rng.f64()).sum::<f64>() - 6.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mean(shapes: Vec<(Duration, Shape, bool)>) -> f64 {
        let signal = Signal::new("x".into(), Duration::from_secs(1), shapes);
        let (mut play, mut rng) = (signal.play(), Rng::with_seed(5));
        let sum: f64 = (10..60)
            .map(|second| play.value(Duration::from_secs(second), &mut rng))
            .sum();
        sum / 50.0
    }

    #[test]
    fn bounds_lie_between_the_level_and_the_fault() {
        let at = Duration::from_secs(5);
        assert!(mean(Vec::new()) > BELOW && mean(Vec::new()) < ABOVE);
        assert!(mean(vec![(at, Shape::High, false)]) > ABOVE);
        assert!(mean(vec![(at, Shape::Low, false)]) < BELOW);
        assert!(
            mean(vec![(at, Shape::Anomaly, false)]) < ABOVE,
            "odd, and within its bounds"
        );
        let over = vec![(at, Shape::High, false), (at * 2, Shape::High, true)];
        assert!(mean(over) < ABOVE, "what is over is over");
    }
}
