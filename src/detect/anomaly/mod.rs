//! Anomaly: every sample of a device's signal against all that the signal did before.
//!
//! The small watch ([`quick`]) that each series has from its first sample finds jumps after a short warm-up. A series that has
//! shown itself a few times is given a place among the closely watched, of which there is a bounded number: it gets the whole of
//! [`crate::detect::univariate::Watch`] (novelty, range, time of day, shape of the day, shift, noise), a cumulative sum for small shifts
//! that stay, and a short trace for the picture that a person wants to see. The close watch learns in silence for a day or 1500 samples; of a
//! series that is plain noise about one level it knows enough after some hundred.
//!
//! All of them answer with a surprise, minus the logarithm of a probability; the largest counts, and a third of the others. It is told
//! from the bar that the device's budget of false alarms sets. A jump to where the signal would stand in another unit is told as such.

mod quick;
mod second;
mod units;

use std::fmt::Write;

use crate::model::{Evidence, Sample, SymptomKind, Timestamp};

use super::budget::{certainty, one_in};
use super::columns::{Attached, Few};
use super::gated::Gates;
use super::learned::BEYOND;
use super::scribe::{Draft, Scribe};
use super::sequence::numbers;
use super::settings::AnomalySettings;
use super::trace::{Outlook, Ring};
use super::univariate::{Finding, Tail, Watch};
use super::{Ask, Detector, EntityMeta, Learned};
use quick::{DECIDED, END, Quick};
use second::{Second, Wish};

/// Samples after which a series asks for a close watch: what speaks only a few times is not worth one.
const ASK: u32 = 8;

/// A close watch's strength as a surprise: at its own threshold a finding is told of a device that is judged some ten thousand times in the
/// allowed period, and each threshold more makes it twenty times as rare. A judgement, and one in favour of finding: in recorded weeks of
/// servers, which have news of their own, strengths are more common than that (`tests/eval/false_alarms.rs` prints how common).
const AT_REST: f32 = 8.0;
const PER_STRENGTH: f32 = 3.0;

/// Weaker than this it says nothing.
const WEAKEST: f32 = 0.3;

/// What several scorers see at once is a little stranger than what one sees.
const OTHERS: f32 = 0.3;

/// Below this no bar lies, and nothing needs to be looked up.
const LOOK_UP: f32 = 7.0;

/// Deviations that a cumulative sum expects anyway, the most that one sample adds, and where it ends.
const SLACK: f32 = 0.5;
const SUM_CLIP: f32 = 4.0;
const SUM_MOST: f32 = 500.0;

/// A sum is no stranger than this share of itself: between bounds it hardly has a tail.
const SUM_STRANGEST: f32 = 0.5;

/// See the module.
pub struct Anomaly {
    settings: AnomalySettings,
    quick: Attached<Quick>,
    deep: Few<Box<Deep>>,
    /// As many as are granted.
    gates: Gates,
    asks: Vec<Ask>,
    counts: Learned,
}

/// The close watch of a series.
#[derive(Default)]
struct Deep {
    watch: Watch,
    up: f32,
    down: f32,
    sums: Tail,
    second: Second,
    ring: Ring,
    /// The latest bar that was looked up.
    bar: f32,
    counted: bool,
}

/// Who found a sample strange.
#[derive(Clone, Copy)]
enum Source {
    Jump,
    Sum,
    Seen(Finding),
}

impl Anomaly {
    /// With these settings.
    pub fn new(settings: &AnomalySettings) -> Self {
        Self {
            settings: settings.clone(),
            quick: Attached::default(),
            deep: Few::default(),
            gates: Gates::new(usize::MAX),
            asks: Vec::new(),
            counts: Learned::default(),
        }
    }
}

