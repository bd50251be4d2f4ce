//! The right to act is asked for right before each effect, after the gates have said yes: a process that stood still in between, or a machine that
//! slept, does nothing with what was allowed before.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jurymast::act::journal::State;
use jurymast::act::{Conductor, Prober};
use jurymast::engine::{Input, Permit, PlanEvent};
use jurymast::model::plan::{Action, Outcome, Phase};
use jurymast::model::{Plan, PlanId, PlanKind, Span, Step, Timestamp, Token};

fn action(effects: &Path, line: &str) -> Action {
    let script = format!("echo '{line}' >> '{}'", effects.display());
    let with = serde_json::json!({"argv": ["sh", "-c", script]});
    Action {
        uses: "exec".into(),
        with: with.as_object().unwrap().clone(),
        observe: None,
    }
}

fn plan(effects: &Path, phases: &[Phase]) -> Plan {
    let step = |(index, phase): (usize, &Phase)| Step {
        index,
        name: format!("{phase:?}"),
        phase: *phase,
        target: "b".into(),
        action: action(effects, &format!("do {index}")),
        undo: Some(action(effects, &format!("undo {index}"))),
        timeout: Span::secs(20),
        retries: 3,
    };
    let now = jurymast::clock::wall_clock();
    Plan {
        id: PlanId("svc-1-1".into()),
        token: Token { epoch: 1, seq: 1 },
        kind: PlanKind::Failover,
        incident: None,
        service: "svc".into(),
        from: "a".into(),
        to: "b".into(),
        alternatives: Vec::new(),
        steps: phases.iter().enumerate().map(step).collect(),
        made: now,
        deadline: now + Duration::from_secs(60),
        expected_rto_s: 0.0,
        summary: String::new(),
    }
}

/// Carries out a plan of those phases. The right to act is lost when that step is allowed, and comes back a second later.
async fn carried_out(phases: &[Phase], lost_at: usize) -> (Outcome, Vec<String>, State) {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let dir = tempfile::tempdir().unwrap();
    let effects = dir.path().join("effects");
    let (inbox, mut heard) = tokio::sync::mpsc::channel(64);
    let right = Arc::new(AtomicBool::new(true));
    let asked = Arc::clone(&right);
    let may_act = move |_: &jurymast::model::ServiceName| {
        if asked.load(Ordering::SeqCst) {
            Ok(())
        } else {
            Err("the machine slept".to_owned())
        }
    };
    let prober = Arc::new(Prober::new());
    let (conductor, _) = Conductor::start(&dir.path().join("data"), prober, Box::new(may_act), None, inbox).unwrap();
    conductor.run(plan(&effects, phases));
    let mut slept = false;
    let outcome = loop {
        let Some(Input::Plan(event)) = heard.recv().await else {
            panic!("the conductor tells of plans only");
        };
        match event {
            PlanEvent::Asks { plan, step, .. } => {
                if step == lost_at && !slept {
                    slept = true;
                    right.store(false, Ordering::SeqCst);
                    let right = Arc::clone(&right);
                    tokio::spawn(async move {
                        tokio::time::sleep(Duration::from_secs(1)).await;
                        right.store(true, Ordering::SeqCst);
                    });
                }
                conductor.permit(Permit {
                    plan,
                    step,
                    refusal: None,
                });
            }
            PlanEvent::Ended { outcome, .. } => break outcome,
            _ => {}
        }
    };
    conductor.drain(Duration::from_secs(20)).await;
    drop(conductor);
    let text = std::fs::read_to_string(&effects).unwrap_or_default();
    let bytes = std::fs::read(dir.path().join("data/journal")).unwrap();
    let records = jurymast::act::journal::decode(&bytes).unwrap().records;
    (
        outcome,
        text.lines().map(str::to_owned).collect(),
        State::read(&records),
    )
}

#[tokio::test]
async fn before_the_commit_point_it_is_taken_back_once_the_right_is_there_again() {
    let (outcome, effects, state) = carried_out(&[Phase::Fence, Phase::Restore, Phase::Switch], 1).await;
    assert!(
        matches!(&outcome, Outcome::Compensated { reason } if reason.contains("slept")),
        "{outcome:?}"
    );
    assert_eq!(effects, ["do 0", "undo 0"]);
    assert_ne!(state.services["svc"].taken_back, None);
    assert_ne!(state.services["svc"].taken_back, Some(Timestamp::EPOCH));
    assert_eq!(state.services["svc"].begun.len(), 1);
}

#[tokio::test]
async fn before_its_first_order_it_is_given_up_and_its_journal_says_that_nothing_was_done() {
    let (outcome, effects, state) = carried_out(&[Phase::Fence, Phase::Switch], 0).await;
    assert!(
        matches!(&outcome, Outcome::Untouched { reason, .. } if reason.contains("slept")),
        "{outcome:?}"
    );
    assert!(effects.is_empty(), "{effects:?}");
    let known = &state.services["svc"];
    assert!(known.taken_back.is_some() && known.begun.is_empty(), "{known:?}");
}

#[tokio::test]
async fn after_the_commit_point_it_is_waited_for_and_the_gates_are_asked_again() {
    let (outcome, effects, state) = carried_out(&[Phase::Start, Phase::Switch], 1).await;
    assert_eq!(outcome, Outcome::Done { active: "b".into() });
    assert_eq!(effects, ["do 0", "do 1"]);
    assert_eq!(state.services["svc"].active, Some("b".into()));
}
