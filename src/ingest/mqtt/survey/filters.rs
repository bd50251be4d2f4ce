//! From topics to the few filters that stand for them.
//!
//! A convention with topics of its own has one filter. Topics of no convention are laid side by side: those of one length that differ in a level have a capture
//! there, and the capture names the entity.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::Topic;
use crate::ingest::mqtt::pattern::Pattern;
use crate::ingest::mqtt::payload;
use crate::model::{EntityName, template};

/// Topics of one pattern from which on a level that differs is taken for a name.
const SEVERAL: usize = 2;

/// Topics that are listed one by one because a filter of another convention would take them.
pub(super) const LISTED_MAX: usize = 50;

/// A subscription to make.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Filter {
    /// Its filter, captures in braces.
    pub filter: String,
    /// Its convention.
    pub decode: String,
    /// The entity, if the topic names it.
    pub entity: Option<String>,
    /// The signal, if the topic names it.
    pub signal: Option<String>,
    /// How many topics were seen by it.
    pub topics: usize,
    /// One of them.
    pub example: String,
}

/// The filter that a convention has for all of its topics, where the topic says so.
fn own(convention: &str, topic: &str) -> Option<String> {
    let base = topic.split('/').next().unwrap_or(topic);
    Some(match convention {
        "sparkplug" => "spBv1.0/#".into(),
        "sys" => "$SYS/#".into(),
        "aws" if topic.starts_with("$aws/events/") => "$aws/events/presence/#".into(),
        "aws" => "$aws/things/+/shadow/#".into(),
        "thingsboard" => "v1/devices/me/+".into(),
        "thingsboard-gateway" => "v1/gateway/+".into(),
        "homie" | "zigbee2mqtt" => format!("{base}/#"),
        "chirpstack" => match topic.find("application/") {
            Some(at) => format!("{}application/+/device/+/event/+", &topic[..at]),
            None => return None,
        },
        "ttn" => "v3/+/devices/+/#".into(),
        "tasmota" if ["tele", "stat", "tasmota"].contains(&base) => format!("{base}/#"),
        // Of the topic's first levels, where the prefix stands behind the device.
        "tasmota" => format!("+/{}/+", topic.rsplit('/').nth(1)?),
        "homeassistant" if topic.ends_with("/config") || topic.ends_with("/status") => format!("{base}/#"),
        _ => return None,
    })
}

/// The filters that read these topics.
pub fn filters(topics: &BTreeMap<String, Topic>) -> Vec<Filter> {
    let mut by_filter: BTreeMap<(String, String), Filter> = BTreeMap::new();
    // Length of the topic, first level, convention: the topics.
    let mut loose: BTreeMap<(usize, &str, &str), Vec<&str>> = BTreeMap::new();
    for (name, topic) in topics {
        if topic.messages == topic.bad {
            continue;
        }
        if let Some(filter) = own(topic.convention, name) {
            add(&mut by_filter, filter, topic.convention, None, None, name);
            continue;
        }
        let levels = name.split('/').count();
        loose
            .entry((levels, name.split('/').next().unwrap_or(name), convention_of(topic)))
            .or_default()
            .push(name);
    }
    for ((_, _, convention), names) in loose {
        for one in split(convention, &names) {
            by_filter.entry((one.filter.clone(), one.decode.clone())).or_insert(one);
        }
    }
    told_apart(topics, by_filter.into_values().collect())
}

/// What a topic is read by.
fn convention_of(topic: &Topic) -> &'static str {
    match topic.convention {
        "json" if !topic.plain => "auto",
        // A state of words and one of numbers are not told apart by their topics.
        "text" => "auto",
        other => other,
    }
}

/// The first that fits counts: the narrowest comes first, and of two that are as wide the one of more topics.
fn in_order(all: &mut [Filter]) {
    all.sort_by_key(|one| (wildness(&one.filter), Reverse(one.topics), one.filter.clone()));
}

/// For each topic that is read, the place of the first filter that fits it.
fn first_fits<'t>(topics: &'t BTreeMap<String, Topic>, all: &[Filter]) -> Vec<(&'t str, &'t Topic, usize)> {
    let patterns: Vec<Option<Pattern>> = all.iter().map(|one| Pattern::parse(&one.filter).ok()).collect();
    let read = topics.iter().filter(|(_, topic)| topic.messages > topic.bad);
    read.filter_map(|(name, topic)| {
        let fits = |pattern: &Option<Pattern>| pattern.as_ref().is_some_and(|pattern| pattern.matches(name).is_some());
        Some((name.as_str(), topic, patterns.iter().position(fits)?))
    })
    .collect()
}

/// Filters in order, by which each topic is read as it was here: topics that a filter of another convention would take are listed by themselves; where they are
/// many, each topic of the two is taken for what it looks like.
fn told_apart(topics: &BTreeMap<String, Topic>, mut all: Vec<Filter>) -> Vec<Filter> {
    in_order(&mut all);
    let mut taken: BTreeMap<usize, Vec<Filter>> = BTreeMap::new();
    for (name, topic, place) in first_fits(topics, &all) {
        let convention = convention_of(topic);
        if all[place].decode != convention {
            let row = name.split('/').collect();
            taken.entry(place).or_default().push(pattern(convention, &[&row]));
        }
    }
    for (place, own) in taken {
        if own.len() <= LISTED_MAX {
            all.extend(own);
        } else {
            let one = &mut all[place];
            one.filter = plus(&one.filter);
            one.decode = "auto".into();
            (one.entity, one.signal) = (None, None);
        }
    }
    in_order(&mut all);
    let mut counts = vec![0; all.len()];
    for (_, _, place) in first_fits(topics, &all) {
        counts[place] += 1;
    }
    for (one, count) in all.iter_mut().zip(counts) {
        one.topics = count;
    }
    all.retain(|one| one.topics > 0);
    all
}

