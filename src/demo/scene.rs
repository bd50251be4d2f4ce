//! One fault from beginning to end: the plant, the agent, a client that counts, and what came of it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{broadcast, mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::faults::Fault;
use super::plant::Plant;
use crate::agent::{self, Options};
use crate::capsule::{Expected, Manifest, Truth};
use crate::clock::wall_clock;
use crate::config::Loaded;
use crate::engine::{PlanEvent, Record};
use crate::model::plan::Outcome;
use crate::model::{Decision, FaultName, Incident, Timestamp, Verdict};

/// The client asks this often, each time on a fresh connection, and waits no longer than this.
const ASK_EVERY: Duration = Duration::from_millis(20);
const PATIENCE: Duration = Duration::from_millis(250);

/// A fault whose right verdict has not come by then is judged as it stands.
const GIVE_UP: Duration = Duration::from_secs(25);

/// How a fault is played.
pub struct Scene {
    /// Which.
    pub fault: &'static Fault,
    /// Makes the choice of timing repeatable.
    pub seed: u64,
    /// Where to record it, if at all.
    pub record: Option<PathBuf>,
    /// How long the plant and the agent go on after it, for whoever wants to look at the page.
    pub stay: Duration,
    /// Told of everything as it happens.
    pub watch: mpsc::UnboundedSender<Happening>,
}

/// Something worth telling.
#[derive(Debug, Clone)]
pub enum Happening {
    /// The plant runs; the page is on that port.
    Ready(u16),
    /// The fault was injected.
    Injected(Timestamp),
    /// The agent decided something.
    Decided(Arc<Record>),
    /// A client was served, or not.
    Asked(bool),
    /// All is over, and goes on for so long.
    Stays(Duration),
}

/// What came of it.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Which fault.
    pub fault: &'static str,
    /// When it was injected.
    pub injected_at: Timestamp,
    /// Milliseconds to the first symptom.
    pub detected_ms: Option<i64>,
    /// The cause that was named last.
    pub cause: Option<String>,
    /// Where it was said to sit.
    pub entity: Option<String>,
    /// How probable it was said to be.
    pub probability: f64,
    /// The verdict.
    pub verdict: Option<Decision>,
    /// The gate that said no.
    pub gate: Option<String>,
    /// Milliseconds to the start of a plan.
    pub acted_ms: Option<i64>,
    /// Milliseconds to the first good answer after the last bad one; 0 if there was no bad one.
    pub restored_ms: Option<i64>,
    /// Requests that got no good answer.
    pub requests_failed: u64,
    /// What is right to do.
    pub right: &'static str,
    /// Cause, place and verdict are right, a move was made if and only if it should be, and the service is up unless nothing could be done.
    pub correct: bool,
}

