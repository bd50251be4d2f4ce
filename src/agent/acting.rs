//! What lets an agent act: its journal, its conductor, its lease; by itself or among others.

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::memory::Memory;
use super::sharing::{Sharing, Shelf};
use super::{AgentError, keeping, renamed};
use crate::act::journal::{Record, ServiceRecord, State};
use crate::act::{Conductor, Intents, Prober};
use crate::clock::wall_clock;
use crate::config::Config;
use crate::coordinate::{Who, parts, solo};
use crate::engine::{Input, OperatorCommand, PlanEvent};
use crate::model::{EntityName, PlanId, Service, Topology};
use crate::notify::{Known, Silenced};

/// What there is of it; nothing for an agent that only watches.
#[derive(Default)]
pub struct Acting {
    /// Carries plans out.
    pub conductor: Option<Conductor>,
    /// What others are told, if there are others.
    pub sharing: Option<super::sharing::Handle>,
    /// Ends once everything was given back.
    pub sharing_task: Option<JoinHandle<()>>,
    /// Incidents up to this number were told of by earlier runs.
    pub numbered: u64,
    /// What was silenced when an earlier run ended.
    pub silenced: Silenced,
    /// Whether what earlier runs left is whole.
    pub memory: Memory,
}

/// What it is made with.
pub struct Shell {
    pub prober: Arc<Prober>,
    pub inbox: mpsc::Sender<Input>,
    /// The lease is held until then.
    pub held: CancellationToken,
}

/// Opens the journal, begins to hold or to seek the lease, goes on with what was interrupted.
pub async fn start(config: &Config, topology: &Topology, shell: Shell) -> Result<Acting, AgentError> {
    if config.coordinate.is_shared() {
        among_others(config, topology, shell).await
    } else {
        alone(config, topology, shell).await
    }
}

fn failed(what: &'static str) -> impl Fn(String) -> AgentError {
    move |error| AgentError::Start { what, error }
}

async fn alone(config: &Config, topology: &Topology, shell: Shell) -> Result<Acting, AgentError> {
    let wrong = failed("the journal");
    let right = solo::Right::default();
    let may_act = right.clone();
    let (conductor, mut recovered) = Conductor::start(
        &config.agent.data_dir,
        shell.prober,
        Box::new(move |_| may_act.check()),
        None,
        shell.inbox.clone(),
    )
    .map_err(|error| wrong(error.to_string()))?;
    let epoch = solo::next_epoch(recovered.state.epoch);
    conductor
        .note(&Record::Epoch { epoch })
        .map_err(|error| wrong(error.to_string()))?;
    renamed::hand_over(&conductor, &mut recovered.state, &config.services).map_err(|error| wrong(error.to_string()))?;
    let memory = Memory::of(&recovered, config.agent.data_dir.clone(), shell.held.clone());
    conductor.know(&config.services, topology);
    for event in restored(&as_of_now(&recovered.state), &config.services) {
        super::send(&shell.inbox, Input::Plan(event)).await;
    }
    let silenced = silenced(&recovered.state, config);
    words(&recovered.state, &silenced, &shell.inbox).await;
    keeping::watch(&conductor, &recovered.state, shell.held.clone());
    let lock = conductor.lock();
    let holder = solo::Holder {
        epoch,
        right,
        ours: move || lock.still_ours(),
        inbox: shell.inbox,
    };
    holder.renew().await;
    tokio::spawn(holder.hold(shell.held));
    conductor.resume(&recovered.state);
    Ok(Acting {
        conductor: Some(conductor),
        numbered: recovered.state.incidents,
        silenced,
        memory,
        ..Acting::default()
    })
}

async fn among_others(config: &Config, topology: &Topology, shell: Shell) -> Result<Acting, AgentError> {
    let wrong = failed("the journal");
    // The lock is taken, and the epoch known, before anything is said in this agent's name.
    let dir = &config.agent.data_dir;
    let known = crate::act::journal::Journal::open(dir, wall_clock()).map_err(|error| wrong(error.to_string()))?;
    let who = Who {
        agent: config.agent.name.to_string(),
        run: format!("{:016x}", fastrand::u64(..)),
        epoch: known.state.epoch,
        lease_file: dir.join(if config.coordinate.etcd.is_some() {
            "etcd-lease"
        } else {
            "kubernetes-lease"
        }),
    };
    let (torn, garbage) = (known.torn, known.garbage);
    drop(known);
    let parts = parts(&config.services, &config.topology());
    let made = config.coordinate.coordinator(parts, who);
    let member = made
        .unwrap_or_else(|| Err("no coordinator is set".into()))
        .map_err(failed("coordination"))?;
    let store = member.store();
    let rights = store.rights().clone();
    let shelf: Arc<dyn Intents> = Arc::new(Shelf(store));
    let (conductor, mut recovered) = Conductor::start(
        dir,
        Arc::clone(&shell.prober),
        Box::new(move |service| rights.check(service)),
        Some(shelf),
        shell.inbox.clone(),
    )
    .map_err(|error| wrong(error.to_string()))?;
    // The first look has put aside what there was.
    recovered.torn = recovered.torn.max(torn);
    recovered.garbage |= garbage;
    renamed::hand_over(&conductor, &mut recovered.state, &config.services).map_err(|error| wrong(error.to_string()))?;
    let memory = Memory::of(&recovered, dir.clone(), shell.held.clone());
    conductor.know(&config.services, topology);
    for event in restored(&as_of_now(&recovered.state), &config.services) {
        // Which plans run is told by the store, once a lead is held.
        super::send(&shell.inbox, Input::Plan(without_plan(event))).await;
    }
    let silenced = silenced(&recovered.state, config);
    words(&recovered.state, &silenced, &shell.inbox).await;
    keeping::watch(&conductor, &recovered.state, shell.held.clone());
    let numbered = recovered.state.incidents;
    let sharing = Sharing::new(member, conductor.clone(), recovered.state, config, &shell);
    let handle = sharing.handle();
    let task = tokio::spawn(sharing.run(shell.held));
    Ok(Acting {
        conductor: Some(conductor),
        sharing: Some(handle),
        sharing_task: Some(task),
        numbered,
        silenced,
        memory,
    })
}

