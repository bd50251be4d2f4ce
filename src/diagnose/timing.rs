//! Does an effect come when its cause lets expect it: not before the cause, and not long after it was due?
//!
//! No detector tells the moment itself. A symptom's trouble began no earlier than its onset, less what its detector may be late with
//! ([`slack`]), and no later than it was raised: a device that speaks every ten minutes may have died at any time since it last spoke. Only
//! what lies outside of that counts, softly: each time as long as the pattern gives (`within`, a minute at least) makes it a factor of e less likely that the one
//! came of the other. What is learned over hours (a drift, a shift, a stuck signal) is not held to any time.

use std::time::Duration;

use crate::model::{EntityName, Symptom, SymptomKind, Timestamp};

use super::pattern::{Expectation, Pattern, Whose};
use super::scene::Scene;

/// Clocks and batches: nobody is early or late by less.
const GRACE: Duration = Duration::from_secs(5);

/// What is out of time by so much more is less likely by a factor of e, unless the pattern gives more.
const PATIENCE: Duration = Duration::from_secs(60);

/// Of the moments at which a fault may have begun, so many are tried.
const MOMENTS_MAX: usize = 8;

/// As far as this out of time is in time, when moments are compared; in nats.
const IN_TIME: f64 = -0.7;

/// By how much its detector may date a symptom too late; `None` of what may have begun at any time before.
const fn slack(kind: SymptomKind) -> Option<Duration> {
    let secs = match kind {
        // From its last word on.
        SymptomKind::Silent => 0,
        // A broker waits one and a half times a client's keep-alive before it tells its will; two minutes of that are common.
        SymptomKind::Lost => 180,
        // Probes and scrapes come twice a minute at least.
        SymptomKind::Refused
        | SymptomKind::NoAnswer
        | SymptomKind::Unreachable
        | SymptomKind::Failing
        | SymptomKind::Odd => 30,
        SymptomKind::BadPayload | SymptomKind::Sequence | SymptomKind::Restarted => 60,
        // The first of several times is not always the first that was.
        SymptomKind::Flapping | SymptomKind::High | SymptomKind::Low | SymptomKind::Rate => 120,
        // Another monitor's rule waits for so long before it tells.
        SymptomKind::Alert => 900,
        _ => return None,
    };
    Some(Duration::from_secs(secs))
}

/// A contact that is lost and not only missed.
const fn cut_off(kind: SymptomKind) -> bool {
    matches!(
        kind,
        SymptomKind::Lost | SymptomKind::Refused | SymptomKind::NoAnswer | SymptomKind::Unreachable
    )
}

/// When the trouble behind a symptom began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Began {
    /// As it is told.
    pub onset: Timestamp,
    /// At the earliest and at the latest; `None` where nobody knows.
    bounds: Option<(Timestamp, Timestamp)>,
}

impl Began {
    fn of(symptom: &Symptom) -> Self {
        Self {
            onset: symptom.onset,
            bounds: slack(symptom.key.kind).map(|slack| (symptom.onset - slack, symptom.raised.max(symptom.onset))),
        }
    }

    /// How much less likely it is that an effect came of what began then, for its being out of time; in nats, 0 of what is in time.
    fn lag(&self, effect: &Self, within: Duration) -> f64 {
        let (Some((cause_first, cause_last)), Some((first, last))) = (self.bounds, effect.bounds) else {
            return 0.0;
        };
        let early = cause_first.since(last);
        // A pattern that says nothing of the delay lets its effects take their time.
        let late = if within.is_zero() {
            Duration::ZERO
        } else {
            first.since(cause_last + within)
        };
        let out = early.max(late).saturating_sub(GRACE);
        -(out.as_secs_f64() / within.max(PATIENCE).as_secs_f64())
    }

    /// The same of a symptom that an expectation is about.
    pub fn lag_of(&self, expectation: &Expectation, symptom: &Symptom) -> f64 {
        if comes_of_it(expectation) {
            self.lag(&Self::of(symptom), expectation.within.0)
        } else {
            0.0
        }
    }

    /// Did that begin before this could have, rather than after?
    pub fn is_after(&self, symptom: &Symptom) -> bool {
        self.onset > symptom.onset
    }
}

/// Only what a fault does to others has a time; its own signs come in any order, and so do those of what it needs or stands beside.
fn comes_of_it(expectation: &Expectation) -> bool {
    matches!(expectation.on, Whose::Downstream | Whose::Consumers | Whose::Reached)
}

