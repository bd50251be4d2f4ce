//! The plans of the model: fence, seal whatever was named, promote.

use super::{NODES, Op, Spec};
use crate::act::runner::*;
use crate::model::plan::Action as Deed;
use crate::model::{PlanKind, Span, Timestamp, Token};

fn name(node: u8) -> EntityName {
    format!("n{node}").as_str().into()
}

pub(super) fn steps(spec: Spec, seals: bool) -> Vec<(Phase, Op, u8)> {
    let mut steps = vec![(Phase::Fence, Op::Fence, spec.from)];
    let named = (0..NODES).filter(|node| spec.named & (1 << node) != 0 && *node != spec.from && *node != spec.to);
    if seals {
        steps.extend(named.map(|node| (Phase::Seal, Op::Seal, node)));
    }
    steps.push((Phase::Promote, Op::Promote, spec.to));
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
        alternatives: Vec::new(),
        steps: steps(spec, seals).into_iter().enumerate().map(step).collect(),
        made: at,
        deadline: at,
        expected_rto_s: 0.0,
        summary: String::new(),
    }
}
