//! An independent checker: whatever a solver answers, and whatever plan is made of it, must pass. It shares no line with the solvers, so
//! that both would have to be wrong in the same way.

use std::collections::BTreeSet;

use super::problem::{Choice, Problem};
use crate::model::plan::Phase;
use crate::model::service::{Spread, StandbyClass};
use crate::model::{EdgeKind, EntityName, Plan, PlanId, PlanKind, Step};

/// Sums come out a little different in another order.
const ROUNDING: f64 = 1e-9;

/// `Err` names the first thing that is wrong with an answer.
pub fn check(problem: &Problem<'_>, choice: &Choice) -> Result<(), String> {
    let mut seen = BTreeSet::new();
    let answered = choice.ranked.iter().map(|(entity, _)| entity);
    for entity in answered.chain(choice.rejected.iter().map(|(entity, _)| entity)) {
        if !seen.insert(entity) {
            return Err(format!("{entity} is answered for twice"));
        }
        if !problem.service.instances().any(|instance| instance == entity) {
            return Err(format!("{entity} is no instance of {}", problem.service.name));
        }
    }
    for entity in problem.service.instances() {
        if entity != problem.from && !seen.contains(entity) {
            return Err(format!("{entity} is forgotten"));
        }
    }
    for (entity, seconds) in &choice.ranked {
        if entity == problem.from {
            return Err(format!("{entity} is where the service is"));
        }
        if !seconds.is_finite() || *seconds < 0.0 {
            return Err(format!("{entity} is expected to serve in {seconds} s"));
        }
        can_take_over(problem, entity).map_err(|why| format!("{entity} cannot take over: {why}"))?;
    }
    Ok(())
}

/// Serving, data, zone, affinity, capacity: each by itself.
fn can_take_over(problem: &Problem<'_>, entity: &EntityName) -> Result<(), String> {
    let service = problem.service;
    if !service.instances().any(|instance| instance == entity) {
        return Err(format!("it is no instance of {}", service.name));
    }
    let standby = service.standbys.iter().find(|standby| standby.entity == *entity);
    let may_sleep = standby.is_some_and(|standby| standby.class == StandbyClass::Cold);
    if !may_sleep {
        problem.facts.serves(entity)?;
    }
    if let Some(rpo) = service.rpo {
        // The configured active has no line of its own; its data is told of by the same signal as its standbys'.
        let signal = match standby {
            Some(standby) => standby.lag_signal.as_ref(),
            None => service.standbys.iter().find_map(|standby| standby.lag_signal.as_ref()),
        };
        let lag = signal.and_then(|signal| problem.facts.lag(entity, signal.as_str()));
        if lag.is_none_or(|lag| lag > rpo) {
            return Err(format!("its data is {lag:?} behind, of {rpo} allowed"));
        }
    }
    let zone = |name: &EntityName| problem.topology.zone(name.as_str());
    if !service.cross_zone && zone(entity) != zone(problem.from) {
        return Err("it is in another zone".into());
    }
    let hosts: Vec<&EntityName> = problem
        .topology
        .edges()
        .filter(|(from, edge, _)| *from == entity && *edge == EdgeKind::RunsOn)
        .map(|(_, _, host)| host)
        .collect();
    let host = hosts.first().copied().unwrap_or(entity);
    for (other, at) in problem.facts.apart(service) {
        let shared = match service.anti_affinity_by {
            Spread::Zone => at == *host || zone(&at).is_some_and(|of_other| zone(host) == Some(of_other)),
            Spread::Host => at == *host,
        };
        if service.anti_affinity.is_some() && shared {
            return Err(format!("{other} is on {at} already, and both are of one group"));
        }
    }
    for (other, at) in problem.facts.together(service) {
        if service.together.is_some() && at != *host {
            return Err(format!("{other} is on {at}, and both are to be together"));
        }
    }
    let attributes = problem.topology.entity(host.as_str()).map(|host| &host.attributes);
    let listed = attributes.and_then(|attributes| attributes.get("labels"));
    for label in &service.needs {
        let separate = |c: char| c == ',' || c.is_whitespace();
        if !listed.is_some_and(|listed| listed.split(separate).any(|one| one == label)) {
            return Err(format!("{host} is not labelled {label}"));
        }
    }
    for (resource, demand) in &service.demands {
        let capacity: f64 = attributes
            .and_then(|attributes| attributes.get(&format!("capacity.{resource}")))
            .and_then(|text| text.parse().ok())
            .unwrap_or(0.0);
        let total = problem.facts.taken(service, host, resource) + demand;
        if total > capacity * (1.0 + ROUNDING) {
            return Err(format!("{host} would hold {total} {resource} of {capacity}"));
        }
    }
    Ok(())
}

