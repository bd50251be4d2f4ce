//! Discovery messages: from their abbreviations to the topics that they announce.
//!
//! <https://www.home-assistant.io/integrations/mqtt/#discovery-messages>

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::ConfigTopic;
use super::template::Template;
use crate::ingest::mqtt::payload::DecodeError;
use crate::model::EntityName;

/// How a topic's payload is read.
#[derive(Debug)]
pub struct Reading {
    /// The topic of the discovery message.
    pub config: String,
    /// The device.
    pub entity: EntityName,
    /// The component.
    pub signal: String,
    /// What makes a state of the payload.
    pub template: Template,
    /// What the state says.
    pub role: Role,
}

/// What a state says.
#[derive(Debug, Clone)]
pub enum Role {
    /// A number or a word.
    State,
    /// On or off.
    Switch {
        /// The word for on.
        on: String,
        /// The word for off.
        off: String,
    },
    /// There or gone.
    Availability {
        /// The word for there.
        there: String,
        /// The word for gone.
        gone: String,
    },
}

/// What one discovery message says.
#[derive(Default)]
pub struct Announced {
    /// The device.
    pub device: EntityName,
    /// What it speaks through, if not the broker.
    pub via: Option<EntityName>,
    /// Its model: devices of one model are peers.
    pub group: Option<String>,
    /// Facts.
    pub attributes: BTreeMap<String, String>,
    /// Seconds after which a state counts as old.
    pub expire_after: Option<f64>,
    /// By topic.
    pub readings: Vec<(String, Reading)>,
    /// Parts that cannot be read.
    pub faults: Vec<DecodeError>,
}

/// Components of one message.
const COMPONENTS_MAX: usize = 1000;

/// Abbreviations of the keys that are read, both ways of writing each.
const KEYS: &[(&str, &str)] = &[
    ("act_t", "action_topic"),
    ("act_tpl", "action_template"),
    ("avty", "availability"),
    ("avty_t", "availability_topic"),
    ("avty_tpl", "availability_template"),
    ("bri_stat_t", "brightness_state_topic"),
    ("bri_val_tpl", "brightness_value_template"),
    ("cmps", "components"),
    ("curr_hum_t", "current_humidity_topic"),
    ("curr_hum_tpl", "current_humidity_template"),
    ("curr_temp_t", "current_temperature_topic"),
    ("curr_temp_tpl", "current_temperature_template"),
    ("dev", "device"),
    ("exp_aft", "expire_after"),
    ("fan_mode_stat_t", "fan_mode_state_topic"),
    ("fan_mode_stat_tpl", "fan_mode_state_template"),
    ("mode_stat_t", "mode_state_topic"),
    ("mode_stat_tpl", "mode_state_template"),
    ("obj_id", "object_id"),
    ("p", "platform"),
    ("pct_stat_t", "percentage_state_topic"),
    ("pct_val_tpl", "percentage_value_template"),
    ("pl_avail", "payload_available"),
    ("pl_not_avail", "payload_not_available"),
    ("pl_off", "payload_off"),
    ("pl_on", "payload_on"),
    ("pos_t", "position_topic"),
    ("pos_tpl", "position_template"),
    ("stat_off", "state_off"),
    ("stat_on", "state_on"),
    ("stat_t", "state_topic"),
    ("stat_val_tpl", "state_value_template"),
    ("t", "topic"),
    ("temp_stat_t", "temperature_state_topic"),
    ("temp_stat_tpl", "temperature_state_template"),
    ("uniq_id", "unique_id"),
    ("val_tpl", "value_template"),
];

const DEVICE_KEYS: &[(&str, &str)] = &[
    ("ids", "identifiers"),
    ("cns", "connections"),
    ("mf", "manufacturer"),
    ("mdl", "model"),
    ("sa", "suggested_area"),
    ("sn", "serial_number"),
    ("sw", "sw_version"),
    ("hw", "hw_version"),
];

