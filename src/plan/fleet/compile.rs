//! From names and units to the bare problem: who may go where, at which cost, and why not elsewhere.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::model::Span;
use crate::model::hint::did_you_mean;
use crate::model::service::StandbyClass;
use crate::plan::solver::{BIGGEST, FORBIDDEN, Instance, Rule, RuleKind, Tables};

use super::classes::{count, prices};
use super::left_alone::{kept, overrun};
use super::spec::{Fleet, FleetError, FleetService, Late, Node};

/// Limits beside those of each service.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Limits {
    /// No place with a longer recovery time than so many seconds.
    pub rto_s: Option<f64>,
    /// No place whose data is further behind than so many seconds.
    pub lag_s: Option<f64>,
}

/// A place that a service may go to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Place {
    /// The place where it runs now, and it runs well.
    pub stays: bool,
    /// Predicted seconds from the fault until it serves.
    pub rto_s: f64,
    /// Predicted seconds of lost data.
    pub lag_s: f64,
    /// It would serve later than its RTO.
    pub late: bool,
    /// What running there costs, beside what opening the node costs.
    cost: f64,
}

/// Why a service may not go to a node.
#[derive(Debug, Clone, PartialEq)]
pub enum Refused {
    /// The node is lost, or cut off.
    Lost,
    /// Its instance there is broken.
    Broken,
    /// What it needs there is gone.
    Without(String),
    /// It runs well elsewhere and may not be moved.
    Pinned,
    /// It runs well elsewhere, and nobody of a higher priority gains by its being moved.
    Kept,
    /// More is wanted there already than the node has.
    Overrun,
    /// The node lacks a label.
    Label(String),
    /// It may not be in that zone.
    Zone(String),
    /// It has no copy there and cannot be started from nothing.
    NoCopy,
    /// The data is too far behind.
    Stale {
        /// How far, in seconds.
        lag_s: f64,
        /// How far it may be.
        limit_s: f64,
    },
    /// How far the data is behind is not known.
    UnknownAge,
    /// It would serve too late.
    Late {
        /// After how many seconds.
        rto_s: f64,
        /// When it should.
        limit_s: f64,
    },
    /// Even empty, the node is too small.
    Small(String),
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lost => f.write_str("lost or cut off"),
            Self::Broken => f.write_str("its instance there is broken"),
            Self::Without(needed) => write!(f, "{needed}, which it needs there, is gone"),
            Self::Pinned => f.write_str("it may not be moved"),
            Self::Kept => f.write_str("it runs well, and nobody of a higher priority needs its place"),
            Self::Overrun => f.write_str("more is wanted there already than the node has"),
            Self::Label(label) => write!(f, "no label {label}"),
            Self::Zone(zone) => write!(f, "zone {zone} is not allowed"),
            Self::NoCopy => f.write_str("no copy and no cold start"),
            Self::Stale { lag_s, limit_s } => write!(f, "its data is {lag_s:.0} s behind, {limit_s:.0} s are allowed"),
            Self::UnknownAge => f.write_str("how far its data is behind is not known"),
            Self::Late { rto_s, limit_s } => write!(f, "it would serve after {rto_s:.0} s, {limit_s:.0} s are allowed"),
            Self::Small(resource) => write!(f, "too little {resource} even when empty"),
        }
    }
}

/// A fleet with its losses, as the bare problem; items and agents go by name.
pub struct Case<'a> {
    /// The services, by name: the items.
    pub services: Vec<&'a FleetService>,
    /// The nodes, by name: the agents.
    pub nodes: Vec<&'a Node>,
    /// The bare problem.
    pub instance: Instance,
    /// Services whose present place is lost or broken, or that lack something there.
    pub hit: Vec<bool>,
    /// Those that have their place still, and of which no move helps: what they need wherever they run is gone.
    pub(super) stranded: Vec<Option<String>>,
    /// The services that each one waits for, wherever it runs.
    pub(super) waits_for: Vec<BTreeSet<usize>>,
    /// The services behind each entity.
    pub(super) behind: BTreeMap<&'a str, BTreeSet<&'a str>>,
    places: Vec<Result<Place, Refused>>,
}

