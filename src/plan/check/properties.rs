//! Whatever greedy answers in a random world passes the checker, as do the plans made of it; and no plan passes in which one thing is wrong.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::sample::Index;

use super::*;
use crate::model::{Alternative, Entity, EntityKind, Service, Span, Timestamp, Token, Topology, TopologyChange};
use crate::plan::{Facts, Lower, Playbooks, choose};

const HOSTS: usize = 3;
const STANDBYS: usize = 4;

/// A world in which everything is known and not everything is well.
#[derive(Debug, Clone)]
struct World {
    down: Vec<bool>,
    lag: Vec<Option<u64>>,
    host: Vec<Option<usize>>,
    class: Vec<u8>,
    capacity: Vec<f64>,
    used: Vec<f64>,
    group: Vec<bool>,
    zone: Vec<bool>,
    labelled: Vec<bool>,
    friend: Option<usize>,
    demand: f64,
    rpo: Option<u64>,
    affine: Option<Spread>,
    cross_zone: bool,
    needs: bool,
    playbook: &'static str,
}

fn worlds() -> impl Strategy<Value = World> {
    let places = (
        prop::collection::vec(prop::bool::weighted(0.2), STANDBYS + 1),
        prop::collection::vec(prop::option::weighted(0.9, 0..40u64), STANDBYS + 1),
        prop::collection::vec(prop::option::weighted(0.8, 0..HOSTS), STANDBYS + 1),
        prop::collection::vec(0..3u8, STANDBYS),
    );
    let hosts = (
        prop::collection::vec(0.0..8.0f64, HOSTS),
        prop::collection::vec(0.0..4.0f64, HOSTS),
        prop::collection::vec(prop::bool::weighted(0.2), HOSTS),
        prop::collection::vec(prop::bool::weighted(0.8), HOSTS),
        prop::collection::vec(prop::bool::weighted(0.8), HOSTS),
        prop::option::weighted(0.2, 0..HOSTS),
    );
    let service = (
        prop_oneof![Just(0.0), 0.5..4.0f64],
        prop::option::of(10..60u64),
        prop::sample::select(vec![None, Some(Spread::Host), Some(Spread::Zone)]),
        any::<bool>(),
        any::<bool>(),
        prop::sample::select(vec![
            "haproxy-switch",
            "http-front-switch",
            "mqtt-role-switch",
            "exec-scripts",
        ]),
    );
    (places, hosts, service).prop_map(|(places, hosts, service)| World {
        down: places.0,
        lag: places.1,
        host: places.2,
        class: places.3,
        capacity: hosts.0,
        used: hosts.1,
        group: hosts.2,
        zone: hosts.3,
        labelled: hosts.4,
        friend: hosts.5,
        demand: service.0,
        rpo: service.1,
        affine: service.2,
        cross_zone: service.3,
        needs: service.4,
        playbook: service.5,
    })
}

fn number(name: &EntityName) -> usize {
    name.as_str()
        .trim_start_matches(|c: char| c.is_alphabetic())
        .parse()
        .unwrap()
}

fn host(number: usize) -> EntityName {
    format!("h{number}").as_str().into()
}

impl Facts for World {
    fn serves(&self, instance: &EntityName) -> Result<(), String> {
        if self.down[number(instance)] {
            Err("down".into())
        } else {
            Ok(())
        }
    }
    fn lag(&self, instance: &EntityName, _: &str) -> Option<Span> {
        self.lag[number(instance)].map(Span::secs)
    }
    fn taken(&self, _: &Service, host: &EntityName, _: &str) -> f64 {
        if host.as_str().starts_with('h') {
            self.used[number(host)]
        } else {
            0.0
        }
    }
    fn lower(&self, _: &Service, _: &EntityName) -> Vec<Lower<'_>> {
        Vec::new()
    }
    fn apart(&self, _: &Service) -> Vec<(String, EntityName)> {
        let there = self.group.iter().enumerate().filter(|(_, there)| **there);
        there.map(|(n, _)| ("other".into(), host(n))).collect()
    }
    fn together(&self, _: &Service) -> Vec<(String, EntityName)> {
        self.friend.map(|n| ("friend".into(), host(n))).into_iter().collect()
    }
}

