//! The graph: what reaches whom, and what is no news.

use super::*;

fn plant() -> Topology {
    let mut topology = Topology::new();
    for (from, edge, to) in [
        ("pump", EdgeKind::ConnectsVia, "gateway"),
        ("gateway", EdgeKind::ConnectsVia, "broker"),
        ("ingest-a", EdgeKind::DependsOn, "broker"),
        ("ingest-a", EdgeKind::RunsOn, "host-a"),
        ("host-a", EdgeKind::InZone, "zone-1"),
        ("db-2", EdgeKind::ReplicatesTo, "db-1"),
    ] {
        topology.apply(&TopologyChange::Edge {
            from: from.into(),
            edge,
            to: to.into(),
        });
    }
    topology
}

#[test]
fn a_fault_reaches_whoever_needs_the_broken_one() {
    let reached = plant().downstream("broker");
    assert_eq!(
        reached.iter().map(EntityName::as_str).collect::<Vec<_>>(),
        ["gateway", "ingest-a", "pump"]
    );
}

#[test]
fn a_replica_does_not_fall_with_its_primary() {
    assert!(plant().downstream("db-1").is_empty());
}

#[test]
fn the_same_news_twice_is_no_new_version() {
    let mut topology = plant();
    let version = topology.version();
    let edge = TopologyChange::Edge {
        from: "pump".into(),
        edge: EdgeKind::ConnectsVia,
        to: "gateway".into(),
    };
    assert!(!topology.apply(&edge));
    assert_eq!(topology.version(), version);
}

#[test]
fn what_was_learned_is_forgotten_unless_somebody_states_it() {
    let mut topology = plant();
    let version = topology.version();
    let (from, edge, to) = (EntityName::from("shop"), EdgeKind::DependsOn, EntityName::from("db-1"));
    let learned = |from: &EntityName, to: &EntityName| TopologyChange::Learned {
        from: from.clone(),
        edge,
        to: to.clone(),
        kind: EntityKind::Database,
    };
    let forgotten = |from: &EntityName, to: &EntityName| TopologyChange::Forgotten {
        from: from.clone(),
        edge,
        to: to.clone(),
    };
    let met = TopologyChange::Met {
        entity: from.clone(),
        kind: EntityKind::Service,
    };
    assert!(topology.apply(&met) && !topology.apply(&met));
    assert_eq!(topology.kind("shop"), EntityKind::Service);
    assert!(topology.apply(&learned(&from, &to)) && !topology.apply(&learned(&from, &to)));
    assert!(topology.downstream("db-1").contains("shop"));
    let mut anew = Topology::new();
    anew.recall(&topology);
    assert_eq!(
        anew.edges().count(),
        1,
        "what is stated is stated anew, what was learned is not"
    );
    assert_eq!(anew.kind("db-1"), topology.kind("db-1"));
    assert!(topology.apply(&forgotten(&from, &to)) && !topology.apply(&forgotten(&from, &to)));
    assert!(topology.downstream("db-1").is_empty() && topology.upstream("shop").is_empty());
    assert_eq!(topology.version(), version + 3);
    // An edge of the config is seen in traffic, and no longer: it stays.
    let (ingest, broker) = (EntityName::from("ingest-a"), EntityName::from("broker"));
    assert!(!topology.apply(&learned(&ingest, &broker)));
    assert!(!topology.apply(&forgotten(&ingest, &broker)));
    // Learned first and stated later: it stays as well.
    topology.apply(&learned(&from, &to));
    topology.apply(&TopologyChange::Edge {
        from: from.clone(),
        edge,
        to: to.clone(),
    });
    assert!(!topology.apply(&forgotten(&from, &to)));
    assert!(topology.downstream("db-1").contains("shop"));
}

#[test]
fn zones_and_distances_follow_the_edges() {
    let topology = plant();
    assert_eq!(topology.zone("ingest-a"), Some("zone-1".into()));
    assert_eq!(topology.distance("pump", "ingest-a", 5), Some(3));
    assert_eq!(topology.distance("pump", "ingest-a", 2), None);
}
