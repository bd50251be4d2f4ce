//! The rules of the detectors, as they stand in the config under `detect`.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::{EntityKind, Severity, Span, SymptomKind};

use super::trained::Models;
use super::{Frequency, Scope};

/// What is looked for. Threshold and rate rules are stated; everything else is learned and needs no numbers.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "Detect")]
pub struct Settings {
    /// Static bounds on signals.
    pub threshold: Vec<ThresholdRule>,
    /// Bounds on how fast a signal may move.
    pub rate: Vec<RateRule>,
    /// Telemetry that stops.
    pub absence: AbsenceSettings,
    /// What is tried to be reached and does not answer.
    pub reachability: ReachabilitySettings,
    /// Signals that stand still.
    pub stuck: LearnedSettings,
    /// Signals that creep away.
    pub drift: LearnedSettings,
    /// Signals that leave what is usual for them.
    pub anomaly: AnomalySettings,
    /// Services whose work, as spans tell it, is no longer what it always was: steps that vanish or are new, operations that begin to fail.
    pub steps: StepsSettings,
    /// Signals of one device that no longer fit together.
    pub joint: JointSettings,
    /// Devices that go their own way, apart from their group.
    pub peers: PeersSettings,
    /// Clocks that are wrong.
    pub clock: ClockSettings,
    /// How often learned detectors may be wrong. Their thresholds follow from it.
    pub false_alarms: FalseAlarms,
    /// Payloads that cannot be read.
    pub bad_payload: BadPayloadSettings,
    /// Entities that go up and down.
    pub flapping: FlappingSettings,
    /// What was trained beforehand: the files that the config names under `models`.
    #[serde(skip)]
    pub models: Arc<Models>,
}

/// A static bound with hysteresis and hold.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ThresholdRule {
    /// Its name, for evidence and explanations.
    pub name: String,
    /// Which series.
    #[serde(flatten)]
    pub scope: Scope,
    /// Bad above this.
    #[serde(default)]
    pub above: Option<f64>,
    /// Bad below this.
    #[serde(default)]
    pub below: Option<f64>,
    /// Good again only beyond this: below it for `above`, above it for `below`. The bound itself if left out.
    #[serde(default)]
    pub clear: Option<f64>,
    /// Must be bad for so long, by the data's own time. One sample is enough if left out.
    #[serde(default, rename = "for")]
    pub hold: Span,
    /// How bad.
    #[serde(default)]
    pub severity: Severity,
    /// What the finding means, where it is more than `high` or `low`: `failing` for a signal by which a service says
    /// that it is ill.
    #[serde(default)]
    pub means: Option<SymptomKind>,
}

/// A bound on how fast a signal moves.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RateRule {
    /// Its name, for evidence and explanations.
    pub name: String,
    /// Which series.
    #[serde(flatten)]
    pub scope: Scope,
    /// Bad if it moves by more than this per second, up or down.
    pub per_second: f64,
    /// Smoothed over so long.
    #[serde(default = "default_over")]
    pub over: Span,
    /// How bad.
    #[serde(default)]
    pub severity: Severity,
}

const fn default_over() -> Span {
    Span::secs(10)
}

/// When silence is worth a word.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AbsenceSettings {
    /// Look for it.
    pub enabled: bool,
    /// Never sooner than this, however fast the entity usually speaks.
    pub min_wait: Span,
    /// An entity that declares its period is missed after so many of them.
    pub missed_periods: u32,
    /// How bad.
    pub severity: Severity,
}

impl Default for AbsenceSettings {
    fn default() -> Self {
        Self {
            enabled: true,
            min_wait: Span::millis(500),
            missed_periods: 3,
            severity: Severity::Warning,
        }
    }
}

/// How many tries make a finding.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ReachabilitySettings {
    /// Bad answers in a row by the same check from the same place, for what may be a blip: no answer, no route, an
    /// error. A refused connection is no blip: the host itself says that nobody listens.
    pub fall: u32,
    /// Good answers in a row until it is over.
    pub rise: u32,
    /// How bad.
    pub severity: Severity,
}

