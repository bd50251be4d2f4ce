//! One agent among several: what the store tells goes to the engine and the conductor, what they write goes to the store.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::acting::{Shell, restored_one};
use super::sights::Sights;
use super::words::{Heard, Words, name};
use crate::act::journal::{JournalError, Record, ServiceRecord, State};
use crate::act::{BoxFuture, Conductor, Intent, Intents, NotWritten};
use crate::api::NotKept;
use crate::clock::wall_clock;
use crate::config::Config;
use crate::coordinate::{Change, Coordinator, Folder, Lead, News, NotPut, Part, Store, parts};
use crate::engine::{About, Input, OperatorCommand};
use crate::model::{Lease, PlanId, Service, ServiceName, Share, Timestamp};

/// What could not be written, or told, is tried again after so long.
const AGAIN: Duration = Duration::from_secs(1);

/// Reloads that may wait.
const RELOADS: usize = 4;

/// A service in the store: how it stands, and the plan that runs.
#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    record: ServiceRecord,
    plan: Option<PlanId>,
}

/// Intents, kept where all agents look.
pub struct Shelf(pub Arc<dyn Store>);

impl Intents for Shelf {
    fn write<'a>(&'a self, intent: Intent<'a>) -> BoxFuture<'a, Result<(), NotWritten>> {
        Box::pin(async move {
            let later = |error: serde_json::Error| NotWritten::Later(error.to_string());
            let kept = intent.after.map(|record| Kept {
                record: record.clone(),
                plan: (!intent.last).then(|| intent.plan.clone()),
            });
            let state = kept.map(|kept| serde_json::to_vec(&kept)).transpose().map_err(later)?;
            let entry = serde_json::to_vec(intent.record).map_err(later)?;
            let entry = (!intent.last).then_some((intent.number, entry.as_slice()));
            let id = format!("{} {}", intent.plan, intent.number);
            match self.0.put(intent.service, &id, entry, state.as_deref()).await {
                Ok(()) => Ok(()),
                Err(NotPut::NotOurs(why)) => Err(NotWritten::NotOurs(why)),
                Err(NotPut::Later(why)) => Err(NotWritten::Later(why)),
            }
        })
    }
}

/// What the rest of the agent tells the others by. Cloning shares it.
#[derive(Clone)]
pub struct Handle {
    store: Arc<dyn Store>,
    conductor: Conductor,
    words: Words,
    /// What is seen from here.
    pub sights: Sights,
    reloads: mpsc::Sender<Box<Config>>,
    duty: Arc<Mutex<Duty>>,
}

/// Who leads, and what keeps this agent from it.
#[derive(Debug, Clone, Default)]
pub struct Duty {
    /// What keeps it from leading, if anything.
    pub trouble: Option<String>,
    /// The parts that it leaves to others, and why.
    pub aside: BTreeMap<String, String>,
    /// Who leads each service, by name, as far as the store tells.
    pub leaders: BTreeMap<ServiceName, String>,
}

