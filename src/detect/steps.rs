//! Steps: what a service does for each request, as spans tell it, is no longer what it always was.
//!
//! How often an operation takes a step, and the share of its work that fails, hardly change while code and requests stay the same: a call that always
//! followed and no longer does, one that is new, an operation that suddenly fails. Such signals rest on one value for weeks, which detectors of
//! unusual values take for a switch, so they are judged here: by the band in which they have lived, by how much they waver, and by whether they stay away.

use std::collections::BTreeMap;

use crate::model::{Evidence, SPAN_STEPS, Sample, SymptomKind, Timestamp};

use super::columns::Slots;
use super::learned::BEYOND;
use super::scribe::{Draft, Scribe};
use super::settings::StepsSettings;
use super::{Detector, EntityMeta};

/// The share of an operation's work that failed; that of a service as a whole moves with what is asked of it.
const FAILED: &str = "span_error_ratio{";

/// A change is at least so much, that share of the larger of before and now, and so many times as much as it wavers.
const LEAST: f64 = 0.1;
const SHARE: f64 = 0.3;
const WAVERS: f64 = 6.0;

/// Weight of the newest value in the usual, and the share of the way by which the band comes back to it: half in some hours.
const WEIGHT: f64 = 0.02;
const FORGETS: f64 = 1.0 / 3000.0;

/// Values in a row for a change, and for its end; and for what has changed to be the usual.
const BEGIN: u16 = 3;
const END: u16 = 3;
const SETTLE: u16 = 720;

/// See the module.
pub struct Steps {
    settings: StepsSettings,
    watches: Slots<Watch>,
    /// Of each operation of an entity the series that tells how much of it fails, which is told whenever it is done: a step whose series begins later than that
    /// one is new, and not only newly known.
    operations: BTreeMap<(usize, String), usize>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Watch {
    usual: f64,
    wavers: f64,
    low: f64,
    high: f64,
    since: Timestamp,
    seen: u32,
    /// Values in a row that are away, or back.
    run: u16,
    /// Values for which it has been told.
    lasted: u16,
    told: bool,
}

impl Watch {
    /// Of what was never seen in so many values.
    fn never(seen: u32) -> Self {
        Self {
            seen,
            ..Self::default()
        }
    }

    fn learn(&mut self, value: f64) {
        self.seen = self.seen.saturating_add(1);
        if self.seen == 1 {
            (self.usual, self.low, self.high) = (value, value, value);
        }
        let weight = WEIGHT.max(1.0 / f64::from(self.seen));
        self.wavers += weight * ((value - self.usual).abs() - self.wavers);
        self.usual += weight * (value - self.usual);
        self.low = (self.low + FORGETS * (self.usual - self.low)).min(value);
        self.high = (self.high + FORGETS * (self.usual - self.high)).max(value);
    }

    /// Outside of the band in which it has lived, by enough.
    fn away(&self, value: f64) -> bool {
        let beyond = (self.low - value).max(value - self.high);
        let off = (value - self.usual).abs();
        beyond > LEAST / 2.0
            && off >= LEAST.max(SHARE * value.abs().max(self.usual.abs()))
            && off >= WAVERS * self.wavers
    }
}

impl Steps {
    /// With these settings.
    pub fn new(settings: &StepsSettings) -> Self {
        Self {
            settings: settings.clone(),
            watches: Slots::default(),
            operations: BTreeMap::new(),
        }
    }

    /// The first value of a series.
    fn begin(&mut self, series: usize, out: &Scribe<'_>) -> Option<Watch> {
        let signal = out.signal_of(series);
        let operation = (out.entity_of(series), label(signal.as_str(), "operation")?.to_owned());
        if signal.as_str().starts_with(FAILED) {
            self.operations.entry(operation).or_insert(series);
            return None;
        }
        let known = self.watches.get(*self.operations.get(&operation)?)?.seen;
        (known > self.settings.warm_up).then(|| Watch::never(self.settings.warm_up))
    }
}

/// What a label of a signal says.
fn label<'a>(signal: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = signal.split_once(&format!("{name}=\""))?;
    rest.split_once('"').map(|(value, _)| value)
}

/// What has changed, for people.
fn words(signal: &str, usual: f64, value: f64) -> String {
    let operation = label(signal, "operation").unwrap_or(signal);
    match label(signal, "step") {
        Some(step) if value < LEAST && usual > value => {
            format!("{operation} no longer does: {step} ({usual:.2} times a request before, {value:.2} now)")
        }
        Some(step) if usual < LEAST => {
            format!("{operation} does what is new: {step} ({value:.2} times a request, {usual:.2} before)")
        }
        Some(step) => format!("{operation} does {value:.2} times a request: {step} ({usual:.2} before)"),
        None => format!("of {operation} the share {value:.2} fails, {usual:.2} before"),
    }
}

