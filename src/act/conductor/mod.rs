//! The conductor: does what runners command. One task for each plan; one journal for all.

mod steps;

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio_util::task::TaskTracker;

use super::executor::Executors;
use super::journal::{Journal, JournalError, Lock, Record, State};
use super::probe::Prober;
use super::runner::{Applied, Command, Event, Runner, Told};
use crate::clock::wall_clock;
use crate::engine::{Input, Permit, PlanEvent};
use crate::model::service::ProbeSpec;
use crate::model::{Entity, EntityName, Plan, PlanId, Service, ServiceName, Topology};

/// A plan's task is told of at most so many permits and aborts that it has not yet heeded.
const NEWS: usize = 16;

/// A record that takes longer than this is written too late to act on what the gates said before.
const JOURNAL_LATE: Duration = Duration::from_secs(2);

/// What is to be taken back waits so long for the right to act to come back, and then for a person.
const UNDO_PATIENCE: Duration = Duration::from_secs(60);

/// How often that is.
const UNDO_ASKS: Duration = Duration::from_millis(250);

/// After a no that may turn into a yes.
const ASKS_AGAIN: Duration = Duration::from_secs(1);

/// Whether this process may act at this very moment; asked right before each effect.
pub type Right = Box<dyn Fn() -> Result<(), String> + Send + Sync>;

/// Carries out plans. Cloning shares it.
#[derive(Clone)]
pub struct Conductor {
    shared: Arc<Shared>,
}

struct Shared {
    journal: Mutex<Journal>,
    executors: Executors,
    prober: Arc<Prober>,
    right: Right,
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
    pub fn start(
        dir: &Path,
        prober: Arc<Prober>,
        right: Right,
        inbox: mpsc::Sender<Input>,
    ) -> Result<(Self, Recovered), StartError> {
        let opened = Journal::open(dir, wall_clock())?;
        let shared = Arc::new(Shared {
            journal: Mutex::new(opened.journal),
            executors: Executors::in_dir(dir),
            prober,
            right,
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

    /// The lock that keeps other agents away from the journal.
    pub fn lock(&self) -> Arc<Lock> {
        let journal = self.shared.journal.lock();
        journal.unwrap_or_else(PoisonError::into_inner).lock()
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
            if matches!(command, Command::Apply { .. })
                && let Err(why) = (shared.right)()
            {
                // The gates said yes when there was still a right to act.
                event = Some(Event::Permit(Some(why)));
                continue;
            }
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
        Command::Ask { step, committed, again } => {
            if again {
                tokio::time::sleep(ASKS_AGAIN).await;
            }
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
        Command::Apply { candidate, step } => Some(Event::Applied(steps::apply(shared, runner, candidate, step).await)),
        Command::Observe { candidate, step } => {
            Some(Event::Observed(steps::observe(shared, runner, candidate, step).await))
        }
        Command::Undo { step } => Some(Event::Applied(match right_again(shared).await {
            Ok(()) => steps::undo(shared, runner, step).await,
            Err(why) => Applied::NoEffect(why),
        })),
        Command::ObserveUndo { step } => Some(Event::Observed(steps::observe_undo(shared, runner, step).await)),
        Command::Tell(told) => {
            if let Told::StepFailed(step, error) = &told {
                tracing::warn!(plan = %plan.id, step, "{error}");
            }
            tell(shared, told.at(plan, wall_clock())).await;
            None
        }
    }
}

async fn tell(shared: &Shared, event: PlanEvent) {
    // A closed inbox means that the agent is ending; the journal has it all.
    let _ = shared.inbox.send(Input::Plan(event)).await;
}

/// Taking back cannot be left undone because of a pause: it waits for the right to act.
async fn right_again(shared: &Shared) -> Result<(), String> {
    let begin = Instant::now();
    loop {
        match (shared.right)() {
            Err(_) if begin.elapsed() < UNDO_PATIENCE => tokio::time::sleep(UNDO_ASKS).await,
            answer => return answer,
        }
    }
}