impl Handle {
    /// Who leads, and what keeps this agent from it.
    pub fn duty(&self) -> Duty {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Duty> {
        self.duty.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Another config from now on.
    pub fn reloaded(&self, config: &Config) {
        if self.reloads.try_send(Box::new(config.clone())).is_err() {
            tracing::error!("too many reloads at once: start this agent anew for the last one to count");
        }
    }
}

/// Keeps a word that outlives the agent, and tells the others of it; of silences each agent hears itself.
pub fn remember(conductor: &Conductor, sharing: Option<&Handle>, word: &OperatorCommand) {
    let name = name(word);
    if name.is_none() && !matches!(word, OperatorCommand::Silenced { .. }) {
        return;
    }
    let (conductor, sharing, word) = (conductor.clone(), sharing.cloned(), word.clone());
    tokio::spawn(async move {
        let kept = {
            let word = word.clone();
            tokio::task::spawn_blocking(move || conductor.remember(&word)).await
        };
        match kept {
            Ok(Ok(true)) => {}
            Ok(Err(error)) => {
                tracing::error!(%error, "an operator's word counts, but it does not outlive this agent until it can be written");
            }
            Ok(Ok(false)) | Err(_) => return,
        }
        if let (Some(sharing), Some(name)) = (sharing, name) {
            drop(sharing.words.tell(name, word));
        }
    });
}

/// Puts down what a person has said, and tells it to the others if they have to know it. `Err` says what keeps it from counting as it should; what does not begin
/// anything is written, and told, as soon as it can be. Waits for the disk and, for a moment, for the others.
pub fn keep(
    conductor: &Conductor,
    sharing: Option<&Handle>,
    word: &OperatorCommand,
    about: Option<About>,
) -> Result<(), NotKept> {
    let unwritten = |error: JournalError| NotKept::Unwritten(error.to_string());
    match (word, name(word)) {
        (OperatorCommand::Hold { .. } | OperatorCommand::Maintenance { .. }, Some(name)) => {
            let kept = conductor.remember(word);
            // Said once more because the others had not heard it: they are told all the same.
            let told = sharing.map_or(Ok(()), |sharing| sharing.words.tell_now(name, word.clone()));
            kept.map_err(unwritten)?;
            told.map_err(NotKept::Untold)
        }
        _ => conductor.say(word, about, !word.begins_something()).map_err(unwritten),
    }
}

/// See the module.
pub struct Sharing {
    member: Box<dyn Coordinator>,
    handle: Handle,
    inbox: mpsc::Sender<Input>,
    services: Vec<Service>,
    parts: BTreeMap<String, Part>,
    /// Who leads each part, as far as the store tells.
    leaders: Option<BTreeMap<String, String>>,
    wanted: mpsc::Receiver<Box<Config>>,
    /// What this agent's own journal told at its start: counts where the store knows nothing yet.
    own: State,
    taken: BTreeMap<String, (Part, u64)>,
    /// All that stands in the store was heard once: the first look takes it in whole.
    heard_all: bool,
    /// Plans to go on with once the engine knows of the lease: they ask for it at once.
    waiting: Vec<(State, HashMap<PlanId, Timestamp>)>,
}

impl Sharing {
    /// Nothing is sent yet.
    pub fn new(member: Box<dyn Coordinator>, conductor: Conductor, own: State, config: &Config, shell: &Shell) -> Self {
        let (reloads, wanted) = mpsc::channel(RELOADS);
        let handle = Handle {
            store: member.store(),
            words: Words::new(member.store(), &own.words),
            conductor,
            sights: Sights::new(config, Arc::clone(&shell.prober), shell.inbox.clone()),
            reloads,
            duty: Arc::default(),
        };
        Self {
            parts: parts(&config.services, &config.topology()),
            leaders: None,
            member,
            handle,
            inbox: shell.inbox.clone(),
            services: config.services.clone(),
            wanted,
            own,
            taken: BTreeMap::new(),
            heard_all: false,
            waiting: Vec::new(),
        }
    }

    /// For the rest of the agent.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Seeks and holds leads until `stop`, then gives all back.
    pub async fn run(mut self, stop: CancellationToken) {
        loop {
            for news in self.member.beat().await {
                self.heed(news).await;
            }
            self.give_way();
            self.handle.sights.tell(&*self.handle.store).await;
            let pause = self.member.pause();
            tokio::select! {
                () = stop.cancelled() => break,
                Some(config) = self.wanted.recv() => self.recut(&config).await,
                () = tokio::time::sleep(pause) => {}
            }
        }
        self.member.resign().await;
    }

    async fn recut(&mut self, config: &Config) {
        self.services.clone_from(&config.services);
        self.handle.sights.reloaded(config);
        self.parts = parts(&config.services, &config.topology());
        for news in self.member.recut(self.parts.clone()).await {
            self.heed(news).await;
        }
    }

    /// Leaves to others what another one sees better; heeded by the next beat.
    fn give_way(&mut self) {
        let ill = self.handle.conductor.health().trouble().is_some();
        let hindered = ill || self.handle.lock().trouble.is_some();
        let lead = |name: &str| match (self.taken.get(name), &self.leaders) {
            (Some((part, _)), _) if self.handle.conductor.works_for(&part.services) => Lead::AtWork,
            (Some(_), _) => Lead::Ours,
            (None, Some(leaders)) if leaders.contains_key(name) => Lead::Anothers,
            (None, Some(_)) => Lead::Free,
            (None, None) => Lead::Unknown,
        };
        let (aside, changes) = self.handle.sights.judge(hindered, lead);
        let mut duty = self.handle.lock();
        for change in changes {
            match change {
                Change::Aside { part, why } => {
                    tracing::warn!(part, "stands aside: {why}");
                    duty.aside.insert(part, why);
                }
                Change::Back { part, why } => {
                    tracing::info!(part, "stands aside no longer: {why}");
                }
            }
        }
        duty.aside.retain(|part, _| aside.contains(part));
        drop(duty);
        self.member.stand_aside(aside);
    }

    async fn heed(&mut self, news: News) {
        match news {
            News::Trouble(trouble) => {
                match &trouble {
                    Some(why) => tracing::warn!("this agent cannot lead: {why}"),
                    None => tracing::info!("nothing keeps this agent from leading any more"),
                }
                self.handle.lock().trouble = trouble;
            }
            News::Leaders(leaders) => {
                let mut of = BTreeMap::new();
                for (part, agent) in leaders.iter().flatten() {
                    let services = self.parts.get(part).into_iter().flat_map(|part| &part.services);
                    of.extend(services.map(|service| (service.clone(), agent.clone())));
                }
                self.handle.lock().leaders = of;
                self.leaders = leaders;
            }
            News::Taken { part, epoch, folders } => self.take(part, epoch, &folders).await,
            News::Renewed { until } => {
                for (part, epoch) in self.taken.values() {
                    self.send(share(part, *epoch, until)).await;
                }
                for (told, interrupted) in std::mem::take(&mut self.waiting) {
                    self.handle.conductor.go_on(&told, &interrupted);
                }
            }
            News::Lost { part, why } => {
                tracing::warn!(part = part.name, "no longer leads: {why}");
                self.taken.remove(&part.name);
                let services: Vec<ServiceName> = part.services.iter().cloned().collect();
                self.handle.conductor.leave(&services).await;
                self.send(share(&part, 0, Timestamp::EPOCH)).await;
            }
            News::Changed { pairs, after } => {
                for (name, value) in &pairs {
                    self.changed(name, value, after).await;
                }
                if !std::mem::replace(&mut self.heard_all, true) {
                    let names = pairs.into_iter().map(|(name, _)| name).collect();
                    let counts = self.handle.conductor.kept().words;
                    self.handle.words.tell_again(&names, &counts);
                }
            }
        }
    }

    async fn send(&self, input: Input) {
        super::send(&self.inbox, input).await;
    }

    async fn take(&mut self, part: Part, epoch: u64, folders: &[Folder]) {
        let (records, interrupted) = match read(folders) {
            Ok(read) => read,
            Err(error) => {
                tracing::error!(
                    part = part.name,
                    "what the other agents have left cannot be read, so nothing is done: {error}"
                );
                return;
            }
        };
        let services: Vec<ServiceName> = part.services.iter().cloned().collect();
        // An agent that cannot write its journal does not lead: it waits here until its lease runs out, or the disk works again.
        let told = loop {
            let (conductor, services, records) = (self.handle.conductor.clone(), services.clone(), records.clone());
            let adopted = tokio::task::spawn_blocking(move || conductor.adopt(epoch, &services, &records)).await;
            match adopted {
                Ok(Ok(told)) => break told,
                Ok(Err(error)) => tracing::error!(%error, "cannot take over"),
                Err(error) => tracing::error!(%error, "cannot take over"),
            }
            tokio::time::sleep(AGAIN).await;
        };
        tracing::info!(part = part.name, epoch, plans = told.open.len(), "leads");
        for service in &part.services {
            let known = told.services.get(service);
            let Some(record) = known.or_else(|| self.own.services.get(service)) else {
                continue;
            };
            if known.is_none() {
                self.bring(record).await;
            }
            let running = told.open.values().find(|(plan, _)| plan.service == *service);
            let running = running.map(|(plan, _)| plan.id.clone());
            if let Some(event) = restored_one(&record.by(wall_clock()), running, &self.services) {
                self.send(Input::Plan(event)).await;
            }
        }
        self.taken.insert(part.name.clone(), (part, epoch));
        self.waiting.push((told, interrupted));
    }

    /// The store knows nothing of a service that this agent has moved when it was alone.
    async fn bring(&self, record: &ServiceRecord) {
        let kept = Kept {
            record: record.clone(),
            plan: None,
        };
        if let Ok(value) = serde_json::to_vec(&kept)
            && let Err(error) = self
                .handle
                .store
                .put(&record.service, "brought", None, Some(&value))
                .await
        {
            tracing::warn!(%error, "where {} runs is not yet known to the other agents", record.service);
        }
    }

    async fn changed(&self, name: &str, value: &[u8], after: Option<std::time::Instant>) {
        if let Some(agent) = name.strip_prefix("sight/") {
            self.handle.sights.heard(agent, value, after).await;
        } else if name.starts_with("word/") {
            let (word, at) = match self.handle.words.hear(name, value) {
                Heard::Counts(word, at) => (word, at),
                Heard::Old => return,
                Heard::Nothing => {
                    tracing::warn!(name, "another agent's word cannot be read");
                    return;
                }
            };
            let conductor = self.handle.conductor.clone();
            let (known, said) = (word.clone(), word);
            let news = tokio::task::spawn_blocking(move || conductor.remember_as_of(at, &known)).await;
            // What cannot be kept counts all the same.
            if !matches!(news, Ok(Ok(false))) {
                self.send(Input::Operator(said)).await;
            }
        } else if name.starts_with("state/") {
            let Ok(Kept { record, plan }) = serde_json::from_slice(value) else {
                tracing::warn!(name, "what another agent says of a service cannot be read");
                return;
            };
            let ours = self
                .taken
                .values()
                .any(|(part, _)| part.services.contains(&record.service));
            if !ours && let Some(event) = restored_one(&record.by(wall_clock()), plan, &self.services) {
                self.send(Input::Plan(event)).await;
            }
        }
    }
}

fn share(part: &Part, epoch: u64, until: Timestamp) -> Input {
    Input::Share(Share {
        part: part.name.clone(),
        services: part.services.clone(),
        lease: Lease { epoch, seq: 0, until },
    })
}

type Left = (Vec<Record>, HashMap<PlanId, Timestamp>);

/// What another agent has left: records as a journal has them, and when it put the last one of each plan down.
fn read(folders: &[Folder]) -> Result<Left, String> {
    let mut records = Vec::new();
    let mut interrupted = HashMap::new();
    for folder in folders {
        let wrong = |error: serde_json::Error| format!("{}: {error}", folder.service);
        if let Some(state) = &folder.state {
            let Kept { record, .. } = serde_json::from_slice(state).map_err(wrong)?;
            records.push(Record::Service(record));
        }
        for entry in &folder.entries {
            let record: Record = serde_json::from_slice(entry).map_err(wrong)?;
            if let Record::Plan { at, entry } = &record {
                interrupted.insert(entry.of().clone(), *at);
            }
            records.push(record);
        }
    }
    Ok((records, interrupted))
}