impl World {
    fn service(&self) -> Service {
        let classes = ["hot", "warm", "cold"];
        let standbys: Vec<String> = (0..STANDBYS)
            .map(|n| {
                let class = classes[usize::from(self.class[n])];
                format!(
                    "{{entity: i{}, class: {class}, activation: {n}s, lag_signal: lag}}",
                    n + 1
                )
            })
            .collect();
        let rpo = self.rpo.map_or_else(String::new, |rpo| format!(", rpo: {rpo}s"));
        let affine = match self.affine {
            Some(Spread::Zone) => ", anti_affinity: g, anti_affinity_by: zone",
            Some(Spread::Host) => ", anti_affinity: g",
            None => "",
        };
        let needs = if self.needs { ", needs: [gpu]" } else { "" };
        let together = if self.friend.is_some() { ", together: t" } else { "" };
        let demand = if self.demand > 0.0 {
            format!(", demands: {{cpu: {}}}", self.demand)
        } else {
            String::new()
        };
        let yaml = format!(
            "{{name: s, active: i0, standbys: [{}], playbook: {}, single_writer: true, cross_zone: {}{rpo}{affine}{needs}{together}{demand}, \
             vars: {{socket: /s, backend: be, front: 'http://f', broker: 'mqtt://b:1', role_topic: r, fence_script: f, start_script: s, switch_script: w}}, \
             probe: {{uses: tcp}}}}",
            standbys.join(", "),
            self.playbook,
            self.cross_zone
        );
        serde_saphyr::from_str(&yaml).unwrap()
    }

    fn topology(&self) -> Topology {
        let mut topology = Topology::new();
        let mut add = |name: String, kind: EntityKind, attributes: BTreeMap<String, String>| {
            let entity = Entity {
                name: name.as_str().into(),
                kind,
                period: None,
                group: None,
                attributes,
            };
            topology.apply(&TopologyChange::Entity { entity });
        };
        for zone in ["z0", "z1"] {
            add(zone.into(), EntityKind::Zone, BTreeMap::new());
        }
        for n in 0..=STANDBYS {
            let own = [("capacity.cpu".to_owned(), "2".to_owned())].into();
            add(format!("i{n}"), EntityKind::Service, own);
        }
        for n in 0..HOSTS {
            let mut stated = BTreeMap::from([("capacity.cpu".to_owned(), self.capacity[n].to_string())]);
            if self.labelled[n] {
                stated.insert("labels".into(), "ssd,gpu".into());
            }
            add(format!("h{n}"), EntityKind::Host, stated);
        }
        let mut join = |from: String, edge: EdgeKind, to: String| {
            let (from, to) = (from.as_str().into(), to.as_str().into());
            topology.apply(&TopologyChange::Edge { from, edge, to });
        };
        for n in 0..HOSTS {
            join(
                format!("h{n}"),
                EdgeKind::InZone,
                format!("z{}", u8::from(self.zone[n])),
            );
        }
        for (n, host) in self.host.iter().enumerate() {
            if let Some(host) = host {
                join(format!("i{n}"), EdgeKind::RunsOn, format!("h{host}"));
            }
        }
        topology
    }

    /// The plan that the engine makes of greedy's answer; `None` if nobody is fit.
    fn plan(&self, service: &Service, topology: &Topology, named: &BTreeSet<EntityName>) -> Option<Plan> {
        let from: EntityName = "i0".into();
        let choice = choose(service, &from, topology, self);
        let problem = Problem {
            service,
            from: &from,
            topology,
            facts: self,
        };
        assert_eq!(check(&problem, &choice), Ok(()), "{choice:?}");
        let (playbooks, token) = (Playbooks::builtin(), Token { epoch: 2, seq: 3 });
        let mut named: Vec<EntityName> = named.iter().cloned().collect();
        let mut routes = Vec::new();
        for (to, _) in &choice.ranked {
            let steps = playbooks
                .build(service, PlanKind::Failover, &from, to, token, &named, topology)
                .unwrap();
            routes.push(Alternative { to: to.clone(), steps });
            named.push(to.clone());
        }
        if routes.is_empty() {
            return None;
        }
        let own = routes.remove(0);
        Some(Plan {
            id: PlanId::new(&service.name, token),
            token,
            kind: PlanKind::Failover,
            incident: None,
            service: service.name.clone(),
            from,
            to: own.to,
            alternatives: routes,
            steps: own.steps,
            made: Timestamp::from_secs(1),
            deadline: Timestamp::from_secs(9),
            expected_rto_s: 0.0,
            summary: String::new(),
        })
    }
}