/// Plays a fault.
pub async fn play(scene: Scene) -> Result<Report, String> {
    let Scene {
        fault,
        seed,
        record,
        stay,
        watch,
    } = scene;
    let own = fault.name == "own-network-loss";
    let (mut plant, text) = Plant::start(seed, own)
        .await
        .map_err(|error| format!("the plant: {error}"))?;
    let dir = tempdir(seed).map_err(|error| format!("a folder for the journal: {error}"))?;
    let loaded = Loaded::of(&text, "demo.yml", &dir.0, |_| None).map_err(|errors| errors.to_string())?;
    let stop = CancellationToken::new();
    let (records, mut decided) = broadcast::channel(65_536);
    let (ready, port) = oneshot::channel();
    let options = Options {
        config: loaded,
        config_path: None,
        observe_only: false,
        record: record.clone(),
        ready: Some(ready),
        watch: Some(records),
        stop: stop.clone(),
    };
    let running = tokio::spawn(agent::run(options));
    let Ok(port) = port.await else {
        return Err(running
            .await
            .map_or_else(|e| e.to_string(), |ended| format!("{:?}", ended.err())));
    };
    let _ = watch.send(Happening::Ready(port));
    let (answers, mut asked) = mpsc::unbounded_channel();
    let client = tokio::spawn(ask_again_and_again(plant.front.port, answers));
    let phase = fastrand::Rng::with_seed(seed).u64(0..1000);
    tokio::time::sleep(Duration::from_secs(fault.warm_up_s) + Duration::from_millis(phase)).await;
    while asked.try_recv().is_ok() {}
    let mut notes = Notes::new(fault, wall_clock());
    let _ = watch.send(Happening::Injected(notes.injected));
    plant
        .inject(fault.name)
        .await
        .map_err(|error| format!("{}: {error}", fault.name))?;
    let begin = Instant::now();
    let mut settled: Option<Instant> = None;
    let watched = Duration::from_secs(fault.watch_s);
    loop {
        tokio::select! {
            heard = decided.recv() => if let Ok(record) = heard {
                notes.take(&record);
                let _ = watch.send(Happening::Decided(record));
            },
            answer = asked.recv() => if let Some((at, good)) = answer {
                notes.asked(at, good);
                let _ = watch.send(Happening::Asked(good));
            },
            () = tokio::time::sleep(Duration::from_millis(20)) => {}
        }
        if settled.is_none() && notes.is_settled() {
            settled = Some(Instant::now());
        }
        let enough = if fault.decision == Decision::Act {
            Duration::from_secs(1)
        } else {
            watched
        };
        if settled.is_some_and(|settled| settled.elapsed() >= enough) || begin.elapsed() > GIVE_UP {
            break;
        }
    }
    client.abort();
    if !stay.is_zero() {
        let _ = watch.send(Happening::Stays(stay));
        tokio::time::sleep(stay).await;
    }
    stop.cancel();
    let _ = running.await;
    drop(plant);
    if let Some(dir) = record {
        label(&dir, fault, notes.injected)?;
    }
    Ok(notes.report())
}

/// Writes the truth into a capsule's manifest.
fn label(dir: &std::path::Path, fault: &Fault, injected: Timestamp) -> Result<(), String> {
    let path = dir.join("manifest.yml");
    let wrong = |error: String| format!("{}: {error}", path.display());
    let text = std::fs::read_to_string(&path).map_err(|error| wrong(error.to_string()))?;
    let mut manifest: Manifest = serde_saphyr::from_str(&text).map_err(|error| wrong(error.to_string()))?;
    fault.deed.clone_into(&mut manifest.name);
    manifest.recorded_from = "the demo plant".into();
    manifest.truth = vec![Truth {
        fault: fault.cause.into(),
        entity: fault.entity.into(),
        onset: injected,
        cured_by: fault.remedy,
        verdict: Expected {
            service: None,
            decision: fault.decision,
            gate: fault.gate.map(String::from),
        },
    }];
    let text = serde_saphyr::to_string(&manifest).map_err(|error| wrong(error.to_string()))?;
    std::fs::write(&path, text).map_err(|error| wrong(error.to_string()))
}

struct Notes {
    fault: &'static Fault,
    injected: Timestamp,
    detected: Option<Timestamp>,
    cause: Option<Incident>,
    verdict: Option<Verdict>,
    acted: Option<Timestamp>,
    moves: u32,
    done: bool,
    failed: u64,
    last_bad: Option<Timestamp>,
    restored: Option<Timestamp>,
    up: bool,
}

impl Notes {
    const fn new(fault: &'static Fault, injected: Timestamp) -> Self {
        Self {
            fault,
            injected,
            detected: None,
            cause: None,
            verdict: None,
            acted: None,
            moves: 0,
            done: false,
            failed: 0,
            last_bad: None,
            restored: None,
            up: true,
        }
    }

