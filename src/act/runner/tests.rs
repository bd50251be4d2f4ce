//! A plan that is interrupted after any record, once or twice: each effect happens once, or is taken back.

use std::collections::BTreeMap;

use super::*;
use crate::act::journal::{Record, State};
use crate::model::plan::{Action, Outcome, Phase};
use crate::model::{Alternative, PlanKind, Span, Timestamp, Token};

/// What a step does in the fake world.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fate {
    Works,
    Fails,
    /// It works, and nobody hears of it.
    WorksUnheard,
}

/// A world that counts effects; a journal that survives; an agent that does not.
struct World {
    plan: Plan,
    records: Vec<Record>,
    /// By candidate and step: how often it was done, less how often it was taken back.
    effects: BTreeMap<(usize, usize), i32>,
    applied: BTreeMap<(usize, usize), u32>,
    fates: BTreeMap<(usize, usize), Fate>,
    refuse_at: Option<usize>,
    outcome: Option<Outcome>,
}

fn step(index: usize, phase: Phase) -> Step {
    let action = Action {
        uses: "fake".into(),
        with: serde_json::Map::new(),
        observe: None,
    };
    let undo = (phase == Phase::Fence).then(|| action.clone());
    let (timeout, target) = (Span::secs(1), "x".into());
    Step {
        index,
        name: format!("{phase:?}"),
        phase,
        target,
        action,
        undo,
        timeout,
        retries: 0,
    }
}

fn plan() -> Plan {
    let steps = || vec![step(0, Phase::Fence), step(1, Phase::Switch), step(2, Phase::Verify)];
    let at = Timestamp::from_secs(1);
    Plan {
        id: PlanId("svc-1-1".into()),
        token: Token { epoch: 1, seq: 1 },
        kind: PlanKind::Failover,
        incident: None,
        service: "svc".into(),
        from: "a".into(),
        to: "b".into(),
        alternatives: vec![Alternative {
            to: "c".into(),
            steps: steps(),
        }],
        steps: steps(),
        made: at,
        deadline: at,
        expected_rto_s: 0.0,
        summary: String::new(),
    }
}

impl World {
    fn new() -> Self {
        Self {
            plan: plan(),
            records: Vec::new(),
            effects: BTreeMap::new(),
            applied: BTreeMap::new(),
            fates: BTreeMap::new(),
            refuse_at: None,
            outcome: None,
        }
    }

    /// Runs until the end, or until so many records are on disk in this run and the agent dies; `after_effect`: it dies
    /// right after the next effect instead.
    fn run(&mut self, die_after: usize, after_effect: bool) {
        let state = State::read(&self.records);
        let mut runner = match state.open.get(&self.plan.id) {
            Some((plan, entries)) => Runner::restore(plan.clone(), entries).unwrap(),
            None if self.records.is_empty() => Runner::new(self.plan.clone()),
            None => return,
        };
        let mut written = 0;
        let mut commands = runner.handle(Event::Start);
        while !commands.is_empty() {
            let mut next = Vec::new();
            for command in commands {
                let event = match command {
                    Command::Journal(entry) => {
                        if written >= die_after {
                            return;
                        }
                        written += 1;
                        self.records.push(Record::Plan {
                            at: Timestamp::EPOCH,
                            entry,
                        });
                        Event::Journaled
                    }
                    Command::Ask { step, committed, .. } => {
                        let refused = !committed && self.refuse_at == Some(step);
                        Event::Permit(refused.then(|| "no".to_owned()))
                    }
                    Command::Apply { candidate, step } => {
                        let applied = self.apply(candidate, step);
                        if after_effect && written >= die_after {
                            return;
                        }
                        Event::Applied(applied)
                    }
                    Command::Observe { candidate, step } => {
                        let there = self.effects.get(&(candidate, step)).copied().unwrap_or(0) > 0;
                        Event::Observed(if there { Effect::There } else { Effect::NotThere })
                    }
                    Command::Undo { step } => {
                        *self.effects.entry((0, step)).or_default() -= 1;
                        if after_effect && written >= die_after {
                            return;
                        }
                        Event::Applied(Applied::Done)
                    }
                    Command::ObserveUndo { step } => {
                        let there = self.effects.get(&(0, step)).copied().unwrap_or(0) > 0;
                        Event::Observed(if there { Effect::NotThere } else { Effect::There })
                    }
                    Command::Tell(Told::Ended(outcome)) => {
                        self.outcome = Some(outcome);
                        continue;
                    }
                    Command::Tell(_) => continue,
                };
                next.extend(runner.handle(event));
            }
            commands = next;
        }
    }

    fn apply(&mut self, candidate: usize, step: usize) -> Applied {
        let fate = self.fates.get(&(candidate, step)).copied().unwrap_or(Fate::Works);
        if fate == Fate::Fails {
            return Applied::NoEffect("it fails".into());
        }
        *self.applied.entry((candidate, step)).or_default() += 1;
        *self.effects.entry((candidate, step)).or_default() += 1;
        if fate == Fate::WorksUnheard {
            Applied::Unknown("no answer".into())
        } else {
            Applied::Done
        }
    }

