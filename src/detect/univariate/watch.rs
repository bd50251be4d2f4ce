//! Everything that watches one series, and when it is worth an alarm.
//!
//! Its time is watched by order and silence, its life by stillness, its value by the portfolio, its level by shift and its
//! noise by roughness. The last three learn for a day in silence (or for so many samples, if that is less); the others are
//! ready sooner and say nothing before they are. A series that turns out to be plain noise about one level ([`Steady`]) is known sooner as a whole.

use crate::model::Timestamp;

use super::order::{Misplaced, Order};
use super::portfolio::Portfolio;
use super::rhythm::Rhythm;
use super::roughness::Roughness;
use super::shift::Shift;
use super::silence::Silence;
use super::steady::{Left, Steady};
use super::stillness::Stillness;
use super::terms::Term;

/// A day's rhythm has been seen once, or so many samples have: how long value, level and noise are learned in silence.
const LEARN_SECS: f32 = 86_400.0;
const LEARN_SAMPLES: u32 = 1500;

/// A rhythm is known after a few rounds of it.
const RHYTHM_SECS: f32 = 2.0 * LEARN_SECS;

/// A value alone is worth an alarm here if it is strange beyond doubt, in thresholds. The younger a series, the more of its
/// values are new without meaning anything; that wears off with its age in days of rhythm.
const BEYOND_DOUBT: f32 = 1.5;
const WHEN_YOUNG: f32 = 6.0;

/// Who has company is judged by both together: how far it stands alone, and a share of how strange its own past finds its value, its level
/// or its noise, each the most of about so many samples. What is worth an alarm is a little more than either would need, because there
/// are two of them. An opinion of its own counts up to so many alarms: no past is so long that more could be read from it.
const OWN_VALUE: f32 = 0.2;
const OWN_LEVEL: f32 = 0.1;
const OWN_NOISE: f32 = 0.15;
const OWN_MOST: f32 = 4.0;
const TOGETHER: f32 = 1.02;
const TOGETHER_SAMPLES: f32 = 64.0;

/// Each alarm makes the next one of who has company dearer by so much; that wears off within days.
const DEARER: f32 = 0.2;
const DEARER_SECS: f32 = 5.0 * 86_400.0;

/// Where others vouch for what is usual, youth matters less.
const WHEN_YOUNG_AMONG: f32 = 3.0;

/// Who stands alone by less than this does what its company does.
const LEFT_ALONE: f32 = 0.35;

/// Samples without any finding that end an alarm.
const QUIET: u8 = 12;

/// What was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finding {
    /// A sample in the wrong place.
    Order(Misplaced),
    /// It had been silent for too long.
    Silence,
    /// It holds one value.
    Stuck,
    /// A strange value.
    Value(Term),
    /// Its level has left its band.
    Shift,
    /// It is too noisy, or too smooth.
    Noise,
    /// It no longer moves with the other signals of its entity.
    Alone,
}

impl From<Left> for Finding {
    fn from(left: Left) -> Self {
        match left {
            Left::Value => Self::Value(Term::Level),
            Left::Level => Self::Shift,
            Left::Noise => Self::Noise,
        }
    }
}

/// What was strangest about a sample's value, whether or not it is enough to be told.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Look {
    /// In thresholds: from 1 on it is a finding.
    pub strength: f32,
    /// Which finding it would be.
    pub finding: Finding,
}

const PLAIN: Look = Look {
    strength: 0.0,
    finding: Finding::Shift,
};

/// See the module.
#[derive(Debug, Clone)]
pub struct Watch {
    look: Look,
    order: Order,
    silence: Silence,
    stillness: Stillness,
    portfolio: Portfolio,
    shift: Shift,
    rhythm: Rhythm,
    /// The same of what the rhythm leaves.
    rhythmic_shift: Shift,
    rhythmic_secs: f32,
    roughness: Roughness,
    steady: Steady,
    latest: Timestamp,
    learned_secs: f32,
    seen: u32,
    /// Order, silence and stuck are told although a strange value stands.
    ordinary: Quiet,
    usual: Quiet,
    /// How far it stood alone lately, how strange its own past found it, and by how much an alarm is dearer.
    alone: Option<f32>,
    own: f32,
    dearer: f32,
}

/// Samples since the last finding of a sort.
#[derive(Debug, Clone)]
struct Quiet(u8);

impl Quiet {
    /// What was found if an alarm rises with it, and not if one stands.
    fn rises(&mut self, found: Option<Finding>) -> Option<Finding> {
        let before = self.0;
        self.0 = if found.is_some() {
            0
        } else {
            before.saturating_add(1).min(QUIET)
        };
        found.filter(|_| before >= QUIET)
    }

    /// No alarm stands.
    fn over(&self) -> bool {
        self.0 >= QUIET
    }
}

