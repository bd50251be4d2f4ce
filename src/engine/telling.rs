//! What people hear, and when: once when it begins or changes its gist, once when it is over.

use std::collections::BTreeMap;

use crate::model::plan::Outcome;
use crate::model::{
    Decision, EntityName, Hypothesis, Incident, IncidentId, Plan, PlanKind, Service, ServiceName, Severity, Span,
    Verdict,
};

use super::{Effects, Engine, Notification, NotificationKind};

impl Engine {
    pub(super) fn tell_incident(&mut self, incident: &Incident, effects: &mut Effects) {
        let known = self.told.get(&incident.id).cloned();
        if !incident.is_open() {
            if let Some(known) = self.told.remove(&incident.id) {
                effects.notify.push(Notification { firing: false, ..known });
            }
            return;
        }
        let severity = incident
            .symptoms
            .iter()
            .map(|symptom| symptom.severity)
            .max()
            .unwrap_or_default();
        let Some(top) = incident.top().filter(|_| severity > Severity::Info) else {
            return;
        };
        if known
            .as_ref()
            .is_some_and(|known| known.label == top.fault.as_str() && known.entity.as_ref() == Some(&top.entity))
        {
            return;
        }
        // A new cause is a new alert; the old one is over.
        if let Some(known) = known {
            effects.notify.push(Notification { firing: false, ..known });
        }
        let text = if top.fault.as_str() == Hypothesis::ONE_BY_ONE {
            top.evidence_for.join("; ")
        } else if top.fault.as_str() == Hypothesis::SOMETHING_ELSE {
            format!(
                "{} symptoms around {} that no known fault explains",
                incident.symptoms.len(),
                top.entity
            )
        } else {
            format!(
                "{} at {} (p = {:.2}); the remedy is to {}",
                top.fault,
                top.entity,
                top.probability,
                top.remedy.phrase()
            )
        };
        let notification = Notification {
            kind: NotificationKind::Incident,
            severity,
            incident: Some(incident.id),
            service: None,
            entity: Some(top.entity.clone()),
            label: top.fault.to_string(),
            text,
            since: incident.onset,
            firing: true,
            links: BTreeMap::new(),
        };
        self.told.insert(incident.id, notification.clone());
        effects.notify.push(notification);
    }

    pub(super) fn tell_approval(verdict: &Verdict, effects: &mut Effects) {
        let gate = verdict.refusal.as_ref().map_or("", |refusal| refusal.gate.as_str());
        let reason = verdict.refusal.as_ref().map_or("", |refusal| refusal.reason.as_str());
        let (id, firing) = (verdict.incident, verdict.awaits());
        let text = match (firing, verdict.decision, verdict.answer_by) {
            (true, Decision::Ask, Some(by)) => format!("incident {id} waits for a yes until {by}: {reason}"),
            (true, Decision::Ask, None) => format!("incident {id} waits for a yes: {reason}"),
            (true, ..) => format!("incident {id}: nobody has answered: {reason}"),
            (false, ..) => format!("incident {id} waits for a yes no longer"),
        };
        effects.notify.push(Notification {
            kind: NotificationKind::Approval,
            severity: Severity::Critical,
            incident: Some(verdict.incident),
            service: verdict.service.clone(),
            entity: verdict.entity.clone(),
            label: gate.to_owned(),
            text,
            since: verdict.at,
            firing,
            links: BTreeMap::new(),
        });
    }

    /// What nobody has answered is taken for a yes.
    pub(super) fn tell_unanswered(&self, incident: IncidentId, service: &Service, limit: Span, effects: &mut Effects) {
        effects.notify.push(Notification {
            kind: NotificationKind::Approval,
            severity: Severity::Critical,
            incident: Some(incident),
            service: Some(service.name.clone()),
            entity: None,
            label: "unanswered".into(),
            text: format!(
                "incident {incident}: nobody has answered within {limit}: {} is moved, as its `unanswered: approve` says",
                service.name
            ),
            since: self.now,
            firing: true,
            links: BTreeMap::new(),
        });
    }

    pub(super) fn tell_plan(plan: &Plan, outcome: Option<&Outcome>, left_undone: Option<&str>, effects: &mut Effects) {
        let (severity, text) = match outcome {
            None => (Severity::Critical, plan.summary.clone()),
            Some(Outcome::Done { active }) => {
                let but = left_undone.map_or_else(String::new, |what| format!("; not done: {what}"));
                (
                    Severity::Warning,
                    format!("{} runs on {active}, verified{but}", plan.service),
                )
            }
            Some(Outcome::Compensated { reason }) if plan.kind == PlanKind::Reassert => {
                let text = format!("{}, telling the front of {} again: {reason}", plan.id, plan.service);
                (Severity::Critical, text)
            }
            Some(Outcome::Compensated { reason }) => (Severity::Critical, format!("{} taken back: {reason}", plan.id)),
            Some(Outcome::Untouched { reason, .. }) => {
                let text = format!("{} given up before anything was done: {reason}", plan.id);
                (Severity::Critical, text)
            }
            Some(Outcome::HandedOver { reason }) => {
                (Severity::Critical, format!("{} needs a person: {reason}", plan.id))
            }
        };
        Self::tell_of_plan(plan, severity, text, outcome.is_none(), effects);
    }

    /// A plan under way is another agent's now: nothing is taken back, and how it ends is told there.
    pub(super) fn tell_left(plan: &Plan, effects: &mut Effects) {
        let text = format!(
            "{} is left to another agent, which leads now and goes on with it; that one tells how it ends",
            plan.id
        );
        Self::tell_of_plan(plan, Severity::Warning, text, false, effects);
    }

    fn tell_of_plan(plan: &Plan, severity: Severity, text: String, firing: bool, effects: &mut Effects) {
        effects.notify.push(Notification {
            kind: NotificationKind::Plan,
            severity,
            incident: plan.incident,
            service: Some(plan.service.clone()),
            entity: Some(plan.to.clone()),
            label: plan.id.to_string(),
            text,
            since: plan.made,
            firing,
            links: BTreeMap::new(),
        });
    }

    /// It was moved to where its config no longer has it.
    pub fn is_astray(&self, service: &ServiceName) -> bool {
        let state = self.states.get(service);
        let known = self.services.get(service).zip(state);
        known.is_some_and(|(service, state)| !service.instances().any(|instance| *instance == state.active))
    }

    /// That a service was left half way stands until a move of it ends well, over restarts of agents as well; it is told as long.
    pub(super) fn tell_person(&self, service: &ServiceName, before: Option<&str>, effects: &mut Effects) {
        let Some(state) = self.states.get(service) else {
            return;
        };
        let text = match (&state.handed_over, before) {
            (Some(now), before) if before != Some(now) => {
                let half_way = if self.is_astray(service) {
                    ""
                } else {
                    ", a move of it has stopped half way"
                };
                let mut text = format!("{service} needs a person{half_way}: {now}");
                if !state.took.is_empty() {
                    let took: Vec<&str> = state.took.iter().map(EntityName::as_str).collect();
                    text += &format!(
                        "; what was stopped to make room for it ({}) is started again when it is sent to another host, or by hand",
                        took.join(", ")
                    );
                }
                text
            }
            (None, Some(_)) => format!("{service} runs on {} and needs nobody any more", state.active),
            _ => return,
        };
        let (kind, firing) = (NotificationKind::Person, state.handed_over.is_some());
        let told = Notification::critical(kind, Some(service), text, self.now, firing);
        effects.notify.push(told);
    }
}
