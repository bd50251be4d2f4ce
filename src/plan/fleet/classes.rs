//! Priorities as prices: what leaving a service out costs.

use std::collections::{BTreeMap, BTreeSet};

use crate::plan::solver::BIGGEST;

use super::spec::FleetService;

pub(super) fn count(services: &[&FleetService]) -> i64 {
    i64::try_from(services.len()).unwrap_or(i64::MAX)
}

/// Each service's priority, or a higher one that depends on it.
pub(super) fn inherited(services: &[&FleetService], waits_for: &[BTreeSet<usize>]) -> Vec<u8> {
    let mut priority: Vec<u8> = services.iter().map(|service| service.priority).collect();
    // Each round carries it one step further; a chain is no longer than there are services.
    for _ in 0..services.len() {
        let before = priority.clone();
        for (number, needed) in waits_for.iter().enumerate() {
            for other in needed {
                priority[*other] = priority[*other].max(priority[number]);
            }
        }
        if priority == before {
            break;
        }
    }
    priority
}

/// The most that leaving a service out may cost; pinned ones cost [`BIGGEST`], which outweighs a whole class.
const DEAREST: i64 = BIGGEST / 64;

/// What leaving each service out costs: one of a priority more than all below it together. Where whole numbers end, the lowest priorities
/// are taken for one, as many as need be.
pub(super) fn prices(services: &[&FleetService], waits_for: &[BTreeSet<usize>], floor: i64) -> Vec<i64> {
    let priority = inherited(services, waits_for);
    let mut counts: BTreeMap<u8, i64> = BTreeMap::new();
    for level in &priority {
        *counts.entry(*level).or_default() += 1;
    }
    let mut classes: Vec<(u8, i64)> = counts.into_iter().collect();
    loop {
        // Times four, since a late place costs a quarter of none.
        let mut next = floor.saturating_mul(4);
        let mut ladder: Vec<(u8, i64)> = Vec::with_capacity(classes.len());
        for (level, count) in &classes {
            ladder.push((*level, next.min(DEAREST)));
            next = next.saturating_mul((count + 1) * 4);
        }
        let fits = ladder.last().is_none_or(|(_, price)| *price < DEAREST) || classes.len() < 2;
        if fits {
            // A class is known by its highest priority.
            let price = |level: u8| {
                ladder
                    .iter()
                    .find(|(highest, _)| level <= *highest)
                    .map_or(DEAREST, |(_, price)| *price)
            };
            return priority.iter().map(|level| price(*level)).collect();
        }
        let (_, lowest) = classes.remove(0);
        classes[0].1 += lowest;
    }
}
