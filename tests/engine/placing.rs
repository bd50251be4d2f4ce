//! Where a live service goes: labels, groups that stay together or apart, nearness to the clients, and who comes first when there is room for one.

use jurymast::engine::{Input, OperatorCommand};
use jurymast::model::plan::Outcome;
use jurymast::model::{Reach, Span, Timestamp};

use crate::harness::watch::{CANARIES, World};

/// `alpha` and `beta` run on h1; h2 is near to the users, h3 far away.
fn plant(alpha: &str, beta: &str) -> String {
    format!(
        "
agent: {{name: here}}
topology:
  entities:
    - {{name: h1, kind: host, attributes: {{capacity.slots: '2'}}}}
    - {{name: h2, kind: host, attributes: {{capacity.slots: '1'}}}}
    - {{name: h3, kind: host, attributes: {{capacity.slots: '2', labels: 'ssd, gpu'}}}}
    - {{name: users, kind: zone, attributes: {{latency_ms.near: '2', latency_ms.far: '40'}}}}
  edges:
    - {{from: alpha-1, edge: runs_on, to: h1}}
    - {{from: alpha-2, edge: runs_on, to: h2}}
    - {{from: alpha-3, edge: runs_on, to: h3}}
    - {{from: beta-1, edge: runs_on, to: h1}}
    - {{from: beta-2, edge: runs_on, to: h2}}
    - {{from: beta-3, edge: runs_on, to: h3}}
    - {{from: h2, edge: in_zone, to: near}}
    - {{from: h3, edge: in_zone, to: far}}
services:
  - {{name: alpha, active: alpha-1, playbook: p, rto: 20s, probe: {{uses: tcp, interval: 1s}}, {alpha}}}
  - {{name: beta, active: beta-1, playbook: p, rto: 20s, probe: {{uses: tcp, interval: 1s}}, {beta}}}
policy:
  {CANARIES}
"
    )
}

const ALPHA: &str = "standbys: [{entity: alpha-3}, {entity: alpha-2}]";
const BETA: &str = "standbys: [{entity: beta-3}, {entity: beta-2}]";

fn watched(config: &str) -> World {
    const INSTANCES: [&str; 6] = ["alpha-1", "alpha-2", "alpha-3", "beta-1", "beta-2", "beta-3"];
    let world = World {
        lost: Reach::Unreachable,
        ..World::at(Timestamp::from_secs(1_000), config, &INSTANCES)
    };
    world.finely()
}

fn moves(world: &World) -> Vec<String> {
    let started = world.effects.start.iter();
    let mut moves: Vec<String> = started.map(|plan| format!("{} to {}", plan.service, plan.to)).collect();
    moves.sort();
    moves
}

fn after_the_host_fell(alpha: &str, beta: &str) -> Vec<String> {
    let mut world = watched(&plant(alpha, beta));
    world.gone = vec!["alpha-1", "beta-1"];
    world.pass(20);
    moves(&world)
}

#[test]
fn the_nearest_of_equally_ready_ones_is_taken_and_a_label_outweighs_it() {
    let of = |zone: &str| format!("{ALPHA}, clients: {zone}");
    let gpu = format!("{BETA}, clients: users, needs: [gpu]");
    assert_eq!(
        after_the_host_fell(&of("users"), &gpu),
        ["alpha to alpha-2", "beta to beta-3"]
    );
    assert_eq!(
        after_the_host_fell(&of("far"), &gpu),
        ["alpha to alpha-3", "beta to beta-3"]
    );
}

#[test]
fn who_is_to_be_together_goes_where_both_find_room() {
    let (alpha, beta) = (
        format!("{ALPHA}, clients: users, demands: {{slots: 1}}, together: pair"),
        format!("{BETA}, clients: users, demands: {{slots: 1}}, together: pair"),
    );
    assert_eq!(
        after_the_host_fell(&alpha, &beta),
        ["alpha to alpha-3", "beta to beta-3"]
    );
    // One alone is not moved away from the other, which runs well.
    let mut world = watched(&plant(&alpha, &beta));
    world.gone = vec!["alpha-1"];
    world.pass(20);
    assert_eq!(moves(&world), [""; 0]);
    let told = world.engine.verdicts().filter_map(|verdict| verdict.refusal.clone());
    let why: Vec<String> = told.map(|refusal| refusal.reason).collect();
    assert!(
        why.iter()
            .any(|why| why.contains("beta, which it is to be together with (pair), runs on h1")),
        "{why:?}"
    );
}