/// When a fault there began: with the first of its own signs, where it must show any or has lost contact; else with the first of those that it brings about elsewhere. If
/// they lie far apart, with the one that most of what it brings about fits. `None` if it shows nothing.
pub fn began(pattern: &Pattern, entity: &EntityName, scene: &Scene<'_>) -> Option<Began> {
    let own = |expectations: &[Expectation], all: bool| -> Vec<Began> {
        let own = expectations.iter().filter(|e| e.on == Whose::Itself);
        let shown = own.flat_map(|e| scene.fitting(e, entity, None));
        shown.filter(|s| all || cut_off(s.key.kind)).map(Began::of).collect()
    };
    let mut moments = own(&pattern.must, true);
    if moments.is_empty() {
        moments = own(&pattern.may, false);
    }
    if let [only] = moments.as_slice() {
        return Some(*only);
    }
    let elsewhere = pattern.must.iter().filter(|e| e.on != Whose::Itself);
    let mut effects = Vec::new();
    for expectation in elsewhere {
        let members = scene.whose(expectation, entity);
        for other in members.iter().flat_map(|members| &members.ill) {
            let shown = scene.fitting(expectation, other, None).min_by_key(|s| s.onset);
            effects.extend(shown.map(|symptom| (Began::of(symptom), expectation)));
        }
    }
    if moments.is_empty() {
        moments.extend(effects.iter().map(|(began, _)| *began));
    }
    moments.sort_unstable();
    moments.dedup();
    let first = *moments.first()?;
    let last = moments.last()?.onset;
    if last.since(first.onset) <= GRACE {
        return Some(first);
    }
    let fits = |moment: &Began| {
        let in_time = effects
            .iter()
            .filter(|(effect, expectation)| moment.lag(effect, expectation.within.0) >= IN_TIME);
        in_time.count()
    };
    let step = moments.len().div_ceil(MOMENTS_MAX);
    let tried = moments.into_iter().step_by(step).map(|moment| (fits(&moment), moment));
    // Of several that as much fits, the first.
    let (_, moment) = tried.max_by_key(|(fits, moment)| (*fits, std::cmp::Reverse(*moment)))?;
    Some(moment)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnose::testing::symptom;

    fn told(kind: SymptomKind, onset: i64, raised: i64) -> Symptom {
        Symptom {
            raised: Timestamp::from_secs(raised),
            ..symptom("x", kind, "", Timestamp::from_secs(onset))
        }
    }

    fn lag(cause: &Symptom, effect: &Symptom, within: u64) -> f64 {
        Began::of(cause).lag(&Began::of(effect), Duration::from_secs(within))
    }

    #[test]
    fn what_comes_within_its_time_or_may_have_is_in_time() {
        let broker = told(SymptomKind::Refused, 1000, 1001);
        for (onset, raised) in [(1000, 1003), (1010, 1012), (1016, 1018), (400, 1200), (990, 990)] {
            let device = told(SymptomKind::Silent, onset, raised);
            assert!(lag(&broker, &device, 10) >= 0.0, "{onset} {raised}");
        }
        // A will is told late; the devices were silent since long.
        let gateway = told(SymptomKind::Lost, 1090, 1090);
        assert!(lag(&gateway, &told(SymptomKind::Silent, 1000, 1005), 10) >= 0.0);
    }

    #[test]
    fn what_is_out_of_time_counts_the_less_the_further_out_it_is() {
        let broker = told(SymptomKind::Refused, 1000, 1001);
        let late = |onset| lag(&broker, &told(SymptomKind::Silent, onset, onset + 3), 10);
        assert!(late(1030) < 0.0 && late(1030) > -0.5);
        assert!(late(1300) < late(1100) && late(1300) < -4.0);
        let early = |onset| lag(&broker, &told(SymptomKind::Silent, onset, onset + 3), 10);
        assert!(early(940) < 0.0 && early(600) < -4.0);
    }

    #[test]
    fn what_is_learned_slowly_is_held_to_no_time_and_a_pattern_without_delay_only_to_the_order() {
        let drift = told(SymptomKind::Drift, 90_000, 95_000);
        let high = told(SymptomKind::High, 1000, 1001);
        assert!(lag(&high, &drift, 10) >= 0.0 && lag(&drift, &high, 10) >= 0.0);
        assert!(lag(&high, &told(SymptomKind::Failing, 9000, 9001), 0) >= 0.0);
        assert!(lag(&high, &told(SymptomKind::Failing, 100, 101), 0) < -4.0);
    }
}
