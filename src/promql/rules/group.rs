//! Groups at work: evaluates the rules of a group in order, records what they say, remembers how it went.

use std::collections::{BTreeMap, BTreeSet};

use super::super::eval::{Evaluator, Options};
use super::super::labels::METRIC_NAME;
use super::super::{Item, Labels, Point, Query, Source};
use super::alert::{ActiveAlert, AlertState, Alerts, Terms};
use super::file::{GroupSpec, RuleFile, RuleSpec};
use super::template::{self, Template, TemplateContext};
use crate::model::sample::STALE_NAN;

/// Where rules read, and write what they record.
pub trait Store: Source {
    /// Takes in a value of a series that a rule made.
    fn record(&mut self, labels: &Labels, point: Point);
}

/// How the latest evaluation of a rule went.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Health {
    /// Not evaluated yet.
    #[default]
    Unknown,
    /// Well.
    Ok,
    /// Not; why.
    Err(String),
}

/// A rule at work.
#[derive(Debug)]
pub struct RuleRun {
    /// As it was written.
    pub spec: RuleSpec,
    /// How the latest evaluation went.
    pub health: Health,
    query: Query,
    labels: Vec<(String, Template)>,
    annotations: Vec<(String, Template)>,
    alerts: Alerts,
    /// What it recorded last, so that what is gone can be marked so.
    recorded: BTreeSet<Labels>,
}

/// A group at work.
#[derive(Debug)]
pub struct Group {
    /// Of which file.
    pub file: String,
    /// As it was written.
    pub spec: GroupSpec,
    /// Milliseconds between two evaluations.
    pub interval: i64,
    /// When it was evaluated last, in milliseconds.
    pub last: Option<i64>,
    /// Its rules.
    pub rules: Vec<RuleRun>,
}

impl RuleRun {
    fn new(spec: RuleSpec, group: &GroupSpec, context: &TemplateContext) -> Result<Self, String> {
        let read = |(name, text): (&str, &str)| Ok((name.to_owned(), Template::new(text, context)?));
        let own = |name: &str| spec.labels().any(|(own, _)| own == name);
        let mut labels = group
            .labels
            .iter()
            .filter(|(name, _)| !own(name))
            .map(|(name, value)| read((name, &value.0)))
            .collect::<Result<Vec<_>, String>>()?;
        labels.extend(spec.labels().map(read).collect::<Result<Vec<_>, String>>()?);
        Ok(Self {
            query: Query::parse(spec.expr()).map_err(|error| error.to_string())?,
            labels,
            annotations: spec.annotations().map(read).collect::<Result<Vec<_>, String>>()?,
            spec,
            health: Health::Unknown,
            alerts: Alerts::default(),
            recorded: BTreeSet::new(),
        })
    }

    /// Its query.
    pub const fn query(&self) -> &Query {
        &self.query
    }

    /// True for an alerting rule.
    pub fn alerts_by_rule(&self) -> bool {
        self.spec.record.is_empty()
    }

    /// Its alerts that are pending or fire.
    pub fn active(&self) -> impl Iterator<Item = &ActiveAlert> {
        self.alerts.iter().filter(|alert| alert.state != AlertState::Inactive)
    }

    pub(super) fn active_mut(&mut self) -> impl Iterator<Item = &mut ActiveAlert> {
        self.alerts
            .iter_mut()
            .filter(|alert| alert.state != AlertState::Inactive)
    }

    fn evaluate(
        &mut self,
        store: &dyn Source,
        now: i64,
        offset: i64,
        limit: usize,
        options: Options,
    ) -> Result<Vec<(Labels, Point)>, String> {
        let at = now - offset;
        let found = ask(&self.query, store, at, options)?;
        if self.alerts_by_rule() {
            return self.alert(found, store, now, at, limit, options);
        }
        let mut recorded: BTreeMap<Labels, f64> = BTreeMap::new();
        for item in found {
            let mut labels = item.labels.with(METRIC_NAME, &self.spec.record);
            for (name, value) in self.spec.labels() {
                labels = labels.with(name, value);
            }
            for (name, template) in &self.labels {
                // Labels of the group; those of the rule stand already.
                if self.spec.labels().all(|(own, _)| own != name) {
                    labels = labels.with(name, template.source());
                }
            }
            if recorded.insert(labels, item.value).is_some() {
                return Err("vector contains metrics with the same labelset after applying rule labels".into());
            }
        }
        if limit > 0 && recorded.len() > limit {
            return Err(format!("exceeded limit of {limit} with {} series", recorded.len()));
        }
        Ok(recorded
            .into_iter()
            .map(|(labels, value)| (labels, Point { at: now, value }))
            .collect())
    }

