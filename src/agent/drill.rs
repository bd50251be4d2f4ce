//! A dry drill: would a move work? Everything that a plan needs is looked at, and nothing is changed.
//!
//! For each service and each instance that it could move to, the plan is made as in earnest; the active and the target are probed; each step's
//! parameters are checked and its effect is looked at, which shows whether the way to whatever it acts on works.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::act::executor::Call;
use crate::act::runner::Effect;
use crate::act::{Executors, Prober};
use crate::config::{Loaded, needs};
use crate::model::service::StandbyClass;
use crate::model::{EntityName, PlanId, PlanKind, Service, ServiceName, Step, Token, Topology};

/// A look that takes longer tells nothing.
const LOOK_MOST: Duration = Duration::from_secs(10);

/// What came of one look.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "result", content = "why", rename_all = "snake_case")]
pub enum Found {
    /// As it should be.
    Good,
    /// A plan would fail here.
    Bad(String),
    /// It cannot be looked at without doing it.
    Unseen(String),
}

/// One look.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Look {
    /// For which service.
    pub service: String,
    /// At what.
    pub name: String,
    /// How long it took.
    pub seconds: f64,
    /// What was found.
    #[serde(flatten)]
    pub found: Found,
}

/// Drills those services of a config. `active`: where they run now, if that is not where the config puts them.
pub async fn drill(loaded: &Loaded, services: &[&Service], active: &BTreeMap<ServiceName, EntityName>) -> Vec<Look> {
    let drill = Drill {
        topology: loaded.config.topology(),
        prober: Prober::new(),
        executors: Executors::new(),
        loaded,
    };
    let mut looks = Vec::new();
    for service in services {
        let active = active.get(&service.name).unwrap_or(&service.active);
        drill.service(service, active, &mut looks).await;
    }
    looks
}

/// What would stop a move in its middle and shows when whatever the steps act upon is asked: a backup that lacks what is to be restored.
pub async fn foresee(loaded: &Loaded) -> Vec<String> {
    let mut told: Vec<String> = Vec::new();
    let executors = Executors::new();
    for service in &loaded.config.services {
        for step in needs::steps(loaded, service) {
            let Ok(executor) = executors.get(&step.action.uses) else {
                continue;
            };
            let (token, plan) = (Token::default(), PlanId::new(&service.name, Token::default()));
            let call = Call {
                with: &step.action.with,
                plan: &plan,
                token,
                key: "foresee",
                timeout: step.timeout.0.min(LOOK_MOST),
            };
            if let Err(why) = executor.foresee(&call).await {
                let line = format!("service '{}', step '{}': {why}", service.name, step.name);
                if !told.contains(&line) {
                    told.push(line);
                }
            }
        }
    }
    told
}

struct Drill<'a> {
    topology: Topology,
    prober: Prober,
    executors: Executors,
    loaded: &'a Loaded,
}

impl Drill<'_> {
    async fn service(&self, service: &Service, active: &EntityName, looks: &mut Vec<Look>) {
        looks.push(self.probe(service, active, "the active").await);
        for target in service.instances().filter(|instance| *instance != active) {
            let standby = service.standbys.iter().find(|standby| standby.entity == *target);
            if standby.is_none_or(|standby| standby.class != StandbyClass::Cold) {
                looks.push(self.probe(service, target, "the standby").await);
            }
            self.plan(service, active, target, looks).await;
        }
    }

    async fn probe(&self, service: &Service, instance: &EntityName, role: &str) -> Look {
        let begin = Instant::now();
        let found = match self.topology.entity(instance.as_str()) {
            None => Found::Bad("the topology does not know it".into()),
            Some(entity) => match self.prober.probe(&service.probe, entity).await {
                reach if reach.is_good() => Found::Good,
                reach => Found::Bad(format!("{reach:?}")),
            },
        };
        look(service, format!("{role} {instance} answers its probe"), begin, found)
    }

    async fn plan(&self, service: &Service, from: &EntityName, to: &EntityName, looks: &mut Vec<Look>) {
        let begin = Instant::now();
        let others = service.instances().filter(|other| *other != to && *other != from);
        let named: Vec<EntityName> = others.cloned().collect();
        // Lower than any that ever acts: even what is looked at by it would refuse it.
        let token = Token::default();
        let kind = PlanKind::Failover;
        let built = self
            .loaded
            .playbooks
            .build(service, kind, from, to, token, &named, &self.topology);
        let steps = match built {
            Ok(steps) => steps,
            Err(error) => {
                let found = Found::Bad(error.to_string());
                looks.push(look(service, format!("a plan to {to}"), begin, found));
                return;
            }
        };
        for step in steps.iter().filter(|step| step.action.uses != "probe") {
            let begin = Instant::now();
            let found = self.step(service, step, token).await;
            looks.push(look(service, format!("to {to}: {}", step.name), begin, found));
        }
    }

    async fn step(&self, service: &Service, step: &Step, token: Token) -> Found {
        let executor = match self.executors.get(&step.action.uses) {
            Ok(executor) => executor,
            Err(why) => return Found::Bad(why),
        };
        if let Err(why) = executor.check(&step.action.with) {
            return Found::Bad(why);
        }
        let plan = PlanId::new(&service.name, token);
        let key = format!("drill/{plan}/{}", step.index);
        let call = Call {
            with: &step.action.with,
            plan: &plan,
            token,
            key: &key,
            timeout: step.timeout.0.min(LOOK_MOST),
        };
        if let Err(why) = executor.foresee(&call).await {
            return Found::Bad(why);
        }
        match executor.observe(&call).await {
            Effect::There | Effect::NotThere => Found::Good,
            Effect::Unknown => Found::Unseen(format!(
                "{} does not tell whether it has happened: there is no way to look, or the way there does not work",
                step.action.uses
            )),
        }
    }
}

fn look(service: &Service, name: String, begin: Instant, found: Found) -> Look {
    Look {
        service: service.name.to_string(),
        name,
        seconds: begin.elapsed().as_secs_f64(),
        found,
    }
}
