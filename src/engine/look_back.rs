//! Whether what was done still stands: a front that was restarted may have forgotten where it was told to send traffic, a server may have come back in its
//! old role, and the instances, asked themselves, are all well.
//!
//! In: the time, and what the shell saw. Out: what to look at, and what people are told. Never: a repair of what was changed by hand; whoever did it may have
//! had a reason. What a front has forgotten is told it again by `reassert`.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::decide::{Gone, ServiceState};
use crate::model::plan::Phase;
use crate::model::service::Approval;
use crate::model::{EntityName, PlanKind, Service, ServiceName, Step, Timestamp, Token};

use super::{Effects, Engine, Notification, NotificationKind};

/// Between two looks at the same service.
const EVERY: Duration = Duration::from_secs(10);

/// Whose turn it is: one after the other, so that a fleet's looks do not come in one burst.
#[derive(Debug, Default)]
pub struct Turn {
    at: Timestamp,
    next: usize,
}

/// What a plan to where a service runs now would have done, to be looked at and not to be done.
#[derive(Debug, Clone, PartialEq)]
pub struct LookBack {
    /// Of which service.
    pub service: ServiceName,
    /// Steps whose effect should be there.
    pub steps: Vec<Step>,
    /// What is known to be gone.
    pub undone: Option<Gone>,
    /// When a move has led the service away from home. Whoever was started anew since then may have forgotten it.
    pub moved: Option<Timestamp>,
}

impl Engine {
    /// Asks for a look at each service that this agent leads and nobody works on.
    pub(super) fn look_back(&mut self, effects: &mut Effects) {
        self.reassert(effects);
        let count = self.services.len();
        let pause = EVERY / u32::try_from(count.max(1)).unwrap_or(u32::MAX);
        if self.now.since(self.turn.at) < pause {
            return;
        }
        let service = self.services.values().nth(self.turn.next);
        effects
            .look_back
            .extend(service.and_then(|service| self.done_for(service)));
        self.turn = Turn {
            at: self.now,
            next: (self.turn.next + 1) % count.max(1),
        };
    }

    fn done_for(&self, service: &Service) -> Option<LookBack> {
        let state = self.states.get(&service.name)?;
        let lease = self.lease_of(&service.name);
        let stands_still = self.worked_on_by(&service.name).is_some() || self.stands_still_for(service).is_some();
        let worked_on = stands_still || state.handed_over.is_some() || state.maintenance_until > self.now;
        if !lease.is_held(self.now) || worked_on {
            return None;
        }
        // At home nobody was fenced: only where traffic goes, and who has the role, can be told.
        let moved = state.active != service.active;
        let from = if moved {
            &service.active
        } else {
            service.instances().find(|other| **other != state.active)?
        };
        let home = || self.lasting(service, state, from, None, moved);
        let steps = match &state.came {
            None => home(),
            Some((kind, came_from)) => {
                let mut steps = self.lasting(service, state, came_from, Some(*kind), moved);
                // Whoever was left before that is as it was then.
                let left_before = moved && *came_from != service.active;
                let known: BTreeSet<_> = steps.iter().map(|step| (step.target.clone(), step.phase)).collect();
                let fenced = |step: &Step| known.contains(&(step.target.clone(), Phase::Fence));
                let besides = home().into_iter().filter(|step| match step.phase {
                    Phase::Fence => left_before,
                    phase => phase == Phase::Seal && !fenced(step),
                });
                steps.extend(besides);
                steps
            }
        };
        (!steps.is_empty()).then(|| LookBack {
            service: service.name.clone(),
            steps,
            undone: state.undone.clone(),
            moved: state.moved.filter(|_| moved),
        })
    }

