//! Keeps what people were told and have said, so that a restart does not forget it: the numbers of incidents, answers that nobody has given by hand, the end
//! of what was said no to. Watches whether the journal can be written, and says so.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::act::Conductor;
use crate::act::journal::{Record as Kept, State};
use crate::clock::wall_clock;
use crate::engine::{About, Engine, Input, Notification, NotificationKind, OperatorCommand, Record, TIME_LIMIT};
use crate::model::{IncidentId, Severity, Span, Timestamp};

/// Numbers are put on disk for so many incidents ahead: those that were told of are never told of again, whenever the disk or this process fails.
const AHEAD: u64 = 10;

/// A no of an earlier run holds for what shows itself again within this time after the start. What comes later is another question.
const NO_HOLDS: Span = Span::secs(600);

/// Added to the name of whoever said it.
const BEFORE: &str = ", before a restart";

/// The disk is tried so often.
const TRY_WELL: Duration = Duration::from_secs(10);
/// While it is ill.
const TRY_ILL: Duration = Duration::from_secs(2);

/// See the module.
pub struct Keeping {
    conductor: Option<Conductor>,
    /// Incidents up to this number may be told of.
    numbered: u64,
    /// Since when the journal cannot be written, as people were told.
    ill: Option<Timestamp>,
    /// Since when something keeps this agent from leading, and whether people were told.
    led_by_nobody: Option<(Timestamp, bool)>,
    /// The same of what it leaves to others.
    aside: Option<(Timestamp, bool)>,
}

/// A lease store that elects anew is away for so long without a word to people.
const LEADING_AGAIN: Duration = Duration::from_secs(10);

/// A way that is cut for longer than this, and the time in which it is to be whole again before leads are sought, is told to people.
const SEEING_AGAIN: Duration = Duration::from_secs(60);

/// What the engine is told of an earlier run.
pub fn inputs(state: &State) -> Vec<Input> {
    let until = wall_clock() + NO_HOLDS.0;
    let mut inputs = Vec::new();
    if state.incidents > 0 {
        inputs.push(Input::Numbers(state.incidents + 1));
    }
    inputs.extend(state.denials.iter().map(|denial| {
        let by = denial.by.strip_suffix(BEFORE).unwrap_or(&denial.by);
        Input::Operator(OperatorCommand::Denied {
            service: denial.service.clone(),
            entity: denial.entity.clone(),
            until,
            by: format!("{by}{BEFORE}"),
        })
    }));
    inputs
}

/// Tries the disk again and again until `stop`, and forgets what an earlier run was told no to once it holds no more.
pub fn watch(conductor: &Conductor, state: &State, stop: CancellationToken) {
    let (tried, until) = (conductor.clone(), stop.clone());
    tokio::spawn(async move {
        loop {
            let ill = tried.health().trouble().is_some();
            tokio::select! {
                () = until.cancelled() => return,
                () = tokio::time::sleep(if ill { TRY_ILL } else { TRY_WELL }) => {}
            }
            let conductor = tried.clone();
            if let Ok(Err(error)) = tokio::task::spawn_blocking(move || conductor.try_disk()).await {
                tracing::error!("the journal cannot be written, so nothing is acted upon: {error}");
            }
        }
    });
    let old: Vec<IncidentId> = state.denials.iter().map(|denial| denial.incident).collect();
    if old.is_empty() {
        return;
    }
    let conductor = conductor.clone();
    tokio::spawn(async move {
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(NO_HOLDS.0) => over(&conductor, old),
        }
    });
}

fn over(conductor: &Conductor, incidents: Vec<IncidentId>) {
    later(conductor, move |conductor| {
        incidents.iter().try_for_each(|incident| conductor.over(*incident))
    });
}

fn later<E: std::fmt::Display>(
    conductor: &Conductor,
    write: impl FnOnce(&Conductor) -> Result<(), E> + Send + 'static,
) {
    let conductor = conductor.clone();
    tokio::task::spawn_blocking(move || {
        if let Err(error) = write(&conductor) {
            tracing::error!(%error, "what was said or told will not outlive this agent");
        }
    });
}

impl Keeping {
    /// Goes on behind the numbers of an earlier run.
    pub const fn new(conductor: Option<Conductor>, numbered: u64) -> Self {
        Self {
            conductor,
            numbered,
            ill: None,
            led_by_nobody: None,
            aside: None,
        }
    }

    /// Heeds a line of the decision log.
    pub fn keep(&mut self, record: &Record, engine: &Engine) {
        let Some(conductor) = &self.conductor else { return };
        match record {
            Record::Incident { incident, .. } => {
                let id = incident.id;
                if id.0 > self.numbered {
                    self.numbered = id.0 + AHEAD - 1;
                    let incidents = self.numbered;
                    later(conductor, move |conductor| conductor.note(&Kept::Numbers { incidents }));
                }
                if !incident.is_open() {
                    over(conductor, vec![id]);
                }
            }
            Record::Operator { operator, .. } => {
                // What people say now is kept by whoever takes it in, before it counts.
                let (incident, service, about) = match operator {
                    OperatorCommand::Deny { incident, service, by } if by.ends_with(BEFORE) => {
                        (*incident, service, true)
                    }
                    OperatorCommand::Deny { incident, service, by }
                    | OperatorCommand::Approve { incident, service, by }
                        if by.starts_with(TIME_LIMIT) =>
                    {
                        (*incident, service, false)
                    }
                    _ => return,
                };
                let known = engine.find_incident(incident).filter(|_| about);
                let about = known.map(|incident| About::of(incident, service.iter().cloned().collect()));
                let word = operator.clone();
                later(conductor, move |conductor| conductor.say(&word, about, true));
            }
            _ => {}
        }
    }

