//! Calls that are no longer made: those it calls have less to do, and itself as much as before. It stops in the middle of its work.

use crate::diagnose::causal::stats::{median, quantile};
use crate::diagnose::causal::{Evidence, Finding, Kind, Measure, Scorer};

/// The most that this view alone can say.
const MOST: f64 = 6.0;
/// Nats for each row below the twentieth part of the rows before.
const ROW: f64 = 3.0;
/// One row may be chance.
const ROWS: usize = 2;
/// Without so many rows before, nobody knows how seldom they are low.
const HISTORY: usize = 10;
/// A callee that has this share left has lost nothing.
const LEFT: f64 = 0.5;

/// See the module.
pub struct Calls;

/// How sure it is that the requests of a node fell, and what share is left.
fn fell(evidence: &Evidence, node: usize) -> Option<(f64, f64)> {
    let series = evidence.signal(node, Measure::Requests)?;
    let (low, usual, now) = (
        quantile(&series.before, 0.05)?,
        median(&series.before)?,
        median(&series.after)?,
    );
    if usual <= 0.0 || series.before.iter().filter(|value| value.is_finite()).count() < HISTORY {
        return None;
    }
    let rows = series.after.iter().filter(|value| **value < low).count();
    let sure = if rows >= ROWS { ROW * rows as f64 } else { 0.0 };
    Some((sure, (now / usual).clamp(0.0, 1.0)))
}

impl Scorer for Calls {
    fn name(&self) -> &'static str {
        "calls"
    }

    fn score(&self, evidence: &Evidence) -> Vec<Finding> {
        let fallen: Vec<Option<(f64, f64)>> = (0..evidence.nodes.len()).map(|node| fell(evidence, node)).collect();
        let mut findings = Vec::new();
        for node in 0..evidence.nodes.len() {
            let Some((_, own_left)) = fallen[node] else { continue };
            let (mut weight, mut fewer) = (0.0, 0);
            for callee in evidence.callees(node) {
                let Some((sure, left)) = fallen.get(callee).copied().flatten() else {
                    continue;
                };
                // What it has lost beyond what its caller has lost.
                let lost = ((own_left * LEFT - left) / LEFT).clamp(0.0, 1.0);
                let callers = evidence.callers(callee).count().max(1);
                if sure > 0.0 && lost > 0.0 {
                    weight += sure * lost / callers as f64;
                    fewer += 1;
                }
            }
            if weight > 0.0 {
                findings.push(Finding {
                    node,
                    kind: Kind::Exception,
                    weight: weight.min(MOST),
                    why: format!("{fewer} of those it calls are called less, and itself as often as before"),
                });
            }
        }
        findings
    }
}
