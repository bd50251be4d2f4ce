//! `decode: auto`: finds the convention of each topic, says what it took it for, and leaves the reading to it.
//!
//! A topic tells more than a payload, so it is asked first. What was found is kept for the topic: a payload that does not fit it is counted as one that cannot be
//! read, except where the first said too little to tell.

use std::collections::{BTreeMap, BTreeSet};

use hashbrown::HashMap;
use serde_json::Value;

use super::tell::{Book, Tell};
use super::{Context, DecodeError, Decoded, Decoder, Memo, Notes, Shared, generic, homeassistant};
use super::{aws, ditto, homie, influx, lorawan, opcua, senml, sys, tasmota, thingsboard, zigbee2mqtt};
use crate::model::{Batch, EntityName};

/// Topics of which the convention is remembered.
const TOPICS_MAX: usize = 200_000;

/// A convention that was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Convention {
    /// By name, as `decode` has it.
    Named(&'static str),
    /// One value.
    Value,
    /// A presence word.
    Presence,
    /// JSON of no convention.
    Json,
    /// Words.
    Word,
}

impl Convention {
    /// As it is told.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Named(name) => name,
            Self::Value => "scalar",
            Self::Presence => "presence",
            Self::Json => "json",
            Self::Word => "text",
        }
    }
}

/// See the module.
pub struct Auto {
    homeassistant: homeassistant::HomeAssistant,
    others: BTreeMap<&'static str, Box<dyn Decoder>>,
    found: HashMap<Box<str>, Convention>,
    /// What was told already: the convention, and the first levels of the topic.
    told: BTreeSet<(Convention, String)>,
    book: Book,
}

impl Auto {
    /// With what other subscriptions of the same source have learned.
    pub fn new(shared: &Shared) -> Self {
        let mut others: BTreeMap<&'static str, Box<dyn Decoder>> = BTreeMap::new();
        others.insert("sparkplug", Box::<super::sparkplug::Sparkplug>::default());
        others.insert("thingsboard", Box::new(thingsboard::Device));
        others.insert("thingsboard-gateway", Box::<thingsboard::Gateway>::default());
        others.insert("tasmota", Box::<tasmota::Tasmota>::default());
        others.insert("zigbee2mqtt", Box::<zigbee2mqtt::Zigbee2Mqtt>::default());
        others.insert("homie", Box::<homie::Homie>::default());
        others.insert("senml", Box::<senml::SenMl>::default());
        others.insert("influx", Box::<influx::Influx>::default());
        others.insert("chirpstack", Box::<lorawan::ChirpStack>::default());
        others.insert("ttn", Box::<lorawan::Ttn>::default());
        others.insert("opcua", Box::<opcua::OpcUa>::default());
        others.insert("aws", Box::<aws::Aws>::default());
        others.insert("ditto", Box::<ditto::Ditto>::default());
        others.insert("sys", Box::<sys::Sys>::default());
        Self {
            homeassistant: homeassistant::HomeAssistant::new(&shared.homeassistant).beside(claimed),
            others,
            found: HashMap::default(),
            told: BTreeSet::new(),
            book: Book::default(),
        }
    }

    /// The convention of a topic, if the last payload on it told one.
    pub fn took(&self, topic: &str) -> Option<Convention> {
        self.found.get(topic).copied()
    }

    fn tell_of(&mut self, topic: &str, convention: Convention) {
        let front: Vec<&str> = topic.split('/').take(2).collect();
        let front = front.join("/");
        if self.told.len() < 1000 && self.told.insert((convention, front)) {
            tracing::info!(
                topic,
                convention = convention.name(),
                "took a topic for this convention"
            );
        }
    }
}

/// Whose a topic is that another convention reads.
fn claimed(topic: &str) -> Option<EntityName> {
    match of_topic(topic)? {
        Convention::Named("zigbee2mqtt") => zigbee2mqtt::speaker(topic),
        Convention::Named("tasmota") => tasmota::speaker(topic),
        Convention::Named("homie") => homie::speaker(topic),
        Convention::Named("homeassistant") => None,
        _ => Some(topic.into()),
    }
}

/// The convention that a topic alone tells.
pub fn of_topic(topic: &str) -> Option<Convention> {
    let named = |name| Some(Convention::Named(name));
    let levels: Vec<&str> = topic.split('/').collect();
    match levels.as_slice() {
        ["spBv1.0", _, ..] => named("sparkplug"),
        ["$SYS", ..] => named("sys"),
        ["$aws", "things" | "events", ..] => named("aws"),
        ["v1", "devices", "me", ..] => named("thingsboard"),
        ["v1", "gateway", ..] => named("thingsboard-gateway"),
        ["homie", _, _, ..] => named("homie"),
        ["zigbee2mqtt", _, ..] => named("zigbee2mqtt"),
        ["homeassistant", "status"] => named("homeassistant"),
        _ if homeassistant::config_topic(topic).is_some() => named("homeassistant"),
        _ if lorawan::chirpstack_topic(topic).is_some() => named("chirpstack"),
        _ if lorawan::ttn_topic(topic).is_some() => named("ttn"),
        _ if is_tasmota(&levels) || topic.starts_with("tasmota/discovery/") => named("tasmota"),
        _ => None,
    }
}

