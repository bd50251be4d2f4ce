//! Recorded incidents: is the right cause named, is the right verdict reached, and do probabilities mean what they say?
//!
//! Each capsule is run through the whole engine again, from its raw inputs. Its truth is compared with what was thought last while anything stood.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use serde::Serialize;

use super::right;
use super::score::{Figures, Scored, calibration_error_of};
use crate::agent::engine_setup;
use crate::capsule::{Capsule, Truth};
use crate::config::Config;
use crate::detect::Sequential;
use crate::diagnose::{Library, Testimony};
use crate::engine::{Effects, Engine, Record};
use crate::model::{Catalog, FaultName, Incident, Timestamp};
use crate::plan::Playbooks;

/// Folders of capsules may hold folders of capsules, down to here.
const DEPTH_MAX: usize = 3;

/// A capsule that cannot be scored.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {problem}")]
pub struct CapsuleProblem {
    path: PathBuf,
    problem: String,
}

impl CapsuleProblem {
    pub(super) fn of(path: &Path, problem: String) -> Self {
        let path = path.to_owned();
        Self { path, problem }
    }
}

/// What came of all of them.
#[derive(Debug, Serialize)]
pub struct CapsuleReport {
    /// Causes, as for the other sets; a case is one fault of one capsule.
    #[serde(flatten)]
    pub causes: Figures,
    /// Capsules.
    pub capsules: usize,
    /// Those among them that could not be read; they count as wrong.
    pub unread: usize,
    /// Share with every cause and every verdict right, and nothing moved without need.
    pub right: f64,
    /// Share of faults with the right verdict.
    pub verdict_right: f64,
    /// Plans that no fault called for.
    pub wrong_moves: usize,
    /// Capsules that look like another fault.
    pub look_alikes: usize,
    /// Share of those that are right.
    pub look_alikes_right: f64,
    /// Mean distance of probability and frequency over every judgement and not only the last: an incident is judged anew whenever it
    /// changes, and counts as one in all.
    pub calibration_error_judgements: f64,
    /// Case by case.
    pub per_case: Vec<Scored>,
    /// What is not right.
    pub wrong: Vec<String>,
}

/// A judgement: its weight, the probability of the most probable cause, and whether that was right.
pub type Judgement = (f64, f64, bool);

/// One capsule, judged.
pub struct Judged {
    /// Its folder.
    pub name: String,
    /// Each fault that really happened.
    pub scored: Vec<Scored>,
    /// Each with its verdict: right or not.
    pub verdicts: Vec<bool>,
    /// Plans that no fault called for.
    pub wrong_moves: usize,
    /// It looks like another fault.
    pub look_alike: bool,
    /// Every judgement of its incidents.
    pub judgements: Vec<Judgement>,
    /// What is not right.
    pub wrong: Vec<String>,
    /// It could not be read.
    pub unread: bool,
}

/// Finds the capsules at, or in, a folder.
pub fn find(path: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    within(path, DEPTH_MAX, &mut found);
    found.sort();
    found
}

fn within(dir: &Path, depth: usize, found: &mut Vec<PathBuf>) {
    if dir.join("manifest.yml").is_file() {
        found.push(dir.to_owned());
        return;
    }
    let Ok(entries) = std::fs::read_dir(dir) else { return };
    if depth > 0 {
        for path in entries
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.is_dir())
        {
            within(&path, depth - 1, found);
        }
    }
}

/// Scores every capsule at, or in, a folder; with these models instead of those that were recorded, if any are given.
pub fn run(path: &Path, models: Option<&[ModelFile]>) -> Result<CapsuleReport, CapsuleProblem> {
    let paths = find(path);
    if paths.is_empty() {
        return Err(CapsuleProblem {
            path: path.to_owned(),
            problem: "no capsule is there (a folder with a manifest.yml)".into(),
        });
    }
    // Models that do not fit are no fault of the capsules.
    if let Some(models) = models {
        let fits = Config::default().take_models(models);
        fits.map_err(|problem| CapsuleProblem::of(Path::new("models"), problem))?;
    }
    let mut judged = Vec::new();
    let mut first = None;
    for path in &paths {
        match judge(path, models.map_or(With::Recorded, With::Models)) {
            Ok(one) => judged.push(one),
            // One that cannot be read is one that is not right, and no reason to leave out the others.
            Err(problem) => {
                judged.push(unread(path, &problem));
                first.get_or_insert(problem);
            }
        }
    }
    let report = report(&judged);
    match first {
        Some(problem) if report.unread == paths.len() => Err(problem),
        _ => Ok(report),
    }
}

