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
        can_take_over(problem, entity, &BTreeSet::new()).map_err(|why| format!("{entity} cannot take over: {why}"))?;
    }
    if let Some(other) = choice.by_making_room.first().filter(|_| !choice.ranked.is_empty()) {
        return Err(format!(
            "somebody is stopped for {}, and there is another way",
            other.to
        ));
    }
    for other in &choice.by_making_room {
        let stopped: BTreeSet<&EntityName> = other.stops.values().collect();
        let to = &other.to;
        if can_take_over(problem, to, &BTreeSet::new()).is_ok() {
            return Err(format!("{to} can take over, and somebody is stopped for it"));
        }
        can_take_over(problem, to, &stopped).map_err(|why| format!("{to} cannot take over even so: {why}"))?;
        for needless in &stopped {
            let fewer = stopped.iter().copied().filter(|one| one != needless).collect();
            if can_take_over(problem, to, &fewer).is_ok() {
                return Err(format!("{needless} is stopped in vain"));
            }
        }
    }
    Ok(())
}

/// Serving, data, zone, affinity, capacity: each by itself. `stopped`: instances of others that do not count any more.
fn can_take_over(problem: &Problem<'_>, entity: &EntityName, stopped: &BTreeSet<&EntityName>) -> Result<(), String> {
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
        let mut total = problem.facts.taken(service, host, resource) + demand;
        for at in stopped {
            let lower = problem.facts.lower(service, host);
            let Some(other) = lower.iter().find(|other| other.at == **at) else {
                return Err(format!("{at} is nobody of a lower priority on {host}"));
            };
            if let Err(why) = &other.may {
                return Err(format!("{at} must not be stopped: {why}"));
            }
            if other.service.priority >= service.priority {
                return Err(format!("{at} is as important"));
            }
            total -= other.service.demands.get(resource).copied().unwrap_or(0.0);
        }
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
    if plan.takes_room_of().next().is_some() && plan.kind != PlanKind::Failover {
        return Err("nobody is stopped while all is well".into());
    }
    let mut stopped = of_phase(&plan.steps, Phase::Yield);
    can_take_over(problem, &plan.to, &stopped).map_err(|why| format!("{} cannot take over: {why}", plan.to))?;
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
            PlanKind::Reassert => return Err(format!("{} is told again, and nowhere else", plan.to)),
            PlanKind::Failover if other.to == plan.from => {
                return Err(format!("{} is what is broken", other.to));
            }
            PlanKind::Failover => {
                let stops = of_phase(&other.steps, Phase::Yield);
                can_take_over(problem, &other.to, &stops)
                    .map_err(|why| format!("{} cannot take over: {why}", other.to))?;
                let started = of_phase(&other.steps, Phase::GiveBack);
                let mut needless = stopped.iter().filter(|at| !stops.contains(*at));
                if let Some(at) = needless.find(|at| !started.contains(*at)) {
                    return Err(format!(
                        "{at} was stopped for another target than {}, and is not started again",
                        other.to
                    ));
                }
                if let Some(at) = stops.intersection(&started).next() {
                    return Err(format!("{at} is stopped for {}, and started again beside it", other.to));
                }
                stopped.extend(stops);
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

/// Whom the steps of that phase act on.
fn of_phase(steps: &[Step], phase: Phase) -> BTreeSet<&EntityName> {
    let steps = steps.iter().filter(|step| step.phase == phase);
    steps.map(|step| &step.target).collect()
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
            let takes_power = matches!(step.phase, Phase::Fence | Phase::Seal | Phase::Yield);
            let of_others = step.phase.follows_proof();
            if step.phase == Phase::Yield && step.undo.is_none() {
                return Err(format!("'{}' stops {} for good", step.name, step.target));
            }
            if takes_power && step.target == *to {
                return Err(format!("'{}' takes the power of the new active", step.name));
            }
            if !takes_power && !of_others && step.target != *to {
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
mod tests;
