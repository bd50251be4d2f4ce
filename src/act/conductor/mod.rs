//! The conductor: does what runners command. One task for each plan; one journal for all.

mod keeping;
mod leaving;
mod steps;
mod written;

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::executor::Executors;
use super::intents::Intents;
use super::journal::{Health, Journal, JournalError, LATE, Lock, Record, State};
use super::probe::Prober;
use super::runner::{Applied, Command, Event, Runner, Told};
use crate::clock::{boot_clock, wall_clock};
use crate::engine::{Input, Permit, PlanEvent};
use crate::model::service::ProbeSpec;
use crate::model::{Entity, EntityName, Plan, PlanId, Service, ServiceName, Timestamp, Topology};

/// A plan's task is told of at most so many permits and aborts that it has not yet heeded.
const NEWS: usize = 16;

/// What is to be taken back waits so long for the right to act to come back, and then for a person.
const UNDO_PATIENCE: Duration = Duration::from_secs(60);

/// How often that is.
const UNDO_ASKS: Duration = Duration::from_millis(250);

/// After a no that may turn into a yes.
const ASKS_AGAIN: Duration = Duration::from_secs(1);

/// A program that another agent has started is dead so long after its time at the latest.
const PROGRAM_DIES: Duration = Duration::from_secs(1);

/// Whether this process may act for a service at this very moment; asked right before each effect.
pub type Right = Box<dyn Fn(&ServiceName) -> Result<(), String> + Send + Sync>;

/// Carries out plans. Cloning shares it.
#[derive(Clone)]
pub struct Conductor {
    shared: Arc<Shared>,
}

struct Shared {
    journal: Mutex<Journal>,
    health: Health,
    /// Words that count and could not be written yet.
    unkept: Mutex<Vec<Record>>,
    executors: Executors,
    prober: Arc<Prober>,
    right: Right,
    intents: Option<Arc<dyn Intents>>,
    inbox: mpsc::Sender<Input>,
    running: Mutex<HashMap<PlanId, Running>>,
    world: Mutex<World>,
    tasks: TaskTracker,
}

/// What verification needs to know of services and their instances.
#[derive(Default)]
struct World {
    probes: HashMap<ServiceName, ProbeSpec>,
    entities: HashMap<EntityName, Entity>,
}

/// A plan under way.
struct Running {
    service: ServiceName,
    news: mpsc::Sender<News>,
    /// Ends its task wherever it stands: the plan is another agent's.
    leave: CancellationToken,
    /// Cancelled once the task has ended.
    over: CancellationToken,
}

enum News {
    Permit(Permit),
    Abort(String),
}

