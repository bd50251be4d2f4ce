//! One step: applied, looked at, taken back, verified.

use std::sync::PoisonError;
use std::time::Duration;

use serde::Deserialize;
use tokio::time::Instant;

use super::super::executor::{Call, Executor, parameters};
use super::super::runner::{Applied, Effect, Runner};
use super::{Conductor, Shared};
use crate::clock::wall_clock;
use crate::engine::{Gone, LookBack};
use crate::model::plan::{Action, Phase};
use crate::model::service::ProbeSpec;
use crate::model::{Entity, EntityName, Plan, PlanId, Step, Token};

/// Between two good answers that verify a target, unless the step says otherwise.
const VERIFY_PAUSE: Duration = Duration::from_millis(50);

/// Between two looks at whether a node has lost its power.
const LOOKS_AGAIN: Duration = Duration::from_millis(100);

/// A look back that takes longer tells nothing.
const LOOK_BACK: Duration = Duration::from_secs(5);

/// An action of a plan, ready to be done or looked at.
struct Deed<'a> {
    executor: &'a dyn Executor,
    action: &'a Action,
    plan: &'a Plan,
    /// The same for each try of the same step.
    key: String,
    timeout: Duration,
}

impl<'a> Deed<'a> {
    fn new(
        shared: &'a Shared,
        plan: &'a Plan,
        (candidate, step): (usize, &'a Step),
        action: &'a Action,
        way: &str,
    ) -> Result<Self, String> {
        Ok(Self {
            executor: shared.executors.get(&action.uses)?,
            action,
            plan,
            key: format!("{}/{candidate}/{}/{}{way}", plan.id, step.index, plan.token),
            timeout: step.timeout.0,
        })
    }

    fn call(&self) -> Call<'_> {
        Call {
            with: &self.action.with,
            plan: &self.plan.id,
            token: self.plan.token,
            key: &self.key,
            timeout: self.timeout,
        }
    }

    async fn apply(&self) -> Applied {
        self.executor.apply(&self.call()).await
    }

    /// `Unknown` as well while something that an earlier run has started may still be about to have the effect.
    async fn observe(&self) -> Effect {
        match self.executor.settle(&self.call()).await {
            Ok(()) => self.executor.observe(&self.call()).await,
            Err(why) => {
                tracing::warn!(plan = %self.plan.id, "{why}");
                Effect::Unknown
            }
        }
    }
}

pub(super) async fn apply(shared: &Shared, runner: &Runner, candidate: usize, index: usize) -> Applied {
    let plan = runner.plan();
    let Some(step) = runner.step_of(candidate, index) else {
        return Applied::NoEffect("no such step".into());
    };
    if step.action.uses == "probe" {
        return verify(shared, plan, step).await;
    }
    let deed = match Deed::new(shared, plan, (candidate, step), &step.action, "") {
        Ok(deed) => deed,
        Err(error) => return Applied::NoEffect(error),
    };
    let until = Instant::now() + deed.timeout;
    match deed.apply().await {
        Applied::Done if is_to_be_seen(step) => powerless(shared, &deed, step, until).await,
        applied => applied,
    }
}

/// Where another may write, or takes the room, as soon as this is done, whoever says that it is done is not believed by their word.
fn is_to_be_seen(step: &Step) -> bool {
    let action = &step.action;
    matches!(step.phase, Phase::Fence | Phase::Seal | Phase::Yield)
        && (action.observe.is_some() || action.with.contains_key("observe"))
}

/// Looks until the effect is seen, or the step's time is over.
async fn powerless(shared: &Shared, deed: &Deed<'_>, step: &Step, until: Instant) -> Applied {
    let unseen = || format!("'{}' is said to be done, and is not seen to be", step.name);
    loop {
        let seen = match &step.action.observe {
            Some(spec) => probed(shared, spec, step).await,
            None => deed.executor.observe(&deed.call()).await,
        };
        match seen {
            Effect::There => return Applied::Done,
            Effect::NotThere if Instant::now() >= until => return Applied::NoEffect(unseen()),
            Effect::Unknown if Instant::now() >= until => return Applied::Unknown(unseen()),
            _ => tokio::time::sleep(LOOKS_AGAIN).await,
        }
    }
}