/// Topics on which a component states something, what reads it, and what is put behind the signal's name.
const STATES: &[(&str, &[&str], &str)] = &[
    (
        "state_topic",
        &["value_template", "state_value_template", "state_template"],
        "",
    ),
    (
        "current_temperature_topic",
        &["current_temperature_template"],
        ".current_temperature",
    ),
    (
        "temperature_state_topic",
        &["temperature_state_template"],
        ".temperature",
    ),
    (
        "current_humidity_topic",
        &["current_humidity_template"],
        ".current_humidity",
    ),
    ("mode_state_topic", &["mode_state_template"], ".mode"),
    ("fan_mode_state_topic", &["fan_mode_state_template"], ".fan_mode"),
    ("action_topic", &["action_template"], ".action"),
    ("position_topic", &["position_template"], ".position"),
    ("percentage_state_topic", &["percentage_value_template"], ".percentage"),
    ("brightness_state_topic", &["brightness_value_template"], ".brightness"),
];

type Members = Map<String, Value>;

/// Keys written out, and `~` replaced in topics by the base.
fn whole(members: &Members, keys: &[(&str, &str)]) -> Members {
    let base = members.get("~").and_then(Value::as_str);
    let name = |key: &String| {
        keys.iter()
            .find(|(short, _)| short == key)
            .map_or_else(|| key.clone(), |(_, long)| (*long).to_owned())
    };
    let expand = |key: &str, value: &Value| match (base, value) {
        (Some(base), Value::String(text)) if key.ends_with("topic") => {
            let front = text.strip_prefix('~').map(|rest| format!("{base}{rest}"));
            let back = text.strip_suffix('~').map(|rest| format!("{rest}{base}"));
            Value::String(front.or(back).unwrap_or_else(|| text.clone()))
        }
        _ => value.clone(),
    };
    members
        .iter()
        .map(|(key, value)| {
            let key = name(key);
            let value = expand(&key, value);
            (key, value)
        })
        .collect()
}

fn text<'a>(members: &'a Members, key: &str) -> Option<&'a str> {
    members.get(key).and_then(Value::as_str).filter(|text| !text.is_empty())
}

/// An identifier: a text, or the first of a list; of connections, which are pairs, the address.
fn first(value: Option<&Value>) -> Option<&str> {
    match value? {
        Value::String(text) => Some(text).filter(|text| !text.is_empty()).map(String::as_str),
        Value::Array(list) => match list.first()? {
            Value::Array(pair) => first(pair.get(1)),
            other => first(Some(other)),
        },
        _ => None,
    }
}

/// Reads a discovery message.
pub fn read(topic: &ConfigTopic<'_>, members: &Members) -> Result<Announced, DecodeError> {
    let message = whole(members, KEYS);
    let device = message
        .get("device")
        .and_then(Value::as_object)
        .map(|device| whole(device, DEVICE_KEYS))
        .unwrap_or_default();
    let id = first(device.get("identifiers"))
        .or_else(|| first(device.get("connections")))
        .or_else(|| text(&device, "name"));
    let named = id
        .or(topic.node)
        .or_else(|| text(&message, "unique_id"))
        .unwrap_or(topic.object);
    let mut announced = Announced {
        device: named.into(),
        via: text(&device, "via_device").map(EntityName::from),
        group: text(&device, "model").map(String::from),
        ..Announced::default()
    };
    for key in [
        "name",
        "manufacturer",
        "model",
        "sw_version",
        "serial_number",
        "suggested_area",
    ] {
        let value = text(&device, key).map(|value| (key.to_owned(), value.chars().take(128).collect()));
        announced.attributes.extend(value);
    }
    if let Some(components) = message.get("components").and_then(Value::as_object) {
        let shared: Members = message
            .iter()
            .filter(|(key, _)| key.starts_with("availab") || key.starts_with("payload_") || *key == "state_topic")
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        for (name, component) in components.iter().take(COMPONENTS_MAX) {
            let Value::Object(component) = component else { continue };
            let mut component_members = component.clone();
            if let Some(base) = members.get("~") {
                component_members.entry("~").or_insert_with(|| base.clone());
            }
            let own = whole(&component_members, KEYS);
            let mut all = shared.clone();
            all.extend(own);
            let platform = text(&all, "platform").unwrap_or("sensor").to_owned();
            take(&mut announced, &platform, name, &all);
        }
        // Said once for all of them.
        let mut seen = std::collections::BTreeSet::new();
        announced.readings.retain(|(topic, reading)| {
            !matches!(reading.role, Role::Availability { .. }) || seen.insert(topic.clone())
        });
    } else {
        if !message.keys().any(|key| key.ends_with("topic")) {
            return Err(DecodeError::NoValue("$: a discovery message names a topic".into()));
        }
        let object = text(&message, "object_id").unwrap_or(topic.object);
        take(&mut announced, topic.component, object, &message);
    }
    Ok(announced)
}