/// One thing wrong with a plan; `false` if this plan cannot have it.
fn spoil(plan: &mut Plan, how: usize, at: Index, named: &BTreeSet<EntityName>) -> bool {
    let renumber = |steps: &mut Vec<Step>| {
        for (n, step) in steps.iter_mut().enumerate() {
            step.index = n;
        }
    };
    let find = |steps: &[Step], phase: Phase| steps.iter().position(|step| step.phase == phase);
    let steps = &mut plan.steps;
    match how {
        0 | 1 => {
            let phase = if how == 0 { Phase::Verify } else { Phase::Fence };
            steps.retain(|step| step.phase != phase);
            renumber(steps);
        }
        2 => {
            // The fence comes once the target has started.
            let fence = steps.remove(find(steps, Phase::Fence).unwrap());
            let verify = find(steps, Phase::Verify).unwrap();
            steps.insert(verify, fence);
            renumber(steps);
        }
        3 => {
            // A verification that comes before what it is to prove.
            let verify = steps.remove(find(steps, Phase::Verify).unwrap());
            steps.insert(0, verify);
            renumber(steps);
        }
        4 => {
            steps.retain(|step| !matches!(step.phase, Phase::Promote | Phase::Start | Phase::Switch));
            renumber(steps);
        }
        5 => {
            let step = at.index(steps.len());
            steps[step].index += 1;
        }
        6 => {
            let before = steps.len();
            steps.retain(|step| step.phase != Phase::Seal || !named.contains(&step.target));
            if steps.len() == before {
                return false;
            }
            renumber(steps);
        }
        7 => steps[0].target = plan.to.clone(),
        8 => plan.to = plan.from.clone(),
        9 => plan.to = "stranger9".into(),
        10 => plan.deadline = plan.made,
        11 => plan.token.seq += 1,
        12 => plan.token.epoch = 0,
        13 => {
            let step = at.index(steps.len());
            steps[step].timeout = Span::default();
        }
        14 => {
            // The next target is promoted while the one that was tried before may still write.
            let Some(other) = plan.alternatives.first_mut() else {
                return false;
            };
            other.steps.retain(|step| step.phase != Phase::Seal);
            renumber(&mut other.steps);
        }
        15 => {
            let Some(other) = plan.alternatives.first_mut() else {
                return false;
            };
            other.to = plan.from.clone();
        }
        16 => {
            let Some(other) = plan.alternatives.first().cloned() else {
                return false;
            };
            plan.alternatives.push(other);
        }
        17 => {
            let verify = find(steps, Phase::Verify).unwrap();
            steps[verify].target = plan.from.clone();
        }
        _ => plan.from = plan.to.clone(),
    }
    true
}

const WAYS: usize = 19;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn every_greedy_plan_passes_and_none_with_one_thing_wrong(
        world in worlds(),
        named in prop::collection::btree_set((1..=STANDBYS).prop_map(|n| EntityName::from(format!("i{n}").as_str())), 0..3),
        how in 0..WAYS,
        at in any::<Index>(),
    ) {
        let (service, topology) = (world.service(), world.topology());
        let Some(plan) = world.plan(&service, &topology, &named) else { return Ok(()) };
        let from = "i0".into();
        let problem = Problem { service: &service, from: &from, topology: &topology, facts: &world };
        prop_assert_eq!(check_plan(&problem, &plan, &named), Ok(()));
        let mut spoilt = plan.clone();
        if spoil(&mut spoilt, how, at, &named) {
            prop_assert!(check_plan(&problem, &spoilt, &named).is_err(), "way {} passes: {:#?}", how, spoilt);
        }
    }

    #[test]
    fn a_plan_does_not_outlive_what_made_it_right(world in worlds(), how in 0..7usize) {
        let (service, topology) = (world.service(), world.topology());
        let Some(plan) = world.plan(&service, &topology, &BTreeSet::new()) else { return Ok(()) };
        let mut changed = world.clone();
        let target = number(&plan.to);
        let host = world.host[target];
        let cold = target > 0 && world.class[target - 1] == 2;
        match (how, host) {
            (0, _) if !cold => changed.down[target] = true,
            (1, _) if world.rpo.is_some() => changed.lag[target] = Some(61),
            (2, _) if world.rpo.is_some() => changed.lag[target] = None,
            (3, Some(host)) if world.demand > 0.0 => changed.used[host] = world.capacity[host] - world.demand + 0.01,
            (4, Some(host)) if world.affine.is_some() => changed.group[host] = true,
            (5, Some(host)) if world.needs => changed.labelled[host] = false,
            (6, Some(host)) if world.friend.is_some() => changed.friend = Some((host + 1) % HOSTS),
            _ => return Ok(()),
        }
        let from = "i0".into();
        let topology = changed.topology();
        let problem = Problem { service: &service, from: &from, topology: &topology, facts: &changed };
        let refused = check_plan(&problem, &plan, &BTreeSet::new());
        prop_assert!(refused.is_err(), "way {} passes", how);
    }
}
