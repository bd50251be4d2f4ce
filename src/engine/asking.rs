//! How long a question stands, and an answer: what nobody answers in time is taken for a no, or for a yes where the service says so.

use crate::decide;
use crate::model::service::Unanswered;
use crate::model::{EntityName, Incident, IncidentId, Refusal, Service, ServiceName, Span, Timestamp};

use super::{Effects, Engine, OperatorCommand, Record};

/// Whose word it is that nobody has given.
pub const TIME_LIMIT: &str = "the time limit";

/// A no to an incident of an earlier run.
pub(super) struct DeniedBefore {
    pub(super) service: ServiceName,
    /// Where the most probable cause sat; anywhere, if it had none.
    pub(super) entity: Option<EntityName>,
    pub(super) until: Timestamp,
    pub(super) by: String,
}

impl Engine {
    /// A no does not end with the agent that heard it: what shows itself again in the same place soon after a restart is the same question.
    pub(super) fn heed_earlier_no(&mut self, incident: &Incident, service: &ServiceName, effects: &mut Effects) {
        let now = self.now;
        self.denied_before.retain(|no| now < no.until);
        let shows = |entity: &EntityName| {
            incident.symptoms.iter().any(|symptom| symptom.key.entity == *entity)
                || incident.hypotheses.iter().any(|cause| cause.entity == *entity)
        };
        let same = |no: &DeniedBefore| no.service == *service && no.entity.as_ref().is_none_or(shows);
        let Some(place) = self.denied_before.iter().position(same) else {
            return;
        };
        let by = self.denied_before.remove(place).by;
        self.denied.insert((incident.id, service.clone()), by.clone());
        effects.log.push(Record::Operator {
            at: now,
            operator: OperatorCommand::Deny {
                incident: incident.id,
                service: Some(service.clone()),
                by,
            },
        });
    }

    /// When the question that a verdict puts is answered by the clock, or was; `None` where nothing but the gates is waited for. A question that is put
    /// anew has all of its time again.
    pub(super) fn answer_by(
        &mut self,
        incident: IncidentId,
        service: &Service,
        refusal: Option<&Refusal>,
    ) -> Option<Timestamp> {
        let limit = self.limit(service)?;
        let key = (incident, service.name.clone());
        if refusal.is_some_and(decide::is_question) {
            let since = *self.asked.entry(key).or_insert(self.now);
            return Some(self.ready.leaps.due(since, limit.0));
        }
        if self.denied.get(&key).is_some_and(|by| by.starts_with(TIME_LIMIT)) {
            return self.asked.get(&key).map(|since| self.ready.leaps.due(*since, limit.0));
        }
        self.asked.remove(&key);
        None
    }

    /// Nobody has answered.
    pub(super) fn time_is_up(&mut self, incident: IncidentId, service: &Service, effects: &mut Effects) {
        let Some(limit) = self.limit(service) else { return };
        let by = format!("{TIME_LIMIT} of {limit}");
        let (key, name) = ((incident, service.name.clone()), Some(service.name.clone()));
        let operator = match service.unanswered {
            Unanswered::Deny => {
                self.denied.insert(key, by.clone());
                OperatorCommand::Deny {
                    incident,
                    service: name,
                    by,
                }
            }
            Unanswered::Approve => {
                self.approved.insert(key, by.clone());
                self.tell_unanswered(incident, service, limit, effects);
                OperatorCommand::Approve {
                    incident,
                    service: name,
                    by,
                }
            }
        };
        effects.log.push(Record::Operator { at: self.now, operator });
    }

    fn limit(&self, service: &Service) -> Option<Span> {
        let limit = service.ask_timeout.unwrap_or(self.policy.ask_timeout);
        (!limit.0.is_zero()).then_some(limit)
    }
}
