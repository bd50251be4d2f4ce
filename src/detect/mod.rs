//! Detectors: telemetry and events in, symptoms out.
//!
//! In: samples with their windows, events, the tick. Out: [`Finding`]s in one order. Never: a cause, a verdict, a look at
//! the topology beyond the entity at hand.
//!
//! A detector holds the state of all series or entities of one shard in columns of its own and is called only for those
//! that it asked for. A new one is one file and one line in [`registry`].

mod absence;
mod alert;
mod anomaly;
mod bad_payload;
mod budget;
mod clock;
mod columns;
mod detection;
mod drift;
mod flapping;
mod frequency;
pub mod gated;
mod habit;
mod health;
mod joint;
mod learned;
mod members;
pub mod multivariate;
mod news;
mod peers;
mod presence;
mod rate;
mod reachability;
mod restarted;
mod scope;
mod scribe;
mod sequence;
mod settings;
mod shard;
mod steps;
mod stuck;
mod threshold;
mod trace;
pub mod trained;
pub mod univariate;
mod wheel;

pub use anomaly::strength_as_surprise;
pub use detection::{Detection, Parallel, Sequential};
pub use frequency::{Frequency, FrequencyError};
pub use scope::Scope;
pub use scribe::Scribe;
pub use settings::{Settings, SettingsError};
pub use shard::{Course, EntityMeta, Shard, Vital, Vitals};
pub use trace::{Chart, Opinion, Opinions, Point};

use serde::Serialize;

use crate::model::{Event, Sample, Timestamp};

use trace::{Outlook, Ring};

/// A detector asks for state that is dear. Places are bounded and given away by name, whatever the shards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    /// A close watch of that series.
    Series(u32),
    /// A joint watch of that entity, of so many signals.
    Entity(u32, usize),
    /// A gate to the dear detectors for that series. Asked again at each strange sample until it is granted.
    Gate(u32),
    /// That series gives its gate back.
    Done(u32),
    /// To learn from what was gathered of that entity, which takes a moment. Asked again each row until it is granted.
    Fit(u32),
}

/// How much of the fleet the learned detectors look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Learned {
    /// Series of which the usual is being learned: nothing is said of them yet.
    pub learning: u64,
    /// Series that are watched for jumps.
    pub watched: u64,
    /// Those among them that are watched closely: value, time of day, shift, noise.
    pub closely: u64,
    /// Series for which there was no place among the closely watched (`detect.anomaly.max_series`).
    pub beyond: u64,
    /// Entities whose signals are judged together.
    pub entities: u64,
    /// Entities whose signals are being learned together.
    pub entities_learning: u64,
    /// Entities for which there was no place (`detect.joint.max_signals`).
    pub entities_beyond: u64,
    /// Series that are compared with those of their group.
    pub peers: u64,
    /// Series that the dear detectors look at right now (`detect.anomaly.max_gates`).
    pub gates: u64,
}

impl std::ops::AddAssign for Learned {
    fn add_assign(&mut self, more: Self) {
        self.learning += more.learning;
        self.watched += more.watched;
        self.closely += more.closely;
        self.beyond += more.beyond;
        self.entities += more.entities;
        self.entities_learning += more.entities_learning;
        self.entities_beyond += more.entities_beyond;
        self.peers += more.peers;
        self.gates += more.gates;
    }
}

/// Turns telemetry and events into symptoms. O(1) per sample; state bounded by the number of series and entities.
pub trait Detector: Send {
    /// True if this detector wants the samples of that series. Called once, when the series is first seen; `series` is
    /// its index in the shard, `signal` its name.
    fn attach(&mut self, series: usize, signal: &str, entity: &EntityMeta) -> bool {
        let _ = (series, signal, entity);
        false
    }

    /// A new value of an attached series; `before` is the one before it.
    fn observe(&mut self, series: usize, sample: &Sample, before: Option<(Timestamp, f64)>, out: &mut Scribe<'_>) {
        let _ = (series, sample, before, out);
    }

    /// Reads of each sample's state what [`Self::observe`] will read, so that it is near when its turn comes. The result
    /// means nothing; it only keeps the reads from being left out.
    fn touch(&self, samples: &[(u32, Sample)]) -> u64 {
        let _ = samples;
        0
    }

    /// Signs of life of the tick at hand: when, and of which entity. Those of one entity are in the order of their arrival.
    fn spoke(&mut self, heard: &[(Timestamp, u32)], out: &mut Scribe<'_>) {
        let _ = (heard, out);
    }

    /// How far arrival lay behind the device's own time, in nanoseconds, for messages of the tick at hand that carry a time of
    /// their own: when, of which entity. Those of one entity are in the order of their arrival.
    fn lagged(&mut self, lags: &[(Timestamp, u32, i64)], out: &mut Scribe<'_>) {
        let _ = (lags, out);
    }

    /// Something happened to an entity.
    fn event(&mut self, entity: usize, event: &Event, out: &mut Scribe<'_>) {
        let _ = (entity, event, out);
    }

    /// The series has ended: what was said of it is over.
    fn ended(&mut self, series: usize, at: Timestamp, out: &mut Scribe<'_>) {
        let _ = (series, at, out);
    }

    /// Time has come this far: for what time alone reveals.
    fn tick(&mut self, now: Timestamp, out: &mut Scribe<'_>) {
        let _ = (now, out);
    }

    /// What it asks for since the last tick.
    fn asks(&mut self, asks: &mut Vec<Ask>) {
        let _ = asks;
    }

    /// What it asked for is granted.
    fn grant(&mut self, ask: Ask) {
        let _ = ask;
    }

    /// There is no room for what it asked for.
    fn deny(&mut self, ask: Ask) {
        let _ = ask;
    }

    /// The last values of a series, if it keeps them.
    fn trace(&self, series: usize) -> Option<&Ring> {
        let _ = series;
        None
    }

    /// What it knows of a series beyond its values.
    fn outlook(&self, series: usize) -> Option<Outlook> {
        let _ = series;
        None
    }

    /// How much it looks at.
    fn learned(&self) -> Learned {
        Learned::default()
    }
}

/// One of each detector, for one shard.
fn registry(settings: &Settings) -> Vec<Box<dyn Detector>> {
    vec![
        Box::new(absence::Absence::new(&settings.absence)),
        Box::new(threshold::Threshold::new(&settings.threshold)),
        Box::new(rate::Rate::new(&settings.rate)),
        Box::new(presence::PresenceWatch::default()),
        Box::new(reachability::Reachability::new(&settings.reachability)),
        Box::new(stuck::Stuck::new(&settings.stuck)),
        Box::new(drift::Drift::new(&settings.drift)),
        Box::new(anomaly::Anomaly::new(&settings.anomaly)),
        Box::new(bad_payload::BadPayload::new(&settings.bad_payload)),
        Box::new(restarted::Restarted::default()),
        Box::new(flapping::Flapping::new(&settings.flapping)),
        Box::new(sequence::Sequence::default()),
        Box::new(alert::Alert),
        Box::new(health::Health::default()),
        Box::new(steps::Steps::new(&settings.steps)),
        Box::new(clock::Clock::new(&settings.clock)),
        Box::new(joint::Joint::new(&settings.joint)),
        Box::new(trained::range::TrainedRange::new(&settings.models)),
        Box::new(trained::network::TrainedNetwork::new(&settings.models)),
    ]
}

#[cfg(test)]
mod flapping_tests;
#[cfg(test)]
mod learned_tests;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
