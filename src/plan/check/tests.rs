//! The checker and the planner, case by case.

use std::collections::BTreeMap;

use super::*;
use crate::model::{Entity, EntityKind, EntityName, Service, Span, Topology, TopologyChange};
use crate::plan::{Facts, Lower, choose};

#[derive(Default)]
struct Known {
    down: Vec<&'static str>,
    lag: BTreeMap<&'static str, u64>,
    used: f64,
    group: Option<&'static str>,
    friend: Option<&'static str>,
    lower: Vec<(Service, Result<(), String>, &'static str)>,
}

/// A service of that priority that takes so many processors of a host.
fn lower(
    name: &str,
    priority: u8,
    cpu: u8,
    may: Result<(), &str>,
    at: &'static str,
) -> (Service, Result<(), String>, &'static str) {
    let mut lower = service(&format!(", priority: {priority}, demands: {{cpu: {cpu}}}"));
    lower.name = name.into();
    (lower, may.map_err(str::to_owned), at)
}

impl Facts for Known {
    fn serves(&self, instance: &EntityName) -> Result<(), String> {
        if self.down.contains(&instance.as_str()) {
            Err("it does not answer".into())
        } else {
            Ok(())
        }
    }
    fn lag(&self, instance: &EntityName, _: &str) -> Option<Span> {
        self.lag.get(instance.as_str()).map(|secs| Span::secs(*secs))
    }
    fn taken(&self, _: &Service, _: &EntityName, _: &str) -> f64 {
        self.used
    }
    fn lower(&self, _: &Service, host: &EntityName) -> Vec<Lower<'_>> {
        let here = self.lower.iter().filter(|(_, _, at)| *at == host.as_str());
        here.map(|(service, may, at)| Lower {
            service,
            at: format!("{}-{at}", service.name).as_str().into(),
            may: may.clone(),
        })
        .collect()
    }
    fn apart(&self, _: &Service) -> Vec<(String, EntityName)> {
        self.group.map(|at| ("other".into(), at.into())).into_iter().collect()
    }
    fn together(&self, _: &Service) -> Vec<(String, EntityName)> {
        self.friend.map(|at| ("friend".into(), at.into())).into_iter().collect()
    }
}

fn service(extra: &str) -> Service {
    let yaml = format!(
        "{{name: s, active: a, standbys: [{{entity: b, lag_signal: lag, class: warm}}, {{entity: c, lag_signal: lag}}], \
         playbook: p, probe: {{uses: tcp}}{extra}}}"
    );
    serde_saphyr::from_str(&yaml).unwrap()
}

fn hosts() -> Topology {
    let mut topology = Topology::new();
    for name in ["b", "c"] {
        let labels = if name == "b" { "ssd, gpu" } else { "ssd" };
        let attributes = [("capacity.cpu", "4"), ("labels", labels)];
        let entity = Entity {
            name: name.into(),
            kind: EntityKind::Service,
            period: None,
            group: None,
            attributes: attributes.map(|(key, value)| (key.into(), value.into())).into(),
        };
        topology.apply(&TopologyChange::Entity { entity });
    }
    for (name, away) in [("near", "2"), ("far", "30")] {
        let entity = Entity {
            name: name.into(),
            kind: EntityKind::Zone,
            period: None,
            group: None,
            attributes: [("latency_ms.users".to_owned(), away.to_owned())].into(),
        };
        topology.apply(&TopologyChange::Entity { entity });
    }
    for (from, to) in [("b", "near"), ("d", "near"), ("c", "far")] {
        let (from, to) = (from.into(), to.into());
        let edge = EdgeKind::InZone;
        topology.apply(&TopologyChange::Edge { from, edge, to });
    }
    topology
}

fn ranked(service: &Service, known: &Known) -> (Vec<String>, String) {
    let topology = hosts();
    let from = "a".into();
    let choice = choose(service, &from, &topology, known);
    let problem = Problem {
        service,
        from: &from,
        topology: &topology,
        facts: known,
    };
    check(&problem, &choice).unwrap();
    let why = choice
        .rejected
        .iter()
        .map(|(entity, why)| format!("{entity}: {why}; "))
        .collect();
    (
        choice.ranked.iter().map(|(entity, _)| entity.to_string()).collect(),
        why,
    )
}

#[test]
fn the_readiest_comes_first() {
    assert_eq!(ranked(&service(""), &Known::default()).0, ["c", "b"]);
}

#[test]
fn a_dead_standby_is_refused_with_the_reason() {
    let (names, why) = ranked(
        &service(""),
        &Known {
            down: vec!["c"],
            ..Known::default()
        },
    );
    assert_eq!(names, ["b"]);
    assert!(why.contains("c: it does not answer"), "{why}");
}

#[test]
fn data_older_than_the_rpo_or_of_unknown_age_is_refused() {
    let known = Known {
        lag: [("b", 5), ("c", 90)].into(),
        ..Known::default()
    };
    let (names, why) = ranked(&service(", rpo: 60s"), &known);
    assert_eq!(names, ["b"]);
    assert!(why.contains("1m30s behind"), "{why}");
    assert!(ranked(&service(", rpo: 60s"), &Known::default()).0.is_empty());
}

