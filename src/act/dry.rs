//! A dry drill: everything that a plan needs is looked at, and nothing is changed.
//!
//! For each standby of a service the plan is made as in earnest; the active and the standby are probed; each step's parameters are checked and its
//! effect is looked at, which shows whether the way to whatever it acts on works.

use std::time::{Duration, Instant};

use serde::Serialize;

use super::executor::Call;
use super::runner::Effect;
use super::{Executors, Prober};
use crate::model::service::StandbyClass;
use crate::model::{Drill, DrillKind, EntityName, PlanId, PlanKind, Service, Span, Step, Timestamp, Token, Topology};
use crate::plan::Playbooks;

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
    /// Of which service.
    pub service: String,
    /// At what.
    pub name: String,
    /// How long it took.
    pub seconds: f64,
    /// What came of it.
    #[serde(flatten)]
    pub found: Found,
}

/// What looks are taken with.
pub struct Dry<'a> {
    /// Where instances are.
    pub topology: &'a Topology,
    /// Asks them.
    pub prober: &'a Prober,
    /// Looks at effects.
    pub executors: &'a Executors,
    /// Makes the plans.
    pub playbooks: &'a Playbooks,
}

impl Dry<'_> {
    /// All looks of one service that runs on `active`.
    pub async fn service(&self, service: &Service, active: &EntityName) -> Vec<Look> {
        let mut looks = vec![self.probe(service, active, "the active").await];
        for standby in service.standbys.iter().filter(|standby| standby.entity != *active) {
            if standby.class != StandbyClass::Cold {
                looks.push(self.probe(service, &standby.entity, "the standby").await);
            }
            self.plan(service, active, &standby.entity, &mut looks).await;
        }
        looks
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
        let named: Vec<EntityName> = service.instances().filter(|other| *other != to).cloned().collect();
        // Lower than any that ever acts: even what is looked at by it would refuse it.
        let token = Token::default();
        let kind = PlanKind::Failover;
        let built = self
            .playbooks
            .build(service, kind, from, to, token, &named, self.topology);
        let steps = match built {
            Ok(steps) => steps,
            Err(error) => {
                looks.push(look(
                    service,
                    format!("a plan to {to}"),
                    begin,
                    Found::Bad(error.to_string()),
                ));
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

/// The looks of one service as a drill that is over.
pub fn drill(
    service: &Service,
    active: &EntityName,
    looks: &[Look],
    by: &str,
    (begun, ended): (Timestamp, Timestamp),
) -> Drill {
    let problem = |look: &Look| match &look.found {
        Found::Bad(why) => Some(format!("{}: {why}", look.name)),
        Found::Good | Found::Unseen(_) => None,
    };
    Drill {
        service: service.name.clone(),
        kind: DrillKind::Dry,
        asked: by.to_owned(),
        by: by.to_owned(),
        begun,
        ended: Some(ended),
        from: active.clone(),
        to: None,
        stay: Span::default(),
        legs: Vec::new(),
        looks: looks.len(),
        notice_s: 0.0,
        rto_objective_s: service.rto.0.as_secs_f64(),
        rpo_s: None,
        rpo_objective_s: service.rpo.map(|rpo| rpo.0.as_secs_f64()),
        problems: looks.iter().filter_map(problem).collect(),
    }
}