    fn alert(
        &mut self,
        found: Vec<Item>,
        store: &dyn Source,
        now: i64,
        at: i64,
        limit: usize,
        options: Options,
    ) -> Result<Vec<(Labels, Point)>, String> {
        let mut ready = Vec::with_capacity(found.len());
        for item in found {
            let mut query = |text: &str| {
                let query = Query::parse(text).map_err(|error| error.to_string())?;
                ask(&query, store, at, options)
            };
            // Templates see the element's labels, its name among them.
            let known = &item.labels;
            let mut labels = known.without_name();
            for (name, template) in &self.labels {
                let value = template.expand(known, item.value, now, &mut query);
                labels = labels.with(name, &value);
            }
            labels = labels.with("alertname", &self.spec.alert);
            let annotations = self
                .annotations
                .iter()
                .map(|(name, template)| (name.clone(), template.expand(known, item.value, now, &mut query)))
                .collect();
            ready.push((
                Item {
                    labels,
                    value: item.value,
                    nameless: false,
                },
                annotations,
            ));
        }
        let terms = Terms {
            hold: self.spec.hold.unwrap_or_default().0,
            keep: self.spec.keep_firing_for.unwrap_or_default().0,
            limit,
        };
        self.alerts.update(ready, now, terms)
    }
}

fn ask(query: &Query, store: &dyn Source, at: i64, options: Options) -> Result<Vec<Item>, String> {
    let run = Evaluator::new(query, store, (at, at), options);
    let value = run.instant().map_err(|error| error.to_string())?;
    template::items(value)
}

impl Group {
    fn new(file: &str, spec: GroupSpec, interval: i64, context: &TemplateContext) -> Result<Self, String> {
        let rules = spec
            .rules
            .iter()
            .map(|rule| RuleRun::new(rule.clone(), &spec, context))
            .collect::<Result<Vec<_>, _>>()?;
        let interval = spec.interval.map_or(interval, |own| own.0).max(1);
        Ok(Self {
            file: file.to_owned(),
            interval,
            last: None,
            rules,
            spec,
        })
    }

    /// True if it is time for it again: at whole multiples of its interval.
    pub fn due(&self, now: i64) -> bool {
        self.last
            .is_none_or(|last| now.div_euclid(self.interval) > last.div_euclid(self.interval))
    }

    /// Evaluates all rules in order; later ones see what earlier ones recorded.
    pub fn evaluate(&mut self, store: &mut dyn Store, now: i64, options: Options) {
        let offset = self.spec.query_offset.unwrap_or_default().0;
        for rule in &mut self.rules {
            let source: &dyn Source = &*store;
            let series = match rule.evaluate(source, now, offset, self.spec.limit, options) {
                Ok(series) => {
                    rule.health = Health::Ok;
                    series
                }
                Err(why) => {
                    rule.health = Health::Err(why);
                    Vec::new()
                }
            };
            let at = now - offset;
            let mut present = BTreeSet::new();
            for (labels, point) in series {
                store.record(&labels, Point { at, ..point });
                present.insert(labels);
            }
            for gone in rule.recorded.difference(&present) {
                store.record(gone, Point { at, value: STALE_NAN });
            }
            rule.recorded = present;
        }
        self.last = Some(now);
    }
}

/// All groups of all loaded files.
#[derive(Debug, Default)]
pub struct Groups {
    /// In the order of their files and within them.
    pub all: Vec<Group>,
}

impl Groups {
    /// Gets checked files ready to run.
    pub fn new<'f>(
        files: impl IntoIterator<Item = (&'f str, &'f RuleFile)>,
        interval: i64,
        context: &TemplateContext,
    ) -> Result<Self, String> {
        let mut all = Vec::new();
        for (file, rules) in files {
            for group in &rules.groups {
                all.push(
                    Group::new(file, group.clone(), interval, context)
                        .map_err(|why| format!("{file}: group '{}': {why}", group.name))?,
                );
            }
        }
        Ok(Self { all })
    }

    /// Evaluates the groups that are due; true if there were any.
    pub fn tick(&mut self, store: &mut dyn Store, now: i64, options: Options) -> bool {
        let mut any = false;
        for group in self.all.iter_mut().filter(|group| group.due(now)) {
            // The clock that drives this comes when it comes; `for` is counted from one whole interval to another, as in Prometheus.
            group.evaluate(store, now - now.rem_euclid(group.interval), options);
            any = true;
        }
        any
    }

    /// Takes over how far rules that are the same have come: of the same file and group, and written alike.
    pub fn adopt(&mut self, before: Self) {
        for last in before.all {
            let same = |group: &&mut Group| group.file == last.file && group.spec.name == last.spec.name;
            let Some(group) = self.all.iter_mut().find(same) else {
                continue;
            };
            group.last = last.last;
            for run in last.rules {
                if let Some(rule) = group.rules.iter_mut().find(|rule| rule.spec == run.spec) {
                    rule.alerts = run.alerts;
                    rule.recorded = run.recorded;
                    rule.health = run.health;
                }
            }
        }
    }

    /// Makes all queries ready to be evaluated so.
    pub fn prepare(&mut self, options: Options) {
        for rule in self.all.iter_mut().flat_map(|group| &mut group.rules) {
            options.prepare(&mut rule.query);
        }
    }

    /// All rules at work.
    pub fn rules(&self) -> impl Iterator<Item = &RuleRun> {
        self.all.iter().flat_map(|group| &group.rules)
    }

    /// All alerts that are pending or fire, in the order of the rules.
    pub fn active(&self) -> impl Iterator<Item = (&RuleRun, &ActiveAlert)> {
        self.rules()
            .flat_map(|rule| rule.active().map(move |alert| (rule, alert)))
    }
}
