//! The planner: every solver's answer passes the independent checker, the better solver is never worse, the same seed gives the same answer.

use std::collections::BTreeSet;

use jurymast::eval::plan::{fleet as made, gap};
use jurymast::plan::contingency::{self, FailureKind, Outdated};
use jurymast::plan::fleet::{Answer, Fate, Fleet, Limits};
use jurymast::plan::solver::{
    Budget, Exact, FORBIDDEN, Greedy, Instance, Local, Rng, Rule, RuleKind, Solver, Tables, check,
};
use proptest::prelude::*;

use crate::harness;

/// A small problem from a seed, with everything that a problem may have.
fn small(seed: u64, items: usize, agents: usize) -> Instance {
    let mut rng = Rng::new(seed);
    let resources = 1 + rng.below(2);
    let varied = rng.below(2) == 0;
    let mut tables = Tables {
        resources,
        ..Tables::default()
    };
    for _ in 0..agents {
        tables.open.push([0, 0, 7, 15][rng.below(4)]);
        for _ in 0..resources {
            tables.capacity.push(8 + rng.amount(12));
        }
    }
    for _ in 0..items {
        tables.left_out.push([60, 500, 4000][rng.below(3)]);
        let base: Vec<i64> = (0..resources).map(|_| 2 + rng.amount(6)).collect();
        for _ in 0..agents {
            tables
                .cost
                .push(if rng.below(5) == 0 { FORBIDDEN } else { rng.amount(30) });
            for demand in &base {
                tables.demand.push(demand + if varied { rng.amount(4) } else { 0 });
            }
        }
    }
    let members = |rng: &mut Rng| (0..items as u32).filter(|_| rng.below(3) == 0).collect();
    let domain: Vec<u32> = (0..agents as u32).map(|agent| agent % 2).collect();
    let most = 1 + rng.below(2) as u32;
    tables.rules.push(Rule {
        members: members(&mut rng),
        domain: domain.clone(),
        domains: 2,
        kind: RuleKind::Apart { most },
    });
    tables.rules.push(Rule {
        members: members(&mut rng),
        domain,
        domains: 2,
        kind: RuleKind::Together,
    });
    Instance::new(tables).unwrap()
}

/// The best value, by trying everything.
fn brute(instance: &Instance) -> i64 {
    fn down(instance: &Instance, at: &mut Vec<Option<u32>>, best: &mut i64) {
        if at.len() == instance.items() {
            if let Ok(value) = check(instance, at) {
                *best = value.min(*best);
            }
            return;
        }
        for agent in (0..instance.agents() as u32).map(Some).chain([None]) {
            at.push(agent);
            down(instance, at, best);
            at.pop();
        }
    }
    let mut best = i64::MAX;
    down(instance, &mut Vec::new(), &mut best);
    best
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(24) })]

    #[test]
    fn every_answer_passes_the_checker_and_more_work_is_never_worse(seed: u64, items in 1_usize..40, agents in 1_usize..12) {
        let instance = small(seed, items, agents);
        let budget = Budget { seed, ..Budget::moves(6_000) };
        let greedy = Greedy.solve(&instance, budget);
        let local = Local.solve(&instance, budget);
        let exact = Exact.solve(&instance, budget);
        for placement in [&greedy, &local, &exact] {
            prop_assert_eq!(check(&instance, &placement.at), Ok(placement.value));
            prop_assert!(placement.bound.is_none_or(|bound| bound <= placement.value));
        }
        prop_assert!(local.value <= greedy.value);
        prop_assert!(exact.value <= greedy.value);
    }

    #[test]
    fn the_same_seed_gives_the_same_answer(seed: u64) {
        let instance = small(seed, 25, 8);
        let budget = Budget { seed, ..Budget::moves(10_000) };
        for solver in [&Greedy as &dyn Solver, &Local, &Exact] {
            prop_assert_eq!(solver.solve(&instance, budget), solver.solve(&instance, budget));
        }
    }

    #[test]
    fn no_bound_lies_above_the_best_and_what_is_called_best_is(seed: u64, items in 1_usize..6, agents in 1_usize..4) {
        let instance = small(seed, items, agents);
        let best = brute(&instance);
        let local = Local.solve(&instance, Budget::moves(20_000));
        let exact = Exact.solve(&instance, Budget::moves(100_000));
        prop_assert!(local.bound.is_none_or(|bound| bound <= best));
        prop_assert!(exact.bound.is_none_or(|bound| bound <= best), "bound {:?}, best {}", exact.bound, best);
        if exact.gap() == Some(0.0) {
            prop_assert_eq!(exact.value, best);
        }
    }
}

