//! Prometheus rules on the engine's clock: what arrives goes into their history, groups that are due are evaluated, and an alert that begins or ends to
//! fire becomes an event, as if another monitor had told of it.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use crate::model::{Batch, Catalog, EntityName, Event, EventKind, Span, Timestamp, TopologyChange};
use crate::promql::history::{History, Origins};
use crate::promql::rules::{ActiveAlert, AlertState, Groups, Restoring, RuleFile, Stood, TemplateContext};
use crate::promql::{Labels, Options, Semantics};

/// What the config says of Prometheus rules.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct RuleSettings {
    /// Rule files: name and content.
    pub files: Vec<(String, RuleFile)>,
    /// How often groups are evaluated that state no interval of their own.
    pub interval: Span,
    /// Every series is kept for so long for queries; zero keeps only what rules look back at.
    pub keep: Span,
    /// Labels that name the entity of an alert, the first that is there counts.
    pub entity_labels: Vec<String>,
    /// Labels that the config gives to an entity's series.
    pub origins: Origins,
    /// By whose rules windows are cut.
    pub semantics: Semantics,
    /// Alerts that stood longer ago than this before a start begin anew.
    pub outage_tolerance: Span,
    /// Rules with a `for` at least this long go on after a start where they stood.
    pub grace_period: Span,
}

impl RuleSettings {
    fn wanted(&self) -> bool {
        !self.files.is_empty() || !self.keep.0.is_zero()
    }
}

/// The rules at work and what they look back at.
#[derive(Debug)]
pub struct RuleBook {
    /// The groups with their alerts.
    pub groups: Groups,
    /// What is kept.
    pub history: History,
    /// How queries are evaluated.
    pub options: Options,
    /// The time of the latest tick, in milliseconds.
    pub now: i64,
    told: BTreeMap<(EntityName, String), Event>,
    entity_labels: Vec<String>,
    outage: (i64, i64),
    stood: Option<Stood>,
    restoring: Option<Restoring>,
}

/// A handle on the rules at work. Cloning shares it: the engine writes, whoever answers queries reads.
#[derive(Clone, Default)]
pub struct RuleDesk {
    book: Arc<RwLock<Option<RuleBook>>>,
    /// What sources told of their entities while there was no book: they tell it once, and rules may come with a later config.
    early: Arc<RwLock<Origins>>,
    settings: RuleSettings,
}

impl RuleDesk {
    pub(super) fn new(settings: RuleSettings) -> Result<Self, String> {
        let book = settings.wanted().then(|| RuleBook::new(&settings)).transpose()?;
        Ok(Self {
            book: Arc::new(RwLock::new(book)),
            early: Arc::default(),
            settings,
        })
    }

    /// The rules at work, if there are any.
    pub fn read(&self) -> RwLockReadGuard<'_, Option<RuleBook>> {
        self.book.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn with(&self, work: impl FnOnce(&mut RuleBook)) {
        if let Some(book) = &mut *self.book.write().unwrap_or_else(PoisonError::into_inner) {
            work(book);
        }
    }

    /// Goes on with other rules under the same handle. What is kept stays, and so do the alerts of rules that are the same.
    pub(super) fn succeed(self, before: &Self) -> Self {
        if self.settings != before.settings {
            let next = self.book.write().unwrap_or_else(PoisonError::into_inner).take();
            let mut book = before.book.write().unwrap_or_else(PoisonError::into_inner);
            let mut early = before.early.write().unwrap_or_else(PoisonError::into_inner);
            let early = &mut *early;
            *book = match (next, book.take()) {
                (Some(mut next), Some(last)) => {
                    next.adopt(last, self.settings.origins == before.settings.origins);
                    Some(next)
                }
                (Some(mut next), None) => {
                    next.history.knows(std::mem::take(early));
                    Some(next)
                }
                // Nothing fires any more, but that must still be said.
                (None, Some(mut last)) if !last.told.is_empty() => {
                    RuleBook::new(&RuleSettings::default()).ok().map(|mut next| {
                        next.history.knows(last.history.told());
                        RuleBook {
                            told: last.told,
                            ..next
                        }
                    })
                }
                (None, last) => {
                    if let Some(mut last) = last {
                        *early = last.history.told();
                    }
                    None
                }
            };
        }
        Self {
            book: Arc::clone(&before.book),
            early: Arc::clone(&before.early),
            settings: self.settings,
        }
    }

