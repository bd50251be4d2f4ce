//! Who began first. Counts the less the coarser the sampling, because a fault spreads faster than most systems are sampled; and the less the more began with it.

use crate::diagnose::causal::stats::{Floor, usual};
use crate::diagnose::causal::{Evidence, Finding, Kind, Scorer};

/// The most that this view alone can say, at a value a second.
const MOST: f64 = 1.5;
/// So many deviations begin it.
const BEGINS: f64 = 5.0;
/// So many rows apart is together: values of one moment are measured one after the other.
const TOGETHER: usize = 1;
/// Rows in a row, so that one outlier is no beginning.
const HOLDS: usize = 3;

/// See the module.
pub struct Onset;

impl Scorer for Onset {
    fn name(&self) -> &'static str {
        "onset"
    }

    fn score(&self, evidence: &Evidence) -> Vec<Finding> {
        // Sampled once a minute or more rarely, the order of rows is that of chance.
        let most = MOST / evidence.period_s.max(1.0);
        if most < 0.1 {
            return Vec::new();
        }
        let floor = Floor {
            share: 0.1,
            least: 1e-9,
        };
        let mut first: Vec<Option<usize>> = vec![None; evidence.nodes.len()];
        for signal in &evidence.signals {
            let Some((level, scale)) = usual(&signal.series.before, floor) else {
                continue;
            };
            let begun = signal
                .series
                .after
                .windows(HOLDS)
                .position(|rows| rows.iter().all(|value| (value - level).abs() > BEGINS * scale));
            if let (Some(begun), Some(slot)) = (begun, first.get_mut(signal.node)) {
                *slot = Some(slot.map_or(begun, |earlier| earlier.min(begun)));
            }
        }
        let Some(earliest) = first.iter().flatten().min().copied() else {
            return Vec::new();
        };
        first
            .iter()
            .enumerate()
            .filter_map(|(node, begun)| {
                let begun = begun.as_ref()?;
                let lag = (begun - earliest) as f64 * evidence.period_s;
                let together = first
                    .iter()
                    .flatten()
                    .filter(|other| **other <= begun + TOGETHER)
                    .count();
                // One of so many: each of them may be the one.
                let weight = most * (-lag / 10.0).exp() - (together as f64).ln();
                (weight > 0.05).then(|| Finding {
                    node,
                    kind: Kind::Other,
                    weight,
                    why: format!("began {lag:.0} s after the first"),
                })
            })
            .collect()
    }
}