impl Case<'_> {
    /// What is known of a service on a node.
    pub fn place(&self, service: usize, node: usize) -> &Result<Place, Refused> {
        &self.places[service * self.nodes.len() + node]
    }

    /// The number of a service.
    pub(super) fn service(&self, name: &str) -> Option<usize> {
        let by_name = |service: &&FleetService| service.name.as_str().cmp(name);
        self.services.binary_search_by(by_name).ok()
    }

    /// The number of a node.
    pub fn node(&self, name: &str) -> Option<usize> {
        self.nodes.binary_search_by(|node| node.name.as_str().cmp(name)).ok()
    }
}

/// Costs keep one decimal.
const TENTHS: f64 = 10.0;

/// Demands and capacities keep three decimals.
const MILLI: f64 = 1000.0;

impl Fleet {
    /// The bare problem once all of `lost` is gone.
    pub fn case(&self, lost: &BTreeSet<String>, limits: Limits) -> Result<Case<'_>, FleetError> {
        self.check()?;
        let known = self.losable();
        if let Some(name) = lost.iter().find(|name| !known.contains(name.as_str())) {
            let hint = did_you_mean(name, known.iter().copied());
            let name = name.clone();
            return Err(FleetError::Nothing { name, hint });
        }
        let mut services: Vec<&FleetService> = self.services.iter().collect();
        services.sort_by(|a, b| a.name.cmp(&b.name));
        let mut nodes: Vec<&Node> = self.nodes.iter().collect();
        nodes.sort_by(|a, b| a.name.cmp(&b.name));
        let fallen = self.gone(lost);
        let gone: Vec<bool> = nodes.iter().map(|node| fallen.node(&node.name)).collect();
        let find = |name: &str| nodes.binary_search_by(|node| node.name.as_str().cmp(name)).ok();
        let home: Vec<Option<usize>> = services
            .iter()
            .map(|service| service.on.as_deref().and_then(find))
            .collect();
        let hit: Vec<bool> = services.iter().map(|service| service.is_hit(lost, &fallen)).collect();
        let stranded: Vec<Option<String>> = services
            .iter()
            .zip(&home)
            .map(|(service, home)| {
                let why = service.stranded(&fallen)?;
                (!lost.contains(&service.name) && home.is_some_and(|home| !gone[home])).then(|| why.to_owned())
            })
            .collect();
        let sore: BTreeSet<&str> = nodes
            .iter()
            .zip(&gone)
            .filter(|(_, gone)| **gone)
            .map(|(node, _)| node.zone.as_str())
            .collect();
        let behind = self.behind();
        let waits_for = waits_for(&services, &behind);
        let kept = kept(&services, &waits_for, &hit, &stranded);
        let overrun = overrun(&services, &nodes, &home, &hit);
        let latency = self.distances();
        let mut places = Vec::with_capacity(services.len() * nodes.len());
        for (number, service) in services.iter().enumerate() {
            for (at, node) in nodes.iter().enumerate() {
                let here = home[number] == Some(at);
                // Whoever is stranded is left alone: it may serve again once what it needs is back.
                let stays = here && (!hit[number] || stranded[number].is_some());
                places.push(if gone[at] {
                    Err(Refused::Lost)
                } else if stays {
                    Ok(Place {
                        stays: true,
                        rto_s: 0.0,
                        lag_s: 0.0,
                        late: false,
                        cost: 0.0,
                    })
                } else if here && lost.contains(&service.name) {
                    Err(Refused::Broken)
                } else if let Some(needed) = service.without(node, &fallen) {
                    Err(Refused::Without(needed.to_owned()))
                } else if kept[number] && service.movable {
                    Err(Refused::Kept)
                } else if overrun[at] {
                    Err(Refused::Overrun)
                } else {
                    let runs_well = home[number].is_some() && !hit[number];
                    self.place(service, node, runs_well, limits).map(|mut place| {
                        let w = &self.weights;
                        if let Some(clients) = &service.clients {
                            place.cost += w.latency_ms * distance(&latency, clients, &node.zone, w.far_ms);
                        }
                        if runs_well {
                            place.cost += w.disturbance;
                        } else if sore.contains(node.zone.as_str()) {
                            place.cost += w.same_zone;
                        }
                        place
                    })
                });
            }
        }
        let instance = self.tables(&services, &nodes, &places, &home, &hit, &waits_for, &kept)?;
        Ok(Case {
            services,
            nodes,
            instance,
            hit,
            stranded,
            waits_for,
            behind,
            places,
        })
    }

    fn distances(&self) -> BTreeMap<(&str, &str), f64> {
        let both = |latency: &'_ super::spec::Latency| latency.ms;
        let mut known = BTreeMap::new();
        for latency in &self.latency {
            let (a, b) = (latency.between.0.as_str(), latency.between.1.as_str());
            known.insert((a, b), both(latency));
            known.insert((b, a), both(latency));
        }
        known
    }

    fn place(&self, service: &FleetService, node: &Node, runs_well: bool, limits: Limits) -> Result<Place, Refused> {
        if runs_well && !service.movable {
            return Err(Refused::Pinned);
        }
        if let Some(label) = service.needs.iter().find(|label| !node.labels.contains(*label)) {
            return Err(Refused::Label(label.clone()));
        }
        if !service.zones.is_empty() && !service.zones.contains(&node.zone) {
            return Err(Refused::Zone(node.zone.clone()));
        }
        let small = |(what, need): &(&String, &f64)| **need > node.capacity.get(*what).copied().unwrap_or(0.0);
        if let Some((what, _)) = service.demands.iter().find(small) {
            return Err(Refused::Small(what.clone()));
        }
        let (activation, lag) = match (service.copy_on(node), &service.cold) {
            (Some(copy), _) => (copy.activation, copy.lag),
            (None, Some(cold)) => (cold.activation, cold.lag),
            (None, None) => return Err(Refused::NoCopy),
        };
        let seconds = |span: Span| span.0.as_secs_f64();
        // A planned move of what runs well loses nothing: it is stopped, caught up and started.
        let lag = if runs_well { Some(Span::default()) } else { lag };
        let lag_s = lag.map(seconds);
        let strictest = [service.rpo.map(seconds), limits.lag_s]
            .into_iter()
            .flatten()
            .min_by(f64::total_cmp);
        if let Some(limit_s) = strictest {
            match lag_s {
                None => return Err(Refused::UnknownAge),
                Some(lag_s) if lag_s > limit_s => return Err(Refused::Stale { lag_s, limit_s }),
                Some(_) => {}
            }
        }
        let start = if node.class == StandbyClass::Hot {
            Span::default()
        } else {
            node.activation
        };
        let overhead = if runs_well { Span::default() } else { self.overhead };
        let rto_s = seconds(overhead) + seconds(start) + seconds(activation);
        let late = !runs_well && rto_s > seconds(service.rto);
        let limit_s = limits.rto_s.filter(|limit| !runs_well && rto_s > *limit);
        if let Some(limit_s) = limit_s.or((late && self.late == Late::Refuse).then(|| seconds(service.rto))) {
            return Err(Refused::Late { rto_s, limit_s });
        }
        let lag_s = lag_s.unwrap_or(0.0);
        let cost = self.weights.rto_s * rto_s + self.weights.lag_s * lag_s;
        Ok(Place {
            stays: false,
            rto_s,
            lag_s,
            late,
            cost,
        })
    }

    fn tables(
        &self,
        services: &[&FleetService],
        nodes: &[&Node],
        places: &[Result<Place, Refused>],
        home: &[Option<usize>],
        hit: &[bool],
        waits_for: &[BTreeSet<usize>],
        kept: &[bool],
    ) -> Result<Instance, FleetError> {
        let resources: BTreeSet<&str> = services
            .iter()
            .flat_map(|service| service.demands.keys().map(String::as_str))
            .collect();
        let tenths = |cost: f64| ((cost * TENTHS).round() as i64).clamp(0, 1 << 30);
        let mut tables = Tables {
            resources: resources.len(),
            ..Tables::default()
        };
        let need = |service: &FleetService, resource: &str| {
            let need = service.demands.get(resource).copied().unwrap_or(0.0);
            (need * MILLI - 1e-6).ceil().max(0.0) as i64
        };
        for (at, node) in nodes.iter().enumerate() {
            for resource in &resources {
                let has = node.capacity.get(*resource).copied().unwrap_or(0.0);
                let there = (0..services.len()).filter(|item| home[*item] == Some(at) && !hit[*item]);
                // Whoever runs well where more is wanted than there is goes on doing so.
                let wanted: i64 = there.map(|item| need(services[item], resource)).sum();
                tables.capacity.push(wanted.max((has * MILLI + 1e-6).floor() as i64));
            }
            let in_use = home.iter().zip(hit).any(|(home, hit)| *home == Some(at) && !hit);
            let free = node.class == StandbyClass::Hot || in_use;
            tables.open.push(if free {
                0
            } else {
                tenths(self.weights.money * node.cost)
            });
        }
        let dearest = places
            .iter()
            .flatten()
            .map(|place| tenths(place.cost))
            .max()
            .unwrap_or(0);
        let floor = 1 + dearest * count(services) + tables.open.iter().sum::<i64>();
        tables.left_out = prices(services, waits_for, floor);
        for (item, service) in services.iter().enumerate() {
            let at_home = home[item].and_then(|home| places.get(item * nodes.len() + home));
            let stays = at_home.is_some_and(|place| place.as_ref().is_ok_and(|place| place.stays));
            if (!service.movable || kept[item]) && stays {
                tables.left_out[item] = BIGGEST;
            }
        }
        for (number, service) in services.iter().enumerate() {
            for at in 0..nodes.len() {
                tables.cost.push(match &places[number * nodes.len() + at] {
                    Err(_) => FORBIDDEN,
                    // Late is bad, but not so bad as never.
                    Ok(place) => tenths(place.cost) + if place.late { tables.left_out[number] / 4 } else { 0 },
                });
                for resource in &resources {
                    tables.demand.push(need(service, resource));
                }
            }
        }
        tables.rules = rules(services, nodes);
        Instance::new(tables).map_err(FleetError::Instance)
    }
}