/// What the journal told at start.
pub struct Recovered {
    /// Its state.
    pub state: State,
    /// Bytes behind the journal's last whole record.
    pub torn: u64,
    /// They are not what a crash leaves.
    pub garbage: bool,
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
        intents: Option<Arc<dyn Intents>>,
        inbox: mpsc::Sender<Input>,
    ) -> Result<(Self, Recovered), StartError> {
        let opened = Journal::open(dir, wall_clock())?;
        let shared = Arc::new(Shared {
            health: opened.journal.health(),
            unkept: Mutex::default(),
            journal: Mutex::new(opened.journal),
            executors: Executors::in_dir(dir),
            prober,
            right,
            intents,
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
                garbage: opened.garbage,
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
        self.launch(Runner::new(plan), Duration::ZERO);
    }

    /// Goes on with plans that a crash had interrupted.
    pub fn resume(&self, state: &State) {
        for (plan, entries) in state.open.values() {
            if let Some(runner) = Runner::restore(plan.clone(), entries) {
                tracing::warn!(plan = %plan.id, "resuming a plan that was interrupted");
                self.launch(runner, Duration::ZERO);
            }
        }
    }

    /// Takes over services as another agent has left them: what the shared store tells of them replaces what the journal here tells. Their open plans are
    /// in the answer, to be gone on with by [`Conductor::go_on`] once the engine knows of them.
    pub fn adopt(&self, epoch: u64, services: &[ServiceName], records: &[Record]) -> Result<State, JournalError> {
        let told = State::read(records);
        let mut journal = self.shared.journal.lock().unwrap_or_else(PoisonError::into_inner);
        let mut news = vec![Record::Epoch { epoch }];
        let open = journal.state().open.values();
        let left = open.filter(|(plan, _)| services.contains(&plan.service));
        news.extend(left.map(|(plan, _)| Record::Left {
            at: wall_clock(),
            plan: plan.id.clone(),
        }));
        let known = &journal.state().services;
        // The last record of a service is the one that counts; entries of its open plan come behind it.
        news.extend(
            records
                .iter()
                .filter(|record| match record {
                    Record::Service(record) => known.get(&record.service) != Some(record),
                    _ => true,
                })
                .cloned(),
        );
        for record in &news {
            journal.append(record)?;
        }
        Ok(told)
    }

    /// Goes on with plans that another agent had under way. `interrupted`: when it put its last record down.
    pub fn go_on(&self, state: &State, interrupted: &HashMap<PlanId, Timestamp>) {
        for (plan, entries) in state.open.values() {
            let Some(runner) = Runner::restore(plan.clone(), entries) else {
                continue;
            };
            // A program that the other agent has started there cannot be asked whether it still runs; but it is killed when its time is over.
            let program = runner.interrupted().filter(|step| step.action.uses == "exec");
            let wait = program.map_or(Duration::ZERO, |step| {
                let passed = interrupted
                    .get(&plan.id)
                    .map_or(Duration::ZERO, |at| wall_clock().since(*at));
                (step.timeout.0 + PROGRAM_DIES).saturating_sub(passed)
            });
            tracing::warn!(plan = %plan.id, ?wait, "going on with a plan of another agent");
            self.launch(runner, wait);
        }
    }

    fn launch(&self, runner: Runner, wait: Duration) {
        let (news, inbox) = mpsc::channel(NEWS);
        let (leave, over) = (CancellationToken::new(), CancellationToken::new());
        let id = runner.plan().id.clone();
        let running = Running {
            service: runner.plan().service.clone(),
            news,
            leave: leave.clone(),
            over: over.clone(),
        };
        self.running().insert(id.clone(), running);
        let shared = Arc::clone(&self.shared);
        self.shared.tasks.spawn(async move {
            let work = async {
                tokio::time::sleep(wait).await;
                conduct(&shared, runner, inbox).await;
            };
            tokio::select! {
                biased;
                () = leave.cancelled() => {}
                () = work => {}
            }
            shared
                .running
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .remove(&id);
            over.cancel();
        });
    }

    fn running(&self) -> std::sync::MutexGuard<'_, HashMap<PlanId, Running>> {
        self.shared.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands a permit to the plan that asked for it.
    pub fn permit(&self, permit: Permit) {
        if let Some(running) = self.running().get(&permit.plan) {
            // A task that has ended or is flooded asks again after a restart; nothing is done without the permit.
            let _ = running.news.try_send(News::Permit(permit));
        }
    }

    /// Takes a plan back, or stops it where it is.
    pub fn abort(&self, plan: &PlanId, reason: String) -> bool {
        self.running()
            .get(plan)
            .is_some_and(|running| running.news.try_send(News::Abort(reason)).is_ok())
    }

    /// Waits for running plans to end, for at most so long. What has not ended by then is gone on with at the next start.
    pub async fn drain(&self, limit: Duration) -> bool {
        self.shared.tasks.close();
        tokio::time::timeout(limit, self.shared.tasks.wait()).await.is_ok()
    }
}

async fn conduct(shared: &Arc<Shared>, mut runner: Runner, mut news: mpsc::Receiver<News>) {
    // By a clock that nobody can set: one that leaps must not end the plan.
    let left = runner.plan().deadline.since(wall_clock());
    let over = boot_clock() + left;
    let mut deadline = Box::pin(tokio::time::sleep(left));
    let (mut late, mut stale) = (false, None);
    let mut late_commands = Vec::new();
    let mut commands = runner.handle(Event::Start);
    while !runner.is_over() {
        let mut event = None;
        for command in std::mem::take(&mut commands) {
            let begin = Instant::now();
            stale = stale.filter(|_| !matches!(command, Command::Ask { .. }));
            if matches!(command, Command::Apply { .. })
                && let Some(why) = stale.take().or_else(|| (shared.right)(&runner.plan().service).err())
            {
                // The gates said yes when there was still a right to act.
                event = Some(Event::Permit(Some(why)));
                continue;
            }
            let next = match carry_out(shared, &runner, command).await {
                Ok(next) => next,
                Err(Yielded(why)) => {
                    tracing::warn!(plan = %runner.plan().id, "not gone on with here: {why}");
                    return;
                }
            };
            if let Some(next) = next {
                if next == Event::Journaled && begin.elapsed() > LATE {
                    let reason = "the journal could not be written in time".to_owned();
                    if runner.is_committed() {
                        stale = Some(reason); // Only forward: the gates are asked once more.
                    } else {
                        late_commands.extend(runner.handle(Event::Abort(reason)));
                    }
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
        if !late && boot_clock() >= over {
            late = true;
            commands.extend(runner.handle(Event::Deadline));
        }
    }
    for command in commands {
        if let Err(Yielded(why)) = carry_out(shared, &runner, command).await {
            tracing::warn!(plan = %runner.plan().id, "{why}");
        }
    }
}

/// The plan is another agent's now: whatever stands here is dropped, without taking anything back.
struct Yielded(String);

async fn carry_out(shared: &Arc<Shared>, runner: &Runner, command: Command) -> Result<Option<Event>, Yielded> {
    let plan = runner.plan();
    Ok(match command {
        Command::Journal(entry) => {
            let record = Record::Plan {
                at: wall_clock(),
                entry,
            };
            written::share(shared, plan, &record).await?;
            written::keep(shared, plan, &record).await;
            Some(Event::Journaled)
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
        Command::Undo { step } => Some(Event::Applied(match right_again(shared, &plan.service).await {
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
    })
}

async fn tell(shared: &Shared, event: PlanEvent) {
    // A closed inbox means that the agent is ending; the journal has it all.
    let _ = shared.inbox.send(Input::Plan(event)).await;
}

/// Taking back cannot be left undone because of a pause: it waits for the right to act.
async fn right_again(shared: &Shared, service: &ServiceName) -> Result<(), String> {
    let begin = Instant::now();
    loop {
        match (shared.right)(service) {
            Err(_) if begin.elapsed() < UNDO_PATIENCE => tokio::time::sleep(UNDO_ASKS).await,
            answer => return answer,
        }
    }
}
