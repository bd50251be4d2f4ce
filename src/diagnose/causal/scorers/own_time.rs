//! Slower or failing by itself: its own work, or what its latency rose by beyond the rise of those it calls.

use super::nats;
use crate::diagnose::causal::stats::{Floor, shift};
use crate::diagnose::causal::{Change, Evidence, Finding, Kind, Measure, Scorer};

/// The most that this view alone can say.
const MOST: f64 = 4.0;
/// Times below this are not told apart (seconds).
const LEAST_S: f64 = 0.005;
/// Errors below this are not told apart.
const LEAST_ERRORS: f64 = 0.05;
/// A rise of so many seconds is a full one.
const FULL_S: f64 = 0.1;

/// See the module.
pub struct OwnTime;

impl Scorer for OwnTime {
    fn name(&self) -> &'static str {
        "own_time"
    }

    fn score(&self, evidence: &Evidence) -> Vec<Finding> {
        let floor = Floor {
            share: 0.2,
            least: LEAST_S,
        };
        let deltas: Vec<Option<(f64, f64)>> = (0..evidence.nodes.len())
            .map(|node| {
                let shift = shift(evidence.signal(node, Measure::Latency)?, floor)?;
                Some((shift.delta, shift.scale))
            })
            .collect();
        // Who calls whom is not known: a caller waits for part of what the one at fault is late by, seldom for all of it.
        let most = deltas.iter().flatten().map(|(delta, _)| *delta).fold(0.0, f64::max);
        let mut findings = Vec::new();
        for (node, delta) in deltas.iter().enumerate() {
            if let Some((delta, scale)) = delta {
                let below = evidence
                    .callees(node)
                    .filter_map(|callee| deltas.get(callee).copied().flatten())
                    .map(|(delta, _)| delta.max(0.0))
                    .sum::<f64>();
                let own = delta - below;
                let share = if evidence.links.is_empty() && *delta > 0.0 {
                    (delta / most).powi(2)
                } else {
                    1.0
                };
                let weight = nats(own / scale, MOST) * (own / FULL_S).clamp(0.0, 1.0) * share;
                if weight > 0.0 {
                    findings.push(Finding {
                        node,
                        kind: Kind::Slow,
                        weight: weight * 0.5,
                        why: format!("its latency rose by {own:.3} s more than that of those it calls"),
                    });
                }
            }
            let slower = evidence
                .behaviours
                .iter()
                .filter(|behaviour| behaviour.node == node && behaviour.change == Change::Slower)
                .max_by(|a, b| a.surprise.total_cmp(&b.surprise));
            if let Some(slower) = slower {
                findings.push(Finding {
                    node,
                    kind: Kind::Slow,
                    weight: (slower.surprise / 10.0).min(1.0) * MOST * 0.5,
                    why: slower.what.clone(),
                });
            }
        }
        for signal in evidence
            .signals
            .iter()
            .filter(|signal| signal.measure == Measure::Errors && evidence.seen.is_none())
        {
            let Some(shift) = shift(
                &signal.series,
                Floor {
                    share: 0.2,
                    least: LEAST_ERRORS,
                },
            ) else {
                continue;
            };
            let weight = nats(shift.z(), MOST) * 0.5;
            if weight > 0.0 {
                findings.push(Finding {
                    node: signal.node,
                    kind: Kind::Failing,
                    weight,
                    why: format!("{} rose from {:.3} by {:.3}", signal.name, shift.level, shift.delta),
                });
            }
        }
        findings
    }
}