impl Default for ReachabilitySettings {
    fn default() -> Self {
        Self {
            fall: 2,
            rise: 2,
            severity: Severity::Critical,
        }
    }
}

/// A detector that learns what is usual.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LearnedSettings {
    /// Look for it.
    pub enabled: bool,
    /// For the signals of these kinds of entity. Counters and gauges of services jump and rest by nature.
    pub kinds: Vec<EntityKind>,
    /// Samples to learn from before a word is said.
    pub warm_up: u32,
    /// How bad.
    pub severity: Severity,
}

impl Default for LearnedSettings {
    fn default() -> Self {
        Self {
            enabled: true,
            kinds: vec![EntityKind::Device],
            warm_up: 100,
            severity: Severity::Warning,
        }
    }
}

/// How often learned detectors may be wrong.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct FalseAlarms {
    /// So many false alarms may a device cost, over all of its signals, such as `1/month`, `2/week`, `1/day` or `3/12h`. The more a device
    /// is judged in that time, the stranger something has to be to be told; a device that has had its share needs to be stranger yet,
    /// and so does one that has not been watched for that time.
    pub per_device: Frequency,
}

/// Signals that leave what is usual for them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AnomalySettings {
    /// Look for it.
    pub enabled: bool,
    /// For the signals of these kinds of entity. Gauges of services jump and rest by nature, and have alerting rules of their own.
    pub kinds: Vec<EntityKind>,
    /// Samples to learn from before a jump is told. What is watched closely is learned for a day or 1500 samples more.
    pub warm_up: u32,
    /// So many series are watched closely: value, time of day, shape of the day, shift, noise. About 3 kB each. The others are watched for
    /// jumps only, and counted in `status` and `/metrics`.
    pub max_series: u64,
    /// So many of these at a time are looked at by dear detectors as well, a random cut forest and a search for change points, while they are
    /// strange: a second opinion for whoever looks at a finding. About 40 µs a sample.
    pub max_gates: u64,
    /// How bad.
    pub severity: Severity,
}

impl Default for AnomalySettings {
    fn default() -> Self {
        Self {
            enabled: true,
            kinds: vec![EntityKind::Device, EntityKind::Gateway],
            warm_up: 100,
            max_series: 1000,
            max_gates: 32,
            severity: Severity::Warning,
        }
    }
}

/// Services whose work, as spans tell it, is no longer what it always was.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct StepsSettings {
    /// Look for it.
    pub enabled: bool,
    /// Windows of ten seconds to learn from before a word is said.
    pub warm_up: u32,
    /// How bad.
    pub severity: Severity,
}

impl Default for StepsSettings {
    fn default() -> Self {
        Self {
            enabled: true,
            warm_up: 60,
            severity: Severity::Warning,
        }
    }
}

/// Signals of one device that no longer fit together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct JointSettings {
    /// Look for it.
    pub enabled: bool,
    /// For entities of these kinds that have two signals or more, and at most 64.
    pub kinds: Vec<EntityKind>,
    /// Rows to learn from before a word is said. `100..=10000`.
    pub learn_rows: u32,
    /// Entities are judged this way until they have so many signals together; the others are counted in `status` and `/metrics`. A signal
    /// costs up to 20 kB, most of it the 4096 rows from which it is learned how they hang together.
    pub max_signals: u64,
    /// How bad.
    pub severity: Severity,
}

impl Default for JointSettings {
    fn default() -> Self {
        Self {
            enabled: true,
            kinds: vec![EntityKind::Device, EntityKind::Gateway],
            learn_rows: 600,
            max_signals: 1000,
            severity: Severity::Warning,
        }
    }
}

/// Devices that go their own way. Compared are those that the topology puts into one `group`, else those behind one gateway.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PeersSettings {
    /// Look for it.
    pub enabled: bool,
    /// For entities of these kinds.
    pub kinds: Vec<EntityKind>,
    /// So many series are compared, at most 256 of one group.
    pub max_series: u64,
    /// How bad.
    pub severity: Severity,
}

impl Default for PeersSettings {
    fn default() -> Self {
        Self {
            enabled: true,
            kinds: vec![EntityKind::Device],
            max_series: 10_000,
            severity: Severity::Warning,
        }
    }
}

