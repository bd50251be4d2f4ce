//! Drills on the virtual clock: when one begins, what it measures, what brings the service back, and what follows if there was none for too long.

use std::time::Duration;

use jurymast::engine::{Input, NotificationKind, OperatorCommand, PlanEvent, Record};
use jurymast::model::plan::Outcome;
use jurymast::model::{Drill, Plan, PlanKind, Span, Timestamp};

use crate::harness::watch::{CANARIES, World};

fn watched(drills: &str) -> World {
    // A Monday, 00:00.
    let begin = "2026-11-23T00:00:00Z".parse().unwrap();
    let config = format!(
        "agent: {{name: here}}\nservices:\n  - {{name: web, active: a, standbys: [{{entity: b}}, {{entity: c}}], playbook: p, hold_off: 500ms, rto: 20s, \
         single_writer: true, probe: {{uses: tcp, interval: 1s}}}}\npolicy:\n  {CANARIES}\ndrills: [{drills}]\n"
    );
    World {
        step: Duration::from_millis(500),
        ..World::at(begin, &config, &["a", "b", "c"])
    }
}

impl World {
    /// The same without anything to see, for long times.
    fn sleep(&mut self, minutes: u64) {
        for _ in 0..minutes {
            self.now = self.now + Duration::from_secs(58);
            self.pass(2);
        }
    }

    fn wish(&mut self, yes: bool, to: Option<&str>) {
        self.say(OperatorCommand::Drill {
            service: "web".into(),
            to: to.map(Into::into),
            stay: Span::secs(5),
            yes,
            asked: "1".into(),
            by: "test".into(),
        });
    }

    fn refused(&self) -> String {
        self.engine
            .drills_refused()
            .next()
            .map_or_else(String::new, |refused| refused.reason.clone())
    }

    /// The plan that was started last; its time passes, and it ends.
    fn ends(&mut self, seconds: u64, outcome: impl Fn(&Plan) -> Outcome) -> Plan {
        let plan = self.effects.start.pop().expect("a plan was started");
        assert!(self.effects.start.is_empty());
        self.pass(seconds);
        self.ended(&plan, outcome(&plan));
        plan
    }

    fn drill(&self) -> Drill {
        self.engine.drills().next().cloned().expect("a drill is known")
    }

    fn active(&self) -> String {
        self.engine.services().next().unwrap().1.active.to_string()
    }
}

fn told(world: &World) -> Vec<(String, bool)> {
    let told = world.effects.notify.iter();
    told.filter(|told| told.kind == NotificationKind::Drill)
        .map(|told| (told.label.clone(), told.firing))
        .collect()
}

fn done(plan: &Plan) -> Outcome {
    Outcome::Done {
        active: plan.to.clone(),
    }
}

#[test]
fn a_service_is_moved_and_comes_back_and_what_it_took_is_told() {
    let mut world = watched("");
    world.pass(5);
    world.wish(false, None);
    assert!(world.refused().contains("maintenance window"), "{}", world.refused());
    world.say(OperatorCommand::Maintenance {
        service: Some("web".into()),
        until: world.now + Duration::from_secs(600),
        by: "test".into(),
    });
    world.wish(false, Some("c"));
    let away = world.ends(2, done);
    assert_eq!((away.kind, away.to.as_str()), (PlanKind::Drill, "c"));
    // If it does not hold there, it goes back to where it worked.
    assert_eq!(away.alternatives[0].to.as_str(), "a");
    world.pass(4);
    assert!(world.effects.start.is_empty(), "it stays there for a while");
    world.pass(3);
    let back = world.ends(1, done);
    assert_eq!((back.kind, back.to.as_str()), (PlanKind::DrillBack, "a"));
    world.pass(1);
    let drill = world.drill();
    assert!(drill.is_good(), "{drill:?}");
    assert_eq!(drill.switch_s(), Some(2.5));
    // One probe interval, its time limit, and the hold-off.
    assert_eq!(drill.rto_s(), Some(2.5 + 1.0 + 0.3 + 0.5));
    assert_eq!(world.active(), "a");
    // It was no move that counts: a fault right afterwards is cured without asking.
    world.say(OperatorCommand::Maintenance {
        service: Some("web".into()),
        until: Timestamp::EPOCH,
        by: "test".into(),
    });
    world.gone = vec!["a"];
    world.pass(6);
    assert_eq!(world.effects.start[0].kind, PlanKind::Failover);
}