/// One component.
fn take(announced: &mut Announced, component: &str, object: &str, members: &Members) {
    let device = announced.device.clone();
    // The device's name in front of each of its signals says nothing.
    let signal = object
        .strip_prefix(device.as_str())
        .map(|rest| rest.trim_start_matches(['_', '-']))
        .filter(|rest| !rest.is_empty())
        .unwrap_or(object);
    let words = |on: &str, off: &str| {
        let word = |keys: [&str; 2], otherwise: &str| {
            keys.iter()
                .find_map(|key| match members.get(*key)? {
                    Value::String(text) => Some(text.clone()),
                    other => Some(other.to_string()),
                })
                .unwrap_or_else(|| otherwise.to_owned())
        };
        (
            word(["state_on", "payload_on"], on),
            word(["state_off", "payload_off"], off),
        )
    };
    for (key, templates, behind) in STATES {
        let Some(topic) = text(members, key) else { continue };
        let source = templates.iter().find_map(|key| text(members, key));
        let role = match (component, *key) {
            ("binary_sensor" | "switch" | "light" | "fan" | "siren" | "humidifier", "state_topic") => {
                let (on, off) = words("ON", "OFF");
                Role::Switch { on, off }
            }
            _ => Role::State,
        };
        reading(announced, topic, format!("{signal}{behind}"), source, role);
    }
    let default = |key: &str, otherwise: &str| text(members, key).unwrap_or(otherwise).to_owned();
    let (there, gone) = (
        default("payload_available", "online"),
        default("payload_not_available", "offline"),
    );
    if let Some(topic) = text(members, "availability_topic") {
        let role = Role::Availability {
            there: there.clone(),
            gone: gone.clone(),
        };
        reading(
            announced,
            topic,
            "availability".into(),
            text(members, "availability_template"),
            role,
        );
    }
    let listed = match members.get("availability") {
        Some(Value::Array(list)) => list.iter().collect(),
        Some(one) => vec![one],
        None => Vec::new(),
    };
    for one in listed.into_iter().filter_map(Value::as_object) {
        let mut one = whole(one, KEYS);
        if let (Some(base), Some(topic)) = (
            text(members, "~"),
            text(&one, "topic").and_then(|topic| topic.strip_prefix('~')),
        ) {
            let topic = format!("{base}{topic}");
            one.insert("topic".into(), Value::String(topic));
        }
        let Some(topic) = text(&one, "topic").map(String::from) else {
            continue;
        };
        let role = Role::Availability {
            there: text(&one, "payload_available").unwrap_or(&there).to_owned(),
            gone: text(&one, "payload_not_available").unwrap_or(&gone).to_owned(),
        };
        let source = text(&one, "value_template").map(String::from);
        reading(announced, &topic, "availability".into(), source.as_deref(), role);
    }
    let expires = members
        .get("expire_after")
        .and_then(|value| value.as_f64().or_else(|| value.as_str()?.parse().ok()));
    if let Some(seconds) = expires.filter(|seconds| *seconds > 0.0) {
        announced.expire_after = Some(announced.expire_after.map_or(seconds, |known| known.min(seconds)));
    }
}

fn reading(announced: &mut Announced, topic: &str, signal: String, source: Option<&str>, role: Role) {
    match Template::of(source) {
        Ok(template) => announced.readings.push((
            topic.to_owned(),
            Reading {
                config: String::new(),
                entity: announced.device.clone(),
                signal,
                template,
                role,
            },
        )),
        Err(problem) => announced.faults.push(DecodeError::Template {
            place: format!("{signal} of {}", announced.device),
            problem,
        }),
    }
}
