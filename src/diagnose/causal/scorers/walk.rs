//! A random walk from the symptom down the calls, drawn to what moved: where it stays, blame gathers.

use super::nats;
use crate::diagnose::causal::stats::{Floor, shift};
use crate::diagnose::causal::{Evidence, Finding, Kind, Measure, Scorer};

/// The most that this view alone can say.
const MOST: f64 = 0.8;
/// Probability of going back to the symptom.
const RESTART: f64 = 0.15;
/// Steps; the walk has settled long before.
const STEPS: usize = 60;

/// See the module.
pub struct Walk;

impl Scorer for Walk {
    fn name(&self) -> &'static str {
        "walk"
    }

    fn score(&self, evidence: &Evidence) -> Vec<Finding> {
        let n = evidence.nodes.len();
        let Some(seen) = evidence.seen.filter(|seen| seen.node < n) else {
            return Vec::new();
        };
        if evidence.links.is_empty() {
            return Vec::new();
        }
        let moved: Vec<f64> = (0..n)
            .map(|node| {
                let Some(series) = evidence.signal(node, seen.measure) else {
                    return 0.0;
                };
                let sign = if seen.measure == Measure::Availability {
                    -1.0
                } else {
                    1.0
                };
                shift(
                    series,
                    Floor {
                        share: 0.05,
                        least: 1e-4,
                    },
                )
                .map_or(0.0, |shift| nats(sign * shift.z(), 6.0))
            })
            .collect();
        let mut at = vec![0.0; n];
        at[seen.node] = 1.0;
        for _ in 0..STEPS {
            let mut next = vec![0.0; n];
            for (node, mass) in at.iter().enumerate().filter(|(_, mass)| **mass > 0.0) {
                // To whom it calls, or to stay: each as likely as it moved.
                let ways: Vec<usize> = evidence.callees(node).chain([node]).collect();
                let sum: f64 = ways.iter().map(|way| moved[*way] + 0.01).sum();
                for way in ways {
                    next[way] += mass * (1.0 - RESTART) * (moved[way] + 0.01) / sum;
                }
            }
            next[seen.node] += RESTART;
            at = next;
        }
        at[seen.node] = 0.0;
        let most = at.iter().copied().fold(0.0, f64::max);
        if most <= 0.0 {
            return Vec::new();
        }
        at.iter()
            .enumerate()
            .filter(|(node, mass)| **mass > 0.05 * most && moved[*node] > 0.0)
            .map(|(node, mass)| Finding {
                node,
                kind: Kind::Other,
                weight: MOST * mass / most,
                why: "blame gathers here when calls are followed from the symptom".into(),
            })
            .collect()
    }
}
