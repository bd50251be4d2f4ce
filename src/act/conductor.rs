//! The conductor: does what runners command. One task for each plan; one journal for all.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::Deserialize;
use tokio::sync::mpsc;
use tokio_util::task::TaskTracker;

use super::executor::{Call, Executors, parameters};
use super::journal::{Journal, JournalError, Record, State};
use super::probe::Prober;
use super::runner::{Applied, Command, Effect, Event, Runner};
use crate::clock::wall_clock;
use crate::engine::{Input, Permit, PlanEvent};
use crate::model::service::ProbeSpec;
use crate::model::{Entity, EntityName, Plan, PlanId, Service, ServiceName, Step, Topology};

/// A plan's task is told of at most so many permits and aborts that it has not yet heeded.
const NEWS: usize = 16;

/// A record that takes longer than this is written too late to act on what the gates said before.
const JOURNAL_LATE: Duration = Duration::from_secs(2);

/// Between two good answers that verify a target, unless the step says otherwise.
const VERIFY_PAUSE: Duration = Duration::from_millis(50);

/// Carries out plans. Cloning shares it.
#[derive(Clone)]
pub struct Conductor {
    shared: Arc<Shared>,
}

struct Shared {
    journal: Mutex<Journal>,
    executors: Executors,
    prober: Arc<Prober>,
    inbox: mpsc::Sender<Input>,
    running: Mutex<HashMap<PlanId, mpsc::Sender<News>>>,
    world: Mutex<World>,
    tasks: TaskTracker,
}

/// What verification needs to know of services and their instances.
#[derive(Default)]
struct World {
    probes: HashMap<ServiceName, ProbeSpec>,
    entities: HashMap<EntityName, Entity>,
}

enum News {
    Permit(Permit),
    Abort(String),
}

/// What the journal told at start.
pub struct Recovered {
    /// Its state.
    pub state: State,
    /// Bytes of a record that a crash had cut off.
    pub torn: u64,
}

/// A conductor that cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// No journal, no acting.
    #[error(transparent)]
    Journal(#[from] JournalError),
}

impl Conductor {
    /// Opens the journal in `dir`. Nothing runs yet; [`Conductor::resume`] goes on with what a crash had interrupted.
    pub fn start(dir: &Path, prober: Arc<Prober>, inbox: mpsc::Sender<Input>) -> Result<(Self, Recovered), StartError> {
        let opened = Journal::open(dir, wall_clock())?;
        let shared = Arc::new(Shared {
            journal: Mutex::new(opened.journal),
            executors: Executors::new(),
            prober,
            inbox,
            running: Mutex::default(),
            world: Mutex::default(),
            tasks: TaskTracker::new(),
        });
        Ok((
            Self { shared },
            Recovered {
                state: opened.state,
                torn: opened.torn,
            },
        ))
    }

    /// Tells how services are probed and where their instances are.
    pub fn know(&self, services: &[Service], topology: &Topology) {
        let mut world = self.shared.world.lock().unwrap_or_else(PoisonError::into_inner);
        world.probes = services.iter().map(|s| (s.name.clone(), s.probe.clone())).collect();
        let instances = services.iter().flat_map(Service::instances);
        world.entities = instances
            .filter_map(|name| Some((name.clone(), topology.entity(name.as_str())?.clone())))
            .collect();
    }

    /// Puts a record that belongs to no plan on disk.
    pub fn note(&self, record: &Record) -> Result<(), JournalError> {
        self.shared
            .journal
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .append(record)
    }

    /// Carries out a new plan.
    pub fn run(&self, plan: Plan) {
        self.launch(Runner::new(plan));
    }

    /// Goes on with plans that a crash had interrupted.
    pub fn resume(&self, state: &State) {
        for (plan, entries) in state.open.values() {
            if let Some(runner) = Runner::restore(plan.clone(), entries) {
                tracing::warn!(plan = %plan.id, "resuming a plan that was interrupted");
                self.launch(runner);
            }
        }
    }

    fn launch(&self, runner: Runner) {
        let (news, inbox) = mpsc::channel(NEWS);
        let id = runner.plan().id.clone();
        self.running().insert(id.clone(), news);
        let shared = Arc::clone(&self.shared);
        self.shared.tasks.spawn(async move {
            conduct(&shared, runner, inbox).await;
            shared
                .running
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .remove(&id);
        });
    }

