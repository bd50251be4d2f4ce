//! From what the scorers say to probabilities.

use std::collections::BTreeMap;

use super::{Behaviour, Change, Evidence, Finding, Kind, SCORERS};

/// Sharpens the sum of the scorers' nats, each of which is cautious by itself.
const TEMPERATURE: f64 = 0.9;
/// What a cause that nothing here looks at weighs, as much as a node with little for it.
const SOMETHING_ELSE: f64 = 1.0;
/// What names no way to fail (who began, where blame gathers) bears out what does. By itself it says no more than this.
const ALONE_NATS: f64 = 0.3;
/// More nats than this say nothing more.
const MOST: f64 = 100.0;
/// Evidence from one window misleads about once in twenty times, however clear it looks.
const CERTAIN: f64 = 0.95;

/// Nats for a rise of the processor's use from which on it explains the rest.
const STARVED: f64 = 1.0;
/// A kind that says more needs this share of what one that says less has for it.
const FAIR: f64 = 0.25;
/// One kind of work is slower by so many times more than the next.
const CONCENTRATED: f64 = 8.0;
/// The only kind of work that is slower is so by so many times: sharing a processor slows less.
const ALONE: f64 = 35.0;

/// A node with what speaks for it.
#[derive(Debug, Clone, PartialEq)]
pub struct Ranked {
    /// Its name.
    pub node: String,
    /// Probability that it is the cause.
    pub probability: f64,
    /// The most probable kind of fault, if it is.
    pub kind: Kind,
    /// What weighs most.
    pub why: String,
    /// The sum, in nats.
    pub weight: f64,
}

/// All nodes, most probable first.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Ranking {
    /// The nodes.
    pub nodes: Vec<Ranked>,
    /// Probability that it is none of them.
    pub something_else: f64,
    /// Everything that was found, for people.
    pub findings: Vec<(&'static str, Finding)>,
}

/// Ranks all nodes of a case.
pub fn diagnose(evidence: &Evidence) -> Ranking {
    let findings: Vec<(&'static str, Finding)> = SCORERS
        .iter()
        .flat_map(|scorer| {
            scorer
                .score(evidence)
                .into_iter()
                .map(|finding| (scorer.name(), finding))
        })
        .filter(|(_, finding)| finding.node < evidence.nodes.len() && finding.weight.is_finite())
        .collect();
    let mut nodes: Vec<Ranked> = evidence
        .nodes
        .iter()
        .enumerate()
        .map(|(node, known)| {
            let own: Vec<&Finding> = findings
                .iter()
                .map(|(_, finding)| finding)
                .filter(|finding| finding.node == node)
                .collect();
            let sum = |circumstance: bool| {
                own.iter()
                    .filter(|finding| (finding.kind == Kind::Other) == circumstance)
                    .fold(0.0, |sum, finding| sum + finding.weight)
            };
            let direct = sum(false);
            let weight = direct + sum(true).min(direct.max(0.0) + ALONE_NATS);
            let most = own.iter().max_by(|a, b| a.weight.total_cmp(&b.weight));
            Ranked {
                node: known.name.clone(),
                probability: 0.0,
                kind: kind(
                    &own,
                    &evidence
                        .behaviours
                        .iter()
                        .filter(|behaviour| behaviour.node == node)
                        .collect::<Vec<_>>(),
                ),
                why: most.map(|finding| finding.why.clone()).unwrap_or_default(),
                weight,
            }
        })
        .collect();
    nodes.sort_by(|a, b| b.weight.total_cmp(&a.weight).then_with(|| a.node.cmp(&b.node)));
    // A node without anything for it has no share: otherwise a system of many nodes would be less certain of what is plain to see.
    let likely = |weight: f64| (weight.clamp(0.0, MOST) / TEMPERATURE).exp_m1();
    let sum: f64 = nodes.iter().map(|node| likely(node.weight)).sum::<f64>() + SOMETHING_ELSE;
    for node in &mut nodes {
        node.probability = (likely(node.weight) / sum).min(CERTAIN);
    }
    Ranking {
        nodes,
        something_else: SOMETHING_ELSE / sum,
        findings,
    }
}

/// The kind that most speaks for. What only says that something is wrong names one where what says more says little: a breath of memory does not make
/// a delay one of memory. A processor at its limit explains what
/// else is slow, late or grown at the same node, and not the other way round.
fn kind(own: &[&Finding], behaviours: &[&Behaviour]) -> Kind {
    let mut sums: BTreeMap<Kind, f64> = BTreeMap::new();
    for finding in own {
        *sums.entry(finding.kind).or_default() += finding.weight;
    }
    if sums.get(&Kind::CpuContention).is_some_and(|weight| *weight > STARVED) {
        return if concentrated(behaviours) {
            Kind::CpuConsumed
        } else {
            Kind::CpuContention
        };
    }
    let best = |of: &dyn Fn(&Kind) -> bool| {
        let sums = sums.iter().filter(|(kind, _)| of(kind));
        sums.max_by(|a, b| a.1.total_cmp(b.1))
            .map(|(kind, weight)| (*kind, *weight))
    };
    let named = best(&|kind| !matches!(kind, Kind::Other | Kind::Slow | Kind::Failing));
    let vague = best(&|kind| matches!(kind, Kind::Slow | Kind::Failing));
    let least = vague.map_or(0.0, |(_, weight)| FAIR * weight);
    named
        .filter(|(_, weight)| *weight >= least)
        .or(vague)
        .map_or(Kind::Other, |(kind, _)| kind)
}

/// One kind of work is slower by far more than the others: it is the code of this work, and not what stands beside it.
fn concentrated(behaviours: &[&Behaviour]) -> bool {
    let mut factors: Vec<f64> = behaviours
        .iter()
        .filter(|behaviour| behaviour.change == Change::Slower)
        .map(|behaviour| behaviour.factor)
        .collect();
    factors.sort_by(|a, b| b.total_cmp(a));
    match factors.as_slice() {
        [] => false,
        [only] => *only > ALONE,
        [most, next, ..] => most / next > CONCENTRATED,
    }
}