    /// The steps of a plan from there whose effect should be seen. By which kind of plan it came an earlier run may have known: what depends on that is not looked at.
    fn lasting(
        &self,
        service: &Service,
        state: &ServiceState,
        from: &EntityName,
        kind: Option<PlanKind>,
        moved: bool,
    ) -> Vec<Step> {
        let lease = self.lease_of(&service.name);
        let build = |kind, seq| {
            let (token, to) = (
                Token {
                    epoch: lease.epoch,
                    seq,
                },
                &state.active,
            );
            let built = self
                .playbooks
                .build(service, kind, from, to, token, &[], &self.topology);
            built.unwrap_or_default()
        };
        // Whoever is neither this one nor the home is told by the plan from there.
        let at_rest = |phase| phase == Phase::Fence || (phase == Phase::Seal && kind.is_none());
        let lasts = |phase| matches!(phase, Phase::Promote | Phase::Switch) || (moved && at_rest(phase));
        // A look that asks for the token of the plan asks for one that nobody remembers: of two tokens it would see two things.
        let looks = |step: &Step| step.action.with.get("observe").cloned();
        let told = kind.unwrap_or(PlanKind::Failover);
        let (one, other) = (build(told, lease.seq), build(told, lease.seq + 1));
        let otherwise = if kind.is_none() {
            build(PlanKind::Failback, lease.seq)
        } else {
            one.clone()
        };
        let mut lasting = one;
        lasting.retain(|step| {
            let same = otherwise.get(step.index).is_some_and(|same| same.action == step.action);
            let sure = other.get(step.index).is_some_and(|other| looks(step) == looks(other));
            lasts(step.phase) && sure && same
        });
        lasting
    }

    /// What the shell saw: what is gone, or that all is there again.
    pub(super) fn looked_back(&mut self, name: &ServiceName, gone: Option<Gone>, effects: &mut Effects) {
        let Some(state) = self.states.get_mut(name) else {
            return;
        };
        state.undone.clone_from(&gone);
        let (firing, at) = (gone.is_some(), state.active.clone());
        let why = gone.as_ref().map(|gone| self.what_of_it(name, gone, &at));
        let text = match (gone, &why) {
            (Some(gone), Some(why)) => {
                format!(
                    "{name}: '{}' does not stand any more, though {name} runs on {at}: {why}",
                    gone.step
                )
            }
            _ => format!("{name}: what was done stands again, and it runs on {at}"),
        };
        if let Some(state) = self.states.get_mut(name) {
            state.undone_why = why;
        }
        let kind = NotificationKind::Undone;
        let told = Notification::critical(kind, Some(name), text, self.now, firing);
        effects.notify.push(told);
    }

    fn what_of_it(&self, name: &ServiceName, gone: &Gone, at: &EntityName) -> String {
        let by_hand = "Put it right there, or see what it should be with 'jurymast status'";
        // A move goes on where nobody can reach whom it fences, if another fence keeps clients away.
        let passes =
            |step: &Step| step.name == gone.step && step.action.with.get("unreachable").is_some_and(|ok| ok == "ok");
        let look = self.services.get(name).and_then(|service| self.done_for(service));
        if look.is_some_and(|look| look.steps.iter().any(passes)) {
            return format!(
                "was it ever reached? The move went on where it could not be, and it has come back as it was: see that nobody writes there, and stop it, or let it follow {at}. \
                 This is told until a look finds '{}' done",
                gone.step
            );
        }
        if !gone.forgotten {
            return format!("was something restarted, or changed by hand? {by_hand}");
        }
        let restarted = "its front was started anew and has forgotten it";
        let service = self.services.get(name);
        match service.map(|service| (service.approval, self.reasserting(service))) {
            Some((Approval::Auto, Ok(_))) => format!("{restarted}. It is told again"),
            Some((Approval::Ask, Ok(_))) => {
                format!("{restarted}. It is told again with a yes: 'jurymast failback {name} --to {at}'")
            }
            Some((_, Err(why))) => format!("{restarted}, and is not told again by itself: {why}. {by_hand}"),
            None => format!("{restarted}. {by_hand}"),
        }
    }
}