/// The effect, as a probe of the step's target shows it.
async fn probed(shared: &Shared, spec: &ProbeSpec, step: &Step) -> Effect {
    match shared.prober.probe(spec, &entity_of(shared, &step.target)).await {
        reach if reach.is_good() => Effect::There,
        reach if reach.shows_network() => Effect::NotThere,
        _ => Effect::Unknown,
    }
}

pub(super) async fn observe(shared: &Shared, runner: &Runner, candidate: usize, index: usize) -> Effect {
    let plan = runner.plan();
    let Some(step) = runner.step_of(candidate, index) else {
        return Effect::Unknown;
    };
    if step.action.uses == "probe" {
        // A verification has no effect; it is done again.
        return Effect::NotThere;
    }
    let Ok(deed) = Deed::new(shared, plan, (candidate, step), &step.action, "") else {
        return Effect::Unknown;
    };
    let Some(spec) = &step.action.observe else {
        return deed.observe().await;
    };
    if deed.executor.settle(&deed.call()).await.is_err() {
        return Effect::Unknown;
    }
    probed(shared, spec, step).await
}

impl Conductor {
    /// What of that does not stand any more. `Err` if nothing can be told now, or not of the step that was undone before.
    pub async fn gone(&self, look: &LookBack) -> Result<Option<Gone>, ()> {
        let nobody = PlanId("look-back".to_owned());
        let mut stand = Vec::new();
        let mut gone: Option<Gone> = None;
        for step in &look.steps {
            let Ok(executor) = self.shared.executors.get(&step.action.uses) else {
                continue;
            };
            let call = Call {
                with: &step.action.with,
                plan: &nobody,
                token: Token::default(),
                key: "",
                timeout: step.timeout.0.min(LOOK_BACK),
            };
            match executor.stands(&call).await {
                Effect::There => stand.push(step.name.as_str()),
                Effect::NotThere => {
                    let forgotten = match look.moved {
                        Some(moved) => executor.began_anew(&call, wall_clock().since(moved)).await,
                        None => false,
                    };
                    let first = gone.get_or_insert_with(|| Gone {
                        step: step.name.clone(),
                        forgotten,
                    });
                    // What somebody has changed beside it is a reason to leave it all to people.
                    first.forgotten &= forgotten;
                }
                Effect::Unknown => {}
            }
        }
        if gone.is_some() {
            return Ok(gone);
        }
        // The service may have been moved since, and what was undone is no step any more.
        let undone = look.undone.as_ref().map(|undone| undone.step.as_str());
        let unheard =
            undone.is_some_and(|name| look.steps.iter().any(|step| step.name == name) && !stand.contains(&name));
        if stand.is_empty() || unheard { Err(()) } else { Ok(None) }
    }
}

pub(super) async fn undo(shared: &Shared, runner: &Runner, index: usize) -> Applied {
    let Some((step, undo)) = undo_of(runner, index) else {
        return Applied::Done;
    };
    match Deed::new(shared, runner.plan(), (0, step), undo, "/undo") {
        Ok(deed) => deed.apply().await,
        Err(error) => Applied::NoEffect(error),
    }
}

/// A step is taken back when its undo can be seen, or else when its own effect can be seen to be gone.
pub(super) async fn observe_undo(shared: &Shared, runner: &Runner, index: usize) -> Effect {
    let Some((step, undo)) = undo_of(runner, index) else {
        return Effect::There;
    };
    let Ok(deed) = Deed::new(shared, runner.plan(), (0, step), undo, "/undo") else {
        return Effect::Unknown;
    };
    if deed.executor.settle(&deed.call()).await.is_err() {
        return Effect::Unknown;
    }
    match deed.executor.observe(&deed.call()).await {
        Effect::Unknown => match observe(shared, runner, 0, index).await {
            Effect::There => Effect::NotThere,
            Effect::NotThere => Effect::There,
            Effect::Unknown => Effect::Unknown,
        },
        seen => seen,
    }
}

fn undo_of(runner: &Runner, index: usize) -> Option<(&Step, &Action)> {
    let step = runner.step_of(0, index)?;
    Some((step, step.undo.as_ref()?))
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
