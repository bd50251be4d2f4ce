//! Telemetry on its way in.

use super::{SeriesId, Timestamp};

/// One value of one series.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample {
    /// Which series.
    pub series: SeriesId,
    /// True for an MQTT message that the broker had retained and replayed on subscribe: old by construction, so it may
    /// set a value but never counts as a sign of life.
    pub retained: bool,
    /// The device's own time, or the time of arrival where the device gave none.
    pub at: Timestamp,
    /// When it arrived here.
    pub seen: Timestamp,
    /// The value. `NaN` is a value that the device reported as such; Prometheus' staleness marker is
    /// [`STALE_NAN`].
    pub value: f64,
}

/// Prometheus' staleness marker (`model/value/value.go`, `StaleNaN`): the series has ended.
pub const STALE_NAN: f64 = f64::from_bits(0x7ff0_0000_0000_0002);

/// True for the one NaN that says that a series has ended.
pub fn is_stale(value: f64) -> bool {
    value.to_bits() == STALE_NAN.to_bits()
}

/// What one packet or one scrape brought. Buffers are reused by whoever fills them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Batch {
    /// The samples, in the order in which they were read.
    pub samples: Vec<Sample>,
    /// What else the packet said: births, wills, bad payloads, discovered entities.
    pub events: Vec<super::Event>,
}

impl Batch {
    /// Empties both lists and keeps their memory.
    pub fn clear(&mut self) {
        self.samples.clear();
        self.events.clear();
    }

    /// True if there is nothing to hand on.
    pub fn is_empty(&self) -> bool {
        self.samples.is_empty() && self.events.is_empty()
    }
}
