//! What one more standby would buy, and what shorter recovery or younger data would cost.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::model::Span;
use crate::model::service::StandbyClass;
use crate::plan::solver::{Budget, Solver};

use super::answer::{Answer, Fate};
use super::compile::Limits;
use super::spec::{Fleet, FleetError, Node, Replica};

/// What a standby would change.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Purchase {
    /// The zone that it would stand in.
    pub zone: String,
    /// How ready it would be.
    pub class: StandbyClass,
    /// Services that serve with it.
    pub served: usize,
    /// How many more than without.
    pub more: i64,
    /// Services that miss their RTO with it.
    pub late: usize,
    /// Services that are disturbed with it.
    pub disturbed: usize,
    /// The longest predicted recovery, in seconds.
    pub worst_rto_s: f64,
    /// What nodes cost that were not used before.
    pub money: f64,
}

/// One point of cost against objectives.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Point {
    /// No recovery longer than so many seconds was allowed.
    pub rto_limit_s: Option<f64>,
    /// No data further behind than so many seconds was allowed.
    pub lag_limit_s: Option<f64>,
    /// Services that serve.
    pub served: usize,
    /// The longest predicted recovery.
    pub worst_rto_s: f64,
    /// The most predicted loss of data.
    pub worst_lag_s: f64,
    /// What nodes cost that were not used before.
    pub money: f64,
    /// Services that are disturbed.
    pub disturbed: usize,
    /// No other point is as good in all and better in one.
    pub best: bool,
}

fn worst(answer: &Answer) -> (f64, f64) {
    let moves = answer.services.values().filter_map(|fate| match fate {
        Fate::Moves { rto_s, lag_s, .. } => Some((*rto_s, *lag_s)),
        _ => None,
    });
    moves.fold((0.0, 0.0), |worst, (rto, lag)| (worst.0.max(rto), worst.1.max(lag)))
}

/// A standby as large as the largest node, with every label, once in each zone that is left and in each class. A hot one follows all data
/// at once, a warm one as far behind as the service's other copies are; on a cold one, only what can be started from nothing runs.
pub fn one_more(
    fleet: &Fleet,
    lost: &BTreeSet<String>,
    now: &Answer,
    solver: &dyn Solver,
    budget: Budget<'_>,
) -> Result<Vec<Purchase>, FleetError> {
    let left = |node: &&Node| !lost.contains(&node.zone);
    let zones: BTreeSet<&str> = fleet.nodes.iter().filter(left).map(|node| node.zone.as_str()).collect();
    let labels: BTreeSet<String> = fleet
        .nodes
        .iter()
        .flat_map(|node| node.labels.iter().cloned())
        .collect();
    let mut capacity: BTreeMap<String, f64> = BTreeMap::new();
    for (what, has) in fleet.nodes.iter().flat_map(|node| &node.capacity) {
        let most = capacity.entry(what.clone()).or_default();
        *most = most.max(*has);
    }
    let mut cost: Vec<f64> = fleet.nodes.iter().map(|node| node.cost).collect();
    cost.sort_by(f64::total_cmp);
    let cost = cost.get(cost.len() / 2).copied().unwrap_or(0.0);
    let start = fleet
        .nodes
        .iter()
        .filter(|node| node.class == StandbyClass::Cold)
        .map(|node| node.activation)
        .max();
    let mut table = Vec::new();
    for zone in zones {
        for class in [StandbyClass::Hot, StandbyClass::Warm, StandbyClass::Cold] {
            let mut more = fleet.clone();
            let name = spare(fleet);
            more.nodes.push(Node {
                name: name.clone(),
                zone: zone.to_owned(),
                rack: None,
                via: Vec::new(),
                labels: labels.clone(),
                capacity: capacity.clone(),
                class,
                activation: if class == StandbyClass::Cold {
                    start.unwrap_or_default()
                } else {
                    Span::default()
                },
                cost,
            });
            for service in &mut more.services {
                let Some(likest) = service.copies.iter().max_by_key(|copy| copy.activation).cloned() else {
                    continue;
                };
                let lag = match class {
                    StandbyClass::Hot => Some(Span::default()),
                    StandbyClass::Warm => service.copies.iter().filter_map(|copy| copy.lag).max(),
                    StandbyClass::Cold => continue,
                };
                service.copies.push(Replica {
                    on: name.clone(),
                    class,
                    activation: likest.activation,
                    lag,
                    stands_on: Vec::new(),
                });
            }
            let case = more.case(lost, Limits::default())?;
            let answer = case.answer(&solver.solve(&case.instance, budget));
            table.push(Purchase {
                zone: zone.to_owned(),
                class,
                served: answer.served,
                more: difference(answer.served, now.served),
                late: answer.late,
                disturbed: answer.disturbed,
                worst_rto_s: worst(&answer).0,
                money: answer.money,
            });
        }
    }
    Ok(table)
}

