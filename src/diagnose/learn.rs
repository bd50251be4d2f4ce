//! What confirmed incidents teach: how often each fault really shows what its pattern says that it shows.
//!
//! The pattern as written is the prior, worth [`PRIOR`] incidents; each confirmed one adds its own (Beta counts with the pattern's mean). So ten incidents already
//! help and none is needed. Of twenty devices that fall silent together each counts for a twentieth: they are no twenty incidents.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::detect::Vitals;
use crate::model::hash::{FNV, fnv1a};
use crate::model::{EntityName, FaultName, Incident, Symptom, Timestamp, Topology};

use super::incidents::Diagnosis;
use super::pattern::{Expectation, Library, Pattern};

/// So many incidents are worth what is written in a pattern.
const PRIOR: f64 = 10.0;

/// The same for how frequent faults are: that takes many more to know.
const PRIOR_FREQUENCY: f64 = 100.0;

/// Nothing shows always or never.
const SURE: f64 = 0.99;

/// What one confirmed incident showed of one fault.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Testimony {
    /// Which fault it was.
    pub fault: FaultName,
    /// Where it sat.
    pub entity: EntityName,
    /// For each expectation of its pattern, by its key, the share of those concerned that showed it.
    pub shown: BTreeMap<String, f64>,
    /// What showed where, seen from there.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub features: BTreeMap<String, f64>,
}

/// What many have shown.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lessons {
    /// By fault.
    pub faults: BTreeMap<FaultName, Lesson>,
}

/// What many have shown of one fault.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lesson {
    /// Incidents that it happened in by itself: what was acted out or chosen says nothing of how often faults happen.
    pub happened: f64,
    /// For each expectation, by its key: how often it was shown, and how often not.
    pub shown: BTreeMap<String, (f64, f64)>,
}

impl Lessons {
    /// Adds what one incident showed that happened by itself.
    pub fn add(&mut self, testimony: &Testimony) {
        self.add_chosen(testimony);
        self.faults.entry(testimony.fault.clone()).or_default().happened += 1.0;
    }

    /// Adds what one incident showed that was acted out, or chosen from many.
    pub fn add_chosen(&mut self, testimony: &Testimony) {
        let lesson = self.faults.entry(testimony.fault.clone()).or_default();
        for (key, share) in &testimony.shown {
            let share = share.clamp(0.0, 1.0);
            let counts = lesson.shown.entry(key.clone()).or_default();
            counts.0 += share;
            counts.1 += 1.0 - share;
        }
    }

    fn happened(&self) -> f64 {
        self.faults.values().map(|lesson| lesson.happened).sum()
    }
}

impl Library {
    /// The same faults, with likelihoods and frequencies as lessons have them.
    #[must_use]
    pub fn taught(&self, lessons: &Lessons) -> Self {
        let all = lessons.happened();
        self.map(|pattern| {
            let lesson = lessons.faults.get(&pattern.name);
            let seen = lesson.map_or(0.0, |lesson| lesson.happened);
            if all > 0.0 {
                pattern.prior = (PRIOR_FREQUENCY * pattern.prior + seen) / (PRIOR_FREQUENCY + all);
            }
            let Some(lesson) = lesson else { return };
            // What it must not show: its likelihood is that of not showing it.
            for (expectations, inverse) in [
                (&mut pattern.must, false),
                (&mut pattern.may, false),
                (&mut pattern.must_not, true),
            ] {
                for expectation in expectations {
                    let Some((shown, missed)) = lesson.shown.get(&key(expectation)) else {
                        continue;
                    };
                    let right = if inverse { missed } else { shown };
                    let learned = (PRIOR * expectation.likelihood + right) / (PRIOR + shown + missed);
                    expectation.likelihood = learned.clamp(1.0 - SURE, SURE);
                }
            }
        })
    }
}

/// The keys of all that a pattern expects.
pub(super) fn keys(pattern: &Pattern) -> impl Iterator<Item = String> {
    let all = pattern.must.iter().chain(&pattern.may).chain(&pattern.must_not);
    all.map(key)
}

/// What makes an expectation the same one, whatever its likelihood is.
fn key(expectation: &Expectation) -> String {
    let bare = Expectation {
        likelihood: 0.5,
        ..expectation.clone()
    };
    format!("{:016x}", fnv1a(FNV, &serde_json::to_string(&bare).unwrap_or_default()))
}

