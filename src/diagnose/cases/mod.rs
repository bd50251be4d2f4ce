//! Tests of patterns, written in YAML beside them: what shows, and which fault must be named.
//!
//! Each case is played through [`Diagnosis`] on a virtual clock, tick by tick, as the engine would.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::detect::{Vital, Vitals};
use crate::model::event::Presence;
use crate::model::hint::meant;
use crate::model::symptom::Finding;
use crate::model::{
    EdgeKind, Entity, EntityKind, EntityName, Evidence, FaultName, Incident, Reach, Severity, Span, Symptom,
    SymptomKey, SymptomKind, Timestamp, Topology, TopologyChange,
};

use super::incidents::Diagnosis;
use super::pattern::Library;
use super::scene::Siblings;
use super::settings::Settings;

/// A case begins here; the time itself means nothing.
const START: Timestamp = Timestamp::from_secs(1_000_000);

/// Step of the virtual clock.
const TICK: Duration = Duration::from_millis(100);

/// No case lasts longer.
const LASTS_MAX: Duration = Duration::from_secs(3600);

/// Entities that one `{1-20}` may stand for.
const RANGE_MAX: u32 = 5000;

/// What stands, what shows, what must be named.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PatternCase {
    /// What it is about, as a sentence.
    pub case: String,
    /// Entities by kind; `sensor-{1-20}` stands for twenty.
    pub entities: BTreeMap<EntityKind, Vec<String>>,
    /// `ingest-a depends_on db`; the kinds of edges are those of the config.
    #[serde(default)]
    pub edges: Vec<String>,
    /// Instances of one service, service by service.
    #[serde(default)]
    pub instances: Vec<Vec<EntityName>>,
    /// What shows, as `TIME ENTITY KIND [SIGNAL]`: `500ms ingest-a refused`, `2s db high replication_lag`; `over` as the last
    /// word ends it.
    pub shows: Vec<String>,
    /// Entities that answer and speak all the time.
    #[serde(default)]
    pub well: Vec<String>,
    /// Judged so long after the start.
    pub after: Span,
    /// What must be named, one per incident. Empty: nothing may be named.
    pub expect: Vec<Expected>,
    /// Faults that may not be the most probable of any incident.
    #[serde(default)]
    pub never: Vec<FaultName>,
}

/// The most probable cause of one incident.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Expected {
    /// Its name; `something-else` where no pattern fits.
    pub fault: FaultName,
    /// Where it sits.
    #[serde(default)]
    pub at: Option<EntityName>,
    /// At least so probable.
    #[serde(default = "half")]
    pub probability: f64,
}

const fn half() -> f64 {
    0.5
}

/// What came of one case.
#[derive(Debug, Clone, Serialize)]
pub struct CaseResult {
    /// Its sentence.
    pub case: String,
    /// The fault that it expects, for counting what is tested.
    pub expects: Vec<FaultName>,
    /// What was not as expected; empty when it passed.
    pub problems: Vec<String>,
}

/// A file of cases that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum CaseError {
    /// Not YAML, or not a list of cases. The message holds line and column.
    #[error("{0}")]
    Syntax(String),
    /// A case that contradicts itself.
    #[error("case '{case}': {problem}")]
    Content {
        /// Which.
        case: String,
        /// What is wrong, and how to mend it.
        problem: String,
    },
}

/// Reads a file of cases.
pub fn read_cases(text: &str) -> Result<Vec<PatternCase>, CaseError> {
    serde_saphyr::from_str(text).map_err(|error| CaseError::Syntax(meant(&error.to_string())))
}

/// Plays every case of a file against a library.
pub fn run_cases(text: &str, library: &Arc<Library>, settings: &Settings) -> Result<Vec<CaseResult>, CaseError> {
    read_cases(text)?
        .iter()
        .map(|case| {
            let wrong = |problem| CaseError::Content {
                case: case.case.clone(),
                problem,
            };
            let incidents = play(case, library, settings).map_err(wrong)?;
            Ok(CaseResult {
                case: case.case.clone(),
                expects: case.expect.iter().map(|expected| expected.fault.clone()).collect(),
                problems: compare(case, &incidents),
            })
        })
        .collect()
}

/// One line of `shows`, for one entity.
#[derive(Debug, Clone, PartialEq)]
pub struct Shown {
    /// How long after the beginning.
    pub after: Span,
    /// What.
    pub key: SymptomKey,
    /// It ends then.
    pub over: bool,
}

impl PatternCase {
    /// What stands.
    pub fn topology(&self) -> Result<Topology, String> {
        topology(self)
    }

