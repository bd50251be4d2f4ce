//! Made fleets: services, nodes, zones and racks from a seed, as bare problems for benchmarks and tests.
//!
//! Three resources; half of the services ask for a label; a third may not leave two of the five zones; a third of the nodes hold no
//! fresh copy of a service's data;
//! groups that stay apart. Costs are latency, price, activation and disturbance; cold nodes cost something to start at all. Prices of leaving
//! out lie so far apart that one service of a class outweighs everything below it.

use crate::plan::solver::{FORBIDDEN, Instance, InstanceError, Rng, Rule, RuleKind, Tables};

/// What fleet to make.
#[derive(Debug, Clone, Copy)]
pub struct Spec {
    /// How many services.
    pub services: usize,
    /// How many nodes.
    pub nodes: usize,
    /// All demands together, as a share of all capacity.
    pub load: f64,
    /// Where chance begins.
    pub seed: u64,
}

/// Zones of every fleet.
pub const ZONES: usize = 5;

const LABELS: usize = 6;

/// A made fleet before anything is lost.
pub struct Fleet {
    tables: Tables,
    nodes: usize,
    services: usize,
    zone_of: Vec<usize>,
}

impl Fleet {
    /// From its spec; the same spec, the same fleet.
    pub fn make(spec: Spec) -> Self {
        let Spec {
            services,
            nodes,
            load,
            seed,
        } = spec;
        let mut rng = Rng::new(seed);
        let zone_of: Vec<usize> = (0..nodes).map(|node| node % ZONES).collect();
        let racks = (nodes / 8).max(2);
        let rack_of: Vec<u32> = (0..nodes).map(|_| rng.below(racks) as u32).collect();
        let mut capacity = Vec::new();
        let mut open = Vec::new();
        let mut labels = Vec::new();
        let mut readiness = Vec::new();
        let mut price = Vec::new();
        for _ in 0..nodes {
            let cpu = [8_000, 16_000, 16_000, 32_000][rng.below(4)];
            let memory = cpu * [2, 4, 4, 8][rng.below(4)];
            let net = [10_000, 10_000, 25_000][rng.below(3)];
            capacity.extend([cpu, memory, net]);
            // Hot, warm, cold.
            let class = [0, 0, 1, 1, 2][rng.below(5)];
            readiness.push([0, 15, 60][class]);
            open.push(if class == 2 { 40 + rng.amount(80) } else { 0 });
            price.push(rng.amount(30));
            let mut set = 0_u32;
            for _ in 0..3 {
                set |= 1 << rng.below(LABELS);
            }
            labels.push(set);
        }
        let total: Vec<i64> = (0..3).map(|r| capacity.iter().skip(r).step_by(3).sum()).collect();
        let shape: Vec<[f64; 3]> = (0..services)
            .map(|_| {
                let size = [0.5, 1.0, 1.0, 2.0, 4.0][rng.below(5)] * (0.6 + 0.8 * rng.unit());
                [size, size * (0.4 + 1.2 * rng.unit()), size * (0.3 + 1.4 * rng.unit())]
            })
            .collect();
        let asked: Vec<f64> = (0..3).map(|r| shape.iter().map(|shape| shape[r]).sum()).collect();
        let mut tables = Tables {
            resources: 3,
            capacity,
            open,
            ..Tables::default()
        };
        let steps = i64::try_from(services).unwrap_or(i64::MAX).saturating_add(1);
        for shape in &shape {
            let mut demand: Vec<i64> = (0..3)
                .map(|r| (shape[r] / asked[r] * load * total[r] as f64).round() as i64)
                .collect();
            let label = if rng.below(2) == 0 { 0 } else { 1 << rng.below(LABELS) };
            let home = rng.below(ZONES);
            let bound = (rng.below(3) == 0).then(|| (home + 1 + rng.below(ZONES - 1)) % ZONES);
            let class = [0, 0, 0, 1, 1, 2][rng.below(6)];
            // 1,000 outweighs any sum of costs that one place can save.
            tables.left_out.push(1_000 * [1, steps, steps * steps][class]);
            let allowed: Vec<bool> = (0..nodes)
                .map(|node| {
                    let zone = zone_of[node];
                    labels[node] & label == label
                        && bound.is_none_or(|other| zone == home || zone == other)
                        && rng.below(3) != 0
                })
                .collect();
            // Nobody asks for more than three of its nodes could give when empty.
            let fits = |demand: &[i64]| {
                let holds = |node: &usize| (0..3).all(|r| demand[r] <= tables.capacity[node * 3 + r]);
                (0..nodes).filter(|node| allowed[*node]).filter(holds).count() >= 3
            };
            while !fits(&demand) && demand.iter().any(|demand| *demand > 1) {
                for demand in &mut demand {
                    *demand = *demand * 9 / 10;
                }
            }
            for node in 0..nodes {
                let zone = zone_of[node];
                let near = [0, 20, 45, 45, 20][(zone + ZONES - home) % ZONES];
                let cost = 5 + near + price[node] + readiness[node] + rng.amount(50);
                tables.cost.push(if allowed[node] { cost } else { FORBIDDEN });
                tables.demand.extend(&demand);
            }
        }
        let mut order: Vec<u32> = (0..services as u32).collect();
        rng.shuffle(&mut order);
        // A fifth of all services in groups of four: by node, by rack, by zone in turn.
        for (number, members) in order[..services / 5 / 4 * 4].chunks(4).enumerate() {
            let (domain, domains, most) = match number % 3 {
                0 => ((0..nodes as u32).collect(), nodes, 1),
                1 => (rack_of.clone(), racks, 1),
                _ => (zone_of.iter().map(|zone| *zone as u32).collect(), ZONES, 2),
            };
            tables.rules.push(Rule {
                members: members.to_vec(),
                domain,
                domains,
                kind: RuleKind::Apart { most },
            });
        }
        Self {
            tables,
            nodes,
            services,
            zone_of,
        }
    }

    /// Everything is to be placed.
    pub fn instance(self) -> Result<Instance, InstanceError> {
        Instance::new(self.tables)
    }

    /// A zone is lost. Whoever ran elsewhere, by `at`, may stay where it is for nothing, and may be moved at the price of the
    /// disturbance; cold nodes that ran are open already.
    pub fn without(mut self, zone: usize, at: &[Option<u32>]) -> Result<Instance, InstanceError> {
        const DISTURBANCE: i64 = 60;
        for (service, home) in at.iter().enumerate().take(self.services) {
            for node in 0..self.nodes {
                let cost = &mut self.tables.cost[service * self.nodes + node];
                if self.zone_of[node] == zone {
                    *cost = FORBIDDEN;
                } else if home.is_some_and(|home| self.zone_of[home as usize] != zone) && *cost != FORBIDDEN {
                    *cost = if *home == Some(node as u32) {
                        0
                    } else {
                        *cost + DISTURBANCE
                    };
                }
            }
        }
        for node in at.iter().flatten() {
            self.tables.open[*node as usize] = 0;
        }
        Instance::new(self.tables)
    }
}