fn difference(a: usize, b: usize) -> i64 {
    i64::try_from(a).unwrap_or(i64::MAX) - i64::try_from(b).unwrap_or(i64::MAX)
}

/// A name that nothing has.
fn spare(fleet: &Fleet) -> String {
    let taken = fleet.losable();
    let mut name = "one-more".to_owned();
    while taken.contains(name.as_str()) {
        name.push('+');
    }
    name
}

/// Limits that are tried on each axis.
const STEPS: usize = 8;

/// Ever tighter limits on recovery and on data loss, and what each costs.
pub fn frontier(
    fleet: &Fleet,
    lost: &BTreeSet<String>,
    solver: &dyn Solver,
    budget: Budget<'_>,
) -> Result<Vec<Point>, FleetError> {
    let case = fleet.case(lost, Limits::default())?;
    let (mut rtos, mut lags) = (Vec::new(), Vec::new());
    for service in 0..case.services.len() {
        for place in (0..case.nodes.len()).filter_map(|node| case.place(service, node).as_ref().ok()) {
            if case.hit[service] && !place.stays {
                rtos.push(place.rto_s);
                lags.push(place.lag_s);
            }
        }
    }
    let none = Limits::default();
    let mut limits = vec![none];
    limits.extend(thinned(rtos).into_iter().map(|rto| Limits {
        rto_s: Some(rto),
        ..none
    }));
    limits.extend(thinned(lags).into_iter().map(|lag| Limits {
        lag_s: Some(lag),
        ..none
    }));
    let mut points = Vec::new();
    for limits in limits {
        let case = fleet.case(lost, limits)?;
        let answer = case.answer(&solver.solve(&case.instance, budget));
        let (worst_rto_s, worst_lag_s) = worst(&answer);
        points.push(Point {
            rto_limit_s: limits.rto_s,
            lag_limit_s: limits.lag_s,
            served: answer.served,
            worst_rto_s,
            worst_lag_s,
            money: answer.money,
            disturbed: answer.disturbed,
            best: true,
        });
    }
    let beats = |a: &Point, b: &Point| {
        let no_worse = a.served >= b.served
            && a.worst_rto_s <= b.worst_rto_s
            && a.worst_lag_s <= b.worst_lag_s
            && a.money <= b.money
            && a.disturbed <= b.disturbed;
        let better = a.served > b.served
            || a.worst_rto_s < b.worst_rto_s
            || a.worst_lag_s < b.worst_lag_s
            || a.money < b.money
            || a.disturbed < b.disturbed;
        no_worse && better
    };
    let best: Vec<bool> = points
        .iter()
        .map(|point| !points.iter().any(|other| beats(other, point)))
        .collect();
    for (point, best) in points.iter_mut().zip(best) {
        point.best = best;
    }
    Ok(points)
}

/// Distinct values, from the smallest to the largest but one, not more than [`STEPS`].
fn thinned(mut values: Vec<f64>) -> Vec<f64> {
    values.sort_by(f64::total_cmp);
    values.dedup_by(|a, b| a.total_cmp(b).is_eq());
    // The largest is no limit.
    values.pop();
    if values.len() <= STEPS {
        return values;
    }
    (0..STEPS)
        .map(|step| values[step * (values.len() - 1) / (STEPS - 1)])
        .collect()
}