/// Clocks that are wrong, of entities whose messages carry a time of their own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ClockSettings {
    /// Look for it.
    pub enabled: bool,
    /// Off by less than this is nothing, however steady the clock was.
    pub min_shift: Span,
    /// How bad.
    pub severity: Severity,
}

impl Default for ClockSettings {
    fn default() -> Self {
        Self {
            enabled: true,
            min_shift: Span::secs(5),
            severity: Severity::Warning,
        }
    }
}

/// When unreadable payloads are more than a note.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct BadPayloadSettings {
    /// So many within `window` are a warning; fewer are a note.
    pub count: u32,
    /// Within so long. A symptom ends after so long without another.
    pub window: Span,
}

impl Default for BadPayloadSettings {
    fn default() -> Self {
        Self {
            count: 3,
            window: Span::secs(60),
        }
    }
}

/// When up and down again is a fault of its own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct FlappingSettings {
    /// So many changes between good and bad within `window`.
    pub changes: u32,
    /// Within so long. It is over after so long without a change.
    pub window: Span,
    /// How bad.
    pub severity: Severity,
}

impl Default for FlappingSettings {
    fn default() -> Self {
        Self {
            changes: 4,
            window: Span::secs(60),
            severity: Severity::Warning,
        }
    }
}

/// A rule that cannot be followed.
#[derive(Debug, thiserror::Error, PartialEq)]
pub enum SettingsError {
    /// Neither bound, or both.
    #[error("detect.threshold rule '{0}' needs exactly one of 'above' and 'below'")]
    Bounds(String),
    /// The hysteresis lies on the bad side.
    #[error("detect.threshold rule '{rule}': 'clear' {clear} lies on the bad side of its bound {bound}")]
    Clear {
        /// Which rule.
        rule: String,
        /// Its `clear`.
        clear: f64,
        /// Its bound.
        bound: f64,
    },
    /// Not a number that can be compared, or not above zero where it must be.
    #[error("{place} must be {wanted}")]
    Number {
        /// Where.
        place: String,
        /// What it must be.
        wanted: &'static str,
    },
}

impl Settings {
    /// Finds the first rule that cannot be followed.
    pub fn check(&self) -> Result<(), SettingsError> {
        for rule in &self.threshold {
            rule.check()?;
        }
        for rule in &self.rate {
            let place = || format!("detect.rate rule '{}': per_second", rule.name);
            if !(rule.per_second.is_finite() && rule.per_second > 0.0) {
                return Err(SettingsError::Number {
                    place: place(),
                    wanted: "a number above 0",
                });
            }
        }
        for (place, number) in [
            ("detect.reachability.fall", self.reachability.fall),
            ("detect.reachability.rise", self.reachability.rise),
            ("detect.absence.missed_periods", self.absence.missed_periods),
            ("detect.bad_payload.count", self.bad_payload.count),
            ("detect.flapping.changes", self.flapping.changes),
        ] {
            if number == 0 {
                return Err(SettingsError::Number {
                    place: place.into(),
                    wanted: "at least 1",
                });
            }
        }
        if !(100..=10_000).contains(&self.joint.learn_rows) {
            return Err(SettingsError::Number {
                place: "detect.joint.learn_rows".into(),
                wanted: "between 100 and 10000",
            });
        }
        Ok(())
    }
}

impl ThresholdRule {
    fn check(&self) -> Result<(), SettingsError> {
        let ((Some(bound), None) | (None, Some(bound))) = (self.above, self.below) else {
            return Err(SettingsError::Bounds(self.name.clone()));
        };
        if !bound.is_finite() || self.clear.is_some_and(|clear| !clear.is_finite()) {
            let place = format!("detect.threshold rule '{}': its bound", self.name);
            return Err(SettingsError::Number {
                place,
                wanted: "a finite number",
            });
        }
        let clear = self.clear.unwrap_or(bound);
        if (self.above.is_some() && clear > bound) || (self.below.is_some() && clear < bound) {
            return Err(SettingsError::Clear {
                rule: self.name.clone(),
                clear,
                bound,
            });
        }
        Ok(())
    }
}
