//! What is measured: a level with noise, what it follows together with others, and what a fault does to it.

use std::time::Duration;

use fastrand::Rng;

use crate::model::hash::{FNV, fnv1a};
use crate::model::{EntityName, SignalName, SymptomKind};

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

/// How far what several signals follow takes them from their level: within the bounds of rules, and much against their noise.
const SWING: f64 = 0.35 * LEVEL;
const SWING_SECONDS: [f64; 3] = [7.3, 11.9, 19.1];

/// A load comes and goes so many times as fast as the weather.
const LOAD_PACE: f64 = 4.0;

/// Who goes apart from its group goes so far, which is within what it measured before; and so fast.
const APART: f64 = 20.0 * NOISE * LEVEL;
const APART_PER_SECOND: f64 = APART / 4.0;

/// Signals that no longer fit together are off by so much each, every other one the other way: little for any of them.
const ASKEW: f64 = 12.0 * NOISE * LEVEL;

/// What no longer follows leaves the others within so long.
const LEAVES: f64 = 2.0;

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
    /// It leaves those that measure the same, and nothing that it was itself.
    Apart,
    /// It goes on as before, and no longer with the others of its device.
    Alone,
    /// All signals of its device are a little off from one another.
    Askew,
    /// It is told in another unit: degrees Fahrenheit for Celsius.
    Unit,
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
            SymptomKind::Apart => Self::Apart,
            SymptomKind::Decoupled => Self::Alone,
            SymptomKind::Joint => Self::Askew,
            SymptomKind::Unit => Self::Unit,
            _ => return None,
        })
    }

    /// It takes a learned detector, which needs many samples.
    pub const fn is_learned(self) -> bool {
        !matches!(self, Self::High | Self::Low | Self::Rate)
    }

    /// It shows only among several signals, against what they follow together.
    pub const fn of_many(self) -> bool {
        matches!(self, Self::Apart | Self::Alone | Self::Askew)
    }

    fn away(self, since: Duration) -> f64 {
        let seconds = since.as_secs_f64();
        match self {
            Self::High => LEVEL,
            Self::Low => -0.8 * LEVEL,
            Self::Rate => 3.0 * RATE * seconds,
            Self::Drift => NOISE * LEVEL * seconds,
            Self::Anomaly => 36.0 * NOISE * LEVEL,
            Self::Apart => (APART_PER_SECOND * seconds).min(APART),
            Self::Askew => ASKEW,
            Self::Stuck | Self::Alone | Self::Unit => 0.0,
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
    /// What it follows.
    follows: Option<Follows>,
    /// It is the other way round from what stands beside it.
    pub opposed: bool,
}

impl Signal {
    /// With these shapes, by time.
    pub const fn new(name: SignalName, every: Duration, shapes: Vec<(Duration, Shape, bool)>) -> Self {
        Self {
            name,
            every,
            shapes,
            follows: None,
            opposed: false,
        }
    }

    /// What it follows together with others.
    pub fn following(self, what: Follows) -> Self {
        Self {
            follows: Some(what),
            ..self
        }
    }

    /// It is told in one message with all others that follow the same load.
    pub const fn of_message(&self) -> bool {
        matches!(self.follows, Some(Follows::Load(_)))
    }

    /// From its beginning; `salt` makes what it follows another one each time.
    pub fn play(&self, salt: u64) -> Play<'_> {
        let swing = |what: &Follows| match what {
            Follows::Weather => Swing::new(salt, 1.0),
            Follows::Load(entity) => Swing::new(salt ^ fnv1a(FNV, entity.as_str()), LOAD_PACE),
        };
        Play {
            signal: self,
            last: LEVEL,
            swing: self.follows.as_ref().map(swing),
            own: Swing::new(salt ^ fnv1a(FNV, self.name.as_str()), LOAD_PACE),
        }
    }
}

/// What several signals follow.
#[derive(Debug, Clone)]
pub enum Follows {
    /// What all sensors of a place measure.
    Weather,
    /// What all signals of one machine depend on.
    Load(EntityName),
}

/// A sum of waves that have nothing to do with one another.
#[derive(Clone, Copy)]
struct Swing {
    seed: u64,
    pace: f64,
}

impl Swing {
    const fn new(seed: u64, pace: f64) -> Self {
        Self { seed, pace }
    }

    fn at(self, at: Duration) -> f64 {
        let mut rng = Rng::with_seed(self.seed);
        let waves = SWING_SECONDS.map(|period| {
            let turns = at.as_secs_f64() * self.pace / period + rng.f64();
            (std::f64::consts::TAU * turns).sin()
        });
        SWING * waves.iter().sum::<f64>() / SWING_SECONDS.len() as f64
    }
}

/// A signal being played.
pub struct Play<'a> {
    signal: &'a Signal,
    last: f64,
    swing: Option<Swing>,
    own: Swing,
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
        if let Some(since) = standing(Shape::Apart) {
            // What has left its past is apart already.
            let already = value - LEVEL;
            value += (Shape::Apart.away(at.saturating_sub(since)) - already.abs()).max(0.0);
        }
        if let Some(since) = standing(Shape::Askew) {
            let off = Shape::Askew.away(at.saturating_sub(since));
            value += if self.signal.opposed { -off } else { off };
        }
        if let Some(swing) = self.swing {
            let left =
                standing(Shape::Alone).map_or(0.0, |since| (at.saturating_sub(since).as_secs_f64() / LEAVES).min(1.0));
            value += (1.0 - left) * swing.at(at) + left * self.own.at(at);
        }
        if standing(Shape::Unit).is_some() {
            value = value * 1.8 + 32.0;
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
        let (mut play, mut rng) = (signal.play(0), Rng::with_seed(5));
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
