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
mod columns;
mod detection;
mod drift;
mod flapping;
pub mod gated;
mod learned;
pub mod multivariate;
mod presence;
mod rate;
mod reachability;
mod restarted;
mod scope;
mod scribe;
mod sequence;
mod settings;
mod shard;
mod stuck;
mod threshold;
pub mod trained;
pub mod univariate;

pub use detection::{Detection, Parallel, Sequential};
pub use scope::Scope;
pub use scribe::Scribe;
pub use settings::{Settings, SettingsError};
pub use shard::{EntityMeta, Shard, Vital, Vitals};

use crate::model::{Event, Sample, Timestamp};

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
        Box::new(trained::range::TrainedRange::new(&settings.models)),
    ]
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
