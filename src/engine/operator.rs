//! An operator's word.

use crate::decide::{Leaps, RefusedOrder};
use crate::model::{IncidentId, ServiceName, Severity, Span, Timestamp};

use super::asking::DeniedBefore;
use super::drills::Wish;
use super::{Effects, Engine, Notification, NotificationKind, OperatorCommand, Record};

/// What this agent's own clock and its own stalls say of its readiness.
#[derive(Debug, Default)]
pub struct Ready {
    /// Nothing is acted upon until then, and why.
    pub(super) unready: Option<(Timestamp, String)>,
    /// Where the clock was set forward.
    pub(super) leaps: Leaps,
}

impl Engine {
    pub(super) fn operator(&mut self, command: OperatorCommand, effects: &mut Effects) {
        match command {
            OperatorCommand::Approve { incident, service, by } => {
                for name in self.open_to_a_word(incident, service.as_ref()) {
                    self.denied.remove(&(incident, name.clone()));
                    self.approved.insert((incident, name), by.clone());
                }
            }
            OperatorCommand::Deny { incident, service, by } => {
                for name in self.open_to_a_word(incident, service.as_ref()) {
                    self.approved.remove(&(incident, name.clone()));
                    self.denied.insert((incident, name), by.clone());
                }
            }
            OperatorCommand::Denied {
                service,
                entity,
                until,
                by,
            } => self.denied_before.push(DeniedBefore {
                service,
                entity,
                until,
                by,
            }),
            // Kept by the shell.
            OperatorCommand::LinkUsed { .. } => {}
            OperatorCommand::Confirm {
                incident,
                fault,
                entity,
                by,
            } => {
                let known = entity
                    .as_ref()
                    .is_none_or(|entity| self.topology.entity(entity.as_str()).is_some());
                if let Some(testimony) = self.testimony(incident, fault, entity).filter(|_| known) {
                    effects.log.push(Record::Confirmed {
                        at: self.now,
                        incident,
                        opened: self.incident(incident).map(|known| known.opened),
                        by,
                        testimony,
                    });
                }
            }
            OperatorCommand::Abort { plan, by } => effects.abort.push((plan, format!("aborted by {by}"))),
            OperatorCommand::Failback { service, to, by } => {
                if let Err(reason) = self.start_failback(&service, to, &by, effects) {
                    self.tell_refused(&service, &reason, effects);
                    let at = self.now;
                    self.each_state(Some(&service), |state| {
                        let reason = reason.clone();
                        state.refused = Some(RefusedOrder { at, reason });
                    });
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
                if service.is_none() {
                    self.all_rest_until = until;
                }
                self.each_state(service.as_ref(), |state| state.maintenance_until = until);
            }
            OperatorCommand::Silenced { service, until, .. } => {
                self.each_state(Some(&service), |state| state.silenced_until = until);
            }
            OperatorCommand::Hold { on, .. } => self.held = on,
            OperatorCommand::Unready { span, leap, reason } => self.unready_for(span, leap, reason),
        }
    }

    /// From the time on that the clock shows after its leap, if it has made one.
    fn unready_for(&mut self, span: Span, leap: Span, reason: String) {
        let now = self.now + leap.0;
        self.ready.leaps.note(now, leap.0);
        for no in &mut self.denied_before {
            no.until = no.until + leap.0;
        }
        self.ready.unready = Some((now + span.0, reason));
    }

    /// The services of whose verdicts on an incident a person may decide.
    fn open_to_a_word(&self, incident: IncidentId, service: Option<&ServiceName>) -> Vec<ServiceName> {
        let of_incident = self.verdicts.values().filter(|v| v.incident == incident);
        of_incident
            .filter(|v| v.is_up_to_a_person())
            .filter_map(|v| v.service.clone())
            .filter(|name| service.is_none_or(|wanted| wanted == name))
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
