//! Two ends of one edge: what the caller waits less what the callee works is the network between them.
//!
//! All edges to a node rising together name the node; one alone names the edge, and its callee only as far as it is the only one.

use super::nats;
use crate::diagnose::causal::stats::{Floor, shift};
use crate::diagnose::causal::{Evidence, Finding, Kind, Scorer};

/// The most that this view alone can say.
const MOST: f64 = 7.0;
/// Times below this are not told apart (seconds).
const LEAST_S: f64 = 0.005;
/// A rise of so many seconds is a full one.
const FULL_S: f64 = 0.1;

/// See the module.
pub struct Network;

impl Scorer for Network {
    fn name(&self) -> &'static str {
        "network"
    }

    fn score(&self, evidence: &Evidence) -> Vec<Finding> {
        let floor = Floor {
            share: 0.3,
            least: LEAST_S,
        };
        let rises: Vec<(usize, usize, f64, f64)> = evidence
            .gaps
            .iter()
            .filter_map(|gap| {
                let shift = shift(&gap.series, floor)?;
                let weight = nats(shift.z(), MOST) * (shift.delta / FULL_S).clamp(0.0, 1.0);
                Some((gap.link.caller, gap.link.callee, weight, shift.delta))
            })
            .collect();
        let mut findings = Vec::new();
        for node in 0..evidence.nodes.len() {
            let inward: Vec<&(usize, usize, f64, f64)> = rises.iter().filter(|rise| rise.1 == node).collect();
            let outward: Vec<&(usize, usize, f64, f64)> = rises.iter().filter(|rise| rise.0 == node).collect();
            let mean = |side: &[&(usize, usize, f64, f64)]| {
                side.iter().map(|rise| rise.2).sum::<f64>() / side.len().max(1) as f64
            };
            let (to, from) = (mean(&inward), if outward.len() > 1 { mean(&outward) } else { 0.0 });
            let (weight, side, what) = if to >= from {
                (to, inward, "to")
            } else {
                (from, outward, "from")
            };
            if weight > 0.0 {
                let most = side.iter().map(|rise| rise.3).fold(0.0, f64::max);
                findings.push(Finding {
                    node,
                    kind: Kind::NetworkDelay,
                    weight,
                    why: format!("calls {what} it lose {most:.3} s more on the way"),
                });
            }
        }
        findings
    }
}