async fn words(state: &State, silenced: &Silenced, inbox: &mpsc::Sender<Input>) {
    for (_, word) in &state.words {
        let mut word = word.clone();
        if let OperatorCommand::Silenced {
            service,
            until,
            planned,
        } = &mut word
        {
            let Some(known) = silenced.get(service) else { continue };
            // What was planned may have begun while nobody ran.
            let now = known.at(wall_clock());
            (*until, *planned) = (now.until, now.planned);
        }
        super::send(inbox, Input::Operator(word)).await;
    }
    for input in keeping::inputs(state) {
        super::send(inbox, input).await;
    }
}

/// What a journal tells, with no time in it that is still to come.
fn as_of_now(state: &State) -> State {
    let now = wall_clock();
    let services = state.services.iter();
    State {
        services: services.map(|(name, record)| (name.clone(), record.by(now))).collect(),
        ..state.clone()
    }
}

/// What is silenced as far as earlier runs were told. Where no Alertmanager is asked any more nothing would ever end it before its time: there nothing is.
fn silenced(state: &State, config: &Config) -> Silenced {
    let asked = !config.notify.alertmanager.is_empty();
    let words = state.words.iter().filter(|_| asked);
    let silenced = words.filter_map(|(_, word)| match word {
        OperatorCommand::Silenced {
            service,
            until,
            planned,
        } => {
            let planned = planned.clone();
            Some((service.clone(), Known { until: *until, planned }))
        }
        _ => None,
    });
    silenced.collect()
}

/// What the engine is told of services after a start. The simulator tells its engine the same.
pub fn restored(state: &State, services: &[Service]) -> Vec<PlanEvent> {
    let of = |record: &ServiceRecord| {
        let running = state.open.values().find(|(plan, _)| plan.service == record.service);
        restored_one(record, running.map(|(plan, _)| plan.id.clone()), services)
    };
    let known = state.services.values().filter_map(of);
    known.chain(renamed::taken_on(state, services)).collect()
}

/// The same of one service.
pub fn restored_one(record: &ServiceRecord, running: Option<PlanId>, services: &[Service]) -> Option<PlanEvent> {
    let service = services.iter().find(|service| service.name == record.service);
    let home = service.map(|service| service.active.clone());
    let astray = service
        .zip(record.active.as_ref())
        .and_then(|(service, active)| astray(service, active));
    Some(PlanEvent::Restored {
        service: record.service.clone(),
        // A service that no plan has moved yet runs at home; what plans have named is to be sealed all the same.
        active: record.active.clone().or(home)?,
        moved: record.moved,
        named: record.named.iter().cloned().collect(),
        took: record.took.clone(),
        running,
        taken_back: record.taken_back,
        handed_over: astray.or_else(|| record.handed_over.clone()),
        begun: record.begun.clone(),
    })
}

/// What people are to know of a service that was moved to where its config no longer has it: nobody watches it there.
fn astray(service: &Service, active: &EntityName) -> Option<String> {
    let known = service.instances().any(|instance| instance == active);
    (!known).then(|| {
        let name = &service.name;
        format!(
            "it was moved to {active}, which the config names neither as its active nor as a standby, so that nobody looks after it: name {active} again, or send \
             it elsewhere (jurymast failback {name} --to INSTANCE)"
        )
    })
}

fn without_plan(event: PlanEvent) -> PlanEvent {
    match event {
        PlanEvent::Restored {
            service,
            active,
            moved,
            named,
            took,
            taken_back,
            handed_over,
            begun,
            ..
        } => PlanEvent::Restored {
            service,
            active,
            moved,
            named,
            took,
            running: None,
            taken_back,
            handed_over,
            begun,
        },
        other => other,
    }
}