#[test]
fn capacity_and_affinity_hold() {
    let known = Known {
        used: 3.0,
        ..Known::default()
    };
    assert_eq!(ranked(&service(", demands: {cpu: 1}"), &known).0, ["c", "b"]);
    assert!(
        ranked(&service(", demands: {cpu: 2}"), &known)
            .1
            .contains("1 cpu free of 4")
    );
    let known = Known {
        group: Some("c"),
        ..Known::default()
    };
    assert_eq!(ranked(&service(", anti_affinity: g"), &known).0, ["b"]);
}

#[test]
fn a_standby_whose_host_lacks_a_label_is_refused() {
    let (names, why) = ranked(&service(", needs: [ssd, gpu]"), &Known::default());
    assert_eq!(names, ["b"]);
    assert!(why.contains("c: c has no label gpu"), "{why}");
    assert_eq!(ranked(&service(", needs: [ssd]"), &Known::default()).0, ["c", "b"]);
}

#[test]
fn apart_may_mean_another_zone_and_together_means_the_same_host() {
    let known = Known {
        group: Some("d"),
        ..Known::default()
    };
    let (names, why) = ranked(&service(", anti_affinity: g, anti_affinity_by: zone"), &known);
    assert_eq!(names, ["c"], "b is in the zone of d");
    assert!(why.contains("group g runs on d"), "{why}");
    assert_eq!(ranked(&service(", anti_affinity: g"), &known).0, ["c", "b"]);
    let known = Known {
        friend: Some("b"),
        ..Known::default()
    };
    let (names, why) = ranked(&service(", together: g"), &known);
    assert_eq!(names, ["b"]);
    assert!(
        why.contains("c: friend, which it is to be together with (g), runs on b"),
        "{why}"
    );
}

#[test]
fn among_equally_ready_ones_the_nearest_to_the_clients_is_taken() {
    let both_hot = |extra: &str| {
        let mut service = service(extra);
        service.standbys[0].class = StandbyClass::Hot;
        service
    };
    let (known, near) = (Known::default(), ["b", "c"]);
    assert_eq!(ranked(&both_hot(", clients: users"), &known).0, near);
    assert_eq!(ranked(&both_hot(", clients: far"), &known).0, ["c", "b"]);
    assert_eq!(
        ranked(&service(", clients: users"), &known).0,
        ["c", "b"],
        "the readier first"
    );
}

/// Whom it takes to stop, for each candidate.
fn stopped(known: &Known, extra: &str) -> Vec<String> {
    let topology = hosts();
    let (service, from) = (service(extra), "a".into());
    let choice = choose(&service, &from, &topology, known);
    let problem = Problem {
        service: &service,
        from: &from,
        topology: &topology,
        facts: known,
    };
    check(&problem, &choice).unwrap();
    let tell = |other: &crate::plan::MakingRoom| {
        let names: Vec<&str> = other.stops.keys().map(crate::model::ServiceName::as_str).collect();
        format!("{}: {}", other.to, names.join(" "))
    };
    choice.by_making_room.iter().map(tell).collect()
}

#[test]
fn who_would_make_room_is_named_with_what_keeps_it_from_being_stopped() {
    let known = Known {
        used: 3.0,
        lower: vec![lower("batch", 10, 3, Err("its config has no `yields`"), "c")],
        ..Known::default()
    };
    let (_, why) = ranked(&service(", demands: {cpu: 2}"), &known);
    assert!(
        why.contains(
            "of a lower priority there: batch, which is not stopped for it: its config has no `yields`; moved"
        ),
        "{why}"
    );
    assert_eq!(stopped(&known, ", demands: {cpu: 2}"), [""; 0]);
}

#[test]
fn the_least_important_are_stopped_and_nobody_in_vain() {
    let known = |lower| Known {
        used: 4.0,
        lower,
        ..Known::default()
    };
    let (small, big) = (lower("small", 10, 1, Ok(()), "c"), lower("big", 30, 3, Ok(()), "c"));
    let both = known(vec![big.clone(), small.clone()]);
    assert_eq!(stopped(&both, ", demands: {cpu: 1}"), ["c: small"]);
    assert_eq!(
        stopped(&both, ", demands: {cpu: 3}"),
        ["c: big"],
        "small alone is not enough, and beside big it is not needed"
    );
    assert_eq!(stopped(&both, ", demands: {cpu: 4}"), ["c: big small"]);
    assert_eq!(stopped(&both, ", demands: {cpu: 5}"), [""; 0]);
    let kept = known(vec![big, lower("small", 10, 1, Err("it is in maintenance"), "c")]);
    assert_eq!(stopped(&kept, ", demands: {cpu: 1}"), ["c: big"]);
}

#[test]
fn nobody_is_stopped_where_there_is_another_way_or_for_one_that_cannot_serve() {
    let yields = || vec![lower("batch", 10, 3, Ok(()), "c")];
    let room = Known {
        used: 1.0,
        lower: yields(),
        ..Known::default()
    };
    assert_eq!(stopped(&room, ", demands: {cpu: 2}"), [""; 0]);
    let dead = Known {
        used: 3.0,
        lower: yields(),
        down: vec!["c"],
        ..Known::default()
    };
    assert_eq!(stopped(&dead, ", demands: {cpu: 2}"), [""; 0]);
}
