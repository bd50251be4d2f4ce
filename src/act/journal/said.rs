//! What people have said of incidents and plans: all of it stays in the audit log; a no also outlives the agent, as long as its incident is not over.

use super::Record;
use crate::engine::{About, OperatorCommand};
use crate::model::{EntityName, IncidentId, ServiceName, Timestamp};

/// More than a person can have said no to at once; the oldest is forgotten first.
const DENIALS_MAX: usize = 256;

/// A no that still stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Denial {
    /// When it was said.
    pub at: Timestamp,
    /// Of which incident, as that run numbered it.
    pub incident: IncidentId,
    /// Its onset.
    pub onset: Timestamp,
    /// Where its most probable cause sat.
    pub entity: Option<EntityName>,
    /// Of which service.
    pub service: ServiceName,
    /// Who said so.
    pub by: String,
}

/// Takes in what was said.
pub(super) fn apply(denials: &mut Vec<Denial>, at: Timestamp, word: &OperatorCommand, about: Option<&About>) {
    let Some(about) = about else { return };
    let (incident, by) = match word {
        OperatorCommand::Deny { incident, by, .. } => (*incident, Some(by)),
        OperatorCommand::Approve { incident, .. } => (*incident, None),
        _ => return,
    };
    // The same question under another number, as a restart gives it.
    let same = |known: &Denial| known.incident == incident || about.entity.is_some() && known.entity == about.entity;
    denials.retain(|known| !(same(known) && about.services.contains(&known.service)));
    let Some(by) = by else { return };
    denials.extend(about.services.iter().map(|service| Denial {
        at,
        incident,
        onset: about.onset,
        entity: about.entity.clone(),
        service: service.clone(),
        by: by.clone(),
    }));
    let over = denials.len().saturating_sub(DENIALS_MAX);
    denials.drain(..over);
}

/// The records that tell the same.
pub(super) fn compact(denials: &[Denial]) -> impl Iterator<Item = Record> {
    denials.iter().map(|denial| Record::Said {
        at: denial.at,
        word: OperatorCommand::Deny {
            incident: denial.incident,
            service: Some(denial.service.clone()),
            by: denial.by.clone(),
        },
        about: Some(About {
            onset: denial.onset,
            entity: denial.entity.clone(),
            services: vec![denial.service.clone()],
        }),
    })
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::*;

    fn said(at: i64, no: bool, incident: u64, services: &[&str]) -> Record {
        let (incident, service, by) = (IncidentId(incident), None, "cli".to_owned());
        Record::Said {
            at: Timestamp::from_secs(at),
            word: if no {
                OperatorCommand::Deny { incident, service, by }
            } else {
                OperatorCommand::Approve { incident, service, by }
            },
            about: Some(About {
                onset: Timestamp::from_secs(1),
                entity: Some("db".into()),
                services: services.iter().map(|name| ServiceName::from(*name)).collect(),
            }),
        }
    }

    fn left(records: &[Record]) -> Vec<(u64, String)> {
        let state = State::read(records);
        let again = State::read(&state.compact(Timestamp::from_secs(99)));
        assert_eq!(again.denials, state.denials, "what is left tells the same");
        let denials = state.denials.iter();
        denials
            .map(|denial| (denial.incident.0, denial.service.to_string()))
            .collect()
    }

    #[test]
    fn a_no_stands_until_a_yes_or_the_end_of_its_incident() {
        let of =
            |list: &[(u64, &str)]| -> Vec<(u64, String)> { list.iter().map(|(n, s)| (*n, (*s).to_owned())).collect() };
        let no = said(5, true, 4, &["web", "api"]);
        assert_eq!(left(std::slice::from_ref(&no)), of(&[(4, "web"), (4, "api")]));
        assert_eq!(left(&[no.clone(), said(6, false, 4, &["web"])]), of(&[(4, "api")]));
        // After a restart the same question has another number.
        assert_eq!(
            left(&[no.clone(), said(6, true, 9, &["web", "api"])]),
            of(&[(9, "web"), (9, "api")])
        );
        let over = |incident| Record::Over {
            at: Timestamp::from_secs(7),
            incident: IncidentId(incident),
        };
        assert_eq!(left(&[no.clone(), over(3)]).len(), 2);
        assert_eq!(left(&[no, over(4)]), of(&[]));
    }
}