    fn take(&mut self, record: &Record) {
        match record {
            Record::Finding { at, .. } if *at > self.injected => {
                self.detected.get_or_insert(*at);
            }
            Record::Incident { at, incident } if *at > self.injected && incident.is_open() && !self.done => {
                // The incident at hand is the one about the injected fault's place, or else the largest.
                let hits = |incident: &Incident| {
                    incident
                        .top()
                        .is_some_and(|top| top.entity.as_str() == self.fault.entity)
                };
                let better = self.cause.as_ref().is_none_or(|known| {
                    known.id == incident.id
                        || !known.is_open()
                        || (hits(incident), incident.symptoms.len()) > (hits(known), known.symptoms.len())
                });
                if better && !incident.symptoms.is_empty() {
                    self.cause = Some(incident.clone());
                }
            }
            Record::Verdict { verdict } if verdict.at > self.injected && !self.done => {
                let about = self
                    .cause
                    .as_ref()
                    .is_none_or(|incident| incident.id == verdict.incident);
                let hits = verdict
                    .entity
                    .as_ref()
                    .is_some_and(|entity| entity.as_str() == self.fault.entity);
                // The verdict to act is told right after the plan that it led to; what comes later is of the aftermath.
                let first = self.acted.is_none() || verdict.decision == Decision::Act;
                if first && (about || hits) {
                    self.verdict = Some(verdict.clone());
                }
            }
            Record::Plan { at, .. } => {
                self.moves += 1;
                self.acted.get_or_insert(*at);
            }
            Record::PlanEvent {
                plan_event: PlanEvent::Ended { outcome, .. },
                ..
            } => {
                self.done = matches!(outcome, Outcome::Done { .. });
            }
            _ => {}
        }
    }

    fn asked(&mut self, at: Timestamp, good: bool) {
        self.up = good;
        if !good {
            self.failed += 1;
            self.last_bad = Some(at);
            self.restored = None;
        } else if self.last_bad.is_some() && self.restored.is_none() {
            self.restored = Some(at);
        }
    }

    fn judged_right(&self) -> bool {
        let cause = self.cause.as_ref().and_then(Incident::top);
        let verdict = self.verdict.as_ref();
        cause.is_some_and(|top| top.fault.as_str() == self.fault.cause && top.entity.as_str() == self.fault.entity)
            && verdict.is_some_and(|verdict| {
                let gate = verdict.refusal.as_ref().map(|refusal| refusal.gate.as_str());
                verdict.decision == self.fault.decision && gate == self.fault.gate
            })
    }

    fn is_settled(&self) -> bool {
        self.judged_right() && (self.fault.decision != Decision::Act || (self.done && self.up))
    }

    fn report(&self) -> Report {
        let ms = |at: Timestamp| (at.nanos() - self.injected.nanos()) / 1_000_000;
        let moved_rightly = match self.fault.decision {
            Decision::Act => self.moves == 1 && self.done && self.up,
            _ => self.moves == 0,
        };
        let top = self.cause.as_ref().and_then(Incident::top);
        let cause: Option<FaultName> = top.map(|top| top.fault.clone());
        Report {
            fault: self.fault.name,
            injected_at: self.injected,
            detected_ms: self.detected.map(ms),
            cause: cause.map(|cause| cause.to_string()),
            entity: top.map(|top| top.entity.to_string()),
            probability: top.map_or(0.0, |top| top.probability),
            verdict: self.verdict.as_ref().map(|verdict| verdict.decision),
            gate: self
                .verdict
                .as_ref()
                .and_then(|verdict| Some(verdict.refusal.as_ref()?.gate.clone())),
            acted_ms: self.acted.map(ms),
            restored_ms: if self.failed == 0 {
                Some(0)
            } else {
                self.restored.map(ms)
            },
            requests_failed: self.failed,
            right: self.fault.right,
            correct: self.judged_right() && moved_rightly,
        }
    }
}

/// A client that never gives up.
async fn ask_again_and_again(port: u16, answers: mpsc::UnboundedSender<(Timestamp, bool)>) {
    let mut due = tokio::time::interval(ASK_EVERY);
    due.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        due.tick().await;
        let answers = answers.clone();
        tokio::spawn(async move {
            let good = tokio::time::timeout(PATIENCE, ask(port))
                .await
                .ok()
                .flatten()
                .unwrap_or(false);
            let _ = answers.send((wall_clock(), good));
        });
    }
}

async fn ask(port: u16) -> Option<bool> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.ok()?;
    stream
        .write_all(b"GET /read HTTP/1.1\r\nHost: plant\r\nConnection: close\r\n\r\n")
        .await
        .ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.ok()?;
    Some(answer.starts_with(b"HTTP/1.1 200"))
}

/// A folder that goes when it is no longer needed.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn tempdir(seed: u64) -> std::io::Result<Folder> {
    let name = format!("jurymast-demo-{}-{seed}-{:x}", std::process::id(), fastrand::u32(..));
    let dir = std::env::temp_dir().join(name);
    std::fs::create_dir(&dir)?;
    Ok(Folder(dir))
}