#[test]
fn small_problems_are_solved_to_the_end() {
    let mut proven = 0;
    for seed in 0..20 {
        let instance = small(seed, 7, 3);
        let exact = Exact.solve(&instance, Budget::moves(400_000));
        assert_eq!(exact.value, brute(&instance), "seed {seed}");
        proven += usize::from(exact.gap() == Some(0.0));
    }
    assert!(proven >= 10, "only {proven} of 20 are proven");
}

#[test]
fn the_checker_refuses_what_is_wrong() {
    let rule = Rule {
        members: vec![0, 1],
        domain: vec![0, 1],
        domains: 2,
        kind: RuleKind::Apart { most: 1 },
    };
    let tables = Tables {
        resources: 1,
        cost: vec![1, 2, 3, FORBIDDEN],
        demand: vec![4, 4, 4, 4],
        capacity: vec![8, 8],
        open: vec![10, 0],
        left_out: vec![100, 100],
        rules: vec![rule],
    };
    let instance = Instance::new(tables).unwrap();
    assert_eq!(check(&instance, &[Some(1), Some(0)]), Ok(2 + 3 + 10));
    assert_eq!(check(&instance, &[Some(1), None]), Ok(102));
    assert!(check(&instance, &[Some(0), Some(0)]).is_err(), "both in one domain");
    assert!(check(&instance, &[Some(0), Some(1)]).is_err(), "not allowed there");
    assert!(check(&instance, &[Some(2), None]).is_err(), "no such agent");
    assert!(check(&instance, &[None]).is_err(), "an item is missing");
    let tables = Tables {
        resources: 1,
        cost: vec![1, 1],
        demand: vec![4, 5],
        capacity: vec![8],
        open: vec![0],
        left_out: vec![9, 9],
        rules: Vec::new(),
    };
    assert!(
        check(&Instance::new(tables).unwrap(), &[Some(0), Some(0)]).is_err(),
        "9 on 8"
    );
}

#[test]
fn made_fleets_are_the_same_each_time_and_solvable() {
    let spec = made::Spec {
        services: 60,
        nodes: 40,
        load: 0.5,
        seed: 3,
    };
    let instance = made::Fleet::make(spec).instance().unwrap();
    assert_eq!(instance, made::Fleet::make(spec).instance().unwrap());
    let before = Local.solve(&instance, Budget::moves(50_000));
    let lost = made::Fleet::make(spec).without(2, &before.at).unwrap();
    let after = Local.solve(&lost, Budget::moves(50_000));
    assert_eq!(check(&lost, &after.at), Ok(after.value));
    // Most of those whose zone is there still are not disturbed.
    let stayed = before
        .at
        .iter()
        .zip(&after.at)
        .filter(|(a, b)| a.is_some() && a == b)
        .count();
    assert!(stayed > 30, "{stayed} of 60 stayed");
}

fn plant(text: &str) -> Fleet {
    serde_saphyr::from_str(text).unwrap()
}

fn what_if(fleet: &Fleet, lost: &[&str]) -> Answer {
    let lost: BTreeSet<String> = lost.iter().map(ToString::to_string).collect();
    let case = fleet.case(&lost, Limits::default()).unwrap();
    let placement = Exact.solve(&case.instance, Budget::moves(50_000));
    assert_eq!(check(&case.instance, &placement.at), Ok(placement.value));
    case.answer(&placement)
}

fn example() -> Fleet {
    plant(include_str!("../../docs/reference/fleet-example.yml"))
}

