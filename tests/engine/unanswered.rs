//! A question that nobody answers, on the virtual clock: what the time limit does with it, and what people hear.

use jurymast::engine::{Notification, NotificationKind, OperatorCommand, Record};
use jurymast::model::{Decision, Timestamp, Verdict};

use crate::harness::watch::{CANARIES, World};

/// The active instance is gone, and the service is moved only with a yes.
fn asking(service: &str, policy: &str) -> World {
    let config = format!(
        "agent: {{name: here}}\nservices:\n  - {{name: web, active: a, standbys: [{{entity: b}}], playbook: p, approval: ask, {service} probe: {{uses: tcp}}}}\n\
         policy:\n{policy}  {CANARIES}\n"
    );
    let mut world = World::at(Timestamp::from_secs(1_000_000), &config, &["a", "b"]);
    world.pass(5);
    world.gone = vec!["a"];
    world.pass(5);
    assert_eq!(world.verdict().decision, Decision::Ask, "{:?}", world.verdict());
    world
}

impl World {
    fn verdict(&self) -> Verdict {
        self.engine.verdicts().next().expect("there is a verdict").clone()
    }

    fn approve(&mut self) {
        let (incident, service, by) = (self.verdict().incident, None, "ann".into());
        self.say(OperatorCommand::Approve { incident, service, by });
    }

    fn deny(&mut self) {
        let (incident, service, by) = (self.verdict().incident, None, "ann".into());
        self.say(OperatorCommand::Deny { incident, service, by });
    }

    /// The last thing that was said of the question.
    fn told(&self) -> &Notification {
        let of = |told: &&Notification| told.kind == NotificationKind::Approval;
        self.effects.notify.iter().rev().find(of).expect("people were told")
    }

    fn words_of_the_clock(&self) -> usize {
        let of = |record: &&Record| {
            matches!(record, Record::Operator { operator: OperatorCommand::Deny { by, .. } | OperatorCommand::Approve { by, .. }, .. }
                if by.starts_with("the time limit"))
        };
        self.effects.log.iter().filter(of).count()
    }
}

#[test]
fn what_nobody_answers_is_a_no_and_people_go_on_being_told() {
    let mut world = asking("", "  ask_timeout: 10m\n");
    let by = world.verdict().answer_by.expect("there is a limit");
    assert!(
        world.told().firing && world.told().text.contains(&format!("until {by}")),
        "{:?}",
        world.told()
    );
    world.pass(590);
    assert_eq!(world.verdict().decision, Decision::Ask);
    world.pass(10);
    let verdict = world.verdict();
    assert_eq!(verdict.decision, Decision::Hold);
    let reason = verdict.refusal.unwrap().reason;
    assert!(reason.contains("the time limit of 10m said no"), "{reason}");
    assert_eq!(verdict.answer_by, Some(by));
    assert!(
        world.told().firing && world.told().text.contains("nobody has answered"),
        "{:?}",
        world.told()
    );
    assert_eq!(world.words_of_the_clock(), 1);
    world.pass(3600);
    assert!(world.effects.start.is_empty());
    assert_eq!(world.words_of_the_clock(), 1, "once");
    // Late is better than never.
    world.approve();
    world.pass(1);
    assert_eq!(world.effects.start.len(), 1);
    assert!(!world.told().firing);
}

#[test]
fn it_is_a_yes_where_the_service_says_so() {
    let mut world = asking("unanswered: approve, ask_timeout: 5m,", "");
    world.pass(290);
    assert!(world.effects.start.is_empty());
    world.pass(10);
    assert_eq!(world.effects.start.len(), 1);
    assert_eq!(world.words_of_the_clock(), 1);
    let why = |told: &&Notification| told.text.contains("nobody has answered within 5m: web is moved");
    assert!(world.effects.notify.iter().any(|told| why(&told)));
    assert!(!world.told().firing, "the question is settled");
}