    /// What shows, in order of time.
    pub fn shown(&self) -> Result<Vec<Shown>, String> {
        let mut shown = Vec::new();
        for line in &self.shows {
            shown.extend(read_shown(line)?);
        }
        shown.sort_by_key(|shown| shown.after);
        Ok(shown)
    }

    /// Who answers and speaks all the time.
    pub fn well(&self) -> Result<BTreeSet<EntityName>, String> {
        let mut well = BTreeSet::new();
        for name in &self.well {
            well.extend(expand(name)?);
        }
        Ok(well)
    }
}

/// What everybody would know of everybody at one moment.
struct Signs {
    now: Timestamp,
    well: BTreeSet<EntityName>,
    ill: BTreeMap<EntityName, Vital>,
}

impl Vitals for Signs {
    fn vital(&self, entity: &str) -> Vital {
        if let Some(vital) = self.ill.get(entity) {
            return vital.clone();
        }
        if !self.well.contains(entity) {
            return Vital::default();
        }
        let took = Span::millis(1);
        Vital {
            last_speech: Some(self.now),
            last_reach: Some((Reach::Good { took }, self.now)),
            presence: Some(Presence::Online),
        }
    }
}

fn play(case: &PatternCase, library: &Arc<Library>, settings: &Settings) -> Result<Vec<Incident>, String> {
    if case.after.0 > LASTS_MAX {
        return Err(format!("'after' is {}; {} is the most", case.after, Span(LASTS_MAX)));
    }
    let topology = topology(case)?;
    let known = |name: &EntityName| {
        topology
            .entity(name.as_str())
            .map(|_| ())
            .ok_or_else(|| format!("'{name}' is not among its entities"))
    };
    let shown = case.shown()?;
    let mut signs = Signs {
        now: START,
        well: case.well()?,
        ill: BTreeMap::new(),
    };
    let mut siblings = Siblings::new();
    for service in &case.instances {
        for one in service {
            let others = service.iter().filter(|other| *other != one).cloned().collect();
            siblings.insert(one.clone(), others);
        }
    }
    let named = shown.iter().map(|shown| &shown.key.entity);
    named.chain(&signs.well).chain(siblings.keys()).try_for_each(known)?;
    let mut diagnosis = Diagnosis::new(settings.clone(), Arc::clone(library), "agent".into(), siblings);
    let directly = shown.iter().filter(|shown| reach_of(shown.key.kind).is_some());
    for entity in directly.map(|shown| &shown.key.entity).chain(&signs.well) {
        if !matches!(topology.kind(entity.as_str()), EntityKind::Device | EntityKind::Gateway) {
            diagnosis.reaches(entity);
        }
    }
    let mut shown = shown.into_iter().peekable();
    let mut passed = Duration::ZERO;
    while passed <= case.after.0 {
        signs.now = START + passed;
        let mut findings = Vec::new();
        while let Some(next) = shown.next_if(|next| next.after.0 <= passed) {
            findings.push(signs.take(next));
        }
        diagnosis.update(signs.now, &findings, &topology, &signs);
        passed += TICK;
    }
    Ok(diagnosis
        .incidents()
        .filter(|i| i.is_open() && !i.symptoms.is_empty())
        .cloned()
        .collect())
}

impl Signs {
    fn take(&mut self, shown: Shown) -> Finding {
        let at = START + shown.after.0;
        if shown.over {
            self.ill.remove(&shown.key.entity);
            return Finding::Cleared { key: shown.key, at };
        }
        let vital = self.ill.entry(shown.key.entity.clone()).or_default();
        if let Some(reach) = reach_of(shown.key.kind) {
            vital.last_reach = Some((reach, at));
        }
        match shown.key.kind {
            SymptomKind::Silent => vital.last_speech = Some(at - Duration::from_secs(1)),
            SymptomKind::Lost => vital.presence = Some(Presence::Lost),
            _ => {}
        }
        let severity = if shown.key.kind == SymptomKind::Restarted {
            Severity::Info
        } else {
            Severity::Warning
        };
        Finding::Raised(Symptom {
            key: shown.key,
            severity,
            onset: at,
            raised: at,
            score: 0.97,
            evidence: Evidence::default(),
            detector: "case".into(),
        })
    }
}

/// What trying to reach it gives where it shows that.
pub fn reach_of(kind: SymptomKind) -> Option<Reach> {
    Some(match kind {
        SymptomKind::Refused => Reach::Refused,
        SymptomKind::NoAnswer => Reach::NoAnswer,
        SymptomKind::Unreachable => Reach::Unreachable,
        SymptomKind::Failing => Reach::Failing { detail: "503".into() },
        SymptomKind::Odd => Reach::Odd { detail: "404".into() },
        _ => return None,
    })
}

