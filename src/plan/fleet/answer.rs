//! From a placement back to names: who goes where, who is late, who is pushed out, who stays down and why.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::plan::solver::Placement;

use super::compile::{Case, Refused};

/// What becomes of a service.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "fate", rename_all = "snake_case")]
pub enum Fate {
    /// It stays where it is.
    Stays {
        /// Where.
        on: String,
    },
    /// It is brought up elsewhere.
    Moves {
        /// Where it was.
        from: Option<String>,
        /// Where it goes.
        to: String,
        /// It ran well, and makes room for another.
        makes_room: bool,
        /// Predicted seconds until it serves, with those of what it depends on.
        rto_s: f64,
        /// Predicted seconds of lost data.
        lag_s: f64,
        /// It misses its RTO.
        late: bool,
    },
    /// It ran well, and is stopped so that a higher priority finds room.
    PushedOut {
        /// Where it was.
        from: String,
    },
    /// It stays down.
    Down {
        /// Why.
        why: String,
    },
    /// It has its place still, and no move helps: what it needs wherever it runs is gone, and has no standby.
    Stranded {
        /// Where it is.
        on: String,
        /// What is gone.
        without: String,
    },
    /// It would run, but something that it cannot serve without is down.
    Useless {
        /// Where it is.
        on: String,
        /// What is down.
        without: String,
    },
}

/// Each service's fate, by name.
pub type Fates = BTreeMap<String, Fate>;

/// The whole answer.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Answer {
    /// Each service's fate.
    pub services: Fates,
    /// Services that serve in the end.
    pub served: usize,
    /// Services that had lost their place.
    pub hit: usize,
    /// Those of them that serve again.
    pub recovered: usize,
    /// Services that serve, but later than their RTO.
    pub late: usize,
    /// Services that were moved or stopped though they ran well.
    pub disturbed: usize,
    /// What nodes cost that were not used before.
    pub money: f64,
    /// Value of the placement: the lower, the better.
    pub value: i64,
    /// Nothing better than that exists, as far as is proven.
    pub gap: Option<f64>,
}

impl Answer {
    /// Nobody is left down, useless, stranded or pushed out.
    pub fn whole(&self) -> bool {
        self.served == self.services.len()
    }
}