    /// What keeps the journal from being written, if anything; and what people are to be told, if that is news.
    pub fn look(&mut self) -> (Option<String>, Option<Notification>) {
        let trouble = self
            .conductor
            .as_ref()
            .and_then(|conductor| conductor.health().trouble());
        let news = match (&trouble, self.ill) {
            (Some(why), None) => {
                let now = wall_clock();
                self.ill = Some(now);
                Some(Notification::critical(
                    NotificationKind::Journal,
                    None,
                    format!(
                        "the journal cannot be written, so nothing is acted upon, and what is said to this agent does not survive a restart: {why}"
                    ),
                    now,
                    true,
                ))
            }
            (None, Some(since)) => {
                self.ill = None;
                let text = "the journal can be written again".into();
                Some(Notification::critical(
                    NotificationKind::Journal,
                    None,
                    text,
                    since,
                    false,
                ))
            }
            _ => None,
        };
        (trouble, news)
    }

    /// What people are to be told, if that is news, of what keeps this agent from leading.
    pub fn leads(&mut self, trouble: Option<&str>, now: Timestamp) -> Option<Notification> {
        let (firing, since) = lasting(&mut self.led_by_nobody, trouble.is_some(), LEADING_AGAIN, now)?;
        let text = match trouble {
            Some(why) if firing => format!("this agent cannot lead, so it acts upon nothing: {why}"),
            _ => "nothing keeps this agent from leading any more".into(),
        };
        let kind = NotificationKind::Leading;
        Some(Notification::critical(kind, None, text, since, firing))
    }

    /// The same of the parts that it leaves to others.
    pub fn aside(&mut self, parts: &BTreeMap<String, String>, now: Timestamp) -> Option<Notification> {
        let (firing, since) = lasting(&mut self.aside, !parts.is_empty(), SEEING_AGAIN, now)?;
        let text = if firing {
            let parts: Vec<String> = parts.iter().map(|(part, why)| format!("{part}: {why}")).collect();
            format!("this agent stands aside, and leads nothing of {}", parts.join("; "))
        } else {
            "this agent stands aside no longer".into()
        };
        let told = Notification::critical(NotificationKind::Aside, None, text, since, firing);
        Some(Notification {
            severity: Severity::Warning,
            ..told
        })
    }
}

/// Whether people are to be told now that something stands for so long, or is over, and since when it stands. `known`: since when, and whether they were told.
fn lasting(
    known: &mut Option<(Timestamp, bool)>,
    stands: bool,
    patience: Duration,
    now: Timestamp,
) -> Option<(bool, Timestamp)> {
    if !stands {
        let (since, told) = known.take()?;
        return told.then_some((false, since));
    }
    let (since, told) = known.unwrap_or((now, false));
    let tell = !told && now.since(since) >= patience;
    *known = Some((since, told || tell));
    tell.then_some((true, since))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn that_nobody_can_lead_is_told_once_it_lasts_and_so_is_its_end() {
        let mut keeping = Keeping::new(None, 0);
        let at = Timestamp::from_secs;
        let mut told = |trouble, now| keeping.leads(trouble, at(now)).map(|told| (told.firing, told.since));
        assert_eq!(told(None, 1), None);
        // An election.
        assert_eq!(told(Some("no member answers"), 2), None);
        assert_eq!(told(None, 4), None);
        assert_eq!(told(Some("no member answers"), 10), None);
        assert_eq!(told(Some("no member answers"), 20), Some((true, at(10))));
        assert_eq!(told(Some("no member answers"), 30), None, "once");
        assert_eq!(told(None, 31), Some((false, at(10))));
        assert_eq!(told(None, 32), None);
    }

    #[test]
    fn that_it_stands_aside_is_told_once_it_lasts_and_so_is_its_end() {
        let mut keeping = Keeping::new(None, 0);
        let at = Timestamp::from_secs;
        let none = BTreeMap::new();
        let web = BTreeMap::from([("web".to_owned(), "two reaches a, and this agent does not".to_owned())]);
        assert_eq!(keeping.aside(&web, at(10)), None);
        assert_eq!(keeping.aside(&none, at(40)), None, "it was short");
        assert_eq!(keeping.aside(&web, at(50)), None);
        assert_eq!(keeping.aside(&web, at(109)), None);
        let told = keeping.aside(&web, at(110)).unwrap();
        assert_eq!(
            (told.firing, told.since, told.severity),
            (true, at(50), Severity::Warning)
        );
        assert!(told.text.contains("web: two reaches a"), "{}", told.text);
        assert_eq!(keeping.aside(&web, at(120)), None, "once");
        let over = keeping.aside(&none, at(130)).unwrap();
        assert_eq!((over.firing, over.severity), (false, Severity::Warning));
        assert_eq!(keeping.aside(&none, at(131)), None);
    }
}
