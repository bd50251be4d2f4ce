//! How long a question stands: what nobody answers in time is taken for a no, or for a yes where the service says so.

use crate::decide;
use crate::model::service::Unanswered;
use crate::model::{IncidentId, Refusal, Service, Span, Timestamp};

use super::{Effects, Engine, OperatorCommand, Record};

/// Whose word it is that nobody has given.
const TIME_LIMIT: &str = "the time limit";

impl Engine {
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
            return Some(*self.asked.entry(key).or_insert(self.now) + limit.0);
        }
        if self.denied.get(&key).is_some_and(|by| by.starts_with(TIME_LIMIT)) {
            return self.asked.get(&key).map(|since| *since + limit.0);
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
                self.approved.insert(key);
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