    fn running(&self) -> std::sync::MutexGuard<'_, HashMap<PlanId, mpsc::Sender<News>>> {
        self.shared.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands a permit to the plan that asked for it.
    pub fn permit(&self, permit: Permit) {
        if let Some(news) = self.running().get(&permit.plan) {
            // A task that has ended or is flooded asks again after a restart; nothing is done without the permit.
            let _ = news.try_send(News::Permit(permit));
        }
    }

    /// Takes a plan back, or stops it where it is.
    pub fn abort(&self, plan: &PlanId, reason: String) -> bool {
        self.running()
            .get(plan)
            .is_some_and(|news| news.try_send(News::Abort(reason)).is_ok())
    }

    /// Waits for running plans to end, for at most so long. What has not ended by then is gone on with at the next start.
    pub async fn drain(&self, limit: Duration) -> bool {
        self.shared.tasks.close();
        tokio::time::timeout(limit, self.shared.tasks.wait()).await.is_ok()
    }
}

async fn conduct(shared: &Arc<Shared>, mut runner: Runner, mut news: mpsc::Receiver<News>) {
    let left = runner.plan().deadline.since(wall_clock());
    let mut deadline = Box::pin(tokio::time::sleep(left));
    let mut late = false;
    let mut late_commands = Vec::new();
    let mut commands = runner.handle(Event::Start);
    while !runner.is_over() {
        let mut event = None;
        for command in std::mem::take(&mut commands) {
            let begin = Instant::now();
            if let Some(next) = carry_out(shared, &runner, command).await {
                if next == Event::Journaled && begin.elapsed() > JOURNAL_LATE {
                    let reason = "the journal could not be written in time".to_owned();
                    late_commands.extend(runner.handle(Event::Abort(reason)));
                }
                event = Some(next);
            }
        }
        commands = std::mem::take(&mut late_commands);
        if runner.is_over() {
            break;
        }
        let event = match event {
            Some(event) => event,
            // Only the gates' answer comes from outside.
            None => tokio::select! {
                heard = news.recv() => match heard {
                    // The answer to a question that is no longer asked.
                    Some(News::Permit(permit)) if !runner.asks_for(permit.step) => continue,
                    Some(News::Permit(permit)) => Event::Permit(permit.refusal.map(|refusal| format!("{}: {}", refusal.gate, refusal.reason))),
                    Some(News::Abort(reason)) => Event::Abort(reason),
                    None => return,
                },
                () = &mut deadline, if !late => { late = true; Event::Deadline }
            },
        };
        commands.extend(runner.handle(event));
        while let Ok(heard) = news.try_recv() {
            if let News::Abort(reason) = heard {
                commands.extend(runner.handle(Event::Abort(reason)));
            }
        }
        if !late && wall_clock() >= runner.plan().deadline {
            late = true;
            commands.extend(runner.handle(Event::Deadline));
        }
    }
    for command in commands {
        carry_out(shared, &runner, command).await;
    }
}