const TIGHT: &str = "
nodes:
  - { name: a, zone: x, capacity: { cpu: 4 } }
  - { name: b, zone: y, capacity: { cpu: 4 } }
  - { name: c, zone: y, capacity: { cpu: 2 } }
services:
  - { name: high, priority: 90, demands: { cpu: 4 }, on: a, cold: { activation: 5s } }
  - { name: low, priority: 10, demands: { cpu: 2 }, on: b, cold: { activation: 5s } }
  - { name: lowest, priority: 5, demands: { cpu: 2 }, on: b, cold: { activation: 5s } }
";

#[test]
fn a_high_priority_pushes_out_the_lowest_and_the_rest_moves_over() {
    let answer = what_if(&plant(TIGHT), &["a"]);
    assert!(
        matches!(&answer.services["high"], Fate::Moves { to, .. } if to == "b"),
        "{answer:#?}"
    );
    assert!(
        matches!(&answer.services["low"], Fate::Moves { to, makes_room: true, .. } if to == "c"),
        "{answer:#?}"
    );
    assert_eq!(answer.services["lowest"], Fate::PushedOut { from: "b".into() });
    assert_eq!((answer.hit, answer.recovered, answer.disturbed), (1, 1, 2));
}

#[test]
fn among_equals_nobody_who_runs_well_is_moved_or_stopped_for_another() {
    // c is too small for `high`; b would do if `low` and `lowest` made room.
    for (low, lowest) in [(90, 90), (95, 90)] {
        let equal = TIGHT
            .replace("priority: 10", &format!("priority: {low}"))
            .replace("priority: 5,", &format!("priority: {lowest},"));
        let answer = what_if(&plant(&equal), &["a"]);
        assert!(matches!(&answer.services["high"], Fate::Down { .. }), "{answer:#?}");
        assert_eq!(answer.disturbed, 0, "{answer:#?}");
    }
    // Not even where it would only have to go elsewhere.
    let alone: String = TIGHT
        .lines()
        .filter(|line| !line.contains("lowest"))
        .map(|line| format!("{line}\n"))
        .collect();
    let answer = what_if(&plant(&alone.replace("priority: 10", "priority: 90")), &["a"]);
    assert_eq!(answer.services["low"], Fate::Stays { on: "b".into() });
    let answer = what_if(&plant(&alone), &["a"]);
    assert!(
        matches!(&answer.services["low"], Fate::Moves { makes_room: true, .. }),
        "{answer:#?}"
    );
    // Nor for two of its own sort.
    let two = "
nodes: [{ name: a, capacity: { cpu: 4 } }, { name: b, capacity: { cpu: 4 } }]
services:
  - { name: large, demands: { cpu: 4 }, on: b, cold: { activation: 5s } }
  - { name: small-1, demands: { cpu: 2 }, on: a, cold: { activation: 5s } }
  - { name: small-2, demands: { cpu: 2 }, on: a, cold: { activation: 5s } }
";
    let answer = what_if(&plant(two), &["a"]);
    assert_eq!(answer.services["large"], Fate::Stays { on: "b".into() });
}

#[test]
fn whoever_runs_well_goes_along_with_those_it_is_to_be_together_with() {
    let pair = "
nodes: [{ name: a }, { name: b }]
services:
  - { name: db, together: pair, on: a, copies: [{ on: a }, { on: b, lag: 0s }] }
  - { name: app, together: pair, on: a, cold: { activation: 5s } }
";
    let answer = what_if(&plant(pair), &["db"]);
    for name in ["db", "app"] {
        assert!(
            matches!(&answer.services[name], Fate::Moves { to, .. } if to == "b"),
            "{answer:#?}"
        );
    }
}