#[test]
fn no_drill_begins_while_something_is_wrong() {
    let mut world = watched("");
    world.pass(5);
    world.wish(true, Some("nowhere"));
    assert!(world.refused().contains("no instance"), "{}", world.refused());
    world.say(OperatorCommand::Hold {
        on: true,
        by: "test".into(),
    });
    world.wish(true, None);
    assert!(world.refused().contains("on hold"), "{}", world.refused());
    world.say(OperatorCommand::Hold {
        on: false,
        by: "test".into(),
    });
    // A standby that is down is an open incident.
    world.gone = vec!["c"];
    world.pass(10);
    world.wish(true, Some("b"));
    assert!(
        world.refused().contains("is open and touches web"),
        "{}",
        world.refused()
    );
    assert!(world.effects.start.is_empty());
}

#[test]
fn a_drill_that_fails_is_told_until_a_good_one() {
    let mut world = watched("");
    world.pass(5);
    world.wish(true, Some("b"));
    world.wish(true, Some("c"));
    assert!(world.refused().contains("under way"), "{}", world.refused());
    world.ends(1, |plan| Outcome::Done {
        active: plan.from.clone(),
    });
    world.pass(2);
    assert!(
        world
            .drill()
            .summary()
            .contains("b did not prove that it serves; it runs on a again")
    );
    assert_eq!(told(&world), [("failed".to_owned(), true)]);
    world.wish(true, Some("b"));
    world.ends(1, done);
    world.pass(7);
    world.ends(1, done);
    world.pass(1);
    assert_eq!(
        told(&world),
        [("failed".to_owned(), true), ("failed".to_owned(), false)]
    );
}

#[test]
fn a_way_home_that_does_not_open_is_given_up_and_told() {
    let mut world = watched("");
    world.pass(5);
    world.wish(true, Some("b"));
    world.ends(1, done);
    // The old active was stopped and does not come up again.
    world.gone = vec!["a"];
    world.pass(70);
    let summary = world.drill().summary();
    assert!(
        summary.contains("runs on b and was not sent back within 1m") && summary.contains("Refused"),
        "{summary}"
    );
    assert!(world.effects.start.is_empty());
}

#[test]
fn an_agent_that_takes_over_in_mid_drill_brings_the_service_back() {
    let mut world = watched("");
    world.pass(5);
    world.wish(true, Some("b"));
    world.ends(1, done);
    let told = world.drill();
    let mut other = watched("");
    other.now = world.now;
    let restored = PlanEvent::Restored {
        service: "web".into(),
        active: "b".into(),
        moved: None,
        named: vec!["b".into()],
        took: [].into(),
        running: None,
        taken_back: None,
        handed_over: None,
        begun: Vec::new(),
    };
    other.engine.handle(Input::Plan(restored), &mut other.effects);
    other.say(OperatorCommand::Drilled { drill: Box::new(told) });
    other.pass(8);
    assert_eq!(other.ends(1, done).to.as_str(), "a");
    other.pass(1);
    assert!(other.drill().is_good());
    // The first one hears of it and does nothing more.
    world.say(OperatorCommand::Drilled {
        drill: Box::new(other.drill()),
    });
    world.pass(1);
    assert!(world.drill().is_good() && world.effects.start.is_empty());
}

#[test]
fn scheduled_ones_take_each_standby_in_turn() {
    let mut world = watched("{service: web, kind: real, cron: '30 */2 * * *', stay: 5s}");
    world.pass(5);
    assert_eq!(told(&world), [("never".to_owned(), true)]);
    let mut to = Vec::new();
    for _ in 0..3 {
        while world.effects.start.is_empty() {
            assert!(world.now < "2026-11-23T07:00:00Z".parse().unwrap(), "none began");
            world.sleep(1);
        }
        let away = world.ends(1, done);
        assert_eq!(away.made.to_string()[14..17], *"30:", "{}", away.made);
        to.push(away.to.to_string());
        world.pass(7);
        world.ends(1, done);
        world.pass(1);
    }
    assert_eq!(to, ["b", "c", "b"]);
    assert_eq!(told(&world).last(), Some(&("never".to_owned(), false)));
}

#[test]
fn what_is_due_waits_for_the_incident_to_be_over() {
    let mut world = watched("{service: web, kind: real, every: 1h, stay: 5s, window: 2h}");
    world.gone = vec!["c"];
    world.sleep(90);
    assert!(world.effects.start.is_empty());
    let waits = |world: &World| -> Vec<String> {
        let waiting = world.engine.drills_waiting();
        waiting.map(|(_, since, why)| format!("{since} {why}")).collect()
    };
    let before = waits(&world);
    assert!(
        before.len() == 1 && before[0].contains("is open and touches web"),
        "{before:?}"
    );
    world.gone = Vec::new();
    world.sleep(20);
    assert_eq!(waits(&world), [""; 0]);
    assert_eq!(world.effects.start.len(), 1);
}

