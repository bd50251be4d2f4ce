//! An operator's word.

use crate::model::{Decision, IncidentId, ServiceName, Severity, Timestamp, Verdict};

use super::drills::Wish;
use super::{Effects, Engine, Notification, NotificationKind, OperatorCommand, Record};

impl Engine {
    pub(super) fn operator(&mut self, command: OperatorCommand, effects: &mut Effects) {
        match command {
            OperatorCommand::Approve { incident, service, .. } => {
                let denied = |v: &Verdict| v.refusal.as_ref().is_some_and(|refusal| refusal.gate == "denied");
                let asking = self.judged(incident, service.as_ref(), |v| v.decision == Decision::Ask || denied(v));
                for key in asking {
                    self.denied.remove(&key);
                    self.approved.insert(key);
                }
            }
            OperatorCommand::Deny { incident, service, .. } => {
                for key in self.judged(incident, service.as_ref(), |v| v.decision != Decision::Ignore) {
                    self.approved.remove(&key);
                    self.denied.insert(key);
                }
            }
            // Kept by the shell.
            OperatorCommand::LinkUsed { .. } => {}
            OperatorCommand::Confirm {
                incident,
                fault,
                entity,
                by,
            } => {
                if let Some(testimony) = self.testimony(incident, fault, entity) {
                    effects.log.push(Record::Confirmed {
                        at: self.now,
                        incident,
                        by,
                        testimony,
                    });
                }
            }
            OperatorCommand::Abort { plan, by } => effects.abort.push((plan, format!("aborted by {by}"))),
            OperatorCommand::Failback { service, to, by } => {
                if let Err(reason) = self.start_failback(&service, to, &by, effects) {
                    self.tell_refused(&service, &reason, effects);
                }
            }
            OperatorCommand::Drill {
                service,
                to,
                stay,
                yes,
                asked,
                by,
            } => {
                let wish = Wish {
                    service,
                    to,
                    stay,
                    yes,
                    asked,
                    by,
                };
                self.wish_drill(&wish, effects);
            }
            OperatorCommand::Drilled { drill } => self.drilled(*drill, effects),
            OperatorCommand::Maintenance { service, until, .. } => {
                self.each_state(service.as_ref(), |state| state.maintenance_until = until);
            }
            OperatorCommand::Silenced { service, until } => {
                self.each_state(Some(&service), |state| state.silenced_until = until);
            }
            OperatorCommand::Hold { on, .. } => self.held = on,
            OperatorCommand::Unready { span, reason } => self.unready = Some((self.now + span.0, reason)),
        }
    }

    /// Services on which there is such a verdict, with the incident.
    fn judged(
        &self,
        incident: IncidentId,
        service: Option<&ServiceName>,
        such: impl Fn(&Verdict) -> bool,
    ) -> Vec<(IncidentId, ServiceName)> {
        self.verdicts
            .values()
            .filter(|verdict| verdict.incident == incident && such(verdict))
            .filter_map(|verdict| verdict.service.clone())
            .filter(|name| service.is_none_or(|wanted| wanted == name))
            .map(|name| (incident, name))
            .collect()
    }

    fn each_state(&mut self, service: Option<&ServiceName>, change: impl Fn(&mut crate::decide::ServiceState)) {
        for (name, state) in &mut self.states {
            if service.is_none_or(|wanted| wanted == name) {
                change(state);
            }
        }
    }

    fn tell_refused(&self, service: &ServiceName, reason: &str, effects: &mut Effects) {
        effects.notify.push(Notification {
            kind: NotificationKind::Plan,
            severity: Severity::Warning,
            incident: None,
            service: Some(service.clone()),
            entity: None,
            label: "failback-refused".into(),
            text: format!("failback of {service} refused: {reason}"),
            since: Timestamp::max(self.now, Timestamp::EPOCH),
            firing: false,
            links: std::collections::BTreeMap::new(),
        });
    }
}