/// An NTP step, or a machine that slept: nobody has had that time to answer.
#[test]
fn a_clock_that_is_set_forward_answers_nothing() {
    let mut world = asking("unanswered: approve, ask_timeout: 5m,", "");
    world.pass(100);
    world.leaps(3600);
    world.pass(190);
    assert!(world.effects.start.is_empty(), "{:?}", world.verdict());
    assert_eq!(world.words_of_the_clock(), 0);
    assert!(world.verdict().answer_by.is_some_and(|by| by > world.now));
    world.pass(120);
    assert_eq!(world.effects.start.len(), 1);
}

/// The pause after the last move has not passed either, nor has what the trouble must last.
#[test]
fn a_clock_that_is_set_forward_ends_no_pause() {
    let config = |service: &str| {
        format!(
            "agent: {{name: here}}\nservices:\n  - {{name: web, active: a, standbys: [{{entity: b}}], playbook: p, {service} probe: {{uses: tcp}}}}\n\
             policy:\n  settle: 0s\n  {CANARIES}\n"
        )
    };
    let refused = |world: &World, gate: &str| {
        let mut verdicts = world.engine.verdicts();
        verdicts.any(|verdict| verdict.refusal.as_ref().is_some_and(|refusal| refusal.gate == gate))
    };
    let mut world = World::at(Timestamp::from_secs(1_000_000), &config("cool_down: 1h,"), &["a", "b"]);
    world.pass(5);
    world.gone = vec!["a"];
    world.pass(10);
    let plan = world.effects.start.pop().expect("it is moved");
    world.done(&plan);
    world.gone = vec![];
    world.pass(120);
    world.gone = vec!["b"];
    world.pass(10);
    assert!(
        refused(&world, "cool-down"),
        "{:?}",
        world.engine.verdicts().collect::<Vec<_>>()
    );
    world.leaps(3600);
    world.pass(60);
    assert!(refused(&world, "cool-down"));
    assert!(world.effects.start.is_empty());

    let mut world = World::at(Timestamp::from_secs(1_000_000), &config("hold_off: 60s,"), &["a", "b"]);
    world.pass(5);
    world.gone = vec!["a"];
    world.pass(10);
    assert!(refused(&world, "hold-off"));
    world.leaps(3600);
    world.pass(2);
    assert!(refused(&world, "ready"), "its own looks are all from before");
    world.pass(20);
    assert!(refused(&world, "hold-off"));
    world.pass(40);
    assert_eq!(world.effects.start.len(), 1);
}

#[test]
fn a_person_who_answers_is_heard_and_the_clock_is_not() {
    let mut world = asking("unanswered: approve,", "  ask_timeout: 10m\n");
    world.pass(60);
    world.deny();
    world.pass(3600);
    assert!(world.effects.start.is_empty());
    assert_eq!(world.words_of_the_clock(), 0);
    assert_eq!(world.verdict().answer_by, None);
    assert!(!world.told().firing);
}

#[test]
fn a_no_after_the_limit_is_a_persons_no_from_then_on() {
    let mut world = asking("", "  ask_timeout: 10m\n");
    world.pass(700);
    assert!(world.told().firing);
    world.deny();
    world.pass(1);
    assert!(!world.told().firing, "{:?}", world.told());
    assert!(world.verdict().refusal.unwrap().reason.contains("ann said no"));
}

#[test]
fn a_limit_of_zero_is_none() {
    let mut world = asking("", "  ask_timeout: 0s\n");
    world.pass(3700);
    assert_eq!(world.verdict().decision, Decision::Ask);
    assert_eq!(world.verdict().answer_by, None);
}

#[test]
fn when_the_incident_is_over_nobody_is_called_any_more() {
    let mut world = asking("", "  ask_timeout: 1m\n");
    world.pass(120);
    assert!(world.told().firing);
    world.gone.clear();
    world.pass(600);
    assert!(!world.told().firing, "{:?}", world.told());
}