#[test]
fn a_node_that_carries_too_much_already_keeps_what_it_carries_and_takes_nobody() {
    let fleet = plant(&TIGHT.replace("zone: y, capacity: { cpu: 4 }", "zone: y, capacity: { cpu: 3 }"));
    let told = fleet.overrun();
    assert!(
        told.len() == 1 && told[0].starts_with("b has 3 cpu, and 4 is wanted"),
        "{told:?}"
    );
    let answer = what_if(&fleet, &[]);
    assert_eq!((answer.served, answer.disturbed), (3, 0), "{answer:#?}");
    let answer = what_if(&fleet, &["c"]);
    assert_eq!(answer.services["lowest"], Fate::Stays { on: "b".into() });
    let small = TIGHT
        .replace("cpu: 4 }, on: a", "cpu: 3 }, on: a")
        .replace("zone: y, capacity: { cpu: 4 }", "zone: y, capacity: { cpu: 3 }");
    let answer = what_if(&plant(&small), &["a"]);
    assert!(matches!(&answer.services["high"], Fate::Down { .. }), "{answer:#?}");
}

#[test]
fn nobody_is_disturbed_without_need() {
    let answer = what_if(&plant(&TIGHT.replace("cpu: 4 }, on: a", "cpu: 2 }, on: a")), &["a"]);
    assert!(
        matches!(&answer.services["high"], Fate::Moves { to, .. } if to == "c"),
        "{answer:#?}"
    );
    assert_eq!(answer.disturbed, 0);
}

#[test]
fn who_is_pinned_is_not_pushed_out() {
    let answer = what_if(&plant(&TIGHT.replace("on: b,", "on: b, movable: false,")), &["a"]);
    let Fate::Down { why } = &answer.services["high"] else {
        panic!("{answer:#?}")
    };
    assert!(why.contains("b is full"), "{why}");
}

#[test]
fn old_data_is_refused_with_the_nearest_miss() {
    let fleet = plant(
        "
nodes: [{ name: a }, { name: b }, { name: c }]
services:
  - { name: db, rpo: 10s, on: a, copies: [{ on: b, lag: 90s }, { on: c }] }
  - { name: app, on: c, depends_on: [db], cold: {} }
",
    );
    let answer = what_if(&fleet, &["a"]);
    let Fate::Down { why } = &answer.services["db"] else {
        panic!("{answer:#?}")
    };
    assert!(
        why.contains("nearest: b, its data is 90 s behind, 10 s are allowed"),
        "{why}"
    );
    assert_eq!(
        answer.services["app"],
        Fate::Useless {
            on: "c".into(),
            without: "db".into()
        }
    );
}

#[test]
fn late_is_better_than_never_and_is_said() {
    let text = "
late: allow
nodes: [{ name: a }, { name: b }]
services: [{ name: s, rto: 10s, on: a, cold: { activation: 60s } }]
";
    let answer = what_if(&plant(text), &["a"]);
    assert!(
        matches!(&answer.services["s"], Fate::Moves { late: true, .. }),
        "{answer:#?}"
    );
    let answer = what_if(&plant(&text.replace("late: allow", "late: refuse")), &["a"]);
    assert!(matches!(&answer.services["s"], Fate::Down { .. }), "{answer:#?}");
}

#[test]
fn a_service_waits_for_what_it_depends_on() {
    let fleet = plant(
        "
nodes: [{ name: a }, { name: b }]
services:
  - { name: db, rto: 5m, on: a, copies: [{ on: b, activation: 40s, lag: 0s }] }
  - { name: app, rto: 30s, on: a, depends_on: [db], cold: { activation: 2s } }
",
    );
    let answer = what_if(&fleet, &["a"]);
    assert!(
        matches!(answer.services["app"], Fate::Moves { late: true, rto_s, .. } if (rto_s - 40.0).abs() < 1e-9),
        "{answer:#?}"
    );
}

/// The two APIs share a database. The bridge has a broker at each site, and the web page waits for an API.
const SHARED: &str = "
nodes: [{ name: a, zone: x, via: [line-x] }, { name: b, zone: y }, { name: c, zone: z }]
entities:
  - { name: postgres, kind: database, on: c }
  - { name: pooler, depends_on: [postgres] }
  - { name: broker-x, kind: broker, zone: x }
  - { name: broker-y, kind: broker, zone: y }