/// A capsule of which nothing is known but, perhaps, what really happened.
fn unread(path: &Path, problem: &CapsuleProblem) -> Judged {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let manifest = Capsule::open(path).map(|capsule| capsule.manifest).ok();
    let truths = || manifest.iter().flat_map(|manifest| &manifest.truth);
    let scored = |truth: &Truth| Scored {
        name: name.clone(),
        truth: format!("{} at {}", truth.fault, truth.entity),
        rank: None,
        first: "nothing".into(),
        probability: 0.0,
        why: String::new(),
        kind: None,
        kind_found: None,
        forecasts: Vec::new(),
        group: None,
        seconds: 0.0,
        unscored: Some(problem.problem.clone()),
    };
    Judged {
        scored: truths().map(scored).collect(),
        verdicts: truths().map(|_| false).collect(),
        wrong_moves: 0,
        look_alike: manifest.as_ref().is_some_and(|manifest| !manifest.never.is_empty()),
        judgements: Vec::new(),
        wrong: vec![format!("cannot be read: {}", problem.problem)],
        unread: true,
        name,
    }
}

/// The figures over some capsules.
pub fn report(judged: &[Judged]) -> CapsuleReport {
    let scored: Vec<&Scored> = judged.iter().flat_map(|judged| &judged.scored).collect();
    let verdicts: Vec<bool> = judged
        .iter()
        .flat_map(|judged| judged.verdicts.iter().copied())
        .collect();
    let share = |good: usize, all: usize| good as f64 / all.max(1) as f64;
    let look_alikes: Vec<&Judged> = judged.iter().filter(|judged| judged.look_alike).collect();
    let judgements: Vec<Judgement> = judged
        .iter()
        .flat_map(|judged| judged.judgements.iter().copied())
        .collect();
    CapsuleReport {
        causes: Figures::of(&scored),
        capsules: judged.len(),
        unread: judged.iter().filter(|judged| judged.unread).count(),
        right: share(
            judged.iter().filter(|judged| judged.wrong.is_empty()).count(),
            judged.len(),
        ),
        verdict_right: share(verdicts.iter().filter(|right| **right).count(), verdicts.len()),
        wrong_moves: judged.iter().map(|judged| judged.wrong_moves).sum(),
        look_alikes: look_alikes.len(),
        look_alikes_right: share(
            look_alikes.iter().filter(|judged| judged.wrong.is_empty()).count(),
            look_alikes.len(),
        ),
        calibration_error_judgements: calibration_error_of(&judgements),
        per_case: scored.into_iter().cloned().collect(),
        wrong: judged
            .iter()
            .flat_map(|judged| judged.wrong.iter().map(|wrong| format!("{}: {wrong}", judged.name)))
            .collect(),
    }
}

/// A model: its file's name, and its text.
pub type ModelFile = (String, String);