    pub(super) fn take(&self, batch: &Batch, catalog: &Catalog) {
        let mut book = self.book.write().unwrap_or_else(PoisonError::into_inner);
        for (entity, labels) in batch.events.iter().filter_map(introduced) {
            match &mut *book {
                Some(book) => book.history.introduce(entity.as_str(), labels, catalog),
                None => {
                    let mut early = self.early.write().unwrap_or_else(PoisonError::into_inner);
                    early.insert(entity.to_string(), labels);
                }
            }
        }
        let Some(book) = &mut *book else { return };
        for sample in &batch.samples {
            // A device's clock that is ahead must not hide its values until then.
            book.history.take(&crate::model::Sample {
                at: sample.at.min(sample.seen),
                ..*sample
            });
        }
    }

    /// What an earlier run left standing.
    pub(super) fn stood(&self, stood: Stood) {
        self.with(|book| book.stood = Some(stood));
    }

    /// Evaluates what is due, and adds what has begun or ended to fire.
    pub(super) fn tick(&self, now: Timestamp, catalog: &Catalog, events: &mut Vec<Event>) {
        self.with(|book| book.tick(now, catalog, events));
    }
}

/// The labels that a source gives to all series of an entity, if the event tells any.
fn introduced(event: &Event) -> Option<(&EntityName, Labels)> {
    match &event.kind {
        EventKind::Topology(TopologyChange::Entity { entity }) => Some((&entity.name, origin(&entity.attributes)?)),
        EventKind::Topology(TopologyChange::Labelled { entity, labels }) => Some((entity, labels.iter().collect())),
        _ => None,
    }
}

/// The labels that a scrape gave to its target, which all series of the target have.
fn origin(attributes: &BTreeMap<String, String>) -> Option<Labels> {
    attributes.get("job")?;
    let known = ["job", "instance"].into_iter();
    Some(known.filter_map(|name| Some((name, attributes.get(name)?))).collect())
}

impl RuleBook {
    fn new(settings: &RuleSettings) -> Result<Self, String> {
        let millis = |span: Span| i64::try_from(span.0.as_millis()).unwrap_or(i64::MAX);
        let files = settings.files.iter().map(|(name, file)| (name.as_str(), file));
        let interval = millis(settings.interval).max(1);
        let mut groups = Groups::new(files, interval, &TemplateContext::default())?;
        let options = Options {
            step: interval,
            semantics: settings.semantics,
            entity_follows: true,
            ..Options::default()
        };
        groups.prepare(options);
        let queries = groups.rules().map(crate::promql::rules::RuleRun::query);
        let history = History::new(
            queries,
            millis(settings.keep),
            options.lookback,
            settings.origins.clone(),
        );
        Ok(Self {
            groups,
            history,
            options,
            now: 0,
            told: BTreeMap::new(),
            entity_labels: settings.entity_labels.clone(),
            outage: (millis(settings.outage_tolerance), millis(settings.grace_period)),
            stood: None,
            restoring: None,
        })
    }

    fn adopt(&mut self, mut last: Self, same_labels: bool) {
        self.told = last.told;
        self.groups.adopt(last.groups);
        self.stood = last.stood;
        self.restoring = last.restoring;
        if same_labels {
            self.history.adopt(last.history);
        } else {
            self.history.knows(last.history.told());
        }
    }

