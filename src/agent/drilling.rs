//! Drills on the agent's side: the history in the `data_dir`, words to the other agents, and dry ones that the engine finds due.

use std::collections::VecDeque;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::sync::mpsc;

use super::drill::{Found, Look, drill};
use super::sharing;
use crate::act::Conductor;
use crate::api::DrillsView;
use crate::clock::wall_clock;
use crate::config::Loaded;
use crate::engine::{Engine, Input, OperatorCommand, Record};
use crate::model::{Drill, DrillKind, EntityName, Service, ServiceName, Span, Timestamp};

/// The file in the agent's `data_dir`: a line for each drill that is over.
pub const FILE: &str = "drills.jsonl";

/// Drills that are remembered; twice as many lines are kept on disk before the oldest are left out.
const KEPT: usize = 1000;

/// Drills that the page and the API show.
const SHOWN: usize = 200;

/// Reads the drills that an agent has kept, oldest first. Lines that cannot be read are left out, and counted.
pub fn history(data_dir: &Path) -> std::io::Result<(Vec<Drill>, usize)> {
    let text = match std::fs::read_to_string(data_dir.join(FILE)) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok((Vec::new(), 0)),
        Err(error) => return Err(error),
    };
    let lines = text.lines().count();
    let read: Vec<Drill> = text
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect();
    let bad = lines - read.len();
    Ok((read, bad))
}

/// See the module.
pub struct Drilling {
    path: PathBuf,
    kept: VecDeque<Drill>,
    lines: usize,
    shown: Arc<Vec<Drill>>,
    config: Arc<ArcSwap<Loaded>>,
}

impl Drilling {
    /// In that folder; by the config that runs.
    pub fn of(data_dir: &Path, config: Arc<ArcSwap<Loaded>>) -> Self {
        let (read, bad) = history(data_dir).unwrap_or_else(|error| {
            tracing::warn!(%error, "the history of drills cannot be read");
            (Vec::new(), 0)
        });
        if bad > 0 {
            tracing::warn!(bad, "lines of {FILE} cannot be read");
        }
        let lines = read.len() + bad;
        let skipped = read.len().saturating_sub(KEPT);
        let mut drilling = Self {
            path: data_dir.join(FILE),
            kept: read.into_iter().skip(skipped).collect(),
            lines,
            shown: Arc::default(),
            config,
        };
        drilling.show();
        drilling
    }

    /// Takes in a record if it is one of a drill: it outlives this agent, and the others learn of it.
    pub fn keep(&mut self, record: &Record, conductor: Option<&Conductor>, sharing: Option<&sharing::Handle>) {
        let Record::Drill { drill, .. } = record else { return };
        if let Some(conductor) = conductor {
            let word = OperatorCommand::Drilled { drill: drill.clone() };
            sharing::remember(conductor, sharing, &word);
        }
        let same =
            |known: &Drill| (&known.service, known.kind, known.begun) == (&drill.service, drill.kind, drill.begun);
        if drill.ended.is_none() || self.kept.iter().any(same) {
            return;
        }
        tracing::info!(service = %drill.service, good = drill.is_good(), "drill: {}", drill.summary());
        if self.kept.len() >= KEPT {
            self.kept.pop_front();
        }
        self.kept.push_back(drill.as_ref().clone());
        self.show();
        if let Err(error) = self.write(drill) {
            tracing::error!(path = %self.path.display(), %error, "a drill cannot be kept");
        }
    }

    fn show(&mut self) {
        self.shown = Arc::new(self.kept.iter().rev().take(SHOWN).cloned().collect());
    }

    fn write(&mut self, drill: &Drill) -> std::io::Result<()> {
        if let Some(dir) = self.path.parent() {
            std::fs::create_dir_all(dir)?;
        }
        if self.lines >= 2 * KEPT {
            let next = self.path.with_extension("next");
            let lines: Result<Vec<String>, _> = self.kept.iter().map(serde_json::to_string).collect();
            std::fs::write(&next, lines?.join("\n") + "\n")?;
            std::fs::File::open(&next)?.sync_data()?;
            std::fs::rename(&next, &self.path)?;
            self.lines = self.kept.len();
            return Ok(());
        }
        let mut file = std::fs::OpenOptions::new().create(true).append(true).open(&self.path)?;
        let line = serde_json::to_string(drill)? + "\n";
        file.write_all(line.as_bytes())?;
        self.lines += 1;
        file.sync_data()
    }