/// The services that each one waits for, straight or behind an entity that it needs everywhere.
fn waits_for(services: &[&FleetService], behind: &BTreeMap<&str, BTreeSet<&str>>) -> Vec<BTreeSet<usize>> {
    let number = |name: &str| {
        services
            .binary_search_by(|service| service.name.as_str().cmp(name))
            .ok()
    };
    services
        .iter()
        .map(|service| {
            let needs = service.depends_on.iter().map(String::as_str);
            let further = needs.clone().filter_map(|name| behind.get(name)).flatten().copied();
            needs.chain(further).filter_map(number).collect()
        })
        .collect()
}

fn distance(known: &BTreeMap<(&str, &str), f64>, a: &str, b: &str, far: f64) -> f64 {
    if a == b {
        0.0
    } else {
        known.get(&(a, b)).copied().unwrap_or(far)
    }
}

fn rules(services: &[&FleetService], nodes: &[&Node]) -> Vec<Rule> {
    let mut apart: BTreeMap<(&str, u8), Vec<u32>> = BTreeMap::new();
    let mut together: BTreeMap<&str, Vec<u32>> = BTreeMap::new();
    for (number, service) in services.iter().enumerate() {
        if let Some(group) = &service.apart {
            apart
                .entry((group, service.apart_by as u8))
                .or_default()
                .push(number as u32);
        }
        if let Some(group) = &service.together {
            together.entry(group).or_default().push(number as u32);
        }
    }
    let domains = |by: u8| -> (Vec<u32>, usize) {
        let name = |node: &'_ Node| match by {
            0 => format!("n {}", node.name),
            1 => node
                .rack
                .as_ref()
                .map_or_else(|| format!("n {}", node.name), |rack| format!("r {rack}")),
            _ => format!("z {}", node.zone),
        };
        let names: BTreeSet<String> = nodes.iter().map(|node| name(node)).collect();
        let numbers: BTreeMap<&String, u32> = names.iter().zip(0..).collect();
        (nodes.iter().map(|node| numbers[&name(node)]).collect(), names.len())
    };
    let mut rules = Vec::new();
    for ((_, by), members) in apart {
        let (domain, domains) = domains(by);
        rules.push(Rule {
            members,
            domain,
            domains,
            kind: RuleKind::Apart { most: 1 },
        });
    }
    for members in together.into_values() {
        let (domain, domains) = domains(0);
        rules.push(Rule {
            members,
            domain,
            domains,
            kind: RuleKind::Together,
        });
    }
    rules
}