fn wildness(filter: &str) -> (usize, usize, usize) {
    let levels: Vec<&str> = filter.split('/').collect();
    let wild = levels
        .iter()
        .filter(|level| **level == "+" || level.starts_with('{'))
        .count();
    (usize::from(filter.ends_with('#')), wild, usize::MAX - levels.len())
}

fn add(
    all: &mut BTreeMap<(String, String), Filter>,
    filter: String,
    decode: &str,
    entity: Option<String>,
    signal: Option<String>,
    topic: &str,
) {
    all.entry((filter.clone(), decode.to_owned()))
        .or_insert_with(|| Filter {
            filter,
            decode: decode.to_owned(),
            entity,
            signal,
            topics: 0,
            example: topic.to_owned(),
        })
        .topics += 1;
}

/// Filters of topics of one length, one convention and one first level.
fn split(convention: &str, names: &[&str]) -> Vec<Filter> {
    let rows: Vec<Vec<&str>> = names.iter().map(|name| name.split('/').collect()).collect();
    let length = rows.first().map_or(0, Vec::len);
    // The last level tells kinds of messages apart where many topics share it: `plant/+/telemetry`.
    let mut by_last: BTreeMap<&str, Vec<&Vec<&str>>> = BTreeMap::new();
    for row in &rows {
        by_last
            .entry(row.last().copied().unwrap_or_default())
            .or_default()
            .push(row);
    }
    let shared = by_last.values().any(|rows| rows.len() >= SEVERAL);
    let bundles: Vec<Vec<&Vec<&str>>> = if convention == "scalar" || !shared || length < 2 {
        vec![rows.iter().collect()]
    } else {
        by_last.into_values().collect()
    };
    bundles.into_iter().map(|rows| pattern(convention, &rows)).collect()
}

fn pattern(convention: &str, rows: &[&Vec<&str>]) -> Filter {
    let length = rows.first().map_or(0, |row| row.len());
    let differs: Vec<bool> = (0..length)
        .map(|level| rows.iter().map(|row| row[level]).collect::<BTreeSet<_>>().len() >= SEVERAL)
        .collect();
    let scalar = convention == "scalar";
    // A level of fixed text that holds what the filter language uses cannot be written down.
    let fixed = |text: &str| {
        if text.contains(['{', '}', '+', '#']) {
            "+".to_owned()
        } else {
            text.to_owned()
        }
    };
    let mut entity = Vec::new();
    let mut names = 0;
    let levels: Vec<String> = (0..length)
        .map(|level| {
            if scalar && length > 1 && level + 1 == length {
                return "{signal}".into();
            }
            if !differs[level] {
                return fixed(rows[0][level]);
            }
            names += 1;
            let name = if names == 1 {
                "device".to_owned()
            } else {
                format!("level{level}")
            };
            entity.push(format!("{{{name}}}"));
            format!("{{{name}}}")
        })
        .collect();
    let example = rows[0].join("/");
    // These name their entities in the payload, and `auto` by the topic.
    let by_payload = matches!(
        convention,
        "auto" | "senml" | "influx" | "opcua" | "ditto" | "homeassistant"
    );
    let whole = || {
        let end = if (scalar || convention == "presence") && length > 1 {
            length - 1
        } else {
            length
        };
        rows[0][..end].join("/")
    };
    let entity = match (by_payload, entity.is_empty()) {
        (true, _) => None,
        // A topic of its own is an entity of its own, as `auto` has it.
        (false, true) if scalar || convention == "presence" => Some(whole()),
        (false, true) => Some(payload::entity_of(&whole()).to_owned()),
        (false, false) => Some(entity.join("/")),
    };
    let filter = levels.join("/");
    let (filter, entity) = if by_payload {
        (plus(&filter), None)
    } else {
        (filter, entity)
    };
    Filter {
        signal: (scalar && length > 1).then(|| "{signal}".to_owned()),
        filter,
        decode: convention.to_owned(),
        entity: entity.map(|text| {
            if text.contains(['{', '}']) && !text.starts_with('{') {
                "device".into()
            } else {
                text
            }
        }),
        topics: rows.len(),
        example,
    }
}

/// Captures that nobody uses are plain wildcards.
fn plus(filter: &str) -> String {
    let levels = filter
        .split('/')
        .map(|level| if level.starts_with('{') { "+" } else { level });
    levels.collect::<Vec<_>>().join("/")
}

/// What entities are called by these filters, where that is not what `auto` calls them.
pub fn renames(topics: &BTreeMap<String, Topic>, filters: &[Filter]) -> BTreeMap<EntityName, EntityName> {
    let patterns: Vec<(Pattern, &Filter)> = filters
        .iter()
        .filter_map(|filter| Some((Pattern::parse(&filter.filter).ok()?, filter)))
        .collect();
    let mut renames = BTreeMap::new();
    for (name, topic) in topics {
        let Some(before) = &topic.entity else { continue };
        let by = patterns
            .iter()
            .find_map(|(pattern, filter)| Some((pattern.matches(name)?, filter)));
        let Some((
            captures,
            Filter {
                entity: Some(entity), ..
            },
        )) = by
        else {
            continue;
        };
        let value = |wanted: &str| {
            captures
                .iter()
                .find(|(capture, _)| *capture == wanted)
                .map(|(_, value)| *value)
        };
        if let Ok(after) = template::fill(entity, value)
            && after != before.as_str()
        {
            renames.insert(before.clone(), after.as_str().into());
        }
    }
    renames
}
