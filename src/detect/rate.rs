//! Rate: a signal that moves too fast, smoothed over the rule's time.

use crate::model::{Evidence, Sample, SymptomKind, Timestamp};

use super::columns::Attached;
use super::scribe::{Draft, Scribe};
use super::settings::RateRule;
use super::{Detector, EntityMeta};

/// It is over once the rate has fallen below this share of the bound.
const CLEAR_SHARE: f64 = 0.8;

/// See the module.
pub struct Rate {
    rules: Vec<RateRule>,
    watches: Attached<Watch>,
}

struct Watch {
    rule: usize,
    /// Exponentially smoothed change per second.
    smoothed: f64,
    since: Option<Timestamp>,
    raised: bool,
}

impl Rate {
    /// With these rules; the first that fits a series counts.
    pub fn new(rules: &[RateRule]) -> Self {
        Self {
            rules: rules.to_vec(),
            watches: Attached::default(),
        }
    }
}

impl Detector for Rate {
    fn attach(&mut self, series: usize, signal: &str, entity: &EntityMeta) -> bool {
        let Some(rule) = self.rules.iter().position(|rule| rule.scope.fits(signal, entity)) else {
            return false;
        };
        self.watches.push(
            series,
            Watch {
                rule,
                smoothed: 0.0,
                since: None,
                raised: false,
            },
        );
        true
    }

    fn observe(&mut self, series: usize, sample: &Sample, before: Option<(Timestamp, f64)>, out: &mut Scribe<'_>) {
        let (Some(watch), Some((then, value))) = (self.watches.get_mut(series), before) else {
            return;
        };
        let seconds = sample.at.since(then).as_secs_f64();
        let slope = (sample.value - value) / seconds;
        if !slope.is_finite() {
            return;
        }
        let rule = &self.rules[watch.rule];
        let over = rule.over.0.as_secs_f64();
        let weight = if over > 0.0 { 1.0 - (-seconds / over).exp() } else { 1.0 };
        // In this form two opposite slopes near the end of the number range give no infinity that would stay for ever.
        watch.smoothed = (1.0 - weight) * watch.smoothed + weight * slope;
        if watch.smoothed.abs() > rule.per_second {
            let since = *watch.since.get_or_insert(then);
            if !watch.raised {
                watch.raised = true;
                out.raise_series(
                    series,
                    Draft {
                        kind: SymptomKind::Rate,
                        severity: rule.severity,
                        onset: since,
                        score: 0.95,
                        evidence: Evidence {
                            text: format!(
                                "moves by {:.4} per second; {} is allowed (rule {})",
                                watch.smoothed, rule.per_second, rule.name
                            ),
                            observed: Some(watch.smoothed),
                            bound: Some(rule.per_second),
                        },
                        detector: format!("rate:{}", rule.name),
                    },
                );
            }
        } else if watch.smoothed.abs() < rule.per_second * CLEAR_SHARE {
            watch.since = None;
            if std::mem::take(&mut watch.raised) {
                out.clear_series(series, SymptomKind::Rate, sample.at);
            }
        }
    }

    fn ended(&mut self, series: usize, at: Timestamp, out: &mut Scribe<'_>) {
        if let Some(watch) = self.watches.get_mut(series) {
            // Whoever comes back does not come back moving.
            watch.smoothed = 0.0;
            watch.since = None;
            if std::mem::take(&mut watch.raised) {
                out.clear_series(series, SymptomKind::Rate, at);
            }
        }
    }
}
