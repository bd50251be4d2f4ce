//! A service that a plan has left half way: people are told for as long as it lasts, whoever leads and however often agents are started anew.

use jurymast::engine::{Effects, Engine, Input, NotificationKind, PlanEvent};
use jurymast::model::Timestamp;
use jurymast::model::plan::Outcome;

use crate::harness::watch::{CANARIES, World};

fn engine() -> Engine {
    let config = format!(
        "agent: {{name: here}}\nservices:\n  - {{name: web, active: a, standbys: [{{entity: b}}], playbook: p, probe: {{uses: tcp}}}}\npolicy:\n  {CANARIES}\n"
    );
    World::at(Timestamp::from_secs(1_000), &config, &["a", "b"]).engine
}

/// What people hear of it: is it so, and why.
fn told(engine: &mut Engine, event: PlanEvent) -> Vec<(bool, String)> {
    let mut effects = Effects::default();
    engine.handle(Input::Plan(event), &mut effects);
    effects
        .notify
        .into_iter()
        .filter(|told| told.kind == NotificationKind::Person)
        .map(|told| (told.firing, told.text))
        .collect()
}

fn ended(outcome: Outcome) -> PlanEvent {
    PlanEvent::Ended {
        plan: jurymast::model::PlanId("web-1-1".into()),
        service: "web".into(),
        at: Timestamp::from_secs(1_001),
        outcome,
    }
}

fn found(handed_over: Option<&str>) -> PlanEvent {
    PlanEvent::Restored {
        service: "web".into(),
        active: "a".into(),
        moved: None,
        named: Vec::new(),
        running: None,
        took: [].into(),
        taken_back: None,
        handed_over: handed_over.map(str::to_owned),
        begun: Vec::new(),
    }
}

const HALF_WAY: &str = "web needs a person, a move of it has stopped half way: 'start b' failed without a word";

#[test]
fn it_is_told_until_a_move_ends_well() {
    let mut engine = engine();
    let reason = || "'start b' failed without a word".to_owned();
    let half_way = told(&mut engine, ended(Outcome::HandedOver { reason: reason() }));
    assert_eq!(half_way, [(true, HALF_WAY.to_owned())]);
    let again = told(&mut engine, ended(Outcome::HandedOver { reason: reason() }));
    assert_eq!(again, [], "nothing new");
    let well = told(&mut engine, ended(Outcome::Done { active: "b".into() }));
    assert_eq!(well, [(false, "web runs on b and needs nobody any more".to_owned())]);
}

#[test]
fn an_agent_that_finds_it_in_its_journal_tells_it_again() {
    let mut engine = engine();
    assert_eq!(told(&mut engine, found(None)), []);
    let half_way = told(&mut engine, found(Some("'start b' failed without a word")));
    assert_eq!(half_way, [(true, HALF_WAY.to_owned())]);
    // Another agent has put it right.
    assert_eq!(told(&mut engine, found(None)).len(), 1);
}
