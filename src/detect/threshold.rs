//! Threshold: a signal beyond a static bound, with hysteresis and hold.
//!
//! Several rules may look at one signal, a warning and a critical bound say. What they find is one symptom: it has the worst
//! severity of those that stand, and it is over when none stands any more.

use std::cmp::Reverse;

use crate::model::{Evidence, Sample, SymptomKind, Timestamp};

use super::columns::Attached;
use super::scribe::{Draft, Scribe};
use super::settings::ThresholdRule;
use super::{Detector, EntityMeta};

/// See the module.
pub struct Threshold {
    rules: Vec<ThresholdRule>,
    /// Of each series that a rule fits: where the first such rule stands.
    first: Attached<Watch>,
    /// Where further rules of a series stand, chained from the first.
    more: Vec<Watch>,
}

/// Where a rule stands with a series. Small, because every sample reads it.
#[derive(Clone, Copy)]
struct Watch {
    /// When the signal went beyond the bound.
    since: Timestamp,
    /// The next one of this series, in `more`.
    next: u32,
    rule: u16,
    raised: bool,
    /// Raised, and the one whose words stand for the symptom.
    told: bool,
}

/// The signal is not beyond the bound.
const FINE: Timestamp = Timestamp::MAX;

/// The end of a chain.
const LAST: u32 = u32::MAX;

impl Threshold {
    /// With these rules.
    pub fn new(rules: &[ThresholdRule]) -> Self {
        Self {
            rules: rules.to_vec(),
            first: Attached::default(),
            more: Vec::new(),
        }
    }

    /// The watches of a series, changed or not.
    fn each(&mut self, series: usize, mut visit: impl FnMut(&[ThresholdRule], &mut Watch)) {
        let Some(first) = self.first.get_mut(series) else {
            return;
        };
        visit(&self.rules, first);
        let mut next = first.next;
        while let Some(watch) = self.more.get_mut(next as usize) {
            visit(&self.rules, watch);
            next = watch.next;
        }
    }

    /// After a change: of each kind, the worst rule that stands speaks for it.
    fn tell(&mut self, series: usize, value: f64, at: Timestamp, out: &mut Scribe<'_>) {
        let mut watches: Vec<Watch> = Vec::new();
        self.each(series, |_, watch| watches.push(*watch));
        let mut kinds: Vec<SymptomKind> = watches
            .iter()
            .map(|watch| self.rules[watch.rule as usize].kind())
            .collect();
        kinds.sort_unstable();
        kinds.dedup();
        for kind in kinds {
            let of_kind = |watch: &&Watch| self.rules[watch.rule as usize].kind() == kind;
            let told = watches
                .iter()
                .filter(of_kind)
                .find(|watch| watch.told)
                .map(|watch| watch.rule);
            let worst = watches
                .iter()
                .filter(of_kind)
                .filter(|watch| watch.raised)
                .max_by_key(|watch| (self.rules[watch.rule as usize].severity, Reverse(watch.rule)));
            if worst.map(|watch| watch.rule) == told {
                continue;
            }
            match worst {
                Some(watch) => out.raise_series(series, self.rules[watch.rule as usize].draft(value, watch.since)),
                None => out.clear_series(series, kind, at),
            }
            let speaker = worst.map(|watch| watch.rule);
            self.each(series, |rules, watch| {
                if rules[watch.rule as usize].kind() == kind {
                    watch.told = Some(watch.rule) == speaker;
                }
            });
        }
    }
}

impl Watch {
    /// True if the rule has begun or ceased to stand.
    fn step(&mut self, rule: &ThresholdRule, sample: &Sample) -> bool {
        if rule.bad(sample.value) {
            if self.since == FINE {
                self.since = sample.at;
            }
            let begins = !self.raised && sample.at.since(self.since) >= rule.hold.0;
            self.raised |= begins;
            return begins;
        }
        if !self.raised {
            self.since = FINE;
            return false;
        }
        let ends = rule.good(sample.value);
        if ends {
            self.raised = false;
            self.since = FINE;
        }
        ends
    }
}

impl ThresholdRule {
    fn kind(&self) -> SymptomKind {
        self.means.unwrap_or(if self.above.is_some() {
            SymptomKind::High
        } else {
            SymptomKind::Low
        })
    }

    /// Beyond the bound; a value that is not a number is neither good nor bad.
    fn bad(&self, value: f64) -> bool {
        self.above.is_some_and(|bound| value > bound) || self.below.is_some_and(|bound| value < bound)
    }

    fn good(&self, value: f64) -> bool {
        self.above.is_some_and(|bound| value <= self.clear.unwrap_or(bound))
            || self.below.is_some_and(|bound| value >= self.clear.unwrap_or(bound))
    }

    fn draft(&self, value: f64, onset: Timestamp) -> Draft {
        let (word, bound) = match (self.above, self.below) {
            (Some(bound), _) => ("above", bound),
            (_, Some(bound)) => ("below", bound),
            _ => ("at", f64::NAN),
        };
        Draft {
            kind: self.kind(),
            severity: self.severity,
            onset,
            score: 0.99,
            evidence: Evidence {
                text: if self.bad(value) {
                    format!("{value} is {word} {bound} (rule {})", self.name)
                } else {
                    let clear = self.clear.unwrap_or(bound);
                    format!(
                        "{value} was {word} {bound} and is not yet back at {clear} (rule {})",
                        self.name
                    )
                },
                observed: Some(value),
                bound: Some(bound),
            },
            detector: format!("threshold:{}", self.name),
        }
    }
}

impl Detector for Threshold {
    fn attach(&mut self, series: usize, signal: &str, entity: &EntityMeta) -> bool {
        let mut next = LAST;
        let fitting: Vec<usize> = (0..self.rules.len().min(usize::from(u16::MAX)))
            .filter(|rule| self.rules[*rule].scope.fits(signal, entity))
            .collect();
        for rule in fitting.iter().rev() {
            let watch = Watch {
                since: FINE,
                next,
                rule: u16::try_from(*rule).unwrap_or(u16::MAX),
                raised: false,
                told: false,
            };
            if *rule == fitting[0] {
                self.first.push(series, watch);
            } else {
                next = u32::try_from(self.more.len()).unwrap_or(LAST);
                self.more.push(watch);
            }
        }
        !fitting.is_empty()
    }

    fn observe(&mut self, series: usize, sample: &Sample, _: Option<(Timestamp, f64)>, out: &mut Scribe<'_>) {
        let mut changed = false;
        self.each(series, |rules, watch| {
            changed |= watch.step(&rules[watch.rule as usize], sample);
        });
        if changed {
            self.tell(series, sample.value, sample.at, out);
        }
    }

    fn touch(&self, samples: &[(u32, Sample)]) -> u64 {
        self.first.touch(samples, |watch| watch.since.nanos().unsigned_abs())
    }

    fn ended(&mut self, series: usize, at: Timestamp, out: &mut Scribe<'_>) {
        self.each(series, |_, watch| {
            watch.raised = false;
            watch.since = FINE;
        });
        self.tell(series, f64::NAN, at, out);
    }
}
