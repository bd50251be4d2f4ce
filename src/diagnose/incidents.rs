//! Incidents over time: opened, grown, merged, closed.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crate::detect::Vitals;
use crate::model::incident::Link;
use crate::model::symptom::Finding;
use crate::model::{EntityName, Incident, IncidentId, Symptom, SymptomKey, Timestamp, Topology};

use super::group::{Group, groups};
use super::links::links;
use super::pattern::Library;
use super::scene::{Scene, Siblings};
use super::settings::Settings;
use super::suspects::Suspects;

/// Incidents kept after they were closed.
const CLOSED_KEPT: usize = 200;

/// Past symptoms kept per incident.
const PAST_KEPT: usize = 200;

/// While an incident is young, what was expected and does not show is looked at again this often; later more seldom.
const LOOK_AGAIN: Duration = Duration::from_millis(100);
const LOOK_AGAIN_LATER: Duration = Duration::from_secs(2);
const YOUNG: Duration = Duration::from_secs(30);

/// Where more entities than this show something, it takes its time: so much longer for each of them. A plant that falls silent as a whole is told of by thousands
/// within seconds, and to think anew at each of them is to stand still while it matters.
const MANY: usize = 200;
const PAUSE_PER_ENTITY: Duration = Duration::from_micros(200);

/// Symptoms of other incidents that began so near are looked at for links, and so many of them.
const NEAR: Duration = Duration::from_secs(10);
const OTHERS: usize = 32;

/// How often incidents begin is counted over this many seconds at least.
const RATE_OVER_S: f64 = 60.0;

/// Groups symptoms into incidents and names their causes. See [`crate::diagnose`].
pub struct Diagnosis {
    settings: Settings,
    library: Arc<Library>,
    agent: EntityName,
    siblings: Siblings,
    standing: BTreeMap<EntityName, Vec<Symptom>>,
    /// Of those that stand: what the detector that found it has got used to, while another one of the same signal has not.
    used_to: BTreeSet<SymptomKey>,
    reached: BTreeSet<EntityName>,
    belongs: BTreeMap<SymptomKey, IncidentId>,
    incidents: BTreeMap<IncidentId, Incident>,
    /// Of incidents that no pattern explains well.
    pub(super) suspects: BTreeMap<IncidentId, Suspects>,
    next: u64,
    /// The number of the first one of this run.
    first: u64,
    inferred: Timestamp,
    /// Something was found since.
    news: bool,
    /// When it last looked for links.
    relinked: Timestamp,
    /// When it first looked: how often incidents begin is counted from here.
    began: Option<Timestamp>,
}

impl Diagnosis {
    /// With no incident yet. `siblings` lists for each instance of a service the other ones.
    pub fn new(settings: Settings, library: Arc<Library>, agent: EntityName, siblings: Siblings) -> Self {
        Self {
            settings,
            library,
            agent,
            siblings,
            standing: BTreeMap::new(),
            used_to: BTreeSet::new(),
            reached: BTreeSet::new(),
            belongs: BTreeMap::new(),
            incidents: BTreeMap::new(),
            suspects: BTreeMap::new(),
            next: 1,
            first: 1,
            inferred: Timestamp::EPOCH,
            news: false,
            relinked: Timestamp::EPOCH,
            began: None,
        }
    }

    /// How it groups and weighs.
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The faults that it knows.
    pub fn library(&self) -> &Library {
        &self.library
    }

    /// The number that the next incident gets.
    pub const fn next_number(&self) -> u64 {
        self.next
    }

    /// The number of the first incident of this run.
    pub const fn first_number(&self) -> u64 {
        self.first
    }

    /// Incidents are numbered from here on, unless there are some already: numbers are told to people and mean one incident only.
    pub fn number_from(&mut self, next: u64) {
        if self.next == self.first && next > self.next {
            (self.first, self.next) = (next, next);
        }
    }

    /// Notes that this agent looks at that entity directly.
    pub fn reaches(&mut self, entity: &EntityName) {
        if !self.reached.contains(entity) {
            self.reached.insert(entity.clone());
        }
    }