    fn tick(&mut self, now: Timestamp, catalog: &Catalog, events: &mut Vec<Event>) {
        self.now = now.millis();
        self.history.settle(self.now, catalog);
        if !self.groups.tick(&mut self.history, self.now, self.options) && !self.groups.all.is_empty() {
            return;
        }
        if let Some(stood) = self.stood.take() {
            let (tolerance, grace) = self.outage;
            self.restoring = Restoring::new(&stood, self.now, tolerance, grace);
        }
        let (groups, at) = (&mut self.groups, self.now);
        self.restoring = self
            .restoring
            .take()
            .and_then(|mut left| left.restore(groups, at).then_some(left));
        let mut firing: BTreeMap<(EntityName, String), Event> = BTreeMap::new();
        for (_, alert) in self
            .groups
            .active()
            .filter(|(_, alert)| alert.state == AlertState::Firing)
        {
            let event = self.event(alert, now);
            let name = alert.labels.get("alertname").to_owned();
            // Several alerts of one rule may be about one entity: the first, by its labels, speaks for them.
            firing.entry((event.entity.clone(), name)).or_insert(event);
        }
        let over = self.told.iter().filter(|(key, _)| !firing.contains_key(*key));
        for (_, event) in over {
            events.push(ended(event, now));
        }
        for (key, event) in &firing {
            if !self.told.contains_key(key) {
                events.push(event.clone());
            }
        }
        self.told = firing;
    }

    fn event(&self, alert: &ActiveAlert, now: Timestamp) -> Event {
        let labels: BTreeMap<String, String> = alert
            .labels
            .iter()
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        let name = alert.labels.get("alertname").to_owned();
        let named = self.entity_labels.iter().find_map(|label| labels.get(label));
        let starts_at = Timestamp::from_millis(alert.active_at);
        Event {
            entity: EntityName::from(named.unwrap_or(&name).as_str()),
            at: starts_at,
            seen: now,
            kind: EventKind::Alert {
                name,
                labels,
                annotations: alert.annotations.clone(),
                firing: true,
                starts_at,
            },
        }
    }
}

fn ended(event: &Event, now: Timestamp) -> Event {
    let mut event = event.clone();
    event.at = now;
    event.seen = now;
    if let EventKind::Alert { firing, .. } = &mut event.kind {
        *firing = false;
    }
    event
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Entity, EntityKind, Sample};

    /// A target is introduced once, when its source begins; rules may come later, go, and come again.
    #[test]
    fn what_sources_told_before_there_were_rules_is_known_to_them() {
        let catalog = Catalog::new();
        let at = Timestamp::from_secs(1_767_225_600);
        let entity = Entity {
            name: "a".into(),
            kind: EntityKind::Service,
            period: None,
            group: None,
            attributes: [("job", "node"), ("instance", "a:9100")]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into(),
        };
        let event = |change| Event {
            entity: "a".into(),
            at,
            seen: at,
            kind: EventKind::Topology(change),
        };
        let labels = [("job".to_owned(), "b".to_owned())].into();
        let told = Batch {
            events: vec![
                event(TopologyChange::Entity { entity }),
                event(TopologyChange::Labelled {
                    entity: "b".into(),
                    labels,
                }),
            ],
            samples: Vec::new(),
        };
        let sample = |entity| Sample {
            series: catalog.series(entity, "up"),
            retained: false,
            at,
            seen: at,
            value: 1.0,
        };
        let heard = Batch {
            events: Vec::new(),
            samples: vec![sample("a"), sample("b")],
        };
        let with = |keep| {
            RuleDesk::new(RuleSettings {
                keep: Span::secs(keep),
                ..RuleSettings::default()
            })
            .unwrap()
        };
        let mut desk = with(0);
        desk.take(&told, &catalog);
        for keep in [60, 0, 120] {
            desk = with(keep).succeed(&desk);
            desk.take(&heard, &catalog);
            desk.tick(at, &catalog, &mut Vec::new());
            let book = desk.read();
            let names = book.iter().flat_map(|book| book.history.series());
            let names: Vec<String> = names.map(|(labels, _)| labels.to_string()).collect();
            let expected = ["up{entity=\"a\", instance=\"a:9100\", job=\"node\"}", "up{job=\"b\"}"];
            assert_eq!(names, if keep > 0 { expected.to_vec() } else { Vec::new() });
        }
    }
}