async fn carry_out(shared: &Arc<Shared>, runner: &Runner, command: Command) -> Option<Event> {
    let plan = runner.plan();
    match command {
        Command::Journal(entry) => {
            let record = Record::Plan {
                at: wall_clock(),
                entry,
            };
            // Nothing goes on before the disk has it: a journal that cannot be written stops the plan here, and the operator
            // finds the reason in the log again and again.
            loop {
                let (shared, record) = (Arc::clone(shared), record.clone());
                let written = tokio::task::spawn_blocking(move || {
                    shared
                        .journal
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .append(&record)
                });
                match written.await {
                    Ok(Ok(())) => return Some(Event::Journaled),
                    Ok(Err(error)) => {
                        tracing::error!(plan = %plan.id, %error, "cannot write the journal; nothing is done");
                    }
                    Err(error) => tracing::error!(plan = %plan.id, %error, "cannot write the journal; nothing is done"),
                }
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
        Command::Ask { step, committed } => {
            tell(
                shared,
                PlanEvent::Asks {
                    plan: plan.id.clone(),
                    step,
                    committed,
                },
            )
            .await;
            None
        }
        Command::Apply { candidate, step } => Some(Event::Applied(apply(shared, runner, candidate, step).await)),
        Command::Observe { candidate, step } => Some(Event::Observed(observe(shared, runner, candidate, step).await)),
        Command::Undo { step } => Some(Event::Applied(undo(shared, runner, step).await)),
        Command::Tell(told) => {
            tell(shared, told.at(plan, wall_clock())).await;
            None
        }
    }
}

async fn tell(shared: &Shared, event: PlanEvent) {
    // A closed inbox means that the agent is ending; the journal has it all.
    let _ = shared.inbox.send(Input::Plan(event)).await;
}

fn key(plan: &Plan, candidate: usize, step: usize, way: &str) -> String {
    format!("{}/{candidate}/{step}/{}{way}", plan.id, plan.token)
}

async fn apply(shared: &Shared, runner: &Runner, candidate: usize, index: usize) -> Applied {
    let plan = runner.plan();
    let Some(step) = runner.step_of(candidate, index) else {
        return Applied::NoEffect("no such step".into());
    };
    if step.action.uses == "probe" {
        return verify(shared, plan, step).await;
    }
    let executor = match shared.executors.get(&step.action.uses) {
        Ok(executor) => executor,
        Err(error) => return Applied::NoEffect(error),
    };
    let key = key(plan, candidate, index, "");
    let call = Call {
        with: &step.action.with,
        plan: &plan.id,
        token: plan.token,
        key: &key,
        timeout: step.timeout.0,
    };
    executor.apply(&call).await
}

async fn observe(shared: &Shared, runner: &Runner, candidate: usize, index: usize) -> Effect {
    let plan = runner.plan();
    let Some(step) = runner.step_of(candidate, index) else {
        return Effect::Unknown;
    };
    if step.action.uses == "probe" {
        // A verification has no effect; it is done again.
        return Effect::NotThere;
    }
    if let Some(spec) = &step.action.observe {
        let entity = entity_of(shared, &step.target);
        return match shared.prober.probe(spec, &entity).await {
            reach if reach.is_good() => Effect::There,
            reach if reach.shows_network() => Effect::NotThere,
            _ => Effect::Unknown,
        };
    }
    let Ok(executor) = shared.executors.get(&step.action.uses) else {
        return Effect::Unknown;
    };
    let key = key(plan, candidate, index, "");
    let call = Call {
        with: &step.action.with,
        plan: &plan.id,
        token: plan.token,
        key: &key,
        timeout: step.timeout.0,
    };
    executor.observe(&call).await
}

async fn undo(shared: &Shared, runner: &Runner, index: usize) -> Applied {
    let plan = runner.plan();
    let Some((step, undo)) = runner
        .step_of(0, index)
        .and_then(|step| Some((step, step.undo.as_ref()?)))
    else {
        return Applied::Done;
    };
    let executor = match shared.executors.get(&undo.uses) {
        Ok(executor) => executor,
        Err(error) => return Applied::NoEffect(error),
    };
    let key = key(plan, 0, index, "/undo");
    let call = Call {
        with: &undo.with,
        plan: &plan.id,
        token: plan.token,
        key: &key,
        timeout: step.timeout.0,
    };
    executor.apply(&call).await
}

/// Parameters of a verification.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Verify {
    #[serde(default = "three")]
    times: u32,
    #[serde(default)]
    pause: Option<crate::model::Span>,
}

const fn three() -> u32 {
    3
}

fn entity_of(shared: &Shared, name: &EntityName) -> Entity {
    let world = shared.world.lock().unwrap_or_else(PoisonError::into_inner);
    world.entities.get(name).cloned().unwrap_or_else(|| Entity {
        name: name.clone(),
        kind: crate::model::EntityKind::Service,
        period: None,
        group: None,
        attributes: std::collections::BTreeMap::new(),
    })
}

/// So many good answers in a row by the service's own probe, within the step's time.
async fn verify(shared: &Shared, plan: &Plan, step: &Step) -> Applied {
    let verify: Verify = match parameters(&step.action.with) {
        Ok(verify) => verify,
        Err(error) => return Applied::NoEffect(error),
    };
    let spec = shared
        .world
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .probes
        .get(&plan.service)
        .cloned();
    let Some(spec) = spec else {
        return Applied::NoEffect(format!("{} has no probe", plan.service));
    };
    let entity = entity_of(shared, &step.target);
    let pause = verify.pause.map_or(VERIFY_PAUSE, |pause| pause.0);
    let mut last = String::from("no answer yet");
    let work = async {
        let mut good = 0;
        while good < verify.times {
            let reach = shared.prober.probe(&spec, &entity).await;
            if reach.is_good() {
                good += 1;
            } else {
                good = 0;
                last = format!("{reach:?}");
            }
            if good < verify.times {
                tokio::time::sleep(pause).await;
            }
        }
    };
    match tokio::time::timeout(step.timeout.0, work).await {
        Ok(()) => Applied::Done,
        Err(_) => Applied::NoEffect(format!(
            "{} did not prove that it serves within {}: {last}",
            step.target, step.timeout
        )),
    }
}
