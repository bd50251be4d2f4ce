//! What is left of a journal tells the same as the whole.

use proptest::prelude::*;

use super::*;
use crate::model::plan::{Action, Phase};
use crate::model::{PlanKind, Span, Step, Token};

fn plan(service: usize, token: Token) -> Plan {
    let service = ServiceName::from(format!("svc-{service}").as_str());
    let at = Timestamp::from_secs(1);
    Plan {
        id: PlanId::new(&service, token),
        token,
        kind: PlanKind::Failover,
        incident: None,
        service,
        from: "a".into(),
        to: format!("b{}", token.seq).as_str().into(),
        alternatives: Vec::new(),
        steps: Vec::new(),
        made: at,
        deadline: at,
        expected_rto_s: 0.0,
        summary: String::new(),
    }
}

/// Plans one after the other, each as far as it came, and agents that took over.
fn records(moves: &[(usize, u8, bool)]) -> Vec<Record> {
    let (mut epoch, mut seq) = (1, 0);
    let mut records = vec![Record::Epoch { epoch }];
    let mut open = BTreeSet::new();
    for (at, (service, how, restarts)) in (10..).map(Timestamp::from_secs).zip(moves) {
        if *restarts {
            epoch += 1;
            seq = 0;
            records.push(Record::Epoch { epoch });
        }
        // One plan at a time for each service.
        if open.contains(service) {
            continue;
        }
        seq += 1;
        let plan = plan(*service, Token { epoch, seq });
        let (id, to) = (plan.id.clone(), plan.to.clone());
        let reason = "r".to_owned();
        let mut note = |entry| records.push(Record::Plan { at, entry });
        note(Entry::Plan { plan: Box::new(plan) });
        if *restarts {
            let word = OperatorCommand::Hold {
                on: *how == 1,
                by: "p".into(),
            };
            records.push(Record::Word { at, word });
        }
        let mut note = |entry| records.push(Record::Plan { at, entry });
        note(Entry::Intent {
            plan: id.clone(),
            candidate: 0,
            step: 0,
        });
        let outcome = match how {
            0 => {
                open.insert(*service);
                continue;
            }
            1 => Outcome::Compensated { reason },
            2 => Outcome::HandedOver { reason },
            3 => Outcome::Untouched {
                reason,
                made: Timestamp::from_secs(1),
            },
            _ => Outcome::Done { active: to },
        };
        note(Entry::End { plan: id, outcome });
    }
    records
}

/// Whom a plan stops stays known, over a compaction as well, until that is taken back or another plan has started it again.
#[test]
fn who_was_stopped_for_whom_is_not_forgotten() {
    let at = Timestamp::from_secs(1);
    let with = |seq, phase| {
        let mut plan = plan(0, Token { epoch: 1, seq });
        plan.steps = vec![Step {
            index: 0,
            name: String::new(),
            phase,
            target: "batch-1".into(),
            action: Action {
                uses: "exec".into(),
                with: serde_json::Map::new(),
                observe: None,
            },
            undo: None,
            timeout: Span::secs(1),
            retries: 0,
        }];
        plan
    };
    let of = |plan: &Plan, outcome: Option<Outcome>| {
        let (id, plan) = (plan.id.clone(), Box::new(plan.clone()));
        let end = outcome.map(|outcome| Entry::End { plan: id, outcome });
        let entries = std::iter::once(Entry::Plan { plan }).chain(end);
        entries.map(|entry| Record::Plan { at, entry }).collect::<Vec<_>>()
    };
    let took = |records: &[Record]| {
        let left = State::read(records).compact(at);
        State::read(&left).services[&ServiceName::from("svc-0")].took.len()
    };
    let done = || Some(Outcome::Done { active: "b2".into() });
    let taken_back = Outcome::Compensated { reason: String::new() };
    let (stops, starts) = (with(1, Phase::Yield), with(2, Phase::GiveBack));
    assert_eq!(took(&of(&stops, None)), 1);
    assert_eq!(took(&of(&stops, Some(taken_back.clone()))), 0);
    let stopped = of(&stops, done());
    assert_eq!(took(&stopped), 1);
    let then = |outcome| [stopped.clone(), of(&starts, outcome)].concat();
    assert_eq!(took(&then(None)), 1);
    assert_eq!(took(&then(Some(taken_back))), 1, "it still stands still");
    assert_eq!(took(&then(done())), 0);
    // Its own target did not hold, and on the way to the next nobody was started: it stands still as before.
    let mut other = starts.clone();
    let (to, steps) = ("b9".into(), Vec::new());
    other.alternatives.push(crate::model::Alternative { to, steps });
    let elsewhere = Some(Outcome::Done { active: "b9".into() });
    assert_eq!(took(&[stopped.clone(), of(&other, elsewhere)].concat()), 1);
    // Of a plan that goes on to another target, for which somebody else has to be stopped and the first may run again.
    let step = |phase, at: &str| Step {
        phase,
        target: at.into(),
        ..stops.steps[0].clone()
    };
    let (to, steps) = (
        "b9".into(),
        vec![step(Phase::Yield, "other-1"), step(Phase::GiveBack, "batch-1")],
    );
    let mut tries = stops.clone();
    tries.alternatives.push(crate::model::Alternative { to, steps });
    let named = |active: &str| {
        let active = active.into();
        let state = State::read(&of(&tries, Some(Outcome::Done { active })));
        state.services[&ServiceName::from("svc-0")].took.clone()
    };
    assert_eq!(named(tries.to.as_str()), ["batch-1".into()].into());
    assert_eq!(named("b9"), ["other-1".into()].into());
}

proptest! {
    #[test]
    fn what_is_left_tells_the_same(moves in prop::collection::vec((0..4usize, 0..6u8, any::<bool>()), 0..30)) {
        let records = records(&moves);
        let state = State::read(&records);
        let left = state.compact(Timestamp::from_secs(99));
        prop_assert!(left.len() <= records.len() + state.services.len() + 1);
        let mut told = State::read(&left);
        // A released hold is as good as none.
        let mut state = state;
        for state in [&mut told, &mut state] {
            state.words.retain(|(_, word)| matches!(word, OperatorCommand::Hold { on: true, .. }));
        }
        prop_assert_eq!(told, state);
    }
}
