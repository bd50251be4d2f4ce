//! The plans of the model: fence, seal whatever was named, promote.

use super::{NODES, Op};
use crate::act::runner::*;
use crate::model::plan::Action as Deed;
use crate::model::{PlanKind, Span, Timestamp, Token};

/// What a plan is made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Spec {
    pub(super) number: u8,
    pub(super) from: u8,
    pub(super) to: u8,
    /// Bits.
    pub(super) named: u8,
}

pub(super) fn name(node: u8) -> EntityName {
    format!("n{node}").as_str().into()
}

/// The targets in order: the plan's own, and whoever is left.
pub(super) fn target(spec: Spec, candidate: usize) -> Option<u8> {
    let others = (0..NODES).filter(|node| *node != spec.from && *node != spec.to);
    std::iter::once(spec.to).chain(others).nth(candidate)
}

pub(super) fn steps(spec: Spec, candidate: usize, seals: bool) -> Vec<(Phase, Op, u8)> {
    let Some(to) = target(spec, candidate) else {
        return Vec::new();
    };
    let mut steps = vec![(Phase::Fence, Op::Fence, spec.from)];
    // Whoever was tried before is sealed before the next is promoted.
    let tried: Vec<u8> = (0..candidate).filter_map(|before| target(spec, before)).collect();
    let named = (0..NODES).filter(|node| spec.named & (1 << node) != 0 || tried.contains(node));
    if seals {
        let sealed = named.filter(|node| *node != spec.from && *node != to);
        steps.extend(sealed.map(|node| (Phase::Seal, Op::Seal, node)));
    }
    steps.push((Phase::Promote, Op::Promote, to));
    steps
}

pub(super) fn plan(spec: Spec, seals: bool) -> Plan {
    let deed = || Deed {
        uses: String::new(),
        with: serde_json::Map::new(),
        observe: None,
    };
    let step = |(index, (phase, op, node)): (usize, (Phase, Op, u8))| Step {
        index,
        name: String::new(),
        phase,
        target: name(node),
        action: deed(),
        undo: (op == Op::Fence).then(deed),
        timeout: Span::default(),
        retries: 0,
    };
    let all = |candidate| {
        steps(spec, candidate, seals)
            .into_iter()
            .enumerate()
            .map(step)
            .collect()
    };
    let others = (1..).map_while(|candidate| Some((candidate, target(spec, candidate)?)));
    let alternatives = others.map(|(candidate, to)| crate::model::Alternative {
        to: name(to),
        steps: all(candidate),
    });
    let (at, number) = (Timestamp::EPOCH, spec.number);
    Plan {
        id: PlanId(number.to_string()),
        token: Token {
            epoch: u64::from(number) + 1,
            seq: 1,
        },
        kind: PlanKind::Failover,
        incident: None,
        service: "svc".into(),
        from: name(spec.from),
        to: name(spec.to),
        alternatives: alternatives.collect(),
        steps: all(0),
        made: at,
        deadline: at,
        expected_rto_s: 0.0,
        summary: String::new(),
    }
}