    /// All incidents, open and lately closed, by number.
    pub fn incidents(&self) -> impl Iterator<Item = &Incident> {
        self.incidents.values()
    }

    /// The incident of that number.
    pub fn incident(&self, id: IncidentId) -> Option<&Incident> {
        self.incidents.get(&id)
    }

    /// Takes in findings and returns the incidents that changed, by number.
    pub fn update(
        &mut self,
        now: Timestamp,
        findings: &[Finding],
        topology: &Topology,
        vitals: &dyn Vitals,
    ) -> Vec<Incident> {
        let mut touched = BTreeSet::new();
        self.began.get_or_insert(now);
        for finding in findings {
            self.apply(finding, now, &mut touched);
        }
        self.news |= !findings.is_empty();
        if self.due(now) {
            self.inferred = now;
            self.regroup(now, topology, vitals, &mut touched);
            if std::mem::take(&mut self.news) || now.since(self.relinked) >= LOOK_AGAIN_LATER {
                self.relinked = now;
                self.relink(now, vitals, &mut touched);
            }
        }
        self.close(now, &mut touched);
        self.suspect(now, topology, vitals);
        touched
            .iter()
            .filter_map(|id| self.incidents.get(id).cloned())
            .collect()
    }

    pub(super) fn scene<'a>(&'a self, now: Timestamp, topology: &'a Topology, vitals: &'a dyn Vitals) -> Scene<'a> {
        Scene {
            now,
            agent: &self.agent,
            topology,
            siblings: &self.siblings,
            vitals,
            reached: &self.reached,
            all: &self.standing,
            found: RefCell::default(),
            touches: RefCell::default(),
            below: RefCell::default(),
        }
    }

    fn due(&self, now: Timestamp) -> bool {
        let crowd = u32::try_from(self.standing.len().saturating_sub(MANY)).unwrap_or(u32::MAX);
        let breath = PAUSE_PER_ENTITY.saturating_mul(crowd);
        let pause = match self.incidents.values().rev().find(|incident| incident.is_open()) {
            _ if self.news => Duration::ZERO,
            Some(youngest) if now.since(youngest.opened) < YOUNG => LOOK_AGAIN,
            Some(_) => LOOK_AGAIN_LATER,
            None => return false,
        };
        now.since(self.inferred) >= pause.max(breath)
    }

    fn apply(&mut self, finding: &Finding, now: Timestamp, touched: &mut BTreeSet<IncidentId>) {
        match finding {
            Finding::Raised(symptom) => {
                self.used_to.remove(&symptom.key);
                let of_entity = self.standing.entry(symptom.key.entity.clone()).or_default();
                match of_entity.binary_search_by(|known| known.key.cmp(&symptom.key)) {
                    Ok(place) => of_entity[place] = symptom.clone(),
                    Err(place) => of_entity.insert(place, symptom.clone()),
                }
            }
            Finding::Cleared { key, .. } => {
                let of_signal = self.learned_of(key);
                if !of_signal.contains(key) {
                    self.over(key, now, touched);
                } else if of_signal
                    .iter()
                    .any(|other| other != key && !self.used_to.contains(other))
                {
                    self.used_to.insert(key.clone());
                } else {
                    for key in of_signal {
                        self.used_to.remove(&key);
                        self.over(&key, now, touched);
                    }
                }
            }
        }
    }

    /// What detectors that learn find strange of the signal of a symptom. Each gets used to what stays, one sooner than the other: that the first has is no news.
    fn learned_of(&self, key: &SymptomKey) -> Vec<SymptomKey> {
        let of_entity = self.standing.get(&key.entity).into_iter().flatten();
        let same = of_entity.filter(|symptom| symptom.key.signal == key.signal && symptom.key.kind.is_learned());
        same.map(|symptom| symptom.key.clone()).collect()
    }

    /// A symptom no longer stands.
    fn over(&mut self, key: &SymptomKey, now: Timestamp, touched: &mut BTreeSet<IncidentId>) {
        let Some(of_entity) = self.standing.get_mut(&key.entity) else {
            return;
        };
        let Ok(place) = of_entity.binary_search_by(|known| known.key.cmp(key)) else {
            return;
        };
        let symptom = of_entity.remove(place);
        if of_entity.is_empty() {
            self.standing.remove(&key.entity);
        }
        let Some(incident) = self.belongs.remove(key).and_then(|id| self.incidents.get_mut(&id)) else {
            return;
        };
        incident.symptoms.retain(|known| known.key != *key);
        incident.past.retain(|known| known.key != *key);
        if incident.past.len() >= PAST_KEPT {
            let oldest = incident.past.iter().enumerate().min_by_key(|(_, past)| past.onset);
            if let Some((oldest, _)) = oldest {
                incident.past.remove(oldest);
            }
        }
        incident.past.push(symptom);
        incident.past.sort_by(|a, b| a.key.cmp(&b.key));
        incident.updated = now;
        touched.insert(incident.id);
    }

    fn regroup(
        &mut self,
        now: Timestamp,
        topology: &Topology,
        vitals: &dyn Vitals,
        touched: &mut BTreeSet<IncidentId>,
    ) {
        let scene = self.scene(now, topology, vitals);
        let mut found = groups(&scene, &self.library, &self.settings);
        // The group that holds most of an incident keeps its number.
        found.sort_by_cached_key(|group| {
            let oldest = group
                .symptoms
                .iter()
                .filter_map(|s| self.belongs.get(&s.key))
                .min()
                .copied();
            (
                oldest.unwrap_or(IncidentId(u64::MAX)),
                std::cmp::Reverse(group.symptoms.len()),
                group.first_key(),
            )
        });
        let mut claimed = BTreeSet::new();
        let mut belongs = BTreeMap::new();
        for group in found {
            let id = self.claim(&group, &claimed, topology);
            claimed.insert(id);
            belongs.extend(group.symptoms.iter().map(|symptom| (symptom.key.clone(), id)));
            self.renew(id, group, now, topology, touched);
        }
        for (key, old) in &self.belongs {
            let Some(new) = belongs.get(key).filter(|new| *new != old) else {
                continue;
            };
            if let Some(incident) = self.incidents.get_mut(old)
                && !claimed.contains(old)
                && incident.is_open()
            {
                incident.merged_into = Some(*new);
                incident.symptoms.clear();
                incident.updated = now;
                touched.insert(*old);
            }
        }
        self.belongs = belongs;
    }

    /// What began together and what ran ahead, of the incidents that are open. Told again only where that has changed.
    fn relink(&mut self, now: Timestamp, vitals: &dyn Vitals, touched: &mut BTreeSet<IncidentId>) {
        let secs = self.began.map_or(0.0, |began| now.since(began).as_secs_f64());
        let rate = (self.next - self.first + 1) as f64 / secs.max(RATE_OVER_S);
        let mut fresh = Vec::new();
        let mut standing: Vec<&Symptom> = self.standing.values().flatten().collect();
        standing.sort_by_key(|symptom| symptom.onset);
        for incident in self.incidents.values().filter(|incident| incident.is_open()) {
            // What is over keeps the links that it had.
            if incident.symptoms.is_empty() {
                continue;
            }
            let begin = standing.partition_point(|symptom| symptom.onset < incident.onset - NEAR);
            let near = standing.iter().skip(begin).copied();
            let near = near.take_while(|symptom| symptom.onset <= incident.onset + NEAR);
            let of_others = |symptom: &&Symptom| self.belongs.get(&symptom.key).is_some_and(|id| *id != incident.id);
            let others: Vec<&Symptom> = near.filter(of_others).take(OTHERS).collect();
            let found = links(incident, &others, rate, vitals);
            let gist = |links: &[Link]| -> Vec<(SymptomKey, SymptomKey, i64)> {
                let rounded = |link: &Link| (link.first.clone(), link.then.clone(), (link.lag_s * 2.0).round() as i64);
                links.iter().map(rounded).collect::<BTreeSet<_>>().into_iter().collect()
            };
            if gist(&found) != gist(&incident.links) {
                fresh.push((incident.id, found));
            }
        }
        for (id, links) in fresh {
            if let Some(incident) = self.incidents.get_mut(&id) {
                incident.links = links;
                incident.updated = now;
                touched.insert(id);
            }
        }
    }

    /// The number for a group: that of the oldest open incident that it continues, or a new one. A group without any known
    /// symptom continues an incident whose symptoms are all over but which still waits to be closed, if it sits at the same place.
    fn claim(&mut self, group: &Group, claimed: &BTreeSet<IncidentId>, topology: &Topology) -> IncidentId {
        let open = |id: &IncidentId| !claimed.contains(id) && self.incidents.get(id).is_some_and(Incident::is_open);
        if let Some(id) = group
            .symptoms
            .iter()
            .filter_map(|s| self.belongs.get(&s.key))
            .filter(|id| open(id))
            .min()
        {
            return *id;
        }
        let places: BTreeSet<&EntityName> = group.symptoms.iter().map(|symptom| &symptom.key.entity).collect();
        let resumed = self.incidents.values().find(|incident| {
            let same_place = |past: &Symptom| {
                places.contains(&past.key.entity)
                    || topology
                        .upstream(past.key.entity.as_str())
                        .iter()
                        .any(|up| places.contains(up))
            };
            open(&incident.id) && incident.symptoms.is_empty() && incident.past.iter().any(same_place)
        });
        if let Some(incident) = resumed {
            return incident.id;
        }
        let id = IncidentId(self.next);
        self.next += 1;
        id
    }

    fn renew(
        &mut self,
        id: IncidentId,
        mut group: Group,
        now: Timestamp,
        topology: &Topology,
        touched: &mut BTreeSet<IncidentId>,
    ) {
        group.symptoms.sort_by(|a, b| a.key.cmp(&b.key));
        let first = group.symptoms.iter().map(|symptom| symptom.onset).min().unwrap_or(now);
        let incident = self.incidents.entry(id).or_insert_with(|| Incident {
            id,
            onset: first,
            opened: now,
            updated: now,
            closed: None,
            merged_into: None,
            topology_version: topology.version(),
            symptoms: Vec::new(),
            past: Vec::new(),
            links: Vec::new(),
            hypotheses: Vec::new(),
        });
        let gist = |hypotheses: &[crate::model::Hypothesis]| -> Vec<(String, String, i64)> {
            // Three decimals: a change beyond them is no news.
            let rounded = |p: f64| (p * 1000.0).round() as i64;
            hypotheses
                .iter()
                .map(|h| (h.fault.to_string(), h.entity.to_string(), rounded(h.probability)))
                .collect()
        };
        let same = incident.symptoms == group.symptoms && gist(&incident.hypotheses) == gist(&group.hypotheses);
        if same && !touched.contains(&id) {
            return;
        }
        incident
            .past
            .retain(|past| group.symptoms.binary_search_by(|own| own.key.cmp(&past.key)).is_err());
        incident.onset = if incident.symptoms.is_empty() {
            first
        } else {
            incident.onset.min(first)
        };
        incident.symptoms = group.symptoms;
        incident.hypotheses = group.hypotheses;
        incident.topology_version = topology.version();
        incident.updated = now;
        touched.insert(id);
    }

    fn close(&mut self, now: Timestamp, touched: &mut BTreeSet<IncidentId>) {
        for incident in self.incidents.values_mut().filter(|incident| incident.is_open()) {
            if incident.symptoms.is_empty() && now.since(incident.updated) >= self.settings.close_after.0 {
                incident.closed = Some(now);
                incident.updated = now;
                touched.insert(incident.id);
            }
        }
        while self.incidents.values().filter(|incident| !incident.is_open()).count() > CLOSED_KEPT {
            let oldest = self
                .incidents
                .values()
                .find(|incident| !incident.is_open())
                .map(|incident| incident.id);
            let Some(oldest) = oldest else { return };
            self.incidents.remove(&oldest);
        }
    }
}

impl Group {
    fn first_key(&self) -> Option<SymptomKey> {
        self.symptoms.iter().map(|symptom| symptom.key.clone()).min()
    }
}
