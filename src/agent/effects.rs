//! Carries the engine's effects to whoever is responsible.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{broadcast, mpsc};

use crate::act::{Conductor, Prober};
use crate::api;
use crate::capsule::Recording;
use crate::clock::wall_clock;
use crate::engine::{Effects, Engine, Input, PlanEvent, ProbeRequest, Record};
use crate::metrics::Metrics;
use crate::model::plan::Outcome;
use crate::model::{Check, EntityName};
use crate::notify::{NotTaken, Notifier, Receiver};

use super::asking::Asking;
use super::confirmed::Confirmations;
use super::drilling::Drilling;
use super::explaining::Explained;
use super::full::Full;
use super::keeping::Keeping;
use super::looking_back::LookingBack;
use super::memory::Memory;
use super::moves::Moves;
use super::snapshot::snapshot;
use super::standing::Standing;
use super::{counting, probing, sharing};

/// Decisions that the page shows.
const RECENT: usize = 200;

/// The page's picture is made anew no more often than this.
const PICTURE_EVERY: Duration = Duration::from_millis(200);

/// Everything that effects are handed to.
pub struct Dispatcher {
    pub conductor: Option<Conductor>,
    pub sharing: Option<sharing::Handle>,
    pub prober: Arc<Prober>,
    pub agent: EntityName,
    pub inbox: mpsc::Sender<Input>,
    pub notifier: Option<Notifier>,
    pub recording: Option<Recording>,
    pub watch: Option<broadcast::Sender<Arc<Record>>>,
    pub picture: api::Picture,
    pub metrics: Metrics,
    pub recent: VecDeque<Arc<Record>>,
    pub painted: Option<Instant>,
    pub full: Full,
    pub explained: Explained,
    pub moves: Moves,
    pub confirmations: Confirmations,
    pub drilling: Drilling,
    pub asking: Option<Asking>,
    pub standing: Standing,
    pub looking_back: LookingBack,
    pub keeping: Keeping,
    pub memory: Memory,
}

impl Dispatcher {
    /// Keeps an input for the capsule. What has no name, because the catalog was full, is taken out of it.
    pub fn record_input(&mut self, input: &mut Input) {
        match input {
            Input::Batch(batch) => self.full.admit(batch),
            Input::Event(event) => {
                if let Some(sharing) = &self.sharing {
                    sharing.sights.note(event);
                }
            }
            Input::Operator(word) => {
                if let Some(conductor) = &self.conductor {
                    sharing::remember(conductor, self.sharing.as_ref(), word);
                }
            }
            _ => {}
        }
        if let Some(recording) = &mut self.recording {
            recording.input(input);
        }
    }

