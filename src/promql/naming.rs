//! From a signal of an entity to the labels by which queries find it.

use std::collections::BTreeMap;

use super::{Labels, METRIC_NAME, fixture};

/// Labels that the config gives to an entity's series: `job`, `instance`.
pub type Origins = BTreeMap<String, Labels>;

fn identifier(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == ':')
}

/// The labels by which a signal of an entity is found: the metric's name and own labels, and what is known of where it comes from (`job`, `instance`), with
/// `entity` beside `instance`. Where nothing is known, both are the entity's name; where it is known that there was no `instance`, none is made up.
/// A signal whose name is no metric name, as MQTT payloads have them, gets one with `_` for whatever does not belong, and keeps its own name in the label
/// `signal`.
pub fn series_labels(entity: &str, signal: &str, origin: Option<&Labels>) -> Labels {
    let parsed = fixture::metric(signal)
        .ok()
        .filter(|(labels, rest)| rest.is_empty() && identifier(labels.name()));
    let mut labels = match parsed {
        Some((labels, _)) => labels,
        None => {
            let mut name: String = signal
                .chars()
                .map(|c| if c.is_ascii_alphanumeric() || c == ':' { c } else { '_' })
                .collect();
            if name.starts_with(|c: char| c.is_ascii_digit()) {
                name.insert(0, '_');
            }
            [(METRIC_NAME, name.as_str()), ("signal", signal)].into_iter().collect()
        }
    };
    let made: &[&str] = match origin {
        None => &["entity", "instance"],
        Some(origin) if origin.find("instance").is_some() || labels.find("instance").is_some() => &["entity"],
        Some(_) => &[],
    };
    let made = made.iter().map(|name| (*name, entity));
    let own = origin.into_iter().flat_map(Labels::iter).chain(made);
    for (name, value) in own {
        if labels.find(name).is_none() {
            labels = labels.with(name, value);
        }
    }
    labels
}