    fn ended(&self) -> &Outcome {
        self.outcome.as_ref().expect("a plan ends")
    }
}

/// Every way to die twice on the way, then a run to the end.
fn after_any_two_crashes(make: impl Fn() -> World, check: impl Fn(&World, (usize, usize))) {
    for first in 0..14 {
        for second in 0..14 {
            for after_effect in [false, true] {
                let mut world = make();
                world.run(first, after_effect);
                world.run(second, after_effect);
                world.run(usize::MAX, false);
                if world.outcome.is_none() {
                    // It had ended already, and only the telling was lost; the journal knows.
                    assert!(State::read(&world.records).open.is_empty());
                    continue;
                }
                check(&world, (first, second));
            }
        }
    }
}

#[test]
fn each_effect_of_a_plan_that_works_happens_exactly_once() {
    after_any_two_crashes(World::new, |world, crashes| {
        assert_eq!(*world.ended(), Outcome::Done { active: "b".into() }, "{crashes:?}");
        for step in 0..2 {
            assert_eq!(world.applied[&(0, step)], 1, "step {step} after {crashes:?}");
        }
    });
}

#[test]
fn an_answer_that_is_lost_does_not_repeat_its_effect() {
    let make = || {
        let mut world = World::new();
        world.fates.insert((0, 0), Fate::WorksUnheard);
        world.fates.insert((0, 1), Fate::WorksUnheard);
        world
    };
    after_any_two_crashes(make, |world, crashes| {
        assert_eq!(*world.ended(), Outcome::Done { active: "b".into() }, "{crashes:?}");
        assert_eq!((world.applied[&(0, 0)], world.applied[&(0, 1)]), (1, 1), "{crashes:?}");
    });
}

#[test]
fn before_the_commit_point_a_refusal_takes_everything_back() {
    let make = || World {
        refuse_at: Some(1),
        ..World::new()
    };
    after_any_two_crashes(make, |world, crashes| {
        assert!(matches!(world.ended(), Outcome::Compensated { .. }), "{crashes:?}");
        assert!(
            world.effects.values().all(|effect| *effect == 0),
            "{crashes:?}: {:?}",
            world.effects
        );
    });
}

#[test]
fn what_is_refused_before_its_first_order_has_touched_nothing_and_counts_for_nothing() {
    let make = || World {
        refuse_at: Some(0),
        ..World::new()
    };
    after_any_two_crashes(make, |world, crashes| {
        let (reason, made) = ("a gate said no: no".to_owned(), world.plan.made);
        assert_eq!(*world.ended(), Outcome::Untouched { reason, made }, "{crashes:?}");
        assert!(world.effects.is_empty(), "{crashes:?}: {:?}", world.effects);
        let begun = &State::read(&world.records).services["svc"].begun;
        assert!(begun.is_empty(), "{crashes:?}: {begun:?}");
    });
}

#[test]
fn an_order_that_failed_counts_though_it_had_no_effect() {
    let mut world = World::new();
    world.fates.insert((0, 0), Fate::Fails);
    world.run(usize::MAX, false);
    assert!(
        matches!(world.ended(), Outcome::Compensated { .. }),
        "{:?}",
        world.outcome
    );
    assert_eq!(State::read(&world.records).services["svc"].begun.len(), 1);
}

/// Its first step keeps traffic away from the wrong one: from then on only the next brings it to the right one.
#[test]
fn a_front_that_is_told_again_is_left_alone_or_goes_forward() {
    let with = |fails_at| {
        let mut world = World::new();
        world.plan.kind = PlanKind::Reassert;
        world.plan.alternatives.clear();
        world.plan.steps.iter_mut().for_each(|step| step.undo = None);
        world.fates.insert((0, fails_at), Fate::Fails);
        world.run(usize::MAX, false);
        world
    };
    let first = with(0);
    assert!(
        matches!(first.ended(), Outcome::Compensated { .. }) && first.effects.is_empty(),
        "{:?}",
        first.outcome
    );
    assert!(matches!(with(1).ended(), Outcome::HandedOver { .. }));
}

/// The front stands as it should; that the service has fallen ill meanwhile is for the next move, which a plan that waits for a person would keep away.
#[test]
fn a_front_that_was_told_again_needs_nobody_when_the_service_is_ill() {
    let mut world = World::new();
    world.plan.kind = PlanKind::Reassert;
    world.plan.alternatives.clear();
    world.plan.steps.iter_mut().for_each(|step| step.undo = None);
    let verify = world.plan.steps.iter().position(|step| step.phase == Phase::Verify);
    world.fates.insert((0, verify.unwrap()), Fate::Fails);
    world.run(usize::MAX, false);
    assert!(
        matches!(world.ended(), Outcome::Compensated { .. }),
        "{:?}",
        world.outcome
    );
    assert_eq!(State::read(&world.records).services["svc"].handed_over, None);
}