/// `Err` names the first thing that is wrong with a plan. `named`: nodes that plans since the last one that ended well have named.
pub fn check_plan(problem: &Problem<'_>, plan: &Plan, named: &BTreeSet<EntityName>) -> Result<(), String> {
    if plan.service != problem.service.name || plan.from != *problem.from {
        return Err(format!("it moves {} from {}", plan.service, plan.from));
    }
    if plan.token.epoch == 0 || plan.token.seq == 0 || plan.id != PlanId::new(&plan.service, plan.token) {
        return Err(format!("{} is not the plan of token {}", plan.id, plan.token));
    }
    if plan.deadline <= plan.made {
        return Err("its time is over before it begins".into());
    }
    if plan.to == plan.from {
        return Err(format!("{} is where the service is", plan.to));
    }
    can_take_over(problem, &plan.to).map_err(|why| format!("{} cannot take over: {why}", plan.to))?;
    let mut tried = named.clone();
    Route {
        from: &plan.from,
        to: &plan.to,
        seal: &tried,
        single_writer: problem.service.single_writer,
    }
    .check(&plan.steps)?;
    tried.insert(plan.to.clone());
    let mut targets = BTreeSet::from([&plan.to]);
    for other in &plan.alternatives {
        if !targets.insert(&other.to) {
            return Err(format!("{} is tried twice", other.to));
        }
        let from = match plan.kind {
            PlanKind::Failover if other.to == plan.from => {
                return Err(format!("{} is what is broken", other.to));
            }
            PlanKind::Failover => {
                can_take_over(problem, &other.to).map_err(|why| format!("{} cannot take over: {why}", other.to))?;
                &plan.from
            }
            PlanKind::Failback | PlanKind::Drill | PlanKind::DrillBack if other.to != plan.from => {
                return Err(format!("nobody asked for {}", other.to));
            }
            // Back to where it works, away from where it turned out not to.
            PlanKind::Failback | PlanKind::Drill | PlanKind::DrillBack => &plan.to,
        };
        Route {
            from,
            to: &other.to,
            seal: &tried,
            single_writer: problem.service.single_writer,
        }
        .check(&other.steps)?;
        tried.insert(other.to.clone());
    }
    Ok(())
}

/// The way to one target.
struct Route<'a> {
    from: &'a EntityName,
    to: &'a EntityName,
    /// Whoever of these is neither end must be sealed.
    seal: &'a BTreeSet<EntityName>,
    single_writer: bool,
}

impl Route<'_> {
    fn check(&self, steps: &[Step]) -> Result<(), String> {
        let to = self.to;
        for (place, step) in steps.iter().enumerate() {
            if step.index != place {
                return Err(format!("'{}' is at {place} and says {}", step.name, step.index));
            }
            if step.timeout.0.is_zero() {
                return Err(format!("'{}' has no time", step.name));
            }
            let takes_power = matches!(step.phase, Phase::Fence | Phase::Seal);
            if takes_power && step.target == *to {
                return Err(format!("'{}' takes the power of the new active", step.name));
            }
            if !takes_power && step.phase != Phase::Announce && step.target != *to {
                return Err(format!("'{}' acts on {} on the way to {to}", step.name, step.target));
            }
            let later = steps.iter().skip(place + 1);
            if let Some(earlier) = later.into_iter().find(|later| later.phase < step.phase) {
                return Err(format!("'{}' must come before '{}'", earlier.name, step.name));
            }
        }
        let last = |wanted: &dyn Fn(Phase) -> bool| steps.iter().rposition(|step| wanted(step.phase));
        let Some(moved) = last(&|phase| matches!(phase, Phase::Promote | Phase::Start | Phase::Switch)) else {
            return Err(format!("nothing makes {to} the active one"));
        };
        if last(&|phase| phase == Phase::Verify).is_none_or(|proved| proved < moved) {
            return Err(format!("nobody looks whether {to} serves"));
        }
        if self.single_writer {
            let powerless =
                |node: &EntityName, phase: Phase| steps.iter().any(|step| step.phase == phase && step.target == *node);
            if !powerless(self.from, Phase::Fence) {
                return Err(format!("{} may go on writing: nothing fences it", self.from));
            }
            let open = |node: &&EntityName| **node != *self.from && **node != *to && !powerless(node, Phase::Seal);
            if let Some(node) = self.seal.iter().find(open) {
                return Err(format!("{node} may go on writing: nothing seals it"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod properties;

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::model::{Entity, EntityKind, EntityName, Service, Span, Topology, TopologyChange};
    use crate::plan::{Facts, choose};

    #[derive(Default)]
    struct Known {
        down: Vec<&'static str>,
        lag: BTreeMap<&'static str, u64>,
        used: f64,
        group: Option<&'static str>,
        friend: Option<&'static str>,
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
        fn yields(&self, _: &Service, _: &EntityName, _: &str) -> Vec<(String, f64)> {
            vec![("batch".into(), self.used)]
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

    fn ranked(service: &Service, known: &Known) -> (Vec<String>, String) {
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

    #[test]
    fn who_would_make_room_is_named() {
        let known = Known {
            used: 3.0,
            ..Known::default()
        };
        let (_, why) = ranked(&service(", demands: {cpu: 2}"), &known);
        assert!(why.contains("of a lower priority there: batch"), "{why}");
    }
}