/// Under which diagnosis.
#[derive(Clone, Copy)]
pub enum With<'a> {
    /// The same patterns, and these models instead of those that were recorded.
    Models(&'a [ModelFile]),
    /// The patterns that were recorded, or those that ship, with what was learned then.
    Recorded,
    /// Made of the same patterns, as they are written.
    Made(&'a dyn Fn(Library) -> Library),
}

/// Runs one capsule.
pub fn judge(path: &Path, with: With<'_>) -> Result<Judged, CapsuleProblem> {
    let wrong = |problem: String| CapsuleProblem {
        path: path.to_owned(),
        problem,
    };
    let capsule = Capsule::open(path).map_err(|error| wrong(error.to_string()))?;
    let begun = Instant::now();
    let (_, log) = replay(&capsule, with).map_err(wrong)?;
    let seconds = begun.elapsed().as_secs_f64();
    let manifest = &capsule.manifest;
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut judged = Judged {
        name,
        scored: Vec::new(),
        verdicts: Vec::new(),
        wrong_moves: 0,
        look_alike: !manifest.never.is_empty(),
        judgements: Vec::new(),
        wrong: Vec::new(),
        unread: false,
    };
    let outcome = right::outcome(&capsule, &log);
    for fault in &outcome.faults {
        let scored = scored(&judged.name, fault, seconds);
        if !fault.is_named() {
            let wrong = format!("{} is not named first but {}", scored.truth, scored.first);
            judged.wrong.push(wrong);
        }
        judged.scored.push(scored);
        if fault.verdict.is_none() {
            let wanted = &fault.truth.verdict;
            let gate = wanted.gate.as_deref().unwrap_or("any gate");
            let reached: Vec<String> = verdicts_on(&log, fault.incident).collect();
            let reached = reached.join(", ");
            judged.wrong.push(format!(
                "verdict {:?} ({gate}) is not reached: {reached}",
                wanted.decision
            ));
        }
        judged.verdicts.push(fault.verdict.is_some());
    }
    judged.wrong.extend(outcome.misnamed);
    judged.wrong_moves = outcome.wrong_moves;
    if judged.wrong_moves > 0 {
        judged
            .wrong
            .push(format!("{} moves that nothing called for", judged.wrong_moves));
    }
    judged.judgements = judgements(&log, &right::finals(&log), &manifest.truth);
    Ok(judged)
}

/// What a capsule can teach.
pub enum Lived {
    /// People said what its incidents were.
    Confirmed(Vec<Testimony>),
    /// What each labelled fault showed of itself.
    Labelled(Vec<Testimony>),
}

/// What the incidents of a capsule showed of themselves.
pub fn testimonies(path: &Path, with: With<'_>) -> Result<Lived, CapsuleProblem> {
    let wrong = |problem: String| CapsuleProblem {
        path: path.to_owned(),
        problem,
    };
    let capsule = Capsule::open(path).map_err(|error| wrong(error.to_string()))?;
    let (engine, log) = replay(&capsule, with).map_err(wrong)?;
    let confirmed = confirmed(&log);
    if !confirmed.is_empty() {
        return Ok(Lived::Confirmed(confirmed));
    }
    let outcome = right::outcome(&capsule, &log);
    let found = outcome.faults.iter().filter_map(|fault| {
        let (truth, incident) = (fault.truth, fault.incident?);
        engine.testimony(incident.id, Some(truth.fault.clone()), Some(truth.entity.clone()))
    });
    Ok(Lived::Labelled(found.collect()))
}

/// What people said of incidents: of each, what was said last.
pub fn confirmed(log: &[Record]) -> Vec<Testimony> {
    let mut last = BTreeMap::new();
    for record in log {
        if let Record::Confirmed {
            incident,
            opened,
            testimony,
            ..
        } = record
        {
            // Incidents are numbered anew in each life of an agent.
            last.insert((*opened, *incident), testimony);
        }
    }
    last.into_values().cloned().collect()
}

/// The config that a capsule was recorded under, with the models and the alerting rules that it names.
pub fn config(capsule: &Capsule) -> Result<Config, String> {
    let mut config = Config::parse(&capsule.config).map_err(|error| {
        let line = error.place.map_or_else(String::new, |(line, _)| format!(":{line}"));
        format!("jurymast.yml{line}: {}", error.message)
    })?;
    config.take_models(&capsule.models)?;
    config.rules.alert_files.clone_from(&capsule.alerts);
    Ok(config)
}

/// Runs a capsule through the whole engine.
pub(super) fn replay(capsule: &Capsule, with: With<'_>) -> Result<(Engine, Vec<Record>), String> {
    let mut config = config(capsule)?;
    match with {
        With::Recorded => {}
        With::Models(models) => config.take_models(models)?,
        With::Made(_) => config.rules.learned.clear(),
    }
    let library = config.library(&capsule.patterns).map_err(|error| error.to_string())?;
    let library = match with {
        With::Recorded | With::Models(_) => library,
        With::Made(made) => made(library),
    };
    let books = capsule
        .playbooks
        .iter()
        .map(|(name, text)| (name.as_str(), text.as_str()));
    let mut playbooks = Playbooks::builtin();
    playbooks.extend(Playbooks::parse(books).map_err(|error| error.to_string())?);
    let catalog = Catalog::new();
    let setup = engine_setup(
        &config,
        Arc::new(library),
        Arc::new(playbooks),
        catalog.clone(),
        Box::new(Sequential),
    );
    let mut engine = Engine::new(setup).map_err(|error| error.to_string())?;
    let (mut log, mut effects) = (Vec::new(), Effects::default());
    capsule
        .inputs(&catalog, |input| {
            engine.handle(input, &mut effects);
            log.append(&mut effects.log);
            effects.clear();
        })
        .map_err(|error| error.to_string())?;
    Ok((engine, log))
}

fn scored(name: &str, found: &right::Fault<'_>, seconds: f64) -> Scored {
    let (truth, incident) = (found.truth, found.incident);
    let top = incident.and_then(Incident::top);
    let hypotheses = incident.map_or(&[][..], |incident| &incident.hypotheses);
    let at_place = hypotheses.iter().find(|h| h.entity == truth.entity);
    Scored {
        name: name.to_owned(),
        truth: format!("{} at {}", truth.fault, truth.entity),
        rank: found.rank,
        first: top.map_or_else(
            || "nothing".to_owned(),
            |top| format!("{} at {}", top.fault, top.entity),
        ),
        probability: top.map_or(0.0, |top| top.probability),
        why: top
            .and_then(|top| top.evidence_for.first().cloned())
            .unwrap_or_default(),
        kind: Some(truth.fault.to_string()).filter(|_| at_place.is_some()),
        kind_found: at_place.map(|h| h.fault.to_string()),
        forecasts: hypotheses
            .iter()
            .map(|h| (h.probability, h.fault == truth.fault && h.entity == truth.entity))
            .collect(),
        group: None,
        seconds,
        unscored: None,
    }
}

fn verdicts_on<'a>(log: &'a [Record], incident: Option<&'a Incident>) -> impl Iterator<Item = String> + 'a {
    log.iter().filter_map(move |record| match record {
        Record::Verdict { verdict } if Some(verdict.incident) == incident.map(|incident| incident.id) => {
            let gate = verdict.refusal.as_ref().map_or("", |refusal| refusal.gate.as_str());
            let fault = verdict.fault.as_ref().map_or("", FaultName::as_str);
            Some(format!("{:?} {gate} of {fault}", verdict.decision))
        }
        _ => None,
    })
}

/// Every time an incident was judged, up to when it was acted upon.
fn judgements(log: &[Record], finals: &[&Incident], truths: &[Truth]) -> Vec<Judgement> {
    let mut found = Vec::new();
    for last in finals {
        let until: Timestamp = last.updated;
        let of_it: Vec<(f64, bool)> = log
            .iter()
            .filter_map(|record| match record {
                Record::Incident { at, incident }
                    if incident.id == last.id && !incident.symptoms.is_empty() && *at <= until =>
                {
                    let top = incident.top()?;
                    let right = truths
                        .iter()
                        .any(|truth| top.fault == truth.fault && top.entity == truth.entity);
                    Some((top.probability, right))
                }
                _ => None,
            })
            .collect();
        // The last, which people are left with, weighs as much as all together.
        let count = of_it.len();
        let each = 0.5 / count.max(1) as f64;
        let weight = |at: usize| if at + 1 == count { 0.5 + each } else { each };
        let weighed = of_it.into_iter().enumerate();
        found.extend(weighed.map(|(at, (said, right))| (weight(at), said, right)));
    }
    found
}