impl Default for Watch {
    fn default() -> Self {
        Self {
            look: PLAIN,
            order: Order::default(),
            silence: Silence::default(),
            stillness: Stillness::default(),
            portfolio: Portfolio::default(),
            shift: Shift::default(),
            rhythm: Rhythm::default(),
            rhythmic_shift: Shift::default(),
            rhythmic_secs: 0.0,
            roughness: Roughness::default(),
            steady: Steady::default(),
            latest: Timestamp::from_nanos(i64::MIN),
            learned_secs: 0.0,
            seen: 0,
            ordinary: Quiet(QUIET),
            usual: Quiet(QUIET),
            alone: None,
            own: 0.0,
            dearer: 0.0,
        }
    }
}

impl Watch {
    /// Looks at the next sample; the answer is the finding with which an alarm rises.
    pub fn observe(&mut self, at: Timestamp, value: f64) -> Option<Finding> {
        self.observe_among(at, value, None)
    }

    /// The same of a signal that has company: `alone` is how far it stands alone, in alarms
    /// (see [`crate::detect::multivariate::Company`]), if that is known.
    pub fn observe_among(&mut self, at: Timestamp, value: f64, alone: Option<f32>) -> Option<Finding> {
        self.look = PLAIN;
        let held = self.alone.map(|held| held * (1.0 - 1.0 / TOGETHER_SAMPLES));
        self.alone = alone.map_or(held, |alone| Some(held.map_or(alone, |held| held.max(alone))));
        self.own *= 1.0 - 1.0 / TOGETHER_SAMPLES;
        let (plain, strange) = self.find(at, value);
        let plain = self.ordinary.rises(plain);
        // Who is stuck, or whose rows are misplaced, has strange values because of that.
        let strange = self.usual.rises(strange.filter(|_| self.ordinary.over()));
        if strange.is_some() && self.alone.is_some() {
            self.dearer += DEARER;
        }
        plain.or(strange)
    }

    /// What was strangest about the value of the latest sample.
    pub const fn look(&self) -> Look {
        self.look
    }

    /// Reads a little of all that the next sample will need, so that it is near when its turn comes.
    pub fn touch(&self) -> u64 {
        self.portfolio.touch() ^ u64::from(self.seen)
    }

    /// Where `value` lies in the series' own frame, once that is known.
    pub fn place(&self, value: f64) -> Option<f32> {
        self.portfolio.place(value)
    }

    /// How long the series may be silent from now on, in seconds; nothing while that is being learned.
    pub fn patience_secs(&self) -> Option<f32> {
        self.silence.patience_secs()
    }

    /// True while value, level and noise are only learned.
    pub fn learning(&self) -> bool {
        self.seen < LEARN_SAMPLES && self.learned_secs < LEARN_SECS
    }

    /// In times of what is learned in silence.
    fn age(&self) -> f32 {
        (self.learned_secs / LEARN_SECS).max(self.seen as f32 / LEARN_SAMPLES as f32)
    }

    /// What is wrong with its time or its life, and with its value.
    fn find(&mut self, at: Timestamp, value: f64) -> (Option<Finding>, Option<Finding>) {
        let silence = self.silence.push(at).then_some(Finding::Silence);
        let misplaced = self.order.push(at).map(Finding::Order);
        if !value.is_finite() || misplaced.is_some() {
            return (misplaced, None);
        }
        let secs = if self.seen == 0 {
            0.0
        } else {
            at.since(self.latest).as_secs_f32()
        };
        self.latest = at;
        self.seen = self.seen.saturating_add(1);
        self.learned_secs += secs;
        self.dearer -= self.dearer * (secs / DEARER_SECS).clamp(0.0, 1.0);
        let stuck = (self.stillness.push(value) >= 1.0).then_some(Finding::Stuck);
        let learning = self.learning();
        let judgement = self.portfolio.observe(at, value);
        let place = self.portfolio.place(value);
        let shift = place.map_or(0.0, |place| self.shift.push(place, secs, learning));
        let rest = place.and_then(|place| self.rhythm.push(at, place));
        let rhythmic_shift = rest.map_or(0.0, |rest| {
            self.rhythmic_secs += secs;
            self.rhythmic_shift.push(rest, secs, self.rhythmic_secs < RHYTHM_SECS)
        });
        let noise = place.map_or(0.0, |place| self.roughness.push(place, secs, learning));
        let first = silence.or(stuck);
        let left = self.left(value);
        if learning && self.alone.is_none() {
            return (first, left);
        }
        let young = if self.alone.is_some() {
            WHEN_YOUNG_AMONG
        } else {
            WHEN_YOUNG
        };
        let settled = |score: f32| if learning { 0.0 } else { score };
        let strange = judgement.score / (BEYOND_DOUBT + young / self.age());
        let looks = [
            (strange, Finding::Value(judgement.term)),
            (settled(shift.max(rhythmic_shift)), Finding::Shift),
            (settled(noise), Finding::Noise),
        ];
        for (score, finding) in looks {
            let strength = score / Portfolio::threshold();
            if strength > self.look.strength {
                self.look = Look { strength, finding };
            }
        }
        let Some(alone) = self.alone else {
            let Look { strength, finding } = self.look;
            return (first, (strength >= 1.0).then_some(finding));
        };
        let level = self.shift.off().max(self.rhythmic_shift.off());
        let opinions = [
            (
                OWN_VALUE,
                strange / Portfolio::threshold(),
                Finding::Value(judgement.term),
            ),
            (OWN_LEVEL, settled(level), Finding::Shift),
            (OWN_NOISE, settled(self.roughness.off()), Finding::Noise),
        ];
        (first, self.told(alone, opinions).or(left))
    }