#[test]
fn after_the_commit_point_the_next_target_is_tried_and_then_a_person() {
    let failing = |all: bool| {
        let mut world = World::new();
        world.fates.insert((0, 2), Fate::Fails);
        if all {
            world.fates.insert((1, 2), Fate::Fails);
        }
        world
    };
    after_any_two_crashes(
        || failing(false),
        |world, crashes| {
            assert_eq!(*world.ended(), Outcome::Done { active: "c".into() }, "{crashes:?}");
        },
    );
    after_any_two_crashes(
        || failing(true),
        |world, crashes| {
            assert!(matches!(world.ended(), Outcome::HandedOver { .. }), "{crashes:?}");
        },
    );
}

#[test]
fn after_the_commit_point_a_lost_lease_is_waited_for_until_the_time_is_over() {
    for comes_back in [true, false] {
        let mut runner = Runner::new(plan());
        let mut pending = runner.handle(Event::Start);
        let mut ended = None;
        let mut refusals = 0;
        while let Some(command) = pending.pop() {
            let event = match command {
                Command::Journal(_) => Event::Journaled,
                Command::Ask { step: 2, again, .. } => {
                    assert_eq!(again, refusals > 0);
                    refusals += 1;
                    match (refusals < 5, comes_back) {
                        (true, _) => Event::Permit(Some("no lease".into())),
                        (false, true) => Event::Permit(None),
                        (false, false) => Event::Deadline,
                    }
                }
                Command::Ask { .. } => Event::Permit(None),
                Command::Apply { .. } => Event::Applied(Applied::Done),
                Command::Tell(Told::Ended(outcome)) => {
                    ended = Some(outcome);
                    continue;
                }
                _ => continue,
            };
            pending.extend(runner.handle(event));
        }
        match ended {
            Some(Outcome::Done { .. }) => assert!(comes_back),
            Some(Outcome::HandedOver { reason }) => assert!(!comes_back && reason.contains("no lease"), "{reason}"),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn an_abort_after_the_commit_point_goes_to_a_person_and_to_no_other_target() {
    let mut runner = Runner::new(plan());
    let mut pending = runner.handle(Event::Start);
    let mut ended = None;
    let mut asked = 0;
    while let Some(command) = pending.pop() {
        let event = match command {
            Command::Journal(_) => Event::Journaled,
            Command::Ask { step: 2, .. } => {
                asked += 1;
                Event::Abort("please stop".into())
            }
            Command::Ask { .. } => Event::Permit(None),
            Command::Apply { .. } => Event::Applied(Applied::Done),
            Command::Tell(Told::Ended(outcome)) => {
                ended = Some(outcome);
                continue;
            }
            _ => continue,
        };
        pending.extend(runner.handle(event));
    }
    assert_eq!(asked, 1);
    assert!(matches!(ended, Some(Outcome::HandedOver { .. })), "{ended:?}");
}

/// Runs a plan on a world where only that step of each candidate fails, and without an answer if `unknown`.
fn run_with_announcement(unknown: bool) -> (Option<Outcome>, Vec<Told>) {
    let mut plan = plan();
    plan.steps.push(step(3, Phase::Announce));
    let mut runner = Runner::new(plan);
    let mut pending: std::collections::VecDeque<Command> = runner.handle(Event::Start).into();
    let (mut ended, mut told) = (None, Vec::new());
    while let Some(command) = pending.pop_front() {
        let event = match command {
            Command::Journal(_) => Event::Journaled,
            Command::Ask { .. } => Event::Permit(None),
            Command::Apply { step: 3, .. } if unknown => Event::Applied(Applied::Unknown("no answer".into())),
            Command::Apply { step: 3, .. } => Event::Applied(Applied::NoEffect("no broker".into())),
            Command::Apply { .. } => Event::Applied(Applied::Done),
            Command::Observe { .. } => Event::Observed(Effect::Unknown),
            Command::Tell(Told::Ended(outcome)) => {
                ended = Some(outcome);
                continue;
            }
            Command::Tell(other) => {
                told.push(other);
                continue;
            }
            Command::Undo { .. } | Command::ObserveUndo { .. } => panic!("nothing is taken back"),
        };
        pending.extend(runner.handle(event));
    }
    (ended, told)
}

#[test]
fn an_announcement_that_fails_is_told_and_moves_nothing_on() {
    for unknown in [false, true] {
        let (ended, told) = run_with_announcement(unknown);
        assert_eq!(ended, Some(Outcome::Done { active: "b".into() }));
        assert!(
            told.iter().any(|told| matches!(told, Told::StepFailed(3, _))),
            "{told:?}"
        );
    }
}

#[test]
fn a_journal_of_an_older_version_is_taken_back_all_the_same() {
    let id = plan().id;
    let old = serde_json::json!({"entry": "taking_back", "plan": id, "reason": "r"});
    let entries = [
        Entry::Intent {
            plan: id.clone(),
            candidate: 0,
            step: 0,
        },
        serde_json::from_value(old).unwrap(),
    ];
    let mut runner = Runner::restore(plan(), &entries).unwrap();
    let commands = runner.handle(Event::Start);
    assert_eq!(commands, [Command::Journal(Entry::UndoIntent { plan: id, step: 0 })]);
}