impl Detector for Steps {
    fn attach(&mut self, series: usize, signal: &str, _: &EntityMeta) -> bool {
        let name = signal
            .strip_prefix(SPAN_STEPS)
            .is_some_and(|rest| rest.starts_with('{'));
        let wanted = self.settings.enabled && (name || signal.starts_with(FAILED) && signal.contains("operation="));
        if wanted {
            self.watches.insert(series, Watch::default());
        }
        wanted
    }

    fn observe(&mut self, series: usize, sample: &Sample, _: Option<(Timestamp, f64)>, out: &mut Scribe<'_>) {
        let value = sample.value;
        if !value.is_finite() || value.abs() > BEYOND || sample.retained {
            return;
        }
        let begun = match self.watches.get(series) {
            Some(watch) if watch.seen == 0 => self.begin(series, out),
            _ => None,
        };
        let Some(watch) = self.watches.get_mut(series) else {
            return;
        };
        if let Some(begun) = begun {
            *watch = begun;
        }
        if watch.seen < self.settings.warm_up {
            watch.learn(value);
            return;
        }
        let away = watch.away(value);
        if !watch.told {
            if !away {
                watch.run = 0;
                watch.learn(value);
                return;
            }
            if watch.run == 0 {
                watch.since = sample.at;
            }
            watch.run += 1;
            if watch.run >= BEGIN {
                (watch.told, watch.run, watch.lasted) = (true, 0, 0);
                let (usual, since) = (watch.usual, watch.since);
                let signal = out.signal_of(series);
                let draft = Draft {
                    kind: SymptomKind::Anomaly,
                    severity: self.settings.severity,
                    onset: since,
                    score: 0.9,
                    evidence: Evidence {
                        text: words(signal.as_str(), usual, value),
                        observed: Some(value),
                        bound: Some(usual),
                    },
                    detector: "steps".into(),
                };
                out.raise_series(series, draft);
            }
            return;
        }
        watch.lasted = watch.lasted.saturating_add(1);
        watch.run = if away { 0 } else { watch.run + 1 };
        let settled = watch.lasted >= SETTLE;
        if settled {
            *watch = Watch::default();
            watch.learn(value);
        }
        if settled || watch.run >= END {
            (watch.told, watch.run) = (false, 0);
            out.clear_series(series, SymptomKind::Anomaly, sample.at);
        }
    }

    fn ended(&mut self, series: usize, at: Timestamp, out: &mut Scribe<'_>) {
        if let Some(watch) = self.watches.get_mut(series)
            && std::mem::take(&mut watch.told)
        {
            out.clear_series(series, SymptomKind::Anomaly, at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(values: impl IntoIterator<Item = f64>) -> Vec<usize> {
        let mut watch = Watch::default();
        let mut away = Vec::new();
        for (place, value) in values.into_iter().enumerate() {
            if place >= 60 && watch.away(value) {
                away.push(place);
            } else {
                watch.learn(value);
            }
        }
        away
    }

    #[test]
    fn a_step_that_was_always_taken_is_missed_at_once() {
        let values = (0..100).map(|place| f64::from(u8::from(place < 90)));
        assert_eq!(told(values), (90..100).collect::<Vec<_>>());
    }

    #[test]
    fn a_step_that_is_taken_now_and_then_may_stay_away() {
        // One request a window, of which some take it: none for a while is nothing.
        let values = (0_u32..400).map(|place| f64::from(u8::from(place.wrapping_mul(2_654_435_761) >> 30 == 0)));
        assert_eq!(told(values), Vec::<usize>::new());
    }

    #[test]
    fn a_mix_that_moves_within_what_it_was_is_nothing_and_what_is_new_is_told() {
        let mixed = |place: u32| 0.3 + 0.2 * (f64::from(place) / 40.0).sin();
        assert_eq!(told((0..600).map(mixed)), Vec::<usize>::new());
        let new = told((0..600).map(|place| mixed(place) + f64::from(u8::from(place >= 595))));
        assert_eq!(new, [595, 596, 597, 598, 599]);
    }

    #[test]
    fn what_is_told_reads_as_a_sentence() {
        let signal = "span_steps_per_request{operation=\"GET /cart\",step=\"stock reserve\"}";
        assert_eq!(
            words(signal, 1.0, 0.0),
            "GET /cart no longer does: stock reserve (1.00 times a request before, 0.00 now)"
        );
        assert!(words(signal, 0.0, 0.5).contains("does what is new"));
        assert!(words("span_error_ratio{kind=\"server\",operation=\"GET /cart\"}", 0.0, 1.0).contains("fails"));
    }
}
