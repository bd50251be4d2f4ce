//! What the config says of a broker and of its topics.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::pattern::{Pattern, PatternError};
use super::payload::{self, Mapping};
use crate::client::mqtt::address;
use crate::model::{EntityKind, EntityName};
use crate::net::Tls;
use crate::secret::Secret;

/// A broker, and what is listened to there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "MqttSource")]
pub struct Settings {
    /// Its name here: the source's, and the broker entity's unless `broker` is given.
    pub name: String,
    /// `mqtt://host:port`, or `mqtts://host:port` for TLS.
    pub url: String,
    /// The entity that the broker is.
    #[serde(default)]
    pub broker: Option<EntityName>,
    /// Which version is spoken.
    #[serde(default)]
    pub protocol: Protocol,
    /// Our client id; made of the agent's name and the source's if left out.
    #[serde(default)]
    pub client_id: Option<String>,
    /// User name.
    #[serde(default)]
    pub username: Option<String>,
    /// Password; better in `password_file`.
    #[serde(default)]
    pub password: Option<Secret>,
    /// A file that holds the password.
    #[serde(default)]
    pub password_file: Option<PathBuf>,
    /// Certificates.
    #[serde(default)]
    pub tls: Tls,
    /// A broker of which nothing is heard for so many seconds, though it is asked, counts as silent. An idle one is asked twice in that
    /// time. At least 1.
    #[serde(default = "default_keep_alive")]
    pub keep_alive_s: u16,
    /// Packets up to so many bytes are taken. A larger message is skipped, counted as `too_long` and told; the session stands.
    #[serde(default = "default_max_payload")]
    pub max_payload: usize,
    /// What is listened to.
    pub subscribe: Vec<Subscription>,
}

/// In less than a second no broker can be asked and answer.
const KEEP_ALIVE_LEAST_S: u16 = 1;

/// A broker under load answers within this, however short a keep-alive is asked for.
const ANSWER_WITHIN_LEAST: Duration = Duration::from_millis(500);

const fn default_keep_alive() -> u16 {
    15
}

const fn default_max_payload() -> usize {
    4 << 20
}

/// A version of MQTT.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum Protocol {
    /// MQTT 3.1.1 (OASIS 2014).
    #[default]
    #[serde(rename = "3.1.1")]
    V311,
    /// MQTT 5.0 (OASIS 2019).
    #[serde(rename = "5")]
    V5,
}

/// A filter, and how what comes by it is read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Subscription {
    /// The topic filter. `{name}` matches one level and captures it; `+` and `#` are as usual.
    pub filter: String,
    /// How payloads are read: `auto` (found out for each topic), `scalar`, `json`, `presence`, `sparkplug`, `homeassistant`, `zigbee2mqtt`, `tasmota`, `homie`,
    /// `thingsboard`, `thingsboard-gateway`, `senml`, `influx`, `chirpstack`, `ttn`, `opcua`, `aws`, `ditto`, `sys`.
    pub decode: String,
    /// The entity that a message is of; captures are filled in. Not needed where the payload names it.
    #[serde(default)]
    pub entity: Option<String>,
    /// What sort of thing it is.
    #[serde(default)]
    pub kind: EntityKind,
    /// What it speaks through; captures are filled in. Becomes a gateway that speaks through the broker.
    #[serde(default)]
    pub via: Option<String>,
    /// The signal's name, for `scalar`; captures are filled in. The last level of the topic if left out.
    #[serde(default)]
    pub signal: Option<String>,
    /// Where in a JSON payload the values are.
    #[serde(default)]
    pub json: Mapping,
    /// Words of a presence topic that say that the entity is there.
    #[serde(default = "default_online")]
    pub online: Vec<String>,
    /// Words of a presence topic that say that it is lost.
    #[serde(default = "default_offline")]
    pub offline: Vec<String>,
    /// Quality of service, 0 or 1.
    #[serde(default)]
    pub qos: u8,
}

fn default_online() -> Vec<String> {
    ["online", "1", "true", "connected", "up", "ready"]
        .map(String::from)
        .to_vec()
}

fn default_offline() -> Vec<String> {
    ["offline", "0", "false", "disconnected", "down", "lost"]
        .map(String::from)
        .to_vec()
}

/// A broker that cannot be listened to as stated.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The URL.
    #[error("source '{name}': url '{url}' must be mqtt://host:port or mqtts://host:port")]
    Url {
        /// Which source.
        name: String,
        /// Its URL.
        url: String,
    },
    /// Too short a time of silence.
    #[error("source '{name}': keep_alive_s is {got}; at least {least} is due")]
    KeepAlive {
        /// Which source.
        name: String,
        /// What is stated.
        got: u16,
        /// What is the least.
        least: u16,
    },
    /// A filter.
    #[error("source '{name}': filter '{filter}': {error}")]
    Filter {
        /// Which source.
        name: String,
        /// Which filter.
        filter: String,
        /// What is wrong.
        error: PatternError,
    },
    /// The rest of a subscription.
    #[error("source '{name}': filter '{filter}': {problem}")]
    Subscription {
        /// Which source.
        name: String,
        /// Which filter.
        filter: String,
        /// What is wrong, and how to mend it.
        problem: String,
    },
}

impl Settings {
    /// Host, port, and whether TLS is spoken.
    pub fn address(&self) -> Result<(String, u16, bool), SettingsError> {
        address(&self.url).ok_or_else(|| SettingsError::Url {
            name: self.name.clone(),
            url: self.url.clone(),
        })
    }

    /// The entity that the broker is.
    pub fn broker(&self) -> EntityName {
        self.broker.clone().unwrap_or_else(|| self.name.as_str().into())
    }

    /// How often an idle broker is asked whether it is there.
    pub(super) fn ping_every(&self) -> Duration {
        Duration::from_secs((self.keep_alive_s / 2).max(KEEP_ALIVE_LEAST_S).into())
    }

    /// How long it may take with the answer.
    pub(super) fn answer_within(&self) -> Duration {
        Duration::from_secs(self.keep_alive_s.into())
            .saturating_sub(self.ping_every())
            .max(ANSWER_WITHIN_LEAST)
    }

    /// Finds what cannot be followed.
    pub fn check(&self) -> Result<(), SettingsError> {
        self.address()?;
        if self.keep_alive_s < KEEP_ALIVE_LEAST_S {
            return Err(SettingsError::KeepAlive {
                name: self.name.clone(),
                got: self.keep_alive_s,
                least: KEEP_ALIVE_LEAST_S,
            });
        }
        for subscription in &self.subscribe {
            let filter = || subscription.filter.clone();
            let pattern = Pattern::parse(&subscription.filter).map_err(|error| SettingsError::Filter {
                name: self.name.clone(),
                filter: filter(),
                error,
            })?;
            let wrong = |problem: String| SettingsError::Subscription {
                name: self.name.clone(),
                filter: filter(),
                problem,
            };
            payload::find(subscription).map_err(wrong)?;
            let captures: BTreeMap<&str, &str> = pattern.captures().map(|name| (name, "x")).collect();
            for text in [&subscription.entity, &subscription.via, &subscription.signal]
                .into_iter()
                .flatten()
            {
                crate::model::template::fill(text, |name| captures.get(name).copied())
                    .map_err(|name| wrong(format!("'{text}' uses {{{name}}}, which the filter does not capture")))?;
            }
            if subscription.qos > 1 {
                return Err(wrong("qos must be 0 or 1".into()));
            }
        }
        Ok(())
    }
}