impl Deep {
    /// Surprises of the cumulative sum and of the watch, with the watch's finding.
    fn observe(&mut self, at: Timestamp, value: f64, off: f64) -> (f32, f32, Finding) {
        self.watch.observe(at, value);
        let step = (off as f32).clamp(-SUM_CLIP, SUM_CLIP) * 0.8;
        self.up = (self.up + step - SLACK).clamp(0.0, SUM_MOST);
        self.down = (self.down - step - SLACK).clamp(0.0, SUM_MOST);
        let sum = self.up.max(self.down);
        let surprise = self.sums.push(sum).min(SUM_STRANGEST * sum);
        let surprise = if self.watch.learning() { 0.0 } else { surprise };
        let look = self.watch.look();
        let seen = if look.strength > WEAKEST {
            strength_as_surprise(look.strength)
        } else {
            0.0
        };
        (surprise, seen, look.finding)
    }
}

/// A close watch's strength on the scale of all learned detectors.
pub fn strength_as_surprise(strength: f32) -> f32 {
    AT_REST + PER_STRENGTH * strength
}

fn words(source: Source, value: f64, level: f64, off: f64) -> String {
    let mut text = String::new();
    let _ = match source {
        Source::Jump => write!(
            text,
            "{value:.4} is {:.0} times its usual deviation away from {level:.4}",
            off.abs()
        ),
        Source::Sum => write!(text, "has moved away from {level:.4} and stays there, {value:.4} now"),
        Source::Seen(Finding::Value(term)) => write!(text, "{value:.4} is {}", term.words()),
        Source::Seen(Finding::Noise) => write!(text, "is rougher or smoother than it ever was, {value:.4} now"),
        Source::Seen(_) => write!(text, "its level has left the band in which it lived, {value:.4} now"),
    };
    text
}

impl Detector for Anomaly {
    fn attach(&mut self, series: usize, signal: &str, entity: &EntityMeta) -> bool {
        let wanted = self.settings.enabled && self.settings.kinds.contains(&entity.kind) && !numbers(signal);
        if wanted {
            self.quick.push(series, Quick::default());
            self.counts.learning += 1;
        }
        wanted
    }

    fn observe(&mut self, series: usize, sample: &Sample, before: Option<(Timestamp, f64)>, out: &mut Scribe<'_>) {
        let Some(quick) = self.quick.get_mut(series) else {
            return;
        };
        if !sample.value.is_finite() || sample.value.abs() > BEYOND {
            return;
        }
        let entity = out.entity_of(series);
        if quick.seen == 0 {
            out.ledger.join(entity, out.now);
        }
        let before = before
            .filter(|(_, value)| value.is_finite() && value.abs() <= BEYOND)
            .map(|(at, value)| (value, sample.at.since(at).as_secs_f32()));
        let Some(value) = quick.measure(sample.value, before) else {
            return;
        };
        let repeat = before.is_some_and(|(value, _)| value.to_bits() == sample.value.to_bits());
        let gap_s = before.map_or(0.0, |(_, gap_s)| gap_s);
        let number = u32::try_from(series).unwrap_or(u32::MAX);
        let level = quick.level;
        let scale = quick.scale();
        let step = quick.step(sample.at, value, repeat, gap_s, self.settings.warm_up);
        if quick.seen == ASK {
            self.asks.push(Ask::Series(number));
        }
        if quick.seen == self.settings.warm_up.saturating_add(1) {
            self.counts.learning = self.counts.learning.saturating_sub(1);
            self.counts.watched += 1;
        }
        let mut parts = [(step.jump, Source::Jump), (0.0, Source::Sum), (0.0, Source::Sum)];
        let mut deep = self.deep.get_mut(series);
        if let Some(deep) = deep.as_mut().filter(|_| quick.seen >= DECIDED) {
            let (sum, seen, finding) = deep.observe(sample.at, value, step.off);
            if !deep.counted && !deep.watch.learning() {
                deep.counted = true;
                self.counts.closely += 1;
            }
            if !quick.rests() {
                parts[1].0 = sum;
                parts[2] = (seen, Source::Seen(finding));
            }
        }
        let total: f32 = parts.iter().map(|(surprise, _)| surprise).sum();
        let most = parts.iter().copied().max_by(|a, b| a.0.total_cmp(&b.0));
        let (most, source) = most.unwrap_or((0.0, Source::Jump));
        let surprise = most + OTHERS * (total - most);
        if let Some(deep) = deep.as_mut() {
            deep.ring.push(sample.at, value, surprise);
            if let Some(place) = deep.watch.place(value) {
                match deep.second.observe(number, sample.at, place, surprise, &mut self.gates) {
                    Wish::Gate => self.asks.push(Ask::Gate(number)),
                    Wish::Done => self.asks.push(Ask::Done(number)),
                    Wish::None => {}
                }
            }
        }
        let raised = quick.told;
        if surprise >= LOOK_UP {
            out.ledger.hear(entity, surprise, out.now);
        } else if raised.is_none() {
            return;
        }
        let bar = out.ledger.bar_beyond(entity, quick.gap_s, out.now);
        if let Some(deep) = deep {
            deep.bar = bar;
        }
        match raised {
            None if surprise >= bar => {
                let unit = match source {
                    Source::Jump => units::change(level, scale, value),
                    _ => None,
                };
                let kind = if unit.is_some() {
                    SymptomKind::Unit
                } else {
                    SymptomKind::Anomaly
                };
                let what = match unit {
                    Some(unit) => format!("{value:.4} after {level:.4}: {unit}"),
                    None => words(source, value, level, step.off),
                };
                let draft = Draft {
                    kind,
                    severity: self.settings.severity,
                    onset: quick.since,
                    score: certainty(surprise, bar),
                    evidence: Evidence {
                        text: format!(
                            "{what}; {} by its own past, told from {} on",
                            one_in(surprise),
                            one_in(bar)
                        ),
                        observed: Some(value),
                        bound: Some(level),
                    },
                    detector: "anomaly".into(),
                };
                quick.told = Some(kind);
                out.ledger.spend(entity, out.now);
                out.raise_series(series, draft);
            }
            Some(kind) if (quick.calm >= END && surprise < bar) || quick.settle(value) => {
                quick.told = None;
                out.clear_series(series, kind, sample.at);
            }
            _ => {}
        }
    }