impl Case<'_> {
    /// Puts a placement into words.
    pub fn answer(&self, placement: &Placement) -> Answer {
        let (down, recovery) = self.cascade(placement);
        let mut services = Fates::new();
        let (mut recovered, mut late_count, mut disturbed, mut served) = (0, 0, 0, 0);
        for (item, service) in self.services.iter().enumerate() {
            let runs_well = service.on.is_some() && !self.hit[item];
            let fate = match placement.at[item] {
                None if runs_well => {
                    disturbed += 1;
                    Fate::PushedOut {
                        from: service.on.clone().unwrap_or_default(),
                    }
                }
                None => Fate::Down {
                    why: self.why_down(item, placement),
                },
                Some(node) => {
                    let node = node as usize;
                    let on = self.nodes[node].name.clone();
                    let stays = matches!(self.place(item, node), Ok(place) if place.stays);
                    disturbed += usize::from(runs_well && !stays);
                    if let Some(without) = &self.stranded[item] {
                        Fate::Stranded {
                            on,
                            without: without.clone(),
                        }
                    } else if let Some(without) = &down[item] {
                        Fate::Useless {
                            on,
                            without: without.clone(),
                        }
                    } else {
                        served += 1;
                        recovered += usize::from(self.hit[item]);
                        if stays {
                            // If anything, it waits for what it depends on; nothing is done to it.
                            Fate::Stays { on }
                        } else {
                            let lag_s = self.place(item, node).as_ref().map_or(0.0, |place| place.lag_s);
                            let late = !runs_well && recovery[item] > service.rto.0.as_secs_f64();
                            late_count += usize::from(late);
                            Fate::Moves {
                                from: service.on.clone(),
                                to: on,
                                makes_room: runs_well,
                                rto_s: recovery[item],
                                lag_s,
                                late,
                            }
                        }
                    }
                }
            };
            services.insert(service.name.clone(), fate);
        }
        let money = (0..self.nodes.len())
            .filter(|node| self.instance.open(*node) > 0)
            .filter(|node| placement.at.contains(&Some(*node as u32)))
            .map(|node| self.nodes[node].cost)
            // An empty sum is minus nought.
            .fold(0.0, |sum, cost| sum + cost);
        Answer {
            served,
            services,
            hit: self.hit.iter().filter(|hit| **hit).count(),
            recovered,
            late: late_count,
            disturbed,
            money,
            value: placement.value,
            gap: placement.gap(),
        }
    }

    /// Who is without something that it needs, and the seconds until each serves, with what it waits for.
    fn cascade(&self, placement: &Placement) -> (Vec<Option<String>>, Vec<f64>) {
        let count = self.services.len();
        let own: Vec<f64> = (0..count)
            .map(|item| {
                let place = placement.at[item].map(|node| self.place(item, node as usize));
                place
                    .and_then(|place| place.as_ref().ok())
                    .map_or(0.0, |place| place.rto_s)
            })
            .collect();
        let needs: Vec<BTreeSet<usize>> = (0..count).map(|item| self.needs(item, placement)).collect();
        let mut down: Vec<Option<String>> = vec![None; count];
        let mut recovery = own.clone();
        // A chain is no longer than there are services; a circle ends here as well.
        for _ in 0..count {
            let mut changed = false;
            for (item, needs) in needs.iter().enumerate() {
                for other in needs.iter().copied() {
                    let fallen = placement.at[other].is_none() || self.stranded[other].is_some();
                    if down[item].is_none() && (fallen || down[other].is_some()) {
                        down[item] = Some(self.services[other].name.clone());
                        changed = true;
                    }
                    // What it needs comes first, then it starts itself.
                    let waits = if own[item] > 0.0 {
                        recovery[other].max(own[item])
                    } else {
                        0.0
                    };
                    if waits > recovery[item] {
                        recovery[item] = waits;
                        changed = true;
                    }
                }
            }
            if !changed {
                break;
            }
        }
        (down, recovery)
    }

    /// The services that it waits for where it is put.
    fn needs(&self, item: usize, placement: &Placement) -> BTreeSet<usize> {
        let mut needs = self.waits_for[item].clone();
        if let Some(node) = placement.at[item] {
            let there = self.services[item].needs_on(self.nodes[node as usize]);
            let further = there.iter().filter_map(|name| self.behind.get(name.as_str())).flatten();
            needs.extend(further.filter_map(|name| self.service(name)));
        }
        needs
    }

    /// Why nobody takes it: no place at all, or no room where it could go.
    fn why_down(&self, item: usize, placement: &Placement) -> String {
        let fit: Vec<usize> = (0..self.nodes.len())
            .filter(|node| self.place(item, *node).is_ok())
            .collect();
        if fit.is_empty() {
            let mut reasons: BTreeMap<String, usize> = BTreeMap::new();
            for node in 0..self.nodes.len() {
                if let Err(refused) = self.place(item, node) {
                    *reasons.entry(summary(refused)).or_default() += 1;
                }
            }
            let list: Vec<String> = reasons.iter().map(|(why, count)| format!("{count} {why}")).collect();
            let nearest = self
                .nearest(item)
                .map_or_else(String::new, |text| format!("; nearest: {text}"));
            return format!("no node may take it ({}){nearest}", list.join(", "));
        }
        let mut load = vec![0_i64; self.instance.resources()];
        let short: Vec<String> = fit
            .iter()
            .take(3)
            .map(|node| {
                load.fill(0);
                for (other, _) in placement
                    .at
                    .iter()
                    .enumerate()
                    .filter(|(_, at)| **at == Some(*node as u32))
                {
                    for (load, demand) in load.iter_mut().zip(self.instance.demand(other, *node)) {
                        *load += demand;
                    }
                }
                let full = load
                    .iter()
                    .zip(self.instance.demand(item, *node))
                    .zip(self.instance.capacity(*node))
                    .any(|((load, demand), capacity)| load + demand > *capacity);
                format!(
                    "{} {}",
                    self.nodes[*node].name,
                    if full { "is full" } else { "would break a rule" }
                )
            })
            .collect();
        let more = fit.len().saturating_sub(short.len());
        let more = if more > 0 {
            format!(" and {more} more alike")
        } else {
            String::new()
        };
        format!(
            "no room with services of its or a higher priority: {}{more}",
            short.join(", ")
        )
    }

    /// The refusal that is closest to a yes.
    fn nearest(&self, item: usize) -> Option<String> {
        let stale = (0..self.nodes.len()).filter_map(|node| match self.place(item, node) {
            Err(Refused::Stale { lag_s, .. }) => Some((*lag_s, node)),
            _ => None,
        });
        let (_, node) = stale.min_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)))?;
        let why = self.place(item, node).as_ref().err()?;
        Some(format!("{}, {why}", self.nodes[node].name))
    }
}

fn summary(refused: &Refused) -> String {
    match refused {
        Refused::Stale { .. } => "with data too old".into(),
        Refused::Late { .. } => "too slow".into(),
        Refused::NoCopy => "without a copy".into(),
        Refused::Lost => "lost".into(),
        Refused::Broken => "with the broken instance".into(),
        Refused::Without(needed) => format!("without {needed}"),
        Refused::Label(label) => format!("without label {label}"),
        Refused::Zone(zone) => format!("in zone {zone}, which is not allowed"),
        other => other.to_string(),
    }
}
