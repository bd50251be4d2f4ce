//! The agent: puts the shell around the engine. The only place that knows all parts.
//!
//! In: a checked config. Out: a running agent until it is told to stop. Sources, probes, the conductor and the API feed one bounded
//! inbox; one loop hands each input to the engine and its effects to whoever carries them out. Replay drives the same engine
//! without any of this.

mod acting;
mod asking;
pub mod confirmed;
mod counting;
pub mod drill;
pub mod drilling;
mod duty;
mod effects;
mod engine_loop;
mod explaining;
mod full;
mod keeping;
mod looking_back;
mod memory;
mod moves;
mod parallel;
mod probing;
mod recording;
mod reload;
mod renamed;
mod setup;
mod sharing;
mod sights;
mod snapshot;
mod sources;
mod standing;
mod words;

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use tokio::sync::{broadcast, mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::act::{Conductor, Prober};
use crate::api::{self, Hooks, Links, Picture};
use crate::config::{Loaded, needs};
use crate::engine::{Engine, Input, Record, RuleDesk, SetupError};
use crate::ingest::Feed;
use crate::ingest::alertmanager::{self, Desk};
use crate::ingest::push;
use crate::metrics::Metrics;
use crate::model::Catalog;
use crate::notify::Notifier;

use effects::Dispatcher;
use full::Full;

pub use acting::{restored, restored_one};
pub use parallel::Threads;
pub use recording::source as recording_source;
pub use setup::engine_setup;

/// Inputs that may wait for the engine. A full inbox makes sources wait, and a waiting source stops reading from its peer.
const INBOX: usize = 4096;

/// How long a stop waits for running plans to come to a safe point.
const DRAIN: Duration = Duration::from_secs(10);

/// What an agent is started with.
pub struct Options {
    /// The checked config.
    pub config: Loaded,
    /// Where it came from, to be read again on reload.
    pub config_path: Option<PathBuf>,
    /// Watch and decide, but never act.
    pub observe_only: bool,
    /// Where to record, if not where the config says.
    pub record: Option<PathBuf>,
    /// Told the port of the API once the agent runs.
    pub ready: Option<oneshot::Sender<u16>>,
    /// Receives every line of the decision log as it is written.
    pub watch: Option<broadcast::Sender<Arc<Record>>>,
    /// Ends the agent.
    pub stop: CancellationToken,
}

/// An agent that could not start or had to stop.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// The config cannot be carried out.
    #[error("{0}")]
    Setup(String),
    /// The rules contradict themselves.
    #[error(transparent)]
    Engine(#[from] SetupError),
    /// The journal, the lease or the API could not be set up.
    #[error("{what}: {error}")]
    Start {
        /// What was being set up.
        what: &'static str,
        /// What went wrong.
        error: String,
    },
}

/// Runs an agent until `options.stop`.
pub async fn run(options: Options) -> Result<(), AgentError> {
    let Options {
        config: loaded,
        config_path,
        observe_only,
        record,
        watch,
        ready,
        stop,
    } = options;
    let config = loaded.config.clone();
    let start = |what: &'static str| move |error: String| AgentError::Start { what, error };
    let catalog = Catalog::with_room(config.agent.max_series.get());
    let (inbox, mut waiting) = mpsc::channel(INBOX);
    let metrics = Metrics::default();
    let mut registry = Registry::default();
    metrics.register(&mut registry);
    let prober = Arc::new(Prober::new());
    let picture = Picture::default();
    let setup = engine_setup(
        &config,
        loaded.library.clone(),
        loaded.playbooks.clone(),
        catalog.clone(),
        Box::new(Threads),
    );
    let engine = Engine::new(setup)?;
    let recording =
        recording::begin(&loaded, record, &catalog, &metrics).map_err(|e| start("recording")(e.to_string()))?;
    // Held until the last plan has come to its end, beyond `stop`.
    let held = CancellationToken::new();
    let acting = if observe_only {
        acting::Acting::default()
    } else {
        let shell = acting::Shell {
            prober: Arc::clone(&prober),
            inbox: inbox.clone(),
            held: held.clone(),
        };
        acting::start(&config, &config.topology(), shell).await?
    };
    let services = config.services.iter().map(|service| service.name.clone()).collect();
    let told = config.notify.clone();
    let nobody = told.alertmanager.is_empty() && told.webhook.is_empty();
    let notifier = (!nobody).then(|| {
        Notifier::start(
            told,
            config.agent.name.clone(),
            services,
            acting.silenced,
            inbox.clone(),
            metrics.clone(),
            stop.child_token(),
        )
    });
    let feed = Feed {
        inbox: inbox.clone(),
        catalog,
        agent: config.agent.name.clone(),
        metrics: metrics.clone(),
        stop: stop.child_token(),
    };
    let (standing, stood) = standing::Standing::of(&config.agent.data_dir);
    if let Some(stood) = stood {
        send(&feed.inbox, Input::Stood(stood)).await;
    }
    sources::start(&config, &feed, &prober);
    let (reloads, mut wanted) = mpsc::channel::<reload::Wanted>(1);
    let taken = metrics.config_last_reload_successful.clone();
    taken.set(1);
    reload::on_hangup(config_path.clone(), reloads.clone(), taken.clone(), stop.clone());
    // Alerts outlive a reload: their senders do not tell of them anew.
    let of_alerts = Feed {
        stop: stop.child_token(),
        ..feed.clone()
    };
    let pushed = push::Desk::open(config.sources.push.clone(), of_alerts.clone());
    let desk = Desk::open(config.sources.alerts.clone(), of_alerts);
    let signed = signed(&loaded);
    let current = Arc::new(ArcSwap::from_pointee(loaded));
    if acting.conductor.is_some() {
        tokio::spawn(look_ahead(current.load_full()));
    }
    let duty = duty::Duty {
        config: Arc::clone(&current),
        picture: picture.clone(),
        acts: acting.conductor.is_some(),
    };
    let hooks = hooks(
        &duty,
        config_path,
        desk,
        pushed,
        inbox.clone(),
        reloads,
        taken.clone(),
        registry,
        picture.clone(),
        engine.rules().clone(),
        acting.conductor.clone(),
        acting.sharing.clone(),
    );
    let port = api::serve(&config.api.listen, hooks, stop.child_token())
        .await
        .map_err(|error| start("the API")(error.to_string()))?;
    tracing::info!(agent = %config.agent.name, port, "running");
    if let Some(ready) = ready {
        let _ = ready.send(port);
    }
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
    let mut dispatcher = Dispatcher {
        keeping: keeping::Keeping::new(acting.conductor.clone(), acting.numbered),
        memory: acting.memory,
        conductor: acting.conductor,
        sharing: acting.sharing,
        prober: Arc::clone(&prober),
        agent: config.agent.name.clone(),
        inbox,
        notifier,
        recording,
        watch,
        picture,
        metrics,
        recent: VecDeque::new(),
        painted: None,
        full: Full::new(feed.catalog.clone(), &feed.metrics),
        explained: explaining::Explained::default(),
        moves: moves::Moves::default(),
        confirmations: confirmed::Confirmations::of(&config.agent.data_dir),
        asking: signed.map(asking::Asking::new),
        drilling: drilling::Drilling::of(&config.agent.data_dir, Arc::clone(&current)),
        standing,
        looking_back: looking_back::LookingBack::default(),
    };
    let (mut engine, mut feed, mut running) = (engine, feed, config.clone());
    while let Some(next) = engine_loop::run(&mut engine, &mut waiting, &mut wanted, &mut dispatcher, &stop).await {
        let reload::Wanted { loaded, answer } = next;
        let setup = engine_setup(
            &loaded.config,
            loaded.library.clone(),
            loaded.playbooks.clone(),
            feed.catalog.clone(),
            Box::new(Threads),
        );
        let known = engine.services().map(|(service, _)| service.name.clone()).collect();
        let reloaded = engine.reload(setup).map_err(|error| error.to_string());
        let refused = reloaded.is_err();
        taken.set(i64::from(!refused));
        // Whoever asked may have gone.
        let _ = answer.send(reloaded);
        if refused {
            continue;
        }
        if loaded.config.same_sources(&running) {
            tracing::debug!("sources go on as they are");
        } else {
            feed.stop.cancel();
            feed.stop = stop.child_token();
            sources::start(&loaded.config, &feed, &prober);
        }
        running = loaded.config.clone();
        if let Some(sharing) = &dispatcher.sharing {
            sharing.reloaded(&loaded.config);
        }
        if let Some(notifier) = &dispatcher.notifier {
            notifier.serves(loaded.config.services.iter().map(|s| s.name.clone()).collect());
        }
        for part in loaded.config.needs_restart(&config) {
            tracing::warn!("{part} has changed in the config: that takes a restart of the agent");
        }
        if let Some(recording) = &mut dispatcher.recording {
            recording.reloaded(recording::source(&loaded));
        }
        if let Some(conductor) = dispatcher.conductor.clone() {
            let kept = reload::kept(&conductor.kept(), &loaded.config.services, &known);
            engine_loop::take_in(&mut engine, kept, &mut dispatcher);
        }
        current.store(Arc::new(loaded));
        tracing::info!("the config was read again");
    }
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Stopping]);
    feed.stop.cancel();
    drain(&mut dispatcher, &mut engine, &mut waiting).await;
    held.cancel();
    dispatcher.standing.finish(engine.rules());
    if let Some(sharing) = acting.sharing_task {
        // What is held is given back, so that another agent need not wait.
        let _ = sharing.await;
    }
    if let Some(notifier) = dispatcher.notifier.take() {
        notifier.finish().await;
    }
    if let Some(recording) = dispatcher.recording.take() {
        recording.finish();
    }
    Ok(())
}