#[test]
fn where_it_is_wanted_so_a_service_without_a_good_drill_is_moved_only_with_a_yes() {
    let mut world = watched("{service: web, kind: dry, every: 1d, gate: ask}");
    world.pass(5);
    world.gone = vec!["a"];
    world.pass(10);
    let gates = |world: &World| -> Vec<String> {
        let verdicts = world.effects.log.iter().filter_map(|record| match record {
            Record::Verdict { verdict } => verdict.refusal.as_ref().map(|refusal| refusal.gate.clone()),
            _ => None,
        });
        verdicts.collect()
    };
    assert_eq!(
        gates(&world).last().map(String::as_str),
        Some("drilled"),
        "{:?}",
        gates(&world)
    );
    let incident = world.engine.incidents().next().unwrap().id;
    world.say(OperatorCommand::Approve {
        incident,
        service: None,
        by: "test".into(),
    });
    world.pass(1);
    assert_eq!(world.effects.start.len(), 1);
}

#[test]
fn a_dry_one_is_asked_of_the_shell_until_it_tells() {
    let mut world = watched("{service: web, every: 1d, max_age: 2d}");
    world.sleep(70);
    assert!(!world.effects.dry.is_empty());
    let drill = Drill {
        service: "web".into(),
        kind: jurymast::model::DrillKind::Dry,
        asked: String::new(),
        by: String::new(),
        begun: world.now,
        ended: Some(world.now),
        from: "a".into(),
        to: None,
        stay: Span::default(),
        legs: Vec::new(),
        looks: 4,
        notice_s: 0.0,
        rto_objective_s: 20.0,
        rpo_s: None,
        rpo_objective_s: None,
        problems: Vec::new(),
    };
    world.say(OperatorCommand::Drilled { drill: Box::new(drill) });
    world.effects.dry.clear();
    world.sleep(60);
    assert!(world.effects.dry.is_empty());
    assert_eq!(told(&world), [("never".to_owned(), true), ("never".to_owned(), false)]);
    // Nothing tells any more.
    world.sleep(49 * 60);
    assert_eq!(told(&world).last(), Some(&("too-old".to_owned(), true)));
}

#[test]
fn schedules_that_cannot_be_meant_are_refused() {
    let config = |drills: &str| {
        format!(
            "services: [{{name: web, active: a, standbys: [{{entity: b}}], playbook: haproxy-switch, vars: {{socket: s, backend: b}}, probe: {{uses: tcp, with: {{address: '127.0.0.1:1'}}}}}}]\ndrills: [{drills}]\n"
        )
    };
    let wrong = |drills: &str| {
        let loaded = jurymast::config::Loaded::of(&config(drills), "j.yml", std::path::Path::new("."), |_| None);
        loaded.err().map_or_else(String::new, |errors| errors.to_string())
    };
    assert_eq!(wrong("{service: web, cron: '30 3 * * tue'}"), "");
    for (drills, expected) in [
        ("{service: wbe}", "did you mean 'web'"),
        ("{service: web, every: 1d, cron: '* * * * *'}", "exclude each other"),
        ("{service: web, every: 7d, max_age: 1d}", "always be too old"),
        ("{service: web, to: z}", "'z' is no instance"),
        ("{service: web, cron: 'daily'}", "MINUTE HOUR"),
        ("{service: web, every: 1s}", "at least 1m"),
    ] {
        assert!(wrong(drills).contains(expected), "{drills}: {}", wrong(drills));
    }
}

/// In a maintenance window nothing else would move it for as long as it was to stay.
#[test]
fn a_standby_that_dies_in_the_middle_of_a_drill_is_left_at_once() {
    let mut world = watched("");
    world.pass(5);
    let by = || "test".to_owned();
    world.say(OperatorCommand::Maintenance {
        service: None,
        until: world.now + Duration::from_secs(3600),
        by: by(),
    });
    world.say(OperatorCommand::Drill {
        service: "web".into(),
        to: Some("c".into()),
        stay: Span::secs(1800),
        yes: false,
        asked: "1".into(),
        by: by(),
    });
    world.ends(1, done);
    world.pass(10);
    assert!(world.effects.start.is_empty(), "all is well there");
    world.gone = vec!["c"];
    world.pass(3);
    let back = world.ends(1, done);
    assert_eq!((back.kind, back.to.as_str()), (PlanKind::DrillBack, "a"));
    world.pass(1);
    let drill = world.drill();
    assert!(!drill.is_good() && drill.ended.is_some());
    assert!(
        drill.summary().contains("c does not answer any more"),
        "{}",
        drill.summary()
    );
}