fn topology(case: &PatternCase) -> Result<Topology, String> {
    let mut topology = Topology::new();
    for (kind, names) in &case.entities {
        for name in names {
            for name in expand(name)? {
                let entity = Entity {
                    name,
                    kind: *kind,
                    period: None,
                    group: None,
                    attributes: BTreeMap::new(),
                };
                topology.apply(&TopologyChange::Entity { entity });
            }
        }
    }
    for line in &case.edges {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [from, edge, to] = words.as_slice() else {
            return Err(format!("edge '{line}' is not 'FROM EDGE TO'"));
        };
        let edge: EdgeKind = word(edge)?;
        for from in expand(from)? {
            for to in expand(to)? {
                for end in [&from, &to] {
                    if topology.entity(end.as_str()).is_none() {
                        return Err(format!("edge '{line}': '{end}' is not among its entities"));
                    }
                }
                let from = from.clone();
                topology.apply(&TopologyChange::Edge { from, edge, to });
            }
        }
    }
    Ok(topology)
}

fn read_shown(line: &str) -> Result<Vec<Shown>, String> {
    let mut words: Vec<&str> = line.split_whitespace().collect();
    let over = words.last() == Some(&"over");
    if over {
        words.pop();
    }
    let (after, entity, kind, signal) = match words.as_slice() {
        [after, entity, kind] => (after, entity, kind, ""),
        [after, entity, kind, signal] => (after, entity, kind, *signal),
        _ => return Err(format!("'{line}' is not 'TIME ENTITY KIND [SIGNAL] [over]'")),
    };
    let after: Span = after.parse().map_err(|error| format!("'{line}': {error}"))?;
    let kind = word(kind).map_err(|error| format!("'{line}': {error}"))?;
    Ok(expand(entity)?
        .into_iter()
        .map(|entity| Shown {
            after,
            key: SymptomKey {
                entity,
                kind,
                signal: signal.into(),
            },
            over,
        })
        .collect())
}

/// A word that the config knows too.
fn word<T: for<'de> Deserialize<'de>>(text: &str) -> Result<T, String> {
    T::deserialize(serde::de::value::StrDeserializer::<serde::de::value::Error>::new(text))
        .map_err(|error| error.to_string())
}

/// `sensor-{1-3}` as its three names.
fn expand(name: &str) -> Result<Vec<EntityName>, String> {
    let Some((before, (range, after))) = name
        .split_once('{')
        .and_then(|(before, rest)| Some((before, rest.split_once('}')?)))
    else {
        return Ok(vec![name.into()]);
    };
    let ends = range
        .split_once('-')
        .and_then(|(first, last)| Some((first.parse::<u32>().ok()?, last.parse::<u32>().ok()?)));
    match ends {
        Some((first, last)) if first <= last && last - first < RANGE_MAX => Ok((first..=last)
            .map(|number| EntityName::from(format!("{before}{number}{after}").as_str()))
            .collect()),
        _ => Err(format!("'{name}': '{{{range}}}' is not a range such as {{1-20}}")),
    }
}

fn compare(case: &PatternCase, incidents: &[Incident]) -> Vec<String> {
    let mut problems = Vec::new();
    let tell = |incident: &Incident| {
        incident
            .hypotheses
            .iter()
            .take(3)
            .map(|h| format!("{} at {} ({:.2})", h.fault, h.entity, h.probability))
            .collect::<Vec<_>>()
            .join(", ")
    };
    let mut left: Vec<&Incident> = incidents.iter().collect();
    for expected in &case.expect {
        let place = left.iter().position(|incident| {
            incident.top().is_some_and(|top| {
                top.fault == expected.fault
                    && expected.at.as_ref().is_none_or(|at| *at == top.entity)
                    && top.probability >= expected.probability
            })
        });
        match place {
            Some(place) => {
                left.remove(place);
            }
            None => problems.push(format!(
                "expected {}{} with at least {:.2}",
                expected.fault,
                expected.at.as_ref().map(|at| format!(" at {at}")).unwrap_or_default(),
                expected.probability
            )),
        }
    }
    problems.extend(left.iter().map(|incident| format!("found instead: {}", tell(incident))));
    for incident in incidents {
        if let Some(top) = incident.top().filter(|top| case.never.contains(&top.fault)) {
            problems.push(format!("{} must not be named: {}", top.fault, tell(incident)));
        }
    }
    problems
}

#[cfg(test)]
mod pairs;
#[cfg(test)]
mod tests;
