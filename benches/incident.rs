//! Guards one figure: diagnosis of one incident among 1,000 entities with 100 symptoms, at most 10 ms at the 99th percentile.
//!
//! Three faults at once, as on a bad night: two gateways with their devices, and a database with the services that need it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jurymast::detect::{Vital, Vitals};
use jurymast::diagnose::{Diagnosis, Library, Settings};
use jurymast::model::symptom::Finding;
use jurymast::model::{
    EdgeKind, Entity, EntityKind, Evidence, Severity, Span, Symptom, SymptomKey, SymptomKind, Timestamp, Topology,
    TopologyChange,
};

const GATEWAYS: usize = 20;
const DEVICES: usize = 45;
const SERVICES: usize = 40;
const ROUNDS: usize = 300;

/// Whoever shows nothing has just spoken.
struct Others {
    ill: BTreeSet<String>,
}

impl Vitals for Others {
    fn vital(&self, entity: &str) -> Vital {
        Vital {
            last_speech: (!self.ill.contains(entity)).then_some(Timestamp::from_secs(1000)),
            ..Vital::default()
        }
    }
}

fn main() {
    let topology = plant();
    let findings = findings();
    let ill = findings
        .iter()
        .map(|finding| finding.key().entity.to_string())
        .collect();
    let others = Others { ill };
    let library = Arc::new(Library::builtin());
    println!(
        "{} entities, {} patterns, {} symptoms",
        topology.entities().len(),
        library.patterns().len(),
        findings.len()
    );
    let mut took: Vec<Duration> = Vec::new();
    let mut named = 0;
    for _ in 0..ROUNDS {
        let mut diagnosis = Diagnosis::new(
            Settings::default(),
            Arc::clone(&library),
            "agent".into(),
            BTreeMap::new(),
        );
        let begun = Instant::now();
        let incidents = diagnosis.update(Timestamp::from_secs(1000), &findings, &topology, &others);
        took.push(begun.elapsed());
        named = incidents.len();
    }
    took.sort_unstable();
    let at = |share: f64| took[((took.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3;
    println!(
        "{named} incidents; p50 {:.2} ms, p99 {:.2} ms (bar: 10)",
        at(0.5),
        at(0.99)
    );
}

fn plant() -> Topology {
    let mut topology = Topology::new();
    let mut entity = |name: String, kind| {
        let entity = Entity {
            name: name.as_str().into(),
            kind,
            period: Some(Span::secs(1)),
            group: None,
            attributes: BTreeMap::new(),
        };
        topology.apply(&TopologyChange::Entity { entity });
    };
    entity("mq".into(), EntityKind::Broker);
    entity("db".into(), EntityKind::Database);
    for gateway in 0..GATEWAYS {
        entity(format!("gw-{gateway}"), EntityKind::Gateway);
        for device in 0..DEVICES {
            entity(format!("d-{gateway}-{device}"), EntityKind::Device);
        }
    }
    for service in 0..SERVICES {
        entity(format!("svc-{service}"), EntityKind::Service);
        entity(format!("host-{service}"), EntityKind::Host);
    }
    let mut edge = |from: String, edge, to: String| {
        let (from, to) = (from.as_str().into(), to.as_str().into());
        topology.apply(&TopologyChange::Edge { from, edge, to });
    };
    for gateway in 0..GATEWAYS {
        edge(format!("gw-{gateway}"), EdgeKind::ConnectsVia, "mq".into());
        for device in 0..DEVICES {
            edge(
                format!("d-{gateway}-{device}"),
                EdgeKind::ConnectsVia,
                format!("gw-{gateway}"),
            );
        }
    }
    for service in 0..SERVICES {
        edge(format!("svc-{service}"), EdgeKind::RunsOn, format!("host-{service}"));
        edge(format!("svc-{service}"), EdgeKind::DependsOn, "mq".into());
        if service < 9 {
            edge(format!("svc-{service}"), EdgeKind::DependsOn, "db".into());
        }
    }
    topology
}

fn findings() -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut raise = |entity: String, kind, millis: i64| {
        findings.push(Finding::Raised(Symptom {
            key: SymptomKey {
                entity: entity.as_str().into(),
                kind,
                signal: "".into(),
            },
            severity: Severity::Warning,
            onset: Timestamp::from_millis(990_000 + millis),
            raised: Timestamp::from_millis(990_500 + millis),
            score: 0.97,
            evidence: Evidence::default(),
            detector: "bench".into(),
        }));
    };
    for gateway in 0..2 {
        for (device, later) in (0..DEVICES).zip(0..) {
            raise(format!("d-{gateway}-{device}"), SymptomKind::Silent, later);
        }
    }
    raise("db".into(), SymptomKind::Refused, 10);
    for service in 0..9 {
        raise(format!("svc-{service}"), SymptomKind::Failing, 100 + service);
    }
    findings
}