/// Lets running plans come to a safe point: the engine goes on answering them until they end or the time is over.
async fn drain(dispatcher: &mut Dispatcher, engine: &mut Engine, waiting: &mut mpsc::Receiver<Input>) {
    let Some(conductor) = dispatcher.conductor.clone() else {
        return;
    };
    let enough = CancellationToken::new();
    let ended = tokio::spawn({
        let enough = enough.clone();
        async move {
            let ended = conductor.drain(DRAIN).await;
            enough.cancel();
            ended
        }
    });
    let (_keep, mut none) = mpsc::channel(1);
    engine_loop::run(engine, waiting, &mut none, dispatcher, &enough).await;
    if !ended.await.unwrap_or(false) {
        tracing::warn!("plans were still running; they are gone on with at the next start");
    }
}

/// Tells in the log what would stop a move in its middle and shows already now.
async fn look_ahead(loaded: Arc<Loaded>) {
    let asked = drill::foresee(&loaded).await;
    let lacks = tokio::task::spawn_blocking(move || needs::lacks(&loaded)).await;
    for line in lacks.unwrap_or_default().into_iter().chain(asked) {
        tracing::warn!("a move would fail: {line}");
    }
}

/// Makes and reads the links of notifications, if the config wants them.
fn signed(loaded: &Loaded) -> Option<Links> {
    let settings = loaded.config.notify.links.as_ref()?;
    Some(Links::new(
        &settings.base_url,
        loaded.link_key.as_ref()?,
        settings.valid,
    ))
}