#[test]
fn who_is_to_be_apart_by_zone_does_not_share_one() {
    let (alpha, beta) = (
        format!("{ALPHA}, anti_affinity: two, anti_affinity_by: zone"),
        format!("{BETA}, anti_affinity: two, anti_affinity_by: zone"),
    );
    assert_eq!(
        after_the_host_fell(&alpha, &beta),
        ["alpha to alpha-2", "beta to beta-3"]
    );
}

/// There is room for one, and the one that matters more waits longer before it is moved.
#[test]
fn room_is_kept_for_whoever_is_more_important() {
    let only = |standby: &str, rest: &str| format!("standbys: [{{entity: {standby}}}], demands: {{slots: 1}}, {rest}");
    let (alpha, beta) = (
        only("alpha-2", "priority: 20, hold_off: 100ms"),
        only("beta-2", "priority: 80, hold_off: 4s"),
    );
    assert_eq!(after_the_host_fell(&alpha, &beta), ["beta to beta-2"]);
    let equal = alpha.replace("priority: 20", "priority: 80");
    assert_eq!(
        after_the_host_fell(&equal, &beta),
        ["alpha to alpha-2"],
        "among equals the quicker one"
    );
}

/// Their homes are two hosts, and both would go to h2, where there is room for one.
#[test]
fn the_room_of_a_host_on_which_two_have_their_standby_is_given_once() {
    let demands = "demands: {slots: 1}, hold_off: 100ms";
    let plant = plant(
        &format!("standbys: [{{entity: alpha-2}}], {demands}"),
        &format!("standbys: [{{entity: beta-2}}], {demands}"),
    );
    let plant = plant.replace("name: beta, active: beta-1", "name: beta, active: beta-3");
    // Before its move has ended, and after.
    for ends in [false, true] {
        let mut world = watched(&plant);
        world.gone = vec!["alpha-1"];
        world.pass(20);
        assert_eq!(moves(&world), ["alpha to alpha-2"]);
        if ends {
            let plan = world.effects.start[0].clone();
            world.done(&plan);
            world.pass(5);
        }
        world.gone = vec!["alpha-1", "beta-3"];
        world.pass(20);
        assert_eq!(moves(&world), ["alpha to alpha-2"], "{ends}");
        let mut refused = world
            .engine
            .verdicts()
            .filter(|verdict| verdict.service == Some("beta".into()));
        let why = refused.find_map(|verdict| verdict.refusal.clone()).unwrap();
        assert!(why.gate == "target" && why.reason.contains("slots"), "{why:?}");
    }
}

/// Both run on h3 after h1 has fallen; h1 is back.
fn away(beta: &str) -> World {
    let (alpha, beta) = (
        format!("{ALPHA}, clients: users, demands: {{slots: 1}}, together: pair"),
        format!("{BETA}, clients: users, demands: {{slots: 1}}, together: pair{beta}"),
    );
    let mut world = watched(&plant(&alpha, &beta));
    world.gone = vec!["alpha-1", "beta-1"];
    world.pass(20);
    assert_eq!(moves(&world), ["alpha to alpha-3", "beta to beta-3"]);
    for plan in std::mem::take(&mut world.effects.start) {
        world.done(&plan);
    }
    world.gone = Vec::new();
    world.pass(20);
    world
}

fn sent_home(world: &mut World) -> (Vec<String>, String) {
    world.say(OperatorCommand::Failback {
        service: "beta".into(),
        to: None,
        by: "test".into(),
    });
    let told = world
        .effects
        .notify
        .iter()
        .filter(|told| told.label == "failback-refused");
    let told = told.map(|told| told.text.clone()).collect();
    (moves(world), told)
}