services:
  - { name: api, on: a, depends_on: [pooler], cold: {} }
  - { name: ingest, on: b, depends_on: [postgres], cold: {} }
  - { name: web, on: b, depends_on: [api], cold: {} }
  - { name: bridge, on: a, stands_on: [broker-x], copies: [{ on: b, stands_on: [broker-y] }] }
";

#[test]
fn what_two_services_share_and_has_no_standby_is_covered_by_no_plan() {
    let fleet = plant(SHARED);
    let all = contingency::compute(&fleet, &Exact, Budget::moves(5_000)).unwrap();
    let plan = all.find("postgres").unwrap();
    assert_eq!((plan.kind, plan.hit, plan.recovered), (FailureKind::Database, 2, 0));
    assert!(!plan.is_full());
    assert_eq!(
        plan.left(),
        [
            "postgres has no standby; api and ingest stand on it",
            "web cannot serve without api"
        ]
    );
    assert_eq!(
        all.find("pooler").unwrap().left()[0],
        "pooler has no standby; api stands on it"
    );
    // What falls with its node is lost with it.
    let host = all.find("c").unwrap();
    assert_eq!((host.kind, host.hit, host.left().len()), (FailureKind::Host, 2, 2));
    assert!(all.plans.values().all(|plan| plan.still_holds(&fleet).is_ok()));
    let answer = what_if(&fleet, &["postgres"]);
    assert_eq!(
        answer.services["api"],
        Fate::Stranded {
            on: "a".into(),
            without: "postgres".into()
        }
    );
    assert_eq!((answer.hit, answer.served, answer.disturbed), (2, 1, 0));
    // With a standby it is a service, and its loss is survived.
    let with_standby = SHARED
        .replace("  - { name: postgres, kind: database, on: c }\n", "")
        .replace(
            "services:",
            "services:\n  - { name: postgres, on: c, copies: [{ on: a }] }",
        );
    let all = contingency::compute(&plant(&with_standby), &Exact, Budget::moves(5_000)).unwrap();
    assert!(all.find("postgres").unwrap().is_full(), "{:#?}", all.find("postgres"));
}

#[test]
fn a_broker_of_one_site_is_left_for_that_of_the_other() {
    let fleet = plant(SHARED);
    let all = contingency::compute(&fleet, &Exact, Budget::moves(5_000)).unwrap();
    let plan = all.find("broker-x").unwrap();
    assert_eq!((plan.kind, plan.hit), (FailureKind::Broker, 1));
    assert!(
        plan.is_full() && matches!(&plan.fates["bridge"], Fate::Moves { to, .. } if to == "b"),
        "{plan:#?}"
    );
    assert_eq!(all.find("broker-y").unwrap().hit, 0);
    let mut now = fleet.clone();
    let bridge = now
        .services
        .iter_mut()
        .find(|service| service.name == "bridge")
        .unwrap();
    bridge.copies[0].stands_on = vec!["broker-x".into()];
    let outdated = plan.still_holds(&now).unwrap_err();
    assert!(
        outdated.to_string().contains("broker-x, which it needs there, is gone"),
        "{outdated}"
    );
    let answer = what_if(&now, &["broker-x"]);
    let Fate::Down { why } = &answer.services["bridge"] else {
        panic!("{answer:#?}")
    };
    assert!(why.contains("2 without broker-x"), "{why}");
}

#[test]
fn who_stands_on_himself_is_refused_with_the_circle() {
    let circle = |text: &str| plant(text).refuse_circles().map_err(|error| error.to_string());
    assert_eq!(circle(SHARED), Ok(()));
    let told = circle(&SHARED.replace("on: c }", "on: c, depends_on: [web] }")).unwrap_err();
    assert!(
        told.contains("api needs pooler needs postgres needs web needs api"),
        "{told}"
    );
    let told = circle("services: [{ name: s, depends_on: [s] }]").unwrap_err();
    assert!(told.contains("s needs s:"), "{told}");
}

#[test]
fn the_order_in_the_file_decides_nothing() {
    let fleet = example();
    let mut turned = fleet.clone();
    turned.nodes.reverse();
    turned.services.reverse();
    for lost in ["site-a", "h4", "broker"] {
        assert_eq!(what_if(&fleet, &[lost]), what_if(&turned, &[lost]), "{lost}");
    }
}