    /// Takes the looks of a dry drill, beside everything else; what it finds comes in as an input.
    pub fn dry(&self, engine: &Engine, name: &ServiceName, inbox: &mpsc::Sender<Input>) {
        let mut services = engine.services();
        let Some((service, active)) = services
            .find(|(service, _)| service.name == *name)
            .map(|(service, state)| (service.clone(), state.active.clone()))
        else {
            return;
        };
        let (loaded, inbox) = (self.config.load_full(), inbox.clone());
        tokio::spawn(async move {
            let begun = wall_clock();
            let from = [(service.name.clone(), active.clone())].into();
            let looks = drill(&loaded, &[&service], &from).await;
            let drill = ended(&service, active, &looks, (begun, wall_clock()));
            let word = OperatorCommand::Drilled { drill: Box::new(drill) };
            super::send(&inbox, Input::Operator(word)).await;
        });
    }

    /// As the API shows it.
    pub fn view(&self, engine: &Engine) -> DrillsView {
        DrillsView {
            latest: engine.drills().cloned().collect(),
            warnings: engine
                .drill_warnings()
                .map(|(service, why)| (service.clone(), why.to_owned()))
                .collect(),
            waiting: engine
                .drills_waiting()
                .map(|(service, since, why)| {
                    let since: String = since.to_string().chars().take(16).collect();
                    let text = format!("the drill of {service} that is due since {since}Z waits: {why}");
                    (service.clone(), text)
                })
                .collect(),
            refused: engine.drills_refused().cloned().collect(),
            history: Arc::clone(&self.shown),
        }
    }
}

/// The looks of one service as a drill that is over.
fn ended(service: &Service, active: EntityName, looks: &[Look], (begun, ended): (Timestamp, Timestamp)) -> Drill {
    let problem = |look: &Look| match &look.found {
        Found::Bad(why) => Some(format!("{}: {why}", look.name)),
        Found::Good | Found::Unseen(_) => None,
    };
    Drill {
        service: service.name.clone(),
        kind: DrillKind::Dry,
        asked: "schedule".into(),
        by: "schedule".into(),
        begun,
        ended: Some(ended),
        from: active,
        to: None,
        stay: Span::default(),
        legs: Vec::new(),
        looks: looks.len(),
        notice_s: 0.0,
        rto_objective_s: service.rto.0.as_secs_f64(),
        rpo_s: None,
        rpo_objective_s: service.rpo.map(|rpo| rpo.0.as_secs_f64()),
        problems: looks.iter().filter_map(problem).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(begun: i64, ended: Option<i64>) -> Record {
        let drill = Drill {
            service: "web".into(),
            kind: DrillKind::Dry,
            asked: String::new(),
            by: String::new(),
            begun: Timestamp::from_secs(begun),
            ended: ended.map(Timestamp::from_secs),
            from: "a".into(),
            to: None,
            stay: Span::default(),
            legs: Vec::new(),
            looks: 1,
            notice_s: 0.0,
            rto_objective_s: 1.0,
            rpo_s: None,
            rpo_objective_s: None,
            problems: Vec::new(),
        };
        Record::Drill {
            at: Timestamp::EPOCH,
            drill: Box::new(drill),
        }
    }

    #[test]
    fn each_drill_is_kept_once_when_it_is_over_and_the_file_stays_bounded() {
        let dir = tempfile::tempdir().unwrap();
        let loaded = Loaded::of("", "none.yml", dir.path(), |_| None).unwrap();
        let config = Arc::new(ArcSwap::from_pointee(loaded));
        let open = || Drilling::of(dir.path(), Arc::clone(&config));
        let mut drilling = open();
        for record in [
            record(1, None),
            record(1, Some(2)),
            record(1, Some(2)),
            record(3, Some(4)),
        ] {
            drilling.keep(&record, None, None);
        }
        let begun = |drilling: &Drilling| {
            drilling
                .kept
                .iter()
                .map(|drill| drill.begun.millis())
                .collect::<Vec<_>>()
        };
        assert_eq!(begun(&drilling), [1000, 3000]);
        assert_eq!(begun(&open()), [1000, 3000]);
        let path = dir.path().join(FILE);
        std::fs::write(
            &path,
            "half a line\n".to_owned() + &std::fs::read_to_string(&path).unwrap(),
        )
        .unwrap();
        assert_eq!(history(dir.path()).unwrap().1, 1);
        let mut drilling = open();
        for n in 10..10 + 2 * i64::try_from(KEPT).unwrap() {
            drilling.keep(&record(n, Some(n)), None, None);
        }
        assert!(std::fs::read_to_string(&path).unwrap().lines().count() <= 2 * KEPT);
        assert_eq!(open().kept.len(), KEPT);
    }
}