#[test]
fn who_is_to_be_together_goes_home_together_or_not_at_all() {
    let mut world = away("");
    let (sent, refused) = sent_home(&mut world);
    assert_eq!(
        (sent, refused.as_str()),
        (vec!["alpha to alpha-1".to_owned(), "beta to beta-1".to_owned()], "")
    );
    let beside = world
        .effects
        .start
        .iter()
        .find(|plan| plan.service.as_str() == "alpha")
        .unwrap();
    assert!(
        beside.summary.contains("to stay together with beta"),
        "{}",
        beside.summary
    );

    let mut world = away("");
    world.gone = vec!["alpha-1"];
    world.pass(5);
    let (sent, refused) = sent_home(&mut world);
    assert_eq!(sent, [""; 0]);
    assert!(
        refused.contains("alpha, which is to be together with it, has to stay: alpha-1 cannot take over"),
        "{refused}"
    );

    // There is room at home for each of them, and not for both.
    let mut world = away("");
    let narrow = jurymast::model::Entity {
        name: "h1".into(),
        kind: jurymast::model::EntityKind::Host,
        period: None,
        group: None,
        attributes: [("capacity.slots".to_owned(), "1".to_owned())].into(),
    };
    let event = jurymast::model::Event {
        entity: "h1".into(),
        at: world.now,
        seen: world.now,
        kind: jurymast::model::EventKind::Topology(jurymast::model::TopologyChange::Entity { entity: narrow }),
    };
    world.engine.handle(Input::Event(event), &mut world.effects);
    world.pass(2);
    let (sent, refused) = sent_home(&mut world);
    assert_eq!(sent, [""; 0]);
    assert!(
        refused.contains("h1 has 1 slots free of 1; beta, alpha together need 2"),
        "{refused}"
    );
}

#[test]
fn a_drill_that_would_leave_others_behind_says_so_and_does_not_begin() {
    let drill = |world: &mut World| {
        world.say(OperatorCommand::Drill {
            service: "alpha".into(),
            to: Some("alpha-3".into()),
            stay: Span::secs(5),
            yes: true,
            asked: "now".into(),
            by: "test".into(),
        });
        let refused = world
            .engine
            .drills_refused()
            .map(|refused| refused.reason.clone())
            .collect::<String>();
        (moves(world), refused)
    };
    let config = plant(&format!("{ALPHA}, together: pair"), &format!("{BETA}, together: pair"));
    let (moved, refused) = drill(&mut watched(&config));
    assert_eq!(moved, [""; 0]);
    assert!(
        refused.contains(
            "a drill moves alpha alone, and beta, which it is to be together with (pair), would be left behind"
        ),
        "{refused}"
    );
    let (moved, refused) = drill(&mut watched(&plant(ALPHA, BETA)));
    assert_eq!((moved, refused.as_str()), (vec!["alpha to alpha-3".to_owned()], ""));
}

/// One of them cannot go after all, while it is under way: the other one comes back as well.
#[test]
fn who_went_home_together_comes_back_together_where_one_cannot_go() {
    let mut world = away("");
    let (sent, _) = sent_home(&mut world);
    assert_eq!(sent.len(), 2);
    let plans = std::mem::take(&mut world.effects.start);
    let of = |name: &str| plans.iter().find(|plan| plan.service.as_str() == name).unwrap();
    let reason = "'fence': no answer".to_owned();
    world.ended(of("alpha"), Outcome::Compensated { reason });
    let called_off: Vec<(String, String)> = std::mem::take(&mut world.effects.abort)
        .into_iter()
        .map(|(plan, why)| (plan.to_string(), why))
        .collect();
    assert_eq!(
        called_off,
        [(
            of("beta").id.to_string(),
            "alpha, which is to be together with it, did not go".to_owned()
        )]
    );
    // Who had arrived before stays there, and people are told how they come together again.
    let mut world = away("");
    sent_home(&mut world);
    let plans = std::mem::take(&mut world.effects.start);
    let of = |name: &str| plans.iter().find(|plan| plan.service.as_str() == name).unwrap();
    world.done(of("beta"));
    let reason = "'fence': no answer".to_owned();
    world.ended(of("alpha"), Outcome::Compensated { reason });
    let (alpha, beta) = (of("alpha"), of("beta"));
    let told = world.effects.notify.iter().find(|told| told.label == "parted");
    assert_eq!(
        told.expect("people are told").text,
        format!(
            "beta on {} and alpha on {} are to be together, and one of them did not go: 'jurymast failback beta --to {}' brings them together again",
            beta.to, alpha.from, beta.from
        )
    );
    // Who has gone well calls nobody off.
    let mut world = away("");
    sent_home(&mut world);
    for plan in std::mem::take(&mut world.effects.start) {
        world.done(&plan);
    }
    assert_eq!(world.effects.abort, []);
    assert!(world.effects.notify.iter().all(|told| told.label != "parted"));
}