#[test]
fn what_is_not_there_cannot_be_lost() {
    let fleet = example();
    let error = fleet.case(&["h9".to_owned()].into(), Limits::default()).err().unwrap();
    assert!(error.to_string().contains("nothing here is called \"h9\""), "{error}");
}

#[test]
fn contingencies_cover_what_they_say_and_are_checked_again_before_use() {
    let fleet = example();
    let all = contingency::compute(&fleet, &Exact, Budget::moves(20_000)).unwrap();
    assert_eq!(all.plans.len(), fleet.losable().len());
    let coverage = all.coverage();
    let full = all.plans.values().filter(|plan| plan.hit > 0 && plan.is_full()).count();
    assert!(
        coverage.covered == full && coverage.covered < coverage.failures,
        "{coverage:?}"
    );
    assert!(all.plans.values().all(|plan| plan.still_holds(&fleet).is_ok()));

    let plan = all.find("h3").unwrap();
    assert!(matches!(&plan.fates["control-a"], Fate::Moves { to, .. } if to == "h2"));
    let change = |change: &dyn Fn(&mut Fleet)| {
        let mut now = fleet.clone();
        change(&mut now);
        plan.still_holds(&now).unwrap_err()
    };
    let service =
        |fleet: &mut Fleet, name: &str| fleet.services.iter().position(|service| service.name == name).unwrap();
    let stale = change(&|fleet| {
        let at = service(fleet, "control-a");
        fleet.services[at].copies[0].lag = Some(jurymast::model::Span::secs(5));
    });
    assert!(
        matches!(&stale, Outdated::Refused { why, .. } if why.contains("5 s behind")),
        "{stale}"
    );
    let full = change(&|fleet| {
        for node in fleet.nodes.iter_mut().filter(|node| node.name == "h2") {
            node.capacity.insert("cpu".into(), 4.0);
        }
    });
    assert!(matches!(full, Outdated::Unfit(_)), "{full}");
    let gone = change(&|fleet| fleet.services.retain(|service| service.name != "control-a"));
    assert!(matches!(gone, Outdated::Gone { .. }), "{gone}");
    let new = change(&|fleet| {
        let at = service(fleet, "alarms");
        fleet.services[at].on = Some("h3".into());
    });
    assert!(matches!(new, Outdated::New { .. }), "{new}");
}

#[test]
fn public_instances_are_read_and_solved() {
    let Some(folder) = harness::data("sched/gap") else {
        return;
    };
    let found = gap::find(&folder).unwrap();
    assert!(found.len() > 20);
    for (name, path, best) in found
        .iter()
        .filter(|(name, ..)| name.contains("gap1") || name.contains("a05100"))
    {
        let instance = gap::read(path).unwrap();
        let answer = Local.solve(&instance, Budget::moves(300_000));
        assert_eq!(check(&instance, &answer.at), Ok(answer.value), "{name}");
        assert_eq!(answer.unplaced(), 0, "{name}");
        // The best values are proven: below them, something would be wrong with the reading.
        assert!(
            answer.value >= *best && answer.value as f64 <= *best as f64 * 1.02,
            "{name}: {} {best}",
            answer.value
        );
    }
}

/// As on a machine that gives a solver next to nothing of its time.
#[test]
fn a_starved_search_still_places_everybody() {
    let Some(folder) = harness::data("sched/gap") else {
        return;
    };
    let found = gap::find(&folder).unwrap();
    for (name, path, _) in found.iter().filter(|(name, ..)| {
        ["c20400", "d10400", "e10400", "c201600"]
            .iter()
            .any(|one| name.ends_with(one))
    }) {
        let instance = gap::read(path).unwrap();
        let answer = Local.solve(&instance, Budget::moves(1));
        assert_eq!(check(&instance, &answer.at), Ok(answer.value), "{name}");
        assert_eq!(answer.unplaced(), 0, "{name}");
    }
}
