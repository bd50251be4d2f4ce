//! What spans told of the steps of an operation, before and after the trouble began: a step that vanished, or one that is new.
//!
//! Each window counts as a few pieces of work, however many there were, because requests of one client are not independent. What is called from there and has
//! changed as surely explains a change: its own callers only feel it.

use crate::diagnose::causal::stats::likelihood_ratio;
use crate::diagnose::causal::{Behaviour, Change, Evidence, Series};

/// A window counts as so much work, and all of the past together as so much at the most.
const WINDOW_COUNTS: f64 = 5.0;
const PAST_COUNTS: f64 = 60.0;

/// Below this, a change is noise (nats).
const NOTABLE: f64 = 2.5;

/// How a step of a node's work has changed, if it has.
pub fn changed(node: usize, signal: &str, series: &Series) -> Option<Behaviour> {
    let known = |values: &[f64]| -> Vec<f64> { values.iter().copied().filter(|value| value.is_finite()).collect() };
    let (mut before, after) = (known(&series.before), known(&series.after));
    if before.is_empty() || after.is_empty() {
        return None;
    }
    before.sort_by(f64::total_cmp);
    let usual = before[before.len() / 2];
    let now = after.iter().sum::<f64>() / after.len() as f64;
    // More than once a request: as a share of the larger.
    let whole = usual.max(now).max(1.0);
    let (n0, n1) = (
        (before.len() as f64 * WINDOW_COUNTS).min(PAST_COUNTS),
        after.len() as f64 * WINDOW_COUNTS,
    );
    let surprise = likelihood_ratio(usual / whole * n0, n0, now / whole * n1, n1);
    let (_, what) = signal.split_once('{')?;
    (surprise > NOTABLE).then(|| Behaviour {
        node,
        change: match (now > usual, what.to_ascii_lowercase().contains("error")) {
            (false, _) => Change::Vanished,
            (true, true) => Change::Failed,
            (true, false) => Change::Appeared,
        },
        surprise,
        coverage: 1.0,
        factor: 1.0,
        in_log: false,
        what: format!(
            "{} ({usual:.2} times a request before, {now:.2} now)",
            what.trim_end_matches('}')
        ),
    })
}

/// Takes from each change what changes of those that are called from there account for.
pub fn explain(evidence: &mut Evidence) {
    let mut own = vec![0.0_f64; evidence.nodes.len()];
    for behaviour in &evidence.behaviours {
        own[behaviour.node] = own[behaviour.node].max(behaviour.surprise);
    }
    // As far down as there are nodes: who is called by someone who is called.
    let mut below = vec![0.0_f64; own.len()];
    for _ in 0..own.len() {
        let mut moved = false;
        for link in &evidence.links {
            let reached = own[link.callee].max(below[link.callee]);
            if link.caller != link.callee && reached > below[link.caller] {
                below[link.caller] = reached;
                moved = true;
            }
        }
        if !moved {
            break;
        }
    }
    for behaviour in &mut evidence.behaviours {
        behaviour.surprise *= 1.0 - (below[behaviour.node] / behaviour.surprise).min(1.0);
    }
    evidence.behaviours.retain(|behaviour| behaviour.surprise > NOTABLE);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnose::causal::{Link, Node};

    const SIGNAL: &str = "span_steps_per_request{operation=\"GET /cart\",step=\"stock reserve\"}";

    fn series(before: f64, after: f64) -> Series {
        Series {
            before: vec![before; 20],
            after: vec![after; 6],
        }
    }

    #[test]
    fn a_step_that_vanishes_is_surprising_and_one_that_stays_is_none() {
        let vanished = changed(0, SIGNAL, &series(1.0, 0.0)).unwrap();
        assert_eq!(vanished.change, Change::Vanished);
        assert!(vanished.surprise > 20.0 && vanished.what.contains("stock reserve"));
        assert_eq!(changed(0, SIGNAL, &series(0.0, 0.8)).unwrap().change, Change::Appeared);
        assert_eq!(changed(0, SIGNAL, &series(1.0, 1.0)), None);
        assert_eq!(changed(0, SIGNAL, &series(2.0, 1.9)), None);
        assert_eq!(
            changed(0, SIGNAL, &series(f64::NAN, 1.0)),
            None,
            "nothing is known of before"
        );
    }

    #[test]
    fn what_is_called_and_has_changed_as_surely_explains_its_callers() {
        let node = |name: &str| Node {
            name: name.into(),
            view_only: false,
        };
        let mut evidence = Evidence {
            nodes: vec![node("front"), node("cart"), node("stock")],
            links: vec![Link { caller: 0, callee: 1 }, Link { caller: 1, callee: 2 }],
            behaviours: [0, 1]
                .iter()
                .filter_map(|node| changed(*node, SIGNAL, &series(1.0, 0.0)))
                .collect(),
            ..Evidence::default()
        };
        explain(&mut evidence);
        let left: Vec<usize> = evidence.behaviours.iter().map(|behaviour| behaviour.node).collect();
        assert_eq!(left, [1]);
    }
}