    fn touch(&self, samples: &[(u32, Sample)]) -> u64 {
        let quick = self.quick.touch(samples, |quick| u64::from(quick.seen));
        let deep = samples.iter().filter_map(|(series, _)| self.deep.get(*series as usize));
        deep.fold(quick, |sum, deep| {
            sum ^ u64::from(deep.up.to_bits()) ^ deep.watch.touch()
        })
    }

    fn ended(&mut self, series: usize, at: Timestamp, out: &mut Scribe<'_>) {
        let number = u32::try_from(series).unwrap_or(u32::MAX);
        if let Some(deep) = self.deep.get_mut(series)
            && deep.second.end(number, &mut self.gates)
        {
            self.asks.push(Ask::Done(number));
        }
        if let Some(quick) = self.quick.get_mut(series) {
            quick.end();
            if let Some(kind) = quick.told.take() {
                out.clear_series(series, kind, at);
            }
        }
    }

    fn asks(&mut self, asks: &mut Vec<Ask>) {
        asks.append(&mut self.asks);
    }

    fn grant(&mut self, ask: Ask) {
        match ask {
            Ask::Series(series) => self.deep.insert(series as usize, Box::default()),
            Ask::Gate(series) => {
                if let Some(deep) = self.deep.get_mut(series as usize) {
                    deep.second.grant();
                }
            }
            Ask::Done(_) | Ask::Entity(..) | Ask::Fit(_) => {}
        }
    }

    fn trace(&self, series: usize) -> Option<&Ring> {
        Some(&self.deep.get(series)?.ring)
    }

    fn outlook(&self, series: usize) -> Option<Outlook> {
        let quick = self.quick.get(series)?;
        Some(Outlook {
            others: self.deep.get(series).map(|deep| deep.second.opinions()),
            band: quick.band(self.settings.warm_up),
            rate: quick.counts(),
            bar: self.deep.get(series).map(|deep| deep.bar).filter(|bar| *bar > 0.0),
        })
    }

    fn learned(&self) -> Learned {
        self.counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_close_watch_has_a_bounded_size() {
        // What a closely watched series holds besides the first samples that its frame is learned from.
        assert!(size_of::<Deep>() <= 3072, "{} bytes", size_of::<Deep>());
    }
}
