//! What a scraped series is called: whose it is, and which of its labels are left to say.

use std::collections::BTreeMap;

use super::exposition::SeriesParts;
use super::native::{Labels, Relabel, ScrapeConfig, relabel};
use super::settings::ScrapeSettings;
use super::targets::Resolved;
use crate::ingest::Feed;
use crate::model::{SeriesId, template};

/// What a Prometheus scrape config says beyond the settings.
pub struct Native {
    pub config: ScrapeConfig,
    pub rules: Vec<Relabel>,
}

/// Stands for a series that a rule has dropped.
pub const DROPPED: SeriesId = SeriesId(u32::MAX);

/// Stands for a series whose labels are more or longer than the config allows.
pub const OVER: SeriesId = SeriesId(u32::MAX - 1);

/// The number of a series that was never seen. An entity that its labels name goes to `named`, with those labels and where it was scraped: queries look for
/// them, and its signals do not hold them.
pub fn number(
    parts: &SeriesParts,
    target: &Resolved,
    settings: &ScrapeSettings,
    feed: &Feed,
    named: &mut BTreeMap<String, BTreeMap<String, String>>,
) -> SeriesId {
    let filled = settings.entity.as_ref().and_then(|text| {
        let value = |name: &str| {
            parts
                .label(name)
                .or_else(|| (name == "instance").then_some(target.instance.as_str()))
        };
        Some((text, template::fill(text, value).ok()?))
    });
    match filled {
        Some((text, entity)) => {
            // Labels that name the entity need not be said twice.
            let pairs = parts.labels.iter();
            let used: Vec<_> = pairs
                .filter(|(name, _)| text.contains(&format!("{{{name}}}")))
                .collect();
            let names: Vec<&str> = used.iter().map(|(name, _)| name.as_str()).collect();
            let series = feed.catalog.series(&entity, &parts.signal(&names));
            if !used.is_empty() && entity != target.entity {
                let place = [("job", &settings.job), ("instance", &target.instance)];
                let place = place.map(|(name, value)| (name.to_owned(), value.clone()));
                named.insert(entity, place.into_iter().chain(used.into_iter().cloned()).collect());
            }
            series
        }
        None => feed.catalog.series(&target.entity, &parts.signal(&[])),
    }
}

impl Native {
    /// The number of a series that was never seen, with the labels of its target and after the rules.
    pub fn number(&self, parts: SeriesParts, target: &Resolved, feed: &Feed) -> SeriesId {
        let mut labels: Labels = parts.labels.into_iter().collect();
        for (name, value) in &target.labels {
            // What both say is the target's, and the series' own goes by another name; or the other way round.
            match labels.get(name) {
                Some(_) if self.config.honor_labels => {}
                Some(_) => {
                    let own = labels.insert(name.clone(), value.clone()).unwrap_or_default();
                    let mut exported = format!("exported_{name}");
                    while labels.contains_key(&exported) {
                        exported = format!("exported_{exported}");
                    }
                    labels.insert(exported, own);
                }
                None => drop(labels.insert(name.clone(), value.clone())),
            }
        }
        labels.insert("__name__".into(), parts.name);
        if !relabel(&self.rules, &mut labels) {
            return DROPPED;
        }
        labels.retain(|name, _| name == "__name__" || !name.starts_with("__"));
        if self.config.is_over(&labels) {
            return OVER;
        }
        let Some(name) = labels.remove("__name__") else {
            return DROPPED;
        };
        // Job and instance say what the entity's name and the source's say; a series of another instance is of another entity, of which nobody else tells the
        // job.
        let job = target.labels.iter().find(|(name, _)| name == "job");
        let entity = match labels.remove("instance") {
            Some(instance) if instance != target.instance => instance,
            _ => {
                if labels.get("job") == job.map(|(_, value)| value) {
                    labels.remove("job");
                }
                target.entity.clone()
            }
        };
        let parts = SeriesParts {
            name,
            labels: labels.into_iter().collect(),
        };
        feed.catalog.series(&entity, &parts.signal(&[]))
    }
}