    /// Hands every effect on and empties the list.
    pub fn carry_out(&mut self, engine: &Engine, effects: &mut Effects) {
        let news = !effects.log.is_empty();
        // What is decided is on its way before anything is written about it.
        for plan in effects.start.drain(..) {
            match &self.conductor {
                Some(conductor) => {
                    conductor.know(
                        engine
                            .services()
                            .map(|(service, _)| service.clone())
                            .collect::<Vec<_>>()
                            .as_slice(),
                        engine.topology(),
                    );
                    conductor.run(plan);
                }
                None => {
                    let reason = "this agent only watches".to_owned();
                    let (plan, service, at) = (plan.id, plan.service, engine.now());
                    let event = PlanEvent::Ended {
                        plan,
                        service,
                        at,
                        outcome: Outcome::Compensated { reason },
                    };
                    self.later(Input::Plan(event));
                }
            }
        }
        for permit in effects.permits.drain(..) {
            if let Some(conductor) = &self.conductor {
                conductor.permit(permit);
            }
        }
        for (plan, reason) in effects.abort.drain(..) {
            if let Some(conductor) = &self.conductor
                && !conductor.abort(&plan, reason)
            {
                tracing::warn!(%plan, "no such plan is running");
            }
        }
        for request in effects.probes.drain(..) {
            self.probe(engine, &request);
        }
        for service in effects.dry.drain(..) {
            self.drilling.dry(engine, &service, &self.inbox);
        }
        for request in effects.look_back.drain(..) {
            if let Some(conductor) = &self.conductor {
                self.looking_back.look(request, conductor, &self.inbox);
            }
        }
        let (journal_trouble, news_of_it) = self.keeping.look();
        effects.notify.extend(news_of_it);
        effects.notify.extend(self.memory.look());
        let duty = self.sharing.as_ref().map(sharing::Handle::duty).unwrap_or_default();
        effects
            .notify
            .extend(self.keeping.leads(duty.trouble.as_deref(), wall_clock()));
        effects.notify.extend(self.keeping.aside(&duty.aside, wall_clock()));
        for mut notification in effects.notify.drain(..) {
            if let Some(asking) = &mut self.asking {
                asking.sign(engine, &mut notification);
            }
            tracing::info!(firing = notification.firing, "{}", notification.text);
            if let Some(notifier) = &self.notifier {
                notifier.notify(&notification);
            }
        }
        if let (Some(asking), Some(notifier)) = (&mut self.asking, &self.notifier) {
            for notification in asking.renewed(engine) {
                notifier.renew(&notification);
            }
        }
        for record in effects.log.drain(..) {
            counting::count(&self.metrics, &record);
            if let Some(recording) = &mut self.recording {
                recording.decision(&record);
            }
            self.confirmations.keep(&record);
            self.drilling
                .keep(&record, self.conductor.as_ref(), self.sharing.as_ref());
            self.moves.take(&record);
            self.keeping.keep(&record, engine);
            self.memory.heed(&record);
            let record = Arc::new(record);
            if let Some(watch) = &self.watch {
                // Nobody has to watch.
                let _ = watch.send(Arc::clone(&record));
            }
            if self.recent.len() >= RECENT {
                self.recent.pop_front();
            }
            self.recent.push_back(record);
        }
        if let Some(recording) = &mut self.recording {
            recording.between_ticks();
        }
        self.standing.keep(engine.rules());
        let due = self.painted.is_none_or(|painted| painted.elapsed() >= PICTURE_EVERY);
        if due || news {
            self.painted = Some(Instant::now());
            let acting = self.conductor.is_some();
            let mut picture = snapshot(engine, &mut self.explained, &self.recent, &self.moves, acting, duty);
            picture.drills = self.drilling.view(engine);
            picture.journal_trouble = journal_trouble;
            picture.not_told = self.notifier.as_ref().map(not_told).unwrap_or_default();
            self.memory.show(&mut picture);
            counting::show(&self.metrics, &picture);
            self.picture.publish(picture);
        }
    }

    fn later(&self, input: Input) {
        let inbox = self.inbox.clone();
        tokio::spawn(async move { super::send(&inbox, input).await });
    }

    fn probe(&self, engine: &Engine, request: &ProbeRequest) {
        let spec = request.service.as_ref().and_then(|name| {
            engine
                .services()
                .find(|(service, _)| service.name == *name)
                .map(|(service, _)| service.probe.clone())
        });
        let (Some(spec), Some(entity)) = (spec, engine.topology().entity(request.entity.as_str()).cloned()) else {
            return;
        };
        let (prober, agent, inbox, id) = (
            Arc::clone(&self.prober),
            self.agent.clone(),
            self.inbox.clone(),
            request.id,
        );
        tokio::spawn(async move {
            let event = probing::look(&prober, &entity, &spec, &agent, Check::Probe, Some(id)).await;
            super::send(&inbox, Input::Event(event)).await;
        });
    }
}

/// The receivers that did not take what they were told last.
fn not_told(notifier: &Notifier) -> Vec<api::NotTold> {
    let of = |receiver: Receiver| {
        let NotTaken { since, why } = receiver.not_taken?;
        let receiver = receiver.url;
        Some(api::NotTold { receiver, since, why })
    };
    notifier.receivers().into_iter().filter_map(of).collect()
}
