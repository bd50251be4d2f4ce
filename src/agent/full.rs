//! A catalog that is full: what comes under a new name is left out, counted and said.

use std::time::{Duration, Instant};

use prometheus_client::metrics::counter::Counter;

use crate::metrics::{BySource, Metrics};
use crate::model::{Batch, Catalog, SeriesId};

/// While names go on being refused, it is said again this often.
const SAY_AGAIN: Duration = Duration::from_secs(60);

/// See the module.
pub struct Full {
    catalog: Catalog,
    bound_reached: Counter,
    told: u64,
    said: Option<Instant>,
}

impl Full {
    /// Of that catalog.
    pub fn new(catalog: Catalog, metrics: &Metrics) -> Self {
        let label = BySource {
            source: "catalog".into(),
        };
        Self {
            catalog,
            bound_reached: metrics.bound_reached.get_or_create_owned(&label),
            told: 0,
            said: None,
        }
    }

    /// Takes out of a batch what has no name.
    pub fn admit(&mut self, batch: &mut Batch) {
        let refused = self.catalog.refused();
        if refused == 0 {
            return;
        }
        batch.samples.retain(|sample| sample.series != SeriesId::REFUSED);
        self.bound_reached.inc_by(refused - self.told);
        let due = self.said.is_none_or(|said| said.elapsed() >= SAY_AGAIN);
        if refused > self.told && due {
            self.said = Some(Instant::now());
            tracing::error!(
                refused,
                "{} series are known and there is no room for more: samples under new names are left out. Does a payload or a label \
                 hold something that changes each time, such as a number or a time? Else raise agent.max_series.",
                self.catalog.room()
            );
        }
        self.told = refused;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Sample, Timestamp};

    #[test]
    fn what_has_no_name_is_left_out_and_counted_once() {
        let (catalog, metrics) = (Catalog::with_room(1), Metrics::default());
        let mut full = Full::new(catalog.clone(), &metrics);
        let at = Timestamp::from_secs(1);
        let sample = |signal: &str| Sample {
            series: catalog.series("pump", signal),
            retained: false,
            at,
            seen: at,
            value: 1.0,
        };
        for expected in [1, 2] {
            let mut batch = Batch {
                samples: vec![sample("flow"), sample("new")],
                events: Vec::new(),
            };
            full.admit(&mut batch);
            assert_eq!(batch.samples.len(), 1);
            assert_eq!(full.bound_reached.get(), expected);
        }
    }
}