/// What the API may ask of the agent.
fn hooks(
    duty: &duty::Duty,
    path: Option<PathBuf>,
    desk: Desk,
    pushed: push::Desk,
    inbox: mpsc::Sender<Input>,
    reloads: mpsc::Sender<reload::Wanted>,
    taken: Gauge,
    registry: Registry,
    picture: Picture,
    rules: RuleDesk,
    conductor: Option<Conductor>,
    sharing: Option<sharing::Handle>,
) -> Hooks {
    let turned = |turned: alertmanager::Turned| match turned {
        alertmanager::Turned::Bad(why) => api::TurnedAway::Bad(why),
        alertmanager::Turned::Busy => api::TurnedAway::Busy("the engine is busy: send it again".into()),
    };
    let webhooks = desk.clone();
    let loaded = duty.config.load_full();
    let keeper = conductor.clone();
    Hooks {
        command: Box::new(move |command| inbox.try_send(Input::Operator(command)).is_ok()),
        webhook: Box::new(move |body| webhooks.webhook(body).map_err(turned)),
        alerts: Box::new(move |body| desk.alerts(body).map_err(turned)),
        push: Box::new(move |path, content_type, encoding, body| {
            let answer = pushed.take(&push::Request {
                path,
                content_type,
                encoding,
                body,
            });
            (answer.status, answer.headers, answer.body)
        }),
        reload: Box::new(move || reload::reload(path.as_deref(), &reloads, &taken)),
        remember: Box::new(move |word| {
            let conductor = conductor.as_ref().ok_or("this agent only watches")?;
            conductor.remember(word).map_err(|error| error.to_string())
        }),
        keep: Box::new(move |word, about| match &keeper {
            Some(conductor) => sharing::keep(conductor, sharing.as_ref(), word, about),
            // It has no journal, and nothing that it could do.
            None => Ok(()),
        }),
        links: signed(&loaded),
        registry,
        token: loaded.token.clone(),
        alerts_token: loaded.alerts_token.clone(),
        picture,
        drills: duty.drills(),
        audit: duty.audit(),
        rules,
    }
}

/// Sends an input without waiting longer than a stop would allow.
pub(crate) async fn send(inbox: &mpsc::Sender<Input>, input: Input) {
    // A closed inbox means that the agent is ending; nobody needs the input any more.
    let _ = inbox.send(input).await;
}
