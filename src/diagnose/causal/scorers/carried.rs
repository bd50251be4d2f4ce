//! Whose own shift is not explained by those it calls, and carries the symptom that was seen.
//!
//! Compared are amounts that add up along calls: seconds of waiting (latency times requests) and failed requests. A node's own amount is its rise less
//! those of its callees; the share of the symptom is how far the own amount follows the symptom's from row to row. A chronic oddity, however
//! large, does not follow the symptom; a victim has nothing of its own.

use crate::diagnose::causal::stats::{Floor, usual, without_workload};
use crate::diagnose::causal::{Evidence, Finding, Kind, Measure, Scorer};

/// The most that this view alone can say.
const MOST: f64 = 6.0;
/// For a node that is only one end of an edge, whose other end is a node as well.
const VIEW: f64 = 0.5;

/// See the module.
pub struct Carried;

/// The rise of a node's amount in each row after the moment; zero where it is unknown.
fn rises(evidence: &Evidence, node: usize, measure: Measure) -> Option<Vec<f64>> {
    let requests = evidence.signal(node, Measure::Requests)?;
    let series = evidence.signal(node, measure)?;
    let series = if measure == Measure::Availability {
        series.clone()
    } else {
        without_workload(series, requests)
    };
    let least = match measure {
        Measure::Availability => 0.5,
        _ => 1e-4,
    };
    let (level, scale) = usual(&series.before, Floor { share: 0.02, least })?;
    Some(
        series
            .after
            .iter()
            .zip(&requests.after)
            .map(|(value, requests)| {
                if !value.is_finite() || !requests.is_finite() {
                    return 0.0;
                }
                let rise = if measure == Measure::Availability {
                    (level - value) / 100.0
                } else {
                    value - level
                };
                // What it does every day anyway is not its own rise.
                let sure =
                    (rise.abs() / (scale / if measure == Measure::Availability { 100.0 } else { 1.0 }) / 3.0).min(1.0);
                rise.max(0.0) * requests * sure
            })
            .collect(),
    )
}

impl Scorer for Carried {
    fn name(&self) -> &'static str {
        "carried"
    }

    fn score(&self, evidence: &Evidence) -> Vec<Finding> {
        let Some(seen) = evidence.seen else { return Vec::new() };
        let Some(symptom) = rises(evidence, seen.node, seen.measure) else {
            return Vec::new();
        };
        let norm: f64 = symptom.iter().map(|value| value * value).sum();
        if norm <= 0.0 {
            return Vec::new();
        }
        let all: Vec<Option<Vec<f64>>> = (0..evidence.nodes.len())
            .map(|node| rises(evidence, node, seen.measure))
            .collect();
        let mut findings = Vec::new();
        for (node, rise) in all.iter().enumerate() {
            let Some(rise) = rise else { continue };
            let below: Vec<&Vec<f64>> = evidence
                .callees(node)
                .filter(|callee| *callee != node)
                .filter_map(|callee| all.get(callee).and_then(Option::as_ref))
                .collect();
            let own: Vec<f64> = rise
                .iter()
                .enumerate()
                .map(|(row, value)| {
                    let explained = below.iter().filter_map(|callee| callee.get(row)).sum::<f64>();
                    (value - explained).max(0.0)
                })
                .collect();
            let share = own
                .iter()
                .zip(&symptom)
                .map(|(own, symptom)| own * symptom)
                .sum::<f64>()
                / norm;
            let view = evidence.nodes.get(node).is_some_and(|node| node.view_only);
            let weight = MOST * share.clamp(0.0, 1.0) * if view { VIEW } else { 1.0 };
            if weight > 0.05 {
                findings.push(Finding {
                    node,
                    kind: if seen.measure == Measure::Latency {
                        Kind::Slow
                    } else {
                        Kind::Failing
                    },
                    weight,
                    why: format!("its own rise carries {:.0} % of the symptom's", share * 100.0),
                });
            }
        }
        findings
    }
}