/// `tele` alone is a common word; with a command that Tasmota knows behind it, it is Tasmota.
fn is_tasmota(levels: &[&str]) -> bool {
    let command = levels.last().copied().unwrap_or_default();
    let known = [
        "LWT",
        "STATE",
        "SENSOR",
        "RESULT",
        "UPTIME",
        "MARGINS",
        "INFO",
        "STATUS",
        "POWER",
        "HASS_STATE",
        "WAKEUP",
        "SHUTTER",
    ]
    .iter()
    .any(|known| {
        command
            .strip_prefix(known)
            .is_some_and(|rest| rest.chars().all(|c| c.is_ascii_digit()))
    });
    levels.len() >= 3 && known && levels.iter().any(|level| matches!(*level, "tele" | "stat"))
}

/// The convention that a payload tells, on a topic that tells none.
fn of_payload(context: &Context<'_>, payload: &[u8]) -> Result<Convention, DecodeError> {
    let Ok(text) = std::str::from_utf8(payload) else {
        return if senml::looks_like(payload) {
            Ok(Convention::Named("senml"))
        } else {
            Err(DecodeError::Unrecognised)
        };
    };
    if senml::looks_like(payload) {
        return Ok(Convention::Named("senml"));
    }
    if generic::presence_of(context.topic, text).is_some() {
        return Ok(Convention::Presence);
    }
    let trimmed = text.trim();
    if trimmed.starts_with(['{', '[']) {
        let json: Value = serde_json::from_str(trimmed).map_err(|error| DecodeError::Json(error.to_string()))?;
        return Ok(match &json {
            Value::Object(members) if opcua::looks_like(members) => Convention::Named("opcua"),
            Value::Object(members) if ditto::looks_like(members) => Convention::Named("ditto"),
            Value::Array(list) if list.first().and_then(Value::as_object).is_some_and(opcua::looks_like) => {
                Convention::Named("opcua")
            }
            _ => Convention::Json,
        });
    }
    if influx::looks_like(text) {
        return Ok(Convention::Named("influx"));
    }
    if super::scalar::value(trimmed).is_ok() {
        return Ok(Convention::Value);
    }
    // A word of letters is a state; anything else with digits in it is a value that we cannot read.
    let word =
        !trimmed.is_empty() && trimmed.len() <= 64 && !trimmed.contains(|c: char| c.is_ascii_digit() || c.is_control());
    let number =
        ["nan", "inf", "infinity"].contains(&trimmed.trim_start_matches(['-', '+']).to_ascii_lowercase().as_str());
    match (word, number) {
        (true, false) => Ok(Convention::Word),
        _ => Err(DecodeError::Scalar(trimmed.chars().take(64).collect())),
    }
}

impl Decoder for Auto {
    fn read(&mut self, context: &Context<'_>, memo: &mut Memo, payload: &[u8], out: &mut Batch) -> Decoded {
        let by_topic = of_topic(context.topic);
        if by_topic == Some(Convention::Named("homeassistant"))
            || by_topic.is_none() && self.homeassistant.knows(context.topic)
        {
            self.remember(context.topic, Convention::Named("homeassistant"));
            return self.homeassistant.decode(context, memo, payload, out);
        }
        if payload.is_empty() && by_topic.is_none() {
            return Ok(Notes::empty());
        }
        let known = by_topic.or_else(|| self.took(context.topic));
        let convention = match known {
            // Which of these it is may change from one payload to the next.
            None | Some(Convention::Value | Convention::Word | Convention::Presence | Convention::Json) => {
                of_payload(context, payload)?
            }
            Some(known) => known,
        };
        if by_topic.is_none() {
            self.homeassistant.keep_early(context, payload);
        }
        self.remember(context.topic, convention);
        if let Convention::Named(name) = convention
            && let Some(decoder) = self.others.get_mut(name)
        {
            return decoder.decode(context, memo, payload, out);
        }
        let text = std::str::from_utf8(payload).map_err(|_| DecodeError::Utf8)?;
        let mut tell = Tell::new(context, &mut self.book, out);
        match convention {
            Convention::Presence => {
                if let Some(presence) = generic::presence_of(context.topic, text) {
                    generic::presence(&mut tell, presence);
                }
            }
            Convention::Value => generic::scalar(&mut tell, text)?,
            Convention::Json => {
                let json = serde_json::from_str(text).map_err(|error| DecodeError::Json(error.to_string()))?;
                generic::json(&mut tell, &json)?;
            }
            Convention::Word | Convention::Named(_) => {
                let json = Value::String(text.trim().to_owned());
                generic::json(&mut tell, &json)?;
            }
        }
        Ok(tell.notes)
    }

    fn reads_empty(&self) -> bool {
        true
    }

    fn speaker(&self, topic: &str) -> Option<EntityName> {
        let named = match of_topic(topic) {
            Some(Convention::Named("homeassistant")) => self.homeassistant.speaker(topic),
            Some(Convention::Named(name)) => self.others.get(name).and_then(|decoder| decoder.speaker(topic)),
            _ if self.homeassistant.knows(topic) => self.homeassistant.speaker(topic),
            _ => None,
        };
        named.or_else(|| Some(topic.into()))
    }
}

impl Auto {
    fn remember(&mut self, topic: &str, convention: Convention) {
        if self.found.get(topic) == Some(&convention) {
            return;
        }
        if self.found.len() >= TOPICS_MAX {
            self.found.clear();
        }
        self.found.insert(topic.into(), convention);
        self.tell_of(topic, convention);
    }
}