impl Diagnosis {
    /// What an incident showed of the fault that it turned out to be, over all of its time. `None` if no pattern is called so.
    pub fn testimony(
        &self,
        incident: &Incident,
        fault: &FaultName,
        entity: &EntityName,
        now: Timestamp,
        topology: &Topology,
        vitals: &dyn Vitals,
    ) -> Option<Testimony> {
        let pattern: &Pattern = self.library().patterns().find(|pattern| pattern.name == *fault)?;
        let mut all: BTreeMap<EntityName, Vec<Symptom>> = BTreeMap::new();
        for symptom in incident.symptoms.iter().chain(&incident.past) {
            all.entry(symptom.key.entity.clone()).or_default().push(symptom.clone());
        }
        let scene = super::scene::Scene {
            all: &all,
            ..self.scene(now, topology, vitals)
        };
        let mut shown = BTreeMap::new();
        let expectations = pattern.must.iter().chain(&pattern.may).chain(&pattern.must_not);
        for expectation in expectations {
            let members = scene.whose(expectation, entity);
            let members = members
                .as_ref()
                .map_or(std::slice::from_ref(entity), |members| &members.all);
            let (mut showing, mut seen) = (0_u32, 0_u32);
            for member in members {
                let shows = scene.fitting(expectation, member, None).next().is_some();
                let vital = vitals.vital(member.as_str());
                // Of whom nothing is ever seen nothing is learned.
                if shows || vital.last_speech.is_some() || vital.last_reach.is_some() {
                    seen += 1;
                    showing += u32::from(shows);
                }
            }
            if seen > 0 {
                let share = if expectation.any {
                    f64::from(showing.min(1))
                } else {
                    f64::from(showing) / f64::from(seen)
                };
                shown.insert(key(expectation), share);
            }
        }
        let symptoms: Vec<&Symptom> = all.values().flatten().collect();
        Some(Testimony {
            fault: fault.clone(),
            entity: entity.clone(),
            shown,
            features: super::resemblance::features(&symptoms, entity, topology, scene.siblings),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATTERN: &str = "- {name: x, summary: s, at: [service], prior: 0.1, remedy: notify, must: [{kinds: [refused], likelihood: 0.9}], \
                           may: [{kinds: [alert], likelihood: 0.4}], must_not: [{kinds: [silent], likelihood: 0.8}], source: s}";

    fn taught(shares: [f64; 3], times: usize) -> Pattern {
        let library = Library::parse([("a.yml", PATTERN)]).unwrap();
        let pattern = library.patterns().next().unwrap().clone();
        let expectations = pattern.must.iter().chain(&pattern.may).chain(&pattern.must_not);
        let shown: BTreeMap<String, f64> = expectations.map(key).zip(shares).collect();
        let testimony = Testimony {
            fault: "x".into(),
            entity: "app".into(),
            shown,
            features: BTreeMap::new(),
        };
        let mut lessons = Lessons::default();
        for _ in 0..times {
            lessons.add(&testimony);
        }
        let taught = library.taught(&lessons);
        taught.patterns().next().unwrap().clone()
    }

    #[test]
    fn without_any_incident_all_stays_as_it_is_written() {
        let library = Library::parse([("a.yml", PATTERN)]).unwrap();
        assert_eq!(library.taught(&Lessons::default()), library);
    }

    #[test]
    fn ten_incidents_weigh_as_much_as_what_is_written() {
        let pattern = taught([1.0, 0.0, 1.0], 10);
        assert!((pattern.must[0].likelihood - 0.95).abs() < 1e-9);
        assert!((pattern.may[0].likelihood - 0.2).abs() < 1e-9);
        assert!(
            (pattern.must_not[0].likelihood - 0.4).abs() < 1e-9,
            "it shows what it must not"
        );
        assert!(pattern.prior > 0.1, "and it happens");
    }

    #[test]
    fn nothing_becomes_certain() {
        let pattern = taught([1.0, 0.0, 0.0], 100_000);
        assert!(pattern.must[0].likelihood <= SURE && pattern.may[0].likelihood >= 1.0 - SURE);
        assert!(pattern.prior < 1.0);
    }
}
