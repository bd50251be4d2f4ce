//! What the config says of what is pushed to us.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::traces::SpanSettings;

/// Telemetry that others push: remote write on `/api/v1/write`, OTLP on `/v1/metrics` and `/v1/traces`, Zipkin's spans on `/api/v2/spans`, Jaeger's JSON on `/api/traces`, Loki's logs on `/loki/api/v1/push`. `api.alerts_token_file` guards these too.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PushSettings {
    /// Off, and every push is refused.
    pub enabled: bool,
    /// Whose a pushed series is: its labels are filled in. A series that lacks one of them is that of its label `instance`, else `job`, else `push`.
    pub entity: String,
    /// Whose a pushed log line is, in the same way.
    pub log_entity: Vec<String>,
    /// How spans become signals and edges of the topology.
    pub spans: SpanSettings,
    /// Bytes of one request after unpacking.
    pub body_size_limit: usize,
}

impl Default for PushSettings {
    fn default() -> Self {
        Self {
            enabled: true,
            entity: "{instance}".into(),
            log_entity: [
                "instance",
                "service_name",
                "host",
                "hostname",
                "pod",
                "container",
                "app",
                "job",
            ]
            .map(String::from)
            .to_vec(),
            spans: SpanSettings::default(),
            body_size_limit: 64 << 20,
        }
    }
}

/// A place where syslog messages (RFC 5424) come in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "SyslogSource")]
pub struct SyslogSettings {
    /// Its name.
    pub name: String,
    /// `udp://address:port` or `tcp://address:port`.
    pub listen: String,
    /// Whose a message is: `{hostname}` and `{app}` are filled in.
    #[serde(default = "default_entity")]
    pub entity: String,
}

fn default_entity() -> String {
    "{hostname}".into()
}

impl SyslogSettings {
    /// The address, and whether it is TCP's. `Err` is a sentence for a person.
    pub fn address(&self) -> Result<(&str, bool), String> {
        let (rest, tcp) = match (self.listen.strip_prefix("udp://"), self.listen.strip_prefix("tcp://")) {
            (Some(rest), _) => (rest, false),
            (_, Some(rest)) => (rest, true),
            _ => {
                return Err(format!(
                    "source '{}': listen '{}' must be udp://address:port or tcp://address:port",
                    self.name, self.listen
                ));
            }
        };
        match rest.rsplit_once(':') {
            Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok() => Ok((rest, tcp)),
            _ => Err(format!(
                "source '{}': listen '{}' names no address and port",
                self.name, self.listen
            )),
        }
    }
}