    /// What is told because the series was steady and has left what it was: nothing that the others account for, and without others nothing
    /// that may be a moment's, nor what follows from it, because the quick watch judges jumps.
    fn left(&mut self, value: f64) -> Option<Finding> {
        let heard = self.alone.is_none_or(|alone| alone >= LEFT_ALONE);
        let (strength, left) = self
            .steady
            .push(value, heard)
            .filter(|(strength, _)| *strength >= 1.0)?;
        let finding = Finding::from(left);
        if self.alone.is_none() {
            if left == Left::Value {
                return None;
            }
            self.look = Look { strength, finding };
        }
        Some(finding)
    }

    /// Whether `alone` and its own opinions, each a share, how far off something is and what that is, are together worth an alarm.
    fn told(&mut self, alone: f32, opinions: [(f32, f32, Finding); 3]) -> Option<Finding> {
        let mut named = Finding::Alone;
        let mut most = 0.0;
        for (share, off, finding) in opinions {
            let opinion = share * off.min(OWN_MOST);
            if opinion > most {
                most = opinion;
                named = if off >= 1.0 { finding } else { Finding::Alone };
            }
        }
        self.own = self.own.max(most);
        (alone + self.own >= TOGETHER + self.dearer).then_some(named)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(n: u32) -> Timestamp {
        Timestamp::from_secs(1_700_000_000 + i64::from(n) * 60)
    }

    fn usual(n: u32) -> f64 {
        let turn = f64::from(n % 1440) / 1440.0 * std::f64::consts::TAU;
        20.0 + 2.0 * turn.sin() + (f64::from(n) * 0.618_034).fract()
    }

    fn fed(samples: u32) -> Watch {
        let mut watch = Watch::default();
        for n in 0..samples {
            assert_eq!(watch.observe(at(n), usual(n)), None, "{n}");
        }
        watch
    }

    const FED: u32 = 6000;

    #[test]
    fn each_fault_is_called_by_its_name() {
        let mut watch = fed(FED);
        assert_eq!(watch.observe(at(FED - 5), 20.0), Some(Finding::Order(Misplaced::Late)));
        let mut watch = fed(FED);
        assert_eq!(watch.observe(at(FED + 60), usual(FED + 60)), Some(Finding::Silence));
        let mut watch = fed(FED);
        let stuck = (FED..FED + 40).find_map(|n| watch.observe(at(n), 21.0));
        assert_eq!(stuck, Some(Finding::Stuck));
        let mut watch = fed(FED);
        assert!(matches!(watch.observe(at(FED), 90.0), Some(Finding::Value(_))));
        let mut watch = fed(FED);
        let rough = (FED..FED + 60).find_map(|n| watch.observe(at(n), usual(n) - f64::from(n % 2) * 1.2));
        assert_eq!(rough, Some(Finding::Noise));
    }

    #[test]
    fn it_learns_for_a_day() {
        assert!(fed(1400).learning());
        assert!(!fed(1600).learning());
    }

    #[test]
    fn a_fault_of_another_sort_is_told_beside_one_that_stands() {
        let mut watch = fed(FED);
        assert!(matches!(watch.observe(at(FED), 90.0), Some(Finding::Value(_))));
        assert_eq!(watch.observe(at(FED - 5), 20.0), Some(Finding::Order(Misplaced::Late)));
        assert_eq!(watch.observe(at(FED - 4), 20.0), None, "it stands");
    }

    #[test]
    fn plain_noise_is_found_where_company_has_no_clear_opinion() {
        let rough = |n: u32| usual(n) - f64::from(n % 2) * 4.0;
        let found = |alone: f32| {
            let mut watch = Watch::default();
            for n in 0..FED {
                assert_eq!(watch.observe_among(at(n), usual(n), Some(0.3)), None, "{n}");
            }
            (FED..FED + 100).find_map(|n| watch.observe_among(at(n), rough(n), Some(alone)))
        };
        assert_eq!(found(0.6), Some(Finding::Noise));
        assert_eq!(found(0.0), None, "the others do the same");
    }

    #[test]
    fn who_was_told_of_often_has_to_be_stranger() {
        let mut watch = Watch::default();
        let mut alarms = 0;
        for n in 0..FED {
            let alone = if n % 500 == 499 { 1.3 } else { 0.0 };
            alarms += u32::from(watch.observe_among(at(n), usual(n), Some(alone)).is_some());
        }
        assert!((2..6).contains(&alarms), "{alarms} of 12");
    }

    #[test]
    fn one_fault_is_one_alarm() {
        let mut watch = fed(FED);
        let alarms = (FED..FED + 300)
            .filter(|n| watch.observe(at(*n), 21.0).is_some())
            .count();
        assert_eq!(alarms, 1);
    }
}
