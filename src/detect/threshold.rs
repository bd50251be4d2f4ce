//! Threshold: a signal beyond a static bound, with hysteresis and hold.

use crate::model::{Evidence, Sample, SymptomKind, Timestamp};

use super::columns::Slots;
use super::scribe::{Draft, Scribe};
use super::settings::ThresholdRule;
use super::{Detector, EntityMeta};

/// See the module.
pub struct Threshold {
    rules: Vec<ThresholdRule>,
    /// Of each series that a rule fits: where each such rule stands.
    watches: Slots<Vec<Watch>>,
}

struct Watch {
    rule: usize,
    /// When the signal went beyond the bound.
    since: Option<Timestamp>,
    raised: bool,
}

impl Threshold {
    /// With these rules.
    pub fn new(rules: &[ThresholdRule]) -> Self {
        Self {
            rules: rules.to_vec(),
            watches: Slots::default(),
        }
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

    fn draft(&self, value: f64, onset: Timestamp, signal_text: &str) -> Draft {
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
                text: format!("{signal_text}{value} is {word} {bound} (rule {})", self.name),
                observed: Some(value),
                bound: Some(bound),
            },
            detector: format!("threshold:{}", self.name),
        }
    }
}

impl Detector for Threshold {
    fn attach(&mut self, series: usize, signal: &str, entity: &EntityMeta) -> bool {
        let fitting = |(rule, stated): (usize, &ThresholdRule)| {
            stated.scope.fits(signal, entity).then_some(Watch {
                rule,
                since: None,
                raised: false,
            })
        };
        let watches: Vec<Watch> = self.rules.iter().enumerate().filter_map(fitting).collect();
        let any = !watches.is_empty();
        if any {
            self.watches.insert(series, watches);
        }
        any
    }

    fn observe(&mut self, series: usize, sample: &Sample, _: Option<(Timestamp, f64)>, out: &mut Scribe<'_>) {
        let Some(watches) = self.watches.get_mut(series) else {
            return;
        };
        for watch in watches {
            let rule = &self.rules[watch.rule];
            if rule.bad(sample.value) {
                let since = *watch.since.get_or_insert(sample.at);
                if !watch.raised && sample.at.since(since) >= rule.hold.0 {
                    watch.raised = true;
                    out.raise_series(series, rule.draft(sample.value, since, ""));
                }
            } else if !watch.raised {
                watch.since = None;
            } else if rule.good(sample.value) {
                watch.raised = false;
                watch.since = None;
                out.clear_series(series, rule.kind(), sample.at);
            }
        }
    }

    fn ended(&mut self, series: usize, at: Timestamp, out: &mut Scribe<'_>) {
        let Some(watches) = self.watches.get_mut(series) else {
            return;
        };
        for watch in watches {
            watch.since = None;
            if std::mem::take(&mut watch.raised) {
                out.clear_series(series, self.rules[watch.rule].kind(), at);
            }
        }
    }
}
